//! `/transfers`, `/exchanges`, `/holds`: orders to the ledger, and what became of them.
//!
//! The Idempotency-Key is the order's id. What became of an order is an entry of the journal, done or refused, and the answer
//! is a pure function of it: asked again it is the same, for ever.

mod exchanges;
mod holds;
mod operations;

pub use operations::operations;
pub(super) use operations::{ACCOUNT, ORDER, receipt};

use std::sync::Arc;

use ::ledger::account::{Account, MAIN, Owner};
use ::ledger::entry::Entry;
use ::ledger::error::Error;
use ::ledger::order::{
    After, LEGS_MAX, Leg, Line, Order, OrderId, Outcome, REFERENCE_MAX, Receipt, Terms, What,
};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use kernel::amount::{AMOUNT_MAX, Unit};
use kernel::hex::from_hex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Caller, Move, Read};
use super::problem::Problem;
use super::request::{Ids, Named, REPLAYED, Sent, answer, text};

/// Routes of orders.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/transfers", post(transfer))
        .route("/transfers/{id}", get(show))
        .route("/transfers/{id}/reversal", post(reverse))
        .route("/exchanges", post(exchanges::exchange))
        .route("/rates", get(exchanges::list))
        .route("/holds", post(holds::hold))
        .route("/holds/{id}", get(holds::show))
        .route("/holds/{id}/capture", post(holds::capture))
        .route("/holds/{id}/release", post(holds::release))
}

/// The bench's no-op: all that a transfer does at the edge, and nothing behind it.
pub fn noop_routes() -> Router<Arc<App>> {
    Router::new().route("/noop-transfers", post(noop))
}

/// A unit by its name.
pub(super) fn unit(name: &str) -> Result<Unit, Error> {
    name.parse().map_err(Error::BadUnit)
}

/// The id of the order that a key names. Nothing else of the house makes ids of these two facts.
fn order_id(key: &str) -> OrderId {
    OrderId::of(&[b"key", key.as_bytes()])
}

/// The order that a request sends.
pub(super) fn order(
    sent: &Sent,
    caller: &Caller,
    About { code, reference }: About,
    what: What,
) -> Result<Order, Problem> {
    let id = order_id(&sent.request(caller)?.key);
    let reference = reference_of(reference)?;
    let default = match what {
        What::Open { .. } => "open",
        What::Hold { .. } => "hold",
        What::Capture { .. } => "capture",
        What::Release { .. } => "release",
        What::Reverse { .. } => "reverse",
        What::Transfer { .. } | What::Settle { .. } => "transfer",
    };
    let code = code.unwrap_or_else(|| default.to_owned());
    Ok(Order { id, code, reference, what })
}

/// A reference that may have been left out, and is then empty.
fn reference_of(reference: Option<String>) -> Result<String, Problem> {
    reference.as_deref().map_or(Ok(()), |told| text("reference", told, REFERENCE_MAX))?;
    Ok(reference.unwrap_or_default())
}

/// What an order is for, and about.
pub(super) struct About {
    pub(super) code: Option<String>,
    pub(super) reference: Option<String>,
}

/// Whose an account is; one of the two.
fn account(
    (participant, house): (Option<String>, Option<String>),
    wallet: Option<String>,
    unit: Unit,
) -> Result<Account, Error> {
    let wallet_of_house = wallet.is_none();
    let wallet = wallet.unwrap_or_else(|| MAIN.to_owned());
    match (participant, house) {
        (Some(name), None) => Ok(Account { owner: Owner::Participant(name), wallet, unit }),
        (None, Some(name)) if wallet_of_house => Ok(Account { owner: Owner::House(name), wallet, unit }),
        _ => Err(Error::BadAccount),
    }
}

/// A time that may have been left out.
fn time(name: &'static str, at_ms: Option<u64>) -> Result<Option<i64>, Problem> {
    let read = |at_ms: u64| {
        let detail = format!("`{name}` is larger than {}", i64::MAX);
        i64::try_from(at_ms)
            .map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_number", detail))
    };
    at_ms.map(read).transpose()
}

