//! Where campaigns end: budgets that several gains share, words that the house keeps for itself, limits on what can grow.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use campaign::act::{Outcome, What};
use campaign::audience::{LISTS_MAX, Uploaded};
use campaign::desk::Acted;
use campaign::error::Error;
use campaign::offer::Order as OfferOrder;
use campaign::publish::Publish;
use kernel::fault::Classify;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::{Account, ISSUED};
use ledger::desk::Desk;
use ledger::order::{HOLDS_MAX, Leg, Order, OrderId, Outcome as Posted, Terms, What as Posting};
use records::port::write;
use tokio::task::JoinSet;
use trials::NOON_MS;
use trials::fair::{Fair, behaves, body};
use trials::profile::Profile;

/// Each gain alone fits the money, both together do not: a point and a ticket cost 60 each, and each is rounded up.
async fn what_an_order_gives_fits_the_money_as_a_whole_or_is_not_given(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let document = |money: i64| {
        format!(
            "campaign: shop\ntitle: Shop\nbudget:\n  money:\n    unit: fen\n    amount: {money}\n    costs: [{{unit: point, units: 3, cost: 179}}, {{unit: ticket, units: 1, cost: 60}}]\noffers:\n  - {{id: set, title: A set, gains: [{{unit: point, amount: 1}}, {{unit: ticket, amount: 1}}], stock: 5}}\n"
        )
    };
    fair.publish("1", &document(119)).await.expect("published");
    let order = fair.order("ada", ("shop", "set"), "a").await.expect("an order");
    for _ in 0..2 {
        assert_eq!(fair.pay("ada", order).await, Err(Error::BudgetUsed("money")));
    }
    assert_eq!((fair.has("ada", "point", "main").await.0, fair.has("ada", "ticket", "main").await.0), (0, 0));
    // The order waits on, and is paid once there is enough.
    fair.publish("2", &document(120)).await.expect("published");
    assert!(matches!(fair.pay("ada", order).await, Ok(OfferOrder::Paid { .. })));
    assert_eq!(fair.house("campaign-shop", "fen").await, 0);
    assert_eq!(fair.verified().await.failed, []);
}

async fn nobody_reports_what_the_house_posts_by_itself(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let rules = "campaign: c\ntitle: C\nsign_in: {}\nreferral: {behaviour: purchase}\nearning:\n  - {id: daily, behaviour: sign_in, gains: [{unit: point, amount: 9}]}\n  - {id: thanks, behaviour: referral, gains: [{unit: point, amount: 9}]}\n";
    fair.publish("1", rules).await.expect("published");
    for word in ["sign_in", "referral", "referred"] {
        let refused = fair.act("ada", behaves(word, "1", None)).await.expect_err(word);
        assert_eq!(refused.code(), "campaign.bad_input", "{word}");
    }
    assert_eq!(fair.has("ada", "point", "main").await.0, 0);
}

/// Somebody who was brought qualifies by their balance, where the campaign gives them nothing for it.
async fn whoever_is_brought_qualifies_by_what_they_have(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let gift = "campaign: gifts\ntitle: Gifts\nearning:\n  - {id: gift, behaviour: gift, gains: [{unit: point, amount: 10}]}\n";
    let rich = "campaign: rich\ntitle: Rich\naudience: rich\naudiences: {rich: {kind: balance, unit: point, at_least: 10}}\nreferral: {behaviour: purchase}\nsign_in: {}\nearning:\n  - {id: thanks, behaviour: referral, gains: [{unit: coin, amount: 5}]}\n";
    fair.publish("1", gift).await.expect("published");
    fair.publish("1", rich).await.expect("published");
    for name in ["ada", "bob"] {
        assert_eq!(fair.sign_in(name, "rich").await, Err(Error::NotForThem));
        fair.behave(name, behaves("gift", "1", None)).await;
        fair.sign_in(name, "rich").await.expect("a day");
    }
    let code = fair.campaigns.code("ada", "rich").await.expect("a code");
    fair.campaigns.refer("bob", ("rich", &code), body("")).await.expect("brought");
    fair.behave("bob", behaves("purchase", "1", Some(1))).await;
    fair.deliver().await;
    assert_eq!(fair.has("ada", "coin", "main").await.0, 5);
    assert_eq!(fair.verified().await.failed, []);
}

