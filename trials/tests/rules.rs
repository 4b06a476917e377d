//! Every rule of a raffle, drawn for real, and replayed by both verifiers.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use raffle::entry::Request;
use raffle::error::Error;
use raffle::raffles::DrawRequest;
use raffle::standing::Attested;
use raffle::stock::Order;
use records::audit::Actor;
use tokio::task::JoinSet;
use trials::profile::Profile;
use trials::{NOON_MS, Trial, verify_in_python, verify_lines};

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

/// A raffle of one prize `a` that every draw picks, and `b` that nothing does, with more lines.
fn document(a: &str, more: &str) -> String {
    format!(
        "raffle: r\ntitle: R\ndenominator: 1\nprizes:\n  - {{id: a, title: A, weight: 1, {a}}}\n  - {{id: b, title: B, weight: 0, stock: unlimited, consolation: true}}\n{more}"
    )
}

/// Documents in which `b` is the fallback of the whole raffle.
fn with_fallback(a: &str, more: &str) -> String {
    document(a, &format!("when_exhausted: {{policy: fallback, prize: b}}\n{more}"))
}

async fn open(profile: Profile, text: &str) -> Trial {
    let trial = Trial::open_on(profile).await;
    trial.publish(text, "p").await.expect("publish");
    trial
}

/// Draws one after the other as somebody; answers the prizes as one word, `-` for none and `!` for a refusal.
async fn draw(trial: &Trial, who: &str, key: &str, draws: usize) -> String {
    let mut seen = String::new();
    for number in 0..draws {
        match trial.draw("r", who, &format!("{key}{number}")).await {
            Ok(drawn) => seen.push_str(drawn.draw.prize.as_deref().unwrap_or("-")),
            Err(_) => seen.push('!'),
        }
    }
    seen
}

/// Reveals, and has both verifiers replay everything.
async fn replay(trial: Trial) {
    trial.reveal("r", "reveal").await;
    let lines = trial.evidence("r").await;
    let report = verify_lines(&lines);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let (told, accepted) = verify_in_python(&lines);
    assert!(accepted, "{told}");
    assert_eq!(
        (told["verified"].as_u64(), told["attested"].as_u64()),
        (Some(report.verified), Some(report.attested))
    );
    trial.house.close().await;
}

async fn a_cap_holds_for_each_participant_and_day(profile: Profile) {
    let trial = open(profile, &with_fallback("stock: unlimited, cap: {wins: 2, per: day}", "")).await;
    assert_eq!(draw(&trial, "ada", "x", 4).await, "aabb");
    assert_eq!(draw(&trial, "bob", "x", 3).await, "aab");
    trial.clock.set(NOON_MS + DAY_MS);
    assert_eq!(draw(&trial, "ada", "y", 3).await, "aab");
    replay(trial).await;
    let trial = open(profile, &with_fallback("stock: 9, cap: {wins: 2, per: campaign}", "")).await;
    assert_eq!(draw(&trial, "ada", "x", 3).await, "aab");
    trial.clock.set(NOON_MS + DAY_MS);
    assert_eq!(draw(&trial, "ada", "y", 1).await, "b");
    replay(trial).await;
}

async fn a_win_is_followed_by_none_for_the_interval(profile: Profile) {
    let trial = open(profile, &with_fallback("stock: unlimited", "win_interval_seconds: 60\n")).await;
    assert_eq!(draw(&trial, "ada", "x", 3).await, "abb", "a consolation is no win");
    trial.clock.set(NOON_MS + 59 * SECOND_MS);
    assert_eq!(draw(&trial, "ada", "y", 1).await, "b");
    trial.clock.set(NOON_MS + 60 * SECOND_MS);
    assert_eq!(draw(&trial, "ada", "z", 2).await, "ab");
    replay(trial).await;
}

