//! Seals over the entries of a stream, in batches, each chained to the one before.

use kernel::id::Shard;

use super::{COLUMNS, Entry, Head, Place, Stream};
use crate::error::Error;
use crate::merkle::{self, hash_fields};
use crate::port::{Records, Row, Tx, Value, read, write};

pub(crate) const SEAL_TABLE: &str = "CREATE TABLE audit_seal (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    stream VARCHAR(32) NOT NULL,
    batch BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    previous VARBINARY(32) NOT NULL,
    root VARBINARY(32) NOT NULL,
    seal_hash VARBINARY(32) NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (shard, tenant, stream, batch)
){table_end}";

/// Most entries under one seal.
pub const ENTRIES_MAX: u64 = 1024;

/// A seal over the entries `first_seq..=last_seq` of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Its number in the stream, from 1.
    pub batch: u64,
    /// The first entry under it.
    pub first_seq: u64,
    /// The last entry under it.
    pub last_seq: u64,
    /// The hash of the seal before; zeros under the first.
    pub previous: [u8; 32],
    /// The Merkle tree hash of the entries' digests (RFC 6962, section 2.1).
    pub root: [u8; 32],
    /// SHA-256 of all the rest. Whoever keeps it elsewhere can tell a rewritten log.
    pub hash: [u8; 32],
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

pub(super) const SEAL_COLUMNS: &str = "batch,first_seq,last_seq,previous,root,seal_hash,at_ms";

impl Seal {
    /// What stands before the first.
    pub(super) const NONE: Self = Self {
        batch: 0,
        first_seq: 0,
        last_seq: 0,
        previous: [0; 32],
        root: [0; 32],
        hash: [0; 32],
        at_ms: 0,
    };

    pub(crate) fn computed(&self, stream: &Stream) -> [u8; 32] {
        // RFC 6962 gives 0 to leaves and 1 to nodes; a seal is neither.
        hash_fields(
            2,
            &[
                &u64::from(stream.shard.0).to_be_bytes(),
                &u64::from(stream.tenant).to_be_bytes(),
                stream.name.as_bytes(),
                &self.batch.to_be_bytes(),
                &self.first_seq.to_be_bytes(),
                &self.last_seq.to_be_bytes(),
                &self.previous,
                &self.root,
                &self.at_ms.to_be_bytes(),
            ],
        )
    }

    pub(super) fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            batch: row.count(0)?,
            first_seq: row.count(1)?,
            last_seq: row.count(2)?,
            previous: row.array(3)?,
            root: row.array(4)?,
            hash: row.array(5)?,
            at_ms: row.int(6)?,
        })
    }

    async fn insert(&self, tx: &mut dyn Tx, stream: &Stream) -> Result<(), Error> {
        let values = [
            Value::count(self.batch),
            Value::count(self.first_seq),
            Value::count(self.last_seq),
            Value::Bytes(&self.previous),
            Value::Bytes(&self.root),
            Value::Bytes(&self.hash),
            Value::Int(self.at_ms),
        ];
        let insert = format!(
            "INSERT INTO audit_seal (shard,tenant,stream,{SEAL_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"
        );
        tx.exec(&insert, &[&stream.values()[..], &values].concat()).await.map(|_| ())
    }
}

/// Entries `first..=last` of a stream in order, as rows; at most [`ENTRIES_MAX`].
pub(super) async fn entry_rows(
    tx: &mut dyn Tx,
    stream: &Stream,
    (first, last): (u64, u64),
) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_entry WHERE shard=? AND tenant=? AND stream=? AND seq>=? AND seq<=?
         ORDER BY seq LIMIT ?"
    );
    let range = [Value::count(first), Value::count(last), Value::count(ENTRIES_MAX)];
    tx.fetch(&sql, &[&stream.values()[..], &range].concat()).await
}

/// Seals every entry that is not sealed yet, on every database. Answers how many seals it took. What is wrong with one
/// stream does not keep the others open; the last such error is answered.
pub async fn seal(records: &dyn Records, now_ms: i64) -> Result<u64, Error> {
    let (mut seals, mut outcome) = (0, Ok(()));
    for shard in records.shards() {
        // Read first, so that an idle house writes nothing.
        let open = read(records, shard, move |tx| Box::pin(unsealed(tx, shard))).await?;
        for stream in open {
            loop {
                let stream = stream.clone();
                let taken = write(records, shard, move |tx| Box::pin(seal_batch(tx, stream, now_ms))).await;
                match taken {
                    Ok(true) => seals += 1,
                    Ok(false) => break,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
        }
    }
    outcome.map(|()| seals)
}

async fn unsealed(tx: &mut dyn Tx, shard: Shard) -> Result<Vec<Stream>, Error> {
    let sql = "SELECT tenant,stream FROM audit_head WHERE shard=? AND seq>sealed_seq ORDER BY tenant,stream";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into())]).await?;
    let read = |row: &Row| Ok(Stream { shard, tenant: row.small(0)?, name: row.text(1)?.to_owned().into() });
    rows.iter().map(read).collect()
}

/// Takes one seal, unless there is nothing to seal. An entry that was tampered with is not sealed: that would make it
/// look right. The log says so until somebody looks.
async fn seal_batch(tx: &mut dyn Tx, stream: Stream, now_ms: i64) -> Result<bool, Error> {
    let before = Head::lock(tx, &stream).await?;
    if before.seq <= before.sealed_seq {
        return Ok(false);
    }
    let first_seq = before.sealed_seq + 1;
    let last_seq = before.seq.min(before.sealed_seq + ENTRIES_MAX);
    let rows = entry_rows(tx, &stream, (first_seq, last_seq)).await?;
    let mut leaves = Vec::with_capacity(rows.len());
    for (place, seq) in (first_seq..=last_seq).enumerate() {
        let leaf = Entry::check(rows.get(place), &stream, seq);
        leaves.push(leaf.map_err(|why| Error::Corrupt(format!("audit entry {stream}/{seq}: {why}")))?);
    }
    let mut seal = Seal {
        batch: before.batch + 1,
        first_seq,
        last_seq,
        previous: before.seal_hash,
        root: merkle::root(&leaves),
        hash: [0; 32],
        at_ms: now_ms,
    };
    seal.hash = seal.computed(&stream);
    seal.insert(tx, &stream).await?;
    let head = Head { batch: seal.batch, sealed_seq: last_seq, seal_hash: seal.hash, ..before.clone() };
    head.save(tx, &stream, &before).await?;
    Ok(true)
}

/// Up to `limit` seals of a tenant after a place, stream by stream.
pub async fn seals_after(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    (stream, batch): &Place,
    limit: u32,
) -> Result<Vec<(String, Seal)>, Error> {
    let sql = format!(
        "SELECT {SEAL_COLUMNS},stream FROM audit_seal
         WHERE shard=? AND tenant=? AND (stream>? OR (stream=? AND batch>?)) ORDER BY stream,batch LIMIT ?"
    );
    let values = [
        Value::Int(shard.0.into()),
        Value::Int(tenant.into()),
        Value::Text(stream),
        Value::Text(stream),
        Value::count(*batch),
        Value::Int(limit.into()),
    ];
    let rows = tx.fetch(&sql, &values).await?;
    rows.iter().map(|row| Ok((row.text(7)?.to_owned(), Seal::from_row(row)?))).collect()
}
