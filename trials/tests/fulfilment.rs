//! Awards reach their winners once, whatever fails in between.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campaign::award::{DRAW_MADE, Kind, State};
use campaign::brake::Brake;
use campaign::error::Error;
use campaign::fulfilment::{AddressView, AwardView};
use embedded::broker::ProcessBroker;
use kernel::id::Shard;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use ledger::account::Account;
use ledger::ledger::Ledger;
use ledger::order::{Order, OrderId, Outcome};
use records::batch::Limits;
use records::conformance::faulty::{Fate, Faulty};
use records::outbox::{self, Effect, LetterId};
use records::port::write;
use records::relay::{Pace, Relay};
use trials::profile::Profile;
use trials::shop::{Fails, House, Manner, World, draw, webhook, win};

fn points(amount: u64) -> Kind {
    Kind::Points { amount, available_after_seconds: None, expires_after_seconds: None }
}

async fn points_and_tickets_are_paid_in_the_transaction_that_opens_the_award(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    let tickets = Kind::Tickets { amount: 3, available_after_seconds: None, expires_after_seconds: None };
    let nested = Kind::RaffleTicket { raffle: "autumn".to_owned() };
    let wins = [
        win("ada", 1, points(50)),
        win("ada", 2, tickets),
        win("bob", 3, nested),
        win("bob", 4, Kind::Manual),
    ];
    for _ in 0..3 {
        assert!(world.hear(&house, &wins).await);
    }
    assert!(world.hear(&house, &wins[..2]).await);
    for (participant, wallet, unit, expected) in [
        ("ada", "main", "point", 50),
        ("ada", "raffle-spring", "ticket", 3),
        ("bob", "raffle-autumn", "ticket", 1),
        ("bob", "main", "point", 0),
    ] {
        assert_eq!(world.balance(participant, wallet, unit).await, expected, "{participant} {wallet} {unit}");
    }
    let now_ms = world.clock.now_ms();
    assert_eq!(house.state("ada", 1).await, State::Paid { at_ms: now_ms, refused: 0 });
    assert_eq!(house.state("bob", 4).await, State::Granted);
    assert!(house.awards.get(draw("ada", 1), Some("ada")).await.is_ok());
    let shown = house.awards.get(draw("ada", 1), Some("bob")).await;
    assert_eq!(shown, Err(Error::NoSuchAward(draw("ada", 1).to_string())), "another's is not there");
    assert_eq!(world.books().await, vec![]);
}

