//! Offers, in two steps: what is ordered is set aside and its price held, until it is paid, cancelled or over.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kernel::id::{Place, Shard};
use records::error::Error as RecordsError;
use records::machine::{self, Machine, Step};
use records::outbox::Effect;
use records::port::{Tx, Value};
use records::statement::ByKeys;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Gain;
use crate::gain::Gained;

/// Topic of what tells that an order stands otherwise than before. Its body is the order's place: campaign, then number. That
/// it was made is told by its act.
pub const ORDER_MOVED: &str = "order.moved";

/// Names one order and leads to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub Place);

const ORDER: &str = "ord_";

impl OrderKey {
    /// As the state machine's rows are named.
    pub fn machine_id(self) -> Vec<u8> {
        [&self.0.subject.to_be_bytes()[..], &self.0.seq.to_be_bytes()].concat()
    }

    /// The order of a state machine's row.
    pub fn of_machine(shard: Shard, bucket: u16, id: &[u8]) -> Option<Self> {
        let (subject, seq) = id.split_first_chunk::<4>()?;
        let (subject, seq) = (u32::from_be_bytes(*subject), u64::from_be_bytes(seq.try_into().ok()?));
        Some(Self(Place { bucket, shard, subject, seq }))
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(ORDER, f)
    }
}

/// A text that is no order's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an order's id: expected `ord_` and 26 characters of Crockford's base 32")]
pub struct NotAnOrder;

impl FromStr for OrderKey {
    type Err = NotAnOrder;

    fn from_str(text: &str) -> Result<Self, NotAnOrder> {
        Place::read(ORDER, text).map(Self).ok_or(NotAnOrder)
    }
}

/// What an order costs in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Total {
    /// What is counted.
    pub unit: String,
    /// Whose wallet it leaves.
    pub wallet: String,
    /// How much, in minor units.
    pub amount: i64,
}

/// What was ordered. It stays as it was, whatever is published later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// Who: bucket and hash of the name.
    pub bucket: u16,
    /// The hash, in hex.
    pub who: String,
    /// The campaign's id.
    pub campaign: String,
    /// The offer's id.
    pub offer: String,
    /// How many.
    pub quantity: u32,
    /// What it costs; nothing where it is for free.
    pub price: Option<Total>,
    /// What one gives.
    pub gains: Vec<Gain>,
    /// Whether the offer's stock is finite.
    pub is_finite: bool,
    /// The local day it was counted on.
    pub day: i32,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// When it is over unless it is paid, in milliseconds since the epoch.
    pub expires_ms: i64,
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Order {
    /// Set aside, its price held.
    Ordered {
        /// What.
        order: Ordered,
    },
    /// Paid, and given.
    Paid {
        /// What.
        order: Ordered,
        /// When, in milliseconds since the epoch.
        paid_ms: i64,
        /// What was given.
        gains: Vec<Gained>,
    },
    /// Given up by whoever ordered.
    Cancelled {
        /// What.
        order: Ordered,
        /// When, in milliseconds since the epoch.
        cancelled_ms: i64,
    },
    /// Not paid in time.
    Expired {
        /// What.
        order: Ordered,
    },
}

impl Order {
    /// What was ordered.
    pub fn ordered(&self) -> &Ordered {
        match self {
            Self::Ordered { order }
            | Self::Paid { order, .. }
            | Self::Cancelled { order, .. }
            | Self::Expired { order } => order,
        }
    }
}

/// What can happen to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is paid.
    Pay {
        /// When.
        at_ms: i64,
        /// What is given.
        gains: Vec<Gained>,
    },
    /// It is given up.
    Cancel {
        /// When.
        at_ms: i64,
    },
    /// Its time is over.
    Expire {
        /// When.
        at_ms: i64,
    },
}

/// Why an event cannot happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Illegal {
    /// It was paid before.
    Paid,
    /// It was cancelled before.
    Cancelled,
    /// Its time is over.
    Over,
    /// Its time is not over yet.
    NotOver,
}

impl Machine for Order {
    const KIND: &'static str = "offer_order";
    type Event = Event;
    type Illegal = Illegal;

