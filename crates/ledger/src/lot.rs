//! Lots: parts of a balance that become available, are spent in the order in which they came, and expire.

use std::collections::BTreeMap;

use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::account::AccountId;
use crate::order::{After, LOTS_MAX, Line, OrderId, Terms};

/// A part of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lot {
    /// Its place among the account's lots: the number of the posting that brought it.
    pub lot: u64,
    /// What came.
    pub amount: i64,
    /// What is left of it.
    pub free: i64,
    /// What has expired of it.
    pub lapsed: i64,
    /// Whether it is not available yet.
    pub pending: bool,
    /// When it becomes available, where that was said.
    pub available_ms: Option<i64>,
    /// When it expires, where it does.
    pub expires_ms: Option<i64>,
}

impl Lot {
    /// A lot from `bucket,account,lot,amount,free,lapsed,pending,available_ms,expires_ms`.
    pub(crate) fn from_row(row: &Row) -> Result<(AccountId, Self), RecordsError> {
        let lot = Self {
            lot: row.count(2)?,
            amount: row.int(3)?,
            free: row.int(4)?,
            lapsed: row.int(5)?,
            pending: row.int(6)? != 0,
            available_ms: row.int_or_null(7)?,
            expires_ms: row.int_or_null(8)?,
        };
        Ok((account_of(row)?, lot))
    }

    pub(crate) fn plain(lot: u64, amount: i64) -> Self {
        let (available_ms, expires_ms) = (None, None);
        Self { lot, amount, free: amount, lapsed: 0, pending: false, available_ms, expires_ms }
    }

    /// When something becomes due of it next.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        let next_ms = if self.pending { self.available_ms } else { self.expires_ms };
        next_ms.filter(|_| self.free > 0)
    }
}

/// Reads an account's key from the first two columns.
pub(crate) fn account_of(row: &Row) -> Result<AccountId, RecordsError> {
    let bucket = u16::try_from(row.int(0)?).map_err(|_| RecordsError::Corrupt("a bucket".to_owned()))?;
    Ok(AccountId { bucket, hash: row.array(1)? })
}

/// The id under which a lot becomes available.
pub(crate) fn mature_id(account: AccountId, lot: u64) -> OrderId {
    OrderId::of(&[b"mature", &account.bucket.to_be_bytes(), &account.hash, &lot.to_be_bytes()])
}

/// The id under which a lot expires with an account's how-many-eth posting: the same lot may expire again, where some of it
/// was held, or came back.
pub(crate) fn lapse_id(account: AccountId, lot: u64, posting: u64) -> OrderId {
    let facts = [&account.hash[..], &lot.to_be_bytes(), &posting.to_be_bytes()].concat();
    OrderId::of(&[b"lapse", &account.bucket.to_be_bytes(), &facts])
}

/// The lots of an account, in the order in which they came, and what became of them. Those that are available have in them
/// what the account has less what is pending, or nothing where that is owed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lots {
    /// Those with something left.
    open: BTreeMap<u64, Lot>,
    /// Those with nothing left.
    spent: BTreeMap<u64, Lot>,
    /// Lots as the database has them: what is no longer so is replaced.
    stored: BTreeMap<u64, Lot>,
}

impl Lots {
    fn put(&mut self, lot: Lot) {
        let (to, from) =
            if lot.free > 0 { (&mut self.open, &mut self.spent) } else { (&mut self.spent, &mut self.open) };
        from.remove(&lot.lot);
        to.insert(lot.lot, lot);
    }

    fn add_stored(&mut self, lot: Lot) {
        // A lot may be loaded twice: among those with something left, and by its number.
        self.stored.insert(lot.lot, lot);
        self.put(lot);
    }

