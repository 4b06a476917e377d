//! `DELETE /participants/{participant}`: forgets who somebody was.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::delete;
use campaign::campaigns;
use raffle::erasure::Erased;
use records::audit::Cause;
use records::error::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Operate};
use super::problem::Problem;
use super::request::{Asked, Ids, answer, text};

/// Routes of erasure.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/participants/{participant}", delete(erase))
}

/// A body of a DELETE may be dropped on its way (RFC 9110, section 9.3.5), so the reason stands in the query.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReasonQuery {
    /// Why, in the operator's words: 1 to 500 characters, and no name.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// What was forgotten.
#[derive(Serialize, JsonSchema)]
struct ErasedView {
    /// Raffles that the participant took part in. None of them knows the name any more.
    raffles: u64,
    /// Those that knew it until this call.
    erased: u64,
    /// Accounts of the ledger that knew it until this call. They stay, under a key.
    accounts: u64,
    /// Experiments in which they were exposed, until this call.
    experiments: u64,
    /// Referral codes that led to the name, and are gone.
    codes: u64,
    /// Uploaded lists that the participant was on, and is no more.
    lists: u64,
}

/// Needs no Idempotency-Key: doing it again changes nothing.
async fn erase(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(participant): Ids<String>,
    Asked(ReasonQuery { reason }): Asked<ReasonQuery>,
) -> Result<Response, Problem> {
    text("participant", &participant, 128)?;
    text("reason", &reason, 500)?;
    let cause = Cause { actor: Arc::clone(caller.actor()), key: String::new(), body_hash: None };
    let (raffles, ledger, experiments) = (app.raffles.clone(), app.ledger.clone(), app.experiments.clone());
    let (awards, campaigns, pseudonym) =
        (app.awards.clone(), app.campaigns.clone(), app.tokens.pseudonym(&participant));
    let (subject, chronicle) = (format!("participant/{pseudonym}"), Arc::clone(&app.chronicle));
    let work = async move {
        let erased = raffles.erase(&participant, &cause, &reason).await?;
        awards.erase(&participant, &pseudonym, (&cause, &reason)).await?;
        let known = campaigns.erase(&participant, subject.clone(), (&cause, &reason)).await?;
        let accounts = ledger.erase(&participant, subject, (&cause, &reason)).await?;
        let exposed = experiments.erase(&participant, &cause, &reason).await?;
        // Last: what is searched is made from all of these, and none of them brings the name back any more.
        chronicle.owe_forgetting(&participant).await?;
        Ok::<_, Problem>((erased, accounts, exposed, known))
    };
    // There may be many raffles: a caller who goes away half way still gets what they asked for.
    let erased = app.errands.run(work).await.ok_or_else(|| Problem::from(Error::OutcomeUnknown))?;
    let (Erased { raffles, now }, accounts, experiments, known) = erased?;
    let campaigns::Erased { codes, lists } = known;
    let view = ErasedView { raffles, erased: now, accounts, experiments, codes, lists };
    Ok(answer(StatusCode::OK, &view, false))
}
