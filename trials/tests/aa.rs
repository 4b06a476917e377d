//! A/A: experiments in which the arms are the same find a difference as seldom as they promise, with the real buckets; and
//! the buckets are even, and independent from layer to layer.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use campaign::experiment::bucketing::{BUCKETS, arm_of, bucket, ends, widths};
use campaign::experiment::significance::{Share, Values, always_valid, fit, fit_p, means, shares};
use kernel::ports::entropy::Entropy;
use serde_json::{Value, json};
use trials::booth::{Booth, OPERATOR, SERVICE, send};
use trials::count;
use trials::ports::SeededEntropy;

const ALPHA: f64 = 0.05;

/// How many of `runs` may err where each does with probability `alpha`: mean and five standard deviations, so that less than
/// one seed in a million fails.
fn bounds(runs: usize, alpha: f64) -> (f64, f64) {
    let (mean, spread) = (runs as f64 * alpha, 5.0 * (runs as f64 * alpha * (1.0 - alpha)).sqrt());
    (mean - spread, mean + spread)
}

fn chance(entropy: &SeededEntropy) -> f64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes).expect("chance");
    (u64::from_be_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

#[derive(Default, Clone, Copy)]
struct Arm {
    all: f64,
    reached: f64,
    total: f64,
    squares: f64,
}

impl Arm {
    fn share(self) -> Share {
        Share { of: self.reached, all: self.all }
    }

    fn values(self) -> Values {
        Values { all: self.all, total: self.total, squares: self.squares }
    }
}

#[test]
fn arms_that_are_the_same_differ_as_seldom_as_is_promised() {
    let (runs, people) = (count(1_000, 10_000), 600);
    let entropy = SeededEntropy::kind(35);
    let ends = ends(&[1, 1]);
    let (mut of_shares, mut of_means, mut of_ratios, mut always, mut peeking) = (0, 0, 0, 0, 0);
    for run in 0..runs {
        let salt = format!("aa-{run}");
        let mut arms = [Arm::default(); 2];
        let (mut ever_valid, mut ever_peeked) = (false, false);
        for person in 0..people {
            let place = bucket("aa", &salt, &format!("person-{person}"));
            let arm = &mut arms[arm_of(&ends, place).expect("an arm")];
            // Reached or not, and how much: the same for both arms.
            let reached = chance(&entropy) < 0.3;
            let value = if reached { (1.0 + 9.0 * chance(&entropy)).floor() } else { 0.0 };
            arm.all += 1.0;
            arm.reached += f64::from(u8::from(reached));
            arm.total += value;
            arm.squares += value * value;
            if person % 30 == 29 && person >= 90 {
                let [control, other] = arms.map(Arm::share);
                ever_valid |= always_valid(control, other).is_some_and(|p| p < ALPHA);
                ever_peeked |= shares(control, other).p.is_some_and(|p| p < ALPHA);
            }
        }
        let [control, other] = arms;
        of_shares += usize::from(shares(control.share(), other.share()).p.expect("a p-value") < ALPHA);
        let difference = means(control.values(), other.values()).expect("a difference");
        of_means += usize::from(difference.p.expect("a p-value") < ALPHA);
        let ratio = fit_p(fit(
            &[control.all, other.all],
            &widths(&ends).into_iter().map(f64::from).collect::<Vec<_>>(),
        ));
        of_ratios += usize::from(ratio < ALPHA);
        always += usize::from(ever_valid);
        peeking += usize::from(ever_peeked);
    }
    println!(
        "of {runs}: shares {of_shares}, means {of_means}, ratios {of_ratios}, always valid {always}, peeking {peeking}"
    );
    let (least, most) = bounds(runs, ALPHA);
    for (what, errs) in [("shares", of_shares), ("means", of_means), ("ratios", of_ratios)] {
        assert!((least..=most).contains(&(errs as f64)), "{what}: {errs} of {runs}");
    }
    // So few people, in arms so short, are never enough for it: the next trial has more.
    assert!((always as f64) <= most, "always valid: {always} of {runs}");
    // What the page of results warns of: looking often at the other p-value errs far more often.
    assert!(peeking as f64 > 2.0 * most, "peeking: {peeking} of {runs}");
}

/// Arms long enough for the p-value that may be looked at any time to err: it does, and as seldom as it should. Looked at 19
/// times up to 9,000 people in each arm, it falls below alpha in 1.4 of 100 experiments (with increments of a normal
/// distribution in place of people, 20,000 of them). Without the factor before its exponential it would in 4.6, with half
/// the variance in 17.6, with twice the exponent in 15.4.
#[test]
fn a_p_value_that_is_always_valid_errs_no_more_and_no_less_than_it_should() {
    const REACHED: u8 = 26;
    let (runs, rate) = (count(1_000, 5_000), 0.014);
    let entropy = SeededEntropy::kind(36);
    let looks = std::iter::successors(Some(200), |people| Some(people * 5 / 4));
    let looks: Vec<usize> = looks.take_while(|people| *people < 9_000).chain([9_000]).collect();
    let (mut errs, mut people) = (0, vec![]);
    for _ in 0..runs {
        let (mut arms, mut before, mut is_found) = ([Share { of: 0.0, all: 0.0 }; 2], 0, false);
        for look in &looks {
            people.resize(look - before, 0);
            for arm in &mut arms {
                entropy.fill(&mut people).expect("chance");
                arm.of += people.iter().filter(|byte| **byte < REACHED).count() as f64;
                arm.all += people.len() as f64;
            }
            before = *look;
            is_found |= always_valid(arms[0], arms[1]).is_some_and(|p| p < ALPHA);
        }
        errs += usize::from(is_found);
    }
    println!("of {runs} long ones: always valid {errs}");
    let (least, most) = bounds(runs, rate);
    assert!(
        errs > 0 && (least..=most).contains(&(errs as f64)),
        "{errs} of {runs}, and not {least} to {most}"
    );
}

/// The same through the product: people are exposed and reach goals over HTTP, and what is shown of each experiment is what
/// a count beside it says.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_product_shows_of_arms_that_are_the_same_is_what_happened() {
    let booth = Booth::open_with("[review]\nfour_eyes = false\n").await;
    let entropy = SeededEntropy::kind(37);
    let (runs, people) = (count(12, 60), 40);
    let post = async |bearer: &str, path: &str, body: Value| {
        let answer = send(booth.address, bearer, "POST", path, "", &body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    };
    let (mut found, mut compared) = (0, 0);
    for run in 0..runs {
        let id = format!("aa-{run}");
        let path = format!("/experiments/{id}");
        let document = json!({
            "experiment": id, "title": "The same", "subject": { "named": "page" }, "denominator": 2,
            "arms": [{ "arm": "a", "weight": 1 }, { "arm": "b", "weight": 1 }],
            "goals": [{ "goal": "bought", "measure": "share" }],
        });
        post(OPERATOR, "/experiments", document).await;
        post(OPERATOR, &format!("{path}/start"), json!({ "reason": "go" })).await;
        let mut arms = [Arm::default(); 2];
        for person in 0..people {
            let who = format!("person-{person}");
            post(SERVICE, &format!("{path}/assignment"), json!({ "participant": who })).await;
            let arm = &mut arms[arm_of(&ends(&[1, 1]), bucket(&id, &id, &who)).expect("an arm")];
            arm.all += 1.0;
            if chance(&entropy) < 0.3 {
                arm.reached += 1.0;
                let goal = json!({ "participant": who, "goal": "bought", "event": "order-1" });
                post(SERVICE, &format!("{path}/goals"), goal).await;
            }
        }
        let shown = send(booth.address, OPERATOR, "GET", &path, "", "").await.json().expect("json");
        let results = &shown["results"];
        assert_eq!(results["exposed"], json!(arms.map(|arm| arm.all as u64)));
        let (of_arms, against) =
            (&results["goals"][0]["arms"], &results["goals"][0]["arms"][1]["against_control"]);
        for (arm, counted) in arms.iter().enumerate() {
            assert_eq!(of_arms[arm]["reached"], counted.reached as u64);
        }
        let [control, other] = arms.map(Arm::share);
        let shown_p = |name: &str| against[name].as_f64().expect("a p-value");
        let p = shares(control, other).p.expect("a p-value");
        assert!((shown_p("p") - p).abs() < 1e-9, "{against}");
        assert!(
            (shown_p("p_always_valid") - always_valid(control, other).expect("one")).abs() < 1e-9,
            "{against}"
        );
        let ratio = fit_p(fit(&arms.map(|arm| arm.all), &[1.0, 1.0]));
        assert!((results["ratio"]["p"].as_f64().expect("p") - ratio).abs() < 1e-9, "{results}");
        found += usize::from(p < ALPHA);
        compared += 1;
    }
    assert!(compared == runs && (found as f64) <= bounds(runs, ALPHA).1, "{found} of {runs} differ");
    drop(booth.close().await);
}

#[test]
fn buckets_are_even_and_layers_and_salts_know_nothing_of_each_other() {
    let people = count(60_000, 1_000_000);
    let names: Vec<_> = (0..people).map(|person| format!("u{person:07}")).collect();
    let of = |layer: &str, salt: &str| -> Vec<usize> {
        let place = |name: &String| usize::try_from(bucket(layer, salt, name)).expect("a bucket");
        names.iter().map(place).collect()
    };
    let (one, other, arms) = (of("one", ""), of("other", ""), of("one", "wheel"));
    for places in [&one, &other, &arms] {
        // Five buckets make a cell, in which thirty participants and more are expected.
        let cells = BUCKETS as usize / 5;
        let mut counts = vec![0.0; cells];
        for place in places {
            counts[place * cells / BUCKETS as usize] += 1.0;
        }
        let p = fit_p(fit(&counts, &vec![1.0; cells]));
        assert!(p > 1e-6, "uneven: p = {p}");
    }
    for (first, second) in [(&one, &other), (&one, &arms), (&other, &arms)] {
        // Twenty by twenty cells: where the two are independent, all are as likely.
        let mut counts = vec![0.0; 400];
        for (a, b) in first.iter().zip(second) {
            counts[(a * 20 / BUCKETS as usize) * 20 + b * 20 / BUCKETS as usize] += 1.0;
        }
        let p = fit_p(fit(&counts, &[1.0; 400]));
        assert!(p > 1e-6, "not independent: p = {p}");
    }
}
