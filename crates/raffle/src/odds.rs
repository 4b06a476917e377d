//! Exact odds of a document: pools before the rule tree, outcomes after it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::document::{Document, Exhaustion};
use crate::node::{Milestone, Node, Per, Pity, Unlock};
use crate::rules::{NO_WIN, Plan, Publication, Rules, Shelf, base_pool, tier_pool};
use crate::standing::{Attested, History, Standing};

/// A probability in lowest terms. It is written `p/q`, or `1`, as people and the proof of odds write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    /// Above the line.
    pub numerator: u64,
    /// Below it, never zero.
    pub denominator: u64,
}

impl Fraction {
    /// A part of a whole; a whole of zero counts as one.
    pub fn of(part: u64, whole: u64) -> Self {
        let (mut a, mut b) = (part, whole);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = a.max(1);
        Self { numerator: part / divisor, denominator: (whole / divisor).max(1) }
    }
}

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.denominator == 1 {
            write!(f, "{}", self.numerator)
        } else {
            write!(f, "{}/{}", self.numerator, self.denominator)
        }
    }
}

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Fraction {
    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A probability in lowest terms, written `p/q`, or `1` or `0`.",
            "type": "string",
            "pattern": "^[0-9]+(/[1-9][0-9]*)?$",
        })
    }
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (numerator, denominator) = text.split_once('/').unwrap_or((&text, "1"));
        match (numerator.parse(), denominator.parse()) {
            (Ok(numerator), Ok(denominator)) => Ok(Self { numerator, denominator }),
            _ => Err(serde::de::Error::custom("not a fraction")),
        }
    }
}

/// The odds of each prize that can come; no-win is named `-`.
pub type Pool = BTreeMap<String, Fraction>;

/// The odds of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Odds {
    /// `base`, and each tier by its threshold: before the rule tree.
    pub pools: BTreeMap<String, Pool>,
    /// By completed draws, up to the highest unlock threshold: after the tree, base pool, stock plentiful. What depends on
    /// more than their number is left out: nobody is due by pity, no draw is a milestone, no attribute is told, and lists,
    /// caps and releases keep nothing from anybody.
    pub unlock: BTreeMap<String, Pool>,
}

fn as_pool(weights: &[(String, u64)]) -> Pool {
    let sum: u64 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter().map(|(id, weight)| (id.clone(), Fraction::of(*weight, sum))).collect()
}

/// Every finite prize is there.
struct Plentiful;

impl Shelf for Plentiful {
    fn free(&self, _: &str) -> Option<u64> {
        Some(u64::MAX)
    }

    fn granted(&self, _: &str) -> u64 {
        0
    }

    fn take(&mut self, _: &str, _: u64) {}
}

/// The odds of a document, with or without errors: a reference that leads nowhere wins nothing.
pub fn odds(document: &Document) -> Odds {
    let base = base_pool(document);
    let mut pools = BTreeMap::from([("base".to_owned(), as_pool(&base))]);
    for tier in document.odds_tiers.iter().flat_map(|tiers| &tiers.tiers) {
        pools.insert(tier.threshold.to_string(), as_pool(&tier_pool(document, &tier.prizes)));
    }

    let mut highest = 0;
    for node in document.rule_trees.values().flat_map(|tree| tree.nodes.values()) {
        if let Node::Unlock(Unlock { after, .. }) = node {
            highest = highest.max(u64::from(*after));
        }
    }
    let plan = plan_for_odds(document);
    let candidates: Vec<Option<usize>> =
        base.iter().map(|(id, _)| plan.as_ref()?.prizes.iter().position(|known| **known == **id)).collect();
    let mut unlock = BTreeMap::new();
    for completed in 0..=highest {
        let history = History { number: completed, today: completed, ..History::default() };
        let attested = Attested::default();
        let standing =
            Standing { pseudonym: [0; 16], history: &history, attested: &attested, now_ms: 0, day: 0 };
        let mut after: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, weight), candidate) in base.iter().zip(&candidates) {
            let won = plan.as_ref().and_then(|plan| {
                let prize = plan.settle(*candidate, &standing, &mut Plentiful, &mut Vec::new())?;
                plan.prizes.get(prize)
            });
            *after.entry(won.map_or(NO_WIN, |prize| prize)).or_default() += weight;
        }
        let after: Vec<_> = after.into_iter().map(|(id, weight)| (id.to_owned(), weight)).collect();
        unlock.insert(completed.to_string(), as_pool(&after));
    }
    Odds { pools, unlock }
}

