//! What participants do: `/behaviours` that services report, sign-ins with their calendar, referral codes and referrals.
//!
//! None of them takes an Idempotency-Key, as each has a key of its own: the business id, the day, the campaign.

mod operations;

pub(super) use operations::ACT;
pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post, put};
use campaign::act::What;
use campaign::calendar::Calendar;
use campaign::campaigns::Signed;
use campaign::desk::{Acted, Done};
use kernel::amount::AMOUNT_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Act, Allowed, Caller, Look, Report};
use super::campaigns::WhoseQuery;
use super::offers::OrderView;
use super::problem::Problem;
use super::request::{Asked, Ids, Sent, answer, text};

/// Routes of acts.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/behaviours", post(behave))
        .route("/campaigns/{id}/sign-ins", post(sign_in))
        .route("/campaigns/{id}/calendar", get(calendar))
        .route("/campaigns/{id}/referral-code", put(code))
        .route("/campaigns/{id}/referrals", post(refer))
}

/// Who acts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActorBody {
    /// Who acts: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
}

/// Admits an act of a participant: with their own token, or with a key; not above their limit.
pub(super) fn admit(app: &App, caller: &Caller, participant: &str) -> Result<(), Problem> {
    text("participant", participant, 128)?;
    caller.expect_self(participant)?;
    app.rates.admit_act(participant, app.clock.now_ms())
}

/// Who acts, in a body that says nothing else.
pub(super) fn actor(app: &App, caller: &Caller, sent: &Sent) -> Result<String, Problem> {
    let ActorBody { participant } = sent.json()?;
    admit(app, caller, &participant)?;
    Ok(participant)
}

/// What became of an act.
pub(super) fn told(status: StatusCode, done: &Done) -> Response {
    match &done.acted {
        Acted::Kept(outcome) => answer(status, outcome, done.replayed),
        Acted::Moved(key, order) => answer(status, &OrderView::of(*key, order), done.replayed),
    }
}

/// What a participant did elsewhere.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BehaviourBody {
    /// Who did it: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
    /// What they did: 1 to 64 of a-z, 0-9, `-` and `_`, a letter or digit first.
    #[schemars(length(min = 1, max = 64))]
    behaviour: String,
    /// What the caller calls the event, such as the number of a purchase: 1 to 128 visible ASCII characters, and nobody's
    /// name. Reported twice, it counts once.
    #[schemars(length(min = 1, max = 128))]
    business_id: String,
    /// Its value, for example the price paid in minor units.
    #[schemars(range(min = 0, max = AMOUNT_MAX))]
    value: Option<i64>,
    /// Only for this campaign; for every one that runs where it is left out.
    campaign: Option<String>,
}

async fn behave(State(app): State<Arc<App>>, _: Allowed<Report>, sent: Sent) -> Result<Response, Problem> {
    let BehaviourBody { participant, behaviour, business_id, value, campaign } = sent.json()?;
    app.rates.admit_act(&participant, app.clock.now_ms())?;
    let what = What::Behave { behaviour, business_id, value, campaign };
    let done = app.campaigns.act(&participant, what, sent.body_hash()).await?;
    Ok(told(StatusCode::CREATED, &done))
}

async fn sign_in(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Act>,
    Ids(campaign): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let participant = actor(&app, &caller, &sent)?;
    let done = app.campaigns.act(&participant, What::SignIn { campaign }, sent.body_hash()).await?;
    Ok(told(StatusCode::CREATED, &done))
}

/// Somebody's calendar in a campaign.
#[derive(Serialize, JsonSchema)]
struct CalendarView {
    /// The campaign's id.
    campaign: String,
    /// The local day that it is now.
    today: String,
    /// Whether it is signed.
    signed_today: bool,
    /// On how many days in a row, up to today or yesterday.
    streak: u32,
    /// On how many days in all.
    total: u32,
    /// The days of this month that are signed.
    days: Vec<u32>,
}

async fn calendar(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids(campaign): Ids<String>,
    Asked(WhoseQuery { participant }): Asked<WhoseQuery>,
) -> Result<Response, Problem> {
    let participant = caller.about_somebody(participant)?;
    let Signed { calendar, today, day, streak, days } =
        app.campaigns.calendar(&participant, &campaign).await?;
    let Calendar { last, total, .. } = calendar;
    let signed_today = last.is_some_and(|last| last >= day);
    let view = CalendarView { campaign, today, signed_today, streak, total, days };
    Ok(answer(StatusCode::OK, &view, false))
}

/// A referral code.
#[derive(Serialize, JsonSchema)]
struct CodeView {
    /// The campaign's id.
    campaign: String,
    /// Ten letters and digits, to be passed on.
    code: String,
}

/// Somebody has one code in a campaign, so asking again answers the same.
async fn code(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Act>,
    Ids(campaign): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let participant = actor(&app, &caller, &sent)?;
    let code = app.campaigns.code(&participant, &campaign).await?;
    Ok(answer(StatusCode::OK, &CodeView { campaign, code }, false))
}

/// Who was brought, and by which code.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReferralBody {
    /// Who was brought: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
    /// The code of whoever brought them.
    #[schemars(length(min = 10, max = 10))]
    code: String,
}

async fn refer(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Act>,
    Ids(campaign): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let ReferralBody { participant, code } = sent.json()?;
    admit(&app, &caller, &participant)?;
    let done = app.campaigns.refer(&participant, (&campaign, &code), sent.body_hash()).await?;
    Ok(told(StatusCode::CREATED, &done))
}
