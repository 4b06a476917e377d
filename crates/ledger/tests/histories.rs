//! Random histories of orders against a small model: lots, holds, debts, terms, reversals, exchanges and time that passes.
#![expect(clippy::expect_used, reason = "a test speaks by panicking")]

mod model;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use embedded::clock::ManualClock;
use embedded::sqlite::{Caches, SqliteRecords};
use futures_util::future::join_all;
use kernel::amount::Unit;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::{Account, Overdraft};
use ledger::desk::Desk;
use ledger::exchange::{Rate, Rounding};
use ledger::ledger::Ledger;
use ledger::order::{Leg, Order, OrderId, Outcome, Receipt, Terms, What};
use ledger::verify::verify;
use model::{Model, PEOPLE};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use records::batch::Limits;
use records::migration::{self, RECORDS, Room};
use records::port::{Records, Value, read, write};
use tempfile::TempDir;

const NOON_MS: i64 = 1_767_268_800_000;
const HOUR_MS: i64 = 3_600_000;
const ROOMS: &[&Room] = &[&RECORDS, &ledger::tables::ROOM];

/// What somebody asks for. Orders are named by their places among all that were asked for, counted round.
#[derive(Debug, Clone)]
enum Ask {
    /// Who, how much, in how many hours it is available, and for how many more.
    Grant(usize, i64, Option<i64>, Option<i64>),
    Spend(usize, i64),
    Give(usize, usize, i64),
    /// Who, how much, for how many hours.
    Hold(usize, i64, i64),
    /// All that is held, or so much of it.
    Capture(usize, Option<i64>),
    Release(usize),
    Reverse(usize),
    /// Who may owe how much.
    Owe(usize, i64),
    /// Points for a third as many coins.
    Exchange(usize, i64),
    /// The same order again; or another under its id.
    Repeat(usize, bool),
}

impl Ask {
    /// Every kind of them.
    const KINDS: [&str; 12] = [
        "grant", "spend", "give", "hold", "capture", "part", "release", "reverse", "owe", "exchange",
        "repeat", "other",
    ];

    fn kind(&self) -> &'static str {
        match self {
            Self::Grant(..) => "grant",
            Self::Spend(..) => "spend",
            Self::Give(..) => "give",
            Self::Hold(..) => "hold",
            Self::Capture(_, None) => "capture",
            Self::Capture(_, Some(_)) => "part",
            Self::Release(..) => "release",
            Self::Reverse(..) => "reverse",
            Self::Owe(..) => "owe",
            Self::Exchange(..) => "exchange",
            Self::Repeat(_, false) => "repeat",
            Self::Repeat(_, true) => "other",
        }
    }
}

/// What should become of an order.
#[derive(Debug)]
enum Expected {
    /// It is done now, as the order of this place.
    Done(usize),
    /// It repeats the order of this place, which was done.
    Known(usize),
    /// This.
    Told(Outcome),
}

#[derive(Debug, Clone)]
enum Step {
    /// Hours, and whether what is due is then done.
    Pass(i64, bool),
    /// Orders in one batch; past the queue or through it.
    Batch(Vec<Ask>, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, nth) = (0..PEOPLE, 0..64_usize);
    let amount = || 1..60_i64;
    let hours = || proptest::option::of(0..6_i64);
    let ask = prop_oneof![
        6 => (who.clone(), amount(), hours(), proptest::option::of(1..6_i64))
            .prop_map(|(who, amount, from, until)| Ask::Grant(who, amount, from, until)),
        4 => (who.clone(), amount()).prop_map(|(who, amount)| Ask::Spend(who, amount)),
        2 => (who.clone(), 1..PEOPLE, amount()).prop_map(|(who, to, amount)| Ask::Give(who, (who + to) % PEOPLE, amount)),
        4 => (who.clone(), amount(), 0..8_i64).prop_map(|(who, amount, hours)| Ask::Hold(who, amount, hours)),
        // A small part, as most holds are larger.
        4 => (nth.clone(), proptest::option::weighted(0.7, 1..20_i64))
            .prop_map(|(nth, amount)| Ask::Capture(nth, amount)),
        1 => nth.clone().prop_map(Ask::Release),
        4 => nth.clone().prop_map(Ask::Reverse),
        1 => (who.clone(), prop_oneof![Just(0), Just(50)]).prop_map(|(who, owes)| Ask::Owe(who, owes)),
        1 => (who, 3..40_i64).prop_map(|(who, amount)| Ask::Exchange(who, amount)),
        1 => (nth, any::<bool>()).prop_map(|(nth, other)| Ask::Repeat(nth, other)),
    ];
    let step = prop_oneof![
        2 => (1..5_i64, any::<bool>()).prop_map(|(hours, job)| Step::Pass(hours, job)),
        5 => (proptest::collection::vec(ask, 1..5), any::<bool>())
            .prop_map(|(asks, queued)| Step::Batch(asks, queued)),
    ];
    proptest::collection::vec(step, 1..40)
}

