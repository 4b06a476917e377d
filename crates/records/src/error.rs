//! What can go wrong with a record.

use kernel::fault::{Classify, Fault};

/// Why a transaction did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The database is away, or its disk fails. Nothing of this transaction was kept.
    #[error("the records cannot be reached: {0}")]
    Unavailable(String),
    /// The answer to COMMIT was lost or bad: kept or not, only reading by key can tell.
    #[error("it is not known whether the write was kept; repeat the call with the same key to learn it")]
    OutcomeUnknown,
    /// A key that must be new exists already. Nothing was kept.
    #[error("a row with this key exists already: {0}")]
    Duplicate(String),
    /// A guard in SQL counted other rows than the decision expected. Nothing was kept.
    #[error("a guard refused a write: {0}")]
    Surprise(&'static str),
    /// Other transactions stood in the way, and this one made way. Nothing was kept; run anew it may well succeed.
    #[error("another write stood in the way: {0}")]
    Contended(String),
    /// A row or statement makes no sense.
    #[error("the records answered something impossible: {0}")]
    Corrupt(String),
    /// More writes wait than the queue holds; nothing was done.
    #[error("too many writes are waiting; try again shortly")]
    QueueFull,
    /// So many effects are unsent that nothing may begin which adds to them; nothing was done.
    #[error("more effects are unsent than may be; try again shortly")]
    Backlog,
    /// The process is draining; nothing was done.
    #[error("the server is shutting down")]
    Closed,
    /// The database was written by a newer release.
    #[error("the database holds step {found} of `{room}`, this release knows {known}: start a newer release")]
    NewerSchema {
        /// Whose tables.
        room: String,
        /// The newest step in the database.
        found: i64,
        /// The newest step that this release knows.
        known: i64,
    },
    /// The caller's own decision to keep nothing.
    #[error("rolled back by the caller")]
    RolledBack,
}

impl Error {
    /// Whether a smaller batch might fare better: the fault lies with some row, not with the database.
    pub fn is_about_a_row(&self) -> bool {
        match self {
            Self::Duplicate(_) | Self::Surprise(_) | Self::Corrupt(_) => true,
            Self::Unavailable(_)
            | Self::OutcomeUnknown
            | Self::Contended(_)
            | Self::QueueFull
            | Self::Backlog
            | Self::Closed
            | Self::NewerSchema { .. }
            | Self::RolledBack => false,
        }
    }
}

impl Error {
    /// A row was seen missing, and then was there: somebody else made it at the same moment. Asking again finds it.
    #[must_use]
    pub fn or_raced(self) -> Self {
        if let Self::Duplicate(key) = self { Self::Contended(key) } else { self }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Unavailable(_)
            | Self::OutcomeUnknown
            | Self::Contended(_)
            | Self::QueueFull
            | Self::Backlog
            | Self::Closed => Fault::Busy,
            Self::Duplicate(_) => Fault::Conflict,
            Self::Surprise(_) | Self::Corrupt(_) | Self::NewerSchema { .. } | Self::RolledBack => Fault::Bug,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "records.unavailable",
            Self::OutcomeUnknown => "records.outcome_unknown",
            Self::Duplicate(_) => "records.duplicate",
            Self::Surprise(_) => "records.surprise",
            Self::Contended(_) => "records.contended",
            Self::Corrupt(_) => "records.corrupt",
            Self::QueueFull => "records.queue_full",
            Self::Backlog => "records.backlog",
            Self::Closed => "records.closed",
            Self::NewerSchema { .. } => "records.newer_schema",
            Self::RolledBack => "records.rolled_back",
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        // The relay measures many times a second; a backlog takes longer to go.
        matches!(self, Self::Backlog).then_some(5)
    }
}
