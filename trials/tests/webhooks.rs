//! Webhooks: taken once by whoever keeps their part, in order, and past whatever is in the way.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use campaign::award::{Kind, State};
use campaign::delivery::Delivery;
use campaign::error::Error;
use kernel::id::Shard;
use kernel::ports::broker::Subscriber;
use kernel::ports::outbound::Verb;
use records::port::read;
use tokio::task::JoinSet;
use trials::profile::Profile;
use trials::shop::{Fails, Held, Manner, World, draw, webhook, win};

/// The endpoint commits and drops the reply: one that remembers names pays once, though it is sent again.
async fn a_shop_that_remembers_and_drops_the_reply_pays_once(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    world.shop.first(&[Manner::TakesAndDrops, Manner::TakesAndDrops, Manner::TakesAndDrops]);
    assert!(world.hear(&house, &[win("ada", 1, webhook())]).await);
    world.carry(&house, 60).await;
    let name = format!("{}-granted", draw("ada", 1));
    assert_eq!(world.shop.paid(), std::slice::from_ref(&name));
    let calls = world.shop.calls();
    assert!(calls.iter().all(|(verb, known, _)| *verb == Verb::Deliver && *known == name));
    assert_eq!(calls.len(), 4, "the same name each time");
    assert!(matches!(house.state("ada", 1).await, State::Delivered { .. }));
}

/// One that remembers nothing, but says what it has taken, is never paid twice: it is asked first.
async fn a_shop_without_memory_is_asked_before_anything_is_sent_again(profile: Profile) {
    let world = World::new(profile, false).await;
    let house = world.house();
    world.endpoint("pay", true).await;
    // Taken and dropped; then the question itself fails twice.
    world.shop.first(&[Manner::TakesAndDrops, Manner::Down, Manner::Answers(401)]);
    assert!(world.hear(&house, &[win("ada", 1, webhook())]).await);
    world.carry(&house, 120).await;
    assert_eq!(world.shop.paid().len(), 1);
    let verbs: Vec<_> = world.shop.calls().iter().map(|(verb, ..)| *verb).collect();
    assert_eq!(verbs, [Verb::Deliver, Verb::Ask, Verb::Ask], "the one that was down heard nothing");
    assert!(matches!(house.state("ada", 1).await, State::Delivered { .. }));
}

/// A process that ends between the call and its note: the next one asks, and sends only what was not taken.
async fn a_crash_between_call_and_commit_pays_once(profile: Profile) {
    for (takes, expected) in [
        (Manner::Takes, vec![Verb::Deliver, Verb::Ask]),
        (Manner::Busy, vec![Verb::Deliver, Verb::Ask, Verb::Deliver]),
    ] {
        let world = World::new(profile, false).await;
        world.endpoint("pay", true).await;
        world.shop.first(&[takes]);
        assert!(world.hear(&world.house(), &[win("ada", 1, webhook())]).await);
        // The first write begins the call, the second would note its end.
        let dying = world.failing(2, Fails::Before);
        assert_eq!(dying.courier.round().await, Ok(1));
        let house = world.house();
        let view = house.awards.get(draw("ada", 1), None).await.expect("an award");
        assert!(matches!(view.delivery, Some(Delivery::Sending { attempt: 1, .. })), "{view:?}");
        assert_eq!(house.courier.round().await, Ok(0), "it may be under way elsewhere");
        world.carry(&house, 600).await;
        assert_eq!(world.shop.paid().len(), 1);
        let verbs: Vec<_> = world.shop.calls().iter().map(|(verb, ..)| *verb).collect();
        assert_eq!(verbs, expected);
    }
}

/// A beginning that is long in being written leaves too little time for the call: it is not made. Else another courier could
/// ask meanwhile, be told that it was not taken, and send it too.
async fn a_call_whose_time_is_almost_over_is_not_made(profile: Profile) {
    let world = World::new(profile, false).await;
    world.endpoint("pay", true).await;
    assert!(world.hear(&world.house(), &[win("ada", 1, webhook())]).await);
    let slow = world.failing(1, Fails::Late);
    assert_eq!(slow.courier.round().await, Ok(1));
    assert_eq!((world.failures(), world.shop.calls()), (1, vec![]));
    world.carry(&world.house(), 600).await;
    let verbs: Vec<_> = world.shop.calls().iter().map(|(verb, ..)| *verb).collect();
    assert_eq!((verbs, world.shop.paid().len()), (vec![Verb::Ask, Verb::Deliver], 1));
}

