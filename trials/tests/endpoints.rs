//! Endpoints that hang, forget themselves or move: none of them holds up another, and what is owed stays owed.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use campaign::award::{Kind, State};
use campaign::courier::Courier;
use campaign::delivery::Delivery;
use campaign::endpoint::{ENDPOINTS_MAX, Wanted};
use campaign::error::Error;
use fairground::config::Config;
use fairground::vault::SealedVault;
use fairground::wiring::{House, Ports, WiringError};
use kernel::id::Shard;
use kernel::ports::outbound::{Call, Outbound, Outcome, Verb};
use raffle::seal::Sealer;
use records::outbox::Pressure;
use records::port::{Value, write};
use records::relay::{Pace, Relay};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use trials::ports::{SeededEntropy, unfollowed};
use trials::profile::Profile;
use trials::shop::{Fails, Manner, World, draw, webhook, win};

/// Servers of which some say nothing until they are told what to say.
#[derive(Default)]
struct Servers {
    silent: BTreeSet<String>,
    books: Mutex<BTreeMap<String, (usize, usize)>>,
    told: Notify,
    say: Mutex<Option<Outcome>>,
}

impl Servers {
    fn silent(hosts: &[&str]) -> Arc<Self> {
        let silent = hosts.iter().map(|host| format!("https://{host}.example/")).collect();
        Arc::new(Self { silent, ..Self::default() })
    }

    /// Calls under way, and calls that have ended, at a host.
    fn at(&self, host: &str) -> (usize, usize) {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.get(&format!("https://{host}.example/")).copied().unwrap_or_default()
    }

    fn note(&self, url: &str, change: impl FnOnce(&mut (usize, usize))) {
        change(self.books.lock().unwrap_or_else(PoisonError::into_inner).entry(url.to_owned()).or_default());
    }

    /// Ends every call that is under way.
    fn end_all(&self, outcome: Outcome) {
        *self.say.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.told.notify_waiters();
    }
}

#[async_trait]
impl Outbound for Servers {
    async fn call(&self, call: &Call) -> Outcome {
        let told = self.told.notified();
        self.note(&call.url, |(under_way, _)| *under_way += 1);
        let outcome = if self.silent.contains(&call.url) {
            told.await;
            self.say.lock().unwrap_or_else(PoisonError::into_inner).clone().expect("an outcome")
        } else {
            Outcome::Taken
        };
        self.note(&call.url, |(under_way, ended)| (*under_way, *ended) = (*under_way - 1, *ended + 1));
        outcome
    }
}

fn courier(world: &World, servers: &Arc<Servers>) -> Courier {
    let entropy = Arc::new(SeededEntropy::kind(2));
    let vault = Arc::new(SealedVault::new(Sealer::new(&[7; 32]), Arc::clone(&entropy) as _));
    let (disk, clock) = (Arc::clone(&world.disk), Arc::clone(&world.clock) as Arc<_>);
    Courier::new(disk, clock, entropy, vault, Arc::clone(servers) as _, Shard::HOME)
}

/// Waits until something holds.
async fn until(holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("it comes to hold");
}

/// Whoever has nothing to carry looks four times a second: the one writer has to do with it only where something is due.
#[tokio::test]
async fn a_look_that_finds_nothing_writes_nothing() {
    let world = World::new(Profile::Embedded, true).await;
    world.endpoint("a", false).await;
    let idle = world.failing(1, Fails::Before);
    for _ in 0..3 {
        assert_eq!(idle.courier.round().await.expect("a look"), 0);
    }
    assert_eq!(world.failures(), 0);
    let owed = win("somebody", 1, Kind::Webhook { endpoint: "a".to_owned() });
    assert!(world.hear(&world.house(), &[owed]).await);
    assert!(idle.courier.round().await.is_err());
    assert_eq!(world.failures(), 1);
    assert_eq!(idle.courier.round().await.expect("a look"), 1);
}

