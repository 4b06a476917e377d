//! What the ledger is asked to do, and what it answers.

use std::collections::BTreeMap;
use std::fmt;

use kernel::amount::{AMOUNT_MAX, Unit};
use kernel::hex::hex;
use sha2::{Digest, Sha256};

use crate::account::{Account, AccountId, EXCHANGE, Overdraft, Owner, check_text};
use crate::error::Error;
pub use crate::error::LEGS_MAX;
use crate::exchange::Rate;
pub use crate::refusal::Refusal;

/// Longest code, in characters.
pub const CODE_MAX: usize = 32;
/// Longest reference, in characters.
pub const REFERENCE_MAX: usize = 128;
/// The longest hold: a year.
pub const HOLD_MAX_MS: i64 = 366 * 24 * 3_600_000;
/// Most holds of an account that are open at once: whoever touches the account reads them all.
pub const HOLDS_MAX: usize = 4096;
/// Most lots of an account with something left in them, for the same reason.
pub const LOTS_MAX: usize = 4096;

/// Names an order for ever. Whoever asks again with the same id learns what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub [u8; 16]);

impl OrderId {
    /// The id that follows from facts: the first 16 bytes of SHA-256 over them, each after its length.
    pub fn of(facts: &[&[u8]]) -> Self {
        let mut sha = Sha256::new();
        for fact in facts {
            sha.update(u32::try_from(fact.len()).unwrap_or(u32::MAX).to_be_bytes());
            sha.update(fact);
        }
        let digest: [u8; 32] = sha.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// One movement of a transfer: what arrives is positive, what leaves negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Where.
    pub account: Account,
    /// How much, in minor units; not zero.
    pub amount: i64,
}

/// When what participants receive may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// From when on, in milliseconds since the epoch; at once where nothing is said.
    pub available_ms: Option<i64>,
    /// Until when; for ever where nothing is said.
    pub expires_ms: Option<i64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Opens an account, or gives it another overdraft. Participants' wallets and the house's standard accounts open by
    /// themselves ([`Account::opens_with`]).
    Open {
        /// Which.
        account: Account,
        /// How far it may go below zero.
        overdraft: Overdraft,
    },
    /// Moves what the legs say: all of it, or nothing.
    Transfer {
        /// In each unit they add up to zero.
        legs: Vec<Leg>,
        /// When participants may spend what they receive.
        terms: Terms,
    },
    /// Keeps an amount back until it is captured or released, or the time is over.
    Hold {
        /// Where it is kept back.
        from: Account,
        /// Where it goes when it is captured. The account must exist by then, unless it opens by itself.
        to: Account,
        /// How much.
        amount: i64,
        /// When it is released by itself, in milliseconds since the epoch.
        expires_ms: i64,
    },
    /// Moves what is held, or a part of it; the rest is released.
    Capture {
        /// The hold's id.
        hold: OrderId,
        /// How much; all of it where nothing is said.
        amount: Option<i64>,
    },
    /// Gives back what is held.
    Release {
        /// The hold's id.
        hold: OrderId,
    },
    /// Undoes a transfer or capture by its opposite. Both stay in the journal.
    Reverse {
        /// The id of what is undone.
        of: OrderId,
    },
    /// Does what is due of an account by now: holds that are over, points that become available or expire.
    Settle {
        /// Which.
        account: AccountId,
        /// The time for which it was noted as due.
        due_ms: i64,
    },
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// What it is for, as the house names such orders: `signup`, `rebate`.
    pub code: String,
    /// What it is about: the id of a draw, of a purchase.
    pub reference: String,
    /// What is to be done.
    pub what: What,
}

fn check_amount(amount: i64) -> Result<(), Error> {
    if (1..=AMOUNT_MAX).contains(&amount) { Ok(()) } else { Err(Error::BadAmount) }
}

impl Order {
    /// A transfer of one amount.
    pub fn transfer(id: OrderId, (from, to): (&Account, &Account), amount: i64) -> Self {
        let leg = |account: &Account, amount| Leg { account: account.clone(), amount };
        let legs = vec![leg(from, -amount), leg(to, amount)];
        Self {
            id,
            code: "transfer".to_owned(),
            reference: String::new(),
            what: What::Transfer { legs, terms: Terms::default() },
        }
    }

    /// An exchange of an amount into another unit of the same wallet at a rate, through accounts of the house that open by
    /// themselves.
    pub fn exchange(id: OrderId, from: &Account, to: &Unit, amount: i64, rate: Rate) -> Result<Self, Error> {
        Ok(Self::exchanged(id, from, to, (amount, rate.convert(amount)?)))
    }