async fn stock_is_released_in_time(profile: Profile) {
    let slots = "stock: 5, release: {slots: [{from: \"2026-11-23T12:00:00\", units: 2}, {from: \"2026-11-23T13:00:00\", units: 2}]}";
    let trial = open(profile, &with_fallback(slots, "")).await;
    assert_eq!(draw(&trial, "ada", "x", 3).await, "aab");
    trial.clock.set(NOON_MS + 3_600 * SECOND_MS - 1);
    assert_eq!(draw(&trial, "ada", "y", 1).await, "b");
    trial.clock.set(NOON_MS + 3_600 * SECOND_MS);
    assert_eq!(draw(&trial, "ada", "z", 3).await, "aab");
    assert_eq!(trial.stock("r", "a").await, (4, 1));
    replay(trial).await;

    let daily = with_fallback(
        "stock: 9, release: {every_day: 2}",
        "window: {from: \"2026-11-22T18:00:00\"}\ntime_zone: Asia/Shanghai\n",
    );
    let trial = open(profile, &daily).await;
    assert_eq!(draw(&trial, "ada", "x", 5).await, "aaaab", "yesterday's are there too");
    trial.clock.set(NOON_MS + DAY_MS);
    assert_eq!(draw(&trial, "ada", "y", 3).await, "aab");
    replay(trial).await;
}

async fn a_budget_is_never_exceeded(profile: Profile) {
    let degrade = "budget: {amount: 25, when_spent: degrade}\n";
    let trial = open(profile, &with_fallback("stock: unlimited, cost: 10", degrade)).await;
    assert_eq!(draw(&trial, "ada", "x", 4).await, "aabb");
    trial.order("r", Order::RaiseBudget { amount: 5 }, "o").await.expect("raise");
    assert_eq!(draw(&trial, "ada", "y", 2).await, "ab");
    replay(trial).await;

    let stop = "budget: {amount: 25, when_spent: stop}\n";
    let trial = open(profile, &document("stock: 100, cost: 10", &format!("{stop}no_win_tree: t\nrule_trees: {{t: {{start: f, nodes: {{f: {{kind: fallback, prize: b}}}}, edges: []}}}}\n"))).await;
    assert_eq!(draw(&trial, "ada", "x", 4).await, "aa!!");
    assert_eq!(trial.draw("r", "ada", "x2").await.err(), Some(Error::BudgetSpent));
    trial.order("r", Order::RaiseBudget { amount: 5 }, "o").await.expect("raise");
    assert_eq!(trial.prize("r", "ada", "x2").await, "a", "what was refused may be asked again");
    replay(trial).await;
}

async fn who_waited_long_enough_is_due(profile: Profile) {
    let trees = "rule_trees:\n  wait: {start: p, nodes: {p: {kind: pity, prize: a, after: 3}, give: {kind: fallback, prize: a}}, edges: [{from: p, on: due, to: give}]}\n";
    let text = format!(
        "raffle: r\ntitle: R\ndenominator: 1000000\nwhen_weights_differ: no_win\nprizes:\n  - {{id: a, title: A, weight: 1, stock: 100}}\nno_win_tree: wait\n{trees}"
    );
    let trial = open(profile, &text).await;
    assert_eq!(draw(&trial, "ada", "x", 9).await, "---a---a-");
    assert_eq!(draw(&trial, "bob", "x", 4).await, "---a");
    replay(trial).await;
}

async fn a_milestone_is_met_exactly_once_however_many_draw_at_once(profile: Profile) {
    let tree = "rule_tree: m, stock: 100";
    let trees = "rule_trees:\n  m: {start: m, nodes: {m: {kind: milestone, draws: [10, 50]}, other: {kind: fallback, prize: b}}, edges: [{from: m, on: missed, to: other}]}\n";
    let trial = Arc::new(open(profile, &document(tree, trees)).await);
    let mut crowd = JoinSet::new();
    for number in 0..100 {
        let trial = Arc::clone(&trial);
        crowd.spawn(async move {
            let drawn = trial.draw("r", "ada", &format!("k{number}")).await.expect("a draw");
            (drawn.draw.number, drawn.draw.prize.as_deref() == Some("a"))
        });
    }
    let mut won: Vec<_> = crowd.join_all().await.into_iter().filter(|(_, a)| *a).map(|(n, _)| n).collect();
    won.sort_unstable();
    assert_eq!(won, [10, 50]);
    let trial = Arc::into_inner(trial).expect("nobody else");
    replay(trial).await;
}

