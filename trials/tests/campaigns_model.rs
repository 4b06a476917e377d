//! Random histories of acts against a small model: caps, budget, stock and balances.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;

use campaign::act::{Outcome, What};
use campaign::desk::Acted;
use campaign::error::Error;
use campaign::offer::OrderKey;
use kernel::fault::Classify;
use kernel::ports::clock::Clock;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use trials::NOON_MS;
use trials::fair::{Fair, behaves, gains};
use trials::profile::Profile;

const DOCUMENT: &str = "\
campaign: shop
title: Shop
time_zone: Asia/Shanghai
budget: {units: {point: 70}}
earning:
  - {id: share, behaviour: share, caps: {per_day: 2, total: 5}, gains: [{unit: point, amount: 10}]}
  - {id: rebate, behaviour: purchase, gains: [{unit: point, of_value: {gives: 1, for_every: 7}, caps: {per_day: 15}}]}
offers:
  - id: ticket
    title: A ticket
    price: {unit: point, amount: 12}
    gains: [{unit: ticket, amount: 1}]
    stock: 4
    per_participant: {per_day: 2}
    pay_within_seconds: 3600
";
const BUDGET: i64 = 70;
const PRICE: i64 = 12;
const PAY_WITHIN_MS: i64 = 3_600_000;
const PEOPLE: [&str; 3] = ["ada", "bob", "cy"];

#[derive(Debug, Clone)]
enum Step {
    /// Who, whether they share or buy, which event, and its value.
    Behave(usize, bool, u8, i64),
    /// Who, and under which key.
    Order(usize, u8),
    /// The how-many-eth order, counted round.
    Pay(usize),
    Cancel(usize),
    /// Minutes.
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..PEOPLE.len();
    let step = prop_oneof![
        5 => (who.clone(), any::<bool>(), 0..12_u8, 0..90_i64)
            .prop_map(|(who, shares, id, value)| Step::Behave(who, shares, id, value)),
        3 => (who, 0..6_u8).prop_map(|(who, key)| Step::Order(who, key)),
        2 => (0..8_usize).prop_map(Step::Pay),
        1 => (0..8_usize).prop_map(Step::Cancel),
        2 => (1..900_i64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..60)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ordered,
    Paid,
    Ended,
}

#[derive(Debug, Clone, Copy)]
struct Ordered {
    who: usize,
    state: State,
    day: i64,
    expires_ms: i64,
}

type Given = Vec<(i64, Option<&'static str>)>;

/// What should be.
#[derive(Default)]
struct Model {
    acts: BTreeMap<(usize, bool, u8), (i64, Given)>,
    keys: BTreeMap<(usize, u8), usize>,
    /// Days on which each has shared.
    shared: BTreeMap<usize, Vec<i64>>,
    rebated: BTreeMap<(usize, i64), i64>,
    points: BTreeMap<usize, i64>,
    given: i64,
    orders: Vec<Ordered>,
}

/// The local day in China, which has had no other hours than these since 1991.
fn day_of(now_ms: i64) -> i64 {
    (now_ms + 8 * 3_600_000).div_euclid(86_400_000)
}

impl Model {
    fn give(&mut self, who: usize, amount: i64, cut: Option<&'static str>) -> (i64, Option<&'static str>) {
        if self.given + amount > BUDGET {
            return (0, Some("budget"));
        }
        self.given += amount;
        *self.points.entry(who).or_default() += amount;
        (amount, cut)
    }

    fn behave(
        &mut self,
        (who, shares, id, value): (usize, bool, u8, i64),
        now_ms: i64,
    ) -> Result<Given, &'static str> {
        if let Some((known, given)) = self.acts.get(&(who, shares, id)) {
            return if *known == value { Ok(given.clone()) } else { Err("idempotency.key_reused") };
        }
        let day = day_of(now_ms);
        let given = if shares {
            let days = self.shared.get(&who).cloned().unwrap_or_default();
            let today = days.iter().filter(|shared| **shared == day).count();
            if days.len() >= 5 {
                vec![(0, Some("cap_total"))]
            } else if today >= 2 {
                vec![(0, Some("cap_day"))]
            } else {
                let given = self.give(who, 10, None);
                if given.0 > 0 {
                    self.shared.entry(who).or_default().push(day);
                }
                vec![given]
            }
        } else if value < 7 {
            vec![]
        } else {
            let (wanted, so_far) = (value / 7, self.rebated.get(&(who, day)).copied().unwrap_or(0));
            let amount = wanted.min(15 - so_far);
            let given = if amount == 0 {
                (0, Some("cap_day"))
            } else {
                self.give(who, amount, (amount < wanted).then_some("cap_day"))
            };
            *self.rebated.entry((who, day)).or_default() += given.0;
            vec![given]
        };
        self.acts.insert((who, shares, id), (value, given.clone()));
        Ok(given)
    }

    fn count(&self, which: impl Fn(&Ordered) -> bool) -> usize {
        self.orders.iter().filter(|order| which(order)).count()
    }

    fn held(&self, who: usize) -> i64 {
        let open = self.count(|order| order.who == who && order.state == State::Ordered);
        PRICE * i64::try_from(open).expect("few")
    }

    /// The order's place, or why there is none.
    fn order(&mut self, who: usize, key: u8, now_ms: i64) -> Result<usize, &'static str> {
        if let Some(place) = self.keys.get(&(who, key)) {
            return Ok(*place);
        }
        let day = day_of(now_ms);
        let is_taken = |order: &Ordered| order.state != State::Ended;
        if self.count(|order| order.who == who && order.day == day && is_taken(order)) >= 2 {
            return Err("offer.cap");
        }
        if self.count(is_taken) >= 4 {
            return Err("offer.sold_out");
        }
        if self.points.get(&who).copied().unwrap_or(0) - self.held(who) < PRICE {
            return Err("offer.not_enough");
        }
        self.orders.push(Ordered { who, state: State::Ordered, day, expires_ms: now_ms + PAY_WITHIN_MS });
        self.keys.insert((who, key), self.orders.len() - 1);
        Ok(self.orders.len() - 1)
    }

