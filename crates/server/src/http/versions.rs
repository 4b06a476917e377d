//! `/raffles/{id}/versions`: what was published, what differs, and going back.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use kernel::hex::hex;
use raffle::diff::Diff;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Operate, Read};
use super::problem::Problem;
use super::raffles::{published_view, with_findings};
use super::request::{Asked, Ids, PageOf, Sent, answer};

/// Routes of versions.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/raffles/{id}/versions", get(list))
        .route("/raffles/{id}/versions/{version}/diff", get(diff))
        .route("/raffles/{id}/versions/{version}/restore", post(restore))
}

/// A version in a list.
#[derive(Serialize, JsonSchema)]
struct VersionView {
    /// Its number, from 1.
    version: u32,
    /// The epoch that it opened.
    epoch: u32,
    /// SHA-256 of its canonical rules.
    rules_hash: String,
    /// When, in milliseconds since the epoch.
    published_ms: i64,
    /// The name of the key that published it; empty where that was not noted.
    by: String,
    /// Why; absent where nobody said.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The draft that it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<u32>,
    /// The earlier version whose document it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    restores: Option<u32>,
}

/// A page of versions.
#[derive(Serialize, JsonSchema)]
struct VersionsView {
    /// By number.
    versions: Vec<VersionView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(raffle): Ids<String>,
    page: PageOf,
) -> Result<Response, Problem> {
    let versions = app.raffles.versions().list(&raffle, page.after()?, page.limit).await?;
    let next = page.next(&versions, |last| last.version.to_string());
    let versions = versions.into_iter().map(|listed| VersionView {
        version: listed.version,
        epoch: listed.epoch,
        rules_hash: hex(&listed.rules_hash),
        published_ms: listed.published_ms,
        by: listed.by,
        reason: listed.reason,
        draft: listed.draft,
        restores: listed.restores,
    });
    Ok(answer(StatusCode::OK, &VersionsView { versions: versions.collect(), next }, false))
}

/// What is compared.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiffQuery {
    /// The version to compare with.
    from: u32,
    /// The draws of a day, to tell what they are expected to cost.
    draws_per_day: Option<u32>,
}

/// What differs between two versions.
#[derive(Serialize, JsonSchema)]
struct DiffView<'a> {
    /// The version compared with.
    from: u32,
    /// The version compared.
    to: u32,
    #[serde(flatten)]
    diff: &'a Diff,
}

/// Not for participants: documents name others.
async fn diff(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids((raffle, to)): Ids<(String, u32)>,
    Asked(DiffQuery { from, draws_per_day }): Asked<DiffQuery>,
) -> Result<Response, Problem> {
    let diff = app.raffles.versions().diff(&raffle, (from, to), draws_per_day).await?;
    Ok(answer(StatusCode::OK, &DiffView { from, to, diff: &diff }, false))
}

async fn restore(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids((raffle, version)): Ids<(String, u32)>,
    sent: Sent,
) -> Result<Response, Problem> {
    let (reason, request) = (sent.reason()?, sent.request(&caller)?);
    let restored = app.raffles.versions().restore(&raffle, version, reason, request).await;
    Ok(published_view(&restored.map_err(with_findings)?))
}
