//! Who calls, and whether they may: `Authorization: Bearer`, then an API key or a participant's token.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use kernel::hex::from_hex;
use raffle::fairness::sha256;
use records::audit::Actor;

use super::problem::Problem;
use super::request::without_name;
use super::{App, route_of};
use crate::config::{ApiKey, Role};
use crate::token::{PREFIX, Refusal};

/// What a route needs. The table of who may do what is the list of implementations below, and nothing else.
pub trait Permission: Send + Sync + 'static {
    /// The roles that have it.
    const ROLES: &'static [Role];
    /// Whether participants have it, for what is theirs.
    const PARTICIPANTS: bool = false;
    /// Whether a participant whose requests are all refused is let in all the same, to be told what they have drawn.
    const TELLS_BLOCKED: bool = false;
}

const EVERY_ROLE: &[Role] = &[Role::Admin, Role::Operator, Role::Approver, Role::Auditor, Role::Service];

/// Looking at a raffle, at what proves it fair, at a draw, at a wallet, and at what a campaign has for somebody.
pub struct Look;

impl Permission for Look {
    const ROLES: &'static [Role] = EVERY_ROLE;
    const PARTICIPANTS: bool = true;
}

/// Reading all raffles and campaigns, everybody's awards, and the ledger.
pub struct Read;

impl Permission for Read {
    const ROLES: &'static [Role] = EVERY_ROLE;
}

/// Reading what became of a draw: also of one's own, when one is blocked.
pub struct LookBack;

impl Permission for LookBack {
    const ROLES: &'static [Role] = EVERY_ROLE;
    const PARTICIPANTS: bool = true;
    const TELLS_BLOCKED: bool = true;
}

/// Reading awards: a key everybody's, a participant their own.
pub struct ReadOwn;

impl Permission for ReadOwn {
    const ROLES: &'static [Role] = EVERY_ROLE;
    const PARTICIPANTS: bool = true;
}

/// Reading what befell a participant, and why: a key everybody's, a participant their own.
pub struct ReadTimeline;

impl Permission for ReadTimeline {
    const ROLES: &'static [Role] = EVERY_ROLE;
    const PARTICIPANTS: bool = true;
}

/// Searching through what befell everybody, and taking it away as a file.
pub struct Search;

impl Permission for Search {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator, Role::Approver, Role::Auditor];
}

/// Claiming an award and seeing its code: a participant their own, a key for the participant whom it serves.
pub struct Claim;

impl Permission for Claim {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Service];
    const PARTICIPANTS: bool = true;
}

/// Reading what is drafted and proposed: it may name people, and is nobody's rules yet.
pub struct Review;

impl Permission for Review {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator, Role::Approver, Role::Auditor];
}

/// Drawing: a key for any participant, a participant as themself. Who is blocked is told what their key has drawn.
pub struct Draw;

impl Permission for Draw {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Service];
    const PARTICIPANTS: bool = true;
    const TELLS_BLOCKED: bool = true;
}

/// Acting in campaigns: a key for any participant, a participant as themself.
pub struct Act;

impl Permission for Act {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Service];
    const PARTICIPANTS: bool = true;
}

/// Reporting what participants do elsewhere: who could report it of themself would earn what they like.
pub struct Report;

impl Permission for Report {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Service];
}

/// Trying a draw out for any participant.
pub struct TryOut;

impl Permission for TryOut {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator, Role::Service];
}

/// Looking up somebody's arm: a participant their own.
pub struct LookUp;

impl Permission for LookUp {
    const ROLES: &'static [Role] = TryOut::ROLES;
    const PARTICIPANTS: bool = true;
}

/// Moving what the ledger counts, and keeping it back.
pub struct Move;

impl Permission for Move {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator, Role::Service];
}

/// Telling what participants are shown and did.
pub struct Tell;

impl Permission for Tell {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Service];
}

/// Minting participants' tokens.
pub struct Mint;

impl Permission for Mint {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Service];
}

/// Changing raffles and campaigns, drafting and proposing changes, handing awards over, uploading lists of people, and opening
/// accounts with what they may owe.
pub struct Operate;

impl Permission for Operate {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator];
}

/// Approving and rejecting what somebody else drafted or proposed.
pub struct Approve;

impl Permission for Approve {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Approver];
}

/// Starting an experiment. Where four eyes are on, whoever starts it needs [`Approve`] too.
pub struct Start;

impl Permission for Start {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator, Role::Approver];
}

/// Reading the audit log.
pub struct Audit;

impl Permission for Audit {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Auditor];
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Who holds an API key.
    Key {
        /// The key's name, for the audit log.
        actor: Arc<Actor>,
        /// The key's role.
        role: Role,
    },
    /// Who bears a participant's token.
    Participant {
        /// Their pseudonym, for the audit log.
        actor: Arc<Actor>,
        /// The participant.
        name: String,
    },
}

impl Caller {
    fn of_key(name: &str, role: Role) -> Self {
        Self::Key { actor: Arc::new(Actor { name: name.to_owned(), role: role.word() }), role }
    }

    /// Whether a participant's things are theirs to see.
    pub fn may_see(&self, participant: Option<&str>) -> bool {
        match self {
            Self::Key { .. } => true,
            Self::Participant { name, .. } => participant == Some(name),
        }
    }

    /// The participant, where one calls.
    pub fn participant(&self) -> Option<&str> {
        match self {
            Self::Key { .. } => None,
            Self::Participant { name, .. } => Some(name),
        }
    }

