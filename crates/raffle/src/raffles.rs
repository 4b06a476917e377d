//! Everything that can be done with raffles, as the edge calls it.

use std::sync::Arc;

use campaign::award::DRAW_MADE;
use kernel::id::{DrawId, Shard, Tenant, fingerprint};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use records::batch::{self, Batcher, Limits};
use records::gate::{Gate, GateKey, Segment};
use records::machine;
use records::outbox;
use records::port::{Records, Value, read};
use records::pulse::Pulse;

use crate::catalog::{Catalog, LiveEpoch, Raffle};
use crate::document::Document;
use crate::draft::Drafts;
use crate::draw::{Ask, Drawn, Draws, Witness};
use crate::entry::{self, Draw, Request};
use crate::epoch::{self, Epoch, GATE_CLOSED};
use crate::error::Error;
use crate::player::PlayerKey;
use crate::proposal::Proposals;
use crate::publish::{Publish, Published};
use crate::rules::Plan;
use crate::seal::Sealer;
use crate::standing::Attested;
use crate::stock::{Carried, Order};
use crate::threshold::Thresholds;
use crate::version::Versions;

/// The raffles of a tenant.
#[derive(Clone)]
pub struct Raffles {
    records: Arc<dyn Records>,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    tenant: Tenant,
    draws: Arc<Draws>,
    batcher: Batcher<Draws>,
    pulse: Arc<Pulse>,
}

/// Most raffles whose time is over that are looked at in one go.
const DUE_MAX: u32 = 1024;

/// A request for a draw, as it came.
pub struct DrawRequest {
    /// The raffle's id.
    pub raffle: String,
    /// Who draws: 1 to 128 characters.
    pub participant: String,
    /// Their own part of chance.
    pub client_seed: Option<String>,
    /// What the caller tells of them.
    pub attested: Attested,
    /// How many draws, from 1 to [`crate::draw::PARTS_MAX`].
    pub parts: u32,
    /// The Idempotency-Key and the body's hash.
    pub request: Request,
}

/// A raffle as it stands.
pub struct Standing {
    /// Its id.
    pub id: String,
    /// Whether no draw is taken.
    pub frozen: bool,
    /// The epoch that draws; `None` when the raffle is over.
    pub epoch: Option<u32>,
    /// The version that decides.
    pub version: u32,
    /// That version's rules.
    pub plan: Arc<Plan>,
    /// Entries in the gate's log.
    pub entries: u64,
    /// Finite prizes: granted and free.
    pub segments: Vec<Segment>,
}

/// An epoch's commitment, and its reveal.
pub struct EpochRow {
    /// Its number.
    pub epoch: u32,
    /// The version that decides in it.
    pub version: u32,
    /// SHA-256 of the seed, published before the first draw.
    pub seed_hash: [u8; 32],
    /// SHA-256 of the rules.
    pub rules_hash: [u8; 32],
    /// When it opened, in milliseconds since the epoch.
    pub opened_ms: i64,
    /// Where it stands.
    pub state: Epoch,
}

/// A draw with everything about it.
pub struct Found {
    /// The draw.
    pub draw: Arc<Draw>,
    /// The raffle.
    pub raffle: Arc<Raffle>,
    /// The epoch that decided it.
    pub epoch: Arc<LiveEpoch>,
    /// The participant; `None` where the person was erased.
    pub participant: Option<String>,
    /// The epoch's commitment, and its reveal.
    pub commitment: EpochRow,
}

impl Raffles {
    /// Raffles over ports. The future drives the draws; someone must await it until [`Raffles::close`] has let it end.
    pub fn new(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sealer: Sealer,
        limits: Limits,
        thresholds: Thresholds,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::witnessed(records, clock, entropy, sealer, limits, thresholds, Arc::new(()))
    }

