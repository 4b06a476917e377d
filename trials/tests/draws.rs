//! What a participant and an operator may rely on.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use campaign::error::Error as CampaignError;
use raffle::error::Error;
use raffle::stock::Order;
use records::audit::Actor;
use tokio::task::JoinSet;
use trials::profile::Profile;
use trials::{NOON_MS, Trial, example};

const RAFFLE: &str = "late-100006-repaired";

/// A small raffle, to be changed by each trial.
fn document(more: &str) -> String {
    format!(
        "raffle: small\ntitle: Small\ndenominator: 10\nprizes:\n  - {{id: mug, title: Mug, weight: 4, stock: 7}}\n  - {{id: pen, title: Pen, weight: 6, stock: unlimited}}\n{more}"
    )
}

async fn a_hundred_requests_with_one_key_make_one_draw(profile: Profile) {
    let trial = Arc::new(Trial::open_on(profile).await);
    trial.publish(&example(RAFFLE), "p").await.expect("publish");
    let mut crowd = JoinSet::new();
    for _ in 0..100 {
        let trial = Arc::clone(&trial);
        crowd.spawn(async move {
            let drawn = trial.draw(RAFFLE, "ada", "the key").await.expect("a draw");
            ((*drawn.draw).clone(), drawn.replayed)
        });
    }
    let answers = crowd.join_all().await;
    let first = &answers[0].0;
    assert!(answers.iter().all(|(draw, _)| draw == first), "two answers for one key");
    assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1);
    assert_eq!(first.number, 1);
    let next = trial.draw(RAFFLE, "ada", "another key").await.expect("a draw");
    assert_eq!(next.draw.number, 2, "the repeats were counted");
}

async fn a_key_answers_the_same_for_as_long_as_its_record_lives(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(&example(RAFFLE), "p").await.expect("publish");
    // More draws than keys fit into a participant's row, in one epoch and the next.
    let mut before = Vec::new();
    for number in 0..90 {
        before.push(trial.draw(RAFFLE, "ada", &format!("k{number}")).await.expect("a draw").draw);
    }
    trial.reveal(RAFFLE, "t").await;
    let trial = trial.reopen().await;
    for (number, draw) in before.iter().enumerate() {
        let again = trial.draw(RAFFLE, "ada", &format!("k{number}")).await.expect("a repeat");
        assert!(again.replayed);
        assert_eq!(again.draw, *draw);
    }
    let other_body = trial.draw_with(RAFFLE, "ada", "k5", Some(1)).await;
    assert_eq!(other_body.err(), Some(Error::KeyReused));
    let other_person = trial.draw(RAFFLE, "bob", "k5").await.expect("a key is its participant's own");
    assert!(!other_person.replayed);
    trial.house.close().await;
}

/// Draws until a prize's stock is gone and some way beyond; answers how often each prize came.
async fn exhaust(
    trial: &Trial,
    raffle: &str,
    who: impl Fn(usize) -> String,
    draws: usize,
) -> BTreeMap<String, u64> {
    let mut crowd = JoinSet::new();
    let mut won = BTreeMap::new();
    for number in 0..draws {
        let asked = raffle::raffles::DrawRequest {
            raffle: raffle.to_owned(),
            participant: who(number),
            client_seed: None,
            attested: trials::told(None),
            parts: 1,
            request: raffle::entry::Request {
                key: format!("{}-{number}", who(number)),
                body_hash: [0; 32],
                actor: Actor::house(),
            },
        };
        let raffles = trial.house.raffles.clone();
        crowd.spawn(async move { raffles.draw(asked).await.expect("a draw").draw.prize.clone() });
        if crowd.len() >= 256 {
            let prize = crowd.join_next().await.expect("one").expect("drawn");
            *won.entry(prize.as_deref().unwrap_or("-").to_owned()).or_default() += 1;
        }
    }
    for prize in crowd.join_all().await {
        *won.entry(prize.as_deref().unwrap_or("-").to_owned()).or_default() += 1;
    }
    won
}

