//! All that the edge may ask of campaigns.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::id::{Shard, Tenant};
use kernel::ports::PortError;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use records::audit::{self, Cause, Change, Stream};
use records::batch::{self, Batcher, Limits};
use records::machine;
use records::port::{Records, Value, read, write};

use crate::act::{Ask, BUSINESS_ID_MAX, What};
use crate::audience::{self, UPLOAD_MAX};
use crate::calendar::{self, Calendar};
use crate::catalog::{Campaign, Catalog, Snapshot};
use crate::desk::{Acts, Done};
use crate::document::REFERRAL;
use crate::error::Error;
use crate::offer::{self, Order, OrderKey, Shelf};
use crate::publish::{self, Place, Publish, Published};
use crate::referral::{self, CODE_LETTERS, Qualified};
use crate::who::Who;

/// Longest name of a participant, in characters.
const NAME_MAX: usize = 128;

/// Orders that are ended in one go.
const DUE_MAX: u32 = 200;

/// Letters of codes: digits and capitals that are not taken for one another.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// Campaigns of a tenant in a database.
#[derive(Clone)]
pub struct Campaigns {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    catalog: Arc<Catalog>,
    tenant: Tenant,
    shard: Shard,
    batcher: Batcher<Acts>,
}

impl Campaigns {
    /// Opens them. The driver must be run by someone who awaits it.
    pub fn open(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: Limits,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tenant, shard) = (Tenant::MAIN, Shard::HOME);
        let catalog = Arc::new(Catalog::new(Arc::clone(&records), tenant));
        let acts = Acts { catalog: Arc::clone(&catalog), clock: Arc::clone(&clock), tenant, shard };
        let (batcher, driver) = batch::open(Arc::clone(&records), shard, Arc::new(acts), limits);
        (Self { records, clock, entropy, catalog, tenant, shard, batcher }, driver)
    }

    /// Somebody by name, as far as a name can be one.
    pub fn who(&self, participant: &str) -> Result<Who, Error> {
        let is_fine = !participant.is_empty()
            && participant.chars().count() <= NAME_MAX
            && !participant.chars().any(char::is_control);
        if is_fine {
            return Ok(Who::named(self.tenant, participant));
        }
        Err(Error::BadInput {
            what: "participant",
            form: "1 to 128 characters, none of them a control character",
        })
    }

    /// Publishes a document as the campaign's next version; the first makes the campaign.
    pub async fn publish(&self, publish: Publish) -> Result<Published, Error> {
        let (tenant, shard, clock) = (self.tenant, self.shard, Arc::clone(&self.clock));
        let asked = publish.clone();
        let before = read(&*self.records, shard, move |tx| {
            Box::pin(async move { publish::before(tx, tenant, &asked).await })
        });
        if let Some(published) = before.await? {
            return Ok(published);
        }
        let judged = publish::judge(&publish, clock.now_ms())?;
        let published = write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let place = Place { tenant, shard, now_ms: clock.now_ms() };
                publish::publish(tx, place, &publish, judged).await
            })
        });
        let published = published.await?;
        self.catalog.fresh().await?;
        Ok(published)
    }

    /// All campaigns, as they are published now.
    pub async fn all(&self) -> Result<Arc<Snapshot>, Error> {
        self.catalog.fresh().await
    }

    /// A campaign, and the units of its finite offers, in the order of its document.
    pub async fn standing(&self, id: &str) -> Result<(Arc<Campaign>, Vec<(String, Shelf)>), Error> {
        let campaign = Arc::clone(self.catalog.fresh().await?.campaign(id)?);
        let offers: Vec<_> =
            campaign.document.offers.iter().map(|offer| (campaign.number, offer.id.clone())).collect();
        let database = (self.shard, self.tenant.number);
        let keys = offers.clone();
        let shelves = read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(offer::shelves(tx, database, &keys).await?) })
        })
        .await?;
        let found = offers.into_iter().filter_map(|key| Some((key.1.clone(), *shelves.get(&key)?)));
        Ok((campaign, found.collect()))
    }

    /// The campaign that is shown at a place now.
    pub async fn placed(&self, channel: &str, source: &str) -> Result<Arc<Campaign>, Error> {
        let (snapshot, now_ms) = (self.catalog.fresh().await?, self.clock.now_ms());
        let shown = |campaign: &&Arc<Campaign>| {
            campaign.window.check(now_ms, &campaign.zone).is_ok()
                && campaign.document.placements.iter().any(|placement| {
                    (placement.channel.as_str(), placement.source.as_str()) == (channel, source)
                })
        };
        let found = snapshot.campaigns.values().find(shown).cloned();
        found.ok_or_else(|| Error::NothingPlaced {
            channel: channel.to_owned(),
            source_name: source.to_owned(),
        })
    }

    /// Takes an act: what came of it is kept when this is answered.
    pub async fn act(&self, participant: &str, what: What, body_hash: [u8; 32]) -> Result<Done, Error> {
        let who = self.who(participant)?;
        check(&what)?;
        self.batcher.submit(Ask { participant: participant.to_owned(), who, what, body_hash }).await
    }

    /// Notes that somebody was brought, by a code.
    pub async fn refer(
        &self,
        participant: &str,
        (campaign, code): (&str, &str),
        body_hash: [u8; 32],
    ) -> Result<Done, Error> {
        let number = self.catalog.fresh().await?.campaign(campaign)?.number;
        let owner = self.owner_of(number, code).await?;
        let owner = owner.ok_or_else(|| Error::NoSuchCode(code.to_owned()))?;
        let referrer = Who::named(self.tenant, &owner);
        let what = What::Refer { campaign: campaign.to_owned(), code: code.to_owned(), referrer };
        self.act(participant, what, body_hash).await
    }

    async fn owner_of(&self, campaign: u32, code: &str) -> Result<Option<String>, Error> {
        let (tenant, code) = (self.tenant.number, code.to_owned());
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { Ok(referral::owner_of(tx, tenant, (campaign, &code)).await?) })
        })
        .await
    }

    /// Somebody's referral code, made where they have none.
    pub async fn code(&self, participant: &str, campaign: &str) -> Result<String, Error> {
        let who = self.who(participant)?;
        let campaign = Arc::clone(self.catalog.fresh().await?.campaign(campaign)?);
        if campaign.document.referral.is_none() {
            return Err(Error::NoReferral(campaign.id.clone()));
        }
        let mut bytes = [0; CODE_LETTERS];
        self.entropy.fill(&mut bytes).map_err(|error| Error::Entropy(error.to_string()))?;
        let letter = |byte: u8| char::from(LETTERS[usize::from(byte & 31)]);
        let code: String = bytes.into_iter().map(letter).collect();
        let (tenant, now_ms) = (self.tenant.number, self.clock.now_ms());
        let (number, participant) = (campaign.number, participant.to_owned());
        write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let whose = (number, who, participant.as_str());
                Ok(referral::give_code(tx, tenant, whose, (&code, now_ms)).await?)
            })
        })
        .await
    }

    /// Somebody's calendar in a campaign, and their streak as of today.
    pub async fn calendar(&self, participant: &str, campaign: &str) -> Result<(Calendar, u32), Error> {
        let who = self.who(participant)?;
        let campaign = Arc::clone(self.catalog.fresh().await?.campaign(campaign)?);
        let tenant = self.tenant.number;
        let calendars = read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(calendar::load(tx, tenant, &BTreeSet::from([who])).await?) })
        })
        .await?;
        let calendar = calendars.get(&(who, campaign.number)).copied().unwrap_or_default();
        let today = campaign.zone.day_of(self.clock.now_ms());
        Ok((calendar, calendar.streak_on(today)))
    }

    /// An order of somebody, as it stands.
    pub async fn order(&self, participant: &str, key: OrderKey) -> Result<Order, Error> {
        let (who, id) = (self.who(participant)?, key.machine_id());
        let found = read(&*self.records, key.0.shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(machine::get::<Order>(tx, key.0.shard, &id).await?) })
        });
        let order = found.await?.ok_or_else(|| Error::NoSuchOrder(key.to_string()))?;
        if order.ordered().owner()? == who { Ok(order) } else { Err(Error::NoSuchOrder(key.to_string())) }
    }

    /// A page of somebody's orders, the latest first, before one of them where one is named.
    pub async fn orders(
        &self,
        participant: &str,
        before: Option<OrderKey>,
        limit: u32,
    ) -> Result<Vec<(OrderKey, Order)>, Error> {
        let (who, tenant, shard) = (self.who(participant)?, self.tenant.number, self.shard);
        let before = before.map_or(i64::MAX, |key| i64::try_from(key.0.seq).unwrap_or(i64::MAX));
        read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let [bucket, hash] = who.values();
                let sql =
                    "SELECT seq,campaign FROM offer_order WHERE bucket=? AND tenant=? AND who=? AND seq<?
                    ORDER BY seq DESC LIMIT ?";
                let key =
                    [bucket, Value::Int(tenant.into()), hash, Value::Int(before), Value::Int(limit.into())];
                let rows = tx.fetch(sql, &key).await?;
                let place = |row: &records::port::Row| {
                    let (seq, subject) = (row.count(0)?, row.small(1)?);
                    Ok::<_, Error>(OrderKey(kernel::id::Place { bucket: who.bucket, shard, subject, seq }))
                };
                let keys: Vec<OrderKey> = rows.iter().map(place).collect::<Result<_, _>>()?;
                let ids: Vec<_> = keys.iter().map(|key| key.machine_id()).collect();
                let mut found = machine::find::<Order>(tx, shard, &ids).await?;
                let order = |key: OrderKey| Some((key, found.remove(&key.machine_id())?));
                Ok(keys.into_iter().filter_map(order).collect())
            })
        })
        .await
    }

    /// Puts people on an uploaded list, or takes them off. Answers how many are on it then.
    pub async fn upload(
        &self,
        list: &str,
        (people, are_added): (Vec<String>, bool),
        cause: Cause,
    ) -> Result<u64, Error> {
        if people.len() > UPLOAD_MAX {
            return Err(Error::BadInput { what: "the upload", form: "at most 20000 names" });
        }
        let people: BTreeSet<Who> = people.iter().map(|name| self.who(name)).collect::<Result<_, _>>()?;
        let (tenant, shard, list, clock) =
            (self.tenant.number, self.shard, list.to_owned(), Arc::clone(&self.clock));
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let at_ms = clock.now_ms();
                if are_added {
                    audience::add(tx, tenant, (&list, &people, at_ms)).await?;
                } else {
                    audience::remove(tx, tenant, (&list, &people)).await?;
                }
                let change = Change {
                    at_ms,
                    action: if are_added { "add_members" } else { "remove_members" },
                    subject: format!("audience/{list}"),
                    detail: format!("{} names", people.len()),
                };
                audit::append(tx, &Stream::changes(shard, tenant), &cause, change).await?;
                Ok(audience::count(tx, tenant, &list).await?)
            })
        })
        .await
    }

    /// How many people are on an uploaded list.
    pub async fn members(&self, list: &str) -> Result<u64, Error> {
        let (tenant, list) = (self.tenant.number, list.to_owned());
        read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { Ok(audience::count(tx, tenant, &list).await?) })
        })
        .await
    }

    /// Ends orders that were not paid in time. Answers how many it looked at.
    pub async fn end_what_is_over(&self) -> Result<u64, Error> {
        let (shard, mut ended) = (self.shard, 0);
        loop {
            let now_ms = self.clock.now_ms();
            let due = read(&*self.records, shard, move |tx| {
                Box::pin(
                    async move { Ok::<_, Error>(machine::due::<Order>(tx, shard, now_ms, DUE_MAX).await?) },
                )
            })
            .await?;
            if due.is_empty() {
                return Ok(ended);
            }
            for id in &due {
                // Whose it is stands in the order itself.
                let Some(order) = OrderKey::of_machine(shard, 0, id) else { continue };
                let who = Who { bucket: 0, hash: [0; 16] };
                let what = What::Expire { order };
                let ask = Ask { participant: String::new(), who, what, body_hash: [0; 32] };
                match self.batcher.submit(ask).await {
                    Ok(_) | Err(Error::OrderEnded(_) | Error::NoSuchOrder(_)) => ended += 1,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes no more acts; the driver ends when those that wait are answered.
    pub fn close(&self) {
        self.batcher.close();
    }

    async fn reward(&self, message: &Message) -> Result<(), PortError> {
        let corrupt = |error: &dyn std::fmt::Display| PortError::Corrupt(error.to_string());
        let qualified: Qualified = serde_json::from_slice(&message.body).map_err(|error| corrupt(&error))?;
        let away = |error: Error| PortError::Unavailable(error.to_string().into());
        let Qualified { campaign, code, referee } = qualified;
        let snapshot = self.catalog.fresh().await.map_err(away)?;
        let number = snapshot.campaign(&campaign).map_err(away)?.number;
        // Whoever was erased is owed nothing any more.
        let Some(referrer) = self.owner_of(number, &code).await.map_err(away)? else { return Ok(()) };
        let what = What::Behave {
            behaviour: REFERRAL.to_owned(),
            business_id: referee,
            value: None,
            campaign: Some(campaign),
        };
        match self.act(&referrer, what, [0; 32]).await {
            // A campaign that is over gives nothing more.
            Ok(_) | Err(Error::Ended(_) | Error::NotBegun(_)) => Ok(()),
            Err(error) => Err(away(error)),
        }
    }
}

/// Rewards those who have brought somebody.
#[async_trait]
impl Subscriber for Campaigns {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            answers.push(self.reward(message).await);
        }
        answers
    }
}

/// Refuses what could never be an act.
fn check(what: &What) -> Result<(), Error> {
    let is_name = |name: &str| {
        let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
        let letter = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || letter == '_'
        };
        begins && name.len() <= 64 && name.chars().all(letter)
    };
    match what {
        What::Behave { behaviour, business_id, value, .. } => {
            if !is_name(behaviour) {
                return Err(Error::BadInput {
                    what: "behaviour",
                    form: "1 to 64 of a-z, 0-9, `-` and `_`, a letter or digit first",
                });
            }
            let is_id = (1..=BUSINESS_ID_MAX).contains(&business_id.len())
                && business_id.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_id {
                return Err(Error::BadInput {
                    what: "business_id",
                    form: "1 to 128 visible ASCII characters",
                });
            }
            if value.is_some_and(|value| !(0..=kernel::amount::AMOUNT_MAX).contains(&value)) {
                return Err(Error::BadInput { what: "value", form: "from 0 to 1000000000000000" });
            }
            Ok(())
        }
        What::SignIn { .. }
        | What::Refer { .. }
        | What::Order { .. }
        | What::Pay { .. }
        | What::Cancel { .. }
        | What::Expire { .. } => Ok(()),
    }
}