async fn what_cannot_be_had_is_dealt_with_as_the_rules_say(profile: Profile) {
    let text = |policy: &str| {
        format!(
            "raffle: r\ntitle: R\ndenominator: 100\nprizes:\n  - {{id: a, title: A, weight: 98, stock: 3}}\n  - {{id: b, title: B, weight: 1, stock: 5}}\n  - {{id: c, title: C, weight: 1, stock: unlimited}}\nwhen_exhausted: {{{policy}}}\n"
        )
    };
    for (policy, expected) in [
        ("policy: no_win", "a3 -"),
        ("policy: fallback, prize: c", "a3 c"),
        ("policy: renormalise", "a3 b5 c"),
    ] {
        let trial = open(profile, &text(policy)).await;
        let mut won: BTreeMap<String, u32> = BTreeMap::new();
        for number in 0..60 {
            *won.entry(trial.prize("r", "ada", &format!("k{number}")).await).or_default() += 1;
        }
        for told in expected.split(' ') {
            let (prize, count) = told.split_at(1);
            let found = won.get(prize).copied().unwrap_or(0);
            let right = if count.is_empty() { found > 30 } else { found.to_string() == count };
            assert!(right, "{policy}: {won:?}");
        }
        replay(trial).await;
    }
}

async fn ask(trial: &Trial, who: &str, key: &str, attested: Attested, parts: u32) -> Result<String, Error> {
    let asked = DrawRequest {
        raffle: "r".to_owned(),
        participant: who.to_owned(),
        client_seed: None,
        attested,
        parts,
        request: Request { key: key.to_owned(), body_hash: [0; 32], actor: Actor::house() },
    };
    let drawn = trial.house.raffles.draw(asked).await?;
    let all = std::iter::once(&drawn.draw).chain(&drawn.more);
    Ok(all.map(|draw| draw.prize.as_deref().unwrap_or("-")).collect())
}

fn level(level: &str) -> Attested {
    Attested { attributes: BTreeMap::from([("level".to_owned(), level.to_owned())]), ..Attested::default() }
}

async fn rules_of_eligibility_refuse_in_their_order_and_use_no_ticket(profile: Profile) {
    let more = "tickets: {total: 2}\nattributes: [level]\neligibility:\n  - {kind: deny_list, participants: [mallory]}\n  - {kind: allow_list, participants: [ada, bob, mallory]}\n  - {kind: attribute, attribute: level, one_of: [gold]}\n";
    let trial = open(profile, &with_fallback("stock: 50, rule_tree: t", &format!("{more}rule_trees: {{t: {{start: l, nodes: {{l: {{kind: attribute, attribute: level, one_of: [gold]}}}}, edges: []}}}}\n"))).await;
    let refused = async |who: &str, told: Attested| match ask(&trial, who, "k", told, 1).await {
        Err(Error::NotEligible(refusal)) => refusal.rule,
        _ => "",
    };
    assert_eq!(refused("mallory", level("gold")).await, "deny_list");
    assert_eq!(refused("eve", level("gold")).await, "allow_list");
    assert_eq!(refused("ada", Attested::default()).await, "attribute");
    assert_eq!(refused("ada", level("silver")).await, "attribute");
    assert_eq!(ask(&trial, "ada", "k", level("gold"), 1).await, Ok("a".to_owned()));
    let stranger = Attested {
        attributes: BTreeMap::from([("shoe_size".to_owned(), "44".to_owned())]),
        ..Attested::default()
    };
    assert_eq!(
        ask(&trial, "ada", "s", stranger, 1).await,
        Err(Error::UnknownAttribute("shoe_size".to_owned()))
    );
    assert_eq!(ask(&trial, "ada", "k2", level("gold"), 1).await, Ok("a".to_owned()));
    assert!(ask(&trial, "ada", "k3", level("gold"), 1).await.is_err(), "two tickets, two draws");
    replay(trial).await;
}

