//! What becomes of draws: how many, how many repeats, why not, in what batches, and whether chance picks what the
//! weights say.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::fault::Classify;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use raffle::catalog::LiveEpoch;
use raffle::draw::{Drawn, Witness};
use raffle::drift::Drift;
use raffle::entry;
use raffle::error::Error;
use raffle::rules::Plan;

use super::Labels;
use crate::traces::{About, Begun, Kind, Tracer, Value};

/// Raffles with a label of their own. The draws of all others are counted together, as those of [`OTHER`].
pub const RAFFLES_MAX: usize = 100;

/// Versions whose chance is watched; the one that drew longest ago gives way.
const VERSIONS_MAX: usize = 100;

/// The label of raffles past the number that have their own. No raffle's id begins like this.
pub const OTHER: &str = "_other";

/// Draws, counted, and chance, watched.
pub struct DrawCounts {
    draws: Family<Labels<2>, Counter>,
    refused: Family<[(&'static str, &'static str); 1], Counter>,
    sizes: Histogram,
    versions: Mutex<Versions>,
    traces: Option<Arc<Tracer>>,
    batch: Mutex<Option<Batch>>,
}

/// A batch that is being written, and traced.
struct Batch {
    begun: Begun,
    draws: usize,
    waiting: usize,
}

#[derive(Default)]
struct Versions {
    /// By raffle number and version.
    known: HashMap<(u32, u32), Version>,
    /// Raffles that have a label of their own.
    labelled: HashSet<u32>,
    /// Draws heard of: tells which version drew longest ago.
    heard: u64,
}

struct Version {
    made: Counter,
    replayed: Counter,
    heard: u64,
    watch: Arc<Watch>,
}

/// The chance of one version, as it is watched.
pub struct Watch {
    /// The rules that decide.
    pub plan: Arc<Plan>,
    drift: Mutex<Drift>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// The picks so far.
    pub fn drift(&self) -> MutexGuard<'_, Drift> {
        lock(&self.drift)
    }
}

impl DrawCounts {
    pub(super) fn registered(registry: &mut Registry, traces: Option<Arc<Tracer>>) -> Self {
        let (draws, refused) = (Family::default(), Family::default());
        let sizes = Histogram::new(exponential_buckets(1.0, 2.0, 13));
        registry.register("fairground_draws", "Draws answered, by raffle: made, or replayed", draws.clone());
        registry.register("fairground_draws_refused", "Draws refused, by code", refused.clone());
        registry.register("fairground_batch_draws", "Draws in one transaction", sizes.clone());
        Self { draws, refused, sizes, versions: Mutex::default(), traces, batch: Mutex::default() }
    }

    /// What is watched, in no order.
    pub fn watches(&self) -> Vec<Arc<Watch>> {
        lock(&self.versions).known.values().map(|version| Arc::clone(&version.watch)).collect()
    }

    fn version(&self, versions: &mut Versions, raffle: u32, epoch: &LiveEpoch) -> Version {
        let plan = &epoch.plan;
        if versions.known.len() >= VERSIONS_MAX {
            let longest_ago = versions.known.iter().min_by_key(|(_, version)| version.heard);
            if let Some(key) = longest_ago.map(|(key, _)| *key) {
                versions.known.remove(&key);
            }
        }
        if versions.labelled.len() < RAFFLES_MAX {
            versions.labelled.insert(raffle);
        }
        let own = versions.labelled.contains(&raffle);
        let label = if own { Cow::from(plan.rules.raffle.clone()) } else { Cow::from(OTHER) };
        let counter = |outcome: &'static str| {
            let labels = [("raffle", label.clone()), ("outcome", Cow::from(outcome))];
            self.draws.get_or_create_owned(&labels)
        };
        Version {
            made: counter("made"),
            replayed: counter("replayed"),
            heard: 0,
            watch: Arc::new(Watch {
                plan: Arc::clone(plan),
                drift: Mutex::new(Drift::against(epoch.stated.clone())),
            }),
        }
    }
}

impl Witness for DrawCounts {
    fn batch_begins(&self, draws: usize, waiting: usize) {
        self.sizes.observe(draws as f64);
        if let Some(begun) = self.traces.as_ref().and_then(|traces| traces.begin(None)) {
            *lock(&self.batch) = Some(Batch { begun, draws, waiting });
        }
    }

    fn batch_ended(&self, failed: Option<&records::error::Error>) {
        let Some(traces) = &self.traces else { return };
        let Some(Batch { begun, draws, waiting }) = lock(&self.batch).take() else { return };
        let number = |count: usize| Value::Number(i64::try_from(count).unwrap_or(i64::MAX));
        let mut attributes =
            vec![("fairground.draws", number(draws)), ("fairground.waiting", number(waiting))];
        attributes.extend(failed.map(|error| ("error.type", Value::Text(error.code().into()))));
        let name = "batch of draws".to_owned();
        traces.end(begun, About { name, kind: Kind::Internal, failed: failed.is_some(), attributes });
    }

    fn drew(&self, drawn: &Drawn) {
        let Drawn { draw, more, epoch, replayed } = drawn;
        let plan = &epoch.plan;
        let key = (draw.id.raffle, plan.rules.version);
        let mut versions = lock(&self.versions);
        versions.heard += 1;
        let heard = versions.heard;
        if !versions.known.contains_key(&key) {
            let version = self.version(&mut versions, draw.id.raffle, epoch);
            versions.known.insert(key, version);
        }
        let Some(version) = versions.known.get_mut(&key) else { return };
        version.heard = heard;
        if *replayed {
            version.replayed.inc_by(1 + more.len() as u64);
            return;
        }
        version.made.inc_by(1 + more.len() as u64);
        let mut drift = version.watch.drift();
        for draw in std::iter::once(draw).chain(more) {
            let Some(chosen) = entry::decode_chosen(&draw.trace) else { continue };
            if let Some(tally) = drift.count(plan, &chosen) {
                tracing::error!(
                    raffle = plan.rules.raffle,
                    version = plan.rules.version,
                    pool = plan.pool_name(chosen.pool),
                    draws = tally.draws(),
                    statistic = tally.statistic(),
                    "chance does not pick what the weights say"
                );
            }
        }
    }

    fn refused(&self, error: &Error) {
        self.refused.get_or_create(&[("code", error.code())]).inc();
    }
}
