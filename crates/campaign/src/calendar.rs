//! The sign-in calendar of one participant in one campaign: a streak, and the days of the month.

use std::collections::{BTreeMap, BTreeSet};

use records::error::Error as RecordsError;
use records::port::{Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::document::{AfterTheLast, Gain, SignIn};
use crate::who::Who;
use crate::window::{Zone, month_of};

/// What somebody has signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calendar {
    /// The last day they signed in, from 1970-01-01; nothing where they never did.
    pub last: Option<i32>,
    /// On how many days in a row, up to that one.
    pub streak: u32,
    /// The days of that month on which they did: the lowest bit is the first.
    pub days: u32,
    /// On how many days in all.
    pub total: u32,
}

impl Calendar {
    /// Signs in on a day. `false`: they had, that day or a later one.
    pub fn sign(&mut self, day: i32) -> bool {
        if self.last.is_some_and(|last| day <= last) {
            return false;
        }
        let is_next = self.last.is_some_and(|last| last + 1 == day);
        self.streak = if is_next { self.streak + 1 } else { 1 };
        if self.last.is_none_or(|last| month_of(last) != month_of(day)) {
            self.days = 0;
        }
        self.days |= 1 << (Zone::day_of_month(day) - 1);
        self.last = Some(day);
        self.total += 1;
        true
    }

    /// The days that are signed of the month in which a day lies.
    pub fn days_on(&self, day: i32) -> Vec<u32> {
        let is_of_month = self.last.is_some_and(|last| month_of(last) == month_of(day));
        (1..=31).filter(|day| is_of_month && self.days >> (day - 1) & 1 == 1).collect()
    }

    /// The streak as it stands on a day: it is broken once a day was left out.
    pub fn streak_on(&self, day: i32) -> u32 {
        if self.last.is_some_and(|last| last + 1 >= day) { self.streak } else { 0 }
    }
}

impl SignIn {
    /// What the streak's latest day gives.
    pub(crate) fn of_day(&self, streak: u32) -> &[Gain] {
        let (Some(place), count) = (streak.checked_sub(1), self.days.len()) else { return &[] };
        let place = place as usize;
        let place = match self.after_the_last {
            AfterTheLast::BeginAgain => place.checked_rem(count),
            AfterTheLast::RepeatTheLast => count.checked_sub(1).map(|last| place.min(last)),
        };
        place.and_then(|place| self.days.get(place)).map_or(&[], Vec::as_slice)
    }

    /// What it gives that a streak is so long.
    pub(crate) fn of_streak(&self, streak: u32) -> &[Gain] {
        let found = self.streaks.iter().find(|rewarded| rewarded.days == streak);
        found.map_or(&[], |rewarded| &rewarded.gains)
    }
}

/// Calendars by participant and campaign.
pub(crate) type Calendars = BTreeMap<(Who, u32), Calendar>;

static LOAD: ByKeys = ByKeys::new(
    "SELECT bucket,who,campaign,last_day,streak,days,total FROM campaign_calendar WHERE tenant=?",
    &["bucket", "who"],
    "",
);
static SAVE: Insert = Insert::or_replace(
    "campaign_calendar",
    &["bucket", "tenant", "who", "campaign", "last_day", "streak", "days", "total"],
    4,
);

pub(crate) async fn load(
    tx: &mut dyn Tx,
    tenant: u32,
    people: &BTreeSet<Who>,
) -> Result<Calendars, RecordsError> {
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    let mut calendars = Calendars::new();
    for row in LOAD.fetch(tx, &[Value::Int(tenant.into())], &keys).await? {
        let last = i32::try_from(row.int(3)?).map_err(|_| RecordsError::Corrupt("a day".to_owned()))?;
        let calendar =
            Calendar { last: Some(last), streak: row.small(4)?, days: row.small(5)?, total: row.small(6)? };
        calendars.insert((Who::from_row(&row)?, row.small(2)?), calendar);
    }
    Ok(calendars)
}

pub(crate) async fn save(
    tx: &mut dyn Tx,
    tenant: u32,
    changed: &[((Who, u32), Calendar)],
) -> Result<(), RecordsError> {
    let mut values = Vec::with_capacity(changed.len() * 8);
    for ((who, campaign), calendar) in changed {
        let [bucket, hash] = who.values();
        values.extend([
            bucket,
            Value::Int(tenant.into()),
            hash,
            Value::Int((*campaign).into()),
            Value::Int(calendar.last.unwrap_or_default().into()),
            Value::Int(calendar.streak.into()),
            Value::Int(calendar.days.into()),
            Value::Int(calendar.total.into()),
        ]);
    }
    SAVE.rows(tx, &values).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_counts_days_in_a_row() {
        let mut calendar = Calendar::default();
        // 20,787 is 2026-11-30.
        for (day, is_new, streak, days, on_the_next) in [
            (20_787, true, 1, 1 << 29, 1),
            (20_787, false, 1, 1 << 29, 1),
            (20_788, true, 2, 1, 2),
            (20_789, true, 3, 3, 3),
            (20_788, false, 3, 3, 3),
            (20_791, true, 1, 11, 1),
        ] {
            assert_eq!(calendar.sign(day), is_new, "{day}");
            assert_eq!((calendar.streak, calendar.days), (streak, days), "{day}");
            let last = calendar.last.expect("a day");
            assert_eq!(calendar.days_on(last).len(), days.count_ones() as usize);
            assert_eq!(calendar.days_on(last + 40), Vec::<u32>::new());
            assert_eq!((calendar.streak_on(last + 1), calendar.streak_on(last + 2)), (on_the_next, 0));
        }
        assert_eq!(calendar.total, 4);
    }

    #[test]
    fn a_calendar_begins_again_or_stays_at_its_last_day() {
        let gain = |amount| {
            let gain = serde_json::json!({"unit": "point", "amount": amount});
            vec![serde_json::from_value::<Gain>(gain).expect("a gain")]
        };
        let mut sign_in = SignIn { days: vec![gain(1), gain(2), gain(3)], ..SignIn::default() };
        let given = |sign_in: &SignIn| -> Vec<Option<i64>> {
            (0..8).map(|streak| sign_in.of_day(streak).first().and_then(|gain| gain.amount)).collect()
        };
        let some = |amounts: [i64; 7]| -> Vec<Option<i64>> {
            std::iter::once(None).chain(amounts.map(Some)).collect()
        };
        assert_eq!(given(&sign_in), some([1, 2, 3, 1, 2, 3, 1]));
        sign_in.after_the_last = AfterTheLast::RepeatTheLast;
        assert_eq!(given(&sign_in), some([1, 2, 3, 3, 3, 3, 3]));
        assert_eq!(SignIn::default().of_day(3), &[]);
    }
}
