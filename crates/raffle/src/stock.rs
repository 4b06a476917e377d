//! What an operator does to a running raffle: restock, freeze, thaw. Each is an entry of the gate's log.

use std::sync::Arc;

use records::audit::{self, Change, Stream};
use records::gate::{Gate, Segment};
use records::port::{Tx, write};

use crate::catalog::Raffle;
use crate::document::GuaranteedWinners;
use crate::draw::Draws;
use crate::entry::{Event, Request};
use crate::error::Error;
use crate::player::{self, PlayerKey};
use crate::rules::{BUDGET, Rules};

/// Most units of one restock.
pub const UNITS_MAX: u64 = 1_000_000_000_000;

/// What an operator asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// More units of a finite prize.
    Restock {
        /// Which prize.
        prize: String,
        /// How many, from 1.
        units: u64,
    },
    /// More money.
    RaiseBudget {
        /// How much, in minor units, from 1.
        amount: u64,
    },
    /// A participant's next draw gives this prize, if it can be had.
    Promise {
        /// Who: their bucket, and their public name.
        player: PlayerKey,
        /// Which prize.
        prize: String,
    },
    /// Take no draws, or grant no unit of a prize.
    Freeze {
        /// Which prize; `None` is the whole raffle.
        prize: Option<String>,
    },
    /// Go on.
    Thaw {
        /// Which prize; `None` is the whole raffle.
        prize: Option<String>,
    },
}

impl Order {
    /// What the audit log calls it.
    fn verb(&self) -> &'static str {
        match self {
            Self::Restock { .. } => "restock",
            Self::RaiseBudget { .. } => "raise-budget",
            Self::Promise { .. } => "promise",
            Self::Freeze { .. } => "freeze",
            Self::Thaw { .. } => "thaw",
        }
    }
}

/// An order, carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Its entry in the gate's log.
    pub event: Event,
    /// Whether it had been carried out before, for the same key.
    pub replayed: bool,
}

impl Draws {
    /// Carries out an order, once per key.
    pub(crate) async fn carry_out(
        &self,
        raffle: &Arc<Raffle>,
        order: Order,
        reason: String,
        request: Request,
    ) -> Result<Carried, Error> {
        let (raffle, clock, shard) = (Arc::clone(raffle), Arc::clone(&self.clock), self.shard);
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let key = raffle.gate(shard);
                let gate = Gate::lock(tx, key).await?;
                let mut gate = gate.ok_or_else(|| Error::NoSuchRaffle(raffle.id.clone()))?;
                if let Some(event) = Event::by_request(tx, key, &request).await? {
                    return Ok(Carried { event, replayed: true });
                }
                let (rules, _) = crate::catalog::rules(tx, &raffle, gate.version).await?;
                let (action, cause) = (order.verb(), request.cause());
                let mut event = apply(tx, &mut gate, &rules, order).await?;
                (event.at_ms, event.reason, event.request) = (clock.now_ms(), reason, Some(request));
                let event = event.append(tx, &mut gate).await?;
                gate.save(tx).await?;
                let of = if event.prize.is_empty() {
                    "all of it".to_owned()
                } else {
                    format!("prize {}", event.prize)
                };
                let units = if event.units > 0 { format!(", {} units", event.units) } else { String::new() };
                let change = Change {
                    at_ms: event.at_ms,
                    action,
                    subject: raffle.subject(),
                    detail: format!("{of}{units}, entry {}: {}", event.seq, event.reason),
                };
                audit::append(tx, &Stream::changes(shard, raffle.tenant.number), &cause, change).await?;
                Ok(Carried { event, replayed: false })
            })
        })
        .await
    }
}

async fn apply(tx: &mut dyn Tx, gate: &mut Gate, rules: &Rules, order: Order) -> Result<Event, Error> {
    let segments = Segment::all(tx, gate.key).await?;
    // A shelf that the version no longer draws from would take units that nobody can win.
    let is_finite = |prize: &str| rules.prizes.get(prize).is_some_and(|prize| !prize.unlimited);
    let segment = |prize: &str| {
        let found = segments.iter().find(|segment| segment.item == prize && is_finite(prize));
        found.ok_or_else(|| Error::NoSuchPrize(prize.to_owned()))
    };
    let (kind, prize, freeze) = match order {
        Order::Restock { prize, units } => {
            segment(&prize)?;
            Segment::add(tx, gate.key, &prize, units).await?;
            return Ok(Event { kind: "moved", prize, units, ..Event::default() });
        }
        Order::RaiseBudget { amount } => {
            if rules.budget.is_none() {
                return Err(Error::NoSuchPrize(BUDGET.to_owned()));
            }
            Segment::add(tx, gate.key, BUDGET, amount).await?;
            let prize = BUDGET.to_owned();
            return Ok(Event { kind: "moved", prize, units: amount, ..Event::default() });
        }
        Order::Promise { player, prize } => {
            if rules.guaranteed_winners != GuaranteedWinners::Allowed {
                return Err(Error::PromisesForbidden);
            }
            if !rules.prizes.contains_key(&prize) {
                return Err(Error::NoSuchPrize(prize));
            }
            player::promise(tx, gate.key, player, &prize).await?;
            let pseudonym = player.1.to_vec();
            return Ok(Event { kind: "promised", prize, pseudonym, ..Event::default() });
        }
        Order::Freeze { prize } => ("frozen", prize, true),
        Order::Thaw { prize } => ("thawed", prize, false),
    };
    let before = match &prize {
        Some(prize) => segment(prize)?.frozen,
        None => gate.frozen,
    };
    if before == freeze {
        return Err(Error::AlreadySo(if freeze { "frozen" } else { "thawed" }));
    }
    match &prize {
        Some(prize) => Segment::set_frozen(tx, gate.key, prize, freeze).await?,
        None => gate.frozen = freeze,
    }
    Ok(Event { kind, prize: prize.unwrap_or_default(), ..Event::default() })
}
