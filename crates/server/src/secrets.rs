//! Secrets in files of the data folder: made once, readable by their owner alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use kernel::hex::{from_hex, hex};
use kernel::ports::entropy::Entropy;
use sha2::Sha256;

/// Why a secret is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read or written.
    #[error("cannot use the secret in {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is no secret.
    #[error("{0} does not hold 64 hexadecimal digits")]
    NoSecret(PathBuf),
    /// There is a database that was sealed with a key that is gone.
    #[error(
        "the database holds what a key has sealed, but {0} is missing: its seeds cannot be opened. Bring the file back"
    )]
    Gone(PathBuf),
    /// No chance is to be had.
    #[error("no entropy: {0}")]
    Entropy(String),
}

/// A secret that follows from another for one purpose: HMAC-SHA256 of the purpose (RFC 2104). It says nothing about the
/// other, nor about those for other purposes.
pub fn derived(secret: &[u8; 32], purpose: &str) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any key");
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().into()
}

/// Reads a secret, or makes it where the file is missing and `may_make` says so.
pub fn read_or_make(path: &Path, may_make: bool, entropy: &dyn Entropy) -> Result<[u8; 32], SecretError> {
    let file = |source| SecretError::File { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) => from_hex(text.trim()).ok_or_else(|| SecretError::NoSecret(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {
            let mut secret = [0; 32];
            entropy.fill(&mut secret).map_err(|error| SecretError::Entropy(error.to_string()))?;
            // Whole or not at all, and on the disk before anything is sealed with it.
            let half = path.with_extension("key.half");
            let mut options = std::fs::OpenOptions::new();
            let mut half_file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&half).map_err(file)?;
            half_file.write_all(hex(&secret).as_bytes()).map_err(file)?;
            half_file.sync_all().map_err(file)?;
            std::fs::rename(&half, path).map_err(file)?;
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)?;
            }
            Ok(secret)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SecretError::Gone(path.to_owned())),
        Err(source) => Err(file(source)),
    }
}
