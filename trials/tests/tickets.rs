//! Tickets that participants hold in the ledger: each draw uses exactly one, in its own transaction.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use embedded::clock::ManualClock;
use embedded::sqlite::inline::InlineRecords;
use kernel::amount::Unit;
use kernel::fault::{Classify, Fault};
use kernel::id::{Bucket, Shard};
use kernel::ports::clock::Clock;
use ledger::account::Account;
use ledger::ledger::Ledger;
use ledger::order::{Order as LedgerOrder, OrderId, Terms};
use raffle::dry_run::DryRunRequest;
use raffle::entry::Request;
use raffle::error::Error;
use raffle::publish::Publish;
use raffle::raffles::{DrawRequest, Raffles};
use raffle::seal::Sealer;
use raffle::standing::Attested;
use raffle::stock::Order;
use raffle::threshold::Thresholds;
use raffle::ticket;
use records::audit::Actor;
use records::batch::Limits;
use records::dialect::Dialect;
use records::error::Error as RecordsError;
use records::migration;
use records::port::{Records, Row, Tx, Value, Work};
use tokio::task::JoinSet;
use trials::NOON_MS;
use trials::books::created;
use trials::ports::SeededEntropy;
use trials::profile::Profile;
use trials::stand::{Stand, document};

const HOUR_MS: i64 = 3_600_000;

async fn a_thousand_draws_at_once_use_a_hundred_tickets(profile: Profile) {
    let stand = Stand::open(profile, "wallet: raffle-r").await;
    for who in 0..10 {
        stand.grant(&format!("g{who}"), &format!("p{who}"), 10, Terms::default()).await;
    }
    let mut crowd = JoinSet::new();
    for number in 0..1_000 {
        let raffles = stand.trial.house.raffles.clone();
        crowd.spawn(async move {
            let asked = Stand::asked(&format!("p{}", number % 10), &format!("k{number}"), 1);
            (number, raffles.draw(asked).await.map(|drawn| drawn.draw.number))
        });
    }
    let mut refused = vec![];
    let mut drawn = [0; 10];
    for (number, outcome) in crowd.join_all().await {
        match outcome {
            Ok(_) => drawn[number % 10] += 1,
            Err(error) => {
                assert_eq!((error.code(), error.fault()), ("campaign.no_ticket", Fault::Refused));
                refused.push(number);
            }
        }
    }
    assert_eq!(drawn, [10; 10]);
    assert_eq!(refused.len(), 900);
    assert_eq!((stand.holds("p0").await, stand.has(&ticket::spent()).await), (0, 100));

    let again = refused.iter().copied().find(|number| number % 10 == 3).expect("one of p3");
    let key = format!("k{again}");
    assert_eq!(stand.code("p3", &key, 1).await, "campaign.no_ticket");
    stand.grant("more", "p3", 1, Terms::default()).await;
    assert_eq!(stand.code("p3", &key, 1).await, "drawn", "what was refused may be asked again");
    assert_eq!(stand.code("p3", "another", 1).await, "campaign.no_ticket");
    stand.close(101).await;
}

async fn what_is_refused_or_repeated_uses_no_ticket(profile: Profile) {
    let stand = Stand::open(profile, "wallet: raffle-r, total: 5").await;
    let before = stand.entries().await;
    assert_eq!(stand.code("ada", "x", 1).await, "campaign.no_ticket", "she has no wallet yet");
    assert_eq!(stand.entries().await, before, "nothing was written");

    stand.grant("g", "ada", 3, Terms::default()).await;
    stand.grant("of bob", "bob", 1, Terms::default()).await;
    let before = stand.entries().await;
    assert_eq!(stand.code("ada", "four", 4).await, "campaign.no_ticket", "all of them or none");
    assert_eq!((stand.entries().await, stand.holds("ada").await), (before, 3));
    let first = stand.draw("ada", "two", 2).await.expect("two draws");
    assert_eq!((first.more.len(), stand.holds("ada").await), (1, 1));

    let before = stand.entries().await;
    let again = stand.draw("ada", "two", 2).await.expect("a repeat");
    assert!(again.replayed);
    assert_eq!((again.draw, again.more), (first.draw, first.more));
    let other = DrawRequest {
        request: Request { key: "two".to_owned(), body_hash: [8; 32], actor: Actor::house() },
        ..Stand::asked("ada", "two", 2)
    };
    assert_eq!(stand.trial.house.raffles.draw(other).await.err(), Some(Error::KeyReused));
    assert_eq!(stand.entries().await, before);

    stand.trial.order("r", Order::Freeze { prize: None }, "f").await.expect("freeze");
    assert_eq!(stand.code("ada", "frozen", 1).await, "raffle.frozen");
    stand.trial.order("r", Order::Thaw { prize: None }, "t").await.expect("thaw");
    stand.grant("more", "ada", 9, Terms::default()).await;
    assert_eq!(stand.code("ada", "beyond", 4).await, "campaign.tickets_used");
    assert_eq!(stand.holds("ada").await, 10, "neither took one");
    assert_eq!(stand.code("ada", "within", 3).await, "drawn");
    assert_eq!(stand.code("ada", "one more", 1).await, "campaign.tickets_used");
    assert_eq!((stand.holds("ada").await, stand.holds("bob").await), (7, 1));
    assert_eq!(stand.code("bob", "within", 1).await, "drawn", "everybody uses their own");
    stand.close(6).await;
}

