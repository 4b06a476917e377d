//! What others call: orders in batches, and questions about accounts.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;
use kernel::amount::Unit;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use records::audit::{self, Cause, Change, Stream};
use records::batch::{self, Batch, Batcher, Decision, Decisions, Limits};
use records::error::Error as RecordsError;
use records::port::{Records, Tx, read, write};

use crate::account::{Account, AccountId, EXCHANGE, Owner};
use crate::balance::{self, Held};
use crate::desk::{self, Desk};
use crate::entry::{Entry, Kind};
use crate::error::Error;
use crate::exchange::Rate;
use crate::hold::{self, Hold};
use crate::journal::{self, JournalKey, Seal};
use crate::lot::{self, Lot};
use crate::memory::Memory;
use crate::order::{After, Line, Order, OrderId, Outcome, What};
use crate::reading;

/// Accounts that are settled in one go.
const DUE_MAX: u32 = 500;

/// Batches after a repeat was met in which orders are looked up before they are posted: repeats come in storms.
const CAREFUL: u32 = 64;

/// Hears what becomes of orders, on the thread that drives their batches: whatever it does, every order waits for.
pub trait Witness: Send + Sync {
    /// An order was done, was before, or was not; its caller is about to be told.
    fn ordered(&self, _outcome: &Result<Outcome, Error>) {}
}

/// Nobody listens.
impl Witness for () {}

struct Books {
    clock: Arc<dyn Clock>,
    tenant: Tenant,
    shard: Shard,
    /// Holds as long as the batch under way is kept.
    memory: Mutex<Memory>,
    /// For how many batches more orders are looked up first.
    careful: AtomicU32,
    witness: Arc<dyn Witness>,
}

/// An order that waits, and the accounts that it names.
struct Filed {
    order: Order,
    accounts: Vec<AccountId>,
}

#[async_trait]
impl Batch for Books {
    type Item = Filed;
    type Answer = Outcome;
    type Error = Error;
    type Lack = ();

    async fn run(&self, tx: &mut dyn Tx, items: &[Arc<Filed>]) -> Result<Decisions<Self>, RecordsError> {
        let desk = Desk { tenant: self.tenant, shard: self.shard, now_ms: self.clock.now_ms() };
        let orders: Vec<_> = items.iter().map(|filed| (&filed.order, &filed.accounts[..])).collect();
        // Most orders are new. To try is cheaper than to look, but a batch of one has nobody to be tried again without.
        let may_repeat = orders.len() == 1 || self.careful.load(Ordering::Relaxed) > 0;
        let (outcomes, memory) = desk.post_with(tx, &orders, &self.memory, may_repeat).await?;
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = memory;
        Ok(outcomes.into_iter().map(Decision::Done).collect())
    }

    fn ended(&self, failed: Option<&RecordsError>) {
        if failed.is_some() {
            *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Memory::default();
        }
        let careful = match failed {
            Some(RecordsError::Duplicate(_)) => CAREFUL,
            _ => self.careful.load(Ordering::Relaxed).saturating_sub(1),
        };
        self.careful.store(careful, Ordering::Relaxed);
    }

    async fn supply(&self, (): ()) -> Result<(), Error> {
        Ok(())
    }

    fn told(&self, outcome: &Result<Outcome, Error>) {
        self.witness.ordered(outcome);
    }
}

/// An entry, and what it did to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The entry.
    pub entry: Entry,
    /// What it did to the account.
    pub line: Line,
}

impl Posted {
    fn of(entry: Entry, account: AccountId) -> Option<Self> {
        let line = entry.lines.iter().find(|line| line.account == account).copied()?;
        Some(Self { entry, line })
    }
}

/// The ledger of a tenant in a database.
#[derive(Clone)]
pub struct Ledger {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    tenant: Tenant,
    shard: Shard,
    batcher: Batcher<Books>,
}

impl Ledger {
    /// Opens it. The driver must be run by someone who awaits it.
    pub fn open(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::witnessed(records, clock, limits, Arc::new(()))
    }

