//! What one person may not do alone: from which size on a change of odds, stock or cost needs a second pair of eyes.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diff::{Change, Diff, Ratio};
use crate::document::{Document, GuaranteedWinners};
use crate::rules::NO_WIN;

/// From which size on two people are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Whether versions and orders are held against the sizes below at all.
    pub four_eyes: bool,
    /// Whether every promise of a prize needs two people.
    pub promises: bool,
    /// Change of a prize's odds in any pool that one person may make, in percent of what they were.
    pub odds_percent: u32,
    /// Units of a prize that one person may add.
    pub stock_units: u64,
    /// Increase of a draw's expected cost that one person may make, in minor units.
    pub cost: u64,
    /// Raise of the budget that one person may make, in minor units.
    pub budget: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            four_eyes: false,
            promises: false,
            odds_percent: 10,
            stock_units: 1_000,
            cost: 1,
            budget: 100_000,
        }
    }
}

/// Why something needs a second pair of eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// Stable; see `docs/errors.md`.
    pub code: &'static str,
    /// In a sentence.
    pub message: String,
}

impl Reason {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Most reasons of one code that are told. One is enough to need the other person.
const TOLD_MAX: usize = 5;

/// Changes that decide who wins what, and whose effect on the odds depends on people: on what is told of them, what they
/// have won, how long they have waited.
const ODDS_UNTOLD: [&str; 10] = [
    "diff.tree",
    "diff.list",
    "diff.deny_list",
    "diff.exhausted",
    "diff.cap",
    "diff.release",
    "diff.win_interval",
    "diff.tiers",
    "diff.tier_added",
    "diff.tier_removed",
];

impl Thresholds {
    /// Why a version needs two people. The first of a raffle needs them only where it allows guaranteed winners.
    pub fn version(&self, before: Option<&Document>, after: &Document, diff: &Diff) -> Vec<Reason> {
        if !self.four_eyes {
            return vec![];
        }
        let mut reasons = Vec::new();
        if after.guaranteed_winners == GuaranteedWinners::Allowed
            && before.is_none_or(|before| before.guaranteed_winners != GuaranteedWinners::Allowed)
        {
            reasons.push(Reason::new("review.promise", "it allows guaranteed winners"));
        }
        let Some(before) = before else { return reasons };
        let percent = self.odds_percent;
        let odds = diff.odds.iter().filter(|odds| odds.prize != NO_WIN && odds.exceeds(percent));
        let odds = odds.map(|odds| format!("{}, by more than {percent}%", odds.told().message));
        reasons.extend(first("review.odds", odds));
        let untold = diff.changes.iter().filter(|change| ODDS_UNTOLD.contains(&change.code));
        reasons.extend(first("review.odds_untold", untold.map(|change: &Change| change.message.clone())));
        reasons.extend(first("review.stock", self.new_stock(before, after)));
        reasons.extend(first("review.cost", self.dearer(diff)));
        // What a winner gets costs what it costs, whatever `cost` says.
        let awards = diff.changes.iter().filter(|change| change.code == "diff.award");
        reasons.extend(first("review.award", awards.map(|change| change.message.clone())));
        if before.budget.is_some() && before.budget != after.budget {
            let changes = diff.changes.iter().filter(|change| change.code == "diff.budget");
            reasons.extend(first("review.budget", changes.map(|change| change.message.clone())));
        }
        reasons
    }

    fn new_stock(&self, before: &Document, after: &Document) -> impl Iterator<Item = String> {
        after.prizes.iter().filter_map(|prize| {
            let was = before.prizes.iter().find(|known| known.id == prize.id).map(|known| known.stock);
            if was == Some(prize.stock) {
                return None;
            }
            match prize.stock.units() {
                Some(units) if units <= self.stock_units => None,
                Some(_) if was.is_some() => None,
                Some(units) => {
                    Some(format!("prize `{}` comes with {units} units, above {}", prize.id, self.stock_units))
                }
                None => Some(format!("the stock of prize `{}` is without limit", prize.id)),
            }
        })
    }

    fn dearer(&self, diff: &Diff) -> impl Iterator<Item = String> {
        let limit = Ratio::of(self.cost.into(), 1);
        diff.expected_cost.iter().filter_map(move |(pool, cost)| {
            let (before, after) = (cost.before.unwrap_or(Ratio::of(0, 1)), cost.after?);
            // What is too large to be subtracted exactly is for two people.
            let above = after.minus(before).and_then(|more| more.minus(limit));
            let told = cost.told(pool)?.message;
            above.is_none_or(Ratio::is_positive).then(|| format!("{told}, by more than {}", self.cost))
        })
    }

    /// Why more units of a prize need two people. `before` are those that were added within a day before with nobody's
    /// approval: a large order is one also where it is given in parts.
    pub fn restock(&self, prize: &str, units: u64, before: u64) -> Vec<Reason> {
        let told = || {
            format!("{units} units of prize `{prize}`{} are above {}", within_a_day(before), self.stock_units)
        };
        let above = self.four_eyes && units.saturating_add(before) > self.stock_units;
        above.then(|| Reason::new("review.stock", told())).into_iter().collect()
    }

