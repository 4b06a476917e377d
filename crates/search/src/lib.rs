//! What befell participants, found again by whom, what, when and how much.
//!
//! This room knows no domain: others turn their rows into activities. What stands here follows from those rows and can be
//! made anew from them at any time. Read downwards. [`projection`] is what others call: it keeps activities, remembers how
//! far each source was read, forgets names; [`page`] finds them again, a bounded piece at a time; [`filter`] says which are
//! asked for, and which index leads there; [`activity`] is one row of the [`tables`].
pub mod projection;
pub mod page;
pub mod filter;
pub mod activity;
pub mod tables;
pub mod error;
