//! Seeded simulation of the product over ports that fail.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use trials::count;
use trials::simulation::run;

/// What every run has to meet: each fault, and calls that it has to befall. A fault before a call does not know yet what the
/// call will write. Others are met too, as the table tells.
const MUST_MEET: &[(&str, &[&str])] = &[
    ("fails before", &["write", "read", "publish", "fill"]),
    ("killed before", &["write", "read", "publish"]),
    (
        "fails inside",
        &["write gate", "write machine", "write inbox", "publish", "read raffle_epoch (looks only)"],
    ),
    ("kept, outcome unknown", &["write gate", "write machine", "write inbox", "publish"]),
    ("lost, outcome unknown", &["write gate", "write machine", "write inbox", "publish"]),
    (
        "is delayed",
        &["write gate", "write machine", "write inbox", "publish", "read raffle_epoch (looks only)"],
    ),
    ("killed after", &["write gate", "write machine", "publish"]),
];

/// Written past the harness, which keeps back what a passing test prints.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).expect("standard output");
}

#[test]
fn whatever_fails_nothing_that_was_answered_is_lost_or_doubled() {
    let mut met: BTreeMap<(String, &str), u64> = BTreeMap::new();
    let (mut answered, mut killed) = (0, 0);
    for seed in 0..count(100, 1_000) as u64 {
        let found = run(seed, false);
        assert!(found.broken.is_empty(), "seed {seed}: {:#?}", found.broken);
        for (pair, times) in found.met {
            *met.entry(pair).or_default() += times;
        }
        answered += found.answered;
        killed += found.killed;
    }
    let mut table = String::from("\n");
    for ((call, fate), times) in met.iter().filter(|((_, fate), _)| *fate != "none") {
        table.push_str(&format!("{call:<32} {fate:<24} {times:>8}\n"));
    }
    show(&format!("{table}{answered} calls answered, {killed} kills\n"));
    assert!(killed > 0 && answered > 0);
    let faults: BTreeSet<_> = met.keys().map(|(_, fate)| *fate).filter(|fate| *fate != "none").collect();
    assert_eq!(faults, MUST_MEET.iter().map(|(fate, _)| *fate).collect(), "a fault is new, or never met");
    for (fate, calls) in MUST_MEET {
        let missed: Vec<_> =
            calls.iter().filter(|call| !met.contains_key(&((**call).to_owned(), *fate))).collect();
        assert!(missed.is_empty(), "`{fate}` never befell {missed:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 7, 42] {
        assert_eq!(run(seed, false).trace, run(seed, false).trace, "seed {seed}");
    }
    assert_ne!(run(1, false).trace, run(2, false).trace);
}

/// A checker that finds nothing wrong in a world that answers before it keeps would be no checker.
#[test]
fn an_answer_before_its_commit_is_found() {
    let mut found_out = 0;
    for seed in 0..10 {
        let found = run(seed, true);
        let lied =
            found.met.iter().any(|((call, fate), _)| call == "write gate" && *fate == "answered, not kept");
        assert!(!lied || !found.broken.is_empty(), "seed {seed}: {:#?}", found.met);
        found_out += u32::from(lied);
    }
    assert!(found_out > 0, "no seed lied about a gate: nothing was tried");
}
