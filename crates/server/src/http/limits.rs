//! Rate limits: how often a key and a participant may call, and a participant draw. They shed load before it costs
//! anything and protect nothing that must not be wrong: a limit counts in this process alone, and its memory goes with it.
//!
//! A call that is refused is told with 429, `Retry-After` (RFC 9110, 10.2.3) and the fields of
//! draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` names all limits that hold such a call, `RateLimit` the
//! one that refuses. That draft asks that `Retry-After` end no earlier than any window that is named, so it names no more.
//!
//! Limits are configured, and switches set other ones at run time, for all or for one caller. Where a limit changes, what
//! was counted under it is forgotten: a caller may be let through once more than either limit says.

mod rate;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{StatusCode, header};
use records::follow::Seen;

use super::problem::Problem;
use crate::config::{self, size};
use crate::switches::table::{self, Limit};
use crate::switches::{Switches, Whose, Word, retry_seconds};
use crate::token::TokenKey;
use rate::{Policy, Rate};

/// Who is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    /// The requests of API keys.
    Keys,
    /// The requests of participants' tokens.
    Participants,
    /// The draws of participants.
    Draws,
    /// What participants do in campaigns.
    Acts,
    /// The requests of routes.
    Routes,
    /// The requests of one route by participants' tokens.
    ParticipantRoutes,
}

/// A limit that holds a group: its switch, its name in header fields, its window in seconds.
type Held = (Limit, &'static str, u32);

impl Group {
    const ALL: [Self; 6] =
        [Self::Keys, Self::Participants, Self::Draws, Self::Acts, Self::Routes, Self::ParticipantRoutes];

    fn whose(self) -> &'static str {
        match self {
            Self::Keys => "this API key",
            Self::Participants | Self::Draws | Self::Acts => "this participant",
            Self::Routes => "this address",
            Self::ParticipantRoutes => "this participant at this address",
        }
    }

    fn limits(self) -> &'static [Held] {
        match self {
            Self::Keys => &[(Limit::KeyRequests, "key-requests-per-second", 1)],
            Self::Participants => &[(Limit::ParticipantRequests, "participant-requests-per-second", 1)],
            Self::Draws => &[
                (Limit::DrawsSecond, "participant-draws-per-second", 1),
                (Limit::DrawsMinute, "participant-draws-per-minute", 60),
            ],
            Self::Acts => &[(Limit::ActsSecond, "participant-acts-per-second", 1)],
            Self::Routes => &[(Limit::RouteRequests, "route-requests-per-second", 1)],
            Self::ParticipantRoutes => {
                &[(Limit::ParticipantRouteRequests, "participant-route-requests-per-second", 1)]
            }
        }
    }

    fn of(limit: Limit) -> Self {
        match limit {
            Limit::KeyRequests => Self::Keys,
            Limit::ParticipantRequests => Self::Participants,
            Limit::DrawsSecond | Limit::DrawsMinute => Self::Draws,
            Limit::ActsSecond => Self::Acts,
            Limit::RouteRequests => Self::Routes,
            Limit::ParticipantRouteRequests => Self::ParticipantRoutes,
        }
    }
}

/// What holds a caller.
#[derive(Debug, Clone)]
enum Hold {
    /// Nothing.
    Free,
    /// Limits.
    Rate(Arc<Rate>),
    /// A limit of 0, by this switch and until this instant.
    Shut(&'static str, Option<i64>),
}

/// What holds whom, as the switches have it at an instant.
#[derive(Debug, Default)]
struct Live {
    revision: u64,
    /// When a switch ends by itself, so that this is to be made anew.
    until_ms: Option<i64>,
    all: HashMap<Group, Hold>,
    own: HashMap<(Group, Whose), Hold>,
    /// The groups in which somebody is held alone: in all others nobody is looked up.
    apart: HashSet<Group>,
}

/// Tells the switches as this process sees them.
pub type Eye = Box<dyn Fn() -> Arc<Seen<Switches>> + Send + Sync>;

/// The limits, and what was counted under them.
pub struct Rates {
    configured: config::Limits,
    eye: Eye,
    /// Names participants as their switches do.
    names: TokenKey,
    live: RwLock<Arc<Live>>,
}

impl Rates {
    /// Nothing counted yet.
    pub fn configured(limits: &config::Limits, eye: Eye, names: TokenKey) -> Self {
        let nothing = Live::default();
        let nothing = made(limits, &nothing, &Seen::default(), i64::MIN);
        Self { configured: limits.clone(), eye, names, live: RwLock::new(Arc::new(nothing)) }
    }

