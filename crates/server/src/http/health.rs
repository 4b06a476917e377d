//! `/livez` says that the process runs, `/readyz` that it can answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::App;
use super::problem::Problem;
use super::request::answer;

/// Routes of health; they need no key.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

async fn livez() -> Response {
    answer(StatusCode::OK, &Live { status: "live" }, false)
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    effects_unsent: u64,
    effects_waiting: u64,
    dead_letters: u64,
}

async fn readyz(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    app.raffles.check_writing().await?;
    let (effects_unsent, effects_waiting, dead_letters) = app.raffles.backlog().await?;
    let view = Ready { status: "ready", effects_unsent, effects_waiting, dead_letters };
    Ok(answer(StatusCode::OK, &view, false))
}
