//! The product as its routes show it, built on ports that fail, without a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use campaign::award::DRAW_MADE;
use campaign::campaigns::Campaigns;
use campaign::courier::Courier;
use campaign::experiment::board::Experiments;
use campaign::experiment::bucketing::Pseudonyms;
use campaign::fulfilment::Awards;
use campaign::referral::QUALIFIED;
use embedded::clock::ManualClock;
use embedded::sqlite::inline::InlineRecords;
use fairground::audit::AuditLog;
use fairground::chronicle::Chronicle;
use fairground::config::Config;
use fairground::errands::Errands;
use fairground::http::auth::Keys;
use fairground::http::limits::Rates;
use fairground::http::request::Numbering;
use fairground::http::{App, Edge, router};
use fairground::metrics::Metrics;
use fairground::switches::Board;
use fairground::token::TokenKey;
use fairground::vault::SealedVault;
use kernel::id::Shard;
use kernel::ports::broker::{Broker, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use kernel::ports::outbound::Outbound;
use ledger::ledger::Ledger;
use raffle::epoch::GATE_CLOSED;
use raffle::raffles::Raffles;
use raffle::seal::Sealer;
use raffle::threshold::Thresholds;
use raffle::turn::Reveals;
use records::batch::Limits;
use records::migration;
use records::port::Records;
use records::relay::{Pace, Relay};
use search::projection::Projection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::shop::Shop;
use crate::booth::keys;
use crate::ports::{Dice, FaultyBroker, FaultyOutbound, FaultyRecords, Kill, SeededEntropy, unfollowed};
use crate::stage;

/// All that outlives a process.
pub(super) struct World {
    pub(super) disk: Arc<InlineRecords>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) dice: Arc<Dice>,
    pub(super) shop: Arc<Shop>,
}

/// What runs.
pub(super) struct House {
    pub(super) app: Arc<App>,
    router: Router,
    tasks: JoinSet<()>,
    life: Arc<Kill>,
    _running: watch::Sender<bool>,
}

impl stage::House for House {
    type Inside = Router;

    fn inside(&self) -> Router {
        self.router.clone()
    }

    fn tasks(&mut self) -> &mut JoinSet<()> {
        &mut self.tasks
    }

    fn life(&self) -> Arc<Kill> {
        Arc::clone(&self.life)
    }
}

