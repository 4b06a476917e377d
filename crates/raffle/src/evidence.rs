//! The evidence of a raffle: what an outsider needs to replay every draw of its revealed epochs.
//!
//! JSON lines. The first is the [`Header`]; each after it is one entry of the gate's log, in order, from the first to the
//! last entry of the last revealed epoch. `docs/fairness/` describes the fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::hex::hex;
use records::port::{Records, read};
use serde::{Deserialize, Serialize};

use crate::catalog::{Raffle, rules_text};
use crate::entry::{self, Draw, Event};
use crate::epoch::Epoch;
use crate::error::Error;
use crate::raffles::{EpochRow, Raffles};

/// The format of the evidence.
pub const FORMAT: &str = "fairground/evidence/1";

/// Draws read at a time.
const PAGE: u32 = 2_000;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// The tenant's name.
    pub tenant: String,
    /// The raffle's id.
    pub raffle: String,
    /// All revealed epochs, in order.
    pub epochs: Vec<RevealedEpoch>,
    /// The canonical rules of each version, as the text that was hashed.
    pub versions: BTreeMap<u32, String>,
}

/// A revealed epoch. Hashes and the seed are hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealedEpoch {
    /// Its number.
    pub epoch: u32,
    /// The version that decided.
    pub version: u32,
    /// SHA-256 of the seed: the commitment.
    pub seed_hash: String,
    /// SHA-256 of the rules.
    pub rules_hash: String,
    /// The seed.
    pub seed: String,
    /// Its first entry.
    pub first: u64,
    /// Its last entry.
    pub last: u64,
    /// The log hash after its last entry.
    pub log: String,
}

/// A draw, as the evidence shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the same names as in `entry::Draw`")]
pub struct DrawLine {
    pub seq: u64,
    pub draw: String,
    pub epoch: u32,
    pub pseudonym: String,
    pub number: u64,
    pub at_ms: i64,
    pub day: i32,
    pub client_seed: String,
    /// What a caller told, as the JSON text that is hashed; empty where nothing was.
    pub attested: String,
    pub prize: Option<String>,
    /// The integer of chance: told for convenience, computed by the verifier.
    pub integer: u64,
    pub chain: String,
}

/// An event, as the evidence shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the same names as in `entry::Event`")]
pub struct EventLine {
    pub seq: u64,
    pub event: String,
    pub at_ms: i64,
    pub prize: String,
    pub units: u64,
    pub epoch: u32,
    pub version: u32,
    pub rules_hash: String,
    pub seed_hash: String,
    pub pseudonym: String,
    pub reason: String,
}

/// One line after the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A draw.
    Draw(DrawLine),
    /// Anything else.
    Event(EventLine),
}

impl From<&Draw> for DrawLine {
    fn from(draw: &Draw) -> Self {
        Self {
            seq: draw.id.seq,
            draw: draw.id.to_string(),
            epoch: draw.epoch,
            pseudonym: hex(&draw.pseudonym),
            number: draw.number,
            at_ms: draw.at_ms,
            day: draw.day,
            client_seed: draw.seed().to_owned(),
            attested: draw.attested.clone(),
            prize: draw.prize.as_deref().map(str::to_owned),
            integer: entry::decode_trace(&draw.trace).map_or(0, |(chosen, _)| chosen.integer),
            chain: hex(&draw.chain),
        }
    }
}

impl From<&Event> for EventLine {
    fn from(event: &Event) -> Self {
        Self {
            seq: event.seq,
            event: event.kind.to_owned(),
            at_ms: event.at_ms,
            prize: event.prize.clone(),
            units: event.units,
            epoch: event.epoch,
            version: event.version,
            rules_hash: hex(&event.rules_hash),
            seed_hash: hex(&event.seed_hash),
            pseudonym: hex(&event.pseudonym),
            reason: event.reason.clone(),
        }
    }
}

/// The evidence, page by page: a pack of millions of draws is never in memory.
pub struct Pages {
    records: Arc<dyn Records>,
    raffle: Arc<Raffle>,
    revealed: Vec<RevealedEpoch>,
    events: Vec<Event>,
    next: Next,
}

