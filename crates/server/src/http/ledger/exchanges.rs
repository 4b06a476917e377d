//! Exchanging one unit for another, and the rates of the house.

use std::sync::Arc;

use ::ledger::error::Error;
use ::ledger::exchange::{Rate, Rates};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kernel::amount::{AMOUNT_MAX, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{account, order_id, reference_of, told, unit};
use crate::http::App;
use crate::http::auth::{Allowed, Look, Move};
use crate::http::problem::Problem;
use crate::http::request::{Named, Sent, answer};

/// A rate between two units.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RateBody {
    /// How much is received for `takes`.
    gives: i64,
    /// How much is given for `gives`.
    takes: i64,
    /// What becomes of a rest: `down`, `up` or `half_even`.
    rounding: String,
}

/// An exchange of one unit into another, in one wallet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeBody {
    /// Whose wallet: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
    /// Which of theirs, 1 to 32 characters; `main` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    wallet: Option<String>,
    /// What is given.
    #[schemars(length(min = 1, max = 16))]
    from: String,
    /// What is received.
    #[schemars(length(min = 1, max = 16))]
    to: String,
    /// How much is given, in minor units.
    #[schemars(range(min = 1, max = AMOUNT_MAX))]
    amount: i64,
    /// The rate that the caller counts on; at another one nothing is exchanged. Whichever there is where it is left out.
    #[schemars(with = "Option<RateBody>")]
    rate: Option<Named<RateBody>>,
    /// What it is about: 1 to 128 characters, and nobody's name.
    #[schemars(length(min = 1, max = 128))]
    reference: Option<String>,
}

/// The house's rate, if it is the one that the caller counts on.
fn agreed(rates: &Rates, from: &Unit, to: &Unit, expected: Option<Named<RateBody>>) -> Result<Rate, Error> {
    let rate = rates.of(from, to)?;
    let is_other = expected.is_some_and(|Named(expected)| {
        (expected.gives, expected.takes) != (rate.gives(), rate.takes())
            || expected.rounding != rate.rounding().word()
    });
    if is_other { Err(Error::OtherRate(rate.to_string())) } else { Ok(rate) }
}

pub(super) async fn exchange(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Move>,
    sent: Sent,
) -> Result<Response, Problem> {
    let ExchangeBody { participant, wallet, from, to, amount, rate, reference } = sent.json()?;
    let id = order_id(&sent.request(&caller)?.key);
    let (from, to) = (unit(&from)?, unit(&to)?);
    let account = account((Some(participant), None), wallet, from.clone())?;
    let reference = reference_of(reference)?;
    let about = (id, reference.as_str());
    let rate = || agreed(&app.exchange, &from, &to, rate);
    told(StatusCode::CREATED, app.ledger.exchange(about, (&account, &to), amount, rate).await?)
}

/// A rate at which the house exchanges.
#[derive(Serialize, JsonSchema)]
struct RateView {
    /// What is given.
    from: String,
    /// What is received.
    to: String,
    /// How much is received for `takes`.
    gives: i64,
    /// How much is given for `gives`.
    takes: i64,
    /// What becomes of a rest: `down` (the house keeps it), `up` (the house adds what is missing) or `half_even`.
    rounding: &'static str,
}

/// All rates.
#[derive(Serialize, JsonSchema)]
pub(super) struct RatesView {
    /// By their units.
    rates: Vec<RateView>,
}

pub(super) async fn list(State(app): State<Arc<App>>, _: Allowed<Look>) -> Response {
    let rates = app.exchange.iter().map(|(from, to, rate)| RateView {
        from: from.to_string(),
        to: to.to_string(),
        gives: rate.gives(),
        takes: rate.takes(),
        rounding: rate.rounding().word(),
    });
    answer(StatusCode::OK, &RatesView { rates: rates.collect() }, false)
}
