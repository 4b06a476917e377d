//! The journal: entries numbered without gaps under the lock of one row, sealed batch by batch, each seal chained to the one
//! before. Also finds what an order has become.

use kernel::id::Shard;
use records::error::Error as RecordsError;
use records::merkle::hash_fields;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::entry::Entry;
use crate::order::OrderId;
use crate::scribe::{PART, Part};

/// The journal of a tenant in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalKey {
    /// The database.
    pub shard: Shard,
    /// The tenant's number.
    pub tenant: u32,
}

impl JournalKey {
    pub(crate) fn values(self) -> [Value<'static>; 2] {
        [Value::Int(self.shard.0.into()), Value::Int(self.tenant.into())]
    }
}

static NEW_HEAD: Insert =
    Insert::or_keep("ledger_head", &["shard", "tenant", "seq", "batch", "seal_hash"], 2);

/// Where a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) batch: u64,
    pub(crate) seal_hash: [u8; 32],
}

impl Head {
    pub(crate) const EMPTY: Self = Self { seq: 0, batch: 0, seal_hash: [0; 32] };

    /// Locks the journal until the transaction ends.
    pub(crate) async fn lock(tx: &mut dyn Tx, key: JournalKey) -> Result<Self, RecordsError> {
        let lock = tx.dialect().for_update();
        if let Some(head) = Self::fetch(tx, key, lock).await? {
            return Ok(head);
        }
        let empty = [Value::Int(0), Value::Int(0), Value::Bytes(&[0; 32])];
        NEW_HEAD.rows(tx, &[&key.values()[..], &empty].concat()).await?;
        // Somebody else may have made it meanwhile, and written to it.
        Self::fetch(tx, key, lock).await?.ok_or(RecordsError::Surprise("ledger_head"))
    }

    /// Where it ended a moment ago.
    pub(crate) async fn fetch(
        tx: &mut dyn Tx,
        key: JournalKey,
        lock: &str,
    ) -> Result<Option<Self>, RecordsError> {
        let sql = format!("SELECT seq,batch,seal_hash FROM ledger_head WHERE shard=? AND tenant=?{lock}");
        let rows = tx.fetch(&sql, &key.values()).await?;
        let read =
            |row: &Row| Ok(Self { seq: row.count(0)?, batch: row.count(1)?, seal_hash: row.array(2)? });
        rows.first().map(read).transpose()
    }
}

/// A seal over the entries `first_seq..=last_seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Its number, from 1.
    pub batch: u64,
    /// The first entry under it.
    pub first_seq: u64,
    /// The last entry under it.
    pub last_seq: u64,
    /// The hash of the seal before; zeros under the first.
    pub previous: [u8; 32],
    /// The Merkle tree hash of the entries' digests (RFC 6962, section 2.1).
    pub root: [u8; 32],
    /// SHA-256 of all the rest. Whoever keeps it elsewhere can tell a rewritten journal.
    pub hash: [u8; 32],
}

impl Seal {
    pub(crate) fn computed(&self, key: JournalKey) -> [u8; 32] {
        // RFC 6962 gives 0 to leaves and 1 to nodes; a seal is neither.
        hash_fields(
            2,
            &[
                &key.shard.0.to_be_bytes(),
                &key.tenant.to_be_bytes(),
                &self.batch.to_be_bytes(),
                &self.first_seq.to_be_bytes(),
                &self.last_seq.to_be_bytes(),
                &self.previous,
                &self.root,
            ],
        )
    }

    pub(crate) fn from_row(row: &Row) -> Result<Self, RecordsError> {
        Ok(Self {
            batch: row.count(0)?,
            first_seq: row.count(1)?,
            last_seq: row.count(2)?,
            previous: row.array(3)?,
            root: row.array(4)?,
            hash: row.array(5)?,
        })
    }
}

static ENTRIES: ByKeys =
    ByKeys::new("SELECT seq,id,at_ms,body,digest FROM ledger_entry WHERE shard=? AND tenant=?", &["seq"], "");
static ORDERS: ByKeys =
    ByKeys::new("SELECT id,seq FROM ledger_order WHERE shard=? AND tenant=?", &["id"], "");
static INSERT_ENTRIES: Insert =
    Insert::new("ledger_entry", &["shard", "tenant", "seq", "id", "at_ms", "body", "digest"]);
static INSERT_ORDERS: Insert = Insert::new("ledger_order", &["shard", "tenant", "id", "seq"]);

/// An entry from `seq,id,at_ms,body,digest`: with the digest that was written beside it.
pub(crate) fn entry(row: &Row) -> Result<(Entry, [u8; 32]), RecordsError> {
    let seq = row.count(0)?;
    let read = Entry::read((seq, OrderId(row.array(1)?), row.int(2)?), row.bytes(3)?);
    let entry = read.ok_or_else(|| RecordsError::Corrupt(format!("ledger entry {seq}")))?;
    Ok((entry, row.array(4)?))
}

