//! All that the edge may ask of campaigns.

mod audience;
mod erasure;
mod orders;
mod placed;

pub use erasure::Erased;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use kernel::id::{Shard, Tenant, can_be_chosen};
use kernel::ports::PortError;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use ledger::account::Owner;
use ledger::desk::Desk as LedgerDesk;
use records::batch::{self, Batcher, Limits};
use records::outbox::Pressure;
use records::port::{Records, read, write};

use crate::act::{Ask, BUSINESS_ID_MAX, What};
use crate::calendar::{self, Calendar};
use crate::catalog::{Campaign, Catalog, Snapshot};
use crate::desk::{Acts, Done, Trying, Witness};
use crate::document::{REFERRAL, REFERRED, SIGN_IN, Stock};
use crate::error::Error;
use crate::offer::{self, Shelf};
use crate::publish::{self, Place, Publish, Published};
use crate::referral::{self, CODE_LETTERS, Qualified};
use crate::who::Who;
use crate::window::Zone;

/// Letters of codes: digits and capitals that are not taken for one another.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// Somebody's calendar, as of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What they have signed.
    pub calendar: Calendar,
    /// The local day, as people write it.
    pub today: String,
    /// The same, from 1970-01-01.
    pub day: i32,
    /// On how many days in a row, up to that day or the one before.
    pub streak: u32,
    /// The days of its month that are signed.
    pub days: Vec<u32>,
}

/// What was set aside of a unit for a campaign's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fund {
    /// What is counted.
    pub unit: String,
    /// How much the budget says.
    pub set_aside: i64,
    /// How much of it can still be given.
    pub left: i64,
}

/// How a campaign stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// As it is published.
    pub campaign: Arc<Campaign>,
    /// The units of its finite offers.
    pub shelves: Vec<(String, Shelf)>,
    /// Its budget, by unit.
    pub funds: Vec<Fund>,
}

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
    witness: Arc<dyn Witness>,
}

impl Campaigns {
    /// Opens them. The driver must be run by someone who awaits it.
    pub fn open(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: Limits,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        Self::witnessed(records, clock, entropy, limits, (Arc::default(), Arc::new(()), None))
    }

