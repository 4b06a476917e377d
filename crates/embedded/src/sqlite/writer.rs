//! The one thread that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use records::error::Error;
use records::port::Work;
use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::tx::{SqliteTx, run_to_end};
use super::{Job, checkpoint, fault_of};

/// Rows changed since the last hint after which the checkpointer is woken. A checkpoint's fsync holds up those of commits:
/// few enough that it takes milliseconds, enough that it is rare.
const ROWS: u64 = 3_000;

/// Pages added to the WAL since the last hint that wake it too, where rows are long: 16 MiB.
const PAGES: i64 = 8_192;

pub(super) fn run(
    mut connection: Connection,
    jobs: &Receiver<Job>,
    grown: &Sender<()>,
    is_too_long: &AtomicBool,
) {
    let pages = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&pages);
    let hook = move |_: &mut Wal, pages| {
        told.store(i64::from(pages), Ordering::Relaxed);
        Ok(())
    };
    if let Err(error) = connection.wal_hook(Some(hook)) {
        tracing::warn!(%error, "long rows will not wake the checkpointer");
    }
    let mut tx = SqliteTx(connection);
    let mut hinted = (tx.0.total_changes(), 0);
    while let Ok(mut job) = jobs.recv() {
        checkpoint::restart(&tx.0, is_too_long);
        let outcome = transact(&mut tx, &mut *job.work);
        // A caller that went away has lost interest in the answer; the rows are as they are.
        drop(job.reply.send(outcome));
        let now = (tx.0.total_changes(), pages.load(Ordering::Relaxed));
        // A WAL that was begun anew has fewer pages than before.
        if now.0 - hinted.0 >= ROWS || now.1 < hinted.1 || now.1 - hinted.1 >= PAGES {
            hinted = now;
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
