//! Publishing a version: the document becomes rules, the rules an epoch, in one transaction with the stock they bring.

mod shelves;

use std::collections::HashMap;
use std::sync::Arc;

use kernel::finding::Finding;
use kernel::hex::hex;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use records::audit::{self, Change, Stream};
use records::gate::Gate;
use records::port::{Tx, Value, read, write};

use crate::catalog::{Catalog, Raffle, pseudonym_secret};
use crate::diff::Diff;
use crate::document::Document;
use crate::draw::Draws;
use crate::entry::Request;
use crate::error::Error;
use crate::fairness::{Pseudonyms, sha256};
use crate::lint;
use crate::review::{self, Act, Subject};
use crate::rules::{Publication, Rules};
use crate::seal::fresh_secret;
use crate::turn::{self, Decides, Seed};

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The raffle's id.
    pub raffle: String,
    /// The version, from 1.
    pub version: u32,
    /// SHA-256 of the canonical rules.
    pub rules_hash: [u8; 32],
    /// The epoch it opened.
    pub epoch: u32,
    /// SHA-256 of that epoch's seed.
    pub seed_hash: [u8; 32],
    /// When, in milliseconds since the epoch.
    pub published_ms: i64,
    /// What the linter found then, none of it an error.
    pub warnings: Vec<Finding>,
    /// Whether it had been published before, for the same key.
    pub replayed: bool,
}

/// A request to publish.
#[derive(Clone)]
pub struct Publish {
    /// The raffle in the address.
    pub raffle: String,
    /// The document's text, as it came.
    pub text: String,
    /// The Idempotency-Key, the body's hash, and who publishes.
    pub request: Request,
}

/// What a version comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A document, sent to be published.
    Document,
    /// A draft, written while another version was live.
    Draft {
        /// Its number.
        number: u32,
        /// That version; 0 is none.
        base: u32,
    },
    /// An earlier version.
    Version(u32),
}

/// The version that is live; 0 is none.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) version: u32,
    pub(crate) document: Option<Document>,
}

/// How often a publication is judged again, because another was faster.
const JUDGED_MAX: usize = 8;

/// A version's row.
struct VersionRow {
    version: u32,
    epoch: u32,
    body_hash: [u8; 32],
    document: String,
    rules_hash: [u8; 32],
    published_ms: i64,
}

const VERSION: &str = "SELECT version,epoch,body_hash,document,rules_hash,published_ms FROM raffle_version
    WHERE shard=0 AND tenant=? AND raffle=?";

async fn version_row(tx: &mut dyn Tx, sql: &str, values: &[Value<'_>]) -> Result<Option<VersionRow>, Error> {
    let rows = tx.fetch(sql, values).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(VersionRow {
        version: row.small(0)?,
        epoch: row.small(1)?,
        body_hash: row.array(2)?,
        document: row.text(3)?.to_owned(),
        rules_hash: row.array(4)?,
        published_ms: row.int(5)?,
    }))
}

async fn last_version(tx: &mut dyn Tx, raffle: &Raffle) -> Result<Option<VersionRow>, Error> {
    version_row(tx, &format!("{VERSION} ORDER BY version DESC LIMIT 1"), &raffle.values()).await
}

impl Draws {
    /// Publishes a document as the raffle's next version; the first makes the raffle. Its epoch is open when this is
    /// answered, and the one before is closed.
    pub(crate) async fn publish(&self, publish: Publish) -> Result<Published, Error> {
        self.publish_from(publish, Origin::Document, String::new()).await
    }

