//! Holds the records, and what the endpoints took, against what was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use campaign::award::{Award, Kind, State};
use kernel::amount::Unit;
use kernel::id::{Shard, Tenant};
use ledger::account::Account;
use records::error::Error as RecordsError;
use records::port::{Records, Row, read};
use serde_json::Value as Json;

use super::Met;
use super::crowd::{Answer, Call, Crowd, Known, PARTICIPANTS, STOCK};
use super::house::{House, World};
use super::shop::POISON;

/// Longest time that everything needs to come to rest, in steps of ten minutes.
const REST_STEPS: u32 = 500;

pub(super) async fn check(house: &House, world: &World, crowd: &Crowd, found: &mut super::Found) -> Met {
    crowd.calm().await;
    let mut broken = repeat_all(crowd).await;
    // What a lie has taken away may make the rest impossible; what is found by then is enough.
    match rest(house, crowd).await {
        Ok(()) => {}
        Err(told) => {
            found.broken = broken;
            found.broken.push(told);
            return Met::default();
        }
    }
    let calls = crowd.log().calls.clone();
    let ledger = ledger::verify::verify(&*world.disk, house.app.ledger.journal(), Tenant::MAIN).await;
    broken.extend(ledger.expect("a report").failed.iter().map(|wrong| format!("{wrong:?}")));
    let mut met = Met { held_back: crowd.log().held_back, downs: world.shop.downs(), ..Met::default() };
    let (orders, mut campaign) = campaign(house, world, &calls, &mut met).await;
    broken.append(&mut campaign);
    broken.extend(signs(crowd));
    let (draws, mut wrong) = evidence(house, &calls).await;
    broken.append(&mut wrong);
    broken.extend(awards(house, world, &draws, &mut met).await);
    broken.extend(tickets(house, &calls, &orders, &draws).await);
    found.broken = broken;
    met
}

/// Asks every call again. What was answered is answered the same; what was refused or never begun had not been done.
async fn repeat_all(crowd: &Crowd) -> Vec<String> {
    let calls = crowd.log().calls.clone();
    let mut broken = vec![];
    // Days are signed on their day, and codes are made once, under no key.
    let unkeyed = ["/behaviours", "/orders/"];
    let timeless = calls.iter().filter(|(call, _)| {
        !call.key.is_empty()
            || unkeyed.iter().any(|path| call.path.starts_with(path))
            || call.path.ends_with("/referrals")
    });
    for (call, known) in timeless {
        let again = crowd.call(call).await;
        let was_done = again.as_ref().is_some_and(|again| again.replayed);
        match (&known.kept, &again) {
            // Another body is told by whoever heard it.
            (Some(_), Some(again)) if again.replayed => {}
            (Some(kept), again) => broken.push(format!("{call:?} was answered {kept:?}, and now {again:?}")),
            (None, _) if was_done && known.refused.is_some() => {
                broken.push(format!("{call:?} was refused: {:?}, and yet it was done", known.refused));
            }
            (None, _) if was_done && !known.begun => {
                broken.push(format!("{call:?} was held back, and yet it was done"));
            }
            (None, _) => {}
        }
    }
    broken
}

/// Lets time pass until nothing is owed, unsent or open.
async fn rest(house: &House, crowd: &Crowd) -> Result<(), String> {
    for _ in 0..REST_STEPS {
        let (waiting, aside, dead) = house.app.raffles.backlog().await.map_err(|error| error.to_string())?;
        let (owed, _, _) = house.app.awards.deliveries().await.map_err(|error| error.to_string())?;
        let shelves = house.app.campaigns.standing("fair").await.map_err(|error| error.to_string())?.shelves;
        if dead > 0 {
            return Err(format!("{dead} dead letters"));
        }
        if waiting + aside + owed == 0 && shelves.iter().all(|(_, shelf)| shelf.held == 0) {
            return Ok(());
        }
        crowd.pass(600_000);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    Err("it never comes to rest".to_owned())
}

async fn rows(world: &World, sql: &'static str) -> Vec<Row> {
    let rows = read(&*world.disk as &dyn Records, Shard::HOME, move |tx| {
        Box::pin(async move { tx.fetch(sql, &[]).await })
    });
    rows.await.map_err(|error: RecordsError| error.to_string()).expect("rows")
}

fn json(row: &Row, column: usize) -> Json {
    serde_json::from_str(row.text(column).expect("a text")).expect("JSON")
}

/// Points among what an act or an order gave.
fn points(gave: &Json) -> i64 {
    let gains = gave["gains"].as_array().into_iter().flatten();
    gains.filter(|gain| gain["unit"] == "point").map(|gain| gain["amount"].as_i64().unwrap_or(0)).sum()
}

fn kept<'c>(
    calls: &'c BTreeMap<Call, Known>,
    is_it: impl Fn(&Call) -> bool + 'c,
) -> impl Iterator<Item = (&'c Call, &'c Answer)> + 'c {
    let kept = calls.iter().filter_map(|(call, known)| Some((call, known.kept.as_ref()?)));
    kept.filter(move |(call, _)| is_it(call))
}

