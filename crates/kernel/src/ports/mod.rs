//! One file per promise that an adapter keeps.

pub mod broker;
pub mod clock;
pub mod entropy;
pub mod outbound;

/// A backend did not keep its promise, or was not there to keep it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Away, slow or full; the same call may succeed later.
    #[error("backend unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answered something that cannot be.
    #[error("backend answered something impossible: {0}")]
    Corrupt(String),
}
