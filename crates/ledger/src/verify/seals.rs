//! The walk through the journal: each seal follows from the one before and covers its entries, and they lead to each other.

use std::collections::HashMap;

use records::error::Error as RecordsError;
use records::merkle;
use records::port::{Row, Tx, Value};
use records::statement::ByKeys;

use crate::entry::{Entry, Kind};
use crate::journal::{self, Head, Seal};

use super::pages::{Rows, Scan, Table};
use super::{FAILURES_MAX, Walk};

static SEALS: Table = Table {
    name: "ledger_seal",
    columns: "batch,first_seq,last_seq,previous,root,seal_hash",
    key: &[("batch", 0)],
};
static ENTRIES: Table =
    Table { name: "ledger_entry", columns: "seq,id,at_ms,body,digest", key: &[("seq", 0)] };
static ORDERS: ByKeys =
    ByKeys::new("SELECT id,seq FROM ledger_order WHERE shard=? AND tenant=?", &["id"], "");

/// Entries whose orders are looked up at once.
const ORDERS_AT_ONCE: usize = 1024;

impl Walk {
    pub(super) async fn journal(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let head = match Head::fetch(tx, self.key, "").await {
            Err(RecordsError::Corrupt(_)) => None,
            head => Some(head?.unwrap_or(Head::EMPTY)),
        };
        let mut seals = Rows::of(Scan::of_journal(&SEALS, self.key));
        let mut entries = Entries { rows: Rows::of(Scan::of_journal(&ENTRIES, self.key)), read: vec![] };
        let mut last = Head::EMPTY;
        while let Some(row) = seals.pop(tx).await? {
            let next = seals.peek(tx).await?.and_then(|row| Seal::from_row(row).ok());
            let ends = next.map(|next| next.first_seq.saturating_sub(1)).or(head.map(|head| head.seq));
            let Ok(seal) = Seal::from_row(&row) else {
                let batch = row.count(0).map_or_else(|_| "?".to_owned(), |batch| batch.to_string());
                self.wrong(format_args!("seal/{batch}"), "it cannot be read");
                continue;
            };
            last = self.seal(tx, (&seal, ends), last, &mut entries).await?;
        }
        if head != Some(last) {
            self.wrong("head", "it does not name the last seal");
        }
        while let Some(row) = entries.rows.pop(tx).await? {
            self.uncovered(&row);
            if self.report.failed.len() >= FAILURES_MAX {
                break;
            }
        }
        entries.flush(self, tx).await
    }

    fn uncovered(&mut self, row: &Row) {
        self.wrong(format_args!("entry/{}", number(row)), "no seal covers it");
    }

    /// Holds a seal and the entries under it against each other; a seal that was changed covers what comes before the next
    /// one. Answers where the journal ends with it.
    async fn seal(
        &mut self,
        tx: &mut dyn Tx,
        (seal, ends): (&Seal, Option<u64>),
        before: Head,
        entries: &mut Entries,
    ) -> Result<Head, RecordsError> {
        let name = format!("seal/{}", seal.batch);
        let is_true = seal.computed(self.key) == seal.hash;
        if !is_true {
            self.wrong(&name, "it is not what was written");
        } else if seal.batch != before.batch + 1
            || seal.first_seq != before.seq + 1
            || seal.last_seq < seal.first_seq
            || seal.previous != before.seal_hash
        {
            self.wrong(&name, "it does not follow the seal before it");
        }
        let first = if is_true { seal.first_seq } else { before.seq + 1 };
        let last_seq = if is_true { seal.last_seq } else { ends.unwrap_or(seal.last_seq) };
        let (mut next, mut digests) = (first, vec![]);
        while let Some(row) = entries.rows.peek(tx).await? {
            let seq = row.count(0).ok();
            if seq.is_some_and(|seq| seq > last_seq) {
                break;
            }
            let Some(row) = entries.rows.pop(tx).await? else { break };
            match seq.filter(|seq| *seq >= next) {
                None => self.uncovered(&row),
                Some(seq) => {
                    self.missing(next..seq);
                    next = seq + 1;
                    digests.extend(self.take_up(tx, seq, &row, entries).await?);
                }
            }
        }
        self.missing(next..last_seq.saturating_add(1));
        if is_true && merkle::root(&digests) != seal.root {
            self.wrong(&name, "its entries are not those that it sealed");
        }
        Ok(Head { seq: last_seq, batch: seal.batch, seal_hash: seal.hash })
    }

    fn missing(&mut self, entries: std::ops::Range<u64>) {
        for missing in entries.take(FAILURES_MAX) {
            self.wrong(format_args!("entry/{missing}"), "it is missing");
        }
    }

    /// Adds up an entry. Answers its digest, where there is something to take it of.
    async fn take_up(
        &mut self,
        tx: &mut dyn Tx,
        seq: u64,
        row: &Row,
        entries: &mut Entries,
    ) -> Result<Option<[u8; 32]>, RecordsError> {
        let Ok((entry, written)) = journal::entry(row) else {
            self.wrong(format_args!("entry/{seq}"), "it cannot be read");
            return Ok(None);
        };
        let Ok(body) = row.bytes(3) else { return Ok(None) };
        let digest = Entry::digest((seq, entry.id, entry.at_ms), body);
        if digest != written {
            self.wrong(format_args!("entry/{seq}"), "it is not what was written");
        }
        let undone = if entry.kind == Kind::Reverse && entry.refused.is_none() {
            self.undone(tx, &entry).await?
        } else {
            None
        };
        self.entry(&entry, undone.as_ref());
        entries.read.push(entry);
        if entries.read.len() >= ORDERS_AT_ONCE {
            entries.flush(self, tx).await?;
        }
        Ok(Some(digest))
    }

    /// The entry that an entry undoes.
    async fn undone(&mut self, tx: &mut dyn Tx, entry: &Entry) -> Result<Option<Entry>, RecordsError> {
        let subject: Vec<_> = entry.subject.into_iter().collect();
        let found = match journal::by_orders(tx, self.key, &subject).await {
            Err(RecordsError::Corrupt(_)) => vec![],
            found => found?,
        };
        let is_it = |undone: &Entry| {
            Some(undone.id) == entry.subject
                && undone.seq < entry.seq
                && undone.refused.is_none()
                && matches!(undone.kind, Kind::Transfer | Kind::Capture)
        };
        let undone = found.into_iter().find(is_it);
        if undone.is_none() {
            self.wrong(format_args!("entry/{}", entry.seq), "what it undoes is not there");
        }
        Ok(undone)
    }
}

fn number(row: &Row) -> String {
    row.int(0).map_or_else(|_| "?".to_owned(), |seq| seq.to_string())
}

/// Rows of entries, and entries whose orders are not looked up yet.
struct Entries {
    rows: Rows,
    read: Vec<Entry>,
}

impl Entries {
    /// Holds orders against the entries that they have become.
    async fn flush(&mut self, walk: &mut Walk, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let entries = std::mem::take(&mut self.read);
        let mut ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        ids.sort_unstable();
        let values: Vec<_> = ids.iter().map(|id| Value::Bytes(&id.0)).collect();
        let rows = ORDERS.fetch(tx, &walk.key.values(), &values).await?;
        let read = |row: &Row| Some((row.array::<16>(0).ok()?, row.count(1).ok()?));
        let found: HashMap<_, _> = rows.iter().filter_map(read).collect();
        for entry in entries {
            if found.get(&entry.id.0) != Some(&entry.seq) {
                walk.wrong(format_args!("order/{}", entry.id), "it does not lead to its entry");
            }
        }
        Ok(())
    }
}
