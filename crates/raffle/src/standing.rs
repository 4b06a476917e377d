//! What decides about one participant's draw, besides chance and stock: who they are, what they did, what is told of them.

use std::collections::BTreeMap;

use campaign::ticket::Used;
use campaign::window::month_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a caller with the right to do so tells of a participant. It is stored with the draw and marked attested.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// Words, such as a membership level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Numbers, such as points spent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, u64>,
}

impl Attested {
    /// Whether nothing is told.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.metrics.is_empty()
    }

    /// Whether an attribute is told to be one of these.
    pub fn is_one_of(&self, attribute: &str, values: &[String]) -> bool {
        self.attributes.get(attribute).is_some_and(|told| values.contains(told))
    }

    /// As it is stored and hashed: JSON with sorted keys, without blanks; empty where nothing is told.
    pub fn text(&self) -> String {
        if self.is_empty() { String::new() } else { serde_json::to_string(self).unwrap_or_default() }
    }

    /// Reads [`Attested::text`] back.
    pub fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::default()) } else { serde_json::from_str(text).ok() }
    }
}

/// How often a participant won one prize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wins {
    /// The prize's slot: its number in this raffle, the same in every version.
    pub slot: u32,
    /// In the whole campaign.
    pub total: u64,
    /// On the local day of the participant's last draw.
    pub today: u64,
    /// The participant's draw that won it last.
    pub last: u64,
}

/// Tenths of a window that a window which ends now may touch: its own ten, and the rest of one more.
pub const TENTHS: usize = 11;

/// Completed draws of late, for a velocity rule: in each tenth of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Length of the window, in seconds: names the rule.
    pub seconds: u32,
    /// The latest tenth, counted from the Unix epoch.
    pub tenth: i64,
    /// Draws in it, in the one before, and so on.
    pub draws: [u32; TENTHS],
}

impl Pace {
    /// Length of a tenth of a window.
    pub fn tenth_ms(seconds: u32) -> i64 {
        i64::from(seconds.max(1)) * 100
    }

    /// Draws that still count once so many more tenths have begun.
    pub fn after(&self, tenths: usize) -> u64 {
        self.draws.iter().take(TENTHS.saturating_sub(tenths)).map(|draws| u64::from(*draws)).sum()
    }
}

/// What a participant has done in a raffle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Draws completed.
    pub number: u64,
    /// The latest local day of a draw.
    pub day: i32,
    /// Draws completed on that day, and since then.
    pub today: u64,
    /// Draws completed in the local month of that day.
    pub this_month: u64,
    /// Prizes won, by slot.
    pub wins: Vec<Wins>,
    /// When a prize that is no consolation was last won, in milliseconds since the epoch.
    pub last_win_ms: Option<i64>,
    /// Velocity, for each window length that a rule has counted.
    pub paces: Vec<Pace>,
    /// A prize that an operator has promised, by its id.
    pub promised: Option<String>,
}

/// A completed draw, as far as it counts for later ones.
#[derive(Debug, Clone, Copy)]
pub struct Completed<'a> {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The local day.
    pub day: i32,
    /// The slot of the prize won, and whether it is more than a consolation.
    pub won: Option<(u32, bool)>,
    /// Whether it kept the promise.
    pub kept_promise: bool,
    /// Window lengths of the velocity rules, in seconds.
    pub windows: &'a [u32],
}

impl History {
    /// The day that a draw of a local day counts on: a clock that is set back brings no used day back.
    fn counts_on(&self, day: i32) -> i32 {
        if self.number == 0 { day } else { self.day.max(day) }
    }

    /// Draws completed on a local day.
    pub fn completed_on(&self, day: i32) -> u64 {
        if self.day == self.counts_on(day) { self.today } else { 0 }
    }

    /// Draws completed in the local month of a local day.
    pub fn completed_in_month_of(&self, day: i32) -> u64 {
        let day = self.counts_on(day);
        if self.day == day || month_of(self.day) == month_of(day) { self.this_month } else { 0 }
    }

