//! Many callers, one transaction. A batch is what queued while the batch before it was committed: there is no timer,
//! so a lone caller never waits, and under load the cost of a commit is shared by all who came meanwhile.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kernel::id::Shard;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::port::{Records, Tx, write};

/// What a batch decided about one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<A, E, L> {
    /// Done, once the transaction is kept.
    Done(A),
    /// Refused; nothing was written for it.
    Refused(E),
    /// Cannot be decided yet: fetch what is lacking, then decide anew. Nothing was written for it.
    Deferred(L),
}

/// A batch's decisions, one for each item, in order.
pub type Decisions<B> = Vec<Decision<<B as Batch>::Answer, <B as Batch>::Error, <B as Batch>::Lack>>;

/// A domain's load, decide, write.
#[async_trait]
pub trait Batch: Send + Sync + 'static {
    /// What a caller asks.
    type Item: Send + Sync + 'static;
    /// What the caller is told when it is done.
    type Answer: Send + 'static;
    /// What the caller is told when it is not.
    type Error: From<Error> + Send + 'static;
    /// What an item may lack.
    type Lack: Clone + Eq + Hash + Send + Sync + 'static;

    /// Locks and loads set-based, decides item by item in memory, writes what survived. Decides each item as if those
    /// before it had been decided and written.
    async fn run(&self, tx: &mut dyn Tx, items: &[Arc<Self::Item>]) -> Result<Decisions<Self>, Error>
    where
        Self: Sized;

    /// Fetches what an item lacked. May use the records; runs while other batches go on.
    async fn supply(&self, lack: Self::Lack) -> Result<(), Self::Error>;

    /// Hears that a transaction over `_items` items begins, while `_waiting` more wait. The driver calls this and
    /// [`Batch::ended`] in turns, and every caller waits meanwhile.
    fn begins(&self, _items: usize, _waiting: usize) {}

    /// Hears how that transaction ended: kept, or with an error.
    fn ended(&self, _failed: Option<&Error>) {}

    /// Hears what the caller of one item is told, once for each item and before the caller knows.
    fn told(&self, _outcome: &Result<Self::Answer, Self::Error>) {}
}

/// Most items in one transaction, and most callers that may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most items in one transaction.
    pub batch: usize,
    /// Most items waiting; one more is told [`Error::QueueFull`].
    pub queue: usize,
    /// How often one item may be deferred before it is told [`Error::Surprise`].
    pub tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { batch: 512, queue: 16_384, tries: 64 }
    }
}

/// How often the transactions of one round may make way for others. Each time, another was kept.
const RERUNS: u32 = 32;

struct Pending<B: Batch> {
    item: Arc<B::Item>,
    reply: oneshot::Sender<Result<B::Answer, B::Error>>,
    tries: u32,
}

struct Queue<B: Batch> {
    waiting: Mutex<Waiting<B>>,
    arrived: Notify,
    limits: Limits,
    batch: Arc<B>,
}

struct Waiting<B: Batch> {
    items: VecDeque<Pending<B>>,
    closed: bool,
}

impl<B: Batch> Queue<B> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<B>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a caller no, outside a batch.
    fn refuse(&self, error: Error) -> Answered<B> {
        let outcome = Err(error.into());
        self.batch.told(&outcome);
        outcome
    }
}

/// Where callers hand in items. Clones share one queue.
pub struct Batcher<B: Batch>(Arc<Queue<B>>);

impl<B: Batch> Clone for Batcher<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Batch> Batcher<B> {
    /// Hands in an item and waits for its answer.
    pub async fn submit(&self, item: B::Item) -> Result<B::Answer, B::Error> {
        let (reply, answer) = oneshot::channel();
        let full = {
            let mut waiting = self.0.lock();
            if waiting.closed {
                Some(Error::Closed)
            } else if waiting.items.len() >= self.0.limits.queue {
                Some(Error::QueueFull)
            } else {
                waiting.items.push_back(Pending { item: Arc::new(item), reply, tries: 0 });
                None
            }
        };
        if let Some(error) = full {
            return self.0.refuse(error);
        }
        self.0.arrived.notify_one();
        // The driver answers every item it took; it is gone only when the process is torn down around us.
        answer.await.unwrap_or_else(|_| self.0.refuse(Error::OutcomeUnknown))
    }

