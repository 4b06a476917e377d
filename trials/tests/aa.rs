//! A/A: experiments in which the arms are the same find a difference as seldom as they promise, with the real buckets; and
//! the buckets are even, and independent from layer to layer.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use campaign::experiment::bucketing::{BUCKETS, arm_of, bucket, ends, widths};
use campaign::experiment::significance::{Share, Values, always_valid, fit, fit_p, means, shares};
use kernel::ports::entropy::Entropy;
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
    assert!((always as f64) <= most, "always valid: {always} of {runs}");
    // What the page of results warns of: looking often at the other p-value errs far more often.
    assert!(peeking as f64 > 2.0 * most, "peeking: {peeking} of {runs}");
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
