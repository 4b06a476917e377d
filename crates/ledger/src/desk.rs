//! A batch of orders in one transaction: lock the journal, load what the orders are about, decide each in memory, write what
//! came of it.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use kernel::id::{Shard, Tenant};
use records::error::Error as RecordsError;
use records::outbox;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::account::{Account, AccountId, EXPIRED};
use crate::balance;
use crate::book::Book;
use crate::entry::{Entry, Kind};
use crate::hold;
use crate::journal::{self, Head, JournalKey};
use crate::lot::{self, Lots};
use crate::memory::Memory;
use crate::order::{After, LOTS_MAX, Order, OrderId, Outcome, Receipt, What};
use crate::reading;
use crate::scribe::{PART, Scribe, Whole};

static REVERSED: ByKeys =
    ByKeys::new("SELECT undone FROM ledger_reversal WHERE shard=? AND tenant=?", &["undone"], "");
static INSERT_REVERSED: Insert = Insert::new("ledger_reversal", &["shard", "tenant", "undone", "seq"]);
static INSERT_DUE: Insert =
    Insert::or_replace("ledger_due", &["shard", "due_ms", "tenant", "bucket", "account", "noted_ms"], 5);
static DELETE_DUE: ByKeys =
    ByKeys::new("DELETE FROM ledger_due WHERE shard=?", &["due_ms", "tenant", "bucket", "account"], "");

/// An order, and the accounts that it names, in their order.
pub(crate) type Filed<'o> = (&'o Order, &'o [AccountId]);

/// Where and when a batch is decided.
#[derive(Debug, Clone, Copy)]
pub struct Desk {
    /// Whose books.
    pub tenant: Tenant,
    /// The database.
    pub shard: Shard,
    /// Now, in milliseconds since the epoch.
    pub now_ms: i64,
}

impl Desk {
    fn key(self) -> JournalKey {
        JournalKey { shard: self.shard, tenant: self.tenant.number }
    }

    /// Decides orders in their order, as if all before each were written, and writes what came of them. Nothing leaves
    /// before the transaction is kept. The orders have been checked.
    pub async fn post(self, tx: &mut dyn Tx, orders: &[&Order]) -> Result<Vec<Outcome>, RecordsError> {
        let accounts: Vec<_> = orders.iter().map(|order| self.accounts(order)).collect();
        let filed = orders.iter().copied().zip(accounts.iter().map(Vec::as_slice));
        let (outcomes, _) = self.post_with(tx, &filed.collect::<Vec<_>>(), &Mutex::default(), true).await?;
        Ok(outcomes)
    }

