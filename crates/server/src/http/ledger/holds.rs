//! Holds: an amount is kept back until it is captured or released, or its time is over.

use std::sync::Arc;

use ::ledger::error::Error;
use ::ledger::hold::Hold;
use ::ledger::order::What;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kernel::amount::AMOUNT_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, AboutBody, account, id_of, order, time, told, unit};
use crate::http::App;
use crate::http::auth::{Allowed, Move, Read};
use crate::http::problem::Problem;
use crate::http::request::{Ids, Named, Sent, answer};

/// Whose wallet, or which account of the house.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlaceBody {
    /// Whose wallet: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: Option<String>,
    /// Or which account of the house: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    house: Option<String>,
    /// Which of the participant's wallets, 1 to 32 characters; `main` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    wallet: Option<String>,
}

/// An amount that is kept back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody {
    /// Where it is kept back.
    #[schemars(with = "PlaceBody")]
    from: Named<PlaceBody>,
    /// Where it goes when it is captured.
    #[schemars(with = "PlaceBody")]
    to: Named<PlaceBody>,
    /// What is counted.
    #[schemars(length(min = 1, max = 16))]
    unit: String,
    /// How much, in minor units.
    #[schemars(range(min = 1, max = AMOUNT_MAX))]
    amount: i64,
    /// When it is released by itself, in milliseconds since the epoch: within a year.
    expires_ms: u64,
    /// What it is for: 1 to 32 characters. `hold` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    code: Option<String>,
    /// What it is about: 1 to 128 characters, and nobody's name.
    #[schemars(length(min = 1, max = 128))]
    reference: Option<String>,
}

pub(super) async fn hold(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Move>,
    sent: Sent,
) -> Result<Response, Problem> {
    let HoldBody { from, to, unit: name, amount, expires_ms, code, reference } = sent.json()?;
    let unit = unit(&name)?;
    let place = |Named(place): Named<PlaceBody>| {
        account((place.participant, place.house), place.wallet, unit.clone())
    };
    let expires_ms = time("expires_ms", Some(expires_ms))?.unwrap_or_default();
    let what = What::Hold { from: place(from)?, to: place(to)?, amount, expires_ms };
    let order = order(&sent, &caller, About { code, reference }, what)?;
    told(StatusCode::CREATED, app.ledger.submit(order).await?)
}

/// A hold, and what became of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct HoldView {
    /// Its id.
    id: String,
    /// The key of the account where the amount is kept back.
    account: String,
    /// The key of the account where it goes when it is captured.
    to: String,
    /// How much, in minor units.
    amount: i64,
    /// When it is released by itself, in milliseconds since the epoch.
    expires_ms: i64,
    /// `open`, `captured` (all of it or a part), `released` or `expired`.
    state: &'static str,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(hold): Ids<String>,
) -> Result<Response, Problem> {
    let missing = || Error::NoSuchHold(hold.clone());
    let found = app.ledger.hold(id_of(&hold).map_err(|_| missing())?).await?;
    let Hold { id, account, amount, to, expires_ms, state } = found.ok_or_else(missing)?;
    let (id, account, to) = (id.to_string(), account.to_string(), to.to_string());
    let view = HoldView { id, account, to, amount, expires_ms, state: state.word() };
    Ok(answer(StatusCode::OK, &view, false))
}

/// A capture. May be left out.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureBody {
    /// How much of what is held; the rest is released. All of it where it is left out.
    #[schemars(range(min = 1, max = AMOUNT_MAX))]
    amount: Option<i64>,
    /// What it is for: 1 to 32 characters. `capture` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    code: Option<String>,
    /// What it is about: 1 to 128 characters, and nobody's name.
    #[schemars(length(min = 1, max = 128))]
    reference: Option<String>,
}

pub(super) async fn capture(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Move>,
    Ids(hold): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let CaptureBody { amount, code, reference } = sent.json_or_nothing()?;
    let what = What::Capture { hold: id_of(&hold)?, amount };
    let order = order(&sent, &caller, About { code, reference }, what)?;
    told(StatusCode::CREATED, app.ledger.submit(order).await?)
}

pub(super) async fn release(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Move>,
    Ids(hold): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let AboutBody { code, reference } = sent.json_or_nothing()?;
    let order = order(&sent, &caller, About { code, reference }, What::Release { hold: id_of(&hold)? })?;
    told(StatusCode::CREATED, app.ledger.submit(order).await?)
}