    /// The same, with where the document comes from and why it is published.
    pub(crate) async fn publish_from(
        &self,
        publish: Publish,
        origin: Origin,
        reason: String,
    ) -> Result<Published, Error> {
        // What was published is answered again, even where the linter has become stricter since.
        if let Some(published) = self.published_before(&publish).await? {
            return Ok(published);
        }
        let now_ms = self.clock.now_ms();
        let (document, findings) = lint::check(&publish.text, now_ms);
        let document = match document {
            Some(document) if !lint::forbids(&findings) => document,
            _ => return Err(Error::Document(findings)),
        };
        if document.raffle != publish.raffle {
            return Err(Error::OtherRaffle { found: document.raffle, wanted: publish.raffle });
        }
        let mut live = Live::default();
        // What is judged outside its transaction is judged again where another version came between.
        for _ in 0..JUDGED_MAX {
            let mut reasons = vec![];
            if self.thresholds.four_eyes {
                live = self.live(&publish.raffle).await?;
                let diff = Diff::of(live.document.as_ref(), &document, None);
                let found = self.thresholds.version(live.document.as_ref(), &document, &diff);
                reasons.extend(found.into_iter().map(|reason| reason.message));
            }
            let judged = match origin {
                Origin::Draft { base, .. } => Some(base),
                Origin::Document | Origin::Version(_) if !reasons.is_empty() => {
                    return Err(Error::needs_review(&reasons));
                }
                Origin::Document | Origin::Version(_) => self.thresholds.four_eyes.then_some(live.version),
            };
            let making = Making {
                seed: Seed::fresh(&*self.entropy)?,
                pseudonym_key: fresh_secret(&*self.entropy)?,
                document: document.clone(),
                publish: publish.clone(),
                origin,
                reason: reason.clone(),
                judged,
                reasons,
                clock: Arc::clone(&self.clock),
            };
            if let Some(published) = self.make(making).await? {
                return Ok(published);
            }
        }
        Err(Error::Stale { base: live.version, live: live.version + 1 })
    }

    /// Publishes, unless another version is live than the one that it was held against.
    async fn make(&self, making: Making) -> Result<Option<Published>, Error> {
        let (catalog, entropy, shard) = (Arc::clone(&self.catalog), Arc::clone(&self.entropy), self.shard);
        let tenant = self.tenant;
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let (id, now_ms) = (&making.publish.raffle, making.clock.now_ms());
                let new = (&making.pseudonym_key, now_ms);
                let raffle = identity(tx, (tenant, id), new, (&catalog, &*entropy)).await?;
                if let Some(published) = before(tx, &raffle, &making.publish.request).await? {
                    return Ok(Some(published));
                }
                let last = last_version(tx, &raffle).await?;
                let live = last.as_ref().map_or(0, |row| row.version);
                match (making.judged, making.origin) {
                    (Some(base), Origin::Draft { .. }) if base != live => {
                        return Err(Error::Stale { base, live });
                    }
                    (Some(base), Origin::Document | Origin::Version(_)) if base != live => return Ok(None),
                    (Some(_) | None, Origin::Document | Origin::Draft { .. } | Origin::Version(_)) => {}
                }
                let published = making.publish(tx, (&raffle, &catalog), last, shard, &*entropy).await?;
                making.note(tx, &raffle, &published).await?;
                Ok(Some(published))
            })
        })
        .await
    }

    /// The version that is live, and its document.
    pub(crate) async fn live(&self, raffle: &str) -> Result<Live, Error> {
        let raffle = match self.catalog.raffle(raffle).await {
            Err(Error::NoSuchRaffle(_)) => return Ok(Live::default()),
            found => found?,
        };
        let row = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { last_version(tx, &raffle).await })
        });
        let Some(row) = row.await? else { return Ok(Live::default()) };
        let document = crate::document::read(&row.document)
            .map_err(|_| Error::BrokenVersion(format!("the document of version {}", row.version)))?;
        Ok(Live { version: row.version, document: Some(document) })
    }
}

impl Draws {
    async fn published_before(&self, publish: &Publish) -> Result<Option<Published>, Error> {
        let raffle = match self.catalog.raffle(&publish.raffle).await {
            Err(Error::NoSuchRaffle(_)) => return Ok(None),
            found => found?,
        };
        let request = publish.request.clone();
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { before(tx, &raffle, &request).await })
        })
        .await
    }
}

/// What the same key published before.
async fn before(tx: &mut dyn Tx, raffle: &Raffle, request: &Request) -> Result<Option<Published>, Error> {
    let [tenant, number] = raffle.values();
    let key = [tenant, number, Value::Text(&request.key)];
    let Some(row) = version_row(tx, &format!("{VERSION} AND idem_key=?"), &key).await? else {
        return Ok(None);
    };
    if row.body_hash != request.body_hash {
        return Err(Error::KeyReused);
    }
    let epoch = [tenant, number, Value::Int(row.epoch.into())];
    let sql = "SELECT seed_hash FROM raffle_epoch WHERE shard=0 AND tenant=? AND raffle=? AND epoch=?";
    let rows = tx.fetch(sql, &epoch).await?;
    let seed_hash =
        rows.first().ok_or_else(|| Error::BrokenVersion("its epoch is gone".to_owned()))?.array(0)?;
    let (_, warnings) = lint::check(&row.document, row.published_ms);
    Ok(Some(Published {
        raffle: raffle.id.clone(),
        version: row.version,
        rules_hash: row.rules_hash,
        epoch: row.epoch,
        seed_hash,
        published_ms: row.published_ms,
        warnings,
        replayed: true,
    }))
}