/// Four endpoints hang and have more than enough owed: the fifth, last of the list, gets all that is its own.
#[tokio::test]
async fn endpoints_that_hang_leave_room_for_the_others() {
    let world = World::new(Profile::Embedded, true).await;
    let house = world.house();
    let mut wins = Vec::new();
    for (place, host) in ["a", "b", "c", "d", "z"].into_iter().enumerate() {
        world.endpoint(host, false).await;
        for number in 0..if host == "z" { 20 } else { 50 } {
            let kind = Kind::Webhook { endpoint: host.to_owned() };
            wins.push(win(&format!("{host}-{number}"), (place * 100 + number + 1) as u64, kind));
        }
    }
    assert!(world.hear(&house, &wins).await);
    let servers = Servers::silent(&["a", "b", "c", "d"]);
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    running.spawn(courier(&world, &servers).run(stopped));
    let hang =
        |servers: &Servers| -> usize { ["a", "b", "c", "d"].map(|host| servers.at(host).0).iter().sum() };
    until(|| hang(&servers) == 32).await;
    assert_eq!(servers.at("z"), (0, 0), "all places are taken, for as long as a call may last");
    servers.end_all(Outcome::Unknown { fault: "no answer within 15s".to_owned() });
    until(|| servers.at("z").1 == 20 && hang(&servers) == 4).await;
    for host in ["a", "b", "c", "d"] {
        assert_eq!(servers.at(host), (1, 8), "{host} hangs with one call, to learn when it is back");
    }
    servers.end_all(Outcome::Taken);
    until(|| ["a", "b", "c", "d"].iter().all(|host| servers.at(host).0 == 8)).await;
    stop.send_replace(true);
    servers.end_all(Outcome::Taken);
    until(|| hang(&servers) == 0).await;
    running.join_all().await;
}

