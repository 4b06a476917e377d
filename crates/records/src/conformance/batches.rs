//! The batcher: whatever is batched with whatever, callers see some serial order.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a check speaks by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kernel::id::Shard;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::task::JoinSet;

use super::faulty::{Fate, Faulty};
use crate::batch::{self, Batch, Decision, Decisions, Limits};
use crate::error::Error;
use crate::port::{Records, Tx, Value, write};
use crate::statement::{ByKeys, Insert};

/// Adds to a till that may not go below zero.
#[derive(Debug, Clone)]
struct Add {
    till: u8,
    amount: i64,
    /// Writes a row that the database refuses, spoiling its batch.
    spoils: bool,
    /// Cannot be decided before this was fetched.
    lacks: Option<u8>,
}

/// Where in the till's order an item was decided, and the balance then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    entries: i64,
    balance: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    TooLittle(Seen),
    Records(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Records(error)
    }
}

#[derive(Default)]
struct Tills {
    fetched: Mutex<HashSet<u8>>,
    told: AtomicUsize,
}

static LOAD: ByKeys = ByKeys::new("SELECT name,entries,balance FROM till WHERE 1=1", &["name"], "");
static SAVE: Insert = Insert::or_replace("till", &["name", "entries", "balance"], 1);

#[async_trait]
impl Batch for Tills {
    type Item = Add;
    type Answer = Seen;
    type Error = Refusal;
    type Lack = u8;

    async fn run(&self, tx: &mut dyn Tx, items: &[Arc<Add>]) -> Result<Decisions<Self>, Error> {
        let names: BTreeMap<u8, String> =
            items.iter().map(|item| (item.till, item.till.to_string())).collect();
        let keys: Vec<_> = names.values().map(|name| Value::Text(name)).collect();
        let mut tills: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for row in LOAD.fetch(tx, &[], &keys).await? {
            tills.insert(row.text(0)?.to_owned(), (row.int(1)?, row.int(2)?));
        }
        let mut decisions = Vec::new();
        let mut spoiled = false;
        for item in items {
            let lacking =
                |what: &u8| !self.fetched.lock().unwrap_or_else(PoisonError::into_inner).contains(what);
            if let Some(what) = item.lacks.filter(lacking) {
                decisions.push(Decision::Deferred(what));
                continue;
            }
            let till = tills.entry(item.till.to_string()).or_default();
            if till.1 + item.amount < 0 && !item.spoils {
                let seen = Seen { entries: till.0, balance: till.1 };
                decisions.push(Decision::Refused(Refusal::TooLittle(seen)));
                continue;
            }
            till.0 += 1;
            till.1 += item.amount;
            spoiled |= item.spoils;
            decisions.push(Decision::Done(Seen { entries: till.0, balance: till.1 }));
        }
        let values: Vec<_> = tills
            .iter()
            .flat_map(|(name, (entries, balance))| {
                let balance = if spoiled { -1 } else { *balance };
                [Value::Text(name), Value::Int(*entries), Value::Int(balance)]
            })
            .collect();
        SAVE.rows(tx, &values).await?;
        Ok(decisions)
    }

    async fn supply(&self, lack: u8) -> Result<(), Refusal> {
        if lack == 0 {
            return Err(Refusal::Records(Error::Unavailable("nobody has it".to_owned())));
        }
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner).insert(lack);
        Ok(())
    }

    fn told(&self, _: &Result<Seen, Refusal>) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}

type Told = Vec<(Add, Result<Seen, Refusal>)>;

async fn play(records: Arc<dyn Records>, adds: Vec<Add>, limits: Limits) -> Told {
    let (all, tills) = (adds.len(), Arc::new(Tills::default()));
    let (batcher, driver) = batch::open(records, Shard::HOME, Arc::clone(&tills), limits);
    let mut driving = JoinSet::new();
    driving.spawn(driver);
    let mut callers = JoinSet::new();
    for add in adds {
        let batcher = batcher.clone();
        callers.spawn(async move { (add.clone(), batcher.submit(add).await) });
    }
    let told = callers.join_all().await;
    batcher.close();
    driving.join_all().await;
    assert_eq!(tills.told.load(Ordering::Relaxed), all, "the batch hears once what each caller is told");
    told
}

async fn tills(records: &Arc<dyn Records>) -> BTreeMap<u8, (i64, i64)> {
    let rows = write(&**records, Shard::HOME, |tx| {
        Box::pin(async move { tx.fetch("SELECT name,entries,balance FROM till", &[]).await })
    })
    .await
    .expect("tills");
    rows.iter()
        .map(|row| {
            let name = row.text(0).expect("name").parse().expect("number");
            (name, (row.int(1).expect("entries"), row.int(2).expect("balance")))
        })
        .collect()
}

async fn wipe(records: &Arc<dyn Records>) {
    let wiped: Result<u64, Error> =
        write(&**records, Shard::HOME, |tx| Box::pin(async move { tx.exec("DELETE FROM till", &[]).await }))
            .await;
    wiped.expect("wipe");
}

fn adds() -> impl Strategy<Value = Vec<Add>> {
    let add = (0u8..3, -20i64..20, prop::bool::weighted(0.03), prop::option::weighted(0.1, 0u8..4))
        .prop_map(|(till, amount, spoils, lacks)| Add { till, amount, spoils, lacks });
    prop::collection::vec(add, 1..120)
}

