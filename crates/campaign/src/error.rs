//! What can be wrong with a campaign or an award.

use kernel::fault::{Classify, Fault};

/// Why a campaign says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The campaign has not begun.
    #[error("the campaign begins at {0}")]
    NotBegun(String),
    /// The campaign is over.
    #[error("the campaign ended at {0}")]
    Ended(String),
    /// All tickets of the whole campaign are used.
    #[error("all {0} tickets of this campaign are used")]
    TicketsUsed(u32),
    /// All tickets of the day are used.
    #[error("all {0} tickets of today are used; more come at midnight in the campaign's time zone")]
    TicketsUsedToday(u32),
    /// All tickets of the month are used.
    #[error(
        "all {0} tickets of this month are used; more come with the next month in the campaign's time zone"
    )]
    TicketsUsedThisMonth(u32),
    /// The participant holds no ticket, or fewer than are asked for.
    #[error("too few tickets are left in the participant's wallet `{0}`")]
    NoTicket(String),
    /// No such award.
    #[error("there is no award {0}")]
    NoSuchAward(String),
    /// The award was handed over before, with another note.
    #[error("the award was handed over before, with another note")]
    HandedOverBefore,
    /// The award's state does not allow it.
    #[error("the award is past this, or not there yet: {0}")]
    AwardState(&'static str),
    /// The ledger would not take back what was paid.
    #[error("the winner has spent it, so it cannot be taken back: {0}. Nothing was done")]
    Spent(&'static str),
    /// The award has no code or address to tell.
    #[error("this award has no {0}")]
    NothingToTell(&'static str),
    /// No such dead letter.
    #[error("there is no dead letter {0}")]
    NoSuchLetter(String),
    /// Codes that cannot be taken.
    #[error("{0}")]
    BadCodes(String),
    /// Codes that the pool holds already.
    #[error("{codes} of these codes are in the pool `{pool}` already; nothing was added")]
    CodesKnown {
        /// The pool.
        pool: String,
        /// How many.
        codes: usize,
    },
    /// No such pool.
    #[error("there is no coupon pool `{0}`")]
    NoSuchPool(String),
    /// No such endpoint.
    #[error("there is no endpoint `{0}`")]
    NoSuchEndpoint(String),
    /// The endpoint exists.
    #[error("there is an endpoint `{0}` already")]
    EndpointKnown(String),
    /// There are as many endpoints as may be.
    #[error("there are {0} endpoints already, which is the limit")]
    TooManyEndpoints(u32),
    /// The Idempotency-Key was used with another body.
    #[error("this Idempotency-Key was used before with another body")]
    KeyReused,
    /// No chance is to be had.
    #[error("no entropy: {0}")]
    Entropy(String),
    /// A secret cannot be sealed or opened.
    #[error("a secret cannot be opened: {0}")]
    Sealed(String),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] records::error::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::NotBegun(_) | Self::Ended(_) | Self::NoTicket(_) => Fault::Refused,
            Self::TicketsUsed(_) | Self::TicketsUsedToday(_) | Self::TicketsUsedThisMonth(_) => {
                Fault::Refused
            }
            Self::BadCodes(_) => Fault::Refused,
            Self::NoSuchAward(_)
            | Self::NothingToTell(_)
            | Self::NoSuchLetter(_)
            | Self::NoSuchPool(_)
            | Self::NoSuchEndpoint(_) => Fault::Missing,
            Self::HandedOverBefore
            | Self::AwardState(_)
            | Self::Spent(_)
            | Self::CodesKnown { .. }
            | Self::EndpointKnown(_)
            | Self::TooManyEndpoints(_)
            | Self::KeyReused => Fault::Conflict,
            Self::Entropy(_) => Fault::Busy,
            Self::Sealed(_) => Fault::Bug,
            Self::Records(error) => error.fault(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotBegun(_) => "campaign.not_begun",
            Self::Ended(_) => "campaign.ended",
            Self::TicketsUsed(_) => "campaign.tickets_used",
            Self::TicketsUsedToday(_) => "campaign.tickets_used_today",
            Self::TicketsUsedThisMonth(_) => "campaign.tickets_used_this_month",
            Self::NoTicket(_) => "campaign.no_ticket",
            Self::NoSuchAward(_) => "award.missing",
            Self::HandedOverBefore => "award.handed_over_before",
            Self::AwardState(_) => "award.state",
            Self::Spent(_) => "award.spent",
            Self::NothingToTell(_) => "award.nothing_to_tell",
            Self::NoSuchLetter(_) => "letter.missing",
            Self::BadCodes(_) => "coupon.bad_codes",
            Self::CodesKnown { .. } => "coupon.known",
            Self::NoSuchPool(_) => "coupon.no_such_pool",
            Self::NoSuchEndpoint(_) => "endpoint.missing",
            Self::EndpointKnown(_) => "endpoint.known",
            Self::TooManyEndpoints(_) => "endpoint.too_many",
            Self::KeyReused => "idempotency.key_reused",
            Self::Entropy(_) => "award.entropy",
            Self::Sealed(_) => "award.sealed",
            Self::Records(error) => error.code(),
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        if let Self::Records(error) = self { error.retry_seconds() } else { None }
    }
}
