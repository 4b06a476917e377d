//! Experiments about offers: orders led to the offer of each participant's arm, exposed and counted in their transaction.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use campaign::experiment::bucketing::{arm_of, bucket, ends};
use fairground::bench::process::Answer;
use serde_json::{Value, json};
use trials::booth::{Booth, OPERATOR, SERVICE, code, send};
use trials::profile::Profile;

const SHOP: &str = "\
campaign: shop
title: Shop
budget: {units: {point: 100000}}
earning:
  - {id: gift, behaviour: gift, gains: [{unit: point, amount: 100}]}
offers:
  - {id: pen, title: A pen, price: {unit: point, amount: 30}, gains: [{unit: ticket, amount: 1}], stock: 50}
  - {id: pen-cheap, title: A pen, price: {unit: point, amount: 20}, gains: [{unit: ticket, amount: 1}], stock: 50}
  - {id: cup, title: A cup, price: {unit: point, amount: 5}, gains: [{unit: ticket, amount: 1}], stock: unlimited}
";

async fn post(booth: &Booth, bearer: &str, path: &str, key: &str, body: &Value) -> Answer {
    send(booth.address, bearer, "POST", path, key, &body.to_string()).await
}

async fn done(booth: &Booth, bearer: &str, path: &str, key: &str, body: &Value) -> Value {
    let answer = post(booth, bearer, path, key, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json().expect("json")
}

/// Half of those in the first 8,000 buckets pay 30 for a pen, half 20.
fn prices(id: &str) -> Value {
    json!({
        "experiment": id, "title": "Do cheap pens sell?", "subject": { "offer": { "campaign": "shop", "offer": "pen" } },
        "layer": "prices", "buckets": { "from": 0, "until": 8000 }, "denominator": 2,
        "arms": [{ "arm": "dear", "weight": 1, "offer": "pen" }, { "arm": "cheap", "weight": 1, "offer": "pen-cheap" }],
        "goals": [{ "goal": "order", "measure": "mean" }, { "goal": "pay", "measure": "share" }],
    })
}

/// The offer that the published buckets say.
fn expected(id: &str, who: &str) -> &'static str {
    if bucket("prices", "", who) >= 8_000 {
        return "pen";
    }
    ["pen", "pen-cheap"][arm_of(&ends(&[1, 1]), bucket("prices", id, who)).expect("an arm")]
}

fn reason() -> Value {
    json!({ "reason": "a trial" })
}

/// A booth with the shop, and so many people who have been given 100 points each.
async fn shop(profile: Profile, people: usize) -> (Booth, Vec<String>) {
    let booth = Booth::open_as(profile, "[review]\nfour_eyes = false\n").await;
    let published = send(booth.address, OPERATOR, "POST", "/campaigns/shop/versions", "p", SHOP).await;
    assert_eq!(published.status.as_u16(), 201, "{}", published.text());
    let people: Vec<_> = (0..people).map(|n| format!("p{n}")).collect();
    for who in &people {
        let gift = json!({ "participant": who, "behaviour": "gift", "business_id": "1" });
        done(&booth, SERVICE, "/behaviours", "", &gift).await;
    }
    (booth, people)
}

async fn begin(booth: &Booth, document: &Value) {
    done(booth, OPERATOR, "/experiments", "", document).await;
    let path = format!("/experiments/{}/start", document["experiment"].as_str().expect("an id"));
    done(booth, OPERATOR, &path, "", &reason()).await;
}

async fn order(booth: &Booth, who: &str, offer: &str, key: &str) -> Answer {
    let body = json!({ "participant": who, "offer": offer });
    post(booth, SERVICE, "/campaigns/shop/orders", key, &body).await
}

fn ordered(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    let told = answer.json().expect("json");
    let text = |key: &str| told[key].as_str().expect("a text").to_owned();
    let price = if text("offer") == "pen-cheap" { 20 } else { 30 };
    assert_eq!(told["price"]["amount"], price, "the terms are those of the arm");
    (text("offer"), text("order"))
}

/// Exposed participants, and participants and sum of a goal, of each arm.
async fn counted(booth: &Booth, id: &str, goal: &str) -> Vec<(u64, u64, u64)> {
    let path = format!("/experiments/{id}");
    let shown = send(booth.address, OPERATOR, "GET", &path, "", "").await.json().expect("json");
    let results = &shown["results"];
    let goals = results["goals"].as_array().expect("goals");
    let goal = goals.iter().find(|known| known["goal"] == goal).expect("the goal");
    let number = |value: &Value| value.as_u64().expect("a number");
    let arms = goal["arms"].as_array().expect("arms").iter().enumerate();
    arms.map(|(at, arm)| (number(&results["exposed"][at]), number(&arm["reached"]), number(&arm["total"])))
        .collect()
}

