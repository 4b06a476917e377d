//! A dry run writes nothing, and says of a participant what their next draw then does.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;

use kernel::fault::Classify;
use kernel::id::Shard;
use raffle::dry_run::{DryRun, DryRunRequest};
use raffle::entry::decode_trace;
use raffle::error::Error;
use raffle::odds::Fraction;
use raffle::standing::Attested;
use raffle::stock::Order;
use records::port::read;
use trials::{NOON_MS, Trial, example};

async fn dry_run_with(trial: &Trial, raffle: &str, who: &str, attested: Attested) -> DryRun {
    let (raffle, participant) = (raffle.to_owned(), who.to_owned());
    let now_ms = kernel::ports::clock::Clock::now_ms(&*trial.clock);
    let asked = DryRunRequest { raffle, participant, attested, now_ms };
    trial.house.raffles.dry_run(asked).await.expect("a dry run")
}

async fn dry_run(trial: &Trial, raffle: &str, who: &str) -> DryRun {
    dry_run_with(trial, raffle, who, Attested::default()).await
}

/// The odds that are not zero, or the code of the refusal, in one line.
async fn odds(trial: &Trial, who: &str) -> String {
    match dry_run(trial, "r", who).await.chances {
        Ok(chances) => {
            sums_to_one(chances.odds.values());
            sums_to_one(chances.candidates.iter().map(|candidate| &candidate.odds));
            let can_be = chances.odds.iter().filter(|(_, odds)| odds.numerator > 0);
            can_be.map(|(prize, odds)| format!("{prize} {odds}")).collect::<Vec<_>>().join(", ")
        }
        Err(error) => error.code().to_owned(),
    }
}

fn sums_to_one<'a>(odds: impl Iterator<Item = &'a Fraction>) {
    let (mut above, mut below) = (0u128, 1u128);
    for Fraction { numerator, denominator } in odds {
        above = above * u128::from(*denominator) + u128::from(*numerator) * below;
        below *= u128::from(*denominator);
        let divisor = divisor(above, below);
        (above, below) = (above / divisor, below / divisor);
    }
    assert_eq!((above, below), (1, 1));
}

fn divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Everything that the database holds of raffles.
async fn everything(trial: &Trial) -> String {
    let tables = [
        "gate",
        "segment",
        "machine",
        "timer",
        "outbox",
        "outbox_aside",
        "inbox",
        "raffle",
        "raffle_version",
        "raffle_epoch",
        "raffle_prize",
        "gate_event",
        "draw",
        "player",
        "player_key",
    ];
    read(&*trial.house.records(), Shard::HOME, move |tx| {
        Box::pin(async move {
            let mut all = String::new();
            for table in tables {
                all.push_str(&format!("{:?}", tx.fetch(&format!("SELECT * FROM {table}"), &[]).await?));
            }
            Ok::<_, Error>(all)
        })
    })
    .await
    .expect("rows")
}

