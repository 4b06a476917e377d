//! `fairground.toml`: one section per part of the product; every key can be set by the environment as
//! `FAIRGROUND_<SECTION>__<KEY>`.

mod campaign;
mod database;
mod ledger;
mod outbound;
mod review;
mod telemetry;

pub use campaign::Campaign;
pub use ledger::{Ledger, RateRow, RoundingWord};
pub use outbound::Outbound;
pub use review::Review;
pub use telemetry::Telemetry;

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use ::campaign::courier::LEFT_MS_MIN;
use cluster::mariadb::Address;
use raffle::threshold::Thresholds;
use serde::Deserialize;

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How the API listens.
    pub server: Server,
    /// Where the records live.
    pub store: Store,
    /// Who may call.
    pub auth: Auth,
    /// How draws are batched.
    pub batch: Batch,
    /// How the ledger's orders are batched, and at what rates units are exchanged.
    pub ledger: Ledger,
    /// How acts in campaigns are batched.
    pub campaign: Campaign,
    /// What needs two people.
    pub review: Review,
    /// How often callers may call.
    pub limits: Limits,
    /// Where traces go.
    pub telemetry: Telemetry,
    /// Where calls to other people's servers may go.
    pub outbound: Outbound,
}

/// The `[server]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: String,
    /// Longest time from the end of a request's headers to its answer, in seconds. Default 10.
    pub request_seconds: NonZeroU32,
    /// Longest time for a request's headers to arrive, in seconds. Default 10.
    pub header_seconds: NonZeroU32,
    /// Longest wait for requests in flight after SIGTERM, in seconds. Default 20.
    pub drain_seconds: NonZeroU32,
    /// Largest body, in bytes; a document may be as large as its own limit. Default 16384.
    pub body_bytes_max: NonZeroUsize,
    /// Most connections at once; one more waits to be accepted. Default 10000.
    pub connections_max: NonZeroUsize,
    /// Adds `POST /api/v1/noop/{id}`, which does all that a draw does except drawing: for the bench. Default false.
    pub noop: bool,
}

/// The `[store]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The data folder. Default `fairground-data`.
    pub data: PathBuf,
    /// `database = "mysql://user:password@host:port/name"`: the MariaDB database of the records; `database_password` is
    /// taken before the password in it. Default: a file in the data folder. Secrets stay in the data folder either way.
    #[serde(skip)]
    pub database: Option<Address>,
    /// The file with the key under which seeds are sealed. Default `seed.key` in the data folder, made where it is missing.
    pub seed_key_file: Option<PathBuf>,
    /// Memory for the writer's page cache, in MiB. Default 64.
    pub writer_cache_mib: NonZeroU32,
}

/// The `[auth]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// API keys. Where there are none, `admin.key` in the data folder is used, and made where it is missing.
    pub keys: Vec<ApiKey>,
    /// The file with the key under which participants' tokens are signed. Default `token.key` in the data folder, made
    /// where it is missing.
    pub token_key_file: Option<PathBuf>,
}

/// One API key. The key itself is not configured, only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Who holds it: stands in the log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the key, in hexadecimal.
    pub sha256: String,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Draft, submit and publish versions, propose, restock, freeze, thaw, turn epochs, hand awards over, upload lists of
    /// people, and read.
    Operator,
    /// Approve or reject what others drafted or proposed, and read.
    Approver,
    /// Read everything, the audit log among it.
    Auditor,
    /// Draw and act for any participant, report what they do, mint participants' tokens, and read: for the services that participants use.
    Service,
}

impl Role {
    /// The role as it is configured and told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Service => "service",
        }
    }
}

/// The `[batch]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Most draws in one transaction. Default 256: the next batch gathers while this one is written.
    pub draws_max: NonZeroUsize,
    /// Most draws that wait; one more is answered 503. Default 16384.
    pub queue_max: NonZeroUsize,
    /// Most effects that may be unsent before a new draw is answered 503. Default 1000000. Draws that were made before are
    /// answered all the same.
    pub unsent_max: NonZeroUsize,
}

