//! A thread that reads, beside the writer.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::tx::{SqliteTx, run_to_end};
use super::{Job, fault_of};

pub(super) fn run(connection: Connection, jobs: &Arc<Mutex<Receiver<Job>>>) {
    let mut tx = SqliteTx(connection);
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = next else { return };
        let outcome = match tx.0.execute_batch("BEGIN") {
            Ok(()) => run_to_end(&mut *job.work, &mut tx),
            Err(error) => Err(fault_of(&error)),
        };
        if !tx.0.is_autocommit()
            && let Err(error) = tx.0.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a reading transaction did not end");
        }
        drop(job.reply.send(outcome));
    }
}