/// Each act once, and once paid for: acts against answers, stock, the budget. Answers the orders as they ended.
async fn campaign(
    house: &House,
    world: &World,
    calls: &BTreeMap<Call, Known>,
    met: &mut Met,
) -> (Vec<Json>, Vec<String>) {
    let mut broken = vec![];
    let acts = rows(world, "SELECT kind,outcome FROM campaign_act").await;
    let count = |kind: &str| acts.iter().filter(|row| row.text(0).expect("a kind").starts_with(kind)).count();
    let told = |path: &str| kept(calls, |call| call.method == "POST" && call.path.starts_with(path)).count();
    let rewards = count("behaviour/referral");
    let referrals = kept(calls, |call| call.path.ends_with("/referrals")).count();
    for (what, kept, rows) in [
        ("behaviours", told("/behaviours"), count("behaviour/") - rewards),
        ("referrals", referrals, count("referral")),
        ("orders", told("/campaigns/fair/orders"), count("order/")),
    ] {
        if kept != rows {
            broken.push(format!("{kept} {what} were answered, and {rows} are kept"));
        }
    }
    let qualified = rows(world, "SELECT 1 FROM campaign_referral WHERE qualified=1").await.len();
    met.brought = qualified as u64;
    if qualified != rewards {
        broken.push(format!("{qualified} were brought, and {rewards} rewards were given for it"));
    }
    let mut orders = vec![];
    for who in 0..PARTICIPANTS {
        let found = house.app.campaigns.orders(&format!("p{who}"), None, 1_000).await.expect("orders");
        orders.extend(found.iter().map(|(_, order)| serde_json::to_value(order).expect("JSON")));
    }
    let standing = house.app.campaigns.standing("fair").await.expect("a campaign");
    let sold = |offer: &str| -> u64 {
        let paid = orders.iter().filter(|order| order["state"] == "paid" && order["order"]["offer"] == offer);
        paid.map(|order| order["order"]["quantity"].as_u64().unwrap_or(0)).sum()
    };
    for (offer, units) in STOCK {
        let shelf = standing.shelves.iter().find(|(id, _)| id == offer).expect("a shelf").1;
        if shelf.free + shelf.sold != units || shelf.sold != sold(offer) {
            broken.push(format!("{offer}: {shelf:?} of {units}, {} paid", sold(offer)));
        }
    }
    for (place, state) in ["paid", "cancelled", "expired"].into_iter().enumerate() {
        met.orders[place] = orders.iter().filter(|order| order["state"] == state).count() as u64;
    }
    let given: i64 = acts.iter().map(|row| points(&json(row, 1))).chain(orders.iter().map(points)).sum();
    let fund = &standing.funds[0];
    if fund.left < 0 || fund.set_aside - fund.left != given {
        broken.push(format!("{fund:?}, and {given} points were given"));
    }
    met.spent = acts.iter().any(|row| row.text(1).expect("a text").contains("\"budget\""));
    broken.extend(purses(house, given, &orders).await);
    (orders, broken)
}

async fn holds(house: &House, who: u64, unit: &str, wallet: &str) -> i64 {
    let unit: Unit = unit.parse().expect("a unit");
    let account = Account { wallet: wallet.to_owned(), ..Account::of(&format!("p{who}"), &unit) };
    house.app.ledger.balance(&account).await.map_or(0, |after| after.balance)
}

/// What people have of points is what they were given and won, less what they paid.
async fn purses(house: &House, given: i64, orders: &[Json]) -> Vec<String> {
    let mut have = 0;
    for who in 0..PARTICIPANTS {
        have += holds(house, who, "point", "main").await;
    }
    let paid = orders.iter().filter(|order| order["state"] == "paid");
    let paid: i64 = paid.map(|order| order["order"]["price"]["amount"].as_i64().unwrap_or(0)).sum();
    let (awards, _) = house.app.awards.page(Shard::HOME, 1, (0, None), 10_000).await.expect("awards");
    let won: i64 = awards
        .iter()
        .map(
            |(_, award)| if let Kind::Points { amount, .. } = award.award { amount.cast_signed() } else { 0 },
        )
        .sum();
    if have == given + won - paid {
        return vec![];
    }
    vec![format!("people have {have} points, were given {given}, won {won} and paid {paid}")]
}

/// A day is signed once, and answered the same whoever asks.
fn signs(crowd: &Crowd) -> Vec<String> {
    let log = crowd.log();
    let twice = log.signed.iter().filter(|(_, answers)| answers.len() > 1);
    twice.map(|(day, answers)| format!("{day} was answered {answers:?}")).collect()
}

