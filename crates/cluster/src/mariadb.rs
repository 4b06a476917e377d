//! [`Records`] on one MariaDB database: a few lanes write, a few read, one looks at what must be seen in time, each on a
//! connection of its own.
//!
//! Writers run under READ COMMITTED and lock what judges; readers see one snapshot and cannot write. The lanes live on a
//! runtime of their own, so that a transaction that was begun is ended, whoever has lost interest in it.

mod address;
mod fault;
mod lane;
mod tx;

pub use address::{Address, AddressError};

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kernel::id::{Bucket, Shard};
use records::error::Error;
use records::port::{Records, Work};
use tokio::sync::{mpsc, oneshot};

use lane::{Lane, Mode};

/// Lanes that write. One transaction of a batch is under way at a time, so that few are enough for what goes beside it.
const WRITERS: usize = 4;
/// Lanes that read.
const READERS: usize = 4;
/// Lanes that look.
const LOOKERS: usize = 1;
/// Threads that carry the lanes.
const THREADS: usize = 2;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server is away, or refuses us.
    #[error("cannot open the database {address}: {reason}")]
    Server {
        /// Where it should be; without the password.
        address: String,
        /// What the server says.
        reason: String,
    },
    /// It is another kind of server, or too old.
    #[error("{address} is {version}: the records need MariaDB {} or later", fault::oldest())]
    Version {
        /// Where it is.
        address: String,
        /// What it says it is.
        version: String,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

pub(crate) struct Job {
    work: Box<dyn Work>,
    reply: oneshot::Sender<Result<(), Error>>,
}

#[derive(Clone)]
struct Lanes {
    write: mpsc::UnboundedSender<Job>,
    read: mpsc::UnboundedSender<Job>,
    look: mpsc::UnboundedSender<Job>,
}

/// One MariaDB database as [`Records`].
pub struct MariaRecords {
    lanes: Mutex<Option<Lanes>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl MariaRecords {
    /// Looks at the server and starts the lanes. Blocks.
    pub fn open(address: &Address) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("records-lane")
            .enable_all()
            .build()?;
        let (write, writes) = mpsc::unbounded_channel();
        let (read, reads) = mpsc::unbounded_channel();
        let (look, looks) = mpsc::unbounded_channel();
        let mut lanes = Vec::new();
        for (mode, jobs, count) in
            [(Mode::Write, writes, WRITERS), (Mode::Read, reads, READERS), (Mode::Read, looks, LOOKERS)]
        {
            let jobs = Arc::new(tokio::sync::Mutex::new(jobs));
            lanes.extend((0..count).map(|_| Lane::new(address.clone(), mode).run(Arc::clone(&jobs))));
        }
        let (looked, fitness) = std::sync::mpsc::channel();
        let address = address.clone();
        let run = move || {
            let fit = runtime.block_on(lane::look(&address));
            let is_fit = fit.is_ok();
            if looked.send(fit).is_ok() && is_fit {
                runtime.block_on(carry(lanes));
            }
        };
        let thread = std::thread::Builder::new().name("records-lanes".to_owned()).spawn(run)?;
        fitness.recv().map_err(|_| std::io::Error::other("the thread of the lanes is gone"))??;
        let lanes = Mutex::new(Some(Lanes { write, read, look }));
        Ok(Self { lanes, thread: Mutex::new(Some(thread)) })
    }

    fn lanes(&self) -> Result<Lanes, Error> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)
    }

    /// Ends the lanes after the work they have. Blocks.
    pub fn close(&self) {
        drop(self.lanes.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the database's lanes had panicked");
        }
    }
}

/// Runs all lanes to their end, each as a task of its own.
async fn carry(lanes: Vec<impl Future<Output = ()> + Send + 'static>) {
    let mut carried = tokio::task::JoinSet::new();
    for lane in lanes {
        carried.spawn(lane);
    }
    carried.join_all().await;
}

impl Drop for MariaRecords {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Records for MariaRecords {
    fn shards(&self) -> Vec<Shard> {
        vec![Shard::HOME]
    }

    fn shard_of(&self, _bucket: Bucket) -> Shard {
        Shard::HOME
    }

    async fn write(&self, _shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        hand_over(&self.lanes()?.write, work).await
    }

    async fn read(&self, _shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        hand_over(&self.lanes()?.read, work).await
    }

    async fn look(&self, _shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        hand_over(&self.lanes()?.look, work).await
    }
}

async fn hand_over(lane: &mpsc::UnboundedSender<Job>, work: Box<dyn Work>) -> Result<(), Error> {
    let (reply, answer) = oneshot::channel();
    lane.send(Job { work, reply })
        .map_err(|_| Error::Unavailable("the database's lanes are gone".to_owned()))?;
    answer.await.unwrap_or(Err(Error::OutcomeUnknown))
}
