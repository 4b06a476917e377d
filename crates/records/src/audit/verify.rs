//! Recomputes an audit log, and names what is wrong with it.

use kernel::id::Shard;
use serde::Serialize;

use super::seal::{SEAL_COLUMNS, entry_rows};
use super::{ENTRIES_MAX, Entry, Head, Seal, Stream};
use crate::error::Error;
use crate::merkle;
use crate::port::{Records, Row, Tx, Value, read};

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries that are as they were written.
    pub entries: u64,
    /// Those of them that are sealed.
    pub sealed: u64,
    /// The first wrong entry or seal of each stream.
    pub failed: Vec<Failure>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `<stream>/<seq>` is an entry, `<stream>/seal/<batch>` a seal, `<stream>/head` the row that numbers them.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// What ends a walk through a stream.
enum Stop {
    Wrong(Failure),
    Records(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Records(error)
    }
}

/// Recomputes one stream, and stops at the first entry or seal that is wrong.
pub async fn verify(tx: &mut dyn Tx, stream: &Stream) -> Result<Report, Error> {
    let mut walk = Walk { stream, report: Report::default() };
    match walk.all(tx).await {
        Ok(()) => {}
        Err(Stop::Wrong(failure)) => walk.report.failed.push(failure),
        Err(Stop::Records(error)) => return Err(error),
    }
    Ok(walk.report)
}

/// Recomputes every stream of every database, each database as of one moment.
pub async fn verify_all(records: &dyn Records) -> Result<Report, Error> {
    let mut all = Report::default();
    for shard in records.shards() {
        let found = read(records, shard, move |tx| {
            Box::pin(async move {
                let mut found = Vec::new();
                for stream in streams(tx).await? {
                    found.push(verify(tx, &stream).await?);
                }
                Ok::<_, Error>(found)
            })
        })
        .await?;
        for report in found {
            all.entries += report.entries;
            all.sealed += report.sealed;
            all.failed.extend(report.failed);
        }
    }
    Ok(all)
}

/// Every stream that any of the tables knows: a row of a stream that has no head must not be overlooked.
async fn streams(tx: &mut dyn Tx) -> Result<Vec<Stream>, Error> {
    let sql = "SELECT shard,tenant,stream FROM audit_head
        UNION SELECT shard,tenant,stream FROM audit_entry
        UNION SELECT shard,tenant,stream FROM audit_seal
        ORDER BY 1,2,3";
    let rows = tx.fetch(sql, &[]).await?;
    let read = |row: &Row| {
        let shard = u16::try_from(row.int(0)?).map_err(|_| Error::Corrupt("an audit shard".to_owned()))?;
        Ok(Stream { shard: Shard(shard), tenant: row.small(1)?, name: row.text(2)?.to_owned().into() })
    };
    rows.iter().map(read).collect()
}

struct Walk<'a> {
    stream: &'a Stream,
    report: Report,
}

impl Walk<'_> {
    fn wrong(&self, which: impl std::fmt::Display, reason: impl Into<String>) -> Stop {
        Stop::Wrong(Failure { id: format!("{}/{which}", self.stream), reason: reason.into() })
    }

    fn wrong_seal(&self, batch: u64, reason: &str) -> Stop {
        self.wrong(format_args!("seal/{batch}"), reason)
    }

    async fn all(&mut self, tx: &mut dyn Tx) -> Result<(), Stop> {
        let head = Head::fetch(tx, self.stream, "").await;
        let head = head.map_err(|_| self.wrong("head", "it cannot be read"))?.unwrap_or(Head::EMPTY);
        self.none_outside(tx, "seq<?", 1).await?;
        let last = self.seals(tx).await?;
        if head.batch > last.batch {
            return Err(self.wrong_seal(last.batch + 1, "it is missing"));
        }
        if (head.batch, head.sealed_seq, head.seal_hash) != (last.batch, last.last_seq, last.hash) {
            return Err(self.wrong("head", "it does not name the last seal"));
        }
        let mut first = last.last_seq + 1;
        while first <= head.seq {
            let until = head.seq.min(last_of(first));
            self.entries(tx, (first, until)).await?;
            first = until + 1;
        }
        self.none_outside(tx, "seq>?", head.seq).await
    }

    /// Rows that no number of the head covers.
    async fn none_outside(&self, tx: &mut dyn Tx, outside: &str, bound: u64) -> Result<(), Stop> {
        let sql = format!(
            "SELECT seq FROM audit_entry WHERE shard=? AND tenant=? AND stream=? AND {outside} ORDER BY seq LIMIT 1"
        );
        let rows = tx.fetch(&sql, &[&self.stream.values()[..], &[Value::count(bound)]].concat()).await?;
        match rows.first() {
            None => Ok(()),
            Some(row) => Err(self.wrong(row.int(0)?, "the head never gave this number: it was inserted")),
        }
    }

    /// All seals with the entries under them. Answers the last seal.
    async fn seals(&mut self, tx: &mut dyn Tx) -> Result<Seal, Stop> {
        let sql = format!(
            "SELECT {SEAL_COLUMNS} FROM audit_seal WHERE shard=? AND tenant=? AND stream=? AND batch>?
             ORDER BY batch LIMIT 256"
        );
        let (mut last, mut after) = (Seal::NONE, i64::MIN);
        loop {
            let values = [&self.stream.values()[..], &[Value::Int(after)]].concat();
            let rows = tx.fetch(&sql, &values).await?;
            if rows.is_empty() {
                return Ok(last);
            }
            for row in &rows {
                last = self.seal(tx, row, &last).await?;
                after = row.int(0)?;
            }
        }
    }

    async fn seal(&mut self, tx: &mut dyn Tx, row: &Row, last: &Seal) -> Result<Seal, Stop> {
        let batch = last.batch + 1;
        let seal = Seal::from_row(row).map_err(|_| self.wrong_seal(batch, "it cannot be read"))?;
        if seal.batch != batch {
            return Err(self.wrong_seal(batch, "it is missing"));
        }
        if seal.computed(self.stream) != seal.hash {
            return Err(self.wrong_seal(batch, "it is not what was written"));
        }
        if seal.previous != last.hash {
            return Err(self.wrong_seal(batch, "it does not follow the seal before it"));
        }
        if seal.first_seq != last.last_seq + 1
            || seal.last_seq < seal.first_seq
            || seal.last_seq > last_of(seal.first_seq)
        {
            return Err(self.wrong_seal(batch, "it seals other entries than those that follow"));
        }
        let leaves = self.entries(tx, (seal.first_seq, seal.last_seq)).await?;
        if merkle::root(&leaves) != seal.root {
            return Err(self.wrong_seal(batch, "its entries are not those that it sealed"));
        }
        self.report.sealed += leaves.len() as u64;
        Ok(seal)
    }

    async fn entries(&mut self, tx: &mut dyn Tx, (first, last): (u64, u64)) -> Result<Vec<[u8; 32]>, Stop> {
        let rows = entry_rows(tx, self.stream, (first, last)).await?;
        let mut leaves = Vec::with_capacity(rows.len());
        for (place, seq) in (first..=last).enumerate() {
            let leaf = Entry::check(rows.get(place), self.stream, seq);
            leaves.push(leaf.map_err(|why| self.wrong(seq, why))?);
            self.report.entries += 1;
        }
        Ok(leaves)
    }
}

/// The last entry of a batch that begins at `first` and is full.
fn last_of(first: u64) -> u64 {
    first.saturating_add(ENTRIES_MAX - 1)
}