    /// All of them that are known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lot> {
        self.open.values().chain(self.spent.values())
    }

    /// A lot by its number.
    pub(crate) fn get(&self, number: u64) -> Option<&Lot> {
        self.open.get(&number).or_else(|| self.spent.get(&number))
    }

    /// What is left in those that are available, and in those that are not yet.
    pub(crate) fn left(&self) -> (i128, i128) {
        let sum = |pending: bool| {
            let lots = self.open.values().filter(|lot| lot.pending == pending);
            lots.map(|lot| i128::from(lot.free)).sum()
        };
        (sum(false), sum(true))
    }

    /// How many more may come.
    pub(crate) fn room(&self) -> usize {
        LOTS_MAX.saturating_sub(self.open.len())
    }

    /// Whether one more may come.
    pub(crate) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Adds a lot for what arrives, or takes from lots what leaves, `first` before all others; `before` is how the account
    /// stands until then. Answers what was taken from which.
    pub(crate) fn moved(
        &mut self,
        before: &After,
        line: &Line,
        terms: Terms,
        first: Option<u64>,
    ) -> Vec<(u64, i64)> {
        if !before.lots && before.balance > 0 {
            self.put(Lot::plain(0, before.balance));
        }
        if line.amount <= 0 {
            return self.take(-line.amount, first);
        }
        let Terms { available_ms, expires_ms } = terms;
        let lot = Lot::plain(line.after.seq, line.amount);
        let mut lot = Lot { pending: line.pending > 0, available_ms, expires_ms, ..lot };
        // What is owed is repaid by what may be spent.
        if !lot.pending {
            lot.free -= lot.free.min(before.owed());
        }
        self.put(lot);
        vec![]
    }

    /// Takes an amount from the oldest lots that are available, from `first` before all others. Answers what came from
    /// which. What no lot covers is owed.
    fn take(&mut self, amount: i64, first: Option<u64>) -> Vec<(u64, i64)> {
        let (mut left, mut uses) = (amount, vec![]);
        let mut take = |lot: &mut Lot| {
            let part = lot.free.min(left);
            lot.free -= part;
            left -= part;
            uses.extend((part > 0).then_some((lot.lot, part)));
            left > 0
        };
        let goes_on = first.and_then(|first| self.open.get_mut(&first)).is_none_or(&mut take);
        if goes_on {
            let mut available = self.open.values_mut().filter(|lot| !lot.pending && lot.free > 0);
            while available.next().is_some_and(&mut take) {}
        }
        for (number, _) in &uses {
            self.put_away(*number);
        }
        uses
    }

    fn put_away(&mut self, number: u64) {
        if let Some(lot) = self.open.get(&number).copied() {
            self.put(lot);
        }
    }

    /// Gives an amount back: to lots what was taken from them; of the rest, what is not owed becomes a lot. What is then
    /// still owed is taken from the oldest.
    pub(crate) fn regain(&mut self, before: &After, line: &Line, uses: impl Iterator<Item = (u64, i64)>) {
        let mut rest = line.amount;
        for (number, amount) in uses {
            if let Some(lot) = self.get(number).copied() {
                self.put(Lot { free: lot.free + amount, ..lot });
                rest -= amount;
            }
        }
        let repaid = rest.min(before.owed());
        if rest > repaid {
            self.put(Lot { free: rest - repaid, ..Lot::plain(line.after.seq, rest) });
        }
        self.take(before.owed() - repaid, None);
    }

    /// Lots that have become available by now, in that order.
    pub(crate) fn ripe(&self, now_ms: i64) -> Vec<Lot> {
        let is_ripe = |lot: &&Lot| lot.pending && lot.available_ms.is_some_and(|from_ms| from_ms <= now_ms);
        let mut ripe: Vec<Lot> = self.open.values().filter(is_ripe).copied().collect();
        ripe.sort_by_key(|lot| lot.available_ms);
        ripe
    }

    /// Makes a lot available: it repays what is owed.
    pub(crate) fn mature(&mut self, before: &After, number: u64) {
        if let Some(lot) = self.get(number).copied() {
            let free = lot.free - lot.free.min(before.owed());
            self.put(Lot { free, pending: false, ..lot });
        }
    }

    /// Lots that have expired by now, and how much of each goes. What is held is the oldest that is available, and stays until
    /// the hold is over, whatever expires meanwhile.
    pub(crate) fn overdue(&self, now_ms: i64, held: i64) -> Vec<(u64, i64)> {
        let mut held = held;
        let parts = self.open.values().filter(|lot| !lot.pending).map(|lot| {
            let kept = lot.free.min(held);
            held -= kept;
            (lot, lot.free - kept)
        });
        let is_over = |lot: &Lot| lot.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms);
        parts.filter(|(lot, part)| *part > 0 && is_over(lot)).map(|(lot, part)| (lot.lot, part)).collect()
    }

    /// Lets a part of a lot expire. Answers whether it has that much.
    pub(crate) fn lapse(&mut self, number: u64, part: i64) -> bool {
        let lot = self.open.get(&number).copied().filter(|lot| !lot.pending && lot.free >= part);
        let lapsed = lot.map(|lot| Lot { free: lot.free - part, lapsed: lot.lapsed + part, ..lot });
        lapsed.map(|lot| self.put(lot)).is_some()
    }

    /// When something of what has changed is due next.
    pub(crate) fn changed_due(&self) -> impl Iterator<Item = i64> {
        self.changed().filter_map(|(_, lot)| lot.due_ms())
    }

    fn changed(&self) -> impl Iterator<Item = (Option<&Lot>, &Lot)> {
        let with_stored = self.iter().map(|lot| (self.stored.get(&lot.lot), lot));
        with_stored.filter(|(stored, lot)| *stored != Some(*lot))
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
    "lapsed",
    "pending",
    "available_ms",
    "expires_ms",
];
static INSERT: Insert = Insert::new("ledger_lot", COLUMNS);
static DELETE: ByKeys =
    ByKeys::new("DELETE FROM ledger_lot WHERE tenant=?", &["bucket", "account", "spent", "lot"], "");
