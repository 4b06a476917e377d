//! Days and windows in the campaign's own time zone.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

use crate::error::Error;

/// A time zone by its IANA name, from the database that is built in.
#[derive(Debug, Clone)]
pub struct Zone {
    zone: TimeZone,
    name: String,
}

impl Zone {
    /// The zone of a name such as `Asia/Shanghai`; `None` where there is no such zone.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        Some(Self { zone, name: name.to_owned() })
    }

    /// The zone's IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The local day of an instant, counted in days from 1970-01-01. Days are as long as the zone makes them: 23 or 25
    /// hours where the clocks change.
    pub fn day_of(&self, at_ms: i64) -> i32 {
        let instant = Timestamp::from_millisecond(at_ms).unwrap_or(if at_ms < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        });
        let date = self.zone.to_datetime(instant).date();
        let epoch = jiff::civil::date(1970, 1, 1);
        date.since(epoch).map_or(0, |span| span.get_days())
    }

    /// The instant of a local time such as `2026-11-23T09:30:00`, in milliseconds. A time that the clocks skip is the
    /// instant they skip to; one that comes twice is the first.
    pub fn instant_of(&self, local: &str) -> Option<i64> {
        let local: DateTime = local.parse().ok()?;
        self.zone.to_ambiguous_zoned(local).compatible().ok().map(|zoned| zoned.timestamp().as_millisecond())
    }

    /// An instant as people of the zone write it, with its offset.
    pub fn write(&self, at_ms: i64) -> String {
        let Ok(instant) = Timestamp::from_millisecond(at_ms) else { return at_ms.to_string() };
        instant.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// The first instant of a local day, counted in days from 1970-01-01.
    pub fn begin_of(&self, day: i32) -> Option<i64> {
        Some(date_of(day)?.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond())
    }

    /// Which day of its month a local day is, from 1.
    pub fn day_of_month(day: i32) -> u32 {
        date_of(day).and_then(|date| u32::try_from(date.day()).ok()).unwrap_or(1)
    }

    /// A local day as people write it.
    pub fn write_day(day: i32) -> String {
        date_of(day).map_or_else(|| day.to_string(), |date| date.to_string())
    }

    /// The first instant of the local day after the one that holds `at_ms`.
    pub fn next_midnight(&self, at_ms: i64) -> Option<i64> {
        let zoned = Timestamp::from_millisecond(at_ms).ok()?.to_zoned(self.zone.clone());
        let tomorrow = zoned.date().checked_add(1.day()).ok()?.to_zoned(self.zone.clone()).ok()?;
        Some(tomorrow.timestamp().as_millisecond())
    }
}

/// The date of a local day, counted in days from 1970-01-01; `None` where the calendar does not reach.
fn date_of(day: i32) -> Option<Date> {
    let days = Span::new().try_days(day).ok()?;
    jiff::civil::date(1970, 1, 1).checked_add(days).ok()
}

/// The calendar month that holds a local day, both counted from January 1970: a local month follows from the local day alone,
/// whatever the clocks do in it.
pub fn month_of(day: i32) -> i32 {
    let date = date_of(day).unwrap_or(if day < 0 { Date::MIN } else { Date::MAX });
    (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1
}

/// When a campaign runs: from its first instant up to, not including, its last. Milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The first instant, where there is one.
    pub from_ms: Option<i64>,
    /// The first instant after, where there is one.
    pub until_ms: Option<i64>,
}

impl Window {
    /// Refuses an instant outside.
    pub fn check(self, at_ms: i64, zone: &Zone) -> Result<(), Error> {
        match (self.from_ms, self.until_ms) {
            (Some(from), _) if at_ms < from => Err(Error::NotBegun(zone.write(from))),
            (_, Some(until)) if at_ms >= until => Err(Error::Ended(zone.write(until))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(zone: &str, local: &str) -> i32 {
        let zone = Zone::named(zone).expect("zone");
        zone.day_of(zone.instant_of(local).expect("time"))
    }

    #[test]
    fn a_day_turns_at_local_midnight() {
        for zone in ["Asia/Shanghai", "America/New_York", "Pacific/Chatham", "UTC"] {
            let zone_ = Zone::named(zone).expect("zone");
            let last = zone_.instant_of("2026-11-23T23:59:59").expect("time") + 999;
            assert_eq!(zone_.day_of(last) + 1, zone_.day_of(last + 1), "{zone}");
            assert_eq!(zone_.next_midnight(last), Some(last + 1), "{zone}");
        }
        assert_eq!(day("UTC", "1970-01-02T00:00:00"), 1);
        assert_eq!(day("UTC", "1969-12-31T23:59:59"), -1);
    }

    #[test]
    fn days_are_as_long_as_the_zone_makes_them() {
        let zone = Zone::named("America/New_York").expect("zone");
        let hours = |day: &str| {
            let start = zone.instant_of(&format!("{day}T00:00:00")).expect("time");
            (zone.next_midnight(start).expect("midnight") - start) / 3_600_000
        };
        assert_eq!((hours("2026-03-08"), hours("2026-11-01"), hours("2026-11-02")), (23, 25, 24));
    }

    #[test]
    fn a_month_turns_with_the_local_day_that_begins_it() {
        for (zone, local, month) in [
            ("UTC", "1969-12-31T23:59:59", -1),
            ("UTC", "1970-01-01T00:00:00", 0),
            ("Asia/Kathmandu", "2026-11-30T23:59:59", 682),
            ("Asia/Kathmandu", "2026-12-01T00:00:00", 683),
            ("Pacific/Chatham", "2026-12-31T23:59:59", 683),
            ("Pacific/Chatham", "2027-01-01T00:00:00", 684),
            // The clocks go back on the first of the month.
            ("America/New_York", "2026-10-31T23:59:59", 681),
            ("America/New_York", "2026-11-01T01:30:00", 682),
            ("America/New_York", "2028-02-29T12:00:00", 697),
        ] {
            assert_eq!(month_of(day(zone, local)), month, "{local} in {zone}");
        }
        for day in -800_000..800_000 {
            let turned = month_of(day + 1) - month_of(day);
            assert!(turned == 0 || turned == 1, "day {day}");
        }
        assert!(month_of(i32::MIN) < month_of(-800_000) && month_of(800_000) < month_of(i32::MAX));
    }

    #[test]
    fn a_window_is_half_open() {
        let zone = Zone::named("Asia/Shanghai").expect("zone");
        let window = Window { from_ms: Some(10), until_ms: Some(20) };
        let inside: Vec<_> = (8..22).filter(|at| window.check(*at, &zone).is_ok()).collect();
        assert_eq!(inside, (10..20).collect::<Vec<_>>());
        let told = window.check(20, &zone).expect_err("ended").to_string();
        assert_eq!(told, "the campaign ended at 1970-01-01T08:00:00+08:00");
        assert!(Window::default().check(i64::MAX, &zone).is_ok());
    }

    #[test]
    fn names_that_are_no_zone_are_refused() {
        assert!(Zone::named("Mars/Olympus").is_none());
        assert!(Zone::named("UTC").expect("zone").instant_of("next tuesday").is_none());
    }
}
