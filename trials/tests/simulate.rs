//! What a simulation forecasts is what the product then does.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::fault::Classify;
use raffle::simulate::{Arrival, Interval, Report, Scenario, Simulation};
use tokio::task::JoinSet;
use trials::{NOON_MS, Trial, example};

/// 2026-11-24T00:00:00 in Asia/Shanghai: a local day is then 24 hours of the scenario.
const MIDNIGHT_MS: i64 = NOON_MS + 4 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

const RUNS: u32 = 300;

/// Everything that moves an outcome away from plain odds: stock, tiers, caps, a budget, tickets, a fallback.
const EVERYTHING: &str = "raffle: everything\ntitle: Everything\ntime_zone: Asia/Shanghai\ndenominator: 100\nwhen_weights_differ: no_win\nprizes:\n  - {id: car, title: Car, weight: 3, stock: 50, cost: 900000, cap: {wins: 1, per: campaign}}\n  - {id: mug, title: Mug, weight: 20, stock: 400, cost: 700, cap: {wins: 1, per: day}}\n  - {id: pen, title: Pen, weight: 30, stock: unlimited, cost: 20, consolation: true}\n  - {id: hat, title: Hat, weight: 10, stock: 900, cost: 900, rule_tree: later}\nrule_trees:\n  later: {start: lock, nodes: {lock: {kind: unlock, after: 2, per: day}}, edges: []}\nodds_tiers: {metric: draws_made, mode: exact, tiers: [{threshold: 5, prizes: [car, mug]}]}\ntickets: {total: 12}\nbudget: {amount: 35000000, when_spent: degrade}\nwhen_exhausted: {policy: fallback, prize: pen}\n";

/// How far a count may be from its forecast.
///
/// Bernstein's inequality: a count to which every draw adds at most 1 is further than this from its mean with a
/// probability below `2 exp(-L)`, and `L` is 20: 4e-9 for each of at most 30 counts below, 1.3e-7 for all. The deviation is
/// the one of 300 runs; 1.3 times that is too little once in 1e10. So a right product fails less than once in 1e6.
/// The inequality is about draws that do not depend on each other. Here they do through stock, caps and the budget, which
/// hold counts together rather than drive them apart; the deviation is measured with them.
fn margin(of: &Interval<u64>) -> f64 {
    let (l, deviation) = (20.0, of.deviation * 1.3);
    l / 3.0 + (l * l / 9.0 + 2.0 * l * deviation * deviation).sqrt()
}

fn forecast(text: &str, scenario: Scenario, runs: u32) -> Report {
    let document = raffle::document::read(text).expect("a document");
    let simulation = Simulation::of(&document, scenario).expect("a simulation");
    let runs: Vec<_> = (0..runs).map(|run| simulation.play(run, &|_| {})).collect();
    Report::of(&simulation, &runs).expect("runs")
}

/// Draws for real, day by day, participants in turns. Those of one day draw at once.
async fn for_real(text: &str, raffle: &str, scenario: &Scenario) -> BTreeMap<String, u64> {
    let (draws, per_day) = (scenario.draws.expect("draws"), scenario.draws_per_day.expect("a pace"));
    let participants = u64::from(scenario.participants.expect("participants"));
    let trial = Arc::new(Trial::open().await);
    trial.publish(text, "p").await.expect("publish");
    let mut seen = BTreeMap::new();
    for day in 0..draws.div_ceil(per_day) {
        trial.clock.set(MIDNIGHT_MS + i64::try_from(day).expect("few") * DAY_MS + DAY_MS / 2);
        let mut crowd = JoinSet::new();
        for number in day * per_day..draws.min((day + 1) * per_day) {
            let (trial, raffle) = (Arc::clone(&trial), raffle.to_owned());
            crowd.spawn(async move {
                let who = format!("participant-{}", number % participants);
                match trial.draw(&raffle, &who, &format!("k{number}")).await {
                    Ok(drawn) => drawn.draw.prize.as_deref().unwrap_or("-").to_owned(),
                    Err(error) => error.code().to_owned(),
                }
            });
        }
        for outcome in crowd.join_all().await {
            *seen.entry(outcome).or_default() += 1;
        }
    }
    Arc::into_inner(trial).expect("nobody else").house.close().await;
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_run_lies_within_the_forecast() {
    let late = example("late-100006-repaired");
    for (text, raffle, draws, participants) in
        [(late.as_str(), "late-100006-repaired", 4_000, 200), (EVERYTHING, "everything", 4_000, 300)]
    {
        let scenario = Scenario {
            draws: Some(draws),
            participants: Some(participants),
            arrival: Arrival::Turns,
            draws_per_day: Some(1_000),
            start_ms: Some(MIDNIGHT_MS),
            ..Scenario::default()
        };
        let report = forecast(text, scenario.clone(), RUNS);
        let seen = for_real(text, raffle, &scenario).await;
        let expected = report.intervals.outcomes.iter().chain(&report.intervals.refused);
        let mut known = 0;
        for (outcome, of) in expected {
            let found = seen.get(outcome).copied().unwrap_or(0);
            known += found;
            let away = (found as f64 - of.mean).abs();
            assert!(away <= margin(of), "{raffle}, {outcome}: {found}, forecast {of:?} +- {}", margin(of));
        }
        assert_eq!(known, draws, "an outcome that was not forecast: {seen:?}");
        assert_eq!(report.outcomes.values().chain(report.refused.values()).sum::<u64>(), draws);
    }
}

/// A forecast that nothing could miss would prove nothing.
#[test]
fn another_document_lies_outside() {
    let scenario = Scenario {
        draws: Some(4_000),
        participants: Some(300),
        arrival: Arrival::Turns,
        draws_per_day: Some(1_000),
        start_ms: Some(MIDNIGHT_MS),
        ..Scenario::default()
    };
    let right = forecast(EVERYTHING, scenario.clone(), 40);
    for (from, to, outcome) in [
        ("stock: 50,", "stock: 20,", "car"),
        ("amount: 35000000", "amount: 10000000", "car"),
        ("weight: 30", "weight: 38", "pen"),
        ("after: 2, per: day", "after: 1, per: day", "hat"),
        ("tickets: {total: 12}", "tickets: {total: 13}", "campaign.tickets_used"),
        ("cap: {wins: 1, per: day}", "cap: {wins: 1, per: campaign}", "mug"),
    ] {
        assert!(EVERYTHING.contains(from));
        let wrong = forecast(&EVERYTHING.replace(from, to), Scenario { seed: 9, ..scenario.clone() }, 40);
        let of = |report: &Report| {
            let counts = report.intervals.outcomes.get(outcome).or(report.intervals.refused.get(outcome));
            *counts.expect("the outcome")
        };
        let (right, wrong) = (of(&right), of(&wrong));
        let away = (right.mean - wrong.mean).abs();
        assert!(away > margin(&right), "{from}: {right:?}, {wrong:?}");
    }
}
