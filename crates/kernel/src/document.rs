//! Documents that people write: read from YAML or JSON, held against a JSON Schema, with everything that differs told at
//! once, each with a JSON pointer.

pub mod shape;
pub mod tree;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::finding::Finding;
use shape::Shape;
use tree::Tree;

/// What is wrong with a document's shape, beside what was written, where that has a shape at all.
pub type Misshapen = (Option<Tree>, Vec<Finding>);

/// Reads a document of at most `bytes_max` bytes whose shape is a schema's, into the type that agrees with it.
pub fn read<T: DeserializeOwned>(text: &str, schema: &Value, bytes_max: usize) -> Result<T, Misshapen> {
    if text.len() > bytes_max {
        let told = format!("the document is {} bytes long; the limit is {bytes_max}", text.len());
        return Err((None, vec![Finding::error("document.too_large", "", told)]));
    }
    let tree = tree::parse(text).map_err(|findings| (None, findings))?;
    let findings = Shape { root: schema }.findings(&tree);
    if !findings.is_empty() {
        return Err((Some(tree), findings));
    }
    // The shape is right, so this fails only where the schema and the types disagree: a test keeps them together.
    serde_json::from_value(tree.into_json())
        .map_err(|error| (None, vec![Finding::error("document.shape", "", error.to_string())]))
}