    /// The same, with a witness to every draw.
    pub fn witnessed(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sealer: Sealer,
        limits: Limits,
        thresholds: Thresholds,
        witness: Arc<dyn Witness>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tenant, shard) = (Tenant::MAIN, Shard::HOME);
        let catalog = Arc::new(Catalog::new(Arc::clone(&records), sealer, tenant));
        let draws = Arc::new(Draws {
            records: Arc::clone(&records),
            catalog: Arc::clone(&catalog),
            clock: Arc::clone(&clock),
            entropy,
            thresholds,
            tenant,
            shard,
            witness,
        });
        let (batcher, driver) = batch::open(Arc::clone(&records), shard, Arc::clone(&draws), limits);
        let pulse = Arc::new(Pulse::new(shard));
        (Self { records, catalog, clock, tenant, draws, batcher, pulse }, driver)
    }

    /// Takes no more draws; those that wait are decided.
    pub fn close(&self) {
        self.batcher.close();
    }

    /// The records behind.
    pub fn records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.records)
    }

    /// The time of day.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// What this process remembers.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Draws. The same key and body answer the same draw, for as long as its record lives.
    pub async fn draw(&self, asked: DrawRequest) -> Result<Drawn, Error> {
        let raffle = self.catalog.raffle(&asked.raffle).await;
        let raffle = raffle.inspect_err(|error| self.draws.witness.refused(error))?;
        let (bucket, pseudonym) = raffle.player(&asked.participant);
        let ask = Ask {
            bucket,
            pseudonym,
            fingerprint: fingerprint(asked.request.key.as_bytes()),
            raffle,
            participant: asked.participant,
            key: asked.request.key,
            body_hash: asked.request.body_hash,
            client_seed: asked.client_seed,
            attested: asked.attested,
            parts: asked.parts,
        };
        self.batcher.submit(ask).await
    }

    /// Publishes a document.
    pub async fn publish(&self, publish: Publish) -> Result<Published, Error> {
        self.draws.publish(publish).await
    }

    /// Drafts of versions.
    pub fn drafts(&self) -> Drafts {
        Drafts::new(Arc::clone(&self.draws))
    }

    /// Orders that two people give together.
    pub fn proposals(&self) -> Proposals {
        Proposals::new(Arc::clone(&self.draws))
    }

    /// What was published.
    pub fn versions(&self) -> Versions {
        Versions::new(Arc::clone(&self.draws))
    }

    /// Restocks, freezes or thaws.
    pub async fn carry_out(
        &self,
        raffle: &str,
        order: Order,
        reason: String,
        request: Request,
    ) -> Result<Carried, Error> {
        let raffle = self.catalog.raffle(raffle).await?;
        self.draws.carry_out(&raffle, order, reason, request).await
    }

    /// The bucket and the public name of a participant.
    pub async fn player_key(&self, raffle: &str, participant: &str) -> Result<PlayerKey, Error> {
        Ok(self.catalog.raffle(raffle).await?.player(participant))
    }

    /// Closes the epoch, so that its seed is revealed, and opens the next under the same version. Answers that epoch, and
    /// whether it had been opened before, for the same key.
    pub async fn turn(&self, raffle: &str, request: Request) -> Result<(u32, bool), Error> {
        let raffle = self.catalog.raffle(raffle).await?;
        self.draws.next_epoch(&raffle, None, Some(request)).await
    }

    /// Closes the last epochs of raffles whose window is over. Answers how many.
    pub async fn close_what_is_over(&self) -> Result<usize, Error> {
        let now_ms = self.clock.now_ms();
        let due = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(
                async move { Ok::<_, Error>(machine::due::<Epoch>(tx, Shard::HOME, now_ms, DUE_MAX).await?) },
            )
        })
        .await?;
        let mut closed = 0;
        for id in due {
            match self.close_one(&id).await {
                Ok(was_open) => closed += usize::from(was_open),
                // One that cannot be closed must not keep the others open.
                Err(error) => tracing::warn!(%error, "an epoch whose time is over could not be closed"),
            }
        }
        Ok(closed)
    }

    async fn close_one(&self, id: &[u8]) -> Result<bool, Error> {
        let Some((raffle, epoch)) = epoch::from_machine_id(id) else { return Ok(false) };
        let raffle = self.catalog.raffle_numbered(raffle).await?;
        self.draws.close_epoch(&raffle, epoch).await
    }

    /// The ids of raffles after one, in order.
    pub async fn ids_after(&self, after: &str, limit: u32) -> Result<Vec<String>, Error> {
        self.catalog.ids_after(after, limit).await
    }

    /// A raffle as it stands.
    pub async fn standing(&self, raffle: &str) -> Result<Standing, Error> {
        let raffle = self.catalog.raffle(raffle).await?;
        let key = raffle.gate(self.draws.shard);
        let (gate, segments) = read(&*self.records, self.draws.shard, move |tx| {
            Box::pin(async move {
                let gate = Gate::peek(tx, key).await?;
                Ok::<_, Error>((gate, Segment::all(tx, key).await?))
            })
        })
        .await?;
        let gate = gate.ok_or_else(|| Error::NoSuchRaffle(raffle.id.clone()))?;
        let plan = self.catalog.plan(&raffle, gate.version).await?;
        Ok(Standing {
            id: raffle.id.clone(),
            frozen: gate.frozen,
            epoch: Some(gate.epoch).filter(|epoch| *epoch > 0),
            version: gate.version,
            plan,
            entries: gate.seq,
            segments,
        })
    }

    /// A version's document as it was published, and its canonical rules.
    pub async fn version(&self, raffle: &str, version: u32) -> Result<(Document, String), Error> {
        let raffle = self.catalog.raffle(raffle).await?;
        let (tenant, number) = (raffle.tenant.number, raffle.number);
        let found = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT document,rules FROM raffle_version WHERE shard=0 AND tenant=? AND raffle=? AND version=?";
                let key = [Value::Int(tenant.into()), Value::Int(number.into()), Value::Int(version.into())];
                let rows = tx.fetch(sql, &key).await?;
                rows.first().map(|row| Ok::<_, Error>((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).transpose()
            })
        })
        .await?;
        let (document, rules) = found.ok_or(Error::NoSuchVersion(version))?;
        let document = crate::document::read(&document)
            .map_err(|_| Error::BrokenVersion(format!("the document of version {version}")))?;
        Ok((document, rules))
    }

    /// All epochs of a raffle, in order.
    pub async fn epochs(&self, raffle: &str) -> Result<Vec<EpochRow>, Error> {
        let raffle = self.catalog.raffle(raffle).await?;
        self.epoch_rows(&raffle, None).await
    }

    async fn epoch_rows(&self, raffle: &Raffle, only: Option<u32>) -> Result<Vec<EpochRow>, Error> {
        let (tenant, number) = (raffle.tenant.number, raffle.number);
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT epoch,version,seed_hash,rules_hash,opened_ms FROM raffle_epoch
                    WHERE shard=0 AND tenant=? AND raffle=? AND epoch>=? AND epoch<=? ORDER BY epoch";
                let (from, until) = only.map_or((0, i64::from(u32::MAX)), |only| (only.into(), only.into()));
                let key = [
                    Value::Int(tenant.into()),
                    Value::Int(number.into()),
                    Value::Int(from),
                    Value::Int(until),
                ];
                let mut epochs = Vec::new();
                for row in tx.fetch(sql, &key).await? {
                    let epoch = row.small(0)?;
                    let state =
                        machine::get::<Epoch>(tx, Shard::HOME, &epoch::machine_id(number, epoch)).await?;
                    let state =
                        state.ok_or_else(|| Error::BrokenVersion(format!("epoch {epoch} has no state")))?;
                    epochs.push(EpochRow {
                        epoch,
                        version: row.small(1)?,
                        seed_hash: row.array(2)?,
                        rules_hash: row.array(3)?,
                        opened_ms: row.int(4)?,
                        state,
                    });
                }
                Ok(epochs)
            })
        })
        .await
    }

    /// A draw by its id.
    pub async fn find(&self, id: DrawId) -> Result<Found, Error> {
        let missing = || Error::NoSuchDraw(id.to_string());
        let raffle = match self.catalog.raffle_numbered(id.raffle).await {
            Err(Error::NoSuchRaffle(_)) => return Err(missing()),
            found => found?,
        };
        let key = raffle.gate(id.shard);
        if !self.records.shards().contains(&id.shard) {
            return Err(missing());
        }
        let (draw, participant) = read(&*self.records, id.shard, move |tx| {
            Box::pin(async move {
                let draws = entry::draws_at(tx, key, &[id.seq]).await?;
                let Some(draw) = draws.into_iter().next().filter(|draw| draw.id == id) else {
                    return Ok((None, None));
                };
                let players = crate::player::load(tx, key, &[((id.bucket, draw.pseudonym), 0)]).await?;
                let participant = players.into_values().next().and_then(|player| player.participant);
                Ok::<_, Error>((Some(draw), participant))
            })
        })
        .await?;
        let draw = draw.ok_or_else(missing)?;
        let epoch = self.catalog.epoch(&raffle, draw.epoch).await?;
        let commitment = self.epoch_rows(&raffle, Some(draw.epoch)).await?.into_iter().next();
        let commitment = commitment.ok_or_else(|| Error::BrokenVersion("its epoch is gone".to_owned()))?;
        Ok(Found { draw: Arc::new(draw), raffle, epoch, participant, commitment })
    }

    /// Whether draws are taken, and what is written is kept. Writes once a second at the most, unless callers go away: run
    /// it where it is not cut short.
    pub async fn check_writing(&self) -> Result<(), Error> {
        if !self.batcher.is_open() {
            return Err(records::error::Error::Closed.into());
        }
        Ok(self.pulse.check(&*self.records, &*self.clock).await?)
    }

    /// How many draws wait for a transaction.
    pub fn waiting(&self) -> usize {
        self.batcher.waiting()
    }

    /// The segments of the first `raffles_max` raffles, in the order of their ids, as one moment has them.
    pub async fn stock(&self, raffles_max: u32) -> Result<Vec<(String, Vec<Segment>)>, Error> {
        let (tenant, shard) = (self.tenant, self.draws.shard);
        read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let sql = "SELECT id,number FROM raffle WHERE shard=0 AND tenant=? ORDER BY id LIMIT ?";
                let values = [Value::Int(tenant.number.into()), Value::Int(raffles_max.into())];
                let mut stock = Vec::new();
                for row in tx.fetch(sql, &values).await? {
                    let key = GateKey { shard, tenant: tenant.number, subject: row.small(1)? };
                    stock.push((row.text(0)?.to_owned(), Segment::all(tx, key).await?));
                }
                Ok::<_, Error>(stock)
            })
        })
        .await
    }

    /// When the oldest unsent effect of a raffle was caused, dead letters not counted, in milliseconds since the Unix epoch. `None`
    /// where all are sent.
    pub async fn oldest_unsent_ms(&self) -> Result<Option<i64>, Error> {
        let (tenant, shard) = (self.tenant, self.draws.shard);
        read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let mut oldest: Option<i64> = None;
                let mut heads = outbox::heads(tx, shard, DRAW_MADE).await?;
                heads.extend(outbox::heads(tx, shard, GATE_CLOSED).await?);
                for (subject, seq) in heads {
                    let key = GateKey { shard, tenant: tenant.number, subject };
                    let at_ms = entry::at_ms(tx, key, seq).await?;
                    oldest = match (oldest, at_ms) {
                        (Some(known), Some(at_ms)) => Some(known.min(at_ms)),
                        (known, at_ms) => known.or(at_ms),
                    };
                }
                Ok::<_, Error>(oldest)
            })
        })
        .await
    }

    /// Unsent effects: fresh, waiting, dead.
    pub async fn backlog(&self) -> Result<(u64, u64, u64), Error> {
        read(&*self.records, Shard::HOME, |tx| {
            Box::pin(async move { Ok::<_, Error>(outbox::backlog(tx, Shard::HOME).await?) })
        })
        .await
    }
}
