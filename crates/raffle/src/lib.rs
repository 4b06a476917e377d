//! Raffles: rules from documents, stock that never oversells, draws that an outsider can verify.

pub mod verify;
pub mod evidence;
pub mod raffles;
pub mod publish;
pub mod stock;
pub mod draw;
pub mod turn;
pub mod epoch;
pub mod catalog;
pub mod player;
pub mod entry;
pub mod tables;
pub mod lint;
pub mod odds;
pub mod rules;
pub mod seal;
pub mod fairness;
pub mod document;
pub mod finding;
pub mod error;
