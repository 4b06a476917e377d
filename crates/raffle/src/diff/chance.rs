use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ratio::{in_words, signed};
use super::{Change, Cost, DayCost, Ratio};
use crate::document::Document;
use crate::odds::{Fraction, Odds, Pool, odds};
use crate::rules::NO_WIN;

/// A prize whose odds differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddsChange {
    /// The prize; `-` is no win.
    pub prize: String,
    /// In words, which draws.
    pub pool: String,
    /// Where, in the later document.
    pub pointer: String,
    /// What they were; zero where the pool had no such prize, or there was no such pool.
    pub before: Fraction,
    /// What they are.
    pub after: Fraction,
}

impl OddsChange {
    /// In words.
    pub fn told(&self) -> Change {
        let percent = |odds: Fraction| Ratio::of(i128::from(odds.numerator) * 100, odds.denominator.into());
        let (before, after) = in_words(percent(self.before), percent(self.after));
        let prize =
            if self.prize == NO_WIN { "no win".to_owned() } else { format!("prize `{}`", self.prize) };
        Change {
            code: "diff.odds",
            pointer: self.pointer.clone(),
            message: format!("odds of {prize}, {}: {before}% -> {after}%", self.pool),
            before: Value::String(self.before.to_string()),
            after: Value::String(self.after.to_string()),
        }
    }

    /// Whether they changed by more than so many percent of what they were. What had none has now any.
    pub fn exceeds(&self, percent: u32) -> bool {
        let across = |odds: Fraction, other: Fraction| {
            u128::from(odds.numerator).saturating_mul(other.denominator.into())
        };
        let (before, after) = (across(self.before, self.after), across(self.after, self.before));
        after.abs_diff(before).saturating_mul(100) > before.saturating_mul(percent.into())
    }
}

const NEVER: Fraction = Fraction { numerator: 0, denominator: 1 };

fn of(pool: Option<&Pool>, prize: &str) -> Fraction {
    pool.and_then(|pool| pool.get(prize)).copied().unwrap_or(NEVER)
}

fn prizes_of<'a>(pools: impl Iterator<Item = &'a Pool>) -> BTreeSet<&'a str> {
    pools.flat_map(BTreeMap::keys).map(String::as_str).collect()
}

/// Odds before the rule tree in each pool, and after it in the base pool.
pub(super) fn odds_changes(before: &Document, after: &Document) -> Vec<OddsChange> {
    let mut changes = Vec::new();
    let (old, new) = (odds(before), odds(after));
    let place = |prize: &str| {
        let place = after.prizes.iter().position(|known| known.id == prize);
        place.map_or_else(|| "/prizes".to_owned(), |place| format!("/prizes/{place}/weight"))
    };
    let names: BTreeSet<_> = old.pools.keys().chain(new.pools.keys()).collect();
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|name| name.parse::<u64>().unwrap_or(0));
    for name in names {
        let (was, is) = (old.pools.get(name), new.pools.get(name));
        let tier = |document: &Document| {
            let tiers = document.odds_tiers.iter().flat_map(|tiers| &tiers.tiers);
            tiers.map(|tier| tier.threshold.to_string()).position(|threshold| threshold == *name)
        };
        for prize in prizes_of(was.into_iter().chain(is)) {
            let pointer = match (name == "base", tier(after)) {
                (true, _) => place(prize),
                (false, Some(tier)) => format!("/odds_tiers/tiers/{tier}"),
                (false, None) => "/odds_tiers".to_owned(),
            };
            let pool = if name == "base" { "base pool".to_owned() } else { format!("odds tier {name}") };
            let (before, after) = (of(was, prize), of(is, prize));
            if before != after {
                changes.push(OddsChange { prize: prize.to_owned(), pool, pointer, before, after });
            }
        }
    }
    after_the_tree(&old, &new, &place, &mut changes);
    changes
}

