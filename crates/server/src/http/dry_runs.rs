//! `POST /raffles/{id}/dry-runs`: what a draw would be, without making it.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use kernel::fault::Classify;
use raffle::dry_run::{Candidate, Chances, DryRun, DryRunRequest};
use raffle::odds::{Fraction, Pool};
use raffle::rules::{NO_WIN, Plan};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::auth::{Allowed, TryOut};
use super::draws::{DrawBody, StepView};
use super::problem::Problem;
use super::request::{Ids, Sent, answer};

/// Routes of dry runs.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/raffles/{id}/dry-runs", post(dry_run))
}

/// Why a draw would be refused.
#[derive(Serialize, JsonSchema)]
struct RefusedView {
    /// The code that the draw would be answered with.
    code: &'static str,
    /// In a sentence.
    detail: String,
}

/// One thing that chance could pick.
#[derive(Serialize, JsonSchema)]
struct CandidateView<'a> {
    /// The prize, or `-` for no win.
    candidate: &'a str,
    /// How likely chance picks it.
    odds: Fraction,
    /// The way through the rule tree.
    steps: Vec<StepView<'a>>,
    /// What would be won in the end.
    prize: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct ChancesView<'a> {
    /// The pool that would be drawn from.
    pool: &'a str,
    /// Prizes that are left out before chance picks, because they cannot be had.
    excluded: Vec<&'a str>,
    /// Of every prize of the raffle, and `-` for no win.
    odds: &'a Pool,
    /// Everything that chance could pick.
    candidates: Vec<CandidateView<'a>>,
}

/// A draw that was not made.
#[derive(Serialize, JsonSchema)]
struct DryRunView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// The version that would decide.
    version: u32,
    /// The participant's how-many-eth draw it would be, from 1.
    number: u64,
    /// Whether the draw would be taken.
    admitted: bool,
    /// Why it would not.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedView>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    chances: Option<ChancesView<'a>>,
}

fn chances<'a>(plan: &'a Plan, chances: &'a Chances) -> ChancesView<'a> {
    let name = |prize: usize| &*plan.prizes[prize];
    let candidate = |Candidate { prize, odds, steps, won }: &Candidate| CandidateView {
        candidate: prize.map_or(NO_WIN, name),
        odds: *odds,
        steps: StepView::all(plan, *prize, steps),
        prize: won.map(name),
    };
    ChancesView {
        pool: plan.pool_name(chances.pool).unwrap_or_default(),
        excluded: chances.excluded.iter().map(|prize| name(*prize)).collect(),
        odds: &chances.odds,
        candidates: chances.candidates.iter().map(candidate).collect(),
    }
}

/// Takes the body of a draw. Its `client_seed` changes nothing, as no integer is made, nor do its `draws`: the odds are
/// those of the first.
async fn dry_run(
    State(app): State<Arc<App>>,
    _: Allowed<TryOut>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read = DrawBody::read(&sent)?;
    let (attested, now_ms) = (read.attested(), app.clock.now_ms());
    let asked = DryRunRequest { raffle: raffle.clone(), participant: read.participant, attested, now_ms };
    let DryRun { plan, number, chances: found } = app.raffles.dry_run(asked).await?;
    let refused = found.as_ref().err();
    let view = DryRunView {
        raffle: &raffle,
        version: plan.rules.version,
        number,
        admitted: refused.is_none(),
        refused: refused.map(|error| RefusedView { code: error.code(), detail: error.to_string() }),
        chances: found.as_ref().ok().map(|found| chances(&plan, found)),
    };
    Ok(answer(StatusCode::OK, &view, false))
}