/// What the ledger refuses is seen, and paid when an operator has seen to it; what was spent is not taken back.
async fn a_refused_transfer_waits_for_an_operator_and_a_spent_one_is_not_reversed(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    let far = Kind::RaffleTicket { raffle: "r".repeat(64) };
    assert!(
        world.hear(&house, &[win("ada", 1, far), win("ada", 2, points(50))]).await,
        "one does not stop the other"
    );
    assert!(matches!(house.state("ada", 1).await, State::Unpaid { refused: 1, .. }));
    let again = house.awards.replay(draw("ada", 1), "again".to_owned(), world.request()).await;
    assert!(!again.expect("a replay").replayed);
    assert!(matches!(house.state("ada", 1).await, State::Unpaid { refused: 2, .. }));
    let erased = house.awards.replay(draw("ada", 2), "paid already".to_owned(), world.request()).await;
    assert_eq!(erased, Err(Error::AwardState("paid")));

    // Ada spends a part: the whole cannot be taken back, and nothing of it is.
    let (ledger, driver) = Ledger::open(
        std::sync::Arc::clone(&world.disk),
        std::sync::Arc::clone(&world.clock) as _,
        Limits::default(),
    );
    let point = "point".parse().expect("a unit");
    let (ada, spent) = (Account::of("ada", &point), Account::house("spent", &point));
    let spend = Order::transfer(OrderId::of(&[b"spend"]), (&ada, &spent), 20);
    let back = Order::transfer(OrderId::of(&[b"back"]), (&spent, &ada), 20);
    let trial = async {
        assert!(matches!(ledger.submit(spend).await, Ok(Outcome::Created(_))));
        let reversed = house.awards.reverse(draw("ada", 2), "fraud".to_owned(), world.request()).await;
        assert_eq!(reversed, Err(Error::Spent("insufficient_funds")));
        assert!(matches!(house.state("ada", 2).await, State::Paid { .. }));
        assert_eq!(world.balance("ada", "main", "point").await, 30);
        assert!(matches!(ledger.submit(back).await, Ok(Outcome::Created(_))));
        ledger.close();
    };
    tokio::join!(driver, trial);
    let request = world.request_under("reverse");
    let first =
        house.awards.reverse(draw("ada", 2), "fraud".to_owned(), request.clone()).await.expect("a reversal");
    let second =
        house.awards.reverse(draw("ada", 2), "fraud".to_owned(), request.clone()).await.expect("a repeat");
    assert_eq!((first.replayed, second.replayed, &first.json), (false, true, &second.json));
    assert_eq!(world.balance("ada", "main", "point").await, 0);
    let other = campaign::request::Request { body_hash: [2; 32], ..request };
    let reused = house.awards.reverse(draw("ada", 2), "x".to_owned(), other).await;
    assert_eq!(reused, Err(Error::KeyReused));
    let twice = house.awards.reverse(draw("ada", 2), "x".to_owned(), world.request()).await;
    assert_eq!(twice, Err(Error::AwardState("reversed")));
}

fn coupon() -> Kind {
    Kind::Coupon { pool: "spring".to_owned() }
}

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

async fn a_code_is_given_once_and_who_finds_none_is_served_after_the_next_upload(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    let request = world.request_under("u");
    let first = house.awards.add_coupons("spring", codes(&["A", "B"]), request.clone()).await.expect("codes");
    let again = house.awards.add_coupons("spring", codes(&["A", "B"]), request).await.expect("a repeat");
    assert_eq!((first.json, again.replayed), (again.json, true));
    let twice = house.awards.add_coupons("spring", codes(&["C", "B"]), world.request()).await;
    assert_eq!(twice, Err(Error::CodesKnown { pool: "spring".to_owned(), codes: 1 }), "all or none");
    let wins: Vec<_> = (1..=4).map(|seq| win("ada", seq, coupon())).collect();
    assert!(world.hear(&house, &wins).await && world.hear(&house, &wins).await);
    let told = async |seq| house.awards.code(draw("ada", seq), Some("ada")).await;
    assert_eq!((told(1).await, told(2).await), (Ok("A".to_owned()), Ok("B".to_owned())));
    assert_eq!(told(3).await, Err(Error::NothingToTell("code")));
    assert_eq!(house.state("ada", 3).await, State::WaitsForCode);
    assert!(house.awards.code(draw("ada", 1), Some("eve")).await.is_err(), "codes are secrets");
    world.pass(1);
    assert!(world.hear(&house, &[win("bob", 5, coupon())]).await);
    house.awards.reverse(draw("ada", 4), "left".to_owned(), world.request()).await.expect("a reversal");
    house.awards.add_coupons("spring", codes(&["C", "D", "E"]), world.request()).await.expect("codes");
    assert_eq!(told(3).await, Ok("C".to_owned()), "who waited longest");
    assert_eq!(house.awards.code(draw("bob", 5), None).await, Ok("D".to_owned()));
    house.awards.reverse(draw("ada", 1), "fraud".to_owned(), world.request()).await.expect("a reversal");
    assert_eq!(told(1).await, Err(Error::NothingToTell("code")), "void");
    let pool = house.awards.pool("spring").await.expect("a pool");
    assert_eq!((pool.codes, pool.free, pool.given, pool.void), (5, 1, 3, 1));
    // More wait than one transaction serves.
    let wins: Vec<_> = (100..600).map(|seq| win("ada", seq, coupon())).collect();
    assert!(world.hear(&house, &wins).await);
    let many: Vec<_> = (0..600).map(|number| format!("many-{number}")).collect();
    house.awards.add_coupons("spring", many, world.request()).await.expect("codes");
    while house.awards.tend(Shard::HOME).await.expect("tended") > 0 {}
    let given: BTreeSet<_> = {
        let mut given = BTreeSet::new();
        for seq in 100..600 {
            assert!(given.insert(told(seq).await.expect("a code")));
        }
        given
    };
    assert_eq!(given.len(), 500);
}

