//! `/participants/{participant}/timeline` and `/search/activities`: what befell participants, and why.

mod operations;
mod sheet;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use schemars::JsonSchema;
use search::activity::{Activity, Kind, Place};
use search::error::Error;
use search::filter::Filter;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, ReadTimeline, Search};
use super::problem::Problem;
use super::request::{Asked, Ids, PageOf, answer, bad_cursor, text};

/// Routes of what is searched.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/participants/{participant}/timeline", get(timeline))
        .route("/search/activities", get(list))
        .route("/search/activities.csv", get(sheet::export))
}

/// Which part of somebody's timeline.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TimelineQuery {
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many. Default 50.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Only this kind: `draw`, `award`, `delivery`, `transfer`, `ticket`, `hold`, `act` or `order`.
    kind: Option<String>,
    /// From then on, in milliseconds since the epoch.
    from: Option<i64>,
    /// Before then, in milliseconds since the epoch.
    until: Option<i64>,
}

/// How many on a page. Default 50.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
struct RowsOfPage(#[schemars(range(min = 1, max = 200))] u32);

/// How many in a file. Default 10000.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline)]
struct RowsOfFile(#[schemars(range(min = 1, max = 100_000))] u32);

/// Which activities; everything that is said must hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchQuery<L> {
    /// Where the page before ended.
    cursor: Option<String>,
    limit: Option<L>,
    /// Whose.
    #[schemars(length(min = 1, max = 128))]
    participant: Option<String>,
    /// Only this kind: `draw`, `award`, `delivery`, `transfer`, `ticket`, `hold`, `act` or `order`.
    kind: Option<String>,
    /// Only of this raffle.
    #[schemars(length(min = 1, max = 128))]
    raffle: Option<String>,
    /// Only of this campaign.
    #[schemars(length(min = 1, max = 128))]
    campaign: Option<String>,
    /// Only about this prize; of an order, this offer.
    #[schemars(length(min = 1, max = 128))]
    prize: Option<String>,
    /// Only what stands so, for example `won`, `paid`, `refused`, `dead`.
    #[schemars(length(min = 1, max = 128))]
    state: Option<String>,
    /// Only in this unit.
    unit: Option<String>,
    /// From then on, in milliseconds since the epoch.
    from: Option<i64>,
    /// Before then, in milliseconds since the epoch.
    until: Option<i64>,
    /// At least so much came; what went is negative.
    amount_min: Option<i64>,
    /// At most so much.
    amount_max: Option<i64>,
}

fn kind(word: Option<&String>) -> Result<Option<Kind>, Error> {
    let unknown = || {
        let words: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        Error::BadFilter(format!("`kind` must be one of {}", words.join(", ")))
    };
    word.map(|word| Kind::of(word).ok_or_else(unknown)).transpose()
}

/// Where a page begins; nothing is the newest.
fn place(cursor: &str) -> Result<Option<Place>, Problem> {
    if cursor.is_empty() { Ok(None) } else { Place::read(cursor).map(Some).ok_or_else(bad_cursor) }
}

impl<L> SearchQuery<L> {
    fn filter(&self) -> Result<Filter, Error> {
        let filter = Filter {
            participant: self.participant.clone(),
            kind: kind(self.kind.as_ref())?,
            raffle: self.raffle.clone(),
            campaign: self.campaign.clone(),
            prize: self.prize.clone(),
            state: self.state.clone(),
            unit: self.unit.clone(),
            from_ms: self.from,
            until_ms: self.until,
            amount_min: self.amount_min,
            amount_max: self.amount_max,
        };
        filter.check()?;
        Ok(filter)
    }
}

/// A checked question: what is asked for, from where on, how many.
struct AskedFor<L> {
    filter: Filter,
    after: Option<Place>,
    limit: Option<L>,
}

impl<L: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for AskedFor<L> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Asked(query): Asked<SearchQuery<L>> = Asked::from_request_parts(parts, state).await?;
        let after = place(query.cursor.as_deref().unwrap_or_default())?;
        Ok(Self { filter: query.filter()?, after, limit: query.limit })
    }
}

