//! How long write transactions take: those of draws, of the relay, of publications, of everything.

use std::sync::Arc;

use async_trait::async_trait;
use embedded::clock::Stopwatch;
use kernel::fault::Classify;
use kernel::id::{Bucket, Shard};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use records::error::Error;
use records::port::{Records, Work};

use super::durations;

type Seconds = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

/// Durations of write transactions, by how they ended.
pub struct Commits(Seconds);

impl Commits {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let seconds = Seconds::new_with_constructor(durations);
        registry.register(
            "fairground_commit_seconds",
            "Time of a write transaction from its hand-over to the disk's answer, by outcome: kept, or an error code",
            seconds.clone(),
        );
        Self(seconds)
    }

    pub(super) fn timed(&self, records: Arc<dyn Records>) -> Arc<dyn Records> {
        Arc::new(Timed { records, seconds: self.0.clone() })
    }
}

/// Records, timed from outside.
struct Timed {
    records: Arc<dyn Records>,
    seconds: Seconds,
}

#[async_trait]
impl Records for Timed {
    fn shards(&self) -> Vec<Shard> {
        self.records.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.records.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        let began = Stopwatch::start();
        let outcome = self.records.write(shard, work).await;
        let word = outcome.as_ref().map_or_else(|error| error.code(), |()| "kept");
        self.seconds.get_or_create(&[("outcome", word)]).observe(began.elapsed().as_secs_f64());
        outcome
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.records.read(shard, work).await
    }

    async fn look(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.records.look(shard, work).await
    }
}
