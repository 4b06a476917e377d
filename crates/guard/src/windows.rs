//! Many callers under the same limits, in bounded memory.
//!
//! A table keeps no more states than it was made for. They are divided among shards by a hash of their keys; a charge
//! makes its state the newest of its shard. A newcomer takes the place of its shard's oldest where that one is over;
//! otherwise it takes a new place, and where there is none, the place of the oldest all the same. All states have the
//! same limits, so the oldest is also the first to be over: a shard drops no state that counts while it keeps one that
//! does not. Each step takes the same time however many states there are.
//!
//! **When all states of a shard count and a newcomer comes, the one that was charged longest ago is forgotten.** Its
//! caller begins anew and may be let through once more than the limits say. Refusing the newcomer instead would let a
//! crowd of invented names shut everybody out. A caller is forgotten only after about as many others were admitted as
//! the table has places.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, PoisonError};

use crate::tiers::Ruling;
use crate::tiers::Standing;
use crate::tiers::Tiers;
use crate::window::Verdict;

/// Shards of a large table: far more than there are threads, so that two seldom want the same lock.
const SHARDS_MAX: usize = 64;

/// States that make a shard worth its lock. A smaller table has fewer shards.
const SHARD_STATES_MIN: usize = 256;

/// A bounded table of callers, each by its key.
#[derive(Debug)]
pub struct Windows<K> {
    tiers: Tiers,
    // Callers choose their names, so they must not know which fall together.
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
}

impl<K: Hash + Eq + Clone> Windows<K> {
    /// An empty table for at most `states_max` callers. The places are divided among the shards for good: a shard may
    /// be full a little before the table is.
    pub fn new(tiers: Tiers, states_max: NonZeroUsize) -> Self {
        let shards = (states_max.get() / SHARD_STATES_MIN).clamp(1, SHARDS_MAX);
        let each = states_max.get() / shards;
        let shards = (0..shards).map(|_| Mutex::new(Shard::new(each))).collect();
        Self { tiers, hasher: RandomState::new(), shards }
    }

    /// The limits of every caller.
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// Admits and counts a caller's call, or refuses it and changes nothing.
    pub fn admit(&self, key: K, now_ms: i64, units: NonZeroU32) -> Ruling {
        let hash = self.hasher.hash_one(&key);
        let place = usize::try_from(hash % self.shards.len() as u64).unwrap_or_default();
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        shard.admit(&self.tiers, key, now_ms, units)
    }

    /// How many callers are remembered.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).states.len())
            .sum()
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A part of the table. Its states form a ring in the order of their latest charge, linked by their places, so that
/// moving one to the end and finding the oldest take the same few steps however many there are.
#[derive(Debug)]
struct Shard<K> {
    states_max: usize,
    places: HashMap<K, usize>,
    states: Vec<State<K>>,
    /// Where the ring begins; means nothing while there are no states.
    oldest: usize,
}

#[derive(Debug)]
struct State<K> {
    key: K,
    standing: Standing,
    older: usize,
    newer: usize,
}

impl<K: Hash + Eq + Clone> Shard<K> {
    fn new(states_max: usize) -> Self {
        Self { states_max, places: HashMap::new(), states: Vec::new(), oldest: 0 }
    }

    fn admit(&mut self, tiers: &Tiers, key: K, now_ms: i64, units: NonZeroU32) -> Ruling {
        let known = self.places.get(&key).copied();
        let Some(place) = known else {
            let mut standing = tiers.newcomer();
            let ruling = tiers.admit(&mut standing, now_ms, units);
            match ruling.verdict {
                Verdict::Allowed { .. } => self.take_in(tiers, key, standing, now_ms),
                Verdict::Refused { .. } => {}
            }
            return ruling;
        };
        let ruling = tiers.admit(&mut self.states[place].standing, now_ms, units);
        match ruling.verdict {
            Verdict::Allowed { .. } => self.make_newest(place),
            Verdict::Refused { .. } => {}
        }
        ruling
    }

    fn take_in(&mut self, tiers: &Tiers, key: K, standing: Standing, now_ms: i64) {
        let full = self.states.len() >= self.states_max;
        let spare = |oldest: &State<K>| full || tiers.are_over(&oldest.standing, now_ms);
        if let Some(oldest) = self.states.get_mut(self.oldest).filter(|oldest| spare(oldest)) {
            self.places.remove(&oldest.key);
            (oldest.key, oldest.standing) = (key.clone(), standing);
            self.places.insert(key, self.oldest);
            // The oldest becomes the newest: the ring begins one further.
            self.oldest = oldest.newer;
        } else {
            let place = self.states.len();
            self.states.push(State { key: key.clone(), standing, older: place, newer: place });
            self.places.insert(key, place);
            self.link_before_oldest(place);
        }
    }

