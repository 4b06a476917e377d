//! What befell participants is found, with its reason, and nothing else is.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use campaign::award::DRAW_MADE;
use embedded::sqlite::{Caches, SqliteRecords};
use fairground::bench::process::{Answer, ask};
use kernel::id::Shard;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::outbound::{Call, Outbound, Outcome};
use records::error::Error;
use records::port::{Cell, Row, read};
use search::activity::Kind;
use search::filter::Filter;
use serde_json::{Value, json};
use trials::Trial;
use trials::booth::{AUDITOR, Booth, OPERATOR, SERVICE, code, send};
use trials::in_each_profile;
use trials::profile::Profile;

const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

/// Purchases give points, of which few may be had in a day; points buy tickets.
const SUMMER: &str = "\
campaign: summer
title: A summer of tickets
time_zone: UTC
placements: [{channel: app, source: home}]
budget: {units: {point: 1000}}
earning:
  - {id: rebate, behaviour: purchase, gains: [{unit: point, amount: 40}], caps: {per_day: 1}}
sign_in: {days: [[{unit: point, amount: 1}]]}
offers:
  - id: ticket
    title: A ticket
    price: {unit: point, amount: 10}
    gains: [{unit: ticket, wallet: raffle-sure, amount: 1}]
    stock: 3
    pay_within_seconds: 600
";

/// A raffle in which every draw picks one prize, of a kind.
fn sure(raffle: &str, award: &str, rest: &str) -> String {
    format!(
        "raffle: {raffle}\ntitle: R\ntime_zone: UTC\ndenominator: 1\nprizes:\n  - {{id: prize, title: A prize, weight: 1, {award}}}\n{rest}"
    )
}

/// An endpoint that is away at first.
struct Away(AtomicU32);

#[async_trait]
impl Outbound for Away {
    async fn call(&self, _: &Call) -> Outcome {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            return Outcome::Failed { fault: "it is away".to_owned(), retry_seconds: None };
        }
        Outcome::Taken
    }
}

