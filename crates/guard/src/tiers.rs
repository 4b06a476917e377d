//! Several limits that hold one caller at once, such as so many a second and so many a minute.

use std::num::NonZeroU32;

use crate::window::Limit;
use crate::window::Verdict;
use crate::window::Window;

/// The limits of one kind of caller. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiers(Box<[Limit]>);

/// What all limits together say to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    /// Which of the limits speaks, counted from 0: of those that refuse, one that asks for the longest wait; where none
    /// refuses, one that has the least left.
    pub tier: usize,
    /// What it says. After the wait that it tells, all admit the call.
    pub verdict: Verdict,
}

/// One caller's state: a window for each limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing(Box<[Window]>);

impl Tiers {
    /// These limits; `None` where there are none, because then nobody need be asked.
    pub fn of(limits: Vec<Limit>) -> Option<Self> {
        (!limits.is_empty()).then(|| Self(limits.into()))
    }

    /// The limits, in their order.
    pub fn limits(&self) -> &[Limit] {
        &self.0
    }

    /// The state of a new caller.
    pub fn newcomer(&self) -> Standing {
        Standing(self.0.iter().map(|_| Window::default()).collect())
    }

    /// Admits a call that every limit admits, and counts it on each. Otherwise counts it on none: a call that the minute
    /// refuses would else use up the second's units too.
    pub fn admit(&self, standing: &mut Standing, now_ms: i64, units: NonZeroU32) -> Ruling {
        let held = standing.0.iter().zip(&self.0).enumerate();
        let refusals = held.filter_map(|(tier, (window, limit))| {
            window.refusal(*limit, now_ms, units).map(|verdict| Ruling { tier, verdict })
        });
        if let Some(refused) = refusals.max_by_key(|ruling| weight(ruling.verdict)) {
            return refused;
        }
        let held = standing.0.iter_mut().zip(&self.0).enumerate();
        let admitted = held
            .map(|(tier, (window, limit))| Ruling { tier, verdict: window.charge(*limit, now_ms, units) })
            .max_by_key(|ruling| weight(ruling.verdict));
        // There is at least one limit; without any, a call would be admitted with all that a number holds left.
        let unlimited = Verdict::Allowed { left: u32::MAX, reset_ms: 0 };
        admitted.unwrap_or(Ruling { tier: 0, verdict: unlimited })
    }

    /// Whether nothing of a caller is counted any more, so that its state may as well be forgotten.
    pub fn are_over(&self, standing: &Standing, now_ms: i64) -> bool {
        standing.0.iter().zip(&self.0).all(|(window, limit)| window.is_over(*limit, now_ms))
    }
}

/// How much a verdict holds its caller back, among verdicts of its kind.
fn weight(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Allowed { left, .. } => u64::from(u32::MAX - left),
        Verdict::Refused { retry_after_ms } => retry_after_ms.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn number(value: u32) -> NonZeroU32 {
        NonZeroU32::new(value).expect("not zero")
    }

    fn tiers(limits: &[(u32, u32)]) -> Tiers {
        let limit =
            |(units, window_ms): &(u32, u32)| Limit { units: number(*units), window_ms: number(*window_ms) };
        Tiers::of(limits.iter().map(limit).collect()).expect("a limit")
    }

    #[test]
    fn all_must_admit_and_a_refusal_by_one_charges_none() {
        let allowed = |tier, left, reset_ms| Ruling { tier, verdict: Verdict::Allowed { left, reset_ms } };
        let refused = |tier, wait| Ruling { tier, verdict: Verdict::Refused { retry_after_ms: Some(wait) } };
        let steps = [
            (0, allowed(0, 1, 10)),
            (1, allowed(0, 0, 9)),
            (2, refused(0, 8)),
            (10, allowed(1, 0, 90)),
            // The second tier refuses; had the first been charged, it would refuse too at 21.
            (12, refused(1, 88)),
            (20, refused(1, 80)),
            (100, allowed(1, 0, 1)),
            (100, refused(1, 1)),
            (101, allowed(1, 0, 9)),
        ];
        let tiers = tiers(&[(2, 10), (3, 100)]);
        let mut standing = tiers.newcomer();
        for (now_ms, expected) in steps {
            let before = standing.clone();
            assert_eq!(tiers.admit(&mut standing, now_ms, ONE), expected, "at {now_ms}");
            if matches!(expected.verdict, Verdict::Refused { .. }) {
                assert_eq!(standing, before, "a refused call changed something");
            }
        }
        assert!(!tiers.are_over(&standing, 200) && tiers.are_over(&standing, 201));
        assert_eq!(Tiers::of(vec![]), None);
    }

    #[test]
    fn what_can_never_fit_is_said_by_the_limit_that_it_does_not_fit() {
        let tiers = tiers(&[(2, 10), (9, 100)]);
        let ruling = tiers.admit(&mut tiers.newcomer(), 0, number(3));
        assert_eq!(ruling, Ruling { tier: 0, verdict: Verdict::Refused { retry_after_ms: None } });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_refused_call_leaves_all_as_it_was_and_its_wait_is_exact(
            limits in prop::collection::vec((1_u32..100, 1_u32..300), 1..4),
            calls in prop::collection::vec((-5_i64..40, 1_u32..5), 0..200),
        ) {
            let tiers = tiers(&limits);
            let (mut standing, mut now_ms) = (tiers.newcomer(), 0);
            for (step, units) in calls {
                now_ms += step;
                let (before, units) = (standing.clone(), number(units));
                let mut alone = before.0.iter().cloned().zip(tiers.limits());
                let each = alone.all(|(mut window, limit)| {
                    matches!(window.admit(*limit, now_ms, units), Verdict::Allowed { .. })
                });
                match tiers.admit(&mut standing, now_ms, units).verdict {
                    Verdict::Allowed { .. } => prop_assert!(each),
                    Verdict::Refused { retry_after_ms } => {
                        prop_assert!(!each);
                        prop_assert_eq!(&standing, &before);
                        if let Some(wait_ms) = retry_after_ms {
                            let later = now_ms + i64::try_from(wait_ms).expect("a wait");
                            let again = |now_ms| tiers.admit(&mut standing.clone(), now_ms, units).verdict;
                            let early = matches!(again(later - 1), Verdict::Refused { .. });
                            prop_assert!(early, "too long a wait");
                            let admitted = matches!(again(later), Verdict::Allowed { .. });
                            prop_assert!(admitted, "too short a wait");
                        }
                    }
                }
            }
        }
    }
}
