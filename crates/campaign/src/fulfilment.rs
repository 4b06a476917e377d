//! Awards: opened as their draws are heard of, fulfilled as their kind says, and what people ask of them.

mod erasure;
mod opening;
mod orders;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kernel::id::{DrawId, Shard};
use kernel::ports::PortError;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use records::error::Error as RecordsError;
use records::machine;
use records::port::{InTx, Records, Tx, read, write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::award::{Award, DrawMade, Kind, id_of, machine_id, place_of};
use crate::brake::Brake;
use crate::coupon;
use crate::delivery::{self, Delivery, News};
use crate::error::Error;
use crate::holder;
use crate::request::{Answered, Request};
use crate::vault::Vault;
use opening::Won;

pub use orders::AddressView;
pub use upkeep::ReplaysView;

/// An award with its webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AwardView {
    /// The award.
    #[serde(flatten)]
    pub award: Award,
    /// The webhook that tells of it, where its kind is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The webhook that tells that it was taken back, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversal: Option<Delivery>,
}

impl AwardView {
    async fn of(tx: &mut dyn Tx, draw: DrawId, award: Award) -> Result<Self, Error> {
        if !matches!(award.award, Kind::Webhook { .. }) {
            return Ok(Self { award, delivery: None, reversal: None });
        }
        let delivery = delivery::get(tx, draw, News::Granted).await?;
        Ok(Self { award, delivery, reversal: delivery::get(tx, draw, News::Reversed).await? })
    }
}

/// The awards of all raffles.
#[derive(Clone)]
pub struct Awards {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    vault: Arc<dyn Vault>,
    brake: Brake,
    /// The winner after whom what is held back is looked at next, in each database.
    passed: Arc<Mutex<BTreeMap<Shard, String>>>,
}

/// Most awards that are looked at for one page, so that a rare state does not read all of them at once.
const LOOKED_AT_MAX: u32 = 2000;

impl Awards {
    /// Awards in these records.
    pub fn new(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        vault: Arc<dyn Vault>,
    ) -> Self {
        Self { records, clock, entropy, vault, brake: Brake::default(), passed: Arc::default() }
    }

    /// Holds awards back while the brake is on: those that are opened then stay as they are won, and nothing happens to any
    /// by itself.
    #[must_use]
    pub fn braked(self, brake: Brake) -> Self {
        Self { brake, ..self }
    }

    pub(crate) fn records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.records)
    }

    /// Does at home what is asked, once: a repeat is answered as before.
    pub(crate) async fn once<V, F>(&self, request: Request, job: F) -> Result<Answered, Error>
    where
        F: for<'t> FnOnce(&'t mut dyn Tx, &'t Request) -> InTx<'t, V, Error> + Send + 'static,
        V: Serialize + Send + Sync + 'static,
    {
        let (vault, again) = (Arc::clone(&self.vault), request.clone());
        let outcome = write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                if let Some(answered) = request.before(tx, Shard::HOME, &*vault).await? {
                    return Ok(answered);
                }
                let view = job(tx, &request).await?;
                request.answer(tx, Shard::HOME, &*vault, &view).await
            })
        })
        .await;
        match outcome {
            Err(Error::Records(ref error)) if !matches!(error, RecordsError::Duplicate(_)) => outcome,
            Ok(_) => outcome,
            // What stands in its way may be what the same request, under way at once, has done meanwhile.
            Err(refused) => {
                let vault = Arc::clone(&self.vault);
                let before = read(&*self.records, Shard::HOME, move |tx| {
                    Box::pin(async move { again.before(tx, Shard::HOME, &*vault).await })
                });
                before.await?.ok_or(refused)
            }
        }
    }

    /// Now, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// One award. Where a participant asks, another's is answered like one that is not there. Whose an award is that an
    /// operator hands over, its draw alone knows: who asks for a participant has asked there.
    pub async fn get(&self, draw: DrawId, asks: Option<&str>) -> Result<AwardView, Error> {
        let asks = asks.map(str::to_owned);
        read(&*self.records, draw.shard, move |tx| {
            Box::pin(async move {
                let award = find(tx, draw, asks.as_deref()).await?;
                AwardView::of(tx, draw, award).await
            })
        })
        .await
    }

    /// Up to `limit` awards of a raffle after a gate sequence, in the order of their draws: all, or those in one state. Where
    /// to go on comes second; a page may hold fewer than it could and yet say so.
    pub async fn page(
        &self,
        shard: Shard,
        raffle: u32,
        (after_seq, state): (u64, Option<String>),
        limit: u32,
    ) -> Result<(Vec<(u64, Award)>, Option<u64>), Error> {
        let (after, until) = (machine_id(raffle, after_seq), machine_id(raffle, u64::MAX));
        let looked_at = if state.is_some() { LOOKED_AT_MAX } else { limit };
        let found = read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                Ok::<_, Error>(machine::page::<Award>(tx, shard, (&after, &until), looked_at).await?)
            })
        })
        .await?;
        let is_full = found.len() == looked_at as usize;
        let mut awards = Vec::new();
        let mut last = None;
        for (id, award) in found {
            let (_, seq) = place_of(&id).ok_or_else(|| corrupt("an award's id"))?;
            last = Some(seq);
            if state.as_deref().is_none_or(|state| state == award.state.word()) {
                awards.push((seq, award));
                if awards.len() == limit as usize {
                    return Ok((awards, last));
                }
            }
        }
        Ok((awards, last.filter(|_| is_full)))
    }

    /// The code of a coupon.
    pub async fn code(&self, draw: DrawId, asks: Option<&str>) -> Result<String, Error> {
        let (asks, vault) = (asks.map(str::to_owned), Arc::clone(&self.vault));
        read(&*self.records, draw.shard, move |tx| {
            Box::pin(async move {
                find(tx, draw, asks.as_deref()).await?;
                let code = coupon::code(tx, draw.shard, &id_of(draw), &*vault).await?;
                code.ok_or(Error::NothingToTell("code"))
            })
        })
        .await
    }

    async fn open(&self, shard: Shard, won: Vec<Won>) -> Result<(), Error> {
        let (now_ms, is_held) = (self.clock.now_ms(), self.brake.is_on());
        write(&*self.records, shard, move |tx| {
            Box::pin(async move { opening::open(tx, shard, (won, is_held), now_ms).await })
        })
        .await
    }

    /// Opens awards in one transaction, or where one of them spoils it each in its own. Answers for each.
    async fn open_all(&self, shard: Shard, won: Vec<Won>) -> Vec<Result<(), Error>> {
        match self.open(shard, won.clone()).await {
            Err(Error::Records(error)) if error.is_about_a_row() && won.len() > 1 => {
                tracing::warn!(shard = shard.0, awards = won.len(), %error, "awards are opened one by one");
                let mut answers = Vec::with_capacity(won.len());
                for one in won {
                    answers.push(self.open(shard, vec![one]).await);
                }
                answers
            }
            outcome => won.iter().map(|_| outcome.clone()).collect(),
        }
    }
}

