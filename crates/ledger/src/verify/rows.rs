//! Rows that follow from the journal, held one by one against what it makes of them.

use std::collections::{BTreeMap, BTreeSet};

use kernel::hex::hex;
use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::ByKeys;

use crate::account::AccountId;
use crate::balance;
use crate::hold::{self, State};
use crate::lot::{Lot, account_of};

use super::pages::{Scan, Table};
use super::{Walk, about};

static ORDERS: Table = Table { name: "ledger_order", columns: "id,seq", key: &[("id", 0)] };
static REVERSALS: Table = Table { name: "ledger_reversal", columns: "undone,seq", key: &[("undone", 0)] };
static BALANCES: Table = Table {
    name: "ledger_balance",
    columns: "bucket,account,seq,entry,balance,held,pending,floor,lots",
    key: &[("account", 1)],
};
static HOLDS: Table = Table {
    name: "ledger_hold",
    columns: "bucket,account,state,id,amount,to_bucket,to_account,expires_ms",
    key: &[("account", 1), ("state", 2), ("id", 3)],
};
static LOTS: Table = Table {
    name: "ledger_lot",
    columns: "bucket,account,lot,amount,free,lapsed,pending,available_ms,expires_ms,spent",
    key: &[("account", 1), ("spent", 9), ("lot", 2)],
};
static USES: Table = Table {
    name: "ledger_lot_use",
    columns: "bucket,account,entry,lot,amount",
    key: &[("account", 1), ("entry", 2), ("lot", 3)],
};
static DUE: Table = Table {
    name: "ledger_due",
    columns: "bucket,account,due_ms",
    key: &[("due_ms", 2), ("bucket", 0), ("account", 1)],
};
static ENTRIES: ByKeys =
    ByKeys::new("SELECT id,seq FROM ledger_entry WHERE shard=? AND tenant=?", &["seq"], "");

const OTHERWISE: &str = "it is not what the journal makes of it";
const UNKNOWN: &str = "the journal does not know it";
const MISSING: &str = "it is missing";

/// What a column holds, for a name.
fn told(row: &Row, column: usize) -> String {
    let bytes = || row.bytes(column).map_or_else(|_| "?".to_owned(), hex);
    row.int(column).map_or_else(|_| bytes(), |int| int.to_string())
}

impl Walk {
    /// Holds what stands in a row against what should: `expected` is what is still to be found.
    fn row<K: Ord, V: PartialEq>(
        &mut self,
        name: impl FnOnce() -> String,
        found: Option<(K, V)>,
        expected: &mut BTreeMap<K, V>,
    ) {
        let why = match found {
            None => "it cannot be read",
            Some((key, row)) => match expected.remove(&key) {
                Some(known) if known == row => return,
                Some(_) => OTHERWISE,
                None => UNKNOWN,
            },
        };
        self.wrong(name(), why);
    }

