//! What a failure of the database means to the caller of a transaction.

use mysql_async::ServerError;
use records::error::Error;

/// The oldest MariaDB that the records are tested on: `(major, minor)`.
const OLDEST: (u32, u32) = (10, 11);

pub(super) fn oldest() -> String {
    format!("{}.{}", OLDEST.0, OLDEST.1)
}

/// Whether a server says that it is a MariaDB that is new enough: `10.11.19-MariaDB-0+deb12u1`.
pub(super) fn is_fit(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let found = numbers.next().zip(numbers.next());
    version.contains("MariaDB") && found.is_some_and(|found| found >= OLDEST)
}

/// What a failed statement means. Codes: <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
pub(super) fn of(error: &mysql_async::Error) -> Error {
    match error {
        mysql_async::Error::Server(server) => of_server(server),
        // A statement that the client cannot even send, such as one with too few values.
        mysql_async::Error::Driver(
            mysql_async::DriverError::StmtParamsMismatch { .. } | mysql_async::DriverError::MixedParams,
        ) => Error::Corrupt(error.to_string()),
        mysql_async::Error::Driver(_)
        | mysql_async::Error::Io(_)
        | mysql_async::Error::Other(_)
        | mysql_async::Error::Url(_) => Error::Unavailable(error.to_string()),
    }
}

fn of_server(error: &ServerError) -> Error {
    const CHECKREAD: u16 = 1020;
    const DUP_ENTRY: u16 = 1062;
    const LOCK_WAIT_TIMEOUT: u16 = 1205;
    const NO_DEFAULT_FOR_FIELD: u16 = 1364;
    const TRUNCATED_WRONG_VALUE: u16 = 1366;
    const DUP_ENTRY_WITH_KEY_NAME: u16 = 1586;
    const STATEMENT_TIMEOUT: u16 = 1969;
    let text = error.to_string();
    match (error.code, error.state.get(..2).unwrap_or_default()) {
        (DUP_ENTRY | DUP_ENTRY_WITH_KEY_NAME, _) => Error::Duplicate(text),
        // 40: a deadlock, of which we are the victim.
        (CHECKREAD | LOCK_WAIT_TIMEOUT, _) | (_, "40") => Error::Contended(text),
        (STATEMENT_TIMEOUT, _) => Error::Unavailable(text),
        // 21 and 22: values that do not fit; 23: a CHECK or a NOT NULL; 42: a statement that makes no sense.
        (NO_DEFAULT_FOR_FIELD | TRUNCATED_WRONG_VALUE, _) | (_, "21" | "22" | "23" | "42") => {
            Error::Corrupt(text)
        }
        _ => Error::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (version, fit) in [
            ("10.11.19-MariaDB-0+deb12u1", true),
            ("11.4.2-MariaDB", true),
            ("10.6.18-MariaDB", false),
            ("8.0.36", false),
            ("5.7.25-TiDB-v7.5.0", false),
            ("MariaDB", false),
        ] {
            assert_eq!(is_fit(version), fit, "{version}");
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let check = |code, state: &str, expect: fn(String) -> Error| {
            let server = ServerError { code, message: "no".to_owned(), state: state.to_owned() };
            let error = mysql_async::Error::Server(server.clone());
            assert_eq!(of(&error), expect(server.to_string()), "{code}");
        };
        check(1062, "23000", Error::Duplicate);
        check(1213, "40001", Error::Contended);
        check(1205, "HY000", Error::Contended);
        check(1020, "HY000", Error::Contended);
        check(4025, "23000", Error::Corrupt);
        check(1048, "23000", Error::Corrupt);
        check(1264, "22003", Error::Corrupt);
        check(1406, "22001", Error::Corrupt);
        check(1364, "HY000", Error::Corrupt);
        check(1064, "42000", Error::Corrupt);
        check(1290, "HY000", Error::Unavailable);
        check(1114, "HY000", Error::Unavailable);
        check(1053, "08S01", Error::Unavailable);
        check(1927, "70100", Error::Unavailable);
        check(1969, "70100", Error::Unavailable);
    }
}