/// The draws of the log, verified, against the draws that were answered: what was never answered was not made.
async fn evidence(house: &House, calls: &BTreeMap<Call, Known>) -> (Vec<Json>, Vec<String>) {
    let turn = raffle::entry::Request {
        key: "the last turn".to_owned(),
        body_hash: [0; 32],
        actor: records::audit::Actor::house(),
    };
    let raffles = &house.app.raffles;
    raffles.turn("fair", turn).await.expect("a turn");
    // The epoch is revealed when the news of its end has been heard.
    while raffles.backlog().await.expect("a backlog").0 > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lines = crate::evidence(raffles, "fair").await.expect("evidence");
    let report = crate::verify_lines(&lines);
    let mut broken: Vec<_> =
        report.failed.iter().map(|failed| format!("{}: {}", failed.id, failed.reason)).collect();
    let lines = lines.iter().skip(1).map(|line| serde_json::from_str(line).expect("a line"));
    let draws: Vec<Json> = lines.filter(|line: &Json| line["draw"].is_string()).collect();
    let mut made: Vec<_> = draws.iter().filter_map(|draw| draw["draw"].as_str().map(str::to_owned)).collect();
    let told = kept(calls, |call| call.path == "/raffles/fair/draws");
    let mut told: Vec<_> =
        told.filter_map(|(_, answer)| answer.json()["draw"].as_str().map(str::to_owned)).collect();
    made.sort_unstable();
    told.sort_unstable();
    if made != told {
        broken.push(format!("draws {made:?} were made, and {told:?} were answered"));
    }
    (draws, broken)
}

/// One award for each win, fulfilled once: each webhook taken once, or given up because it is poison.
async fn awards(house: &House, world: &World, draws: &[Json], met: &mut Met) -> Vec<String> {
    let (mut broken, taken) = (vec![], world.shop.taken());
    met.taken = taken.len() as u64;
    let (awards, _) = house.app.awards.page(Shard::HOME, 1, (0, None), 10_000).await.expect("awards");
    let wins = draws.iter().filter(|draw| draw["prize"].is_string()).count();
    if awards.len() != wins {
        broken.push(format!("{} awards for {wins} wins", awards.len()));
    }
    let winners = rows(world, "SELECT raffle,seq,participant FROM award_holder").await;
    let mut expected = 0;
    for (seq, award) in &awards {
        let Award { draw, award: kind, state, .. } = award;
        let Kind::Webhook { endpoint } = kind else {
            if !matches!(state, State::Paid { .. }) {
                broken.push(format!("the award of {draw} is {state:?}"));
            }
            continue;
        };
        let winner =
            winners.iter().find(|row| row.count(1) == Ok(*seq)).map(|row| row.text(2).expect("a name"));
        let is_poison = endpoint == "pay" && winner == Some(POISON);
        let times = taken.get(&format!("{draw}-granted")).copied().unwrap_or(0);
        expected += usize::from(times > 0);
        let is_delivered = matches!(state, State::Delivered { .. });
        // Given up: refused, or after twenty calls in a row that failed, of which one may have been taken.
        let is_given_up = matches!(state, State::Undeliverable { .. });
        let is_right = match times {
            0 => is_given_up,
            1 => !is_poison && (is_delivered || is_given_up),
            _ => false,
        };
        if !is_right {
            broken.push(format!(
                "the webhook of {draw} to {endpoint} was taken {times} times, and is {state:?}"
            ));
        }
    }
    if expected != taken.len() {
        broken.push(format!("{} webhooks were taken, and {expected} were owed", taken.len()));
    }
    broken
}

/// Granted + bought = held + drawn with, for each participant.
async fn tickets(
    house: &House,
    calls: &BTreeMap<Call, Known>,
    orders: &[Json],
    draws: &[Json],
) -> Vec<String> {
    let mut broken = vec![];
    let mut drawn = 0;
    for who in 0..PARTICIPANTS {
        let name = format!("p{who}");
        let is_theirs = |call: &&Call| call.body.contains(&format!("\"{name}\""));
        let granted = kept(calls, |call| call.path == "/transfers").filter(|(call, _)| is_theirs(call));
        let granted: i64 = granted
            .map(|(call, _)| {
                serde_json::from_str::<Json>(&call.body).expect("JSON")["legs"][1]["amount"]
                    .as_i64()
                    .unwrap_or(0)
            })
            .sum();
        let made = kept(calls, |call| call.path == "/raffles/fair/draws")
            .filter(|(call, _)| is_theirs(call))
            .count();
        drawn += made;
        let who_hash = campaign::who::Who::named(Tenant::MAIN, &name).to_string();
        let theirs = orders
            .iter()
            .filter(|order| order["state"] == "paid" && order["order"]["who"] == who_hash.as_str());
        let bought: i64 = theirs
            .map(|order| {
                let units = order["order"]["quantity"].as_i64().unwrap_or(0);
                units * order["order"]["gains"][0]["amount"].as_i64().unwrap_or(0)
            })
            .sum();
        let held = holds(house, who, "ticket", "raffle-fair").await;
        if i64::try_from(made) != Ok(granted + bought - held) {
            broken.push(format!(
                "{name} was granted {granted} tickets, bought {bought}, holds {held} and drew {made} times"
            ));
        }
    }
    if drawn != draws.len() {
        broken.push(format!("{drawn} draws were answered, and {} were made", draws.len()));
    }
    broken
}
