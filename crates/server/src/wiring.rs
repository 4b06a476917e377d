//! Puts the product together: which adapter keeps which port, who hears which effect, which rooms' tables there are.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use campaign::award::DRAW_MADE;
use campaign::campaigns::Campaigns;
use campaign::courier::Courier;
use campaign::experiment::board::Experiments;
use campaign::experiment::bucketing::Pseudonyms;
use campaign::fulfilment::Awards;
use campaign::referral::QUALIFIED;
use campaign::vault::Vault;
use embedded::broker::ProcessBroker;
use embedded::clock::SystemClock;
use embedded::entropy::SystemEntropy;
use kernel::id::{Shard, Tenant};
use kernel::ports::broker::{Broker, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use kernel::ports::outbound::Outbound;
use ledger::ledger::Ledger;
use outbound::caller::{Caller, SetUpError};
use raffle::draw::Witness;
use raffle::epoch::GATE_CLOSED;
use raffle::raffles::Raffles;
use raffle::seal::Sealer;
use raffle::turn::Reveals;
use records::batch::Limits;
use records::migration;
use records::outbox;
use records::port::{Records, write};
use records::relay::{Pace, Relay};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::audit::AuditLog;
use crate::chronicle::{self, Chronicle};
use crate::config::{Config, ConfigError, Telemetry};
use crate::errands::Errands;
use crate::goals::{self, Each, Goals};
use crate::metrics::Metrics;
use crate::rooms::{main_rooms, open_projection};
use crate::secrets::{self, SecretError};
use crate::store::{Store, StoreError};
use crate::switches::{self, Board};
use crate::traces::Tracer;
use crate::traces::export::{Endpoint, Exporter};
use crate::vault::SealedVault;
use crate::watches::{follow, tend, watch_due, watch_orders, watch_timers};

/// Most errands of requests at once.
const ERRANDS_MAX: usize = 4;

/// Why the product cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] StoreError),
    /// A secret is not to be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The key is another than the one that sealed what the store holds.
    #[error(
        "the key in {0} is not the one that sealed this store's seeds, pseudonyms and secrets: no draw could be made or proven, and no webhook signed. Bring the right file back, or name it in store.seed_key_file"
    )]
    WrongSeedKey(PathBuf),
    /// The store's secrets cannot be looked at.
    #[error("{0}")]
    Raffles(raffle::error::Error),
    /// What awards keep secret cannot be looked at.
    #[error("{0}")]
    Fulfilment(campaign::error::Error),
    /// There is nothing to read.
    #[error("there is no store in {0}")]
    NoStore(PathBuf),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Calls to other people's servers cannot be made.
    #[error(transparent)]
    Outbound(#[from] SetUpError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Traces cannot go where they should.
    #[error("{0}")]
    Telemetry(String),
    /// The projection for searching cannot be opened.
    #[error("{0}")]
    Chronicle(#[from] chronicle::Error),
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
    /// Calls to other people's servers; over HTTP, as it is configured, where there is nothing else.
    pub outbound: Option<Arc<dyn Outbound>>,
}

impl Default for Ports {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), entropy: Arc::new(SystemEntropy), outbound: None }
    }
}