    /// Ends an order one way or the other.
    fn end(&mut self, place: usize, to: State) -> Result<(), &'static str> {
        let order = &mut self.orders[place];
        if order.state == State::Ordered {
            order.state = to;
            if to == State::Paid {
                *self.points.entry(order.who).or_default() -= PRICE;
            }
            return Ok(());
        }
        if order.state == to { Ok(()) } else { Err("offer.order_ended") }
    }

    fn pass(&mut self, now_ms: i64) {
        for order in &mut self.orders {
            if order.state == State::Ordered && order.expires_ms <= now_ms {
                order.state = State::Ended;
            }
        }
    }
}

/// The product beside the model.
struct Both {
    fair: Fair,
    model: Model,
    keys: Vec<OrderKey>,
    cancelled: Vec<usize>,
}

impl Both {
    async fn behave(&mut self, (who, shares, id, value): (usize, bool, u8, i64)) {
        let behaviour = if shares { "share" } else { "purchase" };
        let what = behaves(behaviour, &id.to_string(), Some(value));
        let now_ms = self.fair.clock.now_ms();
        let expected = self.model.behave((who, shares, id, value), now_ms);
        let found = self.fair.act(PEOPLE[who], what).await;
        let given = found.as_ref().map(gains).unwrap_or_default();
        let given: Given = given
            .iter()
            .map(|gained| (gained.amount, gained.withheld.as_deref().map(|why| &*why.to_owned().leak())))
            .collect();
        let found = found.map(|_| given).map_err(|error| error.code());
        assert_eq!(found, expected);
    }

