//! The few places where databases spell things differently. No other file may ask which database it is.

/// The SQL that a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// MariaDB 10.11 and later.
    MariaDb,
}

impl Dialect {
    /// How many there are.
    pub const COUNT: usize = Self::MariaDb as usize + 1;

    /// Ends a query whose rows must not change before the transaction ends.
    pub fn for_update(self) -> &'static str {
        match self {
            // A writing transaction is BEGIN IMMEDIATE: it has locked the whole database already.
            Self::Sqlite => "",
            Self::MariaDb => " FOR UPDATE",
        }
    }

    /// A statement of a migration as this database takes it. Where a definition is kept at once, whatever becomes of its
    /// transaction, it must not mind being made again after a start that did not get to its end. Nothing, where this database has
    /// nothing to do for it.
    pub fn definition(self, statement: &str) -> Option<String> {
        match self {
            // A length is a remark here: no column needs another.
            Self::Sqlite if statement.contains(" MODIFY COLUMN ") => None,
            // Rows lie in the order of their primary key, bytes compare as bytes.
            Self::Sqlite => Some(statement.replace("{table_end}", " WITHOUT ROWID")),
            // Text compares byte by byte too, blanks at its end included.
            Self::MariaDb => Some(
                statement
                    .replace("{table_end}", " ENGINE=InnoDB CHARACTER SET=utf8mb4 COLLATE=utf8mb4_nopad_bin")
                    .replace("CREATE TABLE IF NOT EXISTS ", "CREATE TABLE ")
                    .replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ")
                    .replace(" ADD COLUMN ", " ADD COLUMN IF NOT EXISTS ")
                    .replace("CREATE INDEX ", "CREATE INDEX IF NOT EXISTS ")
                    .replace("CREATE UNIQUE INDEX ", "CREATE UNIQUE INDEX IF NOT EXISTS ")
                    .replace("INSERT OR IGNORE INTO ", "INSERT IGNORE INTO "),
            ),
        }
    }

    /// `columns IN (...)` over `rows` tuples of placeholders.
    pub fn tuples_in(self, columns: &[&str], rows: usize) -> String {
        let tuple = format!("({})", vec!["?"; columns.len()].join(","));
        let tuples = vec![tuple; rows].join(",");
        match self {
            Self::Sqlite => format!("({}) IN (VALUES {tuples})", columns.join(",")),
            Self::MariaDb => format!("({}) IN ({tuples})", columns.join(",")),
        }
    }

    /// Ends a multi-row INSERT that leaves a row as it is where the key exists, and locks it. The table must have no other
    /// unique key.
    pub fn on_key_keep(self, key: &[&str]) -> String {
        match self {
            Self::Sqlite => format!(" ON CONFLICT ({}) DO NOTHING", key.join(",")),
            // A column is set to what it is: that locks the row as an update does, and two who then want to change it do not
            // stand in each other's way.
            Self::MariaDb => key
                .first()
                .map_or_else(String::new, |column| format!(" ON DUPLICATE KEY UPDATE {column}={column}")),
        }
    }

    /// Ends a multi-row INSERT that replaces `columns` where the key exists. The table must have no other unique key.
    pub fn on_key_replace(self, key: &[&str], columns: &[&str]) -> String {
        let set =
            |of: fn(&str) -> String| columns.iter().map(|column| of(column)).collect::<Vec<_>>().join(",");
        match self {
            Self::Sqlite => {
                let set = set(|column| format!("{column}=excluded.{column}"));
                format!(" ON CONFLICT ({}) DO UPDATE SET {set}", key.join(","))
            }
            Self::MariaDb => {
                format!(" ON DUPLICATE KEY UPDATE {}", set(|column| format!("{column}=VALUES({column})")))
            }
        }
    }
}
