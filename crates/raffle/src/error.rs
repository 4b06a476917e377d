//! What can go wrong with a raffle.

use kernel::fault::{Classify, Fault};
use kernel::finding::Finding;

use crate::eligibility::Refusal;

/// Why a raffle says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No raffle has this id.
    #[error("there is no raffle `{0}`")]
    NoSuchRaffle(String),
    /// No draw has this id.
    #[error("there is no draw {0}")]
    NoSuchDraw(String),
    /// The raffle never had this version.
    #[error("the raffle has no version {0}")]
    NoSuchVersion(u32),
    /// The raffle has no such finite prize.
    #[error("the raffle has no finite prize `{0}`")]
    NoSuchPrize(String),
    /// The document is wrong.
    #[error("the document cannot be published: see the findings")]
    Document(Vec<Finding>),
    /// The document is another raffle's.
    #[error("the document is about the raffle `{found}`, the address about `{wanted}`")]
    OtherRaffle {
        /// In the document.
        found: String,
        /// In the address.
        wanted: String,
    },
    /// A published stock is changed by restocking, not by a document.
    #[error(
        "the stock of prize `{prize}` is {published} in the version before and {asked} here: restock it instead"
    )]
    StockIsNotEdited {
        /// Which prize.
        prize: String,
        /// In the version before.
        published: String,
        /// In the document.
        asked: String,
    },
    /// The key was used for another body.
    #[error("this Idempotency-Key was used before with another body")]
    KeyReused,
    /// The rules do not let this participant draw, or not now.
    #[error("{}", .0.told)]
    NotEligible(Refusal),
    /// The caller tells what these rules do not know.
    #[error("these rules read no attribute or metric `{0}`")]
    UnknownAttribute(String),
    /// The budget does not cover the dearest prize any more.
    #[error("the budget of this raffle is spent")]
    BudgetSpent,
    /// The rules forbid promises.
    #[error("the rules of this raffle forbid guaranteed winners")]
    PromisesForbidden,
    /// The raffle has no such draft.
    #[error("the raffle has no draft {0}")]
    NoSuchDraft(u32),
    /// The raffle has no such proposal.
    #[error("the raffle has no proposal {0}")]
    NoSuchProposal(u32),
    /// The person whom a proposal would promise something is erased.
    #[error("the person whom proposal {0} would promise a prize is erased: reject it or withdraw it")]
    ErasedPerson(u32),
    /// Another version was published since.
    #[error("it was drafted from version {base}, and version {live} is live: draft it again")]
    Stale {
        /// The version that was live when it was drafted; 0 is none.
        base: u32,
        /// The version that is live.
        live: u32,
    },
    /// One person may not do this alone.
    #[error("this needs a second pair of eyes{}: {way}", as_list(.reasons))]
    ReviewNeeded {
        /// How it can be done.
        way: &'static str,
        /// Why, each in a sentence.
        reasons: Vec<String>,
    },
    /// Who wrote it cannot approve it.
    #[error("who wrote it cannot approve it: ask the holder of another key")]
    SamePerson,
    /// The draft or proposal does not stand where this could happen.
    #[error("the {what} is {is}: this cannot be done with it now")]
    ReviewState {
        /// `draft` or `proposal`.
        what: &'static str,
        /// Its state.
        is: &'static str,
    },
    /// The raffle is frozen.
    #[error("the raffle is frozen: no draw is taken until it is thawed")]
    Frozen,
    /// The raffle's last epoch is closed.
    #[error("the raffle is over: its last epoch is closed and its seed revealed")]
    Over,
    /// There is nothing to change.
    #[error("it is {0} already")]
    AlreadySo(&'static str),
    /// The epoch's seed is not revealed yet.
    #[error("no epoch of this raffle is closed yet: there is nothing that an outsider could verify")]
    NothingRevealed,
    /// The campaign says no.
    #[error(transparent)]
    Campaign(#[from] campaign::error::Error),
    /// The key of the seeds is another than the one they were sealed with.
    #[error(
        "the secret of {0} does not open: the seed key is not the one that this data folder was made with"
    )]
    WrongSeedKey(String),
    /// No chance is to be had.
    #[error("no entropy: {0}")]
    Entropy(String),
    /// A published version cannot be read.
    #[error("a published version cannot be read: {0}")]
    BrokenVersion(String),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] records::error::Error),
}