/// Down for ten minutes: the first of each winner is sent ever more seldom meanwhile. Everything arrives once, in the order of
/// each winner, though the shop would take it twice.
async fn an_endpoint_that_is_down_for_ten_minutes_gets_all_of_it_once_and_in_order(profile: Profile) {
    const PEOPLE: u64 = 20;
    let world = World::new(profile, false).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    world.shop.always("", Manner::Down);
    let wins: Vec<_> =
        (1..=PEOPLE * 5).map(|seq| win(&format!("person-{}", seq % PEOPLE), seq, webhook())).collect();
    for some in wins.chunks(7) {
        assert!(world.hear(&house, some).await);
    }
    assert_eq!(world.carry(&house, 600).await, 600);
    assert_eq!((world.shop.paid().len(), world.shop.calls().len()), (0, 0));
    let mut missed: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (verb, name, at_ms) in world.shop.missed() {
        assert_eq!(verb, Verb::Deliver);
        missed.entry(name).or_default().push(at_ms);
    }
    let firsts =
        (1..=PEOPLE).map(|seq| format!("{}-granted", draw(&format!("person-{}", seq % PEOPLE), seq)));
    assert_eq!(
        missed.keys().cloned().collect::<BTreeSet<_>>(),
        firsts.collect(),
        "each winner's first alone"
    );
    for (name, at_ms) in missed {
        // Each wait is at least half of two seconds that double.
        let is_late = |(place, pair): (usize, &[i64])| pair[1] - pair[0] >= 1_000 << place;
        assert!(at_ms.len() > 2 && at_ms.windows(2).enumerate().all(is_late), "{name}: {at_ms:?}");
    }
    let (owed, dead, oldest_ms) = house.awards.deliveries().await.expect("deliveries");
    assert_eq!((owed, dead, oldest_ms), (PEOPLE * 5, 0, Some(trials::NOON_MS)));
    world.shop.always("", Manner::Takes);
    let took = world.carry(&house, 600).await;
    assert!(took < 600, "within the longest wait that ten minutes have led to: {took}");
    let calls = world.shop.calls();
    assert_eq!(calls.len() as u64, PEOPLE * 5, "one call each");
    assert!(calls.iter().all(|(verb, ..)| *verb == Verb::Deliver));
    let paid = world.shop.paid();
    let once: BTreeSet<_> = paid.iter().collect();
    assert_eq!((paid.len() as u64, once.len()), (PEOPLE * 5, paid.len()));
    for person in 0..PEOPLE {
        let mine: Vec<u64> = (1..=PEOPLE * 5).filter(|seq| seq % PEOPLE == person).collect();
        let names = mine.iter().map(|seq| format!("{}-granted", draw(&format!("person-{person}"), *seq)));
        let places: Vec<_> = names.map(|name| paid.iter().position(|paid| *paid == name)).collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "person {person}: {places:?}");
    }
}

