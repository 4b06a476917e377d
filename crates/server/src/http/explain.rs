//! `GET /draws/{id}/explain`: why a draw became what it is, in sentences.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use kernel::id::DrawId;
use raffle::epoch::Epoch;
use raffle::error::Error;
use raffle::explain::{Proof, Sentence, story};
use raffle::fairness::epoch_name;
use raffle::raffles::{Found, Raffles};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::auth::{Allowed, Look};
use super::problem::Problem;
use super::request::{Ids, answer};

/// Routes of explanations.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/draws/{id}/explain", get(explain))
}

/// A draw's story.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StoryView {
    /// The draw's id.
    draw: String,
    /// The raffle's id.
    raffle: String,
    /// The version that decided.
    version: u32,
    /// Who drew; null once their name is erased.
    participant: Option<String>,
    /// What was won; null where nothing was.
    prize: Option<String>,
    /// Whether everybody can replay the draw now.
    revealed: bool,
    /// The story.
    sentences: Vec<Sentence>,
}

impl StoryView {
    /// The story of a draw by its id.
    pub async fn of(raffles: &Raffles, id: &str) -> Result<Self, Error> {
        let draw_id: DrawId = id.parse().map_err(|_| Error::NoSuchDraw(id.to_owned()))?;
        let found = raffles.find(draw_id).await?;
        let tickets_left = raffles.tickets_left(&found).await?;
        let Found { draw, raffle, epoch, participant, commitment } = found;
        let seed = match &commitment.state {
            Epoch::Revealed { seed, .. } => Some(seed.as_str()),
            Epoch::Open { .. } => None,
        };
        let name = epoch_name(raffle.tenant.name, &raffle.id, draw.epoch);
        let proof = Proof { epoch: &name, seed_hash: commitment.seed_hash, seed, tickets_left };
        let sentences = story(&draw, &epoch.plan, proof);
        Ok(Self {
            draw: draw.id.to_string(),
            raffle: raffle.id.clone(),
            version: epoch.plan.rules.version,
            participant,
            prize: draw.prize.as_deref().map(str::to_owned),
            revealed: seed.is_some(),
            sentences: sentences.ok_or_else(|| Error::BrokenVersion(format!("the trace of {}", draw.id)))?,
        })
    }
}

async fn explain(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids(id): Ids<String>,
) -> Result<Response, Problem> {
    let view = StoryView::of(&app.raffles, &id).await?;
    if !caller.may_see(view.participant.as_deref()) {
        return Err(Error::NoSuchDraw(id).into());
    }
    Ok(answer(StatusCode::OK, &view, false))
}
