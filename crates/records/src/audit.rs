//! The audit log: who changed what, written in the transaction that changed it.
//!
//! A stream's entries are numbered without gaps under the lock of its head row. From time to time those that were added
//! are sealed: [`Seal`] holds the Merkle root of their digests and the hash of the seal before. [`verify`] recomputes all
//! of it. What that shows, and what it cannot, is in `docs/decisions/0008-audit-seals.md`.

mod seal;
mod verify;

pub(crate) use seal::SEAL_TABLE;
pub use seal::{ENTRIES_MAX, Seal, seal, seals_after};
pub use verify::{Failure, Report, verify, verify_all};

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use kernel::id::Shard;

use crate::error::Error;
use crate::merkle::hash_fields;
use crate::port::{Row, Tx, Value};
use crate::statement::Insert;

pub(crate) const HEAD_TABLE: &str = "CREATE TABLE audit_head (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    stream VARCHAR(32) NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    batch BIGINT NOT NULL CHECK (batch >= 0),
    sealed_seq BIGINT NOT NULL CHECK (sealed_seq >= 0),
    seal_hash VARBINARY(32) NOT NULL,
    PRIMARY KEY (shard, tenant, stream)
){table_end}";

pub(crate) const ENTRY_TABLE: &str = "CREATE TABLE audit_entry (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    stream VARCHAR(32) NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor VARCHAR(128) NOT NULL,
    role VARCHAR(16) NOT NULL,
    action VARCHAR(32) NOT NULL,
    subject VARCHAR(200) NOT NULL,
    request_key VARCHAR(340) NOT NULL,
    body_hash VARBINARY(32) NOT NULL,
    detail VARCHAR(500) NOT NULL,
    digest VARBINARY(32) NOT NULL,
    PRIMARY KEY (shard, tenant, stream, seq)
){table_end}";

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of their key, or a participant's pseudonym. What is longer than 128 characters is cut off in the log.
    pub name: String,
    /// Their role.
    pub role: &'static str,
}

impl Actor {
    /// The product itself, where nobody asked it: the demo, a bench.
    pub fn house() -> Arc<Self> {
        Arc::new(Self { name: "fairground".to_owned(), role: "house" })
    }
}

/// Who asked for a change, and by which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Who.
    pub actor: Arc<Actor>,
    /// The Idempotency-Key, scoped to its route; empty where the route takes none.
    pub key: String,
    /// SHA-256 of the body, where there is one that may be kept.
    pub body_hash: Option<[u8; 32]>,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// A verb, for example `restock`.
    pub action: &'static str,
    /// What it was done to, for example `raffle/late-100006`. What is longer than 200 characters is cut off.
    pub subject: String,
    /// More, for people. What is longer than 500 characters is cut off.
    pub detail: String,
}

/// One sequence of entries in one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The database.
    pub shard: Shard,
    /// The tenant's number.
    pub tenant: u32,
    /// Its name, at most 32 characters.
    pub name: Cow<'static, str>,
}

impl Stream {
    /// Changes, each entry in the transaction of its change.
    pub fn changes(shard: Shard, tenant: u32) -> Self {
        Self { shard, tenant, name: Cow::Borrowed("changes") }
    }

    /// What was given out or refused at the edge; each entry has a transaction of its own.
    pub fn access(tenant: u32) -> Self {
        Self { shard: Shard::HOME, tenant, name: Cow::Borrowed("access") }
    }

    fn values(&self) -> [Value<'_>; 3] {
        [Value::Int(self.shard.0.into()), Value::Int(self.tenant.into()), Value::Text(&self.name)]
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

static NEW_HEAD: Insert = Insert::or_keep(
    "audit_head",
    &["shard", "tenant", "stream", "seq", "batch", "sealed_seq", "seal_hash"],
    3,
);

/// The row that numbers a stream and names its latest seal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    seq: u64,
    batch: u64,
    sealed_seq: u64,
    seal_hash: [u8; 32],
}

impl Head {
    const EMPTY: Self = Self { seq: 0, batch: 0, sealed_seq: 0, seal_hash: [0; 32] };