/// The `[limits]` section. Each limit is over a sliding window, counted by this process alone; what is above it is answered
/// 429. Without a number there is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most requests of one API key in any second; keys of the same name share it. Default none.
    pub requests_per_second: Option<NonZeroU32>,
    /// Most requests of one participant in any second, with whichever of their tokens. Default what an API key may.
    pub requests_per_second_per_participant: Option<NonZeroU32>,
    /// Most draws of one participant in any second, over all raffles, each of a request, repeats included. Default none.
    pub draws_per_second_per_participant: Option<NonZeroU32>,
    /// Most draws of one participant in any minute, over all raffles, each of a request, repeats included. Default none.
    pub draws_per_minute_per_participant: Option<NonZeroU32>,
    /// Most acts of one participant in any second, over all campaigns, repeats included: sign-ins, referrals, orders and what
    /// becomes of them, but not what a service reports of them. Default none.
    pub acts_per_second_per_participant: Option<NonZeroU32>,
    /// Most API keys, and most participants, that are counted at once; one more takes the place of the one that called
    /// longest ago. Each takes from 0.5 to 2.2 KiB. Default 100000.
    pub keys_max: NonZeroUsize,
}

#[expect(clippy::expect_used, reason = "evaluated when the product is built")]
pub(crate) const fn number(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).expect("not zero")
}

#[expect(clippy::expect_used, reason = "evaluated when the product is built")]
pub(crate) const fn size(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).expect("not zero")
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            request_seconds: const { number(10) },
            header_seconds: const { number(10) },
            drain_seconds: const { number(20) },
            body_bytes_max: const { size(16 * 1024) },
            connections_max: const { size(10_000) },
            noop: false,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            data: PathBuf::from("fairground-data"),
            database: None,
            seed_key_file: None,
            writer_cache_mib: const { number(64) },
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            draws_max: const { size(256) },
            queue_max: const { size(16 * 1024) },
            unsent_max: const { size(1_000_000) },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second: None,
            requests_per_second_per_participant: None,
            draws_per_second_per_participant: None,
            draws_per_minute_per_participant: None,
            acts_per_second_per_participant: None,
            keys_max: const { size(100_000) },
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The text is wrong.
    #[error("the configuration is wrong: {0}")]
    Wrong(String),
}

/// Most characters of a key's name: as many as the audit log keeps.
const NAME_MAX: usize = 128;

const PREFIX: &str = "FAIRGROUND_";

/// Variables after the prefix that are no keys: of the log, and of our trials.
const OTHER_VARIABLES: [&str; 4] = ["LOG", "LOG_FORMAT", "TRIALS_FULL", "WRITE_SNAPSHOTS"];

impl Config {
    /// Who has a key with one of these roles. Two keys of one name are one person.
    fn names(&self, roles: &[Role]) -> BTreeSet<&str> {
        let keys = self.auth.keys.iter().filter(|key| roles.contains(&key.role));
        keys.map(|key| key.name.as_str()).collect()
    }

    /// How many may draft, and for how many of them there is somebody else who may approve.
    fn authors(&self) -> (usize, usize) {
        let authors = self.names(&[Role::Admin, Role::Operator]);
        let approvers = self.names(&[Role::Admin, Role::Approver]);
        let second = |author: &&&str| approvers.iter().any(|approver| approver != *author);
        (authors.len(), authors.iter().filter(second).count())
    }

    /// What needs two people. A promise does as soon as keys are configured.
    pub fn thresholds(&self) -> Thresholds {
        let (authors, seconded) = self.authors();
        let four_eyes = self.review.four_eyes.unwrap_or(authors > 0 && authors == seconded);
        let Review { odds_percent, stock_units, cost, budget, .. } = self.review;
        let promises = four_eyes || !self.auth.keys.is_empty();
        Thresholds { four_eyes, promises, odds_percent, stock_units, cost, budget }
    }