async fn a_custom_metric_chooses_the_tier(profile: Profile) {
    let more = "metrics: [steps]\nodds_tiers: {metric: steps, mode: at_least, tiers: [{threshold: 10, prizes: [a]}]}\n";
    let text = document("stock: 50", more)
        .replace("denominator: 1\n", "denominator: 1000000\nwhen_weights_differ: no_win\n");
    let text = text.replace("weight: 0, stock: unlimited, consolation: true", "weight: 1, stock: unlimited");
    let trial = open(profile, &text).await;
    let steps =
        |steps| Attested { metrics: BTreeMap::from([("steps".to_owned(), steps)]), ..Attested::default() };
    assert_eq!(ask(&trial, "ada", "1", steps(9), 1).await, Ok("-".to_owned()));
    assert_eq!(ask(&trial, "ada", "2", steps(10), 1).await, Ok("a".to_owned()));
    assert_eq!(ask(&trial, "ada", "3", Attested::default(), 1).await, Ok("-".to_owned()));
    replay(trial).await;
}

async fn velocity_says_when_to_come_back(profile: Profile) {
    let rules = "eligibility:\n  - {kind: velocity, draws: 2, seconds: 60}\n  - {kind: velocity, draws: 4, seconds: 600}\n";
    let trial = open(profile, &with_fallback("stock: unlimited", rules)).await;
    assert_eq!(draw(&trial, "ada", "x", 3).await, "aa!");
    let Err(Error::NotEligible(refusal)) = trial.draw("r", "ada", "x2").await else {
        unreachable!("a third draw");
    };
    let told_ms = NOON_MS + refusal.retry_ms.expect("a time");
    trial.clock.set(told_ms - 1);
    assert_eq!(draw(&trial, "ada", "w", 1).await, "!");
    trial.clock.set(told_ms);
    assert_eq!(draw(&trial, "ada", "y", 1).await, "a");
    // A clock that is set back makes nobody's draws undone.
    trial.clock.set(told_ms - 30 * SECOND_MS);
    assert_eq!(draw(&trial, "ada", "z", 2).await, "a!");
    trial.clock.set(told_ms);
    let Err(Error::NotEligible(refusal)) = trial.draw("r", "ada", "y2").await else {
        unreachable!("a fifth draw");
    };
    let told_ms = told_ms + refusal.retry_ms.expect("a time");
    assert!(told_ms > NOON_MS + 600 * SECOND_MS, "both rules have to let it pass");
    trial.clock.set(told_ms - 1);
    assert_eq!(draw(&trial, "ada", "v", 1).await, "!");
    trial.clock.set(told_ms);
    assert_eq!(draw(&trial, "ada", "u", 3).await, "aa!");
    assert_eq!(draw(&trial, "bob", "x", 1).await, "a");
    replay(trial).await;
}

async fn without_tickets_nobody_draws(profile: Profile) {
    for tickets in ["total: 0", "per_day: 0"] {
        let trial = open(profile, &with_fallback("stock: 5", "")).await;
        assert_eq!(draw(&trial, "ada", "x", 1).await, "a");
        let lines = {
            trial.reveal("r", "reveal").await;
            trial.evidence("r").await
        };
        let (place, limit) = tickets.split_once(": ").expect("a limit");
        let written = format!("\\\"{place}\\\":null");
        let forged: Vec<_> =
            lines.iter().map(|line| line.replace(&written, &format!("\\\"{place}\\\":{limit}"))).collect();
        assert_ne!(forged, lines, "the rules stand in the header");
        let reason = "without a ticket";
        let (told, accepted) = verify_in_python(&forged);
        assert!(!accepted && told.to_string().contains(reason), "{told}");
        let trial = open(profile, &with_fallback("stock: 5", &format!("tickets: {{{tickets}}}\n"))).await;
        assert_eq!(draw(&trial, "ada", "x", 1).await, "!");
        replay(trial).await;
    }
}

async fn lists_of_a_prize_keep_it_for_some_and_from_others(profile: Profile) {
    let lists = "stock: 50, only_for: [ada, bob, mallory], never_for: [mallory]";
    let trial = open(profile, &with_fallback(lists, "")).await;
    for (who, expected) in [("ada", "a"), ("bob", "a"), ("mallory", "b"), ("eve", "b")] {
        assert_eq!(draw(&trial, who, "x", 1).await, expected, "{who}");
    }
    replay(trial).await;
}