async fn post(booth: &Booth, bearer: &str, path: &str, key: &str, body: &str) -> Value {
    let answer = send(booth.address, bearer, "POST", path, key, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json().expect("JSON")
}

async fn get(booth: &Booth, bearer: &str, path: &str) -> Answer {
    send(booth.address, bearer, "GET", path, "", "").await
}

/// What is found: all pages of so many, put together.
async fn found(booth: &Booth, bearer: &str, path: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (vec![], String::new());
    let sign = if path.contains('?') { '&' } else { '?' };
    loop {
        let answer = get(booth, bearer, &format!("{path}{sign}limit={limit}{cursor}")).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        let page = answer.json().expect("JSON");
        let activities = page["activities"].as_array().expect("a list");
        assert!(activities.len() <= limit);
        all.extend(activities.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Waits until everything can be found. What the relay does about a draw happens after it: so a second passes twice.
async fn catch_up(booth: &Booth) {
    for _ in 0..2 {
        let now_ms = booth.clock.now_ms() + 1000;
        booth.clock.set(now_ms);
        let caught_up = async {
            loop {
                let page = get(booth, AUDITOR, "/search/activities?limit=1").await.json().expect("JSON");
                if page["as_of_ms"].as_i64().is_some_and(|as_of_ms| as_of_ms >= now_ms) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), caught_up).await.expect("all is read");
    }
    let metrics = ask(booth.address, "GET", "/metrics", &[], String::new().into()).await.expect("an answer");
    assert!(metrics.text().contains("\nfairground_search_behind_seconds 0.0\n"), "{}", metrics.text());
}

/// Waits until one thing stands in a state.
async fn until(booth: &Booth, query: &str) {
    let there = async {
        while found(booth, AUDITOR, &format!("/search/activities?{query}"), 10).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), there).await.expect(query);
}

const ADA: &str = "{\"participant\":\"ada\"}";

/// A booth in which Ada has done everything that one can do.
async fn busy_booth() -> Booth {
    let folder = tempfile::tempdir().expect("a folder");
    let booth = Booth::open_calling(folder, "", Some(Arc::new(Away(AtomicU32::new(0))))).await;
    post(&booth, OPERATOR, "/campaigns/summer/versions", "1", SUMMER).await;
    let endpoint = "{\"endpoint\":\"pay\",\"url\":\"https://pay.example/\",\"keeps_ids\":true}";
    post(&booth, OPERATOR, "/endpoints", "1", endpoint).await;
    for (raffle, award, rest) in [
        ("sure", "stock: 1", "tickets: {wallet: raffle-sure}\n"),
        ("points", "stock: unlimited, award: {kind: points, amount: 7}", ""),
        ("told", "stock: 5, award: {kind: webhook, endpoint: pay}", ""),
    ] {
        post(&booth, OPERATOR, &format!("/raffles/{raffle}/versions"), "1", &sure(raffle, award, rest)).await;
    }
    for business_id in ["1", "2"] {
        let bought = json!({ "participant": "ada", "behaviour": "purchase", "business_id": business_id });
        post(&booth, SERVICE, "/behaviours", business_id, &bought.to_string()).await;
    }
    post(&booth, SERVICE, "/campaigns/summer/sign-ins", "s", ADA).await;
    let wanted = "{\"participant\":\"ada\",\"offer\":\"ticket\"}";
    for key in ["a", "b", "c"] {
        let order = post(&booth, SERVICE, "/campaigns/summer/orders", key, wanted).await;
        let path = format!("/orders/{}", order["order"].as_str().expect("an order"));
        match key {
            "a" | "b" => drop(post(&booth, SERVICE, &format!("{path}/pay"), key, ADA).await),
            _ => drop(post(&booth, SERVICE, &format!("{path}/cancel"), key, ADA).await),
        }
    }
    for (raffle, draws) in [("sure", 2), ("points", 1), ("told", 1)] {
        for number in 0..draws {
            post(&booth, SERVICE, &format!("/raffles/{raffle}/draws"), &number.to_string(), ADA).await;
        }
    }
    let gift = json!({ "legs": [
        { "house": "issued", "unit": "point", "amount": -3 },
        { "participant": "ada", "unit": "point", "amount": 3 },
    ], "code": "gift", "reference": "a complaint of Monday" });
    post(&booth, SERVICE, "/transfers", "gift", &gift.to_string()).await;
    let spend = json!({ "legs": [
        { "participant": "ada", "unit": "point", "amount": -900 },
        { "house": "spent", "unit": "point", "amount": 900 },
    ] });
    let refused = send(booth.address, SERVICE, "POST", "/transfers", "spend", &spend.to_string()).await;
    assert_eq!(code(&refused), (422, "ledger.insufficient_funds"));
    post(&booth, SERVICE, "/raffles/points/draws", "b", "{\"participant\":\"bob\"}").await;
    catch_up(&booth).await;
    booth
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_tells_everything_with_its_reason() {
    let booth = busy_booth().await;
    until(&booth, "kind=delivery&state=waiting").await;
    let timeline = found(&booth, SERVICE, "/participants/ada/timeline", 3).await;
    let mut told: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for activity in &timeline {
        assert_eq!(activity["participant"], "ada");
        let word = |field: &str| activity[field].as_str().unwrap_or_default().to_owned();
        told.entry((word("kind"), word("state"))).or_default().insert(word("code"));
        assert!(word("reason").ends_with('.'), "{activity}");
    }
    let expected: BTreeMap<_, _> = [
        ("act", "rewarded", &["rewarded"][..]),
        ("act", "withheld", &["cap_day"]),
        ("award", "granted", &["granted"]),
        ("award", "paid", &["paid"]),
        ("delivery", "waiting", &["granted"]),
        ("draw", "no_win", &["out_of_reach"]),
        ("draw", "won", &["picked"]),
        ("hold", "done", &["offer_cancel", "offer_hold"]),
        ("order", "cancelled", &["cancelled"]),
        ("order", "paid", &["paid"]),
        ("ticket", "done", &["draw", "offer"]),
        ("transfer", "done", &["award", "earning", "gift", "offer_pay", "sign_in"]),
        ("transfer", "refused", &["insufficient_funds"]),
    ]
    .into_iter()
    .map(|(kind, state, codes)| {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect::<BTreeSet<_>>();
        ((kind.to_owned(), state.to_owned()), codes)
    })
    .collect();
    assert_eq!(told, expected);

    let reason = |kind: &str, state: &str| {
        let found = timeline.iter().find(|found| found["kind"] == kind && found["state"] == state);
        found.expect("an activity")["reason"].as_str().expect("a reason").to_owned()
    };
    assert_eq!(reason("draw", "won"), "Chance picked prize `prize` (A prize) from the base pool.");
    assert!(reason("delivery", "waiting").contains("not taken after 1 call; called again at"));
    assert!(reason("act", "withheld").contains("withheld: cap_day"));
    assert!(reason("transfer", "refused").starts_with("Refused, as an account would have had less"));
    let gift = timeline.iter().find(|found| found["code"] == "gift").expect("a gift");
    assert_eq!((&gift["amount"], &gift["unit"]), (&json!(3), &json!("point")));
    assert_eq!(gift["note"], "about a complaint of Monday");
    // Every link leads somewhere.
    for activity in &timeline {
        if let Some(link) = activity["link"].as_str() {
            let path = link.strip_prefix("/api/v1").expect("a path of the API");
            assert!(get(&booth, SERVICE, path).await.status.is_success(), "{link}");
        }
    }

    // What moves later replaces what was told of it.
    booth.clock.set(booth.clock.now_ms() + 10_000);
    until(&booth, "kind=delivery&state=delivered").await;
    until(&booth, "kind=award&state=delivered").await;
    assert_eq!(found(&booth, AUDITOR, "/search/activities?kind=delivery", 10).await.len(), 1);

    // A participant sees their own, without what only the house sees.
    let token = booth.token("ada", 60).await;
    let own = found(&booth, &token, "/participants/ada/timeline", 200).await;
    assert_eq!(own.len(), timeline.len());
    assert!(own.iter().all(|activity| activity.get("note").is_none()));
    assert_eq!(
        code(&get(&booth, &token, "/participants/bob/timeline").await),
        (403, "edge.other_participant")
    );
    assert_eq!(code(&get(&booth, &token, "/search/activities").await), (403, "edge.not_allowed"));
    assert_eq!(code(&get(&booth, SERVICE, "/search/activities.csv").await), (403, "edge.not_allowed"));
    drop(booth.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_are_combined_and_bounded_and_go_into_a_file() {
    let booth = busy_booth().await;
    let all = found(&booth, AUDITOR, "/search/activities", 7).await;
    let whole = found(&booth, AUDITOR, "/search/activities", 200).await;
    assert_eq!(all, whole, "pages put together are the whole");
    for (query, count) in [
        ("participant=ada&kind=draw", 4),
        ("participant=bob&kind=draw", 1),
        ("kind=draw&raffle=points", 2),
        ("kind=draw&raffle=points&participant=bob&state=won", 1),
        ("prize=prize&state=no_win", 0),
        ("state=no_win&raffle=sure", 1),
        ("unit=ticket&amount_min=1", 2),
        ("unit=ticket&amount_max=-1", 2),
        ("campaign=summer&kind=transfer", 2),
        ("participant=nobody", 0),
    ] {
        let found = found(&booth, AUDITOR, &format!("/search/activities?{query}"), 1).await;
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    for (query, expected) in [
        ("kind=wish", (422, "search.bad_filter")),
        ("from=5&until=5", (422, "search.bad_filter")),
        ("cursor=x", (400, "edge.bad_query")),
        ("limit=201", (400, "edge.bad_query")),
    ] {
        let answer = get(&booth, AUDITOR, &format!("/search/activities?{query}")).await;
        assert_eq!(code(&answer), expected, "{query}");
    }

    let answer = get(&booth, AUDITOR, "/search/activities.csv?participant=ada&unit=point").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8; header=present");
    let text = answer.text();
    let lines: Vec<&str> = text.trim_end().split("\r\n").collect();
    assert_eq!(
        lines[0],
        "cursor,at_ms,kind,participant,raffle,campaign,prize,state,unit,amount,code,reason,note,id"
    );
    let points = found(&booth, AUDITOR, "/search/activities?participant=ada&unit=point", 200).await;
    assert_eq!(lines.len(), points.len() + 1);
    assert!(lines.iter().any(|line| line.contains(",point,-900,insufficient_funds,")), "{text}");
    // A shorter file goes on at the cursor of its last row.
    let first =
        get(&booth, AUDITOR, "/search/activities.csv?participant=ada&unit=point&limit=4").await.text();
    let cursor =
        first.trim_end().split("\r\n").last().and_then(|line| line.split(',').next()).expect("a row");
    let path = format!("/search/activities.csv?participant=ada&unit=point&cursor={cursor}");
    let rest = get(&booth, AUDITOR, &path).await.text();
    let rest: Vec<&str> = rest.trim_end().split("\r\n").skip(1).collect();
    assert_eq!([&first.trim_end().split("\r\n").collect::<Vec<_>>()[..], &rest].concat(), lines);
    let noted = get(&booth, AUDITOR, "/audit?action=export").await.json().expect("JSON");
    let entries = noted["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|entry| !entry["detail"].as_str().expect("a text").contains("ada")));
    drop(booth.close().await);
}

/// Hands a chronicle the same messages again, as a relay does whose process ended before it wrote down that they were taken.
async fn what_befell_somebody_is_found_and_told_again_it_is_the_same(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let text = sure("points", "stock: unlimited, award: {kind: points, amount: 7}", "");
    trial.publish(&text, "p").await.expect("published");
    let mut messages = vec![];
    for number in 0..5 {
        let draw = trial.draw("points", "ada", &number.to_string()).await.expect("a draw").draw.id;
        messages.push(Message {
            topic: DRAW_MADE.to_owned(),
            effect: format!("{DRAW_MADE}/0/{}/{}", draw.raffle, draw.seq),
            key: vec![],
            n: number,
            body: vec![],
        });
    }
    let all = async |trial: &Trial| {
        let filter = Filter { participant: Some("ada".to_owned()), ..Filter::default() };
        let found = async {
            loop {
                let projection = trial.house.chronicle.projection();
                let page = projection.page(filter.clone(), None, 200).await.expect("a page");
                // A draw, its award and its transfer, each five times.
                if page.activities.len() >= 15 {
                    return page.activities;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), found).await.expect("all of it")
    };
    let found = all(&trial).await;
    let counted = |kind| found.iter().filter(|activity| activity.kind == kind).count();
    assert_eq!([Kind::Draw, Kind::Award, Kind::Transfer].map(counted), [5, 5, 5]);
    for _ in 0..2 {
        for answer in trial.house.chronicle.take(&messages).await {
            answer.expect("taken");
        }
        assert_eq!(all(&trial).await, found);
    }
    // Files are written two at once.
    let chronicle = &trial.house.chronicle;
    let (first, second) = (chronicle.export().expect("a place"), chronicle.export().expect("a place"));
    assert_eq!(chronicle.export().err(), Some(search::error::Error::TooManyExports(2)));
    drop(first);
    drop((chronicle.export().expect("a place again"), second));

    let trial = trial.reopen().await;
    for answer in trial.house.chronicle.take(&messages).await {
        answer.expect("taken");
    }
    assert_eq!(all(&trial).await, found);
    trial.house.close().await;
}

in_each_profile!(what_befell_somebody_is_found_and_told_again_it_is_the_same);

/// Every row that is searched, and how far the sources were read.
async fn rows(folder: &Path) -> Vec<Row> {
    let records =
        SqliteRecords::open_named(&folder.join("data"), "search", Caches::default()).expect("a file");
    let rows = read(&records, Shard::HOME, |tx| {
        Box::pin(async move {
            let mut rows = tx.fetch("SELECT * FROM activity ORDER BY shard,tenant,at_ms,id", &[]).await?;
            rows.extend(tx.fetch("SELECT * FROM activity_cursor ORDER BY source", &[]).await?);
            Ok::<_, Error>(rows)
        })
    });
    let rows = rows.await.expect("rows");
    records.close();
    rows
}

fn rebuild(folder: &Path) -> Value {
    let data = folder.join("data");
    let program = Command::new(PROGRAM).args(["search", "rebuild", "--json", "--data"]).arg(data).output();
    let output = program.expect("a program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn made_anew_it_is_the_same_and_a_lost_file_loses_nothing() {
    let booth = busy_booth().await;
    until(&booth, "kind=delivery&state=waiting").await;
    booth.clock.set(booth.clock.now_ms() + 10_000);
    until(&booth, "kind=award&state=delivered").await;
    catch_up(&booth).await;
    let found_before = found(&booth, AUDITOR, "/search/activities", 200).await;
    let folder = booth.close().await;
    let live = rows(folder.path()).await;
    assert!(live.len() > 30, "{}", live.len());
    let rebuilt = rebuild(folder.path());
    assert_eq!(rebuilt["activities"], found_before.len());
    assert_eq!(rows(folder.path()).await, live);

    for end in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(folder.path().join(format!("data/search.db{end}"))));
    }
    let booth = Booth::open_in(folder, "").await;
    catch_up(&booth).await;
    assert_eq!(found(&booth, AUDITOR, "/search/activities", 200).await, found_before);
    // It is as it was at a restart without a loss too, and goes on from there.
    let folder = booth.close().await;
    assert_eq!(rows(folder.path()).await, live);
    let booth = Booth::open_in(folder, "").await;
    post(&booth, SERVICE, "/raffles/points/draws", "z", "{\"participant\":\"bob\"}").await;
    catch_up(&booth).await;
    // A draw, its award and its transfer.
    assert_eq!(found(&booth, AUDITOR, "/search/activities", 200).await.len(), found_before.len() + 3);
    drop(booth.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_forgotten_is_not_found_any_more() {
    let booth = busy_booth().await;
    let before = found(&booth, AUDITOR, "/search/activities", 200).await;
    let erased = send(booth.address, OPERATOR, "DELETE", "/participants/ada?reason=asked", "", "").await;
    assert!(erased.status.is_success(), "{}", erased.text());
    catch_up(&booth).await;
    assert_eq!(found(&booth, SERVICE, "/participants/ada/timeline", 200).await, Vec::<Value>::new());
    let after = found(&booth, AUDITOR, "/search/activities", 200).await;
    assert_eq!(after.len(), before.len(), "what happened did happen");
    assert_eq!(found(&booth, AUDITOR, "/search/activities?participant=bob", 200).await.len(), 3);
    // Whoever has gone and acts again is nobody where they were forgotten.
    post(&booth, SERVICE, "/raffles/points/draws", "again", ADA).await;
    post(&booth, SERVICE, "/campaigns/summer/sign-ins", "again", ADA).await;
    catch_up(&booth).await;
    assert_eq!(
        found(&booth, SERVICE, "/participants/ada/timeline?kind=draw", 200).await,
        Vec::<Value>::new()
    );
    assert_eq!(found(&booth, SERVICE, "/participants/ada/timeline?kind=act", 200).await, Vec::<Value>::new());
    let folder = booth.close().await;
    for _ in 0..2 {
        let kept = rows(folder.path()).await;
        let named = kept.iter().flat_map(|row| &row.0).filter(|cell| **cell == Cell::Text("ada".to_owned()));
        assert_eq!(named.count(), 0);
        rebuild(folder.path());
    }
}
