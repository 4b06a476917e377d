//! An experiment as it is written: what is tried, on whom, and what counts as success. It never changes, but for weights.

use std::collections::BTreeSet;

use kernel::id::can_be_chosen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bucketing::BUCKETS;
use super::error::Error;

/// Most arms.
pub const ARMS_MAX: usize = 16;
/// Most goals.
pub const GOALS_MAX: usize = 8;
/// The goal that each draw of an arm's raffle is.
pub const DRAW: &str = "draw";
/// The goal that each draw is which wins a prize.
pub const WIN: &str = "win";
/// The goal that each order of an arm's offer is.
pub const ORDER: &str = "order";
/// The goal that each order of an arm's offer is which is paid.
pub const PAY: &str = "pay";

/// What an experiment is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ExperimentSubject")]
pub enum Subject {
    /// Draws of this raffle are led to the raffle of each participant's arm.
    Raffle(String),
    /// Orders of this offer are led to the offer of each participant's arm.
    Offer {
        /// The campaign's id.
        campaign: String,
        /// The offer's id.
        offer: String,
    },
    /// Something that asks for assignments by itself, by a name of its own.
    Named(String),
}

/// A half-open range of the layer's 10,000 buckets: who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExperimentBuckets")]
pub struct Buckets {
    /// The first that takes part.
    pub from: u32,
    /// The first after it that does not.
    pub until: u32,
}

impl Buckets {
    /// The whole layer.
    pub const ALL: Self = Self { from: 0, until: BUCKETS };

    /// Whether a bucket takes part.
    pub fn contain(self, bucket: u32) -> bool {
        (self.from..self.until).contains(&bucket)
    }

    /// Whether two ranges share a bucket.
    pub fn overlap(self, other: Self) -> bool {
        self.from < other.until && other.from < self.until
    }
}

/// One of the things that are tried. The first arm is the control that the others are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExperimentArm")]
pub struct Arm {
    /// Its id: 1 to 48 of a-z, 0-9, `_` and `-`, a letter or digit first.
    pub arm: String,
    /// Its share of those who take part, over the denominator. At least 1.
    pub weight: u32,
    /// The published raffle that its participants draw from, where the subject is a raffle. It has stock, odds, epochs and
    /// proofs of its own. The subject itself may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raffle: Option<String>,
    /// The offer of the same campaign that its participants order, where the subject is an offer: with a price, gains, stock
    /// and limits of its own. The subject itself may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
}

/// What counts as success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExperimentGoal")]
pub struct Goal {
    /// Its id. `draw` and `win` are counted from the draws themselves, `order` and `pay` from the orders; all others are told.
    pub goal: String,
    /// What is compared.
    pub measure: Measure,
}

