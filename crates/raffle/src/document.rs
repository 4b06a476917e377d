//! The raffle document, as people write it. Its shape is the published JSON Schema; [`read`] reports everything that
//! differs from it at once, each with a JSON pointer.

mod shape;
mod tree;

use std::collections::BTreeMap;

use campaign::ticket::Quota;
use serde::{Deserialize, Serialize};

use crate::finding::Finding;

/// The published JSON Schema of the document.
pub const SCHEMA: &str = include_str!("../schema/raffle.schema.json");

/// Longest document, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;

/// The rules of one raffle. Every field is explained in [`SCHEMA`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Document {
    pub raffle: String,
    pub title: String,
    #[serde(default = "utc")]
    pub time_zone: String,
    #[serde(default)]
    pub window: Window,
    #[serde(default)]
    pub tickets: Quota,
    pub denominator: u64,
    #[serde(default)]
    pub when_weights_differ: Option<SumPolicy>,
    pub prizes: Vec<Prize>,
    #[serde(default)]
    pub rule_trees: BTreeMap<String, Tree>,
    #[serde(default)]
    pub deny_list: Option<DenyList>,
    #[serde(default)]
    pub odds_tiers: Option<OddsTiers>,
    #[serde(default)]
    pub epoch: Epoch,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// When draws are taken, in local times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Window {
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub until: Option<String>,
}

/// What happens when weights do not sum to the denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum SumPolicy {
    Reject,
    Normalise,
    NoWin,
}

/// One prize.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Prize {
    pub id: String,
    pub title: String,
    pub weight: u64,
    pub stock: Stock,
    #[serde(default)]
    pub rule_tree: Option<String>,
}

/// How many of a prize there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stock {
    /// This many.
    Units(u64),
    /// As many as are won.
    Unlimited(Unlimited),
}

/// The word `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "one word")]
pub enum Unlimited {
    Unlimited,
}

impl Stock {
    /// The number, where there is one.
    pub fn units(self) -> Option<u64> {
        match self {
            Self::Units(units) => Some(units),
            Self::Unlimited(_) => None,
        }
    }
}

/// A rule tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Tree {
    pub start: String,
    pub nodes: BTreeMap<String, Node>,
    pub edges: Vec<Edge>,
}

/// One node of a rule tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Node {
    Unlock { after: u32, per: Per },
    Stock {},
    Fallback { prize: String },
}

/// What an unlock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Per {
    Day,
    Campaign,
}

/// Where an outcome of a node leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Edge {
    pub from: String,
    pub on: EdgeOutcome,
    pub to: String,
}

/// An outcome that can lead on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum EdgeOutcome {
    Open,
    Locked,
    Empty,
}

/// Who always draws the consolation prize.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct DenyList {
    pub participants: Vec<String>,
    pub prize: String,
}

/// Other odds from a threshold on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct OddsTiers {
    pub metric: Metric,
    pub mode: Mode,
    pub tiers: Vec<Tier>,
}

/// What a tier's threshold is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Metric {
    DrawsMade,
    PointsSpent,
}

/// How a tier's threshold is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Mode {
    Exact,
    AtLeast,
}

/// One odds tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Tier {
    pub threshold: u64,
    pub prizes: Vec<String>,
}

/// How long one seed serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Epoch {
    #[serde(default = "a_million")]
    pub entries_max: u64,
}

fn a_million() -> u64 {
    1_000_000
}

impl Default for Epoch {
    fn default() -> Self {
        Self { entries_max: a_million() }
    }
}

/// Reads a document in YAML or JSON. Answers it with no findings, or every finding about its shape.
pub fn read(text: &str) -> Result<Document, Vec<Finding>> {
    if text.len() > BYTES_MAX {
        let told = format!("the document is {} bytes long; the limit is {BYTES_MAX}", text.len());
        return Err(vec![Finding::error("document.too_large", "", told)]);
    }
    let tree = tree::parse(text)?;
    let findings = shape::findings(&tree);
    if !findings.is_empty() {
        return Err(findings);
    }
    // The shape is right, so this fails only where the schema and the types above disagree: a test keeps them together.
    serde_json::from_value(tree.into_json())
        .map_err(|error| vec![Finding::error("document.shape", "", error.to_string())])
}
