//! Wallets of participants and accounts of the house: opened, and read.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use ::ledger::account::{Account, Overdraft, Owner};
use ::ledger::balance::Held;
use ::ledger::ledger::Posted;
use ::ledger::lot::Lot;
use ::ledger::order::What;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use kernel::amount::AMOUNT_MAX;
use kernel::hex::{from_hex, hex};
use records::audit::{Cause, Change};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Caller, Look, Operate, Read};
use super::ledger::{About, StandsView, order, told, unit};
use super::problem::Problem;
use super::request::{Ids, PageOf, Sent, answer, bad_cursor};

/// Routes of accounts.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/participants/{participant}/balances", get(balances))
        .route("/participants/{participant}/wallets/{wallet}/units/{unit}", put(open))
        .route("/participants/{participant}/wallets/{wallet}/units/{unit}/statement", get(statement))
        .route("/participants/{participant}/wallets/{wallet}/units/{unit}/lots", get(lots))
        .route("/house-accounts/{account}/balances", get(house_balances))
        .route("/house-accounts/{account}/units/{unit}", put(open_of_house))
        .route("/house-accounts/{account}/units/{unit}/statement", get(house_statement))
}

/// How far below zero an account may go.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OverdraftView {
    /// Not at all.
    Forbidden,
    /// So far, in minor units.
    UpTo(#[schemars(range(min = 1, max = AMOUNT_MAX))] i64),
    /// As far as it must: where things come from.
    Unlimited,
}

/// What an account is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OpenBody {
    /// How far below zero it may go.
    overdraft: OverdraftView,
    /// What it is for: 1 to 32 characters. `open` where it is left out.
    #[schemars(length(min = 1, max = 32))]
    code: Option<String>,
    /// What it is about: 1 to 128 characters, and nobody's name.
    #[schemars(length(min = 1, max = 128))]
    reference: Option<String>,
}

/// Opens an account, with its entry in the audit log about `subject`.
async fn open_as(
    app: &App,
    caller: &Caller,
    sent: &Sent,
    (account, subject): (Account, String),
) -> Result<Response, Problem> {
    let OpenBody { overdraft, code, reference } = sent.json()?;
    let (overdraft, how_far) = match overdraft {
        OverdraftView::Forbidden => (Overdraft::Forbidden, "forbidden".to_owned()),
        OverdraftView::UpTo(amount) => (Overdraft::UpTo(amount), format!("up to {amount}")),
        OverdraftView::Unlimited => (Overdraft::Unlimited, "unlimited".to_owned()),
    };
    let detail = format!("wallet {}, unit {}, overdraft {how_far}", account.wallet, account.unit);
    let change = Change { at_ms: app.clock.now_ms(), action: "open_account", subject, detail };
    let order = order(sent, caller, About { code, reference }, What::Open { account, overdraft })?;
    let request = sent.scoped(caller, "accounts")?;
    let cause = Cause { actor: request.actor, key: request.key, body_hash: Some(request.body_hash) };
    told(StatusCode::OK, app.ledger.submit_noted(order, &cause, change).await?)
}

async fn open(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids((participant, wallet, name)): Ids<(String, String, String)>,
    sent: Sent,
) -> Result<Response, Problem> {
    let subject = format!("participant/{}", app.tokens.pseudonym(&participant));
    let account = Account { owner: Owner::Participant(participant), wallet, unit: unit(&name)? };
    open_as(&app, &caller, &sent, (account, subject)).await
}

async fn open_of_house(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids((name, of_unit)): Ids<(String, String)>,
    sent: Sent,
) -> Result<Response, Problem> {
    let account = Account::house(&name, &unit(&of_unit)?);
    open_as(&app, &caller, &sent, (account, format!("house-account/{name}"))).await
}

/// One account, and how it stands.
#[derive(Serialize, JsonSchema)]
struct BalanceView {
    /// Its key.
    account: String,
    /// Which wallet.
    wallet: String,
    /// What is counted.
    unit: String,
    /// How far below zero it may go.
    overdraft: OverdraftView,
    #[serde(flatten)]
    stands: StandsView,
}

impl BalanceView {
    fn of(held: &Held) -> Self {
        let Held { account, wallet, unit, after } = held;
        Self {
            account: account.to_string(),
            wallet: wallet.clone(),
            unit: unit.to_string(),
            overdraft: match Overdraft::from_floor(after.floor) {
                Overdraft::Forbidden => OverdraftView::Forbidden,
                Overdraft::UpTo(amount) => OverdraftView::UpTo(amount),
                Overdraft::Unlimited => OverdraftView::Unlimited,
            },
            stands: StandsView::of(after),
        }
    }
}

