//! `/awards`: what was won, how it reaches the winner, and what people do about it.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::award::{Award, State as AwardState};
use campaign::error::Error;
use campaign::fulfilment::AddressView;
use kernel::id::{DrawId, Shard};
use records::audit::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Caller, Claim, Operate, Read, ReadOwn};
use super::problem::Problem;
use super::request::{Asked, Ids, PageOf, Sent, answer, answered, bad_cursor, text};

/// Routes of awards.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/raffles/{id}/awards", get(list))
        .route("/awards", get(list_of_participant))
        .route("/awards/{draw}", get(show))
        .route("/awards/{draw}/claim", post(claim))
        .route("/awards/{draw}/code", get(code))
        .route("/awards/{draw}/address", get(address))
        .route("/awards/{draw}/hand-over", post(hand_over))
        .route("/awards/{draw}/replay", post(replay))
        .route("/awards/{draw}/reverse", post(reverse))
}

/// An award, by its draw.
#[derive(Serialize, JsonSchema)]
struct ListedView {
    /// The gate's sequence of the draw.
    seq: u64,
    #[serde(flatten)]
    award: Award,
}

/// A page of awards.
#[derive(Serialize, JsonSchema)]
struct AwardsView {
    /// In the order of the draws.
    awards: Vec<ListedView>,
    /// Give it back as `cursor` for the next page, which may be there although this one is not full; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which page of which awards of a raffle.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AwardsQuery {
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many. Default 50.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Only those in this state, for example `undeliverable`.
    state: Option<String>,
}

fn bad_query(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "edge.bad_query", detail)
}

/// A checked page of awards.
struct AwardsOf {
    page: PageOf,
    state: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for AwardsOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Asked(query): Asked<AwardsQuery> = Asked::from_request_parts(parts, state).await?;
        if query.state.as_deref().is_some_and(|state| !AwardState::WORDS.contains(&state)) {
            return Err(bad_query("`state` is none that an award can be in"));
        }
        Ok(Self { page: PageOf::checked(query.cursor, query.limit)?, state: query.state })
    }
}

async fn list(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(raffle): Ids<String>,
    AwardsOf { page, state }: AwardsOf,
) -> Result<Response, Problem> {
    let after = page.after()?;
    let raffle = app.raffles.catalog().raffle(&raffle).await?;
    let (awards, next) = app.awards.page(Shard::HOME, raffle.number, (after, state), page.limit).await?;
    let awards = awards.into_iter().map(|(seq, award)| ListedView { seq, award }).collect();
    let next = next.map(|next| next.to_string());
    Ok(answer(StatusCode::OK, &AwardsView { awards, next }, false))
}

/// Which page of whose awards.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OwnQuery {
    /// Whose. A participant's token may leave it out.
    #[schemars(length(min = 1, max = 128))]
    participant: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many. Default 50.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// `<raffle's number>.<sequence>`; nothing is the beginning.
fn place(cursor: &str) -> Result<(u32, u64), Problem> {
    if cursor.is_empty() {
        return Ok((0, 0));
    }
    let place =
        cursor.split_once('.').and_then(|(raffle, seq)| Some((raffle.parse().ok()?, seq.parse().ok()?)));
    place.ok_or_else(bad_cursor)
}

async fn list_of_participant(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<ReadOwn>,
    Asked(query): Asked<OwnQuery>,
) -> Result<Response, Problem> {
    let page = PageOf::checked(query.cursor, query.limit)?;
    let participant = match (&caller, query.participant) {
        (Caller::Participant { name, .. }, None) => name.clone(),
        (Caller::Participant { name, .. }, Some(asked)) if asked != *name => {
            let detail = "a participant's token sees that participant's awards alone";
            return Err(Problem::new(StatusCode::FORBIDDEN, "edge.other_participant", detail));
        }
        (_, Some(asked)) => asked,
        (Caller::Key { .. }, None) => return Err(bad_query("say whose awards: `participant`")),
    };
    text("participant", &participant, 128)?;
    let awards = app.raffles.awards_of(&participant, place(&page.cursor)?, page.limit).await?;
    let next = page.next(&awards, |((raffle, seq), _)| format!("{raffle}.{seq}"));
    let awards = awards.into_iter().map(|((_, seq), award)| ListedView { seq, award }).collect();
    Ok(answer(StatusCode::OK, &AwardsView { awards, next }, false))
}

