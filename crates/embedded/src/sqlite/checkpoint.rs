//! The thread that moves committed pages from the WAL into the database file.

use std::sync::mpsc::Receiver;

use rusqlite::Connection;

/// Pages in the WAL (of 2 KiB) from which it is begun anew: 64 MiB. Under load the writer always adds a page before a
/// passive checkpoint has moved the last, so the WAL would grow for ever; this makes the writer wait once, for a few pages.
const WAL_PAGES_MAX: i64 = 32_768;

pub(super) fn run(connection: &Connection, growth: &Receiver<()>) {
    while growth.recv().is_ok() {
        while growth.try_recv().is_ok() {}
        match checkpoint(connection, "PASSIVE") {
            Ok(pages) if pages > WAL_PAGES_MAX => log_failure(checkpoint(connection, "RESTART")),
            outcome => log_failure(outcome),
        }
    }
    log_failure(checkpoint(connection, "TRUNCATE"));
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