    /// Why more money needs two people, `before` being what was added within a day before with nobody's approval.
    pub fn raise_budget(&self, amount: u64, before: u64) -> Vec<Reason> {
        let told =
            || format!("a raise of the budget by {amount}{} is above {}", within_a_day(before), self.budget);
        let above = self.four_eyes && amount.saturating_add(before) > self.budget;
        above.then(|| Reason::new("review.budget", told())).into_iter().collect()
    }

    /// Why a promise needs two people.
    pub fn promise(&self) -> Vec<Reason> {
        let told = || Reason::new("review.promise", "it promises a prize to a participant");
        (self.four_eyes || self.promises).then(told).into_iter().collect()
    }
}

fn within_a_day(before: u64) -> String {
    if before == 0 { String::new() } else { format!(", with {before} that were added within a day,") }
}

/// The first reasons of a code, and how many more there are.
fn first(code: &'static str, mut messages: impl Iterator<Item = String>) -> Vec<Reason> {
    let mut reasons: Vec<_> =
        messages.by_ref().take(TOLD_MAX).map(|message| Reason::new(code, message)).collect();
    let more = messages.count();
    if more > 0 {
        reasons.push(Reason::new(code, format!("and {more} more of this kind")));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(weight: u64, cost: u64, more: &str) -> Document {
        let text = format!(
            "raffle: r\ntitle: R\ndenominator: 1000\nwhen_weights_differ: no_win\nprizes:\n  - {{id: a, title: A, weight: {weight}, stock: 9, cost: {cost}}}\n{more}"
        );
        crate::document::read(&text).expect("a document")
    }

    #[test]
    fn a_size_at_the_threshold_is_for_one_and_above_it_for_two() {
        let thresholds = Thresholds { four_eyes: true, ..Thresholds::default() };
        let check = |before: &Document, after: &Document, expected: &[&str]| {
            let diff = Diff::of(Some(before), after, None);
            let reasons = thresholds.version(Some(before), after, &diff);
            let codes: Vec<_> = reasons.iter().map(|reason| reason.code).collect();
            assert_eq!(codes, expected, "{reasons:?}");
            let off = Thresholds::default().version(Some(before), after, &diff);
            assert!(off.is_empty(), "off is off: {off:?}");
        };
        check(&document(100, 0, ""), &document(110, 0, ""), &[]);
        check(&document(100, 0, ""), &document(111, 0, ""), &["review.odds"]);
        check(&document(100, 0, ""), &document(90, 0, ""), &[]);
        check(&document(100, 0, ""), &document(89, 0, ""), &["review.odds"]);
        check(&document(100, 10, ""), &document(100, 20, ""), &[]);
        check(&document(100, 10, ""), &document(100, 21, ""), &["review.cost"]);
        check(&document(100, 21, ""), &document(100, 10, ""), &[]);
        let prize = |stock: &str| format!("  - {{id: b, title: B, weight: 0, stock: {stock}}}\n");
        check(&document(100, 0, ""), &document(100, 0, &prize("1000")), &[]);
        check(&document(100, 0, ""), &document(100, 0, &prize("1001")), &["review.stock"]);
        check(&document(100, 0, ""), &document(100, 0, &prize("unlimited")), &["review.stock"]);
        check(&document(100, 0, &prize("unlimited")), &document(100, 0, &prize("5000")), &[]);
        check(&document(100, 0, ""), &document(100, 0, "tickets: {per_day: 1}\n"), &[]);
        check(&document(100, 0, ""), &document(100, 0, "tickets: {per_month: 1, wallet: w}\n"), &[]);
        let cap = "    cap: {wins: 1, per: day}\n";
        let capped = |more: &str| {
            let text = format!(
                "raffle: r\ntitle: R\ndenominator: 1\nprizes:\n  - id: a\n    title: A\n    weight: 1\n    stock: 9\n{more}"
            );
            crate::document::read(&text).expect("a document")
        };
        check(&capped(cap), &capped(""), &["review.odds_untold"]);
        check(&capped(""), &capped("guaranteed_winners: allowed\n"), &["review.promise"]);
        check(&capped("guaranteed_winners: allowed\n"), &capped("guaranteed_winners: allowed\n"), &[]);
        check(&capped("guaranteed_winners: allowed\n"), &capped(""), &[]);
        let budget = "budget: {amount: 5, when_spent: degrade}\n";
        check(&capped(budget), &capped(""), &["review.budget"]);
        check(&capped(""), &capped(budget), &[]);

        let codes = |reasons: Vec<Reason>| reasons.into_iter().map(|reason| reason.code).collect::<Vec<_>>();
        assert!(codes(thresholds.restock("a", 600, 400)).is_empty());
        assert_eq!(codes(thresholds.restock("a", 601, 400)), ["review.stock"]);
        assert!(codes(thresholds.raise_budget(100_000, 0)).is_empty());
        assert_eq!(codes(thresholds.raise_budget(1, 100_000)), ["review.budget"]);
        assert_eq!(codes(thresholds.promise()), ["review.promise"]);
        assert!(codes(Thresholds::default().promise()).is_empty());
    }

    #[test]
    fn the_first_version_is_one_persons_unless_it_guarantees() {
        let thresholds = Thresholds { four_eyes: true, ..Thresholds::default() };
        let reasons =
            |document: &Document| thresholds.version(None, document, &Diff::of(None, document, None)).len();
        assert_eq!(reasons(&document(100, 10, "")), 0);
        assert_eq!(reasons(&document(100, 10, "guaranteed_winners: allowed\n")), 1);
    }
}
