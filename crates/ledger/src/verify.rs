//! Recomputes a journal, and names every row that it does not prove: seals against their chain, entries against their seals,
//! and what follows from the entries (balances, orders, reversals, holds, lots, what was taken from them) row by row.
//!
//! Read downwards: `seals` walks the journal, `fold` adds up what its entries did, `rows` holds the tables that follow from it
//! against that, `names` the names of accounts; `pages` reads.

mod fold;
mod names;
mod pages;
mod rows;
mod seals;

use std::collections::{BTreeMap, HashMap};

use kernel::id::Tenant;
use records::error::Error as RecordsError;
use records::port::{Records, Row, read};
use serde::Serialize;

use crate::account::AccountId;
use crate::hold::Hold;
use crate::journal::JournalKey;
use crate::lot::{Lots, account_of};
use crate::order::{After, OrderId};

/// Most wrong rows that are named.
pub const FAILURES_MAX: usize = 100;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// Accounts that they are about.
    pub accounts: u64,
    /// Accounts of people who were erased: nobody can prove what they were called, and what they count.
    pub erased: u64,
    /// What is wrong; no more than a hundred are named.
    pub failed: Vec<Failure>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Failure {
    /// `head`, `seal/<batch>`, `entry/<seq>`, `order/<id>`, `reversal/<undone>`, `account/<account>`, `wallet/<account>`,
    /// `balance/<account>`, `hold/<id>`, `lot/<account>/<lot>`, `use/<account>/<entry>/<lot>`, `due/<account>`; of an account
    /// whose entries do not agree, `lots/<account>`. A `?` stands for what cannot be read.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Recomputes a journal as of one moment.
pub async fn verify(records: &dyn Records, key: JournalKey, tenant: Tenant) -> Result<Report, RecordsError> {
    read(records, key.shard, move |tx| {
        Box::pin(async move {
            let mut walk = Walk {
                key,
                tenant,
                report: Report::default(),
                names: HashMap::new(),
                books: HashMap::new(),
                reversals: BTreeMap::new(),
                holds: HashMap::new(),
                lots: HashMap::new(),
                uses: BTreeMap::new(),
            };
            walk.names(tx).await?;
            walk.wallets(tx).await?;
            walk.journal(tx).await?;
            walk.accounts();
            walk.orders_and_reversals(tx).await?;
            walk.balances(tx).await?;
            walk.holds(tx).await?;
            walk.lots(tx).await?;
            walk.due(tx).await?;
            walk.report.accounts = walk.books.len() as u64;
            Ok::<_, RecordsError>(walk.report)
        })
    })
    .await
}

/// What the journal makes of everything, so far.
struct Walk {
    key: JournalKey,
    tenant: Tenant,
    report: Report,
    names: HashMap<AccountId, names::Name>,
    books: HashMap<AccountId, After>,
    /// The entries that undid entries.
    reversals: BTreeMap<u64, u64>,
    holds: HashMap<OrderId, Hold>,
    lots: HashMap<AccountId, Lots>,
    /// What entries took from lots: of whom, which entry, which lot.
    uses: BTreeMap<(AccountId, u64, u64), i64>,
}

impl Walk {
    fn wrong(&mut self, id: impl std::fmt::Display, reason: &str) {
        let failure = Failure { id: id.to_string(), reason: reason.to_owned() };
        if self.report.failed.len() < FAILURES_MAX && !self.report.failed.contains(&failure) {
            self.report.failed.push(failure);
        }
    }
}

/// What a row's first two columns say that it is about.
fn about(row: &Row) -> String {
    account_of(row).map_or_else(|_| "?".to_owned(), |account| account.to_string())
}
