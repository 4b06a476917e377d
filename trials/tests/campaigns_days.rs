//! Where a campaign's day begins and ends: at midnight of its own zone, to the millisecond, also where the clocks change.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use campaign::act::Outcome;
use campaign::desk::Acted;
use campaign::error::Error;
use trials::fair::{Fair, behaves, gains};
use trials::profile::Profile;

const HOUR_MS: i64 = 3_600_000;

/// A local day: its zone, the day before, itself and the day after, the instants at which it begins and ends, and the
/// midnight of UTC that lies within. The instants do not come from the product.
type Day = (&'static str, [&'static str; 3], i64, i64, i64);

/// Two zones whose clocks never change, one on each side of UTC, and one with a day of 25 hours and a day of 23.
const DAYS: [Day; 4] = [
    (
        "Asia/Kathmandu",
        ["2026-11-23", "2026-11-24", "2026-11-25"],
        1_795_457_700_000,
        1_795_544_100_000,
        1_795_478_400_000,
    ),
    (
        "Pacific/Honolulu",
        ["2026-11-23", "2026-11-24", "2026-11-25"],
        1_795_514_400_000,
        1_795_600_800_000,
        1_795_564_800_000,
    ),
    (
        "America/New_York",
        ["2026-10-31", "2026-11-01", "2026-11-02"],
        1_793_505_600_000,
        1_793_595_600_000,
        1_793_577_600_000,
    ),
    (
        "America/New_York",
        ["2026-03-07", "2026-03-08", "2026-03-09"],
        1_772_946_000_000,
        1_773_028_800_000,
        1_773_014_400_000,
    ),
];

fn in_zone(zone: &str, parts: &str) -> String {
    format!("campaign: summer\ntitle: Summer\ntime_zone: {zone}\n{parts}")
}

/// One sign-in at an instant: the day that was signed, the streak, what it gave, and whether it was signed before.
async fn signs(fair: &Fair, who: &str, at_ms: i64) -> (String, u32, i64, bool) {
    fair.clock.set(at_ms);
    let done = fair.sign_in(who, "summer").await.expect("signed");
    let Acted::Kept(Outcome::SignedIn { day, streak, .. }) = &done.acted else { panic!("{done:?}") };
    let given = gains(&done).iter().map(|gained| gained.amount).sum();
    (day.clone(), *streak, given, done.replayed)
}

const CALENDAR: &str =
    "sign_in: {days: [[{unit: point, amount: 1}], [{unit: point, amount: 2}], [{unit: point, amount: 3}]]}\n";

/// One sign-in before local midnight and one after are two days in a row. Two around a midnight of UTC, or at both ends of a
/// day however long it is, are one.
async fn a_day_is_signed_from_local_midnight_to_local_midnight(profile: Profile) {
    for (zone, [before, day, after], begin_ms, end_ms, utc_ms) in DAYS {
        let fair = Fair::at(profile, begin_ms - 1).await;
        fair.publish("1", &in_zone(zone, CALENDAR)).await.expect("published");
        let seen = async |who, at_ms| {
            let (day, streak, given, replayed) = signs(&fair, who, at_ms).await;
            let calendar = fair.campaigns.calendar(who, "summer").await.expect("a calendar");
            assert_eq!((&calendar.today, calendar.streak), (&day, streak), "{zone}");
            (day, streak, given, replayed)
        };
        let signed = |day: &str, streak: u32, replayed| (day.to_owned(), streak, i64::from(streak), replayed);
        assert_eq!(seen("ada", begin_ms - 1).await, signed(before, 1, false), "{zone}");
        assert_eq!(seen("ada", begin_ms).await, signed(day, 2, false), "{zone}: a new day");
        // Others sign between the two: the clock goes on.
        assert_eq!(seen("bob", utc_ms - 1).await, signed(day, 1, false), "{zone}");
        assert_eq!(seen("bob", utc_ms).await, signed(day, 1, true), "{zone}: midnight elsewhere");
        assert_eq!(seen("ada", end_ms - 1).await, signed(day, 2, true), "{zone}: its last millisecond");
        assert_eq!(seen("ada", end_ms).await, signed(after, 3, false), "{zone}: a new day");
        assert_eq!(seen("bob", end_ms).await, signed(after, 2, false), "{zone}");
        // Who was not there on the day has left one out.
        let late = fair.campaigns.calendar("cy", "summer").await.expect("a calendar");
        assert_eq!((late.today.as_str(), late.streak), (after, 0), "{zone}");
        fair.clock.set(end_ms + 24 * HOUR_MS - 1);
        assert_eq!(fair.campaigns.calendar("ada", "summer").await.expect("a calendar").streak, 3, "{zone}");
        fair.clock.set(end_ms + 48 * HOUR_MS);
        assert_eq!(fair.campaigns.calendar("ada", "summer").await.expect("a calendar").streak, 0, "{zone}");
        assert_eq!(fair.has("ada", "point", "main").await.0 + fair.has("bob", "point", "main").await.0, 9);
        assert_eq!(fair.verified().await.failed, []);
    }
}

