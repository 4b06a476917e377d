//! What may be read by few rests sealed: coupon codes, addresses, secrets of endpoints, answers that hold one.

use kernel::id::Shard;
use records::error::Error as RecordsError;
use records::port::{Records, Value, read};

use crate::error::Error;

/// Tables with something in them that only its key opens, or that only its key could have named.
const SEALED: &[&str] = &["endpoint", "coupon", "award_address", "award_request", "experiment_exposure"];

/// Whether nothing rests here that depends on a key: then another may be made.
pub async fn is_empty(records: &dyn Records) -> Result<bool, RecordsError> {
    read(records, Shard::HOME, |tx| {
        Box::pin(async move {
            for table in SEALED {
                let sql = format!("SELECT tenant FROM {table} LIMIT ?");
                if !tx.fetch(&sql, &[Value::Int(1)]).await?.is_empty() {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    })
    .await
}

/// Seals and opens. `about` names what it is the secret of: opening under another name fails.
pub trait Vault: Send + Sync {
    /// Seals a secret.
    fn seal(&self, secret: &[u8], about: &str) -> Result<Vec<u8>, Error>;
    /// Opens one.
    fn open(&self, sealed: &[u8], about: &str) -> Result<Vec<u8>, Error>;
}
