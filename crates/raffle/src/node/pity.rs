use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Act, Circumstances, Rule, Word};
use crate::standing::Standing;

/// Counts the draws since a prize was last won: whoever waited long enough is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Pity {
    pub prize: String,
    pub after: u32,
}

impl Pity {
    pub(super) const SCHEMA: &str = r##"{
        "description": "Counts the participant's completed draws since they last won a prize. Says `due` or `not_due`.",
        "type": "object", "additionalProperties": false, "required": ["kind", "prize", "after"],
        "properties": {
            "kind": { "const": "pity" },
            "prize": { "$ref": "#/$defs/name", "description": "Winning it begins the count anew." },
            "after": { "description": "Completed draws without the prize after which the next is due.", "type": "integer", "minimum": 1, "maximum": 1000000 }
        }
    }"##;
}

impl Rule for Pity {
    fn kind(&self) -> &'static str {
        "pity"
    }

    fn words(&self) -> &'static [Word] {
        &[Word::Due, Word::NotDue]
    }

    fn possible(&self, about: &Circumstances) -> Vec<Word> {
        let can_be_due = about.tickets.total.is_none_or(|total| self.after < total);
        if can_be_due { self.words().to_vec() } else { vec![Word::NotDue] }
    }

    fn act(&self, standing: &Standing<'_>, slot_of: &dyn Fn(&str) -> Option<u32>) -> Act<'_> {
        let last = slot_of(&self.prize).map_or(0, |slot| standing.history.wins_of(slot, standing.day).last);
        let waited = standing.history.number.saturating_sub(last);
        Act::Say(if waited >= u64::from(self.after) { Word::Due } else { Word::NotDue })
    }

    fn told(&self) -> String {
        format!("asks whether {} draws were completed since prize `{}` was last won", self.after, self.prize)
    }

    fn prizes(&self) -> Vec<(&'static str, &str)> {
        vec![("prize", &self.prize)]
    }
}
