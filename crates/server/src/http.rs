//! The API. Handlers translate; they decide nothing.

pub mod listener;
pub mod openapi;
pub mod raffles;
pub mod versions;
pub mod drafts;
pub mod proposals;
pub mod dry_runs;
pub mod explain;
pub mod draws;
pub mod awards;
pub mod campaigns;
pub mod audiences;
pub mod acts;
pub mod offers;
pub mod ledger;
pub mod accounts;
pub mod coupons;
pub mod endpoints;
pub mod letters;
pub mod participants;
pub mod audit;
pub mod erasure;
pub mod experiments;
pub mod search;
pub mod switches;
pub mod health;
pub mod metrics;
pub mod trace;
pub mod request;
pub mod operation;
pub mod auth;
pub mod limits;
pub mod problem;

use std::sync::Arc;
use std::time::Duration;

use ::ledger::exchange::Rates;
use ::ledger::ledger::Ledger;
use ::raffle::raffles::Raffles;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use campaign::campaigns::Campaigns;
use campaign::experiment::board::Experiments;
use campaign::fulfilment::Awards;
use embedded::clock::Stopwatch;
use kernel::ports::clock::Clock;
use outbound::policy::Policy;

use auth::Keys;
use problem::Problem;
use tracing::Instrument;

use crate::metrics::Metrics;
use crate::traces::Tracer;
use crate::traces::context::Context;

use crate::audit::AuditLog;
use crate::chronicle::Chronicle;
use crate::errands::Errands;
use crate::switches::Board;
use crate::token::TokenKey;

/// What handlers work with.
pub struct App {
    /// Raffles.
    pub raffles: Raffles,
    /// Awards.
    pub awards: Awards,
    /// Campaigns.
    pub campaigns: Campaigns,
    /// The ledger.
    pub ledger: Ledger,
    /// At what rates units are exchanged.
    pub exchange: Rates,
    /// Experiments.
    pub experiments: Experiments,
    /// What befell participants.
    pub chronicle: Arc<Chronicle>,
    /// The audit log.
    pub audit: AuditLog,
    /// What is done whole, whoever waits for it.
    pub errands: Arc<Errands>,
    /// The one look that is taken at a time at whether writes are kept.
    pub pulses: Arc<Errands>,
    /// Where calls to other people's servers may go.
    pub policy: Policy,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Who may call.
    pub keys: Keys,
    /// What is turned off or held back.
    pub switches: Arc<Board>,
    /// How often they may.
    pub rates: limits::Rates,
    /// Signs and reads participants' tokens.
    pub tokens: TokenKey,
    /// Longest time for an answer.
    pub request_time: Duration,
    /// Numbers the requests of this process.
    pub requests: request::Numbering,
    /// What is counted and timed.
    pub metrics: Arc<Metrics>,
    /// What is traced; `None` where nothing is.
    pub traces: Option<Arc<Tracer>>,
}

/// Largest body of most routes, and whether the bench's route is there.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Largest body of any route but publishing and uploading, in bytes.
    pub body_bytes_max: usize,
    /// Adds the bench's no-op.
    pub noop: bool,
}

/// All routes.
pub fn router(app: Arc<App>, edge: Edge) -> Router {
    let mut api = Router::new().merge(raffles::routes()).merge(draws::routes()).merge(awards::routes());
    api = api.merge(versions::routes()).merge(drafts::routes()).merge(proposals::routes());
    api = api.merge(participants::routes()).merge(audit::routes()).merge(erasure::routes());
    api = api.merge(dry_runs::routes()).merge(explain::routes()).merge(openapi::routes());
    api = api.merge(ledger::routes()).merge(accounts::routes());
    api = api.merge(switches::routes()).merge(experiments::routes()).merge(search::routes());
    api = api.merge(coupons::routes()).merge(endpoints::routes()).merge(letters::routes());
    api = api
        .merge(campaigns::routes())
        .merge(audiences::routes())
        .merge(acts::routes())
        .merge(offers::routes());
    if edge.noop {
        api = api.merge(draws::noop_routes()).merge(ledger::noop_routes());
    }
    Router::new()
        .nest(
            API,
            api.layer(DefaultBodyLimit::max(edge.body_bytes_max))
                .merge(raffles::publish_routes())
                .merge(drafts::write_routes())
                .merge(coupons::upload_routes())
                .merge(campaigns::publish_routes())
                .merge(audiences::upload_routes()),
        )
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(openapi::page_routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

async fn no_such_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "edge.no_such_route", "there is nothing at this address")
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "edge.wrong_method",
        "this address does not take this method",
    )
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Asks the switches, before anything is begun and before anybody is looked up.
fn admit(app: &App, method: &Method, route: Option<&MatchedPath>) -> Result<(), Problem> {
    let Some((method, path)) = route_of(method, route) else { return Ok(()) };
    Ok(app.switches.seen().what.admit(method, path, app.clock.now_ms())?)
}

/// A route of the API as switches and limits name it.
fn route_of<'a>(method: &'a Method, route: Option<&'a MatchedPath>) -> Option<(&'a str, &'a str)> {
    let path = route?.as_str().strip_prefix(API)?;
    // What answers GET answers HEAD too.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    Some((method, path))
}

/// Where the routes of the API are nested.
const API: &str = "/api/v1";

/// Around every request: an id, a time limit, and the id in whatever is answered.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).filter(|id| request::is_token(id.as_bytes(), 64)).cloned();
    let id = given.unwrap_or_else(|| app.requests.next());
    let writes = request.method() != Method::GET && request.method() != Method::HEAD;
    let (method, path) = (request.method().clone(), request::without_name(request.uri().path()).to_owned());
    let (began, route) = (Stopwatch::start(), request.extensions().get::<MatchedPath>().cloned());
    let caller = Context::of(request.headers());
    let begun = app.traces.as_ref().and_then(|traces| traces.begin(caller));
    let span = trace::log_span(begun.map(|begun| begun.trace).or(caller.map(|caller| caller.trace)));
    let answering = async {
        match admit(&app, &method, route.as_ref()) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        }
    };
    let answering = answering.instrument(span.clone());
    let mut code = None;
    let mut response = match tokio::time::timeout(app.request_time, answering).await {
        Ok(response) => response,
        Err(_) => Problem::too_slow(app.request_time, writes).into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let status = problem.status();
        code = Some(problem.code());
        app.metrics.requests.problem(problem.code());
        if status.is_server_error() && !problem.is_wanted() {
            let request = id.to_str().unwrap_or_default();
            let _within = span.enter();
            tracing::error!(request, %method, path, code = problem.code(), cause = problem.cause(), "request failed");
        }
        response = problem.into_body(id.to_str().unwrap_or_default());
    }
    response.headers_mut().insert(REQUEST_ID.clone(), HeaderValue::clone(&id));
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.requests.answered(route, &method, response.status(), began.elapsed());
    if let (Some(traces), Some(begun)) = (&app.traces, begun) {
        let about = trace::about(route, &method, &path, response.status(), code, &id);
        traces.end(begun, about);
    }
    response
}