    /// Wins of a prize, those of a local day in `today`.
    pub fn wins_of(&self, slot: u32, day: i32) -> Wins {
        let won = self.wins.iter().find(|wins| wins.slot == slot).copied();
        let won = won.unwrap_or(Wins { slot, ..Wins::default() });
        if self.day == self.counts_on(day) { won } else { Wins { today: 0, ..won } }
    }

    /// The pace within a window length, as it is at an instant.
    pub fn pace(&self, seconds: u32, at_ms: i64) -> Pace {
        let tenth = at_ms.div_euclid(Pace::tenth_ms(seconds));
        let mut pace = Pace { seconds, tenth, ..Pace::default() };
        if let Some(known) = self.paces.iter().find(|pace| pace.seconds == seconds) {
            // A clock that is set back counts on in the tenth where it was.
            pace.tenth = tenth.max(known.tenth);
            let gone = usize::try_from(pace.tenth.saturating_sub(known.tenth)).unwrap_or(TENTHS);
            for (draws, before) in pace.draws.iter_mut().skip(gone).zip(known.draws) {
                *draws = before;
            }
        }
        pace
    }

    /// Notes a completed draw.
    pub fn complete(&mut self, draw: Completed<'_>) {
        let day = self.counts_on(draw.day);
        if self.day != day {
            for wins in &mut self.wins {
                wins.today = 0;
            }
        }
        self.today = self.completed_on(day) + 1;
        self.this_month = self.completed_in_month_of(day) + 1;
        self.day = day;
        self.number += 1;
        for seconds in draw.windows {
            let mut pace = self.pace(*seconds, draw.at_ms);
            pace.draws[0] = pace.draws[0].saturating_add(1);
            self.paces.retain(|known| known.seconds != *seconds);
            self.paces.push(pace);
        }
        // A pace that no window from now on can touch says nothing any more; its rule may be long gone.
        self.paces.retain(|pace| {
            let tenth = draw.at_ms.div_euclid(Pace::tenth_ms(pace.seconds));
            tenth.saturating_sub(pace.tenth) < i64::try_from(TENTHS).unwrap_or(i64::MAX)
        });
        if draw.kept_promise {
            self.promised = None;
        }
        let Some((slot, counts)) = draw.won else { return };
        if counts {
            self.last_win_ms = Some(draw.at_ms);
        }
        let won = self.wins_of(slot, day);
        let won = Wins { total: won.total + 1, today: won.today + 1, last: self.number, ..won };
        match self.wins.iter_mut().find(|wins| wins.slot == slot) {
            Some(wins) => *wins = won,
            None => self.wins.push(won),
        }
    }
}

/// A participant who asks for a draw.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Their public name in this raffle.
    pub pseudonym: [u8; 16],
    /// What they did before; the draw being made is not counted.
    pub history: &'a History,
    /// What is told of them.
    pub attested: &'a Attested,
    /// Now, in milliseconds since the epoch.
    pub now_ms: i64,
    /// The local day.
    pub day: i32,
}

impl Standing<'_> {
    /// The number that this draw will have.
    pub fn number(&self) -> u64 {
        self.history.number.saturating_add(1)
    }

    /// Draws completed on this local day.
    pub fn completed_today(&self) -> u64 {
        self.history.completed_on(self.day)
    }

    /// Tickets used by now.
    pub fn used(&self) -> Used {
        let this_month = self.history.completed_in_month_of(self.day);
        Used { total: self.history.number, today: self.completed_today(), this_month }
    }

    /// A metric by its name; `None` where nobody told it.
    pub fn metric(&self, name: &str) -> Option<u64> {
        match name {
            // The draw being made counts.
            DRAWS_MADE => Some(self.number()),
            other => self.attested.metrics.get(other).copied(),
        }
    }
}

