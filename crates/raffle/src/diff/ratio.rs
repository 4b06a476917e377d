use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A fraction in lowest terms, of either sign. It is written `p/q`, or `p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    numerator: i128,
    /// Above zero.
    denominator: i128,
}

fn divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.abs().max(1)
}

impl Ratio {
    /// `numerator / denominator`; a denominator below 1 counts as 1.
    pub fn of(numerator: i128, denominator: i128) -> Self {
        let denominator = denominator.max(1);
        let divisor = divisor(numerator, denominator);
        Self { numerator: numerator / divisor, denominator: denominator / divisor }
    }

    /// The sum; `None` where it does not fit.
    pub fn plus(self, other: Self) -> Option<Self> {
        let shared = divisor(self.denominator, other.denominator);
        let (mine, theirs) = (other.denominator / shared, self.denominator / shared);
        let numerator =
            self.numerator.checked_mul(mine)?.checked_add(other.numerator.checked_mul(theirs)?)?;
        Some(Self::of(numerator, self.denominator.checked_mul(mine)?))
    }

    /// The difference; `None` where it does not fit.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self { numerator: -other.numerator, ..other })
    }

    /// So many times as much; `None` where it does not fit.
    pub fn times(self, number: u64) -> Option<Self> {
        Some(Self::of(self.numerator.checked_mul(number.into())?, self.denominator))
    }

    /// Whether it is above zero.
    pub fn is_positive(self) -> bool {
        self.numerator > 0
    }

    /// Whether it has an end as a decimal of so many digits.
    fn ends_within(self, digits: u32) -> bool {
        let mut rest = self.numerator % self.denominator;
        for _ in 0..digits {
            rest = (rest * 10) % self.denominator;
        }
        rest == 0
    }

    /// As a decimal, cut after so many digits, with its thousands apart.
    fn decimal(self, digits: u32) -> String {
        let magnitude = self.numerator.unsigned_abs();
        let denominator = self.denominator.unsigned_abs();
        let mut fraction = String::new();
        let mut rest = magnitude % denominator;
        for _ in 0..digits {
            rest *= 10;
            fraction.push_str(&(rest / denominator).to_string());
            rest %= denominator;
        }
        let fraction = fraction.trim_end_matches('0');
        let whole = grouped(magnitude / denominator);
        let sign = if self.numerator < 0 { "-" } else { "" };
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

/// A whole number with its thousands apart.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Most digits of a decimal that people are shown.
const DIGITS_MAX: u32 = 20;

/// Two numbers as people read them, with as many digits as it takes to be exact, or else to tell them apart. What has
/// no end as a decimal is cut and told as `about`.
pub(super) fn in_words(before: Ratio, after: Ratio) -> (String, String) {
    let exact = |ratio: Ratio| ratio.ends_within(DIGITS_MAX);
    let mut digits = 6;
    while digits < DIGITS_MAX && before.decimal(digits) == after.decimal(digits) {
        digits += 1;
    }
    let word = |ratio: Ratio| {
        if exact(ratio) { ratio.decimal(DIGITS_MAX) } else { format!("about {}", ratio.decimal(digits)) }
    };
    (word(before), word(after))
}

/// A change as people read it, with its sign.
pub(super) fn signed(ratio: Ratio) -> String {
    let sign = if ratio.is_positive() { "+" } else { "" };
    let about = if ratio.ends_within(DIGITS_MAX) { "" } else { "about " };
    format!("{about}{sign}{}", ratio.decimal(if about.is_empty() { DIGITS_MAX } else { 6 }))
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.denominator == 1 {
            write!(f, "{}", self.numerator)
        } else {
            write!(f, "{}/{}", self.numerator, self.denominator)
        }
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Ratio {
    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of either sign in lowest terms, written `p/q`, or `p`.",
            "type": "string",
            "pattern": "^-?[0-9]+(/[1-9][0-9]*)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_say_that_they_are_not() {
        let check = |before: (i128, i128), after: (i128, i128), expected: (&str, &str)| {
            let (before, after) = in_words(Ratio::of(before.0, before.1), Ratio::of(after.0, after.1));
            assert_eq!((before.as_str(), after.as_str()), expected);
        };
        check((1, 10), (1, 2), ("0.1", "0.5"));
        check((1, 10_000_000_000), (2, 10_000_000_000), ("0.0000000001", "0.0000000002"));
        check((100, 3), (0, 1), ("about 33.333333", "0"));
        check((1, 3), (100_000_000, 299_999_999), ("about 0.333333333", "about 0.333333334"));
        check((1_234_567, 1), (-1_500, 1), ("1,234,567", "-1,500"));
    }

    #[test]
    fn sums_are_exact_and_what_does_not_fit_is_nothing() {
        let sum = Ratio::of(1, 3).plus(Ratio::of(1, 6)).map(|sum| sum.to_string());
        assert_eq!(sum.as_deref(), Some("1/2"));
        assert_eq!(Ratio::of(5, 4).minus(Ratio::of(5, 4)), Some(Ratio::of(0, 1)));
        assert_eq!(Ratio::of(i128::MAX, 2).plus(Ratio::of(i128::MAX, 3)), None);
        assert_eq!(Ratio::of(i128::MAX, 1).times(2), None);
        assert_eq!(signed(Ratio::of(1_200, 1)), "+1,200");
        assert_eq!(signed(Ratio::of(-1, 3)), "about -0.333333");
    }
}