/// What one winner's webhook meets holds up no other winner, and what one endpoint meets no other endpoint.
async fn poison_blocks_neither_other_keys_nor_other_endpoints(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    world.endpoint("other", false).await;
    world.shop.always("eve", Manner::Busy);
    let other = Kind::Webhook { endpoint: "other".to_owned() };
    let mut wins: Vec<_> = (1..=40).map(|seq| win(&format!("eve-{seq}"), seq, webhook())).collect();
    wins.push(win("bob", 41, webhook()));
    wins.push(win("bob", 42, webhook()));
    wins.push(win("cyd", 43, other));
    assert!(world.hear(&house, &wins).await);
    for _ in 0..20 {
        house.courier.round().await.expect("a round");
    }
    assert_eq!(world.shop.paid().len(), 3, "at once, and in spite of forty others");
    // Eve's first is given up after twenty calls, and makes way for her second.
    world.shop.always("eve-1\"", Manner::Busy);
    assert!(world.hear(&house, &[win("eve-1", 50, webhook())]).await);
    assert!(world.carry(&house, 24 * 3600).await < 24 * 3600, "nothing waits for ever");
    assert!(matches!(house.state("eve-1", 1).await, State::Undeliverable { .. }));
    assert!(matches!(house.state("eve-1", 50).await, State::Undeliverable { .. }));
    let (given_up, next) =
        house.awards.page(Shard::HOME, 1, (0, Some("undeliverable".to_owned())), 10).await.expect("a page");
    assert_eq!((given_up.len(), next), (10, Some(10)));

    // The shop is mended. An operator replays one, under the same name.
    world.shop.always("eve", Manner::Takes);
    world.shop.always("eve-1\"", Manner::Takes);
    let request = world.request_under("replay");
    house.awards.replay(draw("eve-1", 1), "mended".to_owned(), request.clone()).await.expect("a replay");
    assert!(
        house.awards.replay(draw("eve-1", 1), "mended".to_owned(), request).await.expect("a repeat").replayed
    );
    world.carry(&house, 60).await;
    assert!(matches!(house.state("eve-1", 1).await, State::Delivered { .. }));
    assert!(world.shop.paid().contains(&format!("{}-granted", draw("eve-1", 1))));
    let again = house.awards.replay(draw("eve-1", 1), "x".to_owned(), world.request()).await;
    assert_eq!(again, Err(Error::AwardState("delivered")));
}

/// What an endpoint refuses again and again is given up; one that says it is gone is switched off, and what is owed stays owed.
async fn refusals_come_to_an_end_and_gone_switches_the_endpoint_off(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    let refusals = campaign::delivery::REFUSALS_MAX as usize;
    world.shop.first(&[vec![Manner::Answers(422); refusals], vec![Manner::Answers(410)]].concat());
    assert!(world.hear(&house, &[win("ada", 1, webhook()), win("ada", 2, webhook())]).await);
    world.carry(&house, 1200).await;
    assert_eq!(world.shop.calls().len(), refusals + 1);
    assert!(matches!(house.state("ada", 1).await, State::Undeliverable { .. }));
    let endpoint = house.awards.endpoint("pay").await.expect("an endpoint");
    assert!(!endpoint.enabled && !endpoint.why.is_empty(), "{endpoint:?}");
    assert_eq!(world.carry(&house, 100).await, 100, "it waits");
    let wanted =
        campaign::endpoint::Wanted { url: endpoint.url, status_url: None, keeps_ids: true, enabled: true };
    house.awards.change_endpoint("pay", wanted, world.request()).await.expect("a change");
    assert!(world.carry(&house, 100).await < 100);
    assert!(matches!(house.state("ada", 2).await, State::Delivered { .. }));
}

/// Taking a webhook back: called off where it was surely not taken, told under a name of its own where it may have been.
async fn a_reversal_is_told_once_under_its_own_name_and_after_what_it_reverses(profile: Profile) {
    for (first, owed_after, expected) in [
        (None, 0, vec![]),
        (Some(Manner::Down), 0, vec![]),
        (Some(Manner::Takes), 1, vec!["granted", "reversed"]),
        (Some(Manner::TakesAndDrops), 2, vec!["granted", "reversed"]),
    ] {
        let world = World::new(profile, true).await;
        let house = world.house();
        world.endpoint("pay", false).await;
        assert!(world.hear(&house, &[win("ada", 1, webhook())]).await);
        if let Some(first) = first {
            world.shop.first(&[first]);
            house.courier.round().await.expect("a round");
        }
        house.awards.reverse(draw("ada", 1), "fraud".to_owned(), world.request()).await.expect("a reversal");
        assert_eq!(house.awards.deliveries().await.expect("deliveries").0, owed_after, "{first:?}");
        world.carry(&house, 100).await;
        let names: Vec<_> = expected.iter().map(|word| format!("{}-{word}", draw("ada", 1))).collect();
        assert_eq!(world.shop.paid(), names, "{first:?}");
        assert!(matches!(house.state("ada", 1).await, State::Reversed { .. }));
    }
}

