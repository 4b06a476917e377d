//! What participants see of their points: what came, what cannot be spent yet, what expires when; and what holds have become.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::time::Duration;

use fairground::bench::process::Answer;
use serde_json::{Value, json};
use trials::booth::{AUDITOR, Booth, OPERATOR, SERVICE, code, send};
use trials::profile::Profile;
use trials::{NOON_MS, in_each_profile};

const HOUR_MS: i64 = 3_600_000;
const ADA: &str = "/participants/ada/wallets/main/units/point/lots";

fn done(answer: &Answer) -> Value {
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json().expect("JSON")
}

async fn post(booth: &Booth, path: &str, key: &str, body: &Value) -> Answer {
    send(booth.address, SERVICE, "POST", path, key, &body.to_string()).await
}

async fn get(booth: &Booth, bearer: &str, path: &str) -> Answer {
    send(booth.address, bearer, "GET", path, "", "").await
}

async fn give(booth: &Booth, key: &str, amount: i64, terms: (Option<i64>, Option<i64>)) {
    let mut body = json!({ "legs": [
        { "house": "issued", "unit": "point", "amount": -amount },
        { "participant": "ada", "unit": "point", "amount": amount },
    ] });
    for (name, at_ms) in [("available_ms", terms.0), ("expires_ms", terms.1)] {
        if let Some(at_ms) = at_ms {
            body[name] = at_ms.into();
        }
    }
    done(&post(booth, "/transfers", key, &body).await);
}

/// Lots as number, what came, what is left, what has expired, pending.
fn listed(page: &Value) -> Vec<(i64, i64, i64, i64, bool)> {
    let lots = page["lots"].as_array().expect("lots").iter().map(|lot| {
        let number = |name: &str| lot[name].as_i64().expect("a number");
        let pending = lot["pending"].as_bool().expect("whether");
        (number("lot"), number("amount"), number("left"), number("expired"), pending)
    });
    lots.collect()
}

async fn has(booth: &Booth) -> Vec<(i64, i64, i64, i64, bool)> {
    listed(&done(&get(booth, AUDITOR, ADA).await))
}

/// The house does what is due by itself.
async fn until<T: PartialEq + std::fmt::Debug>(expected: T, look: impl AsyncFn() -> T) {
    let looked = async {
        while look().await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looked).await.expect("it comes to be so");
}

async fn a_wallet_tells_what_it_is_made_of(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    assert_eq!(code(&get(&booth, AUDITOR, ADA).await), (404, "account.missing"));
    give(&booth, "k1", 100, (None, None)).await;
    assert_eq!(has(&booth).await, [(0, 100, 100, 0, false)], "without terms all is one part");
    give(&booth, "k2", 30, (None, Some(NOON_MS + 2 * HOUR_MS))).await;
    give(&booth, "k3", 20, (Some(NOON_MS + HOUR_MS), None)).await;
    assert_eq!(has(&booth).await, [(0, 100, 100, 0, false), (2, 30, 30, 0, false), (3, 20, 20, 0, true)]);
    let page = done(&get(&booth, AUDITOR, ADA).await);
    let terms =
        |lot: usize| (page["lots"][lot]["available_ms"].as_i64(), page["lots"][lot]["expires_ms"].as_i64());
    let said = [(None, None), (None, Some(NOON_MS + 2 * HOUR_MS)), (Some(NOON_MS + HOUR_MS), None)];
    assert_eq!([terms(0), terms(1), terms(2)], said);

    // Page by page it is the same.
    let (mut paged, mut cursor) = (vec![], String::new());
    loop {
        let page = done(&get(&booth, AUDITOR, &format!("{ADA}?limit=1{cursor}")).await);
        paged.extend(listed(&page));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, has(&booth).await);

    // The oldest is spent first.
    let spend = json!({ "legs": [
        { "participant": "ada", "unit": "point", "amount": -110 },
        { "house": "spent", "unit": "point", "amount": 110 },
    ] });
    done(&post(&booth, "/transfers", "k4", &spend).await);
    assert_eq!(has(&booth).await, [(2, 30, 20, 0, false), (3, 20, 20, 0, true)]);
    booth.clock.set(NOON_MS + HOUR_MS);
    until(vec![(2, 30, 20, 0, false), (3, 20, 20, 0, false)], async || has(&booth).await).await;

    // What is held when it expires stays until the hold is over.
    let hold = json!({
        "from": { "participant": "ada" }, "to": { "house": "spent" }, "unit": "point", "amount": 5,
        "expires_ms": NOON_MS + 3 * HOUR_MS,
    });
    done(&post(&booth, "/holds", "k5", &hold).await);
    booth.clock.set(NOON_MS + 2 * HOUR_MS);
    until(vec![(2, 30, 5, 15, false), (3, 20, 20, 0, false)], async || has(&booth).await).await;
    booth.clock.set(NOON_MS + 3 * HOUR_MS);
    until(vec![(3, 20, 20, 0, false)], async || has(&booth).await).await;

    // Participants see their own.
    let (ada, bob) = (booth.token("ada", 60).await, booth.token("bob", 60).await);
    assert_eq!(listed(&done(&get(&booth, &ada, ADA).await)), [(3, 20, 20, 0, false)]);
    assert_eq!(code(&get(&booth, &bob, ADA).await), (403, "edge.other_participant"));
    assert_eq!(code(&get(&booth, &ada, &format!("{ADA}?cursor=x")).await), (400, "edge.bad_query"));
    let strange = get(&booth, AUDITOR, "/participants/ada/wallets/main/units/Point!/lots").await;
    assert_eq!(code(&strange), (422, "ledger.bad_unit"));
    drop(booth.close().await);
}

