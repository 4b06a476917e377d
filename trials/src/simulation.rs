//! The product in one thread, on a virtual clock, over ports that fail: what happens follows from a seed.
//!
//! Clients draw and operators act, each call again with its key until it is answered. Every call of a port may fail
//! before it does anything, inside, or after; be delayed; or find the process killed before or after. A killed process
//! is built anew on the same records. Afterwards the records are held against everything that was answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use campaign::award::{DRAW_MADE, State};
use campaign::fulfilment::Awards;
use embedded::clock::ManualClock;
use embedded::sqlite::inline::InlineRecords;
use fairground::vault::SealedVault;
use kernel::amount::Unit;
use kernel::fault::{Classify, Fault as Kind};
use kernel::hex::hex;
use kernel::id::{Shard, Tenant};
use kernel::ports::broker::{Broker, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use ledger::account::Account;
use ledger::ledger::Ledger;
use ledger::order::{Order as LedgerOrder, OrderId, Outcome};
use raffle::draw::Drawn;
use raffle::entry::Request;
use raffle::epoch::GATE_CLOSED;
use raffle::error::Error;
use raffle::fairness::{hash_fields, sha256};
use raffle::publish::Publish;
use raffle::raffles::{DrawRequest, Raffles};
use raffle::seal::Sealer;
use raffle::standing::Attested;
use raffle::stock::Order;
use raffle::threshold::Thresholds;
use raffle::ticket;
use raffle::turn::Reveals;
use records::audit::Actor;
use records::batch::Limits;
use records::migration;
use records::port::Records;
use records::relay::{Pace, Relay};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::NOON_MS;
use crate::ports::{Dice, FaultyBroker, FaultyRecords, Kill, SeededEntropy, unfollowed};
use crate::stage::{self, Door, Found, House as _, play};

const RAFFLE: &str = "sim";
const CLIENTS: u64 = 4;
const CALLS: u64 = 24;
const PARTICIPANTS: u64 = 6;

fn document(version: u64) -> String {
    format!(
        "raffle: {RAFFLE}
title: Simulated
denominator: 100
when_weights_differ: no_win
tickets: {{total: 60, wallet: {RAFFLE}}}
prizes:
  - {{id: car, title: Car, weight: {}, stock: 3, rule_tree: locked, cost: 9, cap: {{wins: 1, per: campaign}}}}
  - {{id: mug, title: Mug, weight: 40, stock: 20, cost: 2}}
  - {{id: pen, title: Pen, weight: 20, stock: unlimited, consolation: true}}
rule_trees:
  locked:
    start: lock
    nodes: {{lock: {{kind: unlock, after: 2, per: campaign}}, stock: {{kind: stock}}, other: {{kind: fallback, prize: pen}}}}
    edges: [{{from: lock, on: open, to: stock}}, {{from: lock, on: locked, to: other}}, {{from: stock, on: empty, to: other}}]
  waited:
    start: wait
    nodes: {{wait: {{kind: pity, prize: mug, after: 4}}, give: {{kind: fallback, prize: mug}}}}
    edges: [{{from: wait, on: due, to: give}}]
no_win_tree: waited
budget: {{amount: 60, when_spent: degrade}}
odds_tiers: {{metric: draws_made, mode: exact, tiers: [{{threshold: 5, prizes: [mug]}}]}}
epoch: {{entries_max: 1000}}
",
        10 + version % 5
    )
}

/// What runs: dropped as a whole when the process is killed.
struct House {
    raffles: Raffles,
    ledger: Ledger,
    awards: Awards,
    tasks: JoinSet<()>,
    life: Arc<Kill>,
    _running: watch::Sender<bool>,
}

impl stage::House for House {
    type Inside = (Raffles, Ledger);

    fn inside(&self) -> (Raffles, Ledger) {
        (self.raffles.clone(), self.ledger.clone())
    }

    fn tasks(&mut self) -> &mut JoinSet<()> {
        &mut self.tasks
    }

    fn life(&self) -> Arc<Kill> {
        Arc::clone(&self.life)
    }
}

struct World {
    disk: Arc<InlineRecords>,
    clock: Arc<ManualClock>,
    dice: Arc<Dice>,
}

impl World {
    /// The product as a start of the process would build it.
    fn start(&self, life: Arc<Kill>) -> House {
        let records: Arc<dyn Records> = Arc::new(FaultyRecords::new(
            Arc::clone(&self.disk) as _,
            Arc::clone(&self.dice),
            Arc::clone(&life),
        ));
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy(Arc::clone(&self.dice)));
        let limits = Limits { batch: 8, queue: 64, tries: 64 };
        let (raffles, driver) = Raffles::new(
            Arc::clone(&records),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            Sealer::new(&[7; 32]),
            limits,
            Thresholds::default(),
        );
        let (ledger, ledger_driver) = Ledger::open(Arc::clone(&records), Arc::clone(&clock), limits);
        let vault = SealedVault::new(Sealer::new(&[7; 32]), Arc::clone(&entropy));
        let awards =
            Awards::new(Arc::clone(&records), Arc::clone(&clock), Arc::clone(&entropy), Arc::new(vault));
        let reveals = Reveals::new(Arc::clone(&records), Arc::clone(raffles.catalog()), Arc::clone(&clock));
        let broker = unfollowed()
            .with(DRAW_MADE, Arc::new(awards.clone()) as Arc<dyn Subscriber>)
            .with(GATE_CLOSED, Arc::new(reveals));
        let broker: Arc<dyn Broker> =
            Arc::new(FaultyBroker::new(broker, Arc::clone(&self.dice), Arc::clone(&life)));
        let pace = Pace { attempts_max: u32::MAX, backoff_ms_max: 1_000, ..Pace::default() };
        let relay = Relay::new(records, broker, clock, Shard::HOME, pace);
        let mut tasks = JoinSet::new();
        tasks.spawn(driver);
        tasks.spawn(ledger_driver);
        let (running, stop) = watch::channel(false);
        tasks.spawn(relay.run(stop));
        House { raffles, ledger, awards, tasks, life, _running: running }
    }
}

