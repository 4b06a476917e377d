//! Awards and their courier over records of their own, a clock that can be set, and a shop at the other end of webhooks that
//! behaves as it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use campaign::award::{DRAW_MADE, DrawMade, Due, Kind, State};
use campaign::courier::Courier;
use campaign::endpoint::Wanted;
use campaign::fulfilment::Awards;
use campaign::request::Request;
use embedded::clock::ManualClock;
use embedded::sqlite::inline::InlineRecords;
use fairground::rooms::ROOMS;
use fairground::vault::SealedVault;
use kernel::id::{Bucket, DrawId, Shard, Tenant};
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use kernel::ports::outbound::{Call, Outbound, Outcome, Verb};
use ledger::account::Account;
use ledger::journal::JournalKey;
use raffle::seal::Sealer;
use records::audit::Actor;
use records::error::Error;
use records::migration;
use records::port::{Cell, Records, Row, Tx, Value, Work, read};
use tokio::sync::Notify;

use crate::ports::SeededEntropy;
use crate::profile::{Place, Profile};

/// What the shop does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes it and says so.
    Takes,
    /// Takes it, and the answer is lost.
    TakesAndDrops,
    /// Is not there.
    Down,
    /// Is there, and does not take it.
    Busy,
    /// Answers a status.
    Answers(u16),
    /// Is heard, takes nothing, and says nothing.
    Hangs,
    /// Is where nothing may be sent.
    Denied,
}

#[derive(Default)]
struct Books {
    manners: BTreeMap<String, Manner>,
    first: Vec<Manner>,
    paid: Vec<String>,
    calls: Vec<(Verb, String, i64)>,
    missed: Vec<(Verb, String, i64)>,
}

/// The other end of webhooks.
pub struct Shop {
    /// Whether it remembers what it has taken, and takes it once.
    keeps_inbox: bool,
    clock: Arc<ManualClock>,
    books: Mutex<Books>,
}

impl Shop {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it does with the next deliveries, one each.
    pub fn first(&self, manners: &[Manner]) {
        self.books().first = manners.iter().rev().copied().collect();
    }

    /// What it does with every delivery whose body holds a text.
    pub fn always(&self, text: &str, manner: Manner) {
        self.books().manners.insert(text.to_owned(), manner);
    }

    /// What it has paid, in order.
    pub fn paid(&self) -> Vec<String> {
        self.books().paid.clone()
    }

    /// Every call that it heard: what was wanted, the name, and when.
    pub fn calls(&self) -> Vec<(Verb, String, i64)> {
        self.books().calls.clone()
    }

    /// Every call that was made while it was not there.
    pub fn missed(&self) -> Vec<(Verb, String, i64)> {
        self.books().missed.clone()
    }
}

#[async_trait]
impl Outbound for Shop {
    async fn call(&self, call: &Call) -> Outcome {
        assert!(!call.secrets.is_empty(), "every call is signed");
        let now_ms = self.clock.now_ms();
        let mut books = self.books();
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let told = books.manners.iter().find(|(part, _)| text.contains(part.as_str()));
        let manner = told.map(|(_, manner)| *manner);
        let manner = books.first.pop().or(manner).unwrap_or(Manner::Takes);
        let fault = || "as it was told".to_owned();
        let made = (call.verb, call.effect.clone(), now_ms);
        match manner {
            Manner::Down => books.missed.push(made),
            Manner::Denied => {}
            Manner::Takes | Manner::TakesAndDrops | Manner::Busy | Manner::Answers(_) | Manner::Hangs => {
                books.calls.push(made)
            }
        }
        match (call.verb, manner) {
            (_, Manner::Down) => Outcome::Failed { fault: fault(), retry_seconds: None },
            (_, Manner::Busy) => Outcome::Failed { fault: fault(), retry_seconds: Some(30) },
            (_, Manner::Answers(status)) => Outcome::Refused { status: Some(status), fault: fault() },
            (_, Manner::Hangs) => Outcome::Unknown { fault: fault() },
            (_, Manner::Denied) => Outcome::Refused { status: None, fault: fault() },
            (Verb::Ask, Manner::TakesAndDrops) => Outcome::Unknown { fault: fault() },
            (Verb::Ask, _) if books.paid.contains(&call.effect) => Outcome::Taken,
            (Verb::Ask, _) => Outcome::Refused { status: Some(404), fault: fault() },
            (Verb::Deliver, manner) => {
                if !(self.keeps_inbox && books.paid.contains(&call.effect)) {
                    books.paid.push(call.effect.clone());
                }
                if manner == Manner::Takes { Outcome::Taken } else { Outcome::Unknown { fault: fault() } }
            }
        }
    }
}

