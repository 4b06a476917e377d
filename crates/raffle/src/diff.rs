//! What differs between two documents, in words: every field, and what the fields come to (odds, expected cost).
//!
//! The fields are compared as the documents are written out, so nothing that is in the schema can be forgotten: a field
//! that this page does not know is told in general words.

mod chance;
mod fields;
mod ratio;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub use chance::OddsChange;
pub use ratio::Ratio;

use crate::document::Document;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Stable; see `docs/errors.md`.
    pub code: &'static str,
    /// Where, as a JSON pointer (RFC 6901) into the later document; into the earlier one for what is gone.
    pub pointer: String,
    /// What differs, in a sentence.
    pub message: String,
    /// What it was; null where there was nothing. Odds and costs are fractions, `p/q`.
    pub before: Value,
    /// What it is; null where there is nothing.
    pub after: Value,
}

/// What a draw is expected to cost, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cost {
    /// By the earlier document; absent where it has no such pool.
    pub before: Option<Ratio>,
    /// By the later one.
    pub after: Option<Ratio>,
    /// For the draws of a day, where somebody said how many those are.
    pub per_day: Option<DayCost>,
}

/// What the draws of a day are expected to cost, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DayCost {
    /// By the earlier document.
    pub before: Option<Ratio>,
    /// By the later one.
    pub after: Option<Ratio>,
    /// How much more; absent where one of them has no such pool.
    pub change: Option<Ratio>,
}

/// Everything that differs between two documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diff {
    /// What it comes to, then the fields in the order of the document.
    pub changes: Vec<Change>,
    /// By pool: `base` after the rule tree with every unlock open, each tier by its threshold before it; stock
    /// plentiful.
    pub expected_cost: BTreeMap<String, Cost>,
    /// The draws of a day, as somebody said.
    pub draws_per_day: Option<u32>,
    /// Odds that differ, as numbers.
    #[serde(skip)]
    pub odds: Vec<OddsChange>,
}

impl Diff {
    /// What differs between two documents. Without `before` there was nothing: all is new, and only the costs are told.
    pub fn of(before: Option<&Document>, after: &Document, draws_per_day: Option<u32>) -> Self {
        let expected_cost = chance::costs(before, after, draws_per_day);
        let Some(before) = before else {
            return Self { changes: vec![], expected_cost, draws_per_day, odds: vec![] };
        };
        let odds = chance::odds_changes(before, after);
        let mut changes: Vec<_> = odds.iter().map(OddsChange::told).collect();
        changes.extend(expected_cost.iter().filter_map(|(pool, cost)| cost.told(pool)));
        fields::compare(before, after, &mut changes);
        Self { changes, expected_cost, draws_per_day, odds }
    }

    /// Whether the documents say the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether anything of this code differs.
    pub fn has(&self, code: &str) -> bool {
        self.changes.iter().any(|change| change.code == code)
    }
}

#[cfg(test)]
mod tests;
