//! A batch of acts in one transaction: lock the head, load what judges, decide act by act in memory, write what came of it.

mod about;
mod earn;
mod known;
mod led;
mod orders;

pub use led::Trying;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::desk::{Counter, Desk as LedgerDesk};
use ledger::order::OrderId;
use records::batch::{Batch, Decision, Decisions};
use records::error::Error as RecordsError;
use records::machine;
use records::outbox::{self, Effect, Pressure};
use records::port::{Row, Tx, Value};
use records::statement::Insert;

use crate::act::{self, Act, ActKey, Ask, Outcome, What};
use crate::audience::{self, belongs};
use crate::calendar::{self, Calendars};
use crate::catalog::{Campaign, Catalog, Snapshot};
use crate::error::Error;
use crate::offer::{self, Event, OfferKey, Order, OrderKey, Shelf};
use crate::referral::{self, Referrals};
use crate::tally::Tallies;
use crate::who::Who;
use about::{act_key, first_of, kind_of, wallets};
use known::Known;
use led::Led;

/// What an act has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// It was kept, with this outcome.
    Kept(Outcome),
    /// It moved an order, which stands so now.
    Moved(OrderKey, Box<Order>),
}

impl Acted {
    /// What was done, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Kept(Outcome::Behaved { .. }) => "behaviour",
            Self::Kept(Outcome::SignedIn { .. }) => "sign_in",
            Self::Kept(Outcome::Referred { .. }) => "referral",
            Self::Kept(Outcome::Ordered { .. }) => "order",
            Self::Moved(_, order) => match &**order {
                Order::Ordered { .. } => "order",
                Order::Paid { .. } => "pay",
                Order::Cancelled { .. } => "cancel",
                Order::Expired { .. } => "expire",
            },
        }
    }
}

/// Hears what becomes of acts, on the thread that drives their batches: whatever it does, every act waits for.
pub trait Witness: Send + Sync {
    /// An act is kept, was before, or was refused; its caller is about to be told.
    fn acted(&self, _outcome: &Result<Done, Error>) {}
    /// The news that somebody was brought has led to this, in a word.
    fn brought(&self, _outcome: &'static str) {}
}

/// Nobody listens.
impl Witness for () {}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What the act has come to.
    pub acted: Acted,
    /// Whether it had been done before.
    pub replayed: bool,
}

/// This process has not yet read what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stale;

/// Acts on one database.
pub(crate) struct Acts {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tenant: Tenant,
    pub(crate) shard: Shard,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) witness: Arc<dyn Witness>,
    pub(crate) trying: Option<Trying>,
}

#[async_trait]
impl Batch for Acts {
    type Item = Ask;
    type Answer = Done;
    type Error = Error;
    type Lack = Stale;

    async fn run(&self, tx: &mut dyn Tx, items: &[Arc<Ask>]) -> Result<Decisions<Self>, RecordsError> {
        let head = Head::lock(tx, self.shard, self.tenant.number).await?;
        let snapshot = self.catalog.known();
        if snapshot.version != head.version {
            return Ok(items.iter().map(|_| Decision::Deferred(Stale)).collect());
        }
        let place = Place { tenant: self.tenant, shard: self.shard, now_ms: self.clock.now_ms() };
        let led = Led::open(tx, self.trying.as_ref(), items, place.now_ms).await?;
        let mut desk = Desk::open(tx, (place, head, snapshot), led, items).await?;
        desk.admitted = self.pressure.admit();
        let mut decisions = Vec::with_capacity(items.len());
        for ask in items {
            decisions.push(match desk.decide(ask) {
                Ok(done) => Decision::Done(done),
                Err(Error::Records(error)) if error != RecordsError::Backlog => return Err(error),
                Err(error) => Decision::Refused(error),
            });
        }
        desk.write(tx).await?;
        Ok(decisions)
    }

    async fn supply(&self, _: Stale) -> Result<(), Error> {
        self.catalog.fresh().await.map(|_| ())
    }

    fn told(&self, outcome: &Result<Done, Error>) {
        self.witness.acted(outcome);
    }
}

