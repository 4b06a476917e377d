//! What campaigns give, on real records with a clock that can be set.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use campaign::act::{Outcome, What};
use campaign::audience::Uploaded;
use campaign::campaigns::Campaigns;
use campaign::desk::Acted;
use campaign::error::Error;
use campaign::offer::Order;
use campaign::window::Zone;
use tokio::task::JoinSet;
use trials::NOON_MS;
use trials::fair::{Fair, behaves, body, gains};
use trials::profile::Profile;

const DAY_MS: i64 = 86_400_000;

/// A rule that gives points.
fn point_rule(id: &str, behaviour: &str, rest: &str) -> String {
    format!("  - {{id: {id}, behaviour: {behaviour}, {rest}}}\n")
}

fn summer(parts: &str) -> String {
    format!("campaign: summer\ntitle: Summer\n{parts}")
}

fn earning(rules: &[String]) -> String {
    summer(&format!("earning:\n{}", rules.concat()))
}

async fn sound(fair: &Fair) {
    assert_eq!(fair.verified().await.failed, []);
}

fn gave(rule: &str, amount: i64) -> (String, i64, Option<String>) {
    (rule.to_owned(), amount, None)
}

fn kept_back(rule: &str, amount: i64, why: &str) -> (String, i64, Option<String>) {
    (rule.to_owned(), amount, Some(why.to_owned()))
}

async fn a_behaviour_gives_once_under_its_business_id(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let rules = [
        point_rule(
            "share",
            "share",
            "gains: [{unit: point, amount: 10}, {unit: ticket, wallet: raffle-s, amount: 1}]",
        ),
        point_rule(
            "rebate",
            "purchase",
            "min_value: 100, gains: [{unit: point, of_value: {gives: 1, for_every: 100, at_most: 50}}]",
        ),
    ];
    fair.publish("1", &earning(&rules)).await.expect("published");
    let given = fair.behave("ada", behaves("share", "post-1", None)).await;
    assert_eq!(given, [gave("share", 10), gave("share", 1)]);
    let again = fair.act("ada", behaves("share", "post-1", None)).await.expect("the same");
    assert!(again.replayed);
    assert_eq!(gains(&again).len(), 2);
    let other = fair.campaigns.act("ada", behaves("share", "post-1", None), body("other")).await;
    assert_eq!(other, Err(Error::KeyReused));
    // The same id of another behaviour, or of another participant, is another event.
    for (value, expected) in [(99, vec![]), (100, vec![gave("rebate", 1)]), (999, vec![gave("rebate", 9)])] {
        let id = format!("order-{value}");
        assert_eq!(fair.behave("ada", behaves("purchase", &id, Some(value))).await, expected);
    }
    assert_eq!(
        fair.behave("ada", behaves("purchase", "post-1", Some(1_000_000))).await,
        [gave("rebate", 50)]
    );
    assert_eq!(fair.behave("bob", behaves("share", "post-1", None)).await.len(), 2);
    assert_eq!(fair.behave("ada", behaves("yawn", "1", None)).await, []);
    assert_eq!(
        (fair.has("ada", "point", "main").await.0, fair.has("ada", "ticket", "raffle-s").await.0),
        (70, 1)
    );
    assert_eq!(fair.house("issued", "point").await, -80);
    let fair = fair.again().await;
    assert!(fair.act("ada", behaves("share", "post-1", None)).await.expect("the same").replayed);
    sound(&fair).await;
}

