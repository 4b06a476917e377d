//! Why the ledger did not take an order. A transfer that is refused is no error: it is an entry of the journal.

use kernel::amount::NotAUnit;
use kernel::fault::{Classify, Fault};

use crate::refusal::Refusal;

/// Most legs of one transfer.
pub const LEGS_MAX: usize = 64;

/// What is wrong with an order, or with the records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name, a code or a reference is no text that can be kept.
    #[error("`{what}` must be 1 to {characters} characters without control characters")]
    BadText {
        /// Which.
        what: &'static str,
        /// How long it may be.
        characters: usize,
    },
    /// A unit is none.
    #[error("{0}")]
    BadUnit(NotAUnit),
    /// An account is nobody's, or two people's.
    #[error("name a `participant` or a `house` account, one of them; accounts of the house have no `wallet`")]
    BadAccount,
    /// An amount is none.
    #[error("an amount must be from 1 to {max}", max = kernel::amount::AMOUNT_MAX)]
    BadAmount,
    /// A transfer has too few or too many legs, or an account stands twice; a hold leads to where it comes from.
    #[error(
        "a transfer has 2 to {LEGS_MAX} legs, a hold leads elsewhere in its unit, and each account stands once"
    )]
    BadLegs,
    /// What leaves is not what arrives.
    #[error("the legs in `{unit}` do not add up to zero: {sum}")]
    Unbalanced {
        /// In which unit.
        unit: String,
        /// What they add up to.
        sum: i128,
    },
    /// Times that cannot be.
    #[error("{0}")]
    BadTime(&'static str),
    /// A rate that is none.
    #[error("a rate is a fraction of two numbers from 1 to {max}", max = kernel::amount::AMOUNT_MAX)]
    BadRate,
    /// An exchange gives nothing, or more than can be.
    #[error("{amount} at this rate would give {got}")]
    BadExchange {
        /// What was to be exchanged.
        amount: i64,
        /// What would come.
        got: i128,
    },
    /// The house does not exchange these units.
    #[error("there is no rate from `{from}` to `{to}`")]
    NoRate {
        /// What would be given.
        from: String,
        /// What would be received.
        to: String,
    },
    /// The caller counts on another rate.
    #[error("the rate is {0}, not the one that the request names")]
    OtherRate(String),
    /// There is no such account.
    #[error("there is no account {0}")]
    NoSuchAccount(String),
    /// Nobody has ordered anything under this id.
    #[error("there is no transfer `{0}`")]
    NoSuchTransfer(String),
    /// Nothing was ever held under this id.
    #[error("there is no hold `{0}`")]
    NoSuchHold(String),
    /// The order was refused, now or before.
    #[error("{0}")]
    Refused(Refusal),
    /// Another order has this id.
    #[error(
        "`exists_with_different_{0}`: this Idempotency-Key belongs to another order, which differs in `{0}`; it stands as it is"
    )]
    Different(&'static str),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] records::error::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::BadText { .. }
            | Self::BadUnit(_)
            | Self::BadAccount
            | Self::BadAmount
            | Self::BadLegs
            | Self::Unbalanced { .. }
            | Self::BadTime(_)
            | Self::BadRate
            | Self::BadExchange { .. }
            | Self::NoRate { .. }
            | Self::OtherRate(_)
            | Self::Refused(_) => Fault::Refused,
            Self::NoSuchAccount(_) | Self::NoSuchTransfer(_) | Self::NoSuchHold(_) => Fault::Missing,
            Self::Different(_) => Fault::Conflict,
            Self::Records(error) => error.fault(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadText { .. } => "ledger.bad_text",
            Self::BadUnit(_) => "ledger.bad_unit",
            Self::BadAccount => "ledger.bad_account",
            Self::BadAmount => "ledger.bad_amount",
            Self::BadLegs => "ledger.bad_legs",
            Self::Unbalanced { .. } => "ledger.unbalanced",
            Self::BadTime(_) => "ledger.bad_time",
            Self::BadRate => "ledger.bad_rate",
            Self::BadExchange { .. } => "ledger.bad_exchange",
            Self::NoRate { .. } => "ledger.no_rate",
            Self::OtherRate(_) => "ledger.other_rate",
            Self::NoSuchAccount(_) => "account.missing",
            Self::NoSuchTransfer(_) => "transfer.missing",
            Self::NoSuchHold(_) => "hold.missing",
            Self::Refused(why) => why.code(),
            Self::Different(_) => "idempotency.key_reused",
            Self::Records(error) => error.code(),
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        if let Self::Records(error) = self { error.retry_seconds() } else { None }
    }
}
