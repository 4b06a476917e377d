//! `POST /raffles/{id}/dry-runs`: what a draw would be, without making it.

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

#[derive(Serialize)]
struct RefusedView {
    code: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct CandidateView<'a> {
    candidate: &'a str,
    odds: Fraction,
    steps: Vec<StepView<'a>>,
    prize: Option<&'a str>,
}

#[derive(Serialize)]
struct ChancesView<'a> {
    pool: &'a str,
    /// Prizes that are left out before chance picks, because they cannot be had.
    excluded: Vec<&'a str>,
    /// Of every prize of the raffle, and `-` for no win.
    odds: &'a Pool,
    candidates: Vec<CandidateView<'a>>,
}

#[derive(Serialize)]
struct DryRunView<'a> {
    raffle: &'a str,
    version: u32,
    number: u64,
    admitted: bool,
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