async fn what_cannot_be_an_act_is_refused(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", &summer("window: {from: \"2026-12-01T00:00:00\"}\n")).await.expect("published");
    let only = |campaign: &str| What::Behave {
        behaviour: "share".to_owned(),
        business_id: "1".to_owned(),
        value: None,
        campaign: Some(campaign.to_owned()),
    };
    for (participant, what, code) in [
        ("ada", behaves("Share", "1", None), "campaign.bad_input"),
        ("ada", behaves("", "1", None), "campaign.bad_input"),
        ("ada", behaves("share", "", None), "campaign.bad_input"),
        ("ada", behaves("share", &"x".repeat(129), None), "campaign.bad_input"),
        ("ada", behaves("share", "a b", None), "campaign.bad_input"),
        ("ada", behaves("share", "1", Some(-1)), "campaign.bad_input"),
        ("", behaves("share", "1", None), "campaign.bad_input"),
        ("a\u{7}", behaves("share", "1", None), "campaign.bad_input"),
        ("ada", only("winter"), "campaign.missing"),
        ("ada", only("summer"), "campaign.not_begun"),
        ("ada", What::SignIn { campaign: "summer".to_owned() }, "campaign.not_begun"),
    ] {
        let refused = fair.act(participant, what.clone()).await.expect_err("refused");
        assert_eq!(kernel::fault::Classify::code(&refused), code, "{what:?}");
    }
    // Refused is not kept: the same key may come again once the campaign has begun.
    fair.pass(9 * DAY_MS).await;
    assert!(!fair.act("ada", only("summer")).await.expect("an act").replayed);
    let refused = fair.sign_in("ada", "summer").await.expect_err("no calendar");
    assert_eq!(refused, Error::NoSignIn("summer".to_owned()));
}

async fn caps_count_local_days_and_months_in_three_zones(profile: Profile) {
    for zone_name in ["Asia/Shanghai", "America/New_York", "Pacific/Chatham"] {
        let zone = Zone::named(zone_name).expect("a zone");
        // The last second of a month.
        let midnight = zone.instant_of("2026-12-01T00:00:00").expect("a time");
        let fair = Fair::at(profile, midnight - 1000).await;
        let rule = point_rule(
            "share",
            "share",
            "caps: {per_day: 2, per_month: 3, total: 5}, gains: [{unit: point, amount: 1}]",
        );
        fair.publish("1", &summer(&format!("time_zone: {zone_name}\nearning:\n{rule}")))
            .await
            .expect("published");
        let mut number = 0;
        let mut share = async || {
            number += 1;
            let given = fair.behave("ada", behaves("share", &number.to_string(), None)).await;
            let [(_, amount, why)] = &given[..] else { panic!("one gain: {given:?}") };
            assert_eq!(*amount == 1, why.is_none());
            why.clone().unwrap_or_default()
        };
        assert_eq!([share().await, share().await, share().await], ["", "", "cap_day"], "{zone_name}");
        fair.clock.set(midnight - 1);
        assert_eq!(share().await, "cap_day", "{zone_name}");
        // A new day and a new month begin at local midnight, to the millisecond.
        fair.clock.set(midnight);
        assert_eq!([share().await, share().await, share().await], ["", "", "cap_day"], "{zone_name}");
        let next = zone.next_midnight(midnight).expect("midnight");
        fair.clock.set(next);
        // The month holds one more, and so does the whole.
        assert_eq!([share().await, share().await], ["", "cap_total"], "{zone_name}");
        // A clock that is set back opens no day again.
        fair.clock.set(midnight - 1000);
        assert_eq!(share().await, "cap_total", "{zone_name}");
        assert_eq!(fair.has("ada", "point", "main").await.0, 5);
        sound(&fair).await;
    }
}

async fn parallel_acts_never_pass_a_cap(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let rules = [point_rule(
        "share",
        "share",
        "caps: {per_day: 7}, gains: [{unit: point, amount: 3, caps: {per_day: 20}}]",
    )];
    fair.publish("1", &earning(&rules)).await.expect("published");
    let mut acts = JoinSet::new();
    for number in 0..200 {
        let campaigns = fair.campaigns.clone();
        let what = behaves("share", &format!("{}", number % 100), None);
        acts.spawn(async move { campaigns.act("ada", what, body("same")).await });
    }
    let acts = acts.join_all().await;
    let replayed = acts.into_iter().filter(|act| act.as_ref().expect("an act").replayed).count();
    assert_eq!(replayed, 100);
    // Six times three, and what the cap on points leaves for the seventh.
    assert_eq!(fair.has("ada", "point", "main").await.0, 20);
    sound(&fair).await;
}

