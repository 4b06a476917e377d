//! Effects that cannot be delivered, as an operator meets them: they show at `/metrics`, become dead letters, and are tried
//! again when what spoiled them is mended, with who did it and why.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::time::Duration;

use cluster::mariadb::Address;
use cluster::scratch::{self, PASSWORD};
use fairground::bench::process::{Answer, ask};
use serde_json::{Value, json};
use trials::NOON_MS;
use trials::booth::{AUDITOR, Booth, OPERATOR, SERVICE, code, send};
use trials::profile::{Place, Profile};

const MINUTE_MS: i64 = 60_000;
const BALANCES: &str = "/participants/ada/balances";

async fn post(booth: &Booth, bearer: &str, path: &str, key: &str, body: &str) -> Answer {
    let answer = send(booth.address, bearer, "POST", path, key, body).await;
    assert_eq!(answer.status.as_u16(), 201, "{path}: {}", answer.text());
    answer
}

async fn get(booth: &Booth, path: &str) -> Value {
    let answer = send(booth.address, AUDITOR, "GET", path, "", "").await;
    assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text());
    answer.json().expect("JSON")
}

/// What a series at `/metrics` says.
async fn metric(booth: &Booth, series: &str) -> f64 {
    let page = ask(booth.address, "GET", "/metrics", &[], "".into()).await.expect("an answer").text();
    let line = page.lines().find_map(|line| line.strip_prefix(series));
    line.expect("the series").trim().parse().expect("a number")
}

/// Publishes a raffle that always gives this award, and draws from it once. The draw's id.
async fn win(booth: &Booth, award: &str) -> String {
    let document = format!(
        "raffle: sure\ntitle: A raffle\ndenominator: 1\nprizes:\n  - {{id: p, title: A thing, weight: 1, stock: unlimited, award: {award}}}\n"
    );
    post(booth, OPERATOR, "/raffles/sure/versions", "p", &document).await;
    let drawn = post(booth, SERVICE, "/raffles/sure/draws", "d", r#"{"participant":"ada"}"#).await;
    drawn.json().expect("a draw")["draw"].as_str().expect("an id").to_owned()
}

/// Looks until something has come about.
async fn until(what: &str, look: impl AsyncFn() -> bool) {
    let looked = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), looked).await.is_ok(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_tried_again_with_who_did_it_and_why() {
    let server = scratch::shared();
    let url = server.database();
    let name = url.rsplit('/').next().expect("a name");
    let database = Address::parse(&url).expect("an address").with_password(PASSWORD);
    let place = Place { folder: tempfile::tempdir().expect("a folder"), database: Some(database) };
    let booth = Booth::open_at(place, "", None).await;

    // A table is away that awards are written to and draws are not.
    let mend = |from: &str, to: &str| server.tell(&format!("RENAME TABLE {name}.{from} TO {name}.{to}"));
    mend("award_holder", "away");
    let draw = win(&booth, "{kind: points, amount: 7}").await;
    let oldest = "fairground_effects_oldest_seconds{topic=\"draw.made\"}";
    booth.clock.set(NOON_MS + 45_000);
    until("it is told how long it has waited", async || metric(&booth, oldest).await >= 45.0).await;
    assert_eq!(get(&booth, "/dead-letters").await, json!({ "letters": [] }), "it is tried for a while first");
    let now_ms = std::sync::atomic::AtomicI64::new(NOON_MS + 45_000);
    until("it becomes a dead letter", async || {
        booth.clock.set(now_ms.fetch_add(MINUTE_MS, std::sync::atomic::Ordering::SeqCst) + MINUTE_MS);
        get(&booth, "/dead-letters").await["letters"] != json!([])
    })
    .await;
    assert!(metric(&booth, "fairground_effects{state=\"dead\"}").await >= 1.0);
    let letters = get(&booth, "/dead-letters").await;
    let letter = letters["letters"][0]["letter"].as_str().expect("an id").to_owned();
    assert!(letter.starts_with("draw.made-"), "{letters}");
    let shown = send(booth.address, AUDITOR, "GET", &format!("/awards/{draw}"), "", "").await;
    assert_eq!(code(&shown), (404, "award.missing"), "nothing is awarded by what nobody could write down");

    mend("away", "award_holder");
    let path = format!("/dead-letters/{letter}/replay");
    let without_reason = send(booth.address, OPERATOR, "POST", &path, "r0", "{}").await;
    assert!(without_reason.status.is_client_error(), "{}", without_reason.text());
    let first = post(&booth, OPERATOR, &path, "r1", r#"{"reason":"the table is back"}"#).await;
    let again = post(&booth, OPERATOR, &path, "r1", r#"{"reason":"the table is back"}"#).await;
    assert_eq!((&again.body, again.headers["idempotent-replayed"].as_bytes()), (&first.body, &b"true"[..]));
    until("it is heard", async || {
        send(booth.address, AUDITOR, "GET", &format!("/awards/{draw}"), "", "").await.status.as_u16() == 200
    })
    .await;
    until("it is paid", async || get(&booth, BALANCES).await["balances"][0]["balance"] == 7).await;
    assert_eq!(get(&booth, "/dead-letters").await, json!({ "letters": [] }));
    let gone = send(booth.address, OPERATOR, "POST", &path, "r2", r#"{"reason":"once more"}"#).await;
    assert_eq!(code(&gone), (404, "letter.missing"));

    let audit = get(&booth, &format!("/audit?subject=dead-letter/{letter}")).await;
    let entries = audit["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 1, "one for the replay, none for its repeat: {audit}");
    let told = |field: &str| entries[0][field].as_str().unwrap_or_default().to_owned();
    assert_eq!((told("action"), told("actor")), ("replay_letter".to_owned(), "operator-1".to_owned()));
    assert!(told("detail").contains("the table is back"), "{audit}");
    assert_eq!(get(&booth, BALANCES).await["balances"][0]["balance"], 7, "once");
    drop(booth.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_waits_shows_how_long() {
    let booth = Booth::open_on(Profile::Embedded).await;
    let pay = r#"{"endpoint":"pay","url":"https://pay.example/","keeps_ids":true}"#;
    post(&booth, OPERATOR, "/endpoints", "e", pay).await;
    let off = r#"{"url":"https://pay.example/","keeps_ids":true,"enabled":false}"#;
    post(&booth, OPERATOR, "/endpoints/pay", "o", off).await;
    assert_eq!(metric(&booth, "fairground_webhooks_oldest_seconds").await.to_bits(), 0.0_f64.to_bits());
    win(&booth, "{kind: webhook, endpoint: pay}").await;
    until("it is owed", async || metric(&booth, "fairground_webhooks{state=\"owed\"}").await >= 1.0).await;
    booth.clock.set(NOON_MS + 90_000);
    let waited = metric(&booth, "fairground_webhooks_oldest_seconds").await;
    assert!((90.0..91.0).contains(&waited), "{waited}");
    drop(booth.close().await);
}
