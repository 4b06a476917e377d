//! The few places where databases spell things differently. No other file may ask which database it is.

/// The SQL that a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
}

impl Dialect {
    /// Ends a query whose rows must not change before the transaction ends.
    pub fn for_update(self) -> &'static str {
        match self {
            // A writing transaction is BEGIN IMMEDIATE: it has locked the whole database already.
            Self::Sqlite => "",
        }
    }

    /// Ends CREATE TABLE: rows lie in the order of their primary key, bytes compare as bytes.
    pub fn table_end(self) -> &'static str {
        match self {
            Self::Sqlite => " WITHOUT ROWID",
        }
    }

    /// `columns IN (...)` over `rows` tuples of placeholders.
    pub fn tuples_in(self, columns: &[&str], rows: usize) -> String {
        match self {
            Self::Sqlite => {
                let tuple = format!("({})", vec!["?"; columns.len()].join(","));
                format!("({}) IN (VALUES {})", columns.join(","), vec![tuple; rows].join(","))
            }
        }
    }

    /// Ends a multi-row INSERT that replaces `columns` where the key exists.
    pub fn on_key_replace(self, key: &[&str], columns: &[&str]) -> String {
        match self {
            Self::Sqlite => {
                let set: Vec<_> =
                    columns.iter().map(|column| format!("{column}=excluded.{column}")).collect();
                format!(" ON CONFLICT ({}) DO UPDATE SET {}", key.join(","), set.join(","))
            }
        }
    }
}