const EXPIRING: &str = "\
earning:
  - {id: today, behaviour: today, gains: [{unit: point, amount: 10, expires_after_days: 0}]}
  - {id: tomorrow, behaviour: tomorrow, gains: [{unit: point, amount: 10, expires_after_days: 1}]}
offers:
  - id: mug
    title: A mug
    price: {unit: point, amount: 4}
    gains: [{unit: mug, amount: 1}]
    stock: 9
";

/// What expires after so many days can be spent to the end of that local day, and not a millisecond longer, whenever in its
/// day it was given.
async fn what_expires_does_so_at_local_midnight(profile: Profile) {
    for (zone, _, begin_ms, end_ms, utc_ms) in DAYS {
        let fair = Fair::at(profile, begin_ms - 1).await;
        fair.publish("1", &in_zone(zone, EXPIRING)).await.expect("published");
        for (who, at_ms, behaviour) in [
            // To the end of the day before, which is over at once; and over all of the day.
            ("brief", begin_ms - 1, "today"),
            ("eve", begin_ms - 1, "tomorrow"),
            ("first", begin_ms, "today"),
            ("next", begin_ms, "tomorrow"),
            ("utc", utc_ms, "today"),
            ("last", end_ms - 1, "today"),
        ] {
            fair.clock.set(at_ms);
            let given = fair.behave(who, behaves(behaviour, who, None)).await;
            assert_eq!(given, [(behaviour.to_owned(), 10, None)], "{zone}: {who}");
        }
        let left = async |at_ms| {
            fair.clock.set(at_ms);
            fair.ledger.settle_due().await.expect("settled");
            let mut left = vec![];
            for who in ["brief", "eve", "first", "utc", "last", "next"] {
                left.push(fair.has(who, "point", "main").await.0);
            }
            left
        };
        assert_eq!(left(end_ms - 1).await, [0, 10, 10, 10, 10, 10], "{zone}: to its last millisecond");
        let order = fair.order("eve", ("summer", "mug"), "a").await.expect("an order");
        fair.pay("eve", order).await.expect("paid");
        // Nobody has looked what is due: an order asks for what has not expired.
        fair.clock.set(end_ms);
        let over = Error::NotEnough { unit: "point".to_owned(), price: 4, available: 0 };
        assert_eq!(fair.order("first", ("summer", "mug"), "a").await, Err(over), "{zone}");
        assert_eq!(left(end_ms).await, [0, 0, 0, 0, 0, 10], "{zone}: it ends with the day");
        assert_eq!(left(end_ms + 24 * HOUR_MS - 1).await, [0, 0, 0, 0, 0, 10], "{zone}");
        assert_eq!(left(end_ms + 24 * HOUR_MS).await, [0; 6], "{zone}");
        assert_eq!((fair.house("expired", "point").await, fair.house("spent", "point").await), (56, 4));
        assert_eq!(fair.verified().await.failed, []);
    }
}

trials::in_each_profile!(
    a_day_is_signed_from_local_midnight_to_local_midnight,
    what_expires_does_so_at_local_midnight,
);
