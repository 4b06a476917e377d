//! The `[ledger]` section.

use std::num::{NonZeroU64, NonZeroUsize};

use ::ledger::exchange::{Rate, Rates, Rounding};
use kernel::amount::Unit;
use serde::Deserialize;

use super::{ConfigError, size};

/// The `[ledger]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// Most orders in one transaction. Default 4096: the more wait, the more of their rows share a page,
    /// and so the database does less for each; a batch is no longer than the queue was.
    pub orders_max: NonZeroUsize,
    /// Most orders that wait; one more is answered 503. Default 16384.
    pub queue_max: NonZeroUsize,
    /// At what rates units are exchanged. Default none: nothing is exchanged.
    pub rates: Vec<RateRow>,
}

/// One rate, from one unit to another. The way back is another rate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateRow {
    /// What is given.
    pub from: String,
    /// What is received.
    pub to: String,
    /// How much is received for `takes`.
    pub gives: NonZeroU64,
    /// How much is given for `gives`.
    pub takes: NonZeroU64,
    /// What becomes of a rest: `down`, `up` or `half_even`.
    pub rounding: RoundingWord,
}

/// What becomes of a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundingWord {
    /// The house keeps it.
    Down,
    /// The house adds what is missing.
    Up,
    /// To the nearer one, from the middle to the even one.
    HalfEven,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { orders_max: const { size(4096) }, queue_max: const { size(16 * 1024) }, rates: vec![] }
    }
}

impl Ledger {
    /// The rates, checked: each pair of units has one at the most.
    pub fn rates(&self) -> Result<Rates, ConfigError> {
        let mut rates = Rates::default();
        for RateRow { from, to, gives, takes, rounding } in &self.rates {
            let wrong = |told: &dyn std::fmt::Display| {
                ConfigError::Wrong(format!("ledger.rates, from `{from}` to `{to}`: {told}"))
            };
            let unit = |name: &str| name.parse::<Unit>().map_err(|error| wrong(&error));
            let rounding = match rounding {
                RoundingWord::Down => Rounding::Down,
                RoundingWord::Up => Rounding::Up,
                RoundingWord::HalfEven => Rounding::HalfEven,
            };
            let number = |number: &NonZeroU64| i64::try_from(number.get()).unwrap_or(i64::MAX);
            let rate = Rate::new(number(gives), number(takes), rounding).map_err(|error| wrong(&error))?;
            if from == to {
                return Err(wrong(&"a unit is not exchanged for itself"));
            }
            if !rates.add(unit(from)?, unit(to)?, rate) {
                return Err(wrong(&"it stands twice"));
            }
        }
        Ok(rates)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_pair_of_units_has_one_rate_and_a_sensible_one() {
        let row = |from: &str, to: &str, more: &str| {
            format!(
                "[[ledger.rates]]\nfrom = \"{from}\"\nto = \"{to}\"\ngives = 1\nrounding = \"down\"\n{more}\n"
            )
        };
        let sound = row("point", "coin", "takes = 10");
        let read = |text: &str| Config::read(text, std::iter::empty()).map_err(|error| error.to_string());
        let rates = read(&sound).expect("a configuration").ledger.rates().expect("rates");
        let [(from, to, rate)] = rates.iter().collect::<Vec<_>>()[..] else { unreachable!("one rate") };
        assert_eq!((from.name(), to.name(), rate.gives(), rate.takes()), ("point", "coin", 1, 10));
        for (text, told) in [
            (format!("{sound}{sound}"), "from `point` to `coin`: it stands twice"),
            (row("point", "point", "takes = 10"), "not exchanged for itself"),
            (row("Point", "coin", "takes = 10"), "from `Point` to `coin`: a unit is"),
            (row("point", "coin", "takes = 0"), "nonzero"),
            (row("point", "coin", "takes = 1000000000000001"), "a rate is a fraction"),
            (row("point", "coin", "takes = 10").replace("down", "away"), "away"),
            ("[ledger]\norders_max = 4097".to_owned(), "ledger.orders_max is 4097; the most is 4096"),
            ("[ledger]\nqueue_max = 1000001".to_owned(), "the most is 1000000"),
        ] {
            let wrong = read(&text).expect_err(&text);
            assert!(wrong.contains(told), "{wrong}");
        }
    }
}