/// The running product, without its listener.
pub struct House {
    /// Raffles.
    pub raffles: Raffles,
    /// Awards.
    pub awards: Awards,
    /// The ledger.
    pub ledger: Ledger,
    /// Experiments.
    pub experiments: Experiments,
    /// Campaigns.
    pub campaigns: Campaigns,
    /// What befell participants.
    pub chronicle: Arc<Chronicle>,
    /// The audit log.
    pub audit: AuditLog,
    /// What is turned off or held back.
    pub switches: Arc<Board>,
    /// What requests have begun and is done whole.
    pub errands: Arc<Errands>,
    /// The one look that is taken at a time at whether writes are kept.
    pub pulses: Arc<Errands>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What is counted and timed.
    pub metrics: Arc<Metrics>,
    /// What is traced; `None` where no endpoint is configured.
    pub traces: Option<Arc<Tracer>>,
    store: Arc<Store>,
    /// The projection's own file, where it has one.
    projection: Option<Arc<Store>>,
    drivers: Vec<std::thread::JoinHandle<()>>,
    background: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// The file that holds the key of the seeds.
fn seed_key_file(config: &Config) -> PathBuf {
    config.store.seed_key_file.clone().unwrap_or_else(|| config.store.data.join("seed.key"))
}

impl House {
    /// Opens the store, brings its tables up to date, and starts what runs beside the listener.
    pub async fn open(config: &Config, ports: Ports) -> Result<Self, WiringError> {
        let store = Arc::new(Store::open(&config.store)?);
        let (traces, exporter) = traces(config, &ports)?;
        let metrics = Arc::new(Metrics::new(ports.clock.now_ms(), traces.clone()));
        let records = metrics.timed(Arc::clone(&store) as Arc<dyn Records>);
        migration::run(&*records, main_rooms(&config.store), ports.clock.now_ms()).await?;
        // A key may be made for as long as nothing was sealed with another.
        let nothing_sealed =
            raffle::catalog::is_empty(&*records).await? && campaign::vault::is_empty(&*records).await?;
        let sealer = sealer(config, &*records, nothing_sealed, &*ports.entropy).await?;
        let vault: Arc<dyn Vault> = Arc::new(SealedVault::new(sealer.clone(), Arc::clone(&ports.entropy)));
        if !campaign::request::opens(&*records, &*vault).await.map_err(WiringError::Fulfilment)? {
            return Err(WiringError::WrongSeedKey(seed_key_file(config)));
        }

        let limits = limits_of(config.batch.draws_max, config.batch.queue_max);
        let (clock, entropy) = (ports.clock, ports.entropy);
        let (raffles, driver) = Raffles::witnessed(
            Arc::clone(&records),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            sealer,
            limits,
            config.thresholds(),
            Arc::clone(&metrics.draws) as Arc<dyn Witness>,
        );
        let mut drivers = vec![spawn_driver("draws-batch", driver)?];
        raffles.pressure().limit_to(config.batch.unsent_max.get() as u64);
        // Orders are never refused for it: what tells of them must not refuse draws either.
        raffles.pressure().spare(ledger::reading::SEALED);
        let limits = limits_of(config.ledger.orders_max, config.ledger.queue_max);
        let told = || Arc::clone(&metrics.outcomes);
        let (ledger, driver) = Ledger::witnessed(Arc::clone(&records), Arc::clone(&clock), limits, told());
        drivers.push(spawn_driver("ledger-batch", driver)?);
        // Experiments know participants by a key that is made of this one: if it changed, everybody would be exposed anew.
        let secret = secrets::read_or_make(&seed_key_file(config), false, &*entropy)?;
        let names = Pseudonyms::new(&secrets::derived(&secret, "fairground experiments"));
        let four_eyes = config.thresholds().four_eyes;
        let (experiments, driver) =
            Experiments::open(Arc::clone(&records), Arc::clone(&clock), names, four_eyes, limits).await?;
        drivers.push(spawn_driver("exposures-batch", driver)?);
        let switches = Arc::new(Board::open(Arc::clone(&records), Arc::clone(&clock)).await?);
        let trying = goals::trying(&experiments, &switches, &clock);
        let limits = limits_of(config.campaign.acts_max, config.campaign.queue_max);
        let (campaigns, driver) = Campaigns::witnessed(
            Arc::clone(&records),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            limits,
            (Arc::clone(raffles.pressure()), told(), Some(trying)),
        );
        drivers.push(spawn_driver("campaign-batch", driver)?);

        let awards =
            Awards::new(Arc::clone(&records), Arc::clone(&clock), Arc::clone(&entropy), Arc::clone(&vault))
                .braked(switches::brake(&switches));
        let outbound = ports.outbound.map_or_else(|| caller(config), Ok)?;
        let reveals = Reveals::new(Arc::clone(&records), Arc::clone(raffles.catalog()), Arc::clone(&clock));
        let goals = Goals { raffles: raffles.clone(), experiments: experiments.clone() };
        let (projection, projected) = open_projection(&config.store, &records, clock.now_ms()).await?;
        let followed = (Arc::clone(&records), Arc::clone(raffles.catalog()));
        let ports = (Arc::clone(&clock), Arc::clone(&entropy));
        let chronicle = Arc::new(Chronicle::open(followed, ports, projected).await?);
        // What is told of a draw is what its award has become: the chronicle hears of it last.
        let of_draws: Vec<Arc<dyn Subscriber>> =
            vec![Arc::new(awards.clone()), Arc::new(goals), Arc::clone(&chronicle) as Arc<dyn Subscriber>];
        let mut broker = ProcessBroker::default();
        for topic in chronicle::TOPICS {
            broker = broker.with(topic, Arc::clone(&chronicle) as Arc<dyn Subscriber>);
        }
        let broker = broker
            .with(DRAW_MADE, Arc::new(Each(of_draws)) as Arc<dyn Subscriber>)
            .with(GATE_CLOSED, Arc::new(reveals))
            .with(QUALIFIED, Arc::new(campaigns.clone()));
        let broker: Arc<dyn Broker> = Arc::new(broker);

        let (stop, stopped) = watch::channel(false);
        let mut background = JoinSet::new();
        for shard in records.shards() {
            // A seed that is not revealed makes all later draws unprovable: what failed before this start is tried again.
            // So is what the chronicle alone hears: it may come as often as it likes, and what it never heard stays told as it
            // was. The forgetting of somebody is among it.
            for topic in [GATE_CLOSED].into_iter().chain(chronicle::TOPICS) {
                let revived = revive(&*records, shard, topic, clock.now_ms()).await?;
                if revived > 0 {
                    tracing::warn!(shard = shard.0, topic, revived, "dead letters are sent again");
                }
            }
            let relay = Relay::new(
                Arc::clone(&records),
                Arc::clone(&broker),
                Arc::clone(&clock),
                shard,
                Pace::default(),
            )
            .telling(Arc::clone(raffles.pressure()));
            background.spawn(relay.run(stopped.clone()));
            let courier = Courier::new(
                Arc::clone(&records),
                Arc::clone(&clock),
                Arc::clone(&entropy),
                Arc::clone(&vault),
                Arc::clone(&outbound),
                shard,
            )
            .braked(switches::brake(&switches))
            .telling(told())
            .pressing(Arc::clone(raffles.pressure()));
            background.spawn(courier.run(stopped.clone()));
            background.spawn(tend(awards.clone(), shard, stopped.clone()));
        }
        if let Some(exporter) = exporter {
            background.spawn(exporter.run(stopped.clone()));
        }
        background.spawn(Arc::clone(&chronicle).run(stopped.clone()));
        background.spawn(watch_timers(raffles.clone(), stopped.clone()));
        background.spawn(watch_due(ledger.clone(), stopped.clone()));
        background.spawn(follow(Arc::clone(&switches), experiments.clone(), stopped.clone()));
        background.spawn(watch_orders(campaigns.clone(), stopped.clone()));
        let audit = AuditLog::new(Arc::clone(&records), Arc::clone(&clock));
        background.spawn(audit.clone().watch(stopped));
        let errands = Arc::new(Errands::at_once(ERRANDS_MAX));
        let pulses = Arc::new(Errands::at_once(1));
        Ok(Self {
            raffles,
            awards,
            ledger,
            experiments,
            campaigns,
            chronicle,
            audit,
            switches,
            errands,
            pulses,
            clock,
            metrics,
            traces,
            store,
            projection,
            drivers,
            background,
            stop,
        })
    }