fn address(name: &str) -> AddressView {
    let lines = vec!["1 Example Street".to_owned(), "12345 Town".to_owned()];
    AddressView { name: name.to_owned(), lines, country: "DE".to_owned(), phone: None }
}

async fn a_thing_is_claimed_in_time_sent_and_its_address_forgotten(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    let physical = || Kind::Physical { claim_seconds: 60 };
    let wins: Vec<_> = (1..=4).map(|seq| win("ada", seq, physical())).collect();
    assert!(world.hear(&house, &wins).await && world.hear(&house, &wins).await);
    let until_ms = world.clock.now_ms() + 60_000;
    assert_eq!(house.state("ada", 1).await, State::ToClaim { until_ms });
    let claim = async |seq, who: &str, key: &str| {
        let request = world.request_under(key);
        house.awards.claim(draw("ada", seq), Some(who), address("Ada"), request).await
    };
    assert!(matches!(claim(1, "eve", "e").await, Err(Error::NoSuchAward(_))), "only the winner claims");
    let first = claim(1, "ada", "c1").await.expect("a claim");
    world.pass(59);
    let again = claim(1, "ada", "c1").await.expect("a repeat");
    assert_eq!((&again.json, again.replayed), (&first.json, true));
    assert_eq!(claim(1, "ada", "other").await, Err(Error::AwardState("claimed")));
    assert_eq!(house.awards.address(draw("ada", 1)).await, Ok(address("Ada")));
    claim(3, "ada", "c3").await.expect("a claim in the last second");
    world.pass(1);
    // Over, whether or not anybody has looked.
    assert_eq!(claim(2, "ada", "c2").await, Err(Error::AwardState("to_claim")));
    assert_eq!(house.awards.tend(Shard::HOME).await, Ok(2));
    assert_eq!(house.awards.tend(Shard::HOME).await, Ok(0));
    assert_eq!(house.state("ada", 2).await, State::Expired { at_ms: until_ms });
    let cause = trials::cause();
    let sent = house.awards.hand_over(draw("ada", 1), "parcel 7".to_owned(), cause.clone()).await;
    assert!(matches!(sent.expect("sent").award.state, State::HandedOver { .. }));
    let reversed = house.awards.reverse(draw("ada", 1), "x".to_owned(), world.request()).await;
    assert_eq!(reversed, Err(Error::AwardState("it was handed over")));
    house.awards.reverse(draw("ada", 3), "fraud".to_owned(), world.request()).await.expect("a reversal");
    assert_eq!(house.awards.address(draw("ada", 3)).await, Err(Error::NothingToTell("address")));
    for expected in [4, 0] {
        assert_eq!(house.awards.erase("ada", "a pseudonym", (&cause, "asked")).await, Ok(expected));
    }
    assert_eq!(house.awards.address(draw("ada", 1)).await, Err(Error::NothingToTell("address")));
    let shown = house.awards.get(draw("ada", 1), Some("ada")).await;
    assert_eq!(shown, Err(Error::NoSuchAward(draw("ada", 1).to_string())), "nobody's any more");
}