/// One call of a client, remembered until it is answered.
#[derive(Debug, Clone)]
enum Call {
    Draw { who: String, parts: u32 },
    Grant { who: String, tickets: i64 },
    Order(Order),
    Turn,
    Publish(u64),
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    kept: Vec<(String, Call, String, Vec<raffle::entry::Draw>)>,
    answered: u64,
}

impl Log {
    /// Writes an answer down; whether it is final.
    fn note(
        &mut self,
        call: &Call,
        key: &str,
        answer: Result<(String, Vec<raffle::entry::Draw>), Error>,
    ) -> bool {
        match answer {
            Ok((line, draws)) => {
                self.lines.push(format!("{key}: {line}"));
                self.answered += 1;
                self.kept.push((key.to_owned(), call.clone(), line, draws));
                true
            }
            Err(error) => {
                let is_final = error.fault() != Kind::Busy;
                self.lines.push(format!("{key}: {}", error.code()));
                is_final
            }
        }
    }
}

/// Calls until it is answered: again after what may have been done or may be done later, with the same key.
async fn call(call: &Call, key: &str, door: &Door<(Raffles, Ledger)>, log: &Mutex<Log>) {
    for attempt in 0u64.. {
        assert!(attempt < 10_000, "a call is never answered: {call:?}");
        let asked = door.ask(async |(raffles, ledger)| ask((&raffles, &ledger), call, key).await);
        let Some(answer) = asked.await else { continue };
        if log.lock().unwrap_or_else(PoisonError::into_inner).note(call, key, answer) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(
    (raffles, ledger): (&Raffles, &Ledger),
    call: &Call,
    key: &str,
) -> Result<(String, Vec<raffle::entry::Draw>), Error> {
    let body_hash = sha256(format!("{call:?}").as_bytes());
    let request = Request { key: key.to_owned(), body_hash, actor: Actor::house() };
    match call {
        Call::Draw { who, parts } => {
            let Drawn { draw, more, .. } = raffles
                .draw(DrawRequest {
                    raffle: RAFFLE.to_owned(),
                    participant: who.clone(),
                    client_seed: None,
                    attested: Attested::default(),
                    parts: *parts,
                    request,
                })
                .await?;
            let draws: Vec<_> = std::iter::once(&draw).chain(&more).map(|draw| (**draw).clone()).collect();
            let told: Vec<_> = draws.iter().map(|draw| format!("{} {:?}", draw.id, draw.prize)).collect();
            Ok((told.join(" "), draws))
        }
        Call::Grant { who, tickets } => {
            let accounts = (&Account::house("issued", &Unit::ticket()), &ticket::held(who, RAFFLE));
            let order = LedgerOrder::transfer(OrderId::of(&[key.as_bytes()]), accounts, *tickets);
            match ledger.submit(order).await {
                Ok(Outcome::Created(receipt) | Outcome::Exists(receipt)) => {
                    Ok((format!("{tickets} tickets, entry {}", receipt.seq), vec![]))
                }
                Err(ledger::error::Error::Records(error)) => Err(error.into()),
                // The checks will miss them.
                Ok(refused) => Ok((format!("no tickets: {refused:?}"), vec![])),
                Err(error) => Ok((format!("no tickets: {error}"), vec![])),
            }
        }
        Call::Order(order) => {
            let carried = raffles.carry_out(RAFFLE, order.clone(), "simulated".to_owned(), request).await?;
            Ok((format!("{} {}", carried.event.kind, carried.event.seq), vec![]))
        }
        Call::Turn => {
            raffles.turn(RAFFLE, request).await.map(|(epoch, _)| (format!("epoch {epoch}"), vec![]))
        }
        Call::Publish(version) => {
            let text = document(*version);
            let publish = Publish { raffle: RAFFLE.to_owned(), text, request };
            let published = raffles.publish(publish).await?;
            Ok((format!("version {}", published.version), vec![]))
        }
    }
}

fn next_call(dice: &Dice) -> Call {
    let who = || format!("p{}", dice.below(PARTICIPANTS));
    let prize = || ["car", "mug"][usize::try_from(dice.below(2)).unwrap_or(0)].to_owned();
    match dice.below(100) {
        0..60 => Call::Draw { who: who(), parts: 1 },
        60..72 => Call::Grant { who: who(), tickets: 1 + i64::try_from(dice.below(6)).unwrap_or(0) },
        72..82 => Call::Draw { who: who(), parts: 2 + u32::try_from(dice.below(4)).unwrap_or(0) },
        82..87 => Call::Order(Order::Restock { prize: prize(), units: 1 + dice.below(3) }),
        87..89 => Call::Order(Order::Freeze { prize: Some(prize()) }),
        89..91 => Call::Order(Order::Thaw { prize: Some(prize()) }),
        91..92 => Call::Order(Order::Freeze { prize: None }),
        92..95 => Call::Order(Order::Thaw { prize: None }),
        95..96 => Call::Order(Order::RaiseBudget { amount: 10 }),
        96..98 => Call::Turn,
        _ => Call::Publish(dice.below(5)),
    }
}

/// Runs a seed. A world that `lies` answers some writes that it does not keep: the checks must find it.
pub fn run(seed: u64, lies: bool) -> Found {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulate(seed, lies))
}

async fn simulate(seed: u64, lies: bool) -> Found {
    let dice = Arc::new(Dice::new(seed, lies));
    let world = World {
        disk: Arc::new(InlineRecords::open().expect("a database")),
        clock: Arc::new(ManualClock::at(NOON_MS)),
        dice: Arc::clone(&dice),
    };
    dice.be_kind(true);
    migration::run(&*world.disk, fairground::rooms::ROOMS, NOON_MS).await.expect("tables");
    let log = Arc::new(Mutex::new(Log::default()));
    let door = Arc::new(Door::default());
    let house = world.start(Arc::default());
    door.set(Some(house.inside()));
    call(&Call::Publish(0), "first", &door, &log).await;
    for who in 0..PARTICIPANTS {
        let grant = Call::Grant { who: format!("p{who}"), tickets: 9 };
        call(&grant, &format!("first tickets of {who}"), &door, &log).await;
    }
    dice.be_kind(false);

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (dice, door, log) = (Arc::clone(&dice), Arc::clone(&door), Arc::clone(&log));
        let clock = Arc::clone(&world.clock);
        clients.spawn(async move {
            for number in 0..CALLS {
                let step = i64::try_from(dice.below(3_000_000)).unwrap_or(0);
                clock.set(clock.now_ms() + step);
                call(&next_call(&dice), &format!("c{client}-{number}"), &door, &log).await;
            }
        });
    }
    let start = async |life| world.start(life);
    let (house, killed) = play((house, start), &door, clients).await;
    dice.be_kind(true);
    // What a lie has taken away may make the rest impossible; what is found by then is enough.
    let mut found = Found { killed, ..Found::default() };
    let checked =
        tokio::time::timeout(Duration::from_secs(3_600), check(&house, &world.clock, &log, &mut found)).await;
    if checked.is_err() {
        found.broken.push("the effects never left".to_owned());
    }
    let last = house.raffles.standing(RAFFLE).await.map(|standing| standing.entries).unwrap_or(0);
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    found.answered = log.answered;
    found.met = dice.met();
    let lines: Vec<&[u8]> = log.lines.iter().map(String::as_bytes).collect();
    found.trace = hex(&hash_fields(&[&hash_fields(&lines)[..], &last.to_be_bytes()]));
    found
}

