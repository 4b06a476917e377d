//! `/raffles`: publishing, standing, odds, epochs, stock, evidence.

use std::sync::Arc;

use axum::Router;
use axum::body::Body as StreamBody;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use raffle::document::{self, BYTES_MAX};
use raffle::epoch::Epoch;
use raffle::error::Error;
use raffle::fairness::hex;
use raffle::finding::Finding;
use raffle::odds::{Odds, odds};
use raffle::publish::{Publish, Published};
use raffle::raffles::Standing;
use raffle::rules::BUDGET;
use raffle::stock::{Carried, Order, UNITS_MAX};
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Caller, Look, Operate, Read};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer, text};

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
        .route("/raffles/{id}/freeze", post(freeze))
        .route("/raffles/{id}/thaw", post(thaw))
        .route("/raffles/{id}/prizes/{prize}/restock", post(restock))
        .route("/raffles/{id}/budget/raise", post(raise_budget))
        .route("/raffles/{id}/promises", post(promise))
}

/// Publishing takes larger bodies.
pub fn publish_routes() -> Router<Arc<App>> {
    Router::new().route("/raffles/{id}/versions", post(publish)).layer(DefaultBodyLimit::max(BYTES_MAX))
}

async fn schema() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/schema+json"))], document::schema())
        .into_response()
}

#[derive(Serialize)]
struct ListView {
    raffles: Vec<String>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Read>, page: PageOf) -> Result<Response, Problem> {
    let raffles = app.raffles.ids_after(&page.cursor, page.limit).await?;
    let next = raffles.last().filter(|_| raffles.len() == page.limit as usize).cloned();
    Ok(answer(StatusCode::OK, &ListView { raffles, next }, false))
}

#[derive(Serialize)]
struct PublishedView<'a> {
    raffle: &'a str,
    version: u32,
    rules_hash: String,
    epoch: u32,
    seed_hash: String,
    published_ms: i64,
    warnings: &'a [Finding],
}

async fn publish(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let request = sent.request(&caller)?;
    sent.expect_media(&["application/json", "application/yaml", "text/yaml", "application/x-yaml"])?;
    let text = String::from_utf8(sent.body.to_vec())
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "edge.bad_body", "the document is not UTF-8"))?;
    let published = app.raffles.publish(Publish { raffle, text, request }).await.map_err(|error| {
        let findings = if let Error::Document(findings) = &error { findings.clone() } else { vec![] };
        Problem::from(error).with_findings(findings)
    })?;
    let Published { raffle, version, rules_hash, epoch, seed_hash, published_ms, warnings, replayed } =
        &published;
    let view = PublishedView {
        raffle,
        version: *version,
        rules_hash: hex(rules_hash),
        epoch: *epoch,
        seed_hash: hex(seed_hash),
        published_ms: *published_ms,
        warnings,
    };
    Ok(answer(StatusCode::CREATED, &view, *replayed))
}

#[derive(Serialize)]
struct StockView<'a> {
    granted: Option<u64>,
    free: Option<u64>,
    frozen: bool,
    id: &'a str,
    title: &'a str,
    unlimited: bool,
}

#[derive(Serialize)]
struct RaffleView<'a> {
    raffle: &'a str,
    version: u32,
    epoch: Option<u32>,
    frozen: bool,
    time_zone: &'a str,
    from_ms: Option<i64>,
    until_ms: Option<i64>,
    entries: u64,
    prizes: Vec<StockView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetView>,
}

#[derive(Serialize)]
struct BudgetView {
    spent: u64,
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

async fn show_odds(
    State(app): State<Arc<App>>,
    _: Allowed<Look>,
    Ids(raffle): Ids<String>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct View {
        version: u32,
        #[serde(flatten)]
        odds: Odds,
    }
    let version = app.raffles.standing(&raffle).await?.version;
    let (document, _) = app.raffles.version(&raffle, version).await?;
    Ok(answer(StatusCode::OK, &View { version, odds: odds(&document) }, false))
}

#[derive(Serialize)]
struct EpochView<'a> {
    epoch: u32,
    version: u32,
    seed_hash: String,
    rules_hash: String,
    opened_ms: i64,
    #[serde(flatten)]
    state: &'a Epoch,
}

