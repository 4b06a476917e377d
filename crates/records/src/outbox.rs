//! Effects, written in the transaction that causes them. What stands here is unsent: the relay deletes what was
//! acknowledged, sets aside what failed, and keeps what cannot be delivered as dead letters.
//!
//! The effects of one transaction travel as one row, a parcel, as they came together and mostly leave together. An
//! effect that does not leave with its parcel gets a row of its own, aside: one that failed, one behind it, and one that may
//! not leave before its time.

mod backlog;
mod letters;

pub use backlog::{Pressure, ROWS_MAX, backlog, lag, stranded};
pub use letters::{Letter, LetterId, bodies, letters, replay, revive, rewrite};

use std::collections::HashMap;

use kernel::id::Shard;
use kernel::ports::broker::Message;

use crate::error::Error;
use crate::port::{Row, Tx, Value};
use crate::statement::{ByKeys, Insert};

pub(crate) const OUTBOX_TABLE: &str = "CREATE TABLE outbox (
    shard INTEGER NOT NULL,
    topic VARCHAR(48) NOT NULL,
    subject BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    effects INTEGER NOT NULL,
    parcel MEDIUMBLOB NOT NULL,
    PRIMARY KEY (shard, topic, subject, seq)
){table_end}";

/// Effects that left their parcel without being delivered: they wait, or are dead.
pub(crate) const ASIDE_TABLE: &str = "CREATE TABLE outbox_aside (
    shard INTEGER NOT NULL,
    topic VARCHAR(48) NOT NULL,
    subject BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    order_key VARBINARY(64) NOT NULL,
    n BIGINT NOT NULL,
    body BLOB NOT NULL,
    dead INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms BIGINT NOT NULL,
    fault VARCHAR(500) NOT NULL,
    PRIMARY KEY (shard, topic, subject, seq)
){table_end}";

/// Since when an effect has been owed, for the lag; and ways to what is due, and to the first of a key, past all that waits.
pub(crate) const LATER_STEPS: &[&str] = &[
    "ALTER TABLE outbox ADD COLUMN at_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE outbox_aside ADD COLUMN at_ms BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX outbox_age ON outbox (shard, topic, at_ms, effects)",
    "CREATE INDEX outbox_aside_due ON outbox_aside (shard, dead, due_ms)",
    "CREATE INDEX outbox_aside_key ON outbox_aside (shard, topic, subject, order_key, dead, n)",
];

/// A way to what waits of a topic, so that a count can leave one out.
pub(crate) const BY_TOPIC: &[&str] =
    &["CREATE INDEX outbox_aside_topic ON outbox_aside (shard, dead, topic)"];

/// An effect to be. `subject` and `seq` name the entry that causes it (one effect per topic and entry); messages of
/// one `key` leave in the order of `n`, a gap-free number taken under the lock of the row that the key names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What kind of effect, for example `award.granted`. At most 48 bytes.
    pub topic: &'static str,
    /// The raffle or contest.
    pub subject: u32,
    /// The entry of its gate.
    pub seq: u64,
    /// What orders it. At most 64 bytes.
    pub key: Vec<u8>,
    /// Its place within the key.
    pub n: i64,
    /// The effect itself.
    pub body: Vec<u8>,
    /// When it was caused, in milliseconds since the epoch.
    pub at_ms: i64,
    /// It does not leave before this time, and nothing of its key that is later in order does. At once where nothing is said.
    pub due_ms: Option<i64>,
}

impl Effect {
    /// What tells that something numbered without gaps goes up to a number now. Each stands alone: whoever hears of a later one
    /// needs no earlier.
    pub fn up_to(topic: &'static str, subject: u32, last: u64, at_ms: i64) -> Self {
        let key = last.to_be_bytes().to_vec();
        Self { topic, subject, seq: last, key, n: 1, body: vec![], at_ms, due_ms: None }
    }
}

static OUTBOX: Insert =
    Insert::new("outbox", &["shard", "topic", "subject", "seq", "effects", "parcel", "at_ms"]);
