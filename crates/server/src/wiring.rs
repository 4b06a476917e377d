//! Puts the product together: which adapter keeps which port, who hears which effect, which rooms' tables there are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use campaign::award::{Awards, DRAW_MADE};
use embedded::broker::ProcessBroker;
use embedded::clock::SystemClock;
use embedded::entropy::SystemEntropy;
use embedded::sqlite::{Caches, SqliteRecords, database_path};
use kernel::id::Shard;
use kernel::ports::broker::{Broker, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use raffle::epoch::GATE_CLOSED;
use raffle::raffles::Raffles;
use raffle::seal::Sealer;
use raffle::turn::Reveals;
use records::batch::Limits;
use records::migration::{self, RECORDS, Room};
use records::port::Records;
use records::relay::{Pace, Relay};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::secrets::{self, SecretError};

/// The tables of every room.
pub const ROOMS: &[&Room] = &[&RECORDS, &raffle::tables::ROOM];

/// How often the timers of state machines are looked at, in milliseconds.
const TIMERS_MS: u64 = 500;

/// Why the product cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] embedded::sqlite::OpenError),
    /// A secret is not to be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is nothing to read.
    #[error("there is no store in {0}")]
    NoStore(PathBuf),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The tables cannot be brought up to date.
    #[error("{0}")]
    Records(#[from] records::error::Error),
}

/// The ports that trials replace.
pub struct Ports {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for Ports {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), entropy: Arc::new(SystemEntropy) }
    }
}

/// The running product, without its listener.
pub struct House {
    /// Raffles.
    pub raffles: Raffles,
    /// Awards.
    pub awards: Awards,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    store: Arc<SqliteRecords>,
    drivers: Vec<std::thread::JoinHandle<()>>,
    background: JoinSet<()>,
    stop: Arc<Notify>,
}

/// The file that holds the key of the seeds.
fn seed_key_file(config: &Config) -> PathBuf {
    config.store.seed_key_file.clone().unwrap_or_else(|| config.store.data.join("seed.key"))
}

impl House {
    /// Opens the store, brings its tables up to date, and starts what runs beside the listener.
    pub async fn open(config: &Config, ports: Ports) -> Result<Self, WiringError> {
        let caches = Caches {
            writer_kib: config.store.writer_cache_mib.get().saturating_mul(1024),
            ..Caches::default()
        };
        let store = Arc::new(SqliteRecords::open(&config.store.data, caches)?);
        let records: Arc<dyn Records> = Arc::clone(&store) as Arc<dyn Records>;
        migration::run(&*records, ROOMS, ports.clock.now_ms()).await?;
        // A key may be made for as long as nothing was sealed with another.
        let nothing_sealed = raffle::catalog::is_empty(&*records).await?;
        let seed_key = secrets::read_or_make(&seed_key_file(config), nothing_sealed, &*ports.entropy)?;

        let limits = Limits {
            batch: config.batch.draws_max.get(),
            queue: config.batch.queue_max.get(),
            ..Limits::default()
        };
        let clock = ports.clock;
        let (raffles, driver) = Raffles::new(
            Arc::clone(&records),
            Arc::clone(&clock),
            ports.entropy,
            Sealer::new(&seed_key),
            limits,
        );
        let drivers = vec![spawn_driver("draws-batch", driver)?];

        let awards = Awards::new(Arc::clone(&records));
        let reveals = Reveals::new(Arc::clone(&records), Arc::clone(raffles.catalog()), Arc::clone(&clock));
        let broker = ProcessBroker::default()
            .with(DRAW_MADE, Arc::new(awards.clone()) as Arc<dyn Subscriber>)
            .with(GATE_CLOSED, Arc::new(reveals));
        let broker: Arc<dyn Broker> = Arc::new(broker);

        let stop = Arc::new(Notify::new());
        let mut background = JoinSet::new();
        for shard in records.shards() {
            let relay = Relay::new(
                Arc::clone(&records),
                Arc::clone(&broker),
                Arc::clone(&clock),
                shard,
                Pace::default(),
            );
            background.spawn(relay.run(Arc::clone(&stop)));
        }
        background.spawn(watch_timers(raffles.clone(), Arc::clone(&stop)));
        Ok(Self { raffles, awards, clock, store, drivers, background, stop })
    }

    /// The records.
    pub fn records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.store) as Arc<dyn Records>
    }

    /// Decides what waits, sends what is unsent, closes the store.
    pub async fn close(mut self) {
        self.raffles.close();
        let drivers = std::mem::take(&mut self.drivers);
        let joined = tokio::task::spawn_blocking(|| drivers.into_iter().all(|driver| driver.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a batch driver had panicked");
        }
        self.stop.notify_waiters();
        while self.background.join_next().await.is_some() {}
        let store = Arc::clone(&self.store);
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::error!(shard = Shard::HOME.0, "the store did not close");
        }
    }
}

/// A store that is only read: nothing is drawn, no effect leaves, no timer rings.
pub struct Archive {
    /// Its raffles.
    pub raffles: Raffles,
    store: Arc<SqliteRecords>,
}

impl Archive {
    /// Opens a store that exists and that no other process holds.
    pub fn open(config: &Config) -> Result<Self, WiringError> {
        let path = database_path(&config.store.data);
        if !path.exists() {
            return Err(WiringError::NoStore(config.store.data.clone()));
        }
        let store = Arc::new(SqliteRecords::open(&config.store.data, Caches::default())?);
        let Ports { clock, entropy } = Ports::default();
        let seed_key = secrets::read_or_make(&seed_key_file(config), false, &*entropy)?;
        let records = Arc::clone(&store) as Arc<dyn Records>;
        // Without its driver no draw is ever made.
        let (raffles, _) = Raffles::new(records, clock, entropy, Sealer::new(&seed_key), Limits::default());
        Ok(Self { raffles, store })
    }

    /// Lets the store go.
    pub async fn close(self) {
        let Self { raffles, store } = self;
        raffles.close();
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::error!(shard = Shard::HOME.0, "the store did not close");
        }
    }
}

/// Runs a batch's driver on a thread of its own. Among the connections' tasks it would wait its turn behind hundreds of
/// them between two batches, and the database with it.
fn spawn_driver(
    name: &str,
    driver: impl Future<Output = ()> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, WiringError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WiringError::Thread)?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || runtime.block_on(driver)).map_err(WiringError::Thread)
}

async fn watch_timers(raffles: Raffles, stop: Arc<Notify>) {
    let stopped = stop.notified();
    tokio::pin!(stopped);
    loop {
        if let Err(error) = raffles.close_what_is_over().await {
            tracing::warn!(%error, "raffles that are over could not be closed");
        }
        tokio::select! {
            () = &mut stopped => return,
            () = tokio::time::sleep(Duration::from_millis(TIMERS_MS)) => {}
        }
    }
}
