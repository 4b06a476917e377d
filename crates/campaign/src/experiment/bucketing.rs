//! Who falls where: a hash of names to 10,000 buckets, and half-open ranges of them. `docs/experiments.md` publishes the
//! construction with test vectors; it never changes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How many buckets a hash falls into. Fixed for ever.
pub const BUCKETS: u32 = 10_000;

/// The bucket of a participant, from 0 to 9,999: SHA-256 over layer, salt and participant, each after its length in bytes as
/// a 32-bit big-endian number; the first eight bytes of the hash, read as a big-endian number below 2^64, times 10,000,
/// divided by 2^64 and rounded down. The layer's own bucket is that of an empty salt.
pub fn bucket(layer: &str, salt: &str, participant: &str) -> u32 {
    let mut hash = Sha256::new();
    for field in [layer, salt, participant] {
        hash.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(field.as_bytes());
    }
    let hash = hash.finalize();
    let first = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    u32::try_from((u128::from(first) * u128::from(BUCKETS)) >> 64).unwrap_or_default()
}

/// Where each arm's buckets end: arm `n` has those from the end of the arm before, up to but not including its own. Weights
/// are over a denominator that is their sum.
pub fn ends(weights: &[u32]) -> Vec<u32> {
    let denominator: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut sum = 0;
    let end = |weight: &u32| {
        sum += u64::from(*weight);
        u32::try_from(sum * u64::from(BUCKETS) / denominator.max(1)).unwrap_or(BUCKETS)
    };
    weights.iter().map(end).collect()
}

/// The arm that holds a bucket.
pub fn arm_of(ends: &[u32], bucket: u32) -> Option<usize> {
    ends.iter().position(|end| bucket < *end)
}

/// How many buckets each arm has: what its share of participants is to be.
pub fn widths(ends: &[u32]) -> Vec<u32> {
    let before = std::iter::once(&0).chain(ends);
    ends.iter().zip(before).map(|(end, before)| end - before).collect()
}

/// The names under which experiments know participants: nobody without the key tells who somebody is, nor that two names
/// of two experiments are the same person.
#[derive(Clone)]
pub struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    /// Names under a key of 32 bytes. Another key makes everybody a stranger.
    pub fn new(key: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        Self(Hmac::new_from_slice(key).expect("any key"))
    }

    /// A participant's name in an experiment.
    pub fn of(&self, experiment: &str, participant: &str) -> [u8; 16] {
        let mut mac = self.0.clone();
        for field in ["experiment", experiment, participant] {
            mac.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            mac.update(field.as_bytes());
        }
        let mac = mac.finalize().into_bytes();
        let mut name = [0; 16];
        name.copy_from_slice(&mac[..16]);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_that_are_published() {
        let published = include_str!("../../../../docs/experiments.md");
        let vectors: Vec<_> = published.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(vectors.len() >= 8, "{} vectors", vectors.len());
        for vector in vectors {
            let cells: Vec<_> = vector.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let [_, layer, salt, participant, expected, _] = cells[..] else { panic!("{vector}") };
            assert_eq!(bucket(layer, salt, participant).to_string(), expected, "{vector}");
        }
        assert_ne!(bucket("ab", "c", "d"), bucket("a", "bc", "d"), "fields do not run into each other");
    }

    #[test]
    fn ranges_are_half_open_and_leave_nothing_out() {
        for (weights, expected) in [
            (&[1, 1][..], &[5_000, 10_000][..]),
            (&[50, 30, 20], &[5_000, 8_000, 10_000]),
            (&[1, 1, 1], &[3_333, 6_666, 10_000]),
            (&[9_999, 1], &[9_999, 10_000]),
        ] {
            let ends = ends(weights);
            assert_eq!(ends, expected);
            assert_eq!(widths(&ends).iter().sum::<u32>(), BUCKETS);
            let mut counts = vec![0; weights.len()];
            for bucket in 0..BUCKETS {
                counts[arm_of(&ends, bucket).expect("an arm")] += 1;
            }
            assert_eq!(counts, widths(&ends));
        }
        assert_eq!(arm_of(&ends(&[1, 1]), 4_999), Some(0));
        assert_eq!(arm_of(&ends(&[1, 1]), 5_000), Some(1));
        assert_eq!(arm_of(&ends(&[1, 1]), BUCKETS), None);
    }

    #[test]
    fn a_person_is_a_stranger_in_every_other_experiment() {
        let names = Pseudonyms::new(&[7; 32]);
        assert_eq!(names.of("a", "ada"), names.of("a", "ada"));
        assert_ne!(names.of("a", "ada"), names.of("b", "ada"));
        assert_ne!(names.of("a", "bada"), names.of("ab", "ada"));
        assert_ne!(names.of("a", "ada"), Pseudonyms::new(&[8; 32]).of("a", "ada"));
    }
}
