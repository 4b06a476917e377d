//! Awards through the whole product: a raffle whose prizes reach their winners in every way that there is.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use campaign::award::{Kind, State};
use campaign::error::Error as AwardError;
use campaign::fulfilment::AddressView;
use embedded::clock::ManualClock;
use embedded::sqlite::inline::InlineRecords;
use fairground::bench::process::{Answer, ask};
use fairground::rooms::ROOMS;
use kernel::id::Shard;
use ledger::reading::SEALED;
use raffle::entry::Request;
use raffle::fairness::sha256;
use raffle::publish::Publish;
use raffle::raffles::{DrawRequest, Raffles};
use raffle::seal::Sealer;
use raffle::standing::Attested;
use raffle::threshold::Thresholds;
use records::audit::Actor;
use records::batch::Limits;
use records::outbox::{self, Effect};
use records::port::{Records, write};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use trials::booth::{Booth, OPERATOR, SERVICE, code, send};
use trials::ports::SeededEntropy;
use trials::profile::Profile;
use trials::shop::{World, draw, win};
use trials::{Trial, verify_in_python, verify_lines};

const RAFFLE: &str = "raffle: spring
title: Spring
denominator: 7
prizes:
  - {id: hand, title: By hand, weight: 1, stock: unlimited}
  - {id: points, title: Points, weight: 1, stock: unlimited, award: {kind: points, amount: 50, expires_after_seconds: 86400}}
  - {id: again, title: Again, weight: 1, stock: unlimited, award: {kind: tickets, amount: 2}}
  - {id: autumn, title: Autumn, weight: 1, stock: unlimited, award: {kind: raffle_ticket, raffle: autumn}}
  - {id: code, title: Code, weight: 1, stock: unlimited, award: {kind: coupon, pool: codes}}
  - {id: car, title: Car, weight: 1, stock: unlimited, award: {kind: physical, claim_seconds: 3600}}
  - {id: hook, title: Hook, weight: 1, stock: unlimited, award: {kind: webhook, endpoint: pay}}
";

/// What the endpoint heard: headers in lower case, and the body.
type Heard = Arc<Mutex<Vec<(BTreeMap<String, String>, String)>>>;

/// Takes every webhook.
async fn shop(listener: TcpListener, heard: Heard) {
    let mut serving = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let heard = Arc::clone(&heard);
        serving.spawn(async move {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                let read = stream.read(&mut buffer).await.expect("bytes");
                bytes.extend(&buffer[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let headers: BTreeMap<_, _> = head
                    .lines()
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                    .collect();
                if body.len() < headers["content-length"].parse().expect("a length") {
                    continue;
                }
                heard.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body.to_owned()));
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("an answer");
                return;
            }
        });
    }
}

/// Whether the libraries of another language find a signature right.
fn is_signed(secret: &str, headers: &BTreeMap<String, String>, body: &str) -> bool {
    let script = "import base64,hashlib,hmac,sys
secret,id,at,signature,body=sys.argv[1:]
key=base64.b64decode(secret.removeprefix('whsec_'))
mac=hmac.new(key,f'{id}.{at}.{body}'.encode(),hashlib.sha256).digest()
sys.exit(0 if 'v1,'+base64.b64encode(mac).decode() in signature.split(' ') else 1)";
    let [id, at, signature] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| &headers[name]);
    let ended =
        std::process::Command::new("python3").args(["-c", script, secret, id, at, signature, body]).status();
    ended.expect("python3").success()
}

async fn sent(address: SocketAddr, bearer: &str, call: &str, key: &str, body: &str) -> Value {
    let (method, path) = call.split_once(' ').expect("a method and a path");
    let answer = send(address, bearer, method, path, key, body).await;
    assert!(answer.status.is_success(), "{call}: {} {}", answer.status, answer.text());
    answer.json().expect("JSON")
}

async fn upload(address: SocketAddr, key: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {OPERATOR}");
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "text/plain"), ("idempotency-key", key)];
    let path = "/api/v1/coupon-pools/codes/codes";
    ask(address, "POST", path, &headers, body.to_owned().into()).await.expect("an answer")
}

