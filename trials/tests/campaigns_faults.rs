//! Acts over records that fail: whoever asks again under the same key gets one gain.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::sync::Arc;

use campaign::act::{Outcome, What};
use campaign::campaigns::Campaigns;
use campaign::desk::{Acted, Done};
use campaign::error::Error;
use campaign::referral::QUALIFIED;
use embedded::entropy::SystemEntropy;
use kernel::id::Shard;
use records::batch::Limits;
use records::conformance::faulty::{Fate, Faulty};
use records::error::Error as RecordsError;
use records::outbox::Pressure;
use records::port::{Records, write};
use records::relay::{Pace, Relay};
use tokio::task::JoinSet;
use trials::NOON_MS;
use trials::fair::{Fair, behaves, body};
use trials::ports::unfollowed;
use trials::profile::Profile;

const DOCUMENT: &str = "\
campaign: shop
title: Shop
budget: {units: {point: 100000}}
earning:
  - {id: gift, behaviour: gift, gains: [{unit: point, amount: 100}]}
sign_in: {days: [[{unit: point, amount: 5}]]}
offers:
  - {id: ticket, title: A ticket, price: {unit: point, amount: 30}, gains: [{unit: ticket, amount: 1}], stock: 1000}
";

/// The same campaigns once more, over records that fail.
fn failing(fair: &Fair, fates: Vec<Fate>) -> (Campaigns, JoinSet<()>) {
    let records = Arc::new(Faulty::new(Arc::clone(&fair.records), fates));
    let clock = Arc::clone(&fair.clock) as Arc<_>;
    let (campaigns, driver) = Campaigns::open(records, clock, Arc::new(SystemEntropy), Limits::default());
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    (campaigns, drivers)
}

/// Asks until it is answered; how often it was not.
async fn insist(campaigns: &Campaigns, participant: &str, what: &What) -> (Done, usize) {
    for tries in 0..20 {
        match campaigns.act(participant, what.clone(), body(&format!("{what:?}"))).await {
            Ok(done) => return (done, tries),
            Err(Error::Records(RecordsError::Unavailable(_) | RecordsError::OutcomeUnknown)) => {}
            Err(error) => panic!("{what:?}: {error}"),
        }
    }
    panic!("{what:?} is never answered");
}

fn order(key: &str) -> What {
    let (campaign, offer, key) = ("shop".to_owned(), "ticket".to_owned(), key.to_owned());
    What::Order { campaign, offer, quantity: 1, key }
}

async fn whoever_asks_again_after_a_failure_gets_it_once(profile: Profile) {
    for fates in [
        vec![Fate::Kept],
        vec![Fate::Lost, Fate::Kept],
        vec![Fate::Unsure, Fate::Kept],
        vec![Fate::Lost, Fate::Unsure, Fate::Lost, Fate::Kept],
        vec![Fate::Unsure, Fate::Unsure, Fate::Lost, Fate::Kept, Fate::Kept],
    ] {
        let fair = Fair::at(profile, NOON_MS).await;
        fair.publish("1", DOCUMENT).await.expect("published");
        let (campaigns, driver) = failing(&fair, fates.clone());
        let (mut failed, mut replayed) = (0, 0);
        let mut ask = async |what: What| {
            let (done, tries) = insist(&campaigns, "ada", &what).await;
            (failed, replayed) = (failed + tries, replayed + usize::from(done.replayed));
            done
        };
        ask(behaves("gift", "1", None)).await;
        ask(What::SignIn { campaign: "shop".to_owned() }).await;
        let mut orders = vec![];
        for key in ["a", "b"] {
            let Acted::Kept(Outcome::Ordered { order, .. }) = ask(order(key)).await.acted else {
                panic!("an order")
            };
            orders.push(order.parse().expect("an id"));
        }
        ask(What::Pay { order: orders[0] }).await;
        ask(What::Cancel { order: orders[1] }).await;
        assert_eq!(failed > 0, fates != [Fate::Kept], "{fates:?}");
        assert_eq!(replayed > 0, fates.contains(&Fate::Unsure), "{fates:?}");
        assert_eq!(fair.has("ada", "point", "main").await, (75, 0), "{fates:?}");
        assert_eq!(fair.has("ada", "ticket", "main").await, (1, 0), "{fates:?}");
        assert_eq!(fair.house("campaign-shop", "point").await, 100_000 - 105, "{fates:?}");
        let shelf = fair.campaigns.standing("shop").await.expect("a campaign").shelves[0].1;
        assert_eq!((shelf.free, shelf.held, shelf.sold), (999, 0, 1), "{fates:?}");
        assert_eq!(fair.verified().await.failed, []);
        campaigns.close();
        driver.join_all().await;
    }
}

