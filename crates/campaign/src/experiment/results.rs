//! What an experiment has shown, read from its counts. See `significance` for what the numbers promise.

use kernel::id::Shard;
use records::error::Error;
use records::port::{Tx, Value};
use schemars::JsonSchema;
use serde::Serialize;

use super::bucketing::{ends, widths};
use super::document::{Document, Measure};
use super::significance::{
    self, EXPECTED_MIN, MISMATCH, Share, Values, always_valid, expected_min, fit, fit_p,
};

/// The weights of an experiment, each with its generation, oldest first.
pub type Generations = Vec<(u32, Vec<u32>)>;

/// Counts of one arm and goal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    participants: u64,
    total: u128,
    squares: u128,
}

/// All counts of an experiment, over its slots.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted(Vec<(u32, usize, String, Sums)>);

impl Counted {
    /// Reads them, on one shard.
    pub async fn read(tx: &mut dyn Tx, shard: Shard, tenant: u32, experiment: &str) -> Result<Self, Error> {
        let sql = "SELECT generation,arm,goal,participants,total,squares FROM experiment_count
            WHERE shard=? AND tenant=? AND experiment=? ORDER BY slot,generation,arm,goal";
        let key = [Value::Int(shard.0.into()), Value::Int(tenant.into()), Value::Text(experiment)];
        let mut counted = Self::default();
        for row in tx.fetch(sql, &key).await? {
            let arm = usize::try_from(row.small(1)?).unwrap_or(usize::MAX);
            let sums = Sums {
                participants: row.count(3)?,
                total: row.count(4)?.into(),
                squares: row.count(5)?.into(),
            };
            counted.0.push((row.small(0)?, arm, row.text(2)?.to_owned(), sums));
        }
        Ok(counted)
    }

    /// Adds those of another shard.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn sums(&self, arm: usize, goal: &str, generation: Option<u32>) -> Sums {
        let mut whole = Sums::default();
        for (found, at, named, sums) in &self.0 {
            if *at == arm && named == goal && generation.is_none_or(|generation| generation == *found) {
                whole.participants += sums.participants;
                whole.total += sums.total;
                whole.squares += sums.squares;
            }
        }
        whole
    }
}

/// One arm of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ArmResult {
    /// The arm's id.
    pub arm: String,
    /// Participants who reached the goal at least once.
    pub reached: u64,
    /// The sum of what was told.
    pub total: u64,
    /// The share of exposed participants who reached it, or the mean over them, as the goal is measured.
    pub value: f64,
    /// The interval of 95 % of the share; absent for means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
    /// The same less that of the first arm; absent for the first, and where the data cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_control: Option<Comparison>,
}

/// An arm against the control.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// The arm's value less the control's.
    pub difference: f64,
    /// Its interval of 95 %, for one look at a time that was fixed before.
    pub interval: (f64, f64),
    /// The p-value, for one look at a time that was fixed before; absent where the data cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// A p-value that may be looked at any time; absent for means, and where the data cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_always_valid: Option<f64>,
}

/// What became of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GoalResult {
    /// The goal's id.
    pub goal: String,
    /// How it is measured.
    pub measure: Measure,
    /// Each arm, the control first.
    pub arms: Vec<ArmResult>,
}

/// Whether the arms have the shares of participants that they should.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Ratio {
    /// The p-value of a chi-square test over all generations of weights under which at least 5 participants were to be
    /// expected in the smallest arm; 1 while there is none. For one look at a time that was fixed before.
    pub p: f64,
    /// Whether `p` is below 0.001: then something is wrong with the assignment or with what is counted, and no other number
    /// here means anything.
    pub alarm: bool,
}

/// What an experiment has shown.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Results {
    /// Exposed participants of each arm, in the order of the document.
    pub exposed: Vec<u64>,
    /// Whether the arms have the shares of participants that they should.
    pub ratio: Ratio,
    /// Each goal.
    pub goals: Vec<GoalResult>,
}