/// One life of awards of every kind. Answers what is to be seen at its end.
async fn saga(world: &World, houses: impl Fn() -> House) -> Vec<(String, State)> {
    let kinds: [(&str, Kind); 5] = [
        ("ada", points(50)),
        ("bob", coupon()),
        ("cyd", Kind::Physical { claim_seconds: 600 }),
        ("dan", webhook()),
        ("eve", Kind::Manual),
    ];
    let wins: Vec<Message> =
        (1..).zip(&kinds).map(|(seq, (participant, kind))| win(participant, seq, kind.clone())).collect();
    // Each step is done by whatever process there is until one says that it is done, as clients and the relay do.
    while !world.hear(&houses(), &wins).await {}
    while houses().awards.add_coupons("spring", codes(&["A", "B"]), world.request_under("u")).await.is_err() {
    }
    let request = || world.request_under("claim");
    while houses().awards.claim(draw("cyd", 3), Some("cyd"), address("Cyd"), request()).await.is_err() {}
    while houses().awards.tend(Shard::HOME).await.is_err() {}
    for _ in 0..1000 {
        let house = houses();
        if house.awards.deliveries().await.expect("deliveries").0 == 0 {
            break;
        }
        house.courier.round().await.unwrap_or(0);
        world.pass(1);
    }
    let reverse = || world.request_under("reverse");
    for (participant, seq) in [("ada", 1), ("bob", 2), ("dan", 4)] {
        let request = campaign::request::Request { key: format!("reverse {seq}"), ..reverse() };
        while houses().awards.reverse(draw(participant, seq), "x".to_owned(), request.clone()).await.is_err()
        {
        }
    }
    for _ in 0..1000 {
        let house = houses();
        if house.awards.deliveries().await.expect("deliveries").0 == 0 {
            break;
        }
        house.courier.round().await.unwrap_or(0);
        world.pass(1);
    }
    let house = world.house();
    let mut states = Vec::new();
    for (seq, (participant, _)) in (1..).zip(&kinds) {
        let AwardView { award, .. } = house.awards.get(draw(participant, seq), None).await.expect("an award");
        states.push(((*participant).to_owned(), award.state));
    }
    states
}

fn words(states: &[(String, State)]) -> Vec<&'static str> {
    states.iter().map(|(_, state)| state.word()).collect()
}

/// Every write of the saga fails once, before it is done and after it is kept; then somebody does it again. Nothing is paid,
/// given or told twice, and nothing is left over.
async fn every_step_may_fail_or_be_done_twice(profile: Profile) {
    let expected = ["reversed", "reversed", "claimed", "reversed", "granted"];
    let calm = World::new(profile, true).await;
    calm.endpoint("pay", false).await;
    assert_eq!(words(&saga(&calm, || calm.house()).await), expected);
    for how in [Fails::Before, Fails::After] {
        for write in 1.. {
            let world = World::new(profile, true).await;
            world.endpoint("pay", false).await;
            let failing = world.failing(write, how);
            let states =
                saga(&world, || House { awards: failing.awards.clone(), courier: failing.courier.clone() })
                    .await;
            assert_eq!(words(&states), expected, "write {write} fails {how:?}");
            let name = |word: &str| format!("{}-{word}", draw("dan", 4));
            assert_eq!(world.shop.paid(), [name("granted"), name("reversed")], "write {write} fails {how:?}");
            assert_eq!(world.balance("ada", "main", "point").await, 0);
            let pool = world.house().awards.pool("spring").await.expect("a pool");
            assert_eq!((pool.codes, pool.free, pool.given, pool.void), (2, 1, 0, 1));
            assert_eq!(world.house().awards.deliveries().await.expect("deliveries"), (0, 0, None));
            assert_eq!(world.books().await, vec![]);
            if world.failures() == 0 {
                assert!(write > 10, "there were {write} writes");
                break;
            }
        }
    }
}

