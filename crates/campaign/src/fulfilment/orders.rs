//! What people ask of an award: claim it, hand it over, try again, take it back.

use std::sync::Arc;

use kernel::id::{DrawId, Tenant};
use ledger::desk::Desk;
use ledger::order::{Order, OrderId, Outcome as LedgerOutcome, Refusal, What};
use records::audit::{self, Cause, Change, Stream};
use records::machine::{self, Outcome};
use records::port::{Tx, Value, read, write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::opening::{order, paid_by, paid_or_why};
use super::{AwardView, Awards, corrupt, find, find_locked};
use crate::award::{Award, Event, Illegal, Kind, State, id_of};
use crate::coupon;
use crate::delivery::{self, Delivery, News, Owed};
use crate::error::Error;
use crate::held;
use crate::holder;
use crate::request::{Answered, Request};

/// Where a prize goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressView {
    /// Who receives it: 1 to 200 characters.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The lines of the address, 1 to 6 of 1 to 200 characters.
    #[schemars(length(min = 1, max = 6))]
    pub lines: Vec<String>,
    /// The country, in two letters (ISO 3166-1).
    #[schemars(length(min = 2, max = 2))]
    pub country: String,
    /// A number to call, 1 to 40 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub phone: Option<String>,
}

fn about(draw: DrawId) -> String {
    format!("address/{draw}")
}

fn address_key(draw: DrawId) -> [Value<'static>; 4] {
    [
        Value::Int(draw.shard.0.into()),
        Value::Int(Tenant::MAIN.number.into()),
        Value::Int(draw.raffle.into()),
        Value::count(draw.seq),
    ]
}

async fn forget_address(tx: &mut dyn Tx, draw: DrawId) -> Result<(), Error> {
    let sql = "DELETE FROM award_address WHERE shard=? AND tenant=? AND raffle=? AND seq=?";
    tx.exec(sql, &address_key(draw)).await?;
    Ok(())
}