    /// The same for a writer with a memory, which is taken, and given back as it is to be if the transaction is kept. Where
    /// `may_repeat` is false no order is looked up: one that has been posted before then is [`RecordsError::Duplicate`], and
    /// nothing is kept.
    pub(crate) async fn post_with(
        self,
        tx: &mut dyn Tx,
        orders: &[Filed<'_>],
        memory: &Mutex<Memory>,
        may_repeat: bool,
    ) -> Result<(Vec<Outcome>, Memory), RecordsError> {
        let head = Head::lock(tx, self.key()).await?;
        let mut book = self.load(tx, head, (orders, may_repeat), memory).await?;
        let mut scribe = Scribe::new(orders.len());
        let mut outcomes = Vec::with_capacity(orders.len());
        for part in orders.chunks(PART) {
            outcomes.extend(part.iter().map(|(order, accounts)| book.decide(order, accounts)));
            scribe.take(&book.fresh.entries);
        }
        self.save(tx, head, (&book, scribe), orders).await?;
        Ok((outcomes, book.accounts.ending(book.seq)))
    }

    /// Locks the journal and loads accounts and earlier orders, so that another room can have orders decided one by one
    /// beside what it decides itself. An order of [`Counter::decide`] is about nothing else; one whose id is not among
    /// `earlier` must be new.
    pub async fn open(
        self,
        tx: &mut dyn Tx,
        accounts: &[Account],
        earlier: &[OrderId],
    ) -> Result<Counter, RecordsError> {
        let head = Head::lock(tx, self.key()).await?;
        let accounts: BTreeSet<_> =
            accounts.iter().map(|account| account.id(self.tenant, self.shard)).collect();
        let loaded = (accounts.iter().copied().collect(), earlier.to_vec());
        let book = self.gather(tx, head, loaded, &Mutex::default()).await?;
        Ok(Counter { desk: self, head, book, accounts })
    }

    /// What of accounts could be spent, in their order, what is due by now done. It locks nothing and writes nothing: true a
    /// moment ago.
    pub async fn available(self, tx: &mut dyn Tx, accounts: &[Account]) -> Result<Vec<i64>, RecordsError> {
        let ids: Vec<_> = accounts.iter().map(|account| account.id(self.tenant, self.shard)).collect();
        let loaded = (ids.clone(), vec![]);
        let mut book = self.gather(tx, Head::EMPTY, loaded, &Mutex::default()).await?;
        Ok(ids.into_iter().map(|id| book.available(id)).collect())
    }

    /// What an order has done, where it was done; it locks nothing.
    pub async fn receipt(self, tx: &mut dyn Tx, order: OrderId) -> Result<Option<Receipt>, RecordsError> {
        let found = journal::by_orders(tx, self.key(), &[order]).await?;
        Ok(found.first().filter(|entry| entry.refused.is_none()).map(Entry::receipt))
    }

    async fn load(
        self,
        tx: &mut dyn Tx,
        head: Head,
        (orders, may_repeat): (&[Filed<'_>], bool),
        memory: &Mutex<Memory>,
    ) -> Result<Book, RecordsError> {
        let subjects = orders.iter().filter_map(|(order, _)| match &order.what {
            What::Capture { hold, .. } | What::Release { hold } => Some(*hold),
            What::Reverse { of } => Some(*of),
            What::Open { .. } | What::Transfer { .. } | What::Hold { .. } | What::Settle { .. } => None,
        });
        let repeats = orders.iter().map(|(order, _)| order.id).filter(|_| may_repeat);
        let ids = repeats.chain(subjects).collect();
        let accounts = orders.iter().flat_map(|(_, accounts)| accounts.iter().copied()).collect();
        self.gather(tx, head, (accounts, ids), memory).await
    }

    /// Loads accounts, and the entries of orders with what they are about.
    async fn gather(
        self,
        tx: &mut dyn Tx,
        head: Head,
        (mut accounts, mut ids): (Vec<AccountId>, Vec<OrderId>),
        memory: &Mutex<Memory>,
    ) -> Result<Book, RecordsError> {
        let remembered = std::mem::take(&mut *memory.lock().unwrap_or_else(PoisonError::into_inner));
        let mut book = Book {
            tenant: Some(self.tenant),
            shard: self.shard,
            now_ms: self.now_ms,
            seq: head.seq,
            accounts: remembered.at(head.seq),
            ..Book::default()
        };
        ids.sort_unstable();
        ids.dedup();
        let known = journal::by_orders(tx, self.key(), &ids).await?;
        accounts.extend(known.iter().flat_map(|entry| entry.lines.iter().map(|line| line.account)));
        accounts.extend(known.iter().filter_map(|entry| entry.to));
        let stand = self.standing(tx, &mut book.accounts, accounts).await?;
        self.load_holds(tx, &mut book, &stand, &known).await?;
        self.load_lots(tx, &mut book, &stand, &known).await?;
        book.entries = known.into_iter().map(|entry| (entry.id, Arc::new(entry))).collect();
        Ok(book)
    }

    /// Brings how accounts stand to mind: what is not remembered comes from the records. Answers those that have more to load,
    /// in the order of their keys.
    async fn standing(
        self,
        tx: &mut dyn Tx,
        memory: &mut Memory,
        accounts: Vec<AccountId>,
    ) -> Result<Vec<(AccountId, After)>, RecordsError> {
        let (mut stand, mut unknown) = (vec![], vec![]);
        let has_more = |after: &After| after.held > 0 || after.lots;
        for account in accounts {
            match memory.recall(account) {
                Some(after) if has_more(&after) => stand.push((account, after)),
                Some(_) => {}
                None => unknown.push(account),
            }
        }
        unknown.sort_unstable();
        unknown.dedup();
        // Committed by whoever wrote it, and locked by us.
        let found = balance::last(tx, self.tenant.number, &unknown).await?;
        stand.extend(found.iter().filter(|(_, after)| has_more(after)).copied());
        memory.extend(found);
        stand.sort_unstable_by_key(|(account, _)| *account);
        stand.dedup_by_key(|(account, _)| *account);
        Ok(stand)
    }

    /// The accounts that an order names.
    pub(crate) fn accounts(self, order: &Order) -> Vec<AccountId> {
        let id = |account: &Account| account.id(self.tenant, self.shard);
        match &order.what {
            What::Open { account, .. } => vec![id(account)],
            What::Transfer { legs, .. } => legs.iter().map(|leg| id(&leg.account)).collect(),
            What::Hold { from, to, .. } => vec![id(from), id(to)],
            What::Settle { account, .. } => vec![*account],
            What::Capture { .. } | What::Release { .. } | What::Reverse { .. } => vec![],
        }
    }

    async fn load_holds(
        self,
        tx: &mut dyn Tx,
        book: &mut Book,
        stand: &[(AccountId, After)],
        known: &[Entry],
    ) -> Result<(), RecordsError> {
        let tenant = self.tenant.number;
        let held = stand.iter().filter(|(_, after)| after.held > 0).map(|(account, _)| *account);
        let held: Vec<_> = held.collect();
        let asked = known.iter().filter(|entry| entry.kind == Kind::Hold && entry.refused.is_none());
        let asked: Vec<_> =
            asked.filter_map(|entry| Some((entry.lines.first()?.account, entry.id))).collect();
        let mut holds = hold::open(tx, tenant, &held).await?;
        holds.extend(hold::by_id(tx, tenant, &asked).await?);
        book.holds = holds.into_iter().collect();
        Ok(())
    }

    /// What may be undone, and lots of the accounts that have them.
    async fn load_lots(
        self,
        tx: &mut dyn Tx,
        book: &mut Book,
        stand: &[(AccountId, After)],
        known: &[Entry],
    ) -> Result<(), RecordsError> {
        let tenant = self.tenant.number;
        let undone: Vec<_> = known
            .iter()
            .filter(|entry| matches!(entry.kind, Kind::Transfer | Kind::Capture) && entry.refused.is_none())
            .collect();
        let seqs: Vec<_> = undone.iter().map(|entry| Value::count(entry.seq)).collect();
        let rows = REVERSED.fetch(tx, &self.key().values(), &seqs).await?;
        book.undone = rows.iter().map(|row| row.count(0)).collect::<Result<_, _>>()?;
        let with_lots = stand.iter().filter(|(_, after)| after.lots).map(|(account, _)| *account);
        let with_lots: Vec<_> = with_lots.collect();
        if with_lots.is_empty() {
            return Ok(());
        }
        lot::gather(&mut book.lots, lot::open(tx, tenant, &with_lots).await?);
        let lines = undone.iter().flat_map(|entry| entry.lines.iter().map(|line| (line, entry.seq)));
        let lines: Vec<_> =
            lines.filter(|(line, _)| with_lots.binary_search(&line.account).is_ok()).collect();
        let asked: Vec<_> = lines.iter().map(|(line, entry)| (line.account, *entry)).collect();
        book.uses = lot::uses(tx, tenant, &asked).await?;
        let used = book.uses.iter().map(|used| (used.account, used.lot));
        let brought = lines.iter().map(|(line, _)| (line.account, line.after.seq));
        let wanted: BTreeSet<_> = used.chain(brought).collect();
        let found = lot::by_number(tx, tenant, &wanted.into_iter().collect::<Vec<_>>()).await?;
        lot::gather(&mut book.lots, found);
        // What expires goes to an account of the house.
        let names = balance::names(tx, tenant, &with_lots).await?;
        let expired =
            names.iter().map(|(_, name)| Account::house(EXPIRED, &name.unit).id(self.tenant, self.shard));
        let expired: BTreeSet<_> = expired.collect();
        book.accounts.extend(balance::last(tx, tenant, &expired.into_iter().collect::<Vec<_>>()).await?);
        book.units = names.into_iter().map(|(account, name)| (account, name.unit)).collect();
        Ok(())
    }

    async fn save(
        self,
        tx: &mut dyn Tx,
        head: Head,
        (book, scribe): (&Book, Scribe),
        orders: &[Filed<'_>],
    ) -> Result<(), RecordsError> {
        let (fresh, tenant) = (&book.fresh, self.tenant.number);
        self.clear_due(tx, orders).await?;
        if fresh.entries.is_empty() {
            return Ok(());
        }
        let (parts, rest) = scribe.end(&fresh.entries);
        for part in parts {
            journal::add(tx, self.key(), &part).await?;
        }
        let Whole { root, orders, stands } = rest.wait()?;
        journal::seal(tx, self.key(), head, (root, &orders)).await?;
        let last = head.seq + fresh.entries.len() as u64;
        outbox::post(tx, self.shard, &[reading::sealed(self.tenant, last, self.now_ms)]).await?;
        balance::save(tx, tenant, &stands).await?;
        balance::save_names(tx, (tenant, self.now_ms), &fresh.accounts).await?;
        let mut holds: Vec<_> = fresh.holds.iter().filter_map(|id| book.holds.get(*id)).copied().collect();
        holds.sort_unstable_by_key(|hold| (hold.account, hold.id));
        let new: HashSet<_> = fresh
            .entries
            .iter()
            .filter(|entry| entry.kind == Kind::Hold && entry.refused.is_none())
            .map(|entry| entry.id)
            .collect();
        hold::save(tx, tenant, &holds, |id| !new.contains(&id)).await?;
        let mut lots: Vec<_> = book.lots.iter().collect();
        lots.sort_unstable_by_key(|(account, _)| **account);
        lot::save(tx, tenant, lots.iter().copied(), &fresh.uses).await?;
        let [shard, tenant] = self.key().values();
        let undone: Vec<_> = fresh
            .undone
            .iter()
            .flat_map(|(undone, seq)| [shard, tenant, Value::count(*undone), Value::count(*seq)])
            .collect();
        INSERT_REVERSED.rows(tx, &undone).await?;
        self.note_due(tx, book).await
    }

    async fn clear_due(self, tx: &mut dyn Tx, orders: &[Filed<'_>]) -> Result<(), RecordsError> {
        let [shard, tenant] = self.key().values();
        let settled: BTreeSet<_> = orders
            .iter()
            .filter_map(|(order, _)| match &order.what {
                // What is not due by this clock stays noted, whatever the clock said of whoever asked.
                What::Settle { account, due_ms } if *due_ms <= self.now_ms => Some((*due_ms, *account)),
                What::Open { .. }
                | What::Transfer { .. }
                | What::Hold { .. }
                | What::Capture { .. }
                | What::Release { .. }
                | What::Reverse { .. }
                | What::Settle { .. } => None,
            })
            .collect();
        let keys: Vec<_> = settled
            .iter()
            .flat_map(|(due_ms, account)| {
                [Value::Int(*due_ms), tenant, Value::Int(account.bucket.into()), Value::Bytes(&account.hash)]
            })
            .collect();
        DELETE_DUE.exec(tx, &[shard], &keys).await.map(|_| ())
    }

    /// Notes when something of an account is due next.
    async fn note_due(self, tx: &mut dyn Tx, book: &Book) -> Result<(), RecordsError> {
        let [shard, tenant] = self.key().values();
        let holds = book.fresh.holds.iter().filter_map(|id| book.holds.get(*id));
        let open = holds.filter(|hold| hold.state == hold::State::Open);
        let mut due: BTreeSet<_> = open.map(|hold| (hold.expires_ms, hold.account)).collect();
        for (account, lots) in &book.lots {
            due.extend(lots.changed_due().map(|due_ms| (due_ms, *account)));
        }
        // What is overdue waits for a hold, whose end is noted.
        let due: Vec<_> = due.into_iter().filter(|(due_ms, _)| *due_ms > self.now_ms).collect();
        let values: Vec<_> = due
            .iter()
            .flat_map(|(due_ms, account)| {
                [
                    shard,
                    Value::Int(*due_ms),
                    tenant,
                    Value::Int(account.bucket.into()),
                    Value::Bytes(&account.hash),
                    Value::Int(self.now_ms),
                ]
            })
            .collect();
        INSERT_DUE.rows(tx, &values).await
    }
}

/// The ledger, locked within a transaction, for orders that another room's decisions hang on.
pub struct Counter {
    desk: Desk,
    head: Head,
    book: Book,
    /// What was asked for, whether or not it exists.
    accounts: BTreeSet<AccountId>,
}

impl Counter {
    /// What of an account can be spent now: what is held, pending or over is not in it.
    pub fn available(&mut self, account: &Account) -> i64 {
        self.book.available(account.id(self.desk.tenant, self.desk.shard))
    }

    /// Whether a hold that was named as an earlier order is still open.
    pub fn is_held(&self, hold: OrderId) -> bool {
        self.book.holds.get(hold).is_some_and(|hold| hold.state == hold::State::Open)
    }

    /// Whether an account may have one more hold.
    pub fn may_hold(&self, account: &Account) -> bool {
        self.book.holds.has_room(account.id(self.desk.tenant, self.desk.shard))
    }

    /// How many more lots an account may get: with terms, or of any kind once it has had one.
    pub fn room_for_lots(&self, account: &Account) -> usize {
        self.book.lots.get(&account.id(self.desk.tenant, self.desk.shard)).map_or(LOTS_MAX, Lots::room)
    }

    /// Decides an order as if all before it were written. An account that was not loaded would look new, so that is an error.
    pub fn decide(&mut self, order: &Order) -> Result<Outcome, RecordsError> {
        let named = self.desk.accounts(order);
        if named.iter().all(|account| self.accounts.contains(account)) {
            return Ok(self.book.decide(order, &named));
        }
        Err(RecordsError::Corrupt("an order about an account that was not loaded".to_owned()))
    }

    /// Writes what was decided.
    pub async fn write(self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        self.desk.save(tx, self.head, (&self.book, Scribe::new(0)), &[]).await
    }
}

/// Accounts of which something is due, most overdue first: when, whose, which.
pub(crate) async fn due(
    tx: &mut dyn Tx,
    shard: Shard,
    (now_ms, limit): (i64, u32),
) -> Result<Vec<(i64, u32, AccountId)>, RecordsError> {
    let sql = "SELECT bucket,account,due_ms,tenant FROM ledger_due WHERE shard=? AND due_ms<=?
        ORDER BY due_ms,tenant,bucket,account LIMIT ?";
    let values = [Value::Int(shard.0.into()), Value::Int(now_ms), Value::Int(limit.into())];
    let rows = tx.fetch(sql, &values).await?;
    let read = |row: &Row| Ok((row.int(2)?, row.small(3)?, lot::account_of(row)?));
    rows.iter().map(read).collect()
}