/// While fulfilment is off nothing is paid, given or sent, by anybody; what was won stays owed, and is done when it is on
/// again, once. Claiming goes on, as the time for it does.
async fn what_is_held_back_is_owed_and_done_later_once(profile: Profile) {
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    let free = world.house();
    free.awards.add_coupons("spring", codes(&["A"]), world.request()).await.expect("codes");
    let physical = || Kind::Physical { claim_seconds: 60 };
    assert!(world.hear(&free, &[win("ada", 1, webhook()), win("ada", 2, physical())]).await);

    let is_off = Arc::new(AtomicBool::new(true));
    let (hand, house) = (Arc::clone(&is_off), world.house());
    let brake = Brake::held_by(move || hand.load(Ordering::SeqCst));
    let house = House { awards: house.awards.braked(brake.clone()), courier: house.courier.braked(brake) };
    let kinds = [points(50), coupon(), physical(), webhook(), Kind::Manual, points(7), points(9)];
    let wins: Vec<_> = (3..).zip(kinds).map(|(seq, kind)| win("bob", seq, kind)).collect();
    for _ in 0..2 {
        assert!(world.hear(&house, &wins).await, "they are heard, and opened");
        assert_eq!((house.courier.round().await, house.awards.tend(Shard::HOME).await), (Ok(0), Ok(0)));
    }
    let state = async |who: &str, seq| house.state(who, seq).await;
    for seq in [3, 4, 5, 6, 8, 9] {
        assert_eq!(state("bob", seq).await, State::Held, "{seq}");
    }
    assert_eq!(state("bob", 7).await, State::Granted, "an operator hands it over, and is refused elsewhere");
    assert_eq!((world.shop.calls(), world.balance("bob", "main", "point").await), (vec![], 0));
    assert_eq!(house.awards.pool("spring").await.expect("a pool").free, 1);
    world.pass(59);
    house.awards.claim(draw("ada", 2), Some("ada"), address("Ada"), world.request()).await.expect("in time");
    // One is taken back, and the winner of another is erased, before anything was done.
    house.awards.reverse(draw("bob", 8), "fraud".to_owned(), world.request()).await.expect("a reversal");
    assert!(world.hear(&house, &[win("cyd", 10, points(5))]).await);
    let cause = trials::cause();
    assert_eq!(house.awards.erase("cyd", "a pseudonym", (&cause, "asked")).await, Ok(1));

    world.pass(3_600);
    is_off.store(false, Ordering::SeqCst);
    while house.awards.tend(Shard::HOME).await.expect("tended") > 0 {}
    assert_eq!(house.awards.tend(Shard::HOME).await, Ok(0));
    let now_ms = world.clock.now_ms();
    assert_eq!(state("bob", 3).await, State::Paid { at_ms: now_ms, refused: 0 });
    assert_eq!(state("bob", 4).await, State::CodeGiven { at_ms: now_ms });
    assert_eq!(state("bob", 5).await, State::ToClaim { until_ms: now_ms + 60_000 }, "its time begins now");
    assert!(matches!(state("bob", 8).await, State::Reversed { .. }));
    assert!(matches!(state("cyd", 10).await, State::Expired { .. }), "nobody is there to be paid");
    assert_eq!(world.balance("bob", "main", "point").await, 59, "once, and not what was taken back");
    house.courier.round().await.expect("a round");
    let name = |who: &str, seq| format!("{}-granted", draw(who, seq));
    assert_eq!(world.shop.paid(), [name("ada", 1), name("bob", 6)]);
    assert!(matches!(state("bob", 6).await, State::Delivered { .. }));
    world.hear(&house, &wins).await;
    assert_eq!(world.balance("bob", "main", "point").await, 59);
    assert_eq!(world.books().await, vec![]);
}

