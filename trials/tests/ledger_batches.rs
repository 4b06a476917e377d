//! Batches of thousands of orders, whose rows are brought into form on a thread of their own.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;

use futures_util::future::join_all;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::desk::Desk;
use ledger::ledger::Ledger;
use ledger::order::{Order, Outcome};
use records::batch::Limits;
use records::error::Error;
use records::port::write;
use trials::NOON_MS;
use trials::books::{Books, id, mint, points};
use trials::profile::Profile;

const ORDERS: u64 = 3_000;

/// A gift to one of fifty people: each gets many in one batch.
fn gift(number: u64) -> Order {
    let person = points(&format!("person {}", number % 50));
    Order::transfer(id(&format!("gift {number}")), (&mint(), &person), 1 + (number % 7).cast_signed())
}

/// What a person has got of the first so many gifts.
fn got(person: u64, gifts: u64) -> i64 {
    (0..gifts).filter(|number| number % 50 == person).map(|number| 1 + (number % 7).cast_signed()).sum()
}

/// One transaction with thousands of entries: each is there with its bytes, under one seal, and the last word about each
/// account is what stands.
async fn thousands_of_orders_are_one_sealed_batch(profile: Profile) {
    let books = Books::open(profile).await;
    let before = books.ledger.entries().await.expect("entries");
    let desk = Desk { tenant: Tenant::MAIN, shard: Shard::HOME, now_ms: NOON_MS };
    let outcomes = write(&*books.records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let orders: Vec<_> = (0..ORDERS).map(gift).collect();
            desk.post(tx, &orders.iter().collect::<Vec<_>>()).await
        })
    });
    let outcomes: Result<_, Error> = outcomes.await;
    let outcomes = outcomes.expect("kept");
    let batches = books.ledger.sealed_from(before + 1).await.expect("batches");
    assert_eq!(batches.iter().map(|(entries, _)| entries.len() as u64).collect::<Vec<_>>(), [ORDERS]);
    for (number, (outcome, entry)) in (0..).zip(outcomes.iter().zip(&batches[0].0)) {
        assert_eq!((entry.id, entry.seq), (gift(number).id, before + 1 + number));
        assert_eq!(*outcome, Outcome::Created(entry.receipt()));
    }
    for person in 0..50 {
        let stands = books.stands(&points(&format!("person {person}"))).await;
        assert_eq!((stands.balance, stands.seq), (got(person, ORDERS), ORDERS / 50));
    }
    assert_eq!(books.verified().await.failed, []);
    books.close().await;
}

/// One order among thousands was there before: its batch cannot be kept as it is, and all others are done once all the same.
async fn a_repeat_among_thousands_spoils_none_of_them(profile: Profile) {
    let books = Books::open(profile).await;
    let clock = Arc::clone(&books.clock) as Arc<dyn Clock>;
    let limits = Limits { batch: 4_096, ..Limits::default() };
    let (ledger, driver) = Ledger::open(Arc::clone(&books.records), clock, limits);
    let known = books.ledger.submit(gift(ORDERS / 2)).await.expect("an outcome");
    assert!(matches!(known, Outcome::Created(_)), "{known:?}");
    // All wait before the driver begins.
    let gifts = async {
        let all = join_all((0..ORDERS).map(|number| ledger.submit(gift(number))));
        let outcomes = tokio::task::unconstrained(all).await;
        ledger.close();
        outcomes
    };
    let (outcomes, ()) = tokio::join!(gifts, driver);
    for outcome in outcomes {
        outcome.expect("an outcome");
    }
    // The half without it is a batch, and the half with it was tried as one.
    let batches = books.ledger.sealed_from(1).await.expect("batches");
    let largest = batches.iter().map(|(entries, _)| entries.len() as u64).max();
    assert_eq!(largest, Some(ORDERS / 2));
    for person in 0..50 {
        assert_eq!(books.has(&points(&format!("person {person}"))).await.0, got(person, ORDERS));
    }
    assert_eq!(books.verified().await.failed, []);
    books.close().await;
}

trials::in_each_profile!(
    thousands_of_orders_are_one_sealed_batch,
    a_repeat_among_thousands_spoils_none_of_them
);