    fn on(&self, event: &Event) -> Result<Step<Self>, Illegal> {
        let end = |to| Ok(Step::Move { to, effects: vec![], due_ms: None });
        match (self, event) {
            (Self::Ordered { order }, Event::Pay { at_ms, .. } | Event::Cancel { at_ms })
                if *at_ms >= order.expires_ms =>
            {
                Err(Illegal::Over)
            }
            (Self::Ordered { order }, Event::Pay { at_ms, gains }) => {
                end(Self::Paid { order: order.clone(), paid_ms: *at_ms, gains: gains.clone() })
            }
            (Self::Ordered { order }, Event::Cancel { at_ms }) => {
                end(Self::Cancelled { order: order.clone(), cancelled_ms: *at_ms })
            }
            (Self::Ordered { order }, Event::Expire { at_ms }) if *at_ms >= order.expires_ms => {
                end(Self::Expired { order: order.clone() })
            }
            (Self::Ordered { .. }, Event::Expire { .. }) => Err(Illegal::NotOver),
            (Self::Paid { .. }, Event::Pay { .. })
            | (Self::Cancelled { .. }, Event::Cancel { .. })
            | (Self::Expired { .. }, Event::Expire { .. }) => Ok(Step::Replay),
            (Self::Paid { .. }, Event::Cancel { .. } | Event::Expire { .. }) => Err(Illegal::Paid),
            (Self::Cancelled { .. }, Event::Pay { .. } | Event::Expire { .. }) => Err(Illegal::Cancelled),
            (Self::Expired { .. }, Event::Pay { .. } | Event::Cancel { .. }) => Err(Illegal::Over),
        }
    }

    fn told(&self, id: &[u8], version: u64, event: &Event) -> Option<Effect> {
        let OrderKey(place) = OrderKey::of_machine(Shard::HOME, 0, id)?;
        Some(Effect {
            topic: ORDER_MOVED,
            subject: place.subject,
            seq: machine::told_number(place.seq, version)?,
            key: id.to_vec(),
            n: i64::try_from(version).ok()?,
            body: id.to_vec(),
            at_ms: event.at_ms(),
            due_ms: None,
        })
    }
}

impl Event {
    fn at_ms(&self) -> i64 {
        match self {
            Self::Pay { at_ms, .. } | Self::Cancel { at_ms } | Self::Expire { at_ms } => *at_ms,
        }
    }
}

/// An offer's units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shelf {
    /// Units that may still be ordered.
    pub free: u64,
    /// Units that are ordered and not paid.
    pub held: u64,
    /// Units that are paid.
    pub sold: u64,
}

/// A campaign and an offer in it.
pub(crate) type OfferKey = (u32, String);

static SHELVES: ByKeys = ByKeys::new(
    "SELECT campaign,offer,free,held,sold FROM offer_stock WHERE shard=? AND tenant=?",
    &["campaign", "offer"],
    "",
);

/// The units of offers.
pub(crate) async fn shelves(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    offers: &[OfferKey],
) -> Result<BTreeMap<OfferKey, Shelf>, RecordsError> {
    let fixed = [Value::Int(shard.0.into()), Value::Int(tenant.into())];
    let keys: Vec<_> = offers
        .iter()
        .flat_map(|(campaign, offer)| [Value::Int((*campaign).into()), Value::Text(offer)])
        .collect();
    let rows = SHELVES.fetch(tx, &fixed, &keys).await?;
    let read = |row: &records::port::Row| {
        let shelf = Shelf { free: row.count(2)?, held: row.count(3)?, sold: row.count(4)? };
        Ok(((row.small(0)?, row.text(1)?.to_owned()), shelf))
    };
    rows.iter().map(read).collect()
}

