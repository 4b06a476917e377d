//! The `[campaign]` section.

use std::num::NonZeroUsize;

use serde::Deserialize;

use super::size;

/// The `[campaign]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Campaign {
    /// Most acts in one transaction: behaviours, sign-ins, referrals, orders and their moves. Default 256.
    pub acts_max: NonZeroUsize,
    /// Most acts that wait; one more is answered 503. Default 16384.
    pub queue_max: NonZeroUsize,
}

impl Default for Campaign {
    fn default() -> Self {
        Self { acts_max: const { size(256) }, queue_max: const { size(16 * 1024) } }
    }
}