async fn all_awards(address: SocketAddr, bearer: &str) -> Vec<Value> {
    let (mut awards, mut cursor) = (vec![], String::new());
    loop {
        let page =
            sent(address, bearer, &format!("GET /awards?participant=ada&limit=30{cursor}"), "", "").await;
        awards.extend(page["awards"].as_array().expect("awards").clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return awards,
        }
    }
}

async fn every_kind_of_award_reaches_its_winner(profile: Profile) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://127.0.0.1:{}/hook", listener.local_addr().expect("an address").port());
    let heard = Heard::default();
    let mut shops = JoinSet::new();
    shops.spawn(shop(listener, Arc::clone(&heard)));
    let booth = Booth::open_as(profile, "[outbound]\nnetworks = ['127.0.0.1/32']\n").await;
    let at = booth.address;
    let endpoint = json!({ "endpoint": "pay", "url": url, "keeps_ids": true }).to_string();
    let made = sent(at, OPERATOR, "POST /endpoints", "e", &endpoint).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let again = sent(at, OPERATOR, "POST /endpoints", "e", &endpoint).await;
    assert_eq!(made, again, "byte for byte");
    let shown = sent(at, OPERATOR, "GET /endpoints/pay", "", "").await;
    assert!(shown["secret"].is_null(), "told once");
    sent(at, OPERATOR, "POST /raffles/spring/versions", "p", RAFFLE).await;
    let drawn =
        sent(at, SERVICE, "POST /raffles/spring/draws", "d", "{\"participant\":\"ada\",\"draws\":100}").await;
    let mut won: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for draw in drawn["draws"].as_array().expect("draws") {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        won.entry(text(&draw["prize"]["id"])).or_default().push(text(&draw["draw"]));
    }
    assert_eq!(won.len(), 7, "{:?}", won.keys());
    let hooks = won["hook"].len();
    let settled = async {
        loop {
            let awards = all_awards(at, SERVICE).await;
            let delivered = awards.iter().filter(|award| award["state"] == "delivered").count();
            if (awards.len(), delivered) == (100, hooks) {
                return awards;
            }
            tokio::task::yield_now().await;
        }
    };
    let awards = tokio::time::timeout(Duration::from_secs(60), settled).await.expect("awards");
    for award in &awards {
        let expected = match award["prize"].as_str().expect("a prize") {
            "hand" => "granted",
            "points" | "again" | "autumn" => "paid",
            "code" => "waits_for_code",
            "car" => "to_claim",
            "hook" => "delivered",
            other => panic!("{other}"),
        };
        assert_eq!(award["state"], expected, "{award}");
    }

    // Each webhook once, signed, in the order of the draws.
    let webhooks = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let ids: Vec<_> = webhooks.iter().map(|(headers, _)| headers["webhook-id"].clone()).collect();
    let expected: Vec<_> = won["hook"].iter().map(|draw| format!("{draw}-granted")).collect();
    assert_eq!(ids, expected);
    for (headers, body) in &webhooks {
        assert!(is_signed(&secret, headers, body), "{headers:?} {body}");
        assert!(!is_signed(&secret, headers, &body.replace("ada", "eve")));
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&body["type"], &body["data"]["participant"]), (&json!("award.granted"), &json!("ada")));
    }

    // Codes: uploaded after they were won, seen by the winner alone.
    let codes: String = (0..won["code"].len()).map(|number| format!("CODE-{number}\n")).collect();
    let first = upload(at, "u", &codes).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let again = upload(at, "u", &codes).await;
    assert_eq!((again.headers.get("idempotent-replayed").is_some(), again.text()), (true, first.text()));
    assert_eq!(code(&upload(at, "v", &codes).await), (409, "coupon.known"));
    let (ada, eve) = (booth.token("ada", 60).await, booth.token("eve", 60).await);
    let path = format!("/awards/{}/code", won["code"][0]);
    let told = sent(at, &ada, &format!("GET {path}"), "", "").await;
    assert_eq!(told["code"], "CODE-0", "who waited longest");
    assert_eq!(code(&send(at, &eve, "GET", &path, "", "").await), (404, "award.missing"));
    assert_eq!(code(&send(at, OPERATOR, "GET", &path, "", "").await), (403, "edge.not_allowed"));
    let path = format!("/awards/{}", won["code"][0]);
    assert_eq!(sent(at, &ada, &format!("GET {path}"), "", "").await["state"], "code_given");
    assert_eq!(code(&send(at, &eve, "GET", &path, "", "").await), (404, "award.missing"));
    assert_eq!(
        code(&send(at, &eve, "GET", "/awards?participant=ada", "", "").await),
        (403, "edge.other_participant")
    );
    assert_eq!(all_awards(at, &ada).await.len(), 100);
    // What an operator hands over is the winner's too, and nobody else's.
    let by_hand = format!("/awards/{}", won["hand"][0]);
    assert_eq!(sent(at, &ada, &format!("GET {by_hand}"), "", "").await["state"], "granted");
    assert_eq!(code(&send(at, &eve, "GET", &by_hand, "", "").await), (404, "award.missing"));
    let claim = format!("{by_hand}/claim");
    let claimed = json!({ "name": "Eve", "lines": ["2"], "country": "DE" }).to_string();
    assert_eq!(code(&send(at, &eve, "POST", &claim, "h", &claimed).await), (404, "award.missing"));
    assert_eq!(code(&send(at, &ada, "POST", &claim, "h", &claimed).await), (409, "award.state"));
    assert_eq!(
        code(&send(at, &ada, "GET", &format!("{by_hand}/code"), "", "").await),
        (404, "award.nothing_to_tell")
    );

    // A car: claimed by its winner, sent by an operator; another expires.
    let address = json!({ "name": "Ada", "lines": ["1 Example Street"], "country": "DE" }).to_string();
    let (car, other) = (&won["car"][0], &won["car"][1]);
    let path = format!("/awards/{car}/claim");
    assert_eq!(code(&send(at, &eve, "POST", &path, "c", &address).await), (404, "award.missing"));
    assert_eq!(sent(at, &ada, &format!("POST {path}"), "c", &address).await["state"], "claimed");
    let seen = sent(at, OPERATOR, &format!("GET /awards/{car}/address"), "", "").await;
    assert_eq!(seen["lines"], json!(["1 Example Street"]));
    let sent_off =
        sent(at, OPERATOR, &format!("POST /awards/{car}/hand-over"), "", "{\"note\":\"parcel 7\"}").await;
    assert_eq!(sent_off["state"], "handed_over");
    booth.clock.set(trials::NOON_MS + 3_600_000);
    let ada = booth.token("ada", 60).await;
    let late = send(at, &ada, "POST", &format!("/awards/{other}/claim"), "l", &address).await;
    assert_eq!(code(&late), (409, "award.state"));

    // Taken back: once, with a reason in the audit log.
    let path = format!("POST /awards/{}/reverse", won["points"][0]);
    let reversed = sent(at, OPERATOR, &path, "r", "{\"reason\":\"fraud\"}").await;
    assert_eq!(reversed["state"], "reversed");
    assert_eq!(sent(at, OPERATOR, &path, "r", "{\"reason\":\"fraud\"}").await, reversed);
    let log = sent(at, trials::booth::AUDITOR, "GET /audit?action=reverse_award", "", "").await;
    assert_eq!(log["entries"].as_array().map(Vec::len), Some(1), "{log}");
    assert_eq!(log["entries"][0]["detail"], "fraud");

    // Erased: nobody can tell any more whose awards they were, or where they went.
    let erased = send(at, OPERATOR, "DELETE", "/participants/ada?reason=asked", "", "").await;
    assert!(erased.status.is_success());
    assert_eq!(all_awards(at, SERVICE).await.len(), 0);
    let gone = send(at, OPERATOR, "GET", &format!("/awards/{car}/address"), "", "").await;
    assert_eq!(code(&gone), (404, "award.nothing_to_tell"));
    let metrics = ask(at, "GET", "/metrics", &[], "".into()).await.expect("metrics").text();
    assert!(metrics.contains("fairground_webhooks{state=\"owed\"} 0"), "{metrics}");
    drop(booth.close().await);
}

