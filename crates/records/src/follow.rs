//! What every process does alike and may be told to do otherwise while it runs.
//!
//! Whoever changes such a thing adds one to its revision, in the transaction of the change. Every process looks at that
//! one number again and again, and reads the whole anew where it has moved; between two looks it works by what it saw.
//! A process that cannot look goes on as it did, and says so.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use kernel::id::Shard;
use kernel::ports::clock::Clock;

use crate::error::Error;
use crate::port::{Records, Tx, Value, look};
use crate::statement::Insert;

pub(crate) const REVISION_TABLE: &str = "CREATE TABLE revision (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    name VARCHAR(32) NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    PRIMARY KEY (shard, tenant, name)
){table_end}";

/// How often every process looks, in milliseconds. A look that finds a change reads it in the same transaction, and waits
/// behind no other reader, so that a change is in force everywhere within this time and that of two looks: the product
/// promises one second.
pub const LOOK_MS: u64 = 250;

/// What processes follow. Its default is what holds before anything was ever changed.
#[async_trait]
pub trait Followed: Default + Send + Sync + 'static {
    /// Names its revision. 1 to 32 bytes.
    const NAME: &'static str;
    /// The whole of it, as one moment has it.
    async fn read(tx: &mut dyn Tx, tenant: u32) -> Result<Self, Error>;
}

fn key<F: Followed>(tenant: u32) -> [Value<'static>; 3] {
    [Value::Int(Shard::HOME.0.into()), Value::Int(tenant.into()), Value::Text(F::NAME)]
}

const NUMBER: &str = "SELECT number FROM revision WHERE shard=? AND tenant=? AND name=?";

async fn number<F: Followed>(tx: &mut dyn Tx, tenant: u32, end: &str) -> Result<u64, Error> {
    let rows = tx.fetch(&format!("{NUMBER}{end}"), &key::<F>(tenant)).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

/// The row without a name is nobody's revision: whoever makes the first row of a name holds it.
static MAKERS: Insert = Insert::or_keep("revision", &["shard", "tenant", "name", "number"], 3);

/// Adds one to a revision, in the transaction of the change that it tells of. Answers the new number. Changes of one thing
/// wait for each other here, so what is read after this call is what the change is made on.
pub async fn advance<F: Followed>(tx: &mut dyn Tx, tenant: u32) -> Result<u64, Error> {
    let end = tx.dialect().for_update();
    let mut before = number::<F>(tx, tenant, end).await?;
    if before == 0 {
        let [shard, tenant_key, _] = key::<F>(tenant);
        MAKERS.rows(tx, &[shard, tenant_key, Value::Text(""), Value::Int(1)]).await?;
        // Whoever held it until now has made the row.
        before = number::<F>(tx, tenant, end).await?;
    }
    if before == 0 {
        let insert = "INSERT INTO revision (shard,tenant,name,number) VALUES (?,?,?,1)";
        tx.exec(insert, &key::<F>(tenant)).await?;
        return Ok(1);
    }
    let update = "UPDATE revision SET number=number+1 WHERE shard=? AND tenant=? AND name=? AND number=?";
    let changed = tx.exec(update, &[&key::<F>(tenant)[..], &[Value::count(before)]].concat()).await?;
    if changed == 1 { Ok(before + 1) } else { Err(Error::Surprise("revision")) }
}

/// What a process saw last.
#[derive(Debug, Default)]
pub struct Seen<F> {
    /// The revision; 0 before the first change.
    pub revision: u64,
    /// What stood there.
    pub what: F,
}

/// How following goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The revision that this process works by.
    pub revision: u64,
    /// When it last looked and could read, in milliseconds since the epoch.
    pub looked_ms: i64,
    /// Why the latest look failed, where it did.
    pub fault: Option<Error>,
}

/// One process's eye on one followed thing.
pub struct Follower<F> {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    tenant: u32,
    seen: RwLock<Arc<Seen<F>>>,
    latest: Mutex<(i64, Option<Error>)>,
}

impl<F: Followed> Follower<F> {
    /// Follows from now on. A process that cannot read at its start does not start.
    pub async fn open(records: Arc<dyn Records>, clock: Arc<dyn Clock>, tenant: u32) -> Result<Self, Error> {
        let latest = Mutex::new((clock.now_ms(), None));
        let follower = Self { records, clock, tenant, seen: RwLock::default(), latest };
        follower.look().await?;
        Ok(follower)
    }

    /// What this process works by. Reads no records.
    pub fn seen(&self) -> Arc<Seen<F>> {
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks once. Answers whether something had changed.
    pub async fn look(&self) -> Result<bool, Error> {
        let (tenant, known) = (self.tenant, self.seen().revision);
        let found = look(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let revision = number::<F>(tx, tenant, "").await?;
                if revision == known {
                    return Ok::<_, Error>(None);
                }
                Ok(Some(Seen { revision, what: F::read(tx, tenant).await? }))
            })
        })
        .await;
        let fault = found.as_ref().err().cloned();
        {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            if fault.is_none() {
                latest.0 = self.clock.now_ms();
            }
            latest.1 = fault;
        }
        let Some(found) = found? else { return Ok(false) };
        self.tell(found);
        Ok(true)
    }

    /// Takes what somebody has read, or written, elsewhere. Older than what is known it changes nothing.
    pub fn tell(&self, found: Seen<F>) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        // Of two looks at once, the one that saw less may end last.
        if found.revision > seen.revision {
            *seen = Arc::new(found);
        }
    }

    /// How following goes.
    pub fn standing(&self) -> Standing {
        let revision = self.seen().revision;
        let (looked_ms, fault) = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Standing { revision, looked_ms, fault }
    }
}
