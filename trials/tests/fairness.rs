//! An outsider can replay every draw, and what was tampered with shows.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use raffle::stock::Order;
use trials::profile::Profile;
use trials::{Trial, example, verify_in_python, verify_lines};

const RAFFLE: &str = "late-100006-repaired";

/// A raffle with everything in its log: tiers, the deny list, stock that runs out, restock, freezes, two versions, three
/// epochs.
async fn eventful(profile: Profile) -> Vec<String> {
    let trial = Trial::open_on(profile).await;
    let text = example(RAFFLE).replace("stock: 100,", "stock: 3,");
    trial.publish(&text, "p1").await.expect("publish");
    for draw in 0..40 {
        for participant in ["ada", "bob", "user001"] {
            trial.prize(RAFFLE, participant, &format!("{participant}-{draw}")).await;
        }
    }
    trial.order(RAFFLE, Order::Restock { prize: "102".to_owned(), units: 5 }, "o1").await.expect("restock");
    trial.order(RAFFLE, Order::Freeze { prize: Some("103".to_owned()) }, "o2").await.expect("freeze");
    trial.reveal(RAFFLE, "t1").await;
    for draw in 0..60 {
        trial.prize(RAFFLE, "cleo", &format!("c{draw}")).await;
    }
    trial.order(RAFFLE, Order::Thaw { prize: Some("103".to_owned()) }, "o3").await.expect("thaw");
    trial.order(RAFFLE, Order::Freeze { prize: None }, "o4").await.expect("freeze all");
    assert!(trial.draw(RAFFLE, "ada", "while frozen").await.is_err());
    trial.order(RAFFLE, Order::Thaw { prize: None }, "o5").await.expect("thaw all");
    trial.publish(&text.replace("weight: 3,", "weight: 500,"), "p2").await.expect("publish again");
    for draw in 0..20 {
        trial.prize(RAFFLE, "dora", &format!("d{draw}")).await;
    }
    trial.reveal(RAFFLE, "t2").await;
    let lines = trial.evidence(RAFFLE).await;
    trial.house.close().await;
    lines
}

fn both_accept(lines: &[String], verified: u64) {
    let report = verify_lines(lines);
    assert_eq!(
        (report.verified, report.attested, report.failed.len()),
        (verified, 0, 0),
        "{:?}",
        report.failed
    );
    let (report, accepted) = verify_in_python(lines);
    assert!(accepted, "{report}");
    assert_eq!(report["verified"], verified);
}

fn both_reject(what: &str, lines: &[String]) {
    assert!(!verify_lines(lines).failed.is_empty(), "the product's verifier accepted: {what}");
    let (report, accepted) = verify_in_python(lines);
    assert!(!accepted, "the outsider's verifier accepted: {what}: {report}");
}

