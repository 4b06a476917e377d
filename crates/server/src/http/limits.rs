//! Rate limits: how often a key and a participant may call, and a participant draw. They shed load before it costs
//! anything and protect nothing that must not be wrong: a limit counts in this process alone, and its memory goes with it.
//!
//! A call that is refused is told with 429, `Retry-After` (RFC 9110, 10.2.3) and the fields of
//! draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` names all limits that hold such a call, `RateLimit` the
//! one that refuses. That draft asks that `Retry-After` end no earlier than any window that is named, so it names no more.

use std::num::{NonZeroU32, NonZeroUsize};

use axum::http::{HeaderName, StatusCode, header};
use guard::tiers::{Ruling, Tiers};
use guard::window::{Limit, Verdict};
use guard::windows::Windows;
use raffle::fairness::sha256;

use super::problem::Problem;
use crate::config;

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The configured limits, and what was counted under them.
#[derive(Debug)]
pub struct Rates {
    requests: Option<Rate>,
    participants: Option<Rate>,
    draws: Option<Rate>,
    acts: Option<Rate>,
}

impl Rates {
    /// Nothing counted yet.
    pub fn configured(limits: &config::Limits) -> Self {
        let requests =
            [Policy { name: "key-requests-per-second", units: limits.requests_per_second, seconds: 1 }];
        let participants = [Policy {
            name: "participant-requests-per-second",
            units: limits.requests_per_second_per_participant.or(limits.requests_per_second),
            seconds: 1,
        }];
        let draws = [
            Policy {
                name: "participant-draws-per-second",
                units: limits.draws_per_second_per_participant,
                seconds: 1,
            },
            Policy {
                name: "participant-draws-per-minute",
                units: limits.draws_per_minute_per_participant,
                seconds: 60,
            },
        ];
        let acts = [Policy {
            name: "participant-acts-per-second",
            units: limits.acts_per_second_per_participant,
            seconds: 1,
        }];
        Self {
            acts: Rate::of("this participant", &acts, limits.keys_max),
            requests: Rate::of("this API key", &requests, limits.keys_max),
            participants: Rate::of("this participant", &participants, limits.keys_max),
            draws: Rate::of("this participant", &draws, limits.keys_max),
        }
    }

    /// Counts a request of an API key, by its name: keys of the same name share a limit, so that changing a key over
    /// time grants nothing extra. An unknown key is never counted; it could spend what belongs to another.
    pub fn admit_request(&self, key: &str, now_ms: i64) -> Result<(), Problem> {
        self.requests.as_ref().map_or(Ok(()), |rate| rate.admit(key, NonZeroU32::MIN, now_ms))
    }

    /// Counts a request under a participant's token, by the participant: tokens of the same person share a limit. A token
    /// that is not ours, or whose time is over, is never counted.
    pub fn admit_participant(&self, participant: &str, now_ms: i64) -> Result<(), Problem> {
        self.participants.as_ref().map_or(Ok(()), |rate| rate.admit(participant, NonZeroU32::MIN, now_ms))
    }

    /// Counts an act of a participant, in whatever campaign. A repeat counts too, as of draws.
    pub fn admit_act(&self, participant: &str, now_ms: i64) -> Result<(), Problem> {
        self.acts.as_ref().map_or(Ok(()), |rate| rate.admit(participant, NonZeroU32::MIN, now_ms))
    }

    /// Counts the draws of one request of a participant, of whatever raffle: all of them, or none. A repeat with the same
    /// Idempotency-Key counts too: only the records know that it is one, and this keeps calls away from them.
    pub fn admit_draws(&self, participant: &str, draws: NonZeroU32, now_ms: i64) -> Result<(), Problem> {
        self.draws.as_ref().map_or(Ok(()), |rate| rate.admit(participant, draws, now_ms))
    }
}

/// A limit as it is configured and told.
#[derive(Debug, Clone, Copy)]
struct Policy {
    /// Its name in the header fields: says who is held, to what, in which time.
    name: &'static str,
    units: Option<NonZeroU32>,
    seconds: u32,
}

/// Limits of one kind of caller. There is at least one.
#[derive(Debug)]
struct Rate {
    whose: &'static str,
    /// The name of each limit, in the order of the tiers.
    names: Vec<&'static str>,
    /// The value of `RateLimit-Policy`.
    policy: String,
    // By the SHA-256 of a name, so that long names take no more memory than short ones.
    windows: Windows<[u8; 32]>,
}

impl Rate {
    fn of(whose: &'static str, policies: &[Policy], keys_max: NonZeroUsize) -> Option<Self> {
        let set: Vec<_> = policies.iter().filter_map(|policy| Some((policy, policy.units?))).collect();
        let limits = set.iter().filter_map(|(policy, units)| {
            let window_ms = NonZeroU32::new(policy.seconds.checked_mul(1000)?)?;
            Some(Limit { units: *units, window_ms })
        });
        let tiers = Tiers::of(limits.collect())?;
        let told =
            set.iter().map(|(policy, units)| format!("\"{}\";q={units};w={}", policy.name, policy.seconds));
        Some(Self {
            whose,
            names: set.iter().map(|(policy, _)| policy.name).collect(),
            policy: told.collect::<Vec<_>>().join(", "),
            windows: Windows::new(tiers, keys_max),
        })
    }

