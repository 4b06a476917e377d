//! What surrounds a draw: when a campaign runs ([`window`]), how often a participant may draw ([`ticket`]), what becomes of
//! an award until it is in the winner's hands, and what is tried on whom ([`experiment`]).
//!
//! For awards read downwards. [`courier`] carries webhooks out; [`letter`] lists effects that could not be delivered;
//! [`fulfilment`] opens awards and does what people ask of them; [`delivery`], [`coupon`], [`endpoint`] and [`holder`] are
//! what stands behind them, [`award`] is their life as a pure function; [`request`] answers a repeat as before, [`vault`]
//! keeps secrets, [`tables`] are the rows.

pub mod experiment;
pub mod courier;
pub mod letter;
pub mod fulfilment;
pub mod delivery;
pub mod coupon;
pub mod endpoint;
pub mod holder;
pub mod award;
pub mod request;
pub mod vault;
pub mod tables;
pub mod ticket;
pub mod window;
pub mod error;
