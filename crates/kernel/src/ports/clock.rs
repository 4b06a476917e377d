//! The time of day.

/// Contract, checked by [`crate::conformance::clock`]:
///
/// 1. Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
/// 2. Two readings by one caller never go backwards.
pub trait Clock: Send + Sync {
    /// Now, in milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}
