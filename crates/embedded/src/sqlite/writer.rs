//! The one thread that writes.

use std::sync::mpsc::{Receiver, Sender};

use records::error::Error;
use records::port::Work;
use rusqlite::Connection;

use super::tx::{SqliteTx, run_to_end};
use super::{Job, fault_of};

/// Rows changed since the last hint after which the checkpointer is woken. A checkpoint's fsync holds up those of commits:
/// few enough that it takes milliseconds, enough that it is rare.
const GROWTH: u64 = 3_000;

pub(super) fn run(connection: Connection, jobs: &Receiver<Job>, grown: &Sender<()>) {
    let mut tx = SqliteTx(connection);
    let mut hinted = tx.0.total_changes();
    while let Ok(mut job) = jobs.recv() {
        let outcome = transact(&mut tx, &mut *job.work);
        // A caller that went away has lost interest in the answer; the rows are as they are.
        drop(job.reply.send(outcome));
        let changes = tx.0.total_changes();
        if changes - hinted >= GROWTH {
            hinted = changes;
            // The checkpointer outlives this thread; were it gone, commits would still be right.
            let _ = grown.send(());
        }
    }
}

pub(super) fn transact(tx: &mut SqliteTx, work: &mut dyn Work) -> Result<(), Error> {
    tx.0.execute_batch("BEGIN IMMEDIATE").map_err(|error| fault_of(&error))?;
    let outcome = match run_to_end(work, tx) {
        Ok(()) => tx.0.execute_batch("COMMIT").map_err(|error| {
            tracing::error!(%error, "a commit failed");
            Error::OutcomeUnknown
        }),
        Err(error) => Err(error),
    };
    if !tx.0.is_autocommit()
        && let Err(error) = tx.0.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a rollback failed");
    }
    outcome
}