/// Replays what callers were told, in the order that they were told, against a plain model.
fn check_serial(told: &Told, kept: &BTreeMap<u8, (i64, i64)>, unsure: bool) {
    for till in 0..3 {
        let mut done: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for (add, result) in told.iter().filter(|(add, _)| add.till == till) {
            if let Ok(seen) = result {
                assert!(!add.spoils, "a row that the database refuses was acknowledged");
                let before = done.insert(seen.entries, (add.amount, seen.balance));
                assert!(before.is_none(), "two callers were given entry {} of till {till}", seen.entries);
            }
        }
        let (entries, balance) = kept.get(&till).copied().unwrap_or_default();
        if !unsure {
            assert_eq!(i64::try_from(done.len()), Ok(entries), "kept, or told, but not both");
        }
        let mut running = Some((0, 0));
        for (place, (amount, after)) in &done {
            // Where an answer got lost the model has a gap: it goes on from what the next caller saw.
            if let Some((last, sum)) = running.filter(|(last, _)| last + 1 == *place) {
                assert_eq!(sum + amount, *after, "entry {place} after {last} of till {till}");
            }
            running = Some((*place, *after));
        }
        assert!(done.keys().all(|place| *place <= entries), "acknowledged and lost");
        if let Some((_, (_, after))) = done.last_key_value().filter(|(last, _)| **last == entries) {
            assert_eq!(*after, balance);
        }
        for (add, result) in told.iter().filter(|(add, _)| add.till == till) {
            if let Err(Refusal::TooLittle(seen)) = result {
                assert!(seen.balance + add.amount < 0);
                if let Some((_, after)) = done.get(&seen.entries) {
                    assert_eq!(*after, seen.balance, "refused on a balance that nobody saw");
                }
            }
        }
    }
    for (add, result) in told {
        match result {
            Err(Refusal::Records(Error::Corrupt(_))) => assert!(add.spoils, "an innocent was blamed"),
            Err(Refusal::Records(Error::Unavailable(_))) => assert!(unsure || add.lacks == Some(0)),
            Err(Refusal::Records(error)) => assert!(unsure, "{error}"),
            Ok(_) | Err(Refusal::TooLittle(_)) => {}
        }
    }
}

/// Random items, in batches of random size, in whatever order they come.
pub async fn any_interleaving_equals_some_serial_order(records: Arc<dyn Records>) {
    let mut runner = TestRunner::deterministic();
    for batch in [1, 2, 7, 512].into_iter().cycle().take(40) {
        let adds = adds().new_tree(&mut runner).expect("items").current();
        let told = play(Arc::clone(&records), adds, Limits { batch, ..Limits::default() }).await;
        check_serial(&told, &tills(&records).await, false);
        wipe(&records).await;
    }
}

/// The same, over a database that fails before or after its commits.
pub async fn a_failing_database_answers_each_caller_rightly(records: Arc<dyn Records>) {
    let mut runner = TestRunner::deterministic();
    let fates = prop::collection::vec(
        prop_oneof![
            4 => Just(Fate::Kept),
            1 => Just(Fate::Lost),
            1 => Just(Fate::MadeWay),
            1 => Just(Fate::Unsure)
        ],
        1..12,
    );
    for batch in [1, 3, 512].into_iter().cycle().take(40) {
        let adds = adds().new_tree(&mut runner).expect("items").current();
        let fates = fates.new_tree(&mut runner).expect("fates").current();
        let faulty: Arc<dyn Records> = Arc::new(Faulty::new(Arc::clone(&records), fates.clone()));
        let told = play(faulty, adds, Limits { batch, ..Limits::default() }).await;
        check_serial(&told, &tills(&records).await, fates.iter().any(|fate| *fate != Fate::Kept));
        wipe(&records).await;
    }
}

/// A batch that made way is run again, and nobody hears of it; one that always has to is given up.
pub async fn a_batch_that_makes_way_is_rerun(records: Arc<dyn Records>) {
    let add = Add { till: 1, amount: 1, spoils: false, lacks: None };
    for (fates, kept) in
        [(vec![Fate::MadeWay, Fate::MadeWay, Fate::Kept], true), (vec![Fate::MadeWay], false)]
    {
        let faulty: Arc<dyn Records> = Arc::new(Faulty::new(Arc::clone(&records), fates));
        let told = play(faulty, vec![add.clone(); 5], Limits::default()).await;
        let made_way = Err(Refusal::Records(Error::Contended("as planned".to_owned())));
        assert!(told.iter().all(|(_, told)| if kept { told.is_ok() } else { *told == made_way }), "{told:?}");
        assert_eq!(tills(&records).await.get(&1).copied(), kept.then_some((5, 5)));
        wipe(&records).await;
    }
}

/// Nobody waits without an answer.
pub async fn a_full_queue_says_so_and_a_closed_one_drains(records: Arc<dyn Records>) {
    let limits = Limits { batch: 4, queue: 3, tries: 2 };
    let (batcher, driver) = batch::open(records, Shard::HOME, Arc::new(Tills::default()), limits);
    let add = Add { till: 1, amount: 1, spoils: false, lacks: None };
    // Nothing drives the queue yet: three callers, each polled once, fill it.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut caller = Box::pin(batcher.submit(add.clone()));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut caller).await.is_err());
        waiting.push(caller);
    }
    assert_eq!(batcher.submit(add.clone()).await, Err(Refusal::Records(Error::QueueFull)));
    batcher.close();
    assert_eq!(batcher.submit(add).await, Err(Refusal::Records(Error::Closed)));
    let mut driving = JoinSet::new();
    driving.spawn(driver);
    driving.join_all().await;
    for caller in waiting {
        assert!(caller.await.is_ok(), "the queue closed on one who waited");
    }
}
