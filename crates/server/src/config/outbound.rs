//! Where calls to other people's servers may go.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ::outbound::network::Network;
use ::outbound::policy::Policy;
use serde::Deserialize;

use super::{ConfigError, number};

/// The `[outbound]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Hosts that endpoints may have: names, or `*.` and a name for all below it. Default none, which allows all.
    pub hosts: Vec<String>,
    /// Networks that may be called though they are not of the open internet, and also without TLS, such as `10.0.0.0/8`.
    /// Default none.
    pub networks: Vec<String>,
    /// Longest time until a connection stands, in seconds. Default 5.
    pub connect_seconds: NonZeroU32,
    /// Longest time of a whole call, in seconds. Default 15.
    pub total_seconds: NonZeroU32,
    /// A file of PEM with certificates that are trusted besides those of the machine. Default none.
    pub certificates_file: Option<PathBuf>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            hosts: vec![],
            networks: vec![],
            connect_seconds: const { number(5) },
            total_seconds: const { number(15) },
            certificates_file: None,
        }
    }
}

impl Outbound {
    /// Where calls may go, and how long they may take.
    pub fn policy(&self) -> Result<Policy, ConfigError> {
        let read = |network: &String| {
            let wrong = |error| ConfigError::Wrong(format!("outbound.networks: `{network}` is {error}"));
            network.parse::<Network>().map_err(wrong)
        };
        let networks = self.networks.iter().map(read).collect::<Result<_, _>>()?;
        let seconds = |seconds: NonZeroU32| Duration::from_secs(seconds.get().into());
        let (connect_time, total_time) = (seconds(self.connect_seconds), seconds(self.total_seconds));
        Ok(Policy { hosts: self.hosts.clone(), networks, connect_time, total_time })
    }
}
