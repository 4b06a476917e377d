//! The truth: rows in SQL, written in transactions, in batches, by the same few means in every domain.
//!
//! Read downwards. [`batch`] turns many callers into one transaction; [`gate`] holds the row that numbers and
//! judges, with its segments of stock; [`audit`] notes who changed what, under hashes of [`merkle`]; [`machine`] is the one persisted state machine; [`relay`] carries the
//! effects of [`outbox`] away and [`inbox`] hears each once; [`pulse`] tells
//! whether writes are kept; [`setting`] holds what people change at run time, and [`follow`] brings it to every process;
//! [`migration`] brings all their tables; [`statement`] and
//! [`dialect`] keep SQL in one place; [`port`] is what an adapter provides.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod setting;
pub mod follow;
pub mod migration;
pub mod relay;
pub mod machine;
pub mod outbox;
pub mod inbox;
pub mod pulse;
pub mod gate;
pub mod audit;
pub mod batch;
pub mod merkle;
pub mod statement;
pub mod port;
pub mod dialect;
pub mod error;