    /// How many items wait for a transaction.
    pub fn waiting(&self) -> usize {
        self.0.lock().items.len()
    }

    /// Whether items are taken: not once it was closed, nor when its driver has died.
    pub fn is_open(&self) -> bool {
        !self.0.lock().closed
    }

    /// Takes no more items; the driver ends when those that wait are answered.
    pub fn close(&self) {
        self.0.lock().closed = true;
        self.0.arrived.notify_one();
    }
}

/// Opens a batcher on one database. The driver must be run by someone who awaits it.
pub fn open<B: Batch>(
    records: Arc<dyn Records>,
    shard: Shard,
    batch: Arc<B>,
    limits: Limits,
) -> (Batcher<B>, impl Future<Output = ()> + Send + 'static) {
    let waiting = Mutex::new(Waiting { items: VecDeque::new(), closed: false });
    let queue = Arc::new(Queue { waiting, arrived: Notify::new(), limits, batch: Arc::clone(&batch) });
    let driver = Driver { queue: Arc::clone(&queue), records, shard, batch };
    (Batcher(queue), driver.drive())
}

type Reply<B> = (oneshot::Sender<Result<<B as Batch>::Answer, <B as Batch>::Error>>, Answered<B>);
type Answered<B> = Result<<B as Batch>::Answer, <B as Batch>::Error>;

struct Driver<B: Batch> {
    queue: Arc<Queue<B>>,
    records: Arc<dyn Records>,
    shard: Shard,
    batch: Arc<B>,
}

/// A driver that is gone, even by a panic, leaves a queue that takes nothing more, and nobody waiting in it.
impl<B: Batch> Drop for Driver<B> {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.closed = true;
        waiting.items.clear();
    }
}

/// Items that wait for the same lack, and how the fetching went.
type Supplied<B> = (Vec<Pending<B>>, Result<(), <B as Batch>::Error>);

impl<B: Batch> Driver<B> {
    async fn drive(self) {
        let mut supplies: JoinSet<Supplied<B>> = JoinSet::new();
        let mut owed: Vec<Reply<B>> = Vec::new();
        loop {
            while let Some(supplied) = supplies.try_join_next() {
                self.take_back(supplied, &mut owed);
            }
            let (round, waiting, closed) = {
                let mut waiting = self.queue.lock();
                let count = waiting.items.len().min(self.queue.limits.batch);
                let round = waiting.items.drain(..count).collect::<Vec<_>>();
                (round, waiting.items.len(), waiting.closed)
            };
            if round.is_empty() {
                self.settle(&mut owed);
                if closed && supplies.is_empty() {
                    return;
                }
                tokio::select! {
                    biased;
                    () = self.queue.arrived.notified() => {}
                    Some(supplied) = supplies.join_next() => self.take_back(supplied, &mut owed),
                }
                continue;
            }
            // The callers of the batch before are woken while this one is being written: it is handed over first.
            let mut before = std::mem::take(&mut owed);
            let commit = self.commit(round, waiting, &mut owed);
            let (lacking, ()) = tokio::join!(commit, async { self.settle(&mut before) });
            self.fetch(lacking, &mut supplies, &mut owed);
        }
    }