static NEW_HEAD: Insert = Insert::or_keep("campaign_head", &["shard", "tenant", "seq", "version"], 2);

/// The row that numbers acts, and says which versions are live.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) version: u64,
}

impl Head {
    /// Locks it until the transaction ends; makes it where it is missing.
    pub(crate) async fn lock(tx: &mut dyn Tx, shard: Shard, tenant: u32) -> Result<Self, RecordsError> {
        let key = [Value::Int(shard.0.into()), Value::Int(tenant.into())];
        let sql = format!(
            "SELECT seq,version FROM campaign_head WHERE shard=? AND tenant=?{}",
            tx.dialect().for_update()
        );
        let read = |row: &Row| Ok(Self { seq: row.count(0)?, version: row.count(1)? });
        if let Some(row) = tx.fetch(&sql, &key).await?.first() {
            return read(row);
        }
        NEW_HEAD.rows(tx, &[&key[..], &[Value::Int(0), Value::Int(0)]].concat()).await?;
        // Somebody else may have made it meanwhile, and written to it.
        let rows = tx.fetch(&sql, &key).await?;
        read(rows.first().ok_or(RecordsError::Surprise("campaign_head"))?)
    }

    /// Writes it back.
    pub(crate) async fn save(
        self,
        tx: &mut dyn Tx,
        (shard, tenant): (Shard, u32),
        before: Self,
    ) -> Result<(), RecordsError> {
        let values = [
            Value::count(self.seq),
            Value::count(self.version),
            Value::Int(shard.0.into()),
            Value::Int(tenant.into()),
            Value::count(before.seq),
            Value::count(before.version),
        ];
        let sql =
            "UPDATE campaign_head SET seq=?, version=? WHERE shard=? AND tenant=? AND seq=? AND version=?";
        if tx.exec(sql, &values).await? == 1 { Ok(()) } else { Err(RecordsError::Surprise("campaign_head")) }
    }
}

/// Where and when a batch is decided.
#[derive(Debug, Clone, Copy)]
struct Place {
    tenant: Tenant,
    shard: Shard,
    now_ms: i64,
}

/// Locked and loaded.
struct Desk {
    place: Place,
    locked: Head,
    head: Head,
    snapshot: Arc<Snapshot>,
    acts: BTreeMap<ActKey, Act>,
    /// Which kinds of acts those who are brought have done before.
    done: BTreeSet<(Who, String)>,
    tallies: Tallies,
    calendars: Calendars,
    lists: BTreeSet<(Who, String)>,
    referrals: Referrals,
    orders: BTreeMap<OrderKey, Order>,
    /// As they were, and as they are.
    shelves: BTreeMap<OfferKey, (Shelf, Shelf)>,
    counter: Counter,
    led: Led,
    /// Whether anything new may begin.
    admitted: Result<(), RecordsError>,
    fresh: Fresh,
}

/// What is new and must be written.
#[derive(Default)]
struct Fresh {
    acts: Vec<(ActKey, Act)>,
    names: BTreeMap<Who, String>,
    calendars: BTreeSet<(Who, u32)>,
    referrals: BTreeSet<(Who, u32)>,
    orders: Vec<(OrderKey, Order)>,
    events: Vec<(OrderKey, Event)>,
    effects: Vec<Effect>,
}

/// The ledger's order that sets the price of an order aside.
fn hold_of(order: OrderKey) -> OrderId {
    OrderId::of(&[b"offer-hold", &order.machine_id()])
}