    async fn order(&mut self, who: usize, key: u8) {
        let (campaign, offer, key_text) = ("shop".to_owned(), "ticket".to_owned(), key.to_string());
        let what = What::Order { campaign, offer, quantity: 1, key: key_text };
        let found = self.fair.act(PEOPLE[who], what).await;
        let expected = self.model.order(who, key, self.fair.clock.now_ms());
        match (found, expected) {
            (Ok(done), Ok(place)) => {
                let Acted::Kept(Outcome::Ordered { order, .. }) = done.acted else { panic!("an order") };
                let key: OrderKey = order.parse().expect("an id");
                assert_eq!(done.replayed, place < self.keys.len());
                if !done.replayed {
                    self.keys.push(key);
                }
                assert_eq!(self.keys[place], key);
            }
            (Err(error), Err(code)) => assert_eq!(error.code(), code),
            (found, expected) => panic!("{found:?} and not {expected:?}"),
        }
    }

    async fn end(&mut self, place: usize, to: State) {
        let Some(place) = place.checked_rem(self.keys.len()) else { return };
        let (order, who) = (self.keys[place], self.model.orders[place].who);
        let what = if to == State::Paid { What::Pay { order } } else { What::Cancel { order } };
        let found = self.fair.act(PEOPLE[who], what).await;
        let mut expected = self.model.end(place, to);
        // What has ended by the clock is not cancelled once more.
        let is_expired =
            to == State::Ended && self.model.orders[place].expires_ms <= self.fair.clock.now_ms();
        if is_expired && !self.cancelled.contains(&place) {
            expected = Err("offer.order_ended");
        } else if to == State::Ended && expected.is_ok() {
            self.cancelled.push(place);
        }
        assert_eq!(found.map(|_| ()).map_err(|error: Error| error.code()), expected, "{to:?} {place}");
    }

    async fn compare(&self) {
        for (who, name) in PEOPLE.iter().enumerate() {
            let points = self.model.points.get(&who).copied().unwrap_or(0);
            assert_eq!(self.fair.has(name, "point", "main").await, (points, self.model.held(who)), "{name}");
            let paid = self.model.count(|order| order.who == who && order.state == State::Paid);
            let tickets = self.fair.has(name, "ticket", "main").await.0;
            assert_eq!(usize::try_from(tickets), Ok(paid), "{name}");
        }
        assert_eq!(self.fair.house("campaign-shop", "point").await, BUDGET - self.model.given);
        let shelf = self.fair.campaigns.standing("shop").await.expect("a campaign").shelves[0].1;
        let held = self.model.count(|order| order.state == State::Ordered) as u64;
        let sold = self.model.count(|order| order.state == State::Paid) as u64;
        assert_eq!((shelf.free, shelf.held, shelf.sold), (4 - held - sold, held, sold));
    }
}

async fn play(profile: Profile, steps: Vec<Step>) {
    let fair = Fair::at(profile, NOON_MS).await;
    fair.publish("1", DOCUMENT).await.expect("published");
    let mut both = Both { fair, model: Model::default(), keys: vec![], cancelled: vec![] };
    for step in steps {
        match step {
            Step::Behave(who, shares, id, value) => both.behave((who, shares, id, value)).await,
            Step::Order(who, key) => both.order(who, key).await,
            Step::Pay(place) => both.end(place, State::Paid).await,
            Step::Cancel(place) => both.end(place, State::Ended).await,
            Step::Pass(minutes) => {
                both.fair.pass(minutes * 60_000).await;
                both.model.pass(both.fair.clock.now_ms());
            }
        }
        both.compare().await;
    }
    assert_eq!(both.fair.verified().await.failed, []);
}

fn check(profile: Profile, cases: usize) {
    let cases = u32::try_from(cases).expect("few");
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    // The same histories each time: a failure is one that everybody meets.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(play(profile, steps));
        Ok(())
    });
    outcome.expect("the model's word");
}

#[test]
fn whatever_people_do_it_is_as_the_model_says() {
    check(Profile::Embedded, trials::count(48, 1_000));
}

#[test]
fn on_a_server_it_is_as_the_model_says_too() {
    check(Profile::Cluster, trials::count(6, 60));
}
