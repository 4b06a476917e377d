//! Where a participant's rows live, and how a draw's id leads back to its row.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::Xxh3;

/// How many buckets there are. Fixed for ever: a participant never changes bucket.
pub const BUCKETS: u16 = 1024;

/// Whether a text can be an id that people choose: 1 to `most` of `a` to `z`, `0` to `9`, `_` and `-`, the first a letter or
/// a digit.
pub fn can_be_chosen(text: &str, most: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=most).contains(&text.len())
        && text.bytes().next().is_some_and(fits)
        && text.bytes().all(|byte| fits(byte) || byte == b'_' || byte == b'-')
}

/// A participant's home among the databases: `xxh3(tenant, participant) % 1024`.
///
/// The hash is XXH3-64 with seed 0 over the tenant's bytes, one zero byte and the participant's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket of a participant.
    pub fn of(tenant: &str, participant: &str) -> Self {
        let mut hash = Xxh3::new();
        hash.update(tenant.as_bytes());
        hash.update(&[0]);
        hash.update(participant.as_bytes());
        Self::from_hash(hash.digest())
    }

    fn from_hash(hash: u64) -> Self {
        Self(u16::try_from(hash % u64::from(BUCKETS)).unwrap_or_default())
    }

    /// The bucket as it stands in a key column.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Whose campaigns these are. The number stands in every key, the name in what people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// In keys.
    pub number: u32,
    /// In words.
    pub name: &'static str,
}

impl Tenant {
    /// The tenant of a house that has one.
    pub const MAIN: Self = Self { number: 1, name: "main" };
}

/// A 64-bit fingerprint of a key, to find it by; equal fingerprints are no proof of equal keys.
pub fn fingerprint(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// One of the databases. The embedded profile has one: shard 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Shard(pub u16);

impl Shard {
    /// Configuration, versions and commitments live here.
    pub const HOME: Self = Self(0);
}

/// Names one draw and leads to its row: the shard, raffle and gate sequence are the key of the row, the
/// bucket says whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DrawId {
    /// The participant's bucket.
    pub bucket: u16,
    /// The database whose gate numbered the draw.
    pub shard: Shard,
    /// The raffle's number.
    pub raffle: u32,
    /// The draw's place in the gate's log, from 1.
    pub seq: u64,
}

/// A text that is no draw id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a draw id: expected `drw_` and 26 characters of Crockford's base 32")]
pub struct NotADrawId;

/// Crockford's base 32 in lower case: no i, l, o or u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Letters of a packed id, after its prefix.
const LETTERS: usize = 26;

/// Where something lives that a gate or a head has numbered: what ids of draws and orders pack into 26 letters, after a
/// prefix that says which of them it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose it is.
    pub bucket: u16,
    /// The database that numbered it.
    pub shard: Shard,
    /// The raffle's or campaign's number.
    pub subject: u32,
    /// Its number, from 1.
    pub seq: u64,
}

impl Place {
    /// Writes it after a prefix.
    pub fn write(self, prefix: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packed = u128::from(self.bucket) << 112
            | u128::from(self.shard.0) << 96
            | u128::from(self.subject) << 64
            | u128::from(self.seq);
        let mut text = [b'0'; LETTERS];
        for (place, letter) in text.iter_mut().rev().enumerate() {
            *letter = ALPHABET[usize::try_from((packed >> (5 * place)) & 31).unwrap_or_default()];
        }
        f.write_str(prefix)?;
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }

    /// Reads what [`Place::write`] wrote after the same prefix.
    pub fn read(prefix: &str, text: &str) -> Option<Self> {
        let letters = text.strip_prefix(prefix).filter(|rest| rest.len() == LETTERS)?;
        let mut packed: u128 = 0;
        for (place, letter) in letters.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|a| *a == letter)?;
            // 26 letters hold 130 bits: the first may only use its lower three.
            if place == 0 && digit > 7 {
                return None;
            }
            packed = packed << 5 | digit as u128;
        }
        let part = |shift: u32, bits: u32| (packed >> shift) & ((1 << bits) - 1);
        Some(Self {
            bucket: u16::try_from(part(112, 16)).ok()?,
            shard: Shard(u16::try_from(part(96, 16)).ok()?),
            subject: u32::try_from(part(64, 32)).ok()?,
            seq: u64::try_from(part(0, 64)).ok()?,
        })
    }
}

const DRAW: &str = "drw_";

impl fmt::Display for DrawId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, shard, raffle, seq } = *self;
        Place { bucket, shard, subject: raffle, seq }.write(DRAW, f)
    }
}

impl FromStr for DrawId {
    type Err = NotADrawId;

    fn from_str(text: &str) -> Result<Self, NotADrawId> {
        let Place { bucket, shard, subject, seq } = Place::read(DRAW, text).ok_or(NotADrawId)?;
        Ok(Self { bucket, shard, raffle: subject, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_people_choose_is_of_few_letters_and_as_long_as_it_may_be() {
        for (text, fits) in [
            ("a", true),
            ("0-a_", true),
            ("abcd5", false),
            ("", false),
            ("-a", false),
            ("_a", false),
            ("A", false),
            ("a b", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(can_be_chosen(text, 4), fits, "{text}");
        }
    }

    #[test]
    fn a_bucket_never_moves() {
        // Fixed for ever, and computed with another implementation of XXH3.
        let long = "x".repeat(300);
        for (tenant, participant, bucket) in
            [("main", "ada", 745), ("main", "bob", 738), ("acme", "\u{6296}", 684), ("main", "", 825)]
        {
            let participant = if participant.is_empty() { long.as_str() } else { participant };
            assert_eq!(Bucket::of(tenant, participant).number(), bucket, "{tenant}/{participant}");
        }
        assert_ne!(Bucket::of("ab", "c"), Bucket::of("a", "bc"));
    }

    #[test]
    fn a_draw_id_survives_the_round_trip_and_a_typo_is_refused() {
        let id = DrawId { bucket: 1023, shard: Shard(7), raffle: u32::MAX, seq: u64::MAX };
        assert_eq!(id.to_string().parse(), Ok(id));
        let small = DrawId { bucket: 0, shard: Shard(0), raffle: 1, seq: 1 };
        assert_eq!(small.to_string(), "drw_0000000000000g000000000001");
        for wrong in ["", "drw_", "drw_0000000000000g00000000000", "drw_u000000000000g000000000001", "x"] {
            assert_eq!(wrong.parse::<DrawId>(), Err(NotADrawId), "{wrong}");
        }
        assert_eq!("drw_80000000000000000000000000".parse::<DrawId>(), Err(NotADrawId));
    }
}