pub(crate) fn corrupt(what: &str) -> records::error::Error {
    records::error::Error::Corrupt(what.to_owned())
}

fn is_of(award: &Award, draw: DrawId) -> bool {
    award.draw.is_empty() || award.draw == draw.to_string()
}

/// An award, locked until the transaction ends: what is done or undone follows from how it stands then.
async fn find_locked(tx: &mut dyn Tx, draw: DrawId) -> Result<Award, Error> {
    let award: Option<Award> = machine::get_locked(tx, draw.shard, &id_of(draw)).await?;
    award.filter(|award| is_of(award, draw)).ok_or_else(|| Error::NoSuchAward(draw.to_string()))
}

/// An award, where there is one and who asks may know of it.
async fn find(tx: &mut dyn Tx, draw: DrawId, asks: Option<&str>) -> Result<Award, Error> {
    let missing = || Error::NoSuchAward(draw.to_string());
    let award: Option<Award> = machine::get(tx, draw.shard, &id_of(draw)).await?;
    let award = award.filter(|award| is_of(award, draw)).ok_or_else(missing)?;
    match asks {
        Some(participant) if !award.award.is_manual() && !holder::holds(tx, participant, draw).await? => {
            Err(missing())
        }
        _ => Ok(award),
    }
}

/// Opens an award for every draw that won. The award's id is the effect's name, so hearing twice opens once.
#[async_trait]
impl Subscriber for Awards {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut answers = Vec::with_capacity(messages.len());
        let mut groups: BTreeMap<Shard, (Vec<usize>, Vec<Won>)> = BTreeMap::new();
        for (place, message) in messages.iter().enumerate() {
            answers.push(match Won::read(message) {
                Ok(None) => Ok(()),
                Ok(Some(won)) => {
                    let (places, group) = groups.entry(won.draw.shard).or_default();
                    places.push(place);
                    group.push(won);
                    Ok(())
                }
                Err(told) => Err(PortError::Corrupt(told)),
            });
        }
        for (shard, (places, won)) in groups {
            for (place, outcome) in places.into_iter().zip(self.open_all(shard, won).await) {
                if let Err(error) = outcome {
                    answers[place] = Err(PortError::Unavailable(error.to_string().into()));
                }
            }
        }
        answers
    }
}

impl Won {
    /// What a message tells of; `None` where nothing was won.
    fn read(message: &Message) -> Result<Option<Self>, String> {
        let made: DrawMade = serde_json::from_slice(&message.body).map_err(|error| error.to_string())?;
        let DrawMade { draw, prize: Some(prize), winner, due, at_ms } = made else { return Ok(None) };
        let draw: DrawId = draw.parse().map_err(|error: kernel::id::NotADrawId| error.to_string())?;
        Ok(Some(Self { draw, key: message.key.clone(), prize, winner, due, at_ms }))
    }
}