async fn many_orders_end_at_once(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish(
        "1",
        "campaign: shop\ntitle: Shop\noffers:\n  - {id: gift, title: G, gains: [{unit: point, amount: 1}], stock: 450}\n",
    )
    .await
    .expect("published");
    let mut tasks = JoinSet::new();
    for number in 0..450 {
        let campaigns = fair.campaigns.clone();
        tasks.spawn(async move {
            let (campaign, offer, key) = ("shop".to_owned(), "gift".to_owned(), "k".to_owned());
            let what = What::Order { campaign, offer, quantity: 1, key };
            let done = campaigns.act(&format!("p{number}"), what, body("")).await.expect("an order");
            matches!(done.acted, Acted::Kept(Outcome::Ordered { .. }))
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|ordered| ordered));
    let free = async || fair.campaigns.standing("shop").await.expect("a campaign").shelves[0].1.free;
    assert_eq!(free().await, 0);
    fair.pass(900_000).await;
    assert_eq!((free().await, fair.campaigns.end_what_is_over().await), (450, Ok(0)));
}

async fn there_are_only_so_many_lists(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let upload = async |list: String| {
        fair.campaigns.upload(&list, (vec!["ada".to_owned()], true), trials::cause()).await
    };
    for number in 1..LISTS_MAX {
        assert_eq!(upload(format!("l{number}")).await, Ok(Uploaded { members: 1, changed: 1 }));
    }
    // One more may be made, and several are made at once.
    let mut crowd = JoinSet::new();
    for number in 0..8 {
        let (campaigns, list) = (fair.campaigns.clone(), format!("last-{number}"));
        crowd.spawn(
            async move { campaigns.upload(&list, (vec!["ada".to_owned()], true), trials::cause()).await },
        );
    }
    let uploads = crowd.join_all().await;
    let (made, refused): (Vec<_>, Vec<_>) = uploads.into_iter().partition(Result::is_ok);
    assert_eq!(made, [Ok(Uploaded { members: 1, changed: 1 })]);
    assert!(refused.iter().all(|refused| *refused == Err(Error::TooManyLists(LISTS_MAX))), "{refused:?}");
    assert_eq!(upload("one-more".to_owned()).await, Err(Error::TooManyLists(LISTS_MAX)));
    assert_eq!(upload("l7".to_owned()).await, Ok(Uploaded { members: 1, changed: 0 }));
    let erased = fair.campaigns.erase("ada", "participant/x".to_owned(), (&trials::cause(), "asked")).await;
    assert_eq!(erased.map(|erased| (erased.codes, erased.lists)), Ok((0, LISTS_MAX)));
}

/// Nothing was published yet, so nothing is there that they could wait at: each is published all the same.
async fn of_many_first_publications_at_once_none_stands_in_anothers_way(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let mut crowd = JoinSet::new();
    for number in 0..12 {
        let campaigns = fair.campaigns.clone();
        // Each campaign twice: another document is its next version.
        let campaign = format!("c{}", number / 2);
        let text = format!(
            "campaign: {campaign}\ntitle: The {number}\nbudget: {{units: {{point: {}}}}}\nearning:\n  - {{id: gift, behaviour: gift, gains: [{{unit: point, amount: 1}}]}}\n",
            100 + number
        );
        let (key, body_hash) = (number.to_string(), body(&text));
        crowd.spawn(async move {
            campaigns.publish(Publish { campaign, text, key, body_hash, cause: trials::cause() }).await
        });
    }
    let published = crowd.join_all().await.into_iter().map(|done| done.expect("it is published").version);
    let mut versions: Vec<_> = published.collect();
    versions.sort_unstable();
    assert_eq!(versions, [[1; 6], [2; 6]].concat());
    assert_eq!(fair.verified().await.failed, []);
}

/// What the ledger would refuse is refused before it is begun, for a reason that can be mended, and spoils nobody's batch.
async fn a_wallet_that_is_full_refuses_orders_and_payments(profile: Profile) {
    let fair = Fair::at(profile, NOON_MS).await;
    let document = "campaign: shop\ntitle: Shop\nearning:\n  - {id: gift, behaviour: gift, gains: [{unit: point, amount: 5000}]}\noffers:\n  - {id: one, title: One, price: {unit: point, amount: 1}, gains: [{unit: ticket, amount: 1}], stock: 9, pay_within_seconds: 7200}\n";
    fair.publish("1", document).await.expect("published");
    fair.behave("ada", behaves("gift", "1", None)).await;
    let (point, ticket) = ("point".parse().expect("a unit"), "ticket".parse().expect("a unit"));
    let (wallet, pot) = (Account::of("ada", &point), Account::house(ISSUED, &point));
    let fill = async |name: &'static str, what: Posting| {
        let now_ms = fair.clock.now_ms();
        let order = move |number: usize| {
            let id = OrderId::of(&[name.as_bytes(), &number.to_be_bytes()]);
            Order { id, code: "trial".to_owned(), reference: String::new(), what: what.clone() }
        };
        let orders: Vec<_> = (0..HOLDS_MAX).map(order).collect();
        let done: Result<_, records::error::Error> = write(&*fair.records, Shard::HOME, move |tx| {
            let desk = Desk { tenant: Tenant::MAIN, shard: Shard::HOME, now_ms };
            Box::pin(async move { desk.post(tx, &orders.iter().collect::<Vec<_>>()).await })
        })
        .await;
        assert!(done.expect("outcomes").iter().all(|outcome| matches!(outcome, Posted::Created(_))));
    };
    let full = |unit: &str, what| Error::WalletFull { unit: unit.to_owned(), what, most: 4096 };
    let expires_ms = NOON_MS + 60_000;
    fill("holds", Posting::Hold { from: wallet, to: pot, amount: 1, expires_ms }).await;
    assert_eq!(fair.order("ada", ("shop", "one"), "a").await, Err(full("point", "open holds")));
    fair.pass(60_000).await;
    let order = fair.order("ada", ("shop", "one"), "a").await.expect("an order, under the same key");
    let terms = Terms { expires_ms: Some(NOON_MS + 120_000), ..Terms::default() };
    let leg = |account, amount| Leg { account, amount };
    let legs = vec![leg(Account::house(ISSUED, &ticket), -1), leg(Account::of("ada", &ticket), 1)];
    fill("lots", Posting::Transfer { legs, terms }).await;
    assert_eq!(fair.pay("ada", order).await, Err(full("ticket", "lots")));
    fair.pass(60_000).await;
    assert!(matches!(fair.pay("ada", order).await, Ok(OfferOrder::Paid { .. })));
    assert_eq!(
        (fair.has("ada", "point", "main").await, fair.has("ada", "ticket", "main").await.0),
        ((4999, 0), 1)
    );
    assert_eq!(fair.verified().await.failed, []);
}

trials::in_each_profile!(
    a_wallet_that_is_full_refuses_orders_and_payments,
    of_many_first_publications_at_once_none_stands_in_anothers_way,
    what_an_order_gives_fits_the_money_as_a_whole_or_is_not_given,
    nobody_reports_what_the_house_posts_by_itself,
    whoever_is_brought_qualifies_by_what_they_have,
    many_orders_end_at_once,
    there_are_only_so_many_lists,
);
