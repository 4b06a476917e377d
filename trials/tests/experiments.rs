//! Experiments through the real server: who is led where, what is counted, and that a repeat stays a repeat.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use campaign::experiment::LEADING_MAX;
use campaign::experiment::bucketing::{arm_of, bucket, ends};
use fairground::bench::process::Answer;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use trials::NOON_MS;
use trials::booth::{APPROVER, AUDITOR, Booth, OPERATOR, SERVICE, code, send};
use trials::profile::Profile;

async fn publish(booth: &Booth, raffle: &str) {
    let document = format!(
        "raffle: {raffle}\ntitle: {raffle}\ndenominator: 10\nprizes:\n  - {{id: pen, title: Pen, weight: 10, stock: unlimited}}\n"
    );
    let path = format!("/raffles/{raffle}/versions");
    let answer = send(booth.address, OPERATOR, "POST", &path, "p", &document).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
}

async fn post(booth: &Booth, bearer: &str, path: &str, body: &Value) -> Answer {
    send(booth.address, bearer, "POST", path, "", &body.to_string()).await
}

async fn done(booth: &Booth, bearer: &str, path: &str, body: &Value) -> Value {
    let answer = post(booth, bearer, path, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json().expect("json")
}

async fn get(booth: &Booth, path: &str) -> Value {
    send(booth.address, OPERATOR, "GET", path, "", "").await.json().expect("json")
}

async fn draw(booth: &Booth, who: &str, key: &str) -> Answer {
    let body = format!("{{\"participant\":\"{who}\"}}");
    send(booth.address, SERVICE, "POST", "/raffles/spring/draws", key, &body).await
}

fn drawn_from(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    answer.json().expect("json")["raffle"].as_str().expect("a raffle").to_owned()
}

/// Half of those in the first 8,000 buckets draw from `spring`, half from `summer`.
fn wheel(id: &str) -> Value {
    json!({
        "experiment": id, "title": "Does summer sell?", "subject": { "raffle": "spring" }, "layer": "wheel",
        "buckets": { "from": 0, "until": 8000 }, "denominator": 2,
        "arms": [
            { "arm": "spring", "weight": 1, "raffle": "spring" }, { "arm": "summer", "weight": 1, "raffle": "summer" },
        ],
        "goals": [
            { "goal": "draw", "measure": "mean" }, { "goal": "win", "measure": "share" },
            { "goal": "purchase", "measure": "share" },
        ],
    })
}

/// The same, with room for other weights.
fn finer(id: &str) -> Value {
    let mut document = wheel(id);
    document["denominator"] = 10.into();
    (document["arms"][0]["weight"], document["arms"][1]["weight"]) = (5.into(), 5.into());
    document
}

/// The raffle that the published buckets say.
fn expected(id: &str, who: &str) -> &'static str {
    if bucket("wheel", "", who) >= 8_000 {
        return "spring";
    }
    ["spring", "summer"][arm_of(&ends(&[1, 1]), bucket("wheel", id, who)).expect("an arm")]
}

async fn booth(profile: Profile) -> Booth {
    let booth = Booth::open_as(profile, "[review]\nfour_eyes = false\n").await;
    publish(&booth, "spring").await;
    publish(&booth, "summer").await;
    booth
}

async fn begin(booth: &Booth, document: &Value) {
    done(booth, OPERATOR, "/experiments", document).await;
    let id = document["experiment"].as_str().expect("an id");
    let reason = json!({ "reason": "a trial" });
    done(booth, OPERATOR, &format!("/experiments/{id}/start"), &reason).await;
}

/// Waits until all draws have been heard.
async fn settle(booth: &Booth) {
    let settled = async {
        while send(booth.address, OPERATOR, "GET", "/raffles", "", "").await.status != 200
            || ready(booth).await["effects_unsent"] != 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), settled).await.expect("effects are heard");
}