/// How one write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    /// Before anything is done.
    Before,
    /// Kept, and nobody is told.
    After,
    /// Kept, and told after a hundred seconds.
    Late,
}

/// Records of which the n-th write fails, once.
struct Failing {
    inner: Arc<dyn Records>,
    left: AtomicU64,
    how: Fails,
    failed: Arc<AtomicU64>,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Records for Failing {
    fn shards(&self) -> Vec<Shard> {
        self.inner.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.inner.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        let fails = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        self.failed.fetch_add(fails.into(), Ordering::SeqCst);
        if fails && self.how == Fails::Before {
            return Err(Error::Unavailable("as it was told".to_owned()));
        }
        let outcome = self.inner.write(shard, work).await;
        match self.how {
            Fails::After if fails => outcome.and(Err(Error::OutcomeUnknown)),
            Fails::Late if fails => {
                self.clock.set(self.clock.now_ms() + 100_000);
                outcome
            }
            Fails::Before | Fails::After | Fails::Late => outcome,
        }
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.inner.read(shard, work).await
    }
}

/// Records of which every write stays open, done and not kept, until it is let go.
pub struct Held {
    inner: Arc<dyn Records>,
    gates: Arc<Gates>,
}

#[derive(Default)]
struct Gates {
    reached: Notify,
    go: Notify,
}

impl Held {
    /// Records that are held open.
    pub fn new(inner: Arc<dyn Records>) -> Self {
        Self { inner, gates: Arc::default() }
    }

    /// Waits until a write is done and not kept.
    pub async fn reached(&self) {
        self.gates.reached.notified().await;
    }

