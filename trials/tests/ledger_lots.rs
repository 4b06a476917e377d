//! Points with terms beside debts, holds and reversals, on real records.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use kernel::amount::AMOUNT_MAX;
use kernel::id::{Shard, Tenant};
use ledger::account::{Account, Overdraft};
use ledger::desk::Desk;
use ledger::order::{HOLDS_MAX, LOTS_MAX, Leg, Order, Outcome, Refusal, Terms, What};
use records::port::write;
use trials::NOON_MS;
use trials::books::{Books, created, id, mint, points, refused, unit};
use trials::profile::Profile;

const HOUR_MS: i64 = 3_600_000;

fn expiring(hours: i64) -> Terms {
    Terms { expires_ms: Some(NOON_MS + hours * HOUR_MS), ..Terms::default() }
}

async fn nothing_wrong(books: &Books) {
    assert_eq!(books.verified().await.failed, []);
}

/// What is owed is repaid by what comes, once it may be spent, and does not expire a second time.
async fn what_comes_repays_what_is_owed_first(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, shop) = (points("ada"), books.house("shop", Overdraft::Forbidden).await);
    created(books.overdraft("owe", &ada, Overdraft::UpTo(50)).await);
    created(books.send("debt", &ada, &shop, 50).await);
    created(books.grant("soon over", "ada", 100, expiring(1)).await);
    let later = Terms { available_ms: Some(NOON_MS + HOUR_MS), ..Terms::default() };
    created(books.grant("later", "ada", 30, later).await);
    assert_eq!(books.has(&ada).await, (80, 0, 30));
    books.pass(HOUR_MS);
    books.ledger.settle_due().await.expect("settled");
    assert_eq!(books.has(&ada).await, (30, 0, 0), "50 repaid the debt, 50 have expired");
    created(books.send("plain", &mint(), &ada, 5).await);
    books.pass(HOUR_MS);
    created(books.send("touch", &ada, &shop, 1).await);
    assert_eq!(books.has(&ada).await, (34, 0, 0), "nothing expires twice");
    // What was owed when it was spent goes back as a lot of what is not owed now.
    created(books.order("undo", What::Reverse { of: id("debt") }).await);
    assert_eq!(books.has(&ada).await, (84, 0, 0));
    created(books.overdraft("forbid", &ada, Overdraft::Forbidden).await);
    nothing_wrong(&books).await;
    books.close().await;
}

/// A hold keeps the oldest, also past their time: what is captured is what was held.
async fn what_is_held_pays_and_the_others_stay(profile: Profile) {
    for others in [true, false] {
        let books = Books::open(profile).await;
        let (ada, pot) = (points("ada"), books.house("pot", Overdraft::Forbidden).await);
        created(books.grant("oldest", "ada", 100, expiring(1)).await);
        if others {
            created(books.send("plain", &mint(), &ada, 50).await);
        }
        let expires_ms = NOON_MS + 9 * HOUR_MS;
        let hold = What::Hold { from: ada.clone(), to: pot.clone(), amount: 100, expires_ms };
        created(books.order("hold", hold).await);
        books.pass(HOUR_MS);
        books.ledger.settle_due().await.expect("settled");
        if !others {
            created(books.send("plain", &mint(), &ada, 50).await);
        }
        assert_eq!(books.has(&ada).await, (150, 100, 0));
        created(books.order("capture", What::Capture { hold: id("hold"), amount: None }).await);
        assert_eq!((books.has(&ada).await, books.has(&pot).await.0), ((50, 0, 0), 100));
        nothing_wrong(&books).await;
        books.close().await;
    }
}

/// Whoever undoes a grant gets what has expired of it from where that went, and takes nothing else.
async fn an_undone_grant_takes_back_what_has_expired_of_it(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, expired) = (points("ada"), Account::house("expired", &unit("point")));
    created(books.send("plain", &mint(), &ada, 100).await);
    created(books.grant("grant", "ada", 100, expiring(1)).await);
    books.pass(HOUR_MS);
    books.ledger.settle_due().await.expect("settled");
    assert_eq!((books.has(&ada).await.0, books.has(&expired).await.0), (100, 100));
    let undone = created(books.order("undo", What::Reverse { of: id("grant") }).await);
    assert_eq!(undone.lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [100, 0, -100]);
    assert_eq!((books.has(&ada).await.0, books.has(&expired).await.0), (100, 0));
    assert_eq!(books.has(&mint()).await.0, -100);
    nothing_wrong(&books).await;
    books.close().await;
}

/// Whoever touches an account reads all its open holds and lots: there are no more than so many.
async fn holds_and_lots_of_an_account_are_bounded(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob, pot) = (points("ada"), points("bob"), books.house("pot", Overdraft::Forbidden).await);
    created(books.send("bob", &mint(), &bob, AMOUNT_MAX).await);
    let grant = What::Transfer {
        legs: vec![Leg { account: mint(), amount: -1 }, Leg { account: ada.clone(), amount: 1 }],
        terms: expiring(1),
    };
    let expires_ms = NOON_MS + HOUR_MS;
    let hold = What::Hold { from: bob.clone(), to: pot.clone(), amount: 1, expires_ms };
    for (most, why, what) in
        [(LOTS_MAX, Refusal::TooManyLots, grant), (HOLDS_MAX, Refusal::TooManyHolds, hold)]
    {
        let desk = Desk { tenant: Tenant::MAIN, shard: Shard::HOME, now_ms: NOON_MS };
        let order = |number: usize| {
            let id = id(&format!("{why:?} {number}"));
            Order { id, code: "trial".to_owned(), reference: String::new(), what: what.clone() }
        };
        let orders: Vec<_> = (0..=most).map(order).collect();
        let mut outcomes = write(&*books.records, Shard::HOME, move |tx| {
            Box::pin(async move { desk.post(tx, &orders.iter().collect::<Vec<_>>()).await })
        })
        .await
        .expect("outcomes");
        assert_eq!(outcomes.pop(), Some(refused(why)));
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Created(_))));
        assert_eq!(books.order(&format!("one more {why:?}"), what).await, refused(why));
    }
    // What is over makes room.
    books.pass(HOUR_MS);
    created(books.grant("room", "ada", 1, expiring(9)).await);
    assert_eq!(
        (books.has(&ada).await, books.has(&bob).await.1),
        ((1, 0, 0), i64::try_from(HOLDS_MAX).expect("few"))
    );
    created(books.send("touch", &bob, &pot, 1).await);
    assert_eq!(books.has(&bob).await.1, 0);
    nothing_wrong(&books).await;
    books.close().await;
}

trials::in_each_profile!(
    what_comes_repays_what_is_owed_first,
    what_is_held_pays_and_the_others_stay,
    an_undone_grant_takes_back_what_has_expired_of_it,
    holds_and_lots_of_an_account_are_bounded,
);
