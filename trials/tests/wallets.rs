//! The ledger as services and participants use it: over HTTP, through the real server.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::time::Duration;

use embedded::sqlite::{Caches, SqliteRecords};
use fairground::bench::process::Answer;
use kernel::id::{Shard, Tenant};
use ledger::journal::JournalKey;
use ledger::verify::verify;
use records::port::read;
use serde_json::{Value, json};
use tempfile::TempDir;
use trials::NOON_MS;
use trials::booth::{AUDITOR, Booth, OPERATOR, SERVICE, code, send};

const HOUR_MS: i64 = 3_600_000;

/// Posts under a key.
async fn post(booth: &Booth, path: &str, key: &str, body: &Value) -> Answer {
    send(booth.address, SERVICE, "POST", path, key, &body.to_string()).await
}

async fn get(booth: &Booth, bearer: &str, path: &str) -> Answer {
    send(booth.address, bearer, "GET", path, "", "").await
}

fn person(name: &str, amount: i64) -> Value {
    json!({ "participant": name, "unit": "point", "amount": amount })
}

fn house(name: &str, amount: i64) -> Value {
    json!({ "house": name, "unit": "point", "amount": amount })
}

fn legs(legs: &[Value]) -> Value {
    json!({ "legs": legs })
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|told| told == "true")
}

fn done(answer: &Answer) -> Value {
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json().expect("JSON")
}

async fn give(booth: &Booth, key: &str, name: &str, amount: i64) -> Value {
    let body = legs(&[house("issued", -amount), person(name, amount)]);
    done(&post(booth, "/transfers", key, &body).await)
}

/// What a participant has, as balance, held and pending.
async fn has(booth: &Booth, name: &str) -> Vec<(String, i64, i64, i64)> {
    let told = done(&get(booth, AUDITOR, &format!("/participants/{name}/balances")).await);
    let balances = told["balances"].as_array().expect("balances").iter().map(|balance| {
        let number = |name: &str| balance[name].as_i64().expect("a number");
        let unit = balance["unit"].as_str().expect("a unit").to_owned();
        (unit, number("balance"), number("held"), number("pending"))
    });
    let mut balances: Vec<_> = balances.collect();
    balances.sort_unstable();
    balances
}

fn points(balance: i64) -> Vec<(String, i64, i64, i64)> {
    vec![("point".to_owned(), balance, 0, 0)]
}

