//! Entries of a gate's log: draws and events, as rows and as what is hashed.
//!
//! An entry's digest is SHA-256 over length-prefixed fields: integers are eight bytes, big-endian; text
//! and hashes that are absent are empty fields, integers that a kind of event does not use are zero. The digests chain the gate's log and the participant's draws (see [`crate::fairness::link`]).

use std::sync::Arc;

use kernel::id::DrawId;
use kernel::varint::{put, take};
use records::audit::{Actor, Cause};
use records::error::Error as RecordsError;
use records::gate::{Gate, GateKey};
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::error::Error;
use crate::fairness::{hash_fields, link};
use crate::rules::{Chosen, Outcome, Step, Steps};

/// A draw, as it is written and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Names the row.
    pub id: DrawId,
    /// Whose it is, in public.
    pub pseudonym: [u8; 16],
    /// The participant's how-many-eth draw in this raffle, from 1.
    pub number: u64,
    /// The epoch whose seed gave the integer.
    pub epoch: u32,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The local day, counted from 1970-01-01.
    pub day: i32,
    /// The Idempotency-Key.
    pub key: String,
    /// SHA-256 of the request's body.
    pub body_hash: [u8; 32],
    /// The participant's own part of chance, where it is not the key.
    pub client_seed: Option<String>,
    /// What the caller told of the participant, as [`crate::standing::Attested::text`].
    pub attested: String,
    /// Its place among the draws of its request, from 0, and how many they are.
    pub part: u32,
    /// See `part`.
    pub parts: u32,
    /// The prize won.
    pub prize: Option<Arc<str>>,
    /// How it came about: see [`encode_trace`].
    pub trace: Vec<u8>,
    /// The participant's chain head after this draw.
    pub chain: [u8; 32],
}

impl Draw {
    /// The participant's part of chance.
    pub fn seed(&self) -> &str {
        self.client_seed.as_deref().unwrap_or(&self.key)
    }

    /// What the chain and the log hash.
    pub fn digest(&self) -> [u8; 32] {
        hash_fields(&[
            b"draw",
            &self.id.seq.to_be_bytes(),
            self.id.to_string().as_bytes(),
            &u64::from(self.epoch).to_be_bytes(),
            &self.pseudonym,
            &self.number.to_be_bytes(),
            &self.at_ms.to_be_bytes(),
            &i64::from(self.day).to_be_bytes(),
            self.seed().as_bytes(),
            self.attested.as_bytes(),
            self.prize.as_deref().unwrap_or_default().as_bytes(),
        ])
    }

    fn values<'a>(&'a self, tenant: u32) -> [Value<'a>; 19] {
        [
            Value::Int(self.id.shard.0.into()),
            Value::Int(tenant.into()),
            Value::Int(self.id.raffle.into()),
            Value::count(self.id.seq),
            Value::Int(self.id.bucket.into()),
            Value::Bytes(&self.pseudonym),
            Value::count(self.number),
            Value::Int(self.epoch.into()),
            Value::Int(self.at_ms),
            Value::Int(self.day.into()),
            Value::Text(&self.key),
            Value::Bytes(&self.body_hash),
            Value::text_or_null(self.client_seed.as_deref()),
            Value::Text(&self.attested),
            Value::Int(self.part.into()),
            Value::Int(self.parts.into()),
            Value::text_or_null(self.prize.as_deref()),
            Value::Bytes(&self.trace),
            Value::Bytes(&self.chain),
        ]
    }

    fn from_row(gate: GateKey, row: &Row) -> Result<Self, RecordsError> {
        Ok(Self {
            id: DrawId {
                seq: row.count(0)?,
                bucket: u16::try_from(row.int(1)?)
                    .map_err(|_| RecordsError::Corrupt("a bucket".to_owned()))?,
                shard: gate.shard,
                raffle: gate.subject,
            },
            pseudonym: row.array(2)?,
            number: row.count(3)?,
            epoch: row.small(4)?,
            at_ms: row.int(5)?,
            day: i32::try_from(row.int(6)?).map_err(|_| RecordsError::Corrupt("a day".to_owned()))?,
            key: row.text(7)?.to_owned(),
            body_hash: row.array(8)?,
            client_seed: row.text_or_null(9)?.map(str::to_owned),
            attested: row.text(10)?.to_owned(),
            part: row.small(11)?,
            parts: row.small(12)?,
            prize: row.text_or_null(13)?.map(Arc::from),
            trace: row.bytes(14)?.to_vec(),
            chain: row.array(15)?,
        })
    }
}

macro_rules! draw_columns {
    () => {
        "seq,bucket,pseudonym,number,epoch,at_ms,day,idem_key,body_hash,client_seed,attested,part,parts,prize,trace,chain"
    };
}

static DRAWS: Insert = Insert::new(
    "draw",
    &[
        "shard",
        "tenant",
        "raffle",
        "seq",
        "bucket",
        "pseudonym",
        "number",
        "epoch",
        "at_ms",
        "day",
        "idem_key",
        "body_hash",
        "client_seed",
        "attested",
        "part",
        "parts",
        "prize",
        "trace",
        "chain",
    ],
);
static DRAWS_AT: ByKeys = ByKeys::new(
    concat!("SELECT ", draw_columns!(), " FROM draw WHERE shard=? AND tenant=? AND raffle=?"),
    &["seq"],
    "",
);

