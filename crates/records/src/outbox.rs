//! Effects, written in the transaction that causes them. A row here is unsent: the relay deletes what was
//! acknowledged, moves what failed to the waiting rows, and what cannot be delivered to the dead letters.

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
    order_key VARBINARY(64) NOT NULL,
    n BIGINT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (shard, topic, subject, seq)
){table_end}";

/// Both tables of effects that left the outbox without being delivered.
pub(crate) const DEAD_LETTER_TABLE: &str = "CREATE TABLE outbox_aside (
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
}

static OUTBOX: Insert =
    Insert::new("outbox", &["shard", "topic", "subject", "seq", "order_key", "n", "body"]);
static ASIDE: Insert = Insert::or_replace(
    "outbox_aside",
    &[
        "shard", "topic", "subject", "seq", "order_key", "n", "body", "dead", "attempts", "due_ms", "fault",
    ],
    4,
);

fn values(shard: Shard, effect: &Effect) -> [Value<'_>; 7] {
    [
        Value::Int(shard.0.into()),
        Value::Text(effect.topic),
        Value::Int(effect.subject.into()),
        Value::count(effect.seq),
        Value::Bytes(&effect.key),
        Value::Int(effect.n),
        Value::Bytes(&effect.body),
    ]
}

/// Writes effects; they leave after the transaction is kept, never before.
pub async fn post(tx: &mut dyn Tx, shard: Shard, effects: &[Effect]) -> Result<(), Error> {
    let values: Vec<_> = effects.iter().flat_map(|effect| values(shard, effect)).collect();
    OUTBOX.rows(tx, &values).await
}

/// An unsent effect, as the relay sees it.
#[derive(Debug, Clone)]
pub(crate) struct Unsent {
    pub(crate) subject: i64,
    pub(crate) seq: i64,
    /// How often it failed; `None` while it stands in the outbox itself.
    pub(crate) aside: Option<u32>,
    pub(crate) message: Message,
}

impl Unsent {
    fn from_row(shard: Shard, row: &Row, aside: Option<u32>) -> Result<Self, Error> {
        let (topic, subject, seq) = (row.text(0)?, row.int(1)?, row.int(2)?);
        Ok(Self {
            subject,
            seq,
            aside,
            message: Message {
                topic: topic.to_owned(),
                effect: format!("{topic}/{}/{subject}/{seq}", shard.0),
                key: row.bytes(3)?.to_vec(),
                n: row.int(4)?,
                body: row.bytes(5)?.to_vec(),
            },
        })
    }

    fn key_values(&self) -> [Value<'_>; 3] {
        [Value::Text(&self.message.topic), Value::Int(self.subject), Value::Int(self.seq)]
    }
}

/// Up to `limit` effects that never failed, in the order in which they were written.
pub(crate) async fn fresh(tx: &mut dyn Tx, shard: Shard, limit: u32) -> Result<Vec<Unsent>, Error> {
    let sql = "SELECT topic,subject,seq,order_key,n,body FROM outbox WHERE shard=?
               ORDER BY topic,subject,seq LIMIT ?";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), Value::Int(limit.into())]).await?;
    rows.iter().map(|row| Unsent::from_row(shard, row, None)).collect()
}

/// Effects that failed or stand behind one that did, oldest first. `due_ms` of each comes second.
pub(crate) async fn waiting(
    tx: &mut dyn Tx,
    shard: Shard,
    limit: u32,
) -> Result<Vec<(Unsent, i64)>, Error> {
    let sql = "SELECT topic,subject,seq,order_key,n,body,attempts,due_ms FROM outbox_aside
               WHERE shard=? AND dead=0 ORDER BY topic,subject,seq LIMIT ?";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), Value::Int(limit.into())]).await?;
    rows.iter().map(|row| Ok((Unsent::from_row(shard, row, Some(row.small(6)?))?, row.int(7)?))).collect()
}

static DELETE_FRESH: ByKeys =
    ByKeys::new("DELETE FROM outbox WHERE shard=?", &["topic", "subject", "seq"], "");
static DELETE_ASIDE: ByKeys =
    ByKeys::new("DELETE FROM outbox_aside WHERE shard=?", &["topic", "subject", "seq"], "");

/// Forgets effects that were acknowledged, wherever they stood.
pub(crate) async fn forget(tx: &mut dyn Tx, shard: Shard, sent: &[&Unsent]) -> Result<(), Error> {
    for (statement, is_aside) in [(&DELETE_FRESH, false), (&DELETE_ASIDE, true)] {
        let rows = sent.iter().filter(|unsent| unsent.aside.is_some() == is_aside);
        let keys: Vec<_> = rows.flat_map(|unsent| unsent.key_values()).collect();
        statement.exec(tx, &[Value::Int(shard.0.into())], &keys).await?;
    }
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
    let mut values = Vec::with_capacity(rows.len() * 11);
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
        ]);
    }
    ASIDE.rows(tx, &values).await?;
    let fresh = rows.iter().map(|row| row.unsent).filter(|unsent| unsent.aside.is_none());
    let keys: Vec<_> = fresh.flat_map(|unsent| unsent.key_values()).collect();
    DELETE_FRESH.exec(tx, &[Value::Int(shard.0.into())], &keys).await?;
    Ok(())
}

/// How much is unsent: `(fresh, waiting, dead)`.
pub async fn backlog(tx: &mut dyn Tx, shard: Shard) -> Result<(u64, u64, u64), Error> {
    let shard = [Value::Int(shard.0.into())];
    let fresh = tx.fetch("SELECT COUNT(*) FROM outbox WHERE shard=?", &shard).await?;
    let aside = tx
        .fetch("SELECT dead, COUNT(*) FROM outbox_aside WHERE shard=? GROUP BY dead ORDER BY dead", &shard)
        .await?;
    let mut counts = (fresh.first().map_or(Ok(0), |row| row.count(0))?, 0, 0);
    for row in &aside {
        if row.int(0)? == 0 { counts.1 = row.count(1)? } else { counts.2 = row.count(1)? }
    }
    Ok(counts)
}
