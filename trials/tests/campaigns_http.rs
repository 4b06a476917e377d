//! Campaigns as operators, services and participants use them: over HTTP, through the real server.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::Path;
use std::time::Duration;

use embedded::sqlite::{Caches, SqliteRecords};
use fairground::bench::process::{Answer, Server, ask};
use kernel::id::{Shard, Tenant};
use ledger::journal::JournalKey;
use ledger::verify::verify;
use records::port::read;
use serde_json::{Value, json};
use trials::NOON_MS;
use trials::booth::{AUDITOR, Booth, OPERATOR, SERVICE, code, keys, send};

const MINUTE_MS: i64 = 60_000;

/// A summer in which purchases give points, and points buy tickets.
const SUMMER: &str = "\
campaign: summer
title: A summer of tickets
time_zone: Asia/Shanghai
placements: [{channel: app, source: home}]
audience: customers
audiences:
  customers: {kind: none, of: [{kind: list, list: staff}]}
budget: {units: {point: 1000}}
earning:
  - {id: rebate, behaviour: purchase, gains: [{unit: point, of_value: {gives: 1, for_every: 100}}]}
  - {id: thanks, behaviour: referral, gains: [{unit: point, amount: 7}]}
sign_in: {days: [[{unit: point, amount: 1}], [{unit: point, amount: 2}]]}
referral: {behaviour: purchase}
offers:
  - id: ticket
    title: A ticket
    price: {unit: point, amount: 30}
    gains: [{unit: ticket, wallet: raffle-summer, amount: 1}]
    stock: 3
    per_order: 2
    pay_within_seconds: 600
";

async fn post(booth: &Booth, bearer: &str, path: &str, key: &str, body: &Value) -> Answer {
    send(booth.address, bearer, "POST", path, key, &body.to_string()).await
}

async fn get(booth: &Booth, bearer: &str, path: &str) -> Answer {
    send(booth.address, bearer, "GET", path, "", "").await
}

fn done(answer: &Answer) -> Value {
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json().expect("JSON")
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|told| told == "true")
}

async fn publish(booth: &Booth, key: &str, text: &str) -> Answer {
    send(booth.address, OPERATOR, "POST", "/campaigns/summer/versions", key, text).await
}

/// A booth with the campaign published.
async fn open() -> Booth {
    let booth = Booth::open().await;
    done(&publish(&booth, "1", SUMMER).await);
    booth
}

fn bought(participant: &str, id: &str, value: i64) -> Value {
    json!({ "participant": participant, "behaviour": "purchase", "business_id": id, "value": value })
}

fn who(participant: &str) -> Value {
    json!({ "participant": participant })
}

fn ticket(participant: &str) -> Value {
    json!({ "participant": participant, "offer": "ticket" })
}

async fn ordered(booth: &Booth, participant: &str, key: &str) -> String {
    let told = done(&post(booth, SERVICE, "/campaigns/summer/orders", key, &ticket(participant)).await);
    told["order"].as_str().expect("an order").to_owned()
}

/// What somebody has of a unit: all of it, and what is held.
async fn has(booth: &Booth, participant: &str, unit: &str) -> (i64, i64) {
    let told = done(&get(booth, AUDITOR, &format!("/participants/{participant}/balances")).await);
    let balances = told["balances"].as_array().expect("balances").iter();
    let mut of_unit = balances.filter(|balance| balance["unit"] == unit);
    of_unit.next().map_or((0, 0), |found| {
        (found["balance"].as_i64().expect("a number"), found["held"].as_i64().expect("a number"))
    })
}

/// Free, held and sold units of the ticket, and what is left of the budget.
async fn stands(booth: &Booth) -> (Value, Value) {
    let told = done(&get(booth, AUDITOR, "/campaigns/summer").await);
    let offer = &told["offers"][0];
    (json!([offer["free"], offer["held"], offer["sold"]]), told["budget"][0]["left"].clone())
}

