//! Publishing a version: the document, the stock and the budget that it brings, and where it is shown, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use kernel::finding::Finding;
use kernel::id::{Shard, Tenant};
use ledger::account::Overdraft;
use ledger::desk::{Counter, Desk as LedgerDesk};
use ledger::order::{Order as Posting, OrderId, Outcome as Posted, What as Move};
use records::audit::{self, Cause, Change, Stream};
use records::error::Error as RecordsError;
use records::port::{Tx, Value};

use crate::catalog::{CAMPAIGNS_MAX, Campaign, issued, unit};
use crate::desk::Head;
use crate::document::{self, Document, Stock};
use crate::error::Error;
use crate::offer;

/// A request to publish.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The campaign in the address.
    pub campaign: String,
    /// The document's text, as it came.
    pub text: String,
    /// The Idempotency-Key.
    pub key: String,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
    /// Who publishes, for the audit log.
    pub cause: Cause,
}

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The campaign's id.
    pub campaign: String,
    /// The version, from 1.
    pub version: u32,
    /// When, in milliseconds since the epoch.
    pub published_ms: i64,
    /// What is probably not as the author thinks.
    pub warnings: Vec<Finding>,
    /// Whether it had been published before, for the same key.
    pub replayed: bool,
}

/// Where and when it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    pub(crate) shard: Shard,
    pub(crate) now_ms: i64,
}

impl Place {
    fn values(self) -> [Value<'static>; 2] {
        [Value::Int(self.shard.0.into()), Value::Int(self.tenant.number.into())]
    }
}

/// A campaign's row.
#[derive(Debug, Clone, Copy)]
struct Identity {
    number: u32,
    version: u32,
}

/// What the same key published before. A document that is stricter judged by now is answered all the same.
pub(crate) async fn before(
    tx: &mut dyn Tx,
    tenant: Tenant,
    publish: &Publish,
) -> Result<Option<Published>, Error> {
    let sql = "SELECT v.version,v.body_hash,v.document,v.published_ms FROM campaign_version v, campaign c
        WHERE c.shard=0 AND c.tenant=? AND c.id=?
        AND v.shard=0 AND v.tenant=c.tenant AND v.campaign=c.number AND v.idem_key=?";
    let key = [Value::Int(tenant.number.into()), Value::Text(&publish.campaign), Value::Text(&publish.key)];
    let rows = tx.fetch(sql, &key).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.array::<32>(1)? != publish.body_hash {
        return Err(Error::KeyReused);
    }
    let published_ms = row.int(3)?;
    let (_, warnings) = document::read(row.text(2)?, published_ms);
    Ok(Some(Published {
        campaign: publish.campaign.clone(),
        version: row.small(0)?,
        published_ms,
        warnings,
        replayed: true,
    }))
}

/// Reads and judges a document.
pub(crate) fn judge(publish: &Publish, now_ms: i64) -> Result<(Document, Vec<Finding>), Error> {
    let (document, findings) = document::read(&publish.text, now_ms);
    let document = match document {
        Some(document) if !document::forbids(&findings) => document,
        _ => return Err(Error::Document(findings)),
    };
    if document.campaign != publish.campaign {
        let (found, wanted) = (document.campaign, publish.campaign.clone());
        return Err(Error::OtherCampaign { found, wanted });
    }
    Ok((document, findings))
}

/// Publishes a document that has been judged, unless the same key has published before.
pub(crate) async fn publish(
    tx: &mut dyn Tx,
    place: Place,
    publish: &Publish,
    (document, warnings): (Document, Vec<Finding>),
) -> Result<Published, Error> {
    // The same lock as for acts: what is decided by the version before is decided before.
    let head = Head::lock(tx, place.shard, place.tenant.number).await?;
    if let Some(published) = before(tx, place.tenant, publish).await? {
        return Ok(published);
    }
    let found = identity(tx, place, &publish.campaign).await?;
    let version = found.version + 1;
    let campaign = Campaign::new((found.number, publish.campaign.clone()), version, document);
    let campaign =
        campaign.ok_or_else(|| Error::BrokenVersion { campaign: publish.campaign.clone(), version })?;
    show(tx, place, &campaign).await?;
    for offer in &campaign.document.offers {
        let Stock::Units(units) = offer.stock else { continue };
        let (database, key) = ((place.shard, place.tenant.number), (campaign.number, offer.id.as_str()));
        if !offer::allot(tx, database, key, units).await? {
            return Err(Error::StockTaken { offer: offer.id.clone(), units });
        }
    }
    fund(tx, place, &campaign).await?;
    write_version(tx, place, &campaign, publish).await?;
    Head { version: head.version + 1, ..head }.save(tx, (place.shard, place.tenant.number), head).await?;
    let change = Change {
        at_ms: place.now_ms,
        action: "publish",
        subject: format!("campaign/{}", campaign.id),
        detail: format!("version {version}"),
    };
    audit::append(tx, &Stream::changes(place.shard, place.tenant.number), &publish.cause, change).await?;
    Ok(Published {
        campaign: campaign.id.clone(),
        version,
        published_ms: place.now_ms,
        warnings,
        replayed: false,
    })
}

