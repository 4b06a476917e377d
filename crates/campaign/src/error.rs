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
            Self::NoSuchAward(_) => Fault::Missing,
            Self::HandedOverBefore => Fault::Conflict,
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
            Self::Records(error) => error.code(),
        }
    }
}