    /// Opens them, with somebody who hears what becomes of acts, and experiments that lead orders. While too much is unsent
    /// they take no new acts: what was done before is answered as before.
    pub fn witnessed(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: Limits,
        (pressure, witness, trying): (Arc<Pressure>, Arc<dyn Witness>, Option<Trying>),
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tenant, shard) = (Tenant::MAIN, Shard::HOME);
        let catalog = Arc::new(Catalog::new(Arc::clone(&records), tenant));
        let (known, time, heard) = (Arc::clone(&catalog), Arc::clone(&clock), Arc::clone(&witness));
        let acts = Acts { catalog: known, clock: time, tenant, shard, pressure, witness: heard, trying };
        let (batcher, driver) = batch::open(Arc::clone(&records), shard, Arc::new(acts), limits);
        (Self { records, clock, entropy, catalog, tenant, shard, batcher, witness }, driver)
    }

    /// Somebody by name, as far as a name can be one.
    pub fn who(&self, participant: &str) -> Result<Who, Error> {
        // The ledger's rule: whoever is rewarded has a wallet.
        if Owner::Participant(participant.to_owned()).check().is_ok() {
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

    /// A version's document, as it was sent, and when it was published.
    pub async fn version(&self, id: &str, version: u32) -> Result<(String, i64), Error> {
        let campaign = Arc::clone(self.catalog.fresh().await?.campaign(id)?);
        let (tenant, shard) = (self.tenant.number, self.shard);
        let found = read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                Ok::<_, Error>(publish::document(tx, (shard, tenant), (campaign.number, version)).await?)
            })
        })
        .await?;
        found.ok_or_else(|| Error::NoSuchVersion { campaign: id.to_owned(), version })
    }

    /// How a campaign stands: the units of its finite offers, in the order of its document, and what is left of its budget.
    pub async fn standing(&self, id: &str) -> Result<Standing, Error> {
        let campaign = Arc::clone(self.catalog.fresh().await?.campaign(id)?);
        let offers = campaign.document.offers.iter().filter(|offer| matches!(offer.stock, Stock::Units(_)));
        let offers: Vec<_> = offers.map(|offer| (campaign.number, offer.id.clone())).collect();
        let (tenant, shard, published) = (self.tenant, self.shard, Arc::clone(&campaign));
        let desk = LedgerDesk { tenant, shard, now_ms: self.clock.now_ms() };
        let (shelves, funds) = read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let shelves = offer::shelves(tx, (shard, tenant.number), &offers).await?;
                let funds = publish::funds(tx, (shard, tenant.number), published.number).await?;
                let accounts: Vec<_> =
                    funds.keys().map(|unit| published.fund(unit)).collect::<Result<_, _>>()?;
                let left = desk.available(tx, &accounts).await?;
                let funds = funds.into_iter().zip(left);
                let fund = |((unit, set_aside), left)| Fund { unit, set_aside, left };
                let shelves = offers.into_iter().filter_map(|key| Some((shelves.get(&key).copied()?, key.1)));
                let shelves = shelves.map(|(shelf, offer)| (offer, shelf)).collect();
                Ok::<_, Error>((shelves, funds.map(fund).collect()))
            })
        })
        .await?;
        Ok(Standing { campaign, shelves, funds })
    }

    /// Takes an act: what came of it is kept when this is answered.
    pub async fn act(&self, participant: &str, what: What, body_hash: [u8; 32]) -> Result<Done, Error> {
        check(&what)?;
        let (who, participant) = (self.who(participant)?, participant.to_owned());
        self.batcher.submit(Ask { participant, who, what, body_hash, done_ms: None }).await
    }

    /// Notes that somebody was brought, by a code.
    pub async fn refer(
        &self,
        participant: &str,
        (campaign, code): (&str, &str),
        body_hash: [u8; 32],
    ) -> Result<Done, Error> {
        let number = self.catalog.fresh().await?.campaign(campaign)?.number;
        check_code(code)?;
        let owner = self.owner_of(number, code).await?;
        // Whether there is such a code is for the act to say: a repeat is answered as before, whatever became of it.
        let referrer = owner.map(|owner| Who::named(self.tenant, &owner));
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

    /// Somebody's calendar in a campaign, as of today.
    pub async fn calendar(&self, participant: &str, campaign: &str) -> Result<Signed, Error> {
        let who = self.who(participant)?;
        let campaign = Arc::clone(self.catalog.fresh().await?.campaign(campaign)?);
        let tenant = self.tenant.number;
        let calendars = read(&*self.records, self.shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(calendar::load(tx, tenant, &BTreeSet::from([who])).await?) })
        })
        .await?;
        let calendar = calendars.get(&(who, campaign.number)).copied().unwrap_or_default();
        let day = campaign.zone.day_of(self.clock.now_ms());
        let (streak, days) = (calendar.streak_on(day), calendar.days_on(day));
        Ok(Signed { calendar, today: Zone::write_day(day), day, streak, days })
    }

    /// Takes no more acts; the driver ends when those that wait are answered.
    pub fn close(&self) {
        self.batcher.close();
    }

    /// Rewards whoever has brought somebody. Answers what became of it, in a word.
    async fn reward(&self, message: &Message) -> Result<&'static str, PortError> {
        let corrupt = |error: &dyn std::fmt::Display| PortError::Corrupt(error.to_string());
        let qualified: Qualified = serde_json::from_slice(&message.body).map_err(|error| corrupt(&error))?;
        let away = |error: Error| PortError::Unavailable(error.to_string().into());
        let Qualified { campaign, code, referee, at_ms } = qualified;
        let snapshot = self.catalog.fresh().await.map_err(away)?;
        let number = snapshot.campaign(&campaign).map_err(away)?.number;
        let Some(referrer) = self.owner_of(number, &code).await.map_err(away)? else {
            tracing::info!(campaign, "whoever has brought somebody was erased, and is owed nothing any more");
            return Ok("forgotten");
        };
        let what = What::Behave {
            behaviour: REFERRAL.to_owned(),
            // Whoever is brought to two campaigns is two events.
            business_id: format!("{number}/{referee}"),
            value: None,
            campaign: Some(campaign),
        };
        // It was done while the campaign ran. Where a later version has moved its window, somebody has to look: what is
        // refused here becomes a dead letter, and is not forgotten.
        let who = self.who(&referrer).map_err(away)?;
        let ask = Ask { participant: referrer, who, what, body_hash: [0; 32], done_ms: at_ms };
        let done = self.batcher.submit(ask).await.map_err(away)?;
        Ok(if done.replayed { "replayed" } else { "rewarded" })
    }
}

/// Rewards those who have brought somebody.
#[async_trait]
impl Subscriber for Campaigns {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let rewarded = join_all(messages.iter().map(|message| self.reward(message))).await;
        let told = |outcome: Result<&'static str, PortError>| {
            self.witness.brought(outcome.as_ref().copied().unwrap_or("failed"));
            outcome.map(|_| ())
        };
        rewarded.into_iter().map(told).collect()
    }
}

/// Whether a text can be the name of a behaviour or a list.
fn is_name(name: &str) -> bool {
    can_be_chosen(name, 64)
}

/// Refuses what could never be a code.
fn check_code(code: &str) -> Result<(), Error> {
    let is_code = code.len() == CODE_LETTERS && code.bytes().all(|letter| LETTERS.contains(&letter));
    if is_code { Ok(()) } else { Err(Error::NoSuchCode(code.chars().take(CODE_LETTERS).collect())) }
}

/// Refuses what could never be an act, and what the house posts by itself.
fn check(what: &What) -> Result<(), Error> {
    match what {
        What::Behave { behaviour, business_id, value, .. } => {
            if !is_name(behaviour) {
                return Err(Error::BadInput {
                    what: "behaviour",
                    form: "1 to 64 of a-z, 0-9, `-` and `_`, a letter or digit first",
                });
            }
            if [REFERRAL, REFERRED, SIGN_IN].contains(&behaviour.as_str()) {
                return Err(Error::BadInput {
                    what: "behaviour",
                    form: "none of those that follow by themselves: `sign_in`, `referral`, `referred`",
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
