//! Follows what befalls participants, and keeps it where it can be searched.
//!
//! A message says where to look, the rows say what is. Draws, the ledger's journal and acts are numbered without gaps: of
//! them a message tells only how far there is something to read, and one worker reads on from where the projection was, at a
//! pace that leaves the rest of the machine to those who draw. What moves later - an award, a webhook, an order - is read
//! again at once, before its message is acknowledged, and replaces what was told of it. So messages may be late, doubled or
//! lost in a restart, and reading everything from the first row gives the same.

mod acts;
mod draws;
mod journal;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use campaign::act::ACTS_KEPT;
use campaign::award::{AWARD_MOVED, DRAW_MADE};
use campaign::delivery::DELIVERY_MOVED;
use campaign::offer::{ORDER_MOVED, OrderKey};
use embedded::clock::Stopwatch;
use kernel::fault::Classify;
use kernel::id::{Bucket, Shard, Tenant};
use kernel::ports::PortError;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use ledger::reading::SEALED;
use raffle::catalog::Catalog;
use records::outbox::{self, Effect};
use records::port::{Records, read, write};
use search::activity::{Activity, Who};
use search::projection::Projection;
use tokio::sync::{Notify, Semaphore, watch};

use draws::Which;
use source::{Marks, Source};

/// Topic of what tells that somebody is to be forgotten. Its body is a hash of the name.
pub const FORGOTTEN: &str = "participant.forgotten";

/// The topics that a chronicle follows, but for those of draws, which others hear first.
pub const TOPICS: [&str; 6] = [SEALED, ACTS_KEPT, AWARD_MOVED, DELIVERY_MOVED, ORDER_MOVED, FORGOTTEN];

/// Numbers of a source that are read in one go.
const PAGE: u64 = 1024;

/// For each part of time that the worker works it rests so many: it takes a quarter of a core at the most.
const RESTS: u32 = 3;

/// The same while more is told than the worker reads: a tenth of a core. Those who draw go first; it catches up when they rest.
const BUSY_RESTS: u32 = 9;

/// The longest rest between two pages.
const REST_MAX: Duration = Duration::from_secs(1);

/// How long the worker waits where nothing wakes it, in milliseconds.
const IDLE_MS: u64 = 1000;

/// Exports that run at once.
pub const EXPORTS_MAX: usize = 2;

