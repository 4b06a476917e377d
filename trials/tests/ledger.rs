//! What the ledger does, order by order, on real records.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use kernel::amount::AMOUNT_MAX;
use ledger::account::{Account, Overdraft};
use ledger::error::Error;
use ledger::exchange::{Rate, Rounding};
use ledger::order::{HOLD_MAX_MS, LEGS_MAX, Leg, Order, Outcome, Refusal, Terms, What};
use trials::NOON_MS;
use trials::books::{Books, created, id, mint, points, refused, unit};
use trials::profile::Profile;

const HOUR_MS: i64 = 3_600_000;

fn legs(of: &[(&Account, i64)]) -> Vec<Leg> {
    of.iter().map(|(account, amount)| Leg { account: (*account).clone(), amount: *amount }).collect()
}

fn plain(of: &[(&Account, i64)]) -> What {
    What::Transfer { legs: legs(of), terms: Terms::default() }
}

fn expiring(hours: i64) -> Terms {
    Terms { expires_ms: Some(NOON_MS + hours * HOUR_MS), ..Terms::default() }
}

async fn nothing_wrong(books: &Books) {
    assert_eq!(books.verified().await.failed, []);
}

async fn an_outcome_once_told_never_changes(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    let first = created(books.send("one", &mint(), &ada, 50).await);
    assert_eq!((first.lines[1].after.seq, first.lines[1].after.balance), (1, 50));
    books.pass(HOUR_MS);
    assert_eq!(books.send("one", &mint(), &ada, 50).await, Outcome::Exists(first));
    assert_eq!(books.send("one", &mint(), &ada, 51).await, Outcome::ExistsWithDifferent("amount"));
    assert_eq!(books.send("one", &mint(), &bob, 50).await, Outcome::ExistsWithDifferent("account"));
    let again = Order::transfer(id("one"), (&mint(), &ada), 50);
    let timed = What::Transfer { legs: legs(&[(&mint(), -50), (&ada, 50)]), terms: expiring(9) };
    for (order, field) in [
        (again.clone().about("rebate", ""), "code"),
        (again.clone().about("transfer", "order 7"), "reference"),
        (Order { what: timed, ..again.clone() }, "expires_ms"),
        (Order { what: What::Release { hold: id("x") }, ..again }, "kind"),
    ] {
        assert_eq!(books.ledger.submit(order).await, Ok(Outcome::ExistsWithDifferent(field)));
    }

    // A refused id is used up, whatever comes later.
    assert_eq!(books.send("two", &ada, &bob, 80).await, refused(Refusal::InsufficientFunds));
    created(books.send("more", &mint(), &ada, 50).await);
    let replayed = Outcome::Refused { why: Refusal::InsufficientFunds, replayed: true };
    assert_eq!(books.send("two", &ada, &bob, 80).await, replayed);
    assert_eq!(books.send("two", &ada, &bob, 8).await, Outcome::ExistsWithDifferent("amount"));
    created(books.send("three", &ada, &bob, 80).await);
    assert_eq!((books.has(&ada).await.0, books.has(&bob).await.0), (20, 80));
    assert_eq!(books.send("four", &points("nobody"), &bob, 1).await, refused(Refusal::InsufficientFunds));
    let closed = Account::house("closed", &unit("point"));
    assert_eq!(books.send("five", &mint(), &closed, 1).await, refused(Refusal::NoSuchAccount));
    nothing_wrong(&books).await;
    books.close().await;
}

