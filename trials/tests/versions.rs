//! Versions: drafted, looked at by two, published, restored; and every draw explained by the version that made it.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fairground::bench::process::{self, Server};
use kernel::hex::hex;
use kernel::id::{Shard, Tenant};
use raffle::entry::Request;
use raffle::error::Error;
use raffle::fairness::sha256;
use raffle::proposal::Proposed;
use raffle::publish::{Publish, Published};
use raffle::review::{Event, Review};
use raffle::stock::Order;
use records::audit::{self, Actor, Entry, Filter};
use records::port::read;
use tokio::task::JoinSet;
use trials::profile::Profile;
use trials::{Trial, verify_in_python, verify_lines};

/// A raffle in which `car` has this weight of a thousand.
fn document(weight: u64, more: &str) -> String {
    format!(
        "raffle: r\ntitle: R\ndenominator: 1000\nwhen_weights_differ: no_win\nprizes:\n  - {{id: car, title: Car, weight: {weight}, stock: 9}}\n  - {{id: pen, title: Pen, weight: 500, stock: unlimited}}\n{more}"
    )
}

fn request(by: &str, key: &str, body: &str) -> Request {
    let actor = Arc::new(Actor { name: by.to_owned(), role: "admin" });
    Request { key: key.to_owned(), body_hash: sha256(body.as_bytes()), actor }
}

fn says(by: &str) -> String {
    format!("{by} says so")
}

async fn publish(trial: &Trial, draft: u32, by: &str, key: &str) -> Result<Published, Error> {
    trial.house.raffles.drafts().publish("r", draft, says(by), request(by, key, "a body")).await
}

async fn write(trial: &Trial, by: &str, text: &str, key: &str) -> Result<(u32, bool), Error> {
    let (raffle, request) = ("r".to_owned(), request(by, key, text));
    trial.house.raffles.drafts().write(Publish { raffle, text: text.to_owned(), request }).await
}

async fn happen(trial: &Trial, draft: u32, by: &str, event: Event, key: &str) -> Result<bool, Error> {
    let request = request(by, key, "a body");
    let moved = trial.house.raffles.drafts().happen("r", draft, event, says(by), request).await;
    moved.map(|(_, replayed)| replayed)
}

fn approved_by(by: &str) -> Event {
    Event::Approve { by: by.to_owned() }
}

fn is_needed(error: Option<Error>, part: &str) -> bool {
    matches!(error, Some(Error::ReviewNeeded { reasons, .. }) if reasons.iter().any(|reason| reason.contains(part)))
}

/// The changes that the audit log tells of, in order: who, what, by which key, and more.
async fn changes(trial: &Trial) -> Vec<String> {
    let records = trial.house.records();
    let page = read(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let (from, all) = (("changes".to_owned(), 0), Filter::default());
            audit::page(tx, (Shard::HOME, Tenant::MAIN.number), &from, &all, 200).await
        })
    });
    let (entries, _) = page.await.expect("entries");
    let told = |entry: &Entry| {
        let hash = entry.detail.find("rules ").map_or(0..0, |at| at..at + 70);
        let mut detail = entry.detail.clone();
        detail.replace_range(hash, "");
        format!("{} {} ({}): {detail}", entry.actor, entry.action, entry.request_key)
    };
    entries.iter().map(|(_, entry)| told(entry)).collect()
}

