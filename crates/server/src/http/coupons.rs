//! `/coupon-pools`: codes that awards give out.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::coupon::{PoolView, Written, read_codes};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::auth::{Allowed, Operate, Read};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer, answered, id};

/// Largest upload, in bytes.
const UPLOAD_BYTES_MAX: usize = 1024 * 1024;

/// What an upload may say it is.
const MEDIA: &[&str] = &["text/plain", "text/csv", "application/x-ndjson"];

/// Routes of pools.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/coupon-pools", get(list)).route("/coupon-pools/{pool}", get(show))
}

/// Uploading, which takes larger bodies than other routes.
pub fn upload_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/coupon-pools/{pool}/codes", post(upload))
        .layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX))
}

/// A page of pools.
#[derive(Serialize, JsonSchema)]
struct PoolsView {
    /// In the order of their ids.
    pools: Vec<PoolView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Read>, page: PageOf) -> Result<Response, Problem> {
    let pools = app.awards.pools(&page.cursor, page.limit).await?;
    let next = page.next(&pools, |pool| pool.pool.clone());
    Ok(answer(StatusCode::OK, &PoolsView { pools, next }, false))
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(pool): Ids<String>,
) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &app.awards.pool(&pool).await?, false))
}

async fn upload(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(pool): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    id("pool", &pool)?;
    sent.expect_media(MEDIA)?;
    let header = sent.media_parameter("header").and_then(|header| match header {
        "present" => Some(true),
        "absent" => Some(false),
        _ => None,
    });
    let written = if sent.is_media("text/csv") { Written::Csv { header } } else { Written::Lines };
    let codes = read_codes(&sent.body, written)?;
    let request = sent.remembered(&caller, &format!("coupon-pools/{pool}"), app.clock.now_ms())?;
    Ok(answered(StatusCode::CREATED, app.awards.add_coupons(&pool, codes, request).await?))
}
