//! Campaigns, awards with webhooks, and switches, over ports that fail: the product as its routes show it, in one thread, on
//! a virtual clock. What happens follows from a seed.
//!
//! Beside `simulation`, which plays draws and raffles alone: here people share, buy, sign in, bring others, order and pay,
//! services grant, an operator publishes and throws switches in mid-run, and webhooks go to endpoints that fail. Afterwards
//! every call is asked again, and the records are held against what was answered.

mod check;
mod crowd;
mod house;
mod shop;

use std::sync::{Arc, Mutex};

use embedded::clock::ManualClock;
use embedded::sqlite::inline::InlineRecords;
use kernel::hex::hex;
use raffle::fairness::hash_fields;
use records::migration;
use serde_json::json;
use tokio::task::JoinSet;

use self::crowd::{Call, Crowd, PARTICIPANTS, RAFFLE, campaign, grant};
use self::house::World;
use self::shop::Shop;
use crate::NOON_MS;
use crate::ports::Dice;
use crate::stage::{Found, House as _, play};

const CLIENTS: u64 = 4;
const CALLS: u64 = 24;

/// What a market has met besides faults.
#[derive(Debug, Default)]
pub struct Met {
    /// Calls that a switch has refused.
    pub held_back: u64,
    /// How often an endpoint went down.
    pub downs: u64,
    /// Webhooks that were taken.
    pub taken: u64,
    /// Whether the budget ran out.
    pub spent: bool,
    /// Orders that were paid, given up, and not paid in time.
    pub orders: [u64; 3],
    /// People who were brought and did what is asked.
    pub brought: u64,
}

/// Runs a seed. A world that `lies` answers some writes that it does not keep: the checks must find it.
pub fn run(seed: u64, lies: bool) -> (Found, Met) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulate(seed, lies))
}

/// What there is before anything fails.
async fn furnish(crowd: &Crowd) {
    let endpoint = |id: &str, status: Option<&str>| {
        let url = format!("https://{id}.example/");
        let body = json!({ "endpoint": id, "url": url, "status_url": status, "keeps_ids": status.is_none() })
            .to_string();
        Call::operate("POST", "/endpoints", id, body)
    };
    let mut first = vec![
        endpoint("pay", Some("https://pay.example/taken")),
        endpoint("shop", None),
        Call::operate("POST", "/campaigns/fair/versions", "first", campaign(0)),
        Call::operate("POST", "/raffles/fair/versions", "first", RAFFLE.to_owned()),
    ];
    first.extend((0..PARTICIPANTS).map(|who| grant(&format!("p{who}"), &format!("first-of-{who}"), 4)));
    for call in first {
        assert!(crowd.call(&call).await.is_some(), "{call:?}: {:?}", crowd.log().calls.get(&call));
    }
}

async fn simulate(seed: u64, lies: bool) -> (Found, Met) {
    let dice = Arc::new(Dice::new(seed, lies));
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let world = World {
        disk: Arc::new(InlineRecords::open().expect("a database")),
        shop: Arc::new(Shop::new(Arc::clone(&clock), Arc::clone(&dice))),
        clock: Arc::clone(&clock),
        dice: Arc::clone(&dice),
    };
    dice.be_kind(true);
    migration::run(&*world.disk, fairground::rooms::ROOMS, NOON_MS).await.expect("tables");
    let house = world.start(Arc::default()).await;
    let crowd =
        Crowd { door: Arc::default(), dice: Arc::clone(&dice), clock, log: Arc::new(Mutex::default()) };
    crowd.door.set(Some(house.inside()));
    furnish(&crowd).await;
    dice.be_kind(false);

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let crowd = crowd.clone();
        clients.spawn(async move {
            for number in 0..CALLS {
                // Now and then a night passes.
                let step = if crowd.dice.below(40) == 0 { 36_000_000 } else { crowd.dice.below(120_000) };
                crowd.pass(i64::try_from(step).unwrap_or(0));
                crowd.act(&format!("c{client}-{number}")).await;
            }
        });
    }
    let (house, killed) = play((house, async |life| world.start(life).await), &crowd.door, clients).await;
    dice.be_kind(true);
    let mut found = Found { killed, ..Found::default() };
    let met = check::check(&house, &world, &crowd, &mut found).await;
    let log = crowd.log();
    found.broken.extend(log.broken.iter().cloned());
    found.answered = log.answered;
    found.met = dice.met();
    let lines: Vec<&[u8]> = log.lines.iter().map(String::as_bytes).collect();
    found.trace = hex(&hash_fields(&lines));
    (found, met)
}
