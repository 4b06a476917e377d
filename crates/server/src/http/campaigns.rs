//! `/campaigns`: publishing and standing; `/placements`: who is shown where.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use campaign::campaigns::{Fund, Standing};
use campaign::catalog::Campaign;
use campaign::document::{self, BYTES_MAX, Offer};
use campaign::error::Error;
use campaign::offer::Shelf;
use campaign::publish::{Publish, Published};
use kernel::finding::Finding;
use records::audit::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Caller, Look, Operate, Read};
use super::problem::Problem;
use super::raffles::document_text;
use super::request::{Asked, Ids, PageOf, Sent, answer};

/// Routes of campaigns.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/campaigns", get(list))
        .route("/schemas/campaign", get(schema))
        .route("/campaigns/{id}", get(show))
        .route("/campaigns/{id}/versions/{version}", get(version))
        .route("/placements/{channel}/{source}", get(placed))
}

/// Publishing takes larger bodies.
pub fn publish_routes() -> Router<Arc<App>> {
    Router::new().route("/campaigns/{id}/versions", post(publish)).layer(DefaultBodyLimit::max(BYTES_MAX))
}

async fn schema() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/schema+json"))], document::schema())
        .into_response()
}

/// A campaign in a list, and where it is shown.
#[derive(Serialize, JsonSchema)]
struct ShownView<'a> {
    /// The campaign's id.
    campaign: &'a str,
    /// The latest version.
    version: u32,
    /// What people call it.
    title: &'a str,
    /// First instant of the campaign, in milliseconds since the epoch.
    from_ms: Option<i64>,
    /// First instant after it.
    until_ms: Option<i64>,
}

impl<'a> ShownView<'a> {
    fn of(campaign: &'a Campaign) -> Self {
        Self {
            campaign: &campaign.id,
            version: campaign.version,
            title: &campaign.document.title,
            from_ms: campaign.window.from_ms,
            until_ms: campaign.window.until_ms,
        }
    }
}

/// A page of campaigns.
#[derive(Serialize, JsonSchema)]
struct CampaignsView<'a> {
    /// By id.
    campaigns: Vec<ShownView<'a>>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Read>, page: PageOf) -> Result<Response, Problem> {
    let all = app.campaigns.all().await?;
    let after = all.campaigns.values().filter(|campaign| campaign.id > page.cursor);
    let campaigns: Vec<_> = after.take(page.limit as usize).map(|campaign| ShownView::of(campaign)).collect();
    let next = page.next(&campaigns, |last| last.campaign.to_owned());
    Ok(answer(StatusCode::OK, &CampaignsView { campaigns, next }, false))
}

/// A version that was published.
#[derive(Serialize, JsonSchema)]
struct CampaignPublishedView<'a> {
    /// The campaign's id.
    campaign: &'a str,
    /// The version, from 1.
    version: u32,
    /// When, in milliseconds since the epoch.
    published_ms: i64,
    /// What is probably not as the author thinks.
    warnings: &'a [Finding],
}

/// An error with what a document's check found.
fn with_findings(error: Error) -> Problem {
    let findings = if let Error::Document(findings) = &error { findings.clone() } else { vec![] };
    Problem::from(error).with_findings(findings)
}

async fn publish(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(campaign): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let request = sent.request(&caller)?;
    let text = document_text(&sent)?;
    let (key, body_hash) = (request.key, request.body_hash);
    let cause = Cause { actor: request.actor, key: key.clone(), body_hash: Some(body_hash) };
    let publish = Publish { campaign, text, key, body_hash, cause };
    let Published { campaign, version, published_ms, warnings, replayed } =
        app.campaigns.publish(publish).await.map_err(with_findings)?;
    let view = CampaignPublishedView { campaign: &campaign, version, published_ms, warnings: &warnings };
    Ok(answer(StatusCode::CREATED, &view, replayed))
}

/// A version, as it was sent.
#[derive(Serialize, JsonSchema)]
struct CampaignVersionView<'a> {
    /// The campaign's id.
    campaign: &'a str,
    /// The version, from 1.
    version: u32,
    /// When it was published, in milliseconds since the epoch.
    published_ms: i64,
    /// The document's text, in JSON or YAML as it was sent.
    document: &'a str,
}

async fn version(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids((campaign, version)): Ids<(String, u32)>,
) -> Result<Response, Problem> {
    let (document, published_ms) = app.campaigns.version(&campaign, version).await?;
    let view = CampaignVersionView { campaign: &campaign, version, published_ms, document: &document };
    Ok(answer(StatusCode::OK, &view, false))
}