impl Results {
    /// What counts say of a document whose weights were set so often.
    pub fn of(document: &Document, generations: &Generations, counted: &Counted) -> Self {
        let arms = 0..document.arms.len();
        let exposed: Vec<u64> = arms.clone().map(|arm| counted.sums(arm, "", None).participants).collect();
        let mut ratio = (0.0, 0.0);
        for (generation, weights) in generations {
            let counts: Vec<_> = arms
                .clone()
                .map(|arm| counted.sums(arm, "", Some(*generation)).participants as f64)
                .collect();
            // The buckets, not the weights: rounding gives an arm what it gives it.
            let shares: Vec<_> = widths(&ends(weights)).into_iter().map(f64::from).collect();
            // A chi-square of a few participants is none: while a generation has too few of them it has no say.
            if expected_min(&counts, &shares) >= EXPECTED_MIN {
                let (statistic, degrees) = fit(&counts, &shares);
                ratio = (ratio.0 + statistic, ratio.1 + degrees);
            }
        }
        let p = fit_p(ratio);
        let goals = document.goals.iter().map(|goal| {
            let sums = |arm: usize| (exposed[arm], counted.sums(arm, &goal.goal, None));
            let result = |arm: usize| {
                let id = document.arms[arm].arm.clone();
                arm_result(id, goal.measure, sums(arm), (arm > 0).then(|| sums(0)))
            };
            GoalResult {
                goal: goal.goal.clone(),
                measure: goal.measure,
                arms: arms.clone().map(result).collect(),
            }
        });
        let goals = goals.collect();
        Self { exposed, ratio: Ratio { p, alarm: p < MISMATCH }, goals }
    }
}

fn arm_result(arm: String, measure: Measure, own: (u64, Sums), control: Option<(u64, Sums)>) -> ArmResult {
    let share = |(exposed, sums): (u64, Sums)| Share { of: sums.participants as f64, all: exposed as f64 };
    let values = |(exposed, sums): (u64, Sums)| Values {
        all: exposed as f64,
        total: sums.total as f64,
        squares: sums.squares as f64,
    };
    let (value, interval) = match measure {
        Measure::Share => (share(own).value(), Some(share(own).interval())),
        Measure::Mean => (values(own).mean(), None),
    };
    let compared = control.filter(|control| control.0 > 0 && own.0 > 0).and_then(|control| {
        let (found, p_always_valid) = match measure {
            Measure::Share => {
                let (control, own) = (share(control), share(own));
                (Some(significance::shares(control, own)), always_valid(control, own))
            }
            Measure::Mean => (significance::means(values(control), values(own)), None),
        };
        let significance::Difference { difference, interval, p } = found?;
        Some(Comparison { difference, interval, p, p_always_valid })
    });
    let total = u64::try_from(own.1.total).unwrap_or(u64::MAX);
    ArmResult { arm, reached: own.1.participants, total, value, interval, against_control: compared }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document of two arms, and what was counted under each generation of weights.
    fn ratio(generations: &[([u32; 2], [u64; 2])]) -> Ratio {
        let document = r#"{"experiment":"e","title":"E","subject":{"named":"e"},"denominator":100,
            "arms":[{"arm":"a","weight":50},{"arm":"b","weight":50}]}"#;
        let document: Document = serde_json::from_str(document).expect("a document");
        let mut counted = Counted::default();
        let numbered = || (1..).zip(generations);
        for (generation, (_, counts)) in numbered() {
            for (arm, participants) in counts.iter().enumerate() {
                let sums = Sums { participants: *participants, ..Sums::default() };
                counted.0.push((generation, arm, String::new(), sums));
            }
        }
        let weights = numbered().map(|(generation, (weights, _))| (generation, weights.to_vec())).collect();
        Results::of(&document, &weights, &counted).ratio
    }

    #[test]
    fn a_few_participants_are_no_mismatch_and_many_that_should_not_be_are() {
        let quiet = Ratio { p: 1.0, alarm: false };
        // Two people of whom one comes to an arm of one in a hundred: of 1,000 such beginnings 20 are so.
        assert_eq!(ratio(&[([99, 1], [1, 1])]), quiet);
        assert_eq!(ratio(&[([50, 50], [9, 0])]), quiet, "4.5 are expected");
        assert!(ratio(&[([50, 50], [10, 0])]).p < 0.01, "5 are");
        assert!(ratio(&[([50, 50], [600, 400])]).alarm);
        assert!(ratio(&[([50, 50], [600, 400]), ([99, 1], [1, 1])]).alarm, "fresh weights hide nothing");
        let settled = ratio(&[([50, 50], [500, 500])]);
        assert_eq!(ratio(&[([50, 50], [500, 500]), ([99, 1], [2, 2])]), settled, "and add nothing");
        assert!(!ratio(&[([50, 50], [510, 490]), ([90, 10], [903, 97])]).alarm);
    }
}
