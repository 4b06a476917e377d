//! What others call: orders in batches, and questions about accounts.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use records::batch::{self, Batch, Batcher, Decision, Decisions, Limits};
use records::error::Error as RecordsError;
use records::port::{Records, Tx, Value, read};

use crate::account::Account;
use crate::desk::{self, Desk};
use crate::entry::Entry;
use crate::error::Error;
use crate::journal::{self, JournalKey};
use crate::order::{After, Order, OrderId, Outcome, What};
use crate::posting;

/// Accounts that are settled in one go.
const DUE_MAX: u32 = 500;

struct Books {
    clock: Arc<dyn Clock>,
    tenant: Tenant,
    shard: Shard,
}

#[async_trait]
impl Batch for Books {
    type Item = Order;
    type Answer = Outcome;
    type Error = Error;
    type Lack = ();

    async fn run(&self, tx: &mut dyn Tx, items: &[Arc<Order>]) -> Result<Decisions<Self>, RecordsError> {
        let desk = Desk { tenant: self.tenant, shard: self.shard, now_ms: self.clock.now_ms() };
        let orders: Vec<_> = items.iter().map(|order| &**order).collect();
        Ok(desk.post(tx, &orders).await?.into_iter().map(Decision::Done).collect())
    }

    async fn supply(&self, (): ()) -> Result<(), Error> {
        Ok(())
    }
}

/// A line of an account's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The entry that did it.
    pub entry: u64,
    /// What arrived; negative is what left.
    pub amount: i64,
    /// How the account stood then.
    pub after: After,
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
        let (tenant, shard) = (Tenant::MAIN, Shard::HOME);
        let books = Books { clock: Arc::clone(&clock), tenant, shard };
        let (batcher, driver) = batch::open(Arc::clone(&records), shard, Arc::new(books), limits);
        (Self { records, clock, tenant, shard, batcher }, driver)
    }

    /// Does what is ordered, or tells why not.
    pub async fn submit(&self, order: Order) -> Result<Outcome, Error> {
        order.check()?;
        self.batcher.submit(order).await
    }

    /// How an account stands; what is due of it by now may not be done yet.
    pub async fn balance(&self, account: &Account) -> Result<After, Error> {
        let (id, tenant) = (account.id(self.tenant, self.shard), self.tenant.number);
        let found = read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { posting::last(tx, tenant, &[id]).await })
        })
        .await?;
        found.get(&id).copied().ok_or_else(|| Error::NoSuchAccount(account.to_string()))
    }

    /// Up to `limit` postings of an account after one, in order.
    pub async fn statement(&self, account: &Account, after: u64, limit: u32) -> Result<Vec<Posted>, Error> {
        let (id, tenant) = (account.id(self.tenant, self.shard), self.tenant.number);
        read(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let sql = "SELECT entry,amount,seq,balance,held,pending,floor,lots FROM ledger_posting
                    WHERE bucket=? AND tenant=? AND account=? AND seq>? ORDER BY seq LIMIT ?";
                let values = [
                    Value::Int(id.bucket.into()),
                    Value::Int(tenant.into()),
                    Value::Bytes(&id.hash),
                    Value::count(after),
                    Value::Int(limit.into()),
                ];
                let rows = tx.fetch(sql, &values).await?;
                let posted = rows.iter().map(|row| {
                    let after = After {
                        seq: row.count(2)?,
                        balance: row.int(3)?,
                        held: row.int(4)?,
                        pending: row.int(5)?,
                        floor: row.int(6)?,
                        lots: row.int(7)? != 0,
                    };
                    Ok(Posted { entry: row.count(0)?, amount: row.int(1)?, after })
                });
                posted.collect()
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
            let due: Vec<_> = due.into_iter().filter(|(_, tenant, _)| *tenant == self.tenant.number).collect();
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
