use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Act, Circumstances, Rule, Word};
use crate::standing::Standing;

/// What an unlock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Per {
    Day,
    Campaign,
}

/// Opens after completed draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Unlock {
    pub after: u32,
    pub per: Per,
}

impl Unlock {
    pub(super) const SCHEMA: &str = r#"{
        "description": "Opens after completed draws. Says `open` or `locked`.",
        "type": "object", "additionalProperties": false, "required": ["kind", "after", "per"],
        "properties": {
            "kind": { "const": "unlock" },
            "after": { "description": "Completed draws before the prize opens; the draw being made does not count.", "type": "integer", "minimum": 0, "maximum": 1000 },
            "per": { "description": "Counted in the local day, or in the whole campaign.", "enum": ["day", "campaign"] }
        }
    }"#;
}

impl Rule for Unlock {
    fn kind(&self) -> &'static str {
        "unlock"
    }

    fn words(&self) -> &'static [Word] {
        &[Word::Open, Word::Locked]
    }

    /// A participant whose tickets are used completes no more draws.
    fn possible(&self, about: &Circumstances) -> Vec<Word> {
        let most = match self.per {
            Per::Campaign => about.tickets.total,
            Per::Day => about.tickets.most_in_a_day(),
        };
        let can_open = most.is_none_or(|most| self.after < most).then_some(Word::Open);
        can_open.into_iter().chain((self.after > 0).then_some(Word::Locked)).collect()
    }

    fn act(&self, standing: &Standing<'_>, _: &dyn Fn(&str) -> Option<u32>) -> Act<'_> {
        let completed = match self.per {
            Per::Day => standing.completed_today(),
            Per::Campaign => standing.history.number,
        };
        Act::Say(if completed >= u64::from(self.after) { Word::Open } else { Word::Locked })
    }

    fn told(&self) -> String {
        let counted = match self.per {
            Per::Day => "day",
            Per::Campaign => "campaign",
        };
        format!("opens after {} completed draws of the {counted}", self.after)
    }
}