async fn what_one_drafts_another_approves_before_it_is_published(profile: Profile) {
    let trial = Trial::open_with_four_eyes(profile).await;
    trial.publish(&document(100, ""), "p").await.expect("the first version is one person's");
    let dearer = document(300, "");
    assert!(is_needed(trial.publish(&dearer, "q").await.err(), "odds of prize `car`, base pool: 10% -> 30%"));
    assert_eq!(write(&trial, "ada", &dearer, "d").await, Ok((1, false)));
    assert_eq!(write(&trial, "ada", &dearer, "d").await, Ok((1, true)));
    assert_eq!(write(&trial, "ada", &document(1, ""), "d").await, Err(Error::KeyReused));
    let drafts = trial.house.raffles.drafts();
    let draft = drafts.get("r", 1, Some(800)).await.expect("the draft");
    assert_eq!((draft.base, draft.live, draft.state.word()), (1, 1, "drafted"));
    assert!(draft.diff.has("diff.odds") && draft.findings.is_empty());
    assert!(draft.reasons.iter().all(|reason| reason.code == "review.odds"), "{:?}", draft.reasons);

    assert!(is_needed(publish(&trial, 1, "ada", "x").await.err(), "10% -> 30%"));
    assert_eq!(happen(&trial, 1, "ada", Event::Submit, "s").await, Ok(false));
    assert_eq!(happen(&trial, 1, "ada", Event::Submit, "s").await, Ok(true));
    assert_eq!(happen(&trial, 1, "ada", approved_by("ada"), "a").await, Err(Error::SamePerson));
    assert!(is_needed(publish(&trial, 1, "bob", "x").await.err(), "10% -> 30%"));
    assert_eq!(happen(&trial, 1, "bob", approved_by("bob"), "a").await, Ok(false));
    assert_eq!(happen(&trial, 1, "bob", approved_by("bob"), "a").await, Ok(true));
    let published = publish(&trial, 1, "ada", "x").await.expect("two agree");
    assert_eq!((published.version, published.replayed), (2, false));
    assert!(publish(&trial, 1, "ada", "x").await.expect("a repeat").replayed);
    assert_eq!(publish(&trial, 1, "ada", "y").await, Err(Error::Stale { base: 1, live: 2 }));

    let draft = drafts.get("r", 1, None).await.expect("the draft");
    assert_eq!(draft.state, Review::Published { version: 2 });
    let told: Vec<_> = draft.moves.iter().map(|made| format!("{} {}", made.by, made.state)).collect();
    assert_eq!(told, ["ada drafted", "ada submitted", "bob approved", "ada published"]);
    let versions = trial.house.raffles.versions().list("r", 0, 9).await.expect("versions");
    let told: Vec<_> = versions.iter().map(|v| (v.version, v.epoch, v.by.as_str(), v.draft)).collect();
    assert_eq!(told, [(1, 1, "fairground", None), (2, 2, "ada", Some(1))]);
    let expected = [
        "fairground publish (p): version 1, epoch 1, ",
        "ada draft (drafts d): draft 1",
        "ada submit (s): draft 1: ada says so",
        "bob approve (a): draft 1: bob says so",
        "ada publish (x): version 2, epoch 2, , draft 1: ada says so",
    ];
    assert_eq!(changes(&trial).await, expected, "each move once, and no repeat");
    trial.house.close().await;
}

async fn a_draft_of_another_version_is_stale_and_a_wrong_one_waits_for_its_author(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(&document(100, ""), "p").await.expect("publish");
    let drafts = trial.house.raffles.drafts();
    for (weight, key) in [(300, "d1"), (400, "d2")] {
        write(&trial, "ada", &document(weight, ""), key).await.expect("a draft");
    }
    publish(&trial, 1, "ada", "x1").await.expect("without four eyes nobody else is asked");
    assert_eq!(publish(&trial, 2, "ada", "x2").await, Err(Error::Stale { base: 1, live: 2 }));
    assert_eq!(write(&trial, "ada", &document(400, ""), "d3").await, Ok((3, false)));
    assert_eq!(publish(&trial, 3, "ada", "x3").await.expect("drafted again").version, 3);
    assert!(matches!(publish(&trial, 9, "ada", "x4").await, Err(Error::NoSuchDraft(9))));

    let wrong = document(900, "");
    assert_eq!(write(&trial, "ada", &wrong, "d4").await, Ok((4, false)), "lint errors are stored");
    let draft = drafts.get("r", 4, None).await.expect("the draft");
    assert!(raffle::lint::forbids(&draft.findings));
    assert!(matches!(happen(&trial, 4, "ada", Event::Submit, "s").await, Err(Error::Document(_))));
    assert!(matches!(publish(&trial, 4, "ada", "x5").await, Err(Error::Document(_))));
    assert!(matches!(write(&trial, "ada", "raffle: r\n", "d5").await, Err(Error::Document(_))), "no shape");
    assert_eq!(happen(&trial, 4, "ada", Event::Withdraw, "w").await, Ok(false));
    let rejected = happen(&trial, 4, "bob", Event::Reject, "r").await;
    assert_eq!(rejected, Err(Error::ReviewState { what: "draft", is: "withdrawn" }));

    // A raffle that is only drafted takes no draws, and stands on no list.
    let other = document(100, "guaranteed_winners: allowed\n").replace("raffle: r\n", "raffle: s\n");
    let draft = Publish { raffle: "s".to_owned(), text: other, request: request("ada", "d", "a body") };
    assert_eq!(drafts.write(draft).await, Ok((1, false)));
    assert_eq!(trial.draw("s", "ada", "k").await.err(), Some(Error::NoSuchRaffle("s".to_owned())));
    assert_eq!(trial.house.raffles.ids_after("", 9).await, Ok(vec!["r".to_owned()]));
    assert_eq!(
        drafts.publish("s", 1, says("ada"), request("ada", "x", "a body")).await.expect("publish").version,
        1
    );
    trial.house.close().await;
}

