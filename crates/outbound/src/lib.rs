//! Calls to other people's servers, over HTTP.
//!
//! Read downwards: [`caller`] makes a call, [`signature`] signs it, [`policy`] says where one may go at all, [`network`] is
//! which addresses are whose.

pub mod caller;
pub mod signature;
pub mod policy;
pub mod network;
