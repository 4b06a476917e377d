//! State machines, timers, outbox, inbox and relay.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a check speaks by panicking")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kernel::id::Shard;
use kernel::ports::PortError;
use kernel::ports::broker::{Broker, Message};
use kernel::ports::clock::Clock;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::inbox::{self, Heard};
use crate::machine::{self, Machine, Outcome, STATE_MAX, Step};
use crate::outbox::{self, Effect, LetterId, Pressure};
use crate::port::{Records, read, write};
use crate::relay::{Pace, Relay};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Parcel {
    Packed,
    Sent { at: i64 },
}

impl Machine for Parcel {
    const KIND: &'static str = "parcel";
    type Event = i64;
    type Illegal = &'static str;

    fn on(&self, at: &i64) -> Result<Step<Self>, &'static str> {
        match self {
            Self::Packed => Ok(Step::Move {
                to: Self::Sent { at: *at },
                effects: vec![effect(1, 1, 1)],
                due_ms: Some(at + 10),
            }),
            Self::Sent { at: before } if before == at => Ok(Step::Replay),
            Self::Sent { .. } => Err("sent at another time"),
        }
    }
}

fn effect(key: u8, n: i64, seq: u64) -> Effect {
    let (topic, key) = ("parcel.sent", vec![key]);
    Effect { topic, subject: 1, seq, key, n, body: vec![], at_ms: 0, due_ms: None }
}

async fn backlog(records: &Arc<dyn Records>) -> (u64, u64, u64) {
    write(&**records, Shard::HOME, |tx| Box::pin(outbox::backlog(tx, Shard::HOME))).await.expect("backlog")
}

/// State, effect and timer together; a doubled event is a replay, another is illegal, neither writes.
pub async fn a_machine_moves_once(records: Arc<dyn Records>) {
    let outcomes: Result<_, Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let new = vec![(vec![1], Parcel::Packed, None), (vec![2], Parcel::Packed, Some(3))];
            machine::start(tx, Shard::HOME, &new[..1]).await?;
            machine::start(tx, Shard::HOME, &new).await?;
            machine::start(tx, Shard::HOME, &new).await?;
            let mut outcomes = Vec::new();
            for (id, at) in [(1, 5), (1, 5), (1, 6), (9, 5)] {
                outcomes.push(machine::apply::<Parcel>(tx, Shard::HOME, &[id], &at).await?);
            }
            let page = machine::page::<Parcel>(tx, Shard::HOME, (&[1], &[255]), 10).await?;
            Ok((outcomes, page, machine::get::<Parcel>(tx, Shard::HOME, &[1]).await?))
        })
    })
    .await;
    let (outcomes, page, one) = outcomes.expect("run");
    let sent = Parcel::Sent { at: 5 };
    assert_eq!(
        outcomes,
        [
            Outcome::Moved(sent.clone()),
            Outcome::Replayed(sent.clone()),
            Outcome::Illegal("sent at another time"),
            Outcome::Missing,
        ]
    );
    assert_eq!(page, [(vec![2], Parcel::Packed)]);
    assert_eq!(one, Some(sent));
    assert_eq!(backlog(&records).await, (1, 0, 0));
}

/// A machine that tells much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Report(String);

impl Machine for Report {
    const KIND: &'static str = "report";
    type Event = String;
    type Illegal = ();

    fn on(&self, event: &String) -> Result<Step<Self>, ()> {
        Ok(Step::Move { to: Self(event.clone()), effects: vec![], due_ms: None })
    }
}

/// A state of the greatest length is kept as it is, from the start and after a move.
pub async fn a_long_state_is_kept(records: Arc<dyn Records>) {
    // Two quotes are a part of it.
    let (first, then) = ("a".repeat(STATE_MAX - 2), "\u{e4}".repeat(STATE_MAX - 2));
    let (start, event) = (Report(first), then.clone());
    let found: Result<_, Error> = write(&*records, Shard::HOME, move |tx| {
        Box::pin(async move {
            machine::start(tx, Shard::HOME, &[(vec![1], start, None)]).await?;
            machine::apply::<Report>(tx, Shard::HOME, &[1], &event).await?;
            machine::get::<Report>(tx, Shard::HOME, &[1]).await
        })
    })
    .await;
    assert_eq!(found, Ok(Some(Report(then))));
}

