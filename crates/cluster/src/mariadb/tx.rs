//! One transaction on a connection.

use std::time::Duration;

use async_trait::async_trait;
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, Params};
use records::dialect::Dialect;
use records::error::Error;
use records::port::{Cell, Row, Tx, Value};
use tokio::time::timeout;

use super::fault;

/// Longest wait for the answer to a statement; a little longer than the server lets one run.
const STATEMENT_TIME: Duration = Duration::from_secs(65);

/// The number of the `binary` character set: columns of bytes have it, columns of text do not.
const BINARY: u16 = 63;

/// Owns its connection, so that one of which nobody knows how it stands is never used again.
pub(super) struct MariaTx {
    /// `None` once the connection has failed: the server undoes what was not committed on it.
    connection: Option<Conn>,
    /// Why the transaction can only be undone. After some failures the server has undone all of it by itself, and would keep
    /// each further statement by itself.
    lost: Option<Error>,
}

impl MariaTx {
    pub(super) fn new(connection: Conn) -> Self {
        Self { connection: Some(connection), lost: None }
    }

    /// The connection, where it can serve another transaction.
    pub(super) fn into_connection(self) -> Option<Conn> {
        self.connection
    }

    /// Runs something on the connection within the time for it.
    async fn on<T>(
        &mut self,
        run: impl AsyncFnOnce(&mut Conn) -> Result<T, mysql_async::Error>,
    ) -> Result<T, Error> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        let Some(mut connection) = self.connection.take() else {
            return Err(Error::Unavailable("the connection is gone".to_owned()));
        };
        let outcome = match timeout(STATEMENT_TIME, run(&mut connection)).await {
            Ok(Ok(done)) => {
                self.connection = Some(connection);
                return Ok(done);
            }
            Ok(Err(error)) => {
                if !error.is_fatal() {
                    self.connection = Some(connection);
                }
                fault::of(&error)
            }
            Err(_) => Error::Unavailable("a statement was not answered in time".to_owned()),
        };
        if matches!(outcome, Error::Unavailable(_) | Error::Contended(_)) || self.connection.is_none() {
            self.lost = Some(outcome.clone());
        }
        Err(outcome)
    }

    pub(super) async fn begin(&mut self, statement: &'static str) -> Result<(), Error> {
        self.on(async |connection| connection.query_drop(statement).await).await
    }

    /// Keeps the transaction. Whatever the answer is, other than that it was kept, nobody knows whether it was.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        if let Some(lost) = &self.lost {
            let lost = lost.clone();
            self.roll_back().await;
            return Err(lost);
        }
        self.on(async |connection| connection.query_drop("COMMIT").await).await.map_err(|error| {
            tracing::error!(%error, "a commit failed");
            self.connection = None;
            Error::OutcomeUnknown
        })
    }

    /// Undoes the transaction. A connection that cannot even do that is closed, and the server undoes it then.
    pub(super) async fn roll_back(&mut self) {
        self.lost = None;
        if self.connection.is_some()
            && let Err(error) = self.on(async |connection| connection.query_drop("ROLLBACK").await).await
        {
            tracing::warn!(%error, "a rollback failed; its connection is closed");
            self.connection = None;
        }
    }
}

fn bound(values: &[Value<'_>]) -> Params {
    let bound = values.iter().map(|value| match value {
        Value::Null => mysql_async::Value::NULL,
        Value::Int(int) => mysql_async::Value::Int(*int),
        Value::Text(text) => mysql_async::Value::Bytes(text.as_bytes().to_vec()),
        Value::Bytes(bytes) => mysql_async::Value::Bytes(bytes.to_vec()),
    });
    if values.is_empty() { Params::Empty } else { Params::Positional(bound.collect()) }
}

/// Reads a value by the type of its column.
fn cell(column: &Column, value: mysql_async::Value) -> Result<Cell, Error> {
    let odd = || Error::Corrupt(format!("column {} is no integer, text or bytes", column.name_str()));
    Ok(match value {
        mysql_async::Value::NULL => Cell::Null,
        mysql_async::Value::Int(int) => Cell::Int(int),
        mysql_async::Value::UInt(int) => Cell::Int(i64::try_from(int).map_err(|_| odd())?),
        // What SUM makes of integers is a decimal number.
        mysql_async::Value::Bytes(digits) if is_decimal(column) => {
            let digits = std::str::from_utf8(&digits).map_err(|_| odd())?;
            Cell::Int(digits.parse().map_err(|_| odd())?)
        }
        mysql_async::Value::Bytes(bytes) if column.character_set() == BINARY => Cell::Bytes(bytes),
        mysql_async::Value::Bytes(text) => Cell::Text(String::from_utf8(text).map_err(|_| odd())?),
        mysql_async::Value::Float(_)
        | mysql_async::Value::Double(_)
        | mysql_async::Value::Date(..)
        | mysql_async::Value::Time(..) => return Err(odd()),
    })
}

fn is_decimal(column: &Column) -> bool {
    matches!(column.column_type(), ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_DECIMAL)
}

#[async_trait]
impl Tx for MariaTx {
    fn dialect(&self) -> Dialect {
        Dialect::MariaDb
    }

    async fn exec(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        let params = bound(values);
        self.on(async move |connection: &mut Conn| {
            connection.exec_drop(sql, params).await?;
            Ok(connection.affected_rows())
        })
        .await
    }

    async fn fetch(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        let params = bound(values);
        let found: Vec<mysql_async::Row> =
            self.on(async move |connection: &mut Conn| connection.exec(sql, params).await).await?;
        found
            .into_iter()
            .map(|row| {
                let columns = row.columns();
                let cells = columns.iter().zip(row.unwrap()).map(|(column, value)| cell(column, value));
                Ok(Row(cells.collect::<Result<_, _>>()?))
            })
            .collect()
    }
}