fn unit(name: &str) -> Unit {
    name.parse().expect("a unit")
}

fn points(who: usize) -> Account {
    Account::of(&format!("p{who}"), &unit("point"))
}

/// The product beside the model.
struct Both {
    ledger: Ledger,
    records: Arc<dyn Records>,
    clock: Arc<ManualClock>,
    model: Model,
    orders: Vec<Order>,
    /// What was done, by its place among the orders.
    receipts: BTreeMap<usize, Receipt>,
    /// How many asks of each kind came to what they are for.
    met: BTreeMap<&'static str, u64>,
    _folder: TempDir,
}

impl Both {
    /// The same ask, most of those that end a hold about one.
    fn aimed(&self, ask: &Ask) -> Ask {
        let mut ask = ask.clone();
        if let Ask::Capture(place, _) | Ask::Release(place) = &mut ask
            && !place.is_multiple_of(4)
        {
            let is_hold = |place: &usize| matches!(self.orders[*place].what, What::Hold { .. });
            let holds: Vec<_> = (0..self.orders.len()).filter(is_hold).collect();
            *place = (*place / 4).checked_rem(holds.len()).map_or(*place, |nth| holds[nth]);
        }
        ask
    }

    /// The order that an ask is, and what the model says becomes of it.
    fn order(&mut self, ask: &Ask) -> Option<(Order, Expected)> {
        let ask = &self.aimed(ask);
        let now_ms = self.clock.now_ms();
        let nth = |nth: usize| nth.checked_rem(self.orders.len()).map(|nth| (nth, self.orders[nth].clone()));
        let pay = |from: Account, to: Account, amount: i64, terms: Terms| What::Transfer {
            legs: vec![Leg { account: from, amount: -amount }, Leg { account: to, amount }],
            terms,
        };
        let house = |name: &str| Account::house(name, &unit("point"));
        let what = match *ask {
            Ask::Repeat(place, other) => {
                let (place, order) = nth(place)?;
                let known = self.model.known(place);
                let order = if other { order.about("other", "") } else { order };
                let expected = match known {
                    _ if other => Expected::Told(Outcome::ExistsWithDifferent("code")),
                    Err(why) => Expected::Told(Outcome::Refused { why, replayed: true }),
                    Ok(()) => Expected::Known(place),
                };
                return Some((order, expected));
            }
            Ask::Grant(who, amount, from, until) => {
                let available_ms = from.map(|hours| now_ms + hours * HOUR_MS);
                let expires_ms = until.map(|hours| available_ms.unwrap_or(now_ms) + hours * HOUR_MS);
                pay(house("issued"), points(who), amount, Terms { available_ms, expires_ms })
            }
            Ask::Spend(who, amount) => pay(points(who), house("spent"), amount, Terms::default()),
            Ask::Give(from, to, amount) => pay(points(from), points(to), amount, Terms::default()),
            Ask::Hold(who, amount, hours) => {
                let expires_ms = now_ms + hours * HOUR_MS;
                What::Hold { from: points(who), to: house("spent"), amount, expires_ms }
            }
            Ask::Capture(place, amount) => What::Capture { hold: nth(place)?.1.id, amount },
            Ask::Release(place) => What::Release { hold: nth(place)?.1.id },
            Ask::Reverse(place) => What::Reverse { of: nth(place)?.1.id },
            Ask::Owe(who, 0) => What::Open { account: points(who), overdraft: Overdraft::Forbidden },
            Ask::Owe(who, owes) => What::Open { account: points(who), overdraft: Overdraft::UpTo(owes) },
            Ask::Exchange(who, amount) => {
                let rate = Rate::new(1, 3, Rounding::Down).expect("a rate");
                let id = OrderId([0; 16]);
                Order::exchange(id, &points(who), &unit("coin"), amount, rate).expect("an exchange").what
            }
        };
        let place = self.orders.len();
        let id = OrderId::of(&[b"order", &place.to_be_bytes()]);
        let order = Order { id, code: "trial".to_owned(), reference: String::new(), what };
        let expected = match self.model.ask(ask, place, now_ms) {
            Ok(()) => Expected::Done(place),
            Err(why) => Expected::Told(Outcome::Refused { why, replayed: false }),
        };
        self.orders.push(order.clone());
        Some((order, expected))
    }