async fn a_budget_is_never_overdrawn_and_can_be_raised_and_lowered(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let document = |points: i64, money: i64| {
        let rules = [point_rule("share", "share", "gains: [{unit: point, amount: 10}]")];
        let costs = "costs: [{unit: point, units: 100, cost: 7}]";
        let budget = format!(
            "budget: {{units: {{point: {points}}}, money: {{unit: fen, amount: {money}, {costs}}}}}\n"
        );
        earning(&rules) + &budget
    };
    fair.publish("1", &document(25, 100)).await.expect("published");
    let share = async |id: &str| fair.behave("ada", behaves("share", id, None)).await.remove(0);
    assert_eq!([share("1").await, share("2").await], [gave("share", 10), gave("share", 10)]);
    assert_eq!(share("3").await, kept_back("share", 0, "budget"));
    // Once told, never changed: more budget does not bring it back.
    fair.publish("2", &document(45, 100)).await.expect("published");
    assert_eq!(share("3").await, kept_back("share", 0, "budget"));
    assert_eq!(share("4").await, gave("share", 10));
    // Ten points cost 0.7, which is rounded up each time.
    assert_eq!((fair.house("campaign-summer", "fen").await, fair.house("spent", "fen").await), (97, 3));
    assert_eq!(
        fair.publish("3", &document(29, 100)).await.expect_err("spent").to_string(),
        "more of the budget of point is given already than 29 would leave"
    );
    fair.publish("4", &document(30, 4)).await.expect("published");
    assert_eq!(
        (fair.house("campaign-summer", "point").await, fair.house("campaign-summer", "fen").await),
        (0, 1)
    );
    fair.publish("5", &document(60, 4)).await.expect("published");
    assert_eq!(share("5").await, gave("share", 10));
    assert_eq!(share("6").await, kept_back("share", 0, "money"));
    // Without a budget points are issued again; what was set aside goes back.
    fair.publish("6", &earning(&[point_rule("share", "share", "gains: [{unit: point, amount: 10}]")]))
        .await
        .expect("published");
    assert_eq!(share("7").await, gave("share", 10));
    assert_eq!((fair.house("campaign-summer", "point").await, fair.house("issued", "point").await), (0, -50));
    sound(&fair).await;
}

async fn a_streak_is_signed_day_by_day(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let calendar = "sign_in:\n  days: [[{unit: point, amount: 1}], [{unit: point, amount: 2}]]\n  streaks: [{days: 3, gains: [{unit: ticket, wallet: raffle-s, amount: 1}]}]\n";
    let rule = point_rule("daily", "sign_in", "gains: [{unit: point, amount: 100}]");
    fair.publish("1", &summer(&format!("time_zone: America/New_York\n{calendar}earning:\n{rule}")))
        .await
        .expect("published");
    let sign = async || {
        let done = fair.sign_in("ada", "summer").await.expect("signed");
        let Acted::Kept(Outcome::SignedIn { day, streak, .. }) = &done.acted else { panic!("{done:?}") };
        let amounts: Vec<_> = gains(&done).iter().map(|gained| gained.amount).collect();
        (day.clone(), *streak, amounts, done.replayed)
    };
    let day = |text: &str| text.to_owned();
    assert_eq!(sign().await, (day("2026-11-23"), 1, vec![1, 100], false));
    assert_eq!(sign().await, (day("2026-11-23"), 1, vec![1, 100], true));
    fair.pass(DAY_MS).await;
    assert_eq!(sign().await, (day("2026-11-24"), 2, vec![2, 100], false));
    fair.pass(DAY_MS).await;
    assert_eq!(sign().await, (day("2026-11-25"), 3, vec![1, 1, 100], false));
    // A clock that is set back signs nothing twice.
    fair.clock.set(NOON_MS);
    assert_eq!(sign().await, (day("2026-11-25"), 3, vec![1, 1, 100], true));
    fair.clock.set(NOON_MS + 4 * DAY_MS);
    assert_eq!(fair.campaigns.calendar("ada", "summer").await.expect("a calendar").streak, 0);
    assert_eq!(sign().await, (day("2026-11-27"), 1, vec![1, 100], false));
    let signed = fair.campaigns.calendar("ada", "summer").await.expect("a calendar");
    assert_eq!((signed.calendar.total, signed.calendar.days, signed.streak), (4, 0b101_1100 << 20, 1));
    assert_eq!((signed.today.as_str(), signed.days), ("2026-11-27", vec![23, 24, 25, 27]));
    assert_eq!(fair.has("ada", "point", "main").await.0, 405);
    sound(&fair).await;
}

