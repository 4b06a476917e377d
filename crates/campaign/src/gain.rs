//! What somebody got, as it is told and kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody got, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gained {
    /// The campaign's id.
    pub campaign: String,
    /// By which rule: the id of an earning rule, `sign_in`, `streak`, or the offer's id.
    pub rule: String,
    /// What is counted.
    pub unit: String,
    /// The wallet it goes to.
    pub wallet: String,
    /// How much, in minor units; 0 where nothing was given.
    pub amount: i64,
    /// Why nothing, or not all, was given: `cap_total`, `cap_month`, `cap_day`, `budget`, `money`, or the ledger's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}