    /// Refuses a participant who asks about somebody else.
    pub fn expect_self(&self, participant: &str) -> Result<(), Problem> {
        if self.may_see(Some(participant)) {
            return Ok(());
        }
        let detail = "a participant's token acts and reads for that participant alone";
        Err(Problem::new(StatusCode::FORBIDDEN, "edge.other_participant", detail))
    }

    /// Whom a question is about: who bears a token, themself where they say nothing; else whoever is named.
    pub fn about(&self, participant: Option<String>) -> Result<Option<String>, Problem> {
        match (self, participant) {
            (Self::Participant { name, .. }, None) => Ok(Some(name.clone())),
            (_, Some(named)) => self.expect_self(&named).map(|()| Some(named)),
            (Self::Key { .. }, None) => Ok(None),
        }
    }

    /// The same, where the question makes no sense without somebody.
    pub fn about_somebody(&self, participant: Option<String>) -> Result<String, Problem> {
        self.about(participant)?.ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "edge.bad_query", "name the `participant` in the query")
        })
    }

    /// Whether they have a permission.
    pub fn has<P: Permission>(&self) -> bool {
        match self {
            Self::Key { role, .. } => P::ROLES.contains(role),
            Self::Participant { .. } => P::PARTICIPANTS,
        }
    }

    /// Who calls, as the audit log names them.
    pub fn actor(&self) -> &Arc<Actor> {
        match self {
            Self::Key { actor, .. } | Self::Participant { actor, .. } => actor,
        }
    }
}

/// The keys that are known, by their hash: looking one up takes as long whether or not it is right.
#[derive(Debug, Default)]
pub struct Keys(HashMap<[u8; 32], Caller>);

impl Keys {
    /// Configured keys.
    pub fn configured(keys: &[ApiKey]) -> Self {
        let caller = |key: &ApiKey| Some((from_hex(&key.sha256)?, Caller::of_key(&key.name, key.role)));
        Self(keys.iter().filter_map(caller).collect())
    }

    /// One key that may do everything.
    pub fn admin(key: &str) -> Self {
        Self(HashMap::from([(sha256(key.as_bytes()), Caller::of_key("admin.key", Role::Admin))]))
    }

    fn holder_of(&self, key: &[u8]) -> Option<&Caller> {
        self.0.get(&sha256(key))
    }
}

/// Who calls; and why all they ask is refused, where that is so and they are to be told what they have drawn.
fn caller(parts: &Parts, app: &App, tells: bool) -> Result<(Caller, Option<Problem>), Problem> {
    let refused = |code, detail| Problem::new(StatusCode::UNAUTHORIZED, code, detail);
    let unknown = |detail| refused("edge.no_key", detail);
    let header = parts.headers.get(header::AUTHORIZATION);
    let header = header.ok_or_else(|| unknown("send your API key as Authorization: Bearer <key>"))?;
    let bytes = header.as_bytes();
    let scheme = bytes.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    let bearer = scheme.map_or(&[][..], |_| bytes[7..].trim_ascii());
    if !bearer.starts_with(PREFIX.as_bytes()) {
        let holder = app.keys.holder_of(bearer).ok_or_else(|| unknown("this API key is not known"))?;
        app.rates.admit_request(&holder.actor().name, app.clock.now_ms())?;
        return Ok((holder.clone(), None));
    }
    match app.tokens.read(bearer, app.clock.now_ms()) {
        Ok(claims) => {
            let blocked = match app.rates.admit_participant(&claims.participant, app.clock.now_ms()) {
                Ok(()) => None,
                Err(refusal) if tells && refusal.is_wanted() => {
                    app.rates.admit_blocked(&claims.participant, app.clock.now_ms())?;
                    Some(refusal)
                }
                Err(refusal) => return Err(refusal),
            };
            let actor = Actor { name: app.tokens.pseudonym(&claims.participant), role: "participant" };
            Ok((Caller::Participant { actor: Arc::new(actor), name: claims.participant }, blocked))
        }
        Err(Refusal::Bad) => Err(refused("edge.bad_token", "this is no token of this server")),
        Err(Refusal::Expired) => Err(refused("edge.token_expired", "the token's time is over")),
    }
}

/// A caller who has a permission.
pub struct Allowed<P> {
    /// Who calls.
    pub caller: Caller,
    /// Why they may do nothing but be told what they have drawn; never where the permission does not say so.
    pub blocked: Option<Problem>,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<Arc<App>> for Allowed<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (caller, blocked) = caller(parts, app, P::TELLS_BLOCKED)?;
        if caller.has::<P>() {
            // Whoever may not call the route at all does not use up what it lets through.
            if let Some(route) = route_of(&parts.method, parts.extensions.get()) {
                app.rates.admit_route(route, caller.participant(), app.clock.now_ms())?;
            }
            // What services may do is done all the time; the rest is rare, and worth a line with its trace.
            if !P::ROLES.contains(&Role::Service) {
                let actor = caller.actor();
                tracing::info!(key = actor.name, role = actor.role, method = %parts.method, path = without_name(parts.uri.path()), "an admin calls");
            }
            return Ok(Self { caller, blocked, permission: PhantomData });
        }
        let needed = needed::<P>();
        app.audit
            .refused(caller.actor(), format!("{} {}", parts.method, without_name(parts.uri.path())), &needed)
            .await;
        Err(Problem::new(StatusCode::FORBIDDEN, "edge.not_allowed", needed))
    }
}

fn needed<P: Permission>() -> String {
    let roles: Vec<_> = P::ROLES.iter().map(|role| role.word()).collect();
    let or = if P::PARTICIPANTS { ", or a participant's token" } else { "" };
    format!("this needs a key with the role {}{or}", roles.join(" or "))
}