async fn ready(booth: &Booth) -> Value {
    let answer = fairground::bench::process::ask(booth.address, "GET", "/readyz", &[], "".into()).await;
    answer.expect("an answer").json().expect("json")
}

async fn draws_are_led_by_the_published_buckets_and_a_repeat_stays_a_repeat_over_start_and_stop(
    profile: Profile,
) {
    let booth = booth(profile).await;
    let people: Vec<_> = (0..40).map(|n| format!("p{n}")).collect();
    let mut before = BTreeMap::new();
    for who in &people {
        let answer = draw(&booth, who, "early").await;
        assert_eq!(drawn_from(&answer), "spring");
        before.insert(who, answer.body);
    }
    let drafted = post(&booth, OPERATOR, "/experiments", &wheel("w1")).await;
    assert_eq!(drafted.status.as_u16(), 201, "{}", drafted.text());
    let again = post(&booth, OPERATOR, "/experiments", &wheel("w1")).await;
    assert_eq!((&again.body, again.headers.contains_key("idempotent-replayed")), (&drafted.body, true));
    let mut other = wheel("w1");
    other["title"] = "Another".into();
    assert_eq!(code(&post(&booth, OPERATOR, "/experiments", &other).await), (409, "experiment.exists"));
    assert_eq!(drawn_from(&draw(&booth, "p0", "drafted").await), "spring", "a draft leads nobody");
    // What was drawn in the instant of the start may be heard after it, and count.
    booth.clock.set(NOON_MS + 1);
    done(&booth, OPERATOR, "/experiments/w1/start", &json!({ "reason": "go" })).await;

    let (mut led, mut exposed) = (BTreeMap::new(), [0, 0]);
    for who in &people {
        let answer = draw(&booth, who, "k1").await;
        assert_eq!(drawn_from(&answer), expected("w1", who), "{who}");
        assert_eq!(draw(&booth, who, "k1").await.body, answer.body);
        assert_eq!(drawn_from(&draw(&booth, who, "k2").await), expected("w1", who), "{who} stays");
        assert_eq!(draw(&booth, who, "early").await.body, before[who], "a key from before is a repeat");
        if bucket("wheel", "", who) < 8_000 {
            exposed[usize::from(expected("w1", who) == "summer")] += 1;
        }
        led.insert(who, answer.body);
    }
    assert!(led.len() > exposed[0] + exposed[1] && exposed[0] > 5 && exposed[1] > 5, "{exposed:?}");
    settle(&booth).await;
    let shown = get(&booth, "/experiments/w1").await;
    assert_eq!(shown["results"]["exposed"], json!(exposed));
    assert_eq!(shown["results"]["ratio"]["alarm"], false);
    let draws = &shown["results"]["goals"][0]["arms"];
    for arm in 0..2 {
        // Two draws each since they were exposed; those from before do not count.
        assert_eq!(draws[arm]["total"], exposed[arm] * 2, "{draws}");
        assert_eq!(draws[arm]["value"], 2.0);
    }

    booth.clock.set(NOON_MS + 2);
    done(&booth, OPERATOR, "/experiments/w1/stop", &json!({ "reason": "enough" })).await;
    for who in &people {
        let again = draw(&booth, who, "k1").await.body;
        assert_eq!(again, led[who], "a key of an experiment that is over is a repeat");
        assert_eq!(drawn_from(&draw(&booth, who, "k3").await), "spring", "it leads nobody any more");
    }
    settle(&booth).await;
    let later = get(&booth, "/experiments/w1").await;
    assert_eq!(later["results"], shown["results"], "what is over does not change");
    let start = post(&booth, OPERATOR, "/experiments/w1/start", &json!({ "reason": "again" })).await;
    assert_eq!(code(&start), (409, "experiment.state"));
    let audit = send(booth.address, AUDITOR, "GET", "/audit?subject=experiment/w1", "", "").await;
    let audit = audit.json().expect("json");
    let actions = audit["entries"].as_array().expect("entries").iter().map(|entry| entry["action"].clone());
    assert_eq!(actions.collect::<Vec<_>>(), ["draft", "start", "stop"]);
    drop(booth.close().await);
}