async fn note_change(
    tx: &mut dyn Tx,
    draw: DrawId,
    (action, detail): (&'static str, String),
    (cause, at_ms): (&Cause, i64),
) -> Result<(), Error> {
    let change = Change { at_ms, action, subject: format!("draw/{draw}"), detail };
    audit::append(tx, &Stream::changes(draw.shard, Tenant::MAIN.number), cause, change).await?;
    Ok(())
}

fn moved(outcome: Outcome<Award, Illegal>, draw: DrawId) -> Result<Award, Error> {
    match outcome {
        Outcome::Moved(award) | Outcome::Replayed(award) => Ok(award),
        Outcome::Illegal(Illegal(state)) => Err(Error::AwardState(state)),
        Outcome::Missing => Err(Error::NoSuchAward(draw.to_string())),
    }
}

impl Awards {
    /// Notes that a prize is in the winner's hands, or on its way, and in the audit log who says so. Repeating the call with
    /// the same note changes nothing. The audit log does not hold the note, only the hash of the body it came in: a note can
    /// be about a person, and the log is for ever.
    pub async fn hand_over(&self, draw: DrawId, note: String, cause: Cause) -> Result<AwardView, Error> {
        let now_ms = self.now_ms();
        write(&*self.records, draw.shard, move |tx| {
            Box::pin(async move {
                find(tx, draw, None).await?;
                let event = Event::HandOver { at_ms: now_ms, note };
                let outcome = machine::apply::<Award>(tx, draw.shard, &id_of(draw), &event).await?;
                if let Outcome::Moved(award) = &outcome {
                    let told = ("hand_over", format!("prize {}", award.prize));
                    note_change(tx, draw, told, (&cause, now_ms)).await?;
                }
                let is_over = matches!(find(tx, draw, None).await?.state, State::HandedOver { .. });
                if is_over && matches!(outcome, Outcome::Illegal(_)) {
                    return Err(Error::HandedOverBefore);
                }
                let award = moved(outcome, draw)?;
                AwardView::of(tx, draw, award).await
            })
        })
        .await
    }

    /// Takes the address for a prize, while its time lasts.
    pub async fn claim(
        &self,
        draw: DrawId,
        asks: Option<&str>,
        address: AddressView,
        request: Request,
    ) -> Result<Answered, Error> {
        let (asks, vault) = (asks.map(str::to_owned), Arc::clone(&self.vault));
        write(&*self.records, draw.shard, move |tx| {
            Box::pin(async move {
                find(tx, draw, asks.as_deref()).await?;
                // The same request may be under way at once: whoever comes second finds what the first was answered.
                find_locked(tx, draw).await?;
                if let Some(answered) = request.before(tx, draw.shard, &*vault).await? {
                    return Ok(answered);
                }
                let event = Event::Claim(request.at_ms);
                let outcome = machine::apply::<Award>(tx, draw.shard, &id_of(draw), &event).await?;
                let award = moved(outcome, draw)?;
                // An address of somebody who was erased would be found by no erasure any more.
                if holder::of_locked(tx, draw).await?.is_none() {
                    return Err(Error::NoSuchAward(draw.to_string()));
                }
                let text = serde_json::to_vec(&address).map_err(|error| corrupt(&error.to_string()))?;
                let sealed = vault.seal(&text, &about(draw))?;
                let insert = "INSERT INTO award_address (shard,tenant,raffle,seq,sealed) VALUES (?,?,?,?,?)";
                tx.exec(insert, &[&address_key(draw)[..], &[Value::Bytes(&sealed)]].concat()).await?;
                // Who claims is told by pseudonym, and nothing of where it goes.
                let cause = Cause { body_hash: None, ..request.cause() };
                let told = ("claim", format!("prize {}", award.prize));
                note_change(tx, draw, told, (&cause, request.at_ms)).await?;
                let view = AwardView::of(tx, draw, award).await?;
                request.answer(tx, draw.shard, &*vault, &view).await
            })
        })
        .await
    }

    /// The address that a prize goes to.
    pub async fn address(&self, draw: DrawId) -> Result<AddressView, Error> {
        let vault = Arc::clone(&self.vault);
        read(&*self.records, draw.shard, move |tx| {
            Box::pin(async move {
                find(tx, draw, None).await?;
                let sql =
                    "SELECT sealed FROM award_address WHERE shard=? AND tenant=? AND raffle=? AND seq=?";
                let rows = tx.fetch(sql, &address_key(draw)).await?;
                let row = rows.first().ok_or(Error::NothingToTell("address"))?;
                let opened = vault.open(row.bytes(0)?, &about(draw))?;
                serde_json::from_slice(&opened).map_err(|error| corrupt(&error.to_string()).into())
            })
        })
        .await
    }

    /// Tries again what could not be done: a transfer that the ledger refused, a webhook that was given up.
    pub async fn replay(&self, draw: DrawId, reason: String, request: Request) -> Result<Answered, Error> {
        let vault = Arc::clone(&self.vault);
        write(&*self.records, draw.shard, move |tx| {
            Box::pin(async move {
                let award = find_locked(tx, draw).await?;
                if let Some(answered) = request.before(tx, draw.shard, &*vault).await? {
                    return Ok(answered);
                }
                let now_ms = request.at_ms;
                let event = match &award.state {
                    State::Unpaid { refused, .. } => {
                        let winner = holder::of_locked(tx, draw).await?;
                        let winner =
                            winner.ok_or(Error::NothingToTell("winner any more: they were erased"))?;
                        Event::Paid(now_ms, pay_again(tx, (draw, &award), (&winner, *refused), now_ms).await?)
                    }
                    State::Undeliverable { .. } => {
                        let id = delivery::id(draw, News::Granted);
                        let event = delivery::Event::Replay { now_ms };
                        let outcome = delivery::apply(tx, draw.shard, &id, &event).await?;
                        if !matches!(outcome, Outcome::Moved(_)) {
                            return Err(corrupt("a webhook that was given up").into());
                        }
                        Event::TryAgain(request.at_ms)
                    }
                    State::Reversed { .. } => {
                        return replay_reversal(tx, (draw, award), &reason, &request, &*vault).await;
                    }
                    state @ (State::Held
                    | State::Granted
                    | State::HandedOver { .. }
                    | State::Paid { .. }
                    | State::WaitsForCode
                    | State::CodeGiven { .. }
                    | State::ToClaim { .. }
                    | State::Claimed { .. }
                    | State::Expired { .. }
                    | State::Delivered { .. }) => return Err(Error::AwardState(state.word())),
                };
                let outcome = machine::apply::<Award>(tx, draw.shard, &id_of(draw), &event).await?;
                let award = moved(outcome, draw)?;
                note_change(tx, draw, ("replay_award", reason), (&request.cause(), now_ms)).await?;
                let view = AwardView::of(tx, draw, award).await?;
                request.answer(tx, draw.shard, &*vault, &view).await
            })
        })
        .await
    }

    /// Takes an award back, as far as it can be: what was spent, sent or handed over cannot. Stock is not given back.
    pub async fn reverse(&self, draw: DrawId, reason: String, request: Request) -> Result<Answered, Error> {
        let vault = Arc::clone(&self.vault);
        write(&*self.records, draw.shard, move |tx| {
            Box::pin(async move {
                let award = find_locked(tx, draw).await?;
                if let Some(answered) = request.before(tx, draw.shard, &*vault).await? {
                    return Ok(answered);
                }
                if let State::Reversed { .. } = award.state {
                    return Err(Error::AwardState("reversed"));
                }
                let event = Event::Reverse(request.at_ms);
                let outcome = machine::apply::<Award>(tx, draw.shard, &id_of(draw), &event).await?;
                let after = moved(outcome, draw)?;
                undo(tx, draw, &award, &request).await?;
                note_change(tx, draw, ("reverse_award", reason), (&request.cause(), request.at_ms)).await?;
                let view = AwardView::of(tx, draw, after).await?;
                request.answer(tx, draw.shard, &*vault, &view).await
            })
        })
        .await
    }
}

/// Asks the ledger again, under an id that was not refused.
async fn pay_again(
    tx: &mut dyn Tx,
    (draw, award): (DrawId, &Award),
    (winner, refused): (&str, u32),
    now_ms: i64,
) -> Result<Result<(), String>, Error> {
    let Some(order) = order((draw, &award.award, &award.raffle), winner, refused, now_ms)? else {
        return Err(Error::AwardState("unpaid"));
    };
    if let Err(error) = order.check() {
        return Ok(Err(error.to_string()));
    }
    let desk = Desk { tenant: Tenant::MAIN, shard: draw.shard, now_ms };
    Ok(paid_or_why(desk.post(tx, &[&order]).await?.into_iter().next()))
}

/// Lets the webhook that tells of a reversal try again.
async fn replay_reversal(
    tx: &mut dyn Tx,
    (draw, award): (DrawId, Award),
    reason: &str,
    request: &Request,
    vault: &dyn crate::vault::Vault,
) -> Result<Answered, Error> {
    let (id, event) = (delivery::id(draw, News::Reversed), delivery::Event::Replay { now_ms: request.at_ms });
    match delivery::apply(tx, draw.shard, &id, &event).await? {
        Outcome::Moved(_) => {}
        Outcome::Replayed(_) | Outcome::Illegal(_) | Outcome::Missing => {
            return Err(Error::AwardState("reversed"));
        }
    }
    note_change(tx, draw, ("replay_award", reason.to_owned()), (&request.cause(), request.at_ms)).await?;
    let view = AwardView::of(tx, draw, award).await?;
    request.answer(tx, draw.shard, vault, &view).await
}

/// Undoes what an award has done.
async fn undo(tx: &mut dyn Tx, draw: DrawId, award: &Award, request: &Request) -> Result<(), Error> {
    let (id, now_ms) = (id_of(draw), request.at_ms);
    match (&award.award, &award.state) {
        // Nothing was done yet.
        (_, State::Held) => Ok(held::let_go(tx, draw.shard, &award.winner, &id).await?),
        (_, State::Paid { refused, .. }) => {
            let what = What::Reverse { of: paid_by(draw, *refused) };
            // A refusal undoes this transaction, and its id with it: the same may be tried again another day.
            let order = Order {
                id: OrderId::of(&[b"award reversed", &id]),
                code: "award_reversed".to_owned(),
                reference: draw.to_string(),
                what,
            };
            let desk = Desk { tenant: Tenant::MAIN, shard: draw.shard, now_ms };
            match desk.post(tx, &[&order]).await?.into_iter().next() {
                Some(LedgerOutcome::Created(_) | LedgerOutcome::Exists(_)) => Ok(()),
                Some(LedgerOutcome::Refused { why: Refusal::InsufficientFunds, .. }) => {
                    Err(Error::Spent(Refusal::InsufficientFunds.word()))
                }
                Some(LedgerOutcome::Refused { why, .. }) => Err(Error::Spent(why.word())),
                Some(LedgerOutcome::ExistsWithDifferent(_) | LedgerOutcome::Nothing) | None => {
                    Err(corrupt("a reversal in the ledger").into())
                }
            }
        }
        (Kind::Coupon { pool }, State::CodeGiven { .. }) => {
            Ok(coupon::void(tx, draw.shard, (pool, &id)).await?)
        }
        (Kind::Coupon { pool }, State::WaitsForCode) => {
            Ok(coupon::stop_waiting(tx, draw.shard, (pool, &id)).await?)
        }
        (Kind::Physical { .. }, State::Claimed { .. }) => forget_address(tx, draw).await,
        (Kind::Webhook { endpoint }, _) => tell_of_reversal(tx, draw, (award, endpoint), now_ms).await,
        _ => Ok(()),
    }
}

/// Calls the webhook off where it was surely not taken; else owes another that tells that the award was taken back. Of what
/// was never told nothing is told.
async fn tell_of_reversal(
    tx: &mut dyn Tx,
    draw: DrawId,
    (award, endpoint): (&Award, &str),
    now_ms: i64,
) -> Result<(), Error> {
    let Some(before) = delivery::get(tx, draw, News::Granted).await? else { return Ok(()) };
    let call_off = delivery::Event::CallOff { now_ms };
    let outcome = delivery::apply(tx, draw.shard, &delivery::id(draw, News::Granted), &call_off).await?;
    let maybe_taken = matches!(before, Delivery::Dead { maybe_taken: true, .. });
    if matches!(outcome, Outcome::Moved(_)) && !maybe_taken {
        return Ok(());
    }
    let data = serde_json::json!({
        "award": draw.to_string(),
        "raffle": award.raffle,
        "prize": award.prize,
        "winner": award.winner,
    });
    let owed = Owed { endpoint, draw, news: News::Reversed, order_key: award.winner.as_bytes(), data };
    Ok(delivery::post(tx, draw.shard, &owed, now_ms).await?)
}
