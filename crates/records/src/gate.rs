//! The row that judges. Whoever decides about a raffle or contest in a database first locks its gate there.
//!
//! A gate numbers what it lets through without gaps, and chains it: after entry `n` its log hash is
//! `SHA-256(log hash before, digest of entry n)`. Segments are the parts of finite things (a prize's units, seats,
//! a budget) that this database may grant on its own.

use kernel::id::{Shard, Tenant};

use crate::error::Error;
use crate::port::{Row, Tx, Value};

pub(crate) const GATE_TABLE: &str = "CREATE TABLE gate (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    subject BIGINT NOT NULL,
    frozen INTEGER NOT NULL,
    epoch BIGINT NOT NULL,
    epoch_first BIGINT NOT NULL,
    version BIGINT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    log VARBINARY(32) NOT NULL,
    PRIMARY KEY (shard, tenant, subject)
){table_end}";

pub(crate) const SEGMENT_TABLE: &str = "CREATE TABLE segment (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    subject BIGINT NOT NULL,
    item VARCHAR(64) NOT NULL,
    granted BIGINT NOT NULL CHECK (granted >= 0),
    free BIGINT NOT NULL CHECK (free >= 0),
    frozen INTEGER NOT NULL,
    PRIMARY KEY (shard, tenant, subject, item)
){table_end}";

/// Which gate: one raffle or contest in one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GateKey {
    /// The database.
    pub shard: Shard,
    /// The tenant's number.
    pub tenant: u32,
    /// The raffle's or contest's number.
    pub subject: u32,
}

impl GateKey {
    /// The three leading key columns of every row under this gate.
    pub fn values(self) -> [Value<'static>; 3] {
        [Value::Int(self.shard.0.into()), Value::Int(self.tenant.into()), Value::Int(self.subject.into())]
    }
}

/// Up to where each gate of a tenant has numbered, by its subject: true a moment ago.
pub async fn last_numbers(tx: &mut dyn Tx, shard: Shard, tenant: Tenant) -> Result<Vec<(u32, u64)>, Error> {
    let sql = "SELECT subject,seq FROM gate WHERE shard=? AND tenant=?";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), Value::Int(tenant.number.into())]).await?;
    rows.iter().map(|row| Ok((row.small(0)?, row.count(1)?))).collect()
}

/// A gate as it was locked, and as the decisions since have left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Which gate.
    pub key: GateKey,
    /// Frozen gates let nothing through.
    pub frozen: bool,
    /// The epoch that numbers are drawn in.
    pub epoch: u32,
    /// The sequence of the entry that opened this epoch.
    pub epoch_first: u64,
    /// The version of the rules that decides.
    pub version: u32,
    /// The sequence of the last entry.
    pub seq: u64,
    /// The log hash after that entry.
    pub log: [u8; 32],
    locked_seq: u64,
}

impl Gate {
    /// A gate before its first entry.
    pub fn new(key: GateKey) -> Self {
        Self { key, frozen: false, epoch: 0, epoch_first: 0, version: 0, seq: 0, log: [0; 32], locked_seq: 0 }
    }

    fn from_row(key: GateKey, row: &Row) -> Result<Self, Error> {
        let seq = row.count(4)?;
        Ok(Self {
            key,
            frozen: row.int(0)? != 0,
            epoch: row.small(1)?,
            epoch_first: row.count(2)?,
            version: row.small(3)?,
            seq,
            log: row.array(5)?,
            locked_seq: seq,
        })
    }

    /// Locks the gate until the transaction ends.
    pub async fn lock(tx: &mut dyn Tx, key: GateKey) -> Result<Option<Self>, Error> {
        let sql = format!("{SELECT}{}", tx.dialect().for_update());
        let rows = tx.fetch(&sql, &key.values()).await?;
        rows.first().map(|row| Self::from_row(key, row)).transpose()
    }

    /// Reads the gate without locking it: true a moment ago.
    pub async fn peek(tx: &mut dyn Tx, key: GateKey) -> Result<Option<Self>, Error> {
        let rows = tx.fetch(SELECT, &key.values()).await?;
        rows.first().map(|row| Self::from_row(key, row)).transpose()
    }

    fn columns(&self) -> [Value<'_>; 6] {
        [
            Value::Int(self.frozen.into()),
            Value::Int(self.epoch.into()),
            Value::count(self.epoch_first),
            Value::Int(self.version.into()),
            Value::count(self.seq),
            Value::Bytes(&self.log),
        ]
    }

