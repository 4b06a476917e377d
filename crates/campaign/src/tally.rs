//! How often, or how much, so far: in all, this month, today. Months and days are those of the campaign's time zone.

use std::collections::{BTreeMap, BTreeSet};

use records::error::Error as RecordsError;
use records::port::{Tx, Value};
use records::statement::{ByKeys, Insert};
use serde::{Deserialize, Serialize};

use crate::who::Who;
use crate::window::month_of;

/// At the most so many; what is left out is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// In the whole campaign.
    #[serde(default)]
    pub total: Option<u64>,
    /// In one local month.
    #[serde(default)]
    pub per_month: Option<u64>,
    /// In one local day.
    #[serde(default)]
    pub per_day: Option<u64>,
}

/// Which cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The whole campaign's.
    Total,
    /// The month's.
    Month,
    /// The day's.
    Day,
}

impl Reached {
    /// Its name in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Total => "cap_total",
            Self::Month => "cap_month",
            Self::Day => "cap_day",
        }
    }
}

/// What was counted until its last day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The local day on which something was counted last, from 1970-01-01.
    pub day: i32,
    /// In all.
    pub total: u64,
    /// In the month of that day.
    pub in_month: u64,
    /// On that day.
    pub today: u64,
}

impl Tally {
    /// The same, as it looks on a later day. A clock that goes back does not bring a used day back.
    fn on(self, day: i32) -> Self {
        if day <= self.day {
            return self;
        }
        let in_month = if month_of(day) == month_of(self.day) { self.in_month } else { 0 };
        Self { day, in_month, today: 0, ..self }
    }

    /// How much more the caps let through on a day, and which of them is the first to say so.
    pub fn room(self, caps: Caps, day: i32) -> (u64, Reached) {
        let now = self.on(day);
        let rooms = [
            (caps.total, now.total, Reached::Total),
            (caps.per_month, now.in_month, Reached::Month),
            (caps.per_day, now.today, Reached::Day),
        ];
        let room = |(cap, used, which): (Option<u64>, u64, Reached)| {
            (cap.map_or(u64::MAX, |cap| cap.saturating_sub(used)), which)
        };
        rooms.into_iter().map(room).min_by_key(|(room, _)| *room).unwrap_or((u64::MAX, Reached::Total))
    }

    /// Counts.
    pub fn add(&mut self, count: u64, day: i32) {
        *self = self.on(day);
        self.total += count;
        self.in_month += count;
        self.today += count;
    }

    /// Takes back what was counted on a day: a month or a day that is over stays as it was.
    pub fn take_back(&mut self, count: u64, day: i32) {
        self.total = self.total.saturating_sub(count);
        if month_of(day) == month_of(self.day) {
            self.in_month = self.in_month.saturating_sub(count);
        }
        if day == self.day {
            self.today = self.today.saturating_sub(count);
        }
    }
}

/// What is counted: in which campaign, under which name.
pub type Item = (u32, String);

/// Tallies of participants, as they were loaded and as they have changed since.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    known: BTreeMap<(Who, Item), Tally>,
    changed: BTreeSet<(Who, Item)>,
}

static LOAD: ByKeys = ByKeys::new(
    "SELECT bucket,who,campaign,item,day,total,in_month,today FROM campaign_tally WHERE tenant=?",
    &["bucket", "who"],
    "",
);
static SAVE: Insert = Insert::or_replace(
    "campaign_tally",
    &["bucket", "tenant", "who", "campaign", "item", "day", "total", "in_month", "today"],
    5,
);

impl Tallies {
    /// All of some participants.
    pub(crate) async fn load(
        tx: &mut dyn Tx,
        tenant: u32,
        people: &BTreeSet<Who>,
    ) -> Result<Self, RecordsError> {
        let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
        let mut known = BTreeMap::new();
        for row in LOAD.fetch(tx, &[Value::Int(tenant.into())], &keys).await? {
            let day = i32::try_from(row.int(4)?).map_err(|_| RecordsError::Corrupt("a day".to_owned()))?;
            let tally = Tally { day, total: row.count(5)?, in_month: row.count(6)?, today: row.count(7)? };
            known.insert((Who::from_row(&row)?, (row.small(2)?, row.text(3)?.to_owned())), tally);
        }
        Ok(Self { known, changed: BTreeSet::new() })
    }

    /// One of them.
    pub(crate) fn of(&self, who: Who, item: &Item) -> Tally {
        self.known.get(&(who, item.clone())).copied().unwrap_or_default()
    }

    /// Changes one of them.
    pub(crate) fn change(&mut self, who: Who, item: Item, change: impl FnOnce(&mut Tally)) {
        let key = (who, item);
        change(self.known.entry(key.clone()).or_default());
        self.changed.insert(key);
    }

    /// Writes what has changed.
    pub(crate) async fn save(&self, tx: &mut dyn Tx, tenant: u32) -> Result<(), RecordsError> {
        let mut values = Vec::with_capacity(self.changed.len() * 9);
        for key in &self.changed {
            let (who, (campaign, item)) = key;
            let tally = self.known.get(key).copied().unwrap_or_default();
            let [bucket, hash] = who.values();
            values.extend([
                bucket,
                Value::Int(tenant.into()),
                hash,
                Value::Int((*campaign).into()),
                Value::Text(item),
                Value::Int(tally.day.into()),
                Value::count(tally.total),
                Value::count(tally.in_month),
                Value::count(tally.today),
            ]);
        }
        SAVE.rows(tx, &values).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Zone;

    #[test]
    fn a_month_begins_on_its_first_day() {
        let day = |date: &str| {
            let zone = Zone::named("UTC").expect("zone");
            zone.day_of(zone.instant_of(&format!("{date}T12:00:00")).expect("time"))
        };
        assert_eq!((month_of(day("1970-01-01")), month_of(day("1970-01-31"))), (0, 0));
        assert_eq!((month_of(day("2026-11-30")), month_of(day("2026-12-01"))), (682, 683));
        assert_eq!((month_of(day("2028-02-29")), month_of(day("1969-12-31"))), (697, -1));
    }

    #[test]
    fn each_cap_counts_its_own_time() {
        let caps = Caps { total: Some(10), per_month: Some(6), per_day: Some(4) };
        let mut tally = Tally::default();
        // 20,788 is 2026-12-01.
        let (november, december) = (20_787, 20_788);
        assert_eq!(tally.room(caps, november), (4, Reached::Day));
        tally.add(4, november);
        assert_eq!(tally.room(caps, november), (0, Reached::Day));
        assert_eq!(tally.room(caps, december), (4, Reached::Day));
        tally.add(4, december);
        assert_eq!(tally.room(caps, december + 1), (2, Reached::Total));
        // A clock that goes back opens no day again.
        assert_eq!(tally.room(caps, november), (0, Reached::Day));
        tally.take_back(1, december);
        assert_eq!(tally.room(caps, december), (1, Reached::Day));
        tally.take_back(4, november);
        assert_eq!(tally, Tally { day: december, total: 3, in_month: 3, today: 3 });
        assert_eq!(Tally::default().room(Caps::default(), 0).0, u64::MAX);
    }
}