/// Writes draws.
pub async fn write_draws(tx: &mut dyn Tx, tenant: u32, draws: &[Arc<Draw>]) -> Result<(), RecordsError> {
    let values: Vec<_> = draws.iter().flat_map(|draw| draw.values(tenant)).collect();
    DRAWS.rows(tx, &values).await
}

/// The draws of these sequences, in no order.
pub async fn draws_at(tx: &mut dyn Tx, gate: GateKey, seqs: &[u64]) -> Result<Vec<Draw>, RecordsError> {
    let keys: Vec<_> = seqs.iter().map(|seq| Value::count(*seq)).collect();
    let rows = DRAWS_AT.fetch(tx, &gate.values(), &keys).await?;
    rows.iter().map(|row| Draw::from_row(gate, row)).collect()
}

/// Up to `limit` draws after a sequence, in order.
pub async fn draws_after(
    tx: &mut dyn Tx,
    gate: GateKey,
    after: u64,
    limit: u32,
) -> Result<Vec<Draw>, RecordsError> {
    let sql = concat!(
        "SELECT ",
        draw_columns!(),
        " FROM draw WHERE shard=? AND tenant=? AND raffle=? AND seq>? ORDER BY seq LIMIT ?"
    );
    let values = [&gate.values()[..], &[Value::count(after), Value::Int(limit.into())]].concat();
    let rows = tx.fetch(sql, &values).await?;
    rows.iter().map(|row| Draw::from_row(gate, row)).collect()
}

/// Something that a gate numbers besides a draw. What a kind does not use is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its place in the gate's log.
    pub seq: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// One of [`EVENT_KINDS`].
    pub kind: &'static str,
    /// The prize whose stock moves, freezes or thaws; empty is the whole raffle.
    pub prize: String,
    /// Units that came to the segment.
    pub units: u64,
    /// The epoch that opens or closes.
    pub epoch: u32,
    /// The version that an opened epoch decides by.
    pub version: u32,
    /// Hash of that version's rules.
    pub rules_hash: Vec<u8>,
    /// Hash of the epoch's seed.
    pub seed_hash: Vec<u8>,
    /// Whom a promise is made to, in public.
    pub pseudonym: Vec<u8>,
    /// Why, in the operator's words.
    pub reason: String,
    /// The request that causes it, where one does. It is written, and found by; it is not read back.
    pub request: Option<Request>,
}

/// The request that caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The Idempotency-Key, after the route that it is scoped to where one table serves several routes.
    pub key: String,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
    /// Who asked: for the audit log.
    pub actor: Arc<Actor>,
}

impl Request {
    /// The request as the audit log names it.
    pub(crate) fn cause(&self) -> Cause {
        Cause { actor: Arc::clone(&self.actor), key: self.key.clone(), body_hash: Some(self.body_hash) }
    }
}

/// The kinds of event, by name.
pub const EVENT_KINDS: [&str; 6] = ["opened", "closed", "moved", "frozen", "thawed", "promised"];

impl Event {
    /// What the log hashes.
    pub fn digest(&self) -> [u8; 32] {
        hash_fields(&[
            b"event",
            &self.seq.to_be_bytes(),
            &self.at_ms.to_be_bytes(),
            self.kind.as_bytes(),
            self.prize.as_bytes(),
            &self.units.to_be_bytes(),
            &u64::from(self.epoch).to_be_bytes(),
            &u64::from(self.version).to_be_bytes(),
            &self.rules_hash,
            &self.seed_hash,
            &self.pseudonym,
            self.reason.as_bytes(),
        ])
    }

