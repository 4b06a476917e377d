//! What is wrong with a document, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The document cannot be published.
    Error,
    /// It can, and probably not as its author thinks.
    Warning,
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable; see `docs/errors.md`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl Finding {
    /// A finding that forbids publishing.
    pub fn error(code: &str, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity: Severity::Error,
            pointer: pointer.into(),
            message: message.into(),
        }
    }

    /// A finding that does not.
    pub fn warning(code: &str, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, pointer, message) }
    }
}

/// A JSON pointer, one step longer.
pub fn step(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}