fn as_list(reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) }
}

impl Error {
    /// A version that one person may not publish alone.
    pub fn needs_review(reasons: &[String]) -> Self {
        let way = "draft it, have the holder of another key approve the draft, and publish that";
        Self::ReviewNeeded { way, reasons: reasons.to_vec() }
    }

    /// An order that one person may not give alone.
    pub fn needs_proposal(reasons: &[String]) -> Self {
        let way = "propose it, and have the holder of another key approve the proposal";
        Self::ReviewNeeded { way, reasons: reasons.to_vec() }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::NoSuchRaffle(_) | Self::NoSuchDraw(_) | Self::NoSuchVersion(_) | Self::NoSuchPrize(_) => {
                Fault::Missing
            }
            Self::NoSuchDraft(_) | Self::NoSuchProposal(_) => Fault::Missing,
            Self::ReviewNeeded { .. } | Self::SamePerson => Fault::Refused,
            Self::Stale { .. } | Self::ReviewState { .. } | Self::ErasedPerson(_) => Fault::Conflict,
            Self::Document(_) | Self::OtherRaffle { .. } | Self::StockIsNotEdited { .. } => Fault::Refused,
            Self::NotEligible(Refusal { retry_ms: Some(_), .. }) => Fault::TooOften,
            Self::NotEligible(_) | Self::UnknownAttribute(_) | Self::BudgetSpent => Fault::Refused,
            Self::Frozen | Self::Over | Self::NothingRevealed | Self::PromisesForbidden => Fault::Refused,
            Self::KeyReused | Self::AlreadySo(_) => Fault::Conflict,
            Self::Entropy(_) => Fault::Busy,
            Self::WrongSeedKey(_) | Self::BrokenVersion(_) => Fault::Bug,
            Self::Campaign(error) => error.fault(),
            Self::Records(error) => error.fault(),
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        let Self::NotEligible(Refusal { retry_ms: Some(wait_ms), .. }) = self else { return None };
        u64::try_from(*wait_ms).ok().map(|wait_ms| wait_ms.div_ceil(1000).max(1))
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchRaffle(_) => "raffle.missing",
            Self::NoSuchDraw(_) => "draw.missing",
            Self::NoSuchVersion(_) => "raffle.no_such_version",
            Self::NoSuchPrize(_) => "raffle.no_such_prize",
            Self::Document(_) => "raffle.document",
            Self::OtherRaffle { .. } => "raffle.other_raffle",
            Self::StockIsNotEdited { .. } => "raffle.stock_is_not_edited",
            Self::KeyReused => "idempotency.key_reused",
            Self::NotEligible(Refusal { retry_ms: Some(_), .. }) => "raffle.too_often",
            Self::NotEligible(_) => "raffle.not_eligible",
            Self::UnknownAttribute(_) => "raffle.unknown_attribute",
            Self::BudgetSpent => "raffle.budget_spent",
            Self::PromisesForbidden => "raffle.promises_forbidden",
            Self::NoSuchDraft(_) => "draft.missing",
            Self::NoSuchProposal(_) => "proposal.missing",
            Self::ErasedPerson(_) => "proposal.erased_person",
            Self::Stale { .. } => "draft.stale",
            Self::ReviewNeeded { .. } => "review.needed",
            Self::SamePerson => "review.same_person",
            Self::ReviewState { .. } => "review.state",
            Self::Frozen => "raffle.frozen",
            Self::Over => "raffle.over",
            Self::AlreadySo(_) => "raffle.already_so",
            Self::NothingRevealed => "raffle.nothing_revealed",
            Self::WrongSeedKey(_) => "raffle.wrong_seed_key",
            Self::Entropy(_) => "raffle.entropy",
            Self::BrokenVersion(_) => "raffle.broken_version",
            Self::Campaign(error) => error.code(),
            Self::Records(error) => error.code(),
        }
    }
}
