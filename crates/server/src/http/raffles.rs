//! `/raffles`: publishing, standing, odds, epochs, stock, evidence.

mod operations;
mod orders;

pub use operations::operations;
pub(super) use orders::{CarriedView, carried_view, units};

use std::sync::Arc;

use axum::Router;
use axum::body::Body as StreamBody;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use kernel::finding::Finding;
use kernel::hex::hex;
use raffle::document::{self, BYTES_MAX};
use raffle::epoch::Epoch;
use raffle::error::Error;
use raffle::odds::{Odds, odds};
use raffle::publish::{Publish, Published};
use raffle::raffles::Standing;
use raffle::rules::BUDGET;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::auth::{Allowed, Look, Operate, Read};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer};

/// Routes of raffles.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/raffles", get(list))
        .route("/schemas/raffle", get(schema))
        .route("/raffles/{id}", get(show))
        .route("/raffles/{id}/versions/{version}", get(version))
        .route("/raffles/{id}/odds", get(show_odds))
        .route("/raffles/{id}/epochs", get(epochs).post(turn))
        .route("/raffles/{id}/evidence", get(evidence))
        .route("/raffles/{id}/freeze", post(orders::freeze))
        .route("/raffles/{id}/thaw", post(orders::thaw))
        .route("/raffles/{id}/prizes/{prize}/restock", post(orders::restock))
        .route("/raffles/{id}/budget/raise", post(orders::raise_budget))
        .route("/raffles/{id}/promises", post(orders::promise))
}

/// Publishing takes larger bodies.
pub fn publish_routes() -> Router<Arc<App>> {
    Router::new().route("/raffles/{id}/versions", post(publish)).layer(DefaultBodyLimit::max(BYTES_MAX))
}

async fn schema() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/schema+json"))], document::schema())
        .into_response()
}

/// A page of raffles.
#[derive(Serialize, JsonSchema)]
struct RafflesView {
    /// Their ids.
    raffles: Vec<String>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Read>, page: PageOf) -> Result<Response, Problem> {
    let raffles = app.raffles.ids_after(&page.cursor, page.limit).await?;
    let next = page.next(&raffles, String::clone);
    Ok(answer(StatusCode::OK, &RafflesView { raffles, next }, false))
}

/// A version that was published.
#[derive(Serialize, JsonSchema)]
pub(super) struct PublishedView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// The version, from 1.
    version: u32,
    /// SHA-256 of its canonical rules.
    rules_hash: String,
    /// The epoch that it opened.
    epoch: u32,
    /// SHA-256 of that epoch's seed.
    seed_hash: String,
    /// When, in milliseconds since the epoch.
    published_ms: i64,
    /// What is probably not as the author thinks.
    warnings: &'a [Finding],
}

/// An error with what a document's check found.
pub(super) fn with_findings(error: Error) -> Problem {
    let findings = if let Error::Document(findings) = &error { findings.clone() } else { vec![] };
    Problem::from(error).with_findings(findings)
}

/// A document, as it was sent.
pub(super) fn document_text(sent: &Sent) -> Result<String, Problem> {
    sent.expect_media(&["application/json", "application/yaml", "text/yaml", "application/x-yaml"])?;
    String::from_utf8(sent.body.to_vec())
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "edge.bad_body", "the document is not UTF-8"))
}

async fn publish(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let request = sent.request(&caller)?;
    let text = document_text(&sent)?;
    let published = app.raffles.publish(Publish { raffle, text, request }).await.map_err(with_findings)?;
    Ok(published_view(&published))
}

/// What was published, as an answer.
pub(super) fn published_view(published: &Published) -> Response {
    let Published { raffle, version, rules_hash, epoch, seed_hash, published_ms, warnings, replayed } =
        published;
    let view = PublishedView {
        raffle,
        version: *version,
        rules_hash: hex(rules_hash),
        epoch: *epoch,
        seed_hash: hex(seed_hash),
        published_ms: *published_ms,
        warnings,
    };
    answer(StatusCode::CREATED, &view, *replayed)
}

/// A prize and its stock.
#[derive(Serialize, JsonSchema)]
struct StockView<'a> {
    /// Units won; null where it never runs out.
    granted: Option<u64>,
    /// Units left; null where it never runs out.
    free: Option<u64>,
    /// Whether an operator froze it.
    frozen: bool,
    /// Its id.
    id: &'a str,
    /// What people call it.
    title: &'a str,
    /// Whether it never runs out.
    unlimited: bool,
}

/// How a raffle stands.
#[derive(Serialize, JsonSchema)]
struct RaffleView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// The latest version.
    version: u32,
    /// The epoch that is open; null when the raffle is over.
    epoch: Option<u32>,
    /// Whether an operator froze all of it.
    frozen: bool,
    /// IANA name of the zone whose midnight begins a day.
    time_zone: &'a str,
    /// First instant of the campaign, in milliseconds since the epoch.
    from_ms: Option<i64>,
    /// First instant after it.
    until_ms: Option<i64>,
    /// Entries in the gate's log: draws and events.
    entries: u64,
    /// All prizes.
    prizes: Vec<StockView<'a>>,
    /// Where the rules have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetView>,
}