/// One timer a machine: a move replaces it.
pub async fn a_timer_follows_its_machine(records: Arc<dyn Records>) {
    let due: Result<_, Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            machine::start(tx, Shard::HOME, &[(vec![1], Parcel::Packed, Some(100))]).await?;
            let mut due = vec![
                machine::due::<Parcel>(tx, Shard::HOME, 99, 10).await?,
                machine::due::<Parcel>(tx, Shard::HOME, 100, 10).await?,
            ];
            machine::apply::<Parcel>(tx, Shard::HOME, &[1], &500).await?;
            due.push(machine::due::<Parcel>(tx, Shard::HOME, 509, 10).await?);
            due.push(machine::due::<Parcel>(tx, Shard::HOME, 510, 10).await?);
            Ok(due)
        })
    })
    .await;
    assert_eq!(due, Ok(vec![vec![], vec![vec![1]], vec![], vec![vec![1]]]));
}

/// Since when the oldest effect is owed that is due at an instant.
async fn oldest(records: &Arc<dyn Records>, now_ms: i64) -> Option<i64> {
    let lag: Result<_, Error> = read(&**records, Shard::HOME, move |tx| {
        Box::pin(async move { outbox::lag(tx, Shard::HOME, now_ms).await })
    })
    .await;
    lag.expect("lag").get("parcel.sent").copied()
}

/// First once, then again, per receiver.
pub async fn an_inbox_hears_once(records: Arc<dyn Records>) {
    let heard: Result<_, Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let mut heard = Vec::new();
            for receiver in ["a", "a", "b"] {
                heard.push(inbox::admit(tx, Shard::HOME, receiver, "effect/1", 0).await?);
            }
            Ok(heard)
        })
    })
    .await;
    assert_eq!(heard, Ok(vec![Heard::First, Heard::Again, Heard::First]));
}

/// Nothing leaves that was not kept.
pub async fn a_rolled_back_transaction_posts_nothing(records: Arc<dyn Records>) {
    let outcome: Result<(), Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            outbox::post(tx, Shard::HOME, &[effect(1, 1, 1)]).await?;
            Err(Error::QueueFull)
        })
    })
    .await;
    assert_eq!((outcome, backlog(&records).await), (Err(Error::QueueFull), (0, 0, 0)));
}

struct Still(AtomicI64);

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Refuses the messages of one key until it is told otherwise.
#[derive(Default)]
struct Picky {
    refused: Mutex<Option<u8>>,
    taken: Mutex<Vec<(u8, i64)>>,
}

#[async_trait]
impl Broker for Picky {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::new();
        for message in messages {
            if Some(message.key[0]) == refused {
                answers.push(Err(PortError::Corrupt("poison".to_owned())));
            } else {
                taken.push((message.key[0], message.n));
                answers.push(Ok(()));
            }
        }
        answers
    }
}

struct Bench {
    records: Arc<dyn Records>,
    broker: Arc<Picky>,
    clock: Arc<Still>,
    relay: Relay,
}

impl Bench {
    fn new(records: Arc<dyn Records>) -> Self {
        let (broker, clock) = (Arc::new(Picky::default()), Arc::new(Still(AtomicI64::new(0))));
        let pace = Pace {
            parcels: 8,
            effects: 6,
            backoff_ms: 100,
            backoff_ms_max: 400,
            attempts_max: 3,
            rest_ms: 0,
        };
        let relay = Relay::new(
            Arc::clone(&records),
            Arc::clone(&broker) as Arc<dyn Broker>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Shard::HOME,
            pace,
        );
        Self { records, broker, clock, relay }
    }

    fn refuse(&self, key: Option<u8>) {
        *self.broker.refused.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    fn taken(&self) -> Vec<(u8, i64)> {
        std::mem::take(&mut self.broker.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn post(&self, effects: Vec<Effect>) {
        let posted: Result<(), Error> = write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { outbox::post(tx, Shard::HOME, &effects).await })
        })
        .await;
        posted.expect("post");
    }
}

/// A message that fails holds back its own key, those written later included, and nothing else.
pub async fn order_holds_within_a_key_and_trouble_stays_there(records: Arc<dyn Records>) {
    let bench = Bench::new(records);
    bench.post((1..=20).map(|seq| effect((seq % 4) as u8, (seq / 4) as i64, seq)).collect()).await;
    bench.refuse(Some(2));
    for _ in 0..4 {
        bench.relay.round().await.expect("round");
    }
    assert_eq!(oldest(&bench.records, 1).await, Some(0), "the refused key is owed since it was posted");
    let taken = bench.taken();
    assert_eq!(taken.len(), 15, "everything but the refused key: {taken:?}");
    assert!(taken.iter().all(|(key, _)| *key != 2));
    bench.post(vec![effect(2, 5, 21), effect(3, 9, 22)]).await;
    bench.refuse(None);
    bench.relay.round().await.expect("round");
    assert_eq!(bench.taken(), [(3, 9)], "the key's wait is not over");
    for later in [100, 101, 102, 103, 104, 105, 106] {
        bench.clock.0.store(later, Ordering::SeqCst);
        bench.relay.round().await.expect("round");
    }
    assert_eq!(bench.taken(), [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5)]);
    assert_eq!(backlog(&bench.records).await, (0, 0, 0));
}

