//! Checks for [`crate::ports::clock::Clock`].

use crate::ports::clock::Clock;

/// Both clauses of the contract.
///
/// # Panics
/// When the adapter breaks one.
pub fn check(clock: &dyn Clock) {
    // 2026-01-01 and 2200-01-01: a clock in seconds or microseconds falls outside.
    let sane = 1_767_225_600_000..7_258_118_400_000;
    let mut before = clock.now_ms();
    for _ in 0..1000 {
        let now = clock.now_ms();
        assert!(sane.contains(&now), "{now} is not a time in milliseconds");
        assert!(now >= before, "{now} is before {before}");
        before = now;
    }
}
