//! What an operator sees at `/metrics` is what was done, line by line, in labels that cannot grow without end.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use campaign::act::{Outcome, What};
use campaign::desk::Acted;
use campaign::endpoint::Wanted;
use campaign::offer::OrderKey;
use campaign::publish::Publish;
use campaign::request::Request as AwardRequest;
use embedded::clock::ManualClock;
use fairground::bench::process::{Server, ask};
use fairground::config::Config;
use fairground::wiring::{House, Ports};
use kernel::ports::outbound::{Call, Outbound, Outcome as Called, Verb};
use ledger::account::Account;
use ledger::order::{Order as LedgerOrder, OrderId};
use raffle::entry::Request;
use raffle::raffles::DrawRequest;
use records::audit::{Actor, Cause};
use trials::NOON_MS;
use trials::books::{points, unit};
use trials::fair::behaves;
use trials::ports::SeededEntropy;
use trials::profile::Profile;

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

fn start(folder: &Path) -> Server {
    Server::start(Path::new(PROGRAM), &folder.join("data"), &folder.join("log"), &[]).expect("a server")
}

/// Series and their values, by `name{label="value",...}`.
struct Page(BTreeMap<String, f64>);

/// Labels and their values. None of ours has a comma or a quote in it.
fn labels(series: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = series.split_once('{') else { return vec![] };
    let inside = rest.strip_suffix('}').expect("a closing brace");
    let pairs = inside.split(',').map(|pair| {
        let (label, value) = pair.split_once("=\"").expect("a label");
        (label.to_owned(), value.strip_suffix('"').expect("a quote").to_owned())
    });
    pairs.collect()
}

