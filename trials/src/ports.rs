//! Ports that fail as a seed says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use embedded::broker::ProcessBroker;
use kernel::id::{Bucket, Shard};
use kernel::ports::PortError;
use kernel::ports::broker::{Broker, Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use kernel::ports::outbound::{Call, Outbound, Outcome, Verb};
use records::dialect::Dialect;
use records::error::Error;
use records::port::{Records, Row, Tx, Value, Work};
use tokio::sync::Notify;

/// What may happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kind,
    FailBefore,
    FailInside(u64),
    FailAfter,
    LostAfter,
    Delay(u64),
    KillBefore,
    KillAfter,
    Lie,
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Self::Kind => "none",
            Self::FailBefore => "fails before",
            Self::FailInside(_) => "fails inside",
            Self::FailAfter => "kept, outcome unknown",
            Self::LostAfter => "lost, outcome unknown",
            Self::Delay(_) => "is delayed",
            Self::KillBefore => "killed before",
            Self::KillAfter => "killed after",
            Self::Lie => "answered, not kept",
        }
    }
}

/// All chance of a simulation, and what it has met.
pub struct Dice {
    state: Mutex<u64>,
    met: Mutex<BTreeMap<(String, &'static str), u64>>,
    kind: AtomicBool,
    lies: bool,
}

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64, lies: bool) -> Self {
        Self { state: Mutex::new(seed), met: Mutex::default(), kind: AtomicBool::new(false), lies }
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub fn below(&self, total: u64) -> u64 {
        self.next() % total.max(1)
    }

    /// Whether nothing fails.
    pub fn be_kind(&self, kind: bool) {
        self.kind.store(kind, Ordering::SeqCst);
    }

    /// Whether nothing fails now.
    pub fn is_kind(&self) -> bool {
        self.kind.load(Ordering::SeqCst)
    }

    /// How often each fault met each kind of call.
    pub fn met(&self) -> BTreeMap<(String, &'static str), u64> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fate(&self) -> Fate {
        if self.is_kind() {
            return Fate::Kind;
        }
        if self.lies {
            return if self.below(20) == 0 { Fate::Lie } else { Fate::Kind };
        }
        match self.below(1_000) {
            0..20 => Fate::FailBefore,
            20..40 => Fate::FailInside(self.below(12)),
            40..60 => Fate::FailAfter,
            60..80 => Fate::LostAfter,
            80..120 => Fate::Delay(1 + self.below(5)),
            120..126 => Fate::KillBefore,
            126..132 => Fate::KillAfter,
            _ => Fate::Kind,
        }
    }

    fn note(&self, call: &str, fate: Fate) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        *met.entry((call.to_owned(), fate.name())).or_default() += 1;
    }
}

/// The end of a process.
#[derive(Default)]
pub struct Kill {
    dead: AtomicBool,
    told: Notify,
}

impl Kill {
    /// Kills the process: whoever runs in it waits for ever, until it is cleared away.
    async fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.told.notify_one();
        std::future::pending::<()>().await;
    }

    /// Waits for the kill.
    pub async fn wait(&self) {
        while !self.dead.load(Ordering::SeqCst) {
            self.told.notified().await;
        }
    }

    /// A killed process does nothing more.
    async fn stop_the_dead(&self) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

async fn dawdle(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Records that fail as the dice say.
pub struct FaultyRecords {
    inner: Arc<dyn Records>,
    dice: Arc<Dice>,
    kill: Arc<Kill>,
}

impl FaultyRecords {
    /// Wraps records.
    pub fn new(inner: Arc<dyn Records>, dice: Arc<Dice>, kill: Arc<Kill>) -> Self {
        Self { inner, dice, kill }
    }
}

/// Work that is watched: what it begins with names the call, and one of its statements may fail.
struct Watched {
    work: Box<dyn Work>,
    name: Arc<Mutex<String>>,
    fail_at: Option<u64>,
    then_fail: bool,
}

struct WatchedTx<'t> {
    tx: &'t mut dyn Tx,
    name: &'t Mutex<String>,
    fail_at: Option<u64>,
    statements: u64,
    changes: &'t mut u64,
}