const SHOP: &str = "\
campaign: shop
title: Shop
earning:
  - {id: gift, behaviour: gift, gains: [{unit: point, of_value: {gives: 1, for_every: 1}}]}
offers:
  - id: ticket
    title: A ticket
    price: {unit: point, amount: 30}
    gains: [{unit: ticket, wallet: raffle-s, amount: 1}]
    stock: 3
    per_participant: {per_day: 2}
    pay_within_seconds: 600
";

async fn an_offer_is_ordered_and_paid(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", SHOP).await.expect("published");
    fair.behave("ada", behaves("gift", "1", Some(100))).await;
    let offer = ("shop", "ticket");
    let first = fair.order("ada", offer, "a").await.expect("an order");
    assert_eq!(fair.has("ada", "point", "main").await, (100, 30));
    assert_eq!(fair.order("ada", offer, "a").await.expect("the same"), first);
    let second = fair.order("ada", offer, "b").await.expect("another");
    assert_eq!(fair.order("ada", offer, "c").await, Err(Error::OfferCap { left: 0, which: "cap_day" }));
    let poor = Error::NotEnough { unit: "point".to_owned(), price: 30, available: 0 };
    assert_eq!(fair.order("bob", offer, "a").await, Err(poor));
    let paid = fair.pay("ada", first).await.expect("paid");
    assert!(matches!(paid, Order::Paid { .. }));
    assert_eq!(fair.pay("ada", first).await.expect("the same"), paid);
    assert_eq!(fair.pay("bob", first).await, Err(Error::NoSuchOrder(first.to_string())));
    assert_eq!(
        (fair.has("ada", "point", "main").await, fair.has("ada", "ticket", "raffle-s").await.0),
        ((70, 30), 1)
    );
    // Cancelled: price, stock and cap come back.
    for replayed in [false, true] {
        let done = fair.act("ada", What::Cancel { order: second }).await.expect("cancelled");
        assert_eq!(done.replayed, replayed);
    }
    assert_eq!(fair.pay("ada", second).await, Err(Error::OrderEnded("was cancelled before")));
    let third = fair.order("ada", offer, "c").await.expect("one more");
    assert_eq!(fair.has("ada", "point", "main").await, (70, 30));
    // Not paid in time: the same comes back by itself.
    fair.pass(600_000 - 1).await;
    let shelf = async || {
        let shelf = fair.campaigns.standing("shop").await.expect("a campaign").shelves[0].1;
        (shelf.free, shelf.held, shelf.sold)
    };
    assert_eq!(shelf().await, (1, 1, 1));
    fair.pass(1).await;
    assert_eq!((shelf().await, fair.has("ada", "point", "main").await), ((2, 0, 1), (70, 0)));
    assert_eq!(fair.pay("ada", third).await, Err(Error::OrderEnded("was not paid in time")));
    let orders = fair.campaigns.orders("ada", None, 2).await.expect("a page");
    assert_eq!(orders.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [third, second]);
    let orders = fair.campaigns.orders("ada", Some(second), 2).await.expect("a page");
    assert_eq!(orders.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [first]);
    // The last two of the stock, and no more; a version that says less than is taken is refused.
    for participant in ["bob", "cy", "dee"] {
        fair.behave(participant, behaves("gift", "1", Some(30))).await;
    }
    for participant in ["bob", "cy"] {
        let order = fair.order(participant, offer, "a").await.expect("an order");
        fair.pay(participant, order).await.expect("paid");
    }
    assert_eq!(fair.order("dee", offer, "a").await, Err(Error::SoldOut(0)));
    let less = fair.publish("2", &SHOP.replace("stock: 3", "stock: 2")).await;
    assert_eq!(less, Err(Error::StockTaken { offer: "ticket".to_owned(), units: 2 }));
    fair.publish("3", &SHOP.replace("stock: 3", "stock: 4")).await.expect("more");
    // A refusal is not kept: the same key may be asked again.
    fair.order("dee", offer, "a").await.expect("an order");
    assert_eq!((fair.house("spent", "point").await, fair.house("issued", "ticket").await), (90, -3));
    sound(&fair).await;
}

