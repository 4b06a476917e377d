//! Holds a store against what its callers were told. Run while no server has the store open.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;

use embedded::sqlite::{Caches, SqliteRecords};
use kernel::id::{DrawId, Shard};
use raffle::entry::decode_trace;
use raffle::rules::Step;
use records::error::Error;
use records::port::{Records, Row, read};
use serde::Serialize;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Draws that callers were told of.
    pub acknowledged: u64,
    /// Told, and not in the store as told.
    pub lost: u64,
    /// Keys that made two draws, or were told two.
    pub duplicated: u64,
    /// Units granted above what the journal of stock moves says.
    pub oversold: u64,
    /// Prizes whose books do not agree: draws granted + free in segments = moved in.
    pub unbalanced: Vec<String>,
    /// Draws in the store.
    pub draws: u64,
}

impl Audit {
    /// Whether every invariant holds.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.oversold == 0 && self.unbalanced.is_empty()
    }
}

type Told = HashMap<DrawId, (String, String)>;

fn told(acks: &[&Path], audit: &mut Audit) -> Result<Told, String> {
    let mut told = Told::new();
    let mut keys: HashMap<(String, String), DrawId> = HashMap::new();
    for path in acks {
        let file =
            std::fs::File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| error.to_string())?;
            let [key, participant, draw] = line.split(' ').collect::<Vec<_>>()[..] else {
                return Err(format!("an acknowledgement that cannot be read: {line}"));
            };
            let id: DrawId = draw.parse().map_err(|_| format!("no draw in an acknowledgement: {line}"))?;
            audit.acknowledged += 1;
            let asked = (key.to_owned(), participant.to_owned());
            if keys.insert(asked.clone(), id).is_some_and(|before| before != id) {
                audit.duplicated += 1;
            }
            if told.insert(id, asked.clone()).is_some_and(|before| before != asked) {
                audit.duplicated += 1;
            }
        }
    }
    Ok(told)
}

/// What the audit looks at in a draw's row.
struct Seen<'r> {
    id: DrawId,
    pseudonym: [u8; 16],
    key: &'r str,
    /// The prize of which a unit was taken; none where it was unlimited then.
    taken: Option<&'r str>,
    participant: Option<&'r str>,
}

impl<'r> Seen<'r> {
    fn of(row: &'r Row) -> Result<Self, Error> {
        let trace = decode_trace(row.bytes(7)?);
        let last_step = trace.and_then(|(_, steps)| steps.last().map(|(_, step)| *step));
        let bucket = u16::try_from(row.int(2)?).map_err(|_| Error::Corrupt("a bucket".to_owned()))?;
        Ok(Self {
            id: DrawId { bucket, shard: Shard::HOME, raffle: row.small(0)?, seq: row.count(1)? },
            pseudonym: row.array(3)?,
            key: row.text(4)?,
            taken: row.text_or_null(5)?.filter(|_| last_step == Some(Step::Taken)),
            participant: row.text_or_null(6)?,
        })
    }
}

/// Draws read at a time.
const PAGE: i64 = 20_000;

/// Audits the store of a data folder against acknowledgement logs.
pub async fn audit(data: &Path, acks: &[&Path]) -> Result<Audit, String> {
    let store = SqliteRecords::open(data, Caches::default()).map_err(|error| error.to_string())?;
    audit_records(&store, acks).await
}

/// Audits records, wherever they are.
pub async fn audit_records(records: &dyn Records, acks: &[&Path]) -> Result<Audit, String> {
    let mut audit = Audit::default();
    let mut told = told(acks, &mut audit)?;
    let mut granted: BTreeMap<(i64, String), u64> = BTreeMap::new();
    let mut keys = HashSet::new();
    let (mut raffle, mut seq) = (0, 0);
    loop {
        let rows = read(records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT d.raffle,d.seq,d.bucket,d.pseudonym,d.idem_key,d.prize,p.participant,d.trace FROM draw d
                     LEFT JOIN player p ON p.bucket=d.bucket AND p.tenant=d.tenant AND p.raffle=d.raffle
                       AND p.pseudonym=d.pseudonym
                     WHERE d.shard=0 AND d.tenant=1 AND (d.raffle,d.seq)>({raffle},{seq})
                     ORDER BY d.raffle,d.seq LIMIT {PAGE}"
                );
                tx.fetch(&sql, &[]).await
            })
        })
        .await
        .map_err(|error: Error| error.to_string())?;
        let Some(last) = rows.last() else { break };
        (raffle, seq) = (last.int(0).unwrap_or(0), last.int(1).unwrap_or(0));
        for row in &rows {
            let Seen { id, pseudonym, key, taken, participant } =
                Seen::of(row).map_err(|error| error.to_string())?;
            audit.draws += 1;
            if !keys.insert((id.raffle, pseudonym, key.to_owned())) {
                audit.duplicated += 1;
            }
            if let Some((asked, by)) = told.remove(&id)
                && (asked != key || Some(by.as_str()) != participant)
            {
                audit.lost += 1;
            }
            if let Some(prize) = taken {
                *granted.entry((id.raffle.into(), prize.to_owned())).or_default() += 1;
            }
        }
    }
    audit.lost += told.len() as u64;
    balance(records, &granted, &mut audit).await?;
    Ok(audit)
}

/// Three books that nobody computes from each other: draw rows, segments, and the journal of moves.
async fn balance(
    records: &dyn Records,
    granted: &BTreeMap<(i64, String), u64>,
    audit: &mut Audit,
) -> Result<(), String> {
    let rows = read(records, Shard::HOME, |tx| {
        Box::pin(async move {
            let sql = "SELECT s.subject,s.item,s.granted,s.free,
                (SELECT SUM(e.units) FROM gate_event e WHERE e.shard=s.shard AND e.tenant=s.tenant
                   AND e.raffle=s.subject AND e.kind='moved' AND e.prize=s.item)
                FROM segment s WHERE s.item<>'$budget'";
            tx.fetch(sql, &[]).await
        })
    })
    .await
    .map_err(|error: Error| error.to_string())?;
    for row in rows {
        let read =
            || Ok::<_, Error>((row.int(0)?, row.text(1)?, row.count(2)?, row.count(3)?, row.count(4)?));
        let (raffle, prize, segment_granted, free, moved) = read().map_err(|error| error.to_string())?;
        let drawn = granted.get(&(raffle, prize.to_owned())).copied().unwrap_or(0);
        audit.oversold += drawn.saturating_sub(moved);
        if drawn + free != moved || drawn != segment_granted {
            audit.unbalanced.push(format!(
                "raffle {raffle}, prize {prize}: {drawn} drawn, {segment_granted} granted, {free} free, {moved} moved in"
            ));
        }
    }
    Ok(())
}
