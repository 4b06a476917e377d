//! Switches that are set while the product runs: refused before anything is begun, never after; and in force everywhere.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fairground::bench::process::Answer;
use fairground::switches::table::{DRAWS, FULFILMENT, Kind, MODE, PLACES, SWITCHES};
use tokio::task::JoinSet;
use trials::booth::{AUDITOR, Booth, OPERATOR, RAFFLE, SERVICE, code, publish, send};
use trials::profile::Profile;
use trials::{NOON_MS, count};

async fn set(booth: &Booth, switch: &str, body: &str) -> Answer {
    send(booth.address, OPERATOR, "PUT", &format!("/switches/{switch}"), "", body).await
}

async fn draw(booth: &Booth, participant: &str, key: &str) -> Answer {
    let body = format!("{{\"participant\":\"{participant}\"}}");
    send(booth.address, SERVICE, "POST", &format!("/raffles/{RAFFLE}/draws"), key, &body).await
}

#[test]
fn every_route_that_needs_a_key_has_its_place_among_the_switches() {
    let placed: Vec<_> = PLACES.iter().map(|place| (place.method, place.path)).collect();
    let mut routes: Vec<_> =
        trials::routes::TABLE.iter().map(|(method, path, ..)| (*method, *path)).collect();
    routes.extend([("POST", "/noop/{id}"), ("POST", "/noop-transfers")]);
    for route in &routes {
        assert!(placed.contains(route), "{route:?} has no place");
    }
    assert_eq!(placed.len(), routes.len(), "a place without a route, or twice: {placed:?}");
}