/// Orders two tickets one after the other, and pays; how many there were.
async fn buy_twice(campaigns: Campaigns, participant: String) -> usize {
    campaigns.act(&participant, behaves("gift", "1", Some(60)), body("")).await.expect("a gift");
    let mut paid = 0;
    for key in ["a", "b"] {
        let (campaign, offer, key) = ("shop".to_owned(), "ticket".to_owned(), key.to_owned());
        let order = What::Order { campaign, offer, quantity: 1, key };
        match campaigns.act(&participant, order, body("")).await {
            Ok(done) => {
                let Acted::Kept(Outcome::Ordered { order, .. }) = done.acted else { panic!("an order") };
                let pay = What::Pay { order: order.parse().expect("an id") };
                campaigns.act(&participant, pay, body("")).await.expect("paid");
                paid += 1;
            }
            Err(error) => assert!(matches!(error, Error::SoldOut(0)), "{error}"),
        }
    }
    paid
}

async fn a_thousand_orders_at_once_sell_what_there_is(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", &SHOP.replace("stock: 3", "stock: 40")).await.expect("published");
    let mut tasks = JoinSet::new();
    for number in 0..500 {
        tasks.spawn(buy_twice(fair.campaigns.clone(), format!("p{number}")));
    }
    let sold: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(sold, 40);
    assert_eq!((fair.house("issued", "ticket").await, fair.house("spent", "point").await), (-40, 40 * 30));
    sound(&fair).await;
}

async fn people_bring_people(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let rules = [
        point_rule("thanks", "referral", "caps: {total: 1}, gains: [{unit: point, amount: 50}]"),
        point_rule("welcome", "referred", "gains: [{unit: point, amount: 20}]"),
    ];
    fair.publish("1", &(earning(&rules) + "referral: {behaviour: purchase, within_days: 2}\n"))
        .await
        .expect("published");
    let code = fair.campaigns.code("ada", "summer").await.expect("a code");
    assert_eq!(fair.campaigns.code("ada", "summer").await, Ok(code.clone()));
    let refer = async |participant: &str, code: &str| {
        fair.campaigns.refer(participant, ("summer", code), body(code)).await.map(|done| done.replayed)
    };
    assert_eq!(refer("ada", &code).await, Err(Error::Circular));
    assert_eq!(refer("bob", "NOSUCHCODE").await, Err(Error::NoSuchCode("NOSUCHCODE".to_owned())));
    assert_eq!((refer("bob", &code).await, refer("bob", &code).await), (Ok(false), Ok(true)));
    let other = fair.campaigns.code("bob", "summer").await.expect("a code");
    assert_eq!(refer("ada", &other).await, Err(Error::Circular));
    let third = fair.campaigns.code("cy", "summer").await.expect("a code");
    assert_eq!(refer("bob", &third).await, Err(Error::BroughtBefore));
    // The first purchase qualifies, once, and only in time.
    assert_eq!(fair.behave("bob", behaves("purchase", "1", Some(5))).await, [gave("welcome", 20)]);
    assert_eq!(fair.behave("bob", behaves("purchase", "2", Some(5))).await, []);
    assert_eq!(refer("dee", &code).await, Ok(false));
    assert_eq!(refer("eve", &code).await, Ok(false));
    fair.pass(2 * DAY_MS).await;
    assert_eq!(fair.behave("dee", behaves("purchase", "1", None)).await, [gave("welcome", 20)]);
    fair.pass(DAY_MS).await;
    assert_eq!(fair.behave("eve", behaves("purchase", "1", None)).await, []);
    // Whoever brought them hears of it through the outbox; the second one meets the cap.
    fair.deliver().await;
    fair.deliver().await;
    assert_eq!(
        (fair.has("ada", "point", "main").await.0, fair.has("bob", "point", "main").await.0),
        (50, 20)
    );
    sound(&fair).await;
}

