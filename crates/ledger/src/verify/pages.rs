//! Tables page by page in the order of their keys: no statement reads a whole table, so that none takes long.

use std::collections::VecDeque;

use records::error::Error as RecordsError;
use records::port::{Cell, Row, Tx, Value};

use crate::journal::JournalKey;

/// Rows that are read at once.
const PAGE: usize = 4096;

/// A table. Its key begins with a place, a bucket or a shard.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// What is read of it.
    pub(super) columns: &'static str,
    /// The rest of its key but for the tenant: each column, and where it stands in what is read.
    pub(super) key: &'static [(&'static str, usize)],
}

impl Table {
    /// What comes after a row. The first condition alone bounds a range of the key.
    fn after(&self) -> String {
        let Some((first, _)) = self.key.first() else { return String::new() };
        let rest = self.key.iter().rev().fold(String::new(), |rest, (column, _)| {
            if rest.is_empty() {
                format!("{column}>?")
            } else {
                format!("({column}>? OR ({column}=? AND {rest}))")
            }
        });
        format!(" AND {first}>=? AND {rest}")
    }

    fn values<'r>(&self, row: &'r Row) -> Vec<Value<'r>> {
        let cells: Vec<_> = self.key.iter().map(|(_, place)| value(row.0.get(*place))).collect();
        let mut values: Vec<_> = cells.first().copied().into_iter().collect();
        for (place, cell) in cells.iter().enumerate() {
            values.push(*cell);
            values.extend((place + 1 < cells.len()).then_some(*cell));
        }
        values
    }
}

/// Whatever a cell holds, also what it should not.
fn value(cell: Option<&Cell>) -> Value<'_> {
    match cell {
        None | Some(Cell::Null) => Value::Null,
        Some(Cell::Int(int)) => Value::Int(*int),
        Some(Cell::Text(text)) => Value::Text(text),
        Some(Cell::Bytes(bytes)) => Value::Bytes(bytes),
    }
}

/// A walk through a tenant's rows of a table.
pub(super) struct Scan {
    table: &'static Table,
    key: JournalKey,
    /// The bucket that is read, where the table has buckets.
    bucket: Option<Cell>,
    last: Option<Row>,
    ended: bool,
}

impl Scan {
    /// Through what the journal of a database has numbered.
    pub(super) fn of_journal(table: &'static Table, key: JournalKey) -> Self {
        Self { table, key, bucket: None, last: None, ended: false }
    }

    /// Through what belongs to accounts, bucket by bucket.
    pub(super) fn of_accounts(table: &'static Table, key: JournalKey) -> Self {
        Self { bucket: Some(Cell::Int(i64::MIN)), ended: true, ..Self::of_journal(table, key) }
    }

    /// The next rows; none at the end.
    pub(super) async fn next(&mut self, tx: &mut dyn Tx) -> Result<Vec<Row>, RecordsError> {
        loop {
            if self.ended && !self.turn(tx).await? {
                return Ok(vec![]);
            }
            let [shard, tenant] = self.key.values();
            let (place, at) = match &self.bucket {
                Some(bucket) => ("bucket", value(Some(bucket))),
                None => ("shard", shard),
            };
            let columns: Vec<_> = self.table.key.iter().map(|(column, _)| *column).collect();
            let after = self.last.as_ref().map(|_| self.table.after()).unwrap_or_default();
            let sql = format!(
                "SELECT {} FROM {} WHERE {place}=? AND tenant=?{after} ORDER BY {} LIMIT {PAGE}",
                self.table.columns,
                self.table.name,
                columns.join(","),
            );
            let mut values = vec![at, tenant];
            values.extend(self.last.iter().flat_map(|last| self.table.values(last)));
            let rows = tx.fetch(&sql, &values).await?;
            self.ended = rows.len() < PAGE;
            if let Some(last) = rows.last() {
                self.last = Some(last.clone());
                return Ok(rows);
            }
        }
    }

    /// Turns to the next bucket that has rows. Answers whether there is one.
    async fn turn(&mut self, tx: &mut dyn Tx) -> Result<bool, RecordsError> {
        let Some(bucket) = &self.bucket else { return Ok(false) };
        let sql = format!("SELECT MIN(bucket) FROM {} WHERE bucket>?", self.table.name);
        let rows = tx.fetch(&sql, &[value(Some(bucket))]).await?;
        let next = rows.into_iter().next().and_then(|row| row.0.into_iter().next());
        let Some(next) = next.filter(|cell| *cell != Cell::Null) else { return Ok(false) };
        (self.bucket, self.last, self.ended) = (Some(next), None, false);
        Ok(true)
    }
}

/// Rows one by one.
pub(super) struct Rows {
    scan: Scan,
    read: VecDeque<Row>,
}

impl Rows {
    pub(super) fn of(scan: Scan) -> Self {
        Self { scan, read: VecDeque::new() }
    }

    /// The next row, which stays the next.
    pub(super) async fn peek(&mut self, tx: &mut dyn Tx) -> Result<Option<&Row>, RecordsError> {
        if self.read.is_empty() {
            self.read = self.scan.next(tx).await?.into();
        }
        Ok(self.read.front())
    }

    /// The next row.
    pub(super) async fn pop(&mut self, tx: &mut dyn Tx) -> Result<Option<Row>, RecordsError> {
        self.peek(tx).await?;
        Ok(self.read.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_after_the_last_row() {
        let table = Table { name: "t", columns: "c,a,b", key: &[("a", 1), ("b", 2), ("c", 0)] };
        assert_eq!(table.after(), " AND a>=? AND (a>? OR (a=? AND (b>? OR (b=? AND c>?))))");
        let row = Row(vec![Cell::Int(3), Cell::Text("x".to_owned()), Cell::Int(2)]);
        let (a, b, c) = (Value::Text("x"), Value::Int(2), Value::Int(3));
        assert_eq!(table.values(&row), [a, a, a, b, b, c]);
    }
}
