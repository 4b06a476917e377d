//! How much is unsent, for how long, and when that is too much to begin anything new.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kernel::id::Shard;

use crate::error::Error;
use crate::port::{Tx, Value};

/// Most rows that are counted of each kind: a count is as cheap when much is unsent as when little is.
pub const ROWS_MAX: u32 = 65_536;

/// Effects that may be unsent before new work is refused, where nothing else is configured.
const EFFECTS_MAX: u64 = 1_000_000;

/// How much is unsent: `(fresh, waiting, dead)`. Each counts [`ROWS_MAX`] rows at the most; a row of what is fresh is a
/// parcel, and counts as many effects as it holds.
pub async fn backlog(tx: &mut dyn Tx, shard: Shard) -> Result<(u64, u64, u64), Error> {
    let (_, effects) = fresh(tx, shard, ALL).await?;
    Ok((effects, aside(tx, shard, false, ALL).await?, aside(tx, shard, true, ALL).await?))
}

/// Of what is counted, a part by its topic: the end of a condition, and the topic that it compares with.
type Part<'t> = (&'static str, Option<Value<'t>>);

/// Nothing is left out.
const ALL: Part<'static> = ("", None);

/// Parcels of what is fresh, and the effects in them.
async fn fresh(tx: &mut dyn Tx, shard: Shard, (part, topic): Part<'_>) -> Result<(u64, u64), Error> {
    let sql = format!(
        "SELECT COUNT(*),COALESCE(SUM(some.effects),0)
        FROM (SELECT effects FROM outbox WHERE shard=?{part} LIMIT ?) AS some"
    );
    let values = [Some(Value::Int(shard.0.into())), topic, Some(Value::Int(ROWS_MAX.into()))];
    let rows = tx.fetch(&sql, &values.into_iter().flatten().collect::<Vec<_>>()).await?;
    rows.first().map_or(Ok((0, 0)), |row| Ok((row.count(0)?, row.count(1)?)))
}

/// Effects that wait, or dead letters.
async fn aside(tx: &mut dyn Tx, shard: Shard, is_dead: bool, (part, topic): Part<'_>) -> Result<u64, Error> {
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT dead FROM outbox_aside WHERE shard=? AND dead=?{part} LIMIT ?) AS some"
    );
    let (shard, dead) = (Value::Int(shard.0.into()), Value::Int(is_dead.into()));
    let values = [Some(shard), Some(dead), topic, Some(Value::Int(ROWS_MAX.into()))];
    let rows = tx.fetch(&sql, &values.into_iter().flatten().collect::<Vec<_>>()).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

/// Since when the oldest effect of each topic has been owed, in milliseconds since the epoch: dead letters and what is not
/// due yet are left out.
pub async fn lag(tx: &mut dyn Tx, shard: Shard, now_ms: i64) -> Result<BTreeMap<String, i64>, Error> {
    let mut oldest = BTreeMap::new();
    for sql in [
        "SELECT topic,MIN(at_ms) FROM outbox WHERE shard=? AND at_ms<=? GROUP BY topic",
        "SELECT topic,MIN(at_ms) FROM outbox_aside WHERE shard=? AND at_ms<=? AND dead=0 GROUP BY topic",
    ] {
        for row in tx.fetch(sql, &[Value::Int(shard.0.into()), Value::Int(now_ms)]).await? {
            let at_ms = row.int(1)?;
            let known = oldest.entry(row.text(0)?.to_owned()).or_insert(at_ms);
            *known = at_ms.min(*known);
        }
    }
    Ok(oldest)
}

/// Since when the oldest dead letter of each topic has been owed, in milliseconds since the epoch.
pub async fn stranded(tx: &mut dyn Tx, shard: Shard) -> Result<BTreeMap<String, i64>, Error> {
    let sql = "SELECT topic,MIN(at_ms) FROM outbox_aside WHERE shard=? AND dead=1 GROUP BY topic";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into())]).await?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).collect()
}

/// Whether so much is unsent that nothing may begin that would add to it. The relay measures at the beginning of each round;
/// what begins meanwhile comes on top. It is asked before work begins, never after: what is kept is sent, however long it
/// takes.
#[derive(Debug)]
pub struct Pressure {
    effects_max: AtomicU64,
    owed: AtomicU64,
    is_high: AtomicBool,
    spared: OnceLock<&'static str>,
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            effects_max: AtomicU64::new(EFFECTS_MAX),
            owed: AtomicU64::new(0),
            is_high: AtomicBool::new(false),
            spared: OnceLock::new(),
        }
    }
}

impl Pressure {
    /// Sets how many effects may be unsent. More than [`ROWS_MAX`] rows are too much in any case.
    pub fn limit_to(&self, effects_max: u64) {
        self.effects_max.store(effects_max, Ordering::Relaxed);
    }

    /// How many effects may be unsent.
    pub fn limit(&self) -> u64 {
        self.effects_max.load(Ordering::Relaxed)
    }

    /// Sets how much is owed beside: what effects have led to, and has yet to leave the house. It counts as unsent.
    pub fn owe(&self, owed: u64) {
        self.owed.store(owed, Ordering::Relaxed);
    }

    /// Leaves a topic out, once: for what is told of work that is never refused for it.
    pub fn spare(&self, topic: &'static str) {
        self.spared.get_or_init(|| topic);
    }

    /// Refuses what would add to a backlog that is too long.
    pub fn admit(&self) -> Result<(), Error> {
        if self.is_high.load(Ordering::Relaxed) { Err(Error::Backlog) } else { Ok(()) }
    }

    /// Looks at how much is unsent.
    pub async fn measure(&self, tx: &mut dyn Tx, shard: Shard) -> Result<(), Error> {
        // What is before a topic and what is after it: an index leads to either.
        let parts = match self.spared.get() {
            Some(topic) => {
                [" AND topic<?", " AND topic>?"].map(|part| (part, Some(Value::Text(topic)))).to_vec()
            }
            None => vec![ALL],
        };
        let (mut parcels, mut fresh, mut waiting) = (0, 0, 0);
        for part in parts {
            let (more_parcels, more_effects) = self::fresh(tx, shard, part).await?;
            (parcels, fresh) = (parcels + more_parcels, fresh + more_effects);
            waiting += aside(tx, shard, false, part).await?;
        }
        let rows_max = u64::from(ROWS_MAX);
        let owed = self.owed.load(Ordering::Relaxed);
        let is_high = fresh + waiting + owed > self.limit() || parcels >= rows_max || waiting >= rows_max;
        if is_high != self.is_high.swap(is_high, Ordering::Relaxed) {
            tracing::warn!(
                shard = shard.0,
                fresh,
                waiting,
                owed,
                is_high,
                "the backlog of effects has passed its limit"
            );
        }
        Ok(())
    }
}
