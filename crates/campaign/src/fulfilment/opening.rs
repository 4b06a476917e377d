//! Opening awards: what each kind does in the transaction that opens it.

use std::collections::{BTreeMap, BTreeSet};

use kernel::amount::Unit;
use kernel::hex::{from_hex, hex};
use kernel::id::{DrawId, Shard, Tenant};
use ledger::account::{Account, ISSUED};
use ledger::desk::Desk;
use ledger::order::{Leg, Order, OrderId, Outcome as LedgerOutcome, Terms, What};
use records::machine::{self, Outcome};
use records::port::Tx;

use super::corrupt;
use crate::award::{Award, Due, Event, Kind, State, id_of, wallet_of};
use crate::coupon;
use crate::delivery::{self, News, Owed};
use crate::error::Error;
use crate::forgotten;
use crate::held;
use crate::holder;
use crate::who::Who;

/// An award to be opened.
#[derive(Debug, Clone)]
pub(super) struct Won {
    pub(super) draw: DrawId,
    /// The winner, as the public knows them.
    pub(super) key: Vec<u8>,
    pub(super) prize: String,
    /// By name; `None` where they were erased.
    pub(super) winner: Option<String>,
    pub(super) due: Option<Due>,
    /// When it was drawn, where that is known.
    pub(super) at_ms: Option<i64>,
}

impl Won {
    fn pseudonym(&self) -> String {
        hex(&self.key)
    }

    fn award(&self, state: State) -> Award {
        let (award, raffle, winner) = match &self.due {
            None => (Kind::Manual, String::new(), String::new()),
            Some(due) => (due.award.clone(), due.raffle.clone(), self.pseudonym()),
        };
        Award { draw: self.draw.to_string(), prize: self.prize.clone(), award, raffle, winner, state }
    }
}

/// Opens awards. Those that were opened before stay as they are. While they are held back, those that fulfil themselves
/// wait; so they do while something of the same winner that was held back is not done yet.
pub(super) async fn open(
    tx: &mut dyn Tx,
    shard: Shard,
    (mut won, is_held): (Vec<Won>, bool),
    now_ms: i64,
) -> Result<(), Error> {
    let fulfil_themselves = won.iter().any(|won| won.due.is_some());
    let known = if fulfil_themselves {
        note_holders(tx, &mut won).await?;
        let ids: Vec<_> = won.iter().map(|won| id_of(won.draw)).collect();
        machine::known::<Award>(tx, shard, &ids).await?
    } else {
        // To start a machine twice does nothing, and nothing else is done.
        std::collections::HashSet::new()
    };
    let new: Vec<&Won> = won.iter().filter(|won| !known.contains(&id_of(won.draw))).collect();
    let winners: BTreeSet<String> =
        new.iter().filter(|won| won.due.is_some()).map(|won| won.pseudonym()).collect();
    let behind = if is_held { winners } else { held::winners(tx, shard, &winners).await? };
    let (waiting, now): (Vec<&Won>, Vec<&Won>) =
        new.into_iter().partition(|won| won.due.is_some() && behind.contains(&won.pseudonym()));
    let states = fulfil(tx, shard, &now, now_ms).await?;
    let noted: Vec<_> = waiting.iter().map(|won| (won.pseudonym(), id_of(won.draw))).collect();
    held::note(tx, shard, &noted).await?;
    let waiting = waiting.into_iter().map(|won| (won, State::Held));
    let machines = now.into_iter().zip(states).chain(waiting).map(|(one, state)| {
        let due_ms = if let State::ToClaim { until_ms } = state { Some(until_ms) } else { None };
        (id_of(one.draw), one.award(state), due_ms)
    });
    // Most awards have no timer, and go in one statement.
    let (with_timer, without): (Vec<_>, Vec<_>) = machines.partition(|(_, _, due_ms)| due_ms.is_some());
    machine::start(tx, shard, &without).await?;
    machine::start(tx, shard, &with_timer).await?;
    Ok(())
}

