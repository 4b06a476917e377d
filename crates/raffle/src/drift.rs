//! Whether chance picks what the weights say. A monitor for the operator, beside the proof: it needs no seed and no
//! evidence, and tells within hundreds of draws that a prize comes out far too often.
//!
//! The picks of one pool are counted and compared with the pool's weights by the log-likelihood ratio
//! `G = 2 * sum(count * ln(count / expected))` (Sokal and Rohlf, *Biometry*, "The G-test"). The tail of `G` is bounded
//! for every sample size and all weights by R. Agrawal, "Finite-sample concentration of the multinomial in relative
//! entropy", IEEE Transactions on Information Theory 66 (2020), arXiv:1904.02291: with `t = G/2` and `m` cells less one,
//! `P(G/2 >= t) <= exp(-t) * (e * t / m)^m` for `t > m`. The chi-square tail that is mostly used holds for many expected
//! picks in every cell, and rare prizes have few; under the bound no cells are merged, and the rarest keeps its own.
//!
//! The weights are those that the document states, and are not read from the rules that were made of it: else a weight
//! that publishing reads wrongly would be expected as wrongly as it is picked.
//!
//! A pool is looked at when its draws reach 64, 128, 256 and so on. Look `k` may raise a false alarm with probability
//! [`FALSE_ALARMS`]` / (k * (k + 1))`; these add up to less than [`FALSE_ALARMS`] over all looks there can ever be.
//!
//! Floats are used here, and decide nothing about a draw.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::{Document, SumPolicy};
use crate::rules::{Chosen, NO_WIN, PROMISED, Plan};

/// How likely it is that the monitor of one pool ever raises an alarm about chance that is as it should be.
pub const FALSE_ALARMS: f64 = 1e-6;

/// Draws of a pool before it is looked at for the first time.
pub const FIRST_LOOK: u64 = 64;

/// The log-likelihood ratio of counts against weights. Infinite where something without weight was counted.
pub fn statistic(counts: &[u64], weights: &[u64]) -> f64 {
    let sum = |numbers: &[u64]| numbers.iter().map(|number| *number as f64).sum::<f64>();
    let (draws, total) = (sum(counts), sum(weights));
    let cells = counts.iter().zip(weights).filter(|(count, _)| **count > 0);
    let terms = cells.map(|(count, weight)| {
        let (count, weight) = (*count as f64, *weight as f64);
        count * (count * total / (draws * weight)).ln()
    });
    // Rounding may leave a perfect fit a hair below zero.
    (2.0 * terms.sum::<f64>()).max(0.0)
}

/// The natural logarithm of a bound on how likely a statistic of at least this is, with this many cells that have weight.
pub fn ln_tail(statistic: f64, cells: usize) -> f64 {
    let (half, freedom) = (statistic / 2.0, cells.saturating_sub(1) as f64);
    if half.is_infinite() {
        f64::NEG_INFINITY
    } else if half <= freedom || freedom == 0.0 {
        0.0
    } else {
        -half + freedom * (1.0 + (half / freedom).ln())
    }
}

/// The picks of one pool.
#[derive(Debug, Clone)]
pub struct Tally {
    weights: Vec<u64>,
    counts: Vec<u64>,
    draws: u64,
    next_look: u64,
    looks: u32,
    alarm: bool,
}

impl Tally {
    /// No picks yet, of cells with these weights.
    pub fn over(weights: Vec<u64>) -> Self {
        let counts = vec![0; weights.len()];
        Self { weights, counts, draws: 0, next_look: FIRST_LOOK, looks: 0, alarm: false }
    }

    /// Counts a pick. Answers whether it raised the alarm, which it does once.
    pub fn count(&mut self, cell: usize) -> bool {
        let before = self.alarm;
        self.draws += 1;
        match (self.counts.get_mut(cell), self.weights.get(cell)) {
            (Some(count), Some(1..)) => *count += 1,
            (Some(count), Some(0)) => {
                // Chance cannot pick this: no number of draws makes it likelier.
                *count += 1;
                self.alarm = true;
            }
            (None, _) | (_, None) => self.alarm = true,
        }
        if self.draws >= self.next_look {
            self.next_look = self.next_look.saturating_mul(2);
            self.looks += 1;
            self.alarm |= self.is_too_unlikely();
        }
        self.alarm && !before
    }