/// A transaction that is rolled back when all of it was done emits nothing: no award, no webhook, no points, no code, and no
/// call. Whoever asked is told so, and is served when they ask again.
async fn a_transaction_that_is_rolled_back_emits_nothing(profile: Profile) {
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    world.house().awards.add_coupons("spring", codes(&["A"]), world.request()).await.expect("codes");
    let met = |fates| world.house_on(Arc::new(Faulty::new(Arc::clone(&world.disk), fates)));
    let (house, lost) = (met(vec![Fate::Lost, Fate::Kept]), met(vec![Fate::Lost]));
    let wins = [win("ada", 1, points(50)), win("ada", 2, webhook()), win("ada", 3, coupon())];
    let before = world.rows().await;
    assert!(house.awards.take(&wins).await.iter().all(Result::is_err), "none is told that it was done");
    assert_eq!(world.rows().await, before);
    assert_eq!((world.house().courier.round().await, world.shop.calls()), (Ok(0), vec![]));
    // One that spoils a batch is set aside alone, and those beside it are opened.
    let poison = Message { body: b"{".to_vec(), ..win("ada", 4, points(1)) };
    let answers = house.awards.take(&[&wins[..1], &[poison], &wins[1..]].concat()).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(world.balance("ada", "main", "point").await, 50);
    assert_eq!(house.awards.pool("spring").await.expect("a pool").free, 0);
    // A call whose beginning was lost is not made, and what is taken back in vain stays.
    let before = world.rows().await;
    assert!(lost.courier.round().await.is_err());
    assert!(lost.awards.reverse(draw("ada", 1), "fraud".to_owned(), world.request()).await.is_err());
    assert_eq!((world.shop.calls(), world.rows().await), (vec![], before));
    assert_eq!((world.house().courier.round().await, world.shop.calls().len()), (Ok(1), 1));
}

/// The effect that tells of a win, on its way.
fn unsent(win: &Message, seq: u64) -> Effect {
    let (key, n, body) = (win.key.clone(), win.n, win.body.clone());
    Effect { topic: DRAW_MADE, subject: 1, seq, key, n, body, at_ms: trials::NOON_MS, due_ms: None }
}

/// What was won and not heard of yet when its winner was erased: it is opened without them, pays nobody, and no table has
/// the name when all is over, whether the news arrived or was stranded before or after.
async fn an_erased_winner_does_not_come_back_by_news_that_was_on_its_way(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    let name = "ada lovelace";
    let kinds = [points(50), coupon(), Kind::Physical { claim_seconds: 600 }, webhook(), Kind::Manual];
    let wins: Vec<Message> = (1..).zip(kinds).map(|(seq, kind)| win(name, seq, kind)).collect();
    let effects: Vec<Effect> = (1..).zip(&wins).map(|(seq, win)| unsent(win, seq)).collect();
    let posted: Result<(), records::error::Error> = write(&*world.disk, Shard::HOME, move |tx| {
        Box::pin(async move { outbox::post(tx, Shard::HOME, &effects).await })
    })
    .await;
    posted.expect("effects");
    house.awards.add_coupons("spring", codes(&["A"]), world.request()).await.expect("codes");
    // Nobody hears at first: two are stranded, and three wait.
    let relay = |attempts_max, broker: ProcessBroker| {
        let pace = Pace { attempts_max, ..Pace::default() };
        let clock = Arc::clone(&world.clock) as Arc<_>;
        Relay::new(Arc::clone(&world.disk), Arc::new(broker), clock, Shard::HOME, pace)
    };
    let cause = trials::cause();
    let erase = async || house.awards.erase(name, "a pseudonym", (&cause, "asked")).await;
    assert_eq!(relay(1, ProcessBroker::default()).round().await.expect("a round").dead, 1);
    assert!(world.knows("body FROM outbox_aside", name).await, "the stranded one, and those behind it");
    world.pass(1);
    assert_eq!(erase().await, Ok(0));
    let letters = house.awards.letters(LetterId::default(), 10).await.expect("letters");
    assert_eq!(letters.len(), 1);
    // One more is stranded after the erasure; the others are heard.
    world.pass(1);
    assert_eq!(relay(1, ProcessBroker::default()).round().await.expect("a round").dead, 1);
    let heard = || ProcessBroker::default().with(DRAW_MADE, Arc::new(house.awards.clone()));
    while world.knows("body FROM outbox_aside WHERE dead=0", name).await {
        world.pass(1);
        relay(20, heard()).round().await.expect("a round");
    }
    assert!(world.knows("body FROM outbox_aside", name).await, "the second that is stranded");
    world.pass(60);
    house.awards.tend(Shard::HOME).await.expect("tended");
    for columns in [
        "* FROM outbox",
        "body FROM outbox_aside",
        "* FROM award_holder",
        "* FROM delivery",
        "* FROM machine",
        "* FROM ledger_account",
    ] {
        assert!(!world.knows(columns, name).await, "{columns}");
    }
    assert!(!world.knows("who FROM erasure_due", "").await);
    // An operator lets the stranded ones try again: nobody is paid, and nobody named.
    for letter in house.awards.letters(LetterId::default(), 10).await.expect("letters") {
        let id = letter.letter.parse().expect("an id");
        house.awards.replay_letter(id, "again".to_owned(), world.request()).await.expect("a replay");
    }
    while world.knows("body FROM outbox_aside", "").await {
        world.pass(1);
        relay(20, heard()).round().await.expect("a round");
    }
    for (seq, word) in (1..).zip(["expired", "expired", "expired", "expired", "granted"]) {
        assert_eq!(house.state(name, seq).await.word(), word);
    }
    assert_eq!(house.awards.pool("spring").await.expect("a pool").free, 1);
    assert_eq!(house.awards.deliveries().await.expect("deliveries"), (0, 0, None));
    assert_eq!(world.balance(name, "main", "point").await, 0);
    // Whoever comes back and wins is known again.
    let mut later = win(name, 6, points(5));
    let mut made: serde_json::Value = serde_json::from_slice(&later.body).expect("JSON");
    made["at_ms"] = world.clock.now_ms().into();
    later.body = serde_json::to_vec(&made).expect("JSON");
    assert!(world.hear(&house, &[later]).await);
    assert_eq!(world.balance(name, "main", "point").await, 5);
}