async fn all_legs_are_moved_or_none(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob, cleo) = (points("ada"), points("bob"), points("cleo"));
    created(books.send("ada", &mint(), &ada, 100).await);
    created(books.send("bob", &mint(), &bob, 10).await);
    let split = [(&ada, -60), (&bob, -20), (&cleo, 80)];
    assert_eq!(books.order("split", plain(&split)).await, refused(Refusal::InsufficientFunds));
    assert_eq!((books.has(&ada).await.0, books.has(&bob).await.0), (100, 10));
    let missing = Err(Error::NoSuchAccount("participant:cleo/main/point".to_owned()));
    assert_eq!(books.ledger.balance(&cleo).await, missing);
    created(books.order("again", plain(&[(&ada, -60), (&bob, -10), (&cleo, 70)])).await);
    assert_eq!((books.has(&ada).await.0, books.has(&bob).await.0, books.has(&cleo).await.0), (40, 0, 70));
    let posted = books.ledger.statement(&ada, None, 10).await.expect("a statement");
    let told: Vec<_> = posted
        .iter()
        .map(|posted| (posted.line.after.seq, posted.line.amount, posted.line.after.balance))
        .collect();
    assert_eq!(told, [(2, -60, 40), (1, 100, 100)], "a refused order has no posting");
    nothing_wrong(&books).await;
    books.close().await;
}

async fn what_could_never_be_done_is_told_and_uses_no_id(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    let coins = Account::of("ada", &unit("coin"));
    let many: Vec<Account> = (0..LEGS_MAX).map(|number| points(&number.to_string())).collect();
    let mut too_many: Vec<_> = many.iter().map(|account| (account, 1)).collect();
    let minted = mint();
    too_many.push((&minted, -i64::try_from(LEGS_MAX).expect("a number")));
    let long = "x".repeat(129);
    let unbalanced = |unit: &str, sum| Error::Unbalanced { unit: unit.to_owned(), sum };
    let text = |what, characters| Error::BadText { what, characters };
    for (what, error) in [
        (plain(&[(&ada, -5)]), Error::BadLegs),
        (plain(&[]), Error::BadLegs),
        (plain(&too_many), Error::BadLegs),
        (plain(&[(&ada, -5), (&ada, 5)]), Error::BadLegs),
        (plain(&[(&ada, -5), (&bob, 4)]), unbalanced("point", -1)),
        (plain(&[(&ada, -5), (&coins, 5)]), unbalanced("coin", 5)),
        (plain(&[(&ada, 0), (&bob, 0)]), Error::BadAmount),
        (plain(&[(&ada, -AMOUNT_MAX - 1), (&bob, AMOUNT_MAX + 1)]), Error::BadAmount),
        (plain(&[(&ada, i64::MIN), (&bob, i64::MAX)]), Error::BadAmount),
        (plain(&[(&points(""), -5), (&bob, 5)]), text("participant", 128)),
        (plain(&[(&points(&long), -5), (&bob, 5)]), text("participant", 128)),
        (plain(&[(&points("a\u{7}"), -5), (&bob, 5)]), text("participant", 128)),
        (
            What::Hold { from: ada.clone(), to: coins.clone(), amount: 5, expires_ms: NOON_MS + 1 },
            Error::BadLegs,
        ),
        (What::Capture { hold: id("h"), amount: Some(0) }, Error::BadAmount),
        (What::Open { account: ada.clone(), overdraft: Overdraft::UpTo(-1) }, Error::BadAmount),
    ] {
        let order = Order { id: id("bad"), code: "trial".to_owned(), reference: String::new(), what };
        assert_eq!(books.ledger.submit(order.clone()).await, Err(error), "{order:?}");
    }
    let order = Order::transfer(id("bad"), (&mint(), &ada), 5);
    assert_eq!(books.ledger.submit(order.clone().about("", "")).await, Err(text("code", 32)));
    assert_eq!(books.ledger.submit(order.clone().about("c", &long)).await, Err(text("reference", 128)));
    created(books.ledger.submit(order).await.expect("an outcome"));
    books.close().await;
}

