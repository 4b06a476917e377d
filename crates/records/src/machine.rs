//! The one persisted state machine. A machine is a pure function of state and event; here its state, the effects
//! of its move and its next timer are written in one transaction, and a late or doubled event is a named result.

use std::collections::{HashMap, HashSet};

use kernel::id::Shard;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::outbox::{self, Effect};
use crate::port::{Row, Tx, Value};
use crate::statement::{ByKeys, Insert};

pub(crate) const MACHINE_TABLE: &str = "CREATE TABLE machine (
    shard INTEGER NOT NULL,
    kind VARCHAR(32) NOT NULL,
    id VARBINARY(64) NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    state VARCHAR(4000) NOT NULL,
    due_ms BIGINT,
    PRIMARY KEY (shard, kind, id)
){table_end}";

/// An order tells what it asked for and what it gave: with long ids more than the first table took.
pub(crate) const LONGER_STATES: &str = "ALTER TABLE machine MODIFY COLUMN state VARCHAR(12000) NOT NULL";

/// Longest state, in characters.
pub const STATE_MAX: usize = 12_000;

pub(crate) const TIMER_TABLE: &str = "CREATE TABLE timer (
    shard INTEGER NOT NULL,
    due_ms BIGINT NOT NULL,
    kind VARCHAR(32) NOT NULL,
    id VARBINARY(64) NOT NULL,
    PRIMARY KEY (shard, due_ms, kind, id)
){table_end}";

/// A state that knows how it moves.
pub trait Machine: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Names the machine's rows. At most 32 bytes; never reused for another machine.
    const KIND: &'static str;
    /// What can happen to it.
    type Event: Send + Sync;
    /// Why an event cannot happen now.
    type Illegal: Send;
    /// The whole life of the machine. Pure: no clock, no I/O.
    fn on(&self, event: &Self::Event) -> Result<Step<Self>, Self::Illegal>;
    /// What tells those who follow it that it has come to this state, its how-many-eth from 1: an effect that names it and
    /// says no more. Nobody follows it where there is none.
    fn told(&self, _id: &[u8], _version: u64, _event: &Self::Event) -> Option<Effect> {
        None
    }
}

/// Bits of an effect's number that count the states of one machine.
const VERSION_BITS: u32 = 20;

/// Numbers what tells of a machine's state: its own number, then how many states it has had. `None` where that is more than
/// a number holds; then nobody is told.
pub fn told_number(number: u64, version: u64) -> Option<u64> {
    let fits = number < 1 << (63 - VERSION_BITS) && version < 1 << VERSION_BITS;
    fits.then_some(number << VERSION_BITS | version)
}

/// What an event does to a state.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<S> {
    /// The state moves on.
    Move {
        /// The state after the event.
        to: S,
        /// What the world is owed.
        effects: Vec<Effect>,
        /// When to wake the machine next, in milliseconds since the epoch; replaces the timer before.
        due_ms: Option<i64>,
    },
    /// Heard before: nothing to write, nothing to do.
    Replay,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<M, I> {
    /// The machine moved, now, in this transaction.
    Moved(M),
    /// The event had been taken before; the state as it stands.
    Replayed(M),
    /// The event cannot happen in this state.
    Illegal(I),
    /// There is no machine with this id.
    Missing,
}

static MACHINES: Insert = Insert::new("machine", &["shard", "kind", "id", "version", "state", "due_ms"]);
static KNOWN: ByKeys = ByKeys::new("SELECT id FROM machine WHERE shard=? AND kind=?", &["id"], "");

/// Starts machines; ids that exist already stay as they are. Being idempotent by id, this is an inbox for messages whose
/// effect name is the id.
pub async fn start<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    machines: &[(Vec<u8>, M, Option<i64>)],
) -> Result<(), Error> {
    // Most ids are new, so that is tried first; a statement that meets an old one keeps nothing of itself. Statements
    // before it keep their rows, so what has timers to set is looked up first.
    if machines.iter().all(|(_, _, due_ms)| due_ms.is_none()) {
        match insert(tx, shard, machines).await {
            Err(Error::Duplicate(_)) => {}
            outcome => return outcome,
        }
    }
    let ids: Vec<_> = machines.iter().map(|(id, _, _)| Value::Bytes(id)).collect();
    let fixed = [Value::Int(shard.0.into()), Value::Text(M::KIND)];
    let known = KNOWN.fetch(tx, &fixed, &ids).await?;
    let known: HashSet<&[u8]> = known.iter().map(|row| row.bytes(0)).collect::<Result<_, _>>()?;
    let new = machines.iter().filter(|(id, _, _)| !known.contains(id.as_slice()));
    let new: Vec<_> = new.cloned().collect();
    insert(tx, shard, &new).await
}

