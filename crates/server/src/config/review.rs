//! The `[review]` section: what needs two people.

use raffle::threshold::Thresholds;
use serde::Deserialize;

/// What one person may do alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Review {
    /// Whether what is above the sizes below needs two people. Where it is left out: true as soon as everybody who may
    /// draft has somebody of another name who may approve, else false, so also with the one generated `admin.key`.
    pub four_eyes: Option<bool>,
    /// Change of a prize's odds in any pool that one person may make, in percent of what they were. Default 10.
    pub odds_percent: u32,
    /// Units of a prize that one person may add. Default 1000.
    pub stock_units: u64,
    /// Increase of a draw's expected cost that one person may make, in minor units. Default 1.
    pub cost: u64,
    /// Raise of a budget that one person may make, in minor units. Default 100000.
    pub budget: u64,
}

impl Default for Review {
    fn default() -> Self {
        let Thresholds { odds_percent, stock_units, cost, budget, .. } = Thresholds::default();
        Self { four_eyes: None, odds_percent, stock_units, cost, budget }
    }
}