#[derive(Serialize)]
struct EpochsView<'a> {
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

/// The request of an admin's order, scoped to its route.
fn scoped(sent: &Sent, caller: &Caller, route: &str) -> Result<raffle::entry::Request, Problem> {
    let mut request = sent.request(caller)?;
    request.key = format!("{route} {}", request.key);
    Ok(request)
}

#[derive(Serialize)]
struct TurnView<'a> {
    raffle: &'a str,
    epoch: u32,
}

async fn turn(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    sent.expect_nothing()?;
    let request = scoped(&sent, &caller, "epochs")?;
    let (epoch, replayed) = app.raffles.turn(&raffle, request).await?;
    Ok(answer(StatusCode::CREATED, &TurnView { raffle: &raffle, epoch }, replayed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestockBody {
    units: u64,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeBody {
    prize: Option<String>,
    reason: String,
}

#[derive(Serialize)]
struct CarriedView<'a> {
    raffle: &'a str,
    event: &'a str,
    seq: u64,
    at_ms: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    prize: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    units: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pseudonym: String,
    reason: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(units: &u64) -> bool {
    *units == 0
}

async fn carry_out(
    app: &App,
    raffle: &str,
    order: Order,
    reason: String,
    request: raffle::entry::Request,
) -> Result<Response, Problem> {
    text("reason", &reason, 500)?;
    let Carried { event, replayed } = app.raffles.carry_out(raffle, order, reason, request).await?;
    let view = CarriedView {
        raffle,
        event: event.kind,
        seq: event.seq,
        at_ms: event.at_ms,
        prize: &event.prize,
        units: event.units,
        pseudonym: hex(&event.pseudonym),
        reason: &event.reason,
    };
    Ok(answer(StatusCode::CREATED, &view, replayed))
}

async fn restock(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids((raffle, prize)): Ids<(String, String)>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: RestockBody = sent.json()?;
    if !(1..=UNITS_MAX).contains(&read.units) {
        let detail = format!("`units` must be from 1 to {UNITS_MAX}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_number", detail));
    }
    let request = scoped(&sent, &caller, &format!("restock/{prize}"))?;
    carry_out(&app, &raffle, Order::Restock { prize, units: read.units }, read.reason, request).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RaiseBody {
    amount: u64,
    reason: String,
}

async fn raise_budget(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: RaiseBody = sent.json()?;
    if !(1..=UNITS_MAX).contains(&read.amount) {
        let detail = format!("`amount` must be from 1 to {UNITS_MAX}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_number", detail));
    }
    let request = scoped(&sent, &caller, "budget")?;
    carry_out(&app, &raffle, Order::RaiseBudget { amount: read.amount }, read.reason, request).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromiseBody {
    participant: String,
    prize: String,
    reason: String,
}

/// Promises a prize to a participant. The log shows it to everybody, under the participant's pseudonym.
async fn promise(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: PromiseBody = sent.json()?;
    text("participant", &read.participant, 128)?;
    let request = scoped(&sent, &caller, "promises")?;
    let player = app.raffles.player_key(&raffle, &read.participant).await?;
    carry_out(&app, &raffle, Order::Promise { player, prize: read.prize }, read.reason, request).await
}

async fn freeze(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    freeze_or_thaw(&app, &raffle, (&sent, &caller), "freeze", |prize| Order::Freeze { prize }).await
}

async fn thaw(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    freeze_or_thaw(&app, &raffle, (&sent, &caller), "thaw", |prize| Order::Thaw { prize }).await
}

async fn freeze_or_thaw(
    app: &App,
    raffle: &str,
    (sent, caller): (&Sent, &Caller),
    route: &str,
    order: impl FnOnce(Option<String>) -> Order,
) -> Result<Response, Problem> {
    let read: FreezeBody = sent.json()?;
    let request = scoped(sent, caller, route)?;
    carry_out(app, raffle, order(read.prize), read.reason, request).await
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