    /// Each entry has led to its order: so if there are as many orders as entries, there is no other.
    pub(super) async fn orders_and_reversals(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let (mut scan, mut count) = (Scan::of_journal(&ORDERS, self.key), 0);
        loop {
            let rows = scan.next(tx).await?;
            count += rows.len() as u64;
            if rows.is_empty() {
                break;
            }
        }
        if count != self.report.entries {
            self.orders_without_entries(tx).await?;
        }
        let (mut scan, mut expected) =
            (Scan::of_journal(&REVERSALS, self.key), std::mem::take(&mut self.reversals));
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let found = row.count(0).and_then(|undone| Ok((undone, row.count(1)?)));
                self.row(|| format!("reversal/{}", told(row, 0)), found.ok(), &mut expected);
            }
        }
        for undone in expected.into_keys() {
            self.wrong(format_args!("reversal/{undone}"), MISSING);
        }
        Ok(())
    }

    async fn orders_without_entries(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut scan = Scan::of_journal(&ORDERS, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut seqs: Vec<_> = rows.iter().filter_map(|row| row.int(1).ok()).collect();
            seqs.sort_unstable();
            seqs.dedup();
            let seqs: Vec<_> = seqs.into_iter().map(Value::Int).collect();
            let found = ENTRIES.fetch(tx, &self.key.values(), &seqs).await?;
            let found: BTreeSet<_> = found.iter().map(|row| (told(row, 0), told(row, 1))).collect();
            for row in rows.iter().filter(|row| !found.contains(&(told(row, 0), told(row, 1)))) {
                self.wrong(format_args!("order/{}", told(row, 0)), "it does not lead to its entry");
            }
        }
    }

    /// Holds how accounts stand against what the journal makes of them.
    pub(super) async fn balances(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut expected: BTreeMap<_, _> =
            self.books.iter().map(|(account, after)| (*account, *after)).collect();
        let mut scan = Scan::of_accounts(&BALANCES, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let found = balance::after(row).ok();
                self.row(|| format!("balance/{}", about(row)), found, &mut expected);
            }
        }
        for account in expected.into_keys() {
            self.wrong(format_args!("balance/{account}"), MISSING);
        }
        Ok(())
    }

    pub(super) async fn holds(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut expected: BTreeMap<_, _> = self.holds.iter().map(|(id, hold)| (*id, *hold)).collect();
        let mut scan = Scan::of_accounts(&HOLDS, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let found = hold::from_row(row).ok().map(|hold| (hold.id, hold));
                self.row(|| format!("hold/{}", told(row, 3)), found, &mut expected);
            }
        }
        for id in expected.into_keys() {
            self.wrong(format_args!("hold/{id}"), MISSING);
        }
        Ok(())
    }

    /// Holds lots against balances, and both lots and what was taken from them against what the journal makes of them.
    pub(super) async fn lots(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut expected: BTreeMap<(AccountId, u64), (Lot, bool)> = BTreeMap::new();
        let mut wrong = vec![];
        for (account, lots) in &self.lots {
            expected.extend(lots.iter().map(|lot| ((*account, lot.lot), (*lot, lot.free == 0))));
            let after = self.books.get(account).copied().unwrap_or_default();
            let own = i128::from(after.balance) - i128::from(after.pending);
            if lots.left() != (own.max(0), after.pending.into()) {
                wrong.push(*account);
            }
        }
        wrong.sort_unstable();
        for account in wrong {
            self.wrong(format_args!("lots/{account}"), "its lots are not its balance");
        }
        let mut scan = Scan::of_accounts(&LOTS, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let found = Lot::from_row(row)
                    .and_then(|(account, lot)| Ok(((account, lot.lot), (lot, row.int(9)? != 0))));
                self.row(|| format!("lot/{}/{}", about(row), told(row, 2)), found.ok(), &mut expected);
            }
        }
        for (account, lot) in expected.into_keys() {
            self.wrong(format_args!("lot/{account}/{lot}"), MISSING);
        }
        self.uses(tx).await
    }

    async fn uses(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut expected = std::mem::take(&mut self.uses);
        let mut scan = Scan::of_accounts(&USES, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let name = || format!("use/{}/{}/{}", about(row), told(row, 2), told(row, 3));
                let found = account_of(row)
                    .and_then(|account| Ok(((account, row.count(2)?, row.count(3)?), row.int(4)?)));
                self.row(name, found.ok(), &mut expected);
            }
        }
        for (account, entry, lot) in expected.into_keys() {
            self.wrong(format_args!("use/{account}/{entry}/{lot}"), MISSING);
        }
        Ok(())
    }

    /// Demands that each hold's end and each lot's next time is noted as due. What is held of a lot may have expired: then it
    /// waits for the end of the hold. What is noted in vain does no harm.
    pub(super) async fn due(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let open = self.holds.values().filter(|hold| hold.state == State::Open);
        let mut expected: BTreeSet<(i64, AccountId)> =
            open.map(|hold| (hold.expires_ms, hold.account)).collect();
        let mut ends: BTreeMap<AccountId, i64> = BTreeMap::new();
        for (ends_ms, account) in &expected {
            ends.insert(*account, *ends_ms);
        }
        for (account, lots) in &self.lots {
            let held = self.books.get(account).map_or(0, |after| after.held);
            let uncovered: BTreeSet<_> =
                lots.overdue(i64::MAX, held).into_iter().map(|(lot, _)| lot).collect();
            let last_ms = ends.get(account).copied().unwrap_or(i64::MIN);
            let due = lots.iter().filter_map(|lot| Some((lot, lot.due_ms()?)));
            let needed =
                due.filter(|(lot, due_ms)| lot.pending || *due_ms > last_ms || uncovered.contains(&lot.lot));
            expected.extend(needed.map(|(_, due_ms)| (due_ms, *account)));
        }
        let mut scan = Scan::of_journal(&DUE, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                match account_of(row).and_then(|account| Ok((row.int(2)?, account))) {
                    Ok(due) => drop(expected.remove(&due)),
                    Err(_) => self.wrong(format_args!("due/{}", about(row)), "it cannot be read"),
                }
            }
        }
        for (due_ms, account) in expected {
            self.wrong(format_args!("due/{account}"), &format!("what is due at {due_ms} is not noted"));
        }
        Ok(())
    }
}