    /// Opens it, with somebody who hears what becomes of orders.
    pub fn witnessed(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        witness: Arc<dyn Witness>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tenant, shard) = (Tenant::MAIN, Shard::HOME);
        let books = Books {
            clock: Arc::clone(&clock),
            tenant,
            shard,
            memory: Mutex::default(),
            careful: AtomicU32::new(0),
            witness,
        };
        let (batcher, driver) = batch::open(Arc::clone(&records), shard, Arc::new(books), limits);
        (Self { records, clock, tenant, shard, batcher }, driver)
    }

    fn desk(&self) -> Desk {
        Desk { tenant: self.tenant, shard: self.shard, now_ms: self.clock.now_ms() }
    }

    /// Does what is ordered, or tells why not.
    pub async fn submit(&self, order: Order) -> Result<Outcome, Error> {
        order.check()?;
        // Names are hashed here, among many callers, and not by the one writer.
        let accounts = self.desk().accounts(&order);
        self.batcher.submit(Filed { order, accounts }).await
    }

    /// Exchanges an amount into another unit of the same wallet, at the rate of its day: a repeat is the same order, whatever
    /// has become of the rate, so that is asked for only where the id is new.
    pub async fn exchange(
        &self,
        (id, reference): (OrderId, &str),
        (from, to): (&Account, &Unit),
        amount: i64,
        rate: impl FnOnce() -> Result<Rate, Error>,
    ) -> Result<Outcome, Error> {
        let known = self.find(id).await?;
        let order = match known.as_ref().and_then(|entry| entry.lines.get(3)) {
            Some(paid) => Order::exchanged(id, from, to, (amount, paid.amount)),
            None => Order::exchange(id, from, to, amount, rate()?)?,
        };
        self.submit(order.about(EXCHANGE, reference)).await
    }

    /// Does what is ordered past the queue, with an entry of the audit log in the same transaction: for what few people order,
    /// and somebody may ask about. A repeat and a refusal leave no entry.
    pub async fn submit_noted(&self, order: Order, cause: &Cause, change: Change) -> Result<Outcome, Error> {
        order.check()?;
        let desk = self.desk();
        let (cause, stream) = (cause.clone(), Stream::changes(self.shard, self.tenant.number));
        write(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let outcome = desk.post(tx, &[&order]).await?.pop();
                let outcome = outcome.ok_or(RecordsError::Surprise("ledger_entry"))?;
                if matches!(outcome, Outcome::Created(_)) {
                    audit::append(tx, &stream, &cause, change).await?;
                }
                Ok(outcome)
            })
        })
        .await
    }

    /// Up to `limit` of somebody's accounts, in the order of their keys, after one; what is due of them by now may not be
    /// done yet.
    pub async fn accounts_of(&self, owner: &Owner, after: [u8; 16], limit: u32) -> Result<Vec<Held>, Error> {
        let (owner, tenant) = (owner.clone(), self.tenant.number);
        let bucket = owner.bucket(self.tenant, self.shard);
        read(&*self.records, self.shard, move |tx| {
            Box::pin(
                async move { Ok(balance::of_owner(tx, (tenant, bucket), &owner, (after, limit)).await?) },
            )
        })
        .await
    }

    /// Takes a participant's name from all their accounts, with an entry of the audit log about `subject` in the same
    /// transaction. Accounts, entries and balances stay, under the key. Answers how many accounts knew the name: doing it
    /// again changes nothing.
    pub async fn erase(
        &self,
        participant: &str,
        subject: String,
        (cause, reason): (&Cause, &str),
    ) -> Result<u64, Error> {
        let name = participant.to_owned();
        let place = (self.tenant.number, Owner::Participant(name.clone()).bucket(self.tenant, self.shard));
        // Most people have no account: the one writer is not kept busy with them.
        let is_named = read(&*self.records, self.shard, {
            let name = name.clone();
            move |tx| Box::pin(async move { balance::is_named(tx, place, &name).await })
        });
        if !is_named.await? {
            return Ok(0);
        }
        let (cause, reason, at_ms) = (cause.clone(), reason.to_owned(), self.clock.now_ms());
        let stream = Stream::changes(self.shard, self.tenant.number);
        write(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let forgotten = balance::forget_name(tx, place, &name).await?;
                if forgotten > 0 {
                    let detail = format!("from {forgotten} accounts of the ledger: {reason}");
                    let change = Change { at_ms, action: "erase", subject, detail };
                    audit::append(tx, &stream, &cause, change).await?;
                }
                Ok(forgotten)
            })
        })
        .await
    }

    /// How an account stands; what is due of it by now may not be done yet.
    pub async fn balance(&self, account: &Account) -> Result<After, Error> {
        let (id, tenant) = (account.id(self.tenant, self.shard), self.tenant.number);
        let found = read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { balance::last(tx, tenant, &[id]).await })
        })
        .await?;
        found.first().map(|(_, after)| *after).ok_or_else(|| Error::NoSuchAccount(account.to_string()))
    }

    /// Up to `limit` entries about an account, the latest first: from the last, or from the one before an entry.
    pub async fn statement(
        &self,
        account: &Account,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Posted>, Error> {
        let (id, key) = (account.id(self.tenant, self.shard), self.journal());
        let missing = Error::NoSuchAccount(account.to_string());
        read(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let stands = balance::last(tx, key.tenant, &[id]).await?;
                let last = stands.first().ok_or(missing)?.1.entry;
                let mut next = match before {
                    Some(entry) => {
                        let known =
                            journal::at(tx, key, entry).await?.and_then(|entry| Posted::of(entry, id));
                        known.map(|posted| posted.line.before)
                    }
                    None => Some(last),
                };
                let mut posted = vec![];
                while let Some(entry) = next.filter(|entry| *entry > 0 && posted.len() < limit as usize) {
                    let Some(found) =
                        journal::at(tx, key, entry).await?.and_then(|entry| Posted::of(entry, id))
                    else {
                        let told = format!("ledger entry {entry} is not about {id}");
                        return Err(RecordsError::Corrupt(told).into());
                    };
                    next = Some(found.line.before);
                    posted.push(found);
                }
                Ok(posted)
            })
        })
        .await
    }

    /// Up to `limit` parts of an account's balance, in the order in which they came and are spent, from a number on; what is due
    /// of them by now may not be done yet. What came without terms, before anything came with them, is one part, of number 0.
    pub async fn lots(&self, account: &Account, from: u64, limit: u32) -> Result<Vec<Lot>, Error> {
        let (id, tenant) = (account.id(self.tenant, self.shard), self.tenant.number);
        let missing = Error::NoSuchAccount(account.to_string());
        read(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let stands = balance::last(tx, tenant, &[id]).await?;
                let stands = stands.first().ok_or(missing)?.1;
                if stands.lots {
                    return Ok(lot::left(tx, (tenant, id), (from, limit)).await?);
                }
                let whole = (from == 0 && stands.balance > 0).then(|| Lot::plain(0, stands.balance));
                Ok(whole.into_iter().collect())
            })
        })
        .await
    }

    /// A hold and what became of it; what is due of it by now may not be done yet. `None` where nothing was held under this id.
    pub async fn hold(&self, id: OrderId) -> Result<Option<Hold>, Error> {
        let key = self.journal();
        read(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let orders = journal::by_orders(tx, key, &[id]).await?;
                let held = orders.iter().filter(|entry| entry.kind == Kind::Hold);
                let places: Vec<_> =
                    held.filter_map(|entry| Some((entry.lines.first()?.account, id))).collect();
                Ok(hold::by_id(tx, key.tenant, &places).await?.into_iter().next())
            })
        })
        .await
    }

    /// What an order has become; `None` where nobody has asked for it.
    pub async fn find(&self, id: OrderId) -> Result<Option<Entry>, Error> {
        let key = self.journal();
        read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { Ok(journal::by_orders(tx, key, &[id]).await?.into_iter().next()) })
        })
        .await
    }

    /// How many entries the journal has.
    pub async fn entries(&self) -> Result<u64, Error> {
        let (shard, tenant) = (self.shard, self.tenant);
        read(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok(reading::last(tx, shard, tenant).await?) })
        })
        .await
    }

    /// Batches of entries from the one on that begins with an entry, each with its seal.
    pub async fn sealed_from(&self, first: u64) -> Result<Vec<(Vec<Entry>, Seal)>, Error> {
        let key = self.journal();
        read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { Ok(journal::sealed_from(tx, key, first).await?) })
        })
        .await
    }

    /// Which journal this is.
    pub fn journal(&self) -> JournalKey {
        JournalKey { shard: self.shard, tenant: self.tenant.number }
    }

    /// Does what is due by now: releases holds whose time is over, makes points available, lets them expire. Answers how many
    /// accounts it looked at.
    pub async fn settle_due(&self) -> Result<u64, Error> {
        let (shard, mut settled) = (self.shard, 0);
        loop {
            let now_ms = self.clock.now_ms();
            let due = read(&*self.records, shard, move |tx| {
                Box::pin(async move { desk::due(tx, shard, (now_ms, DUE_MAX)).await })
            })
            .await?;
            let due: Vec<_> =
                due.into_iter().filter(|(_, tenant, _)| *tenant == self.tenant.number).collect();
            if due.is_empty() {
                return Ok(settled);
            }
            settled += due.len() as u64;
            let orders = due.into_iter().map(|(due_ms, _, account)| {
                let facts = [&account.hash[..], &due_ms.to_be_bytes()].concat();
                let id = OrderId::of(&[b"settle", &facts]);
                let what = What::Settle { account, due_ms };
                self.submit(Order { id, code: "settle".to_owned(), reference: String::new(), what })
            });
            for outcome in join_all(orders).await {
                outcome?;
            }
        }
    }

    /// Takes no more orders; the driver ends when those that wait are answered.
    pub fn close(&self) {
        self.batcher.close();
    }
}