async fn what_is_at_the_threshold_is_for_one_and_what_is_above_it_for_two(profile: Profile) {
    let trial = Trial::open_with_four_eyes(profile).await;
    let first = document(100, "guaranteed_winners: allowed\n");
    assert!(is_needed(trial.publish(&first, "p").await.err(), "guaranteed winners"));
    write(&trial, "ada", &first, "d").await.expect("a draft");
    happen(&trial, 1, "ada", Event::Submit, "s").await.expect("submit");
    happen(&trial, 1, "bob", approved_by("bob"), "a").await.expect("approve");
    publish(&trial, 1, "ada", "x").await.expect("publish");
    let more = |weight| document(weight, "guaranteed_winners: allowed\n");
    trial.publish(&more(110), "p1").await.expect("a tenth more");
    assert!(is_needed(trial.publish(&more(122), "p2").await.err(), "odds"));

    let restock = |units| Order::Restock { prize: "car".to_owned(), units };
    assert!(is_needed(trial.order("r", restock(1_001), "o2").await.err(), "1001 units"));
    trial.order("r", restock(600), "o1").await.expect("below the threshold");
    let in_parts = trial.order("r", restock(401), "o2").await.err();
    assert!(is_needed(in_parts, "401 units of prize `car`, with 600 that were added within a day,"));
    trial.order("r", restock(400), "o4").await.expect("at the threshold");
    trial.order("r", restock(400), "o4").await.expect("a repeat");
    let player = trial.house.raffles.player_key("r", "cleo").await.expect("a key");
    let promise = Order::Promise { player, prize: "car".to_owned() };
    assert!(is_needed(trial.order("r", promise, "o3").await.err(), "promises"));

    let proposals = trial.house.raffles.proposals();
    let restock = Proposed::Restock { prize: "car".to_owned(), units: 1_001 };
    let promise = Proposed::Promise { participant: "cleo".to_owned(), prize: "car".to_owned() };
    let none = Proposed::Restock { prize: "pen".to_owned(), units: 5 };
    let ask = async |proposed: &Proposed, key: &str| {
        let request = request("ada", key, "a body");
        proposals.propose("r", proposed.clone(), says("ada"), request).await
    };
    let approve = async |number, by: &str, key: &str| {
        proposals.approve("r", number, says(by), request(by, key, "a body")).await
    };
    let refused = ask(&none, "n").await;
    assert_eq!(refused, Err(Error::NoSuchPrize("pen".to_owned())));
    for (proposed, key) in [(restock, "q1"), (promise, "q2")] {
        let (made, _) = ask(&proposed, key).await.expect("a proposal");
        let again = ask(&proposed, key).await;
        assert_eq!(again, Ok((made.clone(), true)));
        let own = approve(made.number, "ada", &format!("own {key}")).await;
        assert_eq!(own, Err(Error::SamePerson));
        let key = format!("yes {key}");
        let carried = approve(made.number, "bob", &key).await.expect("two agree");
        assert_eq!((carried.replayed, carried.event.reason.as_str()), (false, "ada says so"));
        assert!(approve(made.number, "bob", &key).await.expect("a repeat").replayed);
        let late = approve(made.number, "eve", &format!("late {key}")).await;
        assert_eq!(late, Err(Error::ReviewState { what: "proposal", is: "carried_out" }));
        let found = proposals.get("r", made.number).await.expect("the proposal");
        assert_eq!(found.state, Review::CarriedOut { seq: carried.event.seq });
    }
    let expected = [
        "ada propose (q1): proposal 1: ada says so",
        "bob approve (yes q1): proposal 1: bob says so",
        "bob restock (yes q1): prize car, 1001 units, entry 7: ada says so",
        "ada propose (q2): proposal 2: ada says so",
        "bob approve (yes q2): proposal 2: bob says so",
        "bob promise (yes q2): prize car, entry 8: ada says so",
    ];
    assert!(changes(&trial).await.ends_with(&expected.map(str::to_owned)), "{:#?}", changes(&trial).await);
    assert_eq!(trial.stock("r", "car").await, (0, 9 + 1_000 + 1_001));
    assert_eq!(trial.prize("r", "cleo", "k").await, "car");
    trial.house.close().await;
}