async fn rules_are_for_audiences(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let audiences = "audiences: {vips: {kind: list, list: vips}, rich: {kind: all, of: [{kind: balance, unit: point, at_least: 10}, {kind: none, of: [{kind: list, list: staff}]}]}}\n";
    let rules = [
        point_rule("all", "share", "gains: [{unit: point, amount: 5}]"),
        point_rule("vip", "share", "audience: vips, gains: [{unit: point, amount: 1}]"),
        point_rule("rich", "share", "audience: rich, gains: [{unit: point, amount: 2}]"),
    ];
    fair.publish("1", &(earning(&rules) + audiences)).await.expect("published");
    let upload = async |list: &str, names: &[&str], are_added: bool| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let cause = records::audit::Cause {
            actor: records::audit::Actor::house(),
            key: String::new(),
            body_hash: None,
        };
        fair.campaigns.upload(list, (names, are_added), cause).await
    };
    let counted = |members, changed| Ok(Uploaded { members, changed });
    assert_eq!(upload("vips", &["ada", "bob", "ada"], true).await, counted(2, 2));
    assert_eq!(upload("vips", &["ada", "cy"], true).await, counted(3, 1));
    assert_eq!(upload("vips", &["cy", "nobody"], false).await, counted(2, 1));
    assert_eq!(upload("never", &["cy"], false).await, counted(0, 0));
    let many = vec!["x"; 20_001];
    assert!(matches!(upload("vips", &many, true).await, Err(Error::BadInput { .. })));
    assert_eq!(fair.campaigns.members("vips").await, Ok(2));
    let share =
        async |participant: &str, id: &str| fair.behave(participant, behaves("share", id, None)).await;
    assert_eq!(share("ada", "1").await, [gave("all", 5), gave("vip", 1)]);
    // What one rule gives counts for the next: five and six are more than ten.
    assert_eq!(share("ada", "2").await, [gave("all", 5), gave("vip", 1), gave("rich", 2)]);
    assert_eq!(upload("staff", &["ada"], true).await, counted(1, 1));
    assert_eq!(share("ada", "3").await, [gave("all", 5), gave("vip", 1)]);
    assert_eq!(share("cy", "1").await, [gave("all", 5)]);
    sound(&fair).await;
}

async fn a_place_shows_one_campaign_at_a_time(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let document = |id: &str, from: &str, until: &str| {
        format!(
            "campaign: {id}\ntitle: T\nplacements: [{{channel: app, source: home}}]\nwindow: {{from: \"{from}T00:00:00\", until: \"{until}T00:00:00\"}}\n"
        )
    };
    fair.publish("1", &document("now", "2026-11-01", "2026-12-01")).await.expect("published");
    fair.publish("1", &document("next", "2026-12-01", "2027-01-01")).await.expect("published");
    let taken = fair.publish("2", &document("next", "2026-11-30", "2027-01-01")).await;
    let other = "now".to_owned();
    assert_eq!(
        taken,
        Err(Error::PlacementTaken {
            campaign: other,
            channel: "app".to_owned(),
            source_name: "home".to_owned()
        })
    );
    assert_eq!(fair.campaigns.placed(("app", "home"), None).await.expect("shown").id, "now");
    assert!(matches!(fair.campaigns.placed(("app", "cart"), None).await, Err(Error::NothingPlaced { .. })));
    fair.pass(8 * DAY_MS).await;
    assert_eq!(fair.campaigns.placed(("app", "home"), None).await.expect("shown").id, "next");
    let replayed = fair.publish("1", &document("now", "2026-11-01", "2026-12-01")).await.expect("the same");
    assert!(replayed.replayed);
    assert_eq!(fair.publish("1", &document("now", "2026-11-02", "2026-12-01")).await, Err(Error::KeyReused));
    assert!(matches!(fair.publish("9", "campaign: now\ntitel: T\n").await, Err(Error::Document(_))));
}

trials::in_each_profile!(
    a_behaviour_gives_once_under_its_business_id,
    what_cannot_be_an_act_is_refused,
    caps_count_local_days_and_months_in_three_zones,
    parallel_acts_never_pass_a_cap,
    a_budget_is_never_overdrawn_and_can_be_raised_and_lowered,
    a_streak_is_signed_day_by_day,
    an_offer_is_ordered_and_paid,
    a_thousand_orders_at_once_sell_what_there_is,
    people_bring_people,
    rules_are_for_audiences,
    a_place_shows_one_campaign_at_a_time,
);
