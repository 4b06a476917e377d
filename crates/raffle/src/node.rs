//! The nodes of rule trees. Each kind is one file, and one line of `registered`: what it is made of, what it says to a
//! participant, and what the linter and the schema must know of it.

mod attribute;
mod fallback;
mod milestone;
mod pity;
mod stock;
mod unlock;

pub use attribute::Attribute;
pub use fallback::Fallback;
pub use milestone::Milestone;
pub use pity::Pity;
pub use stock::Stock;
pub use unlock::{Per, Unlock};

use campaign::ticket::Quota;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::standing::Standing;

/// What a node can say. An edge carries a word on to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The unlock is open.
    Open,
    /// The unlock is locked.
    Locked,
    /// There is no unit, or none for this participant now.
    Empty,
    /// The condition holds.
    Yes,
    /// It does not.
    No,
    /// The participant has waited long enough.
    Due,
    /// Not yet.
    NotDue,
    /// This draw is the one.
    Reached,
    /// It is not.
    Missed,
}

impl Word {
    /// As it is written in documents.
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Locked => "locked",
            Self::Empty => "empty",
            Self::Yes => "yes",
            Self::No => "no",
            Self::Due => "due",
            Self::NotDue => "not_due",
            Self::Reached => "reached",
            Self::Missed => "missed",
        }
    }

    /// Whether a word that no edge carries on gives the candidate; the others give nothing.
    pub fn gives(self) -> bool {
        match self {
            Self::Open | Self::Yes | Self::Due | Self::Reached => true,
            Self::Locked | Self::Empty | Self::No | Self::NotDue | Self::Missed => false,
        }
    }
}

/// What a node does with a draw that has come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act<'a> {
    /// Goes on where the word leads.
    Say(Word),
    /// Gives the candidate, or says `empty`.
    Take,
    /// Gives another prize, and ends.
    Give(&'a str),
}

/// What a linter knows of the draws that come to a node.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// Tickets of each participant.
    pub tickets: Quota,
    /// Whether the candidate can be had by everybody for ever; `None` where no prize is the candidate.
    pub candidate_is_endless: Option<bool>,
}

/// How a prize behaves that a node names.
pub trait Rule {
    /// The `kind` in documents.
    fn kind(&self) -> &'static str;
    /// Everything that it may say.
    fn words(&self) -> &'static [Word];
    /// Those of them that some draw may hear. What is left out leads nowhere.
    fn possible(&self, _: &Circumstances) -> Vec<Word> {
        self.words().to_vec()
    }
    /// Decides.
    fn act(&self, standing: &Standing<'_>, slot_of: &dyn Fn(&str) -> Option<u32>) -> Act<'_>;
    /// What it does, as the rest of a sentence.
    fn told(&self) -> String;
    /// Prizes that it names, each with the key under which it does.
    fn prizes(&self) -> Vec<(&'static str, &str)> {
        vec![]
    }
    /// Attributes that it reads.
    fn attributes(&self) -> Vec<&str> {
        vec![]
    }
}

macro_rules! registered {
    ($($variant:ident),+) => {
        /// One node of a rule tree.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each kind documents itself")]
        pub enum Node {
            $($variant($variant)),+
        }

        impl Node {
            /// The node's behaviour.
            pub fn rule(&self) -> &dyn Rule {
                match self {
                    $(Self::$variant(node) => node),+
                }
            }
        }

        /// The JSON Schema of each kind.
        pub const SCHEMAS: &[&str] = &[$($variant::SCHEMA),+];
    };
}

registered!(Unlock, Stock, Fallback, Attribute, Pity, Milestone);
