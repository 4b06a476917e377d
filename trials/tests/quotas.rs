//! How many draws a local day and a local month hold, whatever the clocks do.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use kernel::id::Shard;
use records::port::{Value, write};
use tokio::task::JoinSet;
use trials::profile::Profile;
use trials::stand::Stand;
use trials::{NOON_MS, Trial, verify_in_python, verify_lines};

const HOUR_MS: i64 = 3_600_000;

/// What becomes of draws in a row: `.` is drawn, `d` and `m` are refused for the day and for the month.
async fn row(stand: &Stand, participant: &str, word: &str, draws: usize) -> String {
    let mut seen = String::new();
    for number in 0..draws {
        seen.push(match stand.code(participant, &format!("{word} {number}"), 1).await {
            "drawn" => '.',
            "campaign.tickets_used_today" => 'd',
            "campaign.tickets_used_this_month" => 'm',
            other => panic!("{other}"),
        });
    }
    seen
}

/// Zones with the instants at which a local month begins, and the second day of it.
const MONTHS: [(&str, i64, i64); 4] = [
    // 2026-12-01, five and three quarter hours before UTC's.
    ("Asia/Kathmandu", 1_796_062_500_000, 1_796_148_900_000),
    // The same day, thirteen and three quarter hours before.
    ("Pacific/Chatham", 1_796_033_700_000, 1_796_120_100_000),
    // 2026-11-01, four hours after UTC's; the clocks go back in that day, and the next begins 25 hours later.
    ("America/New_York", 1_793_505_600_000, 1_793_595_600_000),
    // 2026-03-01 and the day after: no clock changes.
    ("America/New_York", 1_772_341_200_000, 1_772_427_600_000),
];

async fn quotas_turn_with_the_local_day_and_month(profile: Profile) {
    for (zone, month_ms, day_ms) in MONTHS {
        let open = async |tickets: &str| {
            let folder = profile.place();
            Stand::over(Trial::open_in(folder, month_ms - 1).await, zone, tickets).await
        };
        let stand = open("per_month: 3").await;
        let mut seen = vec![];
        for (at_ms, draws) in [(month_ms - 1, 4), (month_ms, 4), (day_ms, 1)] {
            stand.trial.clock.set(at_ms);
            seen.push(row(&stand, "ada", &at_ms.to_string(), draws).await);
        }
        assert_eq!(seen, ["...m", "...m", "m"], "{zone}");
        stand.close(6).await;

        let stand = open("per_day: 2, per_month: 3, total: 99").await;
        let mut seen = vec![];
        for (at_ms, draws) in [(month_ms - 1, 3), (month_ms, 3), (day_ms - 1, 1), (day_ms, 2)] {
            stand.trial.clock.set(at_ms);
            seen.push(row(&stand, "ada", &at_ms.to_string(), draws).await);
        }
        assert_eq!(seen, ["..d", "..d", "d", ".m"], "{zone}");
        stand.close(5).await;
    }
}

/// A clock that goes back over midnight, and over the month's end, as it may between two starts, gives nobody a used day
/// again; both verifiers, which replay the log, agree.
async fn a_clock_that_goes_back_over_midnight_brings_no_used_day_back(profile: Profile) {
    for (zone, month_ms, day_ms) in MONTHS {
        let trial = Trial::open_in(profile.place(), month_ms - HOUR_MS).await;
        let stand = Stand::over(trial, zone, "per_day: 2, per_month: 3, total: 99").await;
        let mut seen = vec![];
        for (place, (at_ms, draws)) in [
            (month_ms - HOUR_MS, 1),
            (month_ms, 3),
            (month_ms - HOUR_MS, 1),
            (month_ms, 1),
            (day_ms, 2),
            (month_ms, 1),
        ]
        .into_iter()
        .enumerate()
        {
            stand.trial.clock.set(at_ms);
            seen.push(row(&stand, "ada", &place.to_string(), draws).await);
        }
        assert_eq!(seen, [".", "..d", "d", "d", ".m", "m"], "{zone}");
        stand.close(4).await;
    }
}

