//! The monitor over chance: silent about samplers that are right, loud about one that is grossly wrong.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;

use raffle::document::Document;
use raffle::drift::{Drift, Stated, Tally};
use raffle::fairness::Chance;
use raffle::rules::{Chosen, Plan, Publication, Rules};
use trials::{count, example};

const RAFFLE: &str = "late-100001";

fn document() -> Document {
    raffle::document::read(&example(RAFFLE)).expect("a document")
}

fn rules(document: &Document) -> Rules {
    let publication =
        Publication { tenant: "main", version: 1, pseudonym: &|_| "00".repeat(16), slot: &|_| 1 };
    Rules::of(document, &publication)
}

fn plan() -> Plan {
    Plan::of(rules(&document())).expect("a plan")
}

fn watch(document: &Document) -> Drift {
    Drift::against(Some(Arc::new(Stated::by(document))))
}

/// SplitMix64 (Steele, Lea and Flood, 2014): chance that a trial can repeat.
struct Dice(u64);

impl Dice {
    fn below(&mut self, total: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The high half of the product: off by one part in 2^64 / total.
        let product = u128::from(mixed ^ (mixed >> 31)) * u128::from(total);
        u64::try_from(product >> 64).expect("below the total")
    }
}

#[test]
fn a_sampler_that_is_right_never_alarms() {
    let plan = plan();
    for seed in 0..count(20, 100) {
        let (mut dice, mut drift) = (Dice(seed as u64), watch(&document()));
        for draw in 0..count(20_000, 100_000) {
            // Every pool, the base most of the time.
            let pool = [0, 0, 0, 1, 2, 3, 4][draw % 7];
            let chosen = Chosen { pool, integer: dice.below(plan.total(pool, &[])), excluded: vec![] };
            assert!(drift.count(&plan, &chosen).is_none(), "seed {seed}, draw {draw}");
        }
        assert_eq!(drift.tallies().count(), 5);
    }
}

#[test]
fn the_products_own_chance_never_alarms() {
    let plan = plan();
    for seed in 0..count(4, 40) {
        let chance = Chance::new(&[u8::try_from(seed).expect("small"); 32], format!("main/{RAFFLE}/1"));
        let mut drift = watch(&document());
        for number in 0..5_000 {
            let integer = chance.below(plan.total(0, &[]), &[7; 16], number, "seed");
            assert!(
                drift.count(&plan, &Chosen { pool: 0, integer, excluded: vec![] }).is_none(),
                "seed {seed}, draw {number}"
            );
        }
    }
}

/// The first of so many draws from the base pool that raises the alarm.
fn first_alarm(document: &Document, plan: &Plan, seed: u64, draws: u64) -> Option<u64> {
    let (mut dice, mut drift) = (Dice(seed), watch(document));
    (1..=draws).find(|_| {
        let chosen = Chosen { pool: 0, integer: dice.below(plan.total(0, &[])), excluded: vec![] };
        drift.count(plan, &chosen).is_some()
    })
}

/// Weights that publishing read wrongly are picked from as they were read, and told by the document all the same. The
/// defects are those of `trials/mutants/`: one, where every prize of weight 3000 to 1 in 10,000 gets its share of ten
/// slots, rounded up, and the rarest comes out once in 13 draws; three, where the whole is the sum over the smallest
/// weight, rounded up, and each part is rounded up too.
#[test]
fn weights_that_publishing_reads_wrongly_alarm_within_a_thousand_draws() {
    let ten_slots = |weight: u64, sum: u64, _: u64| (weight * 10).div_ceil(sum);
    let over_the_least = |weight: u64, sum: u64, least: u64| (weight * sum.div_ceil(least)).div_ceil(sum);
    let two_and_one = "raffle: r\ntitle: R\ndenominator: 299\nprizes:\n  - {id: a, title: A, weight: 199, stock: unlimited}\n  - {id: b, title: B, weight: 100, stock: unlimited}\n";
    let two_and_one = raffle::document::read(two_and_one).expect("a document");
    type Misread = dyn Fn(u64, u64, u64) -> u64;
    let cases: [(Document, &Misread, &[u64]); 2] =
        [(document(), &ten_slots, &[3, 2, 2, 1, 1, 1, 1, 1, 1]), (two_and_one, &over_the_least, &[2, 2])];
    for (document, misread, expected) in &cases {
        let right = Plan::of(rules(document)).expect("a plan");
        let mut broken = rules(document);
        let weights = document.prizes.iter().map(|prize| prize.weight);
        let (sum, least) = (weights.clone().sum(), weights.clone().min().expect("a prize"));
        for ((_, picked), weight) in broken.base.iter_mut().zip(weights) {
            *picked = misread(weight, sum, least);
        }
        let picked: Vec<_> = broken.base.iter().map(|(_, weight)| *weight).collect();
        assert_eq!(picked, *expected);
        let broken = Plan::of(broken).expect("a plan");
        for seed in 0..count(100, 1_000) {
            let seed = seed as u64;
            assert!(first_alarm(document, &broken, seed, 1_024).is_some(), "seed {seed}");
            assert_eq!(first_alarm(document, &right, seed, 1_024), None, "seed {seed}");
        }
    }
}

/// What a monitor cannot see early: an interval that ends one too soon, so that a prize of one in 100,000 never comes out.
/// Replaying the draws finds it at the first draw concerned.
#[test]
fn an_interval_that_ends_one_too_soon_is_not_told_within_ten_draws_expected() {
    let weights = vec![50_000, 49_999, 1];
    for seed in 0..count(2, 10) {
        let (mut dice, mut tally) = (Dice(seed as u64), Tally::over(weights.clone()));
        for draw in 0..count(100_000, 1_000_000) {
            let cell = usize::from(dice.below(100_000) >= 50_000);
            assert!(!tally.count(cell), "seed {seed}, draw {draw}");
        }
    }
}
