//! Rates between units, as fractions of whole numbers, with the rounding said.

use std::collections::HashMap;
use std::fmt;

use kernel::amount::{AMOUNT_MAX, Unit};

use crate::error::Error;

/// What becomes of the part of a minor unit that cannot be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The house keeps it.
    Down,
    /// The house adds what is missing.
    Up,
    /// To the nearer one; from the middle to the even one (IEEE 754, "roundTiesToEven").
    HalfEven,
}

impl Rounding {
    /// Its name in the configuration and in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::HalfEven => "half_even",
        }
    }
}

/// So many of one unit for so many of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    gives: i64,
    takes: i64,
    rounding: Rounding,
}

impl Rate {
    /// `gives` for every `takes`.
    pub fn new(gives: i64, takes: i64, rounding: Rounding) -> Result<Self, Error> {
        let is_fine = |number| (1..=AMOUNT_MAX).contains(&number);
        if is_fine(gives) && is_fine(takes) {
            Ok(Self { gives, takes, rounding })
        } else {
            Err(Error::BadRate)
        }
    }

    /// How much it gives for [`Rate::takes`].
    pub fn gives(self) -> i64 {
        self.gives
    }

    /// What it gives [`Rate::gives`] for.
    pub fn takes(self) -> i64 {
        self.takes
    }

    /// What becomes of a rest.
    pub fn rounding(self) -> Rounding {
        self.rounding
    }

    /// What an amount gives. Nothing, or more than can be moved at once, is an error.
    pub fn convert(self, amount: i64) -> Result<i64, Error> {
        if !(1..=AMOUNT_MAX).contains(&amount) {
            return Err(Error::BadAmount);
        }
        let (whole, takes) = (i128::from(amount) * i128::from(self.gives), i128::from(self.takes));
        let (down, rest) = (whole / takes, whole % takes);
        let goes_up = match self.rounding {
            Rounding::Down => false,
            Rounding::Up => rest > 0,
            Rounding::HalfEven => rest * 2 > takes || (rest * 2 == takes && down % 2 == 1),
        };
        let got = down + i128::from(goes_up);
        let fits = i64::try_from(got).ok().filter(|got| (1..=AMOUNT_MAX).contains(got));
        fits.ok_or(Error::BadExchange { amount, got })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for every {}, rounded {}", self.gives, self.takes, self.rounding.word())
    }
}

/// The rates at which the house exchanges units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rates(HashMap<(Unit, Unit), Rate>);

impl Rates {
    /// Adds the rate from one unit to another. Answers whether there was none yet.
    pub fn add(&mut self, from: Unit, to: Unit, rate: Rate) -> bool {
        self.0.insert((from, to), rate).is_none()
    }

    /// The rate from one unit to another.
    pub fn of(&self, from: &Unit, to: &Unit) -> Result<Rate, Error> {
        let rate = self.0.get(&(from.clone(), to.clone())).copied();
        rate.ok_or_else(|| Error::NoRate { from: from.to_string(), to: to.to_string() })
    }

    /// All of them, in the order of their units: from, to, and the rate.
    pub fn iter(&self) -> impl Iterator<Item = (&Unit, &Unit, Rate)> {
        let mut all: Vec<_> = self.0.iter().map(|((from, to), rate)| (from, to, *rate)).collect();
        all.sort_unstable_by_key(|(from, to, _)| (*from, *to));
        all.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_goes_where_the_rate_says() {
        for (gives, takes, amount, down, up, half_even) in [
            (1, 10, 100, 10, 10, 10),
            (1, 10, 101, 10, 11, 10),
            (1, 10, 105, 10, 11, 10),
            (1, 10, 115, 11, 12, 12),
            (1, 10, 116, 11, 12, 12),
            (3, 7, 5, 2, 3, 2),
            (7, 3, 5, 11, 12, 12),
            (AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX),
        ] {
            for (rounding, expected) in
                [(Rounding::Down, down), (Rounding::Up, up), (Rounding::HalfEven, half_even)]
            {
                let rate = Rate::new(gives, takes, rounding).expect("a rate");
                assert_eq!(rate.convert(amount), Ok(expected), "{amount} at {gives}/{takes}, {rounding:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_exchanged_is_refused() {
        let rate = Rate::new(1, 10, Rounding::Down).expect("a rate");
        assert_eq!(rate.convert(9), Err(Error::BadExchange { amount: 9, got: 0 }));
        assert_eq!(rate.convert(0), Err(Error::BadAmount));
        let rich = Rate::new(AMOUNT_MAX, 1, Rounding::Down).expect("a rate");
        let got = i128::from(AMOUNT_MAX) * i128::from(AMOUNT_MAX);
        assert_eq!(rich.convert(AMOUNT_MAX), Err(Error::BadExchange { amount: AMOUNT_MAX, got }));
        assert_eq!(Rate::new(0, 1, Rounding::Up), Err(Error::BadRate));
        assert_eq!(Rate::new(1, AMOUNT_MAX + 1, Rounding::Up), Err(Error::BadRate));
    }
}