/// Ends a booth and verifies the ledger that it leaves.
async fn ends_well(booth: Booth) {
    let folder = booth.close().await;
    verified(&folder.path().join("data")).await;
}

async fn verified(data: &Path) {
    let records = SqliteRecords::open(data, Caches::default()).expect("a store");
    let key = JournalKey { shard: Shard::HOME, tenant: Tenant::MAIN.number };
    let report = verify(&records, key, Tenant::MAIN).await.expect("a report");
    assert_eq!(report.failed, []);
    records.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_document_to_a_ticket() {
    let booth = open().await;
    let wrong = publish(&booth, "2", &SUMMER.replace("audience: customers", "audience: nobody")).await;
    assert_eq!(code(&wrong), (422, "campaign.document"));
    let findings = wrong.json().expect("a problem")["findings"].clone();
    assert_eq!(
        (&findings[0]["code"], &findings[0]["pointer"]),
        (&json!("audience.unknown"), &json!("/audience"))
    );
    let again = publish(&booth, "1", SUMMER).await;
    assert_eq!((is_replayed(&again), &again.json().expect("JSON")["version"]), (true, &json!(1)));
    assert_eq!(code(&publish(&booth, "1", &SUMMER.replace("stock: 3", "stock: 4")).await).0, 409);
    let version = done(&get(&booth, AUDITOR, "/campaigns/summer/versions/1").await);
    assert_eq!(version["document"], SUMMER);
    assert_eq!(
        code(&get(&booth, AUDITOR, "/campaigns/summer/versions/2").await).1,
        "campaign.no_such_version"
    );

    done(&post(&booth, SERVICE, "/behaviours", "", &bought("ada", "order-7", 4_500)).await);
    assert_eq!(has(&booth, "ada", "point").await, (45, 0));
    assert_eq!(stands(&booth).await, (json!([3, 0, 0]), json!(955)));
    let order = ordered(&booth, "ada", "k").await;
    assert_eq!((has(&booth, "ada", "point").await, stands(&booth).await.0), ((45, 30), json!([2, 1, 0])));
    let paid = post(&booth, SERVICE, &format!("/orders/{order}/pay"), "", &who("ada")).await;
    assert_eq!(
        (done(&paid)["state"].clone(), done(&paid)["gains"][0]["amount"].clone()),
        (json!("paid"), json!(1))
    );
    assert_eq!(
        (has(&booth, "ada", "point").await, has(&booth, "ada", "ticket").await, stands(&booth).await.0),
        ((15, 0), (1, 0), json!([2, 0, 1]))
    );
    let told = done(&get(&booth, AUDITOR, "/audit?action=publish").await);
    assert_eq!(told["entries"].as_array().map(Vec::len), Some(1), "a repeat and a refusal leave no entry");
    assert_eq!(told["entries"][0]["subject"], "campaign/summer");
    ends_well(booth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_answered_again_byte_for_byte() {
    let booth = open().await;
    let purchase = bought("ada", "order-7", 9_000);
    let mut first = vec![];
    let code_of_bob = done(
        &send(booth.address, SERVICE, "PUT", "/campaigns/summer/referral-code", "", &who("bob").to_string())
            .await,
    )["code"]
        .clone();
    let brought = json!({ "participant": "ada", "code": code_of_bob });
    let calls = [
        ("/campaigns/summer/referrals", "", &brought),
        ("/behaviours", "", &purchase),
        ("/campaigns/summer/sign-ins", "", &who("ada")),
        ("/campaigns/summer/orders", "k", &ticket("ada")),
    ];
    for (path, key, body) in calls {
        let answer = post(&booth, SERVICE, path, key, body).await;
        assert_eq!((answer.status.as_u16(), is_replayed(&answer)), (201, false), "{path}: {}", answer.text());
        first.push(answer);
    }
    let order = first[3].json().expect("JSON")["order"].as_str().expect("an order").to_owned();
    let pay = format!("/orders/{order}/pay");
    let paid = post(&booth, SERVICE, &pay, "", &who("ada")).await;
    assert!(!is_replayed(&paid));
    let before = has(&booth, "ada", "point").await;
    // Whatever becomes of it: a minute later, in another process, after another version, after the code is gone.
    booth.clock.set(NOON_MS + MINUTE_MS);
    done(&publish(&booth, "2", &SUMMER.replace("for_every: 100", "for_every: 10")).await);
    done(&send(booth.address, OPERATOR, "DELETE", "/participants/bob?reason=asked", "", "").await);
    let booth = Booth::open_in(booth.close().await, "").await;
    for ((path, key, body), first) in calls.iter().zip(&first) {
        let again = post(&booth, SERVICE, path, key, body).await;
        assert_eq!(
            (again.status.as_u16(), is_replayed(&again), &again.body),
            (201, true, &first.body),
            "{path}"
        );
    }
    let again = post(&booth, SERVICE, &pay, "", &who("ada")).await;
    assert_eq!((is_replayed(&again), &again.body), (true, &paid.body));
    assert_eq!(has(&booth, "ada", "point").await, before);
    // Another body under the same key is another request; so is the same event with a campaign's name.
    for (path, key, body) in [
        ("/behaviours", "", bought("ada", "order-7", 9_001)),
        (
            "/behaviours",
            "",
            json!({
                "participant": "ada", "behaviour": "purchase", "business_id": "order-7", "value": 9_000,
                "campaign": "summer",
            }),
        ),
        ("/campaigns/summer/orders", "k", json!({ "participant": "ada", "offer": "ticket", "quantity": 2 })),
    ] {
        assert_eq!(
            code(&post(&booth, SERVICE, path, key, &body).await),
            (409, "idempotency.key_reused"),
            "{path}"
        );
    }
    ends_well(booth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participants_token_acts_for_its_bearer_alone() {
    let booth = open().await;
    for participant in ["ada", "bob"] {
        done(&post(&booth, SERVICE, "/behaviours", "", &bought(participant, "b", 9_000)).await);
    }
    let (ada, bob) = (booth.token("ada", 600).await, booth.token("bob", 600).await);
    let order = ordered(&booth, "bob", "k").await;
    let (pay, cancel) = (format!("/orders/{order}/pay"), format!("/orders/{order}/cancel"));
    let brought = json!({ "participant": "bob", "code": "2222222222" });
    for (method, path, body) in [
        ("POST", "/campaigns/summer/sign-ins", &who("bob")),
        ("PUT", "/campaigns/summer/referral-code", &who("bob")),
        ("POST", "/campaigns/summer/referrals", &brought),
        ("POST", "/campaigns/summer/orders", &ticket("bob")),
        ("POST", &pay, &who("bob")),
        ("POST", &cancel, &who("bob")),
    ] {
        let answer = send(booth.address, &ada, method, path, "x", &body.to_string()).await;
        assert_eq!(code(&answer), (403, "edge.other_participant"), "{path}");
    }
    for path in [
        "/campaigns/summer/calendar?participant=bob",
        "/orders?participant=bob",
        "/placements/app/home?participant=bob",
    ] {
        assert_eq!(code(&get(&booth, &ada, path).await), (403, "edge.other_participant"), "{path}");
    }
    // Another's order is as one that is not there.
    for path in [&pay, &cancel] {
        assert_eq!(
            code(&post(&booth, &ada, path, "", &who("ada")).await),
            (404, "offer.no_such_order"),
            "{path}"
        );
    }
    assert_eq!(code(&get(&booth, &ada, &format!("/orders/{order}")).await), (404, "offer.no_such_order"));
    assert_eq!(
        code(&post(&booth, &ada, "/behaviours", "", &bought("ada", "c", 1)).await),
        (403, "edge.not_allowed")
    );
    // What is theirs they may, and need not say who they are where they ask.
    done(&post(&booth, &bob, "/campaigns/summer/sign-ins", "", &who("bob")).await);
    assert_eq!(done(&get(&booth, &bob, "/campaigns/summer/calendar").await)["days"], json!([23]));
    assert_eq!(done(&get(&booth, &bob, "/orders").await)["orders"][0]["order"], order.as_str());
    assert_eq!(done(&post(&booth, &bob, &pay, "", &who("bob")).await)["state"], "paid");
    assert_eq!(done(&get(&booth, &bob, "/campaigns/summer").await)["budget"], Value::Null);
    ends_well(booth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_paid_ends_by_itself() {
    let booth = open().await;
    done(&post(&booth, SERVICE, "/behaviours", "", &bought("ada", "b", 4_500)).await);
    let order = ordered(&booth, "ada", "k").await;
    assert_eq!((has(&booth, "ada", "point").await, stands(&booth).await.0), ((45, 30), json!([2, 1, 0])));
    booth.clock.set(NOON_MS + 10 * MINUTE_MS);
    let over = async {
        while (has(&booth, "ada", "point").await, stands(&booth).await.0) != ((45, 0), json!([3, 0, 0])) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), over).await.expect("what was set aside comes back");
    let told = done(&get(&booth, AUDITOR, &format!("/orders/{order}")).await);
    assert_eq!((&told["state"], &told["ended_ms"]), (&json!("expired"), &Value::Null));
    let late = post(&booth, SERVICE, &format!("/orders/{order}/pay"), "", &who("ada")).await;
    assert_eq!(code(&late), (409, "offer.order_ended"));
    ends_well(booth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_was_released_in_the_ledger_buys_nothing() {
    let booth = open().await;
    done(&post(&booth, SERVICE, "/behaviours", "", &bought("ada", "b", 4_500)).await);
    let order = ordered(&booth, "ada", "k").await;
    let path = "/participants/ada/wallets/main/units/point/statement";
    let hold =
        done(&get(&booth, AUDITOR, path).await)["postings"][0]["id"].as_str().expect("a hold").to_owned();
    done(&post(&booth, OPERATOR, &format!("/holds/{hold}/release"), "r", &json!({})).await);
    let paid = post(&booth, SERVICE, &format!("/orders/{order}/pay"), "", &who("ada")).await;
    assert_eq!(code(&paid), (409, "offer.price_gone"));
    done(&post(&booth, SERVICE, &format!("/orders/{order}/cancel"), "", &who("ada")).await);
    assert_eq!((has(&booth, "ada", "point").await, stands(&booth).await.0), ((45, 0), json!([3, 0, 0])));
    ends_well(booth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_uploaded_within_limits_and_decide_who_is_shown_what() {
    let booth = open().await;
    let upload = async |method: &str, media: &str, body: String| {
        let bearer = format!("Bearer {OPERATOR}");
        let headers = [("authorization", bearer.as_str()), ("content-type", media)];
        ask(booth.address, method, "/api/v1/audiences/staff/members", &headers, body.into())
            .await
            .expect("an answer")
    };
    let counted = |answer: &Answer| {
        let told = done(answer);
        (told["members"].as_u64(), told["changed"].as_u64())
    };
    let shown = async |path: &str| get(&booth, SERVICE, path).await.status.as_u16();
    assert_eq!(shown("/placements/app/home?participant=ada").await, 200);
    let lines = upload("POST", "text/plain; charset=utf-8", "ada\r\n\nbob\nada\n".to_owned()).await;
    assert_eq!(counted(&lines), (Some(2), Some(2)));
    let again = upload("POST", "application/json", json!({ "participants": ["ada"] }).to_string()).await;
    assert_eq!(counted(&again), (Some(2), Some(0)));
    assert_eq!(shown("/placements/app/home?participant=ada").await, 404);
    assert_eq!((shown("/placements/app/home").await, shown("/placements/app/cart").await), (200, 404));
    let ada = booth.token("ada", 60).await;
    assert_eq!(code(&get(&booth, &ada, "/placements/app/home").await), (404, "campaign.nothing_placed"));
    let refused = post(&booth, SERVICE, "/campaigns/summer/sign-ins", "", &who("ada")).await;
    assert_eq!(code(&refused), (422, "campaign.not_for_them"));
    assert_eq!(counted(&upload("DELETE", "text/plain", "ada\nnobody".to_owned()).await), (Some(1), Some(1)));
    done(&post(&booth, SERVICE, "/campaigns/summer/sign-ins", "", &who("ada")).await);

    let names = |count: usize| (0..count).map(|number| format!("p{number}\n")).collect::<String>();
    assert_eq!(counted(&upload("POST", "text/plain", names(20_000)).await), (Some(20_001), Some(20_000)));
    for (method, media, body, expected) in [
        ("POST", "text/plain", names(20_001), (422, "campaign.bad_input")),
        ("POST", "text/plain", "x".repeat(1024 * 1024 + 1), (413, "edge.body_too_large")),
        ("POST", "text/plain", format!("ada\n{}", "x".repeat(129)), (422, "campaign.bad_input")),
        ("POST", "text/plain", "ada\nb\u{7}b".to_owned(), (422, "campaign.bad_input")),
        ("DELETE", "text/plain", String::new(), (422, "campaign.bad_input")),
        ("DELETE", "application/json", String::new(), (400, "edge.bad_json")),
        ("POST", "text/csv", "ada".to_owned(), (415, "edge.wrong_media")),
    ] {
        assert_eq!(code(&upload(method, media, body).await), expected, "{method} {media}");
    }
    assert_eq!(done(&get(&booth, AUDITOR, "/audiences/staff").await)["members"], 20_001);
    let entries = done(&get(&booth, AUDITOR, "/audit?subject=audience/staff").await)["entries"].clone();
    let actions: Vec<_> = entries.as_array().expect("entries").iter().map(|entry| &entry["action"]).collect();
    assert_eq!(
        actions,
        ["add_members", "remove_members", "add_members"],
        "what changed nothing leaves no entry"
    );
    assert!(!entries.to_string().contains("ada"), "{entries}");
    ends_well(booth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_forgotten_leaves_no_name_and_no_membership() {
    let booth = open().await;
    let name = "ada-lovelace";
    let added = json!({ "participants": [name, "bob"] });
    done(&post(&booth, OPERATOR, "/audiences/vips/members", "", &added).await);
    let path = "/campaigns/summer/referral-code";
    let code_of =
        done(&send(booth.address, SERVICE, "PUT", path, "", &who(name).to_string()).await)["code"].clone();
    done(&post(&booth, SERVICE, "/behaviours", "", &bought(name, "b", 9_000)).await);
    let order = ordered(&booth, name, "k").await;
    let erase = async || {
        let path = format!("/participants/{name}?reason=asked");
        done(&send(booth.address, OPERATOR, "DELETE", &path, "", "").await)
    };
    let told = erase().await;
    assert_eq!((&told["codes"], &told["lists"], &told["accounts"]), (&json!(1), &json!(1), &json!(1)));
    let told = erase().await;
    assert_eq!((&told["codes"], &told["lists"], &told["accounts"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(done(&get(&booth, AUDITOR, "/audiences/vips").await)["members"], 1);
    let brought = json!({ "participant": "bob", "code": code_of });
    let refused = post(&booth, SERVICE, "/campaigns/summer/referrals", "", &brought).await;
    assert_eq!(code(&refused), (404, "campaign.no_such_code"));
    let folder = booth.close().await;
    let records = SqliteRecords::open(&folder.path().join("data"), Caches::default()).expect("a store");
    let named: Result<Vec<String>, records::error::Error> = read(&records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let tables = tx.fetch("SELECT name FROM sqlite_master WHERE type='table'", &[]).await?;
            let mut named = vec![];
            for table in tables {
                let table = table.text(0)?.to_owned();
                let rows = tx.fetch(&format!("SELECT * FROM {table}"), &[]).await?;
                if format!("{rows:?}").contains(name) {
                    named.push(table);
                }
            }
            Ok(named)
        })
    })
    .await;
    assert_eq!(named.expect("tables"), Vec::<String>::new(), "no table knows the name");
    records.close();
    drop(records);
    // What was ordered can still be paid, by whoever comes under the same name.
    let booth = Booth::open_in(folder, "").await;
    done(&post(&booth, SERVICE, &format!("/orders/{order}/pay"), "", &who(name)).await);
    ends_well(booth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_are_limited_for_each_participant() {
    let booth = Booth::open_with("[limits]\nacts_per_second_per_participant = 2\n").await;
    done(&publish(&booth, "1", SUMMER).await);
    let sign = async |name: &str| {
        post(&booth, SERVICE, "/campaigns/summer/sign-ins", "", &who(name)).await.status.as_u16()
    };
    assert_eq!(
        [sign("ada").await, sign("ada").await, sign("ada").await, sign("bob").await],
        [201, 201, 429, 201]
    );
    booth.clock.set(NOON_MS + 1_000);
    assert_eq!(sign("ada").await, 201);
    // What a service tells of somebody counts as what they do, and is told again when there is room: it gives then.
    let buy = async |name: &str, what: &str| {
        let answer = post(&booth, SERVICE, "/behaviours", "", &bought(name, what, 4_500)).await;
        (answer.status.as_u16(), answer.json().expect("json")["code"].as_str().map(str::to_owned))
    };
    let too_many = (429, Some("edge.too_many_requests".to_owned()));
    assert_eq!(buy("ada", "a-1").await, (201, None));
    assert_eq!(buy("ada", "a-2").await, too_many);
    assert_eq!(buy("bob", "b-1").await, (201, None));
    booth.clock.set(NOON_MS + 2_000);
    assert_eq!(buy("ada", "a-2").await, (201, None));
    // An operator keeps one participant from earning anything.
    let switch = json!({ "value": 0, "participant": "ada", "version": 0, "reason": "a robot" }).to_string();
    let path = "/switches/limit.participant_acts_per_second";
    done(&send(booth.address, OPERATOR, "PUT", path, "", &switch).await);
    let blocked = (403, Some("switch.blocked".to_owned()));
    assert_eq!(buy("ada", "a-3").await, blocked);
    assert_eq!(sign("ada").await, 403);
    assert_eq!(buy("bob", "b-2").await, (201, None));
    drop(booth.close().await);
}

/// A server in a process of its own is killed between an order and its payment.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_order_and_payment_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::create_dir(&data).expect("data");
    std::fs::write(data.join("admin.key"), "not in use").expect("a key");
    let start = || {
        let program = Path::new(env!("CARGO_BIN_EXE_fairground-on-trial"));
        Server::start(program, &data, &log, &[("FAIRGROUND_AUTH__KEYS", keys())]).expect("a server")
    };
    let server = start();
    let call = async |address, path: &str, key: &str, body: &Value| {
        send(address, SERVICE, "POST", path, key, &body.to_string()).await
    };
    done(&send(server.address, OPERATOR, "POST", "/campaigns/summer/versions", "1", SUMMER).await);
    done(&call(server.address, "/behaviours", "", &bought("ada", "b", 4_500)).await);
    let first = call(server.address, "/campaigns/summer/orders", "k", &ticket("ada")).await;
    let order = done(&first)["order"].as_str().expect("an order").to_owned();
    server.kill().expect("a kill");
    let server = start();
    let again = call(server.address, "/campaigns/summer/orders", "k", &ticket("ada")).await;
    assert_eq!((is_replayed(&again), &again.body), (true, &first.body));
    let paid = call(server.address, &format!("/orders/{order}/pay"), "", &who("ada")).await;
    assert_eq!(done(&paid)["state"], "paid");
    server.kill().expect("a kill");
    let server = start();
    let again = call(server.address, &format!("/orders/{order}/pay"), "", &who("ada")).await;
    assert_eq!((is_replayed(&again), &again.body), (true, &paid.body));
    assert!(server.terminate().expect("an end"));
    verified(&data).await;
}
