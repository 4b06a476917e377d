use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Refusal, Rule};
use crate::standing::{Attested, Standing};

/// So many draws in so many seconds, and no more.
///
/// A sliding window counter: the fixed window that holds now, and the part of the window before that the sliding window
/// still covers, its draws taken as evenly spread. In whole numbers, so that everybody who replays it agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Velocity {
    pub draws: u32,
    pub seconds: u32,
}

impl Velocity {
    pub(super) const SCHEMA: &str = r#"{
        "description": "A participant may complete so many draws in so many seconds, counted in a sliding window; one more is told to come back.",
        "type": "object", "additionalProperties": false, "required": ["kind", "draws", "seconds"],
        "properties": {
            "kind": { "const": "velocity" },
            "draws": { "type": "integer", "minimum": 1, "maximum": 1000000 },
            "seconds": { "type": "integer", "minimum": 1, "maximum": 2592000 }
        }
    }"#;

    pub(super) fn in_public(&self, _: &dyn Fn(&str) -> String) -> Self {
        *self
    }
}

impl Rule for Velocity {
    fn kind(&self) -> &'static str {
        "velocity"
    }

    fn check(&self, standing: &Standing<'_>) -> Result<(), Refusal> {
        let window_ms = i64::from(self.seconds) * 1000;
        let pace = standing.history.pace(self.seconds, standing.now_ms);
        let into_ms =
            standing.now_ms.saturating_sub(pace.window.saturating_mul(window_ms)).clamp(0, window_ms);
        let still = u128::from(pace.previous) * u128::try_from(window_ms - into_ms).unwrap_or(0);
        let whole = u128::try_from(window_ms).unwrap_or(1);
        if u128::from(pace.current) * whole + still + whole <= u128::from(self.draws) * whole {
            return Ok(());
        }
        let told = format!("no more than {} draws in {} seconds", self.draws, self.seconds);
        Err(Refusal { rule: self.kind(), told, retry_ms: Some(window_ms - into_ms) })
    }

    fn admitted(&self, _: &Attested) -> String {
        format!("the participant had completed fewer than {} draws in {} seconds", self.draws, self.seconds)
    }

    fn window_seconds(&self) -> Option<u32> {
        Some(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::{Attested, Completed, History};

    #[test]
    fn no_window_takes_more_than_it_may() {
        let rule = Velocity { draws: 3, seconds: 10 };
        let (mut history, attested) = (History::default(), Attested::default());
        let mut taken: Vec<i64> = Vec::new();
        for now_ms in (0..60_000).step_by(500) {
            let standing =
                Standing { pseudonym: [0; 16], history: &history, attested: &attested, now_ms, day: 0 };
            match rule.check(&standing) {
                Ok(()) => {
                    let draw =
                        Completed { at_ms: now_ms, day: 0, won: None, kept_promise: false, windows: &[10] };
                    history.complete(draw);
                    taken.push(now_ms);
                }
                Err(refusal) => assert!(refusal.retry_ms.is_some_and(|wait| (1..=10_000).contains(&wait))),
            }
        }
        assert_eq!(taken[..3], [0, 500, 1_000]);
        // Taken as evenly spread, draws at a window's beginning may be forgotten early: never more than twice the limit.
        let most =
            taken.iter().map(|from| taken.iter().filter(|at| (*from..from + 10_000).contains(at)).count());
        assert!(most.max() <= Some(6), "{taken:?}");
        assert!((12..=18).contains(&taken.len()), "at most 18 in 60 seconds: {taken:?}");
    }
}
