//! Draws, in batches: lock the gate and load what judges, decide item by item in memory, write what survived.

mod desk;
mod till;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use ledger::desk::Desk as LedgerDesk;
use records::audit::{self, Change, Stream};
use records::batch::{Batch, Decision, Decisions};
use records::error::Error as RecordsError;
use records::gate::Gate;
use records::outbox::Pressure;
use records::port::{Records, Tx, write};

use crate::catalog::{Catalog, LiveEpoch, Raffle};
use crate::entry::{Draw, Event, Request};
use crate::error::Error;
use crate::standing::Attested;
use crate::threshold::Thresholds;
use crate::turn::{self, Decides, Seed};
use desk::Desk;
use till::Till;

/// One request for a draw.
pub struct Ask {
    /// The raffle.
    pub raffle: Arc<Raffle>,
    /// Who draws.
    pub participant: String,
    /// Their bucket.
    pub bucket: u16,
    /// Their public name.
    pub pseudonym: [u8; 16],
    /// The Idempotency-Key.
    pub key: String,
    /// Its fingerprint.
    pub fingerprint: u64,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
    /// Their own part of chance, where it is not the key.
    pub client_seed: Option<String>,
    /// What the caller tells of them.
    pub attested: Attested,
    /// How many draws, from 1 to [`PARTS_MAX`]: all are made, or none.
    pub parts: u32,
}

/// Most draws of one request.
pub const PARTS_MAX: u32 = 100;

/// A draw that is on the disk.
pub struct Drawn {
    /// The draw: the first, where the request asks for several.
    pub draw: Arc<Draw>,
    /// The others.
    pub more: Vec<Arc<Draw>>,
    /// The epoch that decided it.
    pub epoch: Arc<LiveEpoch>,
    /// Whether it had been made before, for the same key.
    pub replayed: bool,
}

/// What a draw may lack before it can be decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lack {
    /// The rules and the seed of an epoch, in this process's memory.
    Epoch {
        /// The raffle's number.
        raffle: u32,
        /// The epoch.
        epoch: u32,
    },
    /// An epoch that is not full.
    Turn {
        /// The raffle's number.
        raffle: u32,
        /// The epoch that is.
        full: u32,
    },
}

/// Hears what becomes of draws, on the thread that drives their batches: whatever it does, every draw waits for.
pub trait Witness: Send + Sync {
    /// A transaction over `draws` asks begins, while `waiting` more wait.
    fn batch_begins(&self, _draws: usize, _waiting: usize) {}
    /// That transaction ended: kept, or with an error.
    fn batch_ended(&self, _failed: Option<&RecordsError>) {}
    /// A draw is kept, or was before; its caller is about to be told.
    fn drew(&self, _drawn: &Drawn) {}
    /// An ask was refused.
    fn refused(&self, _error: &Error) {}
}

/// Nobody listens.
impl Witness for () {}

/// Draws on one database.
pub struct Draws {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) thresholds: Thresholds,
    pub(crate) tenant: Tenant,
    pub(crate) shard: Shard,
    pub(crate) witness: Arc<dyn Witness>,
    pub(crate) pressure: Arc<Pressure>,
}

#[async_trait]
impl Batch for Draws {
    type Item = Ask;
    type Answer = Drawn;
    type Error = Error;
    type Lack = Lack;

    async fn run(&self, tx: &mut dyn Tx, items: &[Arc<Ask>]) -> Result<Decisions<Self>, RecordsError> {
        let mut by_raffle: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (place, ask) in items.iter().enumerate() {
            by_raffle.entry(ask.raffle.number).or_default().push(place);
        }
        let mut decisions: Vec<Option<Decision<Drawn, Error, Lack>>> = items.iter().map(|_| None).collect();
        // Every gate, in the order of raffle numbers, then the ledger: whoever locks several of them locks them so.
        let mut desks = Vec::with_capacity(by_raffle.len());
        for places in by_raffle.values() {
            let asks: Vec<&Ask> = places.iter().map(|place| &*items[*place]).collect();
            let Some(first) = asks.first() else { continue };
            match Desk::open(tx, &first.raffle, self.shard, &asks, &self.catalog).await? {
                Some(desk) => desks.push((desk, places, asks)),
                None => {
                    let missing = || Decision::Refused(Error::NoSuchRaffle(first.raffle.id.clone()));
                    places.iter().for_each(|place| decisions[*place] = Some(missing()));
                }
            }
        }
        // Read under the locks: no draw is earlier than one with a smaller number.
        let (now_ms, admitted) = (self.clock.now_ms(), self.pressure.admit());
        let wallets = desks.iter().flat_map(|(desk, _, asks)| desk.wallets(asks)).collect();
        let ledger = LedgerDesk { tenant: self.tenant, shard: self.shard, now_ms };
        let mut till = Till::open(tx, ledger, wallets).await?;
        for (desk, places, asks) in &mut desks {
            for (place, ask) in places.iter().zip(asks.iter()) {
                decisions[*place] =
                    Some(desk.decide(ask, &self.catalog, till.as_mut(), (now_ms, &admitted))?);
            }
        }
        for (desk, _, _) in desks {
            desk.write(tx).await?;
        }
        if let Some(till) = till {
            till.write(tx).await?;
        }
        let whole: Option<Decisions<Self>> = decisions.into_iter().collect();
        whole.ok_or_else(|| RecordsError::Corrupt("an item was not decided".to_owned()))
    }

