//! What was held back while fulfilment was off: done in the order in which it was won, and told to nobody where there is
//! nobody any more.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campaign::award::{Kind, State};
use campaign::brake::Brake;
use campaign::error::Error;
use fairground::rooms::ROOMS;
use kernel::id::Shard;
use kernel::ports::broker::Message;
use records::migration;
use records::port::{Value, write};
use trials::profile::Profile;
use trials::shop::{Fails, House, World, draw, webhook, win};

/// A process that holds back what is won while it is told to.
fn braked(house: House) -> (House, Arc<AtomicBool>) {
    let is_off = Arc::new(AtomicBool::new(true));
    let hand = Arc::clone(&is_off);
    let brake = Brake::held_by(move || hand.load(Ordering::SeqCst));
    (House { awards: house.awards.braked(brake.clone()), courier: house.courier.braked(brake) }, is_off)
}

async fn tend(house: &House) {
    while house.awards.tend(Shard::HOME).await.expect("tended") > 0 {}
}

fn granted(who: &str, seq: u64) -> String {
    format!("{}-granted", draw(who, seq))
}

/// Changes a row as an earlier release would have left it.
async fn leave(world: &World, sql: &'static str, values: Vec<Vec<u8>>) {
    let changed: Result<u64, records::error::Error> = write(&*world.disk, Shard::HOME, move |tx| {
        Box::pin(async move {
            let values: Vec<_> = values.iter().map(|value| Value::Bytes(value)).collect();
            tx.exec(sql, &values).await
        })
    })
    .await;
    assert_eq!(changed, Ok(1));
}

/// The winner is erased while their awards are held back: these expire, and neither that they were won nor that they were
/// taken back is told. An award of an earlier release that was left unpaid for it is taken back without a word too.
async fn the_held_awards_of_an_erased_winner_expire_untold(profile: Profile) {
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    let (house, is_off) = braked(world.house());
    let points = Kind::Points { amount: 5, available_after_seconds: None, expires_after_seconds: None };
    assert!(world.hear(&house, &[win("cyd", 1, webhook()), win("cyd", 2, points)]).await);
    let cause = trials::cause();
    assert_eq!(house.awards.erase("cyd", "a pseudonym", (&cause, "asked")).await, Ok(2));
    is_off.store(false, Ordering::SeqCst);
    tend(&house).await;
    let at_ms = trials::NOON_MS;
    for seq in [1, 2] {
        assert_eq!(house.state("cyd", seq).await, State::Expired { at_ms });
        let reversed = house.awards.reverse(draw("cyd", seq), "fraud".to_owned(), world.request()).await;
        assert_eq!(reversed, Err(Error::AwardState("it has expired")));
    }
    let unpaid = br#""state":"unpaid","why":"winner_forgotten","refused":0}"#.to_vec();
    let expired = format!(r#""state":"expired","at_ms":{at_ms}}}"#).into_bytes();
    let sql = "UPDATE machine SET state=REPLACE(state,CAST(? AS CHAR),CAST(? AS CHAR))
        WHERE kind='award' AND state LIKE '%webhook%'";
    leave(&world, sql, vec![expired, unpaid]).await;
    assert!(matches!(house.state("cyd", 1).await, State::Unpaid { .. }));
    house.awards.reverse(draw("cyd", 1), "fraud".to_owned(), world.request()).await.expect("a reversal");
    assert_eq!(house.awards.deliveries().await.expect("deliveries"), (0, 0, None));
    assert_eq!((house.courier.round().await, world.shop.calls()), (Ok(0), vec![]));
}

/// Fulfilment is on again: what somebody wins before all that was held back for them is done waits behind it, what somebody
/// else wins does not. Nothing of a winner goes before what could not be done yet.
async fn what_is_won_goes_behind_what_is_held_back_for_the_same_winner(profile: Profile) {
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    let (house, is_off) = braked(world.house());
    let wins =
        |seqs: &[u64]| -> Vec<Message> { seqs.iter().map(|seq| win("ada", *seq, webhook())).collect() };
    assert!(world.hear(&house, &wins(&[1, 2, 3])).await);
    assert!(world.hear(&house, &[win("dan", 10, webhook())]).await);
    is_off.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        assert!(world.hear(&house, &wins(&[4])).await);
    }
    assert!(world.hear(&house, &[win("bob", 11, webhook())]).await);
    assert_eq!((house.state("ada", 4).await, house.state("bob", 11).await), (State::Held, State::Granted));
    // What is taken back holds up nothing.
    house.awards.reverse(draw("ada", 2), "fraud".to_owned(), world.request()).await.expect("a reversal");
    house.awards.reverse(draw("dan", 10), "fraud".to_owned(), world.request()).await.expect("a reversal");
    assert!(world.hear(&house, &[win("dan", 12, webhook())]).await);
    assert_eq!(house.state("dan", 12).await, State::Granted, "nothing is held back for them any more");
    // The first of ada's cannot be done at once, and none of hers is.
    let failing = world.failing(1, Fails::Before);
    assert_eq!((failing.awards.tend(Shard::HOME).await, world.failures()), (Ok(0), 1));
    for seq in [1, 3, 4] {
        assert_eq!(house.state("ada", seq).await, State::Held, "{seq}");
    }
    tend(&house).await;
    assert!(world.hear(&house, &wins(&[5])).await);
    assert_eq!(house.state("ada", 5).await, State::Granted, "nothing is held back for her any more");
    world.carry(&house, 60).await;
    let mut paid = world.shop.paid();
    paid.retain(|name| ![granted("bob", 11), granted("dan", 12)].contains(name));
    assert_eq!(paid, [1, 3, 4, 5].map(|seq| granted("ada", seq)));
    assert!(!world.knows("winner FROM award_held", "").await);
}

