//! `/experiments`: what is tried on whom, and what it has shown.

mod operations;

pub use operations::operations;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::experiment::board::{Assignment, Experiments};
use campaign::experiment::document::Document;
use campaign::experiment::error::Error;
use campaign::experiment::exposure::{Exposed, Recorded, VALUE_MAX};
use campaign::experiment::life::Life;
use campaign::experiment::log::Place;
use campaign::experiment::register::{Experiment, Generation};
use campaign::experiment::results::Results;
use kernel::hex::{from_hex, hex};
use kernel::id::Shard;
use records::audit::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Approve, Caller, LookUp, Operate, Review, Start, Tell};
use super::problem::Problem;
use super::request::{Asked, Ids, PageOf, Sent, answer, bad_cursor, each_once, text};
use crate::switches::table::EXPERIMENTS;

/// Routes of experiments.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/experiments", get(list).post(draft))
        .route("/experiments/{experiment}", get(show))
        .route("/experiments/{experiment}/start", post(start))
        .route("/experiments/{experiment}/stop", post(stop))
        .route("/experiments/{experiment}/weights", post(reweigh))
        .route("/experiments/{experiment}/assignment", get(look).post(expose))
        .route("/experiments/{experiment}/exposures", get(exposures))
        .route("/experiments/{experiment}/goals", post(reached))
}

fn cause(caller: &Caller, sent: &Sent) -> Cause {
    Cause { actor: Arc::clone(caller.actor()), key: String::new(), body_hash: Some(sent.body_hash()) }
}

/// Weights, since when they assign newcomers.
#[derive(Serialize, JsonSchema)]
struct GenerationView {
    /// How often weights had been set then, from 1.
    generation: u32,
    /// The weights, in the order of the arms.
    weights: Vec<u32>,
    /// Since when, in milliseconds since the epoch.
    since_ms: i64,
    /// The name of the key that set them; empty where an earlier release has not noted it.
    by: String,
}

impl GenerationView {
    fn of(known: Generation) -> Self {
        let Generation { generation, weights, since_ms, by } = known;
        Self { generation, weights, since_ms, by }
    }
}

/// An experiment as it stands.
#[derive(Serialize, JsonSchema)]
struct ExperimentView<'a> {
    #[serde(flatten)]
    document: &'a Document,
    #[serde(flatten)]
    life: Life,
    /// The name of the key that drafted it.
    author: &'a str,
    /// When, in milliseconds since the epoch.
    drafted_ms: i64,
    /// Its weights, oldest first; those of the document are the first.
    generations: Vec<GenerationView>,
}

impl<'a> ExperimentView<'a> {
    fn of(experiment: &'a Experiment) -> Self {
        Self {
            document: &experiment.document,
            life: experiment.life,
            author: &experiment.author,
            drafted_ms: experiment.drafted_ms,
            generations: experiment.generations.iter().cloned().map(GenerationView::of).collect(),
        }
    }
}

/// Takes no Idempotency-Key: the experiment's id is one.
async fn draft(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    sent: Sent,
) -> Result<Response, Problem> {
    let document: Document = sent.json()?;
    document.check()?;
    for raffle in document.raffles() {
        app.raffles.standing(raffle).await?;
    }
    for (campaign, offer) in document.offers() {
        let published = app.campaigns.all().await?;
        let published = published.campaign(campaign)?;
        let missing =
            || campaign::error::Error::NoSuchOffer { campaign: campaign.to_owned(), offer: offer.to_owned() };
        published.offer(offer).ok_or_else(missing)?;
    }
    let (experiment, replayed) = app.experiments.draft(document, cause(&caller, &sent)).await?;
    Ok(answer(StatusCode::CREATED, &ExperimentView::of(&experiment), replayed))
}

/// A page of experiments.
#[derive(Serialize, JsonSchema)]
struct ExperimentsView<'a> {
    /// By id.
    experiments: Vec<ExperimentView<'a>>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn list(State(app): State<Arc<App>>, _: Allowed<Review>, page: PageOf) -> Result<Response, Problem> {
    let listed = app.experiments.list(&page.cursor, page.limit).await?;
    let next = page.next(&listed, |last| last.document.experiment.clone());
    let experiments = listed.iter().map(ExperimentView::of).collect();
    Ok(answer(StatusCode::OK, &ExperimentsView { experiments, next }, false))
}

