//! Values and promises shared by every domain. Knows no database, no HTTP, no clock of its own.
//!
//! Read downwards: [`ports`] are the promises that adapters keep, [`conformance`] is how each promise is
//! checked, [`document`] reads what people write and tells [`finding`]s about it,
//! [`id`] is how a participant finds a bucket and a draw finds its row, [`amount`] is what is counted,
//! [`varint`] writes numbers in few bytes, [`hex`] bytes as text, [`fault`] says what kind of failure an error is.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod ports;
pub mod document;
pub mod finding;
pub mod id;
pub mod amount;
pub mod varint;
pub mod hex;
pub mod fault;