/// Why something could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The projection.
    #[error(transparent)]
    Search(#[from] search::error::Error),
    /// The records that are followed.
    #[error(transparent)]
    Records(#[from] records::error::Error),
    /// A raffle.
    #[error(transparent)]
    Raffle(#[from] raffle::error::Error),
}

/// What is noted of what befalls participants.
pub struct Chronicle {
    records: Arc<dyn Records>,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    projection: Projection,
    marks: Mutex<Marks>,
    /// Whoever reads rows and writes what they say holds this: what was read first is written first.
    desk: tokio::sync::Mutex<()>,
    wake: Notify,
    /// Everything from before this instant is in the projection, in milliseconds since the epoch; negative before the first
    /// round has come to its end.
    as_of_ms: AtomicI64,
    exports: Arc<Semaphore>,
    kept: AtomicU64,
    /// Whether what was there at the start is yet to be cleared away. Whoever does that holds it.
    is_clearing: tokio::sync::Mutex<bool>,
}

fn away(error: impl std::error::Error) -> PortError {
    PortError::Unavailable(error.to_string().into())
}

impl Chronicle {
    /// Follows `records` into a projection. One that has read numbers which the records do not have was made from others, for
    /// example before they were restored from a copy: it is cleared and begins anew.
    pub async fn open(
        (records, catalog): (Arc<dyn Records>, Arc<Catalog>),
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        projection: Projection,
    ) -> Result<Self, Error> {
        // Looked at before the records: what is written meanwhile puts it ahead of nothing.
        let standing = projection.standing().await?;
        let named = |(name, seq): (&String, &u64)| Some((Source::named(name)?, *seq));
        let mut ended: BTreeMap<_, _> = standing.cursors.iter().filter_map(named).collect();
        let last = source::last(&*records).await?;
        let ahead = ended.iter().find(|(source, seq)| last.get(source).is_none_or(|last| *seq > last));
        if let Some((source, seq)) = ahead {
            let (source, last) = (source.name(), last.get(source));
            tracing::warn!(source, seq, last, "what is searched is ahead of the records: it is made anew");
        }
        let is_clearing = ahead.is_some() || standing.is_clearing;
        if is_clearing {
            // How far it had read is forgotten before anything is served: the records may grow past it.
            projection.clear_from(i64::MIN).await?;
            ended = BTreeMap::new();
        }
        let marks = Marks { told: BTreeMap::new(), begun: ended.clone(), ended };
        Ok(Self {
            records,
            catalog,
            clock,
            entropy,
            projection,
            marks: Mutex::new(marks),
            kept: AtomicU64::new(0),
            desk: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            as_of_ms: AtomicI64::new(-1),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            is_clearing: tokio::sync::Mutex::new(is_clearing),
        })
    }

    /// Where what was noted is found again.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// Everything that was kept before this instant is in the projection, in milliseconds since the epoch. `None` until all
    /// that there was at the start has been read.
    pub fn as_of_ms(&self) -> Option<i64> {
        Some(self.as_of_ms.load(Ordering::Relaxed)).filter(|as_of_ms| *as_of_ms >= 0)
    }

    /// A place among the exports that run, for as long as it is held.
    pub fn export(&self) -> Result<tokio::sync::OwnedSemaphorePermit, search::error::Error> {
        let exports = Arc::clone(&self.exports);
        exports.try_acquire_owned().map_err(|_| search::error::Error::TooManyExports(EXPORTS_MAX))
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Owes it to somebody that they are forgotten here too: whatever becomes of this process, their name goes. To be called
    /// once nothing that is followed knows it any more.
    pub async fn owe_forgetting(&self, participant: &str) -> Result<(), Error> {
        let mut number = [0; 8];
        self.entropy
            .fill(&mut number)
            .map_err(|error| records::error::Error::Unavailable(error.to_string()))?;
        let who = Who::named(participant).0.to_vec();
        let effect = Effect {
            topic: FORGOTTEN,
            subject: Bucket::of(Tenant::MAIN.name, participant).number().into(),
            seq: u64::from_be_bytes(number) >> 1,
            key: who.clone(),
            n: 1,
            body: who,
            at_ms: self.clock.now_ms(),
            due_ms: None,
        };
        write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { Ok(outbox::post(tx, Shard::HOME, &[effect]).await?) })
        })
        .await
    }

    /// Clears away what has to go before anything is read, a piece at a time: between two pieces others write.
    async fn clear(&self) -> Result<(), Error> {
        let mut is_clearing = self.is_clearing.lock().await;
        let mut sweep = is_clearing.then_some(i64::MIN);
        while let Some(until_ms) = sweep {
            let _desk = self.desk.lock().await;
            sweep = self.projection.clear_from(until_ms).await?;
        }
        *is_clearing = false;
        Ok(())
    }

    /// How far every source goes, as the records have it now.
    async fn look(&self) -> Result<(), Error> {
        self.clear().await?;
        let mut found = source::last(&*self.records).await?;
        let mut marks = self.marks();
        for (source, told) in &mut marks.told {
            let last = found.entry(*source).or_default();
            *last = (*last).max(*told);
        }
        marks.told = found;
        Ok(())
    }

    /// One page of a source, read as it stands now and kept with how far it goes. Answers where it ended.
    async fn turn_page(&self, source: Source, last: u64) -> Result<u64, Error> {
        let _desk = self.desk.lock().await;
        let standing = self.projection.standing().await?;
        let name = source.name();
        let after = standing.cursors.get(&name).copied().unwrap_or(0);
        let end = last.min(after + PAGE);
        if end <= after {
            return Ok(after);
        }
        // From here on whatever is told of these numbers is read again: it may have come too late for this reading.
        {
            let mut marks = self.marks();
            let begun = marks.begun.entry(source).or_default();
            *begun = end.max(*begun);
        }
        let activities = match source {
            Source::Draws(number) => {
                let raffle = self.catalog.raffle_numbered(number).await?;
                draws::activities(&*self.records, (&self.catalog, &raffle), Which::Range(after, end)).await?
            }
            Source::Journal => journal::activities(&*self.records, (after, end)).await?,
            Source::Acts => acts::activities(&*self.records, (after, end)).await?,
        };
        let count = activities.len() as u64;
        self.projection.keep(standing.turn, activities, Some((name, end))).await?;
        self.kept.fetch_add(count, Ordering::Relaxed);
        self.marks().ended.insert(source, end);
        Ok(end)
    }

    /// Reads every source to where it was known to go when this began. `rests` says whether to rest between pages; `false` from
    /// `go_on` ends it early. Answers whether it came to its end.
    async fn round(&self, rests: bool, go_on: impl Fn() -> bool) -> Result<bool, Error> {
        let began_ms = self.clock.now_ms();
        let oldest = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let unsent = outbox::lag(tx, Shard::HOME, began_ms).await?;
                Ok::<_, Error>([unsent, outbox::stranded(tx, Shard::HOME).await?])
            })
        });
        // What became a dead letter has not been heard either.
        let oldest = oldest.await?.into_iter().flatten();
        let oldest = oldest.filter(|(topic, _)| topic == DRAW_MADE || TOPICS.contains(&topic.as_str()));
        let unsent_ms = oldest.map(|(_, at_ms)| at_ms).min().unwrap_or(began_ms);
        let told = self.marks().told.clone();
        let mut fault = None;
        for (source, last) in told {
            match self.follow(source, last, rests, &go_on).await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                // What cannot be read of one source holds up no other.
                Err(error) => fault = Some(error),
            }
        }
        if let Some(error) = fault {
            return Err(error);
        }
        // What is unsent may still tell of something from before now.
        self.as_of_ms.store(began_ms.min(unsent_ms), Ordering::Relaxed);
        Ok(true)
    }

    /// Reads one source up to a number. Answers whether it came there.
    async fn follow(
        &self,
        source: Source,
        last: u64,
        rests: bool,
        go_on: &impl Fn() -> bool,
    ) -> Result<bool, Error> {
        let (mut end, mut known) = (self.marks().ended.get(&source).copied().unwrap_or(0), last);
        while end < last {
            if !go_on() {
                return Ok(false);
            }
            let worked = Stopwatch::start();
            end = self.turn_page(source, last).await?;
            if rests {
                let told = self.marks().told.get(&source).copied().unwrap_or(known);
                let is_busy = told - known >= PAGE / 2;
                known = told;
                let rest = worked.elapsed() * if is_busy { BUSY_RESTS } else { RESTS };
                tokio::time::sleep(rest.min(REST_MAX)).await;
            }
        }
        Ok(true)
    }

    /// Reads everything that is not read yet, without a rest. Answers how many activities that gave.
    pub async fn read_everything(&self) -> Result<u64, Error> {
        self.look().await?;
        self.round(false, || true).await?;
        Ok(self.kept.load(Ordering::Relaxed))
    }

    /// Follows until `stop` is true. What is not read by then is read after the next start.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut has_looked = false;
        loop {
            let followed = async {
                if !has_looked {
                    self.look().await?;
                    has_looked = true;
                }
                self.round(true, || !*stop.borrow()).await
            };
            match followed.await {
                Ok(_) | Err(Error::Records(records::error::Error::Closed)) => {}
                Err(error) => tracing::warn!(%error, "what befell participants could not be followed"),
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(IDLE_MS)) => {}
            }
        }
    }

    /// Draws of a raffle, read again with all that hangs on them, in place of what was told of them.
    async fn look_again(&self, raffle: u32, seqs: BTreeSet<u64>) -> Result<(), Error> {
        let _desk = self.desk.lock().await;
        let standing = self.projection.standing().await?;
        let raffle = self.catalog.raffle_numbered(raffle).await?;
        let which = Which::These(seqs.into_iter().collect());
        let activities = draws::activities(&*self.records, (&self.catalog, &raffle), which).await?;
        Ok(self.projection.keep(standing.turn, activities, None).await?)
    }

    async fn look_again_at_orders(&self, keys: Vec<OrderKey>) -> Result<(), Error> {
        let _desk = self.desk.lock().await;
        let standing = self.projection.standing().await?;
        let activities: Vec<Activity> = acts::orders(&*self.records, keys).await?;
        Ok(self.projection.keep(standing.turn, activities, None).await?)
    }

    async fn forget(&self, who: Who) -> Result<(), Error> {
        let _desk = self.desk.lock().await;
        self.projection.forget(who).await.map(|_| ()).map_err(Error::from)
    }

    /// Notes how far messages go. Answers the draws that they are about and that the worker may have read before this was
    /// told; the rest it has yet to read.
    fn note(&self, messages: &[Message]) -> Result<BTreeMap<u32, BTreeSet<u64>>, PortError> {
        let mut again: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        let mut marks = self.marks();
        for message in messages {
            let mark = source::mark(message)?;
            if let Some((source, last)) = mark {
                let told = marks.told.entry(source).or_default();
                *told = last.max(*told);
            }
            let draw = if let Some((Source::Draws(raffle), seq)) = mark {
                Some((raffle, seq))
            } else {
                source::moved(message)?
            };
            let Some((raffle, seq)) = draw else { continue };
            if marks.begun.get(&Source::Draws(raffle)).is_some_and(|begun| seq <= *begun) {
                again.entry(raffle).or_default().insert(seq);
            }
        }
        Ok(again)
    }

    async fn hear(&self, messages: &[Message]) -> Result<(), PortError> {
        let again = self.note(messages)?;
        let mut orders = Vec::new();
        for message in messages {
            match message.topic.as_str() {
                ORDER_MOVED => orders.push(
                    OrderKey::of_machine(Shard::HOME, 0, &message.body)
                        .ok_or_else(|| PortError::Corrupt(message.effect.clone()))?,
                ),
                FORGOTTEN => {
                    let who = <[u8; 16]>::try_from(message.body.as_slice())
                        .map_err(|_| PortError::Corrupt(message.effect.clone()))?;
                    self.forget(Who(who)).await.map_err(away)?;
                }
                _ => {}
            }
        }
        for (raffle, seqs) in again {
            self.look_again(raffle, seqs).await.map_err(away)?;
        }
        if !orders.is_empty() {
            self.look_again_at_orders(orders).await.map_err(away)?;
        }
        self.wake.notify_one();
        Ok(())
    }
}

#[async_trait]
impl Subscriber for Chronicle {
    /// All of a hand of messages are taken, or none: what they tell of is read together.
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        match self.hear(messages).await {
            Ok(()) => messages.iter().map(|_| Ok(())).collect(),
            Err(error) if messages.len() == 1 => vec![Err(error)],
            // One of them may be what cannot be read; it must not hold up the others.
            Err(_) => {
                let mut answers = Vec::with_capacity(messages.len());
                for message in messages {
                    answers.push(self.hear(std::slice::from_ref(message)).await);
                }
                answers
            }
        }
    }
}

impl Classify for Error {
    fn fault(&self) -> kernel::fault::Fault {
        match self {
            Self::Search(error) => error.fault(),
            Self::Records(error) => error.fault(),
            Self::Raffle(error) => error.fault(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Search(error) => error.code(),
            Self::Records(error) => error.code(),
            Self::Raffle(error) => error.code(),
        }
    }
}