/// After its last attempt a message is dead, kept, and its key goes on, until somebody revives it.
pub async fn a_dead_letter_makes_way(records: Arc<dyn Records>) {
    let bench = Bench::new(records);
    bench.post(vec![effect(1, 1, 1), effect(1, 2, 2)]).await;
    bench.refuse(Some(1));
    for at in [0, 99, 100, 299] {
        bench.clock.0.store(at, Ordering::SeqCst);
        bench.relay.round().await.expect("round");
    }
    assert_eq!(backlog(&bench.records).await, (0, 2, 0), "two failures, 100 and then 200 ms apart");
    bench.clock.0.store(300, Ordering::SeqCst);
    assert_eq!(bench.relay.round().await.expect("round").dead, 1);
    bench.refuse(None);
    bench.relay.round().await.expect("round");
    assert_eq!(bench.taken(), [(1, 2)]);
    assert_eq!(backlog(&bench.records).await, (0, 0, 1));
    assert_eq!(oldest(&bench.records, 1000).await, None, "a dead letter does not wait");
    let owed = || async {
        let stranded = read(&*bench.records, Shard::HOME, |tx| {
            Box::pin(async move { outbox::stranded(tx, Shard::HOME).await })
        });
        stranded.await
    };
    let posted_ms = effect(1, 1, 1).at_ms;
    assert_eq!(owed().await, Ok::<_, Error>([("parcel.sent".to_owned(), posted_ms)].into()));
    for (topic, revived) in [("another", 0), ("parcel.sent", 1), ("parcel.sent", 0)] {
        let told: Result<u64, Error> = write(&*bench.records, Shard::HOME, move |tx| {
            Box::pin(async move { outbox::revive(tx, Shard::HOME, topic, 301).await })
        })
        .await;
        assert_eq!(told, Ok(revived), "{topic}");
    }
    assert_eq!(backlog(&bench.records).await, (0, 1, 0));
    assert_eq!(owed().await, Ok([].into()), "what waits again is dead no more");
    bench.clock.0.store(301, Ordering::SeqCst);
    bench.relay.round().await.expect("round");
    assert_eq!((bench.taken(), backlog(&bench.records).await), (vec![(1, 1)], (0, 0, 0)));
}

/// An effect with a time of its own leaves at that time, after what is before it in its key and before what is behind, and
/// holds up no other key.
pub async fn a_delayed_effect_leaves_at_its_time_and_in_its_order(records: Arc<dyn Records>) {
    let bench = Bench::new(records);
    let later = |key, n, seq, due_ms| Effect { due_ms: Some(due_ms), ..effect(key, n, seq) };
    bench.post(vec![effect(1, 1, 1), later(1, 2, 2, 50), effect(1, 3, 3), effect(2, 1, 4)]).await;
    bench.post(vec![later(3, 1, 5, 10)]).await;
    assert_eq!((oldest(&bench.records, 0).await, backlog(&bench.records).await), (Some(0), (3, 2, 0)));
    bench.relay.round().await.expect("round");
    bench.relay.round().await.expect("round");
    assert_eq!(bench.taken(), [(1, 1), (2, 1)], "what is due, up to what is not");
    assert_eq!(
        oldest(&bench.records, 9).await,
        Some(0),
        "what waits behind a delay is owed since it was posted"
    );
    for (now_ms, expected) in [(9, &[][..]), (10, &[(3, 1)]), (49, &[]), (50, &[(1, 2)]), (50, &[(1, 3)])] {
        bench.clock.0.store(now_ms, Ordering::SeqCst);
        bench.relay.round().await.expect("round");
        assert_eq!(bench.taken(), expected, "at {now_ms}");
    }
    // What is due in a while must not overtake what was posted before and has not been looked at.
    bench.post(vec![effect(4, 1, 6), effect(4, 2, 7)]).await;
    bench.post(vec![later(4, 3, 8, 40)]).await;
    for _ in 0..2 {
        bench.relay.round().await.expect("round");
    }
    assert_eq!((bench.taken(), backlog(&bench.records).await), (vec![(4, 1), (4, 2), (4, 3)], (0, 0, 0)));
}

/// More delayed effects than a round looks at hide none that is due.
pub async fn what_is_not_due_hides_nothing_that_is(records: Arc<dyn Records>) {
    let bench = Bench::new(records);
    let later = |n: i64, due_ms| {
        let key = n.to_be_bytes().to_vec();
        Effect { due_ms: Some(due_ms), key, ..effect(0, 1, n.unsigned_abs()) }
    };
    bench.post((1..=5_000).map(|n| later(n, 1_000)).chain([later(5_001, 5)]).collect()).await;
    bench.clock.0.store(5, Ordering::SeqCst);
    assert_eq!(bench.relay.round().await.expect("round").sent, 1);
    assert_eq!(backlog(&bench.records).await, (0, 5_000, 0));
}

