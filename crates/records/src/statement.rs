//! Statements over many rows, in few sizes, so that they stay prepared.

use std::sync::OnceLock;

use crate::dialect::Dialect;
use crate::error::Error;
use crate::port::{Row, Tx, Value};

/// Row counts of one statement. Any number of rows is a sum of few of these.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// What a statement reads as, once it was asked for: in each dialect, in each size. Statements are static, and one process
/// may hold records of several kinds.
type Texts = [[OnceLock<String>; SIZES.len()]; Dialect::COUNT];

const fn unasked() -> Texts {
    [const { [const { OnceLock::new() }; SIZES.len()] }; Dialect::COUNT]
}

/// Splits `rows` into the sizes above: `(index into SIZES, first row, row count)`.
fn chunks(rows: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let (place, size) = SIZES.iter().enumerate().find(|(_, size)| **size <= rows - from)?;
        let chunk = (place, from, *size);
        from += size;
        Some(chunk)
    })
}

/// What becomes of a row whose key exists. Leading columns, so many, form the key.
#[derive(Clone, Copy)]
enum Known {
    Refuse,
    Replace(usize),
    Keep(usize),
}

/// An INSERT of many rows.
pub struct Insert {
    table: &'static str,
    columns: &'static [&'static str],
    known: Known,
    texts: Texts,
}

impl Insert {
    /// Rows that must be new: an existing key is [`Error::Duplicate`].
    pub const fn new(table: &'static str, columns: &'static [&'static str]) -> Self {
        Self::with(table, columns, Known::Refuse)
    }

    /// Rows that replace the row with the same key, which is the first `key` columns.
    pub const fn or_replace(table: &'static str, columns: &'static [&'static str], key: usize) -> Self {
        Self::with(table, columns, Known::Replace(key))
    }

    /// Rows that are made where they are missing, and stay as they are where the row with the same key, which is the first
    /// `key` columns, exists. Either way they are locked; which it was is not told.
    pub const fn or_keep(table: &'static str, columns: &'static [&'static str], key: usize) -> Self {
        Self::with(table, columns, Known::Keep(key))
    }

    const fn with(table: &'static str, columns: &'static [&'static str], known: Known) -> Self {
        Self { table, columns, known, texts: unasked() }
    }

    fn text(&self, dialect: Dialect, place: usize) -> &str {
        self.texts[dialect as usize][place].get_or_init(|| {
            let tuple = format!("({})", vec!["?"; self.columns.len()].join(","));
            let end = match self.known {
                Known::Refuse => String::new(),
                Known::Replace(key) => dialect.on_key_replace(&self.columns[..key], &self.columns[key..]),
                Known::Keep(key) => dialect.on_key_keep(&self.columns[..key]),
            };
            let tuples = vec![tuple; SIZES[place]].join(",");
            format!("INSERT INTO {} ({}) VALUES {tuples}{end}", self.table, self.columns.join(","))
        })
    }

    /// Writes all rows; `values` holds them one after the other, each with every column.
    pub async fn rows(&self, tx: &mut dyn Tx, values: &[Value<'_>]) -> Result<(), Error> {
        let width = self.columns.len();
        for (place, from, size) in chunks(values.len() / width) {
            let part = &values[from * width..(from + size) * width];
            let changed = tx.exec(self.text(tx.dialect(), place), part).await?;
            if matches!(self.known, Known::Refuse) && changed != size as u64 {
                return Err(Error::Surprise(self.table));
            }
        }
        Ok(())
    }
}

/// A query or deletion of many rows by key: `{head} AND (columns) IN (...)`.
pub struct ByKeys {
    head: &'static str,
    columns: &'static [&'static str],
    tail: &'static str,
    texts: Texts,
}

impl ByKeys {
    /// `head` ends in a WHERE with at least one condition; `columns` are the rest of the key.
    pub const fn new(head: &'static str, columns: &'static [&'static str], tail: &'static str) -> Self {
        Self { head, columns, tail, texts: unasked() }
    }

    fn text(&self, dialect: Dialect, place: usize) -> &str {
        self.texts[dialect as usize][place].get_or_init(|| {
            let keys = dialect.tuples_in(self.columns, SIZES[place]);
            format!("{} AND {keys} {}", self.head, self.tail)
        })
    }

    /// The rows of all `keys`, which hold one tuple after the other; `fixed` fills the head's placeholders.
    pub async fn fetch(
        &self,
        tx: &mut dyn Tx,
        fixed: &[Value<'_>],
        keys: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        let width = self.columns.len();
        let mut rows = Vec::new();
        let mut values = Vec::with_capacity(fixed.len() + keys.len());
        for (place, from, size) in chunks(keys.len() / width) {
            values.clear();
            values.extend_from_slice(fixed);
            values.extend_from_slice(&keys[from * width..(from + size) * width]);
            rows.extend(tx.fetch(self.text(tx.dialect(), place), &values).await?);
        }
        Ok(rows)
    }

    /// Runs a deletion of all `keys`; answers how many rows went.
    pub async fn exec(&self, tx: &mut dyn Tx, fixed: &[Value<'_>], keys: &[Value<'_>]) -> Result<u64, Error> {
        let width = self.columns.len();
        let mut changed = 0;
        let mut values = Vec::with_capacity(fixed.len() + keys.len());
        for (place, from, size) in chunks(keys.len() / width) {
            values.clear();
            values.extend_from_slice(fixed);
            values.extend_from_slice(&keys[from * width..(from + size) * width]);
            changed += tx.exec(self.text(tx.dialect(), place), &values).await?;
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_cut_without_gap_or_overlap() {
        for rows in 0..2000 {
            let mut next = 0;
            for (place, from, size) in chunks(rows) {
                assert_eq!(from, next);
                assert_eq!(SIZES[place], size);
                next += size;
            }
            assert_eq!(next, rows);
        }
    }

    #[test]
    fn an_upsert_names_its_key_and_its_columns() {
        let ends = |dialect: Dialect, end: &str| {
            let insert = Insert::or_replace("player", &["a", "b", "c", "d"], 2);
            assert_eq!(
                insert.text(dialect, 4),
                format!("INSERT INTO player (a,b,c,d) VALUES (?,?,?,?){end}")
            );
        };
        ends(Dialect::Sqlite, " ON CONFLICT (a,b) DO UPDATE SET c=excluded.c,d=excluded.d");
        ends(Dialect::MariaDb, " ON DUPLICATE KEY UPDATE c=VALUES(c),d=VALUES(d)");
    }
}
