//! Where the database is, and its password, which no complaint about the configuration shows.

use cluster::mariadb::Address;

use super::ConfigError;

/// The key of the database's address, and the beginning of the key of its password.
pub(super) const KEY: &str = "database";

/// A complaint about a line that may hold a password, without the line.
pub(super) fn without_password(error: &toml::de::Error) -> Option<ConfigError> {
    let shows_it = error.to_string().contains(KEY);
    shows_it.then(|| ConfigError::Wrong(format!("{KEY}: {}", error.message())))
}

/// Takes the address of a database out of the `[store]` section, before anything may complain about that section as it is
/// written.
pub(super) fn take(table: &mut toml::Table) -> Result<Option<Address>, ConfigError> {
    let Some(store) = table.get_mut("store").and_then(toml::Value::as_table_mut) else { return Ok(None) };
    let mut take = |key: &str| match store.remove(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ConfigError::Wrong(format!("store.{key} is no text"))),
    };
    match (take(KEY)?, take("database_password")?) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ConfigError::Wrong("store.database_password needs store.database".to_owned())),
        (Some(address), password) => {
            let address = Address::parse(&address);
            let address = address.map_err(|error| ConfigError::Wrong(format!("store.database: {error}")))?;
            Ok(Some(password.iter().fold(address, |address, password| address.with_password(password))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(text, environment).map_err(|error| error.to_string())
    }

    #[test]
    fn a_database_is_named_and_its_password_never_told() {
        let address = "[store]\ndatabase = \"mysql://ops:secret@db.example/f\"";
        let by_name = [("FAIRGROUND_STORE__DATABASE", "mysql://ops@db.example/f")];
        let by_both = [by_name[0], ("FAIRGROUND_STORE__DATABASE_PASSWORD", "secret")];
        let by_password = [by_both[1]];
        for (text, environment) in [(address, &[][..]), ("", &by_both), (address, &by_password)] {
            let config = read(text, environment).expect("a configuration");
            let expected = Address::parse("mysql://ops:secret@db.example/f").ok();
            assert_eq!(config.store.database, expected);
            assert!(!format!("{config:?}").contains("secret"), "{config:?}");
        }
        let numbers = read("", &[by_name[0], ("FAIRGROUND_STORE__DATABASE_PASSWORD", "0x10")]);
        let expected = Address::parse("mysql://ops:0x10@db.example/f").ok();
        assert_eq!(numbers.expect("a configuration").store.database, expected);
        for (text, environment, part) in [
            ("[store]\ndatabase = \"secret\"", &[][..], "store.database: it is no address"),
            ("[store]\ndatabase = \"mysql://ops:secret@db.example/f", &[], "database: "),
            ("[store]\ndatabase = \"mysql://ops:secret@db.example/f\"\ndata = 5", &[], "data"),
            ("[store]\ndatabase = 5", &[], "store.database is no text"),
            ("", &by_password, "needs store.database"),
        ] {
            let told = read(text, environment).expect_err("wrong");
            assert!(told.contains(part) && !told.contains("secret"), "{told}");
        }
    }
}
