//! A lane: a connection, and the transactions that run on it one after the other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use records::error::Error;
use records::port::Work;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::tx::MariaTx;
use super::{Address, Job, OpenError, fault};

/// Longest wait for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Whether a lane's transactions may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    Read,
}

impl Mode {
    fn isolation(self) -> &'static str {
        match self {
            Self::Write => "READ COMMITTED",
            // Each transaction sees the moment at which it began.
            Self::Read => "REPEATABLE READ",
        }
    }

    fn begin(self) -> &'static str {
        match self {
            Self::Write => "START TRANSACTION READ WRITE",
            Self::Read => "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        }
    }
}

pub(super) struct Lane {
    address: Address,
    mode: Mode,
    connection: Option<Conn>,
}

async fn connect(address: &Address, mode: Mode) -> Result<Conn, Error> {
    match timeout(CONNECT_TIME, Conn::new(address.options(mode.isolation()))).await {
        Ok(Ok(connection)) => Ok(connection),
        // Whatever the server has against us, nothing was begun.
        Ok(Err(error)) => Err(Error::Unavailable(format!("{address}: {error}"))),
        Err(_) => Err(Error::Unavailable(format!("{address} did not answer in time"))),
    }
}

/// Whether the server is one that the records can stand on.
pub(super) async fn look(address: &Address) -> Result<(), OpenError> {
    let away = |reason: String| OpenError::Server { address: address.to_string(), reason };
    let mut connection = connect(address, Mode::Read).await.map_err(|error| away(error.to_string()))?;
    let asked: Result<Option<(String, u64)>, _> =
        connection.query_first("SELECT VERSION(), @@GLOBAL.innodb_flush_log_at_trx_commit").await;
    let (version, flush) = asked.map_err(|error| away(error.to_string()))?.unwrap_or_default();
    if !fault::is_fit(&version) {
        return Err(OpenError::Version { address: address.to_string(), version });
    }
    if flush != 1 {
        tracing::warn!(
            %address,
            innodb_flush_log_at_trx_commit = flush,
            "the server answers commits before they are on its disk: a crash of its machine may take back what was acknowledged"
        );
    }
    drop(connection.disconnect().await);
    Ok(())
}

impl Lane {
    pub(super) fn new(address: Address, mode: Mode) -> Self {
        Self { address, mode, connection: None }
    }

    /// Takes jobs until nobody can hand in any more.
    pub(super) async fn run(mut self, jobs: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>) {
        loop {
            let next = jobs.lock().await.recv().await;
            let Some(mut job) = next else { break };
            let outcome = self.transact(&mut *job.work).await;
            // A caller that went away has lost interest in the answer; the rows are as they are.
            drop(job.reply.send(outcome));
        }
        if let Some(connection) = self.connection.take() {
            drop(connection.disconnect().await);
        }
    }

    async fn transact(&mut self, work: &mut dyn Work) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        let done = AssertUnwindSafe(work.run(&mut tx)).catch_unwind().await;
        let done =
            done.unwrap_or_else(|_| Err(Error::Corrupt("work inside a transaction panicked".to_owned())));
        let outcome = match done {
            Ok(()) => tx.commit().await,
            Err(error) => {
                tx.roll_back().await;
                Err(error)
            }
        };
        self.connection = tx.into_connection();
        outcome
    }

    /// Begins a transaction. A connection that has died since its last one is replaced: nothing was begun on it.
    async fn begin(&mut self) -> Result<MariaTx, Error> {
        if let Some(connection) = self.connection.take() {
            let mut tx = MariaTx::new(connection);
            if tx.begin(self.mode.begin()).await.is_ok() {
                return Ok(tx);
            }
        }
        let mut tx = MariaTx::new(connect(&self.address, self.mode).await?);
        tx.begin(self.mode.begin()).await?;
        Ok(tx)
    }
}