/// News of an award that was given up after the award was taken back does not come back after the news of that.
async fn what_was_taken_back_is_not_granted_again_by_a_replay(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    assert!(world.hear(&house, &[win("ada", 1, webhook()), win("bob", 2, webhook())]).await);
    world.shop.always("granted", Manner::Hangs);
    house.courier.round().await.expect("a round");
    assert!(world.shop.calls().iter().any(|(_, name, _)| name.starts_with(&draw("ada", 1).to_string())));
    world.shop.always("granted", Manner::Answers(422));
    house.awards.reverse(draw("ada", 1), "fraud".to_owned(), world.request()).await.expect("a reversal");
    world.carry(&house, 24 * 3600).await;
    let reversed = format!("{}-reversed", draw("ada", 1));
    assert_eq!(world.shop.paid(), std::slice::from_ref(&reversed));
    assert_eq!(house.awards.deliveries().await.expect("deliveries").1, 2, "both grants were given up");
    world.shop.always("granted", Manner::Takes);
    let replay = house.awards.replay_endpoint("pay", "it is well again".to_owned(), world.request()).await;
    let replayed: serde_json::Value = serde_json::from_slice(&replay.expect("a replay").json).expect("JSON");
    assert_eq!(replayed, serde_json::json!({ "endpoint": "pay", "replayed": 1, "more": false }));
    world.carry(&house, 3600).await;
    assert_eq!(world.shop.paid(), [reversed, format!("{}-granted", draw("bob", 2))]);
    assert_eq!(house.awards.deliveries().await.expect("deliveries"), (0, 0, None));
    assert!(matches!(house.state("ada", 1).await, State::Reversed { .. }));
}

/// Webhooks of a winner that are on their way: of all that are owed, those with a due time.
async fn under_way(world: &World) -> usize {
    let rows: Result<Vec<_>, records::error::Error> = read(&*world.disk, Shard::HOME, |tx| {
        Box::pin(
            async move { tx.fetch("SELECT n FROM delivery WHERE live=1 AND due_ms IS NOT NULL", &[]).await },
        )
    })
    .await;
    rows.expect("rows").len()
}

/// A webhook that was given up is replayed while a later one of its winner is being sent, waits to be sent again, or is
/// called off behind it: it goes when that is over, before all others, and never beside it.
async fn what_is_replayed_goes_after_what_is_on_its_way_and_not_beside_it(profile: Profile) {
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    let house = world.house();
    let name = |seq| format!("{}-granted", draw("ada", seq));
    let refusals = campaign::delivery::REFUSALS_MAX as usize;
    world.shop.first(&vec![Manner::Answers(422); 2 * refusals]);
    assert!(world.hear(&house, &[win("ada", 1, webhook()), win("ada", 2, webhook())]).await);
    world.carry(&house, 7200).await;
    assert_eq!(house.awards.deliveries().await.expect("deliveries").1, 2, "both were given up");
    let wins: Vec<_> = (3..=5).map(|seq| win("ada", seq, webhook())).collect();
    assert!(world.hear(&house, &wins).await);
    let heard = world.shop.calls().len();
    let called =
        || world.shop.calls().split_off(heard).into_iter().map(|(_, name, _)| name).collect::<Vec<_>>();

    // The third is being sent: the process ends before it writes down what became of it.
    world.shop.first(&[Manner::Busy]);
    assert_eq!(world.failing(2, Fails::Before).courier.round().await, Ok(1));
    let replay =
        async |seq| house.awards.replay(draw("ada", seq), "mended".to_owned(), world.request()).await;
    replay(1).await.expect("a replay");
    assert_eq!((house.courier.round().await, under_way(&world).await), (Ok(0), 1));
    // It was not taken, and waits to be sent again.
    world.shop.first(&[Manner::Busy]);
    world.pass(120);
    assert_eq!(house.courier.round().await, Ok(1));
    replay(2).await.expect("a replay");
    assert_eq!((house.courier.round().await, under_way(&world).await), (Ok(0), 1));
    // What ends behind it, of those that are later and of those that came back, lets none go.
    for seq in [5, 2] {
        house
            .awards
            .reverse(draw("ada", seq), "fraud".to_owned(), world.request())
            .await
            .expect("a reversal");
        assert_eq!((house.courier.round().await, under_way(&world).await), (Ok(0), 1), "{seq}");
    }
    assert_eq!(called(), [name(3), name(3)]);
    assert!(world.carry(&house, 600).await < 600);
    assert_eq!(world.shop.paid(), [name(3), name(1), name(4)]);
}