    /// The records.
    pub fn records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.store) as Arc<dyn Records>
    }

    /// Decides what waits, sends what is unsent, closes the store.
    pub async fn close(mut self) {
        self.errands.finish().await;
        self.pulses.finish().await;
        self.raffles.close();
        self.campaigns.close();
        self.ledger.close();
        self.experiments.close();
        let drivers = std::mem::take(&mut self.drivers);
        let joined = tokio::task::spawn_blocking(|| drivers.into_iter().all(|driver| driver.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a batch driver had panicked");
        }
        // A state, not a signal: a task that has not begun yet will see it too.
        self.stop.send_replace(true);
        while self.background.join_next().await.is_some() {}
        for store in self.projection.take().into_iter().chain([Arc::clone(&self.store)]) {
            if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
                tracing::error!(shard = Shard::HOME.0, "the store did not close");
            }
        }
    }
}

/// Lets dead letters of a topic wait again.
async fn revive(
    records: &dyn Records,
    shard: Shard,
    topic: &'static str,
    now_ms: i64,
) -> Result<u64, records::error::Error> {
    write(records, shard, move |tx| Box::pin(async move { outbox::revive(tx, shard, topic, now_ms).await }))
        .await
}

/// What seals and opens secrets, once it is known to open those that there are.
async fn sealer(
    config: &Config,
    records: &dyn Records,
    may_make: bool,
    entropy: &dyn Entropy,
) -> Result<Sealer, WiringError> {
    let file = seed_key_file(config);
    let sealer = Sealer::new(&secrets::read_or_make(&file, may_make, entropy)?);
    match raffle::catalog::opens(records, &sealer, Tenant::MAIN).await {
        Ok(true) => Ok(sealer),
        Ok(false) => Err(WiringError::WrongSeedKey(file)),
        Err(error) => Err(WiringError::Raffles(error)),
    }
}