/// Which of these machines there are.
pub async fn known<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    ids: &[Vec<u8>],
) -> Result<HashSet<Vec<u8>>, Error> {
    let ids: Vec<_> = ids.iter().map(|id| Value::Bytes(id)).collect();
    let rows = KNOWN.fetch(tx, &[Value::Int(shard.0.into()), Value::Text(M::KIND)], &ids).await?;
    rows.iter().map(|row| row.bytes(0).map(<[u8]>::to_vec)).collect()
}

/// Starts machines whose ids are new, or none of a statement's rows.
async fn insert<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    machines: &[(Vec<u8>, M, Option<i64>)],
) -> Result<(), Error> {
    let states: Vec<_> = machines.iter().map(|(_, machine, _)| encode(machine)).collect::<Result<_, _>>()?;
    let values: Vec<_> = machines
        .iter()
        .zip(&states)
        .flat_map(|((id, _, due_ms), state)| {
            [
                Value::Int(shard.0.into()),
                Value::Text(M::KIND),
                Value::Bytes(id),
                Value::Int(1),
                Value::Text(state),
                Value::int_or_null(*due_ms),
            ]
        })
        .collect();
    MACHINES.rows(tx, &values).await?;
    for (id, _, due_ms) in machines {
        if let Some(due_ms) = due_ms {
            set_timer(tx, shard, M::KIND, id, *due_ms).await?;
        }
    }
    Ok(())
}

/// Tells a machine that something happened.
pub async fn apply<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    id: &[u8],
    event: &M::Event,
) -> Result<Outcome<M, M::Illegal>, Error> {
    let key = [Value::Int(shard.0.into()), Value::Text(M::KIND), Value::Bytes(id)];
    let select = format!(
        "SELECT state,version,due_ms FROM machine WHERE shard=? AND kind=? AND id=?{}",
        tx.dialect().for_update()
    );
    let rows = tx.fetch(&select, &key).await?;
    let Some(row) = rows.first() else { return Ok(Outcome::Missing) };
    let state: M = decode(row, 0)?;
    let (version, due_before) = (row.int(1)?, row.int_or_null(2)?);
    let (to, mut effects, due_ms) = match state.on(event) {
        Ok(Step::Move { to, effects, due_ms }) => (to, effects, due_ms),
        Ok(Step::Replay) => return Ok(Outcome::Replayed(state)),
        Err(illegal) => return Ok(Outcome::Illegal(illegal)),
    };
    let text = encode(&to)?;
    let moved = [Value::Text(&text), Value::Int(version + 1), Value::int_or_null(due_ms)];
    let update =
        "UPDATE machine SET state=?, version=?, due_ms=? WHERE shard=? AND kind=? AND id=? AND version=?";
    let changed = tx.exec(update, &[&moved[..], &key, &[Value::Int(version)]].concat()).await?;
    if changed != 1 {
        return Err(Error::Surprise("machine"));
    }
    if let Some(before) = due_before {
        clear_timer(tx, shard, M::KIND, id, before).await?;
    }
    if let Some(due_ms) = due_ms {
        set_timer(tx, shard, M::KIND, id, due_ms).await?;
    }
    effects.extend(to.told(id, u64::try_from(version + 1).unwrap_or(u64::MAX), event));
    outbox::post(tx, shard, &effects).await?;
    Ok(Outcome::Moved(to))
}

/// A machine's state.
pub async fn get<M: Machine>(tx: &mut dyn Tx, shard: Shard, id: &[u8]) -> Result<Option<M>, Error> {
    get_under(tx, shard, id, "").await
}

