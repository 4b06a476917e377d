//! Carries webhooks out: takes those whose time has come, calls, and writes down what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kernel::id::Shard;
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use kernel::ports::outbound::{Call, Outbound, Outcome, Verb};
use records::machine::{self, Outcome as Told};
use records::port::{Records, write};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::award::{Award, Event as AwardEvent, machine_id};
use crate::brake::Brake;
use crate::delivery::{self, Delivery, Event, News, backoff_ms};
use crate::endpoint;
use crate::error::Error;
use crate::vault::Vault;

/// Most calls at once.
const CALLS_MAX: usize = 32;
/// Most calls at once to one endpoint: one that says nothing for long leaves room for the others.
const CALLS_OF_ENDPOINT_MAX: usize = 8;
/// Rest between looks, in milliseconds, where nothing was to be done.
const REST_MS: u64 = 250;
/// A call that has not come back after so long, in milliseconds, belongs to a process that is gone. Longer than any call.
pub const LEASE_MS: i64 = 120_000;

/// A call that was begun.
struct Begun {
    id: Vec<u8>,
    attempt: u32,
    endpoint: String,
    call: Call,
}

/// Carries the webhooks of one database.
#[derive(Clone)]
pub struct Courier {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    vault: Arc<dyn Vault>,
    outbound: Arc<dyn Outbound>,
    shard: Shard,
    brake: Brake,
}

impl Courier {
    /// A courier for one database.
    pub fn new(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        vault: Arc<dyn Vault>,
        outbound: Arc<dyn Outbound>,
        shard: Shard,
    ) -> Self {
        Self { records, clock, entropy, vault, outbound, shard, brake: Brake::default() }
    }

    /// Begins no call while the brake is on. Calls that were begun are ended.
    #[must_use]
    pub fn braked(self, brake: Brake) -> Self {
        Self { brake, ..self }
    }

    /// Carries until `stop` is true, then waits for the calls that are under way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut calls: JoinSet<String> = JoinSet::new();
        let mut busy: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let begun = match self.begin(&busy, CALLS_MAX - calls.len()).await {
                Ok(begun) => begun,
                Err(error) => {
                    tracing::warn!(shard = self.shard.0, %error, "webhooks could not be looked at");
                    vec![]
                }
            };
            for one in begun {
                *busy.entry(one.endpoint.clone()).or_default() += 1;
                let courier = self.clone();
                calls.spawn(async move {
                    let endpoint = one.endpoint.clone();
                    courier.carry(one).await;
                    endpoint
                });
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = calls.join_next() => free(&mut busy, ended),
                () = tokio::time::sleep(Duration::from_millis(REST_MS)) => {}
            }
            while let Some(ended) = calls.try_join_next() {
                free(&mut busy, ended);
            }
        }
        // What is not waited for would only be unknown after the next start.
        calls.join_all().await;
    }

    /// One look: everything whose time has come is called, within the limits, and its end written down. Answers how many.
    pub async fn round(&self) -> Result<usize, Error> {
        let begun = self.begin(&BTreeMap::new(), CALLS_MAX).await?;
        let count = begun.len();
        join_all(begun.into_iter().map(|one| self.carry(one))).await;
        Ok(count)
    }

    /// Begins calls: from here on their outcome is unknown until it is written down.
    async fn begin(&self, busy: &BTreeMap<String, usize>, room: usize) -> Result<Vec<Begun>, Error> {
        if room == 0 || self.brake.is_on() {
            return Ok(vec![]);
        }
        let (shard, now_ms, busy) = (self.shard, self.clock.now_ms(), busy.clone());
        let vault = Arc::clone(&self.vault);
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let limit = endpoint::ENDPOINTS_MAX;
                let endpoints = endpoint::all(tx, shard, ("", limit), (&*vault, now_ms)).await?;
                let mut begun = Vec::new();
                for endpoint in endpoints.iter().filter(|endpoint| endpoint.view.enabled) {
                    let id = &endpoint.view.endpoint;
                    let share =
                        CALLS_OF_ENDPOINT_MAX - busy.get(id).copied().unwrap_or(0).min(CALLS_OF_ENDPOINT_MAX);
                    let share = share.min(room - begun.len());
                    let due =
                        delivery::due(tx, shard, id, (now_ms, u32::try_from(share).unwrap_or(0))).await?;
                    for due in due {
                        begun.extend(start(tx, shard, (endpoint, due), now_ms).await?);
                    }
                }
                Ok(begun)
            })
        })
        .await
    }

    async fn carry(&self, begun: Begun) {
        let outcome = self.outbound.call(&begun.call).await;
        if let Err(error) = self.end(&begun, outcome).await {
            // It stands as begun: when it must be over, the other side is asked.
            tracing::warn!(effect = begun.call.effect, %error, "the end of a webhook's call could not be written");
        }
    }

    async fn end(&self, begun: &Begun, outcome: Outcome) -> Result<(), Error> {
        let mut chance = [0; 8];
        self.entropy.fill(&mut chance).map_err(|error| Error::Entropy(error.to_string()))?;
        let wait_ms = backoff_ms(begun.attempt, u64::from_le_bytes(chance));
        let (shard, now_ms, vault) = (self.shard, self.clock.now_ms(), Arc::clone(&self.vault));
        let gone = match (&outcome, begun.call.verb) {
            (Outcome::Refused { status: Some(delivery::GONE), fault }, Verb::Deliver) => Some(fault.clone()),
            _ => None,
        };
        let event = Event::Ended { attempt: begun.attempt, now_ms, outcome, wait_ms };
        let (id, endpoint) = (begun.id.clone(), begun.endpoint.clone());
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let told = delivery::apply(tx, shard, &id, &event).await?;
                if let Some(why) = gone {
                    endpoint::disable(tx, shard, (&endpoint, &why), (&*vault, now_ms)).await?;
                }
                let Some((raffle, seq, News::Granted)) = delivery::award_of(&id) else { return Ok(()) };
                let news = match told {
                    Told::Moved(Delivery::Delivered { at_ms, .. }) => AwardEvent::Delivered(at_ms),
                    Told::Moved(Delivery::Dead { fault, .. }) => {
                        tracing::error!(endpoint, raffle, seq, fault, "a webhook was given up");
                        AwardEvent::GivenUp(fault)
                    }
                    Told::Moved(_) | Told::Replayed(_) | Told::Illegal(_) | Told::Missing => return Ok(()),
                };
                machine::apply::<Award>(tx, shard, &machine_id(raffle, seq), &news).await?;
                Ok(())
            })
        })
        .await
    }
}