impl Desk {
    async fn open(
        tx: &mut dyn Tx,
        (place, head, snapshot): (Place, Head, Arc<Snapshot>),
        led: Led,
        asks: &[Arc<Ask>],
    ) -> Result<Self, RecordsError> {
        let tenant = place.tenant.number;
        let mut people: BTreeSet<Who> = asks.iter().map(|ask| ask.who).collect();
        people.extend(asks.iter().filter_map(|ask| match &ask.what {
            What::Refer { referrer, .. } => *referrer,
            What::Behave { .. }
            | What::SignIn { .. }
            | What::Order { .. }
            | What::Pay { .. }
            | What::Cancel { .. }
            | What::Expire { .. } => None,
        }));
        let orders: BTreeSet<OrderKey> = asks.iter().filter_map(|ask| ask.order()).collect();
        let ids: Vec<_> = orders.iter().map(|order| order.machine_id()).collect();
        let found = machine::find::<Order>(tx, place.shard, &ids).await?;
        let orders: BTreeMap<_, _> =
            orders.into_iter().filter_map(|key| Some((key, found.get(&key.machine_id())?.clone()))).collect();
        for order in orders.values() {
            people.insert(order.ordered().owner()?);
        }
        let calendars = calendar::load(tx, tenant, &people).await?;
        let today = |campaign: &Campaign, who| {
            let last = calendars.get(&(who, campaign.number)).and_then(|calendar| calendar.last);
            campaign.zone.day_of(place.now_ms).max(last.unwrap_or(i32::MIN))
        };
        let keys: BTreeSet<ActKey> = asks.iter().filter_map(|ask| act_key(ask, &snapshot, today)).collect();
        let acts = act::load(tx, tenant, &keys.into_iter().collect::<Vec<_>>()).await?;
        let offers = asks.iter().filter_map(|ask| ask.offer(&snapshot, &led, &orders));
        let offers: BTreeSet<OfferKey> = offers.collect();
        let offers: Vec<_> = offers.into_iter().collect();
        let shelves = offer::shelves(tx, (place.shard, tenant), &offers).await?;
        let mut accounts = vec![];
        for ask in asks {
            accounts.extend(wallets(ask, &snapshot, &led, &orders)?);
        }
        let mut referrals = referral::load(tx, tenant, &people).await?;
        let firsts: BTreeSet<_> = asks.iter().filter_map(|ask| first_of(ask, &snapshot)).collect();
        if asks.iter().any(|ask| matches!(ask.what, What::Refer { .. })) {
            referral::load_above(tx, tenant, people.clone(), &mut referrals).await?;
        }
        let holds: Vec<_> = orders.keys().map(|order| hold_of(*order)).collect();
        let desk = LedgerDesk { tenant: place.tenant, shard: place.shard, now_ms: place.now_ms };
        Ok(Self {
            place,
            locked: head,
            head,
            acts,
            tallies: Tallies::load(tx, tenant, &people).await?,
            calendars,
            lists: audience::lists(tx, tenant, &people).await?,
            referrals,
            done: act::done(tx, tenant, &firsts).await?,
            orders,
            shelves: shelves.into_iter().map(|(key, shelf)| (key, (shelf, shelf))).collect(),
            counter: desk.open(tx, &accounts, &holds).await?,
            snapshot,
            led,
            admitted: Ok(()),
            fresh: Fresh::default(),
        })
    }

    /// Decides an act as if all before it were written. What is refused has changed nothing.
    fn decide(&mut self, ask: &Ask) -> Result<Done, Error> {
        match &ask.what {
            What::Behave { .. } | What::SignIn { .. } | What::Refer { .. } | What::Order { .. } => {
                let Some(key) = act_key(ask, &self.snapshot, |campaign, who| self.today(campaign, who))
                else {
                    return Err(Error::NoSuchCampaign(ask.campaign().to_owned()));
                };
                if let Some(known) = self.acts.get(&key) {
                    return repeat(ask, known);
                }
                // What the house posts by itself is how effects leave.
                if !ask.is_of_the_house() {
                    self.admitted.clone()?;
                }
                let outcome = self.act(ask, &key)?;
                self.head.seq += 1;
                let (seq, at_ms) = (self.head.seq, self.place.now_ms);
                let act = Act { seq, at_ms, body_hash: ask.body_hash, outcome: outcome.clone() };
                self.acts.insert(key.clone(), act.clone());
                self.done.insert((key.0, key.1.clone()));
                self.fresh.acts.push((key, act));
                self.fresh.names.insert(ask.who, ask.participant.clone());
                Ok(Done { acted: Acted::Kept(outcome), replayed: false })
            }
            What::Pay { order } => self.pay(ask, *order),
            What::Cancel { order } => self.give_up(ask, *order),
            What::Expire { order } => self.expire(*order),
        }
    }