/// The same, locked until the transaction ends: what is decided by it still holds when the machine moves.
pub async fn get_locked<M: Machine>(tx: &mut dyn Tx, shard: Shard, id: &[u8]) -> Result<Option<M>, Error> {
    let lock = tx.dialect().for_update();
    get_under(tx, shard, id, lock).await
}

async fn get_under<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    id: &[u8],
    lock: &str,
) -> Result<Option<M>, Error> {
    let key = [Value::Int(shard.0.into()), Value::Text(M::KIND), Value::Bytes(id)];
    let sql = format!("SELECT state FROM machine WHERE shard=? AND kind=? AND id=?{lock}");
    let rows = tx.fetch(&sql, &key).await?;
    rows.first().map(|row| decode(row, 0)).transpose()
}

static BY_IDS: ByKeys = ByKeys::new("SELECT id,state FROM machine WHERE shard=? AND kind=?", &["id"], "");

/// The states of machines by their ids; those that do not exist are not in the answer.
pub async fn find<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    ids: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, M>, Error> {
    let fixed = [Value::Int(shard.0.into()), Value::Text(M::KIND)];
    let keys: Vec<_> = ids.iter().map(|id| Value::Bytes(id)).collect();
    let rows = BY_IDS.fetch(tx, &fixed, &keys).await?;
    rows.iter().map(|row| Ok((row.bytes(0)?.to_vec(), decode(row, 1)?))).collect()
}

/// Machines with ids in `after..=until`, in the order of their ids.
pub async fn page<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    (after, until): (&[u8], &[u8]),
    limit: u32,
) -> Result<Vec<(Vec<u8>, M)>, Error> {
    let sql =
        "SELECT id,state FROM machine WHERE shard=? AND kind=? AND id > ? AND id <= ? ORDER BY id LIMIT ?";
    let values = [
        Value::Int(shard.0.into()),
        Value::Text(M::KIND),
        Value::Bytes(after),
        Value::Bytes(until),
        Value::Int(limit.into()),
    ];
    let rows = tx.fetch(sql, &values).await?;
    rows.iter().map(|row| Ok((row.bytes(0)?.to_vec(), decode(row, 1)?))).collect()
}

/// Ids of machines of one kind whose timer is due, most overdue first.
pub async fn due<M: Machine>(
    tx: &mut dyn Tx,
    shard: Shard,
    now_ms: i64,
    limit: u32,
) -> Result<Vec<Vec<u8>>, Error> {
    let sql = "SELECT id FROM timer WHERE shard=? AND due_ms<=? AND kind=? ORDER BY due_ms LIMIT ?";
    let values =
        [Value::Int(shard.0.into()), Value::Int(now_ms), Value::Text(M::KIND), Value::Int(limit.into())];
    let rows = tx.fetch(sql, &values).await?;
    rows.iter().map(|row| row.bytes(0).map(<[u8]>::to_vec)).collect()
}

async fn set_timer(tx: &mut dyn Tx, shard: Shard, kind: &str, id: &[u8], due_ms: i64) -> Result<(), Error> {
    let values = [Value::Int(shard.0.into()), Value::Int(due_ms), Value::Text(kind), Value::Bytes(id)];
    tx.exec("INSERT INTO timer (shard,due_ms,kind,id) VALUES (?,?,?,?)", &values).await.map(|_| ())
}

async fn clear_timer(tx: &mut dyn Tx, shard: Shard, kind: &str, id: &[u8], due_ms: i64) -> Result<(), Error> {
    let values = [Value::Int(shard.0.into()), Value::Int(due_ms), Value::Text(kind), Value::Bytes(id)];
    tx.exec("DELETE FROM timer WHERE shard=? AND due_ms=? AND kind=? AND id=?", &values).await.map(|_| ())
}

fn encode<M: Machine>(state: &M) -> Result<String, Error> {
    serde_json::to_string(state).map_err(|error| Error::Corrupt(format!("{}: {error}", M::KIND)))
}

fn decode<M: Machine>(row: &Row, column: usize) -> Result<M, Error> {
    serde_json::from_str(row.text(column)?).map_err(|error| Error::Corrupt(format!("{}: {error}", M::KIND)))
}
