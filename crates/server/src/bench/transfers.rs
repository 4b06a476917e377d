//! `fairground bench transfers`: how many transfers a second the ledger makes durable, to one hot account and between many,
//! beside the same rows written without any logic.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use embedded::clock::SystemClock;
use embedded::sqlite::{Caches, SqliteRecords};
use kernel::amount::Unit;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::{Account, AccountId, Overdraft};
use ledger::entry::Entry;
use ledger::ledger::Ledger;
use ledger::order::{After, Order, OrderId, Outcome, What};
use ledger::verify::verify;
use records::batch::Limits;
use records::migration;
use records::port::{Records, Value, write};
use records::statement::Insert;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::terminal::{Outcome as Ended, print, print_json, runtime};
use crate::wiring::ROOMS;

/// Interleaved rounds of hot, spread and raw.
const ROUNDS: usize = 5;
/// Participants with a wallet.
const PARTICIPANTS: u64 = 100_000;
/// Orders under way at once.
const WORKERS: u64 = 2048;
/// Most transfers of one transaction.
const BATCH: usize = 1024;

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
    ratio_raw: f64,
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
        let limits = Limits { batch: BATCH, ..Limits::default() };
        let (ledger, driver) = Ledger::open(Arc::clone(&records) as Arc<dyn Records>, clock, limits);
        let driver = crate::wiring::spawn_driver("ledger-batch", driver).map_err(words)?;
        Ok(Self { records, ledger, driver, asked: Arc::new(AtomicU64::new(0)) })
    }

    /// Gives everybody a wallet with something in it, and the house its accounts.
    async fn fund(&self) -> Result<(), String> {
        let point = unit()?;
        for (name, overdraft) in [("mint", Overdraft::Unlimited), ("pot", Overdraft::Forbidden)] {
            let account = Account::house(name, &point);
            let order = Order {
                id: OrderId::of(&[b"open", name.as_bytes()]),
                code: "open".to_owned(),
                reference: String::new(),
                what: What::Open { account, overdraft },
            };
            self.ledger.submit(order).await.map_err(words)?;
        }
        let mint = Account::house("mint", &point);
        let until = |asked| asked >= PARTICIPANTS;
        self.load(until, move |number| {
            let id = OrderId::of(&[b"fund", &number.to_be_bytes()]);
            Order::transfer(id, (&mint, &person(number, &point)), 1_000_000)
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
                    match ledger.submit(order(number)).await.map_err(words)? {
                        Outcome::Created(_) => done += 1,
                        other => return Err(format!("a transfer became {other:?}")),
                    }
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
    Account::of(&format!("p{:07}", number.wrapping_mul(7_919) % PARTICIPANTS), point)
}

async fn measure(args: &Args, folder: &Path) -> Ended {
    let house = House::open(&folder.join("ours")).await?;
    house.fund().await?;
    let raw = Raw::open(&folder.join("raw")).await?;
    let (mut hots, mut spreads, mut raws, mut ratios) = (vec![], vec![], vec![], vec![]);
    let (seconds, point) = (Duration::from_secs_f64(args.seconds), unit()?);
    let pot = Account::house("pot", &point);
    for round in 0..=ROUNDS {
        let (pot, to_pot) = (pot.clone(), point.clone());
        let hot = timed(&house, seconds, move |number| {
            let id = OrderId::of(&[b"hot", &round.to_be_bytes(), &number.to_be_bytes()]);
            Order::transfer(id, (&person(number, &to_pot), &pot), 1).about("signup", "contest-1")
        })
        .await?;
        let first = head(&house).await? + 1;
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
        let bare = raw.write_again(&house, first).await?;
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
        ratios.push(spread / bare);
    }
    let found = verify(&*house.records, house.ledger.journal(), Tenant::MAIN).await.map_err(words)?;
    for failure in &found.failed {
        eprintln!("{}: {}", failure.id, failure.reason);
    }
    let report = Report {
        hot_per_s: median(hots),
        spread_per_s: median(spreads),
        raw_per_s: median(raws),
        ratio_raw: median(ratios),
        unbalanced: found.failed.len(),
    };
    house.close().await?;
    raw.records.close();
    if args.json {
        print_json(&report)?;
    } else {
        print(&format!("{report:#?}\n"))?;
    }
    Ok(found.failed.is_empty())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Transfers per second of a load.
async fn timed(
    house: &House,
    seconds: Duration,
    order: impl Fn(u64) -> Order + Clone + Send + 'static,
) -> Result<f64, String> {
    let began = Instant::now();
    let done = house.load(move |_| began.elapsed() >= seconds, order).await?;
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// The number of the last entry.
async fn head(house: &House) -> Result<u64, String> {
    let id = OrderId::of(&[b"open", b"pot"]);
    let entry = house.ledger.find(id).await.map_err(words)?;
    entry.ok_or_else(|| "the pot was never opened".to_owned())?;
    house.ledger.entries().await.map_err(words)
}

/// A store with the same tables, into which the same rows are written in the same batches, without any logic.
struct Raw {
    records: Arc<SqliteRecords>,
}

static ENTRIES: Insert =
    Insert::new("ledger_entry", &["shard", "tenant", "seq", "id", "at_ms", "body", "digest"]);
static ORDERS: Insert = Insert::new("ledger_order", &["shard", "tenant", "id", "seq"]);
static BALANCES: Insert = Insert::or_replace(
    "ledger_balance",
    &["bucket", "tenant", "account", "seq", "entry", "balance", "held", "pending", "floor", "lots"],
    3,
);

impl Raw {
    async fn open(folder: &Path) -> Result<Self, String> {
        let records = Arc::new(SqliteRecords::open(folder, Caches::default()).map_err(words)?);
        migration::run(&*records, ROOMS, 0).await.map_err(words)?;
        Ok(Self { records })
    }

    /// Writes what stands in the journal from an entry on; answers how many of them a second.
    async fn write_again(&self, house: &House, first: u64) -> Result<f64, String> {
        let (mut took, mut wrote) = (Duration::ZERO, 0);
        for (entries, seal) in house.ledger.sealed_from(first).await.map_err(words)? {
            wrote += entries.len();
            let rows = Arc::new(Rows::of(&entries));
            let began = Instant::now();
            write(&*self.records, Shard::HOME, move |tx| {
                Box::pin(async move {
                    let values = rows.values();
                    ENTRIES.rows(tx, &values[0]).await?;
                    ORDERS.rows(tx, &values[1]).await?;
                    BALANCES.rows(tx, &values[2]).await?;
                    let insert = "INSERT INTO ledger_seal (shard,tenant,batch,first_seq,last_seq,previous,root,seal_hash)
                        VALUES (0,1,?,?,?,?,?,?)";
                    let values = [
                        Value::count(seal.batch),
                        Value::count(seal.first_seq),
                        Value::count(seal.last_seq),
                        Value::Bytes(&seal.previous),
                        Value::Bytes(&seal.root),
                        Value::Bytes(&seal.hash),
                    ];
                    tx.exec(insert, &values).await.map(|_| ())
                })
            })
            .await
            .map_err(|error: records::error::Error| error.to_string())?;
            took += began.elapsed();
        }
        Ok(wrote as f64 / took.as_secs_f64())
    }
}

/// Rows of a batch, ready to be bound.
struct Rows {
    entries: Vec<(u64, [u8; 16], i64, Vec<u8>, [u8; 32])>,
    orders: Vec<([u8; 16], u64)>,
    balances: BTreeMap<AccountId, After>,
}

impl Rows {
    fn of(entries: &[Entry]) -> Self {
        let row = |entry: &Entry| {
            let body = entry.body();
            let digest = Entry::digest((entry.seq, entry.id, entry.at_ms), &body);
            (entry.seq, entry.id.0, entry.at_ms, body, digest)
        };
        let mut orders: Vec<_> = entries.iter().map(|entry| (entry.id.0, entry.seq)).collect();
        orders.sort_unstable();
        let lines = entries.iter().flat_map(|entry| &entry.lines);
        let balances = lines.map(|line| (line.account, line.after)).collect();
        Self { entries: entries.iter().map(row).collect(), orders, balances }
    }

    fn values(&self) -> [Vec<Value<'_>>; 3] {
        let (shard, tenant) = (Value::Int(0), Value::Int(1));
        let entries = self.entries.iter().flat_map(|(seq, id, at_ms, body, digest)| {
            let (id, body, digest) = (Value::Bytes(id), Value::Bytes(body), Value::Bytes(digest));
            [shard, tenant, Value::count(*seq), id, Value::Int(*at_ms), body, digest]
        });
        let orders =
            self.orders.iter().flat_map(|(id, seq)| [shard, tenant, Value::Bytes(id), Value::count(*seq)]);
        let balances = self.balances.iter().flat_map(|(account, after)| {
            [
                Value::Int(account.bucket.into()),
                tenant,
                Value::Bytes(&account.hash),
                Value::count(after.seq),
                Value::count(after.entry),
                Value::Int(after.balance),
                Value::Int(after.held),
                Value::Int(after.pending),
                Value::Int(after.floor),
                Value::Int(after.lots.into()),
            ]
        });
        [entries.collect(), orders.collect(), balances.collect()]
    }
}
