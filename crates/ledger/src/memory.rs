//! How accounts stand, as a writer remembers it of its own batches, so that it need not read it again. It holds for as long as
//! the journal ends where this writer left it; whoever else writes makes it forget all.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::account::AccountId;
use crate::order::After;

/// Accounts in each of two generations: what was not asked for while one filled is forgotten. Some 30 MiB in all.
const ACCOUNTS_MAX: usize = 128 * 1024;

/// By account. Keys are hashes of names already, but people choose their names: what spreads them here is seeded.
type ByAccount = HashMap<AccountId, After, RandomState>;

/// How accounts stand. A batch takes all of it, so that a batch that fails leaves nothing behind, and changes it in place.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The last entry of the journal that this knows.
    seq: u64,
    young: ByAccount,
    old: ByAccount,
}

impl Memory {
    /// What still holds where the journal ends at an entry. Nothing is forgotten from here on.
    pub(crate) fn at(mut self, seq: u64) -> Self {
        if self.seq != seq {
            return Self { seq, ..Self::default() };
        }
        if self.young.len() >= ACCOUNTS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self
    }

    /// How an account stands, where that is known; [`Memory::get`] knows it from then on.
    pub(crate) fn recall(&mut self, account: AccountId) -> Option<After> {
        if let Some(after) = self.young.get(&account) {
            return Some(*after);
        }
        let after = self.old.remove(&account)?;
        self.young.insert(account, after);
        Some(after)
    }

    /// How an account stands that was recalled or noted. One that is missing does not exist, once all were.
    pub(crate) fn get(&self, account: &AccountId) -> Option<&After> {
        self.young.get(account)
    }

    /// Whether an account is known so.
    pub(crate) fn contains_key(&self, account: &AccountId) -> bool {
        self.young.contains_key(account)
    }

    /// Notes how an account stands.
    pub(crate) fn insert(&mut self, account: AccountId, after: After) {
        self.young.insert(account, after);
    }

    /// The same once the journal ends with another entry.
    pub(crate) fn ending(self, seq: u64) -> Self {
        Self { seq, ..self }
    }
}

impl Extend<(AccountId, After)> for Memory {
    fn extend<T: IntoIterator<Item = (AccountId, After)>>(&mut self, accounts: T) {
        self.young.extend(accounts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: usize) -> AccountId {
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        AccountId { bucket: 0, hash }
    }

    fn after(seq: u64) -> After {
        After { seq, ..After::default() }
    }

    #[test]
    fn it_holds_while_nobody_else_writes() {
        let mut memory = Memory::default().at(0);
        memory.insert(account(1), after(1));
        let mut memory = memory.ending(7).at(7);
        assert_eq!(memory.recall(account(1)), Some(after(1)));
        assert_eq!(memory.at(8).recall(account(1)), None);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_between_batches() {
        let mut memory = Memory::default().at(0);
        for number in 0..ACCOUNTS_MAX {
            memory.insert(account(number), after(1));
        }
        let mut memory = memory.at(0);
        assert_eq!(memory.get(&account(0)), None, "of the old generation until it is asked for");
        assert_eq!(memory.recall(account(0)), Some(after(1)));
        memory.insert(account(0), after(2));
        for number in ACCOUNTS_MAX..3 * ACCOUNTS_MAX {
            memory.insert(account(number), after(3));
        }
        assert_eq!(memory.recall(account(1)), Some(after(1)), "a batch may be about any number of accounts");
        let mut memory = memory.at(0);
        assert_eq!(memory.recall(account(0)), Some(after(2)));
        assert_eq!(memory.recall(account(2)), None);
    }
}