/// What of a goal is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ExperimentMeasure")]
pub enum Measure {
    /// The share of exposed participants who reached the goal at least once.
    Share,
    /// The mean over exposed participants of the sum of what was told.
    Mean,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExperimentDocument")]
pub struct Document {
    /// Its id: 1 to 48 of a-z, 0-9, `_` and `-`, a letter or digit first. It salts the arms' buckets.
    pub experiment: String,
    /// What people call it: 1 to 100 characters.
    pub title: String,
    /// What it is about.
    pub subject: Subject,
    /// Running experiments of one layer share nobody. Its own id where it is left out: a layer of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// Who takes part. All where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Buckets>,
    /// What the weights add up to, 1 to 10,000.
    pub denominator: u32,
    /// 2 to 16 arms, the control first.
    pub arms: Vec<Arm>,
    /// Nobody is exposed before, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Nobody is exposed from then on, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// At most 8 goals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<Goal>,
}

fn is_title(text: &str) -> bool {
    (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn expect(is_so: bool, told: impl FnOnce() -> String) -> Result<(), Error> {
    if is_so { Ok(()) } else { Err(Error::Document(told())) }
}

impl Document {
    /// The layer.
    pub fn layer(&self) -> &str {
        self.layer.as_deref().unwrap_or(&self.experiment)
    }

    /// Who takes part.
    pub fn buckets(&self) -> Buckets {
        self.buckets.unwrap_or(Buckets::ALL)
    }

    /// The raffle that it is about.
    pub fn raffle(&self) -> Option<&str> {
        match &self.subject {
            Subject::Raffle(raffle) => Some(raffle),
            Subject::Offer { .. } | Subject::Named(_) => None,
        }
    }

    /// The campaign and the offer that it is about.
    pub fn offer(&self) -> Option<(&str, &str)> {
        match &self.subject {
            Subject::Offer { campaign, offer } => Some((campaign, offer)),
            Subject::Raffle(_) | Subject::Named(_) => None,
        }
    }

    /// Every offer that it names, all of one campaign.
    pub fn offers(&self) -> BTreeSet<(&str, &str)> {
        let Some((campaign, offer)) = self.offer() else { return BTreeSet::new() };
        let arms = self.arms.iter().filter_map(|arm| arm.offer.as_deref());
        std::iter::once(offer).chain(arms).map(|offer| (campaign, offer)).collect()
    }

    /// Every raffle that it names.
    pub fn raffles(&self) -> BTreeSet<&str> {
        self.raffle().into_iter().chain(self.arms.iter().filter_map(|arm| arm.raffle.as_deref())).collect()
    }

    /// The weights, in the order of the arms.
    pub fn weights(&self) -> Vec<u32> {
        self.arms.iter().map(|arm| arm.weight).collect()
    }

    /// A goal, and its place.
    pub fn goal(&self, goal: &str) -> Option<(usize, &Goal)> {
        self.goals.iter().enumerate().find(|(_, known)| known.goal == goal)
    }

    /// Refuses a document that makes no sense.
    pub fn check(&self) -> Result<(), Error> {
        let id = |what: &str, text: &str| {
            let told = || {
                format!("{what} `{text}` is not 1 to 48 of a-z, 0-9, `_` and `-`, a letter or digit first")
            };
            expect(can_be_chosen(text, 48), told)
        };
        id("the experiment's id", &self.experiment)?;
        expect(is_title(&self.title), || "the title is not 1 to 100 characters".to_owned())?;
        id("the layer", self.layer())?;
        let Buckets { from, until } = self.buckets();
        expect(from < until && until <= BUCKETS, || {
            format!("`buckets` runs from 0 to {BUCKETS} at the most, and is not empty")
        })?;
        expect((2..=ARMS_MAX).contains(&self.arms.len()), || format!("there are 2 to {ARMS_MAX} arms"))?;
        let mut seen = BTreeSet::new();
        for Arm { arm, raffle, offer, .. } in &self.arms {
            id("the arm", arm)?;
            expect(seen.insert(arm), || format!("the arm `{arm}` stands twice"))?;
            expect(raffle.is_some() == self.raffle().is_some(), || {
                "every arm names a raffle where the subject is one, and else none does".to_owned()
            })?;
            expect(offer.is_some() == self.offer().is_some(), || {
                "every arm names an offer where the subject is one, and else none does".to_owned()
            })?;
        }
        if let Subject::Named(name) = &self.subject {
            id("the subject", name)?;
        }
        for raffle in self.raffles() {
            expect((1..=64).contains(&raffle.len()), || format!("there is no raffle `{raffle}`"))?;
        }
        for (campaign, offer) in self.offers() {
            let is_one = |id: &str| (1..=64).contains(&id.len());
            expect(is_one(campaign) && is_one(offer), || {
                format!("there is no offer `{offer}` in the campaign `{campaign}`")
            })?;
        }
        check_weights(&self.weights(), self.denominator)?;
        let begins = self.from_ms.zip(self.until_ms);
        expect(begins.is_none_or(|(from, until)| from < until), || "it ends before it begins".to_owned())?;
        expect(self.goals.len() <= GOALS_MAX, || format!("there are {GOALS_MAX} goals at the most"))?;
        let mut seen = BTreeSet::new();
        for Goal { goal, .. } in &self.goals {
            id("the goal", goal)?;
            expect(seen.insert(goal), || format!("the goal `{goal}` stands twice"))?;
            let is_drawn = [DRAW, WIN].contains(&goal.as_str());
            expect(!is_drawn || self.raffle().is_some(), || {
                format!("`{goal}` is counted from draws, and the subject is no raffle")
            })?;
            let is_ordered = [ORDER, PAY].contains(&goal.as_str());
            expect(!is_ordered || self.offer().is_some(), || {
                format!("`{goal}` is counted from orders, and the subject is no offer")
            })?;
        }
        Ok(())
    }
}

/// Refuses weights that are not over their denominator.
pub fn check_weights(weights: &[u32], denominator: u32) -> Result<(), Error> {
    expect((1..=BUCKETS).contains(&denominator), || format!("the denominator is 1 to {BUCKETS}"))?;
    expect(weights.iter().all(|weight| *weight > 0), || "a weight is at least 1".to_owned())?;
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    expect(sum == u64::from(denominator), || format!("the weights add up to {sum}, not to {denominator}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"{"experiment":"wheel","title":"Wheel","subject":{"raffle":"spring"},"denominator":100,
        "buckets":{"from":0,"until":5000},"goals":[{"goal":"draw","measure":"mean"}],
        "arms":[{"arm":"a","weight":50,"raffle":"spring"},{"arm":"b","weight":50,"raffle":"summer"}]}"#;

    #[test]
    fn a_document_that_makes_no_sense_is_told_why() {
        let check = |from: &str, to: &str, part: &str| {
            let text = SOUND.replacen(from, to, 1);
            assert!(part.is_empty() || text != SOUND, "{from} does not stand there");
            let document: Document = serde_json::from_str(&text).expect("a shape");
            match document.check() {
                Ok(()) => assert_eq!(part, "", "{text}"),
                Err(error) => {
                    assert!(!part.is_empty() && error.to_string().contains(part), "{error}: {text}")
                }
            }
        };
        check("", "", "");
        check("\"wheel\"", "\"Wheel\"", "the experiment's id `Wheel`");
        check("\"wheel\"", "\"\"", "the experiment's id");
        check("\"Wheel\"", "\"\"", "title");
        check("\"Wheel\"", "\"a\\u0000\"", "title");
        check("\"from\":0", "\"from\":5000", "not empty");
        check("\"until\":5000", "\"until\":10001", "10000 at the most");
        check("\"denominator\":100", "\"denominator\":0", "denominator");
        check("\"denominator\":100", "\"denominator\":10001", "denominator");
        check("\"weight\":50", "\"weight\":51", "add up to 101");
        check("\"weight\":50", "\"weight\":0", "at least 1");
        check("\"arm\":\"b\"", "\"arm\":\"a\"", "stands twice");
        check(",\"raffle\":\"summer\"", "", "every arm names a raffle");
        check("{\"raffle\":\"spring\"}", "{\"named\":\"x\"}", "every arm names a raffle");
        check("\"goal\":\"draw\"", "\"goal\":\"\"", "the goal");
        check("\"denominator\"", "\"from_ms\":5,\"until_ms\":5,\"denominator\"", "ends before");
        let named = SOUND.replace(",\"raffle\":\"spring\"}", "}").replace(",\"raffle\":\"summer\"", "");
        let named = named.replace("{\"raffle\":\"spring\"}", "{\"named\":\"x\"}");
        let named: Document = serde_json::from_str(&named).expect("a shape");
        assert!(named.check().expect_err("no draws").to_string().contains("counted from draws"));
        let of_offers =
            SOUND.replace("{\"raffle\":\"spring\"}", "{\"offer\":{\"campaign\":\"c\",\"offer\":\"o\"}}");
        let of_offers = of_offers.replace("\"raffle\":", "\"offer\":").replace("\"draw\"", "\"order\"");
        let check = |from: &str, to: &str, part: &str| {
            let document: Document = serde_json::from_str(&of_offers.replacen(from, to, 1)).expect("a shape");
            let told = document.check().map_or_else(|error| error.to_string(), |()| String::new());
            assert!(told.contains(part) && told.is_empty() == part.is_empty(), "{told}");
        };
        check("", "", "");
        check(",\"offer\":\"summer\"", "", "every arm names an offer");
        check(",\"offer\":\"summer\"", ",\"offer\":\"summer\",\"raffle\":\"r\"", "every arm names a raffle");
        check("\"offer\":\"summer\"", "\"offer\":\"\"", "there is no offer `` in the campaign `c`");
        check("\"order\"", "\"win\"", "counted from draws");
        let of_raffles: Document =
            serde_json::from_str(&SOUND.replace("\"draw\"", "\"pay\"")).expect("a shape");
        assert!(of_raffles.check().expect_err("no orders").to_string().contains("counted from orders"));
    }

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        let range = |from, until| Buckets { from, until };
        assert!(!range(0, 5).overlap(range(5, 10)) && !range(5, 10).overlap(range(0, 5)));
        assert!(range(0, 6).overlap(range(5, 10)) && range(5, 6).overlap(Buckets::ALL));
        assert!(range(0, 5).contain(4) && !range(0, 5).contain(5));
    }
}
