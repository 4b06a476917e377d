//! The big-market configurations: exact odds, and what is wrong with them.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;

use kernel::finding::Severity;
use raffle::lint;
use raffle::odds::{Odds, odds};
use raffle::rules::{Chosen, Plan, Publication, Rules};
use trials::{NOON_MS, example};

fn odds_of(name: &str) -> Odds {
    odds(&raffle::document::read(&example(name)).expect("a document"))
}

/// Checks a pool written as `prize p/q, prize p/q`.
fn check(odds: &Odds, place: &str, expected: &str) {
    let pool = match place.strip_prefix("after ") {
        Some(completed) => odds.unlock.get(completed),
        None => odds.pools.get(place),
    };
    let pool = pool.unwrap_or_else(|| panic!("no pool {place}"));
    let told: Vec<_> = pool.iter().map(|(prize, odds)| format!("{prize} {odds}")).collect();
    assert_eq!(told.join(", "), expected, "{place}");
}

#[test]
fn late_100001() {
    let odds = odds_of("late-100001");
    let base =
        "101 3/10, 102 1/5, 103 1/5, 104 1/10, 105 1/10, 106 1/20, 107 1/25, 108 99/10000, 109 1/10000";
    check(&odds, "base", base);
    check(&odds, "60", "102 1/3, 103 1/3, 104 1/6, 105 1/6");
    check(&odds, "200", "106 5/9, 107 4/9");
    check(&odds, "1000", "105 1");
    assert_eq!(odds.pools.len(), 4);
    assert_eq!(odds.unlock.keys().collect::<Vec<_>>(), ["0"]);
}

#[test]
fn late_100006_as_it_was_and_repaired() {
    let base = "101 7900/9703, 102 300/9703, 103 300/9703, 104 300/9703, 105 300/9703, 106 300/9703, 107 300/9703, 108 3/9703";
    let two =
        "101 8200/9703, 102 300/9703, 103 300/9703, 104 300/9703, 106 300/9703, 107 300/9703, 108 3/9703";
    for name in ["late-100006", "late-100006-repaired"] {
        let odds = odds_of(name);
        check(&odds, "base", base);
        check(&odds, "10", "102 1/2, 103 1/2");
        check(&odds, "70", "106 1/2, 107 1/2");
        check(&odds, "1000", "104 1/2, 105 1/2");
        check(&odds, "after 0", "101 8800/9703, 102 300/9703, 103 300/9703, 104 300/9703, 108 3/9703");
        check(
            &odds,
            "after 1",
            "101 8500/9703, 102 300/9703, 103 300/9703, 104 300/9703, 107 300/9703, 108 3/9703",
        );
        check(&odds, "after 2", two);
        check(&odds, "after 3", if name == "late-100006" { two } else { base });
        assert_eq!(odds.unlock.len(), 4);
    }
}

#[test]
fn late_10007_and_early_100001() {
    let base = "101 1/10, 110 4/5, 111 2/25, 112 1/100, 113 1/5000, 114 1/250, 115 1/1250, 116 1/200";
    check(&odds_of("late-10007"), "base", base);
    let odds = odds_of("early-100001");
    let base =
        "101 3/10, 102 1/5, 103 1/5, 104 1/10, 105 1/10, 106 1/20, 107 1/25, 108 99/10000, 109 1/10000";
    check(&odds, "base", base);
    assert_eq!(odds.pools.len(), 4);
    assert_eq!(odds_of("late-10007").pools.len(), 1);
    check(&odds, "4000", "102 1/3, 103 1/3, 104 1/6, 105 1/6");
    check(&odds, "5000", "102 20/69, 103 20/69, 104 10/69, 105 10/69, 106 5/69, 107 4/69");
    let six = "102 2/7, 103 2/7, 104 1/7, 105 1/7, 106 1/14, 107 2/35, 108 99/7000, 109 1/7000";
    check(&odds, "6000", six);
}

#[test]
fn late_100002_to_100005() {
    check(&odds_of("late-100002"), "base", "101 50/61, 102 10/61, 106 1/61");
    check(&odds_of("late-100003"), "base", "107 4/5, 108 99/500, 109 1/500");
    check(&odds_of("late-100004"), "base", "109 1");
    check(&odds_of("late-100005"), "base", "101 30/121, 102 30/121, 103 30/121, 104 30/121, 105 1/121");
}

