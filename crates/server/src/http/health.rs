//! `/livez` says that the process runs, `/readyz` that it can answer.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use records::error::Error;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::problem::Problem;
use super::request::answer;

/// Routes of health; they need no key.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

/// The process runs.
#[derive(Serialize, JsonSchema)]
struct LiveView {
    /// `live`.
    status: &'static str,
}

async fn livez() -> Response {
    answer(StatusCode::OK, &LiveView { status: "live" }, false)
}

/// The server can answer.
#[derive(Serialize, JsonSchema)]
struct ReadyView {
    /// `ready`.
    status: &'static str,
    /// Effects that were not delivered yet.
    effects_unsent: u64,
    /// Those of them that failed and wait.
    effects_waiting: u64,
    /// Those that failed too often.
    dead_letters: u64,
    /// The revision of the switches that this process works by.
    switches_revision: u64,
    /// How long ago it last could look whether that is the latest, in milliseconds.
    switches_seen_ms: u64,
    /// Whether its latest look failed, so that what it saw before stays in force.
    switches_stale: bool,
}

async fn readyz(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let raffles = app.raffles.clone();
    // Nobody needs a key to ask: whoever asks and goes away must not leave one write after the other behind.
    let kept = app.pulses.run(async move { raffles.check_writing().await }).await;
    kept.ok_or_else(|| Problem::from(Error::OutcomeUnknown))??;
    let (effects_unsent, effects_waiting, dead_letters) = app.raffles.backlog().await?;
    let followed = app.switches.standing();
    let view = ReadyView {
        status: "ready",
        effects_unsent,
        effects_waiting,
        dead_letters,
        switches_revision: followed.revision,
        switches_seen_ms: u64::try_from(app.clock.now_ms().saturating_sub(followed.looked_ms)).unwrap_or(0),
        switches_stale: followed.fault.is_some(),
    };
    Ok(answer(StatusCode::OK, &view, false))
}