async fn new_weights_move_newcomers_and_nobody_else(profile: Profile) {
    let booth = booth(profile).await;
    begin(&booth, &wheel("w1")).await;
    let takes_part = |who: &String| bucket("wheel", "", who) < 8_000;
    let known: Vec<_> = (0..40).map(|n| format!("known{n}")).filter(takes_part).collect();
    for who in &known {
        assert_eq!(drawn_from(&draw(&booth, who, "k1").await), expected("w1", who));
    }
    for weights in [json!({ "spring": 1, "autumn": 1 }), json!({ "spring": 2, "summer": 1 })] {
        let wrong = json!({ "weights": weights, "reason": "x" });
        let refused = post(&booth, OPERATOR, "/experiments/w1/weights", &wrong).await;
        assert_eq!(code(&refused), (422, "experiment.document"));
    }
    // Weights of 2 arms over 2 leave no choice but 1 and 1: another experiment has room for more.
    done(&booth, OPERATOR, "/experiments/w1/stop", &json!({ "reason": "x" })).await;
    begin(&booth, &finer("w2")).await;
    for who in &known {
        assert_eq!(drawn_from(&draw(&booth, who, "k2").await), expected("w2", who));
    }
    let weights = json!({ "weights": { "spring": 1, "summer": 9 }, "reason": "summer sells" });
    assert_eq!(done(&booth, OPERATOR, "/experiments/w2/weights", &weights).await["generation"], 2);
    assert_eq!(
        done(&booth, OPERATOR, "/experiments/w2/weights", &weights).await["generation"],
        2,
        "a repeat"
    );
    let of_weights = ends(&[1, 9]);
    for who in &known {
        assert_eq!(
            drawn_from(&draw(&booth, who, "k3").await),
            expected("w2", who),
            "{who} was exposed before"
        );
    }
    let would_move = |who: &&String| {
        let place = bucket("wheel", "w2", who);
        arm_of(&of_weights, place) != arm_of(&ends(&[1, 1]), place)
    };
    assert!(known.iter().filter(would_move).count() > 3, "nobody would have moved");
    for n in 0..30 {
        let who = format!("new{n}");
        let arm = arm_of(&of_weights, bucket("wheel", "w2", &who)).expect("an arm");
        let to = if takes_part(&who) { ["spring", "summer"][arm] } else { "spring" };
        assert_eq!(drawn_from(&draw(&booth, &who, "k1").await), to, "{who}");
    }
    let shown = get(&booth, "/experiments/w2").await;
    assert_eq!(shown["results"]["ratio"]["alarm"], false, "each generation is held against its own weights");
    drop(booth.close().await);
}