impl Page {
    /// Reads the text format of OpenMetrics 1.0, and refuses what does not follow it.
    fn read(text: &str) -> Self {
        let mut series = BTreeMap::new();
        let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
        for line in text.strip_suffix("# EOF\n").expect("an end").lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let words: Vec<&str> = rest.splitn(3, ' ').collect();
                match words[..] {
                    ["HELP", _, help] => assert!(!help.is_empty(), "{line}"),
                    ["TYPE", name, kind] => assert_eq!(kinds.insert(name, kind), None, "{name} twice"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let family = name.split('{').next().expect("a name");
            let mut suffixes = ["", "_total", "_info", "_sum", "_count", "_bucket"].iter();
            let stems =
                |suffix: &&str| family.strip_suffix(suffix).is_some_and(|stem| kinds.contains_key(stem));
            assert!(suffixes.any(stems), "{line} has no type");
            labels(name);
            let value = value.parse().expect("a number");
            assert_eq!(series.insert(name.to_owned(), value), None, "{name} twice");
        }
        Self(series)
    }

    async fn of(server: &Server) -> Self {
        // Without a key: monitoring has none.
        let answer =
            ask(server.address, "GET", "/metrics", &[], String::new().into()).await.expect("an answer");
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        let media = answer.headers.get("content-type").expect("a type").to_str().expect("text");
        assert_eq!(media, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Self::read(&answer.text())
    }

    fn value(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    /// The values of a label, over all series.
    fn values_of(&self, wanted: &str) -> BTreeSet<String> {
        let all = self.0.keys().flat_map(|series| labels(series));
        all.filter(|(label, _)| label == wanted).map(|(_, value)| value).collect()
    }
}

async fn draw(server: &Server, raffle: &str, participant: &str, key: &str) -> u16 {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let body = format!("{{\"participant\":\"{participant}\"}}");
    let path = format!("/api/v1/raffles/{raffle}/draws");
    server.ask("POST", &path, &headers, body).await.expect("an answer").status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_rise_by_exactly_what_was_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path());
    let before = Page::of(&server).await;
    assert_eq!(before.value("fairground_records_up"), 1.0);
    assert!(!before.0.keys().any(|series| series.starts_with("fairground_prize_units")));

    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    for number in 0..70 {
        assert_eq!(draw(&server, RAFFLE, &format!("person-{number}"), &format!("key-{number}")).await, 201);
    }
    for number in 0..5 {
        assert_eq!(draw(&server, RAFFLE, &format!("person-{number}"), &format!("key-{number}")).await, 201);
    }
    assert_eq!(draw(&server, RAFFLE, "another", "key-of-another").await, 201);
    assert_eq!(draw(&server, "nowhere", "person-1", "key").await, 404);
    assert_eq!(draw(&server, "nowhere-else", "person-1", "key").await, 404);
    // The same key and participant, and another body.
    let headers = [("content-type", "application/json"), ("idempotency-key", "key-1")];
    let path = format!("/api/v1/raffles/{RAFFLE}/draws");
    let body = "{\"participant\": \"person-1\"}";
    assert_eq!(server.ask("POST", &path, &headers, body).await.expect("an answer").status.as_u16(), 409);
    for path in ["/some/secret/path", "/another/secret/path"] {
        server.ask("GET", path, &[], "").await.expect("an answer");
    }
    server.ask("DELETE", "/livez", &[], "").await.expect("an answer");
    server.ask("BREW", "/livez", &[], "").await.expect("an answer");

    let after = Page::of(&server).await;
    let template = "/api/v1/raffles/{id}/draws";
    for (series, expected) in [
        (format!("fairground_draws_total{{raffle=\"{RAFFLE}\",outcome=\"made\"}}"), 71.0),
        (format!("fairground_draws_total{{raffle=\"{RAFFLE}\",outcome=\"replayed\"}}"), 5.0),
        ("fairground_draws_refused_total{code=\"raffle.missing\"}".to_owned(), 2.0),
        ("fairground_draws_refused_total{code=\"idempotency.key_reused\"}".to_owned(), 1.0),
        ("fairground_problems_total{code=\"raffle.missing\"}".to_owned(), 2.0),
        ("fairground_problems_total{code=\"edge.no_such_route\"}".to_owned(), 2.0),
        (format!("fairground_requests_total{{route=\"{template}\",method=\"POST\",status=\"2xx\"}}"), 76.0),
        (format!("fairground_requests_total{{route=\"{template}\",method=\"POST\",status=\"4xx\"}}"), 3.0),
        (format!("fairground_request_seconds_count{{route=\"{template}\",method=\"POST\"}}"), 79.0),
        (
            format!("fairground_request_seconds_bucket{{le=\"+Inf\",route=\"{template}\",method=\"POST\"}}"),
            79.0,
        ),
        ("fairground_requests_total{route=\"none\",method=\"GET\",status=\"4xx\"}".to_owned(), 2.0),
        ("fairground_requests_total{route=\"/livez\",method=\"DELETE\",status=\"4xx\"}".to_owned(), 1.0),
        ("fairground_requests_total{route=\"/livez\",method=\"other\",status=\"4xx\"}".to_owned(), 1.0),
        ("fairground_requests_total{route=\"/metrics\",method=\"GET\",status=\"2xx\"}".to_owned(), 1.0),
        ("fairground_batch_waiting".to_owned(), 0.0),
        ("fairground_records_up".to_owned(), 1.0),
        ("fairground_effects{state=\"dead\"}".to_owned(), 0.0),
        (format!("fairground_odds_drift_draws{{raffle=\"{RAFFLE}\",version=\"1\",pool=\"base\"}}"), 71.0),
        (format!("fairground_odds_drift_alarm{{raffle=\"{RAFFLE}\",version=\"1\",pool=\"base\"}}"), 0.0),
    ] {
        assert_eq!(after.value(&series), expected, "{series}");
    }
    // Draws came one after the other: at least one transaction for each, and one more for the epoch to be learnt.
    assert!(after.value("fairground_batch_draws_sum") >= 77.0);
    assert!(after.value("fairground_commit_seconds_count{outcome=\"kept\"}") >= 77.0);
    let drift = format!("fairground_odds_drift{{raffle=\"{RAFFLE}\",version=\"1\",pool=\"base\"}}");
    assert!(after.value(&drift) > 0.0);
    assert!(after.value("process_resident_memory_bytes") > 1e6);
    assert!(after.value("process_start_time_seconds") > 1.7e9);
    assert!(after.0.contains_key("fairground_build_info{version=\"0.1.0\"}"));

    let raffle = server.ask("GET", &format!("/api/v1/raffles/{RAFFLE}"), &[], "").await.expect("an answer");
    let raffle = raffle.json().expect("json");
    let finite =
        raffle["prizes"].as_array().expect("prizes").iter().filter(|prize| prize["unlimited"] == false);
    for prize in finite {
        for state in ["free", "granted"] {
            let id = prize["id"].as_str().expect("an id");
            let units =
                format!("fairground_prize_units{{raffle=\"{RAFFLE}\",prize=\"{id}\",state=\"{state}\"}}");
            assert_eq!(Some(after.value(&units)), prize[state].as_f64(), "{units}");
        }
    }
    labels_are_bounded(&after);
    assert!(server.terminate().expect("an end"));
}

fn labels_are_bounded(page: &Page) {
    let names: BTreeSet<String> =
        page.0.keys().flat_map(|series| labels(series)).map(|(label, _)| label).collect();
    let known = [
        "code", "le", "method", "outcome", "pool", "prize", "raffle", "route", "state", "status", "topic",
        "version",
    ];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), known);
    assert_eq!(page.values_of("raffle"), BTreeSet::from([RAFFLE.to_owned()]), "an id that is no raffle's");
    let routes = page.values_of("route");
    assert!(routes.iter().all(|route| !route.contains("secret") && !route.contains(RAFFLE)), "{routes:?}");
    assert_eq!(page.values_of("method"), ["DELETE", "GET", "POST", "other"].map(str::to_owned).into());
    let text = format!("{:?}", page.0);
    assert!(!text.contains("person-") && !text.contains("key-"), "a participant in the metrics");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_raffles_share_a_label_past_the_hundredth() {
    let trial = trials::Trial::open().await;
    let text = trials::example(RAFFLE);
    for number in 0..103 {
        let document = text.replace(&format!("raffle: {RAFFLE}"), &format!("raffle: r{number:03}"));
        trial.publish(&document, "p").await.expect("publish");
        trial.prize(&format!("r{number:03}"), "ada", "k").await;
    }
    let page = trial
        .house
        .metrics
        .page(
            (&trial.house.raffles, &trial.house.awards),
            &trial.house.switches,
            (Some(trials::NOON_MS - 1500), trials::NOON_MS),
        )
        .await
        .expect("a page");
    let page = Page::read(&page);
    assert_eq!(page.value("fairground_search_behind_seconds"), 1.5);
    assert_eq!(page.value("fairground_draws_total{raffle=\"r099\",outcome=\"made\"}"), 1.0);
    assert_eq!(page.value("fairground_draws_total{raffle=\"_other\",outcome=\"made\"}"), 3.0);
    let watched = page.0.keys().filter(|series| series.starts_with("fairground_odds_drift_draws")).count();
    assert_eq!(watched, 100);
    let stocked: BTreeSet<String> = page
        .0
        .keys()
        .filter(|series| series.starts_with("fairground_prize_units"))
        .flat_map(|series| labels(series))
        .filter(|(label, _)| label == "raffle")
        .map(|(_, id)| id)
        .collect();
    assert_eq!(stocked.len(), 100);
    trial.house.close().await;
}

/// Takes every webhook, but the first: that one it does not answer.
struct Takes(AtomicBool);

#[async_trait]
impl Outbound for Takes {
    async fn call(&self, call: &Call) -> Called {
        match (call.verb, self.0.swap(true, Ordering::SeqCst)) {
            (Verb::Deliver, false) => Called::Unknown { fault: "it hung up".to_owned() },
            (Verb::Deliver | Verb::Ask, _) => Called::Taken,
        }
    }
}

const CAMPAIGN: &str = "campaign: fair
title: Fair
earning:
  - {id: rebate, behaviour: purchase, gains: [{unit: point, amount: 10}]}
  - {id: thanks, behaviour: referral, gains: [{unit: point, amount: 3}]}
sign_in: {days: [[{unit: point, amount: 1}]]}
referral: {behaviour: purchase}
offers:
  - {id: pen, title: A pen, price: {unit: point, amount: 2}, gains: [{unit: ticket, amount: 1}], stock: 3, pay_within_seconds: 60}
";
const RAFFLE_OF_HOOKS: &str = "raffle: hooks\ntitle: Hooks\ndenominator: 1\nprizes:\n  - {id: hook, title: Hook, weight: 1, stock: unlimited, award: {kind: webhook, endpoint: pay}}\n";

/// Acts of a campaign, done, repeated and refused.
async fn act_in(house: &House) {
    let campaigns = &house.campaigns;
    let (campaign, key, text, body_hash) = ("fair".to_owned(), "p".to_owned(), CAMPAIGN.to_owned(), [1; 32]);
    let cause = Cause { actor: Actor::house(), key: key.clone(), body_hash: None };
    campaigns.publish(Publish { campaign, text, key, body_hash, cause }).await.expect("published");
    let act = async |who: &str, what: What| campaigns.act(who, what, [1; 32]).await;
    for id in ["1", "2", "2"] {
        act("ada", behaves("purchase", id, None)).await.expect("a behaviour");
    }
    act("ada", What::SignIn { campaign: "fair".to_owned() }).await.expect("a day");
    let code = campaigns.code("ada", "fair").await.expect("a code");
    campaigns.refer("bob", ("fair", &code), [1; 32]).await.expect("a referral");
    act("bob", behaves("purchase", "3", None)).await.expect("a behaviour that qualifies");
    let order = async |key: &str| {
        let (campaign, offer, key) = ("fair".to_owned(), "pen".to_owned(), key.to_owned());
        let done = act("ada", What::Order { campaign, offer, quantity: 1, key }).await.expect("an order");
        let Acted::Kept(Outcome::Ordered { order, .. }) = done.acted else { panic!("an order") };
        order.parse::<OrderKey>().expect("an id")
    };
    let (paid, cancelled) = (order("a").await, order("b").await);
    order("c").await;
    act("ada", What::Pay { order: paid }).await.expect("paid");
    act("ada", What::Cancel { order: cancelled }).await.expect("given up");
    act("ada", What::Pay { order: cancelled }).await.expect_err("it was given up");
}

/// Orders to the ledger, each of another outcome.
async fn order_of(house: &House) {
    let (issued, ada, id) = (Account::house("issued", &unit("point")), points("ada"), OrderId::of);
    let send = async |id: OrderId, legs: (&Account, &Account), amount| {
        house.ledger.submit(LedgerOrder::transfer(id, legs, amount)).await.expect("an outcome")
    };
    send(id(&[b"1"]), (&issued, &ada), 5).await;
    send(id(&[b"1"]), (&issued, &ada), 5).await;
    send(id(&[b"1"]), (&issued, &ada), 6).await;
    send(id(&[b"2"]), (&points("eve"), &ada), 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_acts_orders_and_calls_is_counted_by_kind_and_outcome() {
    let place = Profile::Embedded.place();
    let mut config = Config::default();
    place.configure(&mut config);
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let outbound = Arc::new(Takes(AtomicBool::new(false))) as Arc<dyn Outbound>;
    let entropy = Arc::new(SeededEntropy::kind(1));
    let ports = Ports { clock: Arc::clone(&clock) as Arc<_>, entropy, outbound: Some(outbound) };
    let house = House::open(&config, ports).await.expect("a house");
    act_in(&house).await;
    order_of(&house).await;
    let wanted =
        Wanted { url: "https://pay.example/".to_owned(), status_url: None, keeps_ids: true, enabled: true };
    let actor = Actor::house();
    let asked = |key: &str| AwardRequest {
        key: key.to_owned(),
        body_hash: [1; 32],
        actor: Arc::clone(&actor),
        at_ms: NOON_MS,
    };
    house.awards.create_endpoint("pay", wanted, asked("e")).await.expect("an endpoint");
    let request = || Request { key: "r".to_owned(), body_hash: [1; 32], actor: Actor::house() };
    let publish = raffle::publish::Publish {
        raffle: "hooks".to_owned(),
        text: RAFFLE_OF_HOOKS.to_owned(),
        request: request(),
    };
    house.raffles.publish(publish).await.expect("published");
    let (raffle, participant) = ("hooks".to_owned(), "ada".to_owned());
    let asked = DrawRequest {
        raffle,
        participant,
        client_seed: None,
        attested: trials::told(None),
        parts: 1,
        request: request(),
    };
    house.raffles.draw(asked).await.expect("a draw");

    let page = async || {
        let rooms = (&house.raffles, &house.awards);
        Page::read(&house.metrics.page(rooms, &house.switches, (None, NOON_MS)).await.expect("a page"))
    };
    // Nobody knows how far searching is behind before it has read everything.
    assert!(!page().await.0.contains_key("fairground_search_behind_seconds"));
    let expected = [
        ("fairground_acts_total{kind=\"behaviour\",outcome=\"done\"}", 4.0),
        ("fairground_acts_total{kind=\"behaviour\",outcome=\"replayed\"}", 1.0),
        ("fairground_acts_total{kind=\"sign_in\",outcome=\"done\"}", 1.0),
        ("fairground_acts_total{kind=\"referral\",outcome=\"done\"}", 1.0),
        ("fairground_acts_total{kind=\"order\",outcome=\"done\"}", 3.0),
        ("fairground_acts_total{kind=\"pay\",outcome=\"done\"}", 1.0),
        ("fairground_acts_total{kind=\"cancel\",outcome=\"done\"}", 1.0),
        ("fairground_acts_total{kind=\"expire\",outcome=\"done\"}", 1.0),
        ("fairground_acts_refused_total{code=\"offer.order_ended\"}", 1.0),
        ("fairground_referrals_total{outcome=\"rewarded\"}", 1.0),
        ("fairground_ledger_orders_total{outcome=\"done\"}", 1.0),
        ("fairground_ledger_orders_total{outcome=\"replayed\"}", 1.0),
        ("fairground_ledger_orders_total{outcome=\"conflict\"}", 1.0),
        ("fairground_ledger_orders_total{outcome=\"refused\"}", 1.0),
        ("fairground_webhook_calls_total{kind=\"deliver\",outcome=\"unknown\"}", 1.0),
        ("fairground_webhook_calls_total{kind=\"deliver\",outcome=\"taken\"}", 1.0),
    ];
    // Effects leave, orders end and webhooks are sent again by themselves, once their time has come.
    let counted = async {
        loop {
            let now = page().await;
            if expected.iter().all(|(series, _)| now.0.contains_key(*series)) {
                return now;
            }
            clock.set(kernel::ports::clock::Clock::now_ms(&*clock) + 1_000);
            tokio::task::yield_now().await;
        }
    };
    let counted = tokio::time::timeout(Duration::from_secs(60), counted).await.expect("all is counted");
    for (series, expected) in expected {
        // What is due is looked at while the trial looks too: a hold that is over is settled by an order of the house.
        let more = if series.contains("ledger_orders_total{outcome=\"done\"}") { 1.0 } else { 0.0 };
        let found = counted.value(series);
        assert!((expected..=expected + more).contains(&found), "{series}: {found}");
    }
    assert!(!format!("{:?}", counted.0).contains("ada"), "a participant in the metrics");
    house.close().await;
}
