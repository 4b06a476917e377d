//! What may be read by few rests under the key of the seeds.

use std::sync::Arc;

use campaign::error::Error;
use campaign::vault::Vault;
use kernel::ports::entropy::Entropy;
use raffle::seal::Sealer;

/// Seals what awards must keep secret. Under the key of the seeds, which is not in the database.
pub struct SealedVault {
    sealer: Sealer,
    entropy: Arc<dyn Entropy>,
}

impl SealedVault {
    /// A vault under a sealer's key.
    pub fn new(sealer: Sealer, entropy: Arc<dyn Entropy>) -> Self {
        Self { sealer, entropy }
    }
}

/// No secret of another kind may be opened as one of these.
fn name(about: &str) -> String {
    format!("fulfilment/{about}")
}

impl Vault for SealedVault {
    fn seal(&self, secret: &[u8], about: &str) -> Result<Vec<u8>, Error> {
        let sealed = self.sealer.seal(secret, &name(about), &*self.entropy);
        sealed.map_err(|error| Error::Entropy(error.to_string()))
    }

    fn open(&self, sealed: &[u8], about: &str) -> Result<Vec<u8>, Error> {
        self.sealer.open_any(sealed, &name(about)).map_err(|error| Error::Sealed(error.to_string()))
    }
}
