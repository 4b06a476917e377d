//! The journal for those who follow it: entries in their order, and who is behind their accounts.

use std::collections::{BTreeSet, HashMap};

use kernel::id::{Shard, Tenant};
use records::error::Error as RecordsError;
use records::outbox::Effect;
use records::port::Tx;

use crate::account::{Account, AccountId};
use crate::balance;
use crate::entry::Entry;
use crate::journal::{self, Head, JournalKey};

/// Topic of what tells that entries were sealed: one effect for all of a batch. Its number is that of the last.
pub const SEALED: &str = "ledger.sealed";

/// What tells that entries were sealed, up to the last of a batch.
pub(crate) fn sealed(tenant: Tenant, last: u64, at_ms: i64) -> Effect {
    Effect::up_to(SEALED, tenant.number, last, at_ms)
}

/// Entries, and the names of their accounts.
#[derive(Debug, Default)]
pub struct Read {
    /// In their order.
    pub entries: Vec<Entry>,
    /// Accounts by name; an owner who was forgotten is empty. An account that was never opened is left out.
    pub names: HashMap<AccountId, Account>,
}

/// The entries with numbers in `after + 1 ..= last`.
pub async fn between(
    tx: &mut dyn Tx,
    key: JournalKey,
    (after, last): (u64, u64),
) -> Result<Read, RecordsError> {
    let entries = journal::between(tx, key, (after.saturating_add(1), last)).await?;
    let accounts = entries.iter().flat_map(|entry| entry.lines.iter().map(|line| line.account));
    let accounts: BTreeSet<_> = accounts.chain(entries.iter().filter_map(|entry| entry.to)).collect();
    let names = balance::names(tx, key.tenant, &accounts.into_iter().collect::<Vec<_>>()).await?;
    Ok(Read { entries, names: names.into_iter().collect() })
}

/// The number of the last entry; 0 where there is none.
pub async fn last(tx: &mut dyn Tx, shard: Shard, tenant: Tenant) -> Result<u64, RecordsError> {
    let key = JournalKey { shard, tenant: tenant.number };
    Ok(Head::fetch(tx, key, "").await?.map_or(0, |head| head.seq))
}