    /// Lets it be kept.
    pub fn let_go(&self) {
        self.gates.go.notify_one();
    }
}

struct HeldWork {
    inner: Box<dyn Work>,
    gates: Arc<Gates>,
}

#[async_trait]
impl Work for HeldWork {
    async fn run(&mut self, tx: &mut dyn Tx) -> Result<(), Error> {
        self.inner.run(tx).await?;
        self.gates.reached.notify_one();
        self.gates.go.notified().await;
        Ok(())
    }
}

#[async_trait]
impl Records for Held {
    fn shards(&self) -> Vec<Shard> {
        self.inner.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.inner.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, inner: Box<dyn Work>) -> Result<(), Error> {
        self.inner.write(shard, Box::new(HeldWork { inner, gates: Arc::clone(&self.gates) })).await
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.inner.read(shard, work).await
    }
}

/// Tables in which something may be left of what the house did.
const TABLES: [&str; 23] = [
    "award_holder",
    "award_held",
    "award_address",
    "award_request",
    "coupon",
    "coupon_pool",
    "coupon_wait",
    "delivery",
    "delivery_order",
    "machine",
    "timer",
    "outbox",
    "outbox_aside",
    "audit_entry",
    "ledger_account",
    "ledger_balance",
    "ledger_due",
    "ledger_entry",
    "ledger_head",
    "ledger_lot",
    "ledger_order",
    "ledger_seal",
    "ledger_wallet",
];

/// All that outlives a process, and the shop.
pub struct World {
    /// The records.
    pub disk: Arc<dyn Records>,
    /// The clock.
    pub clock: Arc<ManualClock>,
    /// The shop.
    pub shop: Arc<Shop>,
    entropy: Arc<dyn Entropy>,
    asked: AtomicU64,
    failed: Arc<AtomicU64>,
    _place: Place,
}

/// What a process has.
pub struct House {
    /// Awards.
    pub awards: Awards,
    /// Their courier.
    pub courier: Courier,
}

impl House {
    /// Where the award of somebody's draw stands.
    pub async fn state(&self, participant: &str, seq: u64) -> State {
        self.awards.get(draw(participant, seq), None).await.expect("an award").award.state
    }
}

impl World {
    /// A world at noon.
    pub async fn new(profile: Profile, keeps_inbox: bool) -> Self {
        let place = profile.place();
        let disk: Arc<dyn Records> = match profile {
            Profile::Embedded => Arc::new(InlineRecords::open().expect("records")),
            Profile::Cluster => place.open(),
        };
        migration::run(&*disk, ROOMS, 0).await.expect("tables");
        let clock = Arc::new(ManualClock::at(crate::NOON_MS));
        let shop = Arc::new(Shop { keeps_inbox, clock: Arc::clone(&clock), books: Mutex::default() });
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::kind(1));
        let (asked, failed) = (AtomicU64::new(0), Arc::default());
        Self { disk, clock, shop, entropy, asked, failed, _place: place }
    }

    /// A process over records of its own.
    pub fn house_on(&self, records: Arc<dyn Records>) -> House {
        let (clock, entropy) = (Arc::clone(&self.clock) as Arc<dyn Clock>, Arc::clone(&self.entropy));
        let vault = Arc::new(SealedVault::new(Sealer::new(&[7; 32]), Arc::clone(&entropy)));
        let awards = Awards::new(
            Arc::clone(&records),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            Arc::clone(&vault) as _,
        );
        let shop = Arc::clone(&self.shop) as Arc<dyn Outbound>;
        House { awards, courier: Courier::new(records, clock, entropy, vault, shop, Shard::HOME) }
    }

    /// A process.
    pub fn house(&self) -> House {
        self.house_on(Arc::clone(&self.disk))
    }

    /// A process whose n-th write, from 1, fails.
    pub fn failing(&self, write: u64, how: Fails) -> House {
        let inner = Arc::clone(&self.disk);
        let failed = Arc::clone(&self.failed);
        let (left, clock) = (AtomicU64::new(write), Arc::clone(&self.clock));
        self.house_on(Arc::new(Failing { inner, left, how, failed, clock }))
    }

    /// A request under a key that was not used before.
    pub fn request(&self) -> Request {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        self.request_under(&format!("key-{number}"))
    }

    /// A request under a key.
    pub fn request_under(&self, key: &str) -> Request {
        Request { key: key.to_owned(), body_hash: [1; 32], actor: Actor::house(), at_ms: self.clock.now_ms() }
    }