/// One thing that befell a participant. What does not apply is left out.
#[derive(Serialize, JsonSchema)]
struct ActivityView {
    /// Names it for ever; what it was made from.
    id: String,
    /// What kind of thing.
    kind: &'static str,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
    /// Who; left out where nobody knows any more.
    #[serde(skip_serializing_if = "String::is_empty")]
    participant: String,
    /// The raffle.
    #[serde(skip_serializing_if = "String::is_empty")]
    raffle: String,
    /// The campaign.
    #[serde(skip_serializing_if = "String::is_empty")]
    campaign: String,
    /// The prize; of an order, the offer.
    #[serde(skip_serializing_if = "String::is_empty")]
    prize: String,
    /// Where it stands now.
    state: String,
    /// What was counted.
    #[serde(skip_serializing_if = "String::is_empty")]
    unit: String,
    /// How much came, in minor units; negative is what went.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    /// Why, as a word.
    code: String,
    /// Why, in a sentence.
    reason: String,
    /// What only the house sees: an operator's note, a fault, what a service has written.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    /// Where more of it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// Where the API tells more of what an activity was made from.
fn link(id: &str) -> Option<String> {
    let (what, name) = id.split_once('/')?;
    Some(match what {
        "draw" => format!("/api/v1/draws/{name}/explain"),
        "award" => format!("/api/v1/awards/{name}"),
        "delivery" => format!("/api/v1/awards/{}", name.split_once('-')?.0),
        "order" => format!("/api/v1/orders/{name}"),
        _ => return None,
    })
}

impl ActivityView {
    fn of(activity: Activity, for_the_house: bool) -> Self {
        let link = link(&activity.id);
        Self {
            id: activity.id,
            kind: activity.kind.word(),
            at_ms: activity.at_ms,
            participant: activity.participant,
            raffle: activity.raffle,
            campaign: activity.campaign,
            prize: activity.prize,
            state: activity.state,
            unit: activity.unit,
            amount: activity.amount,
            code: activity.code,
            reason: activity.reason,
            note: if for_the_house { activity.note } else { String::new() },
            link,
        }
    }
}

/// A page of what befell participants.
#[derive(Serialize, JsonSchema)]
struct ActivitiesView {
    /// The newest first.
    activities: Vec<ActivityView>,
    /// Give it back as `cursor` for the next page, which may be there although this one is not full.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Everything that happened before this instant is among what is searched, in milliseconds since the epoch; null until
    /// all that there was at the start has been read.
    as_of_ms: Option<i64>,
}

async fn page(
    app: &App,
    (filter, after): (Filter, Option<Place>),
    (limit, for_the_house): (u32, bool),
) -> Result<Response, Problem> {
    // Asked before: what is found is at least as new.
    let as_of_ms = app.chronicle.as_of_ms();
    let page = app.chronicle.projection().page(filter, after, limit).await?;
    let activities = page.activities.into_iter().map(|activity| ActivityView::of(activity, for_the_house));
    let view = ActivitiesView {
        activities: activities.collect(),
        next: page.next.map(|place| place.cursor()),
        as_of_ms,
    };
    Ok(answer(StatusCode::OK, &view, false))
}

async fn timeline(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<ReadTimeline>,
    Ids(participant): Ids<String>,
    Asked(query): Asked<TimelineQuery>,
) -> Result<Response, Problem> {
    text("participant", &participant, 128)?;
    caller.expect_self(&participant)?;
    let asked = PageOf::checked(query.cursor, query.limit)?;
    let filter = Filter {
        participant: Some(participant),
        kind: kind(query.kind.as_ref())?,
        from_ms: query.from,
        until_ms: query.until,
        ..Filter::default()
    };
    let for_the_house = caller.participant().is_none();
    page(&app, (filter, place(&asked.cursor)?), (asked.limit, for_the_house)).await
}

async fn list(
    State(app): State<Arc<App>>,
    _: Allowed<Search>,
    AskedFor { filter, after, limit }: AskedFor<RowsOfPage>,
) -> Result<Response, Problem> {
    let asked = PageOf::checked(None, limit.map(|RowsOfPage(rows)| rows))?;
    page(&app, (filter, after), (asked.limit, true)).await
}
