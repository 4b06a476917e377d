//! Who calls, and whether they may. API keys: `Authorization: Bearer <key>`.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use raffle::fairness::{from_hex, sha256};

use super::App;
use super::problem::Problem;
use crate::config::{ApiKey, Role};

/// What a route needs. The table of who may do what is the list of implementations below, and nothing else.
pub trait Permission: Send + Sync + 'static {
    /// The roles that have it.
    const ROLES: &'static [Role];
}

/// Reading raffles, draws and awards.
pub struct Read;

impl Permission for Read {
    const ROLES: &'static [Role] =
        &[Role::Admin, Role::Operator, Role::Approver, Role::Auditor, Role::Service];
}

/// Drawing, for any participant.
pub struct Draw;

impl Permission for Draw {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Service];
}

/// Changing raffles and handing awards over.
pub struct Operate;

impl Permission for Operate {
    const ROLES: &'static [Role] = &[Role::Admin, Role::Operator];
}

/// The keys that are known, by their hash: looking one up takes as long whether or not it is right.
#[derive(Debug, Default)]
pub struct Keys(HashMap<[u8; 32], Caller>);

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's name.
    pub name: Arc<str>,
    /// The key's role.
    pub role: Role,
}

impl Keys {
    /// Configured keys.
    pub fn configured(keys: &[ApiKey]) -> Self {
        let caller = |key: &ApiKey| Caller { name: key.name.as_str().into(), role: key.role };
        Self(keys.iter().filter_map(|key| Some((from_hex(&key.sha256)?, caller(key)))).collect())
    }

    /// One key that may do everything.
    pub fn admin(key: &str) -> Self {
        let caller = Caller { name: "admin.key".into(), role: Role::Admin };
        Self(HashMap::from([(sha256(key.as_bytes()), caller)]))
    }

    fn holder_of(&self, key: &[u8]) -> Option<&Caller> {
        self.0.get(&sha256(key))
    }
}

fn caller(parts: &Parts, app: &App) -> Result<Caller, Problem> {
    let unknown = |detail| Problem::new(StatusCode::UNAUTHORIZED, "edge.no_key", detail);
    let header = parts.headers.get(header::AUTHORIZATION);
    let header = header.ok_or_else(|| unknown("send your API key as Authorization: Bearer <key>"))?;
    let bytes = header.as_bytes();
    let scheme = bytes.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    let key = scheme.map(|_| bytes[7..].trim_ascii());
    let holder = key.and_then(|key| app.keys.holder_of(key));
    holder.cloned().ok_or_else(|| unknown("this API key is not known"))
}

/// A caller who has a permission.
pub struct Allowed<P> {
    /// Who calls.
    pub caller: Caller,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<Arc<App>> for Allowed<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let caller = caller(parts, app)?;
        if P::ROLES.contains(&caller.role) {
            return Ok(Self { caller, permission: PhantomData });
        }
        let roles: Vec<_> = P::ROLES.iter().map(|role| role.word()).collect();
        let detail = format!("this needs a key with the role {}", roles.join(" or "));
        Err(Problem::new(StatusCode::FORBIDDEN, "edge.not_allowed", detail))
    }
}
