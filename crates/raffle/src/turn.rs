//! How a gate goes from one epoch to the next, and how a closed epoch is revealed.

use std::sync::Arc;

use async_trait::async_trait;
use kernel::hex::hex;
use kernel::id::Shard;
use kernel::ports::PortError;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use records::gate::Gate;
use records::inbox::{self, Heard};
use records::machine::{self, Outcome};
use records::outbox::{self, Effect};
use records::port::{Records, Tx, Value, write};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Raffle, seed_secret};
use crate::entry::{Event, Request};
use crate::epoch::{self, Closing, Epoch, GATE_CLOSED};
use crate::error::Error;
use crate::fairness::{epoch_name, sha256};
use crate::seal::fresh_secret;

/// Body of [`GATE_CLOSED`].
#[derive(Debug, Serialize, Deserialize)]
struct GateClosed {
    raffle: u32,
    epoch: u32,
    closing: Closing,
}

/// The version that an epoch decides by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decides {
    pub(crate) version: u32,
    pub(crate) rules_hash: [u8; 32],
    pub(crate) until_ms: Option<i64>,
}

/// A seed, made before the transaction that may use it.
pub(crate) struct Seed {
    hash: [u8; 32],
    secret: [u8; 32],
}

impl Seed {
    pub(crate) fn fresh(entropy: &dyn Entropy) -> Result<Self, Error> {
        let secret = fresh_secret(entropy)?;
        Ok(Self { hash: sha256(&secret), secret })
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// Closes the gate's epoch: its last entry, and the effect that tells home.
pub(crate) async fn close(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    gate: &mut Gate,
    now_ms: i64,
) -> Result<(), Error> {
    if gate.epoch == 0 {
        return Ok(());
    }
    let (number, first) = (gate.epoch, gate.epoch_first);
    let event = Event { kind: "closed", at_ms: now_ms, epoch: number, ..Event::default() };
    let event = event.append(tx, gate).await?;
    let closing = Closing { shard: gate.key.shard.0, first, last: event.seq, log: hex(&gate.log) };
    let body = serde_json::to_vec(&GateClosed { raffle: raffle.number, epoch: number, closing });
    let effect = Effect {
        topic: GATE_CLOSED,
        subject: raffle.number,
        seq: event.seq,
        key: epoch::machine_id(raffle.number, number),
        n: 1,
        body: body.map_err(|error| Error::BrokenVersion(error.to_string()))?,
        at_ms: now_ms,
        due_ms: None,
    };
    outbox::post(tx, gate.key.shard, &[effect]).await?;
    gate.epoch = 0;
    Ok(())
}

/// Commits to a seed and opens the next epoch on the gate. The commitment is an entry of the log, and in the records
/// before the first draw under it can be decided.
pub(crate) async fn open(
    tx: &mut dyn Tx,
    (raffle, catalog): (&Raffle, &Catalog),
    gate: &mut Gate,
    decides: Decides,
    (seed, entropy): (&Seed, &dyn Entropy),
    (now_ms, request): (i64, Option<Request>),
) -> Result<u32, Error> {
    let raffle_key = [Value::Int(raffle.tenant.number.into()), Value::Int(raffle.number.into())];
    let last = tx
        .fetch(
            "SELECT COALESCE(MAX(epoch),0) FROM raffle_epoch WHERE shard=0 AND tenant=? AND raffle=?",
            &raffle_key,
        )
        .await?;
    let number = last.first().map_or(Ok(0), |row| row.small(0))? + 1;
    let name = epoch_name(raffle.tenant.name, &raffle.id, number);
    let sealed = catalog.sealer().seal(&seed.secret, &seed_secret(&name), entropy)?;
    let values = [
        Value::Int(number.into()),
        Value::Int(decides.version.into()),
        Value::Bytes(&sealed),
        Value::Bytes(&seed.hash),
        Value::Bytes(&decides.rules_hash),
        Value::Int(now_ms),
    ];
    tx.exec(
        "INSERT INTO raffle_epoch (shard,tenant,raffle,epoch,version,seed,seed_hash,rules_hash,opened_ms)
         VALUES (0,?,?,?,?,?,?,?,?)",
        &[&raffle_key[..], &values].concat(),
    )
    .await?;
    let machine = Epoch::Open { gates: vec![gate.key.shard.0], closed: vec![] };
    let due_ms = decides.until_ms;
    machine::start(tx, Shard::HOME, &[(epoch::machine_id(raffle.number, number), machine, due_ms)]).await?;
    let event = Event {
        kind: "opened",
        at_ms: now_ms,
        epoch: number,
        version: decides.version,
        rules_hash: decides.rules_hash.to_vec(),
        seed_hash: seed.hash.to_vec(),
        request,
        ..Event::default()
    };
    let event = event.append(tx, gate).await?;
    gate.epoch = number;
    gate.epoch_first = event.seq;
    gate.version = decides.version;
    Ok(number)
}

/// Home's ear: hears that gates have closed an epoch, and reveals its seed after the last.
pub struct Reveals {
    records: Arc<dyn Records>,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
}

impl Reveals {
    /// An ear over records.
    pub fn new(records: Arc<dyn Records>, catalog: Arc<Catalog>, clock: Arc<dyn Clock>) -> Self {
        Self { records, catalog, clock }
    }

    async fn hear(&self, message: &Message) -> Result<(), Error> {
        let broken = |error: serde_json::Error| Error::BrokenVersion(error.to_string());
        let told: GateClosed = serde_json::from_slice(&message.body).map_err(broken)?;
        let raffle = self.catalog.raffle_numbered(told.raffle).await?;
        let (_, seed) = self.catalog.version_and_seed(&raffle, told.epoch).await?;
        let event = epoch::Event::GateClosed { closing: told.closing, seed: hex(&seed) };
        let (effect, now_ms) = (message.effect.clone(), self.clock.now_ms());
        write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                if inbox::admit(tx, Shard::HOME, "reveals", &effect, now_ms).await? == Heard::Again {
                    return Ok(());
                }
                let id = epoch::machine_id(told.raffle, told.epoch);
                match machine::apply::<Epoch>(tx, Shard::HOME, &id, &event).await? {
                    Outcome::Moved(_) | Outcome::Replayed(_) => Ok(()),
                    // Rolled back with the inbox's note, so that it is tried again and then told as a dead letter.
                    Outcome::Illegal(_) | Outcome::Missing => {
                        Err(Error::BrokenVersion(format!("epoch {} cannot be closed so", told.epoch)))
                    }
                }
            })
        })
        .await
    }
}

#[async_trait]
impl Subscriber for Reveals {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            answers.push(self.hear(message).await.map_err(|error| PortError::Unavailable(Box::new(error))));
        }
        answers
    }
}
