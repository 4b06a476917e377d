//! The monitor over chance: silent about samplers that are right, loud about one that is grossly wrong.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use raffle::drift::{Drift, Tally};
use raffle::fairness::Chance;
use raffle::rules::{Chosen, Plan, Publication, Rules};
use trials::{count, example};

const RAFFLE: &str = "late-100001";

fn plan() -> Plan {
    let document = raffle::document::read(&example(RAFFLE)).expect("a document");
    let publication =
        Publication { tenant: "main", version: 1, pseudonym: &|_| "00".repeat(16), slot: &|_| 1 };
    Plan::of(Rules::of(&document, &publication)).expect("a plan")
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
        let (mut dice, mut drift) = (Dice(seed as u64), Drift::default());
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
        let mut drift = Drift::default();
        for number in 0..5_000 {
            let integer = chance.below(plan.total(0, &[]), &[7; 16], number, "seed");
            assert!(
                drift.count(&plan, &Chosen { pool: 0, integer, excluded: vec![] }).is_none(),
                "seed {seed}, draw {number}"
            );
        }
    }
}

/// Cells of weight 3000 to 1, dealt from 13 slots: each weight in thousands, rounded up. The rarest prize comes out once
/// in 13 draws instead of once in 10,000.
#[test]
fn a_range_read_as_thirteen_slots_alarms_within_a_thousand_draws() {
    let plan = plan();
    let weights = plan.weights(0);
    let slots: Vec<usize> = weights
        .iter()
        .enumerate()
        .flat_map(|(cell, weight)| vec![cell; usize::try_from(weight.div_ceil(1000)).expect("few")])
        .collect();
    assert_eq!((slots.len(), weights.iter().sum::<u64>()), (13, 10_000));
    for seed in 0..count(100, 1_000) {
        let (mut dice, mut tally) = (Dice(seed as u64), Tally::over(weights.clone()));
        let mut pick = || slots[usize::try_from(dice.below(13)).expect("small")];
        let first = (1..=1_000).find(|_| tally.count(pick()));
        assert!(first.is_some(), "seed {seed}");
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