async fn an_old_version_comes_back_as_the_next_unless_its_stock_has_moved(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let mug = "  - {id: mug, title: Mug, weight: 10, stock: 7}\n";
    trial.publish(&document(100, mug), "p1").await.expect("publish");
    trial.publish(&document(200, mug), "p2").await.expect("publish");
    let versions = trial.house.raffles.versions();
    let why = || "the car went too fast".to_owned();
    let request = |key: &str| request("ada", key, "a body");
    let restored = versions.restore("r", 1, why(), request("k")).await.expect("restore");
    assert_eq!((restored.version, restored.replayed), (3, false));
    assert!(versions.restore("r", 1, why(), request("k")).await.expect("a repeat").replayed);
    assert_eq!(versions.restore("r", 2, why(), request("k")).await, Err(Error::KeyReused));
    assert!(versions.diff("r", (1, 3), None).await.expect("a diff").is_empty());
    assert!(versions.diff("r", (2, 3), None).await.expect("a diff").has("diff.odds"));
    let last = versions.list("r", 2, 9).await.expect("versions").pop().expect("the third");
    assert_eq!((last.restores, last.reason.as_str()), (Some(1), "the car went too fast"));
    let told = "ada restore (k): version 3, epoch 3, , document of version 1: the car went too fast";
    assert_eq!(changes(&trial).await.pop().as_deref(), Some(told));
    assert_eq!(versions.restore("r", 9, why(), request("k9")).await, Err(Error::NoSuchVersion(9)));

    trial.order("r", Order::Restock { prize: "mug".to_owned(), units: 5 }, "o").await.expect("restock");
    trial.publish(&document(200, ""), "p4").await.expect("a version without the mug");
    let refused = versions.restore("r", 3, why(), request("k3")).await;
    let (published, asked) = ("12".to_owned(), "7".to_owned());
    assert_eq!(refused, Err(Error::StockIsNotEdited { prize: "mug".to_owned(), published, asked }));
    trial.house.close().await;

    let trial = Trial::open_with_four_eyes(profile).await;
    trial.publish(&document(100, ""), "p1").await.expect("publish");
    trial.publish(&document(110, ""), "p2").await.expect("publish");
    trial.publish(&document(121, ""), "p3").await.expect("publish");
    let refused = trial.house.raffles.versions().restore("r", 1, why(), request("k")).await;
    assert!(is_needed(refused.err(), "odds"), "restoring is publishing");
    trial.house.close().await;
}

async fn many_who_approve_or_publish_at_once_make_one_move(profile: Profile) {
    let trial = Arc::new(Trial::open_with_four_eyes(profile).await);
    trial.publish(&document(100, ""), "p").await.expect("publish");
    write(&trial, "ada", &document(300, ""), "d").await.expect("a draft");
    happen(&trial, 1, "ada", Event::Submit, "s").await.expect("submit");
    let mut crowd = JoinSet::new();
    for number in 0..40 {
        let trial = Arc::clone(&trial);
        crowd.spawn(async move {
            let by = format!("approver {number}");
            happen(&trial, 1, &by, approved_by(&by), &format!("a{number}")).await
        });
    }
    let answers = crowd.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(false)).count(), 1);
    let late = Err(Error::ReviewState { what: "draft", is: "approved" });
    assert_eq!(answers.iter().filter(|answer| **answer == late).count(), 39);
    let mut crowd = JoinSet::new();
    for number in 0..40 {
        let trial = Arc::clone(&trial);
        crowd.spawn(async move { publish(&trial, 1, "ada", &format!("x{}", number % 4)).await });
    }
    let answers = crowd.join_all().await;
    let made = answers.iter().flatten().filter(|published| !published.replayed).count();
    assert_eq!((made, answers.iter().flatten().count()), (1, 10), "one version, and its key's repeats");
    assert_eq!(trial.house.raffles.versions().list("r", 0, 99).await.expect("versions").len(), 2);
    let draft = trial.house.raffles.drafts().get("r", 1, None).await.expect("the draft");
    assert_eq!(draft.moves.len(), 4);
}

