//! Seeded runs of campaigns, webhooks and switches over ports that fail.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use trials::count;
use trials::market::{Met, run};
use trials::stage::Found;

/// The runs of so many seeds, on two threads.
fn runs(seeds: u64) -> Vec<(Found, Met)> {
    let some = |first: u64| {
        let run = |seed| {
            let (found, met) = run(seed, false);
            assert!(found.broken.is_empty(), "seed {seed}: {:#?}", found.broken);
            (found, met)
        };
        (first..seeds).step_by(2).map(run).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads = [0, 1].map(|first| scope.spawn(move || some(first)));
        threads.into_iter().flat_map(|thread| thread.join().expect("no seed that breaks")).collect()
    })
}

#[test]
fn whatever_fails_acts_webhooks_and_switches_keep_their_word() {
    let mut met: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let (mut answered, mut killed, mut held_back, mut downs, mut taken) = (0, 0, 0, 0, 0);
    let (mut spent, mut orders, mut brought) = (0, [0; 3], 0);
    for (found, told) in runs(count(100, 1_000) as u64) {
        for ((call, fate), _) in found.met {
            met.entry(fate).or_default().insert(call);
        }
        answered += found.answered;
        killed += found.killed;
        held_back += told.held_back;
        downs += told.downs;
        taken += told.taken;
        spent += u64::from(told.spent);
        brought += told.brought;
        for (sum, orders) in orders.iter_mut().zip(told.orders) {
            *sum += orders;
        }
    }
    let told = format!(
        "\n{answered} calls answered, {killed} kills, {held_back} held back, {downs} endpoints down, {taken} webhooks taken, \
         {spent} budgets spent, {brought} brought, orders paid, given up and over: {orders:?}\n"
    );
    // Written past the harness, which keeps back what a passing test prints.
    std::io::stdout().lock().write_all(told.as_bytes()).expect("standard output");
    let much = [answered, killed, held_back, downs, taken, spent, brought, orders[0], orders[1], orders[2]];
    assert!(much.iter().all(|count| *count > 0), "something was never met: {much:?}");
    for (fate, calls) in [
        ("fails before", &["write", "read", "publish", "deliver", "ask", "fill"][..]),
        ("fails inside", &["write campaign_head", "write endpoint", "deliver", "publish"]),
        ("kept, outcome unknown", &["write campaign_head", "write endpoint", "write revision", "deliver"]),
        ("lost, outcome unknown", &["write campaign_head", "write endpoint", "write revision", "deliver"]),
        ("killed before", &["write", "read", "publish", "deliver"]),
        ("killed after", &["write campaign_head", "publish", "deliver"]),
    ] {
        let known = met.get(fate).cloned().unwrap_or_default();
        let missed: Vec<_> = calls.iter().filter(|call| !known.contains(**call)).collect();
        assert!(missed.is_empty(), "`{fate}` never befell {missed:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 7, 42] {
        assert_eq!(run(seed, false).0.trace, run(seed, false).0.trace, "seed {seed}");
    }
    assert_ne!(run(1, false).0.trace, run(2, false).0.trace);
}

/// A checker that finds nothing wrong in a world that answers before it keeps would be no checker. A lie that nobody was
/// told, such as that an order is over, makes itself good: what is over is ended at the next look.
#[test]
fn an_answer_before_its_commit_is_found() {
    let found_out = (0..10).filter(|seed| !run(*seed, true).0.broken.is_empty()).count();
    assert!(found_out >= 6, "{found_out} of ten that lied were found out");
}
