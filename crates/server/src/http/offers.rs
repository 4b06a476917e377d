//! Orders of offers: set aside, then paid or given up. `/orders` reads them.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::act::What;
use campaign::error::Error;
use campaign::gain::Gained;
use campaign::offer::{Order, OrderKey, Total};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::acts::{actor, admit, told};
use super::auth::{Act, Allowed, Look};
use super::problem::Problem;
use super::request::{Asked, Ids, PageOf, Sent, answer, bad_cursor};

/// Routes of orders.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/campaigns/{id}/orders", post(order))
        .route("/orders", get(list))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/pay", post(pay))
        .route("/orders/{id}/cancel", post(cancel))
}

/// What is ordered, and for whom.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    /// Who orders: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
    /// The offer's id.
    #[schemars(length(min = 1, max = 64))]
    offer: String,
    /// How many; one where it is left out.
    #[schemars(range(min = 1, max = 1000))]
    quantity: Option<u32>,
}

/// Where an order stands: a pure function of its state.
#[derive(Serialize, JsonSchema)]
pub(super) struct OrderView<'a> {
    /// The order's id.
    order: String,
    /// `ordered`, `paid`, `cancelled` or `expired`.
    state: &'static str,
    /// The campaign's id.
    campaign: &'a str,
    /// The offer's id.
    offer: &'a str,
    /// How many.
    quantity: u32,
    /// What it costs in all; null where it is for free.
    price: Option<&'a Total>,
    /// When it was ordered, in milliseconds since the epoch.
    at_ms: i64,
    /// When it was, or is, over unless it was paid.
    expires_ms: i64,
    /// When it was paid or given up; null where it was not.
    ended_ms: Option<i64>,
    /// What was given for it; nothing before it is paid.
    gains: &'a [Gained],
}

impl<'a> OrderView<'a> {
    pub(super) fn of(key: OrderKey, order: &'a Order) -> Self {
        let (state, ended_ms, gains): (_, _, &[Gained]) = match order {
            Order::Ordered { .. } => ("ordered", None, &[]),
            Order::Paid { paid_ms, gains, .. } => ("paid", Some(*paid_ms), gains),
            Order::Cancelled { cancelled_ms, .. } => ("cancelled", Some(*cancelled_ms), &[]),
            Order::Expired { .. } => ("expired", None, &[]),
        };
        let ordered = order.ordered();
        Self {
            order: key.to_string(),
            state,
            campaign: &ordered.campaign,
            offer: &ordered.offer,
            quantity: ordered.quantity,
            price: ordered.price.as_ref(),
            at_ms: ordered.at_ms,
            expires_ms: ordered.expires_ms,
            ended_ms,
            gains,
        }
    }
}

async fn order(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Act>,
    Ids(campaign): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let request = sent.request(&caller)?;
    let OrderBody { participant, offer, quantity } = sent.json()?;
    admit(&app, &caller, &participant)?;
    let what = What::Order { campaign, offer, quantity: quantity.unwrap_or(1), key: request.key };
    let done = app.campaigns.act(&participant, what, request.body_hash).await?;
    Ok(told(StatusCode::CREATED, &done))
}

fn key_of(id: &str) -> Result<OrderKey, Error> {
    id.parse().map_err(|_| Error::NoSuchOrder(id.to_owned()))
}

/// Needs no Idempotency-Key: an order is paid once, and asked again it is answered as before. So is giving it up.
async fn pay(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Act>,
    Ids(id): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let participant = actor(&app, &caller, &sent)?;
    let what = What::Pay { order: key_of(&id)? };
    Ok(told(StatusCode::OK, &app.campaigns.act(&participant, what, sent.body_hash()).await?))
}

async fn cancel(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Act>,
    Ids(id): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let participant = actor(&app, &caller, &sent)?;
    let what = What::Cancel { order: key_of(&id)? };
    Ok(told(StatusCode::OK, &app.campaigns.act(&participant, what, sent.body_hash()).await?))
}

async fn show(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids(id): Ids<String>,
) -> Result<Response, Problem> {
    let (key, of) = (key_of(&id)?, caller.about(None)?);
    let order = app.campaigns.order(key, of.as_deref()).await?;
    Ok(answer(StatusCode::OK, &OrderView::of(key, &order), false))
}

/// Whose orders, and which page of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrdersQuery {
    /// The participant; who bears a token, where it is left out.
    participant: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many, 1 to 200. Default 50.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// A page of orders.
#[derive(Serialize, JsonSchema)]
struct OrdersView<'a> {
    /// The latest first.
    orders: Vec<OrderView<'a>>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Asked(OrdersQuery { participant, cursor, limit }): Asked<OrdersQuery>,
) -> Result<Response, Problem> {
    let (participant, page) = (caller.about_somebody(participant)?, PageOf::checked(cursor, limit)?);
    let before = Some(&page.cursor).filter(|cursor| !cursor.is_empty());
    let before = before.map(|cursor| cursor.parse().map_err(|_| bad_cursor())).transpose()?;
    let found = app.campaigns.orders(&participant, before, page.limit).await?;
    let next = page.next(&found, |(key, _)| key.to_string());
    let orders = found.iter().map(|(key, order)| OrderView::of(*key, order)).collect();
    Ok(answer(StatusCode::OK, &OrdersView { orders, next }, false))
}