fn document(a: &str, more: &str) -> String {
    format!(
        "raffle: r\ntitle: R\ndenominator: 4\nwhen_weights_differ: no_win\nprizes:\n  - {{id: a, title: A, weight: 1, {a}}}\n  - {{id: b, title: B, weight: 1, stock: unlimited, consolation: true}}\n{more}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_prize_from_somebody_shows_as_zero() {
    let lock = "rule_trees: {t: {start: l, nodes: {l: {kind: unlock, after: 1, per: day}, f: {kind: fallback, prize: b}}, edges: [{from: l, on: locked, to: f}]}}\n";
    let fallback = "when_exhausted: {policy: fallback, prize: b}\n";
    let wait = "no_win_tree: w\nrule_trees: {w: {start: p, nodes: {p: {kind: pity, prize: a, after: 3}, g: {kind: fallback, prize: a}}, edges: [{from: p, on: due, to: g}]}}\n";
    // What the document says, how often Ada draws first, and her odds then.
    let cases = [
        ("stock: 9", "", 0, "- 1/2, a 1/4, b 1/4"),
        ("stock: 0", "", 0, "- 3/4, b 1/4"),
        ("stock: 0", fallback, 0, "- 1/2, b 1/2"),
        ("stock: 0", "when_exhausted: {policy: renormalise}\n", 0, "- 2/3, b 1/3"),
        ("stock: 9, never_for: [ada]", "", 0, "- 3/4, b 1/4"),
        ("stock: 9, only_for: [bob]", fallback, 0, "- 1/2, b 1/2"),
        ("stock: 9, rule_tree: t", lock, 0, "- 1/2, b 1/2"),
        ("stock: 9, rule_tree: t", lock, 1, "- 1/2, a 1/4, b 1/4"),
        ("stock: 9", "deny_list: {participants: [ada], prize: b}\n", 0, "b 1"),
        (
            "stock: 9",
            "odds_tiers: {metric: draws_made, mode: exact, tiers: [{threshold: 3, prizes: [a]}]}\n",
            2,
            "a 1",
        ),
        ("stock: 9", "eligibility: [{kind: deny_list, participants: [ada]}]\n", 0, "raffle.not_eligible"),
        ("stock: 9", "eligibility: [{kind: velocity, draws: 2, seconds: 60}]\n", 2, "raffle.too_often"),
        ("stock: 9", "tickets: {total: 2}\n", 2, "campaign.tickets_used"),
        ("stock: 9, cost: 5", "budget: {amount: 3, when_spent: degrade}\n", 0, "- 3/4, b 1/4"),
        ("stock: 9, cost: 5", "window: {from: \"2026-11-24T00:00:00\"}\n", 0, "campaign.not_begun"),
    ];
    for (a, more, draws, expected) in cases {
        let trial = Trial::open().await;
        trial.publish(&document(a, more), "p").await.expect("publish");
        for number in 0..draws {
            trial.prize("r", "ada", &format!("k{number}")).await;
        }
        assert_eq!(odds(&trial, "ada").await, expected, "{a} {more}");
        trial.house.close().await;
    }

    let trial = Trial::open().await;
    trial.publish(&document("stock: 9, cap: {wins: 1, per: day}", fallback), "p").await.expect("publish");
    for number in 0.. {
        if trial.prize("r", "ada", &format!("k{number}")).await == "a" {
            break;
        }
    }
    assert_eq!(odds(&trial, "ada").await, "- 1/2, b 1/2", "one a day is what she may win");
    assert_eq!(odds(&trial, "bob").await, "- 1/2, a 1/4, b 1/4");
    trial.clock.set(NOON_MS + 86_400_000);
    assert_eq!(odds(&trial, "ada").await, "- 1/2, a 1/4, b 1/4");
    trial.house.close().await;

    let trial = Trial::open().await;
    trial.publish(&document("stock: 900", wait), "p").await.expect("publish");
    let mut waited = 0;
    for number in 0..40 {
        let due = if waited >= 3 { "a 3/4, b 1/4" } else { "- 1/2, a 1/4, b 1/4" };
        assert_eq!(odds(&trial, "ada").await, due, "after {waited} draws without it");
        waited = if trial.prize("r", "ada", &format!("k{number}")).await == "a" { 0 } else { waited + 1 };
    }
    trial.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_do_shows_at_once() {
    let trial = Trial::open().await;
    let text = document(
        "stock: 9",
        "guaranteed_winners: allowed\nattributes: [level]\neligibility: [{kind: attribute, attribute: level, one_of: [gold]}]\n",
    );
    trial.publish(&text, "p").await.expect("publish");
    let told = |name: &str| Attested {
        attributes: BTreeMap::from([(name.to_owned(), "gold".to_owned())]),
        ..Attested::default()
    };
    let said = async |name: &str| match dry_run_with(&trial, "r", "ada", told(name)).await.chances {
        Ok(chances) => chances.odds["a"].to_string(),
        Err(error) => error.code().to_owned(),
    };
    assert_eq!(
        (said("level").await.as_str(), said("shoe").await.as_str()),
        ("1/4", "raffle.unknown_attribute")
    );
    let player = trial.house.raffles.player_key("r", "ada").await.expect("a key");
    let promise = Order::Promise { player, prize: "a".to_owned() };
    trial.order("r", promise, "o").await.expect("a promise");
    assert_eq!(said("level").await, "1");
    let freeze = |prize: Option<&str>| Order::Freeze { prize: prize.map(str::to_owned) };
    trial.order("r", freeze(Some("a")), "f1").await.expect("freeze");
    assert_eq!(said("level").await, "0", "a promise that cannot be kept waits");
    trial.order("r", freeze(None), "f2").await.expect("freeze");
    assert_eq!(said("level").await, "raffle.frozen");
    trial.house.close().await;
}

/// Before every draw of a crowd: a dry run. The draw then goes one of the ways that the dry run showed.
#[tokio::test(flavor = "multi_thread")]
async fn draws_go_the_ways_that_dry_runs_show_and_dry_runs_leave_no_trace() {
    let late = example("late-100006-repaired").replace("stock: 100,", "stock: 2,");
    let text = "raffle: r\ntitle: R\ndenominator: 10\nprizes:\n  - {id: a, title: A, weight: 5, stock: 20, cap: {wins: 2, per: day}}\n  - {id: b, title: B, weight: 3, stock: 5}\n  - {id: c, title: C, weight: 2, stock: unlimited}\ntickets: {per_day: 12}\nwhen_exhausted: {policy: renormalise}\n".to_owned();
    for (raffle, text) in [("late-100006-repaired", late), ("r", text)] {
        let trial = Trial::open().await;
        trial.publish(&text, "p").await.expect("publish");
        for number in 0..200 {
            let who = ["ada", "bob", "user001", "cleo"][number % 4];
            trial.settle().await;
            let before = everything(&trial).await;
            let foreseen = dry_run(&trial, raffle, who).await;
            assert_eq!(everything(&trial).await, before, "a dry run has written");
            let drawn = trial.draw(raffle, who, &format!("k{number}")).await;
            let (chances, drawn) = match (foreseen.chances, drawn) {
                (Ok(chances), Ok(drawn)) => (chances, drawn),
                (foreseen, drawn) => {
                    assert_eq!(foreseen.err(), drawn.err());
                    continue;
                }
            };
            assert_eq!(foreseen.number, drawn.draw.number);
            let plan = &drawn.epoch.plan;
            let (chosen, steps) = decode_trace(&drawn.draw.trace).expect("a trace");
            let way = chances.candidates.iter().find(|candidate| candidate.prize == plan.candidate(&chosen));
            let way = way.expect("the draw picked what could be picked");
            let won = way.won.map(|won| &*plan.prizes[won]);
            assert_eq!((chances.pool, &way.steps, won), (chosen.pool, &steps, drawn.draw.prize.as_deref()));
            assert!(chances.odds[drawn.draw.prize.as_deref().unwrap_or("-")].numerator > 0);
        }
        trial.house.close().await;
    }
}