    /// Counts a request of an API key, by its name: keys of the same name share a limit, so that changing a key over
    /// time grants nothing extra. An unknown key is never counted; it could spend what belongs to another.
    pub fn admit_request(&self, key: &str, now_ms: i64) -> Result<(), Problem> {
        self.admit(Group::Keys, key, NonZeroU32::MIN, now_ms)
    }

    /// Counts a request under a participant's token, by the participant: tokens of the same person share a limit. A token
    /// that is not ours, or whose time is over, is never counted.
    pub fn admit_participant(&self, participant: &str, now_ms: i64) -> Result<(), Problem> {
        self.admit(Group::Participants, participant, NonZeroU32::MIN, now_ms)
    }

    /// Counts a request of a participant who is blocked, and asks what they have drawn: under the limit for all.
    pub fn admit_blocked(&self, participant: &str, now_ms: i64) -> Result<(), Problem> {
        match self.live(now_ms).all.get(&Group::Participants) {
            Some(Hold::Rate(rate)) => rate.admit(participant, NonZeroU32::MIN, now_ms),
            None | Some(Hold::Free | Hold::Shut(..)) => Ok(()),
        }
    }

    /// Counts an act of a participant, in whatever campaign. A repeat counts too, as of draws.
    pub fn admit_act(&self, participant: &str, now_ms: i64) -> Result<(), Problem> {
        self.admit(Group::Acts, participant, NonZeroU32::MIN, now_ms)
    }

    /// Counts the draws of one request of a participant, of whatever raffle: all of them, or none. A repeat with the same
    /// Idempotency-Key counts too, as only the records know that it is one. Whoever is refused here is asked for their key
    /// there before they are told so: what was drawn is told whatever a limit says now.
    pub fn admit_draws(&self, participant: &str, draws: NonZeroU32, now_ms: i64) -> Result<(), Problem> {
        self.admit(Group::Draws, participant, draws, now_ms)
    }

    /// Counts a request of a route, whoever asks that may; of the participant whose token it is first, so that one who asks
    /// too often does not use up what the route lets through.
    pub fn admit_route(
        &self,
        (method, path): (&str, &str),
        participant: Option<&str>,
        now_ms: i64,
    ) -> Result<(), Problem> {
        let live = self.live(now_ms);
        let is_apart = |group| live.apart.contains(&group);
        let participant = participant.filter(|_| is_apart(Group::ParticipantRoutes));
        if participant.is_none() && !is_apart(Group::Routes) {
            return Ok(());
        }
        let route = format!("{method} {path}");
        if let Some(participant) = participant {
            self.count((Group::ParticipantRoutes, &route), participant, NonZeroU32::MIN, now_ms)?;
        }
        self.count((Group::Routes, &route), &route, NonZeroU32::MIN, now_ms)
    }

    fn admit(&self, group: Group, name: &str, units: NonZeroU32, now_ms: i64) -> Result<(), Problem> {
        self.count((group, name), name, units, now_ms)
    }

    /// Counts units of somebody, by their name, under what is set for whom a switch names, or else for all.
    fn count(
        &self,
        (group, named): (Group, &str),
        name: &str,
        units: NonZeroU32,
        now_ms: i64,
    ) -> Result<(), Problem> {
        let live = self.live(now_ms);
        let own = if live.apart.contains(&group) {
            let whose = match group {
                Group::Keys => Whose::Key(named.to_owned()),
                Group::Participants | Group::Draws | Group::Acts => {
                    Whose::Participant(self.names.pseudonym(named))
                }
                Group::Routes | Group::ParticipantRoutes => Whose::Route(named.to_owned()),
            };
            live.own.get(&(group, whose))
        } else {
            None
        };
        match own.or_else(|| live.all.get(&group)) {
            None | Some(Hold::Free) => Ok(()),
            Some(Hold::Rate(rate)) => rate.admit(name, units, now_ms),
            Some(Hold::Shut(switch, until_ms)) => Err(shut(group, switch, *until_ms, now_ms)),
        }
    }