    fn is_too_unlikely(&self) -> bool {
        let look = f64::from(self.looks);
        let cells = self.weights.iter().filter(|weight| **weight > 0).count();
        ln_tail(self.statistic(), cells) < FALSE_ALARMS.ln() - (look * (look + 1.0)).ln()
    }

    /// Picks counted.
    pub fn draws(&self) -> u64 {
        self.draws
    }

    /// The log-likelihood ratio of what was counted so far.
    pub fn statistic(&self) -> f64 {
        statistic(&self.counts, &self.weights)
    }

    /// Whether the alarm was raised. It stays raised.
    pub fn alarm(&self) -> bool {
        self.alarm
    }
}

/// The weights of every pool as a document states them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// By the pool's name, and the prize's; no win is named `-`.
    pools: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Stated {
    /// Reads a published document. This is written apart from the pools that draws are decided by, and must stay so.
    pub fn by(document: &Document) -> Self {
        let weight = |prize: &str| {
            let stated = document.prizes.iter().find(|stated| stated.id == prize);
            (prize.to_owned(), stated.map_or(0, |stated| stated.weight))
        };
        let mut base: BTreeMap<_, _> = document.prizes.iter().map(|prize| weight(&prize.id)).collect();
        if document.when_weights_differ != Some(SumPolicy::Normalise) {
            let won = base.values().fold(0u64, |sum, weight| sum.saturating_add(*weight));
            base.insert(NO_WIN.to_owned(), document.denominator.saturating_sub(won));
        }
        let mut pools = BTreeMap::from([("base".to_owned(), base)]);
        for tier in document.odds_tiers.iter().flat_map(|tiers| &tiers.tiers) {
            pools.insert(tier.threshold.to_string(), tier.prizes.iter().map(|prize| weight(prize)).collect());
        }
        if let Some(denied) = &document.deny_list {
            pools.insert("denied".to_owned(), BTreeMap::from([(denied.prize.clone(), 1)]));
        }
        Self { pools }
    }

    /// The weights of one of a plan's pools, by a prize's place in the plan, and last that of no win.
    pub fn weights(&self, plan: &Plan, pool: usize) -> Vec<u64> {
        let stated = plan.pool_name(pool).and_then(|name| self.pools.get(name));
        let weight = |id: &str| stated.and_then(|pool| pool.get(id)).copied().unwrap_or(0);
        plan.prizes.iter().map(|id| weight(id)).chain([weight(NO_WIN)]).collect()
    }
}

/// The picks of all pools of one version.
#[derive(Debug, Clone)]
pub struct Drift {
    stated: Option<Arc<Stated>>,
    /// By the pool's place; `None` before its first draw.
    pools: Vec<Option<Tally>>,
}

impl Drift {
    /// No picks yet. Where nobody knows what is stated, nothing is counted.
    pub fn against(stated: Option<Arc<Stated>>) -> Self {
        Self { stated, pools: vec![] }
    }

    /// Counts what chance picked in a draw under a plan, which must always be the same. Answers the pool's tally where
    /// this draw raised its alarm.
    pub fn count(&mut self, plan: &Plan, chosen: &Chosen) -> Option<&Tally> {
        let stated = self.stated.as_ref()?;
        plan.pool_name(chosen.pool)?;
        // A promise is no chance, and what was left out changes the weights of that draw alone.
        if chosen.pool == PROMISED || !chosen.excluded.is_empty() {
            return None;
        }
        if self.pools.len() <= chosen.pool {
            self.pools.resize(chosen.pool + 1, None);
        }
        let tally = self.pools.get_mut(chosen.pool)?;
        let tally = tally.get_or_insert_with(|| Tally::over(stated.weights(plan, chosen.pool)));
        let cell = plan.candidate(chosen).unwrap_or(plan.prizes.len());
        tally.count(cell).then_some(tally)
    }

