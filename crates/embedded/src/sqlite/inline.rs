//! [`Records`] on a database in memory, worked by whoever calls, on their own thread. Nothing of it is durable: a seeded
//! simulation stands on it, in which the order of everything follows from the seed.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use kernel::id::{Bucket, Shard};
use records::error::Error;
use records::port::{Records, Work};
use rusqlite::Connection;

use super::fault_of;
use super::tx::{SqliteTx, run_to_end};
use super::writer::transact;

/// A database in memory as [`Records`].
pub struct InlineRecords(Mutex<SqliteTx>);

impl InlineRecords {
    /// An empty database.
    pub fn open() -> Result<Self, Error> {
        let connection = Connection::open_in_memory().map_err(|error| fault_of(&error))?;
        connection.set_prepared_statement_cache_capacity(256);
        Ok(Self(Mutex::new(SqliteTx(connection))))
    }
}

#[async_trait]
impl Records for InlineRecords {
    fn shards(&self) -> Vec<Shard> {
        vec![Shard::HOME]
    }

    fn shard_of(&self, _bucket: Bucket) -> Shard {
        Shard::HOME
    }

    async fn write(&self, _shard: Shard, mut work: Box<dyn Work>) -> Result<(), Error> {
        transact(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), &mut *work)
    }

    async fn read(&self, _shard: Shard, mut work: Box<dyn Work>) -> Result<(), Error> {
        let mut tx = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let set = |tx: &SqliteTx, on: bool| {
            tx.0.pragma_update(None, "query_only", on).map_err(|error| fault_of(&error))
        };
        set(&tx, true)?;
        let outcome = run_to_end(&mut *work, &mut tx);
        set(&tx, false)?;
        outcome
    }
}