/// An outsider's verifier accepts rules with awards, and rules without them are what they were before.
async fn awards_are_covered_by_the_proof_and_change_no_other(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(RAFFLE, "p").await.expect("publish");
    for number in 0..20 {
        trial.draw("spring", "ada", &number.to_string()).await.expect("a draw");
    }
    trial.reveal("spring", "t").await;
    let lines = trial.evidence("spring").await;
    let report = verify_lines(&lines);
    assert!(report.failed.is_empty() && report.verified >= 20, "{report:?}");
    let (report, accepted) = verify_in_python(&lines);
    assert!(accepted, "{report}");
    let forged: Vec<_> = lines
        .iter()
        .map(|line| {
            line.replace("\\\"amount\\\":50", "\\\"amount\\\":51").replace("\"amount\":50", "\"amount\":51")
        })
        .collect();
    assert_ne!(forged, lines);
    assert!(
        !verify_in_python(&forged).1 && !verify_lines(&forged).failed.is_empty(),
        "what is given is part of the version"
    );
    let (_, rules) = trial.house.raffles.version("spring", 1).await.expect("a version");
    assert_eq!(rules.matches("\"award\"").count(), 6, "nothing stands where an operator hands over: {rules}");
    trial.house.close().await;
}

#[test]
fn an_award_that_cannot_be_is_found_before_it_is_published() {
    for (award, expected) in [
        ("{kind: points, amount: 5}", vec![]),
        ("{kind: manual}", vec![]),
        ("{kind: points, amount: 0}", vec!["document.value"]),
        ("{kind: points}", vec!["document.missing_key"]),
        ("{kind: points, amount: 5, colour: red}", vec!["document.unknown_key"]),
        ("{kind: gold}", vec!["document.value"]),
        ("{kind: coupon, pool: 'a b'}", vec!["document.value"]),
        ("{kind: physical, claim_seconds: 5}", vec!["document.value"]),
        (
            "{kind: points, amount: 5, available_after_seconds: 9, expires_after_seconds: 9}",
            vec!["award.never_available"],
        ),
        ("{kind: raffle_ticket, raffle: a-raffle-with-a-very-long-name}", vec!["award.wallet"]),
    ] {
        let text = format!(
            "raffle: r\ntitle: R\ndenominator: 1\nprizes:\n  - {{id: a, title: A, weight: 1, stock: unlimited, award: {award}}}\n"
        );
        let (_, findings) = raffle::lint::check(&text, trials::NOON_MS);
        assert_eq!(
            findings.iter().map(|finding| &*finding.code).collect::<Vec<_>>(),
            expected,
            "{award}: {findings:?}"
        );
    }
}