enum Next {
    Header,
    After(u64),
    End,
}

impl Raffles {
    /// The evidence of all revealed epochs.
    pub async fn evidence(&self, raffle: &str) -> Result<Pages, Error> {
        let revealed: Vec<_> = self.epochs(raffle).await?.iter().map_while(revealed).collect();
        let last = revealed.last().ok_or(Error::NothingRevealed)?.last;
        let raffle = self.catalog().raffle(raffle).await?;
        let key = raffle.gate(kernel::id::Shard::HOME);
        let records = self.records();
        let events = read(&*records, key.shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(Event::until(tx, key, last).await?) })
        })
        .await?;
        Ok(Pages { records, raffle, revealed, events, next: Next::Header })
    }
}

fn revealed(row: &EpochRow) -> Option<RevealedEpoch> {
    let Epoch::Revealed { closed, seed } = &row.state else { return None };
    let closing = closed.first()?;
    Some(RevealedEpoch {
        epoch: row.epoch,
        version: row.version,
        seed_hash: hex(&row.seed_hash),
        rules_hash: hex(&row.rules_hash),
        seed: seed.clone(),
        first: closing.first,
        last: closing.last,
        log: closing.log.clone(),
    })
}

fn write_line(text: &mut String, line: &impl Serialize) -> Result<(), Error> {
    text.push_str(&serde_json::to_string(line).map_err(|error| Error::BrokenVersion(error.to_string()))?);
    text.push('\n');
    Ok(())
}

impl Pages {
    /// The next page, as whole lines; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        let mut text = String::new();
        match self.next {
            Next::End => return Ok(None),
            Next::Header => {
                write_line(&mut text, &self.header().await?)?;
                self.next = Next::After(0);
            }
            Next::After(after) => {
                let reached = self.page(after, &mut text).await?;
                let last = self.revealed.last().map_or(0, |epoch| epoch.last);
                self.next = if reached >= last { Next::End } else { Next::After(reached) };
            }
        }
        Ok(Some(text))
    }

    async fn header(&self) -> Result<Header, Error> {
        let (tenant, raffle) = (self.raffle.tenant.number, self.raffle.number);
        let mut wanted: Vec<u32> = self.revealed.iter().map(|epoch| epoch.version).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let versions = read(&*self.records, kernel::id::Shard::HOME, move |tx| {
            Box::pin(async move {
                let mut versions = BTreeMap::new();
                for version in wanted {
                    let text = rules_text(tx, tenant, raffle, version).await?;
                    versions.insert(version, text.ok_or(Error::NoSuchVersion(version))?);
                }
                Ok::<_, Error>(versions)
            })
        })
        .await?;
        Ok(Header {
            format: FORMAT.to_owned(),
            tenant: self.raffle.tenant.name.to_owned(),
            raffle: self.raffle.id.clone(),
            epochs: self.revealed.clone(),
            versions,
        })
    }

    /// Writes entries after a sequence; answers how far it came.
    async fn page(&mut self, after: u64, text: &mut String) -> Result<u64, Error> {
        let key = self.raffle.gate(kernel::id::Shard::HOME);
        let last = self.revealed.last().map_or(0, |epoch| epoch.last);
        let draws = read(&*self.records, key.shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(entry::draws_after(tx, key, after, PAGE).await?) })
        })
        .await?;
        let full = draws.len() >= PAGE as usize;
        let reached = draws.last().filter(|_| full).map_or(last, |draw| draw.id.seq).min(last);
        let mut draws = draws.iter().filter(|draw| draw.id.seq <= last).peekable();
        let mut events =
            self.events.iter().filter(|event| event.seq > after && event.seq <= reached).peekable();
        loop {
            match (draws.peek(), events.peek()) {
                (Some(draw), Some(event)) if event.seq < draw.id.seq => {
                    write_line(text, &EventLine::from(*event))?
                }
                (Some(draw), _) => {
                    write_line(text, &DrawLine::from(*draw))?;
                    draws.next();
                    continue;
                }
                (None, Some(event)) => write_line(text, &EventLine::from(*event))?,
                (None, None) => break,
            }
            events.next();
        }
        Ok(reached)
    }
}