/// The campaign's row, made where it is missing.
async fn identity(tx: &mut dyn Tx, place: Place, id: &str) -> Result<Identity, Error> {
    let [shard, tenant] = place.values();
    let sql = "SELECT number,version FROM campaign WHERE shard=? AND tenant=? AND id=?";
    let rows = tx.fetch(sql, &[shard, tenant, Value::Text(id)]).await?;
    if let Some(row) = rows.first() {
        return Ok(Identity { number: row.small(0)?, version: row.small(1)? });
    }
    let sql = "SELECT COUNT(*),COALESCE(MAX(number),0) FROM campaign WHERE shard=?";
    let rows = tx.fetch(sql, &[shard]).await?;
    let (count, last) = rows
        .first()
        .map_or(Ok((0, 0)), |row| Ok((row.count(0)?, row.small(1)?)))
        .map_err(|error: RecordsError| error)?;
    if count >= CAMPAIGNS_MAX as u64 {
        return Err(Error::TooManyCampaigns(CAMPAIGNS_MAX));
    }
    let number = last + 1;
    let values = [shard, tenant, Value::Text(id), Value::Int(number.into()), Value::Int(place.now_ms)];
    let insert = "INSERT INTO campaign (shard,tenant,id,number,version,created_ms) VALUES (?,?,?,?,0,?)";
    tx.exec(insert, &values).await?;
    Ok(Identity { number, version: 0 })
}

async fn write_version(
    tx: &mut dyn Tx,
    place: Place,
    campaign: &Campaign,
    publish: &Publish,
) -> Result<(), Error> {
    let [shard, tenant] = place.values();
    let (number, version) = (Value::Int(campaign.number.into()), Value::Int(campaign.version.into()));
    let values = [
        shard,
        tenant,
        number,
        version,
        Value::Text(&publish.key),
        Value::Bytes(&publish.body_hash),
        Value::Text(&publish.text),
        Value::Int(place.now_ms),
    ];
    let insert = "INSERT INTO campaign_version
        (shard,tenant,campaign,version,idem_key,body_hash,document,published_ms) VALUES (?,?,?,?,?,?,?,?)";
    tx.exec(insert, &values).await?;
    let update = "UPDATE campaign SET version=? WHERE shard=? AND tenant=? AND number=? AND version=?";
    let before = Value::Int((campaign.version - 1).into());
    if tx.exec(update, &[version, shard, tenant, number, before]).await? == 1 {
        return Ok(());
    }
    Err(RecordsError::Surprise("campaign").into())
}

/// Notes where the campaign is shown. A place that another has at that time is refused.
async fn show(tx: &mut dyn Tx, place: Place, campaign: &Campaign) -> Result<(), Error> {
    let [shard, tenant] = place.values();
    let number = Value::Int(campaign.number.into());
    let delete = "DELETE FROM campaign_placement WHERE shard=? AND tenant=? AND campaign=?";
    tx.exec(delete, &[shard, tenant, number]).await?;
    let from = Value::Int(campaign.window.from_ms.unwrap_or(i64::MIN));
    let until = Value::Int(campaign.window.until_ms.unwrap_or(i64::MAX));
    for shown in &campaign.document.placements {
        let (channel, source) = (Value::Text(&shown.channel), Value::Text(&shown.source));
        let sql = "SELECT c.id FROM campaign_placement p, campaign c
            WHERE p.shard=? AND p.tenant=? AND p.channel=? AND p.source=? AND p.from_ms<? AND p.until_ms>?
            AND c.shard=p.shard AND c.number=p.campaign";
        let rows = tx.fetch(sql, &[shard, tenant, channel, source, until, from]).await?;
        if let Some(other) = rows.first() {
            return Err(Error::PlacementTaken {
                campaign: other.text(0)?.to_owned(),
                channel: shown.channel.clone(),
                source_name: shown.source.clone(),
            });
        }
        let insert = "INSERT INTO campaign_placement
            (shard,tenant,channel,source,campaign,from_ms,until_ms) VALUES (?,?,?,?,?,?,?)";
        tx.exec(insert, &[shard, tenant, channel, source, number, from, until]).await?;
    }
    Ok(())
}

/// What was set aside for a campaign, by unit.
pub(crate) async fn funds(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    campaign: u32,
) -> Result<BTreeMap<String, i64>, RecordsError> {
    let sql = "SELECT unit,amount FROM campaign_fund WHERE shard=? AND tenant=? AND campaign=?";
    let key = [Value::Int(shard.0.into()), Value::Int(tenant.into()), Value::Int(campaign.into())];
    let rows = tx.fetch(sql, &key).await?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).collect()
}

