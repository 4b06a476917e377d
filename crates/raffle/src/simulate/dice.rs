//! Chance that is the same on every machine: xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number
//! generators", 2021), filled by SplitMix64 (Steele, Lea and Flood, 2014) as its authors advise. It proves nothing: real
//! draws take their integers from [`crate::fairness`].

/// A seeded source of integers.
#[derive(Debug, Clone)]
pub(super) struct Dice([u64; 4]);

impl Dice {
    /// The source of a seed; `stream` gives one seed as many sources as are needed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut state = split_mix(&mut { seed }) ^ split_mix(&mut { stream.wrapping_add(1) });
        Self([(); 4].map(|()| split_mix(&mut state)))
    }

    fn next(&mut self) -> u64 {
        let Self([a, b, c, d]) = self;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// An integer below `total`, each equally likely: Lemire's multiplication with rejection (2019).
    pub(super) fn below(&mut self, total: u64) -> u64 {
        let total = total.max(1);
        let reject = total.wrapping_neg() % total;
        loop {
            let product = u128::from(self.next()) * u128::from(total);
            let (high, low) = ((product >> 64) as u64, product as u64);
            if low >= reject {
                return high;
            }
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        let mut zero = 0;
        assert_eq!(split_mix(&mut zero), 0xe220_a839_7b1d_cdaf, "SplitMix64 of the seed 0");
        let mut dice = Dice([1, 2, 3, 4]);
        assert_eq!([(); 3].map(|()| dice.next()), [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn integers_are_spread_evenly_and_streams_differ() {
        let mut dice = Dice::new(7, 0);
        let mut seen = [0u32; 10];
        for _ in 0..100_000 {
            seen[usize::try_from(dice.below(10)).expect("small")] += 1;
        }
        // Chi-square with 9 degrees of freedom: 27.9 is passed once in a thousand seeds; this seed is fixed.
        let chi: f64 = seen.iter().map(|n| (f64::from(*n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 27.9, "{seen:?}");
        assert_eq!(
            (Dice::new(7, 0).next(), Dice::new(7, 0).next()),
            (Dice::new(7, 0).next(), Dice::new(7, 0).next())
        );
        assert_ne!(Dice::new(7, 0).next(), Dice::new(7, 1).next());
        assert_eq!(dice.below(1), 0);
        assert_eq!(dice.below(0), 0, "nothing to pick from");
    }
}
