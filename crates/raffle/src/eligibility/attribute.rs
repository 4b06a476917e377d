use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Refusal, Rule};
use crate::standing::{Attested, Standing};

/// Only participants of whom a certain thing is told may draw: an audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Attribute {
    pub attribute: String,
    pub one_of: Vec<String>,
}

impl Attribute {
    pub(super) const SCHEMA: &str = r##"{
        "description": "Only participants of whom the caller tells one of these values may draw.",
        "type": "object", "additionalProperties": false, "required": ["kind", "attribute", "one_of"],
        "properties": {
            "kind": { "const": "attribute" },
            "attribute": { "$ref": "#/$defs/name", "description": "One of the raffle's `attributes`." },
            "one_of": { "$ref": "#/$defs/values" }
        }
    }"##;

    pub(super) fn in_public(&self, _: &dyn Fn(&str) -> String) -> Self {
        self.clone()
    }
}

impl Rule for Attribute {
    fn kind(&self) -> &'static str {
        "attribute"
    }

    fn check(&self, standing: &Standing<'_>) -> Result<(), Refusal> {
        if standing.attested.is_one_of(&self.attribute, &self.one_of) {
            return Ok(());
        }
        let told = format!("this raffle is for participants of a certain `{}`", self.attribute);
        Err(Refusal { rule: self.kind(), told, retry_ms: None })
    }

    fn admitted(&self, attested: &Attested) -> String {
        let told = attested.attributes.get(&self.attribute).map_or("", String::as_str);
        format!("`{}` was told as `{told}`, which the rule takes", self.attribute)
    }

    fn attributes(&self) -> Vec<&str> {
        vec![&self.attribute]
    }
}