/// A version's document, and when it was published.
pub(crate) async fn document(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    (campaign, version): (u32, u32),
) -> Result<Option<(String, i64)>, RecordsError> {
    let sql = "SELECT document,published_ms FROM campaign_version
        WHERE shard=? AND tenant=? AND campaign=? AND version=?";
    let key = [
        Value::Int(shard.0.into()),
        Value::Int(tenant.into()),
        Value::Int(campaign.into()),
        Value::Int(version.into()),
    ];
    let rows = tx.fetch(sql, &key).await?;
    rows.first().map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).transpose()
}

/// Sets aside in the ledger what the budget says, or brings back what it says no more.
async fn fund(tx: &mut dyn Tx, place: Place, campaign: &Campaign) -> Result<(), Error> {
    let [shard, tenant] = place.values();
    let number = Value::Int(campaign.number.into());
    let before = funds(tx, (place.shard, place.tenant.number), campaign.number).await?;
    let budget = &campaign.document.budget;
    let mut wanted: BTreeMap<&str, i64> =
        budget.units.iter().map(|(unit, amount)| (unit.as_str(), *amount)).collect();
    if let Some(money) = &budget.money {
        wanted.insert(&money.unit, money.amount);
    }
    let units: BTreeSet<&str> = wanted.keys().copied().chain(before.keys().map(String::as_str)).collect();
    let changed: Vec<(&str, i64, Option<i64>)> = units
        .into_iter()
        .map(|unit| (unit, before.get(unit).copied().unwrap_or(0), wanted.get(unit).copied()))
        .filter(|(_, before, wanted)| {
            wanted.is_some_and(|wanted| wanted != *before) || *before > 0 && wanted.is_none()
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut accounts = vec![];
    for (unit, _, _) in &changed {
        accounts.extend([campaign.fund(unit)?, issued(unit)?]);
    }
    let opened: Vec<_> = changed.iter().map(|(unit, _, _)| opening(campaign, unit)).collect();
    let ledger = LedgerDesk { tenant: place.tenant, shard: place.shard, now_ms: place.now_ms };
    let mut counter = ledger.open(tx, &accounts, &opened).await?;
    for (unit, before, wanted) in changed {
        let set_aside = move_budget(&mut counter, campaign, unit, (before, wanted))?;
        let values = [shard, tenant, number, Value::Text(unit), Value::Int(set_aside)];
        let delete = "DELETE FROM campaign_fund WHERE shard=? AND tenant=? AND campaign=? AND unit=?";
        tx.exec(delete, &values[..4]).await?;
        let insert = "INSERT INTO campaign_fund (shard,tenant,campaign,unit,amount) VALUES (?,?,?,?,?)";
        tx.exec(insert, &values).await?;
    }
    counter.write(tx).await?;
    Ok(())
}

/// The ledger's order that opens the account of a campaign's budget.
fn opening(campaign: &Campaign, unit: &str) -> OrderId {
    OrderId::of(&[b"campaign-budget-opening", &campaign.number.to_be_bytes(), unit.as_bytes()])
}

/// Moves what a version changes of a budget; what is left of one that it does not name any more comes back. Answers how much
/// has been set aside in all.
fn move_budget(
    counter: &mut Counter,
    campaign: &Campaign,
    name: &str,
    (before, wanted): (i64, Option<i64>),
) -> Result<i64, Error> {
    let (fund, issued) = (campaign.fund(name)?, issued(name)?);
    unit(name)?;
    let what = Move::Open { account: fund.clone(), overdraft: Overdraft::Forbidden };
    let order = Posting {
        id: opening(campaign, name),
        code: "budget".to_owned(),
        reference: campaign.id.clone(),
        what,
    };
    match counter.decide(&order)? {
        Posted::Created(_) | Posted::Exists(_) => {}
        Posted::Refused { .. } | Posted::ExistsWithDifferent(_) | Posted::Nothing => {
            return Err(RecordsError::Surprise("ledger_order").into());
        }
    }
    // Looked at before, as an order that is refused would be refused for ever.
    let left = counter.available(&fund).min(before);
    let set_aside = wanted.unwrap_or(before - left);
    if before - set_aside > left {
        return Err(Error::BudgetSpent { unit: name.to_owned(), amount: set_aside });
    }
    let amount = (set_aside - before).abs();
    if amount == 0 {
        return Ok(set_aside);
    }
    let (version, number) = (campaign.version.to_be_bytes(), campaign.number.to_be_bytes());
    let id = OrderId::of(&[b"campaign-budget", &number, &version, name.as_bytes()]);
    let legs = if set_aside > before { (&issued, &fund) } else { (&fund, &issued) };
    match counter.decide(&Posting::transfer(id, legs, amount).about("budget", &campaign.id))? {
        Posted::Created(_) => Ok(set_aside),
        Posted::Refused { .. } | Posted::Exists(_) | Posted::ExistsWithDifferent(_) | Posted::Nothing => {
            Err(RecordsError::Surprise("ledger_order").into())
        }
    }
}