    async fn batch(&mut self, asks: &[Ask], queued: bool) {
        let orders =
            asks.iter().filter_map(|ask| self.order(ask).map(|(order, due)| (order, (ask.kind(), due))));
        let (orders, expected): (Vec<_>, Vec<_>) = orders.unzip();
        let found: Vec<Outcome> = if queued {
            let answers = join_all(orders.iter().map(|order| self.ledger.submit(order.clone()))).await;
            answers.into_iter().map(|answer| answer.expect("an outcome")).collect()
        } else {
            let desk = Desk { tenant: Tenant::MAIN, shard: Shard::HOME, now_ms: self.clock.now_ms() };
            let orders = orders.clone();
            write(&*self.records, Shard::HOME, move |tx| {
                Box::pin(async move { desk.post(tx, &orders.iter().collect::<Vec<_>>()).await })
            })
            .await
            .expect("outcomes")
        };
        assert_eq!(found.len(), orders.len());
        for ((order, (kind, expected)), found) in orders.iter().zip(expected).zip(found) {
            let due = match (&found, expected) {
                (Outcome::Created(receipt), Expected::Done(place)) => {
                    assert_eq!(self.receipts.insert(place, receipt.clone()), None, "{order:?}");
                    found.clone()
                }
                (_, Expected::Done(_)) => Outcome::Nothing,
                (_, Expected::Known(place)) => Outcome::Exists(self.receipts[&place].clone()),
                (_, Expected::Told(told)) => told,
            };
            assert_eq!(found, due, "{order:?}");
            let is_met = !matches!(found, Outcome::Refused { .. });
            *self.met.entry(kind).or_default() += u64::from(is_met);
        }
        self.compare().await;
    }

    async fn has(&self, account: &Account) -> (i64, i64, i64) {
        let found = self.ledger.balance(account).await;
        found.map_or((0, 0, 0), |after| (after.balance, after.held, after.pending))
    }

    async fn compare(&self) {
        self.ledger.settle_due().await.expect("settled");
        for who in 0..PEOPLE {
            let account = points(who);
            assert_eq!(self.has(&account).await, self.model.has(who), "p{who}");
            let coins = Account::of(&format!("p{who}"), &unit("coin"));
            assert_eq!(self.has(&coins).await.0, self.model.coins(who), "p{who}");
            let id = account.id(Tenant::MAIN, Shard::HOME);
            let free = read(&*self.records, Shard::HOME, move |tx| {
                Box::pin(async move {
                    let sql = "SELECT COALESCE(SUM(free),0) FROM ledger_lot WHERE bucket=? AND tenant=1 AND account=?";
                    tx.fetch(sql, &[Value::Int(id.bucket.into()), Value::Bytes(&id.hash)]).await
                })
            });
            let free = free.await.expect("records")[0].int(0).expect("a sum");
            assert_eq!(free, self.model.free(who), "the lots of p{who}");
        }
        for (name, amount) in self.model.house() {
            assert_eq!(self.has(&Account::house(name, &unit("point"))).await.0, amount, "{name}");
        }
        let report = verify(&*self.records, self.ledger.journal(), Tenant::MAIN).await.expect("a report");
        assert_eq!(report.failed, []);
    }
}

/// Plays a history. Answers how many asks of each kind came to what they are for.
async fn play(steps: Vec<Step>) -> BTreeMap<&'static str, u64> {
    let folder = tempfile::tempdir().expect("a folder");
    let records: Arc<dyn Records> =
        Arc::new(SqliteRecords::open(folder.path(), Caches::default()).expect("records"));
    migration::run(&*records, ROOMS, NOON_MS).await.expect("tables");
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let (ledger, driver) =
        Ledger::open(Arc::clone(&records), Arc::clone(&clock) as Arc<dyn Clock>, Limits::default());
    let mut drivers = tokio::task::JoinSet::new();
    drivers.spawn(driver);
    let mut both = Both {
        ledger,
        records,
        clock,
        model: Model::default(),
        orders: vec![],
        receipts: BTreeMap::new(),
        met: BTreeMap::new(),
        _folder: folder,
    };
    for who in 0..PEOPLE {
        both.batch(&[Ask::Owe(who, 0)], true).await;
    }
    for step in steps {
        match step {
            Step::Pass(hours, job) => {
                both.clock.set(both.clock.now_ms() + hours * HOUR_MS);
                both.model.pass(both.clock.now_ms());
                if job {
                    both.compare().await;
                }
            }
            Step::Batch(asks, queued) => both.batch(&asks, queued).await,
        }
    }
    both.compare().await;
    both.ledger.close();
    drivers.join_all().await;
    both.met
}

#[test]
fn whatever_is_ordered_it_is_as_the_model_says() {
    let cases = std::env::var("FAIRGROUND_TRIALS_FULL").map_or(64, |_| 4_000);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    // The same histories each time: a failure is one that everybody meets.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let met: RefCell<BTreeMap<_, u64>> = RefCell::default();
    let outcome = runner.run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        for (kind, count) in runtime.expect("a runtime").block_on(play(steps)) {
            *met.borrow_mut().entry(kind).or_default() += count;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let met = met.into_inner();
    assert!(Ask::KINDS.iter().all(|kind| met.get(kind).is_some_and(|count| *count > 0)), "{met:?}");
}
