//! A limit over a sliding window: so many units in any stretch of so many milliseconds.
//!
//! A log of every call would be exact and grows with the limit. The usual short cuts (a fixed window; a counter over two
//! fixed windows, weighted by their overlap, <https://blog.cloudflare.com/counting-things-a-lot-of-different-things/>; a
//! ring of buckets) let up to twice the limit through around an edge. This is the log, with calls that lie close together
//! written down as one, at the time of the **latest** of them. Time is cut into slots, and calls within a slot share an
//! entry; so a unit may be free again late, and is never free early. From that follows, for calls of any sizes, at any
//! times:
//!
//! - **Never more than the limit in any window.** No stretch of `window_ms` sees more than `units` admitted.
//! - **Nobody is refused who stays below, but for [`Limit::late_ms`].** A call is admitted when it and what was admitted
//!   in the `window_ms + late_ms` before it come to no more than `units`. Up to [`ENTRIES`] units `late_ms` is 0: such a
//!   limit is exact. Above, it is less than a sixtieth of the window, rounded up.
//!
//! A state has at most `ENTRIES + 1` entries of 16 bytes. `docs/decisions/0007-windows.md` compares.

use std::collections::VecDeque;
use std::num::NonZeroU32;

/// Slots that a window is cut into, where its limit has more units than that.
pub const ENTRIES: u32 = 60;

/// So many units in any stretch of so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Units that may be taken within a window.
    pub units: NonZeroU32,
    /// Length of a window, in milliseconds.
    pub window_ms: NonZeroU32,
}

impl Limit {
    /// How much longer than its window a unit may be counted at the most, in milliseconds.
    pub fn late_ms(self) -> u32 {
        self.slot_ms() - 1
    }

    /// A limit of few units fits into the entries call by call; slots of a millisecond only join calls at one time.
    fn slot_ms(self) -> u32 {
        if self.units.get() <= ENTRIES { 1 } else { self.window_ms.get().div_ceil(ENTRIES) }
    }

    fn slot_of(self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.slot_ms().into())
    }
}

/// What is said to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on, and has been counted.
    Allowed {
        /// Units that are left after it.
        left: u32,
        /// For how long no more than these are left, in milliseconds: then the oldest counted units are free again.
        reset_ms: u64,
    },
    /// It may not go on, and has not been counted.
    Refused {
        /// After how many milliseconds the same call is admitted, unless others come between. `None`: it asks for more
        /// than the limit ever holds, so waiting does not help.
        retry_after_ms: Option<u64>,
    },
}

/// Calls of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// When the latest of them was admitted, in milliseconds since the Unix epoch.
    at_ms: i64,
    units: u32,
}

/// One caller's state under one limit: what it was admitted for, oldest first. A new caller has an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window(VecDeque<Entry>);

impl Window {
    /// Admits and counts a call, or refuses it and changes nothing.
    ///
    /// A clock that was set back stands still until it has caught up with the latest admitted call: nothing is free
    /// before its time, and nobody is granted extra.
    pub fn admit(&mut self, limit: Limit, now_ms: i64, units: NonZeroU32) -> Verdict {
        match self.refusal(limit, now_ms, units) {
            Some(refusal) => refusal,
            None => self.charge(limit, now_ms, units),
        }
    }

    /// The verdict `Refused`, where that is the verdict.
    pub(crate) fn refusal(&self, limit: Limit, now_ms: i64, units: NonZeroU32) -> Option<Verdict> {
        // Wide, so that no sum of units is too large.
        let asked = u64::from(self.taken(limit, now_ms)) + u64::from(units.get());
        let excess = asked.checked_sub(limit.units.get().into()).filter(|excess| *excess > 0)?;
        let mut freed = 0;
        let enough = self.counted(limit, now_ms).find(|entry| {
            freed += u64::from(entry.units);
            freed >= excess
        });
        Some(Verdict::Refused { retry_after_ms: enough.map(|entry| free_in_ms(*entry, limit, now_ms)) })
    }

