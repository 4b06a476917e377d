//! What an operator turns off or holds back while the product runs: features, how much of the product answers, and rate
//! limits. Every process follows them by one revision (`records::follow`).
//!
//! A switch is asked before anything is begun. What has been begun is finished and answered, so nobody is told that
//! something failed which was done. A time that was given to a switch ends it by itself: nothing has to run for that.

mod board;
pub mod table;

pub use board::{Board, Order, brake};

use std::collections::HashMap;

use async_trait::async_trait;
use kernel::fault::{Classify, Fault};
use records::error::Error as RecordsError;
use records::follow::Followed;
use records::port::Tx;
use records::setting::{self, Setting};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use table::{Kind, Limit, Mode, Own, Switch};

/// Most calls that a limit can be set to.
pub const UNITS_MAX: u32 = 1_000_000;

/// Seconds after which a caller may ask again where nobody has said when a switch ends.
const RETRY_SECONDS: u64 = 30;

/// Longest wait that a caller is told, in seconds: a switch may be taken back earlier.
const RETRY_SECONDS_MAX: u64 = 3600;

/// What a switch is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Said {
    /// Whether a feature is on.
    On(bool),
    /// How many calls a limit lets through.
    Units(u32),
    /// How much of the product answers.
    Mode(Mode),
}

impl Said {
    /// Whether a switch can be set to this.
    fn fits(self, switch: &Switch) -> bool {
        match (self, switch.kind) {
            (Self::On(_), Kind::Feature) | (Self::Mode(_), Kind::Mode) => true,
            (Self::Units(units), Kind::Limit(_)) => units <= UNITS_MAX,
            (Self::On(_) | Self::Units(_) | Self::Mode(_), _) => false,
        }
    }
}

/// For whom a switch is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// For all.
    All,
    /// For one API key, by its name.
    Key(String),
    /// For one participant, by the pseudonym that the audit log knows them by.
    Participant(String),
    /// For one route: its method, a blank, and its address as the router has it.
    Route(String),
}

impl Whose {
    fn text(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Key(name) => format!("key:{name}"),
            Self::Participant(pseudonym) => format!("participant:{pseudonym}"),
            Self::Route(route) => format!("route:{route}"),
        }
    }

    /// Reads what stands in a row.
    pub fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::All);
        }
        let (kind, name) = text.split_once(':')?;
        let name = name.to_owned();
        match kind {
            "key" => Some(Self::Key(name)),
            "participant" => Some(Self::Participant(name)),
            "route" => Some(Self::Route(name)),
            _ => None,
        }
    }

    fn fits(&self, switch: &Switch) -> bool {
        match (self, switch.own) {
            (Self::All, Own::Route) => false,
            (Self::All, _)
            | (Self::Key(_), Own::Key)
            | (Self::Participant(_), Own::Participant)
            | (Self::Route(_), Own::Route) => true,
            (Self::Key(_) | Self::Participant(_) | Self::Route(_), _) => false,
        }
    }
}

/// Why a switch is not set, or why a switch says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A feature is turned off.
    #[error("`{switch}` is off; this call has begun nothing, and what was done before stands")]
    Off {
        /// Which.
        switch: &'static str,
        /// When asking again may help, in seconds.
        retry_seconds: u64,
    },
    /// The product answers less than this.
    #[error("`mode` is {}: this is not answered now; this call has begun nothing, and what was done before stands", mode.word())]
    Degraded {
        /// How much it answers.
        mode: Mode,
        /// When asking again may help, in seconds.
        retry_seconds: u64,
    },
    /// No such switch.
    #[error("there is no switch `{0}`")]
    NoSuchSwitch(String),
    /// It cannot be set to this.
    #[error("{0}")]
    BadValue(String),
    /// Who calls would lock themself out.
    #[error("this would refuse the key that you call with; use another key to block it")]
    OwnKey,
    /// It was changed meanwhile, or there are too many.
    #[error(transparent)]
    Setting(#[from] setting::Error),
}

