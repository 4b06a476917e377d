//! The thread that moves committed pages from the WAL into the database file.

use std::sync::mpsc::Receiver;

use rusqlite::Connection;

/// Pages in the WAL (of 2 KiB) above which writers are made to wait for a checkpoint: 256 MiB.
const WAL_PAGES_MAX: i64 = 131_072;
pub(super) fn run(connection: &Connection, growth: &Receiver<()>) {
    while growth.recv().is_ok() {
        while growth.try_recv().is_ok() {}
        match checkpoint(connection, "PASSIVE") {
            // A passive checkpoint stops where a reader or the writer stands in its way, and the WAL grows on.
            Ok((pages, moved)) if pages > WAL_PAGES_MAX && moved < pages => {
                log_failure(checkpoint(connection, "RESTART").map(|_| ()));
            }
            Ok(_) => {}
            Err(error) => log_failure(Err(error)),
        }
    }
    log_failure(checkpoint(connection, "TRUNCATE").map(|_| ()));
}

/// Runs a checkpoint; answers the pages in the WAL and how many of them the database holds now.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((row.get(1)?, row.get(2)?)))
}

fn log_failure(outcome: rusqlite::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a checkpoint failed; the WAL keeps what it holds");
    }
}
