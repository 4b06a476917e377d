//! `/participant-tokens`: what a shop hands to its participants' browsers.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Mint};
use super::problem::Problem;
use super::request::{Sent, answer, text};
use crate::token::SECONDS_MAX;

/// Routes of participants.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/participant-tokens", post(mint))
}

/// For whom, and for how long.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MintBody {
    /// Who will bear it: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
    /// How long it lives, in seconds: 1 to 86400.
    #[schemars(range(min = 1, max = SECONDS_MAX))]
    seconds: u32,
}

/// A participant's token.
#[derive(Serialize, JsonSchema)]
struct MintedView {
    /// What the participant sends as `Authorization: Bearer`.
    token: String,
    /// When its time is over, in milliseconds since the epoch.
    expires_ms: i64,
}

/// Takes no Idempotency-Key: a second token does no more than the first.
async fn mint(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Mint>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: MintBody = sent.json()?;
    text("participant", &read.participant, 128)?;
    if !(1..=SECONDS_MAX).contains(&read.seconds) {
        let detail = format!("`seconds` must be from 1 to {SECONDS_MAX}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_number", detail));
    }
    let expires_ms = app.clock.now_ms() + i64::from(read.seconds) * 1000;
    // Noted before it is given out: a token that nobody noted must not be about.
    app.audit.minted(caller.actor(), &app.tokens.pseudonym(&read.participant), expires_ms).await?;
    let token = app.tokens.mint(&read.participant, expires_ms).map_err(|error| {
        tracing::error!(%error, "a token could not be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "edge.unwritable", "the token could not be written")
    })?;
    Ok(answer(StatusCode::CREATED, &MintedView { token, expires_ms }, false))
}
