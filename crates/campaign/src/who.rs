//! A participant's place in this room's keys.

use std::fmt;

use kernel::hex::hex;
use kernel::id::{Bucket, Tenant};
use records::error::Error as RecordsError;
use records::port::{Row, Value};
use sha2::{Digest, Sha256};

/// A participant's bucket, and the first 16 bytes of SHA-256 over their name. Rows hold no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Where their rows live.
    pub bucket: u16,
    /// What their name hashes to.
    pub hash: [u8; 16],
}

impl Who {
    /// A participant by name.
    pub fn named(tenant: Tenant, participant: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(participant).into();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self { bucket: Bucket::of(tenant.name, participant).number(), hash }
    }

    /// As it stands in keys: bucket and hash.
    pub(crate) fn values(&self) -> [Value<'_>; 2] {
        [Value::Int(self.bucket.into()), Value::Bytes(&self.hash)]
    }

    /// From the first two columns of a row.
    pub(crate) fn from_row(row: &Row) -> Result<Self, RecordsError> {
        let bucket = u16::try_from(row.int(0)?).map_err(|_| RecordsError::Corrupt("a bucket".to_owned()))?;
        Ok(Self { bucket, hash: row.array(1)? })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.hash))
    }
}
