//! Who was exposed to what, written once; and the goals that they reached afterwards.
//!
//! [`expose`] and [`record`] work inside a transaction of any room, on the shard of the participants' buckets. They read
//! nothing of the experiment: what the caller's process knows of it, which may be a second old, is told with the asking.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kernel::id::Shard;
use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use super::bucketing::Pseudonyms;
use super::error::Error;
use super::live::{Live, home_of};

/// Largest value of one event.
pub const VALUE_MAX: u64 = 1_000_000;
/// Largest sum of one participant's values of one goal: its square times all the participants of a slot fits the row.
pub const TOTAL_MAX: u64 = 1_000_000;
/// Rows that one count is spread over, so that participants seldom wait for each other's.
const SLOTS: u16 = 16;

/// One participant in one experiment.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The experiment.
    pub live: Arc<Live>,
    /// The participant's bucket.
    pub bucket: u16,
    /// Their name in this experiment.
    pub pseudonym: [u8; 16],
    /// The arm where they go, unless they were exposed before.
    pub arm: usize,
}

/// Names one exposure: bucket, experiment, pseudonym.
pub(super) type Key = (u16, String, [u8; 16]);

impl Guest {
    /// A participant who takes part; `None` where they do not.
    pub fn of(live: &Arc<Live>, names: &Pseudonyms, participant: &str) -> Option<Self> {
        if !live.takes(participant) {
            return None;
        }
        let arm = live.arm_for(participant)?;
        let pseudonym = names.of(live.id(), participant);
        Some(Self { live: Arc::clone(live), bucket: home_of(participant).number(), pseudonym, arm })
    }

    fn key(&self) -> Key {
        (self.bucket, self.live.id().to_owned(), self.pseudonym)
    }

    fn key_values(&self) -> [Value<'_>; 4] {
        [
            Value::Int(self.bucket.into()),
            Value::Int(self.live.tenant.into()),
            Value::Text(self.live.id()),
            Value::Bytes(&self.pseudonym),
        ]
    }
}

/// An assignment that was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposed {
    /// The arm's place in the document.
    pub arm: usize,
    /// The weights that assigned it.
    pub generation: u32,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

static KNOWN: ByKeys = ByKeys::new(
    "SELECT bucket,experiment,pseudonym,arm,generation,at_ms FROM experiment_exposure WHERE tenant=?",
    &["bucket", "experiment", "pseudonym"],
    "",
);
static EXPOSURES: Insert = Insert::new(
    "experiment_exposure",
    &["bucket", "tenant", "experiment", "pseudonym", "arm", "generation", "at_ms"],
);

pub(super) fn read_exposed(row: &Row) -> Result<(Key, Exposed), RecordsError> {
    let bucket = u16::try_from(row.int(0)?).map_err(|_| RecordsError::Corrupt("a bucket".to_owned()))?;
    let exposed = Exposed {
        arm: usize::try_from(row.small(3)?).unwrap_or(usize::MAX),
        generation: row.small(4)?,
        at_ms: row.int(5)?,
    };
    Ok(((bucket, row.text(1)?.to_owned(), row.array(2)?), exposed))
}

async fn known(tx: &mut dyn Tx, guests: &[&Guest]) -> Result<HashMap<Key, Exposed>, RecordsError> {
    let Some(first) = guests.first() else { return Ok(HashMap::new()) };
    let keys: Vec<_> = guests
        .iter()
        .flat_map(|guest| {
            [Value::Int(guest.bucket.into()), Value::Text(guest.live.id()), Value::Bytes(&guest.pseudonym)]
        })
        .collect();
    let rows = KNOWN.fetch(tx, &[Value::Int(first.live.tenant.into())], &keys).await?;
    rows.iter().map(read_exposed).collect()
}

/// The assignments of guests, where they were exposed; all of one tenant and shard.
pub async fn look(tx: &mut dyn Tx, guests: &[&Guest]) -> Result<Vec<Option<Exposed>>, RecordsError> {
    let known = known(tx, guests).await?;
    Ok(guests.iter().map(|guest| known.get(&guest.key()).copied()).collect())
}

