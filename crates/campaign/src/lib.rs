//! What surrounds a draw: campaigns, what they give for what people do, what becomes of an award, and what is tried on whom.
//!
//! For campaigns read downwards. [`campaigns`] is what the edge calls; [`publish`] turns a document into a version; [`desk`]
//! takes a batch of acts through one transaction; [`catalog`] remembers what is published; [`referral`], [`act`], [`offer`],
//! [`gain`], [`calendar`] and [`audience`] are rows of the [`tables`] and what they mean; [`document`] is what people write;
//! [`tally`] counts under caps; [`who`] is somebody's place in keys.
//!
//! For awards: [`courier`] carries webhooks out; [`letter`] lists effects that could not be delivered; [`fulfilment`] opens
//! awards and does what people ask of them; [`delivery`], [`coupon`], [`endpoint`], [`holder`] and [`held`] are what stands behind
//! them, [`forgotten`] says whose names must not come back;
//! [`award`] is their life as a pure function, [`brake`] holds them back; [`request`] answers a repeat as before, [`vault`] keeps secrets.
//!
//! [`experiment`] is what is tried on whom; [`ticket`] says how often one may draw, [`window`] when.

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
pub mod courier;
pub mod letter;
pub mod fulfilment;
pub mod delivery;
pub mod coupon;
pub mod endpoint;
pub mod holder;
pub mod held;
pub mod forgotten;
pub mod award;
pub mod brake;
pub mod request;
pub mod vault;
pub mod tables;
pub mod document;
pub mod tally;
pub mod who;
pub mod experiment;
pub mod ticket;
pub mod window;
pub mod error;