/// Every integer of chance picks a prize, and each prize is picked by as many integers as its document gives it weight.
#[test]
fn integers_pick_prizes_exactly_as_often_as_they_weigh() {
    for name in ["late-100001", "late-100006-repaired", "late-10007", "early-100001"] {
        let document = raffle::document::read(&example(name)).expect("a document");
        let publication =
            Publication { tenant: "main", version: 1, pseudonym: &|_| "00".repeat(16), slot: &|_| 0 };
        let plan = Plan::of(Rules::of(&document, &publication)).expect("a plan");
        let tiers = document.odds_tiers.iter().flat_map(|tiers| &tiers.tiers);
        let pools = std::iter::once(None).chain(tiers.map(|tier| Some(&tier.prizes)));
        for (pool, listed) in pools.enumerate() {
            let weighed = document.prizes.iter().filter(|prize| {
                prize.weight > 0 && listed.is_none_or(|listed: &Vec<String>| listed.contains(&prize.id))
            });
            let stated: BTreeMap<_, _> =
                weighed.map(|prize| (Some(prize.id.as_str()), prize.weight)).collect();
            let mut picked: BTreeMap<Option<&str>, u64> = BTreeMap::new();
            for integer in 0..plan.total(pool, &[]) {
                let candidate = plan.candidate(&Chosen { pool, integer, excluded: vec![] });
                *picked.entry(candidate.map(|at| &*plan.prizes[at])).or_default() += 1;
            }
            assert_eq!(picked, stated, "{name}, pool {pool}");
        }
    }
}

/// Rates that do not sum to one need a policy, and only those.
#[test]
fn a_sum_without_a_policy_is_an_error() {
    for (name, differs) in [
        ("late-100001", false),
        ("late-100002", true),
        ("late-100003", true),
        ("late-100004", false),
        ("late-100005", true),
        ("late-100006", true),
        ("late-10007", false),
    ] {
        let text = example(name).replace("when_weights_differ: normalise\n", "");
        let (_, findings) = lint::check(&text, NOON_MS);
        assert_eq!(findings.iter().any(|finding| finding.code == "odds.sum"), differs, "{name}");
    }
}

