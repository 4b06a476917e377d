//! The big-market configurations: exact odds, and what is wrong with them.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use raffle::finding::Severity;
use raffle::lint;
use raffle::odds::{Odds, odds};
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
fn the_linter_finds_the_prizes_that_nobody_could_win() {
    for (name, expected) in [
        ("late-100001", ""),
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
