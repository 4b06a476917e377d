//! `/raffles/{id}/drafts`: versions that are not published yet.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use kernel::finding::Finding;
use raffle::diff::Diff;
use raffle::document::BYTES_MAX;
use raffle::draft::Draft;
use raffle::publish::Publish;
use raffle::review::{Event, Move, Review};
use raffle::threshold::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{self, Allowed, Approve, Caller, Operate};
use super::problem::Problem;
use super::raffles::{document_text, published_view, with_findings};
use super::request::{Asked, Ids, PageOf, Sent, answer};

/// Routes of drafts.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/raffles/{id}/drafts", get(list))
        .route("/raffles/{id}/drafts/{draft}", get(show))
        .route("/raffles/{id}/versions/{version}/draft", post(write_again))
        .route("/raffles/{id}/drafts/{draft}/submit", post(submit))
        .route("/raffles/{id}/drafts/{draft}/approve", post(approve))
        .route("/raffles/{id}/drafts/{draft}/reject", post(reject))
        .route("/raffles/{id}/drafts/{draft}/withdraw", post(withdraw))
        .route("/raffles/{id}/drafts/{draft}/publish", post(publish))
}

/// Drafting takes larger bodies.
pub fn write_routes() -> Router<Arc<App>> {
    Router::new().route("/raffles/{id}/drafts", post(write)).layer(DefaultBodyLimit::max(BYTES_MAX))
}

/// A move of a draft or a proposal.
#[derive(Serialize, JsonSchema)]
pub(super) struct MoveView<'a> {
    /// The state that it led to.
    state: &'a str,
    /// The name of the key that made it.
    by: &'a str,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
    /// Why; absent where nobody said.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

impl<'a> From<&'a Move> for MoveView<'a> {
    fn from(made: &'a Move) -> Self {
        Self { state: &made.state, by: &made.by, at_ms: made.at_ms, reason: &made.reason }
    }
}

/// A draft.
#[derive(Serialize, JsonSchema)]
struct DraftView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// Its number in the raffle, from 1.
    draft: u32,
    /// The version that was live when it was written; 0 is none.
    base: u32,
    /// The version that it is compared with here.
    live: u32,
    /// Whether another version is live than the one that it was written from: such a draft cannot be published.
    stale: bool,
    #[serde(flatten)]
    state: &'a Review,
    /// Why one person may not publish it alone; empty where one may.
    needs_approval: &'a [Reason],
    /// Who did what with it, in order; the first wrote it.
    moves: Vec<MoveView<'a>>,
    /// What is wrong with its document. One with an error cannot be submitted.
    findings: &'a [Finding],
    /// What differs from the version that is live.
    diff: &'a Diff,
    /// The document, as it came; only where the draft is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<&'a str>,
}

fn view<'a>(raffle: &'a str, draft: &'a Draft, with_document: bool) -> DraftView<'a> {
    DraftView {
        raffle,
        draft: draft.number,
        base: draft.base,
        live: draft.live,
        stale: draft.base != draft.live,
        state: &draft.state,
        needs_approval: &draft.reasons,
        moves: draft.moves.iter().map(MoveView::from).collect(),
        findings: &draft.findings,
        diff: &draft.diff,
        document: with_document.then_some(draft.text.as_str()),
    }
}

async fn write(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let (request, text) = (sent.request(&caller)?, document_text(&sent)?);
    let draft = Publish { raffle: raffle.clone(), text, request };
    let draft = app.raffles.drafts().write(draft).await;
    written(&app, &raffle, draft.map_err(with_findings)?).await
}

async fn written(app: &App, raffle: &str, (number, replayed): (u32, bool)) -> Result<Response, Problem> {
    let draft = app.raffles.drafts().as_written(raffle, number).await?;
    Ok(answer(StatusCode::CREATED, &view(raffle, &draft, false), replayed))
}

/// Drafts an earlier version's document.
async fn write_again(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids((raffle, version)): Ids<(String, u32)>,
    sent: Sent,
) -> Result<Response, Problem> {
    sent.expect_nothing()?;
    let draft = app.raffles.drafts().write_again(&raffle, version, sent.request(&caller)?).await;
    written(&app, &raffle, draft.map_err(with_findings)?).await
}

