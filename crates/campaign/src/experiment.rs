//! Experiments: who is shown what, and whether it made a difference.
//!
//! Read downwards: [`board`] is what the edge calls; [`way`] leads draws of a raffle to the raffles of arms,
//! and [`ordering`] orders of an offer to the offers of arms; [`results`]
//! tells what was shown, by the numbers of [`significance`], and [`log`] to whom; [`register`] keeps what was drafted; [`exposure`] writes down
//! who was exposed and what they did; [`live`] is what every process knows of running experiments; [`document`] and
//! [`life`] are what people write and do; [`bucketing`] is arithmetic that anybody can repeat.

pub mod board;
pub mod way;
pub mod ordering;
pub mod log;
pub mod results;
pub mod significance;
pub mod special;
pub mod register;
pub mod exposure;
pub mod live;
pub mod document;
pub mod life;
pub mod bucketing;
pub mod tables;
pub mod error;

/// Experiments of one house, those that are over among them.
pub const EXPERIMENTS_MAX: u32 = 1000;
/// Experiments that may ever lead the draws of one raffle: a repeat looks at each of them, for ever.
pub const LEADING_MAX: usize = 16;
/// How often weights may be set.
pub const GENERATIONS_MAX: u32 = 100;
