//! Who may draw: rules in the order of the document, of which the first that refuses decides. Each kind is one file, and one
//! line of `registered`.

mod allow_list;
mod attribute;
mod deny_list;
mod velocity;

pub use allow_list::AllowList;
pub use attribute::Attribute;
pub use deny_list::DenyList;
pub use velocity::Velocity;

use kernel::hex::hex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::standing::{Attested, Standing};

/// Why a participant may not draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of the rule.
    pub rule: &'static str,
    /// In a sentence for the participant. It tells nothing of others.
    pub told: String,
    /// Whether the same call may be taken later, and in how many milliseconds at the latest.
    pub retry_ms: Option<i64>,
}

/// How one kind of rule decides.
pub trait Rule {
    /// The `kind` in documents.
    fn kind(&self) -> &'static str;
    /// Refuses a participant.
    fn check(&self, standing: &Standing<'_>) -> Result<(), Refusal>;
    /// Why a participant whom it did not refuse was let through, as the rest of a sentence. It tells nothing of others.
    fn admitted(&self, attested: &Attested) -> String;
    /// Participants that it names.
    fn participants(&self) -> &[String] {
        &[]
    }
    /// Attributes that it reads.
    fn attributes(&self) -> Vec<&str> {
        vec![]
    }
    /// Window of a velocity that it counts, in seconds.
    fn window_seconds(&self) -> Option<u32> {
        None
    }
}

macro_rules! registered {
    ($($variant:ident),+) => {
        /// One rule of eligibility.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each kind documents itself")]
        pub enum Eligibility {
            $($variant($variant)),+
        }

        impl Eligibility {
            /// The rule's behaviour.
            pub fn rule(&self) -> &dyn Rule {
                match self {
                    $(Self::$variant(rule) => rule),+
                }
            }

            /// The rule with people named as the public knows them.
            pub fn in_public(&self, name: &dyn Fn(&str) -> String) -> Self {
                match self {
                    $(Self::$variant(rule) => Self::$variant(rule.in_public(name))),+
                }
            }
        }

        /// The JSON Schema of each kind.
        pub const SCHEMAS: &[&str] = &[$($variant::SCHEMA),+];
    };
}

registered!(AllowList, DenyList, Attribute, Velocity);

/// Participants as the public knows them, sorted, each once.
pub fn public_names(participants: &[String], name: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut names: Vec<_> = participants.iter().map(|participant| name(participant)).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether a list of public names holds a participant. The list is sorted when it is published.
pub fn is_listed(names: &[String], pseudonym: &[u8; 16]) -> bool {
    !names.is_empty() && names.binary_search(&hex(pseudonym)).is_ok()
}