    async fn supply(&self, lack: Lack) -> Result<(), Error> {
        match lack {
            Lack::Epoch { raffle, epoch } => {
                let raffle = self.catalog.raffle_numbered(raffle).await?;
                self.catalog.epoch(&raffle, epoch).await.map(|_| ())
            }
            Lack::Turn { raffle, full } => self.turn(raffle, full).await,
        }
    }

    fn begins(&self, items: usize, waiting: usize) {
        self.witness.batch_begins(items, waiting);
    }

    fn ended(&self, failed: Option<&RecordsError>) {
        self.witness.batch_ended(failed);
    }

    fn told(&self, outcome: &Result<Drawn, Error>) {
        match outcome {
            Ok(drawn) => self.witness.drew(drawn),
            Err(error) => self.witness.refused(error),
        }
    }
}

impl Draws {
    /// Closes a full epoch and opens the next under the same version, unless somebody has.
    async fn turn(&self, raffle: u32, full: u32) -> Result<(), Error> {
        let raffle = self.catalog.raffle_numbered(raffle).await?;
        let (next, _) = self.next_epoch(&raffle, Some(full), None).await?;
        // Into memory, so that what waits is not deferred once more.
        self.catalog.epoch(&raffle, next).await.map(|_| ())
    }

    /// Closes the gate's epoch (where `only` is given: if it is that one) and opens the next under the same version, once
    /// per request. Answers the epoch that is open afterwards, and whether the request had been carried out before.
    pub(crate) async fn next_epoch(
        &self,
        raffle: &Arc<Raffle>,
        only: Option<u32>,
        request: Option<Request>,
    ) -> Result<(u32, bool), Error> {
        let seed = Seed::fresh(&*self.entropy)?;
        let clock = Arc::clone(&self.clock);
        let (raffle, catalog, entropy) =
            (Arc::clone(raffle), Arc::clone(&self.catalog), Arc::clone(&self.entropy));
        let key = raffle.gate(self.shard);
        write(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let gate = Gate::lock(tx, key).await?;
                let mut gate = gate.ok_or_else(|| Error::NoSuchRaffle(raffle.id.clone()))?;
                if let Some(request) = &request
                    && let Some(event) = Event::by_request(tx, key, request).await?
                {
                    return Ok((event.epoch, true));
                }
                if gate.epoch == 0 {
                    return Err(Error::Over);
                }
                let now_ms = clock.now_ms();
                if only.is_some_and(|only| only != gate.epoch) {
                    return Ok((gate.epoch, false));
                }
                let cause = request.as_ref().map(Request::cause);
                let decides = decides(tx, &raffle, gate.version).await?;
                turn::close(tx, &raffle, &mut gate, now_ms).await?;
                let number = turn::open(
                    tx,
                    (&raffle, &catalog),
                    &mut gate,
                    decides,
                    (&seed, &*entropy),
                    (now_ms, request),
                )
                .await?;
                gate.save(tx).await?;
                // An epoch that was full turned by itself: that is in the gate's log, and nobody's change.
                if let Some(cause) = cause {
                    let detail = format!("epoch {number}");
                    let change = Change { at_ms: now_ms, action: "turn", subject: raffle.subject(), detail };
                    let changes = Stream::changes(key.shard, raffle.tenant.number);
                    audit::append(tx, &changes, &cause, change).await?;
                }
                Ok((number, false))
            })
        })
        .await
    }
}

impl Draws {
    /// Closes an epoch without opening another. Answers whether it was open.
    pub(crate) async fn close_epoch(&self, raffle: &Arc<Raffle>, epoch: u32) -> Result<bool, Error> {
        let (raffle, clock, key) = (Arc::clone(raffle), Arc::clone(&self.clock), raffle.gate(self.shard));
        write(&*self.records, self.shard, move |tx| {
            Box::pin(async move {
                let gate = Gate::lock(tx, key).await?;
                let mut gate = gate.ok_or_else(|| Error::NoSuchRaffle(raffle.id.clone()))?;
                if gate.epoch != epoch {
                    return Ok(false);
                }
                turn::close(tx, &raffle, &mut gate, clock.now_ms()).await?;
                gate.save(tx).await?;
                Ok(true)
            })
        })
        .await
    }
}

/// What an epoch under a published version is committed to.
async fn decides(tx: &mut dyn Tx, raffle: &Raffle, version: u32) -> Result<Decides, Error> {
    let (rules, text) = crate::catalog::rules(tx, raffle, version).await?;
    let rules_hash = crate::fairness::sha256(text.as_bytes());
    Ok(Decides { version, rules_hash, until_ms: rules.until_ms })
}
