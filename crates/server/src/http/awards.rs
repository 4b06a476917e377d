//! `/awards`: what was won, and whether it is in the winner's hands.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::award::Award;
use campaign::error::Error;
use kernel::id::{DrawId, Shard};
use records::audit::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Operate, Read};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer, text};

/// Routes of awards.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/raffles/{id}/awards", get(list))
        .route("/awards/{draw}", get(show))
        .route("/awards/{draw}/hand-over", post(hand_over))
}

/// An award, by its draw.
#[derive(Serialize, JsonSchema)]
struct AwardView {
    /// The gate's sequence of the draw.
    seq: u64,
    #[serde(flatten)]
    award: Award,
}

/// A page of awards.
#[derive(Serialize, JsonSchema)]
struct AwardsView {
    /// In the order of the draws.
    awards: Vec<AwardView>,
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
    let after = page.after()?;
    let raffle = app.raffles.catalog().raffle(&raffle).await?;
    let awards = app.awards.page(Shard::HOME, raffle.number, after, page.limit).await?;
    let next = page.next(&awards, |(seq, _)| seq.to_string());
    let awards = awards.into_iter().map(|(seq, award)| AwardView { seq, award }).collect();
    Ok(answer(StatusCode::OK, &AwardsView { awards, next }, false))
}

fn draw_id(text: &str) -> Result<DrawId, Problem> {
    text.parse().map_err(|_| Error::NoSuchAward(text.to_owned()).into())
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(draw): Ids<String>,
) -> Result<Response, Problem> {
    let award = app.awards.get(draw_id(&draw)?).await?;
    Ok(answer(StatusCode::OK, &award, false))
}

/// A hand-over.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HandOverBody {
    /// What the operator notes, for example a parcel number: at most 500 characters.
    #[schemars(length(min = 1, max = 500))]
    note: String,
}

async fn hand_over(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(draw): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: HandOverBody = sent.json()?;
    text("note", &read.note, 500)?;
    // Its note is what makes the call the same, so it takes no key.
    let actor = Arc::clone(caller.actor());
    let cause = Cause { actor, key: String::new(), body_hash: Some(sent.body_hash()) };
    let award = app.awards.hand_over(draw_id(&draw)?, read.note, app.clock.now_ms(), cause).await?;
    Ok(answer(StatusCode::OK, &award, false))
}