/// What one of an offer costs.
#[derive(Serialize, JsonSchema)]
struct PriceView<'a> {
    /// What is counted.
    unit: &'a str,
    /// The wallet it is taken from.
    wallet: &'a str,
    /// How much, in minor units.
    amount: i64,
}

/// An offer and its stock.
#[derive(Serialize, JsonSchema)]
struct OfferView<'a> {
    /// Its id.
    id: &'a str,
    /// What people call it.
    title: &'a str,
    /// What one costs; null where it is for free.
    price: Option<PriceView<'a>>,
    /// How many one order may hold.
    per_order: u32,
    /// How long an order waits to be paid.
    pay_within_seconds: u32,
    /// Units that may still be ordered; null where it never runs out.
    free: Option<u64>,
    /// Units that are ordered and not paid; null where it never runs out.
    held: Option<u64>,
    /// Units that are paid; null where it never runs out.
    sold: Option<u64>,
}

impl<'a> OfferView<'a> {
    fn of(offer: &'a Offer, shelves: &[(String, Shelf)]) -> Self {
        let shelf = shelves.iter().find(|(id, _)| *id == offer.id).map(|(_, shelf)| shelf);
        let price = offer.price.as_ref();
        Self {
            id: &offer.id,
            title: &offer.title,
            price: price.map(|price| PriceView {
                unit: &price.unit,
                wallet: &price.wallet,
                amount: price.amount,
            }),
            per_order: offer.per_order,
            pay_within_seconds: offer.pay_within_seconds,
            free: shelf.map(|shelf| shelf.free),
            held: shelf.map(|shelf| shelf.held),
            sold: shelf.map(|shelf| shelf.sold),
        }
    }
}

/// What was set aside of a unit.
#[derive(Serialize, JsonSchema)]
struct FundView<'a> {
    /// What is counted.
    unit: &'a str,
    /// How much the budget says.
    set_aside: i64,
    /// How much of it the ledger still has.
    left: i64,
}

/// A place where a campaign is shown.
#[derive(Serialize, JsonSchema)]
struct PlacementView<'a> {
    /// For example `app`.
    channel: &'a str,
    /// The place within the channel.
    source: &'a str,
}

/// How a campaign stands.
#[derive(Serialize, JsonSchema)]
struct CampaignView<'a> {
    #[serde(flatten)]
    shown: ShownView<'a>,
    /// IANA name of the zone whose midnight begins a day.
    time_zone: &'a str,
    /// Where it is shown.
    placements: Vec<PlacementView<'a>>,
    /// What people are paid for, by their words.
    behaviours: Vec<&'a str>,
    /// Whether there is a calendar to sign.
    has_sign_in: bool,
    /// Whether people may bring people.
    has_referral: bool,
    /// All offers.
    offers: Vec<OfferView<'a>>,
    /// What is left of its budget, by unit. Participants are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Vec<FundView<'a>>>,
}

async fn show(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids(campaign): Ids<String>,
) -> Result<Response, Problem> {
    let Standing { campaign, shelves, funds } = app.campaigns.standing(&campaign).await?;
    let document = &campaign.document;
    let fund = |fund: &Fund| (fund.set_aside, fund.left);
    let funds = funds.iter().map(|known| {
        let (set_aside, left) = fund(known);
        FundView { unit: &known.unit, set_aside, left }
    });
    let mut behaviours: Vec<&str> = document.earning.iter().map(|rule| rule.behaviour.as_str()).collect();
    behaviours.sort_unstable();
    behaviours.dedup();
    let place = document.placements.iter();
    let view = CampaignView {
        shown: ShownView::of(&campaign),
        time_zone: campaign.zone.name(),
        placements: place.map(|at| PlacementView { channel: &at.channel, source: &at.source }).collect(),
        behaviours,
        has_sign_in: document.sign_in.is_some(),
        has_referral: document.referral.is_some(),
        offers: document.offers.iter().map(|offer| OfferView::of(offer, &shelves)).collect(),
        budget: matches!(caller, Caller::Key { .. }).then(|| funds.collect()),
    };
    Ok(answer(StatusCode::OK, &view, false))
}

/// Whom a question is about.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhoseQuery {
    /// The participant; who bears a token, where it is left out.
    pub(super) participant: Option<String>,
}

async fn placed(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids((channel, source)): Ids<(String, String)>,
    Asked(WhoseQuery { participant }): Asked<WhoseQuery>,
) -> Result<Response, Problem> {
    let to = caller.about(participant)?;
    let campaign = app.campaigns.placed((&channel, &source), to.as_deref()).await?;
    Ok(answer(StatusCode::OK, &ShownView::of(&campaign), false))
}
