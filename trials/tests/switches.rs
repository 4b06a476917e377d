//! Switches that are set while the product runs: refused before anything is begun, never after; and in force everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use embedded::clock::{ManualClock, Stopwatch};
use fairground::bench::process::Answer;
use fairground::switches::table::{DRAWS, MODE, Mode, PLACES};
use fairground::switches::{Board, Error, Order, Said, Whose};
use kernel::id::{Bucket, Shard};
use records::audit::{Actor, Cause};
use records::error::Error as RecordsError;
use records::follow::LOOK_MS;
use records::port::{Records, Work};
use records::setting::{Error as SettingError, STANDING_MAX};
use tokio::task::JoinSet;
use trials::booth::{AUDITOR, Booth, OPERATOR, RAFFLE, SERVICE, code, publish, send};
use trials::{NOON_MS, Trial, count};

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

#[tokio::test(flavor = "multi_thread")]
async fn draws_that_are_off_are_not_begun_and_what_was_drawn_is_still_told() {
    let booth = Booth::open().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_ends_by_itself_and_switches_are_answered_in_every_one() {
    let booth = Booth::open().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_who_is_blocked_learns_what_they_drew_and_nobody_else_is() {
    let booth = Booth::open().await;
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
#[tokio::test(flavor = "multi_thread")]
async fn what_was_drawn_is_told_whatever_a_limit_that_was_lowered_since_lets_through() {
    let booth = Booth::open().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_all_requests_reads_what_they_drew_and_does_nothing_else() {
    let booth = Booth::open().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_call_a_route_does_not_use_up_its_limit() {
    let booth = Booth::open().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_and_sets() {
    let booth = Booth::open().await;
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
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thrown_in_mid_load_no_answer_says_that_a_draw_failed_which_was_made() {
    let booth = Arc::new(Booth::open().await);
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

/// Records whose reads fail while they are told to.
struct Flaky {
    inner: Arc<dyn Records>,
    fails: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Records for Flaky {
    fn shards(&self) -> Vec<Shard> {
        self.inner.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.inner.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), RecordsError> {
        self.inner.write(shard, work).await
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), RecordsError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(RecordsError::Unavailable("the cable is out".to_owned()));
        }
        self.inner.read(shard, work).await
    }
}

fn order(switch: &str, said: Option<Said>, version: u64) -> Order {
    let (switch, reason) = (switch.to_owned(), "a trial".to_owned());
    Order { switch, whose: Whose::All, said, until_ms: None, version, reason }
}

fn cause() -> Cause {
    Cause { actor: Actor::house(), key: String::new(), body_hash: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_sets_the_others_follow_within_a_second() {
    let trial = Trial::open().await;
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let board = async |records: Arc<dyn Records>| {
        Board::open(records, Arc::clone(&clock) as Arc<_>).await.expect("a board")
    };
    // SQLite lets one process open a store, so here the processes are boards over the same records.
    let flaky = Arc::new(Flaky { inner: trial.house.records(), fails: false.into() });
    let (here, there) = (board(trial.house.records()).await, board(Arc::clone(&flaky) as Arc<_>).await);
    let is_off = |board: &Board| board.seen().what.expect_on(DRAWS, NOON_MS).is_err();

    let set = here.set(order(DRAWS, Some(Said::On(false)), 0), cause()).await.expect("it is set");
    assert!(is_off(&here) && !is_off(&there), "a process that has not looked does not know");
    assert!(there.look().await.expect("a look") && is_off(&there));
    assert!(!there.look().await.expect("a look"), "nothing is read twice");
    // The house follows by itself.
    let (watch, limit) = (Stopwatch::start(), Duration::from_secs(1));
    while !is_off(&trial.house.switches) {
        assert!(watch.elapsed() < Duration::from_secs(30), "it does not follow");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(Duration::from_millis(LOOK_MS) * 2 < limit, "two looks fit into what is promised");

    // One that cannot read goes on as it did, and says so.
    flaky.fails.store(true, Ordering::SeqCst);
    here.set(order(DRAWS, None, set.version), cause()).await.expect("it is taken back");
    clock.set(NOON_MS + 5_000);
    assert!(there.look().await.is_err());
    let standing = there.standing();
    assert!(is_off(&there) && standing.fault.is_some() && standing.looked_ms == NOON_MS);
    flaky.fails.store(false, Ordering::SeqCst);
    assert!(there.look().await.expect("a look") && !is_off(&there));
    assert_eq!((there.standing().fault, there.standing().looked_ms), (None, NOON_MS + 5_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_change_a_switch_at_once_one_is_told_so() {
    let trial = Trial::open().await;
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let board = Arc::clone(&trial.house.switches);
        crowd.spawn(async move { board.set(order(MODE, Some(Said::Mode(Mode::Reduced)), 0), cause()).await });
    }
    let outcomes = crowd.join_all().await;
    let set: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(set.len(), 1);
    let told = |error: &Error| *error == Error::Setting(SettingError::Changed(set[0].version));
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(told));
    assert_eq!(trial.house.switches.changes(MODE, 0, 10).await.expect("changes").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_stand_at_once_and_those_whose_time_is_over_make_room() {
    let trial = Trial::open().await;
    let board = &trial.house.switches;
    let block = |n: u64, until_ms| Order {
        whose: Whose::Participant(format!("{n:032x}")),
        until_ms,
        ..order("limit.participant_draws_per_second", Some(Said::Units(0)), 0)
    };
    for n in 0..STANDING_MAX {
        board.set(block(n, (n == 0).then_some(NOON_MS + 1_000)), cause()).await.expect("it is set");
    }
    let beyond = board.set(block(STANDING_MAX, None), cause()).await;
    assert_eq!(beyond, Err(Error::Setting(SettingError::TooMany)));
    trial.clock.set(NOON_MS + 1_000);
    board.set(block(STANDING_MAX, None), cause()).await.expect("there is room");
    assert_eq!(board.all().await.expect("all").len() as u64, STANDING_MAX);
}
