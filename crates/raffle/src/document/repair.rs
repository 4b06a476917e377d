//! A document whose shape is wrong, as far as it can be read: so that what else is wrong with it is told too. Nothing is
//! made up, and no item of a list goes, so that every pointer into the repaired document fits the one that was written.

use std::collections::{BTreeMap, BTreeSet};

use kernel::document::shape::{Shape, number, of_kind};
use kernel::document::tree::Tree;
use kernel::finding::Finding;
use serde_json::Value;

use super::Document;
use super::schema::root;

/// Findings that only a key's loss may have made, by the key.
const FOLLOWING: &[(&str, &[&str])] = &[
    ("attributes", &["attribute.unknown"]),
    ("cost", &["budget.no_cost"]),
    ("every_day", &["release.empty", "release.not_all"]),
    ("from", &["release.no_beginning"]),
    ("metrics", &["tier.unknown_metric"]),
    ("prize", &["exhausted.prize"]),
    ("rule_trees", &["tree.unknown"]),
    ("slots", &["release.empty", "release.not_all"]),
    ("time_zone", &["window.over"]),
    ("when_weights_differ", &["odds.nothing_to_win", "odds.sum"]),
    ("window", &["release.no_beginning"]),
];

/// The schema of a rule tree.
const TREE: &str = "#/$defs/tree";

/// The finding that the loss of any key may have made: each may have been a part of the way to a prize.
const UNREACHABLE: &str = "prize.unreachable";

/// A document that somebody did not quite write. It is looked at, and never handed out.
pub(super) struct Repaired {
    document: Document,
    lost: BTreeSet<String>,
}

impl Repaired {
    /// Leaves out what is not known, what stands twice, and what is optional and wrong. `None` where the rest is no document.
    pub(super) fn of(tree: &Tree) -> Option<Self> {
        let mut lost = BTreeSet::new();
        let tree = part(tree, root(), &mut lost)?;
        let document = serde_json::from_value(tree.into_json()).ok()?;
        Some(Self { document, lost })
    }

    /// What is found about it that is not owed to the repair.
    pub(super) fn findings(&self, look: impl FnOnce(&Document) -> Vec<Finding>) -> Vec<Finding> {
        let lost = FOLLOWING.iter().filter(|(key, _)| self.lost.contains(*key));
        let following: BTreeSet<&str> = lost.flat_map(|(_, codes)| codes.iter().copied()).collect();
        let is_owed = |finding: &Finding| {
            following.contains(finding.code.as_str())
                || (finding.code == UNREACHABLE && !self.lost.is_empty())
        };
        look(&self.document).into_iter().filter(|finding| !is_owed(finding)).collect()
    }
}

/// The part of a document that fits its schema; `None` where what it cannot do without is wrong.
fn part(tree: &Tree, schema: &Value, lost: &mut BTreeSet<String>) -> Option<Tree> {
    let shape = Shape { root: root() };
    let schema = shape.resolve(schema);
    match (schema.get("type").and_then(Value::as_str), tree) {
        (None, Tree::Map(entries)) if schema.get("anyOf").is_some() => {
            part(tree, of_kind(entries, schema.get("anyOf")?.as_array()?)?, lost)
        }
        (Some("object"), Tree::Map(entries)) => map(entries, schema, lost),
        (Some("array"), Tree::List(items)) => {
            let of = schema.get("items").filter(|_| fits(items.len(), schema, "maxItems"))?;
            items.iter().map(|item| part(item, of, lost)).collect::<Option<_>>().map(Tree::List)
        }
        // A name of a wrong form is a name all the same, and others refer to it.
        (Some("string"), Tree::Text(_)) => Some(tree.clone()),
        (_, leaf) => {
            let mut found = Vec::new();
            shape.visit(leaf, schema, "", &mut found);
            found.is_empty().then(|| leaf.clone())
        }
    }
}

fn map(entries: &[(String, Tree)], schema: &Value, lost: &mut BTreeSet<String>) -> Option<Tree> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut kept: BTreeMap<&String, Tree> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (key, tree) in entries.iter().filter(|(key, _)| seen.insert(key)) {
        let known = properties.and_then(|known| known.get(key));
        let Some(of) = known.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))
        else {
            continue;
        };
        match part(tree, of, lost) {
            Some(tree) => {
                kept.insert(key, tree);
            }
            // Trees stand for themselves, and are named by prizes alone; a node belongs to its tree.
            None if of.get("$ref").and_then(Value::as_str) == Some(TREE) => {
                lost.insert("rule_trees".to_owned());
            }
            None if known.is_none() => return None,
            None => {
                lost.insert(key.clone());
            }
        }
    }
    let is_whole = required.iter().all(|key| kept.keys().any(|kept| kept == key));
    let kept = kept.into_iter().map(|(key, tree)| (key.clone(), tree)).collect::<Vec<_>>();
    (is_whole && fits(kept.len(), schema, "maxProperties")).then_some(Tree::Map(kept))
}

/// Whether a list or map is not longer than it may be: the linter's work grows with it.
fn fits(count: usize, schema: &Value, key: &str) -> bool {
    number(schema, key).is_none_or(|max| count as i128 <= max)
}

#[cfg(test)]
mod tests {
    use crate::lint::check;

