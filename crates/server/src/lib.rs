//! The edge: the only room that knows HTTP, JSON and TOML, and the one that puts all others together.

pub mod cli;
mod timeline;
mod rebuild;
mod simulate;
mod switchboard;
mod why;
mod journal;
pub mod bench;
pub mod demo;
pub mod serve;
pub mod http;
pub mod wiring;
mod watches;
pub mod goals;
pub mod rooms;
pub mod chronicle;
pub mod metrics;
pub mod traces;
pub mod audit;
pub mod switches;
pub mod errands;
pub mod store;
pub mod token;
pub mod vault;
pub mod secrets;
pub mod config;
pub mod terminal;