/// While a secret is replaced both sign; then one does. No secret stands in the records as it is.
async fn a_secret_is_replaced_without_a_gap_and_rests_sealed(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    let request = world.request_under("rotate");
    let told = house.awards.rotate_endpoint("pay", 60, request.clone()).await.expect("a secret");
    let again = house.awards.rotate_endpoint("pay", 60, request).await.expect("a repeat");
    assert_eq!((&told.json, again.replayed), (&again.json, true));
    let view: serde_json::Value = serde_json::from_slice(&told.json).expect("JSON");
    let secret = view["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(house.awards.endpoint("pay").await.expect("an endpoint").secrets, 2);
    world.pass(60);
    assert_eq!(house.awards.endpoint("pay").await.expect("an endpoint").secrets, 1);
    house
        .awards
        .add_coupons("spring", vec!["a secret code".to_owned()], world.request())
        .await
        .expect("codes");
    for table in ["endpoint", "award_request", "coupon"] {
        let rows: Result<Vec<_>, records::error::Error> =
            records::port::read(&*world.disk, Shard::HOME, move |tx| {
                Box::pin(async move { tx.fetch(&format!("SELECT * FROM {table}"), &[]).await })
            })
            .await;
        for cell in rows.expect("rows").into_iter().flat_map(|row| row.0) {
            let bytes = match cell {
                records::port::Cell::Text(text) => text.into_bytes(),
                records::port::Cell::Bytes(bytes) => bytes,
                records::port::Cell::Int(_) | records::port::Cell::Null => continue,
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains("whsec_") && !text.contains("a secret code"), "{table}: {text}");
        }
    }
}

/// One more is owed to a winner while the end of the one before is written: whichever is kept first, the next one goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_while_the_one_before_ends_is_not_left_behind() {
    let world = World::new(Profile::Cluster, true).await;
    world.endpoint("pay", false).await;
    assert!(world.hear(&world.house(), &[win("ada", 1, webhook())]).await);
    // The second is owed, and its transaction stays open.
    let held = Arc::new(Held::new(Arc::clone(&world.disk)));
    let (mut openings, mut rounds) = (JoinSet::new(), JoinSet::new());
    let awards = world.house_on(Arc::clone(&held) as _).awards;
    openings.spawn(async move { awards.take(&[win("ada", 2, webhook())]).await });
    held.reached().await;
    let courier = world.house().courier;
    rounds.spawn(async move { courier.round().await });
    // The first has ended by now, or its end waits for the second to be kept.
    let waits = async || {
        let rows: Result<Vec<_>, records::error::Error> = read(&*world.disk, Shard::HOME, |tx| {
            Box::pin(async move {
                let sql = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS
                    WHERE VARIABLE_NAME='INNODB_ROW_LOCK_CURRENT_WAITS'";
                tx.fetch(sql, &[]).await
            })
        })
        .await;
        rows.expect("rows")[0].text(0).expect("a count") != "0"
    };
    let mut ended = None;
    while ended.is_none() && !waits().await {
        ended = rounds.try_join_next();
    }
    held.let_go();
    let opened = openings.join_all().await;
    assert!(opened.iter().flatten().all(Result::is_ok), "{opened:?}");
    assert!(ended.into_iter().chain(rounds.join_next().await).all(|round| round.expect("a round") == Ok(1)));
    let house = world.house();
    assert!(world.carry(&house, 60).await < 60, "nothing is owed any more");
    assert_eq!(world.shop.paid(), [1, 2].map(|seq| format!("{}-granted", draw("ada", seq))));
}

trials::in_each_profile!(
    a_shop_that_remembers_and_drops_the_reply_pays_once,
    a_shop_without_memory_is_asked_before_anything_is_sent_again,
    a_crash_between_call_and_commit_pays_once,
    a_call_whose_time_is_almost_over_is_not_made,
    an_endpoint_that_is_down_for_ten_minutes_gets_all_of_it_once_and_in_order,
    poison_blocks_neither_other_keys_nor_other_endpoints,
    refusals_come_to_an_end_and_gone_switches_the_endpoint_off,
    a_reversal_is_told_once_under_its_own_name_and_after_what_it_reverses,
    what_is_replayed_goes_after_what_is_on_its_way_and_not_beside_it,
    what_was_taken_back_is_not_granted_again_by_a_replay,
    a_secret_is_replaced_without_a_gap_and_rests_sealed,
);