/// Holds the records against what was answered.
async fn check(house: &House, clock: &ManualClock, log: &Mutex<Log>, found: &mut Found) {
    let raffles = &house.raffles;
    let kept = std::mem::take(&mut log.lock().unwrap_or_else(PoisonError::into_inner).kept);
    let mut broken = Vec::new();
    for (key, call, line, draws) in &kept {
        match ask((raffles, &house.ledger), call, key).await {
            Ok((again_line, again)) if again_line == *line && again == *draws => {}
            other => broken.push(format!("{key} was answered `{line}`, and now {other:?}")),
        }
    }
    let turn = Request { key: "the last turn".to_owned(), body_hash: [0; 32], actor: Actor::house() };
    if let Err(error) = raffles.turn(RAFFLE, turn).await {
        broken.push(format!("the epoch does not turn: {error}"));
    }
    loop {
        match raffles.backlog().await {
            Ok((0, 0, 0)) => break,
            Ok((_, _, dead)) if dead > 0 => {
                broken.push(format!("{dead} dead letters"));
                break;
            }
            Ok(_) => {
                // What failed waits for its time.
                clock.set(clock.now_ms() + 1_000);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                broken.push(error.to_string());
                break;
            }
        }
    }
    match crate::evidence(raffles, RAFFLE).await {
        Ok(lines) => {
            let report = crate::verify_lines(&lines);
            broken.extend(report.failed.iter().map(|failed| format!("{}: {}", failed.id, failed.reason)));
            broken.extend(books(house, &lines).await);
            broken.extend(tickets(house, &kept, &lines).await);
        }
        Err(error) => broken.push(format!("no evidence: {error}")),
    }
    found.broken = broken;
}

