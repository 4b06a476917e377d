//! What surrounds a draw: when the campaign runs ([`window`]), how often a participant may draw ([`ticket`]), and what
//! becomes of an award until it is in the winner's hands ([`award`]); and what is tried on whom ([`experiment`]).

pub mod experiment;
pub mod award;
pub mod ticket;
pub mod window;
pub mod error;