/// What is wrong with rules beyond pools and trees: `(lines, code and pointer of every finding)`.
#[test]
fn each_rule_that_cannot_work_is_told_where_it_is() {
    let a = "weight: 1, stock: 5";
    let trees = |nodes: &str, edges: &str| {
        format!("rule_trees: {{t: {{start: x, nodes: {{{nodes}}}, edges: [{edges}]}}}}\n")
    };
    let cases: Vec<(&str, String, &str)> = vec![
        (a, String::new(), ""),
        (
            a,
            "eligibility: [{kind: attribute, attribute: level, one_of: [x]}]\n".into(),
            "attribute.unknown /eligibility/0/attribute",
        ),
        (a, "attributes: [x, x]\n".into(), "attribute.duplicate /attributes/1"),
        (a, "metrics: [draws_made]\n".into(), "attribute.duplicate /metrics/0"),
        (
            a,
            "eligibility: [{kind: allow_list, participants: []}]\n".into(),
            "eligibility.nobody /eligibility/0/participants",
        ),
        (
            a,
            "eligibility: [{kind: deny_list, participants: [m, m]}]\n".into(),
            "eligibility.duplicate /eligibility/0/participants/1",
        ),
        (a, "eligibility: [{kind: moon}]\n".into(), "document.value /eligibility/0/kind"),
        (
            a,
            "eligibility: [{kind: velocity, draws: 0, seconds: 1}]\n".into(),
            "document.value /eligibility/0/draws",
        ),
        (
            a,
            "odds_tiers: {metric: steps, mode: exact, tiers: [{threshold: 1, prizes: [a]}]}\n".into(),
            "tier.unknown_metric /odds_tiers/metric",
        ),
        (a, "when_exhausted: {policy: fallback}\n".into(), "exhausted.prize /when_exhausted"),
        (a, "when_exhausted: {policy: fallback, prize: z}\n".into(), "prize.unknown /when_exhausted/prize"),
        (a, "when_exhausted: {policy: fallback, prize: a}\n".into(), "fallback.finite /when_exhausted/prize"),
        (
            a,
            "when_exhausted: {policy: renormalise, prize: a}\n".into(),
            "exhausted.prize /when_exhausted/prize",
        ),
        (a, "budget: {amount: 5, when_spent: stop}\n".into(), "budget.no_cost /budget"),
        (
            "weight: 1, stock: 5, cost: 9",
            "budget: {amount: 5, when_spent: stop}\n".into(),
            "budget.too_small /budget/amount",
        ),
        (a, "guaranteed_winners: allowed\n".into(), "guaranteed.allowed /guaranteed_winners"),
        (a, "no_win_tree: t\n".into(), "tree.unknown /no_win_tree"),
        (
            a,
            format!("no_win_tree: t\n{}", trees("x: {kind: stock}", "")),
            "tree.stock_without_prize /rule_trees/t/nodes/x, tree.dead_end /rule_trees/t/nodes/x",
        ),
        (
            "weight: 1, stock: unlimited, release: {every_day: 1}",
            String::new(),
            "release.unlimited /prizes/0/release",
        ),
        ("weight: 1, stock: 5, release: {}", String::new(), "release.empty /prizes/0/release"),
        (
            "weight: 1, stock: 5, release: {every_day: 1}",
            String::new(),
            "release.no_beginning /prizes/0/release/every_day",
        ),
        (
            "weight: 1, stock: 5, release: {slots: [{from: \"2026-02-30T00:00:00\", units: 5}]}",
            String::new(),
            "window.bad_time /prizes/0/release/slots/0/from",
        ),
        (
            "weight: 1, stock: 5, release: {slots: [{from: \"2026-02-03T00:00:00\", units: 4}]}",
            String::new(),
            "release.not_all /prizes/0/release",
        ),
        (
            "weight: 1, stock: 5, only_for: [m], never_for: [m]",
            String::new(),
            "prize.list_overlap /prizes/0/only_for, prize.unreachable /prizes/0",
        ),
        ("weight: 1, stock: 5, consolation: 1", String::new(), "document.type /prizes/0/consolation"),
        (
            "weight: 1, stock: 5, rule_tree: t",
            trees("x: {kind: pity, prize: z, after: 3}", ""),
            "prize.unknown /rule_trees/t/nodes/x/prize, tree.dead_end /rule_trees/t/nodes/x",
        ),
        (
            "weight: 1, stock: 5, rule_tree: t",
            trees("x: {kind: attribute, attribute: x, one_of: [y]}", ""),
            "attribute.unknown /rule_trees/t/nodes/x/attribute, tree.dead_end /rule_trees/t/nodes/x",
        ),
        (
            "weight: 1, stock: 5, rule_tree: t",
            format!("tickets: {{total: 4}}\n{}", trees("x: {kind: milestone, draws: [5]}", "")),
            "tree.dead_end /rule_trees/t/nodes/x, prize.unreachable /prizes/0",
        ),
        (
            "weight: 1, stock: 5, rule_tree: t",
            format!("tickets: {{total: 3}}\n{}", trees("x: {kind: pity, prize: a, after: 3}", "")),
            "tree.dead_end /rule_trees/t/nodes/x, prize.unreachable /prizes/0",
        ),
        (
            "weight: 1, stock: 5, rule_tree: t",
            trees("x: {kind: milestone, draws: [5]}, s: {kind: stock}", "{from: x, on: missed, to: s}"),
            "tree.dead_end /rule_trees/t/nodes/s, tree.bypassed_stock /rule_trees/t",
        ),
        (
            "weight: 1, stock: 5, rule_tree: t",
            trees("x: {kind: stock}", "{from: x, on: yes, to: x}"),
            "tree.impossible_edge /rule_trees/t/edges/0/on, tree.dead_end /rule_trees/t/nodes/x",
        ),
    ];
    for (prize, more, expected) in cases {
        let text =
            format!("raffle: r\ntitle: R\ndenominator: 1\nprizes:\n  - {{id: a, title: A, {prize}}}\n{more}");
        let (_, findings) = lint::check(&text, NOON_MS);
        let told: Vec<_> =
            findings.iter().map(|finding| format!("{} {}", finding.code, finding.pointer)).collect();
        assert_eq!(told.join(", "), expected, "{text}");
    }
}

#[test]
fn the_linter_finds_the_prizes_that_nobody_could_win() {
    for (name, expected) in [
        ("late-100001", ""),
        ("late-100002", ""),
        ("late-100003", "prize.unknown /rule_trees/stock-or-fallback/nodes/fallback/prize"),
        ("late-100004", "prize.unknown /rule_trees/stock-or-fallback/nodes/fallback/prize"),
        ("late-100005", ""),
        ("late-100006", "prize.unreachable /prizes/4"),
        ("late-100006-repaired", ""),
        ("late-10007", "prize.unreachable /prizes/4"),
        ("early-100001", ""),
    ] {
        let (_, findings) = lint::check(&example(name), NOON_MS);
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<_> = errors.map(|finding| format!("{} {}", finding.code, finding.pointer)).collect();
        assert_eq!(errors.join(", "), expected, "{name}");
    }
}