async fn draws_across_midnight_never_exceed_a_days_or_a_months_quota(profile: Profile) {
    for (zone, month_ms, _) in MONTHS {
        let folder = profile.place();
        let trial = Trial::open_in(folder, month_ms - 1).await;
        let stand = Stand::over(trial, zone, "per_day: 4, per_month: 4").await;
        for who in 0..3 {
            assert_eq!(row(&stand, &format!("p{who}"), "before", 2).await, "..");
        }
        let mut crowd = JoinSet::new();
        let mut made = vec![];
        for number in 0..300 {
            if number == 150 {
                // Some are decided by then, and many wait.
                made.extend(crowd.join_next().await.expect("one").expect("a task"));
                stand.trial.clock.set(month_ms);
            }
            let raffles = stand.trial.house.raffles.clone();
            crowd.spawn(async move {
                let asked = Stand::asked(&format!("p{}", number % 3), &format!("k{number}"), 1);
                raffles.draw(asked).await.map(|drawn| (number % 3, drawn.draw.at_ms >= month_ms))
            });
        }
        made.extend(crowd.join_all().await.into_iter().flatten());
        let mut draws = 0;
        for who in 0..3 {
            let of = |after: bool| made.iter().filter(|draw| **draw == (who, after)).count();
            let (before, after) = (2 + of(false), of(true));
            assert!(before <= 4 && after <= 4, "{zone}: {before} before midnight, {after} after");
            let rest = row(&stand, &format!("p{who}"), "after", 5).await;
            let left = rest.chars().filter(|seen| *seen == '.').count();
            assert_eq!(after + left, 4, "{zone}: the new day has as many as it has");
            draws += before + after + left;
        }
        stand.close(draws).await;
    }
}

/// The quota is replayed by whoever verifies; a ticket of the ledger is no part of the log.
async fn verifiers_count_a_months_draws_themselves(profile: Profile) {
    let stand = Stand::open(profile, "per_month: 3").await;
    let day_ms = 24 * HOUR_MS;
    for day in 0..3 {
        stand.trial.clock.set(NOON_MS + day * day_ms);
        assert_eq!(stand.code("ada", &format!("k{day}"), 1).await, "drawn");
    }
    stand.trial.reveal("r", "t").await;
    let mut lines = stand.trial.evidence("r").await;
    assert_eq!(verify_lines(&lines).failed, []);
    lines[0] = lines[0].replace(r#"\"per_month\":3"#, r#"\"per_month\":2"#);
    let draws: Vec<_> = lines.iter().filter(|line| line.contains("\"draw\":")).cloned().collect();
    let third: serde_json::Value = serde_json::from_str(&draws[2]).expect("a line");
    let told = |failed: Vec<(String, String)>| -> Vec<_> {
        failed.into_iter().filter(|(id, _)| id.starts_with("drw_")).collect()
    };
    let failed = verify_lines(&lines).failed.into_iter().map(|failed| (failed.id, failed.reason)).collect();
    let id = third["draw"].as_str().expect("an id").to_owned();
    let why =
        "all 2 tickets of this month are used; more come with the next month in the campaign's time zone";
    assert_eq!(told(failed), [(id.clone(), why.to_owned())]);
    let (report, accepted) = verify_in_python(&lines);
    let failed = report["failed"].as_array().expect("failures").iter();
    let word = |failed: &serde_json::Value, key: &str| failed[key].as_str().expect("a word").to_owned();
    let failed = failed.map(|failed| (word(failed, "id"), word(failed, "reason"))).collect();
    assert_eq!(told(failed), [(id, "it was made without a ticket".to_owned())]);
    assert!(!accepted);
    stand.close(3).await;
}

/// Rows that were written before months were counted.
async fn a_row_of_before_counts_all_its_draws_until_its_month_ends(profile: Profile) {
    let folder = profile.place();
    // 2026-10-31, 2026-11-23 and 2026-12-01, each at noon.
    let [october_ms, december_ms] = [NOON_MS - 23 * 24 * HOUR_MS, NOON_MS + 8 * 24 * HOUR_MS];
    let stand = Stand::over(Trial::open_in(folder, october_ms).await, "UTC", "per_month: 3").await;
    assert_eq!(row(&stand, "ada", "october", 2).await, "..");
    stand.trial.clock.set(NOON_MS);
    assert_eq!(row(&stand, "ada", "november", 1).await, ".");
    assert_eq!(row(&stand, "bob", "november", 1).await, ".");
    let records = stand.trial.house.raffles.records();
    let rewound = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            tx.exec("ALTER TABLE player DROP COLUMN this_month", &[] as &[Value<'_>]).await?;
            tx.exec("DELETE FROM schema_step WHERE room='raffle' AND step=3", &[]).await
        })
    });
    assert_eq!(rewound.await, Ok(1));
    drop(records);
    let stand = Stand::over(stand.end().await.reopen().await, "UTC", "per_month: 3").await;
    assert_eq!(row(&stand, "ada", "upgraded", 1).await, "m", "it may be too strict, and never too generous");
    assert_eq!(row(&stand, "bob", "upgraded", 3).await, "..m");
    stand.trial.clock.set(december_ms);
    assert_eq!(row(&stand, "ada", "december", 4).await, "...m");
    stand.close(9).await;
}

trials::in_each_profile!(
    quotas_turn_with_the_local_day_and_month,
    a_clock_that_goes_back_over_midnight_brings_no_used_day_back,
    draws_across_midnight_never_exceed_a_days_or_a_months_quota,
    verifiers_count_a_months_draws_themselves,
    a_row_of_before_counts_all_its_draws_until_its_month_ends,
);