impl From<RecordsError> for Error {
    fn from(error: RecordsError) -> Self {
        Self::Setting(setting::Error::Records(error))
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Off { .. } | Self::Degraded { .. } => Fault::Busy,
            Self::NoSuchSwitch(_) => Fault::Missing,
            Self::BadValue(_) | Self::OwnKey | Self::Setting(setting::Error::TooMany) => Fault::Refused,
            Self::Setting(setting::Error::Changed(_)) => Fault::Conflict,
            Self::Setting(setting::Error::Records(error)) => error.fault(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Off { .. } => "switch.off",
            Self::Degraded { .. } => "switch.degraded",
            Self::NoSuchSwitch(_) => "switch.missing",
            Self::BadValue(_) => "switch.bad_value",
            Self::OwnKey => "switch.own_key",
            Self::Setting(setting::Error::TooMany) => "switch.too_many",
            Self::Setting(setting::Error::Changed(_)) => "switch.changed",
            Self::Setting(setting::Error::Records(error)) => error.code(),
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        match self {
            Self::Off { retry_seconds, .. } | Self::Degraded { retry_seconds, .. } => Some(*retry_seconds),
            Self::NoSuchSwitch(_) | Self::BadValue(_) | Self::OwnKey | Self::Setting(_) => None,
        }
    }
}

/// When asking again may help, for what ends at a time.
pub fn retry_seconds(until_ms: Option<i64>, now_ms: i64) -> u64 {
    let left_ms = until_ms.map(|until_ms| until_ms.saturating_sub(now_ms));
    let left_ms = left_ms.and_then(|left_ms| u64::try_from(left_ms).ok());
    left_ms.map_or(RETRY_SECONDS, |left_ms| left_ms.div_ceil(1000).clamp(1, RETRY_SECONDS_MAX))
}

/// What one setting says, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<T> {
    /// What it says.
    pub said: T,
    /// Until when, in milliseconds since the epoch.
    pub until_ms: Option<i64>,
}

impl<T> Word<T> {
    fn holds(&self, now_ms: i64) -> bool {
        self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }
}

/// All switches that stand, as one moment has them.
#[derive(Debug, Default)]
pub struct Switches {
    off: HashMap<&'static str, Word<()>>,
    mode: Option<Word<Mode>>,
    limits: HashMap<(Limit, Whose), Word<u32>>,
}

#[async_trait]
impl Followed for Switches {
    const NAME: &'static str = "switch";

    async fn read(tx: &mut dyn Tx, tenant: u32) -> Result<Self, RecordsError> {
        Ok(Self::of(&setting::all::<Self>(tx, tenant).await?))
    }
}

impl Switches {
    /// What settings say.
    pub fn of(settings: &[Setting]) -> Self {
        let mut switches = Self::default();
        for Setting { name, whose, value, until_ms, .. } in settings {
            let said = value.as_deref().and_then(|value| serde_json::from_str::<Said>(value).ok());
            let known = table::switch(name).zip(Whose::read(whose)).zip(said);
            let Some(((switch, whose), said)) = known.filter(|((switch, _), said)| said.fits(switch)) else {
                // A newer release may know it: it is not ours to fail by.
                tracing::warn!(name, "a setting that this release does not know has no effect");
                continue;
            };
            let until_ms = *until_ms;
            match (said, switch.kind) {
                (Said::On(false), _) => {
                    switches.off.insert(switch.name, Word { said: (), until_ms });
                }
                (Said::Mode(mode), _) => switches.mode = Some(Word { said: mode, until_ms }),
                (Said::Units(units), Kind::Limit(limit)) => {
                    switches.limits.insert((limit, whose), Word { said: units, until_ms });
                }
                (Said::On(true) | Said::Units(_), _) => {}
            }
        }
        switches
    }

    /// How much of the product answers now, and until when.
    pub fn mode(&self, now_ms: i64) -> Word<Mode> {
        let standing = self.mode.filter(|mode| mode.holds(now_ms));
        standing.unwrap_or(Word { said: Mode::Normal, until_ms: None })
    }

    /// Refuses what a feature's switch turns off.
    pub fn expect_on(&self, feature: &'static str, now_ms: i64) -> Result<(), Error> {
        match self.off.get(feature).filter(|off| off.holds(now_ms)) {
            None => Ok(()),
            Some(off) => {
                Err(Error::Off { switch: feature, retry_seconds: retry_seconds(off.until_ms, now_ms) })
            }
        }
    }