/// The entries that orders have become.
pub(crate) async fn by_orders(
    tx: &mut dyn Tx,
    key: JournalKey,
    ids: &[OrderId],
) -> Result<Vec<Entry>, RecordsError> {
    let ids: Vec<_> = ids.iter().map(|id| Value::Bytes(&id.0)).collect();
    let found = ORDERS.fetch(tx, &key.values(), &ids).await?;
    let mut seqs = found.iter().map(|row| row.int(1)).collect::<Result<Vec<_>, _>>()?;
    seqs.sort_unstable();
    let seqs: Vec<_> = seqs.into_iter().map(Value::Int).collect();
    let rows = ENTRIES.fetch(tx, &key.values(), &seqs).await?;
    rows.iter().map(|row| entry(row).map(|(entry, _)| entry)).collect()
}

/// An entry by its number.
pub(crate) async fn at(tx: &mut dyn Tx, key: JournalKey, seq: u64) -> Result<Option<Entry>, RecordsError> {
    let rows = ENTRIES.fetch(tx, &key.values(), &[Value::count(seq)]).await?;
    rows.first().map(|row| entry(row).map(|(entry, _)| entry)).transpose()
}

/// The entries from one number to another, both among them, in their order.
pub(crate) async fn between(
    tx: &mut dyn Tx,
    key: JournalKey,
    (first, last): (u64, u64),
) -> Result<Vec<Entry>, RecordsError> {
    let sql = "SELECT seq,id,at_ms,body,digest FROM ledger_entry
        WHERE shard=? AND tenant=? AND seq>=? AND seq<=? ORDER BY seq";
    let range = [Value::count(first), Value::count(last)];
    let rows = tx.fetch(sql, &[&key.values()[..], &range].concat()).await?;
    rows.iter().map(|row| entry(row).map(|(entry, _)| entry)).collect()
}

/// Adds a part of a batch's entries.
pub(crate) async fn add(tx: &mut dyn Tx, key: JournalKey, part: &Part) -> Result<(), RecordsError> {
    let [shard, tenant] = key.values();
    let values: Vec<_> = part
        .rows()
        .flat_map(|(entry, body, digest)| {
            [
                shard,
                tenant,
                Value::count(entry.seq),
                Value::Bytes(&entry.id.0),
                Value::Int(entry.at_ms),
                Value::Bytes(body),
                Value::Bytes(digest),
            ]
        })
        .collect();
    INSERT_ENTRIES.rows(tx, &values).await
}

/// Seals the entries of a batch, which were added, and notes which orders they were.
pub(crate) async fn seal(
    tx: &mut dyn Tx,
    key: JournalKey,
    before: Head,
    (root, orders): ([u8; 32], &[(OrderId, u64)]),
) -> Result<(), RecordsError> {
    let [shard, tenant] = key.values();
    for part in orders.chunks(PART) {
        let values: Vec<_> = part
            .iter()
            .flat_map(|(id, seq)| [shard, tenant, Value::Bytes(&id.0), Value::count(*seq)])
            .collect();
        INSERT_ORDERS.rows(tx, &values).await?;
    }
    let mut seal = Seal {
        batch: before.batch + 1,
        first_seq: before.seq + 1,
        last_seq: before.seq + orders.len() as u64,
        previous: before.seal_hash,
        root,
        hash: [0; 32],
    };
    seal.hash = seal.computed(key);
    let values = [
        shard,
        tenant,
        Value::count(seal.batch),
        Value::count(seal.first_seq),
        Value::count(seal.last_seq),
        Value::Bytes(&seal.previous),
        Value::Bytes(&seal.root),
        Value::Bytes(&seal.hash),
    ];
    let insert = "INSERT INTO ledger_seal (shard,tenant,batch,first_seq,last_seq,previous,root,seal_hash)
        VALUES (?,?,?,?,?,?,?,?)";
    tx.exec(insert, &values).await?;
    let update = "UPDATE ledger_head SET seq=?, batch=?, seal_hash=? WHERE shard=? AND tenant=? AND seq=?";
    let to = [Value::count(seal.last_seq), Value::count(seal.batch), Value::Bytes(&seal.hash)];
    let changed = tx.exec(update, &[&to[..], &[shard, tenant, Value::count(before.seq)]].concat()).await?;
    if changed == 1 { Ok(()) } else { Err(RecordsError::Surprise("ledger_head")) }
}

/// Batches of entries from the one on that begins with an entry, each with its seal.
pub(crate) async fn sealed_from(
    tx: &mut dyn Tx,
    key: JournalKey,
    first: u64,
) -> Result<Vec<(Vec<Entry>, Seal)>, RecordsError> {
    let sql = "SELECT batch,first_seq,last_seq,previous,root,seal_hash FROM ledger_seal
        WHERE shard=? AND tenant=? AND first_seq>=? ORDER BY batch";
    let mut batches = vec![];
    for row in tx.fetch(sql, &[&key.values()[..], &[Value::count(first)]].concat()).await? {
        let seal = Seal::from_row(&row)?;
        batches.push((between(tx, key, (seal.first_seq, seal.last_seq)).await?, seal));
    }
    Ok(batches)
}
