//! The raffle document, as people write it. Its shape is the published JSON Schema; [`read`] reports everything that
//! differs from it at once, each with a JSON pointer.

mod repair;
mod schema;

pub use schema::schema;

use std::collections::BTreeMap;

use campaign::award::Kind;
use campaign::ticket::Quota;
use kernel::document::{self, Misshapen};
use kernel::finding::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::eligibility::Eligibility;
use crate::node::{Node, Per, Word};

/// Longest document, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;

/// The rules of one raffle. Every field is explained in [`schema`].
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
    pub attributes: Vec<String>,
    #[serde(default)]
    pub metrics: Vec<String>,
    #[serde(default)]
    pub eligibility: Vec<Eligibility>,
    #[serde(default)]
    pub deny_list: Option<DenyList>,
    #[serde(default)]
    pub no_win_tree: Option<String>,
    #[serde(default)]
    pub when_exhausted: Exhaustion,
    #[serde(default)]
    pub win_interval_seconds: Option<u32>,
    #[serde(default)]
    pub budget: Option<Budget>,
    #[serde(default)]
    pub guaranteed_winners: GuaranteedWinners,
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
    #[serde(default)]
    pub cost: u64,
    #[serde(default)]
    pub consolation: bool,
    #[serde(default)]
    pub cap: Option<Cap>,
    #[serde(default)]
    pub only_for: Option<Vec<String>>,
    #[serde(default)]
    pub never_for: Vec<String>,
    #[serde(default)]
    pub release: Option<Release>,
    #[serde(default)]
    pub award: Kind,
}

/// How often one participant may win a prize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Cap {
    pub wins: u32,
    pub per: Per,
}

/// When a prize's units may be won.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Release {
    #[serde(default)]
    pub every_day: Option<u64>,
    #[serde(default)]
    pub slots: Vec<Slot>,
}

/// Units that may be won from an instant on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Slot {
    pub from: String,
    pub units: u64,
}

/// What happens when a prize cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Exhaustion {
    pub policy: ExhaustionPolicy,
    #[serde(default)]
    pub prize: Option<String>,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum ExhaustionPolicy {
    #[default]
    NoWin,
    Fallback,
    Renormalise,
}

/// What the prizes of a raffle may cost together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Budget {
    pub amount: u64,
    pub when_spent: WhenSpent,
}

/// What happens when the budget does not cover a prize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum WhenSpent {
    Stop,
    Degrade,
}

/// Whether an operator may promise a prize to a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum GuaranteedWinners {
    #[default]
    Forbidden,
    Allowed,
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

/// Where an outcome of a node leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Edge {
    pub from: String,
    pub on: Word,
    pub to: String,
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
    pub metric: String,
    pub mode: Mode,
    pub tiers: Vec<Tier>,
}

/// How a tier's threshold is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    read_tree(text).map_err(|(_, findings)| findings)
}

/// Reads a document and looks at it. One whose shape is wrong is looked at as far as it can be read, after what is wrong with
/// its shape; it is not answered, so that nothing is ever done by what nobody wrote.
pub fn examine(text: &str, look: impl FnOnce(&Document) -> Vec<Finding>) -> (Option<Document>, Vec<Finding>) {
    match read_tree(text) {
        Ok(document) => {
            let findings = look(&document);
            (Some(document), findings)
        }
        Err((tree, mut findings)) => {
            if let Some(repaired) = tree.as_ref().and_then(repair::Repaired::of) {
                findings.extend(repaired.findings(look));
            }
            (None, findings)
        }
    }
}

fn read_tree(text: &str) -> Result<Document, Misshapen> {
    document::read(text, schema::root(), BYTES_MAX)
}
