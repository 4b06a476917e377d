//! One transaction on a connection.

use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use records::dialect::Dialect;
use records::error::Error;
use records::port::{Cell, Row, Tx, Value, Work};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

use super::fault_of;

/// Owns the connection, so that a transaction may travel with the future that uses it.
pub(super) struct SqliteTx(pub(super) Connection);

struct Bound<'a>(Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(int) => ValueRef::Integer(int),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl SqliteTx {
    fn bound(&self, sql: &str, values: &[Value<'_>]) -> rusqlite::Result<CachedStatement<'_>> {
        let mut statement = self.0.prepare_cached(sql)?;
        for (place, value) in values.iter().enumerate() {
            statement.raw_bind_parameter(place + 1, Bound(*value))?;
        }
        Ok(statement)
    }

    fn rows(&self, sql: &str, values: &[Value<'_>]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.bound(sql, values)?;
        let width = statement.column_count();
        let mut found = statement.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let mut cells = Vec::with_capacity(width);
            for column in 0..width {
                cells.push(match row.get_ref(column)? {
                    ValueRef::Null => Cell::Null,
                    ValueRef::Integer(int) => Cell::Int(int),
                    // No table has a column of floats: the kernel knows no such number.
                    ValueRef::Real(_) => return Err(rusqlite::Error::InvalidQuery),
                    ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
                });
            }
            rows.push(Row(cells));
        }
        Ok(rows)
    }
}

#[async_trait]
impl Tx for SqliteTx {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn exec(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        let run = || self.bound(sql, values)?.raw_execute();
        run().map(|changed| changed as u64).map_err(|error| fault_of(&error))
    }

    async fn fetch(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        self.rows(sql, values).map_err(|error| fault_of(&error))
    }
}

/// Polls work to its end. Work awaits nothing but its `Tx`, and this one is always ready.
pub(super) fn run_to_end(work: &mut dyn Work, tx: &mut SqliteTx) -> Result<(), Error> {
    let mut future = work.run(tx);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::Corrupt("work inside a transaction awaited something else".to_owned())),
    }
}