    /// The tallies of pools that were drawn from, by the pool's place.
    pub fn tallies(&self) -> impl Iterator<Item = (usize, &Tally)> {
        self.pools.iter().enumerate().filter_map(|(pool, tally)| Some((pool, tally.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistic_is_the_one_in_the_books() {
        // Mendel's peas: 9:3:3:1, and 556 of them.
        let peas = statistic(&[315, 108, 101, 32], &[9, 3, 3, 1]);
        assert!((peas - 0.475).abs() < 0.001, "{peas}");
        for (counts, weights, expected) in [
            (&[10, 10][..], &[1, 1][..], 0.0),
            (&[0, 0], &[1, 1], 0.0),
            (&[2, 0], &[1, 1], 4.0 * f64::ln(2.0)),
            (&[1, 1], &[1, 0], f64::INFINITY),
            (&[5, 0], &[5, 0], 0.0),
        ] {
            let found = statistic(counts, weights);
            assert!(found == expected || (found - expected).abs() < 1e-9, "{counts:?} {weights:?}: {found}");
        }
    }

    #[test]
    fn the_bound_lies_above_the_exact_tail() {
        // Exact tails of a binomial with n = 20, p = 1/2: G is at least that of (k, 20 - k).
        let choose = |n: u32, k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        for k in 11..=20u32 {
            let exact = 2.0 * (k..=20).map(|k| choose(20, k)).sum::<f64>() / 2f64.powi(20);
            let bound = ln_tail(statistic(&[k.into(), (20 - k).into()], &[1, 1]), 2);
            assert!(bound >= exact.ln(), "{k}: {bound} < {}", exact.ln());
        }
        assert_eq!(ln_tail(100.0, 1), 0.0, "one cell cannot drift");
        assert_eq!(ln_tail(f64::INFINITY, 5), f64::NEG_INFINITY);
    }

    #[test]
    fn a_pick_without_weight_is_an_alarm_at_once_and_only_once() {
        let mut tally = Tally::over(vec![1, 0]);
        let raised: Vec<bool> = [0, 1, 1, 0, 9].into_iter().map(|cell| tally.count(cell)).collect();
        assert_eq!(raised, [false, true, false, false, false]);
        assert!(tally.alarm() && tally.statistic().is_infinite());
        assert!(Tally::over(vec![1]).count(9), "a cell that there is not");
    }

    #[test]
    fn a_fair_coin_that_always_falls_the_same_is_told_at_the_first_look() {
        let mut tally = Tally::over(vec![1, 1]);
        let first = (1..=10_000).find(|_| tally.count(0));
        assert_eq!(first, Some(FIRST_LOOK));
    }

    #[test]
    fn what_a_document_states_is_what_its_plan_picks() {
        use crate::rules::{Publication, Rules};

        let publication =
            Publication { tenant: "", version: 1, pseudonym: &|_| "00".repeat(16), slot: &|_| 0 };
        for (policy, nothing) in [("no_win", 9_000), ("normalise", 0)] {
            let text = format!(
                "raffle: r\ntitle: R\ndenominator: 10000\nwhen_weights_differ: {policy}\nprizes:\n  - {{id: b, title: B, weight: 1, stock: 1}}\n  - {{id: a, title: A, weight: 999, stock: unlimited}}\n  - {{id: c, title: C, weight: 0, stock: 1}}\ndeny_list: {{participants: [x], prize: c}}\nodds_tiers: {{metric: draws_made, mode: exact, tiers: [{{threshold: 9, prizes: [a]}}, {{threshold: 5, prizes: [b, c, b]}}]}}\n"
            );
            let document = crate::document::read(&text).expect("a document");
            let plan = Plan::of(Rules::of(&document, &publication)).expect("a plan");
            let stated = Stated::by(&document);
            let pools = [
                ("base", [999, 1, 0, nothing]),
                ("5", [0, 1, 0, 0]),
                ("9", [999, 0, 0, 0]),
                ("denied", [0, 0, 1, 0]),
            ];
            for (pool, (name, weights)) in pools.into_iter().enumerate() {
                assert_eq!(plan.pool_name(pool), Some(name));
                assert_eq!(stated.weights(&plan, pool), weights, "{name}");
                for (prize, weight) in plan.pool_weights(pool) {
                    assert_eq!(weight, weights[prize.unwrap_or(plan.prizes.len())], "{name}");
                }
            }
        }
    }
}
