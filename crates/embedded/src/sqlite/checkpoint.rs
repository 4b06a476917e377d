//! The thread that moves committed pages from the WAL into the database file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::Connection;

/// Pages in the WAL (of 2 KiB) from which it is begun anew: 64 MiB. Under load the writer always adds a page before a
/// passive checkpoint has moved the last, so the WAL would grow for ever.
const WAL_PAGES_MAX: i64 = 32_768;

/// How long the writer waits for readers before it leaves the WAL as it is until the next checkpoint has passed.
const RESTART_WAIT: Duration = Duration::from_millis(5);

/// Moves pages whenever the WAL has grown; asks for a restart where it is too long, and holds no lock until that was tried.
pub(super) fn run(connection: &Connection, growth: &Receiver<()>, is_too_long: &AtomicBool) {
    while growth.recv().is_ok() {
        while growth.try_recv().is_ok() {}
        if is_too_long.load(Ordering::Acquire) {
            continue;
        }
        match checkpoint(connection, "PASSIVE") {
            Ok(pages) => is_too_long.store(pages > WAL_PAGES_MAX, Ordering::Release),
            outcome @ Err(_) => log_failure(outcome),
        }
    }
    log_failure(checkpoint(connection, "TRUNCATE"));
}

/// Begins the WAL anew, where that was asked for. Only between two of its transactions can the writer do so: whoever else
/// wants to has to find a moment at which it does not write, and under load there is none.
pub(super) fn restart(writing: &Connection, is_too_long: &AtomicBool) {
    if is_too_long.load(Ordering::Acquire) {
        log_failure(writing.busy_timeout(RESTART_WAIT).and_then(|()| checkpoint(writing, "RESTART")));
        log_failure(writing.busy_timeout(super::BUSY_WAIT).map(|()| 0));
        is_too_long.store(false, Ordering::Release);
    }
}

/// Runs a checkpoint; answers the pages in the WAL.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}

fn log_failure(outcome: rusqlite::Result<i64>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a checkpoint failed; the WAL keeps what it holds");
    }
}
