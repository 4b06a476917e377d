//! `/dead-letters`: effects that could not be delivered within the house.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::error::Error;
use campaign::letter::LetterView;
use records::outbox::LetterId;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::auth::{Allowed, Operate, Review};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer, answered};

/// Routes of dead letters.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/dead-letters", get(list)).route("/dead-letters/{letter}/replay", post(replay))
}

/// A page of dead letters.
#[derive(Serialize, JsonSchema)]
struct LettersView {
    /// In the order of their ids.
    letters: Vec<LetterView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Review>, page: PageOf) -> Result<Response, Problem> {
    let after = if page.cursor.is_empty() { LetterId::default() } else { page.after()? };
    let letters = app.awards.letters(after, page.limit).await?;
    let next = page.next(&letters, |letter| letter.letter.clone());
    Ok(answer(StatusCode::OK, &LettersView { letters, next }, false))
}

async fn replay(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(letter): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = sent.reason()?;
    let request = sent.remembered(&caller, &format!("dead-letters/{letter}"), app.clock.now_ms())?;
    let id: LetterId = letter.parse().map_err(|_| Problem::from(Error::NoSuchLetter(letter)))?;
    Ok(answered(StatusCode::CREATED, app.awards.replay_letter(id, reason, request).await?))
}