/// Exposes guests, in the transaction of what they are shown; all of one tenant and shard. The first exposure stands: who
/// was exposed before keeps their arm, whatever the weights say now.
pub async fn expose(
    tx: &mut dyn Tx,
    shard: Shard,
    guests: &[&Guest],
    now_ms: i64,
) -> Result<Vec<Exposed>, RecordsError> {
    let mut known = known(tx, guests).await?;
    // In the order of their keys, so that two who expose at once lock in one order.
    let mut fresh: BTreeMap<Key, (&Guest, Exposed)> = BTreeMap::new();
    for guest in guests {
        let key = guest.key();
        if !known.contains_key(&key) {
            let exposed = Exposed { arm: guest.arm, generation: guest.live.generation, at_ms: now_ms };
            known.insert(key.clone(), exposed);
            fresh.insert(key, (guest, exposed));
        }
    }
    let mut values = Vec::with_capacity(fresh.len() * 7);
    let mut counts = Counts::default();
    for (guest, exposed) in fresh.values() {
        values.extend(guest.key_values());
        values.extend([
            Value::count(exposed.arm as u64),
            Value::Int(exposed.generation.into()),
            Value::Int(exposed.at_ms),
        ]);
        counts.add(guest, *exposed, "", Count { participants: 1, ..Count::default() });
    }
    EXPOSURES.rows(tx, &values).await?;
    counts.write(tx, shard).await?;
    let answers = guests.iter().map(|guest| known.get(&guest.key()).copied());
    answers.collect::<Option<_>>().ok_or_else(|| RecordsError::Corrupt("an exposure".to_owned()))
}

/// What is added to a count. All of it only grows.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    participants: i64,
    total: i64,
    squares: i64,
}

/// Names a row of counts: tenant, experiment, slot, generation, arm, goal.
type CountKey = (u32, String, u16, u32, usize, String);

#[derive(Default)]
struct Counts(BTreeMap<CountKey, Count>);

impl Counts {
    fn add(&mut self, guest: &Guest, exposed: Exposed, goal: &str, more: Count) {
        let id = guest.live.id().to_owned();
        let key =
            (guest.live.tenant, id, guest.bucket % SLOTS, exposed.generation, exposed.arm, goal.to_owned());
        let count = self.0.entry(key).or_default();
        count.participants += more.participants;
        count.total += more.total;
        count.squares += more.squares;
    }

    async fn write(&self, tx: &mut dyn Tx, shard: Shard) -> Result<(), RecordsError> {
        for ((tenant, experiment, slot, generation, arm, goal), count) in &self.0 {
            let key = [
                Value::Int(shard.0.into()),
                Value::Int((*tenant).into()),
                Value::Text(experiment),
                Value::Int((*slot).into()),
                Value::Int((*generation).into()),
                Value::count(*arm as u64),
                Value::Text(goal),
            ];
            let more = [Value::Int(count.participants), Value::Int(count.total), Value::Int(count.squares)];
            let update =
                "UPDATE experiment_count SET participants=participants+?, total=total+?, squares=squares+?
                WHERE shard=? AND tenant=? AND experiment=? AND slot=? AND generation=? AND arm=? AND goal=?";
            if tx.exec(update, &[&more[..], &key].concat()).await? == 0 {
                let insert = "INSERT INTO experiment_count
                    (shard,tenant,experiment,slot,generation,arm,goal,participants,total,squares)
                    VALUES (?,?,?,?,?,?,?,?,?,?)";
                tx.exec(insert, &[&key[..], &more].concat()).await?;
            }
        }
        Ok(())
    }
}

/// Something that a guest did.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Who.
    pub guest: Guest,
    /// Which goal it is.
    pub goal: String,
    /// Names the event for ever: telling it again changes nothing.
    pub event: String,
    /// How much, at most [`VALUE_MAX`].
    pub value: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The raffle or the offer in which it happened, where it did: it counts in the arm of that one alone.
    pub place: Option<String>,
}

/// What became of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It counts, from now on.
    Counted,
    /// It counted before.
    Before,
    /// It does not count: they were not exposed when it happened, or the experiment did not run.
    Not,
}

