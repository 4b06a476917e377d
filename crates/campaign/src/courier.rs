//! Carries webhooks out: takes those whose time has come, calls, and writes down what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kernel::id::Shard;
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use kernel::ports::outbound::{Call, Outbound, Outcome, Verb};
use records::error::Error as RecordsError;
use records::machine::{self, Outcome as Told};
use records::outbox::Pressure;
use records::port::{Records, Tx, read, write};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::award::{Award, Event as AwardEvent, machine_id};
use crate::brake::Brake;
use crate::delivery::{self, Delivery, Event, News, backoff_ms};
use crate::endpoint::{self, Endpoint};
use crate::error::Error;
use crate::vault::Vault;

/// Most calls at once.
const CALLS_MAX: usize = 32;
/// Most calls at once to one endpoint: one that says nothing for long leaves room for the others.
const CALLS_OF_ENDPOINT_MAX: usize = 8;
/// Most calls at once to an endpoint whose last call was not answered: enough to learn that it is back.
const CALLS_OF_TROUBLED_MAX: usize = 1;
/// Rest between looks, in milliseconds, where nothing was to be done.
const REST_MS: u64 = 250;
/// How often the end of a call is written anew where other writes stand in the way.
const RERUNS: u32 = 8;
/// How often it is counted how much is owed, in milliseconds.
const MEASURE_MS: i64 = 5_000;
/// A call that has not come back after so long, in milliseconds, belongs to a process that is gone. Longer than any call.
pub const LEASE_MS: i64 = 120_000;
/// A call is made only while so much of its time is left, in milliseconds: its beginning may have been long in being written.
/// No call may last that long.
pub const LEFT_MS_MIN: i64 = LEASE_MS / 2;

/// A call that was begun.
struct Begun {
    id: Vec<u8>,
    attempt: u32,
    endpoint: String,
    call: Call,
}

/// Hears how calls have ended.
pub trait Witness: Send + Sync {
    /// A call has ended so.
    fn called(&self, _call: &Call, _outcome: &Outcome) {}
}

/// Nobody listens.
impl Witness for () {}

/// Whose turn it is: what a look knows of those before.
#[derive(Debug, Clone, Default)]
struct Rota {
    /// Calls that are under way, by endpoint.
    busy: BTreeMap<String, usize>,
    /// The endpoint that was served last. The next look begins after it, so that those at the end of the list are served
    /// too where there are more than there is room for.
    last: String,
    /// Endpoints whose last call was not answered.
    troubled: BTreeSet<String>,
    /// When it was counted last how much is owed, in milliseconds since the epoch.
    measured_ms: Option<i64>,
    /// Endpoints whose secrets cannot be opened, and were complained about.
    locked: BTreeSet<String>,
}

impl Rota {
    /// How many more calls an endpoint may have.
    fn share(&self, endpoint: &str) -> usize {
        let most =
            if self.troubled.contains(endpoint) { CALLS_OF_TROUBLED_MAX } else { CALLS_OF_ENDPOINT_MAX };
        most.saturating_sub(self.busy.get(endpoint).copied().unwrap_or(0))
    }

    /// Endpoints in the order of their turns.
    fn turns<'e>(&self, endpoints: &'e [Arc<Endpoint>]) -> impl Iterator<Item = &'e Arc<Endpoint>> {
        let next = endpoints.partition_point(|endpoint| endpoint.view.endpoint <= self.last);
        let (before, after) = endpoints.split_at(next);
        after.iter().chain(before)
    }

    /// Notes what a look has begun, and which endpoints it had to leave out.
    fn note(&mut self, begun: &[Begun], locked: BTreeSet<String>) {
        for one in begun {
            *self.busy.entry(one.endpoint.clone()).or_default() += 1;
            self.last.clone_from(&one.endpoint);
        }
        for endpoint in locked.difference(&self.locked) {
            tracing::error!(
                endpoint,
                "the secrets of an endpoint cannot be opened: it is not called until it has a new one"
            );
        }
        self.locked = locked;
    }

    /// Notes the end of a call.
    fn free(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let Ended { endpoint, is_answered } = match ended {
            Ok(ended) => ended,
            Err(error) => return tracing::error!(%error, "a webhook's call has panicked"),
        };
        if let Some(count) = self.busy.get_mut(&endpoint) {
            *count = count.saturating_sub(1);
        }
        match is_answered {
            Some(true) => drop(self.troubled.remove(&endpoint)),
            Some(false) => drop(self.troubled.insert(endpoint)),
            None => {}
        }
    }
}

