//! The port: transactions over rows of four kinds of value.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kernel::id::{Bucket, Shard};

use crate::dialect::Dialect;
use crate::error::Error;

/// A value on its way into a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// SQL NULL.
    Null,
    /// A signed 64-bit integer.
    Int(i64),
    /// Text, compared byte by byte.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Text, or NULL.
    pub fn text_or_null(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    /// An integer, or NULL.
    pub fn int_or_null(int: Option<i64>) -> Self {
        int.map_or(Self::Null, Self::Int)
    }

    /// A number that is never above `i64::MAX` in practice; one that is becomes `i64::MAX` and fails its guard.
    pub fn count(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A value on its way out of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// A signed 64-bit integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// One row of an answer. Columns are read by position; a column of another kind is [`Error::Corrupt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Cell>);

impl Row {
    fn odd(&self, column: usize, wanted: &str) -> Error {
        Error::Corrupt(format!("column {column} is {:?}, not {wanted}", self.0.get(column)))
    }

    /// An integer.
    pub fn int(&self, column: usize) -> Result<i64, Error> {
        match self.0.get(column) {
            Some(Cell::Int(int)) => Ok(*int),
            _ => Err(self.odd(column, "an integer")),
        }
    }

    /// An integer that cannot be negative.
    pub fn count(&self, column: usize) -> Result<u64, Error> {
        u64::try_from(self.int(column)?).map_err(|_| self.odd(column, "a count"))
    }

    /// A small integer that cannot be negative.
    pub fn small(&self, column: usize) -> Result<u32, Error> {
        u32::try_from(self.int(column)?).map_err(|_| self.odd(column, "a small count"))
    }

    /// An integer or NULL.
    pub fn int_or_null(&self, column: usize) -> Result<Option<i64>, Error> {
        match self.0.get(column) {
            Some(Cell::Null) => Ok(None),
            _ => self.int(column).map(Some),
        }
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<&str, Error> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Ok(text),
            _ => Err(self.odd(column, "text")),
        }
    }

    /// Text or NULL.
    pub fn text_or_null(&self, column: usize) -> Result<Option<&str>, Error> {
        match self.0.get(column) {
            Some(Cell::Null) => Ok(None),
            _ => self.text(column).map(Some),
        }
    }

    /// Bytes.
    pub fn bytes(&self, column: usize) -> Result<&[u8], Error> {
        match self.0.get(column) {
            Some(Cell::Bytes(bytes)) => Ok(bytes),
            _ => Err(self.odd(column, "bytes")),
        }
    }

    /// Exactly `N` bytes.
    pub fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], Error> {
        self.bytes(column)?.try_into().map_err(|_| self.odd(column, "bytes of the right length"))
    }
}

/// One transaction, as the work inside it sees it.
#[async_trait]
pub trait Tx: Send {
    /// How this database spells the few things that differ.
    fn dialect(&self) -> Dialect;
    /// Runs a statement; answers how many rows it changed.
    async fn exec(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error>;
    /// Runs a query; answers its rows in order.
    async fn fetch(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Error>;
}

/// What is done inside a transaction. `Ok` keeps it, `Err` keeps nothing of it.
#[async_trait]
pub trait Work: Send {
    /// Does the work. Awaits nothing but its `Tx`.
    async fn run(&mut self, tx: &mut dyn Tx) -> Result<(), Error>;
}

/// Contract, checked by [`crate::conformance`] on every adapter:
///
/// 1. `write` answers `Ok` only after the transaction is durable: no crash, of the process or the machine,
///    takes it back.
/// 2. A transaction whose work answers `Err` leaves nothing, and `write` answers that error.
/// 3. A failed COMMIT is `OutcomeUnknown`; any other error means that nothing was kept.
/// 4. Two transactions that lock the same rows (see [`Dialect::for_update`]) run as if one after the other.
/// 5. `read` sees one moment's committed rows, runs beside writers, and cannot write.
/// 6. A CHECK, a unique key and a NOT NULL are enforced; a broken unique key is `Duplicate`.
/// 7. Keys compare byte by byte: case, accents and trailing blanks count.
/// 8. Where transactions stand in each other's way, one may be told `Contended`; it does not go on.
/// 9. `look` reads as `read` does, and waits behind no `read`, however many there are.
#[async_trait]
pub trait Records: Send + Sync {
    /// The databases behind this port, home first.
    fn shards(&self) -> Vec<Shard>;
    /// The database that holds a bucket.
    fn shard_of(&self, bucket: Bucket) -> Shard;
    /// Runs work in a transaction that may write.
    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error>;
    /// Runs work in a transaction that only reads.
    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error>;
    /// Runs short work in a transaction that only reads, on a lane of its own: what every process must learn in time. An
    /// adapter in which no read waits for another needs none.
    async fn look(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.read(shard, work).await
    }
}

/// The future of a closure that borrows its transaction.
pub type InTx<'t, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 't>>;

struct Once<F, T, E> {
    job: Option<F>,
    out: Arc<Mutex<Option<Result<T, E>>>>,
}

#[async_trait]
impl<F, T, E> Work for Once<F, T, E>
where
    F: for<'t> FnOnce(&'t mut dyn Tx) -> InTx<'t, T, E> + Send,
    T: Send,
    E: Send,
{
    async fn run(&mut self, tx: &mut dyn Tx) -> Result<(), Error> {
        let Some(job) = self.job.take() else { return Err(Error::RolledBack) };
        let result = job(tx).await;
        let kept = if result.is_ok() { Ok(()) } else { Err(Error::RolledBack) };
        *self.out.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        kept
    }
}

enum Mode {
    Write,
    Read,
    Look,
}

async fn once<T, E, F>(records: &dyn Records, mode: Mode, shard: Shard, job: F) -> Result<T, E>
where
    F: for<'t> FnOnce(&'t mut dyn Tx) -> InTx<'t, T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let out = Arc::new(Mutex::new(None));
    let work = Box::new(Once { job: Some(job), out: Arc::clone(&out) });
    let outcome = match mode {
        Mode::Write => records.write(shard, work).await,
        Mode::Read => records.read(shard, work).await,
        Mode::Look => records.look(shard, work).await,
    };
    let result = out.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (outcome, result) {
        (Ok(()) | Err(Error::RolledBack), Some(result)) => result,
        (Err(error), _) => Err(error.into()),
        (Ok(()), None) => Err(Error::Corrupt("a transaction ended without a result".to_owned()).into()),
    }
}

/// Runs a closure in a transaction that may write; its `Err` rolls back and is answered as it is.
pub async fn write<T, E, F>(records: &dyn Records, shard: Shard, job: F) -> Result<T, E>
where
    F: for<'t> FnOnce(&'t mut dyn Tx) -> InTx<'t, T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    once(records, Mode::Write, shard, job).await
}

/// Runs a closure in a transaction that only reads.
pub async fn read<T, E, F>(records: &dyn Records, shard: Shard, job: F) -> Result<T, E>
where
    F: for<'t> FnOnce(&'t mut dyn Tx) -> InTx<'t, T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    once(records, Mode::Read, shard, job).await
}

/// Runs a closure in a transaction that only reads, and that waits behind no other reader. For short work alone.
pub async fn look<T, E, F>(records: &dyn Records, shard: Shard, job: F) -> Result<T, E>
where
    F: for<'t> FnOnce(&'t mut dyn Tx) -> InTx<'t, T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    once(records, Mode::Look, shard, job).await
}
