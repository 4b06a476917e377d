//! What an operator does to a running raffle: restock, freeze, thaw. Each is an entry of the gate's log.

use std::sync::Arc;

use kernel::id::Shard;
use records::audit::{self, Change, Stream};
use records::gate::{Gate, GateKey, Segment};
use records::port::{Tx, Value, write};

use crate::catalog::Raffle;
use crate::document::GuaranteedWinners;
use crate::draw::Draws;
use crate::entry::{Event, Request};
use crate::error::Error;
use crate::player::{self, PlayerKey};
use crate::rules::{BUDGET, Rules};
use crate::threshold::Thresholds;

/// What was added within so long before counts with what is added now.
const DAY_MS: i64 = 86_400_000;

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
        let thresholds = self.thresholds;
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let mut gate = lock(tx, &raffle, shard).await?;
                if let Some(event) = Event::by_request(tx, gate.key, &request).await? {
                    return Ok(Carried { event, replayed: true });
                }
                let now_ms = clock.now_ms();
                thresholds.order(tx, gate.key, &order, now_ms).await?;
                let event = give(tx, &raffle, &mut gate, (order, reason, request, now_ms)).await?;
                Ok(Carried { event, replayed: false })
            })
        })
        .await
    }
}

/// Locks the gate of a raffle that was published.
pub(crate) async fn lock(tx: &mut dyn Tx, raffle: &Raffle, shard: Shard) -> Result<Gate, Error> {
    let gate = Gate::lock(tx, raffle.gate(shard)).await?;
    gate.ok_or_else(|| Error::NoSuchRaffle(raffle.id.clone()))
}

/// Carries out an order under the gate's lock, saves the gate, and tells the audit log.
pub(crate) async fn give(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    gate: &mut Gate,
    (order, reason, request, now_ms): (Order, String, Request, i64),
) -> Result<Event, Error> {
    let (rules, _) = crate::catalog::rules(tx, raffle, gate.version).await?;
    let (action, cause) = (order.verb(), request.cause());
    let mut event = apply(tx, gate, &rules, order).await?;
    (event.at_ms, event.reason, event.request) = (now_ms, reason, Some(request));
    let event = event.append(tx, gate).await?;
    gate.save(tx).await?;
    let of = if event.prize.is_empty() { "all of it".to_owned() } else { format!("prize {}", event.prize) };
    let units = if event.units > 0 { format!(", {} units", event.units) } else { String::new() };
    let change = Change {
        at_ms: now_ms,
        action,
        subject: raffle.subject(),
        detail: format!("{of}{units}, entry {}: {}", event.seq, event.reason),
    };
    audit::append(tx, &Stream::changes(gate.key.shard, raffle.tenant.number), &cause, change).await?;
    Ok(event)
}

impl Thresholds {
    /// Refuses an order that one person may not give alone. The gate is locked.
    async fn order(&self, tx: &mut dyn Tx, key: GateKey, order: &Order, now_ms: i64) -> Result<(), Error> {
        let since_ms = now_ms - DAY_MS;
        let reasons = match order {
            Order::Restock { prize, units } => {
                self.restock(prize, *units, added_alone(tx, key, prize, since_ms).await?)
            }
            Order::RaiseBudget { amount } => {
                self.raise_budget(*amount, added_alone(tx, key, BUDGET, since_ms).await?)
            }
            Order::Promise { .. } => self.promise(),
            Order::Freeze { .. } | Order::Thaw { .. } => vec![],
        };
        let told: Vec<_> = reasons.into_iter().map(|reason| reason.message).collect();
        if told.is_empty() { Ok(()) } else { Err(Error::needs_proposal(&told)) }
    }
}

/// Units of an item that were added by order after an instant, but for those that somebody approved.
async fn added_alone(tx: &mut dyn Tx, key: GateKey, item: &str, since_ms: i64) -> Result<u64, Error> {
    // An approval and the order that it carries out have one key. What a publication brings has none.
    let sql = "SELECT COALESCE(SUM(e.units),0) FROM gate_event e
        WHERE e.shard=? AND e.tenant=? AND e.raffle=? AND e.prize=? AND e.kind='moved' AND e.at_ms>?
        AND e.idem_key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM review_move m
            WHERE m.shard=0 AND m.tenant=e.tenant AND m.raffle=e.raffle AND m.idem_key=e.idem_key)";
    let values = [&key.values()[..], &[Value::Text(item), Value::Int(since_ms)]].concat();
    let rows = tx.fetch(sql, &values).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.count(0))?)
}

/// Refuses an order that the rules do not know or do not allow.
pub(crate) fn allowed(rules: &Rules, order: &Order) -> Result<(), Error> {
    // A shelf that the version no longer draws from would take units that nobody can win.
    let is_finite = |prize: &str| rules.prizes.get(prize).is_some_and(|prize| !prize.unlimited);
    match order {
        Order::Restock { prize, .. }
        | Order::Freeze { prize: Some(prize) }
        | Order::Thaw { prize: Some(prize) }
            if !is_finite(prize) =>
        {
            Err(Error::NoSuchPrize(prize.clone()))
        }
        Order::RaiseBudget { .. } if rules.budget.is_none() => Err(Error::NoSuchPrize(BUDGET.to_owned())),
        Order::Promise { .. } if rules.guaranteed_winners != GuaranteedWinners::Allowed => {
            Err(Error::PromisesForbidden)
        }
        Order::Promise { prize, .. } if !rules.prizes.contains_key(prize) => {
            Err(Error::NoSuchPrize(prize.clone()))
        }
        Order::Restock { .. }
        | Order::RaiseBudget { .. }
        | Order::Promise { .. }
        | Order::Freeze { .. }
        | Order::Thaw { .. } => Ok(()),
    }
}

async fn apply(tx: &mut dyn Tx, gate: &mut Gate, rules: &Rules, order: Order) -> Result<Event, Error> {
    allowed(rules, &order)?;
    let segments = Segment::all(tx, gate.key).await?;
    let segment = |prize: &str| {
        let found = segments.iter().find(|segment| segment.item == prize);
        found.ok_or_else(|| Error::NoSuchPrize(prize.to_owned()))
    };
    let (kind, prize, freeze) = match order {
        Order::Restock { prize, units } => {
            segment(&prize)?;
            Segment::add(tx, gate.key, &prize, units).await?;
            return Ok(Event { kind: "moved", prize, units, ..Event::default() });
        }
        Order::RaiseBudget { amount } => {
            Segment::add(tx, gate.key, BUDGET, amount).await?;
            let prize = BUDGET.to_owned();
            return Ok(Event { kind: "moved", prize, units: amount, ..Event::default() });
        }
        Order::Promise { player, prize } => {
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