async fn every_draw_under_a_storm_of_publications_is_explained_by_its_version(profile: Profile) {
    const VERSIONS: u64 = 12;
    let trial = Arc::new(Trial::open_on(profile).await);
    trial.publish(&document(1, ""), "p1").await.expect("publish");
    let (made, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut crowd = JoinSet::new();
    for number in 0..64 {
        let (trial, made, over) = (Arc::clone(&trial), Arc::clone(&made), Arc::clone(&over));
        crowd.spawn(async move {
            let mut drawn = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let who = format!("p{}", (number * 7 + drawn.len()) % 100);
                let key = format!("{number}-{}", drawn.len());
                let draw = trial.draw("r", &who, &key).await.expect("a draw");
                drawn.push((draw.draw.epoch, draw.epoch.plan.rules.version, draw.draw.id));
                made.fetch_add(1, Ordering::SeqCst);
            }
            drawn
        });
    }
    for version in 2..=VERSIONS {
        let before = made.load(Ordering::SeqCst);
        while made.load(Ordering::SeqCst) < before + 40 {
            tokio::task::yield_now().await;
        }
        let text = document(version * 20, "");
        let published = trial.publish(&text, &format!("p{version}")).await.expect("publish");
        assert_eq!(u64::from(published.version), version);
    }
    over.store(true, Ordering::SeqCst);
    let drawn: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
    trial.reveal("r", "t").await;
    let epochs = trial.house.raffles.epochs("r").await.expect("epochs");
    for epoch in &epochs[..epochs.len() - 1] {
        trial.wait_for_reveal("r", epoch.epoch).await;
    }
    for (epoch, version, id) in &drawn {
        let committed = epochs.iter().find(|row| row.epoch == *epoch).expect("its epoch");
        assert_eq!(committed.version, *version, "{id}");
    }
    let used: BTreeSet<_> = drawn.iter().map(|(_, version, _)| *version).collect();
    assert!(used.len() > 3, "{used:?}");
    let lines = trial.evidence("r").await;
    let report = verify_lines(&lines);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(report.verified, drawn.len() as u64, "every draw is in the evidence");
    let (told, accepted) = verify_in_python(&lines);
    assert!(accepted, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_review_over_http() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("data")).expect("data");
    std::fs::write(folder.path().join("data/admin.key"), "not in use").expect("a key");
    let keys = ["ops", "law"]
        .map(|name| format!("{{name='{name}',role='admin',sha256='{}'}}", hex(&sha256(name.as_bytes()))));
    let environment = [("FAIRGROUND_AUTH__KEYS", format!("[{}]", keys.join(",")))];
    let program = Path::new(env!("CARGO_BIN_EXE_fairground-on-trial"));
    let server =
        Server::start(program, &folder.path().join("data"), &folder.path().join("log"), &environment);
    let server = server.expect("a server");
    let ask = async |method: &str, path: &str, (name, key): (&str, &str), body: &str| {
        let (bearer, path) = (format!("Bearer {name}"), format!("/api/v1/raffles/r/{path}"));
        let media = if body.starts_with('{') { "application/json" } else { "application/yaml" };
        let headers = [("authorization", bearer.as_str()), ("content-type", media), ("idempotency-key", key)];
        let body = body.to_owned().into();
        process::ask(server.address, method, &path, &headers, body).await.expect("an answer")
    };
    let first = document(100, "guaranteed_winners: allowed\n");
    let second = document(300, "guaranteed_winners: allowed\n");
    let promise = r#"{"participant":"cleo","prize":"car","reason":"the jury"}"#;
    let proposal =
        r#"{"proposed":{"order":"promise","participant":"cleo","prize":"car"},"reason":"the jury"}"#;
    let why = r#"{"reason":"it is right"}"#;
    type Case<'a> = (&'a str, &'a str, (&'a str, &'a str), &'a str, u16, &'a str);
    let cases: [Case<'_>; 35] = [
        ("POST", "versions", ("ops", "1"), &first, 422, "review.needed"),
        ("POST", "drafts", ("ops", "1"), "raffle: r", 422, "raffle.document"),
        ("POST", "drafts", ("ops", "1"), &first, 201, "review.promise"),
        ("POST", "drafts/1/submit", ("ops", "1"), "", 201, "submitted"),
        ("POST", "drafts/1/approve", ("ops", "1"), "", 422, "review.same_person"),
        ("POST", "drafts/1/approve", ("law", "1"), why, 201, "it is right"),
        ("POST", "drafts/1/publish", ("ops", "1"), "", 201, "\"version\":1"),
        ("POST", "drafts/1/publish", ("ops", "1"), "", 201, "\"version\":1"),
        ("POST", "promises", ("ops", "1"), promise, 422, "review.needed"),
        ("POST", "proposals", ("ops", "1"), proposal, 201, "submitted"),
        ("POST", "proposals", ("ops", "2"), &proposal.replace("promise", "freeze"), 400, "edge.bad_json"),
        ("POST", "proposals/1/approve", ("ops", "1"), "", 422, "review.same_person"),
        ("POST", "proposals/1/approve", ("law", "1"), "", 201, "promised"),
        ("POST", "proposals/1/reject", ("law", "2"), why, 409, "review.state"),
        ("POST", "proposals/2/reject", ("law", "2"), why, 404, "proposal.missing"),
        ("GET", "proposals", ("law", "-"), "", 200, "carried_out"),
        ("GET", "proposals/1", ("law", "-"), "", 200, "cleo"),
        ("POST", "drafts", ("ops", "2"), &second, 201, "review.odds"),
        ("POST", "drafts/2/reject", ("law", "2"), "{}", 422, "edge.bad_text"),
        ("POST", "drafts/2/approve", ("law", "2"), "", 409, "review.state"),
        ("POST", "drafts/2/withdraw", ("ops", "2"), why, 201, "withdrawn"),
        ("POST", "drafts/3/submit", ("ops", "3"), "", 404, "draft.missing"),
        ("POST", "drafts", ("law", "3"), &second, 201, "\"draft\":3"),
        ("POST", "drafts/3/submit", ("law", "3"), "", 201, "submitted"),
        ("POST", "drafts/3/approve", ("ops", "3"), "", 201, "approved"),
        ("POST", "drafts/3/publish", ("law", "3"), "", 201, "\"version\":2"),
        ("POST", "drafts/3/publish", ("law", "4"), "", 409, "draft.stale"),
        ("GET", "drafts/3?draws_per_day=800", ("law", "-"), "", 200, "published"),
        ("GET", "drafts?limit=2", ("law", "-"), "", 200, "\"next\":\"2\""),
        ("GET", "versions", ("law", "-"), "", 200, "\"by\":\"law\""),
        (
            "GET",
            "versions/2/diff?from=1",
            ("law", "-"),
            "",
            200,
            "odds of prize `car`, base pool: 10% -> 30%",
        ),
        ("GET", "versions/2/diff", ("law", "-"), "", 400, "edge.bad_query"),
        ("POST", "versions/1/restore", ("law", "5"), why, 422, "review.needed"),
        ("POST", "versions/9/draft", ("law", "9"), "", 404, "raffle.no_such_version"),
        ("POST", "versions/1/draft", ("law", "9"), "", 201, "30% -> 10%"),
    ];
    for (method, path, who, body, status, part) in cases {
        let answer = ask(method, path, who, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text());
        assert!(answer.text().contains(part), "{method} {path} lacks {part}: {}", answer.text());
        if method == "POST" && status == 201 {
            let again = ask(method, path, who, body).await;
            assert_eq!(again.body, answer.body, "{path}: a repeat is answered byte for byte");
            assert!(again.headers.contains_key("idempotent-replayed"), "{path}");
        }
    }
    assert!(server.terminate().expect("an end"));
}

trials::in_each_profile!(
    what_one_drafts_another_approves_before_it_is_published,
    a_draft_of_another_version_is_stale_and_a_wrong_one_waits_for_its_author,
    what_is_at_the_threshold_is_for_one_and_what_is_above_it_for_two,
    an_old_version_comes_back_as_the_next_unless_its_stock_has_moved,
    many_who_approve_or_publish_at_once_make_one_move,
    every_draw_under_a_storm_of_publications_is_explained_by_its_version,
);