async fn experiments_of_one_layer_share_nobody(profile: Profile) {
    let booth = booth(profile).await;
    let named = |id: &str, from: u32, until: u32| {
        json!({
            "experiment": id, "title": id, "subject": { "named": id }, "layer": "page", "denominator": 2,
            "buckets": { "from": from, "until": until },
            "arms": [{ "arm": "a", "weight": 1 }, { "arm": "b", "weight": 1 }],
        })
    };
    begin(&booth, &named("one", 0, 5_000)).await;
    done(&booth, OPERATOR, "/experiments", &named("two", 4_999, 10_000)).await;
    let reason = json!({ "reason": "a trial" });
    let refused = post(&booth, OPERATOR, "/experiments/two/start", &reason).await;
    assert_eq!(code(&refused), (409, "experiment.layer_taken"));
    begin(&booth, &named("three", 5_000, 10_000)).await;
    let mut takes = [0, 0];
    for n in 0..60 {
        let who = json!({ "participant": format!("p{n}") });
        let mut part = vec![];
        for (place, id) in ["one", "three"].into_iter().enumerate() {
            let path = format!("/experiments/{id}/assignment");
            let looked = get(&booth, &format!("{path}?participant=p{n}")).await;
            assert_eq!(looked["exposed_ms"], Value::Null, "looking exposes nobody");
            let assigned = done(&booth, SERVICE, &path, &who).await;
            assert_eq!(assigned["arm"], looked["arm"]);
            assert_eq!(assigned["exposed_ms"].is_null(), assigned["takes_part"] == false);
            if assigned["takes_part"] == true {
                takes[place] += 1;
                part.push(id);
            }
        }
        assert_eq!(part.len(), 1, "{who} is in {part:?}");
    }
    assert!(takes[0] > 15 && takes[1] > 15, "{takes:?}");
    done(&booth, OPERATOR, "/experiments/one/stop", &reason).await;
    let refused = post(&booth, OPERATOR, "/experiments/two/start", &reason).await;
    assert_eq!(code(&refused), (409, "experiment.layer_taken"), "three has the rest");
    // Two on one raffle would quarrel over where a draw goes.
    begin(&booth, &wheel("w1")).await;
    let mut second = wheel("w2");
    second["buckets"] = json!({ "from": 8000, "until": 10000 });
    done(&booth, OPERATOR, "/experiments", &second).await;
    let refused = post(&booth, OPERATOR, "/experiments/w2/start", &reason).await;
    assert_eq!(code(&refused), (409, "experiment.subject_taken"));
    drop(booth.close().await);
}

async fn what_is_told_counts_once_and_only_of_those_who_were_exposed(profile: Profile) {
    let booth = booth(profile).await;
    let document = json!({
        "experiment": "page", "title": "Page", "subject": { "named": "page" }, "denominator": 2,
        "arms": [{ "arm": "a", "weight": 1 }, { "arm": "b", "weight": 1 }],
        "goals": [{ "goal": "spent", "measure": "mean" }],
    });
    done(&booth, OPERATOR, "/experiments", &document).await;
    let path = "/experiments/page/goals";
    let told = |who: &str, event: &str, value: u64| json!({ "participant": who, "goal": "spent", "event": event, "value": value });
    assert_eq!(code(&post(&booth, SERVICE, path, &told("ada", "o1", 5)).await), (409, "experiment.state"));
    done(&booth, OPERATOR, "/experiments/page/start", &json!({ "reason": "go" })).await;
    assert_eq!(done(&booth, SERVICE, path, &told("ada", "o1", 5)).await["counted"], false, "not exposed");

    let people: Vec<_> = (0..30).map(|n| format!("p{n}")).collect();
    let (mut model, mut arms) = (BTreeMap::<usize, (u64, u64, u64)>::new(), [0, 0]);
    for (n, who) in people.iter().enumerate() {
        done(&booth, SERVICE, "/experiments/page/assignment", &json!({ "participant": who })).await;
        let arm = arm_of(&ends(&[1, 1]), bucket("page", "page", who)).expect("an arm");
        arms[arm] += 1;
        let mut total = 0;
        for event in 0..n % 4 {
            let value = (n * 7 + event * 3) as u64;
            let event = format!("order-{event}");
            for _ in 0..2 {
                assert_eq!(done(&booth, SERVICE, path, &told(who, &event, value)).await["counted"], true);
            }
            total += value;
        }
        let sums = model.entry(arm).or_default();
        sums.0 += u64::from(n % 4 > 0);
        sums.1 += total;
        sums.2 += total * total;
    }
    let reused = post(&booth, SERVICE, path, &told("p1", "order-0", 99)).await;
    assert_eq!(code(&reused), (409, "experiment.event_reused"));
    let beyond = post(&booth, SERVICE, path, &told("p1", "order-9", 999_995)).await;
    assert_eq!(code(&beyond), (422, "experiment.beyond_total"));
    for goal in ["draw", "win", "other"] {
        let body = json!({ "participant": "p1", "goal": goal, "event": "e" });
        assert_eq!(code(&post(&booth, SERVICE, path, &body).await), (404, "experiment.no_such_goal"));
    }
    let shown = get(&booth, "/experiments/page").await;
    assert_eq!(shown["results"]["exposed"], json!(arms));
    for (arm, (reached, total, squares)) in &model {
        let found = &shown["results"]["goals"][0]["arms"][arm];
        assert_eq!((&found["reached"], &found["total"]), (&json!(reached), &json!(total)));
        let (all, sum) = (f64::from(arms[*arm]), *total as f64);
        assert!((found["value"].as_f64().expect("a mean") - sum / all).abs() < 1e-12);
        assert!((*squares as f64 - sum * sum / all) > 0.0, "something varies");
    }
    // Welch's interval needs the squares; compared with what is computed from each participant's own sum.
    let values = |arm: usize| {
        let (_, total, squares) = model[&arm];
        campaign::experiment::significance::Values {
            all: f64::from(arms[arm]),
            total: total as f64,
            squares: squares as f64,
        }
    };
    let difference = campaign::experiment::significance::means(values(0), values(1)).expect("a difference");
    let against = &shown["results"]["goals"][0]["arms"][1]["against_control"];
    assert!((against["p"].as_f64().expect("p") - difference.p.expect("p")).abs() < 1e-9, "{against}");

    // Who is erased is forgotten; what was counted is nobody's.
    let erased = send(booth.address, OPERATOR, "DELETE", "/participants/p1?reason=asked", "", "").await;
    assert_eq!(erased.json().expect("json")["experiments"], 1);
    let looked = get(&booth, "/experiments/page/assignment?participant=p1").await;
    assert_eq!(looked["exposed_ms"], Value::Null);
    assert_eq!(get(&booth, "/experiments/page").await["results"], shown["results"]);
    let erased = send(booth.address, OPERATOR, "DELETE", "/participants/p1?reason=asked", "", "").await;
    assert_eq!(erased.json().expect("json")["experiments"], 0);
    drop(booth.close().await);
}

