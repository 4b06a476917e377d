//! People bring people: what is earned in time is given, and only for those who are new.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use campaign::error::Error;
use campaign::referral::RING_MAX;
use trials::NOON_MS;
use trials::fair::{Fair, behaves, body};
use trials::profile::Profile;

const DAY_MS: i64 = 86_400_000;

/// A campaign that thanks whoever brings somebody, until an instant.
fn document(until: &str) -> String {
    format!(
        "campaign: summer\ntitle: Summer\nwindow: {{until: \"{until}T00:00:00\"}}\nearning:\n  \
         - {{id: thanks, behaviour: referral, gains: [{{unit: point, amount: 50, caps: {{per_day: 60}}}}]}}\n\
         referral: {{behaviour: purchase}}\n"
    )
}

async fn code(fair: &Fair, participant: &str) -> String {
    fair.campaigns.code(participant, "summer").await.expect("a code")
}

async fn refer(fair: &Fair, participant: &str, by: &str) -> Result<bool, Error> {
    let code = code(fair, by).await;
    fair.campaigns.refer(participant, ("summer", &code), body(&code)).await.map(|done| done.replayed)
}

/// What was earned in the last second is given after the end, by the caps of the day on which it was earned.
async fn a_reward_that_was_earned_in_time_is_given_after_the_campaign_has_ended(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", &document("2026-11-24")).await.expect("published");
    for friend in ["bob", "cy"] {
        assert_eq!(refer(&fair, friend, "ada").await, Ok(false));
        fair.behave(friend, behaves("purchase", "1", None)).await;
    }
    // Nobody carries effects until the campaign is over.
    fair.pass(DAY_MS).await;
    let ended = fair.act("dee", behaves("purchase", "1", None)).await;
    assert!(!ended.expect("an act").replayed);
    fair.deliver().await;
    fair.deliver().await;
    assert_eq!(fair.has("ada", "point", "main").await.0, 60, "fifty, and what the cap of that day leaves");
    assert_eq!(fair.verified().await.failed, []);
}

/// Where a later version says that the campaign was over before, nothing is forgotten in silence.
async fn a_reward_that_is_refused_stays_owed_until_somebody_has_looked(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", &document("2026-11-25")).await.expect("published");
    assert_eq!(refer(&fair, "bob", "ada").await, Ok(false));
    fair.behave("bob", behaves("purchase", "1", None)).await;
    fair.publish("2", &document("2026-11-23")).await.expect("published");
    fair.deliver().await;
    assert_eq!(fair.has("ada", "point", "main").await.0, 0);
    fair.publish("3", &document("2026-11-26")).await.expect("published");
    fair.pass(60_000).await;
    fair.deliver().await;
    assert_eq!(fair.has("ada", "point", "main").await.0, 50);
}

/// Nobody stands above themselves, however many there are between; nor is anybody won who was there before.
async fn rings_and_old_customers_bring_nothing(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", &document("2026-11-25")).await.expect("published");
    let person = |number: usize| format!("p{number}");
    for number in 1..=RING_MAX {
        assert_eq!(refer(&fair, &person(number), &person(number - 1)).await, Ok(false), "{number}");
    }
    for last in [1, 2, 3, RING_MAX] {
        assert_eq!(refer(&fair, "p0", &person(last)).await, Err(Error::Circular), "{last}");
    }
    assert_eq!(refer(&fair, "p0", "p0").await, Err(Error::Circular));
    assert_eq!(refer(&fair, "p0", "else").await, Ok(false));
    fair.behave("old", behaves("purchase", "1", None)).await;
    fair.behave("new", behaves("share", "1", None)).await;
    assert_eq!(refer(&fair, "old", "ada").await, Err(Error::NotNew("purchase".to_owned())));
    assert_eq!(refer(&fair, "new", "ada").await, Ok(false));
    // Bought after they were brought: a repeat is answered as before.
    fair.behave("new", behaves("purchase", "1", None)).await;
    assert_eq!(refer(&fair, "new", "ada").await, Ok(true));
    // In one batch with the purchase too, whichever comes first.
    let code = code(&fair, "ada").await;
    for number in 0..20 {
        let participant = format!("both-{number}");
        let (bought, brought) = tokio::join!(
            fair.act(&participant, behaves("purchase", "1", None)),
            fair.campaigns.refer(&participant, ("summer", &code), body(&code))
        );
        bought.expect("a purchase");
        if let Err(error) = brought {
            assert_eq!(error, Error::NotNew("purchase".to_owned()));
        }
    }
    assert_eq!(fair.verified().await.failed, []);
}

/// Who signs in qualifies where that is what is asked; who has signed in before is not new.
async fn who_has_signed_in_before_is_not_brought_to_sign_in(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let text = document("2026-11-25").replace("behaviour: purchase", "behaviour: sign_in")
        + "sign_in: {days: [[{unit: point, amount: 1}]]}\n";
    fair.publish("1", &text).await.expect("published");
    fair.sign_in("old", "summer").await.expect("signed");
    assert_eq!(refer(&fair, "old", "ada").await, Err(Error::NotNew("sign_in".to_owned())));
    assert_eq!(refer(&fair, "new", "ada").await, Ok(false));
    fair.sign_in("new", "summer").await.expect("signed");
    fair.deliver().await;
    assert_eq!(fair.has("ada", "point", "main").await.0, 50);
}

trials::in_each_profile!(
    a_reward_that_was_earned_in_time_is_given_after_the_campaign_has_ended,
    a_reward_that_is_refused_stays_owed_until_somebody_has_looked,
    rings_and_old_customers_bring_nothing,
    who_has_signed_in_before_is_not_brought_to_sign_in,
);