    /// What holds whom now.
    fn live(&self, now_ms: i64) -> Arc<Live> {
        let seen = (self.eye)();
        // Another thread may have seen more than this one.
        let is_fresh = |live: &Live| {
            live.revision >= seen.revision && live.until_ms.is_none_or(|until_ms| now_ms < until_ms)
        };
        let live = Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner));
        if is_fresh(&live) {
            return live;
        }
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if !is_fresh(&live) {
            *live = Arc::new(made(&self.configured, &live, &seen, now_ms));
        }
        Arc::clone(&live)
    }
}

/// A refusal by a limit of 0: no wait within the limit's window would help.
fn shut(group: Group, switch: &'static str, until_ms: Option<i64>, now_ms: i64) -> Problem {
    let detail = format!(
        "{} is held back by `{switch}`; this call has begun nothing, and what was done before stands",
        group.whose()
    );
    Problem::new(StatusCode::FORBIDDEN, "switch.blocked", detail)
        .with_header(header::RETRY_AFTER, retry_seconds(until_ms, now_ms).to_string())
}

/// What holds whom at an instant. What has not changed keeps its counts.
fn made(configured: &config::Limits, before: &Live, seen: &Seen<Switches>, now_ms: i64) -> Live {
    let switches = &seen.what;
    let hold = |group: Group, whose: &Whose| {
        let word = |limit| {
            let own = switches.limit(limit, whose, now_ms);
            own.or_else(|| switches.limit(limit, &Whose::All, now_ms))
        };
        let known = if *whose == Whose::All {
            before.all.get(&group)
        } else {
            before.own.get(&(group, whose.clone()))
        };
        let is_of_many = *whose == Whose::All || group == Group::ParticipantRoutes;
        let places = if is_of_many { configured.keys_max } else { const { size(1) } };
        held(configured, group, &word, (known, places))
    };
    let all = Group::ALL.into_iter().map(|group| (group, hold(group, &Whose::All))).collect();
    let apart = switches.set_apart().filter(|(limit, whose)| switches.limit(*limit, whose, now_ms).is_some());
    let own = apart.map(|(limit, whose)| {
        let group = Group::of(limit);
        ((group, whose.clone()), hold(group, whose))
    });
    let own: HashMap<_, _> = own.collect();
    let apart = own.keys().map(|(group, _)| *group).collect();
    Live { revision: seen.revision, until_ms: switches.next_end_ms(now_ms), all, own, apart }
}

fn held(
    configured: &config::Limits,
    group: Group,
    word: &dyn Fn(Limit) -> Option<Word<u32>>,
    (known, places): (Option<&Hold>, std::num::NonZeroUsize),
) -> Hold {
    let mut policies = Vec::new();
    for (limit, name, seconds) in group.limits() {
        let units = match word(*limit) {
            Some(Word { said: 0, until_ms }) => return Hold::Shut(table::name_of(*limit), until_ms),
            Some(Word { said, .. }) => NonZeroU32::new(said),
            None => match limit {
                Limit::KeyRequests => configured.requests_per_second,
                Limit::ParticipantRequests => {
                    configured.requests_per_second_per_participant.or(configured.requests_per_second)
                }
                Limit::DrawsSecond => configured.draws_per_second_per_participant,
                Limit::DrawsMinute => configured.draws_per_minute_per_participant,
                Limit::ActsSecond => configured.acts_per_second_per_participant,
                Limit::RouteRequests | Limit::ParticipantRouteRequests => None,
            },
        };
        policies.push(Policy { name, units, seconds: *seconds });
    }
    match known {
        Some(Hold::Rate(rate)) if rate.policies == policies => Hold::Rate(Arc::clone(rate)),
        _ => {
            let rate = Rate::of(group.whose(), &policies, places);
            rate.map_or(Hold::Free, |rate| Hold::Rate(Arc::new(rate)))
        }
    }
}

#[cfg(test)]
mod tests;