/// Stretches of completed draws in which a prize's odds after the tree differ in the same way.
fn after_the_tree(old: &Odds, new: &Odds, place: &dyn Fn(&str) -> String, changes: &mut Vec<OddsChange>) {
    // Past the highest unlock everything is open, and stays so.
    let at = |odds: &'_ Odds, completed: usize| {
        odds.unlock.get(&completed.min(odds.unlock.len().saturating_sub(1)).to_string()).cloned()
    };
    let rows = old.unlock.len().max(new.unlock.len());
    let pools: Vec<_> = (0..rows).map(|completed| (at(old, completed), at(new, completed))).collect();
    let both = pools.iter().flat_map(|(was, is)| was.iter().chain(is));
    for prize in prizes_of(both) {
        let odds_at = |row: usize| (of(pools[row].0.as_ref(), prize), of(pools[row].1.as_ref(), prize));
        // Where no tree had a say, the pool itself has told it.
        let in_pool = (of(old.pools.get("base"), prize), of(new.pools.get("base"), prize));
        let mut from = 0;
        while from < rows {
            let same = (from..rows).take_while(|row| odds_at(*row) == odds_at(from)).count();
            let (before, after) = odds_at(from);
            if before != after && (before, after) != in_pool {
                let draws = match (from + same == rows, same) {
                    (true, _) if from == 0 => String::new(),
                    (true, _) => format!(" with {from} or more completed draws"),
                    (false, 1) => format!(" with {from} completed draws"),
                    (false, _) => format!(" with {from} to {} completed draws", from + same - 1),
                };
                let pool = format!("after the rule tree{draws}");
                let (prize, pointer) = (prize.to_owned(), place(prize));
                changes.push(OddsChange { prize, pool, pointer, before, after });
            }
            from += same;
        }
    }
}

fn expected(document: &Document) -> BTreeMap<String, Ratio> {
    let odds = odds(document);
    let cost = |pool: &Pool| {
        pool.iter().try_fold(Ratio::of(0, 1), |sum, (id, odds)| {
            let prize = document.prizes.iter().find(|prize| prize.id == *id);
            let cost = prize.map_or(0, |prize| prize.cost);
            let part = Ratio::of(i128::from(odds.numerator) * i128::from(cost), odds.denominator.into());
            sum.plus(part)
        })
    };
    let open = odds.unlock.get(&odds.unlock.len().saturating_sub(1).to_string());
    let tiers = odds.pools.iter().filter(|(name, _)| *name != "base");
    let pools = open.map(|open| ("base", open)).into_iter();
    let pools = pools.chain(tiers.map(|(name, pool)| (name.as_str(), pool)));
    pools.filter_map(|(name, pool)| Some((name.to_owned(), cost(pool)?))).collect()
}

/// Expected costs by pool.
pub(super) fn costs(
    before: Option<&Document>,
    after: &Document,
    draws_per_day: Option<u32>,
) -> BTreeMap<String, Cost> {
    let (before, after) = (before.map(expected).unwrap_or_default(), expected(after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let by_day = |cost: Option<Ratio>| cost?.times(draws_per_day?.into());
    names
        .into_iter()
        .map(|name| {
            let (was, is) = (before.get(name).copied(), after.get(name).copied());
            let per_day = draws_per_day.map(|_| DayCost {
                before: by_day(was),
                after: by_day(is),
                change: by_day(is).zip(by_day(was)).and_then(|(is, was)| is.minus(was)),
            });
            (name.clone(), Cost { before: was, after: is, per_day })
        })
        .collect()
}

impl Cost {
    /// In words, where it differs.
    pub fn told(&self, pool: &str) -> Option<Change> {
        let cost = self;
        if cost.before == cost.after {
            return None;
        }
        let nothing = Ratio::of(0, 1);
        let (was, is) = in_words(cost.before.unwrap_or(nothing), cost.after.unwrap_or(nothing));
        let (was, is) =
            (cost.before.map_or("none".to_owned(), |_| was), cost.after.map_or("none".to_owned(), |_| is));
        let more = cost.before.zip(cost.after).and_then(|(before, after)| after.minus(before));
        let more = more.map_or_else(String::new, |more| format!(" ({})", signed(more)));
        let day = cost.per_day.as_ref().and_then(|day| day.change);
        let day = day.map_or_else(String::new, |day| format!(", {} a day", signed(day)));
        let which = if pool == "base" { "base pool".to_owned() } else { format!("odds tier {pool}") };
        let value = |cost: Option<Ratio>| cost.map_or(Value::Null, |cost| Value::String(cost.to_string()));
        Some(Change {
            code: "diff.expected_cost",
            pointer: if pool == "base" { "/prizes".to_owned() } else { "/odds_tiers".to_owned() },
            message: format!("expected cost of a draw, {which}: {was} -> {is}{more}{day}"),
            before: value(cost.before),
            after: value(cost.after),
        })
    }
}
