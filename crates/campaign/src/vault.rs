//! What may be read by few rests sealed: coupon codes, addresses, secrets of endpoints, answers that hold one.

use crate::error::Error;

/// Seals and opens. `about` names what it is the secret of: opening under another name fails.
pub trait Vault: Send + Sync {
    /// Seals a secret.
    fn seal(&self, secret: &[u8], about: &str) -> Result<Vec<u8>, Error>;
    /// Opens one.
    fn open(&self, sealed: &[u8], about: &str) -> Result<Vec<u8>, Error>;
}
