//! Two writers of one ledger, as two processes are: each with a queue, a driver and a memory of its own, and others that
//! write past both. On MariaDB each has connections of its own too. An SQLite file is locked to one process, so there the two
//! share it.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::sync::Arc;

use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::Account;
use ledger::ledger::Ledger;
use ledger::order::{Order, Outcome, Refusal};
use records::audit::Change;
use records::batch::Limits;
use tokio::task::JoinSet;
use trials::NOON_MS;
use trials::books::{Books, created, id, mint, points, refused};
use trials::profile::Profile;

/// Small batches, so that the writers take turns often.
const LIMITS: Limits = Limits { batch: 16, queue: 16_384, tries: 64 };

/// Two ledgers over the records of one.
struct Two {
    books: Books,
    ledgers: [Ledger; 2],
    drivers: JoinSet<()>,
}

impl Two {
    async fn open(profile: Profile) -> Self {
        let books = Books::open(profile).await;
        let (mut ledgers, mut drivers) = (vec![], JoinSet::new());
        for _ in 0..2 {
            let records = match profile {
                Profile::Embedded => Arc::clone(&books.records),
                Profile::Cluster => books.place.open(),
            };
            let (ledger, driver) = Ledger::open(records, Arc::clone(&books.clock) as Arc<dyn Clock>, LIMITS);
            ledgers.push(ledger);
            drivers.spawn(driver);
        }
        let ledgers = <[Ledger; 2]>::try_from(ledgers).ok().expect("two");
        Self { books, ledgers, drivers }
    }

    /// The entries' lines about an account are numbered without gaps, and each follows from the one before; the journal's
    /// entries are too. Answers what the account has after each.
    async fn history(&self, account: &Account) -> Vec<i64> {
        let account = account.id(Tenant::MAIN, Shard::HOME);
        let batches = self.books.ledger.sealed_from(1).await.expect("batches");
        let entries: Vec<_> = batches.into_iter().flat_map(|(entries, _)| entries).collect();
        let (mut seq, mut entry_before, mut balance, mut history) = (0, 0, 0, vec![]);
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(entry.seq, place as u64 + 1, "the journal has a gap");
            let lines = entry.lines.iter().filter(|line| line.account == account && entry.refused.is_none());
            for line in lines {
                (seq, balance) = (seq + 1, balance + line.amount);
                assert_eq!((line.after.seq, line.after.balance), (seq, balance), "{entry:?}");
                assert_eq!(line.before, entry_before, "it does not follow: {entry:?}");
                entry_before = entry.seq;
                history.push(balance);
            }
        }
        history
    }

    async fn end_well(self) {
        let Self { books, ledgers, mut drivers } = self;
        assert_eq!(books.verified().await.failed, []);
        for ledger in &ledgers {
            ledger.close();
        }
        while let Some(ended) = drivers.join_next().await {
            ended.expect("a driver");
        }
        drop(ledgers);
        books.close().await;
    }
}

fn pay(word: &str, from: &Account, to: &Account, amount: i64) -> Order {
    Order::transfer(id(word), (from, to), amount)
}

/// Which way an order goes: through a ledger's queue, or past it as the few orders do that somebody may ask about.
async fn ordered(ledger: Ledger, order: Order, is_noted: bool) -> Outcome {
    let outcome = if is_noted {
        let cause = trials::cause();
        let (subject, detail) = ("ada".to_owned(), String::new());
        let change = Change { at_ms: NOON_MS, action: "pay", subject, detail };
        ledger.submit_noted(order, &cause, change).await
    } else {
        ledger.submit(order).await
    };
    outcome.expect("an outcome")
}

/// What two writers and those who go past them take of an account, a thousand times in all, is exactly what it has.
async fn what_two_writers_take_never_overdraws(profile: Profile) {
    let two = Two::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    created(two.books.send("fund", &mint(), &ada, 3 * 400).await);
    // In turns: what each remembers of its last batch is not so any more.
    for number in 0..12 {
        let order = pay(&format!("turn {number}"), &ada, &bob, 3);
        created(ordered(two.ledgers[number % 2].clone(), order, number % 3 == 2).await);
    }
    assert_eq!(two.books.has(&ada).await.0, 3 * 388);
    let mut tasks = JoinSet::new();
    for number in 0..988 {
        let order = pay(&format!("debit {number}"), &ada, &bob, 3);
        tasks.spawn(ordered(two.ledgers[number % 2].clone(), order, number % 10 < 2));
    }
    let outcomes = tasks.join_all().await;
    let taken = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Created(_))).count();
    let short = refused(Refusal::InsufficientFunds);
    let short = outcomes.iter().filter(|outcome| **outcome == short).count();
    assert_eq!((taken, short), (388, 600));
    assert_eq!((two.books.has(&ada).await.0, two.books.has(&bob).await.0), (0, 3 * 400));
    let had: Vec<i64> = (0..=400).rev().map(|left| left * 3).collect();
    assert_eq!(two.history(&ada).await, had);
    assert_eq!(two.history(&bob).await.len(), 400);
    two.end_well().await;
}

/// An order that both writers are given is done once: the other tells what it has become.
async fn what_both_writers_are_given_is_done_once(profile: Profile) {
    let two = Two::open(profile).await;
    let ada = points("ada");
    let mut tasks = JoinSet::new();
    for number in 0..200 {
        for ledger in &two.ledgers {
            let order = pay(&format!("credit {number}"), &mint(), &ada, 1 + number % 5);
            tasks.spawn(ordered(ledger.clone(), order, number % 10 == 0));
        }
    }
    let outcomes = tasks.join_all().await;
    let (mut done, mut repeated) = (vec![], vec![]);
    for outcome in outcomes {
        match outcome {
            Outcome::Created(receipt) => done.push(receipt.seq),
            Outcome::Exists(receipt) => repeated.push(receipt.seq),
            other @ (Outcome::ExistsWithDifferent(_) | Outcome::Refused { .. } | Outcome::Nothing) => {
                panic!("neither done nor a repeat: {other:?}");
            }
        }
    }
    done.sort_unstable();
    repeated.sort_unstable();
    assert_eq!((done.len(), &done), (200, &repeated));
    assert_eq!(two.books.has(&ada).await.0, 600);
    assert_eq!(two.history(&ada).await.len(), 200);
    two.end_well().await;
}

trials::in_each_profile!(what_two_writers_take_never_overdraws, what_both_writers_are_given_is_done_once);
