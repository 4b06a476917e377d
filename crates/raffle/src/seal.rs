//! Seeds at rest: encrypted with XChaCha20-Poly1305 under a key that is not in the database.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use kernel::ports::PortError;
use kernel::ports::entropy::Entropy;

use crate::error::Error;

const NONCE: usize = 24;

/// Seals and opens secrets under one key.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl Sealer {
    /// A sealer under a key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals a secret. `about` names what it is the secret of: opening under another name fails.
    pub fn seal(&self, secret: &[u8], about: &str, entropy: &dyn Entropy) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE];
        entropy.fill(&mut nonce).map_err(|source| Error::Entropy(source.to_string()))?;
        let payload = Payload { msg: secret, aad: about.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::Entropy("a secret could not be sealed".to_owned()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens a secret of 32 bytes.
    pub fn open(&self, sealed: &[u8], about: &str) -> Result<[u8; 32], Error> {
        let secret = self.open_any(sealed, about)?;
        secret.try_into().map_err(|_| Error::WrongSeedKey(about.to_owned()))
    }

    /// Opens a secret of any length.
    pub fn open_any(&self, sealed: &[u8], about: &str) -> Result<Vec<u8>, Error> {
        let wrong = || Error::WrongSeedKey(about.to_owned());
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: about.as_bytes() };
        self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| wrong())
    }
}

/// 32 bytes that nobody can guess.
pub fn fresh_secret(entropy: &dyn Entropy) -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    entropy.fill(&mut secret).map_err(|error: PortError| Error::Entropy(error.to_string()))?;
    Ok(secret)
}