    /// Gives the event the gate's next number, chains it and writes it. The caller saves the gate.
    pub async fn append(mut self, tx: &mut dyn Tx, gate: &mut Gate) -> Result<Self, RecordsError> {
        self.seq = gate.seq + 1;
        gate.seq = self.seq;
        gate.log = link(&gate.log, &self.digest());
        let request = self.request.as_ref();
        let own = [
            Value::count(self.seq),
            Value::Int(self.at_ms),
            Value::Text(self.kind),
            Value::Text(&self.prize),
            Value::count(self.units),
            Value::Int(self.epoch.into()),
            Value::Int(self.version.into()),
            Value::Bytes(&self.rules_hash),
            Value::Bytes(&self.seed_hash),
            Value::Bytes(&self.pseudonym),
            Value::Text(&self.reason),
            Value::text_or_null(request.map(|request| request.key.as_str())),
            Value::Bytes(request.map_or(&[], |request| &request.body_hash)),
        ];
        tx.exec(
            "INSERT INTO gate_event (shard,tenant,raffle,seq,at_ms,kind,prize,units,epoch,version,rules_hash,
             seed_hash,pseudonym,reason,idem_key,body_hash) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            &[&gate.key.values()[..], &own].concat(),
        )
        .await?;
        Ok(self)
    }

    fn from_row(row: &Row) -> Result<Self, RecordsError> {
        let kind = row.text(2)?;
        let known = EVENT_KINDS.into_iter().find(|known| *known == kind);
        Ok(Self {
            seq: row.count(0)?,
            at_ms: row.int(1)?,
            kind: known.ok_or_else(|| RecordsError::Corrupt(format!("an event of kind {kind}")))?,
            prize: row.text(3)?.to_owned(),
            units: row.count(4)?,
            epoch: row.small(5)?,
            version: row.small(6)?,
            rules_hash: row.bytes(7)?.to_vec(),
            seed_hash: row.bytes(8)?.to_vec(),
            pseudonym: row.bytes(9)?.to_vec(),
            reason: row.text(10)?.to_owned(),
            request: None,
        })
    }

    /// The event that a request has caused before. The same key with another body is [`Error::KeyReused`].
    pub async fn by_request(
        tx: &mut dyn Tx,
        gate: GateKey,
        request: &Request,
    ) -> Result<Option<Self>, Error> {
        let sql = concat!(
            "SELECT seq,at_ms,kind,prize,units,epoch,version,rules_hash,seed_hash,pseudonym,reason,idem_key,body_hash ",
            "FROM gate_event WHERE shard=? AND tenant=? AND raffle=? AND idem_key=?"
        );
        let rows = tx.fetch(sql, &[&gate.values()[..], &[Value::Text(&request.key)]].concat()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        if row.array(12)? != request.body_hash {
            return Err(Error::KeyReused);
        }
        Ok(Some(Self::from_row(row)?))
    }

    /// All events up to a sequence, in order. There are few: what people do, not what participants do.
    pub async fn until(tx: &mut dyn Tx, gate: GateKey, last: u64) -> Result<Vec<Self>, RecordsError> {
        let sql = concat!(
            "SELECT seq,at_ms,kind,prize,units,epoch,version,rules_hash,seed_hash,pseudonym,reason,idem_key,body_hash ",
            "FROM gate_event WHERE shard=? AND tenant=? AND raffle=? AND seq<=? ORDER BY seq"
        );
        let rows = tx.fetch(sql, &[&gate.values()[..], &[Value::count(last)]].concat()).await?;
        rows.iter().map(Self::from_row).collect()
    }
}

/// A trace in a few bytes: pool, integer, how many places of the pool were left out and which, as LEB128; then for each
/// step the node (from 1; 0 is no node) and what was met there. With the version's rules it reads as words again.
pub fn encode_trace(outcome: &Outcome) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + 2 * outcome.steps.len());
    put(&mut bytes, outcome.chosen.pool as u64);
    put(&mut bytes, outcome.chosen.integer);
    put(&mut bytes, outcome.chosen.excluded.len() as u64);
    for place in &outcome.chosen.excluded {
        put(&mut bytes, *place as u64);
    }
    for (node, step) in &outcome.steps {
        bytes.push(node.map_or(0, |node| u8::try_from(node + 1).unwrap_or(u8::MAX)));
        bytes.push(*step as u8);
    }
    bytes
}

fn take_chosen(bytes: &mut &[u8]) -> Option<Chosen> {
    let pool = usize::try_from(take(bytes)?).ok()?;
    let integer = take(bytes)?;
    let count = usize::try_from(take(bytes)?).ok().filter(|count| *count <= bytes.len())?;
    let excluded = (0..count).map(|_| usize::try_from(take(bytes)?).ok());
    Some(Chosen { pool, integer, excluded: excluded.collect::<Option<_>>()? })
}

/// Reads what chance picked from a trace, and not the steps.
pub fn decode_chosen(mut bytes: &[u8]) -> Option<Chosen> {
    take_chosen(&mut bytes)
}

/// Reads a trace back: what chance picked, and the steps.
pub fn decode_trace(mut bytes: &[u8]) -> Option<(Chosen, Steps)> {
    let chosen = take_chosen(&mut bytes)?;
    let steps = bytes.chunks(2).map(|pair| match pair {
        [node, step] => Some((usize::from(*node).checked_sub(1), Step::from_number(*step)?)),
        _ => None,
    });
    Some((chosen, steps.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_survives_the_round_trip() {
        for integer in [0, 1, 127, 128, 9_702, u64::MAX] {
            let chosen = Chosen { pool: 65, integer, excluded: vec![0, 3, 200] };
            let steps = vec![(Some(0), Step::Locked), (None, Step::Taken), (Some(31), Step::Empty)];
            let outcome = Outcome { chosen: chosen.clone(), steps: steps.clone(), prize: None };
            assert_eq!(decode_trace(&encode_trace(&outcome)), Some((chosen.clone(), steps)));
            assert_eq!(decode_chosen(&encode_trace(&outcome)), Some(chosen));
        }
        for wrong in [&[0, 5, 0, 1][..], &[0, 5, 9, 1], &[0, 5], &[0, 5, 0, 1, 99]] {
            assert_eq!(decode_trace(wrong), None, "{wrong:?}");
        }
        assert_eq!(decode_trace(&[]), None);
    }
}
