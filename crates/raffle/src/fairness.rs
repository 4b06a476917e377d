//! Chance that an outsider can check. `docs/fairness/` says the same in words, with test vectors.
//!
//! A draw's integer comes from HMAC-SHA256 (RFC 2104, FIPS 180-4) under the epoch's seed, over length-prefixed fields,
//! with rejection sampling (the simple discard method of NIST SP 800-90A, appendix B). Everything that a draw fixes is hashed into the
//! participant's chain and into the gate's log.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Feeds a field, preceded by its length in four bytes, big-endian.
fn field(hash: &mut impl FnMut(&[u8]), bytes: &[u8]) {
    hash(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    hash(bytes);
}

/// SHA-256 of length-prefixed fields.
pub fn hash_fields(fields: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for bytes in fields {
        field(&mut |part| sha.update(part), bytes);
    }
    sha.finalize().into()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The next head of a chain: SHA-256 of the head before and the digest of what happened.
pub fn link(head: &[u8; 32], digest: &[u8; 32]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(head);
    sha.update(digest);
    sha.finalize().into()
}

/// A participant's public name in one raffle: HMAC-SHA256 under the raffle's own key, first 16 bytes. The same person has
/// unrelated names in two raffles, and without the key nobody can try people out.
#[derive(Clone)]
pub struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    /// Names under a key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(keyed(key))
    }

    /// The name of a participant.
    pub fn of(&self, participant: &str) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(participant.as_bytes());
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut name = [0; 16];
        name.copy_from_slice(&whole[..16]);
        name
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    Hmac::new_from_slice(key).expect("any key")
}

/// The chance of one epoch.
#[derive(Clone)]
pub struct Chance {
    seed: Hmac<Sha256>,
    epoch: String,
}

impl Chance {
    /// Chance under a seed. `epoch` is `tenant/raffle/number`.
    pub fn new(seed: &[u8; 32], epoch: String) -> Self {
        Self { seed: keyed(seed), epoch }
    }

    /// An integer below `total`, each equally likely. The first eight bytes of the HMAC, big-endian, are divided by
    /// `2^64 / total` rounded down; a quotient that is not below `total` is rejected, and the counter goes up by one.
    pub fn below(&self, total: u64, pseudonym: &[u8; 16], number: u64, client_seed: &str) -> u64 {
        let width = (1u128 << 64) / u128::from(total.max(1));
        let mut counter: u32 = 0;
        loop {
            let mut mac = self.seed.clone();
            let mut add = |part: &[u8]| mac.update(part);
            field(&mut add, self.epoch.as_bytes());
            field(&mut add, pseudonym);
            field(&mut add, &number.to_be_bytes());
            field(&mut add, client_seed.as_bytes());
            field(&mut add, &counter.to_be_bytes());
            let whole: [u8; 32] = mac.finalize().into_bytes().into();
            let mut first = [0; 8];
            first.copy_from_slice(&whole[..8]);
            match u64::try_from(u128::from(u64::from_be_bytes(first)) / width) {
                Ok(integer) if integer < total.max(1) => return integer,
                _ => counter = counter.wrapping_add(1),
            }
        }
    }
}

/// The name of an epoch, as the HMAC reads it.
pub fn epoch_name(tenant: &str, raffle: &str, epoch: u32) -> String {
    format!("{tenant}/{raffle}/{epoch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_below_a_total_is_as_likely_as_any_other() {
        let chance = Chance::new(&[7; 32], "main/spread/1".to_owned());
        let mut seen = [0u32; 10];
        for number in 0..100_000 {
            seen[usize::try_from(chance.below(10, &[1; 16], number, "seed")).expect("small")] += 1;
        }
        // Chi-square with 9 degrees of freedom: 27.9 is passed once in a thousand seeds; this seed is fixed.
        let chi: f64 = seen.iter().map(|n| (f64::from(*n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 27.9, "{seen:?}");
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        assert_ne!(hash_fields(&[b"ab", b"c"]), hash_fields(&[b"a", b"bc"]));
    }
}