const ASIDE_COLUMNS: &[&str] = &[
    "shard",
    "topic",
    "subject",
    "seq",
    "order_key",
    "n",
    "body",
    "dead",
    "attempts",
    "due_ms",
    "fault",
    "at_ms",
];
static ASIDE: Insert = Insert::or_replace("outbox_aside", ASIDE_COLUMNS, 4);
static DELAYED: Insert = Insert::new("outbox_aside", ASIDE_COLUMNS);

fn put(parcel: &mut Vec<u8>, bytes: &[u8]) {
    parcel.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    parcel.extend(bytes);
}

fn take<'p>(parcel: &mut &'p [u8]) -> Option<&'p [u8]> {
    let (length, rest) = parcel.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *parcel = rest;
    Some(bytes)
}

/// Each effect as its sequence and place (eight bytes each, big-endian), then key and body, each after its length.
fn pack(effects: &[&Effect]) -> Vec<u8> {
    let size = effects.iter().map(|effect| 24 + effect.key.len() + effect.body.len()).sum();
    let mut parcel = Vec::with_capacity(size);
    for effect in effects {
        parcel.extend(effect.seq.to_be_bytes());
        parcel.extend(effect.n.to_be_bytes());
        put(&mut parcel, &effect.key);
        put(&mut parcel, &effect.body);
    }
    parcel
}

/// Writes effects; they leave after the transaction is kept, never before.
pub async fn post(tx: &mut dyn Tx, shard: Shard, effects: &[Effect]) -> Result<(), Error> {
    let now: Vec<&Effect> = effects.iter().filter(|effect| effect.due_ms.is_none()).collect();
    for together in now.chunk_by(|a, b| (a.topic, a.subject) == (b.topic, b.subject)) {
        let Some(first) = together.first() else { continue };
        let parcel = pack(together);
        let values = [
            Value::Int(shard.0.into()),
            Value::Text(first.topic),
            Value::Int(first.subject.into()),
            Value::count(first.seq),
            Value::count(together.len() as u64),
            Value::Bytes(&parcel),
            Value::Int(first.at_ms),
        ];
        OUTBOX.rows(tx, &values).await?;
    }
    let mut values = Vec::new();
    for effect in effects {
        let Some(due_ms) = effect.due_ms else { continue };
        values.extend([
            Value::Int(shard.0.into()),
            Value::Text(effect.topic),
            Value::Int(effect.subject.into()),
            Value::count(effect.seq),
            Value::Bytes(&effect.key),
            Value::Int(effect.n),
            Value::Bytes(&effect.body),
            Value::Int(0),
            Value::Int(0),
            Value::Int(due_ms),
            Value::Text(""),
            Value::Int(due_ms.max(effect.at_ms)),
        ]);
    }
    DELAYED.rows(tx, &values).await
}

/// An unsent effect, as the relay sees it.
#[derive(Debug, Clone)]
pub(crate) struct Unsent {
    pub(crate) subject: i64,
    pub(crate) seq: i64,
    /// How often it failed; `None` while it stands in its parcel.
    pub(crate) aside: Option<u32>,
    /// Since when it is owed.
    pub(crate) at_ms: i64,
    pub(crate) message: Message,
}

impl Unsent {
    fn new(
        shard: Shard,
        (topic, subject, seq): (&str, i64, i64),
        at_ms: i64,
        (key, n, body): (&[u8], i64, &[u8]),
    ) -> Self {
        let effect = format!("{topic}/{}/{subject}/{seq}", shard.0);
        let message = Message { topic: topic.to_owned(), effect, key: key.to_vec(), n, body: body.to_vec() };
        Self { subject, seq, aside: None, at_ms, message }
    }

    fn key_values(&self) -> [Value<'_>; 3] {
        [Value::Text(&self.message.topic), Value::Int(self.subject), Value::Int(self.seq)]
    }
}

/// Names a parcel: topic, subject, and the sequence of its first effect.
pub(crate) type ParcelKey = (String, i64, i64);

