//! Which activities are asked for.

use kernel::amount::Unit;
use records::port::Value;

use crate::activity::{Activity, Kind, Who};
use crate::error::Error;

/// What is asked for: everything that is said must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose.
    pub participant: Option<String>,
    /// What kind of thing.
    pub kind: Option<Kind>,
    /// Of this raffle.
    pub raffle: Option<String>,
    /// Of this campaign.
    pub campaign: Option<String>,
    /// About this prize.
    pub prize: Option<String>,
    /// That stand so.
    pub state: Option<String>,
    /// In this unit.
    pub unit: Option<String>,
    /// From then on, in milliseconds since the epoch.
    pub from_ms: Option<i64>,
    /// Before then, in milliseconds since the epoch.
    pub until_ms: Option<i64>,
    /// At least so much, in minor units.
    pub amount_min: Option<i64>,
    /// At most so much.
    pub amount_max: Option<i64>,
}

/// Longest text of a filter, in characters.
const WORD_MAX: usize = 128;

impl Filter {
    /// Refuses what could never match anything, or is no text.
    pub fn check(&self) -> Result<(), Error> {
        let words = [
            ("participant", &self.participant),
            ("raffle", &self.raffle),
            ("campaign", &self.campaign),
            ("prize", &self.prize),
            ("state", &self.state),
            ("unit", &self.unit),
        ];
        for (name, word) in words {
            let is_text = word.as_ref().is_none_or(|word| {
                (1..=WORD_MAX).contains(&word.chars().count()) && !word.chars().any(char::is_control)
            });
            if !is_text {
                let told =
                    format!("`{name}` must be 1 to {WORD_MAX} characters, none of them a control character");
                return Err(Error::BadFilter(told));
            }
        }
        if let Some(unit) = &self.unit {
            unit.parse::<Unit>().map_err(|error| Error::BadFilter(error.to_string()))?;
        }
        if matches!((self.from_ms, self.until_ms), (Some(from), Some(until)) if from >= until) {
            return Err(Error::BadFilter("`from` must be before `until`".to_owned()));
        }
        if matches!((self.amount_min, self.amount_max), (Some(least), Some(most)) if least > most) {
            return Err(Error::BadFilter("`amount_min` must not be above `amount_max`".to_owned()));
        }
        Ok(())
    }

    /// Whether an activity is asked for. One without an amount has none that lies between bounds.
    pub fn matches(&self, activity: &Activity) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let is_between = match (self.amount_min, self.amount_max, activity.amount) {
            (None, None, _) => true,
            (least, most, Some(amount)) => {
                least.is_none_or(|least| least <= amount) && most.is_none_or(|most| amount <= most)
            }
            (_, _, None) => false,
        };
        is_between
            && is(&self.participant, &activity.participant)
            && self.kind.is_none_or(|kind| kind == activity.kind)
            && is(&self.raffle, &activity.raffle)
            && is(&self.campaign, &activity.campaign)
            && is(&self.prize, &activity.prize)
            && is(&self.state, &activity.state)
            && is(&self.unit, &activity.unit)
            && self.from_ms.is_none_or(|from| activity.at_ms >= from)
            && self.until_ms.is_none_or(|until| activity.at_ms < until)
    }
}

/// The index that leads to what is asked for: the one that most likely leads past the least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Participant([u8; 16]),
    Prize(String),
    State(String),
    Time,
}

impl Way {
    pub(crate) fn of(filter: &Filter) -> Self {
        if let Some(participant) = &filter.participant {
            return Self::Participant(Who::named(participant).0);
        }
        match (&filter.prize, &filter.state) {
            (Some(prize), _) => Self::Prize(prize.clone()),
            (None, Some(state)) => Self::State(state.clone()),
            (None, None) => Self::Time,
        }
    }

    /// The condition that the index stands for, and its value.
    pub(crate) fn condition(&self) -> (&'static str, Option<Value<'_>>) {
        match self {
            Self::Participant(who) => (" AND who=?", Some(Value::Bytes(who))),
            Self::Prize(prize) => (" AND prize=?", Some(Value::Text(prize))),
            Self::State(state) => (" AND state=?", Some(Value::Text(state))),
            Self::Time => ("", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_match_is_refused() {
        let word = |word: &str| Some(word.to_owned());
        let nothing = Filter::default();
        for (filter, is_fine) in [
            (nothing.clone(), true),
            (Filter { participant: word("ada"), unit: word("point"), ..nothing.clone() }, true),
            (Filter { participant: word(""), ..nothing.clone() }, false),
            (Filter { prize: word("a\nb"), ..nothing.clone() }, false),
            (Filter { state: word(&"x".repeat(WORD_MAX + 1)), ..nothing.clone() }, false),
            (Filter { unit: word("No Unit"), ..nothing.clone() }, false),
            (Filter { from_ms: Some(5), until_ms: Some(5), ..nothing.clone() }, false),
            (Filter { from_ms: Some(5), until_ms: Some(6), ..nothing.clone() }, true),
            (Filter { amount_min: Some(2), amount_max: Some(1), ..nothing.clone() }, false),
            (Filter { amount_min: Some(-2), amount_max: Some(-2), ..nothing.clone() }, true),
        ] {
            assert_eq!(filter.check().is_ok(), is_fine, "{filter:?}");
        }
    }

    #[test]
    fn bounds_of_time_and_amount_are_kept() {
        let one = |at_ms, amount| Activity {
            amount,
            ..Activity::new(Kind::Transfer, "ledger/1".to_owned(), at_ms)
        };
        let bounds =
            Filter { from_ms: Some(5), until_ms: Some(7), amount_min: Some(-1), ..Filter::default() };
        for (activity, expected) in [
            (one(4, Some(0)), false),
            (one(5, Some(0)), true),
            (one(6, Some(-1)), true),
            (one(6, Some(-2)), false),
            (one(6, None), false),
            (one(7, Some(0)), false),
        ] {
            assert_eq!(bounds.matches(&activity), expected, "{activity:?}");
        }
    }

    #[test]
    fn the_way_is_by_whom_then_what_then_how_it_stands() {
        let word = |word: &str| Some(word.to_owned());
        let all =
            Filter { participant: word("ada"), prize: word("pen"), state: word("won"), ..Filter::default() };
        assert_eq!(Way::of(&all), Way::Participant(Who::named("ada").0));
        let prize = Filter { participant: None, ..all };
        assert_eq!(Way::of(&prize), Way::Prize("pen".to_owned()));
        assert_eq!(Way::of(&Filter { prize: None, ..prize }), Way::State("won".to_owned()));
        assert_eq!(Way::of(&Filter::default()), Way::Time);
    }
}
