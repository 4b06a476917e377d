//! The edge: the only room that knows HTTP, JSON and TOML, and the one that puts all others together.

pub mod cli;
mod simulate;
mod why;
mod journal;
pub mod bench;
pub mod demo;
pub mod serve;
pub mod http;
pub mod wiring;
pub mod metrics;
pub mod traces;
pub mod audit;
pub mod errands;
pub mod token;
pub mod secrets;
pub mod config;
pub mod terminal;