/// A dead letter is listed in pages, and one at a time tries again.
pub async fn dead_letters_are_listed_and_replayed_one_by_one(records: Arc<dyn Records>) {
    let bench = Bench::new(records);
    bench.post((1..=3).map(|seq| effect(1, seq, seq.unsigned_abs())).collect()).await;
    bench.refuse(Some(1));
    for at in [0, 100, 300, 300, 400, 600, 600, 700, 900] {
        bench.clock.0.store(at, Ordering::SeqCst);
        bench.relay.round().await.expect("round");
    }
    assert_eq!(backlog(&bench.records).await, (0, 0, 3));
    bench.refuse(None);
    let (first, replayed): (Vec<_>, Vec<_>) = write(&*bench.records, Shard::HOME, |tx| {
        Box::pin(async move {
            let first = outbox::letters(tx, Shard::HOME, &LetterId::default(), 2).await?;
            let rest = outbox::letters(tx, Shard::HOME, &first[1].id, 2).await?;
            assert_eq!(rest.iter().map(|letter| letter.id.seq).collect::<Vec<_>>(), [3]);
            let mut replayed = vec![];
            for letter in [&first[1].id, &first[1].id, &LetterId { seq: 9, ..first[0].id.clone() }] {
                replayed.push(outbox::replay(tx, Shard::HOME, letter, 900).await?);
            }
            Ok::<_, Error>((first, replayed))
        })
    })
    .await
    .expect("letters");
    let told: Vec<_> = first.iter().map(|letter| (letter.id.seq, letter.attempts, &*letter.fault)).collect();
    let poison = "backend answered something impossible: poison";
    assert_eq!((told, replayed), (vec![(1, 3, poison), (2, 3, poison)], vec![true, false, false]));
    bench.relay.round().await.expect("round");
    assert_eq!((bench.taken(), backlog(&bench.records).await), (vec![(1, 2)], (0, 0, 2)));
}

/// A backlog above its limit refuses new work, and lets it in again once it is gone.
pub async fn a_backlog_presses_until_it_is_gone(records: Arc<dyn Records>) {
    let mut bench = Bench::new(records);
    let pressure = Arc::new(Pressure::default());
    pressure.limit_to(4);
    bench.relay = bench.relay.telling(Arc::clone(&pressure));
    bench.post((1..=5).map(|seq| effect(1, seq, seq.unsigned_abs())).collect()).await;
    assert_eq!(pressure.admit(), Ok(()), "nobody has looked yet");
    bench.refuse(Some(1));
    bench.relay.round().await.expect("round");
    assert_eq!(pressure.admit(), Err(Error::Backlog));
    bench.refuse(None);
    bench.clock.0.store(100, Ordering::SeqCst);
    for _ in 0..2 {
        bench.relay.round().await.expect("round");
    }
    assert_eq!((bench.taken(), pressure.admit()), (vec![(1, 1), (1, 2)], Ok(())));
}

/// One topic may be left out of what presses, fresh or waiting; those before and after it are not.
pub async fn a_topic_that_is_spared_presses_on_nothing(records: Arc<dyn Records>) {
    let bench = Bench::new(records);
    bench.post((1..=5).map(|seq| effect(1, seq, seq.unsigned_abs())).collect()).await;
    bench.refuse(Some(1));
    bench.relay.round().await.expect("round");
    assert_eq!(backlog(&bench.records).await, (0, 5, 0));
    let spared = Arc::new(Pressure::default());
    spared.limit_to(4);
    spared.spare("parcel.sent");
    let measured = async |effects: Vec<Effect>| {
        bench.post(effects).await;
        let pressure = Arc::clone(&spared);
        let measured: Result<(), Error> = read(&*bench.records, Shard::HOME, move |tx| {
            Box::pin(async move { pressure.measure(tx, Shard::HOME).await })
        })
        .await;
        measured.map(|()| spared.admit()).expect("a measure")
    };
    let beside = |topic, seqs: std::ops::RangeInclusive<u64>| -> Vec<Effect> {
        seqs.map(|seq| Effect { topic, ..effect(9, 1, seq) }).collect()
    };
    assert_eq!(measured((6..=9).map(|seq| effect(1, seq, seq.unsigned_abs())).collect()).await, Ok(()));
    assert_eq!(measured([beside("a", 1..=2), beside("z", 1..=2)].concat()).await, Ok(()));
    assert_eq!(measured(beside("z", 3..=3)).await, Err(Error::Backlog));
    assert_eq!(backlog(&bench.records).await, (9, 5, 0), "everything is told");
}
