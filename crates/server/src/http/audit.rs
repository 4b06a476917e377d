//! `/audit`: who did what, and the seals over it.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use kernel::hex::hex;
use records::audit::{Filter, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Audit};
use super::problem::Problem;
use super::request::{Asked, PageOf, answer, bad_cursor};

/// Routes of the audit log.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/audit", get(list)).route("/audit/seals", get(seals))
}

/// Which page of which entries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many. Default 50.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Only this action, for example `restock`.
    action: Option<String>,
    /// Only this subject, for example `raffle/spring`.
    subject: Option<String>,
}

/// A checked page of entries.
struct EntriesOf {
    page: PageOf,
    filter: Filter,
}

impl<S: Send + Sync> FromRequestParts<S> for EntriesOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Asked(query): Asked<AuditQuery> = Asked::from_request_parts(parts, state).await?;
        let filter = Filter { action: query.action, subject: query.subject };
        Ok(Self { page: PageOf::checked(query.cursor, query.limit)?, filter })
    }
}

/// `<stream>.<number>`; nothing is the beginning.
fn place(cursor: &str) -> Result<Place, Problem> {
    if cursor.is_empty() {
        return Ok((String::new(), 0));
    }
    let place =
        cursor.split_once('.').and_then(|(stream, number)| Some((stream.to_owned(), number.parse().ok()?)));
    place.ok_or_else(bad_cursor)
}

fn cursor((stream, number): Place) -> String {
    format!("{stream}.{number}")
}

/// Who did what.
#[derive(Serialize, JsonSchema)]
struct EntryView {
    /// `changes`, or `access` for tokens given out and callers refused.
    stream: String,
    /// Its number in the stream, from 1 and without gaps.
    seq: u64,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
    /// The key's name, or a participant's pseudonym.
    actor: String,
    /// The role of who did it.
    role: String,
    /// What was done.
    action: String,
    /// To what: `raffle/<id>`, `draw/<id>`, `participant/<pseudonym>`, or the route that was refused.
    subject: String,
    /// The request's Idempotency-Key with its scope; empty where it takes none.
    request_key: String,
    /// SHA-256 of the request's body; empty where it has none.
    body_hash: String,
    /// In words.
    detail: String,
}

/// A page of the audit log.
#[derive(Serialize, JsonSchema)]
struct EntriesView {
    /// Oldest first.
    entries: Vec<EntryView>,
    /// Give it back as `cursor` for the next page, which may be there although this one is not full.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    _: Allowed<Audit>,
    EntriesOf { page, filter }: EntriesOf,
) -> Result<Response, Problem> {
    let (entries, next) = app.audit.page(place(&page.cursor)?, filter, page.limit).await?;
    let entries = entries.into_iter().map(|(stream, entry)| EntryView {
        stream,
        seq: entry.seq,
        at_ms: entry.at_ms,
        actor: entry.actor,
        role: entry.role,
        action: entry.action,
        subject: entry.subject,
        request_key: entry.request_key,
        body_hash: hex(&entry.body_hash),
        detail: entry.detail,
    });
    let view = EntriesView { entries: entries.collect(), next: next.map(cursor) };
    Ok(answer(StatusCode::OK, &view, false))
}

/// A seal over entries of the audit log.
#[derive(Serialize, JsonSchema)]
struct SealView {
    /// The stream that it seals.
    stream: String,
    /// Its number in the stream, from 1.
    batch: u64,
    /// The first entry under it.
    first_seq: u64,
    /// The last.
    last_seq: u64,
    /// The hash of the seal before.
    previous: String,
    /// Merkle root over the entries.
    root: String,
    /// Its own hash.
    hash: String,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
}

/// A page of seals.
#[derive(Serialize, JsonSchema)]
struct SealsView {
    /// Oldest first.
    seals: Vec<SealView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn seals(State(app): State<Arc<App>>, _: Allowed<Audit>, page: PageOf) -> Result<Response, Problem> {
    let seals = app.audit.seals(place(&page.cursor)?, page.limit).await?;
    let next = page.next(&seals, |(stream, seal)| cursor((stream.clone(), seal.batch)));
    let seals = seals.into_iter().map(|(stream, seal)| SealView {
        stream,
        batch: seal.batch,
        first_seq: seal.first_seq,
        last_seq: seal.last_seq,
        previous: hex(&seal.previous),
        root: hex(&seal.root),
        hash: hex(&seal.hash),
        at_ms: seal.at_ms,
    });
    Ok(answer(StatusCode::OK, &SealsView { seals: seals.collect(), next }, false))
}
