//! What surrounds a draw: campaigns, what they give for what people do, and what becomes of an award.
//!
//! Read downwards. [`campaigns`] is what the edge calls; [`publish`] turns a document into a version; [`desk`] takes a batch of
//! acts through one transaction; [`catalog`] remembers what is published; [`referral`], [`act`], [`offer`], [`gain`], [`calendar`]
//! and [`audience`] are rows of the [`tables`] and what they mean; [`document`] is what people write; [`tally`] counts under caps;
//! [`who`] is somebody's place in keys; [`award`] is handed over, [`ticket`] says how often one may draw, [`window`] when.

pub mod campaigns;
pub mod publish;
pub mod desk;
pub mod catalog;
pub mod referral;
pub mod act;
pub mod offer;
pub mod gain;
pub mod calendar;
pub mod audience;
pub mod tables;
pub mod document;
pub mod tally;
pub mod who;
pub mod award;
pub mod ticket;
pub mod window;
pub mod error;
