//! Publishing a version: the document becomes rules, the rules an epoch, in one transaction with the stock they bring.

use std::collections::HashMap;
use std::sync::Arc;

use kernel::id::Shard;
use kernel::ports::clock::Clock;
use records::audit::{self, Change, Stream};
use records::gate::{Gate, Segment};
use records::port::{Tx, Value, read, write};

use crate::catalog::{Raffle, pseudonym_secret};
use crate::document::{Document, Stock};
use crate::draw::Draws;
use crate::entry::{Event, Request};
use crate::error::Error;
use crate::fairness::{Pseudonyms, hex, sha256};
use crate::finding::Finding;
use crate::lint;
use crate::rules::{BUDGET, Publication, Rules};
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
pub struct Publish {
    /// The raffle in the address.
    pub raffle: String,
    /// The document's text, as it came.
    pub text: String,
    /// The Idempotency-Key and the body's hash.
    pub request: Request,
}

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

impl Draws {
    /// Publishes a document as the raffle's next version; the first makes the raffle. Its epoch is open when this is
    /// answered, and the one before is closed.
    pub(crate) async fn publish(&self, publish: Publish) -> Result<Published, Error> {
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
        let making = Making {
            seed: Seed::fresh(&*self.entropy)?,
            pseudonym_key: fresh_secret(&*self.entropy)?,
            document,
            publish,
            clock: Arc::clone(&self.clock),
        };
        let (catalog, entropy, shard) = (Arc::clone(&self.catalog), Arc::clone(&self.entropy), self.shard);
        let tenant = self.tenant;
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let (number, key) = identity(tx, &making, tenant, &catalog, &*entropy).await?;
                let pseudonyms = Pseudonyms::new(&key);
                let raffle = Raffle { tenant, number, id: making.publish.raffle.clone(), pseudonyms };
                if let Some(published) = before(tx, &raffle, &making.publish.request).await? {
                    return Ok(published);
                }
                making.publish(tx, (&raffle, &catalog), shard, &*entropy).await
            })
        })
        .await
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
    let key = [
        Value::Int(raffle.tenant.number.into()),
        Value::Int(raffle.number.into()),
        Value::Text(&request.key),
    ];
    let Some(row) = version_row(tx, &format!("{VERSION} AND idem_key=?"), &key).await? else {
        return Ok(None);
    };
    if row.body_hash != request.body_hash {
        return Err(Error::KeyReused);
    }
    let epoch = [key[0], key[1], Value::Int(row.epoch.into())];
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

/// The raffle's number and the key of its pseudonyms; made where they are missing.
async fn identity(
    tx: &mut dyn Tx,
    making: &Making,
    tenant: kernel::id::Tenant,
    catalog: &crate::catalog::Catalog,
    entropy: &dyn kernel::ports::entropy::Entropy,
) -> Result<(u32, [u8; 32]), Error> {
    let id = &making.publish.raffle;
    let about = pseudonym_secret(tenant, id);
    let sql = format!(
        "SELECT number,pseudonym_key FROM raffle WHERE shard=0 AND tenant=? AND id=?{}",
        tx.dialect().for_update()
    );
    let rows = tx.fetch(&sql, &[Value::Int(tenant.number.into()), Value::Text(id)]).await?;
    if let Some(row) = rows.first() {
        return Ok((row.small(0)?, catalog.sealer().open(row.bytes(1)?, &about)?));
    }
    let last = tx.fetch("SELECT COALESCE(MAX(number),0) FROM raffle WHERE shard=0", &[]).await?;
    let number = last.first().map_or(Ok(0), |row| row.small(0))? + 1;
    let sealed = catalog.sealer().seal(&making.pseudonym_key, &about, entropy)?;
    let values = [
        Value::Int(tenant.number.into()),
        Value::Text(id),
        Value::Int(number.into()),
        Value::Bytes(&sealed),
        Value::Int(making.clock.now_ms()),
    ];
    tx.exec(
        "INSERT INTO raffle (shard,tenant,id,number,pseudonym_key,created_ms) VALUES (0,?,?,?,?,?)",
        &values,
    )
    .await?;
    Ok((number, making.pseudonym_key))
}