async fn batches_that_fail_give_each_of_their_acts_once(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", DOCUMENT).await.expect("published");
    let (campaigns, driver) = failing(&fair, vec![Fate::Kept, Fate::Lost, Fate::Unsure]);
    let mut asked = JoinSet::new();
    for number in 0..300 {
        let campaigns = campaigns.clone();
        asked.spawn(async move {
            let what = behaves("gift", &(number % 100).to_string(), None);
            insist(&campaigns, &format!("p{}", number % 10), &what).await.1
        });
    }
    let failed: usize = asked.join_all().await.into_iter().sum();
    assert!(failed > 0, "no act has met a failure");
    // A hundred events, ten of each participant, each asked for three times.
    assert_eq!(fair.house("campaign-shop", "point").await, 100_000 - 100 * 100);
    assert_eq!(fair.has("p7", "point", "main").await.0, 1_000);
    assert_eq!(fair.verified().await.failed, []);
    campaigns.close();
    driver.join_all().await;
}

/// While too much is unsent nothing new begins; what was done is answered, and what follows by itself goes on.
async fn nothing_new_is_done_while_too_much_is_unsent(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let document = DOCUMENT.to_owned() + "referral: {behaviour: gift}\n";
    let document = document.replace(
        "sign_in:",
        "  - {id: thanks, behaviour: referral, gains: [{unit: point, amount: 7}]}\nsign_in:",
    );
    fair.publish("1", &document).await.expect("published");
    let pressure = Arc::new(Pressure::default());
    let (clock, records) = (Arc::clone(&fair.clock) as Arc<_>, Arc::clone(&fair.records) as Arc<dyn Records>);
    let (campaigns, driver) = Campaigns::witnessed(
        Arc::clone(&records),
        clock,
        Arc::new(SystemEntropy),
        Limits::default(),
        (Arc::clone(&pressure), Arc::new(()), None),
    );
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    let act = async |participant: &str, what: What| campaigns.act(participant, what, body("same")).await;
    let measure = async || {
        let pressure = Arc::clone(&pressure);
        let measured: Result<(), RecordsError> = write(&*records, Shard::HOME, move |tx| {
            Box::pin(async move { pressure.measure(tx, Shard::HOME).await })
        })
        .await;
        measured.expect("a measure");
    };
    let code = fair.campaigns.code("bob", "shop").await.expect("a code");
    fair.campaigns.refer("ada", ("shop", &code), body("r")).await.expect("brought");
    act("ada", behaves("gift", "1", None)).await.expect("an act, and an effect");
    pressure.limit_to(0);
    measure().await;
    let refused = Err(Error::Records(RecordsError::Backlog));
    assert_eq!(act("ada", behaves("gift", "2", None)).await, refused);
    assert_eq!(act("ada", What::SignIn { campaign: "shop".to_owned() }).await, refused);
    assert_eq!(act("ada", order("a")).await, refused);
    assert!(act("ada", behaves("gift", "1", None)).await.expect("a repeat").replayed);
    // The reward of the one who brought them is taken by campaigns under the same pressure.
    let broker = unfollowed().with(QUALIFIED, Arc::new(campaigns.clone()));
    let ticks = Arc::clone(&fair.clock) as Arc<_>;
    let relay = Relay::new(Arc::clone(&records), Arc::new(broker), ticks, Shard::HOME, Pace::default());
    while relay.round().await.expect("a round").sent > 0 {}
    assert_eq!(fair.has("bob", "point", "main").await.0, 7);
    // What effects have led to and is still owed counts as well.
    pressure.owe(1);
    measure().await;
    assert_eq!(act("ada", behaves("gift", "2", None)).await, refused);
    pressure.owe(0);
    measure().await;
    act("ada", behaves("gift", "2", None)).await.expect("what was refused has not begun");
    campaigns.close();
    drivers.join_all().await;
}

trials::in_each_profile!(
    whoever_asks_again_after_a_failure_gets_it_once,
    batches_that_fail_give_each_of_their_acts_once,
    nothing_new_is_done_while_too_much_is_unsent,
);