async fn nobody_owes_more_than_they_may(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    created(books.send("ada", &mint(), &ada, 10).await);
    assert_eq!(books.send("a", &ada, &bob, 11).await, refused(Refusal::InsufficientFunds));
    created(books.overdraft("allow", &ada, Overdraft::UpTo(5)).await);
    created(books.send("b", &ada, &bob, 15).await);
    assert_eq!(books.send("c", &ada, &bob, 1).await, refused(Refusal::InsufficientFunds));
    assert_eq!(
        books.overdraft("forbid", &ada, Overdraft::Forbidden).await,
        refused(Refusal::InsufficientFunds)
    );
    created(books.send("d", &bob, &ada, 5).await);
    created(books.overdraft("forbid again", &ada, Overdraft::Forbidden).await);
    assert_eq!(
        books.overdraft("allow", &ada, Overdraft::UpTo(6)).await,
        Outcome::ExistsWithDifferent("overdraft")
    );
    assert_eq!(books.send("e", &ada, &bob, 1).await, refused(Refusal::InsufficientFunds));

    // Far more than there can be.
    for number in 0..1000 {
        created(books.send(&format!("rich {number}"), &mint(), &bob, AMOUNT_MAX - 10).await);
    }
    created(books.send("nearly", &mint(), &bob, 9_990).await);
    assert_eq!(books.send("too much", &mint(), &bob, AMOUNT_MAX).await, refused(Refusal::BalanceTooLarge));
    nothing_wrong(&books).await;
    books.close().await;
}

async fn a_thousand_debits_at_once_never_overdraw(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    created(books.send("ada", &mint(), &ada, 400).await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let (ledger, pair) = (books.ledger.clone(), (ada.clone(), bob.clone()));
        tasks.spawn(async move {
            let order = Order::transfer(id(&format!("debit {number}")), (&pair.0, &pair.1), 3);
            ledger.submit(order).await.expect("an outcome")
        });
    }
    let outcomes = tasks.join_all().await;
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Created(_))).count();
    assert_eq!(done, 133);
    let no = |outcome: &&Outcome| **outcome == refused(Refusal::InsufficientFunds);
    assert_eq!(outcomes.iter().filter(no).count(), 867);
    assert_eq!(
        (books.has(&ada).await.0, books.has(&bob).await.0),
        (1, 399),
        "the last point buys nothing that costs three"
    );
    nothing_wrong(&books).await;
    books.close().await;
}

async fn a_hold_is_captured_released_or_over(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, pot) = (points("ada"), books.house("pot", Overdraft::Forbidden).await);
    created(books.send("ada", &mint(), &ada, 100).await);
    let hold = |amount, hours: i64| What::Hold {
        from: ada.clone(),
        to: pot.clone(),
        amount,
        expires_ms: NOON_MS + hours * HOUR_MS,
    };
    let capture = |word: &str, amount| What::Capture { hold: id(word), amount };
    let release = |word: &str| What::Release { hold: id(word) };
    created(books.order("one", hold(50, 1)).await);
    assert_eq!(books.has(&ada).await, (100, 50, 0));
    assert_eq!(books.send("spend", &ada, &pot, 51).await, refused(Refusal::InsufficientFunds), "it is held");
    assert_eq!(books.order("too much", hold(51, 1)).await, refused(Refusal::InsufficientFunds));
    assert_eq!(books.order("beyond", capture("one", Some(51))).await, refused(Refusal::BeyondHold));

    let captured = created(books.order("capture", capture("one", Some(20))).await);
    assert_eq!(books.has(&ada).await, (80, 0, 0), "the rest is released");
    assert_eq!(books.has(&pot).await, (20, 0, 0));
    assert_eq!(books.order("capture", capture("one", Some(20))).await, Outcome::Exists(captured));
    assert_eq!(
        books.order("capture", capture("one", Some(21))).await,
        Outcome::ExistsWithDifferent("amount")
    );
    assert_eq!(books.order("capture", capture("two", Some(20))).await, Outcome::ExistsWithDifferent("hold"));
    assert_eq!(books.order("twice", capture("one", None)).await, refused(Refusal::HoldCaptured));
    assert_eq!(books.order("late", release("one")).await, refused(Refusal::HoldCaptured));
    assert_eq!(books.order("none", capture("nothing", None)).await, refused(Refusal::NoSuchHold));

    created(books.order("two", hold(30, 1)).await);
    created(books.order("release", release("two")).await);
    assert_eq!(books.has(&ada).await, (80, 0, 0));
    assert_eq!(books.order("after", capture("two", None)).await, refused(Refusal::HoldReleased));

    // The server's clock ends it, to the millisecond, whether or not somebody looks.
    for word in ["three", "four", "five"] {
        created(books.order(word, hold(25, 2)).await);
    }
    books.pass(2 * HOUR_MS - 1);
    created(books.order("in time", capture("three", None)).await);
    assert_eq!(books.has(&ada).await, (55, 50, 0));
    books.pass(1);
    assert_eq!(books.order("too late", capture("four", None)).await, refused(Refusal::HoldExpired));
    assert_eq!(books.has(&ada).await, (55, 0, 0), "both are over");
    assert_eq!(books.order("later", release("five")).await, refused(Refusal::HoldExpired));
    for expires_ms in [0, NOON_MS + 2 * HOUR_MS, NOON_MS + 2 * HOUR_MS + HOLD_MAX_MS + 1] {
        let what = What::Hold { from: ada.clone(), to: pot.clone(), amount: 1, expires_ms };
        assert_eq!(books.order(&format!("until {expires_ms}"), what).await, refused(Refusal::BadTime));
    }
    nothing_wrong(&books).await;
    books.close().await;
}

