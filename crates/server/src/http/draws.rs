//! `POST /raffles/{id}/draws` and `GET /draws/{id}`.

mod operations;

pub use operations::operations;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use kernel::hex::hex;
use kernel::id::DrawId;
use raffle::draw::{Drawn, PARTS_MAX};
use raffle::entry::{self, Draw};
use raffle::epoch::Epoch;
use raffle::raffles::{DrawRequest, Found};
use raffle::rules::{Plan, Step, Steps};
use raffle::standing::{Attested, POINTS_SPENT};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{self, Allowed, Caller, LookBack};
use super::problem::Problem;
use super::request::{Ids, Sent, answer, each_once, text};
use crate::switches::table::{DRAWS, EXPERIMENTS};

/// Routes of draws.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/raffles/{id}/draws", post(draw)).route("/draws/{id}", get(show))
}

/// The bench's no-op: all that a draw does at the edge, and nothing behind it.
pub fn noop_routes() -> Router<Arc<App>> {
    Router::new().route("/noop/{id}", post(noop))
}

/// Who draws, and what is told of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrawBody {
    /// Who draws: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub(super) participant: String,
    /// The participant's own part of chance, 1 to 255 characters. The Idempotency-Key where it is left out.
    #[schemars(length(min = 1, max = 255))]
    client_seed: Option<String>,
    /// Points spent, for raffles whose odds tiers count them.
    #[schemars(range(max = i64::MAX))]
    points_spent: Option<u64>,
    /// Other numbers that the raffle's rules read, by name.
    #[serde(default, deserialize_with = "each_once")]
    metrics: BTreeMap<String, u64>,
    /// Words that the raffle's rules read, by name.
    #[serde(default, deserialize_with = "each_once")]
    attributes: BTreeMap<String, String>,
    /// How many draws, 1 to 100: all are made, or none. One where it is left out, answered as a draw; where it stands,
    /// the answer is a list.
    #[schemars(range(min = 1, max = PARTS_MAX))]
    draws: Option<u32>,
}

impl DrawBody {
    pub(super) fn read(sent: &Sent) -> Result<Self, Problem> {
        let read: Self = sent.json()?;
        text("participant", &read.participant, 128)?;
        if let Some(seed) = &read.client_seed {
            text("client_seed", seed, 255)?;
        }
        let bad = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_number", detail);
        let mut numbers = read.metrics.values().chain(&read.points_spent);
        if numbers.any(|number| *number > i64::MAX as u64) {
            return Err(bad("a metric is larger than 9223372036854775807".to_owned()));
        }
        if read.draws.is_some_and(|draws| !(1..=PARTS_MAX).contains(&draws)) {
            return Err(bad(format!("`draws` must be from 1 to {PARTS_MAX}")));
        }
        if read.metrics.contains_key(POINTS_SPENT) {
            return Err(bad("tell `points_spent` beside `metrics`, not in it".to_owned()));
        }
        for value in read.attributes.values() {
            text("attributes", value, 64)?;
        }
        Ok(read)
    }

    fn parts(&self) -> NonZeroU32 {
        self.draws.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn attested(&self) -> Attested {
        let mut metrics = self.metrics.clone();
        metrics.extend(self.points_spent.map(|points| (POINTS_SPENT.to_owned(), points)));
        Attested { attributes: self.attributes.clone(), metrics }
    }

    /// Refuses what a participant may not say of themself.
    fn expect_by(&self, caller: &Caller) -> Result<(), Problem> {
        let forbidden = |code, detail| Err(Problem::new(StatusCode::FORBIDDEN, code, detail));
        match caller {
            Caller::Participant { name, .. } if *name != self.participant => {
                forbidden("edge.other_participant", "a participant's token draws for that participant alone")
            }
            // Rules read what is told: who could tell it of themself would choose their own odds.
            Caller::Participant { .. } if !self.attested().is_empty() => forbidden(
                "edge.not_allowed",
                "`points_spent`, `metrics` and `attributes` need a key with the role admin or service",
            ),
            Caller::Participant { .. } | Caller::Key { .. } => Ok(()),
        }
    }
}

/// A prize that was won.
#[derive(Serialize, JsonSchema)]
struct PrizeView<'a> {
    /// Its id.
    id: &'a str,
    /// What people call it.
    title: &'a str,
}

/// A draw as it is answered: a pure function of the draw's row and its version.
#[derive(Serialize, JsonSchema)]
struct DrawView<'a> {
    /// The draw's id.
    draw: String,
    /// The raffle's id.
    raffle: &'a str,
    /// The version that decided.
    version: u32,
    /// The epoch whose seed decided.
    epoch: u32,
    /// Who drew; null once their name is erased.
    participant: Option<&'a str>,
    /// The participant's how-many-eth draw it was, from 1.
    number: u64,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
    /// What was won; null where nothing was.
    prize: Option<PrizeView<'a>>,
    /// The pool that was drawn from: `base`, or a tier by its threshold.
    pool: &'a str,
    /// The participant's chain head after this draw: keep it, and no draw of yours can be withheld or slipped in.
    chain: String,
}

