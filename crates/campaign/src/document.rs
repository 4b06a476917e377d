//! The campaign document, as people write it. Its shape is the published JSON Schema; [`read`] reports everything that
//! differs from it, and what else could never be right.

mod lint;

pub(crate) use lint::{REFERRAL, REFERRED, SIGN_IN, STREAK};

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kernel::document;
use kernel::document::tree::{self, Tree};
use kernel::finding::{Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tally::Caps;

/// Longest document, in bytes.
pub const BYTES_MAX: usize = 512 * 1024;

const SCHEMA: &str = include_str!("document/campaign.schema.json");

#[expect(clippy::expect_used, reason = "built in, and read by every test")]
static ROOT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(SCHEMA).expect("the schema is JSON"));

/// The published JSON Schema of campaign documents, as text.
pub fn schema() -> &'static str {
    SCHEMA
}

/// What a campaign gives for what people do. Every field is explained in [`schema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Document {
    pub campaign: String,
    pub title: String,
    #[serde(default = "utc")]
    pub time_zone: String,
    #[serde(default)]
    pub window: Window,
    #[serde(default)]
    pub placements: Vec<Placement>,
    #[serde(default)]
    pub audience: Option<String>,
    #[serde(default)]
    pub audiences: BTreeMap<String, Audience>,
    #[serde(default)]
    pub budget: Budget,
    #[serde(default)]
    pub earning: Vec<Earning>,
    #[serde(default)]
    pub sign_in: Option<SignIn>,
    #[serde(default)]
    pub referral: Option<Referral>,
    #[serde(default)]
    pub offers: Vec<Offer>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// When the campaign runs, in local times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Window {
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub until: Option<String>,
}

/// A place where the campaign is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Placement {
    pub channel: String,
    pub source: String,
}

/// Who belongs to a segment of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Audience {
    List {
        list: String,
    },
    Balance {
        unit: String,
        #[serde(default = "main_wallet")]
        wallet: String,
        at_least: i64,
    },
    Streak {
        at_least: u32,
    },
    Referred {},
    All {
        of: Vec<Audience>,
    },
    Any {
        of: Vec<Audience>,
    },
    None {
        of: Vec<Audience>,
    },
}

fn main_wallet() -> String {
    ledger::account::MAIN.to_owned()
}

/// What may be given at the most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Budget {
    #[serde(default)]
    pub units: BTreeMap<String, i64>,
    #[serde(default)]
    pub money: Option<Money>,
}

/// Money, and what units cost of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Money {
    pub unit: String,
    pub amount: i64,
    pub costs: Vec<Cost>,
}

/// So many units cost so much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Cost {
    pub unit: String,
    pub units: i64,
    pub cost: i64,
}

/// An earning rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Earning {
    pub id: String,
    pub behaviour: String,
    #[serde(default)]
    pub audience: Option<String>,
    #[serde(default)]
    pub min_value: Option<i64>,
    #[serde(default)]
    pub caps: Caps,
    pub gains: Vec<Gain>,
}

/// What is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Gain {
    pub unit: String,
    #[serde(default = "main_wallet")]
    pub wallet: String,
    #[serde(default)]
    pub amount: Option<i64>,
    #[serde(default)]
    pub of_value: Option<Rebate>,
    #[serde(default)]
    pub caps: Caps,
    #[serde(default)]
    pub available_after_seconds: Option<u32>,
    #[serde(default)]
    pub expires_after_days: Option<u32>,
}

/// So much for every so many of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Rebate {
    pub gives: i64,
    pub for_every: i64,
    #[serde(default)]
    pub rounding: Rounding,
    #[serde(default)]
    pub at_most: Option<i64>,
}

/// What becomes of the part that cannot be given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Rounding {
    #[default]
    Down,
    Up,
    HalfEven,
}

/// The calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct SignIn {
    #[serde(default)]
    pub days: Vec<Vec<Gain>>,
    #[serde(default)]
    pub after_the_last: AfterTheLast,
    #[serde(default)]
    pub streaks: Vec<Streak>,
}

/// What comes after the last day of the calendar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum AfterTheLast {
    #[default]
    BeginAgain,
    RepeatTheLast,
}