/// Every finding of a document with one thing wrong: `(what to replace, with what, code and pointer)`.
#[test]
fn each_thing_wrong_is_told_where_it_is() {
    let good = example("late-100006-repaired");
    for (from, to, expected) in [
        ("when_weights_differ: normalise\n", "", "odds.sum /prizes"),
        ("when_weights_differ: normalise", "when_weights_differ: reject", "odds.sum /prizes"),
        ("when_weights_differ: normalise", "when_weights_differ: no_win", ""),
        (
            "denominator: 10000\nwhen_weights_differ: normalise",
            "denominator: 100\nwhen_weights_differ: no_win",
            "odds.sum /prizes",
        ),
        ("time_zone: Asia/Shanghai", "time_zone: Asia/Atlantis", "window.unknown_zone /time_zone"),
        ("until: \"2034-03-09", "until: \"2014-03-09", "window.empty /window"),
        ("until: \"2034-03-09", "until: \"2025-03-09", "window.over /window/until"),
        ("until: \"2034-03-09", "until: \"2034-02-30", "window.bad_time /window/until"),
        (
            "{id: \"103\"",
            "{id: \"102\"",
            "prize.duplicate /prizes/2/id, prize.unknown /odds_tiers/tiers/0/prizes/1",
        ),
        ("rule_tree: lock-3", "rule_tree: lock-9", "tree.unknown /prizes/4/rule_tree"),
        (
            "prizes: [\"106\", \"107\"]",
            "prizes: [\"106\", \"999\"]",
            "prize.unknown /odds_tiers/tiers/1/prizes/1",
        ),
        ("{threshold: 70,", "{threshold: 10,", "tier.duplicate /odds_tiers/tiers/1/threshold"),
        ("  prize: \"101\"\n", "  prize: \"999\"\n", "prize.unknown /deny_list/prize"),
        ("    start: stock\n", "    start: stork\n", "tree.unknown_node /rule_trees/stock-or-fallback/start"),
        ("weight: 3,", "weight: 0,", "prize.unreachable /prizes/7"),
        ("weight: 3,", "wieght: 3,", "document.unknown_key /prizes/7/wieght, document.missing_key /prizes/7"),
        ("weight: 3,", "weight: 3, weight: 3,", "document.duplicate_key /prizes/7/weight"),
        ("weight: 3,", "weight: 0.5,", "document.type /prizes/7/weight"),
        ("stock: unlimited", "stock: -1", "document.value /prizes/0/stock"),
        ("after: 3, per: day", "after: 3, per: hour", "document.value /rule_trees/lock-3/nodes/lock/per"),
        (
            "kind: unlock, after: 3",
            "kind: padlock, after: 3",
            "document.value /rule_trees/lock-3/nodes/lock/kind",
        ),
        ("raffle: late-100006-repaired", "raffle: \"a b\"", "document.value /raffle"),
        ("denominator: 10000", "denominator: 10000\ntickets: {total: 4}", ""),
        ("denominator: 10000", "denominator: 10000\ntickets: {total: 3}", "prize.unreachable /prizes/4"),
        ("denominator: 10000", "denominator: 10000\ntickets: {per_day: 3}", "prize.unreachable /prizes/4"),
        (
            "weight: 300, stock: 100, rule_tree: lock-3",
            "weight: 300, stock: unlimited, rule_tree: lock-3",
            "",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let (_, findings) = lint::check(&good.replacen(from, to, 1), NOON_MS);
        let told: Vec<_> = findings
            .iter()
            .filter(|finding| !["fallback.finite", "tree.unreachable_node"].contains(&finding.code.as_str()))
            .map(|finding| format!("{} {}", finding.code, finding.pointer))
            .collect();
        let told = told.join(", ");
        // A mended tree may leave more behind; what is planted comes first.
        assert!(told.starts_with(expected) && (!expected.is_empty() || told.is_empty()), "{to}: {told}");
    }
    let cycle =
        good.replacen("{from: stock, on: empty, to: fallback}", "{from: stock, on: empty, to: stock}", 1);
    let (_, findings) = lint::check(&cycle, NOON_MS);
    assert!(findings.iter().any(|finding| finding.code == "tree.cycle"), "{findings:?}");
    let twice = good.replacen("edges:\n", "edges:\n      - {from: stock, on: empty, to: stock}\n", 1);
    let (_, findings) = lint::check(&twice, NOON_MS);
    assert!(findings.iter().any(|finding| finding.code == "tree.ambiguous_edge"), "{findings:?}");
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let (_, findings) = lint::check(&format!("raffle: {deep}"), NOON_MS);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "document.syntax");
}
