//! A sign of life: one row that is written to learn whether writes are kept.

use kernel::id::Shard;
use kernel::ports::clock::Clock;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::port::{Records, Value, write};
use crate::statement::Insert;

pub(crate) const PULSE_TABLE: &str = "CREATE TABLE pulse (
    shard INTEGER NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (shard)
){table_end}";

static PULSE: Insert = Insert::or_replace("pulse", &["shard", "at_ms"], 1);

/// How long an answer holds, in milliseconds: whoever asks more often writes no more often.
const HOLDS_MS: u64 = 1000;

/// The sign of life of one database, as it was last given.
#[derive(Debug)]
pub struct Pulse {
    shard: Shard,
    last: Mutex<Option<(i64, Result<(), Error>)>>,
}

impl Pulse {
    /// Nothing is known yet.
    pub fn new(shard: Shard) -> Self {
        Self { shard, last: Mutex::default() }
    }

    /// Whether writes are kept: as was found within the last second, or else by a write. Those who ask meanwhile wait for
    /// it. A caller who goes away leaves a write behind that nobody waits for.
    pub async fn check(&self, records: &dyn Records, clock: &dyn Clock) -> Result<(), Error> {
        let mut last = self.last.lock().await;
        let now_ms = clock.now_ms();
        if let Some((at_ms, found)) = &*last
            && now_ms.abs_diff(*at_ms) < HOLDS_MS
        {
            return found.clone();
        }
        let found = beat(records, self.shard, now_ms).await;
        *last = Some((now_ms, found.clone()));
        found
    }
}

/// Writes the row. An empty transaction would not touch the disk, and so not notice one that fails.
async fn beat(records: &dyn Records, shard: Shard, now_ms: i64) -> Result<(), Error> {
    write(records, shard, move |tx| {
        Box::pin(async move { PULSE.rows(tx, &[Value::Int(shard.0.into()), Value::Int(now_ms)]).await })
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use async_trait::async_trait;
    use kernel::id::Bucket;

    use super::*;
    use crate::port::Work;

    /// A disk that fails, and a clock that is set.
    #[derive(Default)]
    struct Failing {
        writes: AtomicU32,
        now_ms: AtomicI64,
    }

    #[async_trait]
    impl Records for Failing {
        fn shards(&self) -> Vec<Shard> {
            vec![Shard::HOME]
        }

        fn shard_of(&self, _: Bucket) -> Shard {
            Shard::HOME
        }

        async fn write(&self, _: Shard, _: Box<dyn Work>) -> Result<(), Error> {
            self.writes.fetch_add(1, Ordering::SeqCst);
            Err(Error::Unavailable("the disk is full".to_owned()))
        }

        async fn read(&self, _: Shard, _: Box<dyn Work>) -> Result<(), Error> {
            Err(Error::Closed)
        }
    }

    impl Clock for Failing {
        fn now_ms(&self) -> i64 {
            self.now_ms.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn a_failure_holds_for_a_second_too() {
        let (pulse, failing) = (Pulse::new(Shard::HOME), Failing::default());
        for (at_ms, writes) in [(0, 1), (0, 1), (999, 1), (1_000, 2), (1_500, 2), (100, 2), (0, 3)] {
            failing.now_ms.store(at_ms, Ordering::SeqCst);
            let found = pulse.check(&failing, &failing).await;
            assert_eq!(found, Err(Error::Unavailable("the disk is full".to_owned())));
            assert_eq!(failing.writes.load(Ordering::SeqCst), writes, "at {at_ms} ms");
        }
    }
}
