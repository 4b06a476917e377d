//! Names of accounts: each must be the one behind its key, unless a person was erased.

use kernel::amount::Unit;
use kernel::id::BUCKETS;
use records::error::Error as RecordsError;
use records::port::Tx;

use crate::account::{Account, Owner};
use crate::balance;
use crate::lot::account_of;

use super::pages::{Scan, Table};
use super::{Walk, about};

/// What a row says of an account.
pub(super) struct Name {
    /// What it counts, where that is proved or not to be proved.
    pub(super) unit: Option<Unit>,
    /// Whose it is; nobody knows that of somebody who was erased.
    owner: Option<[u8; 16]>,
    /// Whether it is among those of whose it is.
    is_owned: bool,
}

impl Name {
    /// Whether nobody can prove it.
    pub(super) fn is_erased(&self) -> bool {
        self.owner.is_none() && self.unit.is_some()
    }
}

static NAMES: Table = Table {
    name: "ledger_account",
    columns: "bucket,account,kind,owner,wallet,unit",
    key: &[("account", 1)],
};
static WALLETS: Table =
    Table { name: "ledger_wallet", columns: "bucket,account,owner", key: &[("owner", 2), ("account", 1)] };

impl Walk {
    /// The unit of each account, from its name.
    pub(super) async fn names(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut scan = Scan::of_accounts(&NAMES, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let name = format!("account/{}", about(row));
                let Ok(id) = account_of(row) else {
                    self.wrong(name, "it cannot be read");
                    continue;
                };
                let mut known = Name { unit: None, owner: None, is_owned: false };
                match balance::named(row, 2) {
                    // Of the house nobody is erased, and its part lies apart.
                    Ok(told) if told.owner == Owner::Participant(String::new()) && id.bucket < BUCKETS => {
                        self.report.erased += 1;
                        known.unit = Some(told.unit);
                    }
                    Ok(told) if Account::id(&told, self.tenant, self.key.shard) == id => {
                        known.owner = Some(told.owner.key());
                        known.unit = Some(told.unit);
                    }
                    Ok(_) => self.wrong(name, "its name is not the one behind its key"),
                    Err(_) => self.wrong(name, "its name cannot be read"),
                }
                self.names.insert(id, known);
            }
        }
    }

    /// Holds whose accounts are against their names.
    pub(super) async fn wallets(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut scan = Scan::of_accounts(&WALLETS, self.key);
        loop {
            let rows = scan.next(tx).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let known = account_of(row).ok().and_then(|id| self.names.get_mut(&id));
                let owner = row.array::<16>(2).ok();
                let why = match known {
                    None => Some("there is no such account"),
                    // What a name that is wrong would lead to is not known.
                    Some(name) if name.owner.is_some() && name.owner != owner => {
                        Some("it is not among those of whose it is")
                    }
                    Some(name) if name.is_owned => Some("it stands among those of two people"),
                    Some(name) => {
                        name.is_owned = true;
                        None
                    }
                };
                if let Some(why) = why {
                    self.wrong(format_args!("wallet/{}", about(row)), why);
                }
            }
        }
        let mut alone: Vec<_> =
            self.names.iter().filter(|(_, name)| !name.is_owned).map(|(id, _)| *id).collect();
        alone.sort_unstable();
        for id in alone {
            self.wrong(format_args!("wallet/{id}"), "it is not among those of whose it is");
        }
        Ok(())
    }

    /// Holds names against the accounts that the journal is about.
    pub(super) fn accounts(&mut self) {
        let mut unnamed: Vec<_> =
            self.books.keys().filter(|id| !self.names.contains_key(id)).copied().collect();
        let mut unknown: Vec<_> =
            self.names.keys().filter(|id| !self.books.contains_key(id)).copied().collect();
        unnamed.sort_unstable();
        unknown.sort_unstable();
        for id in unnamed {
            self.wrong(format_args!("account/{id}"), "it has no name");
        }
        for id in unknown {
            self.wrong(format_args!("account/{id}"), "the journal does not know it");
        }
    }
}
