//! Double entry: accounts, transfers, holds and lots, in a journal that proves every balance.
//!
//! Read downwards. [`verify`] recomputes what the journal proves; [`ledger`] is what others call; [`desk`] takes a batch of
//! orders through one transaction; `memory` spares it reading what it wrote; `book` decides them in memory; [`reading`] is for whoever follows the journal; [`journal`],
//! [`balance`], [`hold`] and [`lot`] are rows of the [`tables`]; `scribe` brings entries into their form; [`entry`] is what stands in the journal; [`order`] is what is asked and answered; [`exchange`] turns
//! one unit into another; [`account`] says whose; [`refusal`] says why not.

pub mod verify;
pub mod ledger;
pub mod desk;
pub(crate) mod memory;
pub(crate) mod book;
pub mod reading;
pub mod journal;
pub mod balance;
pub mod hold;
pub mod lot;
pub(crate) mod scribe;
pub mod entry;
pub mod tables;
pub mod order;
pub mod exchange;
pub mod account;
pub mod error;
pub mod refusal;
