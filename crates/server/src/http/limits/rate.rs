//! One rate limit, or several that hold the same callers, and how a refusal is told.

use std::num::{NonZeroU32, NonZeroUsize};

use axum::http::{HeaderName, StatusCode, header};
use guard::tiers::{Ruling, Tiers};
use guard::window::{Limit, Verdict};
use guard::windows::Windows;
use raffle::fairness::sha256;

use crate::http::problem::Problem;

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A limit as it is configured and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    /// Its name in the header fields: says who is held, to what, in which time.
    pub(super) name: &'static str,
    /// No limit where it is `None`.
    pub(super) units: Option<NonZeroU32>,
    pub(super) seconds: u32,
}

/// Limits of one kind of caller. There is at least one.
#[derive(Debug)]
pub(super) struct Rate {
    whose: &'static str,
    /// What it was made of: as long as that stays, so do the counts.
    pub(super) policies: Vec<Policy>,
    /// The name of each limit, in the order of the tiers.
    names: Vec<&'static str>,
    /// The value of `RateLimit-Policy`.
    policy: String,
    // By the SHA-256 of a name, so that long names take no more memory than short ones.
    windows: Windows<[u8; 32]>,
}

impl Rate {
    pub(super) fn of(whose: &'static str, policies: &[Policy], keys_max: NonZeroUsize) -> Option<Self> {
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
            policies: policies.to_vec(),
            names: set.iter().map(|(policy, _)| policy.name).collect(),
            policy: told.collect::<Vec<_>>().join(", "),
            windows: Windows::new(tiers, keys_max),
        })
    }

    pub(super) fn admit(&self, name: &str, units: NonZeroU32, now_ms: i64) -> Result<(), Problem> {
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
