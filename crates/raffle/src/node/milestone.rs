use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Act, Circumstances, Rule, Word};
use crate::standing::Standing;

/// Knows the participant's draws by their number. Numbers are given under the gate's lock, so each is met exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Milestone {
    pub draws: Vec<u64>,
}

impl Milestone {
    pub(super) const SCHEMA: &str = r#"{
        "description": "Knows the participant's draws by their number. Says `reached` at each of them, exactly once, else `missed`.",
        "type": "object", "additionalProperties": false, "required": ["kind", "draws"],
        "properties": {
            "kind": { "const": "milestone" },
            "draws": {
                "description": "The how-many-eth draws of a participant, the draw being made counted.",
                "type": "array", "minItems": 1, "maxItems": 100,
                "items": { "type": "integer", "minimum": 1, "maximum": 1000000000 }
            }
        }
    }"#;
}

impl Rule for Milestone {
    fn kind(&self) -> &'static str {
        "milestone"
    }

    fn words(&self) -> &'static [Word] {
        &[Word::Reached, Word::Missed]
    }

    fn possible(&self, about: &Circumstances) -> Vec<Word> {
        let reached = |draw: &u64| about.tickets.total.is_none_or(|total| *draw <= u64::from(total));
        if self.draws.iter().any(reached) { self.words().to_vec() } else { vec![Word::Missed] }
    }

    fn act(&self, standing: &Standing<'_>, _: &dyn Fn(&str) -> Option<u32>) -> Act<'_> {
        let reached = self.draws.contains(&standing.number());
        Act::Say(if reached { Word::Reached } else { Word::Missed })
    }

    fn told(&self) -> String {
        let draws: Vec<_> = self.draws.iter().map(u64::to_string).collect();
        format!("asks whether this is the participant's draw {}", draws.join(", "))
    }
}