async fn a_crowd_of_one_participant_is_exposed_once(profile: Profile) {
    let booth = Arc::new(booth(profile).await);
    begin(&booth, &wheel("w1")).await;
    let mut crowd = JoinSet::new();
    for n in 0..60 {
        let booth = Arc::clone(&booth);
        crowd.spawn(async move {
            let who = ["ada", "bob", "cyd"][n % 3];
            (who, drawn_from(&draw(&booth, who, &format!("k{}", n % 10)).await))
        });
    }
    let to: BTreeSet<_> = crowd.join_all().await.into_iter().collect();
    assert_eq!(to.len(), 3, "somebody was led to two raffles: {to:?}");
    let takes_part = ["ada", "bob", "cyd"].iter().filter(|who| bucket("wheel", "", who) < 8_000).count();
    let exposed = get(&booth, "/experiments/w1").await["results"]["exposed"].clone();
    let sum: u64 = exposed.as_array().expect("arms").iter().filter_map(Value::as_u64).sum();
    assert_eq!(sum, takes_part as u64);
}

async fn where_four_eyes_are_on_an_approver_starts_what_they_have_no_part_in(profile: Profile) {
    const ADMIN: &str = "the key of admin";
    let booth = Booth::open_on(profile).await;
    publish(&booth, "spring").await;
    publish(&booth, "summer").await;
    let (reason, weights) =
        (json!({ "reason": "go" }), json!({ "weights": { "spring": 1, "summer": 9 }, "reason": "more" }));
    let start = async |bearer: &str, id: &str| {
        post(&booth, bearer, &format!("/experiments/{id}/start"), &reason).await
    };
    done(&booth, OPERATOR, "/experiments", &finer("w1")).await;
    assert_eq!(code(&start(OPERATOR, "w1").await), (422, "experiment.one_person"), "its author");
    // An admin may approve, and may weigh: whoever has weighed it decides who gets which odds, and is no second pair.
    done(&booth, ADMIN, "/experiments/w1/weights", &weights).await;
    let shown = get(&booth, "/experiments/w1").await;
    let by = |generation: usize| shown["generations"][generation]["by"].as_str();
    assert_eq!((by(0), by(1)), (Some("operator-1"), Some("admin-1")));
    assert_eq!(code(&start(ADMIN, "w1").await), (422, "experiment.one_person"), "who weighed it");
    assert_eq!(start(APPROVER, "w1").await.status.as_u16(), 200);
    let again = json!({ "weights": { "spring": 1, "summer": 9 }, "reason": "the same" });
    assert_eq!(done(&booth, OPERATOR, "/experiments/w1/weights", &again).await["generation"], 2);
    done(&booth, OPERATOR, "/experiments/w1/stop", &reason).await;

    // Who may not approve is no second pair of eyes either.
    done(&booth, ADMIN, "/experiments", &finer("w2")).await;
    assert_eq!(code(&start(OPERATOR, "w2").await), (422, "experiment.one_person"), "an operator");
    assert_eq!(start(APPROVER, "w2").await.status.as_u16(), 200);
    drop(booth.close().await);
}