/// Parcels, and the effects in them.
pub(crate) struct Fresh {
    pub(crate) parcels: Vec<ParcelKey>,
    pub(crate) effects: Vec<Unsent>,
    /// Whether there were more than the limits let through.
    pub(crate) more: bool,
}

/// The oldest parcels of every stream (topic and subject), within limits on parcels and effects, but at least one of each.
pub(crate) async fn fresh(
    tx: &mut dyn Tx,
    shard: Shard,
    (parcels_max, effects_max): (u32, usize),
) -> Result<Fresh, Error> {
    let shard_value = Value::Int(shard.0.into());
    let streams = tx.fetch("SELECT DISTINCT topic,subject FROM outbox WHERE shard=?", &[shard_value]).await?;
    // Each stream gets its share, so that none starves behind another.
    let streams_count = u32::try_from(streams.len()).unwrap_or(u32::MAX).max(1);
    let share = (parcels_max / streams_count).max(1);
    let mut fresh = Fresh { parcels: Vec::new(), effects: Vec::new(), more: false };
    for stream in &streams {
        let (topic, subject) = (stream.text(0)?, stream.int(1)?);
        let sql = "SELECT seq,parcel,at_ms FROM outbox WHERE shard=? AND topic=? AND subject=? ORDER BY seq LIMIT ?";
        let values = [shard_value, Value::Text(topic), Value::Int(subject), Value::Int(share.into())];
        let rows = tx.fetch(sql, &values).await?;
        fresh.more |= rows.len() >= share as usize;
        let enough = fresh.effects.len() + effects_max / streams_count as usize;
        for (place, row) in rows.iter().enumerate() {
            if place > 0 && fresh.effects.len() >= enough {
                fresh.more = true;
                break;
            }
            fresh.parcels.push((topic.to_owned(), subject, row.int(0)?));
            let mut parcel = row.bytes(1)?;
            while !parcel.is_empty() {
                let effect =
                    unpack(&mut parcel).ok_or_else(|| Error::Corrupt(format!("a parcel of {topic}")))?;
                let (seq, n, key, body) = effect;
                fresh.effects.push(Unsent::new(shard, (topic, subject, seq), row.int(2)?, (key, n, body)));
            }
        }
    }
    Ok(fresh)
}

/// What orders an effect: topic, subject and key.
pub(crate) type KeyName = (String, i64, Vec<u8>);

static BLOCKED: ByKeys = ByKeys::new(
    "SELECT topic,subject,order_key,MIN(n) FROM outbox_aside WHERE shard=? AND dead=0",
    &["topic", "subject", "order_key"],
    "GROUP BY topic,subject,order_key",
);

/// Which of these keys wait aside, and from which place on: what is later in its key waits behind.
pub(crate) async fn blocked(
    tx: &mut dyn Tx,
    shard: Shard,
    keys: &[KeyName],
) -> Result<HashMap<KeyName, i64>, Error> {
    let values: Vec<_> = keys
        .iter()
        .flat_map(|(topic, subject, key)| [Value::Text(topic), Value::Int(*subject), Value::Bytes(key)])
        .collect();
    let rows = BLOCKED.fetch(tx, &[Value::Int(shard.0.into())], &values).await?;
    let read = |row: &Row| Ok(((row.text(0)?.to_owned(), row.int(1)?, row.bytes(2)?.to_vec()), row.int(3)?));
    rows.iter().map(read).collect()
}

/// Whether anything waits aside.
pub(crate) async fn is_anything_aside(tx: &mut dyn Tx, shard: Shard) -> Result<bool, Error> {
    let sql = "SELECT seq FROM outbox_aside WHERE shard=? AND dead=0 LIMIT 1";
    Ok(!tx.fetch(sql, &[Value::Int(shard.0.into())]).await?.is_empty())
}

fn unpack<'p>(parcel: &mut &'p [u8]) -> Option<(i64, i64, &'p [u8], &'p [u8])> {
    let (seq, rest) = parcel.split_first_chunk::<8>()?;
    let (n, rest) = rest.split_first_chunk::<8>()?;
    *parcel = rest;
    Some((i64::from_be_bytes(*seq), i64::from_be_bytes(*n), take(parcel)?, take(parcel)?))
}

