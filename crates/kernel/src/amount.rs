//! What is counted, in whole minor units: never a fraction, never a float.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The largest amount of one movement, and by far: any sum of a thousand of them fits into an `i64`.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// What is counted: `coin`, `point`, `credit`, or whatever a house calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(Arc<str>);

/// A text that is no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a unit is 1 to 16 of a-z, 0-9 and _, a letter first")]
pub struct NotAUnit;

impl Unit {
    /// What a participant draws with: one unit is one draw.
    pub fn ticket() -> Self {
        Self("ticket".into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for Unit {
    type Err = NotAUnit;

    fn from_str(text: &str) -> Result<Self, NotAUnit> {
        let begins = text.starts_with(|letter: char| letter.is_ascii_lowercase());
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if begins && text.len() <= 16 && text.chars().all(is_name) {
            Ok(Self(text.into()))
        } else {
            Err(NotAUnit)
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_a_short_word() {
        for (text, is_unit) in [
            ("point", true),
            ("gold_coin2", true),
            ("a", true),
            ("sixteen_letters_", true),
            ("seventeen_letters", false),
            ("", false),
            ("2coins", false),
            ("Coin", false),
            ("co in", false),
            ("\u{6296}", false),
        ] {
            assert_eq!(text.parse::<Unit>().is_ok(), is_unit, "{text}");
        }
        assert_eq!(Unit::ticket().name().parse(), Ok(Unit::ticket()));
    }
}