async fn every_finite_prize_is_granted_exactly_its_stock_on_the_base_path(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    // The rarest prize, 3 in 9703, would need 300,000 draws; make it as common as its peers.
    trial.publish(&example(RAFFLE).replace("weight: 3,", "weight: 300,"), "p").await.expect("publish");
    let won = exhaust(&trial, RAFFLE, |number| format!("p{}", number % 400), 8_000).await;
    for prize in ["102", "103", "104", "105", "106", "107", "108"] {
        assert_eq!(won.get(prize), Some(&100), "{won:?}");
        assert_eq!(trial.stock(RAFFLE, prize).await, (100, 0));
    }
    assert_eq!(won.values().sum::<u64>(), 8_000);
    assert_eq!(won.get("-"), None, "the fallback never runs out");

    trial.order(RAFFLE, Order::Restock { prize: "105".to_owned(), units: 5 }, "r").await.expect("restock");
    let again = exhaust(&trial, RAFFLE, |number| format!("q{}", number % 400), 3_000).await;
    assert_eq!(again.get("105"), Some(&5), "restock 5 after sell-out grants exactly 5");
    assert_eq!(trial.stock(RAFFLE, "105").await, (105, 0));
    trial.house.close().await;
}

async fn tiers_and_the_deny_list_take_stock_and_run_dry(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let tiers = "odds_tiers: {metric: draws_made, mode: exact, tiers: [{threshold: 1, prizes: [mug]}]}\n";
    trial.publish(&document(tiers), "p").await.expect("publish");
    let won = exhaust(&trial, "small", |number| format!("p{number}"), 40).await;
    assert_eq!(won, BTreeMap::from([("-".to_owned(), 33), ("mug".to_owned(), 7)]));

    let denied = "deny_list: {participants: [mallory], prize: mug}\n";
    let denied = document(denied).replace("raffle: small", "raffle: denied");
    trial.publish(&denied, "p").await.expect("publish");
    let won = exhaust(&trial, "denied", |_| "mallory".to_owned(), 20).await;
    assert_eq!(won, BTreeMap::from([("-".to_owned(), 13), ("mug".to_owned(), 7)]));
    assert_eq!(trial.stock("denied", "mug").await, (7, 0));
    trial.house.close().await;
}

async fn exact_tiers_hold_at_their_draw_and_no_other(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(&example(RAFFLE), "p").await.expect("publish");
    for number in 1..=12 {
        let drawn = trial.draw(RAFFLE, "ada", &format!("k{number}")).await.expect("a draw");
        let (chosen, _) = raffle::entry::decode_trace(&drawn.draw.trace).expect("a trace");
        let pool = drawn.epoch.plan.pool_name(chosen.pool).expect("a pool").to_owned();
        assert_eq!(pool, if number == 10 { "10" } else { "base" }, "draw {number}");
        if number == 10 {
            assert!(matches!(drawn.draw.prize.as_deref(), Some("102" | "103")));
        }
    }
    trial.house.close().await;
}

async fn points_choose_the_highest_tier_reached(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(&example("early-100001"), "p").await.expect("publish");
    let mut pools = Vec::new();
    for points in [0, 3_999, 4_000, 4_900, 4_999, 5_000, 5_900, 6_000, u64::MAX >> 1] {
        let drawn = trial
            .draw_with("early-100001", "ada", &format!("k{points}"), Some(points))
            .await
            .expect("a draw");
        let (chosen, _) = raffle::entry::decode_trace(&drawn.draw.trace).expect("a trace");
        pools.push(drawn.epoch.plan.pool_name(chosen.pool).expect("a pool").to_owned());
    }
    assert_eq!(pools, ["base", "base", "4000", "4000", "4000", "5000", "5000", "6000", "6000"]);
    trial.house.close().await;
}