/// What became of an order, as an answer.
pub(super) fn told(status: StatusCode, outcome: Outcome) -> Result<Response, Problem> {
    match outcome {
        Outcome::Created(receipt) => Ok(answer(status, &ReceiptView::of(&receipt), false)),
        Outcome::Exists(receipt) => Ok(answer(status, &ReceiptView::of(&receipt), true)),
        Outcome::ExistsWithDifferent(field) => Err(Error::Different(field).into()),
        Outcome::Refused { why, replayed } => {
            let problem = Problem::from(Error::Refused(why));
            Err(if replayed { problem.with_header(REPLAYED, "true".to_owned()) } else { problem })
        }
        // Of what only the house orders.
        Outcome::Nothing => Err(Error::Records(records::error::Error::Surprise("ledger_entry")).into()),
    }
}

/// How an account stood.
#[derive(Serialize, JsonSchema)]
pub(super) struct StandsView {
    /// What it had, in minor units; negative is owed.
    balance: i64,
    /// The part that was held.
    held: i64,
    /// The part that was not available yet.
    pending: i64,
}

impl StandsView {
    pub(super) fn of(after: &After) -> Self {
        Self { balance: after.balance, held: after.held, pending: after.pending }
    }
}

/// What an order did to one account.
#[derive(Serialize, JsonSchema)]
struct LineView {
    /// The account's key: what it is called is not kept in the journal.
    account: String,
    /// What arrived, in minor units; negative is what left.
    amount: i64,
    /// What was held more.
    held: i64,
    /// The account's how-many-eth posting it was, from 1.
    number: u64,
    /// How it stood then.
    after: StandsView,
}

impl LineView {
    fn of(line: &Line) -> Self {
        let Line { account, amount, held, after, .. } = line;
        let stands = StandsView::of(after);
        Self { account: account.to_string(), amount: *amount, held: *held, number: after.seq, after: stands }
    }
}

/// An order that was done: a pure function of its entry in the journal.
#[derive(Serialize, JsonSchema)]
pub(super) struct ReceiptView {
    /// The order's id, which follows from its Idempotency-Key.
    id: String,
    /// Its entry in the journal, from 1.
    seq: u64,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
    /// What it did: a transfer's legs in their order; of a capture what paid, then what received.
    lines: Vec<LineView>,
}

impl ReceiptView {
    fn of(receipt: &Receipt) -> Self {
        Self {
            id: receipt.id.to_string(),
            seq: receipt.seq,
            at_ms: receipt.at_ms,
            lines: receipt.lines.iter().map(LineView::of).collect(),
        }
    }
}

/// One movement of a transfer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LegBody {
    /// Whose wallet: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    participant: Option<String>,
    /// Or which account of the house: 1 to 128 characters.
    #[schemars(length(min = 1, max = 128))]
    house: Option<String>,
    /// Which of the participant's wallets, 1 to 32 characters; `main` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    wallet: Option<String>,
    /// What is counted: `point`, `ticket`, `coin`.
    #[schemars(length(min = 1, max = 16))]
    unit: String,
    /// How much arrives, in minor units; negative is what leaves.
    #[schemars(range(min = -AMOUNT_MAX, max = AMOUNT_MAX))]
    amount: i64,
}

/// A transfer: all of its legs, or nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TransferBody {
    /// In each unit they add up to zero. Each account stands once.
    #[schemars(with = "Vec<LegBody>", length(min = 2, max = LEGS_MAX))]
    legs: Vec<Named<LegBody>>,
    /// What it is for, as the house names such transfers: 1 to 32 characters. `transfer` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    code: Option<String>,
    /// What it is about, such as the id of a purchase: 1 to 128 characters, and nobody's name.
    #[schemars(length(min = 1, max = 128))]
    reference: Option<String>,
    /// From when on participants may spend what they receive, in milliseconds since the epoch; at once where it is left out.
    available_ms: Option<u64>,
    /// Until when; for ever where it is left out.
    expires_ms: Option<u64>,
}