/// What a long streak gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Streak {
    pub days: u32,
    pub gains: Vec<Gain>,
}

/// People bring people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Referral {
    pub behaviour: String,
    #[serde(default)]
    pub within_days: Option<u32>,
}

/// Something to be ordered and paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Offer {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub price: Option<Price>,
    pub gains: Vec<Gain>,
    pub stock: Stock,
    #[serde(default)]
    pub per_participant: Caps,
    #[serde(default = "one")]
    pub per_order: u32,
    #[serde(default = "a_quarter")]
    pub pay_within_seconds: u32,
    #[serde(default)]
    pub audience: Option<String>,
}

fn one() -> u32 {
    1
}

fn a_quarter() -> u32 {
    900
}

/// What one of an offer costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Price {
    pub unit: String,
    #[serde(default = "main_wallet")]
    pub wallet: String,
    pub amount: i64,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Stock {
    Units(u64),
    Unlimited(Unlimited),
}

/// As many as are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Unlimited {
    Unlimited,
}

impl Document {
    /// Every list of gains, with where it stands.
    pub(crate) fn gains(&self) -> Vec<(String, &[Gain])> {
        let earning = self.earning.iter().enumerate();
        let mut gains: Vec<_> =
            earning.map(|(place, rule)| (format!("/earning/{place}/gains"), &rule.gains[..])).collect();
        if let Some(sign_in) = &self.sign_in {
            let days = sign_in.days.iter().enumerate();
            gains.extend(days.map(|(place, gains)| (format!("/sign_in/days/{place}"), &gains[..])));
            let streaks = sign_in.streaks.iter().enumerate();
            gains.extend(
                streaks.map(|(place, streak)| (format!("/sign_in/streaks/{place}/gains"), &streak.gains[..])),
            );
        }
        let offers = self.offers.iter().enumerate();
        gains.extend(offers.map(|(place, offer)| (format!("/offers/{place}/gains"), &offer.gains[..])));
        gains
    }
}

/// Whether a text is about a campaign: it names one, and no raffle.
pub fn is_one(text: &str) -> bool {
    let Ok(Tree::Map(entries)) = tree::parse(text) else { return false };
    let names = |name: &str| entries.iter().any(|(key, _)| key == name);
    names("campaign") && !names("raffle")
}

/// Whether findings forbid publishing.
pub fn forbids(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Reads a document in YAML or JSON, with everything that is wrong with it.
pub fn read(text: &str, now_ms: i64) -> (Option<Document>, Vec<Finding>) {
    match document::read::<Document>(text, &ROOT, BYTES_MAX) {
        Ok(document) => {
            let findings = lint::findings(&document, now_ms);
            (Some(document), findings)
        }
        Err((_, findings)) => (None, findings),
    }
}

#[cfg(test)]
mod tests {
    use kernel::document::shape::Shape;

    use super::*;

    /// A document with one of everything.
    pub(crate) const WHOLE: &str = include_str!("document/whole.yaml");

    #[test]
    fn the_schema_uses_no_keyword_that_is_not_checked() {
        assert_eq!(Shape { root: &ROOT }.unchecked_keywords(), Vec::<String>::new());
    }

    #[test]
    fn a_text_is_about_a_campaign_where_it_names_one_and_no_raffle() {
        for (text, expected) in [
            ("campaign: c", true),
            ("{\"campaign\": 5}", true),
            ("raffle: r\ncampaign: c", false),
            ("raffle: r", false),
            ("- campaign", false),
            ("campaign: [", false),
            ("", false),
        ] {
            assert_eq!(is_one(text), expected, "{text}");
        }
    }

    #[test]
    fn schema_and_types_agree_on_a_document_with_one_of_everything() {
        let (document, findings) = read(WHOLE, 0);
        assert_eq!(findings, vec![]);
        let document = document.expect("a document");
        // What is written out again is read as the same.
        let text = serde_json::to_value(&document).expect("JSON").to_string().replace(":null", ":\"\"");
        assert!(text.contains("\"begin_again\"") && text.contains("\"half_even\""), "{text}");
        assert_eq!(document.gains().len(), 8);
    }
}