/// While too much is unsent no draw begins; one that was made is answered all the same, and nothing of either is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_refuses_new_draws_and_answers_old_ones() {
    let records: Arc<dyn Records> = Arc::new(InlineRecords::open().expect("records"));
    records::migration::run(&*records, ROOMS, 0).await.expect("tables");
    let clock = Arc::new(ManualClock::at(trials::NOON_MS));
    let (raffles, driver) = Raffles::new(
        Arc::clone(&records),
        clock,
        Arc::new(SeededEntropy::kind(1)),
        Sealer::new(&[7; 32]),
        Limits::default(),
        Thresholds::default(),
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    let request = |key: &str| Request { key: key.to_owned(), body_hash: sha256(b"x"), actor: Actor::house() };
    let publish = Publish { raffle: "spring".to_owned(), text: RAFFLE.to_owned(), request: request("p") };
    raffles.publish(publish).await.expect("publish");
    let draw = async |key: &str| {
        let asked = DrawRequest {
            raffle: "spring".to_owned(),
            participant: "ada".to_owned(),
            client_seed: None,
            attested: Attested::default(),
            parts: 1,
            request: request(key),
        };
        raffles.draw(asked).await.map(|drawn| drawn.replayed).map_err(|error| error.to_string())
    };
    let measure = async || {
        let pressure = Arc::clone(raffles.pressure());
        let measured: Result<(), records::error::Error> = write(&*records, Shard::HOME, move |tx| {
            Box::pin(async move { pressure.measure(tx, Shard::HOME).await })
        })
        .await;
        measured.expect("a measure");
    };
    raffles.pressure().limit_to(2);
    for key in ["1", "2", "3"] {
        assert_eq!(draw(key).await, Ok(false));
    }
    measure().await;
    let refused = records::error::Error::Backlog;
    assert_eq!(draw("4").await, Err(refused.to_string()));
    assert_eq!((kernel::fault::Classify::retry_seconds(&refused), draw("3").await), (Some(5), Ok(true)));
    raffles.pressure().limit_to(3);
    measure().await;
    assert_eq!(draw("4").await, Ok(false), "what was refused has not begun");
    raffles.close();
    tasks.join_all().await;
}

