//! Seeded simulation of the product over ports that fail.

use std::collections::BTreeMap;

use trials::count;
use trials::simulation::run;

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
    for ((call, fate), times) in met.iter().filter(|((_, fate), _)| *fate != "none") {
        println!("{call:<24} {fate:<24} {times:>8}");
    }
    println!("{answered} calls answered, {killed} kills");
    assert!(killed > 0 && answered > 0);
    for fate in [
        "fails before",
        "fails inside",
        "kept, outcome unknown",
        "lost, outcome unknown",
        "is delayed",
        "killed before",
        "killed after",
    ] {
        let times: u64 = met.iter().filter(|((_, known), _)| *known == fate).map(|(_, times)| times).sum();
        assert!(times > 0, "never: {fate}");
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
    for seed in 0..10 {
        let found = run(seed, true);
        let lied =
            found.met.iter().any(|((call, fate), _)| call == "write gate" && *fate == "answered, not kept");
        assert!(!lied || !found.broken.is_empty(), "seed {seed}: {:#?}", found.met);
    }
}