    fn act(&mut self, ask: &Ask, key: &ActKey) -> Result<Outcome, Error> {
        match &ask.what {
            What::Behave { behaviour, value, campaign, .. } => {
                self.behave(ask, key, (behaviour, *value), campaign.as_deref())
            }
            What::SignIn { campaign } => self.sign_in(ask, key, campaign),
            What::Refer { campaign, code, referrer } => self.refer(ask, campaign, (code, *referrer)),
            What::Order { campaign, offer, quantity, .. } => self.order(ask, campaign, (offer, *quantity)),
            What::Pay { .. } | What::Cancel { .. } | What::Expire { .. } => {
                Err(RecordsError::Corrupt("an order's move is no act of its own".to_owned()).into())
            }
        }
    }

    /// The local day that somebody is in: today, unless they have signed a later one before the clock was set back.
    fn today(&self, campaign: &Campaign, who: Who) -> i32 {
        let last = self.calendars.get(&(who, campaign.number)).and_then(|calendar| calendar.last);
        campaign.zone.day_of(self.place.now_ms).max(last.unwrap_or(i32::MIN))
    }

    /// When an act was done: now, unless the house posts it later.
    fn done_ms(&self, ask: &Ask) -> i64 {
        ask.done_ms.unwrap_or(self.place.now_ms)
    }

    /// A campaign that runs as an act is done.
    fn running(&self, id: &str, ask: &Ask) -> Result<Arc<Campaign>, Error> {
        let campaign = Arc::clone(self.snapshot.campaign(id)?);
        campaign.window.check(self.done_ms(ask), &campaign.zone)?;
        Ok(campaign)
    }

    /// Whether somebody belongs to an audience of a campaign; everybody does where none is named.
    fn is_for(&mut self, campaign: &Campaign, audience: Option<&String>, ask: &Ask) -> bool {
        let Some(name) = audience else { return true };
        let Some(audience) = campaign.document.audiences.get(name) else { return false };
        let mut known = Known {
            day: campaign.zone.day_of(self.done_ms(ask)),
            campaign: campaign.number,
            ask,
            lists: &self.lists,
            calendars: &self.calendars,
            referrals: &self.referrals,
            counter: &mut self.counter,
        };
        belongs(audience, &mut known)
    }

    async fn write(self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let (shard, tenant) = (self.place.shard, self.place.tenant.number);
        let fresh = &self.fresh;
        act::save(tx, tenant, &fresh.acts).await?;
        act::note_names(tx, tenant, &fresh.names).await?;
        self.tallies.save(tx, tenant).await?;
        let calendars: Vec<_> =
            fresh.calendars.iter().filter_map(|key| Some((*key, *self.calendars.get(key)?))).collect();
        calendar::save(tx, tenant, &calendars).await?;
        let referrals: Vec<_> =
            fresh.referrals.iter().filter_map(|key| Some((*key, self.referrals.get(key)?))).collect();
        referral::save(tx, tenant, &referrals).await?;
        for (key, moved) in &self.shelves {
            offer::move_units(tx, (shard, tenant), key, *moved).await?;
        }
        orders::write(tx, (shard, tenant), &fresh.orders, &fresh.events).await?;
        self.counter.write(tx).await?;
        outbox::post(tx, shard, &fresh.effects).await?;
        self.led.write(tx, shard, self.place.now_ms).await?;
        if self.head.seq != self.locked.seq {
            outbox::post(tx, shard, &[act::kept(self.place.tenant, self.head.seq, self.place.now_ms)])
                .await?;
            self.head.save(tx, (shard, tenant), self.locked).await?;
        }
        Ok(())
    }
}

/// What was answered before.
fn repeat(ask: &Ask, known: &Act) -> Result<Done, Error> {
    // A day is signed once, whatever is sent along.
    let is_same = known.body_hash == ask.body_hash || matches!(ask.what, What::SignIn { .. });
    if is_same {
        return Ok(Done { acted: Acted::Kept(known.outcome.clone()), replayed: true });
    }
    Err(if matches!(ask.what, What::Refer { .. }) { Error::BroughtBefore } else { Error::KeyReused })
}
