//! What a writer remembers of its own batches, so that it need not read it again: how accounts stand. It holds for as long as
//! the journal ends where this writer left it; whoever else writes makes it forget all.

use std::collections::HashMap;

use crate::account::AccountId;
use crate::order::After;

/// Accounts in each of two generations: what was not asked for while one filled is forgotten. Some 15 MiB in all.
const ACCOUNTS_MAX: usize = 64 * 1024;

/// How accounts stand.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The last entry of the journal that this knows.
    seq: u64,
    young: HashMap<AccountId, After>,
    old: HashMap<AccountId, After>,
}

impl Memory {
    /// Forgets all, unless the journal ends where it did.
    pub(crate) fn expect(&mut self, seq: u64) {
        if self.seq != seq {
            *self = Self { seq, ..Self::default() };
        }
    }

    /// How an account stands, where that is known.
    pub(crate) fn get(&mut self, account: AccountId) -> Option<After> {
        if let Some(after) = self.young.get(&account) {
            return Some(*after);
        }
        let after = self.old.remove(&account)?;
        self.put(account, after);
        Some(after)
    }

    /// Notes how an account stands.
    pub(crate) fn put(&mut self, account: AccountId, after: After) {
        if self.young.len() >= ACCOUNTS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(account, after);
    }

    /// Notes that the journal ends with another entry, and how accounts stand after it.
    pub(crate) fn advance(&mut self, seq: u64, accounts: Vec<(AccountId, After)>) {
        self.seq = seq;
        for (account, after) in accounts {
            self.old.remove(&account);
            self.put(account, after);
        }
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
        let mut memory = Memory::default();
        memory.expect(0);
        memory.advance(7, vec![(account(1), after(1))]);
        memory.expect(7);
        assert_eq!(memory.get(account(1)), Some(after(1)));
        memory.expect(8);
        assert_eq!(memory.get(account(1)), None);
    }

    #[test]
    fn the_latest_word_counts_and_what_nobody_asks_for_is_forgotten() {
        let mut memory = Memory::default();
        memory.put(account(0), after(1));
        for number in 1..ACCOUNTS_MAX {
            memory.put(account(number), after(1));
        }
        memory.put(account(ACCOUNTS_MAX), after(1));
        memory.advance(2, vec![(account(0), after(2))]);
        assert_eq!(memory.get(account(0)), Some(after(2)));
        assert_eq!(memory.get(account(1)), Some(after(1)), "asked for, and kept on");
        for number in ACCOUNTS_MAX..3 * ACCOUNTS_MAX {
            memory.put(account(number), after(3));
        }
        assert_eq!((memory.get(account(1)), memory.get(account(2))), (None, None));
        assert!(memory.young.len() <= ACCOUNTS_MAX && memory.old.len() <= ACCOUNTS_MAX);
    }
}