/// Units drawn + free = moved in, and one award for each win.
async fn books(house: &House, lines: &[String]) -> Vec<String> {
    let mut broken = Vec::new();
    let (mut moved, mut taken, mut wins): (BTreeMap<String, u64>, BTreeMap<String, u64>, _) =
        (BTreeMap::new(), BTreeMap::new(), 0usize);
    for line in lines.iter().skip(1) {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line");
        let prize = line["prize"].as_str().unwrap_or_default().to_owned();
        if line["event"] == "moved" {
            *moved.entry(prize).or_default() += line["units"].as_u64().unwrap_or(0);
        } else if line["draw"].is_string() && !prize.is_empty() {
            wins += 1;
            let cost = match prize.as_str() {
                "car" => 9,
                "mug" => 2,
                _ => 0,
            };
            *taken.entry("$budget".to_owned()).or_default() += cost;
            *taken.entry(prize.clone()).or_default() += 1;
            let id = line["draw"].as_str().and_then(|id| id.parse().ok()).expect("an id");
            match house.awards.get(id, None).await {
                Ok(view) if view.award.prize == prize && view.award.state == State::Granted => {}
                other => broken.push(format!("{id} won {prize}, its award is {other:?}")),
            }
        }
    }
    let standing = house.raffles.standing(RAFFLE).await.expect("a raffle");
    for segment in &standing.segments {
        let (taken, moved) =
            (taken.get(&segment.item).copied().unwrap_or(0), moved.get(&segment.item).copied());
        if segment.granted != taken || Some(taken + segment.free) != moved {
            broken.push(format!("{segment:?}: {taken} taken, {moved:?} moved in"));
        }
    }
    let (awards, _) = house.awards.page(Shard::HOME, 1, (0, None), 10_000).await.expect("awards");
    let awards = awards.len();
    if awards != wins {
        broken.push(format!("{awards} awards for {wins} wins"));
    }
    broken
}

/// Granted = held + drawn with, for each participant, by a ledger that proves it.
async fn tickets(
    house: &House,
    kept: &[(String, Call, String, Vec<raffle::entry::Draw>)],
    lines: &[String],
) -> Vec<String> {
    let (records, journal) = (house.raffles.records(), house.ledger.journal());
    let report = ledger::verify::verify(&*records, journal, Tenant::MAIN).await.expect("a report");
    let mut broken: Vec<_> = report.failed.iter().map(|wrong| format!("{wrong:?}")).collect();
    for who in (0..PARTICIPANTS).map(|who| format!("p{who}")) {
        let granted = kept.iter().map(|(_, call, _, _)| match call {
            Call::Grant { who: whom, tickets } if *whom == who => *tickets,
            Call::Draw { .. } | Call::Grant { .. } | Call::Order(_) | Call::Turn | Call::Publish(_) => 0,
        });
        let granted: i64 = granted.sum();
        let (_, pseudonym) = house.raffles.player_key(RAFFLE, &who).await.expect("a raffle");
        let name = format!("\"pseudonym\":\"{}\"", hex(&pseudonym));
        let made = lines.iter().filter(|line| line.contains("\"draw\":") && line.contains(&name)).count();
        let held = house.ledger.balance(&ticket::held(&who, RAFFLE)).await.expect("a wallet").balance;
        if i64::try_from(made) != Ok(granted - held) {
            broken.push(format!("{who} was granted {granted} tickets, holds {held} and made {made} draws"));
        }
    }
    broken
}