/// The metric that we count ourselves.
pub const DRAWS_MADE: &str = "draws_made";
/// The metric that callers may tell of every raffle.
pub const POINTS_SPENT: &str = "points_spent";

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(at_ms: i64, day: i32, won: Option<(u32, bool)>) -> Completed<'static> {
        Completed { at_ms, day, won, kept_promise: false, windows: &[10] }
    }

    #[test]
    fn wins_count_by_prize_and_day() {
        let mut history = History::default();
        history.complete(draw(1, 1, Some((7, true))));
        history.complete(draw(2, 1, Some((7, true))));
        history.complete(draw(3, 1, Some((8, false))));
        assert_eq!(history.wins_of(7, 1), Wins { slot: 7, total: 2, today: 2, last: 2 });
        assert_eq!(history.wins_of(7, 2), Wins { slot: 7, total: 2, today: 0, last: 2 });
        assert_eq!(history.wins_of(9, 1), Wins { slot: 9, ..Wins::default() });
        assert_eq!(history.last_win_ms, Some(2), "a consolation is no win");
        history.complete(draw(4, 2, None));
        history.complete(draw(5, 1, Some((7, true))));
        for day in [1, 2] {
            assert_eq!(history.wins_of(7, day).today, 1, "what is drawn after the clock went back counts on");
        }
        assert_eq!(history.number, 5);
    }

    #[test]
    fn draws_count_by_day_and_month() {
        let mut history = History::default();
        // 2026-11-29, -30, -30, then 2026-12-01.
        for (day, used) in [(20_786, (1, 1)), (20_787, (1, 2)), (20_787, (2, 3)), (20_788, (1, 1))] {
            history.complete(draw(1, day, None));
            assert_eq!((history.completed_on(day), history.completed_in_month_of(day)), used, "{day}");
        }
        assert_eq!(history.completed_in_month_of(20_818), 1, "the last day of that month");
        assert_eq!(history.completed_in_month_of(20_819), 0, "the first of the next");
        // The clock goes back over the month's end, and comes again.
        history.complete(draw(1, 20_787, None));
        for day in [20_786, 20_787, 20_788] {
            let used = (history.completed_on(day), history.completed_in_month_of(day));
            assert_eq!(used, (2, 2), "{day}: a day that came back does not begin anew");
        }
        history.complete(draw(1, 20_789, None));
        assert_eq!((history.completed_on(20_789), history.completed_in_month_of(20_789)), (1, 3));
        // The first draw of all counts on its own day, whichever that is.
        let mut early = History::default();
        early.complete(draw(-1, -1, None));
        assert_eq!((early.day, early.completed_on(-1), early.completed_on(0)), (-1, 1, 0));
    }

    #[test]
    fn a_pace_slides_from_window_to_window() {
        let mut history = History::default();
        for at_ms in [999, 1_000, 2_000] {
            history.complete(draw(at_ms, 1, None));
        }
        let at = |at_ms| history.pace(10, at_ms).after(0);
        assert_eq!((at(2_999), at(10_999)), (3, 3), "a tenth counts until it lies a whole window back");
        assert_eq!((at(11_000), at(12_000), at(13_000), at(i64::MAX)), (2, 1, 0, 0));
        assert_eq!(history.pace(10, 2_000).after(9), 2, "as it will be in nine tenths");
        assert_eq!(at(-5), 3, "a clock that is set back gives nothing free");
    }

    #[test]
    fn what_is_told_survives_the_round_trip() {
        let told = Attested {
            attributes: BTreeMap::from([("level".to_owned(), "gold".to_owned())]),
            metrics: BTreeMap::from([(POINTS_SPENT.to_owned(), 4_000)]),
        };
        assert_eq!(told.text(), r#"{"attributes":{"level":"gold"},"metrics":{"points_spent":4000}}"#);
        assert_eq!(Attested::read(&told.text()), Some(told));
        assert_eq!(Attested::read(""), Some(Attested::default()));
        assert_eq!(Attested::read("{"), None);
    }
}
