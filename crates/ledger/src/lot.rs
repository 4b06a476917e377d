//! Lots: parts of a balance that become available, are spent in the order in which they came, and expire.

use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::account::AccountId;

/// A part of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lot {
    /// Its place among the account's lots: the number of the posting that brought it.
    pub lot: u64,
    /// What came.
    pub amount: i64,
    /// What is left of it.
    pub free: i64,
    /// Whether it is not available yet.
    pub pending: bool,
    /// When it becomes available, where that was said.
    pub available_ms: Option<i64>,
    /// When it expires, where it does.
    pub expires_ms: Option<i64>,
}

impl Lot {
    fn from_row(row: &Row) -> Result<(AccountId, Self), RecordsError> {
        let lot = Self {
            lot: row.count(2)?,
            amount: row.int(3)?,
            free: row.int(4)?,
            pending: row.int(5)? != 0,
            available_ms: row.int_or_null(6)?,
            expires_ms: row.int_or_null(7)?,
        };
        Ok((account_of(row)?, lot))
    }

    /// When something becomes due of it next.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        if self.pending { self.available_ms } else { self.expires_ms.filter(|_| self.free > 0) }
    }
}

/// Reads an account's key from the first two columns.
pub(crate) fn account_of(row: &Row) -> Result<AccountId, RecordsError> {
    let bucket = u16::try_from(row.int(0)?).map_err(|_| RecordsError::Corrupt("a bucket".to_owned()))?;
    Ok(AccountId { bucket, hash: row.array(1)? })
}

/// The lots of an account, in the order in which they came, and what became of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lots {
    lots: Vec<Lot>,
    /// Lots as the database has them: what is no longer so is replaced.
    stored: Vec<Lot>,
}

impl Lots {
    pub(crate) fn add(&mut self, lot: Lot) {
        self.lots.push(lot);
    }

    fn add_stored(&mut self, lot: Lot) {
        // A lot may be loaded twice: among those with something left, and by its number.
        if self.stored.iter().all(|known| known.lot != lot.lot) {
            self.stored.push(lot);
            let place = self.lots.partition_point(|known| known.lot < lot.lot);
            self.lots.insert(place, lot);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lot> {
        self.lots.iter()
    }

    /// Takes an amount from the oldest lots that are available, from `first` before all others. Answers what came from
    /// which. What no lot covers is owed.
    pub(crate) fn take(&mut self, amount: i64, first: Option<u64>) -> Vec<(u64, i64)> {
        let mut left = amount;
        let mut uses = vec![];
        for only_first in [true, false] {
            for lot in self.lots.iter_mut().filter(|lot| !only_first || Some(lot.lot) == first) {
                let part = lot.free.min(left);
                if part > 0 && (!lot.pending || only_first) {
                    lot.free -= part;
                    left -= part;
                    uses.push((lot.lot, part));
                }
            }
        }
        uses
    }

    /// Gives back to a lot what was taken from it. Answers whether there is such a lot.
    pub(crate) fn give_back(&mut self, number: u64, amount: i64) -> bool {
        let lot = self.lots.iter_mut().find(|lot| lot.lot == number);
        lot.map(|lot| lot.free += amount).is_some()
    }

    pub(crate) fn mature(&mut self, number: u64) {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.lot == number) {
            lot.pending = false;
        }
    }

    /// When something of what has changed is due next.
    pub(crate) fn changed_due(&self) -> impl Iterator<Item = i64> {
        self.changed().filter_map(|(_, lot)| lot.due_ms())
    }

    fn changed(&self) -> impl Iterator<Item = (Option<&Lot>, &Lot)> {
        let with_stored = |lot| (self.stored.iter().find(|known: &&Lot| known.lot == lot), lot);
        self.lots
            .iter()
            .map(move |lot| (with_stored(lot.lot).0, lot))
            .filter(|(stored, lot)| *stored != Some(*lot))
    }
}

const COLUMNS: &[&str] = &[
    "bucket",
    "tenant",
    "account",
    "spent",
    "lot",
    "amount",
    "free",
    "pending",
    "available_ms",
    "expires_ms",
];
static INSERT: Insert = Insert::new("ledger_lot", COLUMNS);
static DELETE: ByKeys =
    ByKeys::new("DELETE FROM ledger_lot WHERE tenant=?", &["bucket", "account", "spent", "lot"], "");
static OPEN: ByKeys = ByKeys::new(
    "SELECT bucket,account,lot,amount,free,pending,available_ms,expires_ms FROM ledger_lot WHERE tenant=? AND spent=0",
    &["bucket", "account"],
    "",
);
static BY_NUMBER: ByKeys = ByKeys::new(
    "SELECT bucket,account,lot,amount,free,pending,available_ms,expires_ms FROM ledger_lot WHERE tenant=? AND spent IN (0,1)",
    &["bucket", "account", "lot"],
    "",
);
static INSERT_USE: Insert =
    Insert::new("ledger_lot_use", &["bucket", "tenant", "account", "entry", "lot", "amount"]);
static USES: ByKeys = ByKeys::new(
    "SELECT bucket,account,entry,lot,amount FROM ledger_lot_use WHERE tenant=?",
    &["bucket", "account", "entry"],
    "",
);

type Found = Vec<(AccountId, Lot)>;

/// Lots of accounts that have something left.
pub(crate) async fn open(
    tx: &mut dyn Tx,
    tenant: u32,
    accounts: &[AccountId],
) -> Result<Found, RecordsError> {
    let keys: Vec<_> = accounts.iter().flat_map(key).collect();
    let rows = OPEN.fetch(tx, &[Value::Int(tenant.into())], &keys).await?;
    rows.iter().map(Lot::from_row).collect()
}

/// Lots by their numbers, spent or not.
pub(crate) async fn by_number(
    tx: &mut dyn Tx,
    tenant: u32,
    lots: &[(AccountId, u64)],
) -> Result<Found, RecordsError> {
    let keys: Vec<_> =
        lots.iter().flat_map(|(account, lot)| key(account).into_iter().chain([Value::count(*lot)])).collect();
    let rows = BY_NUMBER.fetch(tx, &[Value::Int(tenant.into())], &keys).await?;
    rows.iter().map(Lot::from_row).collect()
}

fn key(account: &AccountId) -> [Value<'_>; 2] {
    [Value::Int(account.bucket.into()), Value::Bytes(&account.hash)]
}

/// What an entry took from a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) account: AccountId,
    pub(crate) entry: u64,
    pub(crate) lot: u64,
    pub(crate) amount: i64,
}