static OPEN: ByKeys = ByKeys::new(
    "SELECT bucket,account,lot,amount,free,lapsed,pending,available_ms,expires_ms FROM ledger_lot WHERE tenant=? AND spent=0",
    &["bucket", "account"],
    "",
);
static BY_NUMBER: ByKeys = ByKeys::new(
    "SELECT bucket,account,lot,amount,free,lapsed,pending,available_ms,expires_ms FROM ledger_lot WHERE tenant=? AND spent IN (0,1)",
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

/// Up to `limit` lots of an account that have something left, in the order in which they came, from a number on.
pub(crate) async fn left(
    tx: &mut dyn Tx,
    (tenant, account): (u32, AccountId),
    (from, limit): (u64, u32),
) -> Result<Vec<Lot>, RecordsError> {
    let sql = "SELECT bucket,account,lot,amount,free,lapsed,pending,available_ms,expires_ms FROM ledger_lot
        WHERE bucket=? AND tenant=? AND account=? AND spent=0 AND lot>=? ORDER BY lot LIMIT ?";
    let (bucket, tenant) = (Value::Int(account.bucket.into()), Value::Int(tenant.into()));
    let values = [bucket, tenant, Value::Bytes(&account.hash), Value::count(from), Value::Int(limit.into())];
    let rows = tx.fetch(sql, &values).await?;
    rows.iter().map(|row| Ok(Lot::from_row(row)?.1)).collect()
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
                Value::Int(lot.lapsed),
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

    fn lots(of: &[(u64, i64, bool, Option<i64>)]) -> Lots {
        let mut lots = Lots::default();
        for (number, free, pending, expires_ms) in of {
            lots.put(Lot { pending: *pending, expires_ms: *expires_ms, ..Lot::plain(*number, *free) });
        }
        lots
    }

    #[test]
    fn the_oldest_that_is_available_is_spent_first() {
        let mut lots = lots(&[(1, 5, false, None), (4, 7, true, None), (9, 3, false, None)]);
        assert_eq!(lots.take(6, None), [(1, 5), (9, 1)]);
        assert_eq!(
            lots.take(9, Some(4)),
            [(4, 7), (9, 2)],
            "an undone grant takes its own lot, pending or not"
        );
        assert_eq!(lots.take(1, None), []);
        assert_eq!(lots.left(), (0, 0));
    }

    #[test]
    fn what_comes_repays_what_is_owed_before_it_can_be_spent() {
        let owing = After { balance: -50, lots: true, ..After::default() };
        let line = |amount, pending| Line {
            account: AccountId { bucket: 0, hash: [0; 16] },
            before: 0,
            amount,
            held: 0,
            pending,
            after: After { seq: 2, ..After::default() },
        };
        let mut now = Lots::default();
        now.moved(&owing, &line(80, 0), Terms::default(), None);
        assert_eq!(now.left(), (30, 0));
        let mut later = Lots::default();
        later.moved(&owing, &line(80, 80), Terms::default(), None);
        assert_eq!(later.left(), (0, 80));
        later.mature(&After { balance: 30, pending: 80, ..owing }, 2);
        assert_eq!(later.left(), (30, 0));
        // What was taken from a lot goes back to it; what was owed then is not owed now.
        let mut back = lots(&[(1, 40, false, None)]);
        let uses = back.take(60, None);
        back.regain(&After { balance: -20, ..owing }, &line(60, 0), uses.into_iter());
        assert_eq!(back.left(), (40, 0));
    }

    #[test]
    fn what_is_held_is_the_oldest_and_does_not_expire() {
        let some =
            [(1, 10, false, Some(5)), (2, 10, true, Some(5)), (3, 10, false, Some(5)), (4, 10, false, None)];
        for (held, overdue) in [
            (0, vec![(1, 10), (3, 10)]),
            (4, vec![(1, 6), (3, 10)]),
            (15, vec![(3, 5)]),
            (30, vec![]),
            (99, vec![]),
        ] {
            assert_eq!(lots(&some).overdue(5, held), overdue, "{held} are held");
            assert_eq!(lots(&some).overdue(4, held), []);
        }
        let mut lots = lots(&some);
        assert!(lots.lapse(1, 6) && !lots.lapse(1, 5) && !lots.lapse(2, 1));
        assert_eq!(lots.get(1).map(|lot| (lot.free, lot.lapsed)), Some((4, 6)));
    }
}
