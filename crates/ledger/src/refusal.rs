//! Why orders are refused, in the words that stand in answers.

use std::fmt;

/// Why an order was refused. Its id is used up: asked again, it is refused again, whatever has changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// An account would owe more than it may.
    InsufficientFunds,
    /// The house has not opened this account.
    NoSuchAccount,
    /// A balance would be larger than can be counted.
    BalanceTooLarge,
    /// There is no hold of this id.
    NoSuchHold,
    /// The hold was captured before.
    HoldCaptured,
    /// The hold was released before.
    HoldReleased,
    /// The hold's time is over.
    HoldExpired,
    /// More is to be captured than is held.
    BeyondHold,
    /// There is no transfer or capture of this id.
    NoSuchTransfer,
    /// It was reversed before, or is a reversal itself.
    NotReversible,
    /// The time that was asked for is over, or too far away.
    BadTime,
    /// The account has as many open holds as it may.
    TooManyHolds,
    /// The account has as many lots as it may.
    TooManyLots,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::InsufficientFunds,
        Self::NoSuchAccount,
        Self::BalanceTooLarge,
        Self::NoSuchHold,
        Self::HoldCaptured,
        Self::HoldReleased,
        Self::HoldExpired,
        Self::BeyondHold,
        Self::NoSuchTransfer,
        Self::NotReversible,
        Self::BadTime,
        Self::TooManyHolds,
        Self::TooManyLots,
    ];

    /// Its name in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::NoSuchAccount => "no_such_account",
            Self::BalanceTooLarge => "balance_too_large",
            Self::NoSuchHold => "no_such_hold",
            Self::HoldCaptured => "hold_captured",
            Self::HoldReleased => "hold_released",
            Self::HoldExpired => "hold_expired",
            Self::BeyondHold => "beyond_hold",
            Self::NoSuchTransfer => "no_such_transfer",
            Self::NotReversible => "not_reversible",
            Self::BadTime => "bad_time",
            Self::TooManyHolds => "too_many_holds",
            Self::TooManyLots => "too_many_lots",
        }
    }
}

impl Refusal {
    /// Its code in `docs/errors.md`.
    pub fn code(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "ledger.insufficient_funds",
            Self::NoSuchAccount => "ledger.no_such_account",
            Self::BalanceTooLarge => "ledger.balance_too_large",
            Self::NoSuchHold => "ledger.no_such_hold",
            Self::HoldCaptured => "ledger.hold_captured",
            Self::HoldReleased => "ledger.hold_released",
            Self::HoldExpired => "ledger.hold_expired",
            Self::BeyondHold => "ledger.beyond_hold",
            Self::NoSuchTransfer => "ledger.no_such_transfer",
            Self::NotReversible => "ledger.not_reversible",
            Self::BadTime => "ledger.time_over",
            Self::TooManyHolds => "ledger.too_many_holds",
            Self::TooManyLots => "ledger.too_many_lots",
        }
    }
}

/// Told to whoever asks: the same words each time, as they say nothing of how things stand now.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InsufficientFunds => "an account would have had less than it may",
            Self::NoSuchAccount => "the house had not opened an account that the order is about",
            Self::BalanceTooLarge => "a balance would have been larger than can be counted",
            Self::NoSuchHold => "there was no hold of this id",
            Self::HoldCaptured => "the hold had been captured before",
            Self::HoldReleased => "the hold had been released before",
            Self::HoldExpired => "the hold's time was over",
            Self::BeyondHold => "more was to be captured than was held",
            Self::NoSuchTransfer => "there was no transfer or capture of this id",
            Self::NotReversible => "it had been reversed before, or is nothing that can be reversed",
            Self::BadTime => "the time that was asked for was over, or too far away",
            Self::TooManyHolds => "the account had as many open holds as it may",
            Self::TooManyLots => "an account had as many lots with something left as it may",
        })
    }
}