/// Writes how the units of an offer have moved. The guard is in the statement: units that are not there are a surprise, and
/// nothing is kept.
pub(crate) async fn move_units(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    (campaign, offer): &OfferKey,
    (before, after): (Shelf, Shelf),
) -> Result<(), RecordsError> {
    if before == after {
        return Ok(());
    }
    let values = [
        Value::count(after.free),
        Value::count(after.held),
        Value::count(after.sold),
        Value::Int(shard.0.into()),
        Value::Int(tenant.into()),
        Value::Int((*campaign).into()),
        Value::Text(offer),
        Value::count(before.free),
        Value::count(before.held),
        Value::count(before.sold),
    ];
    let sql = "UPDATE offer_stock SET free=?, held=?, sold=?
        WHERE shard=? AND tenant=? AND campaign=? AND offer=? AND free=? AND held=? AND sold=?";
    if tx.exec(sql, &values).await? == 1 { Ok(()) } else { Err(RecordsError::Surprise("offer_stock")) }
}

/// Changes how many units of an offer there are in all. `false`: more of them are taken than would be left.
pub(crate) async fn allot(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    (campaign, offer): (u32, &str),
    units: u64,
) -> Result<bool, RecordsError> {
    let key = [
        Value::Int(shard.0.into()),
        Value::Int(tenant.into()),
        Value::Int(campaign.into()),
        Value::Text(offer),
    ];
    let units = Value::count(units);
    let sql = "SELECT held+sold FROM offer_stock WHERE shard=? AND tenant=? AND campaign=? AND offer=?";
    let Some(taken) = tx.fetch(sql, &key).await?.first().map(|row| row.int(0)).transpose()? else {
        let sql = "INSERT INTO offer_stock (shard,tenant,campaign,offer,allotted,free,held,sold)
             VALUES (?,?,?,?,?,?,0,0)";
        return tx.exec(sql, &[&key[..], &[units, units]].concat()).await.map(|_| true);
    };
    let sql = "UPDATE offer_stock SET allotted=?, free=?-held-sold
         WHERE shard=? AND tenant=? AND campaign=? AND offer=? AND held+sold<=? AND held+sold=?";
    let values = [&[units, units][..], &key, &[units, Value::Int(taken)]].concat();
    Ok(tx.exec(sql, &values).await? == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered() -> Ordered {
        Ordered {
            bucket: 7,
            who: "00".repeat(16),
            campaign: "c".to_owned(),
            offer: "o".to_owned(),
            quantity: 1,
            price: None,
            gains: vec![],
            is_finite: true,
            day: 0,
            at_ms: 0,
            expires_ms: 10,
        }
    }

    #[test]
    fn an_order_ends_once() {
        let order = ordered();
        let states = [
            Order::Ordered { order: order.clone() },
            Order::Paid { order: order.clone(), paid_ms: 1, gains: vec![] },
            Order::Cancelled { order: order.clone(), cancelled_ms: 1 },
            Order::Expired { order },
        ];
        let word = |step: Result<Step<Order>, Illegal>| match step {
            Ok(Step::Replay) => "replay".to_owned(),
            Ok(Step::Move { to, .. }) => {
                serde_json::to_value(&to).expect("JSON")["state"].as_str().expect("a word").to_owned()
            }
            Err(illegal) => format!("{illegal:?}"),
        };
        for (event, expected) in [
            (Event::Pay { at_ms: 9, gains: vec![] }, ["paid", "replay", "Cancelled", "Over"]),
            (Event::Pay { at_ms: 10, gains: vec![] }, ["Over", "replay", "Cancelled", "Over"]),
            (Event::Cancel { at_ms: 9 }, ["cancelled", "Paid", "replay", "Over"]),
            (Event::Cancel { at_ms: 10 }, ["Over", "Paid", "replay", "Over"]),
            (Event::Expire { at_ms: 9 }, ["NotOver", "Paid", "Cancelled", "replay"]),
            (Event::Expire { at_ms: 10 }, ["expired", "Paid", "Cancelled", "replay"]),
        ] {
            for (state, expected) in states.iter().zip(expected) {
                assert_eq!(word(state.on(&event)), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn an_orders_id_leads_back_to_its_row() {
        let key = OrderKey(Place { bucket: 7, shard: Shard(3), subject: 9, seq: 11 });
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(OrderKey::of_machine(Shard(3), 7, &key.machine_id()), Some(key));
        assert!("drw_0000000000000g000000000001".parse::<OrderKey>().is_err());
    }
}
