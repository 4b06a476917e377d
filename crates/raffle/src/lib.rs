//! Raffles: rules from documents, stock that never oversells, draws that an outsider can verify.
//!
//! Read downwards. [`verify`] replays what [`evidence`] exports; [`dry_run`] asks what a draw would be, [`explain`] why one
//! became what it is; [`erasure`] forgets who somebody was; [`repeat`] finds what a key has drawn, [`won`] what somebody has
//! won; [`raffles`] is what the edge calls; [`proposal`] and [`draft`] are what two people do together, [`version`],
//! [`publish`] and [`stock`] what operators do, [`draw`] what participants do, in batches; [`turn`] goes from one [`epoch`] to the next; [`review`] is the life of drafts and proposals;
//! [`catalog`] remembers what is published; [`player`] and [`entry`] are rows of the [`tables`]; [`threshold`] says what
//! needs two people; [`simulate`], [`lint`], [`diff`] and [`odds`] look at documents; [`drift`] holds what chance picks
//! against the weights; [`rules`] decide; [`ticket`] says which wallet a draw takes a ticket from; [`seal`] and [`fairness`]
//! keep secrets and prove; [`document`] is what people write, [`eligibility`] and [`node`] the kinds of rules in it, [`standing`] what they decide by.

pub mod verify;
pub mod evidence;
pub mod dry_run;
pub mod explain;
pub mod erasure;
pub mod repeat;
pub mod won;
pub mod raffles;
pub mod proposal;
pub mod draft;
pub mod version;
pub mod publish;
pub mod stock;
pub mod draw;
pub mod turn;
pub mod epoch;
pub mod review;
pub mod catalog;
pub mod player;
pub mod entry;
pub mod tables;
pub mod threshold;
pub mod simulate;
pub mod lint;
pub mod diff;
pub mod odds;
pub mod drift;
pub mod rules;
pub mod ticket;
pub mod seal;
pub mod document;
pub mod error;
pub mod eligibility;
pub mod node;
pub mod standing;
pub mod fairness;