async fn windows_are_half_open_and_who_was_exposed_within_stays(profile: Profile) {
    let booth = booth(profile).await;
    let mut document = wheel("w1");
    (document["from_ms"], document["until_ms"]) = ((NOON_MS + 1_000).into(), (NOON_MS + 2_000).into());
    begin(&booth, &document).await;
    let summer: Vec<_> =
        (0..60).map(|n| format!("p{n}")).filter(|who| expected("w1", who) == "summer").take(2).collect();
    let [early, late] = &summer[..] else { unreachable!("two of sixty") };
    assert_eq!(drawn_from(&draw(&booth, early, "k1").await), "spring", "it has not begun");
    booth.clock.set(NOON_MS + 1_000);
    assert_eq!(drawn_from(&draw(&booth, early, "k2").await), "summer");
    booth.clock.set(NOON_MS + 2_000);
    assert_eq!(drawn_from(&draw(&booth, late, "k1").await), "spring", "it exposes nobody any more");
    assert_eq!(drawn_from(&draw(&booth, early, "k3").await), "summer", "they were exposed within");
    booth.clock.set(NOON_MS + 1_500);
    let off = json!({ "value": false, "version": 0, "reason": "a storm" }).to_string();
    send(booth.address, OPERATOR, "PUT", "/switches/feature.experiments", "", &off).await;
    assert_eq!(drawn_from(&draw(&booth, late, "k2").await), "spring", "nobody new while they are off");
    assert_eq!(drawn_from(&draw(&booth, early, "k4").await), "summer", "who was exposed keeps their arm");
    drop(booth.close().await);
}

/// Who knows the name of an arm does not draw from it by that: participants come there by being led, and are told what was
/// drawn before.
async fn nobody_picks_their_arm(profile: Profile) {
    let booth = booth(profile).await;
    let ada = booth.token("ada", 600).await;
    let pick = async |bearer: &str, raffle: &str, key: &str| {
        let path = format!("/raffles/{raffle}/draws");
        send(booth.address, bearer, "POST", &path, key, "{\"participant\":\"ada\"}").await
    };
    let before = pick(&ada, "summer", "before").await;
    assert_eq!(drawn_from(&before), "summer", "nothing leads there yet");
    begin(&booth, &wheel("w1")).await;
    let picked = pick(&ada, "summer", "k1").await;
    assert_eq!(code(&picked), (422, "experiment.led_only"));
    assert!(picked.text().contains("draw from `spring`"), "{}", picked.text());
    assert_eq!(pick(&ada, "summer", "before").await.body, before.body, "what was drawn is told");
    assert_eq!(drawn_from(&pick(&ada, "spring", "k1").await), expected("w1", "ada"));
    assert_eq!(drawn_from(&pick(SERVICE, "summer", "k2").await), "summer", "a key answers for what it asks");
    done(&booth, OPERATOR, "/experiments/w1/stop", &json!({ "reason": "x" })).await;
    assert_eq!(drawn_from(&pick(&ada, "summer", "k1").await), "summer");
    drop(booth.close().await);
}

