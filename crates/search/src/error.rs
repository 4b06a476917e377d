//! Why the projection did not do what it was asked.

use kernel::fault::{Classify, Fault};

/// What is wrong with a question, or with the records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A bound or a word of a filter is none.
    #[error("{0}")]
    BadFilter(String),
    /// Somebody else has written since this was read: read it anew.
    #[error("the projection was written by somebody else meanwhile")]
    Overtaken,
    /// As many exports run as may at once.
    #[error("{0} exports are under way, which is as many as may be; try again shortly")]
    TooManyExports(usize),
    /// The records.
    #[error(transparent)]
    Records(#[from] records::error::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::BadFilter(_) => Fault::Refused,
            Self::Overtaken | Self::TooManyExports(_) => Fault::Busy,
            Self::Records(error) => error.fault(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadFilter(_) => "search.bad_filter",
            // No caller is told: whoever writes reads anew.
            Self::Overtaken => "records.contended",
            Self::TooManyExports(_) => "search.too_many_exports",
            Self::Records(error) => error.code(),
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        match self {
            Self::TooManyExports(_) => Some(5),
            Self::Records(error) => error.retry_seconds(),
            Self::BadFilter(_) | Self::Overtaken => None,
        }
    }
}