async fn tickets_come_into_force_and_expire_between_draws(profile: Profile) {
    let stand = Stand::open(profile, "wallet: raffle-r").await;
    let until = |hours: i64| Terms { expires_ms: Some(NOON_MS + hours * HOUR_MS), ..Terms::default() };
    stand.grant("short", "ada", 2, until(1)).await;
    let later = Terms { available_ms: Some(NOON_MS + 2 * HOUR_MS), ..Terms::default() };
    stand.grant("later", "ada", 1, later).await;
    let mut seen = vec![];
    for (after_ms, draws) in [(0, 1), (HOUR_MS - 1, 0), (HOUR_MS, 1), (2 * HOUR_MS - 1, 1), (2 * HOUR_MS, 2)]
    {
        stand.trial.clock.set(NOON_MS + after_ms);
        let asked = DryRunRequest {
            raffle: "r".to_owned(),
            participant: "ada".to_owned(),
            attested: Attested::default(),
            now_ms: NOON_MS + after_ms,
        };
        let dry = stand.trial.house.raffles.dry_run(asked).await.expect("a dry run");
        seen.push(dry.chances.map_or_else(|error| error.code(), |_| "would draw"));
        for number in 0..draws {
            seen.push(stand.code("ada", &format!("{after_ms} {number}"), 1).await);
        }
    }
    let (no, would) = ("campaign.no_ticket", "would draw");
    assert_eq!(seen, [would, "drawn", would, no, no, no, no, would, "drawn", no]);
    let expired = Account::house("expired", &Unit::ticket());
    assert_eq!((stand.holds("ada").await, stand.has(&expired).await), (0, 1));
    stand.close(2).await;
}

async fn a_draws_story_tells_what_the_log_does_not(profile: Profile) {
    let stand = Stand::open(profile, "wallet: raffle-r").await;
    stand.grant("g", "ada", 3, Terms::default()).await;
    let drawn = stand.draw("ada", "k", 1).await.expect("a draw");
    assert_eq!(stand.code("ada", "another", 1).await, "drawn");
    let id = drawn.draw.id.to_string();
    let story = fairground::http::explain::StoryView::of(&stand.trial.house.raffles, &id).await;
    let story = serde_json::to_string(&story.expect("a story")).expect("JSON");
    assert!(
        story.contains("It used 1 ticket of the wallet `raffle-r` in the ledger; 2 were left."),
        "{story}"
    );
    stand.close(2).await;
}

/// Records that write down every statement, transaction by transaction.
struct Heard(Arc<dyn Records>, Arc<Mutex<Vec<Vec<String>>>>);

struct HeardWork(Box<dyn Work>, Arc<Mutex<Vec<Vec<String>>>>);

struct HeardTx<'t>(&'t mut dyn Tx, Vec<String>);

#[async_trait]
impl Tx for HeardTx<'_> {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    async fn exec(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, RecordsError> {
        self.1.push(sql.to_owned());
        self.0.exec(sql, values).await
    }

    async fn fetch(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, RecordsError> {
        self.1.push(sql.to_owned());
        self.0.fetch(sql, values).await
    }
}

#[async_trait]
impl Work for HeardWork {
    async fn run(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let mut heard = HeardTx(tx, vec![]);
        let outcome = self.0.run(&mut heard).await;
        self.1.lock().expect("a list").push(heard.1);
        outcome
    }
}

