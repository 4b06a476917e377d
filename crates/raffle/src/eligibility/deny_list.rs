use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Refusal, Rule, is_listed, public_names};
use crate::standing::{Attested, Standing};

/// These may not draw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct DenyList {
    pub participants: Vec<String>,
}

impl DenyList {
    pub(super) const SCHEMA: &str = r##"{
        "description": "These participants may not draw. For a consolation instead, see the raffle's own `deny_list`.",
        "type": "object", "additionalProperties": false, "required": ["kind", "participants"],
        "properties": { "kind": { "const": "deny_list" }, "participants": { "$ref": "#/$defs/participants" } }
    }"##;

    pub(super) fn in_public(&self, name: &dyn Fn(&str) -> String) -> Self {
        Self { participants: public_names(&self.participants, name) }
    }
}

impl Rule for DenyList {
    fn kind(&self) -> &'static str {
        "deny_list"
    }

    fn check(&self, standing: &Standing<'_>) -> Result<(), Refusal> {
        if !is_listed(&self.participants, &standing.pseudonym) {
            return Ok(());
        }
        let told = "this participant may not draw here".to_owned();
        Err(Refusal { rule: self.kind(), told, retry_ms: None })
    }

    fn admitted(&self, _: &Attested) -> String {
        "the participant is none of those who may not draw".to_owned()
    }

    fn participants(&self) -> &[String] {
        &self.participants
    }
}