/// Everything that a publication needs, made before its transaction.
struct Making {
    publish: Publish,
    document: Document,
    seed: Seed,
    pseudonym_key: [u8; 32],
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
        (raffle, catalog): (&Raffle, &crate::catalog::Catalog),
        shard: Shard,
        entropy: &dyn kernel::ports::entropy::Entropy,
    ) -> Result<Published, Error> {
        let raffle_key = [Value::Int(raffle.tenant.number.into()), Value::Int(raffle.number.into())];
        let last = version_row(tx, &format!("{VERSION} ORDER BY version DESC LIMIT 1"), &raffle_key).await?;
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

        let values = [
            Value::Int(version.into()),
            Value::Int(epoch.into()),
            Value::Text(&self.publish.request.key),
            Value::Bytes(&self.publish.request.body_hash),
            Value::Text(&self.publish.text),
            Value::Text(&text),
            Value::Bytes(&rules_hash),
            Value::Int(now_ms),
        ];
        tx.exec(
            "INSERT INTO raffle_version (shard,tenant,raffle,version,epoch,idem_key,body_hash,document,rules,
             rules_hash,published_ms) VALUES (0,?,?,?,?,?,?,?,?,?,?)",
            &[&raffle_key[..], &values].concat(),
        )
        .await?;
        let change = Change {
            at_ms: now_ms,
            action: "publish",
            subject: raffle.subject(),
            detail: format!("version {version}, epoch {epoch}, rules {}", hex(&rules_hash)),
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

    /// A document fills a prize's segment once, when the prize first becomes finite. From then on the stock is what the
    /// journal of moves says, and a document that names another number is refused: it would lie to whoever reads it.
    async fn stock(
        &self,
        tx: &mut dyn Tx,
        gate: &mut Gate,
        last: Option<&VersionRow>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let last = last.and_then(|row| crate::document::read(&row.document).ok());
        let segments = Segment::all(tx, gate.key).await?;
        for prize in &self.document.prizes {
            let before =
                last.iter().flat_map(|document| &document.prizes).find(|before| before.id == prize.id);
            if let (Some(Stock::Units(published)), Stock::Units(asked)) =
                (before.map(|before| before.stock), prize.stock)
                && published != asked
            {
                return Err(Error::StockIsNotEdited {
                    prize: prize.id.clone(),
                    published: published.to_string(),
                    asked: asked.to_string(),
                });
            }
            let Stock::Units(units) = prize.stock else { continue };
            if let Some(segment) = segments.iter().find(|segment| segment.item == prize.id) {
                // A prize that was finite before, and was left out or unlimited since: its shelf is as it was left.
                let total = segment.granted + segment.free;
                if !matches!(before.map(|before| before.stock), Some(Stock::Units(_))) && total != units {
                    return Err(Error::StockIsNotEdited {
                        prize: prize.id.clone(),
                        published: total.to_string(),
                        asked: units.to_string(),
                    });
                }
                continue;
            }
            fill(tx, gate, (&prize.id, units), now_ms).await?;
        }
        self.budget(tx, gate, (last.as_ref(), &segments), now_ms).await
    }

    /// The budget is stock too: filled once, raised by an order.
    async fn budget(
        &self,
        tx: &mut dyn Tx,
        gate: &mut Gate,
        (last, segments): (Option<&Document>, &[Segment]),
        now_ms: i64,
    ) -> Result<(), Error> {
        let Some(budget) = &self.document.budget else { return Ok(()) };
        let segment = segments.iter().find(|segment| segment.item == BUDGET);
        let before = last.and_then(|last| last.budget.as_ref()).map(|before| before.amount);
        let published = match (before, segment) {
            (_, None) => return fill(tx, gate, (BUDGET, budget.amount), now_ms).await,
            (Some(before), Some(_)) => before,
            (None, Some(segment)) => segment.granted + segment.free,
        };
        if published == budget.amount {
            return Ok(());
        }
        Err(Error::StockIsNotEdited {
            prize: BUDGET.to_owned(),
            published: published.to_string(),
            asked: budget.amount.to_string(),
        })
    }
}

/// Makes a segment with its first units, and tells the log.
async fn fill(
    tx: &mut dyn Tx,
    gate: &mut Gate,
    (item, units): (&str, u64),
    now_ms: i64,
) -> Result<(), Error> {
    Segment::add(tx, gate.key, item, units).await?;
    let event = Event {
        kind: "moved",
        at_ms: now_ms,
        prize: item.to_owned(),
        units,
        reason: "published".to_owned(),
        ..Event::default()
    };
    event.append(tx, gate).await?;
    Ok(())
}
