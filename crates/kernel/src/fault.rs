//! What kind of failure this is. Every domain error answers it; the edge maps it to a status once.

/// The kinds of failure a caller can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller asked for something that cannot be.
    Refused,
    /// The named thing does not exist for this caller.
    Missing,
    /// True a moment ago, or said differently before: reading again may help, repeating will not.
    Conflict,
    /// Too many calls in too short a time; the same call may succeed later.
    TooOften,
    /// A backend is away or slow, or the outcome is not known yet; the same call, with the same key, may succeed.
    Busy,
    /// Our mistake.
    Bug,
}

/// Implemented by the one error enum of each room.
pub trait Classify: std::error::Error {
    /// The kind of this failure.
    fn fault(&self) -> Fault;
    /// Stable, documented in `docs/errors.md`; never reused for another meaning.
    fn code(&self) -> &'static str;
    /// When the same call is worth repeating, where we know: in seconds from now.
    fn retry_seconds(&self) -> Option<u64> {
        None
    }
}