    async fn fetch(tx: &mut dyn Tx, stream: &Stream, end: &str) -> Result<Option<Self>, Error> {
        let sql = format!(
            "SELECT seq,batch,sealed_seq,seal_hash FROM audit_head WHERE shard=? AND tenant=? AND stream=?{end}"
        );
        let rows = tx.fetch(&sql, &stream.values()).await?;
        let read = |row: &Row| {
            Ok(Self {
                seq: row.count(0)?,
                batch: row.count(1)?,
                sealed_seq: row.count(2)?,
                seal_hash: row.array(3)?,
            })
        };
        rows.first().map(read).transpose()
    }

    async fn lock(tx: &mut dyn Tx, stream: &Stream) -> Result<Self, Error> {
        let end = tx.dialect().for_update();
        if let Some(head) = Self::fetch(tx, stream, end).await? {
            return Ok(head);
        }
        let empty = [Value::Int(0), Value::Int(0), Value::Int(0), Value::Bytes(&[0; 32])];
        NEW_HEAD.rows(tx, &[&stream.values()[..], &empty].concat()).await?;
        // Somebody else may have made it meanwhile, and written to it.
        Self::fetch(tx, stream, end).await?.ok_or(Error::Surprise("audit_head"))
    }

    async fn save(&self, tx: &mut dyn Tx, stream: &Stream, before: &Self) -> Result<(), Error> {
        let values = [
            Value::count(self.seq),
            Value::count(self.batch),
            Value::count(self.sealed_seq),
            Value::Bytes(&self.seal_hash),
        ];
        let guard = [Value::count(before.seq), Value::count(before.batch)];
        let update = "UPDATE audit_head SET seq=?, batch=?, sealed_seq=?, seal_hash=?
             WHERE shard=? AND tenant=? AND stream=? AND seq=? AND batch=?";
        let changed = tx.exec(update, &[&values[..], &stream.values(), &guard].concat()).await?;
        if changed == 1 { Ok(()) } else { Err(Error::Surprise("audit_head")) }
    }
}

/// An entry, as it is written and never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the stream, from 1.
    pub seq: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// By which request; empty where the route takes no key.
    pub request_key: String,
    /// SHA-256 of the request's body; empty where none is kept.
    pub body_hash: Vec<u8>,
    /// More, for people.
    pub detail: String,
}

const COLUMNS: &str = "seq,at_ms,actor,role,action,subject,request_key,body_hash,detail,digest";

impl Entry {
    /// What is sealed: the hash of a leaf of RFC 6962, section 2.1, over length-prefixed fields.
    pub fn digest(&self, stream: &Stream) -> [u8; 32] {
        hash_fields(
            0,
            &[
                &u64::from(stream.shard.0).to_be_bytes(),
                &u64::from(stream.tenant).to_be_bytes(),
                stream.name.as_bytes(),
                &self.seq.to_be_bytes(),
                &self.at_ms.to_be_bytes(),
                self.actor.as_bytes(),
                self.role.as_bytes(),
                self.action.as_bytes(),
                self.subject.as_bytes(),
                self.request_key.as_bytes(),
                &self.body_hash,
                self.detail.as_bytes(),
            ],
        )
    }

    /// Reads [`COLUMNS`]; the digest beside the entry is the one that was written with it.
    fn from_row(row: &Row) -> Result<(Self, [u8; 32]), Error> {
        let entry = Self {
            seq: row.count(0)?,
            at_ms: row.int(1)?,
            actor: row.text(2)?.to_owned(),
            role: row.text(3)?.to_owned(),
            action: row.text(4)?.to_owned(),
            subject: row.text(5)?.to_owned(),
            request_key: row.text(6)?.to_owned(),
            body_hash: row.bytes(7)?.to_vec(),
            detail: row.text(8)?.to_owned(),
        };
        Ok((entry, row.array(9)?))
    }

    /// Why a row is not the entry that has to stand at `seq`; its digest where it is.
    fn check(row: Option<&Row>, stream: &Stream, seq: u64) -> Result<[u8; 32], &'static str> {
        let row = row.ok_or("it is missing")?;
        if row.count(0) != Ok(seq) {
            return Err("it is missing");
        }
        let (entry, written) = Self::from_row(row).map_err(|_| "it cannot be read")?;
        let digest = entry.digest(stream);
        if digest == written { Ok(digest) } else { Err("it is not what was written") }
    }
}

