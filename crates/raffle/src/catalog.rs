//! What this process remembers of raffles: their identity, their published rules, their open secrets. All of it is
//! immutable once published, so it is never stale, and what is missing is read from the records again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kernel::id::{Bucket, Shard, Tenant};
use records::gate::GateKey;
use records::port::{Records, Row, Tx, Value, read};

use crate::document;
use crate::drift::Stated;
use crate::error::Error;
use crate::fairness::{Chance, Pseudonyms, epoch_name};
use crate::player::PlayerKey;
use crate::rules::{Plan, Rules};
use crate::seal::Sealer;

/// Epochs and plans that are remembered at the most; past that, any may be forgotten.
const REMEMBERED: usize = 512;

/// A raffle's identity. It never changes.
pub struct Raffle {
    /// Whose it is.
    pub tenant: Tenant,
    /// In keys.
    pub number: u32,
    /// In URLs.
    pub id: String,
    /// The public names of its participants.
    pub pseudonyms: Pseudonyms,
}

impl Raffle {
    /// What the audit log calls it.
    pub(crate) fn subject(&self) -> String {
        format!("raffle/{}", self.id)
    }

    /// The bucket and the public name of a participant.
    pub fn player(&self, participant: &str) -> PlayerKey {
        (Bucket::of(self.tenant.name, participant).number(), self.pseudonyms.of(participant))
    }

    /// The raffle's gate in a database.
    pub fn gate(&self, shard: Shard) -> GateKey {
        GateKey { shard, tenant: self.tenant.number, subject: self.number }
    }

    /// Tenant and raffle, as they stand in the keys of rows.
    pub fn values(&self) -> [Value<'static>; 2] {
        [Value::Int(self.tenant.number.into()), Value::Int(self.number.into())]
    }
}

/// An epoch, ready to draw: its rules and its chance.
pub struct LiveEpoch {
    /// Its number.
    pub number: u32,
    /// The rules that decide.
    pub plan: Arc<Plan>,
    /// The weights that their document states, where it can still be read.
    pub stated: Option<Arc<Stated>>,
    /// Integers under its seed.
    pub chance: Chance,
}

/// A version, as far as draws need it.
struct Version {
    plan: Arc<Plan>,
    stated: Option<Arc<Stated>>,
}

/// Everything remembered.
pub struct Catalog {
    records: Arc<dyn Records>,
    sealer: Sealer,
    tenant: Tenant,
    raffles: RwLock<HashMap<String, Arc<Raffle>>>,
    versions: RwLock<HashMap<(u32, u32), Arc<Version>>>,
    epochs: RwLock<HashMap<(u32, u32), Arc<LiveEpoch>>>,
}

fn recall<K: std::hash::Hash + Eq, V>(map: &RwLock<HashMap<K, Arc<V>>>, key: &K) -> Option<Arc<V>> {
    map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
}

fn remember<K: std::hash::Hash + Eq + Clone, V>(map: &RwLock<HashMap<K, Arc<V>>>, key: K, value: Arc<V>) {
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= REMEMBERED
        && let Some(any) = map.keys().next().cloned()
    {
        map.remove(&any);
    }
    map.insert(key, value);
}

impl Catalog {
    /// An empty memory over records.
    pub fn new(records: Arc<dyn Records>, sealer: Sealer, tenant: Tenant) -> Self {
        Self {
            records,
            sealer,
            tenant,
            raffles: RwLock::default(),
            versions: RwLock::default(),
            epochs: RwLock::default(),
        }
    }

