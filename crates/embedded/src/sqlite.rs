//! [`Records`] on one SQLite file: one thread writes, a few read, one looks at what must be seen in time, one checkpoints.
//!
//! WAL with `synchronous=FULL`: a commit is on the disk when it is answered. Checkpoints run on a thread of their own,
//! so that a commit costs one append and one fsync.

mod checkpoint;
pub mod inline;
mod reader;
mod tx;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use kernel::id::{Bucket, Shard};
use records::error::Error;
use records::port::{Records, Work};
use rusqlite::Connection;
use tokio::sync::oneshot;

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("another process is using the data folder {0}; stop it first, or choose another with --data")]
    InUse(PathBuf),
    /// It cannot be made or read.
    #[error("cannot use the data folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is no database, or a broken one.
    #[error("cannot open the database {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

/// Memory that the page caches may take, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Caches {
    /// Of the writer.
    pub writer_kib: u32,
    /// Of each reader.
    pub reader_kib: u32,
}

impl Default for Caches {
    fn default() -> Self {
        Self { writer_kib: 64 * 1024, reader_kib: 4 * 1024 }
    }
}

const READERS: usize = 2;

/// How long a statement waits for a lock that another connection of this process holds.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Bytes of a page. A draw changes a page at random (its participant's) and every changed page goes to the WAL whole, so
/// small pages halve what is written; below this the saving is lost to the deeper tree.
const PAGE_BYTES: u32 = 2048;

pub(crate) struct Job {
    work: Box<dyn Work>,
    reply: oneshot::Sender<Result<(), Error>>,
}

/// One SQLite file as [`Records`].
pub struct SqliteRecords {
    lanes: Mutex<Option<Lanes>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    last: Mutex<Option<Last>>,
    _lock: File,
}

/// The thread that ends after all others. Of connections that are closed at once each sees another, and then none of them
/// folds the WAL in.
struct Last {
    /// It runs for as long as this is there.
    grown: std::sync::mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

#[derive(Clone)]
struct Lanes {
    write: std::sync::mpsc::Sender<Job>,
    read: std::sync::mpsc::Sender<Job>,
    look: std::sync::mpsc::Sender<Job>,
}

/// Page cache of the connection that looks, in KiB: what it reads fits a few pages.
const LOOKER_KIB: u32 = 512;

/// The database file within a data folder.
pub fn database_path(folder: &Path) -> PathBuf {
    folder.join("fairground.db")
}

impl SqliteRecords {
    /// Opens the database in a data folder, making both where they are missing. The folder is locked against a second
    /// process until this is dropped.
    pub fn open(folder: &Path, caches: Caches) -> Result<Self, OpenError> {
        Self::open_named(folder, "fairground", caches)
    }

    /// The same of another database that stands beside it under a name.
    pub fn open_named(folder: &Path, name: &str, caches: Caches) -> Result<Self, OpenError> {
        let in_folder = |source| OpenError::Folder { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(in_folder)?;
        let lock = File::create(folder.join(format!("{name}.lock"))).map_err(in_folder)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(in_folder(source)),
        }
        let path = folder.join(format!("{name}.db"));
        let in_database = |source| OpenError::Database { path: path.clone(), source };

        let writing = connect(&path, caches.writer_kib).map_err(in_database)?;
        let checkpointing = connect(&path, 512).map_err(in_database)?;
        let reader = |cache_kib| {
            let connection = connect(&path, cache_kib)?;
            connection.pragma_update(None, "query_only", true).map(|()| connection)
        };
        let looking = reader(LOOKER_KIB).map_err(in_database)?;
        let reading = (0..READERS).map(|_| reader(caches.reader_kib));
        let reading: Vec<_> = reading.collect::<Result<_, _>>().map_err(in_database)?;

        let (write, writes) = std::sync::mpsc::channel();
        let (read, reads) = std::sync::mpsc::channel();
        let (look, looks) = std::sync::mpsc::channel();
        let (reads, looks) = (Arc::new(Mutex::new(reads)), Arc::new(Mutex::new(looks)));
        let (grown, growth) = std::sync::mpsc::channel();
        let is_too_long = Arc::new(AtomicBool::new(false));
        let tells = Arc::clone(&is_too_long);
        let last = spawn("records-checkpoint", move || checkpoint::run(&checkpointing, &growth, &tells));
        let last = Last { grown: grown.clone(), thread: last.map_err(in_folder)? };
        let mut threads = vec![
            spawn("records-write", move || writer::run(writing, &writes, &grown, &is_too_long))
                .map_err(in_folder)?,
            spawn("records-look", move || reader::run(looking, &looks)).map_err(in_folder)?,
        ];
        for connection in reading {
            let reads = Arc::clone(&reads);
            threads.push(spawn("records-read", move || reader::run(connection, &reads)).map_err(in_folder)?);
        }
        let lanes = Mutex::new(Some(Lanes { write, read, look }));
        Ok(Self { lanes, threads: Mutex::new(threads), last: Mutex::new(Some(last)), _lock: lock })
    }