async fn unlocks_and_tickets_count_by_the_campaigns_own_day(profile: Profile) {
    for (zone, midnight_ms) in [
        // The instant at which the day after 2026-11-23 begins, in each zone.
        ("Asia/Shanghai", 1_795_449_600_000),
        ("America/New_York", 1_795_496_400_000),
        ("Pacific/Chatham", 1_795_428_900_000 + 86_400_000),
    ] {
        let trial = Trial::open_on(profile).await;
        trial.clock.set(midnight_ms - 1);
        let trees = "rule_trees: {later: {start: lock, nodes: {lock: {kind: unlock, after: 2, per: day}, stock: {kind: stock}}, edges: [{from: lock, on: open, to: stock}]}}\n";
        let text = format!(
            "raffle: small\ntitle: Small\ntime_zone: {zone}\ntickets: {{per_day: 3, total: 5}}\ndenominator: 1\nprizes:\n  - {{id: mug, title: Mug, weight: 1, stock: 100, rule_tree: later}}\n{trees}"
        );
        trial.publish(&text, "p").await.expect("publish");
        let mut seen = Vec::new();
        for number in 0..4 {
            seen.push(
                trial
                    .draw("small", "ada", &format!("a{number}"))
                    .await
                    .map(|drawn| drawn.draw.prize.is_some()),
            );
        }
        let used_today = Err(Error::Campaign(CampaignError::TicketsUsedToday(3)));
        assert_eq!(seen, [Ok(false), Ok(false), Ok(true), used_today], "{zone}");

        trial.clock.set(midnight_ms);
        let mut seen = Vec::new();
        for number in 4..7 {
            seen.push(
                trial
                    .draw("small", "ada", &format!("a{number}"))
                    .await
                    .map(|drawn| drawn.draw.prize.is_some()),
            );
        }
        let used = Err(Error::Campaign(CampaignError::TicketsUsed(5)));
        assert_eq!(seen, [Ok(false), Ok(false), used], "{zone}: a new day is locked again");
        trial.house.close().await;
    }
}

async fn a_campaign_that_is_over_takes_no_draw_and_reveals_its_seed(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let window = "window: {from: \"2026-11-23T13:00:00\", until: \"2026-11-23T14:00:00\"}\n";
    trial.publish(&document(window), "p").await.expect("publish");
    let not_begun = trial.draw("small", "ada", "early").await;
    assert!(matches!(not_begun.err(), Some(Error::Campaign(CampaignError::NotBegun(_)))));
    trial.clock.set(NOON_MS + 3_600_000);
    trial.prize("small", "ada", "first").await;
    trial.clock.set(NOON_MS + 2 * 3_600_000 - 1);
    trial.prize("small", "ada", "last").await;
    trial.clock.set(NOON_MS + 2 * 3_600_000);
    trial.wait_for_reveal("small", 1).await;
    assert_eq!(trial.draw("small", "ada", "late").await.err(), Some(Error::Over));
    assert!(
        trial.draw("small", "ada", "last").await.expect("a repeat").replayed,
        "what was drawn is answered for ever"
    );
    let report = trials::verify_lines(&trial.evidence("small").await);
    assert_eq!((report.verified, report.failed), (2, vec![]));
    trial.house.close().await;
}

async fn a_full_epoch_makes_way_for_the_next(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(&document("epoch: {entries_max: 1000}\n"), "p").await.expect("publish");
    let won = exhaust(&trial, "small", |number| format!("p{}", number % 50), 2_500).await;
    assert_eq!(won.values().sum::<u64>(), 2_500);
    let epochs = trial.house.raffles.epochs("small").await.expect("epochs");
    assert_eq!(epochs.len(), 3, "each epoch holds its opening, its closing and 998 draws");
    trial.reveal("small", "t").await;
    let lines = trial.evidence("small").await;
    let report = trials::verify_lines(&lines);
    assert_eq!((report.verified, report.failed), (2_500, vec![]));
    trial.house.close().await;
}

async fn versions_follow_each_other_and_stock_stays(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let first = trial.publish(&document(""), "p1").await.expect("publish");
    let again = trial.publish(&document(""), "p1").await.expect("repeat");
    assert!(again.replayed);
    assert_eq!((again.version, again.epoch, again.seed_hash), (first.version, first.epoch, first.seed_hash));
    assert_eq!(trial.publish(&document("# other\n"), "p1").await, Err(Error::KeyReused));

    exhaust(&trial, "small", |number| format!("p{number}"), 30).await;
    let before = trial.stock("small", "mug").await;
    let second = trial.publish(&document("tickets: {total: 99}\n"), "p2").await.expect("publish");
    assert_eq!((second.version, second.epoch), (2, 2));
    assert_eq!(trial.stock("small", "mug").await, before, "publishing neither fills nor empties a shelf");
    let drawn = trial.draw("small", "ada", "k").await.expect("a draw");
    assert_eq!((drawn.draw.epoch, drawn.epoch.plan.rules.version), (2, 2));
    let edited = trial.publish(&document("").replace("stock: 7", "stock: 8"), "p3").await;
    assert!(matches!(edited, Err(Error::StockIsNotEdited { .. })), "{edited:?}");
    let trial = trial.reopen().await;
    let drawn = trial.draw("small", "ada", "k2").await.expect("rules are re-assembled from the records");
    assert_eq!(drawn.draw.epoch, 2);

    trial.publish(&document("").replace("stock: 7", "stock: unlimited"), "p4").await.expect("publish");
    let order = Order::Restock { prize: "mug".to_owned(), units: 5 };
    let refused = trial.order("small", order, "r").await;
    assert_eq!(refused, Err(Error::NoSuchPrize("mug".to_owned())), "units that nobody could win");
    trial.house.close().await;
}