    fn make_newest(&mut self, place: usize) {
        let State { older, newer, .. } = self.states[place];
        if place == self.oldest {
            self.oldest = newer;
            return;
        }
        self.states[older].newer = newer;
        self.states[newer].older = older;
        self.link_before_oldest(place);
    }

    /// Before the oldest, once around the ring, stands the newest.
    fn link_before_oldest(&mut self, place: usize) {
        let (oldest, newest) = (self.oldest, self.states[self.oldest].older);
        (self.states[place].older, self.states[place].newer) = (newest, oldest);
        self.states[newest].newer = place;
        self.states[oldest].older = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Limit;
    use proptest::prelude::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn table(units: u32, window_ms: u32, states_max: usize) -> Windows<u32> {
        let number = |value| NonZeroU32::new(value).expect("not zero");
        let limit = Limit { units: number(units), window_ms: number(window_ms) };
        Windows::new(
            Tiers::of(vec![limit]).expect("a limit"),
            NonZeroUsize::new(states_max).expect("not zero"),
        )
    }

    fn admits(table: &Windows<u32>, key: u32, now_ms: i64) -> bool {
        matches!(table.admit(key, now_ms, ONE).verdict, Verdict::Allowed { .. })
    }

    #[test]
    fn callers_are_held_apart() {
        let table = table(1, 10, 4);
        for (key, now_ms, expected) in
            [(1, 0, true), (1, 1, false), (2, 1, true), (1, 10, true), (2, 10, false)]
        {
            assert_eq!(admits(&table, key, now_ms), expected, "{key} at {now_ms}");
        }
    }

    #[test]
    fn a_newcomer_takes_the_place_of_one_that_is_over() {
        let table = table(1, 10, 100);
        for key in 0..1000 {
            assert!(admits(&table, key, i64::from(key) * 5));
            assert!(table.len() <= 2, "two windows at a time count, and {} are kept", table.len());
        }
    }

    #[test]
    fn a_full_table_forgets_whoever_was_admitted_longest_ago() {
        let table = table(2, 100, 3);
        for (key, now_ms) in [(1, 0), (2, 1), (3, 2), (1, 3)] {
            assert!(admits(&table, key, now_ms), "{key} at {now_ms}");
        }
        // Refused, and so no sign of age: 2 is the oldest.
        assert!(!admits(&table, 1, 4));
        assert!(admits(&table, 4, 5), "a newcomer is let in though all count");
        assert_eq!(table.len(), 3);
        assert!(!admits(&table, 1, 6), "1 is remembered");
        assert!(admits(&table, 3, 6) && !admits(&table, 3, 7), "3 is remembered");
        assert!(admits(&table, 2, 8) && admits(&table, 2, 8) && !admits(&table, 2, 8), "2 begins anew");
        assert!(admits(&table, 1, 9), "2 came back in the place of 1");
    }

    #[test]
    fn a_caller_that_is_refused_at_once_takes_no_place() {
        let table = table(1, 10, 1);
        assert!(admits(&table, 1, 0));
        let verdict = table.admit(2, 1, NonZeroU32::new(2).expect("not zero")).verdict;
        assert_eq!(verdict, Verdict::Refused { retry_after_ms: None });
        assert!(!admits(&table, 1, 1), "1 was forgotten for a caller that was not let in");
    }

    #[test]
    fn many_threads_let_through_what_one_would() {
        let table = table(100, 1_000_000, 50_000);
        let admitted: usize = std::thread::scope(|scope| {
            let call = || (0..10_000_u32).filter(|call| admits(&table, call % 10, i64::from(*call))).count();
            let threads = [0; 4].map(|_| scope.spawn(call));
            threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
        });
        assert_eq!((admitted, table.len()), (1000, 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Beside a plain list that is searched from its beginning.
        #[test]
        fn the_ring_is_a_list_in_the_order_of_charges(
            states_max in 1_usize..8,
            calls in prop::collection::vec((0_u32..12, 0_i64..30), 0..300),
        ) {
            let (table, mut now_ms) = (table(2, 50, states_max), 0);
            let mut list: Vec<(u32, Standing)> = Vec::new();
            for (key, step) in calls {
                now_ms += step;
                let at = list.iter().position(|(known, _)| *known == key);
                let mut standing = at.map_or_else(|| table.tiers().newcomer(), |at| list[at].1.clone());
                let expected = table.tiers().admit(&mut standing, now_ms, ONE);
                if matches!(expected.verdict, Verdict::Allowed { .. }) {
                    let over = |(_, standing): &(u32, Standing)| table.tiers().are_over(standing, now_ms);
                    if let Some(at) = at {
                        list.remove(at);
                    } else if list.len() >= states_max || list.first().is_some_and(over) {
                        list.remove(0);
                    }
                    list.push((key, standing));
                }
                prop_assert_eq!(table.admit(key, now_ms, ONE), expected);
                prop_assert_eq!(table.len(), list.len());
            }
        }
    }
}