    /// Refuses a call of a route that the switches hold back. What asks by itself is left to its handler, unless the mode
    /// refuses it.
    pub fn admit(&self, method: &str, path: &str, now_ms: i64) -> Result<(), Error> {
        if self.off.is_empty() && self.mode.is_none() {
            return Ok(());
        }
        let Some(place) = table::place_of(method, path) else { return Ok(()) };
        let mode = self.mode(now_ms);
        if mode.said > place.last {
            let retry_seconds = retry_seconds(mode.until_ms, now_ms);
            return Err(Error::Degraded { mode: mode.said, retry_seconds });
        }
        let feature = place.feature.filter(|_| !place.asks_itself);
        feature.map_or(Ok(()), |feature| self.expect_on(feature, now_ms))
    }

    /// What a limit is set to for somebody, or for all.
    pub fn limit(&self, limit: Limit, whose: &Whose, now_ms: i64) -> Option<Word<u32>> {
        self.limits.get(&(limit, whose.clone())).filter(|word| word.holds(now_ms)).copied()
    }

    /// For whom limits are set alone.
    pub fn set_apart(&self) -> impl Iterator<Item = (Limit, &Whose)> {
        self.limits.keys().map(|(limit, whose)| (*limit, whose)).filter(|(_, whose)| **whose != Whose::All)
    }

    /// When the next limit ends by itself, after an instant.
    pub fn next_end_ms(&self, now_ms: i64) -> Option<i64> {
        self.limits.values().filter_map(|word| word.until_ms).filter(|until_ms| *until_ms > now_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use table::{MODE, PLACES, SWITCHES};

    fn setting(name: &str, value: &str, until_ms: Option<i64>) -> Setting {
        Setting {
            name: name.to_owned(),
            whose: String::new(),
            version: 1,
            value: Some(value.to_owned()),
            until_ms,
            at_ms: 0,
            by: "ops".to_owned(),
            reason: "a trial".to_owned(),
        }
    }

    #[test]
    fn a_mode_refuses_what_is_not_answered_in_it_and_nothing_else() {
        for (mode, word) in
            [(Mode::Normal, "normal"), (Mode::Reduced, "reduced"), (Mode::Essential, "essential")]
        {
            assert_eq!(mode.word(), word);
            let switches = Switches::of(&[setting(MODE, &format!("\"{word}\""), Some(5_000))]);
            for place in PLACES {
                let answer = switches.admit(place.method, place.path, 4_000);
                let expected =
                    if place.last < mode { Err(Error::Degraded { mode, retry_seconds: 1 }) } else { Ok(()) };
                assert_eq!(answer, expected, "{} {}", place.method, place.path);
                assert_eq!(switches.admit(place.method, place.path, 5_000), Ok(()), "its time is over");
            }
        }
    }

    #[test]
    fn each_feature_turns_off_its_routes_and_no_other() {
        let features = SWITCHES.iter().filter(|switch| switch.kind == Kind::Feature);
        for feature in features {
            let switches = Switches::of(&[setting(feature.name, "false", None)]);
            let mut refused = 0;
            for place in PLACES {
                let answer = switches.admit(place.method, place.path, 0);
                let is_its_own = place.feature == Some(feature.name);
                let is_asked_here = !place.asks_itself;
                let off = Error::Off { switch: feature.name, retry_seconds: 30 };
                let expected = if is_its_own && is_asked_here { Err(off) } else { Ok(()) };
                assert_eq!(answer, expected, "{} {}", place.method, place.path);
                refused += usize::from(is_its_own);
            }
            assert!(refused > 0, "{} turns off nothing", feature.name);
            let on = Switches::of(&[setting(feature.name, "true", None)]);
            assert!(PLACES.iter().all(|place| on.admit(place.method, place.path, 0).is_ok()));
        }
        for place in PLACES.iter().filter_map(|place| place.feature) {
            assert!(table::switch(place).is_some(), "{place} is no switch");
        }
    }

    #[test]
    fn what_a_newer_release_has_set_has_no_effect_here() {
        let strange = [
            setting("feature.teleport", "false", None),
            setting(MODE, "\"frantic\"", None),
            setting(MODE, "5", None),
            setting("limit.key_requests_per_second", "4294967296", None),
            Setting {
                whose: "planet:mars".to_owned(),
                ..setting("limit.key_requests_per_second", "0", None)
            },
        ];
        let switches = Switches::of(&strange);
        assert!(PLACES.iter().all(|place| switches.admit(place.method, place.path, 0).is_ok()));
        assert_eq!(switches.set_apart().count(), 0);
    }
}
