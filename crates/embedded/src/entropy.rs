//! [`Entropy`] from the operating system.

use kernel::ports::PortError;
use kernel::ports::entropy::Entropy;

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the entropy adapter")]
    fn fill(&self, buffer: &mut [u8]) -> Result<(), PortError> {
        getrandom::fill(buffer).map_err(|error| PortError::Unavailable(Box::new(error)))
    }
}