/// Does for the first award of a winner that was held back what its kind does. Answers whether there was one; one that moved
/// meanwhile stays, and is held back no more. Who was erased since is paid and told nothing: it has expired.
pub(super) async fn release(tx: &mut dyn Tx, shard: Shard, winner: &str, now_ms: i64) -> Result<bool, Error> {
    let Some(id) = held::first(tx, shard, winner).await? else { return Ok(false) };
    let award: Option<Award> = machine::get_locked(tx, shard, &id).await?;
    held::let_go(tx, shard, winner, &id).await?;
    let Some(award) = award.filter(|award| award.state == State::Held) else { return Ok(true) };
    let draw: DrawId = award.draw.parse().map_err(|_| corrupt("the draw of an award"))?;
    let key: [u8; 16] = from_hex(&award.winner).ok_or_else(|| corrupt("the winner of an award"))?;
    let winner = holder::of_locked(tx, draw).await?;
    let due = Some(Due { raffle: award.raffle, award: award.award });
    let won = Won { draw, key: key.to_vec(), prize: award.prize, winner, due, at_ms: None };
    let state = fulfil(tx, shard, &[&won], now_ms).await?.pop();
    let state = state.ok_or_else(|| corrupt("an award that is released"))?;
    match machine::apply::<Award>(tx, shard, &id, &Event::Release(now_ms, state)).await? {
        Outcome::Moved(_) => Ok(true),
        // Another process was faster; what was done here for it is undone.
        Outcome::Replayed(_) | Outcome::Illegal(_) | Outcome::Missing => {
            Err(records::error::Error::Surprise("award").into())
        }
    }
}

/// Does what the kinds of awards do, and answers how they stand then.
async fn fulfil(tx: &mut dyn Tx, shard: Shard, new: &[&Won], now_ms: i64) -> Result<Vec<State>, Error> {
    let paid = pay(tx, shard, new, now_ms).await?;
    let coded = give_codes(tx, shard, new, now_ms).await?;
    let mut states = Vec::with_capacity(new.len());
    for (place, one) in new.iter().enumerate() {
        states.push(match (&one.due, paid.get(&place), coded.get(&place)) {
            (_, Some(state), _) | (_, None, Some(state)) => state.clone(),
            (Some(_), ..) if one.winner.is_none() => State::Expired { at_ms: now_ms },
            (Some(Due { award: Kind::Physical { claim_seconds }, .. }), ..) => {
                State::ToClaim { until_ms: now_ms + i64::from(*claim_seconds) * 1000 }
            }
            (Some(due), ..) => {
                if let Kind::Webhook { endpoint } = &due.award {
                    owe(tx, shard, (one, due, endpoint), now_ms).await?;
                }
                State::Granted
            }
            (None, ..) => State::Granted,
        });
    }
    Ok(states)
}

/// Notes whose awards these are that fulfil themselves: by its name the winner is paid later too. Whoever was erased since
/// they drew is forgotten again, at once: their awards lose their winner.
async fn note_holders(tx: &mut dyn Tx, won: &mut [Won]) -> Result<(), Error> {
    let due = won.iter().filter(|won| won.due.is_some());
    let holders: Vec<_> = due.filter_map(|won| Some((won.winner.as_deref()?, won.draw))).collect();
    holder::note(tx, &holders).await?;
    let who = |name: &str| Who::named(Tenant::MAIN, name);
    let people: BTreeSet<Who> = holders.iter().map(|(name, _)| who(name)).collect();
    let erased = forgotten::of(tx, &people).await?;
    for won in won.iter_mut().filter(|_| !erased.is_empty()) {
        let Some(name) = &won.winner else { continue };
        if forgotten::was_before(&erased, who(name), won.at_ms) {
            holder::let_go(tx, name, won.draw).await?;
            won.winner = None;
        }
    }
    Ok(())
}

async fn owe(
    tx: &mut dyn Tx,
    shard: Shard,
    (won, due, endpoint): (&Won, &Due, &str),
    now_ms: i64,
) -> Result<(), Error> {
    let winner = won.pseudonym();
    let data = serde_json::json!({
        "award": won.draw.to_string(),
        "raffle": due.raffle,
        "prize": won.prize,
        "participant": won.winner,
        "winner": winner,
    });
    let owed = Owed { endpoint, draw: won.draw, news: News::Granted, order_key: winner.as_bytes(), data };
    Ok(delivery::post(tx, shard, &owed, now_ms).await?)
}