/// A plan of the parts that matter to odds, with references that lead nowhere cut off.
fn plan_for_odds(document: &Document) -> Option<Plan> {
    let mut document = document.clone();
    document.odds_tiers = None;
    document.deny_list = None;
    document.eligibility = vec![];
    document.budget = None;
    document.win_interval_seconds = None;
    document.when_exhausted = Exhaustion::default();
    document.time_zone = "UTC".to_owned();
    let known: Vec<_> = document.prizes.iter().map(|prize| prize.id.clone()).collect();
    let trees: Vec<_> = document.rule_trees.keys().cloned().collect();
    for prize in &mut document.prizes {
        prize.rule_tree = prize.rule_tree.take().filter(|name| trees.contains(name));
        (prize.cap, prize.only_for, prize.release) = (None, None, None);
        prize.never_for.clear();
    }
    document.no_win_tree = document.no_win_tree.take().filter(|name| trees.contains(name));
    for tree in document.rule_trees.values_mut() {
        // Nothing stands where a name leads to no node, or a node to no prize: whoever comes there wins nothing.
        let nothing = || Node::Unlock(Unlock { after: u32::MAX, per: Per::Day });
        for node in tree.nodes.values_mut() {
            let rule = node.rule();
            if rule.prizes().iter().any(|(_, prize)| known.iter().all(|known| known != prize)) {
                *node = nothing();
            }
            // Who is due depends on what they have won, and a milestone is one draw among all with as many completed or
            // more: neither belongs to everybody with so many completed draws.
            match node {
                Node::Pity(Pity { after, .. }) => *after = u32::MAX,
                Node::Milestone(Milestone { draws }) => draws.clear(),
                Node::Unlock(_) | Node::Stock(_) | Node::Fallback(_) | Node::Attribute(_) => {}
            }
        }
        for edge in &tree.edges {
            tree.nodes.entry(edge.to.clone()).or_insert_with(nothing);
        }
        tree.nodes.entry(tree.start.clone()).or_insert_with(nothing);
        let nodes = &tree.nodes;
        tree.edges.retain(|edge| nodes.contains_key(&edge.from));
    }
    let publication = Publication { tenant: "", version: 0, pseudonym: &|_| String::new(), slot: &|_| 0 };
    Plan::of(Rules::of(&document, &publication)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_in_lowest_terms() {
        let check = |part, whole, text: &str| assert_eq!(Fraction::of(part, whole).to_string(), text);
        check(79, 100, "79/100");
        check(300, 9703, "300/9703");
        check(10_000, 10_000, "1");
        check(1, 1_000_000_000, "1/1000000000");
        check(0, 5, "0");
    }

    #[test]
    fn a_name_that_leads_nowhere_wins_nothing() {
        let text = "raffle: r\ntitle: R\ndenominator: 2\nprizes:\n  - {id: a, title: A, weight: 1, stock: 1, rule_tree: t}\n  - {id: b, title: B, weight: 1, stock: 1}\nrule_trees: {t: {start: lock, nodes: {lock: {kind: unlock, after: 1, per: day}}, edges: [{from: lock, on: open, to: nowhere}, {from: lock, on: locked, to: nowhere}]}}\n";
        let document = crate::document::read(text).expect("a document");
        for pool in odds(&document).unlock.values() {
            let told: Vec<_> = pool.iter().map(|(prize, odds)| format!("{prize} {odds}")).collect();
            assert_eq!(told, ["- 1/2", "b 1/2"]);
        }
    }

    #[test]
    fn nobody_is_due_and_no_draw_is_a_milestone() {
        let text = |node: &str, no: &str| {
            format!(
                "raffle: r\ntitle: R\ndenominator: 2\nprizes:\n  - {{id: a, title: A, weight: 1, stock: 1, rule_tree: t}}\n  - {{id: b, title: B, weight: 1, stock: 1}}\n  - {{id: c, title: C, weight: 0, stock: unlimited}}\nrule_trees: {{t: {{start: lock, nodes: {{lock: {{kind: unlock, after: 3, per: campaign}}, node: {node}, other: {{kind: fallback, prize: c}}}}, edges: [{{from: lock, on: locked, to: node}}, {{from: node, on: {no}, to: other}}]}}}}\n"
            )
        };
        for (node, no) in [
            ("{kind: pity, prize: b, after: 1}", "not_due"),
            ("{kind: pity, prize: a, after: 3}", "not_due"),
            ("{kind: milestone, draws: [1, 2, 3]}", "missed"),
        ] {
            let document = crate::document::read(&text(node, no)).expect("a document");
            for (completed, pool) in odds(&document).unlock {
                let told: Vec<_> = pool.iter().map(|(prize, odds)| format!("{prize} {odds}")).collect();
                let open = completed == "3";
                assert_eq!(
                    told,
                    [if open { "a 1/2" } else { "b 1/2" }, if open { "b 1/2" } else { "c 1/2" }],
                    "{node}"
                );
            }
        }
    }
}