    /// Reads a file, where one is given, and the environment over it.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?,
            None => String::new(),
        };
        Self::read(&text, environment)
    }

    /// Reads a text, and the environment over it.
    pub fn read(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let wrong = |error: toml::de::Error| ConfigError::Wrong(error.to_string().trim().to_owned());
        let mut table: toml::Table = toml::from_str(text)
            .map_err(|error| database::without_password(&error).unwrap_or_else(|| wrong(error)))?;
        for (name, value) in environment {
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let Some((section, key)) = path.split_once("__") else {
                if OTHER_VARIABLES.contains(&path) {
                    continue;
                }
                let told = format!("{name} is not known; a key is set as {PREFIX}<SECTION>__<KEY>");
                return Err(ConfigError::Wrong(told));
            };
            let section = table
                .entry(section.to_ascii_lowercase())
                .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                .as_table_mut()
                .ok_or_else(|| ConfigError::Wrong(format!("{name}: `{section}` is no section")))?;
            let key = key.to_ascii_lowercase();
            // A password is taken letter by letter, whatever it looks like.
            let value =
                if key.starts_with(database::KEY) { toml::Value::String(value) } else { scalar(&value) };
            section.insert(key, value);
        }
        let database = database::take(&mut table)?;
        // Through text, so that a complaint names the line and the key as the operator knows them.
        let merged = toml::to_string(&table).map_err(|error| ConfigError::Wrong(error.to_string()))?;
        let mut config: Self = toml::from_str(&merged).map_err(wrong)?;
        config.store.database = database;
        for (name, value, most) in [
            ("server.connections_max", config.server.connections_max, 1_000_000),
            ("server.body_bytes_max", config.server.body_bytes_max, 1_048_576),
            ("batch.draws_max", config.batch.draws_max, 4_096),
            ("batch.queue_max", config.batch.queue_max, 1_000_000),
            ("ledger.orders_max", config.ledger.orders_max, 4_096),
            ("ledger.queue_max", config.ledger.queue_max, 1_000_000),
            ("batch.unsent_max", config.batch.unsent_max, 100_000_000),
            ("campaign.acts_max", config.campaign.acts_max, 4_096),
            ("campaign.queue_max", config.campaign.queue_max, 1_000_000),
            ("limits.keys_max", config.limits.keys_max, 1_000_000),
        ] {
            if value.get() > most {
                return Err(ConfigError::Wrong(format!("{name} is {value}; the most is {most}")));
            }
        }
        config.outbound.policy()?;
        for (name, value) in [
            ("outbound.connect_seconds", config.outbound.connect_seconds),
            ("outbound.total_seconds", config.outbound.total_seconds),
        ] {
            // A call that was begun late has to be over before another asks what became of it.
            if i64::from(value.get()) * 1000 >= LEFT_MS_MIN {
                let most = (LEFT_MS_MIN - 1) / 1000;
                return Err(ConfigError::Wrong(format!("{name} is {value}; the most is {most}")));
            }
        }
        if config.review.four_eyes == Some(true) && config.authors().1 == 0 {
            let told = "review.four_eyes needs an admin or operator, and an admin or approver of another name, in auth.keys: \
                nobody approves what they drafted";
            return Err(ConfigError::Wrong(told.to_owned()));
        }
        config.ledger.rates()?;
        let limits = &config.limits;
        for (name, value) in [
            ("limits.requests_per_second", limits.requests_per_second),
            ("limits.requests_per_second_per_participant", limits.requests_per_second_per_participant),
            ("limits.draws_per_second_per_participant", limits.draws_per_second_per_participant),
            ("limits.draws_per_minute_per_participant", limits.draws_per_minute_per_participant),
            ("limits.acts_per_second_per_participant", limits.acts_per_second_per_participant),
        ] {
            if let Some(value) = value.filter(|value| value.get() > 1_000_000) {
                return Err(ConfigError::Wrong(format!("{name} is {value}; the most is 1000000")));
            }
        }
        for key in &config.auth.keys {
            if !(1..=NAME_MAX).contains(&key.name.chars().count()) {
                return Err(ConfigError::Wrong(format!("auth.keys: a name has 1 to {NAME_MAX} characters")));
            }
            if kernel::hex::from_hex::<32>(&key.sha256).is_none() {
                let told = format!("auth.keys: the sha256 of `{}` is not 64 hexadecimal digits", key.name);
                return Err(ConfigError::Wrong(told));
            }
        }
        Ok(config)
    }
}