async fn what_is_due_is_done_without_anybody_asking(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, pot) = (points("ada"), books.house("pot", Overdraft::Forbidden).await);
    created(books.send("ada", &mint(), &ada, 100).await);
    for (word, hours) in [("one", 1), ("two", 2), ("three", 3)] {
        let expires_ms = NOON_MS + hours * HOUR_MS;
        let what = What::Hold { from: ada.clone(), to: pot.clone(), amount: 10, expires_ms };
        created(books.order(word, what).await);
    }
    for number in 0..3 {
        let name = format!("p{number}");
        created(books.grant(&name, &name, 7, expiring(2)).await);
    }
    assert_eq!(books.ledger.settle_due().await, Ok(0));
    books.pass(2 * HOUR_MS);
    assert_eq!(books.ledger.settle_due().await, Ok(5), "two holds and three lots");
    assert_eq!(books.has(&ada).await, (100, 10, 0));
    assert_eq!(books.has(&points("p2")).await, (0, 0, 0));
    let expired = Account::house("expired", &unit("point"));
    assert_eq!(books.has(&expired).await, (21, 0, 0));
    assert_eq!(books.ledger.settle_due().await, Ok(0));
    nothing_wrong(&books).await;
    books.close().await;
}

async fn what_was_done_is_undone_once_and_both_stay(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    created(books.send("grant", &mint(), &ada, 100).await);
    created(books.send("gift", &ada, &bob, 60).await);
    assert_eq!(books.send("refused", &ada, &bob, 60).await, refused(Refusal::InsufficientFunds));
    let undo = |word: &str| What::Reverse { of: id(word) };
    let undone = created(books.order("undo", undo("gift")).await);
    assert_eq!((books.has(&ada).await.0, books.has(&bob).await.0), (100, 0));
    assert_eq!(books.order("undo", undo("gift")).await, Outcome::Exists(undone));
    assert_eq!(books.order("undo", undo("grant")).await, Outcome::ExistsWithDifferent("of"));
    assert_eq!(books.order("again", undo("gift")).await, refused(Refusal::NotReversible));
    assert_eq!(books.order("back", undo("undo")).await, refused(Refusal::NotReversible));
    assert_eq!(books.order("open", undo("open mint")).await, refused(Refusal::NotReversible));
    for word in ["refused", "nothing"] {
        assert_eq!(books.order(&format!("of {word}"), undo(word)).await, refused(Refusal::NoSuchTransfer));
    }
    // What is spent cannot be taken back.
    created(books.send("spend", &ada, &bob, 90).await);
    assert_eq!(books.order("clawback", undo("grant")).await, refused(Refusal::InsufficientFunds));
    let posted = books.ledger.statement(&bob, None, 10).await.expect("a statement");
    assert_eq!(posted.iter().map(|posted| posted.line.amount).collect::<Vec<_>>(), [90, -60, 60]);
    nothing_wrong(&books).await;
    books.close().await;
}