/// An experiment, and what it has shown.
#[derive(Serialize, JsonSchema)]
struct ShownView<'a> {
    #[serde(flatten)]
    experiment: ExperimentView<'a>,
    /// What it has shown so far.
    results: Results,
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Review>,
    Ids(id): Ids<String>,
) -> Result<Response, Problem> {
    let experiment = app.experiments.get(&id).await?;
    let results = app.experiments.results(&experiment).await?;
    let view = ShownView { experiment: ExperimentView::of(&experiment), results };
    Ok(answer(StatusCode::OK, &view, false))
}

/// An experiment that was moved.
#[derive(Serialize, JsonSchema)]
struct MovedExperimentView<'a> {
    /// Its id.
    experiment: &'a str,
    #[serde(flatten)]
    life: Life,
}

async fn start(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Start>,
    Ids(id): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let starter = (cause(&caller, &sent), caller.has::<Approve>());
    let (life, replayed) = app.experiments.start(&id, sent.reason()?, starter).await?;
    Ok(answer(StatusCode::OK, &MovedExperimentView { experiment: &id, life }, replayed))
}

async fn stop(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(id): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let (life, replayed) = app.experiments.stop(&id, sent.reason()?, cause(&caller, &sent)).await?;
    Ok(answer(StatusCode::OK, &MovedExperimentView { experiment: &id, life }, replayed))
}

/// New weights.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WeightsBody {
    /// A weight for each arm, by its id, over the document's denominator.
    #[serde(deserialize_with = "each_once")]
    weights: BTreeMap<String, u32>,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

async fn reweigh(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(id): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let WeightsBody { weights, reason } = sent.json()?;
    text("reason", &reason, 500)?;
    let weights = in_order(&app.experiments, &id, &weights).await?;
    let (generation, replayed) = app.experiments.reweigh(&id, weights, reason, cause(&caller, &sent)).await?;
    Ok(answer(StatusCode::OK, &GenerationView::of(generation), replayed))
}

/// Weights in the order of an experiment's arms, each of which has one.
async fn in_order(
    experiments: &Experiments,
    id: &str,
    weights: &BTreeMap<String, u32>,
) -> Result<Vec<u32>, Error> {
    let document = experiments.get(id).await?.document;
    let ordered: Option<Vec<u32>> = document.arms.iter().map(|arm| weights.get(&arm.arm).copied()).collect();
    ordered.filter(|_| weights.len() == document.arms.len()).ok_or_else(|| {
        Error::Document("`weights` names each arm of the experiment, and nothing else".to_owned())
    })
}

/// Whose assignment is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhoQuery {
    /// The participant: 1 to 128 characters. A participant's token may leave it out.
    #[schemars(length(min = 1, max = 128))]
    participant: Option<String>,
}

/// Who is about to be shown what their arm shows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhoBody {
    /// The participant: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
}

/// Where a participant stands in an experiment.
#[derive(Serialize, JsonSchema)]
struct AssignmentView<'a> {
    /// The experiment's id.
    experiment: &'a str,
    /// Whether their place in the layer is among those who take part.
    takes_part: bool,
    /// Their arm; null where they have none, and would get none now. While they are not exposed, new weights may change it.
    arm: Option<String>,
    /// When they were exposed to it, in milliseconds since the epoch; null where they were not.
    exposed_ms: Option<i64>,
    /// The raffle that their draws go to: its commitment is the one to save. Null where the experiment leads none now.
    raffle: Option<String>,
}

fn assignment_view(experiment: &str, assignment: Assignment) -> Response {
    let Assignment { takes_part, arm, exposed_ms, raffle } = assignment;
    answer(StatusCode::OK, &AssignmentView { experiment, takes_part, arm, exposed_ms, raffle }, false)
}

async fn look(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<LookUp>,
    Ids(id): Ids<String>,
    Asked(WhoQuery { participant }): Asked<WhoQuery>,
) -> Result<Response, Problem> {
    let participant = caller.about_somebody(participant)?;
    text("participant", &participant, 128)?;
    Ok(assignment_view(&id, app.experiments.assignment(&id, &participant).await?))
}

