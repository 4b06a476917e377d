//! `/raffles/{id}/proposals`: orders that two people give together.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use raffle::proposal::{Proposal, Proposed};
use raffle::review::{Event, Move, Review};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{self, Allowed, Approve, Caller, Operate};
use super::drafts::MoveView;
use super::problem::Problem;
use super::raffles::{carried_view, units};
use super::request::{Ids, PageOf, Sent, answer, text};

/// Routes of proposals.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/raffles/{id}/proposals", get(list).post(propose))
        .route("/raffles/{id}/proposals/{proposal}", get(show))
        .route("/raffles/{id}/proposals/{proposal}/approve", post(approve))
        .route("/raffles/{id}/proposals/{proposal}/reject", post(reject))
        .route("/raffles/{id}/proposals/{proposal}/withdraw", post(withdraw))
}

/// A proposal.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProposeBody {
    /// The order.
    proposed: Proposed,
    /// Why, for whoever approves it, and for the log that everybody may read.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// A proposal that was moved.
#[derive(Serialize, JsonSchema)]
struct MovedProposalView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// The proposal's number.
    proposal: u32,
    #[serde(flatten)]
    made: MoveView<'a>,
}

fn moved(raffle: &str, (made, replayed): (Move, bool)) -> Response {
    let view = MovedProposalView { raffle, proposal: made.number, made: MoveView::from(&made) };
    answer(StatusCode::CREATED, &view, replayed)
}

async fn propose(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let ProposeBody { proposed, reason } = sent.json()?;
    text("reason", &reason, 500)?;
    match &proposed {
        Proposed::Restock { units: added, .. } => units("units", *added)?,
        Proposed::RaiseBudget { amount } => units("amount", *amount)?,
        Proposed::Promise { participant, .. } => text("participant", participant, 128)?,
    }
    let request = sent.scoped(&caller, "proposals")?;
    Ok(moved(&raffle, app.raffles.proposals().propose(&raffle, proposed, reason, request).await?))
}

/// A proposed order.
#[derive(Serialize, JsonSchema)]
struct ProposalView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// Its number in the raffle, from 1.
    proposal: u32,
    /// The order.
    proposed: &'a Proposed,
    #[serde(flatten)]
    state: &'a Review,
    /// Who did what with it, in order; the first proposed it and said why.
    moves: Vec<MoveView<'a>>,
}

impl<'a> ProposalView<'a> {
    fn of(raffle: &'a str, proposal: &'a Proposal) -> Self {
        Self {
            raffle,
            proposal: proposal.number,
            proposed: &proposal.proposed,
            state: &proposal.state,
            moves: proposal.moves.iter().map(MoveView::from).collect(),
        }
    }
}

/// A page of proposals.
#[derive(Serialize, JsonSchema)]
struct ProposalsView<'a> {
    /// By number.
    proposals: Vec<ProposalView<'a>>,
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
    let listed = app.raffles.proposals().list(&raffle, page.after()?, page.limit).await?;
    let next = page.next(&listed, |last| last.number.to_string());
    let proposals = listed.iter().map(|proposal| ProposalView::of(&raffle, proposal)).collect();
    Ok(answer(StatusCode::OK, &ProposalsView { proposals, next }, false))
}

/// Whom and what a move is about.
type Subject = (String, u32);

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<auth::Review>,
    Ids((raffle, number)): Ids<Subject>,
) -> Result<Response, Problem> {
    let proposal = app.raffles.proposals().get(&raffle, number).await?;
    Ok(answer(StatusCode::OK, &ProposalView::of(&raffle, &proposal), false))
}

async fn approve(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Approve>,
    Ids((raffle, number)): Ids<Subject>,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = sent.remark()?;
    let request = sent.scoped(&caller, &format!("proposals/{number}/approve"))?;
    Ok(carried_view(&raffle, &app.raffles.proposals().approve(&raffle, number, reason, request).await?))
}

async fn end(
    app: &App,
    (raffle, number): Subject,
    (caller, word, event): (&Caller, &str, Event),
    sent: &Sent,
) -> Result<Response, Problem> {
    let reason = sent.reason()?;
    let request = sent.scoped(caller, &format!("proposals/{number}/{word}"))?;
    Ok(moved(&raffle, app.raffles.proposals().end(&raffle, number, event, reason, request).await?))
}

async fn reject(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Approve>,
    Ids(subject): Ids<Subject>,
    sent: Sent,
) -> Result<Response, Problem> {
    end(&app, subject, (&caller, "reject", Event::Reject), &sent).await
}

async fn withdraw(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(subject): Ids<Subject>,
    sent: Sent,
) -> Result<Response, Problem> {
    end(&app, subject, (&caller, "withdraw", Event::Withdraw), &sent).await
}
