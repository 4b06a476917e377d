//! `/switches`: what is turned off or held back, by whom and why, and changing it.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use records::audit::Cause;
use records::setting::Setting;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Operate, Review};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer, text};
use crate::switches::table::{Kind, Mode, SWITCHES};
use crate::switches::{Error, Order, Said, Whose};

/// Routes of switches.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/switches", get(list))
        .route("/switches/{switch}", put(set))
        .route("/switches/{switch}/changes", get(changes))
}

/// What a switch is to be set to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetBody {
    /// `true` or `false`, a number of calls, or a mode, as the switch is. Null or absent takes the setting back.
    value: Option<Said>,
    /// For this participant alone.
    #[schemars(length(min = 1, max = 128))]
    participant: Option<String>,
    /// For the API key of this name alone.
    #[schemars(length(min = 1, max = 128))]
    key: Option<String>,
    /// For this route alone: a method, a blank, and an address as this document has it after `/api/v1`.
    #[schemars(length(min = 1, max = 128))]
    route: Option<String>,
    /// Until when, in milliseconds since the epoch; then the setting ends by itself. For good where it is absent.
    until_ms: Option<i64>,
    /// The version that you have seen; 0 where the switch was not set.
    #[schemars(range(max = i64::MAX))]
    version: u64,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// A setting that stands, or was changed to.
#[derive(Serialize, JsonSchema)]
struct SettingView {
    /// The revision at which it was changed: give it back as `version`.
    version: u64,
    /// What it was set to; null where it was taken back.
    value: Option<Said>,
    /// For whom alone, by the pseudonym of the audit log; absent where it is not for one participant.
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<String>,
    /// For which API key alone; absent where it is not for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// For which route alone; absent where it is not for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// Until when, in milliseconds since the epoch; absent where it is for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
    /// Whether its time is over, so that it says nothing any more.
    over: bool,
    /// When it was set, in milliseconds since the epoch.
    at_ms: i64,
    /// The name of the key that set it.
    by: String,
    /// Why.
    reason: String,
}

impl SettingView {
    fn of(setting: &Setting, now_ms: i64) -> Self {
        let (mut participant, mut key, mut route) = (None, None, None);
        match Whose::read(&setting.whose) {
            None | Some(Whose::All) => {}
            Some(Whose::Participant(pseudonym)) => participant = Some(pseudonym),
            Some(Whose::Key(name)) => key = Some(name),
            Some(Whose::Route(name)) => route = Some(name),
        }
        Self {
            version: setting.version,
            value: setting.value.as_deref().and_then(|value| serde_json::from_str(value).ok()),
            participant,
            key,
            route,
            until_ms: setting.until_ms,
            over: setting.until_ms.is_some_and(|until_ms| until_ms <= now_ms),
            at_ms: setting.at_ms,
            by: setting.by.clone(),
            reason: setting.reason.clone(),
        }
    }
}

/// A switch.
#[derive(Serialize, JsonSchema)]
struct SwitchView {
    /// Its name.
    switch: &'static str,
    /// What it does.
    about: &'static str,
    /// What holds where nothing is set; null for limits, which are configured.
    default: Option<Said>,
    /// What is set: for all, and for some alone.
    set: Vec<SettingView>,
}

/// Every switch.
#[derive(Serialize, JsonSchema)]
struct SwitchesView {
    /// The revision of what is told here.
    revision: u64,
    /// The revision that this process works by.
    seen: u64,
    /// How much of the product answers now.
    mode: Mode,
    /// All of them.
    switches: Vec<SwitchView>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Review>) -> Result<Response, Problem> {
    let settings = app.switches.all().await?;
    let now_ms = app.clock.now_ms();
    let switches = SWITCHES.iter().map(|switch| SwitchView {
        switch: switch.name,
        about: switch.about,
        default: match switch.kind {
            Kind::Feature => Some(Said::On(true)),
            Kind::Mode => Some(Said::Mode(Mode::Normal)),
            Kind::Limit(_) => None,
        },
        set: settings
            .iter()
            .filter(|setting| setting.name == switch.name)
            .map(|setting| SettingView::of(setting, now_ms))
            .collect(),
    });
    let seen = app.switches.seen();
    let view = SwitchesView {
        revision: settings.iter().map(|setting| setting.version).max().unwrap_or_default().max(seen.revision),
        seen: seen.revision,
        mode: seen.what.mode(now_ms).said,
        switches: switches.collect(),
    };
    Ok(answer(StatusCode::OK, &view, false))
}

/// Takes no Idempotency-Key: the version says what it is a change of, so it is done once.
async fn set(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(switch): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let body: SetBody = sent.json()?;
    text("reason", &body.reason, 500)?;
    let named = [("participant", &body.participant), ("key", &body.key), ("route", &body.route)];
    for (name, value) in named {
        value.as_ref().map_or(Ok(()), |value| text(name, value, 128))?;
    }
    let whose = match (body.participant, body.key, body.route) {
        (None, None, None) => Whose::All,
        // Settings are for ever in the history: they know a pseudonym, as the audit log does.
        (Some(participant), None, None) => Whose::Participant(app.tokens.pseudonym(&participant)),
        (None, Some(key), None) => Whose::Key(key),
        (None, None, Some(route)) => Whose::Route(route),
        _ => {
            let detail = "name one `participant`, one `key` or one `route`, or none of them";
            return Err(Error::BadValue(detail.to_owned()).into());
        }
    };
    let order = Order {
        switch,
        whose,
        said: body.value,
        until_ms: body.until_ms,
        version: body.version,
        reason: body.reason,
    };
    let cause = Cause {
        actor: Arc::clone(caller.actor()),
        key: String::new(),
        // The body may name a participant: its hash would be a hash of the name.
        body_hash: None,
    };
    let set = app.switches.set(order, cause).await?;
    Ok(answer(StatusCode::OK, &SettingView::of(&set, app.clock.now_ms()), false))
}

/// A page of changes.
#[derive(Serialize, JsonSchema)]
struct ChangesView {
    /// Oldest first.
    changes: Vec<SettingView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn changes(
    State(app): State<Arc<App>>,
    _: Allowed<Review>,
    Ids(switch): Ids<String>,
    page: PageOf,
) -> Result<Response, Problem> {
    let found = app.switches.changes(&switch, page.after()?, page.limit).await?;
    let next = page.next(&found, |last| last.version.to_string());
    let now_ms = app.clock.now_ms();
    let changes = found.iter().map(|change| SettingView::of(change, now_ms)).collect();
    Ok(answer(StatusCode::OK, &ChangesView { changes, next }, false))
}