/// A draft in a list.
#[derive(Serialize, JsonSchema)]
struct ListedDraftView<'a> {
    /// Its number in the raffle, from 1.
    draft: u32,
    /// The version that was live when it was written; 0 is none.
    base: u32,
    #[serde(flatten)]
    state: &'a Review,
    /// The name of the key that wrote it.
    written_by: &'a str,
    /// When, in milliseconds since the epoch.
    written_ms: i64,
}

/// A page of drafts.
#[derive(Serialize, JsonSchema)]
struct DraftsView<'a> {
    /// By number.
    drafts: Vec<ListedDraftView<'a>>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    _: Allowed<auth::Review>,
    Ids(raffle): Ids<String>,
    page: PageOf,
) -> Result<Response, Problem> {
    let listed = app.raffles.drafts().list(&raffle, page.after()?, page.limit).await?;
    let next = page.next(&listed, |last| last.number.to_string());
    let drafts = listed.iter().map(|draft| ListedDraftView {
        draft: draft.number,
        base: draft.base,
        state: &draft.state,
        written_by: &draft.written.by,
        written_ms: draft.written.at_ms,
    });
    Ok(answer(StatusCode::OK, &DraftsView { drafts: drafts.collect(), next }, false))
}

/// How a draft is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DraftQuery {
    /// The draws of a day, to tell what they are expected to cost.
    draws_per_day: Option<u32>,
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<auth::Review>,
    Ids((raffle, number)): Ids<(String, u32)>,
    Asked(DraftQuery { draws_per_day }): Asked<DraftQuery>,
) -> Result<Response, Problem> {
    let draft = app.raffles.drafts().get(&raffle, number, draws_per_day).await?;
    Ok(answer(StatusCode::OK, &view(&raffle, &draft, true), false))
}

/// Whom and what a move is about.
type Draftee = (String, u32);

/// A draft that was moved.
#[derive(Serialize, JsonSchema)]
struct MovedDraftView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// The draft's number.
    draft: u32,
    #[serde(flatten)]
    made: MoveView<'a>,
}

async fn happen(
    app: &App,
    (raffle, number): Draftee,
    (caller, word, event): (&Caller, &str, Event),
    (sent, reason): (&Sent, String),
) -> Result<Response, Problem> {
    let request = sent.scoped(caller, &format!("drafts/{number}/{word}"))?;
    let moved = app.raffles.drafts().happen(&raffle, number, event, reason, request).await;
    let (made, replayed) = moved.map_err(with_findings)?;
    let view = MovedDraftView { raffle: &raffle, draft: number, made: MoveView::from(&made) };
    Ok(answer(StatusCode::CREATED, &view, replayed))
}

async fn submit(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(draft): Ids<Draftee>,
    sent: Sent,
) -> Result<Response, Problem> {
    happen(&app, draft, (&caller, "submit", Event::Submit), (&sent, sent.remark()?)).await
}

async fn approve(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Approve>,
    Ids(draft): Ids<Draftee>,
    sent: Sent,
) -> Result<Response, Problem> {
    let event = Event::Approve { by: caller.actor().name.clone() };
    happen(&app, draft, (&caller, "approve", event), (&sent, sent.remark()?)).await
}

async fn reject(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Approve>,
    Ids(draft): Ids<Draftee>,
    sent: Sent,
) -> Result<Response, Problem> {
    happen(&app, draft, (&caller, "reject", Event::Reject), (&sent, sent.reason()?)).await
}

async fn withdraw(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(draft): Ids<Draftee>,
    sent: Sent,
) -> Result<Response, Problem> {
    happen(&app, draft, (&caller, "withdraw", Event::Withdraw), (&sent, sent.reason()?)).await
}

async fn publish(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids((raffle, number)): Ids<Draftee>,
    sent: Sent,
) -> Result<Response, Problem> {
    let (reason, request) = (sent.remark()?, sent.request(&caller)?);
    let published = app.raffles.drafts().publish(&raffle, number, reason, request).await;
    Ok(published_view(&published.map_err(with_findings)?))
}