    /// Holds what is told of a document, as `code pointer`, against what is expected.
    fn told(text: &str, expected: &[&str]) {
        let (document, findings) = check(text, 0);
        assert_eq!(document.is_some(), !findings.iter().any(|finding| finding.code.starts_with("document.")));
        let told: Vec<_> =
            findings.iter().map(|finding| format!("{} {}", finding.code, finding.pointer)).collect();
        assert_eq!(told, expected, "{text}");
    }

    const MANY: &str = "\
raffle: r
title: R
denominator: 10
tikets: {total: 1}
prizes:
  - {id: a, title: A, weight: 4, weight: 9, stock: 5, rule_tree: t}
  - {id: b, title: B, weight: 5, stock: unlimited, color: red, cap: {wins: often, per: day}}
rule_trees:
  t:
    start: s
    nodes: {s: {kind: stock}, f: {kind: fallback, prize: foreign}}
    edges: [{from: s, on: empty, to: f}]
  u:
    start: x
    nodes: {x: {kind: unlock, after: 1, per: day, aftr: 2}, y: {kind: stock}}
    edges: [{from: x, on: open, to: y}, {from: y, on: empty, to: x}, {from: x, on: locked, to: y, weight: 1}]
";

    const MISSHAPEN: [&str; 6] = [
        "document.unknown_key /tikets",
        "document.duplicate_key /prizes/0/weight",
        "document.unknown_key /prizes/1/color",
        "document.type /prizes/1/cap/wins",
        "document.unknown_key /rule_trees/u/nodes/x/aftr",
        "document.unknown_key /rule_trees/u/edges/2/weight",
    ];

    #[test]
    fn whatever_is_wrong_is_told_at_once() {
        let expected = [
            &MISSHAPEN[..],
            &["odds.sum /prizes", "prize.unknown /rule_trees/t/nodes/f/prize", "tree.cycle /rule_trees/u"],
        ];
        told(MANY, &expected.concat());
        // A tree that cannot be read is not missed by those who name it, and hides no other.
        let broken = MANY.replace("{kind: stock}, f:", "{kind: rack}, f:");
        let mut expected = MISSHAPEN.to_vec();
        expected.insert(4, "document.value /rule_trees/t/nodes/s/kind");
        expected.extend(["odds.sum /prizes", "tree.cycle /rule_trees/u"]);
        told(&broken, &expected);
        // What cannot be left out is not made up.
        let broken = MANY.replace("weight: 5,", "weight: some,");
        let mut expected = MISSHAPEN.to_vec();
        expected.insert(2, "document.type /prizes/1/weight");
        told(&broken, &expected);
    }

    #[test]
    fn nothing_is_told_that_the_repair_has_made() {
        let good = "raffle: r\ntitle: R\ndenominator: 2\nwhen_weights_differ: no_win\nwindow: {from: \"2026-11-01T00:00:00\", until: \"2026-12-01T00:00:00\"}\nattributes: [level]\nmetrics: [visits]\nbudget: {amount: 100, when_spent: stop}\nprizes:\n  - {id: a, title: A, weight: 1, stock: 5, rule_tree: t, cost: 10, cap: {wins: 1, per: day}, release: {every_day: 5}}\n  - {id: b, title: B, weight: 0, stock: unlimited}\n  - {id: c, title: C, weight: 0, stock: unlimited}\nrule_trees: {t: {start: s, nodes: {s: {kind: stock}, f: {kind: fallback, prize: b}}, edges: [{from: s, on: empty, to: f}]}}\neligibility: [{kind: attribute, attribute: level, one_of: [x]}]\nodds_tiers: {metric: visits, mode: exact, tiers: [{threshold: 3, prizes: [a]}]}\nwhen_exhausted: {policy: fallback, prize: c}\n";
        told(good, &[]);
        for (from, to, expected) in [
            (
                "when_weights_differ: no_win",
                "when_weights_differ: nothing",
                "document.value /when_weights_differ",
            ),
            ("from: \"2026-11-01T00:00:00\"", "from: 3", "document.type /window/from"),
            ("window: {", "window: [{", "document.type /window"),
            ("[level]", "level", "document.type /attributes"),
            ("[visits]", "{visits: 1}", "document.type /metrics"),
            ("amount: 100", "amount: much", "document.type /budget/amount"),
            ("cost: 10", "cost: 0.5", "document.type /prizes/0/cost"),
            ("every_day: 5", "every_day: 0", "document.value /prizes/0/release/every_day"),
            ("rule_tree: t", "rule_tree: [t]", "document.type /prizes/0/rule_tree"),
            ("{kind: stock}", "{kind: rack}", "document.value /rule_trees/t/nodes/s/kind"),
            ("on: empty", "on: full", "document.value /rule_trees/t/edges/0/on"),
            (
                "policy: fallback, prize: c",
                "policy: fallback, prize: 3",
                "document.type /when_exhausted/prize",
            ),
            ("policy: fallback", "policy: give", "document.value /when_exhausted/policy"),
        ] {
            assert!(good.contains(from), "{from}");
            let mut text = good.replacen(from, to, 1);
            if to == "window: [{" {
                text = text.replacen("00\"}\n", "00\"}]\n", 1);
            }
            told(&text, &[expected]);
        }
    }
}