/// A participant learns their arm, and with it whose commitment to save before they draw; and whoever shows an arm learns it
/// also while experiments are off.
async fn an_arm_is_told_to_whose_it_is_and_while_experiments_are_off(profile: Profile) {
    let booth = booth(profile).await;
    begin(&booth, &wheel("w1")).await;
    let who = (0..60).map(|n| format!("p{n}")).filter(|who| expected("w1", who) == "summer");
    let people: Vec<_> = who.take(2).collect();
    let [ada, bob] = &people[..] else { unreachable!("two of sixty") };
    let token = booth.token(ada, 600).await;
    let path = "/experiments/w1/assignment";
    let own = async || send(booth.address, &token, "GET", path, "", "").await.json().expect("json");
    let told = own().await;
    assert_eq!((&told["arm"], &told["raffle"]), (&json!("summer"), &json!("summer")));
    assert_eq!(told["exposed_ms"], Value::Null, "reading exposes nobody");
    let other = send(booth.address, &token, "GET", &format!("{path}?participant={bob}"), "", "").await;
    assert_eq!(code(&other), (403, "edge.other_participant"));
    assert_eq!(drawn_from(&draw(&booth, ada, "k1").await), "summer");

    let off = json!({ "value": false, "version": 0, "reason": "a storm" }).to_string();
    send(booth.address, OPERATOR, "PUT", "/switches/feature.experiments", "", &off).await;
    let told = own().await;
    assert_eq!((&told["arm"], told["exposed_ms"].is_null()), (&json!("summer"), false));
    let asked = done(&booth, SERVICE, path, &json!({ "participant": ada })).await;
    assert_eq!(asked["arm"], "summer", "who was exposed keeps their arm");
    let newcomer = done(&booth, SERVICE, path, &json!({ "participant": bob })).await;
    assert_eq!((&newcomer["arm"], &newcomer["exposed_ms"]), (&Value::Null, &Value::Null), "nobody new");
    let list = send(booth.address, OPERATOR, "GET", "/experiments", "", "").await;
    assert_eq!(code(&list), (503, "switch.off"));
    drop(booth.close().await);
}

async fn a_raffle_is_led_by_so_many_experiments_and_no_more(profile: Profile) {
    let booth = booth(profile).await;
    let reason = json!({ "reason": "a trial" });
    for n in 0..LEADING_MAX {
        begin(&booth, &wheel(&format!("w{n}"))).await;
        done(&booth, OPERATOR, &format!("/experiments/w{n}/stop"), &reason).await;
    }
    done(&booth, OPERATOR, "/experiments", &wheel("more")).await;
    let refused = post(&booth, OPERATOR, "/experiments/more/start", &reason).await;
    assert_eq!(code(&refused), (422, "experiment.too_many"));
    drop(booth.close().await);
}

trials::in_each_profile!(
    draws_are_led_by_the_published_buckets_and_a_repeat_stays_a_repeat_over_start_and_stop,
    new_weights_move_newcomers_and_nobody_else,
    experiments_of_one_layer_share_nobody,
    what_is_told_counts_once_and_only_of_those_who_were_exposed,
    a_crowd_of_one_participant_is_exposed_once,
    where_four_eyes_are_on_an_approver_starts_what_they_have_no_part_in,
    nobody_picks_their_arm,
    an_arm_is_told_to_whose_it_is_and_while_experiments_are_off,
    windows_are_half_open_and_who_was_exposed_within_stays,
    a_raffle_is_led_by_so_many_experiments_and_no_more,
);