/// What entries took from lots of accounts.
pub(crate) async fn uses(
    tx: &mut dyn Tx,
    tenant: u32,
    asked: &[(AccountId, u64)],
) -> Result<Vec<Use>, RecordsError> {
    let keys: Vec<_> = asked
        .iter()
        .flat_map(|(account, entry)| key(account).into_iter().chain([Value::count(*entry)]))
        .collect();
    let rows = USES.fetch(tx, &[Value::Int(tenant.into())], &keys).await?;
    let read = |row: &Row| {
        Ok(Use { account: account_of(row)?, entry: row.count(2)?, lot: row.count(3)?, amount: row.int(4)? })
    };
    rows.iter().map(read).collect()
}

/// Adds lots to those that are known of their accounts.
pub(crate) fn gather(known: &mut std::collections::HashMap<AccountId, Lots>, found: Found) {
    for (account, lot) in found {
        known.entry(account).or_default().add_stored(lot);
    }
}

/// Writes what became of lots, and what was taken from them.
pub(crate) async fn save<'a>(
    tx: &mut dyn Tx,
    tenant: u32,
    lots: impl Iterator<Item = (&'a AccountId, &'a Lots)>,
    uses: &[Use],
) -> Result<(), RecordsError> {
    let (mut gone, mut new) = (vec![], vec![]);
    for (account, lots) in lots {
        for (stored, lot) in lots.changed() {
            if let Some(stored) = stored {
                gone.extend(key(account));
                gone.extend([Value::Int((stored.free == 0).into()), Value::count(stored.lot)]);
            }
            new.extend([
                Value::Int(account.bucket.into()),
                Value::Int(tenant.into()),
                Value::Bytes(&account.hash),
                Value::Int((lot.free == 0).into()),
                Value::count(lot.lot),
                Value::Int(lot.amount),
                Value::Int(lot.free),
                Value::Int(lot.pending.into()),
                Value::int_or_null(lot.available_ms),
                Value::int_or_null(lot.expires_ms),
            ]);
        }
    }
    let went = DELETE.exec(tx, &[Value::Int(tenant.into())], &gone).await?;
    if went != gone.len() as u64 / 4 {
        return Err(RecordsError::Surprise("ledger_lot"));
    }
    INSERT.rows(tx, &new).await?;
    let uses: Vec<_> = uses
        .iter()
        .flat_map(|used| {
            [
                Value::Int(used.account.bucket.into()),
                Value::Int(tenant.into()),
                Value::Bytes(&used.account.hash),
                Value::count(used.entry),
                Value::count(used.lot),
                Value::Int(used.amount),
            ]
        })
        .collect();
    INSERT_USE.rows(tx, &uses).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(number: u64, free: i64, pending: bool) -> Lot {
        Lot { lot: number, amount: free, free, pending, available_ms: None, expires_ms: None }
    }

    #[test]
    fn the_oldest_that_is_available_is_spent_first() {
        let mut lots = Lots::default();
        for (number, free, pending) in [(1, 5, false), (4, 7, true), (9, 3, false)] {
            lots.add(lot(number, free, pending));
        }
        assert_eq!(lots.take(6, None), [(1, 5), (9, 1)]);
        assert_eq!(
            lots.take(9, Some(4)),
            [(4, 7), (9, 2)],
            "an undone grant takes its own lot, pending or not"
        );
        assert_eq!(lots.take(1, None), []);
        assert!(lots.give_back(9, 2) && !lots.give_back(8, 1));
        lots.mature(4);
        assert!(lots.give_back(4, 7));
        assert_eq!(lots.take(100, None), [(4, 7), (9, 2)]);
    }
}