fn clip(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Holds a stream until the transaction ends: whoever else adds to it or holds it waits. For what is counted before it is
/// added to, and told of here: what one has counted, nobody else adds to meanwhile.
pub async fn hold(tx: &mut dyn Tx, stream: &Stream) -> Result<(), Error> {
    Head::lock(tx, stream).await.map(|_| ())
}

/// Adds an entry to a stream, in the transaction of the change that it tells of. Answers its number.
pub async fn append(tx: &mut dyn Tx, stream: &Stream, cause: &Cause, change: Change) -> Result<u64, Error> {
    let before = Head::lock(tx, stream).await?;
    let head = Head { seq: before.seq + 1, ..before.clone() };
    head.save(tx, stream, &before).await?;
    let entry = Entry {
        seq: head.seq,
        at_ms: change.at_ms,
        actor: clip(&cause.actor.name, 128),
        role: cause.actor.role.to_owned(),
        action: change.action.to_owned(),
        subject: clip(&change.subject, 200),
        request_key: clip(&cause.key, 340),
        body_hash: cause.body_hash.map_or_else(Vec::new, |hash| hash.to_vec()),
        detail: clip(&change.detail, 500),
    };
    let digest = entry.digest(stream);
    let values = [
        Value::count(entry.seq),
        Value::Int(entry.at_ms),
        Value::Text(&entry.actor),
        Value::Text(&entry.role),
        Value::Text(&entry.action),
        Value::Text(&entry.subject),
        Value::Text(&entry.request_key),
        Value::Bytes(&entry.body_hash),
        Value::Text(&entry.detail),
        Value::Bytes(&digest),
    ];
    let insert =
        format!("INSERT INTO audit_entry (shard,tenant,stream,{COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
    tx.exec(&insert, &[&stream.values()[..], &values].concat()).await?;
    Ok(entry.seq)
}

/// Which entries are asked for. A field that is absent asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this action.
    pub action: Option<String>,
    /// Only this subject.
    pub subject: Option<String>,
}

/// A place in a tenant's streams: after the entry, or seal, of this number in this stream.
pub type Place = (String, u64);

/// Entries, each with its stream, and where to go on; `None` at the end.
pub type Page = (Vec<(String, Entry)>, Option<Place>);

/// Most entries that are looked at for one page, so that a rare subject does not read the whole log at once.
const LOOKED_AT_MAX: u32 = 2000;

/// Up to `limit` entries of a tenant after a place, stream by stream in the order of their names. A page may hold fewer
/// than it could and yet say where to go on.
pub async fn page(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    (stream, seq): &Place,
    filter: &Filter,
    limit: u32,
) -> Result<Page, Error> {
    let looked_at = if *filter == Filter::default() { limit } else { LOOKED_AT_MAX };
    let sql = format!(
        "SELECT {COLUMNS},stream FROM audit_entry WHERE shard=? AND tenant=? AND (stream>? OR (stream=? AND seq>?))
         ORDER BY stream,seq LIMIT ?"
    );
    let values = [
        Value::Int(shard.0.into()),
        Value::Int(tenant.into()),
        Value::Text(stream),
        Value::Text(stream),
        Value::count(*seq),
        Value::Int(looked_at.into()),
    ];
    let rows = tx.fetch(&sql, &values).await?;
    let wanted = |asked: &Option<String>, found: &str| asked.as_ref().is_none_or(|asked| asked == found);
    let mut entries = Vec::new();
    for row in &rows {
        let ((entry, _), stream) = (Entry::from_row(row)?, row.text(10)?.to_owned());
        if wanted(&filter.action, &entry.action) && wanted(&filter.subject, &entry.subject) {
            entries.push((stream, entry));
            if entries.len() == limit as usize {
                break;
            }
        }
    }
    let next = if entries.len() == limit as usize {
        entries.last().map(|(stream, entry)| (stream.clone(), entry.seq))
    } else {
        let last = rows.last().filter(|_| rows.len() == looked_at as usize);
        last.map(|row| Ok::<_, Error>((row.text(10)?.to_owned(), row.count(0)?))).transpose()?
    };
    Ok((entries, next))
}
