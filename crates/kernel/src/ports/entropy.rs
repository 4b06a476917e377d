//! Chance: seeds, keys and the names we make up.

use super::PortError;

/// Contract, checked by [`crate::conformance::entropy`]:
///
/// 1. Every byte is filled, or an error is answered.
/// 2. Two fills of 16 bytes or more never agree.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with bytes that nobody can guess.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), PortError>;
}