    /// Writes a round, in halves where a row spoils it. Answers what is settled into `owed`, and what lacks something.
    async fn commit(
        &self,
        round: Vec<Pending<B>>,
        waiting: usize,
        owed: &mut Vec<Reply<B>>,
    ) -> Vec<(Pending<B>, B::Lack)> {
        let mut lacking = Vec::new();
        let (mut rounds, mut reruns) = (vec![round], 0);
        while let Some(mut round) = rounds.pop() {
            let items: Vec<_> = round.iter().map(|pending| Arc::clone(&pending.item)).collect();
            let batch = Arc::clone(&self.batch);
            self.batch.begins(items.len(), waiting);
            let outcome = write(&*self.records, self.shard, move |tx| {
                Box::pin(async move {
                    let decisions = batch.run(tx, &items).await?;
                    if decisions.len() == items.len() {
                        return Ok(decisions);
                    }
                    Err(Error::Corrupt(format!("{} decisions for {} items", decisions.len(), items.len())))
                })
            })
            .await;
            self.batch.ended(outcome.as_ref().err());
            match outcome {
                Ok(decisions) => {
                    for (pending, decision) in round.into_iter().zip(decisions) {
                        match decision {
                            Decision::Done(answer) => owed.push((pending.reply, Ok(answer))),
                            Decision::Refused(error) => owed.push((pending.reply, Err(error))),
                            Decision::Deferred(lack) => lacking.push((pending, lack)),
                        }
                    }
                }
                Err(Error::Contended(way)) if reruns < RERUNS => {
                    tracing::info!(items = round.len(), way, "a batch made way and is rerun");
                    reruns += 1;
                    rounds.push(round);
                }
                Err(error) if error.is_about_a_row() && round.len() > 1 => {
                    tracing::warn!(items = round.len(), %error, "a batch is rerun in halves");
                    let second = round.split_off(round.len() / 2);
                    rounds.push(second);
                    rounds.push(round);
                }
                Err(error) => {
                    tracing::error!(items = round.len(), %error, "a batch was not written");
                    owed.extend(round.into_iter().map(|pending| (pending.reply, Err(error.clone().into()))));
                }
            }
        }
        lacking
    }

    fn fetch(
        &self,
        lacking: Vec<(Pending<B>, B::Lack)>,
        supplies: &mut JoinSet<Supplied<B>>,
        owed: &mut Vec<Reply<B>>,
    ) {
        let mut groups: Vec<(B::Lack, Vec<Pending<B>>)> = Vec::new();
        for (mut pending, lack) in lacking {
            pending.tries += 1;
            if pending.tries > self.queue.limits.tries {
                owed.push((pending.reply, Err(Error::Surprise("an item lacks something for ever").into())));
                continue;
            }
            match groups.iter_mut().find(|(known, _)| *known == lack) {
                Some((_, items)) => items.push(pending),
                None => groups.push((lack, vec![pending])),
            }
        }
        for (lack, items) in groups {
            let batch = Arc::clone(&self.batch);
            supplies.spawn(async move { (items, batch.supply(lack).await) });
        }
    }

    fn take_back(&self, supplied: Result<Supplied<B>, tokio::task::JoinError>, owed: &mut Vec<Reply<B>>) {
        let Ok((items, outcome)) = supplied else {
            // The task panicked: its callers' channels closed with it, and they are told so.
            tracing::error!("fetching what a batch lacked has panicked");
            return;
        };
        match outcome {
            Ok(()) => {
                let mut waiting = self.queue.lock();
                for pending in items.into_iter().rev() {
                    waiting.items.push_front(pending);
                }
            }
            Err(error) => {
                // One error cannot be shared by many: the first is told it, the others try again and meet their own.
                let mut items = items.into_iter();
                if let Some(first) = items.next() {
                    owed.push((first.reply, Err(error)));
                }
                let mut waiting = self.queue.lock();
                for pending in items.rev() {
                    waiting.items.push_front(pending);
                }
            }
        }
    }

    fn settle(&self, owed: &mut Vec<Reply<B>>) {
        for (reply, result) in owed.drain(..) {
            self.batch.told(&result);
            // A caller that went away has lost interest, not its draw: asking again with the same key answers it.
            drop(reply.send(result));
        }
    }
}