impl WatchedTx<'_> {
    fn pass(&mut self, sql: &str) -> Result<(), Error> {
        if self.statements == 0 {
            let words: Vec<&str> = sql.split_whitespace().collect();
            let table = words.iter().position(|word| ["FROM", "INTO", "UPDATE"].contains(word));
            let table = table.and_then(|at| words.get(at + 1)).copied().unwrap_or("nothing");
            *self.name.lock().unwrap_or_else(PoisonError::into_inner) = table.to_owned();
        }
        self.statements += 1;
        if self.fail_at == Some(self.statements) {
            return Err(Error::Unavailable("as the dice say".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Tx for WatchedTx<'_> {
    fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }

    async fn exec(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.pass(sql)?;
        *self.changes += 1;
        self.tx.exec(sql, values).await
    }

    async fn fetch(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        self.pass(sql)?;
        self.tx.fetch(sql, values).await
    }
}

#[async_trait]
impl Work for Watched {
    async fn run(&mut self, tx: &mut dyn Tx) -> Result<(), Error> {
        let mut changes = 0;
        let mut watched =
            WatchedTx { tx, name: &self.name, fail_at: self.fail_at, statements: 0, changes: &mut changes };
        self.work.run(&mut watched).await?;
        if changes == 0 {
            self.name.lock().unwrap_or_else(PoisonError::into_inner).push_str(" (looks only)");
        }
        if self.then_fail { Err(Error::Unavailable("as the dice say".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Records for FaultyRecords {
    fn shards(&self) -> Vec<Shard> {
        self.inner.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.inner.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.kill.stop_the_dead().await;
        let fate = self.dice.fate();
        let name = Arc::new(Mutex::new("something".to_owned()));
        let fail_at = if let Fate::FailInside(statement) = fate { Some(statement + 1) } else { None };
        let then_fail = matches!(fate, Fate::LostAfter | Fate::Lie);
        let work = Box::new(Watched { work, name: Arc::clone(&name), fail_at, then_fail });
        match fate {
            Fate::FailBefore => {
                self.dice.note("write", fate);
                return Err(Error::Unavailable("as the dice say".to_owned()));
            }
            Fate::KillBefore => {
                self.dice.note("write", fate);
                self.kill.kill().await;
            }
            Fate::Delay(turns) => dawdle(turns).await,
            Fate::Kind
            | Fate::FailInside(_)
            | Fate::FailAfter
            | Fate::LostAfter
            | Fate::KillAfter
            | Fate::Lie => {}
        }
        let outcome = self.inner.write(shard, work).await;
        let call = format!("write {}", name.lock().unwrap_or_else(PoisonError::into_inner));
        self.dice.note(&call, fate);
        match fate {
            Fate::FailAfter => outcome.and(Err(Error::OutcomeUnknown)),
            // What the work itself refused was never going to be kept.
            Fate::LostAfter => match outcome {
                Err(Error::RolledBack) => outcome,
                _ => Err(Error::OutcomeUnknown),
            },
            Fate::Lie => Ok(()),
            Fate::KillAfter => {
                self.kill.kill().await;
                outcome
            }
            Fate::Kind | Fate::FailBefore | Fate::FailInside(_) | Fate::Delay(_) | Fate::KillBefore => {
                outcome
            }
        }
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.kill.stop_the_dead().await;
        let fate = self.dice.fate();
        let name = Arc::new(Mutex::new("something".to_owned()));
        let fail_at = if let Fate::FailInside(statement) = fate { Some(statement + 1) } else { None };
        let work = Box::new(Watched { work, name: Arc::clone(&name), fail_at, then_fail: false });
        match fate {
            Fate::FailBefore | Fate::FailAfter => {
                self.dice.note("read", Fate::FailBefore);
                return Err(Error::Unavailable("as the dice say".to_owned()));
            }
            Fate::KillBefore | Fate::KillAfter => {
                self.dice.note("read", Fate::KillBefore);
                self.kill.kill().await;
            }
            Fate::Delay(turns) => dawdle(turns).await,
            Fate::Kind | Fate::FailInside(_) | Fate::LostAfter | Fate::Lie => {}
        }
        let outcome = self.inner.read(shard, work).await;
        let call = format!("read {}", name.lock().unwrap_or_else(PoisonError::into_inner));
        // A read has nothing to lose.
        let met = if matches!(fate, Fate::LostAfter | Fate::Lie) { Fate::Kind } else { fate };
        self.dice.note(&call, met);
        outcome
    }
}

/// A broker that fails as the dice say.
pub struct FaultyBroker {
    inner: ProcessBroker,
    dice: Arc<Dice>,
    kill: Arc<Kill>,
}

impl FaultyBroker {
    /// Wraps a broker.
    pub fn new(inner: ProcessBroker, dice: Arc<Dice>, kill: Arc<Kill>) -> Self {
        Self { inner, dice, kill }
    }
}

fn away() -> PortError {
    PortError::Unavailable("as the dice say".into())
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        self.kill.stop_the_dead().await;
        let fate = self.dice.fate();
        self.dice.note("publish", fate);
        match fate {
            Fate::FailBefore | Fate::Lie => return messages.iter().map(|_| Err(away())).collect(),
            Fate::KillBefore => self.kill.kill().await,
            Fate::Delay(turns) => dawdle(turns).await,
            Fate::Kind | Fate::FailInside(_) | Fate::FailAfter | Fate::LostAfter | Fate::KillAfter => {}
        }
        let mut answers = self.inner.publish(messages).await;
        match fate {
            // Delivered, and nobody learns it.
            Fate::FailAfter | Fate::LostAfter => answers = messages.iter().map(|_| Err(away())).collect(),
            Fate::FailInside(place) => {
                if let Some(answer) = answers.get_mut(usize::try_from(place).unwrap_or(0)) {
                    *answer = Err(away());
                }
            }
            Fate::KillAfter => self.kill.kill().await,
            Fate::Kind | Fate::FailBefore | Fate::Delay(_) | Fate::KillBefore | Fate::Lie => {}
        }
        answers
    }
}

/// Longest time of a call, in milliseconds, as the product's own caller has it.
const CALL_MS_MAX: i64 = 15_000;

/// Calls to other people's servers that fail as the dice say.
pub struct FaultyOutbound {
    inner: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    dice: Arc<Dice>,
    kill: Arc<Kill>,
}

impl FaultyOutbound {
    /// Wraps calls, which end in time on a clock.
    pub fn new(
        (inner, clock): (Arc<dyn Outbound>, Arc<dyn Clock>),
        dice: Arc<Dice>,
        kill: Arc<Kill>,
    ) -> Self {
        Self { inner, clock, dice, kill }
    }
}

#[async_trait]
impl Outbound for FaultyOutbound {
    async fn call(&self, call: &Call) -> Outcome {
        self.kill.stop_the_dead().await;
        let (fate, fault) = (self.dice.fate(), || "as the dice say".to_owned());
        let began_ms = self.clock.now_ms();
        self.dice.note(if call.verb == Verb::Ask { "ask" } else { "deliver" }, fate);
        match fate {
            Fate::FailBefore => return Outcome::Failed { fault: fault(), retry_seconds: None },
            // It went out, and came to nobody.
            Fate::FailInside(_) => return Outcome::Unknown { fault: fault() },
            Fate::Lie => return Outcome::Taken,
            Fate::KillBefore => self.kill.kill().await,
            Fate::Delay(turns) => dawdle(turns).await,
            Fate::Kind | Fate::FailAfter | Fate::LostAfter | Fate::KillAfter => {}
        }
        if self.clock.now_ms() - began_ms > CALL_MS_MAX {
            // Time has passed meanwhile: the connection was let go long ago.
            return Outcome::Unknown { fault: fault() };
        }
        let outcome = self.inner.call(call).await;
        match fate {
            // It was heard, and nobody learns it.
            Fate::FailAfter | Fate::LostAfter => return Outcome::Unknown { fault: fault() },
            Fate::KillAfter => self.kill.kill().await,
            Fate::Kind
            | Fate::FailBefore
            | Fate::FailInside(_)
            | Fate::Delay(_)
            | Fate::KillBefore
            | Fate::Lie => {}
        }
        outcome
    }
}

/// Entropy that follows from the seed.
pub struct SeededEntropy(pub Arc<Dice>);

impl SeededEntropy {
    /// Entropy that never fails.
    pub fn kind(seed: u64) -> Self {
        let dice = Dice::new(seed, false);
        dice.be_kind(true);
        Self(Arc::new(dice))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), PortError> {
        if self.0.fate() == Fate::FailBefore {
            self.0.note("fill", Fate::FailBefore);
            return Err(away());
        }
        for byte in buffer {
            *byte = u8::try_from(self.0.below(256)).unwrap_or(0);
        }
        Ok(())
    }
}

/// Takes every message of topics that a trial does not follow.
pub struct Deaf;

#[async_trait]
impl Subscriber for Deaf {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        messages.iter().map(|_| Ok(())).collect()
    }
}

/// A broker that takes what only the chronicle follows.
pub fn unfollowed() -> ProcessBroker {
    let deaf: Arc<dyn Subscriber> = Arc::new(Deaf);
    fairground::chronicle::TOPICS
        .into_iter()
        .fold(ProcessBroker::default(), |broker, topic| broker.with(topic, Arc::clone(&deaf)))
}
