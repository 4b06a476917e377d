//! `fairground bench transfers`: how many transfers a second the ledger makes durable, to one hot account and between many,
//! beside the same rows written without any logic; and over HTTP, beside the same server's no-op.

mod raw;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use embedded::clock::{Stopwatch, SystemClock};
use embedded::sqlite::{Caches, SqliteRecords};
use kernel::amount::Unit;
use kernel::id::Tenant;
use kernel::ports::clock::Clock;
use ledger::account::{Account, ISSUED, Overdraft};
use ledger::ledger::Ledger;
use ledger::order::{LEGS_MAX, Leg, Order, OrderId, Outcome, Terms, What};
use ledger::verify::verify;
use records::batch::Limits;
use records::migration;
use records::port::Records;
use serde::Serialize;
use tokio::task::JoinSet;

use self::raw::Raw;
use self::wire::Wire;
use super::load::participant_of;
use super::median;
use crate::rooms::ROOMS;
use crate::terminal::{Outcome as Ended, print, print_json, runtime};

/// Interleaved rounds of hot, spread and raw.
const ROUNDS: usize = 5;
/// Participants with a wallet.
const PARTICIPANTS: u64 = 100_000;
/// What each of them has to begin with.
const GRANT: i64 = 1_000_000;
/// Orders under way at once: one batch is written while the next one gathers.
const WORKERS: u64 = 8192;

/// The bench's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Length of each measured load, in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What the bench found.
#[derive(Debug, Serialize)]
struct Report {
    hot_per_s: f64,
    spread_per_s: f64,
    raw_per_s: f64,
    http_per_s: f64,
    noop_per_s: f64,
    unbalanced: usize,
}

pub(super) fn run(args: &Args) -> Ended {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err("--seconds must be above 0 and at most 3600".to_owned());
    }
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    runtime()?.block_on(measure(args, folder.path()))
}

/// A ledger on a folder of its own.
struct House {
    records: Arc<SqliteRecords>,
    ledger: Ledger,
    driver: std::thread::JoinHandle<()>,
    asked: Arc<AtomicU64>,
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn unit() -> Result<Unit, String> {
    "point".parse().map_err(words)
}

impl House {
    async fn open(folder: &Path) -> Result<Self, String> {
        let records = Arc::new(SqliteRecords::open(folder, Caches::default()).map_err(words)?);
        let clock = Arc::new(SystemClock::default());
        migration::run(&*records, ROOMS, clock.now_ms()).await.map_err(words)?;
        let served = crate::config::Ledger::default();
        let limits =
            Limits { batch: served.orders_max.get(), queue: served.queue_max.get(), ..Limits::default() };
        let (ledger, driver) = Ledger::open(Arc::clone(&records) as Arc<dyn Records>, clock, limits);
        let driver = crate::wiring::spawn_driver("ledger-batch", driver).map_err(words)?;
        Ok(Self { records, ledger, driver, asked: Arc::new(AtomicU64::new(0)) })
    }

    /// Gives everybody a wallet with something in it, and the house its pot.
    async fn fund(&self) -> Result<(), String> {
        let point = unit()?;
        let order = Order {
            id: OrderId::of(&[b"open", b"pot"]),
            code: "open".to_owned(),
            reference: String::new(),
            what: What::Open { account: Account::house("pot", &point), overdraft: Overdraft::Forbidden },
        };
        self.ledger.submit(order).await.map_err(words)?;
        // As many at once as a transfer has legs beside the one that pays.
        let at_once = LEGS_MAX as u64 - 1;
        let until = move |asked: u64| asked * at_once >= PARTICIPANTS;
        self.load(until, move |number| {
            let people = number * at_once..PARTICIPANTS.min((number + 1) * at_once);
            let sum = people.clone().map(|_| GRANT).sum::<i64>();
            let given = people.map(|number| Leg { account: person(number, &point), amount: GRANT });
            let paid = Leg { account: Account::house(ISSUED, &point), amount: -sum };
            Order {
                id: OrderId::of(&[b"fund", &number.to_be_bytes()]),
                code: "fund".to_owned(),
                reference: String::new(),
                what: What::Transfer { legs: given.chain([paid]).collect(), terms: Terms::default() },
            }
        })
        .await?;
        self.asked.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Submits orders until it is enough; answers how many were done.
    async fn load(
        &self,
        is_enough: impl Fn(u64) -> bool + Clone + Send + 'static,
        order: impl Fn(u64) -> Order + Clone + Send + 'static,
    ) -> Result<u64, String> {
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let (ledger, asked) = (self.ledger.clone(), Arc::clone(&self.asked));
            let (is_enough, order) = (is_enough.clone(), order.clone());
            workers.spawn(async move {
                let mut done = 0;
                loop {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    if is_enough(number) {
                        return Ok(done);
                    }
                    let outcome = ledger.submit(order(number)).await.map_err(words)?;
                    if !matches!(outcome, Outcome::Created(_)) {
                        return Err(format!("a transfer became {outcome:?}"));
                    }
                    done += 1;
                }
            });
        }
        workers.join_all().await.into_iter().sum()
    }