async fn both_verifiers_accept_the_truth_and_nothing_else(profile: Profile) {
    let lines = eventful(profile).await;
    both_accept(&lines, 200);

    let a_draw =
        |from: usize| (from..lines.len()).find(|at| lines[*at].contains("\"draw\"")).expect("a draw");
    let first = a_draw(20);
    let altered = |at: usize, from: &str, to: &str| {
        let mut tampered = lines.clone();
        assert!(tampered[at].contains(from), "{} has no {from}", tampered[at]);
        tampered[at] = tampered[at].replacen(from, to, 1);
        tampered
    };
    let with_101 = (20..lines.len()).find(|at| lines[*at].contains("\"prize\":\"101\"")).expect("prize 101");
    both_reject("an altered prize", &altered(with_101, "\"prize\":\"101\"", "\"prize\":\"105\""));
    both_reject("a prize that was taken away", &altered(with_101, "\"prize\":\"101\"", "\"prize\":null"));
    both_reject("an altered client seed", &altered(first, "\"client_seed\":\"", "\"client_seed\":\"x"));
    both_reject("an altered integer", &altered(first, "\"integer\":", "\"integer\":1"));
    both_reject("an altered time", &altered(first, "\"at_ms\":17", "\"at_ms\":16"));

    both_reject("another draw's id", &altered(first, "\"draw\":\"drw_", "\"draw\":\"drw_1"));
    let bucket = &lines[first][lines[first].find("drw_").expect("an id")..][..7];
    both_reject("another bucket", &altered(first, bucket, "drw_00z"));
    let mut no_epochs: serde_json::Value = serde_json::from_str(&lines[0]).expect("header");
    no_epochs["epochs"] = serde_json::json!([]);
    both_reject("no epochs", &[no_epochs.to_string()]);
    let huge = u64::MAX.to_string();
    both_reject("a huge number", &altered(first, "\"number\":", &format!("\"number\":{huge},\"x\":")));

    let mut dropped = lines.clone();
    dropped.remove(first);
    both_reject("a dropped draw", &dropped);

    let mut renumbered = lines.clone();
    renumbered.remove(a_draw(lines.len() - 10));
    let end = renumbered.len() - 1;
    renumbered.remove(end);
    both_reject("a cut end", &renumbered);

    let mut reordered = lines.clone();
    reordered.swap(first, first + 1);
    both_reject("two draws in the wrong order", &reordered);

    let mut doubled = lines.clone();
    doubled.insert(first, lines[first].clone());
    both_reject("a doubled draw", &doubled);

    let header: serde_json::Value = serde_json::from_str(&lines[0]).expect("header");
    let seeds = [0, 1].map(|epoch| header["epochs"][epoch]["seed"].as_str().expect("a seed").to_owned());
    both_reject("swapped seeds", &altered(0, &seeds[0], &seeds[1]));
    let mut other = header.clone();
    other["epochs"][0]["seed"] = "00".repeat(32).into();
    other["epochs"][0]["seed_hash"] = kernel::hex::hex(&raffle::fairness::sha256(&[0; 32])).into();
    let mut other_seed = lines.clone();
    other_seed[0] = other.to_string();
    both_reject("another seed with its own hash", &other_seed);

    let restock = lines.iter().position(|line| line.contains("\"units\":5")).expect("a restock");
    both_reject("an altered restock", &altered(restock, "\"units\":5", "\"units\":6"));
    both_reject("altered rules", &altered(0, "\\\"102\\\",300", "\\\"102\\\",301"));
}

async fn what_a_caller_told_is_marked_attested(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    trial.publish(&example("early-100001"), "p").await.expect("publish");
    for (draw, points) in
        [None, Some(3_999), Some(4_000), Some(4_900), Some(5_900), Some(6_000)].iter().enumerate()
    {
        trial.draw_with("early-100001", "ada", &format!("k{draw}"), *points).await.expect("draw");
    }
    trial.reveal("early-100001", "t").await;
    let lines = trial.evidence("early-100001").await;
    let report = verify_lines(&lines);
    assert_eq!((report.verified, report.attested, report.failed), (1, 5, vec![]));
    let (report, accepted) = verify_in_python(&lines);
    assert!(accepted, "{report}");
    assert_eq!((report["verified"].as_u64(), report["attested"].as_u64()), (Some(1), Some(5)));
    trial.house.close().await;
}

#[test]
fn what_is_no_evidence_is_refused() {
    for text in ["", "{}", "nonsense", "{\"format\":\"fairground/evidence/9\"}"] {
        let report = verify_lines(&[text.to_owned()]);
        assert_eq!(report.failed.len(), 1, "{text}");
    }
}

#[test]
fn the_published_vectors_hold() {
    let text = std::fs::read_to_string(trials::root().join("docs/fairness/vectors.json")).expect("vectors");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let vectors = vectors["chance"].as_array().expect("a list");
    assert!(vectors.iter().any(|vector| vector["rejections"].as_u64() > Some(0)), "no vector rejects");
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect("text");
        let number = |key: &str| vector[key].as_u64().expect("a number");
        let seed = kernel::hex::from_hex(text("seed")).expect("a seed");
        let pseudonym = kernel::hex::from_hex(text("pseudonym")).expect("a pseudonym");
        let chance = raffle::fairness::Chance::new(&seed, text("epoch").to_owned());
        let integer = chance.below(number("total"), &pseudonym, number("number"), text("client_seed"));
        assert_eq!(integer, number("integer"), "{vector}");
    }
}

trials::in_each_profile!(
    both_verifiers_accept_the_truth_and_nothing_else,
    what_a_caller_told_is_marked_attested,
);