/// Ends a booth and verifies what it leaves.
async fn ends_well(booth: Booth) -> TempDir {
    let folder = booth.close().await;
    let records = SqliteRecords::open(&folder.path().join("data"), Caches::default()).expect("a store");
    let key = JournalKey { shard: Shard::HOME, tenant: Tenant::MAIN.number };
    let report = verify(&records, key, Tenant::MAIN).await.expect("a report");
    assert_eq!(report.failed, []);
    records.close();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_for_ever() {
    let booth = Booth::open().await;
    let given = legs(&[house("issued", -50), person("ada", 50)]);
    let first = post(&booth, "/transfers", "t", &given).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (201, false), "{}", first.text());
    booth.clock.set(NOON_MS + HOUR_MS);
    give(&booth, "other", "ada", 7).await;
    let again = post(&booth, "/transfers", "t", &given).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again), &again.body), (201, true, &first.body));

    // Whatever differs is named, and nothing is done.
    let refund = |more: &Value| {
        let mut body = given.clone();
        let fields = body.as_object_mut().expect("an object");
        fields.extend(more.as_object().cloned().unwrap_or_default());
        body
    };
    for (body, field) in [
        (legs(&[house("issued", -51), person("ada", 51)]), "amount"),
        (legs(&[house("issued", -50), person("bob", 50)]), "account"),
        (refund(&json!({ "code": "refund" })), "code"),
        (refund(&json!({ "reference": "order-7" })), "reference"),
        (refund(&json!({ "expires_ms": NOON_MS + 9 * HOUR_MS })), "expires_ms"),
        (refund(&json!({ "available_ms": NOON_MS })), "available_ms"),
    ] {
        let other = post(&booth, "/transfers", "t", &body).await;
        assert_eq!(code(&other), (409, "idempotency.key_reused"), "{field}");
        assert!(other.text().contains(&format!("`exists_with_different_{field}`")), "{}", other.text());
    }
    let release = post(&booth, &format!("/holds/{}/release", "0".repeat(32)), "t", &json!({})).await;
    assert!(release.text().contains("`exists_with_different_kind`"), "{}", release.text());
    assert_eq!(has(&booth, "ada").await, points(57));
    assert_eq!(has(&booth, "bob").await, []);

    // What is refused stays refused, in the same words.
    let spent = legs(&[person("ada", -60), house("spent", 60)]);
    let refused = post(&booth, "/transfers", "r", &spent).await;
    assert_eq!(code(&refused), (422, "ledger.insufficient_funds"));
    give(&booth, "more", "ada", 3).await;
    let told = |answer: &Answer| {
        let mut told = answer.json().expect("a problem");
        told["request_id"] = Value::Null;
        told
    };
    let again = post(&booth, "/transfers", "r", &spent).await;
    assert_eq!(told(&again), told(&refused));
    assert_eq!((is_replayed(&refused), is_replayed(&again)), (false, true));
    assert_eq!(has(&booth, "ada").await, points(60), "a refusal does nothing, also when it could be done");
    done(&post(&booth, "/transfers", "s", &spent).await);

    // What never could be done uses no key.
    let unbalanced = legs(&[house("issued", -5), person("ada", 4)]);
    assert_eq!(code(&post(&booth, "/transfers", "u", &unbalanced).await), (422, "ledger.unbalanced"));
    give(&booth, "u", "ada", 5).await;

    // Both ends of an order can be read.
    let id = first.json().expect("JSON")["id"].as_str().expect("an id").to_owned();
    let entry = done(&get(&booth, AUDITOR, &format!("/transfers/{id}")).await);
    assert_eq!(
        (&entry["kind"], &entry["refused"], &entry["code"]),
        (&json!("transfer"), &Value::Null, &json!("transfer"))
    );
    assert_eq!(entry["lines"], first.json().expect("JSON")["lines"]);
    for id in ["0".repeat(32), "none".to_owned()] {
        assert_eq!(code(&get(&booth, AUDITOR, &format!("/transfers/{id}")).await), (404, "transfer.missing"));
    }
    drop(ends_well(booth).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_captured_reversed_released_or_over() {
    let booth = Booth::open().await;
    give(&booth, "given", "ada", 100).await;
    let hold = async |key: &str, amount: i64| {
        let body = json!({
            "from": { "participant": "ada" }, "to": { "house": "spent" }, "unit": "point", "amount": amount,
            "expires_ms": NOON_MS + HOUR_MS,
        });
        let told = done(&post(&booth, "/holds", key, &body).await);
        told["id"].as_str().expect("an id").to_owned()
    };
    let one = hold("one", 40).await;
    assert_eq!(has(&booth, "ada").await, [("point".to_owned(), 100, 40, 0)]);
    let capture = format!("/holds/{one}/capture");
    let beyond = post(&booth, &capture, "beyond", &json!({ "amount": 41 })).await;
    assert_eq!(code(&beyond), (422, "ledger.beyond_hold"));
    let captured = post(&booth, &capture, "c", &json!({ "amount": 30 })).await;
    let again = post(&booth, &capture, "c", &json!({ "amount": 30 })).await;
    assert_eq!((is_replayed(&again), &again.body), (true, &captured.body));
    assert_eq!(code(&post(&booth, &capture, "d", &json!({})).await), (422, "ledger.hold_captured"));
    assert_eq!(has(&booth, "ada").await, points(70));

    let id = done(&captured)["id"].as_str().expect("an id").to_owned();
    let reversal = format!("/transfers/{id}/reversal");
    let undone = done(&post(&booth, &reversal, "v", &json!({ "code": "refund" })).await);
    assert_eq!(undone["lines"][0]["amount"], 30);
    assert_eq!(code(&post(&booth, &reversal, "w", &json!({})).await), (422, "ledger.not_reversible"));
    assert_eq!(has(&booth, "ada").await, points(100));

    let two = hold("two", 25).await;
    done(&send(booth.address, SERVICE, "POST", &format!("/holds/{two}/release"), "l", "").await);
    assert_eq!(has(&booth, "ada").await, points(100));

    // What is due is done by the server, when its clock says so.
    hold("three", 60).await;
    let expiring = json!({
        "legs": [house("issued", -9), person("bob", 9)], "expires_ms": NOON_MS + HOUR_MS,
        "available_ms": NOON_MS + 1,
    });
    done(&post(&booth, "/transfers", "lot", &expiring).await);
    assert_eq!(has(&booth, "bob").await, [("point".to_owned(), 9, 0, 9)]);
    booth.clock.set(NOON_MS + HOUR_MS);
    let over = async {
        while has(&booth, "ada").await != points(100) || has(&booth, "bob").await != points(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), over)
        .await
        .expect("a hold that is over, a lot that expired");
    let expired = done(&get(&booth, AUDITOR, "/house-accounts/expired/balances").await);
    assert_eq!(expired["balances"][0]["balance"], 9);
    drop(ends_well(booth).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_reads_their_own_wallets_alone_page_by_page() {
    let booth = Booth::open().await;
    for number in 1..=5 {
        give(&booth, &format!("g{number}"), "ada", number).await;
    }
    let vault = json!({ "participant": "ada", "wallet": "raffle-spring", "unit": "ticket", "amount": 2 });
    let issued = json!({ "house": "issued", "unit": "ticket", "amount": -2 });
    done(&post(&booth, "/transfers", "tickets", &legs(&[issued, vault])).await);
    let (ada, bob) = (booth.token("ada", 60).await, booth.token("bob", 60).await);
    let wallets = "/participants/ada/wallets";
    let (balances, statement) =
        ("/participants/ada/balances", format!("{wallets}/main/units/point/statement"));

    let mut told = vec![];
    let mut cursor = String::new();
    loop {
        let page = done(&get(&booth, &ada, &format!("{statement}?limit=2{cursor}")).await);
        let postings = page["postings"].as_array().expect("postings").clone();
        told.extend(postings.iter().map(|posting| {
            (posting["number"].as_u64(), posting["amount"].as_i64(), posting["after"]["balance"].as_i64())
        }));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected = [(5, 15), (4, 10), (3, 6), (2, 3), (1, 1)];
    assert_eq!(told, expected.map(|(number, balance)| (Some(number as u64), Some(number), Some(balance))));

    let first = done(&get(&booth, &ada, &format!("{balances}?limit=1")).await);
    let next = first["next"].as_str().expect("another page").to_owned();
    let second = done(&get(&booth, &ada, &format!("{balances}?limit=1&cursor={next}")).await);
    let mut found: Vec<_> = [&first, &second]
        .map(|page| format!("{} {}", page["balances"][0]["wallet"], page["balances"][0]["balance"]))
        .into();
    found.sort_unstable();
    assert_eq!(found, ["\"main\" 15", "\"raffle-spring\" 2"]);

    for path in [balances, &statement] {
        assert_eq!(code(&get(&booth, &bob, path).await), (403, "edge.other_participant"), "{path}");
        assert_eq!(get(&booth, AUDITOR, path).await.status.as_u16(), 200, "{path}");
    }
    assert_eq!(done(&get(&booth, &bob, "/participants/bob/balances").await)["balances"], json!([]));
    let nothing = get(&booth, &bob, "/participants/bob/wallets/main/units/point/statement").await;
    assert_eq!(code(&nothing), (404, "account.missing"));
    for path in
        ["/house-accounts/issued/balances", "/house-accounts/issued/units/point/statement", "/transfers/x"]
    {
        assert_eq!(code(&get(&booth, &ada, path).await), (403, "edge.not_allowed"), "{path}");
    }
    let sent = send(booth.address, &ada, "POST", "/transfers", "mine", &legs(&[]).to_string()).await;
    assert_eq!(code(&sent), (403, "edge.not_allowed"));
    drop(ends_well(booth).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_owe_how_much_is_noted_with_who_said_so() {
    let booth = Booth::open().await;
    let put = async |bearer: &str, path: &str, key: &str, overdraft: Value| {
        let body = json!({ "overdraft": overdraft }).to_string();
        send(booth.address, bearer, "PUT", path, key, &body).await
    };
    let (wallet, pot) = ("/participants/ada/wallets/main/units/point", "/house-accounts/pot/units/point");
    let spend = legs(&[person("ada", -30), house("pot", 30)]);
    let fill = legs(&[house("issued", -1), house("pot", 1)]);
    assert_eq!(code(&post(&booth, "/transfers", "a", &fill).await), (422, "ledger.no_such_account"));
    assert_eq!(code(&put(SERVICE, pot, "p", json!("forbidden")).await), (403, "edge.not_allowed"));
    done(&put(OPERATOR, pot, "p", json!("forbidden")).await);
    assert_eq!(code(&post(&booth, "/transfers", "b", &spend).await), (422, "ledger.insufficient_funds"));
    let opened = put(OPERATOR, wallet, "w", json!({ "up_to": 30 })).await;
    let again = put(OPERATOR, wallet, "w", json!({ "up_to": 30 })).await;
    assert_eq!((opened.status.as_u16(), is_replayed(&again), &again.body), (200, true, &opened.body));
    let other = put(OPERATOR, wallet, "w", json!({ "up_to": 31 })).await;
    assert!(other.text().contains("`exists_with_different_overdraft`"), "{}", other.text());
    done(&post(&booth, "/transfers", "c", &spend).await);
    let taken = put(OPERATOR, wallet, "x", json!("forbidden")).await;
    assert_eq!(code(&taken), (422, "ledger.insufficient_funds"), "what is owed cannot be forbidden");
    done(&put("the key of admin", wallet, "y", json!("unlimited")).await);
    let told = done(&get(&booth, AUDITOR, "/participants/ada/balances").await);
    assert_eq!(
        (&told["balances"][0]["overdraft"], &told["balances"][0]["balance"]),
        (&json!("unlimited"), &json!(-30))
    );

    let audit = done(&get(&booth, AUDITOR, "/audit?action=open_account").await);
    let entries = audit["entries"].as_array().expect("entries");
    let told: Vec<_> = entries
        .iter()
        .map(|entry| ["actor", "request_key", "detail"].map(|name| entry[name].as_str().expect("text")))
        .collect();
    let expected = [
        ["operator-1", "accounts p", "wallet main, unit point, overdraft forbidden"],
        ["operator-1", "accounts w", "wallet main, unit point, overdraft up to 30"],
        ["admin-1", "accounts y", "wallet main, unit point, overdraft unlimited"],
    ];
    assert_eq!(told, expected, "a repeat and a refusal leave no entry");
    assert_eq!(entries[0]["subject"], "house-account/pot");
    assert!(entries[1]["subject"].as_str().expect("text").starts_with("participant/"));
    assert!(!audit.to_string().contains("ada"), "the log names a person");
    drop(ends_well(booth).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_exchange_is_answered_at_the_rate_of_its_day() {
    let rates = |takes: i64| {
        format!(
            "[[ledger.rates]]\nfrom = \"point\"\nto = \"coin\"\ngives = 1\ntakes = {takes}\nrounding = \"down\""
        )
    };
    let booth = Booth::open_with(&rates(10)).await;
    give(&booth, "given", "ada", 300).await;
    let body = json!({ "participant": "ada", "from": "point", "to": "coin", "amount": 105 });
    let mut certain = body.clone();
    certain["rate"] = json!({ "gives": 1, "takes": 10, "rounding": "down" });
    let first = post(&booth, "/exchanges", "x", &certain).await;
    let amounts: Vec<_> =
        done(&first)["lines"].as_array().expect("lines").iter().map(|line| line["amount"].clone()).collect();
    assert_eq!(amounts, [-105, 105, -10, 10]);
    let back = json!({ "participant": "ada", "from": "coin", "to": "point", "amount": 1 });
    assert_eq!(code(&post(&booth, "/exchanges", "back", &back).await), (422, "ledger.no_rate"));
    let few = json!({ "participant": "ada", "from": "point", "to": "coin", "amount": 9 });
    assert_eq!(code(&post(&booth, "/exchanges", "few", &few).await), (422, "ledger.bad_exchange"));

    let booth = Booth::open_in(booth.close().await, &rates(20)).await;
    let again = post(&booth, "/exchanges", "x", &certain).await;
    assert_eq!((is_replayed(&again), &again.body), (true, &first.body));
    let other = post(&booth, "/exchanges", "y", &certain).await;
    assert_eq!(code(&other), (422, "ledger.other_rate"));
    assert!(other.text().contains("1 for every 20, rounded down"), "{}", other.text());
    done(&post(&booth, "/exchanges", "y", &body).await);
    assert_eq!(has(&booth, "ada").await, [("coin".to_owned(), 15, 0, 0), ("point".to_owned(), 90, 0, 0)]);
    let changed = json!({ "participant": "ada", "from": "point", "to": "coin", "amount": 106 });
    assert!(
        post(&booth, "/exchanges", "x", &changed).await.text().contains("`exists_with_different_amount`")
    );
    assert_eq!(done(&get(&booth, SERVICE, "/rates").await)["rates"][0]["takes"], 20);
    drop(ends_well(booth).await);
}

/// The name goes; accounts, entries and balances stay, and whoever knows the name still finds them.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_forgotten_and_the_books_still_prove() {
    let booth = Booth::open().await;
    give(&booth, "one", "ada lovelace", 50).await;
    give(&booth, "two", "bob", 20).await;
    let erase = "/participants/ada%20lovelace?reason=asked";
    let erased = send(booth.address, OPERATOR, "DELETE", erase, "", "").await;
    assert_eq!(
        erased.text(),
        "{\"raffles\":0,\"erased\":0,\"accounts\":1,\"experiments\":0,\"codes\":0,\"lists\":0}"
    );
    let again = send(booth.address, OPERATOR, "DELETE", erase, "", "").await;
    assert_eq!(
        again.text(),
        "{\"raffles\":0,\"erased\":0,\"accounts\":0,\"experiments\":0,\"codes\":0,\"lists\":0}"
    );
    let audit = done(&get(&booth, AUDITOR, "/audit?action=erase").await);
    assert_eq!(audit["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(audit["entries"][0]["detail"], "from 1 accounts of the ledger: asked");
    assert!(!audit.to_string().contains("lovelace"));

    // Nothing brings the name back by itself.
    give(&booth, "three", "ada lovelace", 5).await;
    assert_eq!(has(&booth, "ada%20lovelace").await, points(55));
    assert_eq!(has(&booth, "bob").await, points(20));
    let folder = ends_well(booth).await;
    let records = SqliteRecords::open(&folder.path().join("data"), Caches::default()).expect("a store");
    let names: Result<Vec<_>, records::error::Error> = read(&records, Shard::HOME, |tx| {
        Box::pin(async move {
            tx.fetch("SELECT owner FROM ledger_account WHERE kind='participant' ORDER BY owner", &[]).await
        })
    })
    .await;
    let names = names.expect("rows");
    let names: Vec<_> = names.iter().map(|row| row.text(0).expect("text")).collect();
    assert_eq!(names, ["", "bob"]);
    let key = JournalKey { shard: Shard::HOME, tenant: Tenant::MAIN.number };
    assert_eq!(verify(&records, key, Tenant::MAIN).await.map(|report| report.erased), Ok(1));
    records.close();
}
