use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Act, Rule, Word};
use crate::standing::Standing;

/// Gives another prize, while that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Fallback {
    pub prize: String,
}

impl Fallback {
    pub(super) const SCHEMA: &str = r##"{
        "description": "Gives another prize, and ends.",
        "type": "object", "additionalProperties": false, "required": ["kind", "prize"],
        "properties": {
            "kind": { "const": "fallback" },
            "prize": { "$ref": "#/$defs/name", "description": "Won instead, while its stock lasts." }
        }
    }"##;
}

impl Rule for Fallback {
    fn kind(&self) -> &'static str {
        "fallback"
    }

    fn words(&self) -> &'static [Word] {
        &[]
    }

    fn act(&self, _: &Standing<'_>, _: &dyn Fn(&str) -> Option<u32>) -> Act<'_> {
        Act::Give(&self.prize)
    }

    fn told(&self) -> String {
        format!("gives prize `{}` instead", self.prize)
    }

    fn prizes(&self) -> Vec<(&'static str, &str)> {
        vec![("prize", &self.prize)]
    }
}