/// Takes no Idempotency-Key: the first exposure stands.
async fn expose(
    State(app): State<Arc<App>>,
    _: Allowed<Tell>,
    Ids(id): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let WhoBody { participant } = sent.json()?;
    text("participant", &participant, 128)?;
    let may_expose = app.switches.seen().what.expect_on(EXPERIMENTS, app.clock.now_ms()).is_ok();
    Ok(assignment_view(&id, app.experiments.expose(&id, &participant, may_expose).await?))
}

/// Somebody who was exposed.
#[derive(Serialize, JsonSchema)]
struct ExposureView<'a> {
    /// Their name in this experiment, and in no other: nobody learns from it who they are.
    pseudonym: String,
    /// Their arm.
    arm: &'a str,
    /// Which weights gave it to them.
    generation: u32,
    /// When, in milliseconds since the epoch.
    exposed_ms: i64,
}

/// A page of an experiment's log of exposures.
#[derive(Serialize, JsonSchema)]
struct ExposuresView<'a> {
    /// In an order that means nothing. Who is exposed while the pages are read may be missing; nobody stands twice.
    exposures: Vec<ExposureView<'a>>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

fn place_of(cursor: &str) -> Option<Place> {
    let mut parts = cursor.splitn(3, '-');
    let shard = Shard(parts.next()?.parse().ok()?);
    let bucket = parts.next()?.parse().ok()?;
    Some(Place { shard, bucket, pseudonym: from_hex(parts.next()?)? })
}

async fn exposures(
    State(app): State<Arc<App>>,
    _: Allowed<Review>,
    Ids(id): Ids<String>,
    page: PageOf,
) -> Result<Response, Problem> {
    let document = app.experiments.get(&id).await?.document;
    let after = Some(&page.cursor).filter(|cursor| !cursor.is_empty());
    let after = after.map(|cursor| place_of(cursor).ok_or_else(bad_cursor)).transpose()?;
    let found = app.experiments.exposures(&id, after, page.limit as usize).await?;
    let next = page
        .next(&found, |(place, _)| format!("{}-{}-{}", place.shard.0, place.bucket, hex(&place.pseudonym)));
    let view = |(place, exposed): &(Place, Exposed)| ExposureView {
        pseudonym: hex(&place.pseudonym),
        arm: document.arms.get(exposed.arm).map_or("", |arm| &arm.arm),
        generation: exposed.generation,
        exposed_ms: exposed.at_ms,
    };
    let exposures = found.iter().map(view).collect();
    Ok(answer(StatusCode::OK, &ExposuresView { exposures, next }, false))
}

/// Something that a participant did.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GoalBody {
    /// Who: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: String,
    /// Which goal of the experiment: neither `draw` nor `win`, which are counted from draws.
    #[schemars(length(min = 1, max = 48))]
    goal: String,
    /// The event's own id in your books, such as an order's: telling it again changes nothing.
    #[schemars(length(min = 1, max = 200))]
    event: String,
    /// How much. 1 where it is left out.
    #[schemars(range(max = VALUE_MAX))]
    value: Option<u64>,
}

/// What became of what was told.
#[derive(Serialize, JsonSchema)]
struct GoalView {
    /// Whether it counts. False where the participant was not exposed, or the experiment does not run: then nothing is kept,
    /// and the event may be told again.
    counted: bool,
}

/// Takes no Idempotency-Key: the event is one.
async fn reached(
    State(app): State<Arc<App>>,
    _: Allowed<Tell>,
    Ids(id): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let GoalBody { participant, goal, event, value } = sent.json()?;
    text("participant", &participant, 128)?;
    text("goal", &goal, 48)?;
    text("event", &event, 200)?;
    let hit = (goal, event, value.unwrap_or(1));
    let recorded = app.experiments.reached(&id, &participant, hit).await?;
    let view = GoalView { counted: recorded != Recorded::Not };
    Ok(answer(StatusCode::OK, &view, recorded == Recorded::Before))
}
