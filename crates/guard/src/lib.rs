//! Decisions that shed load before it costs anything. They are pure: no I/O and no clock, time is told as milliseconds.
//! What they say is a hint, kept in memory and lost with the process; nothing that must not be wrong rests on it.
//!
//! Read downwards: [`windows`] holds many callers in bounded memory, [`tiers`] holds one caller to several limits at
//! once, [`window`] holds one caller to one limit.

pub mod windows;
pub mod tiers;
pub mod window;