    /// A raffle by its id.
    pub async fn raffle(&self, id: &str) -> Result<Arc<Raffle>, Error> {
        if let Some(raffle) = recall(&self.raffles, &id.to_owned()) {
            return Ok(raffle);
        }
        let (tenant, wanted) = (self.tenant.number, id.to_owned());
        let row = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT number,pseudonym_key FROM raffle WHERE shard=0 AND tenant=? AND id=?";
                let rows = tx.fetch(sql, &[Value::Int(tenant.into()), Value::Text(&wanted)]).await?;
                Ok::<_, Error>(rows.into_iter().next())
            })
        })
        .await?;
        let row = row.ok_or_else(|| Error::NoSuchRaffle(id.to_owned()))?;
        self.learn(id, &row)
    }

    fn learn(&self, id: &str, row: &Row) -> Result<Arc<Raffle>, Error> {
        let key = self.sealer.open(row.bytes(1)?, &pseudonym_secret(self.tenant, id))?;
        let raffle = Arc::new(Raffle {
            tenant: self.tenant,
            number: row.small(0)?,
            id: id.to_owned(),
            pseudonyms: Pseudonyms::new(&key),
        });
        remember(&self.raffles, id.to_owned(), Arc::clone(&raffle));
        Ok(raffle)
    }

    fn known_by_number(&self, number: u32) -> Option<Arc<Raffle>> {
        let known = self.raffles.read().unwrap_or_else(PoisonError::into_inner);
        known.values().find(|raffle| raffle.number == number).cloned()
    }

    /// A raffle by its number.
    pub async fn raffle_numbered(&self, number: u32) -> Result<Arc<Raffle>, Error> {
        if let Some(raffle) = self.known_by_number(number) {
            return Ok(raffle);
        }
        let tenant = self.tenant.number;
        let id = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM raffle WHERE shard=0 AND number=? AND tenant=?";
                let rows = tx.fetch(sql, &[Value::Int(number.into()), Value::Int(tenant.into())]).await?;
                rows.first().map(|row| Ok::<_, Error>(row.text(0)?.to_owned())).transpose()
            })
        })
        .await?;
        self.raffle(&id.ok_or_else(|| Error::NoSuchRaffle(format!("number {number}")))?).await
    }

    /// The ids of all raffles after one, in order; those that are only drafted are left out.
    pub async fn ids_after(&self, after: &str, limit: u32) -> Result<Vec<String>, Error> {
        let (tenant, after) = (self.tenant.number, after.to_owned());
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM raffle WHERE shard=0 AND tenant=? AND id>? AND EXISTS
                    (SELECT 1 FROM raffle_version v WHERE v.shard=0 AND v.tenant=raffle.tenant
                     AND v.raffle=raffle.number) ORDER BY id LIMIT ?";
                let values = [Value::Int(tenant.into()), Value::Text(&after), Value::Int(limit.into())];
                let rows = tx.fetch(sql, &values).await?;
                rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
            })
        })
        .await
    }

    /// The numbers of raffles from one on, in order.
    pub async fn numbers_from(&self, first: u32, limit: u32) -> Result<Vec<u32>, Error> {
        let tenant = self.tenant.number;
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql =
                    "SELECT number FROM raffle WHERE shard=0 AND number>=? AND tenant=? ORDER BY number LIMIT ?";
                let values =
                    [Value::Int(first.into()), Value::Int(tenant.into()), Value::Int(limit.into())];
                let rows = tx.fetch(sql, &values).await?;
                Ok(rows.iter().map(|row| row.small(0)).collect::<Result<_, _>>()?)
            })
        })
        .await
    }

    /// An epoch, where it is remembered.
    pub fn known_epoch(&self, raffle: u32, epoch: u32) -> Option<Arc<LiveEpoch>> {
        recall(&self.epochs, &(raffle, epoch))
    }

    /// A version's rules, re-assembled from the records where they are not remembered.
    pub async fn plan(&self, raffle: &Raffle, version: u32) -> Result<Arc<Plan>, Error> {
        Ok(Arc::clone(&self.version(raffle, version).await?.plan))
    }

    async fn version(&self, raffle: &Raffle, version: u32) -> Result<Arc<Version>, Error> {
        let key = (raffle.number, version);
        if let Some(known) = recall(&self.versions, &key) {
            return Ok(known);
        }
        let (tenant, number) = (raffle.tenant.number, raffle.number);
        let row = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT rules,document FROM raffle_version WHERE shard=0 AND tenant=? AND raffle=? AND version=?";
                let key = [Value::Int(tenant.into()), Value::Int(number.into()), Value::Int(version.into())];
                Ok::<_, Error>(tx.fetch(sql, &key).await?.into_iter().next())
            })
        });
        let row = row.await?.ok_or(Error::NoSuchVersion(version))?;
        let rules: Rules =
            serde_json::from_str(row.text(0)?).map_err(|error| Error::BrokenVersion(error.to_string()))?;
        let plan = Arc::new(Plan::of(rules).map_err(Error::BrokenVersion)?);
        // Draws are decided by the rules alone: a document that nobody can read any more must not end them.
        let stated = document::read(row.text(1)?).ok().map(|document| Arc::new(Stated::by(&document)));
        if stated.is_none() {
            tracing::error!(raffle = raffle.id, version, "no document to watch the chance of a version by");
        }
        let known = Arc::new(Version { plan, stated });
        remember(&self.versions, key, Arc::clone(&known));
        Ok(known)
    }

    /// The version that an epoch decides by, and its seed, opened. Never remembered as it is.
    pub async fn version_and_seed(&self, raffle: &Raffle, epoch: u32) -> Result<(u32, [u8; 32]), Error> {
        let (tenant, number) = (raffle.tenant.number, raffle.number);
        let (version, sealed) = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT version,seed FROM raffle_epoch WHERE shard=0 AND tenant=? AND raffle=? AND epoch=?";
                let key = [Value::Int(tenant.into()), Value::Int(number.into()), Value::Int(epoch.into())];
                let rows = tx.fetch(sql, &key).await?;
                let row = rows.first().ok_or_else(|| Error::BrokenVersion(format!("there is no epoch {epoch}")))?;
                Ok::<_, Error>((row.small(0)?, row.bytes(1)?.to_vec()))
            })
        })
        .await?;
        let name = epoch_name(raffle.tenant.name, &raffle.id, epoch);
        let seed = self.sealer.open(&sealed, &seed_secret(&name))?;
        Ok((version, seed))
    }

    /// An epoch, from the records where it is not remembered.
    pub async fn epoch(&self, raffle: &Raffle, epoch: u32) -> Result<Arc<LiveEpoch>, Error> {
        if let Some(live) = self.known_epoch(raffle.number, epoch) {
            return Ok(live);
        }
        let (version, seed) = self.version_and_seed(raffle, epoch).await?;
        let name = epoch_name(raffle.tenant.name, &raffle.id, epoch);
        let known = self.version(raffle, version).await?;
        let (plan, stated) = (Arc::clone(&known.plan), known.stated.clone());
        let live = Arc::new(LiveEpoch { number: epoch, plan, stated, chance: Chance::new(&seed, name) });
        remember(&self.epochs, (raffle.number, epoch), Arc::clone(&live));
        Ok(live)
    }

    /// What seals and opens secrets.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }
}

