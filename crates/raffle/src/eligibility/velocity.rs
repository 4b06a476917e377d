use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Refusal, Rule};
use crate::standing::{Attested, Pace, Standing, TENTHS};

/// So many draws in so many seconds, and no more.
///
/// Draws are counted in tenths of the window, and a tenth counts until all of it lies a whole window back. So no window of
/// `seconds`, wherever it begins, holds more than `draws`; who draws steadily waits a tenth longer at most. In whole
/// numbers, so that everybody who replays it agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub struct Velocity {
    pub draws: u32,
    pub seconds: u32,
}

impl Velocity {
    pub(super) const SCHEMA: &str = r#"{
        "description": "A participant may complete so many draws in any so many seconds, wherever they begin; one more is told when to come back. Draws are counted in tenths of these seconds, and a tenth counts until all of it lies so many seconds back.",
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
        let pace = standing.history.pace(self.seconds, standing.now_ms);
        let admits = |tenths: usize| pace.after(tenths) < u64::from(self.draws);
        if admits(0) {
            return Ok(());
        }
        let wait = (1..TENTHS).find(|tenths| admits(*tenths)).unwrap_or(TENTHS);
        let then = pace.tenth.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX));
        let then_ms = then.saturating_mul(Pace::tenth_ms(self.seconds));
        let told = format!("no more than {} draws in {} seconds", self.draws, self.seconds);
        Err(Refusal { rule: self.kind(), told, retry_ms: Some(then_ms.saturating_sub(standing.now_ms)) })
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
    use proptest::prelude::*;

    use super::*;
    use crate::standing::{Attested, Completed, History};

    fn check(rule: Velocity, history: &History, now_ms: i64) -> Result<(), Refusal> {
        let attested = Attested::default();
        rule.check(&Standing { pseudonym: [0; 16], history, attested: &attested, now_ms, day: 0 })
    }

    fn complete(rule: Velocity, history: &mut History, at_ms: i64) {
        history.complete(Completed {
            at_ms,
            day: 0,
            won: None,
            kept_promise: false,
            windows: &[rule.seconds],
        });
    }

    #[test]
    fn whoever_draws_when_told_draws_as_often_as_they_may() {
        for (draws, told) in [(1, vec![11_000]), (2, vec![0, 11_000, 11_000]), (3, vec![0, 0, 11_000])] {
            let (rule, mut history, mut now_ms) = (Velocity { draws, seconds: 10 }, History::default(), 0);
            complete(rule, &mut history, now_ms);
            for at_ms in told {
                if let Err(refusal) = check(rule, &history, now_ms) {
                    now_ms += refusal.retry_ms.unwrap_or(0);
                }
                assert_eq!((check(rule, &history, now_ms), now_ms), (Ok(()), at_ms), "{draws} draws");
                complete(rule, &mut history, now_ms);
            }
        }
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_it_may_and_the_told_instant_is_the_first(
            draws in 1u32..6,
            seconds in 1u32..5,
            waits in prop::collection::vec(prop_oneof![Just(0i64), 0i64..300, 0i64..6_000], 1..80),
        ) {
            let (rule, window_ms) = (Velocity { draws, seconds }, i64::from(seconds) * 1_000);
            let (mut history, mut now_ms, mut taken) = (History::default(), 0, Vec::new());
            for wait_ms in waits {
                now_ms += wait_ms;
                match check(rule, &history, now_ms) {
                    Ok(()) => {
                        complete(rule, &mut history, now_ms);
                        taken.push(now_ms);
                    }
                    Err(refusal) => {
                        let told_ms = refusal.retry_ms.unwrap_or(0);
                        prop_assert!((1..=window_ms * 11 / 10).contains(&told_ms), "{told_ms}");
                        prop_assert!(check(rule, &history, now_ms + told_ms).is_ok());
                        prop_assert!(check(rule, &history, now_ms + told_ms - 1).is_err());
                        let strict = taken.iter().filter(|at| now_ms - **at < window_ms * 11 / 10).count();
                        prop_assert!(strict >= draws as usize, "refused after {taken:?} at {now_ms}");
                    }
                }
            }
            for from in &taken {
                let held = taken.iter().filter(|at| (*from..from + window_ms).contains(at)).count();
                prop_assert!(held <= draws as usize, "{taken:?}");
            }
        }
    }
}