    /// Writes a gate that did not exist.
    pub async fn create(&self, tx: &mut dyn Tx) -> Result<(), Error> {
        let values = [&self.key.values()[..], &self.columns()].concat();
        tx.exec(
            "INSERT INTO gate (shard,tenant,subject,frozen,epoch,epoch_first,version,seq,log)
             VALUES (?,?,?,?,?,?,?,?,?)",
            &values,
        )
        .await?;
        Ok(())
    }

    /// Writes back what changed since the lock. A gate that somebody else moved is a surprise.
    pub async fn save(&self, tx: &mut dyn Tx) -> Result<(), Error> {
        let before = [Value::count(self.locked_seq)];
        let values = [&self.columns()[..], &self.key.values(), &before].concat();
        let changed = tx
            .exec(
                "UPDATE gate SET frozen=?, epoch=?, epoch_first=?, version=?, seq=?, log=?
                 WHERE shard=? AND tenant=? AND subject=? AND seq=?",
                &values,
            )
            .await?;
        if changed == 1 { Ok(()) } else { Err(Error::Surprise("gate")) }
    }
}

const SELECT: &str =
    "SELECT frozen,epoch,epoch_first,version,seq,log FROM gate WHERE shard=? AND tenant=? AND subject=?";

/// The part of a finite thing that one database may grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What it is a part of, for example a prize id.
    pub item: String,
    /// Units granted here, ever.
    pub granted: u64,
    /// Units that may still be granted here.
    pub free: u64,
    /// Frozen segments grant nothing.
    pub frozen: bool,
}

impl Segment {
    /// All segments under a gate, in the order of their items. Locked by the gate.
    pub async fn all(tx: &mut dyn Tx, key: GateKey) -> Result<Vec<Self>, Error> {
        let rows = tx
            .fetch(
                "SELECT item,granted,free,frozen FROM segment WHERE shard=? AND tenant=? AND subject=? ORDER BY item",
                &key.values(),
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Self {
                    item: row.text(0)?.to_owned(),
                    granted: row.count(1)?,
                    free: row.count(2)?,
                    frozen: row.int(3)? != 0,
                })
            })
            .collect()
    }

    /// Turns `units` from free to granted. The guard is in the statement: too few free units, or a frozen
    /// segment, is a surprise and keeps nothing.
    pub async fn grant(tx: &mut dyn Tx, key: GateKey, item: &str, units: u64) -> Result<(), Error> {
        let units = Value::count(units);
        let values = [&[units, units][..], &key.values(), &[Value::Text(item), units]].concat();
        let changed = tx
            .exec(
                "UPDATE segment SET free = free - ?, granted = granted + ?
                 WHERE shard=? AND tenant=? AND subject=? AND item=? AND free >= ? AND frozen = 0",
                &values,
            )
            .await?;
        if changed == 1 { Ok(()) } else { Err(Error::Surprise("segment")) }
    }

    /// Adds free units; makes the segment where it is missing.
    pub async fn add(tx: &mut dyn Tx, key: GateKey, item: &str, units: u64) -> Result<(), Error> {
        let units = Value::count(units);
        let values = [&[units][..], &key.values(), &[Value::Text(item)]].concat();
        let changed = tx
            .exec(
                "UPDATE segment SET free = free + ? WHERE shard=? AND tenant=? AND subject=? AND item=?",
                &values,
            )
            .await?;
        if changed == 1 {
            return Ok(());
        }
        let values = [&key.values()[..], &[Value::Text(item), units]].concat();
        tx.exec(
            "INSERT INTO segment (shard,tenant,subject,item,granted,free,frozen) VALUES (?,?,?,?,0,?,0)",
            &values,
        )
        .await
        .map(|_| ())
    }

    /// Freezes or thaws a segment.
    pub async fn set_frozen(tx: &mut dyn Tx, key: GateKey, item: &str, frozen: bool) -> Result<(), Error> {
        let values = [&[Value::Int(frozen.into())][..], &key.values(), &[Value::Text(item)]].concat();
        let changed = tx
            .exec("UPDATE segment SET frozen=? WHERE shard=? AND tenant=? AND subject=? AND item=?", &values)
            .await?;
        if changed == 1 { Ok(()) } else { Err(Error::Surprise("segment")) }
    }
}