fn free(busy: &mut BTreeMap<String, usize>, ended: Result<String, tokio::task::JoinError>) {
    match ended {
        Ok(endpoint) => {
            if let Some(count) = busy.get_mut(&endpoint) {
                *count = count.saturating_sub(1);
            }
        }
        Err(error) => tracing::error!(%error, "a webhook's call has panicked"),
    }
}

async fn start(
    tx: &mut dyn records::port::Tx,
    shard: Shard,
    (endpoint, due): (&endpoint::Endpoint, delivery::Due),
    now_ms: i64,
) -> Result<Option<Begun>, Error> {
    let view = &endpoint.view;
    let event = Event::Begin { now_ms, until_ms: now_ms + LEASE_MS, can_ask: view.status_url.is_some() };
    let (attempt, asks) = match delivery::apply(tx, shard, &due.id, &event).await? {
        Told::Moved(Delivery::Sending { attempt, .. }) => (attempt, false),
        Told::Moved(Delivery::Asking { attempt, .. }) => (attempt, true),
        Told::Moved(_) | Told::Replayed(_) | Told::Illegal(_) | Told::Missing => return Ok(None),
    };
    let Some(effect) = effect_of(&due.body, &due.id) else {
        return Err(records::error::Error::Corrupt("a webhook's body".to_owned()).into());
    };
    let url = match (&view.status_url, asks) {
        (Some(status_url), true) => {
            let join = if status_url.contains('?') { '&' } else { '?' };
            format!("{status_url}{join}id={effect}")
        }
        _ => view.url.clone(),
    };
    let call = Call {
        verb: if asks { Verb::Ask } else { Verb::Deliver },
        url,
        effect,
        at_ms: now_ms,
        secrets: endpoint.secrets(),
        body: if asks { vec![] } else { due.body },
    };
    Ok(Some(Begun { id: due.id, attempt, endpoint: view.endpoint.clone(), call }))
}

/// The name of a webhook follows from the award that its body names.
fn effect_of(body: &[u8], id: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let (_, _, news) = delivery::award_of(id)?;
    Some(delivery::effect(body["data"]["award"].as_str()?, news))
}