async fn frozen_prizes_and_raffles_give_nothing_until_thawed(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let text = document("")
        .replace("weight: 4", "weight: 10")
        .replace("weight: 6", "weight: 0")
        .replace("title: Pen,", "title: Pen, rule_tree: none,");
    let text = text.replace(
        "stock: unlimited}",
        "stock: unlimited}\n  - {id: cup, title: Cup, weight: 0, stock: 1}\ndeny_list: {participants: [m], prize: cup}\nrule_trees: {none: {start: s, nodes: {s: {kind: stock}}, edges: []}}",
    );
    // A prize that nothing gives is an error: leave the pen out.
    let text = text.replace("  - {id: pen, title: Pen, rule_tree: none, weight: 0, stock: unlimited}\n", "");
    trial.publish(&text, "p").await.expect("publish");
    let mug = || Some("mug".to_owned());
    trial.order("small", Order::Freeze { prize: mug() }, "f1").await.expect("freeze");
    assert_eq!(trial.prize("small", "ada", "k1").await, "-");
    assert_eq!(
        trial.order("small", Order::Freeze { prize: mug() }, "f2").await,
        Err(Error::AlreadySo("frozen"))
    );
    assert!(trial.order("small", Order::Freeze { prize: mug() }, "f1").await.expect("repeat").replayed);
    trial.order("small", Order::Thaw { prize: mug() }, "t1").await.expect("thaw");
    assert_eq!(trial.prize("small", "ada", "k2").await, "mug");
    trial.order("small", Order::Freeze { prize: None }, "f3").await.expect("freeze");
    assert_eq!(trial.draw("small", "ada", "k3").await.err(), Some(Error::Frozen));
    trial.order("small", Order::Thaw { prize: None }, "t2").await.expect("thaw");
    assert_eq!(trial.prize("small", "ada", "k3").await, "mug", "a refused draw may be asked again");
    let missing = trial.order("small", Order::Restock { prize: "car".to_owned(), units: 1 }, "r").await;
    assert_eq!(missing, Err(Error::NoSuchPrize("car".to_owned())));
    trial.house.close().await;
}

async fn an_award_is_opened_for_every_win_and_handed_over_once(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(&document(""), "p").await.expect("publish");
    let mut wins = Vec::new();
    for number in 0..20 {
        wins.push(trial.draw("small", "ada", &format!("k{number}")).await.expect("a draw").draw);
    }
    trial.settle().await;
    for draw in &wins {
        let award = trial.house.awards.get(draw.id, None).await;
        assert_eq!(award.is_ok(), draw.prize.is_some());
    }
    let won = wins.iter().find(|draw| draw.prize.is_some()).expect("a win");
    let cause = trials::cause();
    let hand_over = |note: &str| trial.house.awards.hand_over(won.id, note.to_owned(), cause.clone());
    let first = hand_over("parcel 7").await.expect("hand over");
    trial.clock.set(trials::NOON_MS + 1);
    assert_eq!(hand_over("parcel 7").await, Ok(first));
    let other = hand_over("parcel 8").await;
    assert_eq!(other, Err(CampaignError::HandedOverBefore));
    trial.house.close().await;
}

trials::in_each_profile!(
    a_hundred_requests_with_one_key_make_one_draw,
    a_key_answers_the_same_for_as_long_as_its_record_lives,
    every_finite_prize_is_granted_exactly_its_stock_on_the_base_path,
    tiers_and_the_deny_list_take_stock_and_run_dry,
    exact_tiers_hold_at_their_draw_and_no_other,
    points_choose_the_highest_tier_reached,
    unlocks_and_tickets_count_by_the_campaigns_own_day,
    a_campaign_that_is_over_takes_no_draw_and_reveals_its_seed,
    a_full_epoch_makes_way_for_the_next,
    versions_follow_each_other_and_stock_stays,
    frozen_prizes_and_raffles_give_nothing_until_thawed,
    an_award_is_opened_for_every_win_and_handed_over_once,
);