async fn points_become_available_are_spent_in_order_and_expire(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, shop) = (points("ada"), books.house("shop", Overdraft::Forbidden).await);
    created(books.send("plain", &mint(), &ada, 5).await);
    let later = Terms { available_ms: Some(NOON_MS + HOUR_MS), expires_ms: Some(NOON_MS + 4 * HOUR_MS) };
    created(books.grant("soon", "ada", 10, expiring(2)).await);
    created(books.grant("later", "ada", 20, later).await);
    assert_eq!(books.has(&ada).await, (35, 0, 20));
    assert_eq!(books.send("too much", &ada, &shop, 16).await, refused(Refusal::InsufficientFunds));
    created(books.send("spend", &ada, &shop, 8).await);
    assert_eq!(books.has(&ada).await, (27, 0, 20), "5 of the first and 3 of the second");
    books.pass(HOUR_MS);
    created(books.send("more", &ada, &shop, 1).await);
    assert_eq!(books.has(&ada).await, (26, 0, 0), "all is available now");
    books.pass(HOUR_MS);
    books.ledger.settle_due().await.expect("settled");
    assert_eq!(books.has(&ada).await, (20, 0, 0), "6 of the second have expired");
    // What comes back goes where it came from; what has expired meanwhile does so again.
    created(books.order("undo", What::Reverse { of: id("spend") }).await);
    assert_eq!(books.has(&ada).await, (25, 0, 0), "3 came back expired, and 5 to stay");
    books.ledger.settle_due().await.expect("settled");
    created(books.send("touch", &ada, &shop, 1).await);
    assert_eq!(books.has(&ada).await, (24, 0, 0));
    // A grant that is taken back takes its own lot.
    created(books.order("clawback", What::Reverse { of: id("later") }).await);
    assert_eq!(books.has(&ada).await, (4, 0, 0));
    books.pass(9 * HOUR_MS);
    books.ledger.settle_due().await.expect("settled");
    assert_eq!(books.has(&ada).await, (4, 0, 0), "what has no end stays");
    nothing_wrong(&books).await;
    books.close().await;
}

async fn what_is_held_expires_when_the_hold_is_over(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, pot) = (points("ada"), books.house("pot", Overdraft::Forbidden).await);
    created(books.grant("grant", "ada", 10, expiring(1)).await);
    let expires_ms = NOON_MS + 2 * HOUR_MS;
    created(
        books.order("hold", What::Hold { from: ada.clone(), to: pot.clone(), amount: 6, expires_ms }).await,
    );
    books.pass(HOUR_MS);
    books.ledger.settle_due().await.expect("settled");
    assert_eq!(books.has(&ada).await, (6, 6, 0), "4 have expired");
    nothing_wrong(&books).await;
    books.pass(HOUR_MS);
    books.ledger.settle_due().await.expect("settled");
    assert_eq!(books.has(&ada).await, (0, 0, 0));
    nothing_wrong(&books).await;
    books.close().await;
}

async fn one_unit_becomes_another_at_the_rate_that_is_said(profile: Profile) {
    let books = Books::open(profile).await;
    let (point, coin) = (unit("point"), unit("coin"));
    let ada = points("ada");
    created(books.send("ada", &mint(), &ada, 105).await);
    let rate = Rate::new(1, 10, Rounding::Down).expect("a rate");
    let exchange = |word: &str| Order::exchange(id(word), &ada, &coin, 105, rate).expect("an order");
    created(books.ledger.submit(exchange("one")).await.expect("an outcome"));
    assert_eq!(books.has(&ada).await.0, 0);
    assert_eq!(books.has(&Account::of("ada", &coin)).await.0, 10);
    assert_eq!(books.has(&Account::house("exchange", &point)).await.0, 105);
    assert_eq!(books.has(&Account::house("exchange", &coin)).await.0, -10);
    nothing_wrong(&books).await;
    books.close().await;
}

