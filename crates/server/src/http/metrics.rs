//! `/metrics`: what an operator's monitoring reads. It needs no key and names no participant; it names raffles and
//! prizes, so a proxy in front should keep it inside.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;
use super::problem::Problem;

/// The text format of OpenMetrics 1.0, which Prometheus reads.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route of metrics; it needs no key.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(show))
}

async fn show(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let times = (app.chronicle.as_of_ms(), app.clock.now_ms());
    let page = app.metrics.page((&app.raffles, &app.awards), &app.switches, times).await.map_err(|_| {
        let detail = "the metrics could not be written";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "edge.unwritable", detail)
    })?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS))], page).into_response())
}
