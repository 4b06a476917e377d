//! The log of exposures over HTTP: whoever was exposed stands in it once, with their arm, under no name.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;

use fairground::bench::process::Answer;
use serde_json::{Value, json};
use trials::booth::{Booth, OPERATOR, SERVICE, code, send};
use trials::profile::Profile;
use trials::{NOON_MS, in_each_profile};

const LOG: &str = "/experiments/w/exposures";

async fn post(booth: &Booth, bearer: &str, path: &str, body: &Value) -> Value {
    let answer = send(booth.address, bearer, "POST", path, "", &body.to_string()).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json().expect("json")
}

async fn get(booth: &Booth, path: &str) -> Answer {
    send(booth.address, OPERATOR, "GET", path, "", "").await
}

/// The whole log, page by page: arm and time of each pseudonym.
async fn log(booth: &Booth, id: &str, limit: u32) -> BTreeMap<String, (String, i64)> {
    let (mut all, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let answer = get(booth, &format!("/experiments/{id}/exposures?limit={limit}{cursor}")).await;
        let page = answer.json().expect("json");
        let listed = page["exposures"].as_array().expect("exposures");
        assert!(listed.len() <= limit as usize);
        for one in listed {
            let text = |name: &str| one[name].as_str().expect("text").to_owned();
            let at_ms = one["exposed_ms"].as_i64().expect("a time");
            assert_eq!(one["generation"], 1);
            assert!(all.insert(text("pseudonym"), (text("arm"), at_ms)).is_none(), "{one} stands twice");
        }
        let Some(next) = page["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

async fn whoever_was_exposed_stands_in_the_log_once_and_under_no_name(profile: Profile) {
    let booth = Booth::open_as(profile, "[review]\nfour_eyes = false\n").await;
    for raffle in ["one", "two"] {
        let document = format!(
            "raffle: {raffle}\ntitle: A raffle\ndenominator: 1\nprizes:\n  - {{id: p, title: A thing, weight: 1, stock: unlimited}}\n"
        );
        let path = format!("/raffles/{raffle}/versions");
        let answer = send(booth.address, OPERATOR, "POST", &path, raffle, &document).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    }
    for (id, from) in [("w", 0), ("v", 8_000)] {
        let document = json!({
            "experiment": id, "title": "Is two better?", "subject": { "raffle": if id == "w" { "one" } else { "two" } },
            "layer": "wheel", "buckets": { "from": from, "until": from + 2_000 }, "denominator": 2,
            "arms": [{ "arm": "a", "weight": 1, "raffle": "one" }, { "arm": "b", "weight": 1, "raffle": "two" }],
            "goals": [{ "goal": "draw", "measure": "mean" }],
        });
        post(&booth, OPERATOR, "/experiments", &document).await;
        post(&booth, OPERATOR, &format!("/experiments/{id}/start"), &json!({ "reason": "a trial" })).await;
    }
    assert!(log(&booth, "w", 5).await.is_empty(), "nobody was exposed yet");

    let mut arms = BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 0)]);
    let (mut exposed, mut elsewhere) = (vec![], 0);
    for n in 0..200 {
        let name = format!("somebody-{n}");
        booth.clock.set(NOON_MS + n);
        let body = json!({ "participant": name });
        let told = post(&booth, SERVICE, "/experiments/w/assignment", &body).await;
        let other = post(&booth, SERVICE, "/experiments/v/assignment", &body).await;
        elsewhere += usize::from(!other["exposed_ms"].is_null());
        let Some(arm) = told["arm"].as_str() else { continue };
        *arms.get_mut(arm).expect("an arm") += 1;
        exposed.push((told["exposed_ms"].as_i64().expect("a time"), arm.to_owned(), name));
    }
    assert!(exposed.len() > 10 && elsewhere > 10, "too few take part: {} and {elsewhere}", exposed.len());
    for limit in [1, 7, 200] {
        let mut told: Vec<_> =
            log(&booth, "w", limit).await.into_values().map(|(arm, at_ms)| (at_ms, arm)).collect();
        told.sort_unstable();
        let expected = exposed.iter().map(|(at_ms, arm, _)| (*at_ms, arm.clone()));
        assert_eq!(told, expected.collect::<Vec<_>>(), "in pages of {limit}");
    }
    assert_eq!(log(&booth, "v", 200).await.len(), elsewhere, "another experiment has its own");
    let shown = get(&booth, "/experiments/w").await.json().expect("json");
    assert_eq!(shown["results"]["exposed"], json!([arms["a"], arms["b"]]));
    assert!(!get(&booth, LOG).await.text().contains("somebody"), "the log names somebody");

    let (gone_ms, _, gone) = &exposed[3];
    let path = format!("/participants/{gone}?reason=they+asked");
    let forgotten = send(booth.address, OPERATOR, "DELETE", &path, "gone", "").await;
    assert!(forgotten.status.is_success(), "{}", forgotten.text());
    let left = log(&booth, "w", 200).await;
    assert_eq!(left.len(), exposed.len() - 1);
    assert!(left.values().all(|(_, at_ms)| at_ms != gone_ms), "who was forgotten is in the log");

    assert_eq!(code(&get(&booth, "/experiments/none/exposures").await), (404, "experiment.missing"));
    for cursor in ["x", "0-1", "0-1-zz", "0-70000-00000000000000000000000000000000"] {
        let asked = get(&booth, &format!("{LOG}?cursor={cursor}")).await;
        assert_eq!(code(&asked), (400, "edge.bad_query"), "{cursor}");
    }
    drop(booth.close().await);
}

in_each_profile!(whoever_was_exposed_stands_in_the_log_once_and_under_no_name);