/// Records a hit, once.
pub async fn record(tx: &mut dyn Tx, shard: Shard, hit: &Hit) -> Result<Recorded, Error> {
    let Hit { guest, goal, event, value, at_ms, place } = hit;
    if !guest.live.life.counts(*at_ms) {
        return Ok(Recorded::Not);
    }
    let exposed = look(tx, &[guest]).await?.into_iter().next().flatten();
    let Some(exposed) = exposed.filter(|exposed| exposed.at_ms <= *at_ms) else { return Ok(Recorded::Not) };
    let of_arm = guest.live.raffle_of(exposed.arm).or(guest.live.offer_of(exposed.arm));
    if place.is_some() && place.as_deref() != of_arm {
        return Ok(Recorded::Not);
    }
    let key = [&guest.key_values()[..], &[Value::Text(goal)]].concat();
    let named = [&key[..], &[Value::Text(event)]].concat();
    let sql = "SELECT value FROM experiment_event
        WHERE bucket=? AND tenant=? AND experiment=? AND pseudonym=? AND goal=? AND event=?";
    if let Some(before) = tx.fetch(sql, &named).await?.first() {
        return if before.count(0)? == *value { Ok(Recorded::Before) } else { Err(Error::EventReused) };
    }
    let end = tx.dialect().for_update();
    let sql = format!(
        "SELECT events,total FROM experiment_tally
         WHERE bucket=? AND tenant=? AND experiment=? AND pseudonym=? AND goal=?{end}"
    );
    let tally = tx.fetch(&sql, &key).await?;
    let (events, before) =
        tally.first().map_or(Ok((0, 0)), |row| Ok::<_, Error>((row.count(0)?, row.count(1)?)))?;
    let total = before.saturating_add(*value);
    if total > TOTAL_MAX {
        return Err(Error::BeyondTotal(TOTAL_MAX));
    }
    let insert = "INSERT INTO experiment_event (bucket,tenant,experiment,pseudonym,goal,event,value,at_ms)
        VALUES (?,?,?,?,?,?,?,?)";
    tx.exec(insert, &[&named[..], &[Value::count(*value), Value::Int(*at_ms)]].concat()).await?;
    let tallied = [Value::count(events + 1), Value::count(total)];
    let sql = if events == 0 {
        "INSERT INTO experiment_tally (events,total,bucket,tenant,experiment,pseudonym,goal) VALUES (?,?,?,?,?,?,?)"
    } else {
        "UPDATE experiment_tally SET events=?, total=?
         WHERE bucket=? AND tenant=? AND experiment=? AND pseudonym=? AND goal=?"
    };
    if tx.exec(sql, &[&tallied[..], &key].concat()).await? != 1 {
        return Err(RecordsError::Surprise("experiment_tally").into());
    }
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let more = Count {
        participants: i64::from(events == 0),
        total: number(*value),
        squares: number(total * total - before * before),
    };
    let mut counts = Counts::default();
    counts.add(guest, exposed, goal, more);
    counts.write(tx, shard).await?;
    Ok(Recorded::Counted)
}

static FORGET_EXPOSURES: ByKeys = ByKeys::new(
    "DELETE FROM experiment_exposure WHERE bucket=? AND tenant=?",
    &["experiment", "pseudonym"],
    "",
);
static FORGET_EVENTS: ByKeys =
    ByKeys::new("DELETE FROM experiment_event WHERE bucket=? AND tenant=?", &["experiment", "pseudonym"], "");
static FORGET_TALLIES: ByKeys =
    ByKeys::new("DELETE FROM experiment_tally WHERE bucket=? AND tenant=?", &["experiment", "pseudonym"], "");

/// Forgets a participant under their names in experiments: what they were shown and what they did. Counts stay: they are
/// nobody's. Answers in how many experiments they were.
pub(super) async fn forget(
    tx: &mut dyn Tx,
    (bucket, tenant): (u16, u32),
    names: &[(String, [u8; 16])],
) -> Result<u64, RecordsError> {
    let fixed = [Value::Int(bucket.into()), Value::Int(tenant.into())];
    let keys: Vec<_> = names
        .iter()
        .flat_map(|(experiment, pseudonym)| [Value::Text(experiment), Value::Bytes(pseudonym)])
        .collect();
    FORGET_EVENTS.exec(tx, &fixed, &keys).await?;
    FORGET_TALLIES.exec(tx, &fixed, &keys).await?;
    FORGET_EXPOSURES.exec(tx, &fixed, &keys).await
}