    /// An exchange of an amount into so many of another unit.
    pub(crate) fn exchanged(id: OrderId, from: &Account, to: &Unit, (amount, got): (i64, i64)) -> Self {
        let paid = Account { unit: to.clone(), ..from.clone() };
        let legs = vec![
            Leg { account: from.clone(), amount: -amount },
            Leg { account: Account::house(EXCHANGE, &from.unit), amount },
            Leg { account: Account::house(EXCHANGE, to), amount: -got },
            Leg { account: paid, amount: got },
        ];
        Self {
            id,
            code: EXCHANGE.to_owned(),
            reference: String::new(),
            what: What::Transfer { legs, terms: Terms::default() },
        }
    }

    /// The same under a code and a reference.
    #[must_use]
    pub fn about(mut self, code: &str, reference: &str) -> Self {
        (self.code, self.reference) = (code.to_owned(), reference.to_owned());
        self
    }

    /// Refuses what could never be done, whatever the balances.
    pub fn check(&self) -> Result<(), Error> {
        check_text("code", &self.code, CODE_MAX)?;
        if !self.reference.is_empty() {
            check_text("reference", &self.reference, REFERENCE_MAX)?;
        }
        match &self.what {
            What::Open { account, overdraft } => {
                account.check()?;
                match overdraft {
                    Overdraft::UpTo(amount) => check_amount(*amount),
                    Overdraft::Forbidden | Overdraft::Unlimited => Ok(()),
                }
            }
            What::Transfer { legs, terms } => {
                if matches!(*terms, Terms { available_ms: Some(from), expires_ms: Some(until) } if from >= until)
                {
                    return Err(Error::BadTime("what expires must be available before"));
                }
                check_legs(legs)
            }
            What::Hold { from, to, amount, .. } => {
                from.check()?;
                to.check()?;
                if from == to || from.unit != to.unit {
                    return Err(Error::BadLegs);
                }
                check_amount(*amount)
            }
            What::Capture { amount, .. } => amount.map_or(Ok(()), check_amount),
            What::Release { .. } | What::Reverse { .. } | What::Settle { .. } => Ok(()),
        }
    }
}

fn check_legs(legs: &[Leg]) -> Result<(), Error> {
    if !(2..=LEGS_MAX).contains(&legs.len()) {
        return Err(Error::BadLegs);
    }
    let mut sums: BTreeMap<&Unit, i128> = BTreeMap::new();
    for (place, leg) in legs.iter().enumerate() {
        leg.account.check()?;
        check_amount(leg.amount.saturating_abs())?;
        if legs[..place].iter().any(|before| before.account == leg.account) {
            return Err(Error::BadLegs);
        }
        *sums.entry(&leg.account.unit).or_default() += i128::from(leg.amount);
    }
    match sums.into_iter().find(|(_, sum)| *sum != 0) {
        None => Ok(()),
        Some((unit, sum)) => Err(Error::Unbalanced { unit: unit.to_string(), sum }),
    }
}

/// Whether an account is a participant's: what they receive may have terms.
pub(crate) fn has_terms(account: &Account) -> bool {
    matches!(account.owner, Owner::Participant(_))
}

/// How an account stood after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct After {
    /// The account's how-many-eth posting it was, from 1.
    pub seq: u64,
    /// The entry that made it so.
    pub entry: u64,
    /// What it had, in minor units; negative is owed.
    pub balance: i64,
    /// The part that was held.
    pub held: i64,
    /// The part that was not available yet.
    pub pending: i64,
    /// The lowest that its balance, less what is held and pending, may be.
    pub floor: i64,
    /// Whether its balance is kept in lots, because some of it had terms.
    pub lots: bool,
}

impl After {
    /// What is owed: what is not available yet repays nothing yet.
    pub(crate) fn owed(&self) -> i64 {
        (self.pending - self.balance).max(0)
    }
}

/// What an entry did to one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which.
    pub account: AccountId,
    /// The entry before that was about this account; 0 where it is the first.
    pub before: u64,
    /// What arrived; negative is what left.
    pub amount: i64,
    /// What was held more.
    pub held: i64,
    /// What was pending more.
    pub pending: i64,
    /// How the account stood then.
    pub after: After,
}

/// Where an order stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The order.
    pub id: OrderId,
    /// Its entry, from 1.
    pub seq: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What it did.
    pub lines: Vec<Line>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done now.
    Created(Receipt),
    /// It had been done before, exactly so.
    Exists(Receipt),
    /// Another order has this id: it differs in the field that is named.
    ExistsWithDifferent(&'static str),
    /// It was refused, now or before.
    Refused {
        /// Why.
        why: Refusal,
        /// Whether it had been refused before.
        replayed: bool,
    },
    /// There was nothing to do, and nothing was noted: only of [`What::Settle`].
    Nothing,
}