/// What `docs/switches.md` says: made of what the product does. `FAIRGROUND_WRITE_SNAPSHOTS` set writes it anew.
#[test]
fn the_page_of_switches_says_what_they_do() {
    let mut page = "# Switches: what each does\n\nMade of the product's own table; a test keeps it so.\n\n\
        | switch | what it does |\n|---|---|\n"
        .to_owned();
    for switch in SWITCHES {
        page += &format!("| `{}` | {} |\n", switch.name, switch.about);
    }
    page += "\n## Routes\n\nA route is answered in the modes that stand beside it, and refused while its feature is off. \
        No feature turns off a route without one. Where a feature stands in brackets the route is still answered for what \
        was begun before, and begins nothing new.\n\n| route | feature | modes |\n|---|---|---|\n";
    for place in PLACES.iter().filter(|place| !place.path.starts_with("/noop")) {
        let feature = place.feature.map_or_else(String::new, |feature| format!("`{feature}`"));
        let feature = if place.asks_itself { format!("({feature})") } else { feature };
        let modes = ["normal", "reduced", "essential"][..=place.last as usize].join(", ");
        page += &format!("| `{} {}` | {feature} | {modes} |\n", place.method, place.path);
    }
    let path = trials::root().join("docs/switches.md");
    if std::env::var_os("FAIRGROUND_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &page).expect("write");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("a page"), page);

    let readme = std::fs::read_to_string(trials::root().join("README.md")).expect("a README");
    let names = SWITCHES.iter().filter(|switch| switch.kind == Kind::Feature);
    let names: Vec<_> = names
        .filter_map(|switch| switch.name.strip_prefix("feature."))
        .map(|name| format!("`{name}`"))
        .collect();
    assert!(readme.contains(&format!("turns a group of routes off: {} |", names.join(", "))), "{names:?}");
    for switch in SWITCHES.iter().filter(|switch| matches!(switch.kind, Kind::Limit(_))) {
        assert!(
            readme.contains(&format!("| `{}` |", switch.name)),
            "the README does not tell of {}",
            switch.name
        );
    }
}

async fn draws_that_are_off_are_not_begun_and_what_was_drawn_is_still_told(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    publish(booth.address).await;
    let first = draw(&booth, "ada", "k1").await;
    let off = set(&booth, DRAWS, r#"{"value":false,"version":0,"reason":"a prize is wrong"}"#).await;
    assert_eq!(off.status.as_u16(), 200, "{}", off.text());
    let version = off.json().expect("json")["version"].as_u64().expect("a version");

    let refused = draw(&booth, "ada", "k2").await;
    assert_eq!(code(&refused), (503, "switch.off"));
    assert_eq!(refused.headers["retry-after"], "30");
    assert!(refused.text().contains("`feature.draws` is off"), "{}", refused.text());
    let again = draw(&booth, "ada", "k1").await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body), "what was drawn is told");
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let path = format!("/raffles/{RAFFLE}/draws");
    let other = r#"{"participant":"ada","client_seed":"mine"}"#;
    let reused = send(booth.address, SERVICE, "POST", &path, "k1", other).await;
    assert_eq!(code(&reused), (409, "idempotency.key_reused"));
    let id = first.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let read = send(booth.address, SERVICE, "GET", &format!("/draws/{id}"), "", "").await;
    assert_eq!(read.status.as_u16(), 200);

    // Whoever did not see the change does not undo it.
    let stale = set(&booth, DRAWS, r#"{"version":0,"reason":"all is well"}"#).await;
    assert_eq!(code(&stale), (409, "switch.changed"));
    let back = set(&booth, DRAWS, &format!("{{\"version\":{version},\"reason\":\"all is well\"}}")).await;
    assert_eq!(back.status.as_u16(), 200, "{}", back.text());
    assert_eq!(draw(&booth, "ada", "k2").await.status.as_u16(), 201, "the same key draws anew");

    let changes =
        send(booth.address, AUDITOR, "GET", "/switches/feature.draws/changes?limit=1", "", "").await;
    let changes = changes.json().expect("json");
    assert_eq!(changes["changes"][0]["value"], false);
    let next = changes["next"].as_str().expect("a page more");
    let path = format!("/switches/feature.draws/changes?cursor={next}");
    let changes = send(booth.address, AUDITOR, "GET", &path, "", "").await.json().expect("json");
    assert_eq!(changes["changes"][0]["value"], serde_json::Value::Null);
    let audit = send(booth.address, AUDITOR, "GET", "/audit?subject=switch/feature.draws", "", "").await;
    let audit = audit.json().expect("json");
    let told: Vec<_> =
        audit["entries"].as_array().expect("entries").iter().map(|entry| &entry["detail"]).collect();
    assert_eq!(told, ["false: a prize is wrong", "taken back: all is well"]);
    drop(booth.close().await);
}

async fn a_mode_ends_by_itself_and_switches_are_answered_in_every_one(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    publish(booth.address).await;
    let until_ms = NOON_MS + 60_000;
    let body =
        format!("{{\"value\":\"essential\",\"until_ms\":{until_ms},\"version\":0,\"reason\":\"a storm\"}}");
    assert_eq!(set(&booth, MODE, &body).await.status.as_u16(), 200);
    let list = async || send(booth.address, SERVICE, "GET", "/raffles", "", "").await;
    let refused = list().await;
    assert_eq!(
        (code(&refused), &refused.headers["retry-after"]),
        ((503, "switch.degraded"), &"60".parse().expect("text"))
    );
    let head = send(booth.address, SERVICE, "HEAD", "/raffles", "", "").await;
    assert_eq!(head.status.as_u16(), 503, "what answers GET answers HEAD");
    assert_eq!(draw(&booth, "ada", "k1").await.status.as_u16(), 201);
    let switches = send(booth.address, OPERATOR, "GET", "/switches", "", "").await.json().expect("json");
    assert_eq!((&switches["mode"], &switches["seen"]), (&"essential".into(), &switches["revision"]));
    booth.clock.set(until_ms);
    assert_eq!(list().await.status.as_u16(), 200, "its time is over");
    drop(booth.close().await);
}

async fn a_participant_who_is_blocked_learns_what_they_drew_and_nobody_else_is(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    publish(booth.address).await;
    let first = draw(&booth, "ada", "k1").await;
    let limit = "limit.participant_draws_per_second";
    let blocked =
        set(&booth, limit, r#"{"value":0,"participant":"ada","version":0,"reason":"a robot"}"#).await;
    let told = blocked.json().expect("json");
    assert_eq!(told["participant"].as_str().expect("a pseudonym").len(), 32);
    assert!(!blocked.text().contains("ada"), "a setting names nobody");
    assert_eq!(code(&draw(&booth, "ada", "k2").await), (403, "switch.blocked"));
    assert_eq!(draw(&booth, "ada", "k1").await.body, first.body);
    assert_eq!(draw(&booth, "bob", "k1").await.status.as_u16(), 201);
    drop(booth.close().await);
}

/// A limit that is lowered after a draw would else refuse its repeat for good: the caller would take it for undone.
async fn what_was_drawn_is_told_whatever_a_limit_that_was_lowered_since_lets_through(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    publish(booth.address).await;
    let path = format!("/raffles/{RAFFLE}/draws");
    let ten = async |key: &str| {
        send(booth.address, SERVICE, "POST", &path, key, r#"{"participant":"ada","draws":10}"#).await
    };
    let first = ten("k1").await;
    assert_eq!(first.status.as_u16(), 201, "{}", first.text());
    let limit = r#"{"value":5,"version":0,"reason":"a storm"}"#;
    assert_eq!(set(&booth, "limit.participant_draws_per_minute", limit).await.status.as_u16(), 200);
    for _ in 0..3 {
        let again = ten("k1").await;
        assert_eq!((again.status.as_u16(), &again.body), (201, &first.body), "{}", again.text());
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(code(&ten("k2").await), (422, "edge.beyond_limit"), "a new key draws nothing");
    }
    for n in 0..5 {
        assert_eq!(draw(&booth, "ada", &format!("one{n}")).await.status.as_u16(), 201);
    }
    assert_eq!(code(&draw(&booth, "ada", "more").await), (429, "edge.too_many_requests"));
    assert_eq!(ten("k1").await.body, first.body);
    drop(booth.close().await);
}

async fn whoever_is_refused_all_requests_reads_what_they_drew_and_does_nothing_else(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    publish(booth.address).await;
    let (ada, path) = (booth.token("ada", 600).await, format!("/raffles/{RAFFLE}/draws"));
    let draw =
        async |key: &str| send(booth.address, &ada, "POST", &path, key, r#"{"participant":"ada"}"#).await;
    let first = draw("k1").await;
    let id = first.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let limit = "limit.participant_requests_per_second";
    let body = r#"{"value":0,"participant":"ada","version":0,"reason":"a robot"}"#;
    assert_eq!(set(&booth, limit, body).await.status.as_u16(), 200);
    let again = draw("k1").await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body), "{}", again.text());
    assert_eq!(code(&draw("k2").await), (403, "switch.blocked"));
    let read = async |path: String| send(booth.address, &ada, "GET", &path, "", "").await;
    assert_eq!(read(format!("/draws/{id}")).await.status.as_u16(), 200);
    assert_eq!(code(&read(format!("/raffles/{RAFFLE}")).await), (403, "switch.blocked"));
    // The limit for all holds them there as it holds everybody.
    let all = r#"{"value":2,"version":0,"reason":"a storm"}"#;
    assert_eq!(set(&booth, limit, all).await.status.as_u16(), 200);
    let mut told = vec![];
    for _ in 0..3 {
        told.push(read(format!("/draws/{id}")).await.status.as_u16());
    }
    assert_eq!(told, [200, 200, 429]);
    drop(booth.close().await);
}

async fn whoever_may_not_call_a_route_does_not_use_up_its_limit(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    publish(booth.address).await;
    let (limit, route) = ("limit.route_requests_per_second", "GET /audit");
    let body = format!("{{\"value\":1,\"route\":\"{route}\",\"version\":0,\"reason\":\"a storm\"}}");
    assert_eq!(set(&booth, limit, &body).await.status.as_u16(), 200);
    let read = async |bearer: &str| send(booth.address, bearer, "GET", "/audit", "", "").await;
    for _ in 0..5 {
        assert_eq!(code(&read("a guess").await), (401, "edge.no_key"));
        assert_eq!(code(&read(SERVICE).await), (403, "edge.not_allowed"));
    }
    assert_eq!(read(AUDITOR).await.status.as_u16(), 200);
    assert_eq!(code(&read(AUDITOR).await), (429, "edge.too_many_requests"));
    drop(booth.close().await);
}

/// One who asks too often is held at that route, and neither another nor a service is.
async fn a_participant_is_held_at_one_route_and_no_key_is(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    publish(booth.address).await;
    let limit = "limit.participant_route_requests_per_second";
    let hold = async |route: &str, value: u32| {
        let body =
            format!("{{\"value\":{value},\"route\":\"{route}\",\"version\":0,\"reason\":\"a storm\"}}");
        assert_eq!(set(&booth, limit, &body).await.status.as_u16(), 200);
    };
    hold("GET /raffles/{id}", 1).await;
    hold("GET /raffles/{id}/odds", 0).await;
    let (ada, bob) = (booth.token("ada", 600).await, booth.token("bob", 600).await);
    let read = async |bearer: &str, what: &str| {
        let answer = send(booth.address, bearer, "GET", &format!("/raffles/{RAFFLE}{what}"), "", "").await;
        if answer.status.as_u16() == 200 { (200, "") } else { code(&answer) }
    };
    assert_eq!(read(&ada, "").await, (200, ""));
    assert_eq!(read(&ada, "").await, (429, "edge.too_many_requests"));
    assert_eq!((read(&bob, "").await, read(&ada, "/epochs").await), ((200, ""), (200, "")));
    assert_eq!(read(&bob, "/odds").await, (403, "switch.blocked"));
    for what in ["", "", "/odds"] {
        assert_eq!(read(SERVICE, what).await, (200, ""), "a key is not held: {what}");
    }
    drop(booth.close().await);
}

/// The switch reaches what works by itself, and leaves what ends an emergency alone.
#[tokio::test(flavor = "multi_thread")]
async fn while_fulfilment_is_off_nothing_that_was_won_leaves_the_house() {
    const POINTS: &str = "raffle: points\ntitle: Points\ndenominator: 1\nprizes:
  - {id: p, title: Points, weight: 1, stock: unlimited, award: {kind: points, amount: 50}}\n";
    let booth = Booth::open().await;
    let published = send(booth.address, OPERATOR, "POST", "/raffles/points/versions", "p", POINTS).await;
    assert_eq!(published.status.as_u16(), 201, "{}", published.text());
    let endpoint = r#"{"endpoint":"pay","url":"https://pay.example/","keeps_ids":true}"#;
    let made = send(booth.address, OPERATOR, "POST", "/endpoints", "e1", endpoint).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text());
    let off = set(&booth, FULFILMENT, r#"{"value":false,"version":0,"reason":"a rogue shop"}"#).await;
    assert_eq!(off.status.as_u16(), 200, "{}", off.text());

    let drawn =
        send(booth.address, SERVICE, "POST", "/raffles/points/draws", "k", r#"{"participant":"ada"}"#).await;
    let id = drawn.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let state = async || {
        let award = send(booth.address, SERVICE, "GET", &format!("/awards/{id}"), "", "").await;
        award.json().expect("json")["state"].as_str().unwrap_or("not opened yet").to_owned()
    };
    let becomes = async |wanted: &str| {
        let waits = async {
            while state().await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waits).await.expect(wanted);
    };
    becomes("held").await;
    let balance = async || {
        let path = "/participants/ada/balances";
        send(booth.address, SERVICE, "GET", path, "", "").await.text().contains("50")
    };
    assert!(!balance().await);
    // Two looks of what works by itself later it is as it was.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(state().await == "held" && !balance().await, "a switch that is off was passed");
    let stopped = r#"{"url":"https://pay.example/","keeps_ids":true,"enabled":false}"#;
    let stop = send(booth.address, OPERATOR, "POST", "/endpoints/pay", "e2", stopped).await;
    assert_eq!(stop.status.as_u16(), 201, "a rogue endpoint can be stopped: {}", stop.text());
    let claim = r#"{"name":"Ada","lines":["1 Example Street"],"country":"DE"}"#;
    let claim = send(booth.address, SERVICE, "POST", &format!("/awards/{id}/claim"), "c", claim).await;
    assert_eq!(code(&claim), (409, "award.state"), "claims are heard; there is nothing to claim here");
    let again = send(booth.address, OPERATOR, "POST", "/endpoints", "e3", endpoint).await;
    assert_eq!(code(&again), (503, "switch.off"));

    let on = set(&booth, FULFILMENT, r#"{"version":1,"reason":"the shop is stopped"}"#).await;
    assert_eq!(on.status.as_u16(), 200, "{}", on.text());
    becomes("paid").await;
    assert!(balance().await);
    drop(booth.close().await);
}

async fn the_command_line_lists_and_sets(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    let key_file = booth.folder.path().join("ops.key");
    std::fs::write(&key_file, OPERATOR).expect("a key");
    let run = async |words: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_fairground-on-trial"));
        command.arg("switches").args(words).arg("--server").arg(format!("http://{}", booth.address));
        let output = command.arg("--key-file").arg(&key_file).output().await.expect("an output");
        let told = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&told).into_owned())
    };
    let set = run(&["set", "mode", "reduced", "--reason", "a storm"]).await;
    assert_eq!(set, (true, "mode is set, at version 1\n".to_owned()));
    // The version that stands is looked up, so setting again is a change of it.
    let limit = "limit.key_requests_per_second";
    assert!(run(&["set", limit, "50", "--key", "service-1", "--reason", "loud"]).await.0);
    assert!(run(&["set", limit, "60", "--key", "service-1", "--reason", "less loud"]).await.0);
    let (_, told) = run(&["list"]).await;
    assert!(told.contains("  \"reduced\" (version 1), by operator-1: a storm\n"), "{told}");
    assert!(told.contains("  60 for key service-1 (version 3), by operator-1: less loud\n"), "{told}");
    let (_, told) = run(&["set", "mode", "back", "--reason", "calm", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&told).expect("json");
    assert_eq!((&told["version"], &told["value"]), (&4.into(), &serde_json::Value::Null));
    let (is_fine, told) = run(&["set", "mode", "frantic", "--reason", "x"]).await;
    assert!(!is_fine && told.contains("not what is expected"), "{told}");
    drop(booth.close().await);
}

/// Switches are thrown again and again under load. Every answer is a draw, or a refusal before anything was begun; the
/// refused keys then draw anew, and those that were drawn answer the same.
async fn thrown_in_mid_load_no_answer_says_that_a_draw_failed_which_was_made(profile: Profile) {
    let booth = Arc::new(Booth::open_on(profile).await);
    publish(booth.address).await;
    let (callers, each) = (8, count(60, 1_000));
    let drawn = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for caller in 0..callers {
        let (booth, drawn) = (Arc::clone(&booth), Arc::clone(&drawn));
        crowd.spawn(async move {
            let mut answers = BTreeMap::new();
            for n in 0..each {
                let (who, key) = (format!("p{caller}-{}", n % 7), format!("k{n}"));
                let answer = draw(&booth, &who, &key).await;
                match answer.status.as_u16() {
                    201 => drop(drawn.fetch_add(1, Ordering::SeqCst)),
                    503 => assert_eq!(code(&answer).1, "switch.off"),
                    other => panic!("{other}: {}", answer.text()),
                }
                answers.insert((who, key), answer);
            }
            answers
        });
    }
    let mut version = 0;
    let mut thrown = 0;
    while !crowd.is_empty() && crowd.len() == callers && thrown < 400 {
        let value = thrown % 2 == 1;
        let body = format!("{{\"value\":{value},\"version\":{version},\"reason\":\"again\"}}");
        let answer = set(&booth, DRAWS, &body).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        version = answer.json().expect("json")["version"].as_u64().expect("a version");
        thrown += 1;
        if drawn.load(Ordering::SeqCst) >= callers * each {
            break;
        }
        tokio::task::yield_now().await;
    }
    let body = format!("{{\"version\":{version},\"reason\":\"done\"}}");
    assert_eq!(set(&booth, DRAWS, &body).await.status.as_u16(), 200);
    let answers: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
    let refused = answers.iter().filter(|(_, answer)| answer.status.as_u16() == 503).count();
    assert!(refused > 0 && refused < answers.len(), "{refused} of {} were refused", answers.len());

    let entries = async || {
        let standing = send(booth.address, SERVICE, "GET", &format!("/raffles/{RAFFLE}"), "", "").await;
        standing.json().expect("json")["entries"].as_u64().expect("a number")
    };
    // Eight entries of the publication stand before the draws.
    assert_eq!(
        entries().await,
        8 + (answers.len() - refused) as u64,
        "a refused call drew, or a draw was lost"
    );
    for ((who, key), before) in &answers {
        let again = draw(&booth, who, key).await;
        assert_eq!(again.status.as_u16(), 201);
        let replayed = again.headers.contains_key("idempotent-replayed");
        if before.status.as_u16() == 201 {
            assert_eq!((replayed, &again.body), (true, &before.body));
        } else {
            assert!(!replayed, "a refused call had been begun");
        }
    }
    assert_eq!(entries().await, 8 + answers.len() as u64);
    let Some(booth) = Arc::into_inner(booth) else { panic!("nobody else holds it") };
    drop(booth.close().await);
}
trials::in_each_profile!(
    what_was_drawn_is_told_whatever_a_limit_that_was_lowered_since_lets_through,
    whoever_is_refused_all_requests_reads_what_they_drew_and_does_nothing_else,
    whoever_may_not_call_a_route_does_not_use_up_its_limit,
    a_participant_is_held_at_one_route_and_no_key_is,
    the_command_line_lists_and_sets,
    draws_that_are_off_are_not_begun_and_what_was_drawn_is_still_told,
    a_mode_ends_by_itself_and_switches_are_answered_in_every_one,
    a_participant_who_is_blocked_learns_what_they_drew_and_nobody_else_is,
    thrown_in_mid_load_no_answer_says_that_a_draw_failed_which_was_made,
);