/// Tries until it is done: a process that cannot begin is started again.
async fn insist<T, E>(attempt: impl AsyncFn() -> Result<T, E>) -> T {
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Does what is due, and follows what others have set, as the product's own watches do.
async fn tend(app: Arc<App>) {
    loop {
        // Whatever fails here is tried again at the next look.
        drop(app.switches.look().await);
        drop(app.experiments.look().await);
        drop(app.campaigns.all().await);
        drop(app.campaigns.end_what_is_over().await);
        drop(app.ledger.settle_due().await);
        drop(app.awards.tend(Shard::HOME).await);
        drop(app.raffles.close_what_is_over().await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

impl World {
    /// The product as a start of the process would build it.
    pub(super) async fn start(&self, life: Arc<Kill>) -> House {
        let (disk, dice) = (Arc::clone(&self.disk) as Arc<dyn Records>, Arc::clone(&self.dice));
        let records: Arc<dyn Records> =
            Arc::new(FaultyRecords::new(disk, Arc::clone(&dice), Arc::clone(&life)));
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy(Arc::clone(&dice)));
        let sealer = || Sealer::new(&[7; 32]);
        let limits = Limits { batch: 8, queue: 64, tries: 64 };
        let mut tasks = JoinSet::new();
        let (raffles, driver) = Raffles::new(
            Arc::clone(&records),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            sealer(),
            limits,
            Thresholds::default(),
        );
        tasks.spawn(driver);
        let (ledger, driver) = Ledger::open(Arc::clone(&records), Arc::clone(&clock), limits);
        tasks.spawn(driver);
        let (campaigns, driver) =
            Campaigns::open(Arc::clone(&records), Arc::clone(&clock), Arc::clone(&entropy), limits);
        tasks.spawn(driver);
        let (experiments, driver) = insist(async || {
            let names = Pseudonyms::new(&[9; 32]);
            Experiments::open(Arc::clone(&records), Arc::clone(&clock), names, false, limits).await
        })
        .await;
        tasks.spawn(driver);
        let switches = insist(async || Board::open(Arc::clone(&records), Arc::clone(&clock)).await).await;
        let switches = Arc::new(switches);

        let vault = Arc::new(SealedVault::new(sealer(), Arc::clone(&entropy)));
        let awards = Awards::new(
            Arc::clone(&records),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            Arc::clone(&vault) as _,
        );
        let reveals = Reveals::new(Arc::clone(&records), Arc::clone(raffles.catalog()), Arc::clone(&clock));
        // Nobody follows: how fast a chronicle does depends on how fast this machine is, and here all follows from the seed.
        let projected = Arc::new(InlineRecords::open().expect("a database"));
        migration::run(&*projected, &[&search::tables::ROOM], clock.now_ms()).await.expect("tables");
        let projection = Projection::open(projected).await.expect("a projection");
        let followed = (Arc::clone(&self.disk) as Arc<dyn Records>, Arc::clone(raffles.catalog()));
        let chronicle =
            Chronicle::open(followed, (Arc::clone(&clock), Arc::clone(&entropy)), projection).await;
        let broker = unfollowed()
            .with(DRAW_MADE, Arc::new(awards.clone()) as Arc<dyn Subscriber>)
            .with(GATE_CLOSED, Arc::new(reveals))
            .with(QUALIFIED, Arc::new(campaigns.clone()));
        let broker: Arc<dyn Broker> =
            Arc::new(FaultyBroker::new(broker, Arc::clone(&dice), Arc::clone(&life)));
        let pace = Pace { attempts_max: u32::MAX, backoff_ms_max: 1_000, ..Pace::default() };
        let (running, stop) = watch::channel(false);
        let relay = Relay::new(Arc::clone(&records), broker, Arc::clone(&clock), Shard::HOME, pace);
        tasks.spawn(relay.run(stop.clone()));
        let shop = Arc::clone(&self.shop) as Arc<dyn Outbound>;
        let line = Arc::new(FaultyOutbound::new((shop, Arc::clone(&clock)), dice, Arc::clone(&life)));
        let courier =
            Courier::new(Arc::clone(&records), Arc::clone(&clock), entropy, vault, line, Shard::HOME);
        tasks.spawn(courier.run(stop));

        let config = Config::read(&format!("[auth]\nkeys = {}\n", keys()), std::iter::empty());
        let config = config.expect("a configuration");
        let (tokens, eye) = (TokenKey::new(&[5; 32]), Arc::clone(&switches));
        let app = Arc::new(App {
            raffles,
            awards,
            campaigns,
            chronicle: Arc::new(chronicle.expect("a chronicle")),
            ledger,
            exchange: config.ledger.rates().expect("rates"),
            experiments,
            audit: AuditLog::new(Arc::clone(&records), Arc::clone(&clock)),
            errands: Arc::new(Errands::at_once(4)),
            pulses: Arc::new(Errands::at_once(1)),
            policy: config.outbound.policy().expect("a policy"),
            keys: Keys::configured(&config.auth.keys),
            switches,
            rates: Rates::configured(&config.limits, Box::new(move || eye.seen()), tokens.clone()),
            tokens,
            request_time: Duration::from_secs(10),
            requests: Numbering::new(clock.now_ms()),
            metrics: Arc::new(Metrics::new(clock.now_ms(), None)),
            traces: None,
            clock,
        });
        tasks.spawn(tend(Arc::clone(&app)));
        let edge = Edge { body_bytes_max: 16 * 1024, noop: false };
        House { router: router(Arc::clone(&app), edge), app, tasks, life, _running: running }
    }
}