/// A value of the environment: TOML where it reads as TOML (numbers, lists, quoted text), else plain text.
fn scalar(value: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(text, environment).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default_and_the_environment_wins() {
        assert_eq!(read("", &[]), Ok(Config::default()));
        let config = read(
            "[server]\nlisten = \"0.0.0.0:1\"\n",
            &[
                ("FAIRGROUND_SERVER__LISTEN", "127.0.0.1:9"),
                ("FAIRGROUND_BATCH__DRAWS_MAX", "7"),
                ("FAIRGROUND_STORE__DATA", "/some/where"),
                ("PATH", "/bin"),
            ],
        )
        .expect("config");
        assert_eq!(config.server.listen, "127.0.0.1:9");
        assert_eq!(config.batch.draws_max.get(), 7);
        assert_eq!(config.store.data, PathBuf::from("/some/where"));
    }

    #[test]
    fn two_people_are_asked_for_where_there_are_two() {
        let check = |names: &[&str], review: &str, expected: Result<(bool, bool), &str>| {
            let keys = names.iter().map(|name| {
                let (name, role) = name.split_once(' ').unwrap_or((name, "admin"));
                let hash = "0".repeat(64);
                format!("[[auth.keys]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
            });
            let text = keys.chain([format!("[review]\n{review}\n")]).collect::<String>();
            let found = read(&text, &[]).map(|config| config.thresholds());
            let found = found.map(|thresholds| (thresholds.four_eyes, thresholds.promises));
            match expected {
                Ok(expected) => assert_eq!(found, Ok(expected), "{text}"),
                Err(part) => assert!(found.expect_err("wrong").contains(part), "{text}"),
            }
        };
        check(&[], "", Ok((false, false)));
        check(&["ops"], "", Ok((false, true)));
        check(&["ops", "ops"], "", Ok((false, true)));
        check(&["ops", "law"], "", Ok((true, true)));
        check(&["ops", "law"], "four_eyes = false", Ok((false, true)));
        check(&["ops", "law"], "four_eyes = true\ncost = 50", Ok((true, true)));
        check(&["ops operator", "law approver"], "", Ok((true, true)));
        check(&["ops", "law approver"], "", Ok((true, true)));
        check(&["ops operator", "ops approver"], "", Ok((false, true)));
        check(&["ops", "shop operator"], "", Ok((false, true)));
        check(&["ops", "shop operator"], "four_eyes = true", Ok((true, true)));
        check(&["law approver", "shop service"], "", Ok((false, true)));
        check(&["ops"], "four_eyes = true", Err("of another name"));
        check(&["law approver", "eve approver"], "four_eyes = true", Err("of another name"));
        check(&[], "four_eyes = true", Err("of another name"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |text: &str, environment: &[(&str, &str)], part: &str| {
            let told = read(text, environment).expect_err("wrong");
            assert!(told.contains(part), "{told}");
        };
        check("[server]\nlistem = \"x\"", &[], "listem");
        check("[batch]\ndraws_max = 0", &[], "nonzero");
        check("[batch", &[], "the configuration is wrong");
        check("", &[("FAIRGROUND_SERVER__PORT", "1")], "port");
        check("", &[("FAIRGROUND_SERVER_LISTEN", "x")], "FAIRGROUND_SERVER_LISTEN is not known");
        check("[server]\nconnections_max = 9223372036854775807", &[], "the most is 1000000");
        check("[limits]\nkeys_max = 1000001", &[], "limits.keys_max is 1000001; the most is 1000000");
        check("[limits]\ndraws_per_second_per_participant = 0", &[], "nonzero");
        check(
            "",
            &[("FAIRGROUND_LIMITS__REQUESTS_PER_SECOND", "1000001")],
            "limits.requests_per_second is 1000001",
        );
        check(
            "[[auth.keys]]\nname = \"ops\"\nrole = \"admin\"\nsha256 = \"12\"",
            &[],
            "64 hexadecimal digits",
        );
        for name in [String::new(), "x".repeat(129)] {
            let key = format!(
                "[[auth.keys]]\nname = \"{name}\"\nrole = \"admin\"\nsha256 = \"{}\"",
                "0".repeat(64)
            );
            check(&key, &[], "a name has 1 to 128 characters");
        }
        check("[[auth.keys]]\nname = \"ops\"\nrole = \"boss\"\nsha256 = \"12\"", &[], "boss");
    }
}
