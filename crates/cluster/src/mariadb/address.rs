//! Where a database is, who we are there, and how each connection is set up.

use std::fmt;
use std::time::Duration;

use mysql_async::{Opts, OptsBuilder};

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 512;

/// What each session is told. Names of limits and modes: <https://mariadb.com/kb/en/server-system-variables/>.
///
/// A server may have been told to be lenient; its records must not notice: strict values, enforced CHECKs and unique keys,
/// and a deadlock that is found. The isolation of writers is not more than READ COMMITTED because nothing rests on more, and
/// what is more locks gaps. A lock is waited for as long as a caller would wait.
const SESSION: [&str; 2] = [
    "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
    "SET SESSION sql_mode='STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
     ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', check_constraint_checks=1, unique_checks=1, autocommit=1, \
     innodb_lock_wait_timeout=5, max_statement_time=60",
];

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no address such as mysql://user:password@host:3306/name: {0}")]
pub struct AddressError(String);

/// Where a database is, and who we are there. The password is never shown.
#[derive(Clone)]
pub struct Address(Opts);

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string() && self.0.pass() == other.0.pass()
    }
}

impl Eq for Address {}

impl Address {
    /// Reads `mysql://user:password@host:port/name`. What an address would choose and the records need otherwise is refused:
    /// it takes no parameters.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let wrong = |reason: &str| AddressError(reason.to_owned());
        if text.contains('?') {
            return Err(wrong("it takes no parameters"));
        }
        // What the client says about a wrong address may show all of it.
        let read = Opts::from_url(text).map_err(|_| wrong("it cannot be read"))?;
        if read.db_name().is_none_or(str::is_empty) {
            return Err(wrong("it names no database"));
        }
        if read.user().is_none_or(str::is_empty) {
            return Err(wrong("it names no user"));
        }
        Ok(Self(read))
    }

    /// The same place with another password.
    pub fn with_password(self, password: &str) -> Self {
        Self(OptsBuilder::from_opts(self.0).pass(Some(password)).into())
    }

    /// How a connection is opened.
    pub(super) fn options(&self, isolation: &str) -> Opts {
        let session = SESSION.iter().map(|statement| (*statement).to_owned());
        OptsBuilder::from_opts(self.0.clone())
            .prefer_socket(false)
            .client_found_rows(true)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .stmt_cache_size(STATEMENTS)
            .init(
                session
                    .chain([format!("SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")])
                    .collect::<Vec<_>>(),
            )
            .into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, name) = (self.0.user().unwrap_or_default(), self.0.db_name().unwrap_or_default());
        write!(f, "mysql://{user}@{}:{}/{name}", self.0.ip_or_hostname(), self.0.tcp_port())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_its_password_never_shown() {
        for (text, shown) in [
            ("mysql://ops:se%40cret@db.example:3307/fairground", "mysql://ops@db.example:3307/fairground"),
            ("mysql://ops@db.example/fairground", "mysql://ops@db.example:3306/fairground"),
            ("mysql://ops:secret@[::1]:3307/f", "mysql://ops@[::1]:3307/f"),
        ] {
            let address = Address::parse(text).expect("an address").with_password("secret");
            assert_eq!((address.to_string(), format!("{address:?}")), (shown.to_owned(), shown.to_owned()));
            assert_eq!(address.0.pass(), Some("secret"));
        }
        let read = Address::parse("mysql://ops:se%40cret@db.example:3307/fairground").expect("an address");
        assert_eq!(read.0.pass(), Some("se@cret"));
    }

    #[test]
    fn what_is_no_address_is_told_without_its_password() {
        for (text, part) in [
            ("", "cannot be read"),
            ("postgres://ops:secret@db.example/fairground", "cannot be read"),
            ("mysql://ops:secret@:x/fairground", "cannot be read"),
            ("mysql://ops:secret@db.example", "names no database"),
            ("mysql://ops:secret@db.example/", "names no database"),
            ("mysql://db.example/fairground", "names no user"),
            ("mysql://ops:secret@db.example/fairground?secure_auth=false", "takes no parameters"),
        ] {
            let told = Address::parse(text).expect_err("no address").to_string();
            assert!(told.contains(part) && !told.contains("secret"), "{told}");
        }
    }
}