async fn a_hold_tells_what_became_of_it(profile: Profile) {
    let booth = Booth::open_on(profile).await;
    give(&booth, "k", 100, (None, None)).await;
    let expires_ms = NOON_MS + HOUR_MS;
    let hold = async |key: &str, amount: i64| {
        let body = json!({
            "from": { "participant": "ada" }, "to": { "house": "spent" }, "unit": "point", "amount": amount,
            "expires_ms": expires_ms,
        });
        post(&booth, "/holds", key, &body).await
    };
    let id = |held: &Answer| done(held)["id"].as_str().expect("an id").to_owned();
    let held = [hold("h1", 10).await, hold("h2", 20).await, hold("h3", 30).await];
    let ids = held.each_ref().map(id);
    let refused = hold("h4", 1_000).await;
    assert_eq!(code(&refused), (422, "ledger.insufficient_funds"));
    let state = async |id: &str| {
        let told = done(&get(&booth, AUDITOR, &format!("/holds/{id}")).await);
        (told["state"].as_str().expect("a state").to_owned(), told["amount"].as_i64().expect("an amount"))
    };
    let of = |state: &str, amount| (state.to_owned(), amount);
    assert_eq!(state(&ids[0]).await, of("open", 10));
    done(&post(&booth, &format!("/holds/{}/capture", ids[0]), "c1", &json!({ "amount": 4 })).await);
    done(&post(&booth, &format!("/holds/{}/release", ids[1]), "r1", &json!({})).await);
    assert_eq!((state(&ids[0]).await, state(&ids[1]).await), (of("captured", 10), of("released", 20)));
    let told = done(&get(&booth, OPERATOR, &format!("/holds/{}", ids[2])).await);
    let account = &done(&held[2])["lines"][0]["account"];
    assert_eq!(
        (&told["id"], &told["account"], &told["expires_ms"]),
        (&ids[2].clone().into(), account, &expires_ms.into())
    );
    booth.clock.set(expires_ms);
    until(of("expired", 30), async || state(&ids[2]).await).await;

    let missing = (404, "hold.missing");
    let ask = async |id: &str| code(&get(&booth, AUDITOR, &format!("/holds/{id}")).await);
    assert_eq!((ask("nothing").await, ask(&"0".repeat(32)).await), (missing, missing));
    let transfer = json!({ "legs": [
        { "participant": "ada", "unit": "point", "amount": -1 },
        { "house": "spent", "unit": "point", "amount": 1 },
    ] });
    let transfer = id(&post(&booth, "/transfers", "t", &transfer).await);
    assert_eq!(ask(&transfer).await, missing, "a transfer is no hold");
    drop(booth.close().await);
}

in_each_profile!(a_wallet_tells_what_it_is_made_of, a_hold_tells_what_became_of_it);