/// A page of somebody's accounts.
#[derive(Serialize, JsonSchema)]
struct BalancesView {
    /// In the order of their keys. What became due in the last second may not be done yet.
    balances: Vec<BalanceView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn balances_of(app: &App, owner: &Owner, page: &PageOf) -> Result<Response, Problem> {
    owner.check()?;
    let after = if page.cursor.is_empty() { Some([0; 16]) } else { from_hex::<16>(&page.cursor) };
    let held = app.ledger.accounts_of(owner, after.ok_or_else(bad_cursor)?, page.limit).await?;
    let next = page.next(&held, |held| hex(&held.account.hash));
    let balances = held.iter().map(BalanceView::of).collect();
    Ok(answer(StatusCode::OK, &BalancesView { balances, next }, false))
}

async fn balances(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids(participant): Ids<String>,
    page: PageOf,
) -> Result<Response, Problem> {
    caller.expect_self(&participant)?;
    balances_of(&app, &Owner::Participant(participant), &page).await
}

async fn house_balances(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(name): Ids<String>,
    page: PageOf,
) -> Result<Response, Problem> {
    balances_of(&app, &Owner::House(name), &page).await
}

/// One posting of an account: what an order did to it.
#[derive(Serialize, JsonSchema)]
struct PostingView {
    /// The account's how-many-eth it was, from 1.
    number: u64,
    /// The order's id.
    id: String,
    /// Its entry in the journal.
    seq: u64,
    /// When, in milliseconds since the epoch.
    at_ms: i64,
    /// `transfer`, `hold`, `capture`, `release`, `reverse`, `open`, `expire`, `mature` or `lapse`.
    kind: &'static str,
    /// What it was for.
    code: String,
    /// What it was about; empty where nothing was said.
    reference: String,
    /// What arrived, in minor units; negative is what left.
    amount: i64,
    /// What was held more.
    held: i64,
    /// How the account stood then.
    after: StandsView,
}

/// A page of an account's statement.
#[derive(Serialize, JsonSchema)]
struct StatementView {
    /// The latest first.
    postings: Vec<PostingView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn statement_of(app: &App, account: &Account, page: &PageOf) -> Result<Response, Problem> {
    account.check()?;
    let before = Some(page.after::<u64>()?).filter(|before| *before > 0);
    let posted = app.ledger.statement(account, before, page.limit).await?;
    let next = page.next(&posted, |posted| posted.entry.seq.to_string());
    let postings = posted.into_iter().map(|Posted { entry, line }| PostingView {
        number: line.after.seq,
        id: entry.id.to_string(),
        seq: entry.seq,
        at_ms: entry.at_ms,
        kind: entry.kind.word(),
        code: entry.code,
        reference: entry.reference,
        amount: line.amount,
        held: line.held,
        after: StandsView::of(&line.after),
    });
    Ok(answer(StatusCode::OK, &StatementView { postings: postings.collect(), next }, false))
}

async fn statement(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids((participant, wallet, name)): Ids<(String, String, String)>,
    page: PageOf,
) -> Result<Response, Problem> {
    caller.expect_self(&participant)?;
    let account = Account { owner: Owner::Participant(participant), wallet, unit: unit(&name)? };
    statement_of(&app, &account, &page).await
}

async fn house_statement(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids((name, of_unit)): Ids<(String, String)>,
    page: PageOf,
) -> Result<Response, Problem> {
    statement_of(&app, &Account::house(&name, &unit(&of_unit)?), &page).await
}

/// A part of a balance, which came at once and goes at once.
#[derive(Serialize, JsonSchema)]
struct LotView {
    /// The number of the posting that brought it; 0 for all that came before anything came with terms.
    lot: u64,
    /// What came, in minor units.
    amount: i64,
    /// What is left of it: what was held of it is not spent yet.
    left: i64,
    /// What has expired of it, because the rest was held then.
    expired: i64,
    /// Whether it cannot be spent yet.
    pending: bool,
    /// From when on it can be spent, in milliseconds since the epoch; null where it could at once.
    available_ms: Option<i64>,
    /// When it expires; null where it does not.
    expires_ms: Option<i64>,
}

impl LotView {
    fn of(lot: &Lot) -> Self {
        let Lot { lot, amount, free, lapsed, pending, available_ms, expires_ms } = *lot;
        Self { lot, amount, left: free, expired: lapsed, pending, available_ms, expires_ms }
    }
}

/// A page of the parts of a balance.
#[derive(Serialize, JsonSchema)]
struct LotsView {
    /// Those with something left, in the order in which they came and are spent. They add up to the balance where nothing is
    /// owed. What became due in the last second may not be done yet.
    lots: Vec<LotView>,
    /// Give it back as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn lots(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Look>,
    Ids((participant, wallet, name)): Ids<(String, String, String)>,
    page: PageOf,
) -> Result<Response, Problem> {
    caller.expect_self(&participant)?;
    let account = Account { owner: Owner::Participant(participant), wallet, unit: unit(&name)? };
    account.check()?;
    let found = app.ledger.lots(&account, page.after()?, page.limit).await?;
    let next = page.next(&found, |last| last.lot.saturating_add(1).to_string());
    let lots = found.iter().map(LotView::of).collect();
    Ok(answer(StatusCode::OK, &LotsView { lots, next }, false))
}