/// What makes spans and what carries them away, where an endpoint is configured.
fn traces(config: &Config, ports: &Ports) -> Result<(Option<Arc<Tracer>>, Option<Exporter>), WiringError> {
    let Telemetry { otlp_endpoint, service_name, one_in } = &config.telemetry;
    let Some(endpoint) = otlp_endpoint else { return Ok((None, None)) };
    let endpoint = Endpoint::parse(endpoint).map_err(WiringError::Telemetry)?;
    let (clock, entropy) = (Arc::clone(&ports.clock), Arc::clone(&ports.entropy));
    let (tracer, spans) = Tracer::new(clock, entropy, one_in.get());
    let counts = Arc::clone(tracer.counts());
    let exporter = Exporter { endpoint, service: service_name.clone(), counts, spans };
    Ok((Some(Arc::new(tracer)), Some(exporter)))
}

/// A store that is only read: nothing is drawn, no effect leaves, no timer rings.
pub struct Archive {
    /// Its raffles.
    pub raffles: Raffles,
    store: Arc<Store>,
}

impl Archive {
    /// Opens a store that exists and that no other process holds.
    pub async fn open(config: &Config) -> Result<Self, WiringError> {
        // Opening would make an empty file.
        if config.store.database.is_none() && !Store::is_in(&config.store) {
            return Err(WiringError::NoStore(config.store.data.clone()));
        }
        let store = Arc::new(Store::open(&config.store)?);
        let Ports { clock, entropy, .. } = Ports::default();
        let records = Arc::clone(&store) as Arc<dyn Records>;
        let sealer = sealer(config, &*records, false, &*entropy).await?;
        // Without its driver no draw is ever made.
        let (limits, thresholds) = (Limits::default(), config.thresholds());
        let (raffles, _) = Raffles::new(records, clock, entropy, sealer, limits, thresholds);
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

fn limits_of(batch: NonZeroUsize, queue: NonZeroUsize) -> Limits {
    Limits { batch: batch.get(), queue: queue.get(), ..Limits::default() }
}

/// Runs a batch's driver on a thread of its own. Among the connections' tasks it would wait its turn behind hundreds of
/// them between two batches, and the database with it.
pub(crate) fn spawn_driver(
    name: &str,
    driver: impl Future<Output = ()> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, WiringError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WiringError::Thread)?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || runtime.block_on(driver)).map_err(WiringError::Thread)
}

/// Makes calls over HTTP, as it is configured.
fn caller(config: &Config) -> Result<Arc<dyn Outbound>, WiringError> {
    let certificates = config.outbound.certificates_file.as_deref();
    Ok(Arc::new(Caller::new(config.outbound.policy()?, certificates)?))
}