    /// Makes an endpoint.
    pub async fn endpoint(&self, id: &str, has_status_url: bool) {
        let url = format!("https://{id}.example/");
        let status_url = has_status_url.then(|| format!("{url}taken"));
        let wanted = Wanted { url, status_url, keeps_ids: !has_status_url, enabled: true };
        self.house().awards.create_endpoint(id, wanted, self.request()).await.expect("an endpoint");
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.now_ms() + seconds * 1000);
    }

    /// Hears of wins, all together.
    pub async fn hear(&self, house: &House, wins: &[Message]) -> bool {
        house.awards.take(wins).await.iter().all(Result::is_ok)
    }

    /// How many writes have failed as they were told.
    pub fn failures(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    /// What is wrong with the books.
    pub async fn books(&self) -> Vec<ledger::verify::Failure> {
        let key = JournalKey { shard: Shard::HOME, tenant: Tenant::MAIN.number };
        ledger::verify::verify(&*self.disk, key, Tenant::MAIN).await.expect("a report").failed
    }

    /// What somebody has in a wallet.
    pub async fn balance(&self, participant: &str, wallet: &str, unit: &str) -> i64 {
        let unit = unit.parse().expect("a unit");
        let account = Account { wallet: wallet.to_owned(), ..Account::of(participant, &unit) };
        let id = account.id(Tenant::MAIN, Shard::HOME);
        let rows: Result<Vec<_>, Error> = read(&*self.disk, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT balance FROM ledger_balance WHERE bucket=? AND tenant=1 AND account=?";
                tx.fetch(sql, &[Value::Int(id.bucket.into()), Value::Bytes(&id.hash)]).await
            })
        })
        .await;
        rows.expect("rows").first().map_or(0, |row| row.int(0).expect("a balance"))
    }

    /// What a query finds.
    async fn found(&self, sql: String) -> Vec<Row> {
        let rows: Result<Vec<_>, Error> =
            read(&*self.disk, Shard::HOME, move |tx| Box::pin(async move { tx.fetch(&sql, &[]).await }))
                .await;
        rows.expect("rows")
    }

    /// Whether a name stands in what a query finds. The keys that order effects are the trial's own pseudonyms, and left out.
    pub async fn knows(&self, columns: &str, name: &str) -> bool {
        let rows = self.found(format!("SELECT {columns}")).await;
        rows.into_iter().flat_map(|row| row.0).any(|cell| match cell {
            Cell::Text(text) => text.contains(name),
            Cell::Bytes(bytes) => String::from_utf8_lossy(&bytes).contains(name),
            Cell::Int(_) | Cell::Null => false,
        })
    }

    /// Every row in which something may be left of what the house did, table by table.
    pub async fn rows(&self) -> BTreeMap<&'static str, Vec<Row>> {
        let mut rows = BTreeMap::new();
        for table in TABLES {
            rows.insert(table, self.found(format!("SELECT * FROM {table}")).await);
        }
        rows
    }

    /// Runs the courier, and lets time pass, until nothing is owed or so many seconds are over. Answers how many passed.
    pub async fn carry(&self, house: &House, seconds_max: i64) -> i64 {
        // Waits grow with time, and so may the steps.
        let step = (seconds_max / 1000).max(1);
        for passed in (0..seconds_max).step_by(usize::try_from(step).unwrap_or(1)) {
            while house.courier.round().await.unwrap_or(0) > 0 {}
            if house.awards.deliveries().await.expect("deliveries").0 == 0 {
                return passed;
            }
            self.pass(step);
        }
        seconds_max
    }
}

/// The id of somebody's draw in the raffle `1`.
pub fn draw(participant: &str, seq: u64) -> DrawId {
    DrawId { bucket: Bucket::of("main", participant).number(), shard: Shard::HOME, raffle: 1, seq }
}

/// The news that somebody has won.
pub fn win(participant: &str, seq: u64, award: Kind) -> Message {
    let due = Some(Due { raffle: "spring".to_owned(), award }).filter(|due| !due.award.is_manual());
    let made = DrawMade {
        draw: draw(participant, seq).to_string(),
        prize: Some("105".to_owned()),
        winner: Some(participant.to_owned()),
        due,
        at_ms: Some(crate::NOON_MS),
    };
    let mut key = participant.as_bytes().to_vec();
    key.resize(16, 0);
    Message {
        topic: DRAW_MADE.to_owned(),
        effect: format!("{DRAW_MADE}/0/1/{seq}"),
        key,
        n: i64::try_from(seq).expect("a small number"),
        body: serde_json::to_vec(&made).expect("JSON"),
    }
}

/// A webhook to the endpoint `pay`.
pub fn webhook() -> Kind {
    Kind::Webhook { endpoint: "pay".to_owned() }
}