    async fn close(self) -> Result<(), String> {
        self.ledger.close();
        let driver = self.driver;
        let joined = tokio::task::spawn_blocking(move || driver.join().is_ok()).await;
        self.records.close();
        if joined.unwrap_or(false) { Ok(()) } else { Err("the driver panicked".to_owned()) }
    }
}

fn person(number: u64, point: &Unit) -> Account {
    Account::of(&format!("p{:07}", participant_of(number, PARTICIPANTS)), point)
}

async fn measure(args: &Args, folder: &Path) -> Ended {
    let house = House::open(&folder.join("ours")).await?;
    house.fund().await?;
    let raw = Raw::open(&folder.join("raw")).await?;
    let (mut hots, mut spreads, mut raws) = (vec![], vec![], vec![]);
    let (seconds, point) = (Duration::from_secs_f64(args.seconds), unit()?);
    let pot = Account::house("pot", &point);
    let mut copied = 1;
    for round in 0..=ROUNDS {
        let (pot, to_pot) = (pot.clone(), point.clone());
        let hot = timed(&house, seconds, move |number| {
            let id = OrderId::of(&[b"hot", &round.to_be_bytes(), &number.to_be_bytes()]);
            Order::transfer(id, (&person(number, &to_pot), &pot), 1).about("signup", "contest-1")
        })
        .await?;
        let first = house.ledger.entries().await.map_err(words)? + 1;
        let between = point.clone();
        let spread = timed(&house, seconds, move |number| {
            let id = OrderId::of(&[b"spread", &round.to_be_bytes(), &number.to_be_bytes()]);
            // Far apart, and never the same twice in a row.
            let (from, to) = (number, number.wrapping_mul(31) + 50_001);
            let to = if from % PARTICIPANTS == to % PARTICIPANTS { to + 1 } else { to };
            Order::transfer(id, (&person(from, &between), &person(to, &between)), 1)
                .about("gift", "between-two")
        })
        .await?;
        // What came before is written too, so that both stores are as large: a row of a larger table changes more pages.
        raw.write_again(&house.ledger, copied..first).await?;
        copied = house.ledger.entries().await.map_err(words)? + 1;
        let bare = raw.write_again(&house.ledger, first..copied).await?;
        // The first round warms what is cold.
        if round == 0 {
            continue;
        }
        eprintln!(
            "round {round}: {hot:.0} hot/s, {spread:.0} spread/s, {bare:.0} raw/s, ratio {:.3}",
            spread / bare
        );
        hots.push(hot);
        spreads.push(spread);
        raws.push(bare);
    }
    let found = verify(&*house.records, house.ledger.journal(), Tenant::MAIN).await.map_err(words)?;
    house.close().await?;
    raw.records.close();
    let Wire { http_per_s, noop_per_s, broken } = wire::measure(args.seconds, &folder.join("served")).await?;
    let failed: Vec<_> =
        found.failed.iter().map(|failure| format!("{}: {}", failure.id, failure.reason)).collect();
    for broken in failed.iter().chain(&broken) {
        eprintln!("the books do not agree: {broken}");
    }
    let report = Report {
        hot_per_s: median(hots),
        spread_per_s: median(spreads),
        raw_per_s: median(raws),
        http_per_s,
        noop_per_s,
        unbalanced: failed.len() + broken.len(),
    };
    if args.json {
        print_json(&report)?;
    } else {
        print(&format!("{report:#?}\n"))?;
    }
    Ok(report.unbalanced == 0)
}

/// Transfers per second of a load.
async fn timed(
    house: &House,
    seconds: Duration,
    order: impl Fn(u64) -> Order + Clone + Send + 'static,
) -> Result<f64, String> {
    let began = Stopwatch::start();
    let done = house.load(move |_| began.elapsed() >= seconds, order).await?;
    Ok(done as f64 / began.elapsed().as_secs_f64())
}