async fn several_draws_of_one_request_are_all_made_or_none(profile: Profile) {
    let trial =
        open(profile, &with_fallback("stock: 7", "tickets: {total: 15}\nepoch: {entries_max: 1000}\n")).await;
    assert_eq!(ask(&trial, "ada", "ten", Attested::default(), 10).await, Ok("aaaaaaabbb".to_owned()));
    assert_eq!(
        ask(&trial, "ada", "ten", Attested::default(), 10).await,
        Ok("aaaaaaabbb".to_owned()),
        "the same key, the same answer"
    );
    assert!(ask(&trial, "ada", "too many", Attested::default(), 6).await.is_err());
    let standing = trial.house.raffles.standing("r").await.expect("a raffle");
    assert_eq!(
        standing.entries, 12,
        "the stock, the opening and ten draws: a refused request leaves nothing"
    );
    assert_eq!(ask(&trial, "ada", "five", Attested::default(), 5).await, Ok("bbbbb".to_owned()));
    assert_eq!(ask(&trial, "bob", "hundred", Attested::default(), 15).await, Ok("b".repeat(15)));

    // Many at once, beside each other in one batch, some of them refused.
    let trial = Arc::new(trial);
    let mut crowd = JoinSet::new();
    for number in 0..40u32 {
        let trial = Arc::clone(&trial);
        crowd.spawn(async move {
            let who = format!("p{}", number % 8);
            ask(&trial, &who, &format!("k{number}"), Attested::default(), 4).await.is_ok()
        });
    }
    let made = crowd.join_all().await.into_iter().filter(|made| *made).count();
    assert_eq!(made, 24, "three times four fit into fifteen tickets");
    let trial = Arc::into_inner(trial).expect("nobody else");
    replay(trial).await;
}

async fn a_promise_is_kept_once_stands_in_the_log_and_needs_rules_that_allow_it(profile: Profile) {
    let text = with_fallback("stock: 50", "");
    let trial = open(profile, &text).await;
    let player = trial.house.raffles.player_key("r", "ada").await.expect("a key");
    let promise_of = |prize: &str| Order::Promise { player, prize: prize.to_owned() };
    assert_eq!(trial.order("r", promise_of("a"), "o").await, Err(Error::PromisesForbidden));
    // A prize that nothing but a promise gives.
    let text = text.replace("prizes:\n", "prizes:\n  - {id: car, title: Car, weight: 0, stock: 1}\n");
    trial.publish(&format!("{text}guaranteed_winners: allowed\n"), "p2").await.expect("publish");
    let promise = || promise_of("car");
    let carried = trial.order("r", promise(), "o").await.expect("a promise");
    assert_eq!((carried.event.kind, carried.event.pseudonym), ("promised", player.1.to_vec()));
    assert!(trial.order("r", promise(), "o").await.expect("a repeat").replayed);
    assert_eq!(draw(&trial, "bob", "x", 1).await, "a");
    assert_eq!(draw(&trial, "ada", "x", 3).await, "caraa");
    trial.order("r", promise(), "o2").await.expect("a promise");
    assert_eq!(draw(&trial, "ada", "y", 1).await, "a", "no car is left: the promise waits");
    trial.order("r", Order::Restock { prize: "car".to_owned(), units: 1 }, "o3").await.expect("restock");
    assert_eq!(draw(&trial, "ada", "z", 2).await, "cara");
    replay(trial).await;
}

trials::in_each_profile!(
    a_cap_holds_for_each_participant_and_day,
    a_win_is_followed_by_none_for_the_interval,
    stock_is_released_in_time,
    a_budget_is_never_exceeded,
    who_waited_long_enough_is_due,
    a_milestone_is_met_exactly_once_however_many_draw_at_once,
    what_cannot_be_had_is_dealt_with_as_the_rules_say,
    rules_of_eligibility_refuse_in_their_order_and_use_no_ticket,
    a_custom_metric_chooses_the_tier,
    velocity_says_when_to_come_back,
    without_tickets_nobody_draws,
    lists_of_a_prize_keep_it_for_some_and_from_others,
    several_draws_of_one_request_are_all_made_or_none,
    a_promise_is_kept_once_stands_in_the_log_and_needs_rules_that_allow_it,
);