#[async_trait]
impl Records for Heard {
    fn shards(&self) -> Vec<Shard> {
        self.0.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.0.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), RecordsError> {
        self.0.write(shard, Box::new(HeardWork(work, Arc::clone(&self.1)))).await
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), RecordsError> {
        self.0.read(shard, work).await
    }
}

/// Raffles that take no tickets pay nothing for those that do, and a batch locks its gates before the ledger.
#[tokio::test]
async fn only_draws_that_take_a_ticket_touch_the_ledger_and_only_after_every_gate() {
    let disk = Arc::new(InlineRecords::open().expect("a database"));
    migration::run(&*disk, fairground::rooms::ROOMS, NOON_MS).await.expect("tables");
    let told = Arc::new(Mutex::new(vec![]));
    let records: Arc<dyn Records> = Arc::new(Heard(disk, Arc::clone(&told)));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOON_MS));
    let (raffles, driver) = Raffles::new(
        Arc::clone(&records),
        Arc::clone(&clock),
        Arc::new(SeededEntropy::kind(1)),
        Sealer::new(&[7; 32]),
        Limits::default(),
        Thresholds::default(),
    );
    let (ledger, ledger_driver) = Ledger::open(records, clock, Limits::default());
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    drivers.spawn(ledger_driver);
    for (raffle, tickets) in [("q", "total: 99"), ("r", "wallet: raffle-r"), ("s", "total: 99")] {
        let text = document("UTC", tickets).replace("raffle: r\n", &format!("raffle: {raffle}\n"));
        let request = Request { key: "p".to_owned(), body_hash: [1; 32], actor: Actor::house() };
        let publish = Publish { raffle: raffle.to_owned(), text, request };
        raffles.publish(publish).await.expect("publish");
    }
    let accounts = (&Account::house("issued", &Unit::ticket()), &ticket::held("ada", "raffle-r"));
    created(ledger.submit(LedgerOrder::transfer(OrderId([1; 16]), accounts, 5)).await.expect("an outcome"));
    let draw = async |raffle: &str, key: &str| {
        let asked = DrawRequest { raffle: raffle.to_owned(), ..Stand::asked("ada", key, 1) };
        raffles.draw(asked).await.map_or_else(|error| error.code(), |_| "drawn")
    };
    // What a statement is about, for draws that wait for each other, or not.
    let heard = || {
        let transactions = std::mem::take(&mut *told.lock().expect("a list"));
        let about = |sql: &String| match sql {
            sql if sql.contains("ledger_") => Some('l'),
            sql if sql.starts_with("SELECT") && sql.contains("FROM gate ") => Some('g'),
            _ => None,
        };
        let about = transactions.iter().map(|sql| sql.iter().filter_map(about).collect::<String>());
        about.collect::<Vec<_>>()
    };
    for raffle in ["q", "r", "s"] {
        assert_eq!(draw(raffle, "first").await, "drawn");
    }
    heard();
    assert_eq!(draw("q", "second").await, "drawn");
    assert_eq!(draw("r", "first").await, "drawn", "a repeat");
    assert_eq!(heard(), ["g", "g"]);
    assert_eq!(draw("r", "second").await, "drawn");
    let with = heard();
    assert!(with.len() == 1 && with[0].starts_with("gl") && !with[0][1..].contains('g'), "{with:?}");
    // All are asked for before the driver looks.
    let outcomes = tokio::join!(draw("q", "3"), draw("s", "3"), draw("r", "3"), draw("q", "4"));
    assert_eq!(outcomes, ("drawn", "drawn", "drawn", "drawn"));
    let with = heard();
    let gates = with.iter().map(|about| about.trim_end_matches('l')).collect::<Vec<_>>();
    assert!(gates.contains(&"ggg"), "three raffles in one batch: {with:?}");
    assert!(gates.iter().all(|gates| !gates.contains('l')), "the ledger comes after every gate: {with:?}");

    let freeze = Request { key: "f".to_owned(), body_hash: [1; 32], actor: Actor::house() };
    let order = Order::Freeze { prize: None };
    raffles.carry_out("r", order, "a trial".to_owned(), freeze).await.expect("freeze");
    heard();
    assert_eq!(draw("r", "frozen").await, "raffle.frozen");
    assert_eq!(heard(), ["g"]);
    raffles.close();
    ledger.close();
    drivers.join_all().await;
}

trials::in_each_profile!(
    a_thousand_draws_at_once_use_a_hundred_tickets,
    what_is_refused_or_repeated_uses_no_ticket,
    tickets_come_into_force_and_expire_between_draws,
    a_draws_story_tells_what_the_log_does_not,
);