/// The house's standard accounts, and participants' wallets, are there when something first moves to or from them.
async fn standard_accounts_open_by_themselves_and_others_do_not(profile: Profile) {
    let books = Books::open_in(profile.place()).await;
    for name in ["ticket", "coin"] {
        let unit = unit(name);
        let of = |name: &str| Account::house(name, &unit);
        let (ada, bob) = (Account::of("ada", &unit), Account::of("bob", &unit));
        let word = |word: &str| format!("{word} {name}");
        created(books.send(&word("issue"), &of("issued"), &ada, 30).await);
        created(books.send(&word("spend"), &ada, &of("spent"), 10).await);
        for (from, why) in [
            (of("expired"), Refusal::InsufficientFunds),
            (of("budget"), Refusal::NoSuchAccount),
            (Account { wallet: "vault".to_owned(), ..of("issued") }, Refusal::NoSuchAccount),
        ] {
            assert_eq!(books.send(&word(&from.to_string()), &from, &ada, 1).await, refused(why));
        }
        assert_eq!(
            books.send(&word("unspend"), &of("spent"), &ada, 11).await,
            refused(Refusal::InsufficientFunds)
        );
        let hold = |to: &Account, amount| What::Hold {
            from: ada.clone(),
            to: to.clone(),
            amount,
            expires_ms: NOON_MS + HOUR_MS,
        };
        // Whoever is to receive what is held has an account from then on; a refused hold opens none.
        assert_eq!(books.order(&word("too much"), hold(&bob, 21)).await, refused(Refusal::InsufficientFunds));
        assert!(books.ledger.balance(&bob).await.is_err());
        for (to, word) in [(bob.clone(), word("to bob")), (of("exchange"), word("to exchange"))] {
            let held = created(books.order(&word, hold(&to, 5)).await);
            assert_eq!(books.order(&word, hold(&to, 5)).await, Outcome::Exists(held));
            assert_eq!(books.has(&to).await, (0, 0, 0));
            let capture = What::Capture { hold: id(&word), amount: None };
            created(books.order(&format!("capture {word}"), capture).await);
            assert_eq!(books.has(&to).await, (5, 0, 0));
        }
        created(books.order(&word("to budget"), hold(&of("budget"), 5)).await);
        let capture = What::Capture { hold: id(&word("to budget")), amount: None };
        assert_eq!(books.order(&word("capture budget"), capture).await, refused(Refusal::NoSuchAccount));
        // What stands open may get another overdraft.
        created(books.overdraft(&word("owe"), &of("spent"), Overdraft::UpTo(5)).await);
        created(books.send(&word("more"), &of("spent"), &ada, 15).await);
        assert_eq!(books.has(&of("issued")).await.0, -30);
    }
    nothing_wrong(&books).await;
    books.close().await;
}

async fn everything_is_there_after_a_restart(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    created(books.grant("grant", "ada", 50, expiring(1)).await);
    let first = created(books.send("gift", &ada, &bob, 20).await);
    let books = Books::open_in(books.close().await).await;
    assert_eq!(books.send("gift", &ada, &bob, 20).await, Outcome::Exists(first));
    books.pass(HOUR_MS);
    books.ledger.settle_due().await.expect("settled");
    assert_eq!((books.has(&ada).await.0, books.has(&bob).await.0), (0, 20));
    nothing_wrong(&books).await;
    books.close().await;
}

trials::in_each_profile!(
    an_outcome_once_told_never_changes,
    all_legs_are_moved_or_none,
    what_could_never_be_done_is_told_and_uses_no_id,
    nobody_owes_more_than_they_may,
    a_thousand_debits_at_once_never_overdraw,
    a_hold_is_captured_released_or_over,
    what_is_due_is_done_without_anybody_asking,
    what_was_done_is_undone_once_and_both_stay,
    points_become_available_are_spent_in_order_and_expire,
    what_is_held_expires_when_the_hold_is_over,
    one_unit_becomes_another_at_the_rate_that_is_said,
    standard_accounts_open_by_themselves_and_others_do_not,
    everything_is_there_after_a_restart,
);
