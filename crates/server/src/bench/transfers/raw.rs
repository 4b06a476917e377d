//! The same rows, written in the same batches without any logic: what the disk and the database take by themselves.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use embedded::clock::Stopwatch;
use embedded::sqlite::{Caches, SqliteRecords};
use kernel::id::Shard;
use ledger::account::AccountId;
use ledger::entry::Entry;
use ledger::ledger::Ledger;
use ledger::order::After;
use records::migration;
use records::port::{Value, write};
use records::statement::Insert;

use super::words;
use crate::rooms::ROOMS;

/// A store with the same tables, into which the same rows are written in the same batches, without any logic.
pub(super) struct Raw {
    pub(super) records: Arc<SqliteRecords>,
}

static ENTRIES: Insert =
    Insert::new("ledger_entry", &["shard", "tenant", "seq", "id", "at_ms", "body", "digest"]);
static ORDERS: Insert = Insert::new("ledger_order", &["shard", "tenant", "id", "seq"]);
static BALANCES: Insert = Insert::or_replace(
    "ledger_balance",
    &["bucket", "tenant", "account", "seq", "entry", "balance", "held", "pending", "floor", "lots"],
    3,
);

impl Raw {
    pub(super) async fn open(folder: &Path) -> Result<Self, String> {
        let records = Arc::new(SqliteRecords::open(folder, Caches::default()).map_err(words)?);
        migration::run(&*records, ROOMS, 0).await.map_err(words)?;
        Ok(Self { records })
    }

    /// Writes entries of the journal, whole batches of them; answers how many of them a second.
    pub(super) async fn write_again(&self, ledger: &Ledger, range: Range<u64>) -> Result<f64, String> {
        let (mut took, mut wrote) = (Duration::ZERO, 0);
        let sealed = ledger.sealed_from(range.start).await.map_err(words)?;
        for (entries, seal) in sealed.into_iter().take_while(|(_, seal)| range.contains(&seal.last_seq)) {
            wrote += entries.len();
            let rows = Arc::new(Rows::of(&entries));
            let began = Stopwatch::start();
            write(&*self.records, Shard::HOME, move |tx| {
                Box::pin(async move {
                    let values = rows.values();
                    ENTRIES.rows(tx, &values[0]).await?;
                    ORDERS.rows(tx, &values[1]).await?;
                    BALANCES.rows(tx, &values[2]).await?;
                    let insert = "INSERT INTO ledger_seal (shard,tenant,batch,first_seq,last_seq,previous,root,seal_hash)
                        VALUES (0,1,?,?,?,?,?,?)";
                    let values = [
                        Value::count(seal.batch),
                        Value::count(seal.first_seq),
                        Value::count(seal.last_seq),
                        Value::Bytes(&seal.previous),
                        Value::Bytes(&seal.root),
                        Value::Bytes(&seal.hash),
                    ];
                    tx.exec(insert, &values).await.map(|_| ())
                })
            })
            .await
            .map_err(|error: records::error::Error| error.to_string())?;
            took += began.elapsed();
        }
        Ok(wrote as f64 / took.as_secs_f64())
    }
}

/// A row of the journal: its number, order, time, bytes and digest.
type Row = (u64, [u8; 16], i64, Vec<u8>, [u8; 32]);

/// Rows of a batch, ready to be bound.
struct Rows {
    entries: Vec<Row>,
    orders: Vec<([u8; 16], u64)>,
    balances: BTreeMap<AccountId, After>,
}

impl Rows {
    fn of(entries: &[Entry]) -> Self {
        let row = |entry: &Entry| {
            let body = entry.body();
            let digest = Entry::digest((entry.seq, entry.id, entry.at_ms), &body);
            (entry.seq, entry.id.0, entry.at_ms, body, digest)
        };
        let mut orders: Vec<_> = entries.iter().map(|entry| (entry.id.0, entry.seq)).collect();
        orders.sort_unstable();
        let lines = entries.iter().flat_map(|entry| &entry.lines);
        let balances = lines.map(|line| (line.account, line.after)).collect();
        Self { entries: entries.iter().map(row).collect(), orders, balances }
    }

    fn values(&self) -> [Vec<Value<'_>>; 3] {
        let (shard, tenant) = (Value::Int(0), Value::Int(1));
        let entries = self.entries.iter().flat_map(|(seq, id, at_ms, body, digest)| {
            let (id, body, digest) = (Value::Bytes(id), Value::Bytes(body), Value::Bytes(digest));
            [shard, tenant, Value::count(*seq), id, Value::Int(*at_ms), body, digest]
        });
        let orders =
            self.orders.iter().flat_map(|(id, seq)| [shard, tenant, Value::Bytes(id), Value::count(*seq)]);
        let balances = self.balances.iter().flat_map(|(account, after)| {
            [
                Value::Int(account.bucket.into()),
                tenant,
                Value::Bytes(&account.hash),
                Value::count(after.seq),
                Value::count(after.entry),
                Value::Int(after.balance),
                Value::Int(after.held),
                Value::Int(after.pending),
                Value::Int(after.floor),
                Value::Int(after.lots.into()),
            ]
        });
        [entries.collect(), orders.collect(), balances.collect()]
    }
}