/// The raffle, made where it is missing. Its row stays locked.
pub(crate) async fn identity(
    tx: &mut dyn Tx,
    (tenant, id): (Tenant, &str),
    (new_key, now_ms): (&[u8; 32], i64),
    (catalog, entropy): (&Catalog, &dyn Entropy),
) -> Result<Raffle, Error> {
    let about = pseudonym_secret(tenant, id);
    let raffle = |number, key: &[u8; 32]| Raffle {
        tenant,
        number,
        id: id.to_owned(),
        pseudonyms: Pseudonyms::new(key),
    };
    let sql = format!(
        "SELECT number,pseudonym_key FROM raffle WHERE shard=0 AND tenant=? AND id=?{}",
        tx.dialect().for_update()
    );
    let rows = tx.fetch(&sql, &[Value::Int(tenant.number.into()), Value::Text(id)]).await?;
    if let Some(row) = rows.first() {
        return Ok(raffle(row.small(0)?, &catalog.sealer().open(row.bytes(1)?, &about)?));
    }
    let last = tx.fetch("SELECT COALESCE(MAX(number),0) FROM raffle WHERE shard=0", &[]).await?;
    let number = last.first().map_or(Ok(0), |row| row.small(0))? + 1;
    let sealed = catalog.sealer().seal(new_key, &about, entropy)?;
    let values = [
        Value::Int(tenant.number.into()),
        Value::Text(id),
        Value::Int(number.into()),
        Value::Bytes(&sealed),
        Value::Int(now_ms),
    ];
    tx.exec(
        "INSERT INTO raffle (shard,tenant,id,number,pseudonym_key,created_ms) VALUES (0,?,?,?,?,?)",
        &values,
    )
    .await
    .map_err(records::error::Error::or_raced)?;
    Ok(raffle(number, new_key))
}

/// Everything that a publication needs, made before its transaction.
struct Making {
    publish: Publish,
    document: Document,
    seed: Seed,
    pseudonym_key: [u8; 32],
    origin: Origin,
    reason: String,
    /// The version that it was held against, where it was.
    judged: Option<u32>,
    /// Why one person may not publish it alone.
    reasons: Vec<String>,
    clock: Arc<dyn Clock>,
}

impl Making {
    fn rules(&self, raffle: &Raffle, version: u32, slots: &HashMap<String, u32>) -> Rules {
        let pseudonym = |participant: &str| hex(&raffle.pseudonyms.of(participant));
        let slot = |prize: &str| slots.get(prize).copied().unwrap_or_default();
        let publication =
            Publication { tenant: raffle.tenant.name, version, pseudonym: &pseudonym, slot: &slot };
        Rules::of(&self.document, &publication)
    }

    /// The slots of this document's prizes; new prizes get the next numbers, from 1.
    async fn slots(&self, tx: &mut dyn Tx, raffle: &Raffle) -> Result<HashMap<String, u32>, Error> {
        let key = [Value::Int(raffle.tenant.number.into()), Value::Int(raffle.number.into())];
        let sql = "SELECT prize,slot FROM raffle_prize WHERE shard=0 AND tenant=? AND raffle=?";
        let mut slots = HashMap::new();
        for row in tx.fetch(sql, &key).await? {
            slots.insert(row.text(0)?.to_owned(), row.small(1)?);
        }
        let mut last = slots.values().copied().max().unwrap_or(0);
        for prize in &self.document.prizes {
            if slots.contains_key(&prize.id) {
                continue;
            }
            last += 1;
            slots.insert(prize.id.clone(), last);
            let values = [Value::Text(&prize.id), Value::Int(last.into())];
            tx.exec(
                "INSERT INTO raffle_prize (shard,tenant,raffle,prize,slot) VALUES (0,?,?,?,?)",
                &[&key[..], &values].concat(),
            )
            .await?;
        }
        Ok(slots)
    }