/// Effects aside whose time has come and that are the first of their key, longest due first. What is older and
/// stands in parcels of the same stream goes before them: it may be of their key.
pub(crate) async fn due(
    tx: &mut dyn Tx,
    shard: Shard,
    (now_ms, limit): (i64, u32),
) -> Result<Vec<Unsent>, Error> {
    let sql = "SELECT a.topic,a.subject,a.seq,a.order_key,a.n,a.body,a.attempts,a.at_ms FROM outbox_aside a
        WHERE a.shard=? AND a.dead=0 AND a.due_ms<=?
        AND NOT EXISTS (SELECT 1 FROM outbox_aside b WHERE b.shard=a.shard AND b.topic=a.topic
            AND b.subject=a.subject AND b.order_key=a.order_key AND b.dead=0 AND b.n<a.n)
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.shard=a.shard AND o.topic=a.topic
            AND o.subject=a.subject AND o.seq<a.seq)
        ORDER BY a.due_ms LIMIT ?";
    let values = [Value::Int(shard.0.into()), Value::Int(now_ms), Value::Int(limit.into())];
    let rows = tx.fetch(sql, &values).await?;
    rows.iter()
        .map(|row| {
            let message = (row.bytes(3)?, row.int(4)?, row.bytes(5)?);
            let unsent = Unsent::new(shard, (row.text(0)?, row.int(1)?, row.int(2)?), row.int(7)?, message);
            Ok(Unsent { aside: Some(row.small(6)?), ..unsent })
        })
        .collect()
}

static DELETE_PARCELS: ByKeys =
    ByKeys::new("DELETE FROM outbox WHERE shard=?", &["topic", "subject", "seq"], "");
static DELETE_ASIDE: ByKeys =
    ByKeys::new("DELETE FROM outbox_aside WHERE shard=?", &["topic", "subject", "seq"], "");

/// Forgets parcels of which every effect was sent or set aside, and what was sent from aside.
pub(crate) async fn forget(
    tx: &mut dyn Tx,
    shard: Shard,
    parcels: &[ParcelKey],
    sent: &[Unsent],
) -> Result<(), Error> {
    let fixed = [Value::Int(shard.0.into())];
    let keys: Vec<_> = parcels
        .iter()
        .flat_map(|(topic, subject, seq)| [Value::Text(topic), Value::Int(*subject), Value::Int(*seq)])
        .collect();
    DELETE_PARCELS.exec(tx, &fixed, &keys).await?;
    let from_aside = sent.iter().filter(|unsent| unsent.aside.is_some());
    let keys: Vec<_> = from_aside.flat_map(|unsent| unsent.key_values()).collect();
    DELETE_ASIDE.exec(tx, &fixed, &keys).await?;
    Ok(())
}

/// Why an effect stands aside.
pub(crate) struct Aside<'a> {
    pub(crate) unsent: &'a Unsent,
    pub(crate) dead: bool,
    pub(crate) attempts: u32,
    pub(crate) due_ms: i64,
    pub(crate) fault: &'a str,
}

/// Sets effects aside: to wait, or dead.
pub(crate) async fn set_aside(tx: &mut dyn Tx, shard: Shard, rows: &[Aside<'_>]) -> Result<(), Error> {
    let mut values = Vec::with_capacity(rows.len() * ASIDE_COLUMNS.len());
    for row in rows {
        values.push(Value::Int(shard.0.into()));
        values.extend(row.unsent.key_values());
        values.extend([
            Value::Bytes(&row.unsent.message.key),
            Value::Int(row.unsent.message.n),
            Value::Bytes(&row.unsent.message.body),
            Value::Int(row.dead.into()),
            Value::Int(row.attempts.into()),
            Value::Int(row.due_ms),
            Value::Text(row.fault),
            Value::Int(row.unsent.at_ms),
        ]);
    }
    ASIDE.rows(tx, &values).await
}