/// Whether there is no raffle at all.
pub async fn is_empty(records: &dyn Records) -> Result<bool, records::error::Error> {
    read(records, Shard::HOME, |tx| {
        Box::pin(async move {
            Ok(tx.fetch("SELECT number FROM raffle WHERE shard=0 LIMIT 1", &[]).await?.is_empty())
        })
    })
    .await
}

/// Whether a sealer opens what this database has sealed: the key of the oldest raffle's pseudonyms stands for all.
pub async fn opens(records: &dyn Records, sealer: &Sealer, tenant: Tenant) -> Result<bool, Error> {
    let oldest = read(records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let sql =
                "SELECT id,pseudonym_key FROM raffle WHERE shard=0 AND tenant=? ORDER BY number LIMIT 1";
            Ok::<_, Error>(tx.fetch(sql, &[Value::Int(tenant.number.into())]).await?.into_iter().next())
        })
    })
    .await?;
    let Some(row) = oldest else { return Ok(true) };
    match sealer.open(row.bytes(1)?, &pseudonym_secret(tenant, row.text(0)?)) {
        Ok(_) => Ok(true),
        Err(Error::WrongSeedKey(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The canonical text of a version's rules.
pub async fn rules_text(
    tx: &mut dyn Tx,
    tenant: u32,
    raffle: u32,
    version: u32,
) -> Result<Option<String>, Error> {
    let sql = "SELECT rules FROM raffle_version WHERE shard=0 AND tenant=? AND raffle=? AND version=?";
    let key = [Value::Int(tenant.into()), Value::Int(raffle.into()), Value::Int(version.into())];
    let rows = tx.fetch(sql, &key).await?;
    rows.first().map(|row| Ok(row.text(0)?.to_owned())).transpose()
}

/// A version's rules, and their canonical text.
pub async fn rules(tx: &mut dyn Tx, raffle: &Raffle, version: u32) -> Result<(Rules, String), Error> {
    let text = rules_text(tx, raffle.tenant.number, raffle.number, version).await?;
    let text = text.ok_or(Error::NoSuchVersion(version))?;
    let rules = serde_json::from_str(&text).map_err(|error| Error::BrokenVersion(error.to_string()))?;
    Ok((rules, text))
}

/// What the sealed key of a raffle's pseudonyms is about.
pub fn pseudonym_secret(tenant: Tenant, raffle: &str) -> String {
    format!("the pseudonyms of {}/{raffle}", tenant.name)
}

/// What the sealed seed of an epoch is about.
pub fn seed_secret(epoch_name: &str) -> String {
    format!("the seed of {epoch_name}")
}
