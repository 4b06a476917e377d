//! `/audit`: who did what, and the seals over it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use raffle::fairness::hex;
use records::audit::{Filter, Place};
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    cursor: Option<String>,
    limit: Option<u32>,
    action: Option<String>,
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

#[derive(Serialize)]
struct EntryView {
    stream: String,
    seq: u64,
    at_ms: i64,
    actor: String,
    role: String,
    action: String,
    subject: String,
    request_key: String,
    body_hash: String,
    detail: String,
}

#[derive(Serialize)]
struct ListView {
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
    let view = ListView { entries: entries.collect(), next: next.map(cursor) };
    Ok(answer(StatusCode::OK, &view, false))
}

#[derive(Serialize)]
struct SealView {
    stream: String,
    batch: u64,
    first_seq: u64,
    last_seq: u64,
    previous: String,
    root: String,
    hash: String,
    at_ms: i64,
}

#[derive(Serialize)]
struct SealsView {
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