/// Webhooks that are owed press on new work like effects that are unsent.
#[tokio::test]
async fn what_is_owed_presses_until_it_is_taken() {
    let world = World::new(Profile::Embedded, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    world.shop.always("", Manner::Down);
    let wins: Vec<_> = (1..=5).map(|seq| win(&format!("p{seq}"), seq, webhook())).collect();
    assert!(world.hear(&house, &wins).await);
    let pressure = Arc::new(Pressure::default());
    pressure.limit_to(4);
    let courier = house.courier.clone().pressing(Arc::clone(&pressure));
    let ticks = Arc::clone(&world.clock) as Arc<_>;
    let broker = Arc::new(unfollowed());
    let relay = Relay::new(Arc::clone(&world.disk), broker, ticks, Shard::HOME, Pace::default());
    let measure = async || {
        courier.round().await.expect("a round");
        // What is told of awards leaves at once: only webhooks are owed.
        while relay.round().await.expect("a round").sent > 0 {}
        let pressure = Arc::clone(&pressure);
        let measured: Result<(), records::error::Error> = write(&*world.disk, Shard::HOME, move |tx| {
            Box::pin(async move { pressure.measure(tx, Shard::HOME).await })
        })
        .await;
        measured.expect("a measure");
    };
    measure().await;
    assert_eq!(pressure.admit(), Err(records::error::Error::Backlog));
    world.shop.always("", Manner::Takes);
    world.carry(&house, 100).await;
    measure().await;
    assert_eq!(pressure.admit(), Ok(()));
}

/// The end of a call that was made before the endpoint moved says nothing of where it is now.
#[tokio::test]
async fn a_late_gone_does_not_switch_off_where_the_endpoint_has_moved_to() {
    let world = World::new(Profile::Embedded, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    assert!(world.hear(&house, &[win("ada", 1, webhook())]).await);
    let servers = Servers::silent(&["pay"]);
    let mut rounds = JoinSet::new();
    let old = courier(&world, &servers);
    rounds.spawn(async move { old.round().await });
    while servers.at("pay").0 == 0 {
        tokio::task::yield_now().await;
    }
    let url = "https://new.example/".to_owned();
    let wanted = Wanted { url, status_url: None, keeps_ids: true, enabled: true };
    house.awards.change_endpoint("pay", wanted, world.request()).await.expect("a change");
    servers.end_all(Outcome::Refused { status: Some(410), fault: "gone".to_owned() });
    assert_eq!(rounds.join_all().await, [Ok(1)]);
    assert!(house.awards.endpoint("pay").await.expect("an endpoint").enabled);
    world.pass(3);
    assert_eq!(courier(&world, &servers).round().await, Ok(1));
    assert_eq!(servers.at("new"), (0, 1));
}

/// Ten minutes without an answer, taken or not: afterwards everything was taken once, whichever way the endpoint has to say
/// what it took.
#[tokio::test]
async fn ten_minutes_without_an_answer_pay_nobody_twice() {
    for (has_status_url, manner) in [
        (true, Manner::Hangs),
        (true, Manner::TakesAndDrops),
        (false, Manner::Hangs),
        (false, Manner::TakesAndDrops),
    ] {
        let world = World::new(Profile::Embedded, !has_status_url).await;
        let house = world.house();
        world.endpoint("pay", has_status_url).await;
        world.shop.always("", manner);
        let wins: Vec<_> = (1..=20).map(|seq| win(&format!("p{}", seq % 10), seq, webhook())).collect();
        assert!(world.hear(&house, &wins).await);
        world.carry(&house, 600).await;
        let (heard, taken) = (world.shop.calls(), world.shop.paid());
        let in_minute = |minute: i64| {
            let is_in = |at_ms: i64| (at_ms - trials::NOON_MS) / 60_000 == minute;
            heard.iter().filter(|(.., at_ms)| is_in(*at_ms)).count()
        };
        let (first, late) = (in_minute(0), (5..10).map(in_minute).sum::<usize>());
        assert!(0 < late && late < first, "{has_status_url} {manner:?}: {late} calls after {first}");
        world.shop.always("", Manner::Takes);
        assert!(world.carry(&house, 2000).await < 2000, "{has_status_url} {manner:?}");
        // What may have been taken is asked for where somebody answers, and sent once more where not.
        let mut sent: Vec<_> = world.shop.calls().split_off(heard.len());
        sent.retain(|(verb, ..)| *verb == Verb::Deliver);
        let once: BTreeSet<_> = sent.iter().map(|(_, name, _)| name).collect();
        let expected = if has_status_url { 20 - taken.len() } else { 20 };
        assert_eq!((sent.len(), once.len()), (expected, expected), "{has_status_url} {manner:?}");
        let mut paid = world.shop.paid();
        assert_eq!(paid.len(), 20, "{has_status_url} {manner:?}");
        for person in 0..10 {
            let place = |seq: u64| {
                let name = format!("{}-granted", draw(&format!("p{person}"), seq));
                paid.iter().position(|paid| *paid == name)
            };
            let (first, second) =
                (if person == 0 { 10 } else { person }, if person == 0 { 20 } else { person + 10 });
            assert!(place(first) < place(second), "{person}");
        }
        paid.sort();
        paid.dedup();
        assert_eq!(paid.len(), 20, "{has_status_url} {manner:?}");
        assert_eq!(house.awards.deliveries().await.expect("deliveries"), (0, 0, None));
    }
}

/// A deploy that answers 404, then a name that leads nowhere that is allowed: some minutes of that cost nothing that is owed.
#[tokio::test]
async fn some_minutes_of_refusals_leave_everything_owed() {
    for (manner, seconds) in
        [(Manner::Answers(404), 120), (Manner::Answers(302), 120), (Manner::Denied, 3600)]
    {
        let world = World::new(Profile::Embedded, true).await;
        let house = world.house();
        world.endpoint("pay", false).await;
        world.shop.always("", manner);
        let wins: Vec<_> = (1..=20).map(|seq| win(&format!("p{}", seq % 10), seq, webhook())).collect();
        assert!(world.hear(&house, &wins).await);
        world.carry(&house, seconds).await;
        assert_eq!(house.awards.deliveries().await.expect("deliveries").0, 20, "{manner:?}");
        assert!(matches!(
            house.awards.get(draw("p1", 1), None).await.expect("an award").delivery,
            Some(Delivery::Waiting { .. })
        ));
        world.shop.always("", Manner::Takes);
        world.carry(&house, 7200).await;
        assert_eq!(world.shop.paid().len(), 20, "{manner:?}");
    }
}

/// What was given up goes again by one call for each two hundred, those of a winner in their order, once for each key.
#[tokio::test]
async fn what_an_endpoint_has_refused_is_replayed_together() {
    let world = World::new(Profile::Embedded, true).await;
    let house = world.house();
    world.endpoint("pay", false).await;
    world.endpoint("other", false).await;
    let other = Kind::Webhook { endpoint: "other".to_owned() };
    world.shop.always("", Manner::Answers(422));
    let mut wins: Vec<_> = (1..=250).map(|seq| win(&format!("p{}", seq % 125), seq, webhook())).collect();
    wins.push(win("eve", 300, other));
    assert!(world.hear(&house, &wins).await);
    world.carry(&house, 24 * 3600).await;
    assert_eq!(house.awards.deliveries().await.expect("deliveries"), (0, 251, None));
    world.shop.always("", Manner::Takes);
    let replay = async |key: &str| {
        let request = world.request_under(key);
        let told = house.awards.replay_endpoint("pay", "mended".to_owned(), request).await.expect("a replay");
        let view: serde_json::Value = serde_json::from_slice(&told.json).expect("JSON");
        (view["replayed"].as_u64().expect("a count"), view["more"] == true, told.replayed)
    };
    assert_eq!(replay("one").await, (200, true, false));
    assert_eq!(replay("one").await, (200, true, true));
    assert_eq!(house.awards.deliveries().await.expect("deliveries").0, 200);
    assert_eq!(replay("two").await, (50, false, false));
    assert_eq!(replay("three").await, (0, false, false));
    assert!(matches!(house.state("p1", 1).await, State::Granted));
    world.carry(&house, 100).await;
    assert_eq!(
        house.awards.deliveries().await.expect("deliveries"),
        (0, 1, None),
        "another endpoint's is left"
    );
    let paid = world.shop.paid();
    let once: BTreeSet<_> = paid.iter().collect();
    assert_eq!((paid.len(), once.len()), (250, 250));
    for person in 0..125_u64 {
        let place = |seq: u64| {
            let name = format!("{}-granted", draw(&format!("p{person}"), seq));
            paid.iter().position(|paid| *paid == name).expect("paid")
        };
        let first = if person == 0 { 125 } else { person };
        assert!(place(first) < place(first + 125), "{person}");
    }
    assert!(matches!(house.state("p1", 1).await, State::Delivered { .. }));
    let missing = house.awards.replay_endpoint("none", "x".to_owned(), world.request()).await;
    assert_eq!(missing, Err(Error::NoSuchEndpoint("none".to_owned())));
}

/// An endpoint must be able to say what it took, or to take it once.
#[tokio::test]
async fn an_endpoint_that_could_take_a_webhook_twice_is_not_made() {
    let world = World::new(Profile::Embedded, true).await;
    let house = world.house();
    let wanted = |has_status_url: bool, keeps_ids| Wanted {
        url: "https://pay.example/".to_owned(),
        status_url: has_status_url.then(|| "https://pay.example/taken".to_owned()),
        keeps_ids,
        enabled: true,
    };
    let create =
        async |wanted| house.awards.create_endpoint("pay", wanted, world.request()).await.map(|_| ());
    assert_eq!(create(wanted(false, false)).await, Err(Error::NobodyToAsk));
    assert_eq!(create(wanted(true, false)).await, Ok(()));
    let change =
        async |wanted| house.awards.change_endpoint("pay", wanted, world.request()).await.map(|_| ());
    assert_eq!(change(wanted(false, false)).await, Err(Error::NobodyToAsk));
    assert_eq!(change(wanted(false, true)).await, Ok(()));
}

/// One more endpoint may be made, and several are made at once: one of them is, and all that there are can be called.
async fn there_are_only_so_many_endpoints(profile: Profile) {
    let world = World::new(profile, true).await;
    for number in 1..ENDPOINTS_MAX {
        world.endpoint(&format!("e{number}"), false).await;
    }
    let mut crowd = JoinSet::new();
    for number in 0..8 {
        let (awards, request) = (world.house().awards, world.request());
        let url = format!("https://last-{number}.example/");
        let wanted = Wanted { url, status_url: None, keeps_ids: true, enabled: true };
        crowd.spawn(async move { awards.create_endpoint(&format!("last-{number}"), wanted, request).await });
    }
    let created = crowd.join_all().await;
    let refused: Vec<_> = created.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused, vec![Error::TooManyEndpoints(ENDPOINTS_MAX); 7]);
    let listed = world.house().awards.endpoints("", ENDPOINTS_MAX + 1).await.expect("endpoints");
    assert_eq!(listed.len(), ENDPOINTS_MAX as usize);
}

/// A request that is sent again before it was answered is answered twice alike, whichever comes first.
async fn a_request_that_comes_twice_at_once_is_answered_alike(profile: Profile) {
    let world = World::new(profile, true).await;
    for number in 0..20 {
        let mut twice = JoinSet::new();
        for _ in 0..2 {
            let (awards, request) = (world.house().awards, world.request_under(&format!("key {number}")));
            let url = format!("https://shop-{number}.example/");
            let wanted = Wanted { url, status_url: None, keeps_ids: true, enabled: true };
            twice.spawn(async move { awards.create_endpoint(&format!("e{number}"), wanted, request).await });
        }
        let answers: Result<Vec<_>, Error> = twice.join_all().await.into_iter().collect();
        let answers = answers.expect("both are answered");
        assert_eq!(answers[0].json, answers[1].json);
        assert_eq!(answers.iter().filter(|answer| answer.replayed).count(), 1);
    }
}

/// One endpoint's secrets are broken: the others are called, it is listed, and a new secret brings it back.
#[tokio::test]
async fn an_endpoint_whose_secrets_cannot_be_opened_stands_alone() {
    let world = World::new(Profile::Embedded, true).await;
    let house = world.house();
    for host in ["broken", "pay"] {
        world.endpoint(host, false).await;
    }
    let spoilt: Result<u64, records::error::Error> = write(&*world.disk, Shard::HOME, |tx| {
        Box::pin(async move {
            tx.exec("UPDATE endpoint SET secrets=? WHERE id=?", &[Value::Bytes(b"x"), Value::Text("broken")])
                .await
        })
    })
    .await;
    assert_eq!(spoilt, Ok(1));
    let broken = Kind::Webhook { endpoint: "broken".to_owned() };
    assert!(world.hear(&house, &[win("ada", 1, broken), win("ada", 2, webhook())]).await);
    assert_eq!(world.carry(&house, 10).await, 10, "one waits");
    assert_eq!(world.shop.paid(), [format!("{}-granted", draw("ada", 2))]);
    let listed = house.awards.endpoints("", 10).await.expect("endpoints");
    let listed: Vec<_> = listed.iter().map(|view| (view.endpoint.as_str(), view.secrets)).collect();
    assert_eq!(listed, [("broken", 0), ("pay", 1)]);
    house.awards.rotate_endpoint("broken", 60, world.request()).await.expect("a secret");
    assert!(world.carry(&house, 10).await < 10);
    assert_eq!(world.shop.paid().len(), 2);
}

/// Nothing but an endpoint was made under the key: another key is neither made nor taken in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_sealed_only_an_endpoint_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.store.data = folder.path().join("data");
    let house = House::open(&config, Ports::default()).await.expect("a house");
    let wanted =
        Wanted { url: "https://pay.example/".to_owned(), status_url: None, keeps_ids: true, enabled: true };
    let request = campaign::request::Request {
        key: "k".to_owned(),
        body_hash: [0; 32],
        actor: records::audit::Actor::house(),
        at_ms: trials::NOON_MS,
    };
    house.awards.create_endpoint("pay", wanted, request).await.expect("an endpoint");
    house.close().await;
    let (key, kept) = (config.store.data.join("seed.key"), folder.path().join("kept"));
    std::fs::rename(&key, &kept).expect("moved");
    let told = House::open(&config, Ports::default()).await.err().expect("no house");
    assert!(matches!(told, WiringError::Secret(_)) && !key.exists(), "{told}");
    // Another store's key.
    let mut other = Config::default();
    other.store.data = folder.path().join("other");
    House::open(&other, Ports::default()).await.expect("a house").close().await;
    std::fs::copy(other.store.data.join("seed.key"), &key).expect("copied");
    let told = House::open(&config, Ports::default()).await.err().expect("no house");
    assert!(matches!(told, WiringError::WrongSeedKey(_)), "{told}");
    std::fs::rename(&kept, &key).expect("moved");
    House::open(&config, Ports::default()).await.expect("the right key opens").close().await;
}

trials::in_each_profile!(
    there_are_only_so_many_endpoints,
    a_request_that_comes_twice_at_once_is_answered_alike
);