/// A call that has ended.
struct Ended {
    endpoint: String,
    /// `None` where it was not made.
    is_answered: Option<bool>,
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
    pressure: Arc<Pressure>,
    witness: Arc<dyn Witness>,
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
        let (pressure, witness) = (Arc::default(), Arc::new(()));
        Self { records, clock, entropy, vault, outbound, shard, brake: Brake::default(), pressure, witness }
    }

    /// Begins no call while the brake is on. Calls that were begun are ended.
    #[must_use]
    pub fn braked(self, brake: Brake) -> Self {
        Self { brake, ..self }
    }

    /// The same, with somebody who hears how calls have ended.
    #[must_use]
    pub fn telling(self, witness: Arc<dyn Witness>) -> Self {
        Self { witness, ..self }
    }

    /// Tells how much is owed to whoever begins new work.
    #[must_use]
    pub fn pressing(self, pressure: Arc<Pressure>) -> Self {
        Self { pressure, ..self }
    }

    /// Counts what is owed, where that was long ago: a count of much is not cheap.
    async fn measure(&self, rota: &mut Rota) -> Result<(), Error> {
        let (now_ms, shard, limit) =
            (self.clock.now_ms(), self.shard, self.pressure.limit().saturating_add(1));
        if rota.measured_ms.is_some_and(|measured_ms| (0..MEASURE_MS).contains(&(now_ms - measured_ms))) {
            return Ok(());
        }
        rota.measured_ms = Some(now_ms);
        let owed = read(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(delivery::owed(tx, shard, limit).await?) })
        });
        self.pressure.owe(owed.await?);
        Ok(())
    }

    /// Carries until `stop` is true, then waits for the calls that are under way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut calls: JoinSet<Ended> = JoinSet::new();
        let mut rota = Rota::default();
        loop {
            let begun = match self.begin(&mut rota, CALLS_MAX - calls.len()).await {
                Ok(begun) => begun,
                Err(error) => {
                    tracing::warn!(shard = self.shard.0, %error, "webhooks could not be looked at");
                    vec![]
                }
            };
            for one in begun {
                let courier = self.clone();
                calls.spawn(async move { courier.carry(one).await });
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = calls.join_next() => rota.free(ended),
                () = tokio::time::sleep(Duration::from_millis(REST_MS)) => {}
            }
            while let Some(ended) = calls.try_join_next() {
                rota.free(ended);
            }
        }
        // What is not waited for would only be unknown after the next start.
        calls.join_all().await;
    }

    /// One look: everything whose time has come is called, within the limits, and its end written down. Answers how many.
    pub async fn round(&self) -> Result<usize, Error> {
        let begun = self.begin(&mut Rota::default(), CALLS_MAX).await?;
        let count = begun.len();
        join_all(begun.into_iter().map(|one| self.carry(one))).await;
        Ok(count)
    }

    /// Begins calls: from here on their outcome is unknown until it is written down.
    async fn begin(&self, rota: &mut Rota, room: usize) -> Result<Vec<Begun>, Error> {
        self.measure(rota).await?;
        if room == 0 || self.brake.is_on() {
            return Ok(vec![]);
        }
        let (shard, now_ms) = (self.shard, self.clock.now_ms());
        // Most looks find nothing: the one writer is not kept busy with them. One that is due is enough to ask it.
        let (known, vault) = (rota.clone(), Arc::clone(&self.vault));
        let seen = read(&*self.records, shard, move |tx| {
            Box::pin(async move { look(tx, shard, (&known, &*vault), (now_ms, 1)).await })
        });
        let seen = seen.await?;
        if seen.due.is_empty() {
            rota.note(&[], seen.locked);
            return Ok(vec![]);
        }
        let (known, vault) = (rota.clone(), Arc::clone(&self.vault));
        let begun = write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let Seen { due, locked } = look(tx, shard, (&known, &*vault), (now_ms, room)).await?;
                let mut begun = Vec::with_capacity(due.len());
                for (endpoint, due) in due {
                    begun.extend(start(tx, shard, (&endpoint, due), now_ms).await?);
                }
                Ok::<_, Error>((begun, locked))
            })
        });
        let (begun, locked) = begun.await?;
        rota.note(&begun, locked);
        Ok(begun)
    }

    async fn carry(&self, begun: Begun) -> Ended {
        if self.clock.now_ms() > begun.call.at_ms + (LEASE_MS - LEFT_MS_MIN) {
            // Another may ask for it before this call would be over, be told that it was not taken, and send it too.
            tracing::warn!(
                effect = begun.call.effect,
                "the time of a webhook's call was over before it was made"
            );
            return Ended { endpoint: begun.endpoint, is_answered: None };
        }
        let outcome = self.outbound.call(&begun.call).await;
        self.witness.called(&begun.call, &outcome);
        let is_answered = matches!(outcome, Outcome::Taken | Outcome::Refused { .. });
        let mut ended = self.end(&begun, outcome.clone()).await;
        for _ in 0..RERUNS {
            // Another write stood in the way: nothing was kept, and what was taken must not be asked for in vain.
            let Err(Error::Records(RecordsError::Contended(_))) = ended else { break };
            ended = self.end(&begun, outcome.clone()).await;
        }
        if let Err(error) = ended {
            // It stands as begun: when it must be over, the other side is asked.
            tracing::warn!(effect = begun.call.effect, %error, "the end of a webhook's call could not be written");
        }
        Ended { endpoint: begun.endpoint, is_answered: Some(is_answered) }
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
        let (id, endpoint, url) = (begun.id.clone(), begun.endpoint.clone(), begun.call.url.clone());
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let told = delivery::apply(tx, shard, &id, &event).await?;
                if let Some(why) = gone {
                    endpoint::disable(tx, shard, (&endpoint, &url, &why), (&*vault, now_ms)).await?;
                }
                let Some((raffle, seq, News::Granted)) = delivery::award_of(&id) else { return Ok(()) };
                let news = match told {
                    Told::Moved(Delivery::Delivered { at_ms, .. }) => AwardEvent::Delivered(at_ms),
                    Told::Moved(Delivery::Dead { fault, .. }) => {
                        tracing::error!(endpoint, raffle, seq, fault, "a webhook was given up");
                        AwardEvent::GivenUp(now_ms, fault)
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

/// What a look finds.
struct Seen {
    /// Webhooks whose time has come, within the limits, each with where it goes.
    due: Vec<(Arc<Endpoint>, delivery::Due)>,
    /// Endpoints whose secrets cannot be opened.
    locked: BTreeSet<String>,
}

/// Looks for webhooks whose time has come.
async fn look(
    tx: &mut dyn Tx,
    shard: Shard,
    (rota, vault): (&Rota, &dyn Vault),
    (now_ms, room): (i64, usize),
) -> Result<Seen, Error> {
    let mut seen = Seen { due: vec![], locked: BTreeSet::new() };
    let endpoints = endpoint::all(tx, shard, ("", endpoint::ENDPOINTS_MAX), (vault, now_ms)).await?;
    let endpoints: Vec<_> = endpoints.into_iter().map(Arc::new).collect();
    for endpoint in rota.turns(&endpoints).filter(|endpoint| endpoint.view.enabled) {
        let id = &endpoint.view.endpoint;
        if endpoint.secrets().is_empty() {
            seen.locked.insert(id.clone());
            continue;
        }
        let share = rota.share(id).min(room - seen.due.len());
        if share > 0 {
            let limit = u32::try_from(share).unwrap_or(0);
            let due = delivery::due(tx, shard, id, (now_ms, limit)).await?;
            seen.due.extend(due.into_iter().map(|due| (Arc::clone(endpoint), due)));
        }
    }
    Ok(seen)
}

async fn start(
    tx: &mut dyn Tx,
    shard: Shard,
    (endpoint, due): (&Endpoint, delivery::Due),
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
        return Err(RecordsError::Corrupt("a webhook's body".to_owned()).into());
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