    fn lanes(&self) -> Result<Lanes, Error> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::Closed)
    }

    /// Ends the threads after the work they have, and folds the WAL into the database. Blocks.
    pub fn close(&self) {
        drop(self.lanes.lock().unwrap_or_else(PoisonError::into_inner).take());
        let join = |thread: JoinHandle<()>| {
            if thread.join().is_err() {
                tracing::error!("a database thread had panicked");
            }
        };
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(join);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Last { grown, thread }) = last {
            drop(grown);
            join(thread);
        }
    }
}

impl Drop for SqliteRecords {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Records for SqliteRecords {
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

async fn hand_over(lane: &std::sync::mpsc::Sender<Job>, work: Box<dyn Work>) -> Result<(), Error> {
    let (reply, answer) = oneshot::channel();
    lane.send(Job { work, reply })
        .map_err(|_| Error::Unavailable("the database thread is gone".to_owned()))?;
    answer.await.unwrap_or(Err(Error::OutcomeUnknown))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

fn connect(path: &Path, cache_kib: u32) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// What an SQLite failure means to the caller of a transaction. Codes: <https://sqlite.org/rescode.html>.
fn fault_of(error: &rusqlite::Error) -> Error {
    const ERROR: i32 = 1;
    const TOO_BIG: i32 = 18;
    const CONSTRAINT: i32 = 19;
    const MISMATCH: i32 = 20;
    const MISUSE: i32 = 21;
    const CONSTRAINT_PRIMARY_KEY: i32 = 1555;
    const CONSTRAINT_UNIQUE: i32 = 2067;
    let text = error.to_string();
    let Some(code) = error.sqlite_error().map(|error| error.extended_code) else {
        return Error::Corrupt(text);
    };
    match code & 0xff {
        CONSTRAINT if matches!(code, CONSTRAINT_PRIMARY_KEY | CONSTRAINT_UNIQUE) => Error::Duplicate(text),
        ERROR | TOO_BIG | CONSTRAINT | MISMATCH | MISUSE => Error::Corrupt(text),
        _ => Error::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use records::port::{read, write};

    use super::*;

    /// Whoever copies the database of a server that was stopped copies the one file.
    #[tokio::test]
    async fn what_is_closed_leaves_one_file() {
        for round in 0..100 {
            let folder = tempfile::tempdir().expect("a folder");
            let records = SqliteRecords::open(folder.path(), Caches::default()).expect("records");
            let wrote: Result<u64, Error> = write(&records, Shard::HOME, |tx| {
                Box::pin(async move { tx.exec("CREATE TABLE thing (id INTEGER PRIMARY KEY)", &[]).await })
            })
            .await;
            wrote.expect("a table");
            for _ in 0..4 {
                let rows: Result<Vec<_>, Error> = read(&records, Shard::HOME, |tx| {
                    Box::pin(async move { tx.fetch("SELECT id FROM thing", &[]).await })
                })
                .await;
                assert!(rows.expect("rows").is_empty());
            }
            records.close();
            let left = std::fs::read_dir(folder.path())
                .expect("a folder")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
            let mut left: Vec<_> = left.collect();
            left.sort_unstable();
            assert_eq!(left, ["fairground.db", "fairground.lock"], "round {round}");
        }
    }
}