    /// Counts a call that was not refused. The verdict is `Allowed`.
    pub(crate) fn charge(&mut self, limit: Limit, now_ms: i64, units: NonZeroU32) -> Verdict {
        let at_ms = self.not_before(now_ms);
        while self.0.front().is_some_and(|entry| is_over(*entry, limit, at_ms)) {
            self.0.pop_front();
        }
        match self.0.back_mut().filter(|latest| limit.slot_of(latest.at_ms) == limit.slot_of(at_ms)) {
            // It was counted when the call was judged, so the sum is within the limit and fits.
            Some(latest) => *latest = Entry { at_ms, units: latest.units.saturating_add(units.get()) },
            None => self.0.push_back(Entry { at_ms, units: units.get() }),
        }
        let oldest = self.0.front().map_or(0, |entry| free_in_ms(*entry, limit, now_ms));
        let left = limit.units.get().saturating_sub(self.taken(limit, now_ms));
        Verdict::Allowed { left, reset_ms: oldest }
    }

    /// Whether nothing is counted any more, so that the state may as well be forgotten.
    pub fn is_over(&self, limit: Limit, now_ms: i64) -> bool {
        self.counted(limit, now_ms).next().is_none()
    }

    fn taken(&self, limit: Limit, now_ms: i64) -> u32 {
        self.counted(limit, now_ms).fold(0, |taken, entry| taken.saturating_add(entry.units))
    }

    /// The entries that count now, oldest first.
    fn counted(&self, limit: Limit, now_ms: i64) -> impl Iterator<Item = &Entry> {
        let now_ms = self.not_before(now_ms);
        self.0.iter().skip_while(move |entry| is_over(**entry, limit, now_ms))
    }

    fn not_before(&self, now_ms: i64) -> i64 {
        self.0.back().map_or(now_ms, |latest| latest.at_ms.max(now_ms))
    }
}

/// Whether an entry's units are free again at a time that is not before it.
fn is_over(entry: Entry, limit: Limit, now_ms: i64) -> bool {
    now_ms.abs_diff(entry.at_ms) >= limit.window_ms.get().into()
}

