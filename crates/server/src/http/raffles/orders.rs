//! What an operator orders of a raffle: stock, budget, promises, freezing and thawing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kernel::hex::hex;
use raffle::stock::{Carried, Order, UNITS_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::App;
use crate::http::auth::{Allowed, Caller, Operate};
use crate::http::problem::Problem;
use crate::http::request::{Ids, Sent, answer, text};

/// An order to restock.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestockBody {
    /// How many more.
    #[schemars(range(min = 1, max = UNITS_MAX))]
    units: u64,
    /// Why, for the log that everybody may read.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// An order to freeze or thaw.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FreezeBody {
    /// One prize with a finite stock; all of the raffle where it is left out.
    prize: Option<String>,
    /// Why, for the log that everybody may read.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// An order that was carried out.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct CarriedView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// What was done: `moved`, `frozen`, `thawed` or `promised`.
    event: &'a str,
    /// Its place in the gate's log.
    seq: u64,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
    /// The prize it concerns; `$budget` is the budget.
    #[serde(skip_serializing_if = "str::is_empty")]
    prize: &'a str,
    /// Units added; minor units of money for the budget.
    #[serde(skip_serializing_if = "is_zero")]
    units: u64,
    /// The participant it concerns, as the public knows them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pseudonym: String,
    /// Why.
    reason: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(units: &u64) -> bool {
    *units == 0
}

/// Refuses a number of units, of stock or of money, that is none.
pub(in crate::http) fn units(name: &str, units: u64) -> Result<(), Problem> {
    if (1..=UNITS_MAX).contains(&units) {
        return Ok(());
    }
    let detail = format!("`{name}` must be from 1 to {UNITS_MAX}");
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_number", detail))
}

async fn carry_out(
    app: &App,
    raffle: &str,
    order: Order,
    reason: String,
    request: raffle::entry::Request,
) -> Result<Response, Problem> {
    text("reason", &reason, 500)?;
    Ok(carried_view(raffle, &app.raffles.carry_out(raffle, order, reason, request).await?))
}

/// An order that was carried out, as an answer.
pub(in crate::http) fn carried_view(raffle: &str, Carried { event, replayed }: &Carried) -> Response {
    let view = CarriedView {
        raffle,
        event: event.kind,
        seq: event.seq,
        at_ms: event.at_ms,
        prize: &event.prize,
        units: event.units,
        pseudonym: hex(&event.pseudonym),
        reason: &event.reason,
    };
    answer(StatusCode::CREATED, &view, *replayed)
}

pub(super) async fn restock(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids((raffle, prize)): Ids<(String, String)>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: RestockBody = sent.json()?;
    units("units", read.units)?;
    let request = sent.scoped(&caller, &format!("restock/{prize}"))?;
    carry_out(&app, &raffle, Order::Restock { prize, units: read.units }, read.reason, request).await
}

/// An order to raise the budget.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RaiseBody {
    /// How much more, in minor units.
    #[schemars(range(min = 1, max = UNITS_MAX))]
    amount: u64,
    /// Why, for the log that everybody may read.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

pub(super) async fn raise_budget(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: RaiseBody = sent.json()?;
    units("amount", read.amount)?;
    let request = sent.scoped(&caller, "budget")?;
    carry_out(&app, &raffle, Order::RaiseBudget { amount: read.amount }, read.reason, request).await
}

/// A promise.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PromiseBody {
    /// Who will win it.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
    /// The prize.
    prize: String,
    /// Why, for the log that everybody may read.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// Promises a prize to a participant. The log shows it to everybody, under the participant's pseudonym.
pub(super) async fn promise(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: PromiseBody = sent.json()?;
    text("participant", &read.participant, 128)?;
    let request = sent.scoped(&caller, "promises")?;
    let player = app.raffles.player_key(&raffle, &read.participant).await?;
    carry_out(&app, &raffle, Order::Promise { player, prize: read.prize }, read.reason, request).await
}

pub(super) async fn freeze(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    freeze_or_thaw(&app, &raffle, (&sent, &caller), "freeze", |prize| Order::Freeze { prize }).await
}

pub(super) async fn thaw(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    freeze_or_thaw(&app, &raffle, (&sent, &caller), "thaw", |prize| Order::Thaw { prize }).await
}

async fn freeze_or_thaw(
    app: &App,
    raffle: &str,
    (sent, caller): (&Sent, &Caller),
    route: &str,
    order: impl FnOnce(Option<String>) -> Order,
) -> Result<Response, Problem> {
    let read: FreezeBody = sent.json()?;
    let request = sent.scoped(caller, route)?;
    carry_out(app, raffle, order(read.prize), read.reason, request).await
}
