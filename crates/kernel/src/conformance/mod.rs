//! What every adapter must pass. Each file lists its checks once; each adapter expands the list.

pub mod broker;
pub mod clock;
pub mod entropy;
pub mod outbound;