    fn admit(&self, name: &str, units: NonZeroU32, now_ms: i64) -> Result<(), Problem> {
        let Ruling { tier, verdict } = self.windows.admit(sha256(name.as_bytes()), now_ms, units);
        match verdict {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Refused { retry_after_ms: Some(wait_ms) } => Err(self.refusal(tier, wait_ms)),
            // No wait would help.
            Verdict::Refused { retry_after_ms: None } => {
                let limit = self.names.get(tier).copied().unwrap_or_default();
                let detail =
                    format!("{units} at once are more than `{limit}` ever lets through; ask for fewer");
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.beyond_limit", detail)
                    .with_header(RATELIMIT_POLICY.clone(), self.policy.clone()))
            }
        }
    }

    fn refusal(&self, tier: usize, wait_ms: u64) -> Problem {
        // Rounded up: whoever comes at the second that was told is not refused again for its fraction.
        let wait_seconds = wait_ms.div_ceil(1000);
        let limit = self.names.get(tier).copied().unwrap_or_default();
        let detail = format!("{} has used up `{limit}`; ask again in {wait_seconds} s", self.whose);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "edge.too_many_requests", detail)
            .with_header(header::RETRY_AFTER, wait_seconds.to_string())
            .with_header(RATELIMIT_POLICY.clone(), self.policy.clone())
            .with_header(RATELIMIT.clone(), format!("\"{limit}\";r=0;t={wait_seconds}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(requests: u32, draws: u32, draws_a_minute: u32) -> Rates {
        Rates::configured(&config::Limits {
            requests_per_second: NonZeroU32::new(requests),
            draws_per_second_per_participant: NonZeroU32::new(draws),
            draws_per_minute_per_participant: NonZeroU32::new(draws_a_minute),
            ..config::Limits::default()
        })
    }

    fn told(answer: Result<(), Problem>) -> Vec<String> {
        let problem = answer.expect_err("a refusal");
        assert_eq!((problem.status().as_u16(), problem.code()), (429, "edge.too_many_requests"));
        let headers = problem.into_body("id").headers().clone();
        let told = ["retry-after", "ratelimit", "ratelimit-policy"]
            .map(|name| headers.get(name).expect("a header").to_str().expect("text").to_owned());
        told.into()
    }

    #[test]
    fn a_limit_that_is_not_configured_refuses_nobody() {
        let rates = rates(0, 0, 0);
        for _ in 0..1000 {
            assert!(
                rates.admit_request("shop", 0).is_ok()
                    && rates.admit_participant("ada", 0).is_ok()
                    && rates.admit_draws("ada", NonZeroU32::MIN, 0).is_ok()
            );
        }
    }

    #[test]
    fn a_refusal_names_the_limit_that_takes_longest_and_all_that_there_are() {
        let policy = "\"participant-draws-per-second\";q=2;w=1, \"participant-draws-per-minute\";q=3;w=60";
        let second = ["1", "\"participant-draws-per-second\";r=0;t=1", policy];
        let minute = |seconds: &str| {
            let limit = format!("\"participant-draws-per-minute\";r=0;t={seconds}");
            vec![seconds.to_owned(), limit, policy.to_owned()]
        };
        let rates = rates(0, 2, 3);
        let draw = |who: &str, now_ms| rates.admit_draws(who, NonZeroU32::MIN, now_ms);
        for now_ms in [0, 1] {
            assert!(draw("ada", now_ms).is_ok());
        }
        assert_eq!(told(draw("ada", 2)), second);
        assert_eq!(told(draw("ada", 999)), second, "a millisecond is told as a second");
        assert!(draw("ada", 1000).is_ok());
        assert_eq!(told(draw("ada", 1000)), minute("59"));
        assert_eq!(told(draw("ada", 1001)), minute("59"));
        assert_eq!(told(draw("ada", 59_999)), minute("1"));
        assert!(draw("ada", 60_000).is_ok());
        assert!(draw("bob", 1000).is_ok(), "one participant's draws are not another's");
    }

    #[test]
    fn draws_of_one_request_count_each_and_too_many_never_fit() {
        let rates = rates(0, 5, 0);
        let ask = |draws, now_ms| rates.admit_draws("ada", NonZeroU32::new(draws).expect("a number"), now_ms);
        assert!(ask(3, 0).is_ok());
        assert_eq!(told(ask(3, 1))[0], "1", "three more are one too many");
        assert!(ask(2, 1).is_ok(), "what was refused was not counted");
        assert_eq!(told(ask(1, 2))[0], "1");
        let never = ask(6, 5_000).expect_err("a refusal");
        assert_eq!((never.status().as_u16(), never.code()), (422, "edge.beyond_limit"));
        assert!(ask(5, 5_000).is_ok());
    }

    #[test]
    fn each_key_has_its_own_requests() {
        let rates = rates(1, 0, 0);
        assert!(rates.admit_request("shop", 0).is_ok());
        let policy = "\"key-requests-per-second\";q=1;w=1";
        assert_eq!(
            told(rates.admit_request("shop", 1)),
            ["1", "\"key-requests-per-second\";r=0;t=1", policy]
        );
        assert!(rates.admit_request("ops", 1).is_ok());
        assert!(rates.admit_request("shop", 1000).is_ok());
    }

    #[test]
    fn each_participant_has_their_own_requests_as_many_as_a_key_unless_it_is_said() {
        for (own, policy) in [(None, 2), (NonZeroU32::new(1), 1)] {
            let rates = Rates::configured(&config::Limits {
                requests_per_second: NonZeroU32::new(2),
                requests_per_second_per_participant: own,
                ..config::Limits::default()
            });
            for _ in 0..policy {
                assert!(rates.admit_participant("ada", 0).is_ok());
            }
            let told = told(rates.admit_participant("ada", 1));
            let name = "\"participant-requests-per-second\"";
            assert_eq!(told, ["1".to_owned(), format!("{name};r=0;t=1"), format!("{name};q={policy};w=1")]);
            assert!(rates.admit_participant("bob", 1).is_ok());
            assert!(rates.admit_request("ada", 1).is_ok(), "a key of that name is somebody else");
            assert!(rates.admit_participant("ada", 1000).is_ok());
        }
    }
}