    async fn publish(
        &self,
        tx: &mut dyn Tx,
        (raffle, catalog): (&Raffle, &Catalog),
        last: Option<VersionRow>,
        shard: Shard,
        entropy: &dyn Entropy,
    ) -> Result<Published, Error> {
        let raffle_key = raffle.values();
        let version = last.as_ref().map_or(0, |row| row.version) + 1;
        let slots = self.slots(tx, raffle).await?;
        let rules = self.rules(raffle, version, &slots);
        let text = serde_json::to_string(&rules).map_err(|error| Error::BrokenVersion(error.to_string()))?;
        let rules_hash = sha256(text.as_bytes());

        let key = raffle.gate(shard);
        let mut gate = match Gate::lock(tx, key).await? {
            Some(gate) => gate,
            None => {
                Gate::new(key).create(tx).await?;
                Gate::new(key)
            }
        };
        // Read under the lock: no entry of the log is earlier than the one before it.
        let now_ms = self.clock.now_ms();
        turn::close(tx, raffle, &mut gate, now_ms).await?;
        self.stock(tx, &mut gate, last.as_ref(), now_ms).await?;
        let decides = Decides { version, rules_hash, until_ms: rules.until_ms };
        let epoch =
            turn::open(tx, (raffle, catalog), &mut gate, decides, (&self.seed, entropy), (now_ms, None))
                .await?;
        gate.save(tx).await?;

        let (draft, restores) = match self.origin {
            Origin::Document => (None, None),
            Origin::Draft { number, .. } => (Some(number), None),
            Origin::Version(version) => (None, Some(version)),
        };
        let values = [
            Value::Int(version.into()),
            Value::Int(epoch.into()),
            Value::Text(&self.publish.request.key),
            Value::Bytes(&self.publish.request.body_hash),
            Value::Text(&self.publish.text),
            Value::Text(&text),
            Value::Bytes(&rules_hash),
            Value::Int(now_ms),
            Value::Text(&self.publish.request.actor.name),
            Value::Text(&self.reason),
            Value::int_or_null(draft.map(i64::from)),
            Value::int_or_null(restores.map(i64::from)),
        ];
        tx.exec(
            "INSERT INTO raffle_version (shard,tenant,raffle,version,epoch,idem_key,body_hash,document,rules,
             rules_hash,published_ms,published_by,reason,draft,restores) VALUES (0,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            &[&raffle_key[..], &values].concat(),
        )
        .await?;
        let (action, from) = match self.origin {
            Origin::Document => ("publish", String::new()),
            Origin::Draft { number, .. } => ("publish", format!(", draft {number}")),
            Origin::Version(earlier) => ("restore", format!(", document of version {earlier}")),
        };
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        let change = Change {
            at_ms: now_ms,
            action,
            subject: raffle.subject(),
            detail: format!("version {version}, epoch {epoch}, rules {}{from}{why}", hex(&rules_hash)),
        };
        let changes = Stream::changes(shard, raffle.tenant.number);
        audit::append(tx, &changes, &self.publish.request.cause(), change).await?;
        Ok(Published {
            raffle: raffle.id.clone(),
            version,
            rules_hash,
            epoch,
            seed_hash: self.seed.hash(),
            published_ms: now_ms,
            warnings: lint::lint(&self.document, now_ms),
            replayed: false,
        })
    }

    /// Moves the draft that was published.
    async fn note(&self, tx: &mut dyn Tx, raffle: &Raffle, published: &Published) -> Result<(), Error> {
        let Origin::Draft { number, .. } = self.origin else { return Ok(()) };
        let asked = &self.publish.request;
        let key = format!("drafts/{number}/publish {}", asked.key);
        let act = Act {
            request: Request { key, ..asked.clone() },
            at_ms: published.published_ms,
            reason: self.reason.clone(),
        };
        let needs_approval = !self.reasons.is_empty();
        let event = review::Event::Publish { version: published.version, needs_approval };
        match review::happen(tx, raffle, Subject::Draft(number), (event, &act)).await {
            Err(Error::ReviewNeeded { .. }) => Err(Error::needs_review(&self.reasons)),
            happened => happened.map(|_| ()),
        }
    }
}