impl TransferBody {
    fn order(self, sent: &Sent, caller: &Caller) -> Result<Order, Problem> {
        let Self { legs, code, reference, available_ms, expires_ms } = self;
        let leg = |Named(leg): Named<LegBody>| {
            let account = account((leg.participant, leg.house), leg.wallet, unit(&leg.unit)?)?;
            Ok::<_, Error>(Leg { account, amount: leg.amount })
        };
        let legs = legs.into_iter().map(leg).collect::<Result<_, _>>()?;
        let terms = Terms {
            available_ms: time("available_ms", available_ms)?,
            expires_ms: time("expires_ms", expires_ms)?,
        };
        order(sent, caller, About { code, reference }, What::Transfer { legs, terms })
    }
}

async fn transfer(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Move>,
    sent: Sent,
) -> Result<Response, Problem> {
    let read: TransferBody = sent.json()?;
    let order = read.order(&sent, &caller)?;
    told(StatusCode::CREATED, app.ledger.submit(order).await?)
}

async fn noop(Allowed { caller, .. }: Allowed<Move>, sent: Sent) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct NoopView {
        id: String,
    }
    let read: TransferBody = sent.json()?;
    let order = read.order(&sent, &caller)?;
    order.check()?;
    Ok(answer(StatusCode::CREATED, &NoopView { id: order.id.to_string() }, false))
}

/// What a capture, a release or a reversal is about. May be left out.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
struct AboutBody {
    /// What it is for: 1 to 32 characters. `release` or `reverse` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    code: Option<String>,
    /// What it is about: 1 to 128 characters, and nobody's name.
    #[schemars(length(min = 1, max = 128))]
    reference: Option<String>,
}

fn id_of(text: &str) -> Result<OrderId, Error> {
    from_hex::<16>(text).map(OrderId).ok_or_else(|| Error::NoSuchTransfer(text.to_owned()))
}

async fn reverse(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Move>,
    Ids(of): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let AboutBody { code, reference } = sent.json_or_nothing()?;
    let order = order(&sent, &caller, About { code, reference }, What::Reverse { of: id_of(&of)? })?;
    told(StatusCode::CREATED, app.ledger.submit(order).await?)
}

/// An entry of the journal: an order of whatever kind, done or refused.
#[derive(Serialize, JsonSchema)]
struct EntryView {
    #[serde(flatten)]
    receipt: ReceiptView,
    /// `transfer`, `hold`, `capture`, `release`, `reverse` or `open`; what the house does by itself: `expire`, `mature`, `lapse`.
    kind: &'static str,
    /// Why it was refused: then the lines are what was asked, and nothing was done. Null where it was done.
    refused: Option<&'static str>,
    /// What it was for.
    code: String,
    /// What it was about; empty where nothing was said.
    reference: String,
    /// The hold that it captured, released or ended, or what it undid.
    subject: Option<String>,
    /// The account that a hold goes to.
    to: Option<String>,
    /// From when on what was received may be spent, in milliseconds since the epoch.
    available_ms: Option<i64>,
    /// Until when; of a hold, when it is released by itself.
    expires_ms: Option<i64>,
}

impl EntryView {
    fn of(entry: &Entry) -> Self {
        Self {
            receipt: ReceiptView::of(&entry.receipt()),
            kind: entry.kind.word(),
            refused: entry.refused.map(|why| why.code()),
            code: entry.code.clone(),
            reference: entry.reference.clone(),
            subject: entry.subject.map(|id| id.to_string()),
            to: entry.to.map(|account| account.to_string()),
            available_ms: entry.available_ms,
            expires_ms: entry.expires_ms,
        }
    }
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(id): Ids<String>,
) -> Result<Response, Problem> {
    let entry = app.ledger.find(id_of(&id)?).await?;
    let entry = entry.ok_or(Error::NoSuchTransfer(id))?;
    Ok(answer(StatusCode::OK, &EntryView::of(&entry), false))
}
