use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Act, Circumstances, Rule, Word};
use crate::standing::Standing;

/// Takes a unit of the candidate; with one it is won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stock {}

impl Stock {
    pub(super) const SCHEMA: &str = r#"{
        "description": "Takes a unit of the prize that chance has picked, and gives it. Says `empty` where there is none for this participant now.",
        "type": "object", "additionalProperties": false, "required": ["kind"],
        "properties": { "kind": { "const": "stock" } }
    }"#;
}

impl Rule for Stock {
    fn kind(&self) -> &'static str {
        "stock"
    }

    fn words(&self) -> &'static [Word] {
        &[Word::Empty]
    }

    fn possible(&self, about: &Circumstances) -> Vec<Word> {
        if about.candidate_is_endless == Some(true) { vec![] } else { vec![Word::Empty] }
    }

    fn act(&self, _: &Standing<'_>, _: &dyn Fn(&str) -> Option<u32>) -> Act<'_> {
        Act::Take
    }

    fn told(&self) -> String {
        "takes a unit of the prize that chance has picked".to_owned()
    }
}