/// A webhook that is owed says what was promised; once it is given up, before an erasure or after, it keeps no name.
async fn a_webhook_that_was_given_up_keeps_no_erased_name(profile: Profile) {
    let world = World::new(profile, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    let cause = trials::cause();
    world.shop.always("", Manner::Answers(422));
    assert!(world.hear(&house, &[win("ada lovelace", 1, webhook())]).await);
    world.carry(&house, 7200).await;
    world.pass(1);
    assert!(world.hear(&house, &[win("ada lovelace", 2, webhook()), win("bob", 3, webhook())]).await);
    assert_eq!(house.awards.erase("ada lovelace", "a pseudonym", (&cause, "asked")).await, Ok(2));
    assert!(!world.knows("* FROM delivery WHERE live=0", "ada lovelace").await);
    assert!(
        world.knows("* FROM delivery WHERE live=1", "ada lovelace").await,
        "it is delivered as it was promised"
    );
    world.carry(&house, 7200).await;
    assert!(!world.knows("* FROM delivery", "ada lovelace").await);
    assert!(world.knows("* FROM delivery WHERE live=0", "bob").await, "another's stays as it is");
}

trials::in_each_profile!(
    what_is_held_back_is_owed_and_done_later_once,
    points_and_tickets_are_paid_in_the_transaction_that_opens_the_award,
    a_refused_transfer_waits_for_an_operator_and_a_spent_one_is_not_reversed,
    a_code_is_given_once_and_who_finds_none_is_served_after_the_next_upload,
    a_thing_is_claimed_in_time_sent_and_its_address_forgotten,
    every_step_may_fail_or_be_done_twice,
    a_transaction_that_is_rolled_back_emits_nothing,
    an_erased_winner_does_not_come_back_by_news_that_was_on_its_way,
    a_webhook_that_was_given_up_keeps_no_erased_name,
);
