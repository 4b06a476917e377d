//! What this process remembers of campaigns: all that are published, as of one version of the head.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use kernel::amount::Unit;
use kernel::id::{Shard, Tenant};
use ledger::account::{Account, ISSUED, SPENT};
use records::error::Error as RecordsError;
use records::port::{Records, Tx, Value, read};
use records::statement::ByKeys;

use crate::document::{self, Document, Offer};
use crate::error::Error;
use crate::window::{Window, Zone};

/// Most campaigns of a tenant.
pub const CAMPAIGNS_MAX: usize = 1000;

/// A campaign, as its latest version has it.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// In keys.
    pub number: u32,
    /// In URLs.
    pub id: String,
    /// The version, from 1.
    pub version: u32,
    /// What was published.
    pub document: Document,
    /// Its time zone.
    pub zone: Zone,
    /// When it runs.
    pub window: Window,
}

/// A unit of a document that has been checked.
pub(crate) fn unit(name: &str) -> Result<Unit, RecordsError> {
    name.parse().map_err(|_| RecordsError::Corrupt(format!("`{name}` is no unit")))
}

/// The house's account that prices go to.
pub(crate) fn spent(name: &str) -> Result<Account, RecordsError> {
    Ok(Account::house(SPENT, &unit(name)?))
}

/// The house's account that everything comes from.
pub(crate) fn issued(name: &str) -> Result<Account, RecordsError> {
    Ok(Account::house(ISSUED, &unit(name)?))
}

/// A participant's wallet.
pub(crate) fn wallet(participant: &str, name: &str, wallet: &str) -> Result<Account, RecordsError> {
    Ok(Account { wallet: wallet.to_owned(), ..Account::of(participant, &unit(name)?) })
}

impl Campaign {
    pub(crate) fn new((number, id): (u32, String), version: u32, document: Document) -> Option<Self> {
        let zone = Zone::named(&document.time_zone)?;
        let instant = |local: &Option<String>| local.as_ref().and_then(|local| zone.instant_of(local));
        let window =
            Window { from_ms: instant(&document.window.from), until_ms: instant(&document.window.until) };
        Some(Self { number, id, version, document, zone, window })
    }

    /// The account of the house that its budget is in.
    pub(crate) fn fund(&self, name: &str) -> Result<Account, RecordsError> {
        Ok(Account::house(&format!("campaign-{}", self.id), &unit(name)?))
    }

    /// Where a unit that it gives comes from: its budget, where it has one.
    pub(crate) fn source(&self, name: &str) -> Result<Account, RecordsError> {
        if self.document.budget.units.contains_key(name) { self.fund(name) } else { issued(name) }
    }

    /// An offer by its id.
    pub fn offer(&self, id: &str) -> Option<&Offer> {
        self.document.offers.iter().find(|offer| offer.id == id)
    }
}

/// All campaigns, at one version of the head.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The head's version.
    pub version: u64,
    /// By id.
    pub campaigns: BTreeMap<String, Arc<Campaign>>,
}

impl Snapshot {
    /// A campaign by its id.
    pub fn campaign(&self, id: &str) -> Result<&Arc<Campaign>, Error> {
        self.campaigns.get(id).ok_or_else(|| Error::NoSuchCampaign(id.to_owned()))
    }

    /// A campaign by its number.
    pub fn numbered(&self, number: u32) -> Option<&Arc<Campaign>> {
        self.campaigns.values().find(|campaign| campaign.number == number)
    }
}

/// The latest snapshot.
pub struct Catalog {
    records: Arc<dyn Records>,
    tenant: Tenant,
    snapshot: RwLock<Arc<Snapshot>>,
}

static DOCUMENTS: ByKeys = ByKeys::new(
    "SELECT campaign,version,document FROM campaign_version WHERE shard=0 AND tenant=?",
    &["campaign", "version"],
    "",
);

impl Catalog {
    /// An empty memory over records.
    pub fn new(records: Arc<dyn Records>, tenant: Tenant) -> Self {
        Self { records, tenant, snapshot: RwLock::default() }
    }

    /// What is known.
    pub fn known(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is published now: read again where the head has moved.
    pub async fn fresh(&self) -> Result<Arc<Snapshot>, Error> {
        let (tenant, known) = (self.tenant.number, self.known());
        let read = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { load(tx, tenant, known).await })
        });
        let snapshot = read.await?;
        let mut latest = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have read a later one meanwhile.
        if snapshot.version > latest.version {
            *latest = Arc::clone(&snapshot);
        }
        Ok(snapshot)
    }
}

/// The version of the head; 0 where nothing is published.
async fn head_version(tx: &mut dyn Tx, tenant: u32) -> Result<u64, RecordsError> {
    let sql = "SELECT version FROM campaign_head WHERE shard=0 AND tenant=?";
    let rows = tx.fetch(sql, &[Value::Int(tenant.into())]).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

async fn load(tx: &mut dyn Tx, tenant: u32, known: Arc<Snapshot>) -> Result<Arc<Snapshot>, Error> {
    let version = head_version(tx, tenant).await?;
    if version == known.version {
        return Ok(known);
    }
    let sql = "SELECT number,id,version FROM campaign WHERE shard=0 AND tenant=? AND version>0 ORDER BY id";
    let rows = tx.fetch(sql, &[Value::Int(tenant.into())]).await?;
    let mut snapshot = Snapshot { version, campaigns: BTreeMap::new() };
    let mut wanted = BTreeMap::new();
    for row in &rows {
        let (number, id, version) = (row.small(0)?, row.text(1)?, row.small(2)?);
        match known.campaigns.get(id).filter(|campaign| campaign.version == version) {
            Some(same) => drop(snapshot.campaigns.insert(id.to_owned(), Arc::clone(same))),
            None => drop(wanted.insert(number, (id.to_owned(), version))),
        }
    }
    let keys: Vec<_> = wanted
        .iter()
        .flat_map(|(number, (_, version))| [Value::Int((*number).into()), Value::Int((*version).into())])
        .collect();
    for row in DOCUMENTS.fetch(tx, &[Value::Int(tenant.into())], &keys).await? {
        let number = row.small(0)?;
        let Some((id, version)) = wanted.remove(&number) else { continue };
        // One document that nobody can read any more must not end all other campaigns.
        let document = document::read(row.text(2)?, 0).0;
        match document.and_then(|document| Campaign::new((number, id.clone()), version, document)) {
            Some(campaign) => drop(snapshot.campaigns.insert(id, Arc::new(campaign))),
            None => tracing::error!(campaign = id, version, "a published campaign cannot be read"),
        }
    }
    Ok(Arc::new(snapshot))
}