async fn orders_are_led_by_the_published_buckets_exposed_and_counted(profile: Profile) {
    let (booth, people) = shop(profile, 24).await;
    let before = order(&booth, "p0", "pen", "early").await;
    assert_eq!(ordered(&before).0, "pen");
    begin(&booth, &prices("e1")).await;
    let mut sums = [(0, 0); 2];
    for who in &people {
        let answer = order(&booth, who, "pen", "a").await;
        let (offer, id) = ordered(&answer);
        assert_eq!(offer, expected("e1", who), "{who}");
        // A repeat is answered byte for byte, and counts nothing.
        let again = order(&booth, who, "pen", "a").await;
        assert_eq!((&again.body, again.headers.contains_key("idempotent-replayed")), (&answer.body, true));
        let pays = !who.ends_with('1');
        if pays {
            let body = json!({ "participant": who });
            for _ in 0..2 {
                done(&booth, SERVICE, &format!("/orders/{id}/pay"), "", &body).await;
            }
        }
        if bucket("prices", "", who) < 8_000 {
            let sums = &mut sums[usize::from(offer == "pen-cheap")];
            *sums = (sums.0 + 1, sums.1 + u64::from(pays));
        }
    }
    assert!(sums.iter().all(|(exposed, paid)| *exposed > 0 && *paid > 0), "{sums:?}");
    let expect = |of: fn(&(u64, u64)) -> (u64, u64, u64)| sums.iter().map(of).collect::<Vec<_>>();
    assert_eq!(counted(&booth, "e1", "order").await, expect(|(exposed, _)| (*exposed, *exposed, *exposed)));
    assert_eq!(counted(&booth, "e1", "pay").await, expect(|(exposed, paid)| (*exposed, *paid, *paid)));
    // The key of before finds its order, wherever a new one would go.
    assert_eq!(order(&booth, "p0", "pen", "early").await.body, before.body);
    // Stock is each offer's own.
    let shop = send(booth.address, OPERATOR, "GET", "/campaigns/shop", "", "").await.json().expect("json");
    let free: u64 = (0..2).map(|at| shop["offers"][at]["free"].as_u64().expect("units")).sum();
    assert_eq!(free, 100 - 25);
    drop(booth.close().await);
}

async fn who_was_exposed_keeps_their_terms_and_nobody_is_by_a_refusal(profile: Profile) {
    let (booth, people) = shop(profile, 24).await;
    begin(&booth, &prices("e1")).await;
    let cheap: Vec<_> = people.iter().filter(|who| expected("e1", who) == "pen-cheap").collect();
    let [first, second, third, ..] = &cheap[..] else { unreachable!("three of twenty-four") };
    assert_eq!(ordered(&order(&booth, first, "pen", "a").await).0, "pen-cheap");
    // A refused order writes nothing: nobody is exposed by it.
    let body = json!({ "participant": second, "offer": "pen", "quantity": 2 });
    assert_eq!(
        code(&post(&booth, SERVICE, "/campaigns/shop/orders", "b", &body).await),
        (422, "offer.too_many")
    );
    assert_eq!(counted(&booth, "e1", "order").await[1].0, 1);
    // New weights move newcomers alone.
    let weights = json!({ "weights": { "dear": 1999, "cheap": 1 }, "reason": "a trial" });
    assert_eq!(
        code(&post(&booth, OPERATOR, "/experiments/e1/weights", "", &weights).await),
        (422, "experiment.document")
    );
    // Who is shown a price is exposed by that, before any order.
    let shown = json!({ "participant": second });
    let assigned = done(&booth, SERVICE, "/experiments/e1/assignment", "", &shown).await;
    assert_eq!(assigned["arm"], "cheap");
    let off = json!({ "value": false, "version": 0, "reason": "a storm" }).to_string();
    send(booth.address, OPERATOR, "PUT", "/switches/feature.experiments", "", &off).await;
    assert_eq!(
        ordered(&order(&booth, third, "pen", "a").await).0,
        "pen",
        "nobody new is exposed while they are off"
    );
    for who in [first, second] {
        assert_eq!(
            ordered(&order(&booth, who, "pen", "c").await).0,
            "pen-cheap",
            "who was keeps their terms"
        );
    }
    let on = json!({ "value": true, "version": 1, "reason": "it is over" }).to_string();
    send(booth.address, OPERATOR, "PUT", "/switches/feature.experiments", "", &on).await;
    done(&booth, OPERATOR, "/experiments/e1/stop", "", &reason()).await;
    assert_eq!(ordered(&order(&booth, first, "pen", "d").await).0, "pen", "it is over");
    assert_eq!(counted(&booth, "e1", "order").await[1], (2, 2, 3));
    drop(booth.close().await);
}

async fn what_cannot_be_tried_is_refused(profile: Profile) {
    let (booth, _) = shop(profile, 0).await;
    let draft = async |from: &str, to: &str| {
        let document = prices("e1").to_string();
        assert!(document.contains(from), "{from}");
        code(&send(booth.address, OPERATOR, "POST", "/experiments", "", &document.replace(from, to)).await)
    };
    assert_eq!(draft("pen-cheap", "pen-free").await, (404, "offer.missing"));
    assert_eq!(draft("\"campaign\":\"shop\"", "\"campaign\":\"mall\"").await, (404, "campaign.missing"));
    assert_eq!(draft("\"offer\":\"pen-cheap\"", "\"raffle\":\"pen\"").await, (422, "experiment.document"));
    assert_eq!(draft("\"goal\":\"pay\"", "\"goal\":\"win\"").await, (422, "experiment.document"));
    begin(&booth, &prices("e1")).await;
    let told = json!({ "participant": "p0", "goal": "pay", "event": "1", "value": 1 });
    let told = post(&booth, SERVICE, "/experiments/e1/goals", "", &told).await;
    assert_eq!(code(&told), (404, "experiment.no_such_goal"), "orders are counted, not told");
    let mut other = prices("e2");
    other["layer"] = json!("another");
    done(&booth, OPERATOR, "/experiments", "", &other).await;
    let start = post(&booth, OPERATOR, "/experiments/e2/start", "", &reason()).await;
    assert_eq!(code(&start), (409, "experiment.subject_taken"));
    other["experiment"] = json!("e3");
    other["subject"]["offer"]["offer"] = json!("cup");
    begin(&booth, &other).await;
    drop(booth.close().await);
}

trials::in_each_profile!(
    orders_are_led_by_the_published_buckets_exposed_and_counted,
    who_was_exposed_keeps_their_terms_and_nobody_is_by_a_refusal,
    what_cannot_be_tried_is_refused,
);
