//! Many runs as one forecast.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Played, Simulation};
use crate::rules::NO_WIN;

/// How the intervals are meant, told with them.
const METHOD: &str = "95 %: from the 2.5th to the 97.5th percentile of the runs, by nearest rank";

/// What a simulation found: the first run, and how the others spread around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Draws asked for.
    pub draws: u64,
    /// The seed.
    pub seed: u64,
    /// Of the first run: how often each prize was won, zeros too; `-` is no win.
    pub outcomes: BTreeMap<String, u64>,
    /// Of the first run: what was won costs so much, in minor units.
    pub cost: u64,
    /// Of the first run: which draw (from 1) took the last unit of each finite prize; null where some were left.
    pub stock_out: BTreeMap<String, Option<u64>>,
    /// Of the first run: draws that were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Participants.
    pub participants: u32,
    /// How many runs there were.
    pub runs: u32,
    /// What to expect.
    pub intervals: Intervals,
}

/// The forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// How `low` and `high` are meant.
    pub method: String,
    /// By prize, and `-`.
    pub outcomes: BTreeMap<String, Interval<u64>>,
    /// Draws that were refused, by code.
    pub refused: BTreeMap<String, Interval<u64>>,
    /// In minor units.
    pub cost: Interval<u64>,
    /// By finite prize; null where no run came to the last unit.
    pub stock_out: BTreeMap<String, Option<Exhaustion>>,
}

/// What a number comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval<T> {
    /// The mean over the runs.
    pub mean: f64,
    /// The sample standard deviation; 0 where there was one run.
    pub deviation: f64,
    /// The lower end.
    pub low: T,
    /// The upper end.
    pub high: T,
}

/// When a prize runs out. Runs in which it does not are counted in `runs` alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exhaustion {
    /// In how many runs it did.
    pub runs: u32,
    /// The number of the draw that took the last unit, from 1.
    pub draw: Interval<u64>,
    /// Its instant, in milliseconds since the epoch.
    pub at_ms: Interval<i64>,
}

impl<T: Copy + Ord + Into<i128>> Interval<T> {
    /// `None` of no values.
    fn of(mut values: Vec<T>) -> Option<Self> {
        values.sort_unstable();
        let count = values.len();
        // Nearest rank: the least value that at least so many thousandths of all do not exceed.
        let at = |thousandths: usize| values.get((count * thousandths).div_ceil(1000).max(1) - 1).copied();
        let (low, high) = (at(25)?, at(975)?);
        let sum: i128 = values.iter().map(|value| (*value).into()).sum();
        let mean = sum as f64 / count as f64;
        let squares: f64 =
            values.iter().map(|value| (Into::<i128>::into(*value) as f64 - mean).powi(2)).sum();
        let deviation = if count > 1 { (squares / (count - 1) as f64).sqrt() } else { 0.0 };
        Some(Self { mean, deviation, low, high })
    }
}

impl Report {
    /// Puts runs together, in their order. `None` of no runs.
    pub fn of(simulation: &Simulation, runs: &[Played]) -> Option<Self> {
        let first = runs.first()?;
        let plan = simulation.plan();
        let (mut outcomes, mut stock_out) = (BTreeMap::new(), BTreeMap::new());
        let (mut expected, mut exhausted) = (BTreeMap::new(), BTreeMap::new());
        for (place, (id, prize)) in plan.rules.prizes.iter().enumerate() {
            outcomes.insert(id.clone(), first.won[place]);
            expected.insert(id.clone(), Interval::of(runs.iter().map(|run| run.won[place]).collect())?);
            if prize.unlimited {
                continue;
            }
            stock_out.insert(id.clone(), first.stock_out[place].map(|(draw, _)| draw));
            let seen: Vec<(u64, i64)> = runs.iter().filter_map(|run| run.stock_out[place]).collect();
            let draw = Interval::of(seen.iter().map(|(draw, _)| *draw).collect());
            let at_ms = Interval::of(seen.iter().map(|(_, at_ms)| *at_ms).collect());
            let ran_out = u32::try_from(seen.len()).unwrap_or(u32::MAX);
            let exhaustion = draw.zip(at_ms).map(|(draw, at_ms)| Exhaustion { runs: ran_out, draw, at_ms });
            exhausted.insert(id.clone(), exhaustion);
        }
        outcomes.insert(NO_WIN.to_owned(), first.nothing);
        expected.insert(NO_WIN.to_owned(), Interval::of(runs.iter().map(|run| run.nothing).collect())?);
        let mut refused = BTreeMap::new();
        for code in runs.iter().flat_map(|run| run.refused.keys()) {
            let counts = runs.iter().map(|run| run.refused.get(code).copied().unwrap_or(0)).collect();
            refused.insert((*code).to_owned(), Interval::of(counts)?);
        }
        Some(Self {
            draws: simulation.draws(),
            seed: simulation.seed(),
            outcomes,
            cost: first.cost,
            stock_out,
            refused: first.refused.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect(),
            participants: simulation.participants(),
            runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
            intervals: Intervals {
                method: METHOD.to_owned(),
                outcomes: expected,
                refused,
                cost: Interval::of(runs.iter().map(|run| run.cost).collect())?,
                stock_out: exhausted,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_told_by_nearest_rank() {
        let check = |values: Vec<u64>, low, high, mean: f64| {
            let interval = Interval::of(values).expect("values");
            assert_eq!((interval.low, interval.high, interval.mean), (low, high, mean));
        };
        check(vec![5], 5, 5, 5.0);
        check((1..=20).collect(), 1, 20, 10.5);
        check((1..=1000).rev().collect(), 25, 975, 500.5);
        check(vec![u64::MAX; 3], u64::MAX, u64::MAX, u64::MAX as f64);
        assert_eq!(
            Interval::of(vec![2i64, 4, 4, 4, 5, 5, 7, 9]).expect("values").deviation,
            (32f64 / 7.0).sqrt()
        );
        assert_eq!(Interval::<u64>::of(vec![]), None);
    }
}