/// One award that can never be done, with hundreds of the same winner behind it, keeps nothing of anybody else from being done,
/// and no award from expiring.
async fn what_can_never_be_done_holds_up_no_other_winner(profile: Profile) {
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    let (house, is_off) = braked(world.house());
    is_off.store(false, Ordering::SeqCst);
    assert!(world.hear(&house, &[win("eve", 990, Kind::Physical { claim_seconds: 60 })]).await);
    is_off.store(true, Ordering::SeqCst);
    let many: Vec<_> = (1..=300).map(|seq| win("ada", seq, webhook())).collect();
    assert!(world.hear(&house, &many).await);
    assert!(world.hear(&house, &[win("bob", 901, webhook()), win("bob", 902, webhook())]).await);
    // Nobody can tell whose it was.
    let id = campaign::award::id_of(draw("ada", 1));
    let sql =
        r#"UPDATE machine SET state=REPLACE(state,'"winner":"','"winner":"no ') WHERE kind='award' AND id=?"#;
    leave(&world, sql, vec![id]).await;
    world.pass(61);
    is_off.store(false, Ordering::SeqCst);
    tend(&house).await;
    assert_eq!(house.state("eve", 990).await.word(), "expired");
    for (who, seq, state) in [
        ("ada", 2, State::Held),
        ("ada", 300, State::Held),
        ("bob", 901, State::Granted),
        ("bob", 902, State::Granted),
    ] {
        assert_eq!(house.state(who, seq).await, state, "{who} {seq}");
    }
    // Once it is as it was, all are done.
    let id = campaign::award::id_of(draw("ada", 1));
    let sql =
        r#"UPDATE machine SET state=REPLACE(state,'"winner":"no ','"winner":"') WHERE kind='award' AND id=?"#;
    leave(&world, sql, vec![id]).await;
    tend(&house).await;
    assert_eq!(house.state("ada", 300).await, State::Granted);
    assert!(!world.knows("winner FROM award_held", "").await);
}

