//! `/endpoints`: where webhooks go.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::endpoint::{EndpointView, URL_MAX, Wanted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Operate, Review};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer, answered, id, text};

/// Longest time for which a secret signs beside the one that replaces it, in seconds: 30 days.
const OVERLAP_SECONDS_MAX: u32 = 30 * 86_400;
/// How long it does where nothing else is said.
const OVERLAP_SECONDS: u32 = 86_400;

/// Routes of endpoints.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/endpoints", get(list).post(create))
        .route("/endpoints/{endpoint}", get(show).post(change))
        .route("/endpoints/{endpoint}/rotate", post(rotate))
        .route("/endpoints/{endpoint}/replay", post(replay))
}

/// A page of endpoints.
#[derive(Serialize, JsonSchema)]
struct EndpointsView {
    /// In the order of their ids.
    endpoints: Vec<EndpointView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Review>, page: PageOf) -> Result<Response, Problem> {
    let endpoints = app.awards.endpoints(&page.cursor, page.limit).await?;
    let next = page.next(&endpoints, |endpoint| endpoint.endpoint.clone());
    Ok(answer(StatusCode::OK, &EndpointsView { endpoints, next }, false))
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Review>,
    Ids(endpoint): Ids<String>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &app.awards.endpoint(&endpoint).await?, false))
}

/// A new endpoint.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    /// Its id: 1 to 64 letters, digits, dots, dashes and underscores.
    #[schemars(length(min = 1, max = 64))]
    endpoint: String,
    /// Where webhooks go: https, or http in a network that the configuration lists.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// Where it says whether it has taken a webhook: it is asked by GET with `id` in the query, and answers 200 or 404.
    #[schemars(length(min = 1, max = 2000))]
    status_url: Option<String>,
    /// That it remembers the `webhook-id` of what it has taken, and takes each once. Needed where it has no `status_url`.
    #[serde(default)]
    keeps_ids: bool,
}

/// How an endpoint is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// Where webhooks go.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// Where it says whether it has taken a webhook; nowhere where it is left out.
    #[schemars(length(min = 1, max = 2000))]
    status_url: Option<String>,
    /// That it remembers the `webhook-id` of what it has taken, and takes each once. Needed where it has no `status_url`.
    #[serde(default)]
    keeps_ids: bool,
    /// Whether webhooks are sent.
    enabled: bool,
}

/// A new secret.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    /// For how long the secret before signs beside the new one, 0 to 2592000. Default 86400.
    #[schemars(range(max = 2_592_000))]
    overlap_seconds: Option<u32>,
}

/// Refuses a URL that could never be called.
fn url(app: &App, name: &'static str, url: &str) -> Result<(), Problem> {
    text(name, url, URL_MAX)?;
    let refused = |told: String| {
        let detail = format!("`{name}`: {told}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "endpoint.not_allowed", detail)
    };
    app.policy.admit(url).map(|_| ()).map_err(refused)
}

async fn create(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: CreateBody = sent.json()?;
    id("endpoint", &read.endpoint)?;
    url(&app, "url", &read.url)?;
    read.status_url.as_deref().map_or(Ok(()), |status| url(&app, "status_url", status))?;
    let request = sent.remembered(&caller, "endpoints", app.clock.now_ms())?;
    let CreateBody { endpoint, url, status_url, keeps_ids } = read;
    let wanted = Wanted { url, status_url, keeps_ids, enabled: true };
    Ok(answered(StatusCode::CREATED, app.awards.create_endpoint(&endpoint, wanted, request).await?))
}

async fn change(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(endpoint): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: ChangeBody = sent.json()?;
    url(&app, "url", &read.url)?;
    read.status_url.as_deref().map_or(Ok(()), |status| url(&app, "status_url", status))?;
    let request = sent.remembered(&caller, &format!("endpoints/{endpoint}"), app.clock.now_ms())?;
    let ChangeBody { url, status_url, keeps_ids, enabled } = read;
    let wanted = Wanted { url, status_url, keeps_ids, enabled };
    Ok(answered(StatusCode::CREATED, app.awards.change_endpoint(&endpoint, wanted, request).await?))
}

async fn rotate(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(endpoint): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: RotateBody = sent.json()?;
    let overlap = read.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    if overlap > OVERLAP_SECONDS_MAX {
        let detail = format!("`overlap_seconds` must be from 0 to {OVERLAP_SECONDS_MAX}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_number", detail));
    }
    let request = sent.remembered(&caller, &format!("endpoints/{endpoint}/rotate"), app.clock.now_ms())?;
    Ok(answered(StatusCode::CREATED, app.awards.rotate_endpoint(&endpoint, overlap, request).await?))
}

async fn replay(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(endpoint): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = sent.reason()?;
    let request = sent.remembered(&caller, &format!("endpoints/{endpoint}/replay"), app.clock.now_ms())?;
    Ok(answered(StatusCode::CREATED, app.awards.replay_endpoint(&endpoint, reason, request).await?))
}