impl<'a> DrawView<'a> {
    fn of(draw: &'a Draw, plan: &'a Plan, participant: Option<&'a str>) -> Self {
        let prize = draw.prize.as_deref().map(|id| {
            let title = plan.rules.prizes.get(id).map_or("", |prize| &prize.title);
            PrizeView { id, title }
        });
        let pool = entry::decode_trace(&draw.trace).and_then(|(chosen, _)| plan.pool_name(chosen.pool));
        Self {
            draw: draw.id.to_string(),
            raffle: &plan.rules.raffle,
            version: plan.rules.version,
            epoch: draw.epoch,
            participant,
            number: draw.number,
            at_ms: draw.at_ms,
            prize,
            pool: pool.unwrap_or_default(),
            chain: hex(&draw.chain),
        }
    }
}

/// What drawing answers: a draw, or a list where the request said how many.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum DrawnView<'a> {
    /// The draw.
    One(DrawView<'a>),
    /// The draws of one request, in their order.
    Set {
        /// All of them.
        draws: Vec<DrawView<'a>>,
    },
}

async fn draw(
    State(app): State<Arc<App>>,
    Allowed { caller, blocked, .. }: Allowed<auth::Draw>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let request = sent.request(&caller)?;
    let read = DrawBody::read(&sent)?;
    read.expect_by(&caller)?;
    let participant = read.participant.clone();
    let refusal = blocked.or_else(|| may_draw(&app, &read).err());
    let refusal = refusal.or_else(|| may_pick(&app, &caller, &raffle).err());
    let (raffle, mut before) = led(&app, raffle, &participant, refusal.is_none()).await?;
    if refusal.is_some() {
        // Who is kept from drawing still learns what they drew: else a lost answer would look like a draw that failed, and
        // a limit that was lowered since would make the loss final.
        before.push(raffle.clone());
    }
    for raffle in before {
        if let Some(drawn) = app.raffles.drawn_before(&raffle, &participant, &request).await? {
            return Ok(drawn_view(&drawn, &participant, read.draws.is_some()));
        }
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let asked = DrawRequest {
        raffle,
        participant: participant.clone(),
        client_seed: read.client_seed.clone(),
        attested: read.attested(),
        parts: read.parts().get(),
        request,
    };
    let drawn = app.raffles.draw(asked).await?;
    Ok(drawn_view(&drawn, &participant, read.draws.is_some()))
}

/// Whether the limits and switches let a participant make new draws. Asked once, before anything is begun.
fn may_draw(app: &App, read: &DrawBody) -> Result<(), Problem> {
    let now_ms = app.clock.now_ms();
    app.rates.admit_draws(&read.participant, read.parts(), now_ms)?;
    Ok(app.switches.seen().what.expect_on(DRAWS, now_ms)?)
}

/// Whether somebody may draw from the raffle that they name. A key answers for what it asks; a participant would pick the
/// arm that they like best.
fn may_pick(app: &App, caller: &Caller, raffle: &str) -> Result<(), Problem> {
    match caller {
        Caller::Key { .. } => Ok(()),
        Caller::Participant { .. } => Ok(app.experiments.expect_led(raffle)?),
    }
}

/// The raffle that an experiment leads a participant's draw to, and those in which its key may have drawn before. Whoever
/// is led for the first time, and may draw, is exposed by this.
async fn led(
    app: &App,
    raffle: String,
    participant: &str,
    may_draw: bool,
) -> Result<(String, Vec<String>), Problem> {
    let may_expose = may_draw && app.switches.seen().what.expect_on(EXPERIMENTS, app.clock.now_ms()).is_ok();
    let way = app.experiments.way(&raffle, participant, may_expose).await?;
    Ok(way.map_or((raffle, vec![]), |way| (way.to, way.before)))
}

fn drawn_view(drawn: &Drawn, participant: &str, is_set: bool) -> Response {
    let Drawn { draw, more, epoch, replayed } = drawn;
    let view = |draw| DrawView::of(draw, &epoch.plan, Some(participant));
    let view = if is_set {
        DrawnView::Set { draws: std::iter::once(draw).chain(more).map(|draw| view(draw)).collect() }
    } else {
        DrawnView::One(view(draw))
    };
    answer(StatusCode::CREATED, &view, *replayed)
}

async fn noop(
    State(app): State<Arc<App>>,
    Allowed { caller, blocked, .. }: Allowed<auth::Draw>,
    Ids(raffle): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct NoopView<'a> {
        raffle: &'a str,
        participant: &'a str,
        key: &'a str,
    }
    let request = sent.request(&caller)?;
    let read = DrawBody::read(&sent)?;
    blocked.map_or(Ok(()), Err)?;
    app.rates.admit_draws(&read.participant, read.parts(), app.clock.now_ms())?;
    let view = NoopView { raffle: &raffle, participant: &read.participant, key: &request.key };
    Ok(answer(StatusCode::CREATED, &view, false))
}