/// The ledger's order that pays an award, where its kind is paid. After a refusal another id is needed: one that was refused
/// stays refused.
pub(super) fn order(
    (draw, kind, raffle): (DrawId, &Kind, &str),
    winner: &str,
    refused: u32,
    now_ms: i64,
) -> Result<Option<Order>, Error> {
    let unit = |name: &str| name.parse::<Unit>().map_err(|error| corrupt(&error.to_string()));
    let tickets_of = |raffle: &str| -> Result<Account, Error> {
        Ok(Account { wallet: wallet_of(raffle), ..Account::of(winner, &unit("ticket")?) })
    };
    let (wallet, amount, after, until) = match kind {
        Kind::Points { amount, available_after_seconds, expires_after_seconds } => {
            (Account::of(winner, &unit("point")?), *amount, *available_after_seconds, *expires_after_seconds)
        }
        Kind::Tickets { amount, available_after_seconds, expires_after_seconds } => {
            (tickets_of(raffle)?, *amount, *available_after_seconds, *expires_after_seconds)
        }
        Kind::RaffleTicket { raffle } => (tickets_of(raffle)?, 1, None, None),
        Kind::Manual | Kind::Coupon { .. } | Kind::Physical { .. } | Kind::Webhook { .. } => return Ok(None),
    };
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    let later = |seconds: Option<u32>| seconds.map(|seconds| now_ms + i64::from(seconds) * 1000);
    let terms = Terms { available_ms: later(after), expires_ms: later(until) };
    let legs = vec![
        Leg { account: Account::house(ISSUED, &wallet.unit), amount: amount.saturating_neg() },
        Leg { account: wallet, amount },
    ];
    let id = paid_by(draw, refused);
    let what = What::Transfer { legs, terms };
    Ok(Some(Order { id, code: "award".to_owned(), reference: draw.to_string(), what }))
}

/// The id of the order that pays an award after so many refusals.
pub(super) fn paid_by(draw: DrawId, refused: u32) -> OrderId {
    OrderId::of(&[b"award", &id_of(draw), &refused.to_be_bytes()])
}

/// What the ledger did, as the award tells it.
pub(super) fn paid_or_why(outcome: Option<LedgerOutcome>) -> Result<(), String> {
    match outcome {
        Some(LedgerOutcome::Created(_) | LedgerOutcome::Exists(_)) => Ok(()),
        Some(LedgerOutcome::Refused { why, .. }) => Err(why.word().to_owned()),
        Some(LedgerOutcome::ExistsWithDifferent(field)) => {
            Err(format!("another order has its id: {field} differs"))
        }
        Some(LedgerOutcome::Nothing) | None => Err("the ledger did nothing".to_owned()),
    }
}

/// Pays what is paid, in one go. Answers the states of those awards, by their place.
async fn pay(
    tx: &mut dyn Tx,
    shard: Shard,
    new: &[&Won],
    now_ms: i64,
) -> Result<BTreeMap<usize, State>, Error> {
    let mut states = BTreeMap::new();
    let mut orders = Vec::new();
    for (place, won) in new.iter().enumerate() {
        let (Some(due), Some(winner)) = (&won.due, &won.winner) else { continue };
        let Some(order) = order((won.draw, &due.award, &due.raffle), winner, 0, now_ms)? else { continue };
        match order.check() {
            Ok(()) => orders.push((place, order)),
            Err(error) => drop(states.insert(place, State::Unpaid { why: error.to_string(), refused: 1 })),
        }
    }
    if orders.is_empty() {
        return Ok(states);
    }
    let desk = Desk { tenant: Tenant::MAIN, shard, now_ms };
    let asked: Vec<_> = orders.iter().map(|(_, order)| order).collect();
    let mut outcomes = desk.post(tx, &asked).await?.into_iter();
    for (place, _) in &orders {
        let state = match paid_or_why(outcomes.next()) {
            Ok(()) => State::Paid { at_ms: now_ms, refused: 0 },
            Err(why) => State::Unpaid { why, refused: 1 },
        };
        states.insert(*place, state);
    }
    Ok(states)
}

/// Takes codes for those who won one; who gets none waits. Nobody goes before those who wait already.
async fn give_codes(
    tx: &mut dyn Tx,
    shard: Shard,
    new: &[&Won],
    now_ms: i64,
) -> Result<BTreeMap<usize, State>, Error> {
    let mut pools: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, won) in new.iter().enumerate() {
        if let (Some(_), Some(Due { award: Kind::Coupon { pool }, .. })) = (&won.winner, &won.due) {
            pools.entry(pool).or_default().push(place);
        }
    }
    let mut states = BTreeMap::new();
    for (pool, places) in pools {
        let ids: Vec<_> = places.iter().map(|place| id_of(new[*place].draw)).collect();
        let is_queue = !coupon::waiting(tx, shard, pool, 1).await?.is_empty();
        let served = if is_queue { 0 } else { coupon::take(tx, shard, pool, &ids).await? };
        for (at, (place, id)) in places.iter().zip(&ids).enumerate() {
            if at < served {
                states.insert(*place, State::CodeGiven { at_ms: now_ms });
            } else {
                coupon::wait(tx, shard, (pool, id), now_ms).await?;
                states.insert(*place, State::WaitsForCode);
            }
        }
    }
    Ok(states)
}
