use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Act, Rule, Word};
use crate::standing::Standing;

/// Asks for what is told of the participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Attribute {
    pub attribute: String,
    pub one_of: Vec<String>,
}

impl Attribute {
    pub(super) const SCHEMA: &str = r##"{
        "description": "Asks for an attribute of the participant. Says `yes` or `no`; `no` where the caller does not tell it.",
        "type": "object", "additionalProperties": false, "required": ["kind", "attribute", "one_of"],
        "properties": {
            "kind": { "const": "attribute" },
            "attribute": { "$ref": "#/$defs/name", "description": "One of the raffle's `attributes`." },
            "one_of": { "$ref": "#/$defs/values" }
        }
    }"##;
}

impl Rule for Attribute {
    fn kind(&self) -> &'static str {
        "attribute"
    }

    fn words(&self) -> &'static [Word] {
        &[Word::Yes, Word::No]
    }

    fn act(&self, standing: &Standing<'_>, _: &dyn Fn(&str) -> Option<u32>) -> Act<'_> {
        let holds = standing.attested.is_one_of(&self.attribute, &self.one_of);
        Act::Say(if holds { Word::Yes } else { Word::No })
    }

    fn told(&self) -> String {
        format!("asks whether `{}` is one of: {}", self.attribute, self.one_of.join(", "))
    }

    fn attributes(&self) -> Vec<&str> {
        vec![&self.attribute]
    }
}