/// One step of a way through a tree.
#[derive(Serialize, JsonSchema)]
pub(super) struct StepView<'a> {
    /// The node; null where the prize has no tree.
    node: Option<&'a str>,
    /// What it said.
    said: &'static str,
}

impl<'a> StepView<'a> {
    /// The steps of a candidate's tree.
    pub(super) fn all(plan: &'a Plan, candidate: Option<usize>, steps: &Steps) -> Vec<Self> {
        let view = |(node, step): &(Option<usize>, Step)| Self {
            node: node.and_then(|node| plan.node_name(candidate, node)),
            said: step.word(),
        };
        steps.iter().map(view).collect()
    }
}

/// How a draw was decided.
#[derive(Serialize, JsonSchema)]
struct TraceView<'a> {
    /// The pool that was drawn from.
    pool: &'a str,
    /// What chance gave: 0 to `total` - 1.
    integer: u64,
    /// The sum of the weights.
    total: u64,
    /// Prizes that were left out before chance picked, because they could not be had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excluded: Vec<&'a str>,
    /// The prize that chance picked; null for no win.
    candidate: Option<&'a str>,
    /// The way through the rule tree.
    steps: Vec<StepView<'a>>,
    /// What was won in the end.
    prize: Option<&'a str>,
}

/// What an outsider needs to check a draw.
#[derive(Serialize, JsonSchema)]
struct ProofView {
    /// The epoch's name, which the integer depends on.
    epoch: String,
    /// SHA-256 of the epoch's seed.
    seed_hash: String,
    /// SHA-256 of the version's canonical rules.
    rules_hash: String,
    /// The participant, as the public knows them.
    pseudonym: String,
    /// The participant's how-many-eth draw it was.
    number: u64,
    /// The participant's own part of chance.
    client_seed: String,
    /// What the caller told of the participant.
    attested: Attested,
    /// The draw's place in the gate's log.
    seq: u64,
    /// The local day, in days since 1970-01-01.
    day: i32,
    /// The participant's chain head after the draw.
    chain: String,
    /// The seed, once the epoch is revealed.
    seed: Option<String>,
}

/// A draw with its trace and proof.
#[derive(Serialize, JsonSchema)]
struct FullView<'a> {
    #[serde(flatten)]
    draw: DrawView<'a>,
    /// How it was decided.
    trace: Option<TraceView<'a>>,
    /// What an outsider needs to check it.
    proof: ProofView,
}

fn trace<'a>(draw: &'a Draw, plan: &'a Plan) -> Option<TraceView<'a>> {
    let (chosen, steps) = entry::decode_trace(&draw.trace)?;
    let candidate = plan.candidate(&chosen);
    let weights = plan.pool_weights(chosen.pool);
    let excluded = chosen.excluded.iter().filter_map(|at| Some(&*plan.prizes[weights.get(*at)?.0?]));
    Some(TraceView {
        pool: plan.pool_name(chosen.pool)?,
        integer: chosen.integer,
        total: plan.total(chosen.pool, &chosen.excluded),
        excluded: excluded.collect(),
        candidate: candidate.map(|candidate| &*plan.prizes[candidate]),
        steps: StepView::all(plan, candidate, &steps),
        prize: draw.prize.as_deref(),
    })
}

async fn show(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<LookBack>,
    Ids(id): Ids<String>,
) -> Result<Response, Problem> {
    let not_an_id = || raffle::error::Error::NoSuchDraw(id.clone());
    let draw_id: DrawId = id.parse().map_err(|_| not_an_id())?;
    let Found { draw, raffle, epoch, participant, commitment } = app.raffles.find(draw_id).await?;
    // Another's draw is answered like one that is not there: whether it is, is theirs to tell.
    if !caller.may_see(participant.as_deref()) {
        return Err(raffle::error::Error::NoSuchDraw(draw_id.to_string()).into());
    }
    let proof = ProofView {
        epoch: raffle::fairness::epoch_name(raffle.tenant.name, &raffle.id, draw.epoch),
        seed_hash: hex(&commitment.seed_hash),
        rules_hash: hex(&commitment.rules_hash),
        pseudonym: hex(&draw.pseudonym),
        number: draw.number,
        client_seed: draw.seed().to_owned(),
        attested: Attested::read(&draw.attested).unwrap_or_default(),
        seq: draw.id.seq,
        day: draw.day,
        chain: hex(&draw.chain),
        seed: match commitment.state {
            Epoch::Revealed { seed, .. } => Some(seed),
            Epoch::Open { .. } => None,
        },
    };
    let view = FullView {
        draw: DrawView::of(&draw, &epoch.plan, participant.as_deref()),
        trace: trace(&draw, &epoch.plan),
        proof,
    };
    Ok(answer(StatusCode::OK, &view, false))
}