/// A money budget.
#[derive(Serialize, JsonSchema)]
struct BudgetView {
    /// What the prizes won have cost, in minor units.
    spent: u64,
    /// What is left, in minor units.
    free: u64,
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Look>,
    Ids(raffle): Ids<String>,
) -> Result<Response, Problem> {
    let standing = app.raffles.standing(&raffle).await?;
    let Standing { id, frozen, epoch, version, plan, entries, segments } = &standing;
    let prizes = plan.rules.prizes.iter().map(|(id, prize)| {
        let segment = segments.iter().find(|segment| segment.item == *id).filter(|_| !prize.unlimited);
        StockView {
            id,
            title: &prize.title,
            unlimited: prize.unlimited,
            granted: segment.map(|segment| segment.granted),
            free: segment.map(|segment| segment.free),
            frozen: segment.is_some_and(|segment| segment.frozen),
        }
    });
    let view = RaffleView {
        raffle: id,
        version: *version,
        epoch: *epoch,
        frozen: *frozen,
        time_zone: &plan.rules.time_zone,
        from_ms: plan.rules.from_ms,
        until_ms: plan.rules.until_ms,
        entries: *entries,
        prizes: prizes.collect(),
        budget: segments
            .iter()
            .find(|segment| segment.item == BUDGET && plan.rules.budget.is_some())
            .map(|segment| BudgetView { spent: segment.granted, free: segment.free }),
    };
    Ok(answer(StatusCode::OK, &view, false))
}

/// What the public may see of a version: its canonical rules, in which people stand by pseudonym.
async fn version(
    State(app): State<Arc<App>>,
    _: Allowed<Look>,
    Ids((raffle, version)): Ids<(String, u32)>,
) -> Result<Response, Problem> {
    let (_, rules) = app.raffles.version(&raffle, version).await?;
    // The text itself, so that hashing what was received gives the published hash.
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], rules).into_response())
}

/// Exact odds, before and after the rule tree.
#[derive(Serialize, JsonSchema)]
struct OddsView {
    /// The version that has them.
    version: u32,
    #[serde(flatten)]
    odds: Odds,
}

async fn show_odds(
    State(app): State<Arc<App>>,
    _: Allowed<Look>,
    Ids(raffle): Ids<String>,
) -> Result<Response, Problem> {
    let version = app.raffles.standing(&raffle).await?.version;
    let (document, _) = app.raffles.version(&raffle, version).await?;
    Ok(answer(StatusCode::OK, &OddsView { version, odds: odds(&document) }, false))
}

/// An epoch: one seed under one version.
#[derive(Serialize, JsonSchema)]
struct EpochView<'a> {
    /// Its number in the raffle, from 1.
    epoch: u32,
    /// The version that it serves.
    version: u32,
    /// SHA-256 of its seed, published before its first draw.
    seed_hash: String,
    /// SHA-256 of the version's canonical rules.
    rules_hash: String,
    /// When it opened, in milliseconds since the epoch.
    opened_ms: i64,
    #[serde(flatten)]
    state: &'a Epoch,
}

/// All epochs of a raffle.
#[derive(Serialize, JsonSchema)]
struct EpochsView<'a> {
    /// In their order.
    epochs: Vec<EpochView<'a>>,
}

async fn epochs(
    State(app): State<Arc<App>>,
    _: Allowed<Look>,
    Ids(raffle): Ids<String>,
) -> Result<Response, Problem> {
    let rows = app.raffles.epochs(&raffle).await?;
    let epochs = rows.iter().map(|row| EpochView {
        epoch: row.epoch,
        version: row.version,
        seed_hash: hex(&row.seed_hash),
        rules_hash: hex(&row.rules_hash),
        opened_ms: row.opened_ms,
        state: &row.state,
    });
    Ok(answer(StatusCode::OK, &EpochsView { epochs: epochs.collect() }, false))
}

/// A turn.
#[derive(Serialize, JsonSchema)]
struct TurnView<'a> {
    /// The raffle's id.
    raffle: &'a str,
    /// The epoch that is open now.
    epoch: u32,
}

async fn turn(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    sent.expect_nothing()?;
    let request = sent.scoped(&caller, "epochs")?;
    let (epoch, replayed) = app.raffles.turn(&raffle, request).await?;
    Ok(answer(StatusCode::CREATED, &TurnView { raffle: &raffle, epoch }, replayed))
}

/// The evidence of all revealed epochs, streamed as JSON lines.
async fn evidence(
    State(app): State<Arc<App>>,
    _: Allowed<Look>,
    Ids(raffle): Ids<String>,
) -> Result<Response, Problem> {
    let mut pages = app.raffles.evidence(&raffle).await?;
    // The first page is read before the answer begins, so that what is wrong can still be told.
    let first = pages.next().await?;
    let rest = stream::try_unfold((first, pages), async |(ready, mut pages)| {
        let page = match ready {
            Some(page) => Some(page),
            None => pages.next().await?,
        };
        Ok::<_, Error>(page.map(|page| (Bytes::from(page), (None, pages))))
    });
    let body = StreamBody::from_stream(rest);
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"))], body).into_response())
}