fn draw_id(text: &str) -> Result<DrawId, Problem> {
    text.parse().map_err(|_| Error::NoSuchAward(text.to_owned()).into())
}

/// The award that is asked about. Where a participant asks, another's is answered like one that is not there.
async fn of_caller(app: &App, draw: &str, caller: &Caller) -> Result<DrawId, Problem> {
    let id = draw_id(draw)?;
    match caller.participant() {
        Some(participant) if !app.raffles.is_of(id, participant).await? => {
            Err(Error::NoSuchAward(id.to_string()).into())
        }
        _ => Ok(id),
    }
}

async fn show(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<ReadOwn>,
    Ids(draw): Ids<String>,
) -> Result<Response, Problem> {
    let award = app.awards.get(of_caller(&app, &draw, &caller).await?, caller.participant()).await?;
    Ok(answer(StatusCode::OK, &award, false))
}

async fn claim(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Claim>,
    Ids(draw): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let address: AddressView = sent.json()?;
    text("name", &address.name, 200)?;
    if !(1..=6).contains(&address.lines.len()) {
        let detail = "`lines` must be 1 to 6 lines";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_text", detail));
    }
    address.lines.iter().try_for_each(|line| text("lines", line, 200))?;
    if address.country.len() != 2 || !address.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let detail = "`country` must be two capital letters (ISO 3166-1)";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_text", detail));
    }
    address.phone.as_deref().map_or(Ok(()), |phone| text("phone", phone, 40))?;
    let request = sent.remembered(&caller, &format!("awards/{draw}/claim"), app.clock.now_ms())?;
    let draw = of_caller(&app, &draw, &caller).await?;
    let told = app.awards.claim(draw, caller.participant(), address, request).await?;
    Ok(answered(StatusCode::CREATED, told))
}

/// A coupon's code.
#[derive(Serialize, JsonSchema)]
struct CodeView {
    /// The code.
    code: String,
}

async fn code(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Claim>,
    Ids(draw): Ids<String>,
) -> Result<Response, Problem> {
    let draw = of_caller(&app, &draw, &caller).await?;
    let code = app.awards.code(draw, caller.participant()).await?;
    Ok(answer(StatusCode::OK, &CodeView { code }, false))
}

async fn address(
    State(app): State<Arc<App>>,
    _: Allowed<Operate>,
    Ids(draw): Ids<String>,
) -> Result<Response, Problem> {
    let address = app.awards.address(draw_id(&draw)?).await?;
    Ok(answer(StatusCode::OK, &address, false))
}

/// A hand-over.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HandOverBody {
    /// What the operator notes, for example a parcel number: at most 500 characters.
    #[schemars(length(min = 1, max = 500))]
    note: String,
}

async fn hand_over(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(draw): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: HandOverBody = sent.json()?;
    text("note", &read.note, 500)?;
    // Its note is what makes the call the same, so it takes no key.
    let actor = Arc::clone(caller.actor());
    let cause = Cause { actor, key: String::new(), body_hash: Some(sent.body_hash()) };
    let award = app.awards.hand_over(draw_id(&draw)?, read.note, cause).await?;
    Ok(answer(StatusCode::OK, &award, false))
}

async fn replay(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(draw): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = sent.reason()?;
    let request = sent.remembered(&caller, &format!("awards/{draw}/replay"), app.clock.now_ms())?;
    Ok(answered(StatusCode::CREATED, app.awards.replay(draw_id(&draw)?, reason, request).await?))
}

async fn reverse(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(draw): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let reason = sent.reason()?;
    let request = sent.remembered(&caller, &format!("awards/{draw}/reverse"), app.clock.now_ms())?;
    Ok(answered(StatusCode::CREATED, app.awards.reverse(draw_id(&draw)?, reason, request).await?))
}
