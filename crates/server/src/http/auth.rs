//! API keys: `Authorization: Bearer <key>`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use raffle::fairness::{from_hex, sha256};

use super::App;
use super::problem::Problem;
use super::request::without_name;
use crate::config::{ApiKey, Role};

/// The keys that are known, by their hash: looking one up takes as long whether or not it is right.
#[derive(Debug, Default)]
pub struct Keys(HashMap<[u8; 32], (String, Role)>);

impl Keys {
    /// Configured keys.
    pub fn configured(keys: &[ApiKey]) -> Self {
        Self(
            keys.iter()
                .filter_map(|key| Some((from_hex(&key.sha256)?, (key.name.clone(), key.role))))
                .collect(),
        )
    }

    /// One key that may do everything.
    pub fn admin(key: &str) -> Self {
        Self(HashMap::from([(sha256(key.as_bytes()), ("admin.key".to_owned(), Role::Admin))]))
    }

    fn holder_of(&self, key: &[u8]) -> Option<&(String, Role)> {
        self.0.get(&sha256(key))
    }
}

fn holder<'a>(parts: &Parts, app: &'a App) -> Result<&'a (String, Role), Problem> {
    let unknown = |detail| Problem::new(StatusCode::UNAUTHORIZED, "edge.no_key", detail);
    let header = parts.headers.get(header::AUTHORIZATION);
    let header = header.ok_or_else(|| unknown("send your API key as Authorization: Bearer <key>"))?;
    let bytes = header.as_bytes();
    let scheme = bytes.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    let key = scheme.map(|_| bytes[7..].trim_ascii());
    key.and_then(|key| app.keys.holder_of(key)).ok_or_else(|| unknown("this API key is not known"))
}

/// A caller with any key.
pub struct Caller;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        holder(parts, app).map(|_| Self)
    }
}

/// A caller whose key may do everything.
pub struct Admin;

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match holder(parts, app)? {
            (name, Role::Admin) => {
                tracing::info!(key = name, method = %parts.method, path = without_name(parts.uri.path()), "an admin calls");
                Ok(Self)
            }
            (_, Role::Service) => {
                let detail = "this needs a key with the role admin";
                Err(Problem::new(StatusCode::FORBIDDEN, "edge.not_allowed", detail))
            }
        }
    }
}
