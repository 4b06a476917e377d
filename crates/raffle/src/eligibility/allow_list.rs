use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Refusal, Rule, is_listed, public_names};
use crate::standing::{Attested, Standing};

/// Only these may draw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct AllowList {
    pub participants: Vec<String>,
}

impl AllowList {
    pub(super) const SCHEMA: &str = r##"{
        "description": "Only these participants may draw.",
        "type": "object", "additionalProperties": false, "required": ["kind", "participants"],
        "properties": { "kind": { "const": "allow_list" }, "participants": { "$ref": "#/$defs/participants" } }
    }"##;

    pub(super) fn in_public(&self, name: &dyn Fn(&str) -> String) -> Self {
        Self { participants: public_names(&self.participants, name) }
    }
}

impl Rule for AllowList {
    fn kind(&self) -> &'static str {
        "allow_list"
    }

    fn check(&self, standing: &Standing<'_>) -> Result<(), Refusal> {
        if is_listed(&self.participants, &standing.pseudonym) {
            return Ok(());
        }
        let told = "only invited participants may draw here".to_owned();
        Err(Refusal { rule: self.kind(), told, retry_ms: None })
    }

    fn admitted(&self, _: &Attested) -> String {
        "the participant is one of those who are invited".to_owned()
    }

    fn participants(&self) -> &[String] {
        &self.participants
    }
}
