//! Records that fail when told: before the commit, after it, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kernel::id::{Bucket, Shard};

use crate::error::Error;
use crate::port::{Records, Tx, Work};

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out.
    Kept,
    /// It is rolled back, and the caller told that the database is away.
    Lost,
    /// It makes way for another transaction.
    MadeWay,
    /// It is kept, and the caller told that nobody knows.
    Unsure,
}

/// Records whose writes meet the fates of a list, over and over.
pub struct Faulty {
    inner: Arc<dyn Records>,
    fates: Vec<Fate>,
    next: AtomicUsize,
}

impl Faulty {
    /// Wraps records.
    pub fn new(inner: Arc<dyn Records>, fates: Vec<Fate>) -> Self {
        Self { inner, fates, next: AtomicUsize::new(0) }
    }
}

struct Doomed(Box<dyn Work>, Error);

#[async_trait]
impl Work for Doomed {
    async fn run(&mut self, tx: &mut dyn Tx) -> Result<(), Error> {
        self.0.run(tx).await?;
        Err(self.1.clone())
    }
}

#[async_trait]
impl Records for Faulty {
    fn shards(&self) -> Vec<Shard> {
        self.inner.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.inner.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        let place = self.next.fetch_add(1, Ordering::SeqCst);
        match self.fates.get(place % self.fates.len().max(1)).unwrap_or(&Fate::Kept) {
            Fate::Kept => self.inner.write(shard, work).await,
            Fate::Lost => {
                let doomed = Doomed(work, Error::Unavailable("as planned".to_owned()));
                self.inner.write(shard, Box::new(doomed)).await
            }
            Fate::MadeWay => {
                let doomed = Doomed(work, Error::Contended("as planned".to_owned()));
                self.inner.write(shard, Box::new(doomed)).await
            }
            Fate::Unsure => {
                self.inner.write(shard, work).await?;
                Err(Error::OutcomeUnknown)
            }
        }
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.inner.read(shard, work).await
    }
}