/// Orders to the ledger are never refused for what is unsent, and what tells of them refuses no draw.
async fn what_tells_of_orders_presses_on_no_draw(profile: Profile) {
    let (trial, world) = (Trial::open_on(profile).await, World::new(profile, true).await);
    let pressure = Arc::clone(trial.house.raffles.pressure());
    pressure.limit_to(4);
    let measured: Result<(), records::error::Error> = write(&*world.disk, Shard::HOME, move |tx| {
        Box::pin(async move {
            let told: Vec<_> = (1..=9).map(|last| Effect::up_to(SEALED, 1, last, trials::NOON_MS)).collect();
            outbox::post(tx, Shard::HOME, &told).await?;
            pressure.measure(tx, Shard::HOME).await
        })
    })
    .await;
    measured.expect("a measure");
    assert_eq!(trial.house.raffles.pressure().admit(), Ok(()));
    trial.house.close().await;
}

/// Whose an award is that nothing names its winner of is known by the draws, in every raffle and however many there are.
async fn what_somebody_has_won_is_found_by_their_draws(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let raffles = &trial.house.raffles;
    for raffle in ["spring", "summer", "autumn"] {
        let document = format!(
            "raffle: {raffle}\ntitle: One\ndenominator: 2\nwhen_weights_differ: no_win\nprizes:
  - {{id: hand, title: By hand, weight: 1, stock: unlimited}}\n"
        );
        trial.publish(&document, raffle).await.unwrap_or_else(|error| panic!("{error}"));
    }
    let mut won = vec![];
    for (number, raffle) in [(1, "spring"), (3, "autumn")] {
        for key in 0..50 {
            trial.draw(raffle, "bob", &key.to_string()).await.expect("a draw");
            let drawn = trial.draw(raffle, "ada", &key.to_string()).await.expect("a draw");
            assert!(raffles.is_of(drawn.draw.id, "ada").await.expect("a draw"));
            assert!(!raffles.is_of(drawn.draw.id, "bob").await.expect("a draw"));
            if drawn.draw.prize.is_some() {
                won.push((number, drawn.draw.id.seq));
            }
        }
    }
    assert!((10..90).contains(&won.len()), "{won:?}");
    trial.settle().await;
    for limit in [1, 7, 200] {
        let (mut found, mut after) = (vec![], (0, 0));
        loop {
            let page = raffles.awards_of("ada", after, limit).await.expect("awards");
            let Some((last, _)) = page.last() else { break };
            assert!(page.len() <= limit as usize);
            after = *last;
            found.extend(page.into_iter().map(|(place, _)| place));
        }
        assert_eq!(found, won, "by {limit}");
    }
    assert_eq!(raffles.awards_of("nobody", (0, 0), 10).await.expect("awards"), []);
    let cause = trials::cause();
    raffles.erase("ada", &cause, "asked").await.expect("an erasure");
    assert_eq!(raffles.awards_of("ada", (0, 0), 10).await.expect("awards"), []);
    assert!(!raffles.awards_of("bob", (0, 0), 10).await.expect("awards").is_empty());
}

/// Where a thing goes is not taken any more once its winner was erased, whoever says it.
async fn an_erased_winner_claims_nothing(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    assert!(world.hear(&house, &[win("ada", 1, Kind::Physical { claim_seconds: 600 })]).await);
    let cause = trials::cause();
    assert_eq!(house.awards.erase("ada", "a pseudonym", (&cause, "asked")).await, Ok(1));
    for asks in [None, Some("ada")] {
        let address = AddressView {
            name: "Ada".to_owned(),
            lines: vec!["1 Example Street".to_owned()],
            country: "DE".to_owned(),
            phone: None,
        };
        let claimed = house.awards.claim(draw("ada", 1), asks, address, world.request()).await;
        assert_eq!(claimed, Err(AwardError::NoSuchAward(draw("ada", 1).to_string())));
    }
    assert!(matches!(house.state("ada", 1).await, State::ToClaim { .. }), "nothing was kept");
}

trials::in_each_profile!(
    an_erased_winner_claims_nothing,
    every_kind_of_award_reaches_its_winner,
    what_somebody_has_won_is_found_by_their_draws,
    what_tells_of_orders_presses_on_no_draw,
    awards_are_covered_by_the_proof_and_change_no_other,
);