/// More winners than are looked at in one go, of whom all but the last in their order can never be done, or all can.
async fn every_winner_has_a_turn(profile: Profile) {
    const WINNERS: u64 = 230;
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    let (house, is_off) = braked(world.house());
    let name = |number: u64| format!("p{number}");
    let wins: Vec<_> = (0..2 * WINNERS).map(|seq| win(&name(seq % WINNERS), seq + 1, webhook())).collect();
    assert!(world.hear(&house, &wins).await);
    // Winners are gone through in the order of their pseudonyms, which are the keys that order effects.
    let last = (0..WINNERS).max_by_key(|place| wins[*place as usize].key.clone()).expect("a winner");
    let spoil = |from: &str, to: &str| {
        let sql = "UPDATE machine SET state=REPLACE(state,?,?) WHERE kind='award' AND state NOT LIKE ?";
        let but = format!("%{}%", draw(&name(last), last + 1));
        let (disk, values) = (Arc::clone(&world.disk), [from, to, &but].map(str::to_owned));
        async move {
            let spoilt: Result<u64, records::error::Error> = write(&*disk, Shard::HOME, move |tx| {
                Box::pin(
                    async move { tx.exec(sql, &values.each_ref().map(|value| Value::Text(value))).await },
                )
            })
            .await;
            assert_eq!(spoilt, Ok(2 * WINNERS - 1));
        }
    };
    spoil(r#""winner":""#, r#""winner":"no "#).await;
    is_off.store(false, Ordering::SeqCst);
    tend(&house).await;
    assert_eq!(house.state(&name(last), last + 1).await, State::Granted);
    assert_eq!(house.state(&name(last), last + 1 + WINNERS).await, State::Held, "it can never be done");
    spoil(r#""winner":"no "#, r#""winner":""#).await;
    tend(&house).await;
    for seq in 0..2 * WINNERS {
        assert_eq!(house.state(&name(seq % WINNERS), seq + 1).await, State::Granted, "{seq}");
    }
    assert!(!world.knows("winner FROM award_held", "").await);
}

/// What an earlier release held back has a timer and no place among what is held back of its winner: it is given one; and where
/// such a release still runs, and holds back more, that is done too.
async fn what_an_earlier_release_held_back_is_done_too(profile: Profile) {
    let world = World::new(profile, true).await;
    world.endpoint("pay", false).await;
    let (house, is_off) = braked(world.house());
    assert!(world.hear(&house, &[win("ada", 1, webhook()), win("bob", 7, webhook())]).await);
    assert!(world.hear(&house, &[win("ada", 2, webhook())]).await);
    for sql in [
        "UPDATE machine SET due_ms=7 WHERE kind='award'",
        "INSERT INTO timer (shard,due_ms,kind,id) SELECT shard,due_ms,kind,id FROM machine WHERE kind='award'",
        "DROP TABLE award_held",
        "DELETE FROM schema_step WHERE room='fulfilment' AND step=3",
    ] {
        let undone: Result<u64, records::error::Error> =
            write(&*world.disk, Shard::HOME, move |tx| Box::pin(async move { tx.exec(sql, &[]).await }))
                .await;
        undone.expect(sql);
    }
    migration::run(&*world.disk, ROOMS, 0).await.expect("tables");
    assert!(world.hear(&house, &[win("ada", 3, webhook()), win("cyd", 9, webhook())]).await);
    let id = campaign::award::id_of(draw("cyd", 9));
    leave(&world, "DELETE FROM award_held WHERE award=?", vec![id.clone()]).await;
    leave(&world, "UPDATE machine SET due_ms=7 WHERE kind='award' AND id=?", vec![id.clone()]).await;
    leave(&world, "INSERT INTO timer (shard,due_ms,kind,id) VALUES (0,7,'award',?)", vec![id]).await;
    is_off.store(false, Ordering::SeqCst);
    tend(&house).await;
    for (who, seq) in [("ada", 1), ("ada", 2), ("ada", 3), ("bob", 7), ("cyd", 9)] {
        assert_eq!(house.state(who, seq).await, State::Granted, "{who} {seq}");
    }
    world.carry(&house, 60).await;
    let mut paid = world.shop.paid();
    paid.retain(|name| ![granted("bob", 7), granted("cyd", 9)].contains(name));
    assert_eq!(paid, [1, 2, 3].map(|seq| granted("ada", seq)));
    assert!(!world.knows("id FROM timer WHERE kind='award'", "").await);
}

trials::in_each_profile!(
    what_can_never_be_done_holds_up_no_other_winner,
    every_winner_has_a_turn,
    what_an_earlier_release_held_back_is_done_too,
    the_held_awards_of_an_erased_winner_expire_untold,
    what_is_won_goes_behind_what_is_held_back_for_the_same_winner,
);