/// How long until an entry's units are free again, by the clock as it was told, in milliseconds.
fn free_in_ms(entry: Entry, limit: Limit, now_ms: i64) -> u64 {
    let free_at = i128::from(entry.at_ms) + i128::from(limit.window_ms.get());
    u64::try_from(free_at - i128::from(now_ms)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Allowed, Refused};
    use super::*;
    use proptest::prelude::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn number(value: u32) -> NonZeroU32 {
        NonZeroU32::new(value).expect("not zero")
    }

    fn limit(units: u32, window_ms: u32) -> Limit {
        Limit { units: number(units), window_ms: number(window_ms) }
    }

    fn refused(retry_after_ms: u64) -> Verdict {
        Refused { retry_after_ms: Some(retry_after_ms) }
    }

    /// Every admitted call, at the time that a clock which is never set back shows: what a window is held against.
    #[derive(Default)]
    struct Log(Vec<(i64, u64)>);

    impl Log {
        fn not_before(&self, now_ms: i64) -> i64 {
            self.0.last().map_or(now_ms, |(at_ms, _)| *at_ms.max(&now_ms))
        }

        fn write(&mut self, now_ms: i64, units: NonZeroU32) {
            self.0.push((self.not_before(now_ms), units.get().into()));
        }

        /// Units admitted in the `span_ms` that end with now.
        fn units(&self, now_ms: i64, span_ms: i64) -> u64 {
            let after = self.not_before(now_ms) - span_ms;
            self.0.iter().filter(|(at_ms, _)| *at_ms > after).map(|(_, units)| units).sum()
        }

        /// The most units in any stretch of `span_ms`. The fullest ends with some call.
        fn most(&self, span_ms: i64) -> u64 {
            let within =
                |end: i64| self.0.iter().filter(move |(at, _)| (end - span_ms + 1..=end).contains(at));
            let ends = self.0.iter().map(|(at, _)| within(*at).map(|(_, units)| units).sum());
            ends.max().unwrap_or_default()
        }
    }

    #[test]
    fn calls_are_told_what_is_left_or_how_long_to_wait() {
        // Two units in ten milliseconds.
        let steps = [
            (0, 1, Allowed { left: 1, reset_ms: 10 }),
            (3, 1, Allowed { left: 0, reset_ms: 7 }),
            (3, 1, refused(7)),
            (9, 1, refused(1)),
            (9, 2, refused(4)),
            (9, 3, Refused { retry_after_ms: None }),
            (10, 1, Allowed { left: 0, reset_ms: 3 }),
            (12, 1, refused(1)),
            (13, 1, Allowed { left: 0, reset_ms: 7 }),
            (500, 2, Allowed { left: 0, reset_ms: 10 }),
        ];
        let mut window = Window::default();
        for (now_ms, units, expected) in steps {
            let before = window.clone();
            assert_eq!(window.admit(limit(2, 10), now_ms, number(units)), expected, "{units} at {now_ms}");
            if matches!(expected, Refused { .. }) {
                assert_eq!(window, before, "a refused call changed something");
            }
        }
        assert!(!window.is_over(limit(2, 10), 509) && window.is_over(limit(2, 10), 510));
    }

    #[test]
    fn few_units_are_counted_exactly_and_many_within_a_sixtieth() {
        let cases = [(1, 1000, 0), (60, 60_000, 0), (61, 60, 0), (61, 1000, 16), (100, 60_000, 999)];
        for (units, window_ms, late_ms) in cases {
            assert_eq!(limit(units, window_ms).late_ms(), late_ms, "{units} in {window_ms} ms");
        }
    }

    #[test]
    fn many_units_are_free_as_late_as_is_said_and_no_later() {
        // Slots of ten milliseconds: what is taken at 0 waits for what is taken at 9.
        let (limit, most) = (limit(61, 600), number(60));
        let mut window = Window::default();
        assert_eq!(window.admit(limit, 0, most), Allowed { left: 1, reset_ms: 600 });
        assert_eq!(window.admit(limit, 9, ONE), Allowed { left: 0, reset_ms: 600 });
        assert_eq!(window.admit(limit, 600, ONE), refused(9));
        assert_eq!(window.admit(limit, 609, ONE), Allowed { left: 60, reset_ms: 600 });
        assert_eq!(limit.late_ms(), 9);
    }

    #[test]
    fn a_clock_set_back_frees_nothing_and_a_clock_at_its_ends_panics_nowhere() {
        for back_to in [i64::MIN, -1, 0, 999, 1000] {
            let mut window = Window::default();
            assert_eq!(window.admit(limit(1, 10), 1000, ONE), Allowed { left: 0, reset_ms: 10 });
            let wait_ms = u64::try_from(1010 - i128::from(back_to)).expect("a wait");
            assert_eq!(window.admit(limit(1, 10), back_to, ONE), refused(wait_ms), "back to {back_to}");
            assert_eq!(window.admit(limit(1, 10), 1010, ONE), Allowed { left: 0, reset_ms: 10 });
        }
        for (first, second) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MAX, i64::MAX)] {
            let mut window = Window::default();
            let largest = limit(u32::MAX, u32::MAX);
            window.admit(largest, first, number(u32::MAX));
            let admitted = matches!(window.admit(largest, second, ONE), Allowed { .. });
            assert_eq!(admitted, first < second, "{first}, then {second}");
        }
    }

    /// The log is what the properties below check with, so it must find what other ways of counting let through.
    #[test]
    fn other_ways_of_counting_let_twice_the_limit_through_and_this_one_does_not() {
        let (units, window_ms, slot_ms) = (100_u64, 6000_i64, 100_i64);
        let begun = |now_ms: i64, span_ms: i64| now_ms.div_euclid(span_ms) * span_ms;
        let since = |log: &Log, from_ms: i64| -> u64 {
            log.0.iter().filter(|(at_ms, _)| *at_ms >= from_ms).map(|(_, units)| units).sum()
        };
        let fixed = |log: &Log, now_ms: i64| since(log, begun(now_ms, window_ms));
        let two_windows = |log: &Log, now_ms: i64| {
            let this = fixed(log, now_ms);
            let before = since(log, begun(now_ms, window_ms) - window_ms) - this;
            this + before * (window_ms - now_ms.rem_euclid(window_ms)).unsigned_abs()
                / window_ms.unsigned_abs()
        };
        let ring = |log: &Log, now_ms: i64| since(log, begun(now_ms, slot_ms) - window_ms + slot_ms);
        type Count<'a> = &'a dyn Fn(&Log, i64) -> u64;
        let most = |admits: &mut dyn FnMut(&Log, i64) -> bool, begin_ms: i64| {
            let mut log = Log::default();
            // All at once, then a call each millisecond.
            for now_ms in [begin_ms; 100].into_iter().chain(begin_ms..begin_ms + 2 * window_ms) {
                if admits(&log, now_ms) {
                    log.write(now_ms, ONE);
                }
            }
            log.most(window_ms)
        };
        let begins = [0, slot_ms - 1, window_ms - 1];
        let others: [(&str, Count<'_>, u64); 3] = [
            ("a fixed window", &fixed, 200),
            ("a counter over two windows", &two_windows, 200),
            ("a ring of slots", &ring, 199),
        ];
        for (name, count, expected) in others {
            let worst = begins.map(|begin| most(&mut |log, now_ms| count(log, now_ms) < units, begin));
            assert_eq!(worst.into_iter().max(), Some(expected), "{name}");
        }
        for begin in begins {
            let mut window = Window::default();
            let mut admits =
                |_: &Log, now_ms| matches!(window.admit(limit(100, 6000), now_ms, ONE), Allowed { .. });
            assert_eq!(most(&mut admits, begin), units, "from {begin}");
        }
    }

    /// A limit, and calls as (milliseconds since the call before, units); one in eight sets the clock back.
    fn histories() -> impl Strategy<Value = (Limit, Vec<(i64, NonZeroU32)>)> {
        let limits = (1_u32..200, 1_u32..500).prop_map(|(units, window_ms)| limit(units, window_ms));
        limits.prop_flat_map(|limit| {
            let most = i64::from(limit.window_ms.get());
            let step = prop_oneof![3 => Just(0), 3 => 0..=3_i64, 1 => 0..=most + 3, 1 => -most..=0];
            let units = prop_oneof![4 => Just(1), 2 => 1..=limit.units.get(), 1 => 1_u32..=300];
            let calls = prop::collection::vec((step, units.prop_map(number)), 0..400);
            (Just(limit), calls)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_window_lets_more_through_and_nobody_below_is_refused((limit, calls) in histories()) {
            let (mut window, mut log, mut now_ms) = (Window::default(), Log::default(), 0);
            let (most, window_ms) = (u64::from(limit.units.get()), i64::from(limit.window_ms.get()));
            for (step, units) in calls {
                now_ms += step;
                let before = window.clone();
                let asked = log.units(now_ms, window_ms + i64::from(limit.late_ms())) + u64::from(units.get());
                match window.admit(limit, now_ms, units) {
                    Allowed { left, reset_ms } => {
                        log.write(now_ms, units);
                        let taken = log.units(now_ms, window_ms);
                        prop_assert!(taken + u64::from(left) <= most, "{taken} and {left} of {most}");
                        prop_assert!(reset_ms >= 1);
                        prop_assert!(window.0.len() <= ENTRIES as usize + 1, "{} entries", window.0.len());
                    }
                    Refused { retry_after_ms } => {
                        prop_assert!(asked > most, "{asked} of {most} refused");
                        prop_assert_eq!(&window, &before);
                        prop_assert_eq!(retry_after_ms.is_none(), u64::from(units.get()) > most);
                        if let Some(wait_ms) = retry_after_ms {
                            let later = now_ms + i64::try_from(wait_ms).expect("a wait");
                            prop_assert!(window.refusal(limit, later - 1, units).is_some(), "too long a wait");
                            prop_assert!(window.refusal(limit, later, units).is_none(), "too short a wait");
                        }
                    }
                }
            }
            prop_assert!(log.most(window_ms) <= most);
        }
    }
}
