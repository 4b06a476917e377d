//! Carries effects from the outbox to the broker: in order within a key, again until acknowledged, and never one
//! key's trouble onto another.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kernel::id::Shard;
use kernel::ports::broker::Broker;
use kernel::ports::clock::Clock;
use tokio::sync::watch;

use crate::error::Error;
use crate::outbox::{self, Aside, KeyName, ParcelKey, Pressure, Unsent};
use crate::port::{Records, read, write};

/// How the relay goes about it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Most parcels carried in one round.
    pub parcels: u32,
    /// Most effects carried in one round; a single parcel may hold more.
    pub effects: usize,
    /// Rest between rounds that left nothing behind, in milliseconds: effects gather, commits are spared.
    pub rest_ms: u64,
    /// Wait after the first failure, in milliseconds; doubles with each.
    pub backoff_ms: u32,
    /// Longest wait after a failure, in milliseconds.
    pub backoff_ms_max: u32,
    /// Failures after which an effect becomes a dead letter.
    pub attempts_max: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            parcels: 16,
            effects: 1024,
            rest_ms: 50,
            backoff_ms: 200,
            backoff_ms_max: 60_000,
            attempts_max: 20,
        }
    }
}

/// Most effects from aside in one round.
const DUE_MAX: u32 = 1024;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Effects acknowledged and forgotten.
    pub sent: usize,
    /// Effects that failed, or wait behind one that did.
    pub waiting: usize,
    /// Effects given up.
    pub dead: usize,
    /// Whether more may be ready: the round took as much as it may.
    pub full: bool,
}

/// The relay of one database.
pub struct Relay {
    records: Arc<dyn Records>,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    shard: Shard,
    pace: Pace,
    pressure: Arc<Pressure>,
}

fn key_name(unsent: &Unsent) -> KeyName {
    (unsent.message.topic.clone(), unsent.subject, unsent.message.key.clone())
}

impl Relay {
    /// A relay for one database.
    pub fn new(
        records: Arc<dyn Records>,
        broker: Arc<dyn Broker>,
        clock: Arc<dyn Clock>,
        shard: Shard,
        pace: Pace,
    ) -> Self {
        Self { records, broker, clock, shard, pace, pressure: Arc::default() }
    }

    /// Tells how much is unsent to whoever begins new work.
    #[must_use]
    pub fn telling(self, pressure: Arc<Pressure>) -> Self {
        Self { pressure, ..self }
    }

    /// Carries until `stop` is true (or nobody can say so any more), then once more.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let full = match self.round().await {
                Ok(round) => round.full,
                Err(error) => {
                    tracing::warn!(shard = self.shard.0, %error, "the relay could not carry effects");
                    false
                }
            };
            let rest = if full { Duration::ZERO } else { Duration::from_millis(self.pace.rest_ms) };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(rest) => {}
            }
        }
        if let Err(error) = self.round().await {
            tracing::warn!(shard = self.shard.0, %error, "effects are left for the next start");
        }
    }

    /// One round: what waits and is due, then what is fresh.
    pub async fn round(&self) -> Result<Round, Error> {
        let (shard, limit, now) = (self.shard, (self.pace.parcels, self.pace.effects), self.clock.now_ms());
        let pressure = Arc::clone(&self.pressure);
        let (mut due, fresh, blocked) = read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                pressure.measure(tx, shard).await?;
                let due = outbox::due(tx, shard, (now, DUE_MAX)).await?;
                let fresh = outbox::fresh(tx, shard, limit).await?;
                let is_anything_aside = outbox::is_anything_aside(tx, shard).await?;
                let keys: Vec<_> = fresh.effects.iter().filter(|_| is_anything_aside).map(key_name).collect();
                Ok::<_, Error>((due, fresh, outbox::blocked(tx, shard, &keys).await?))
            })
        })
        .await?;
        let outbox::Fresh { parcels, effects: fresh, more } = fresh;

        // Only the first of a key may go; while it waits, all of its key wait.
        let is_behind =
            |unsent: &Unsent| blocked.get(&key_name(unsent)).is_some_and(|n| *n < unsent.message.n);
        let (behind, ready): (Vec<_>, Vec<_>) = fresh.into_iter().partition(is_behind);
        due.extend(ready);
        let round = self.carry(parcels, due, behind, now).await?;
        Ok(Round { full: more, ..round })
    }

    /// Publishes in waves that hold each key once, then writes down how it went.
    async fn carry(
        &self,
        parcels: Vec<ParcelKey>,
        mut due: Vec<Unsent>,
        mut behind: Vec<Unsent>,
        now: i64,
    ) -> Result<Round, Error> {
        let mut sent = Vec::new();
        let mut failed = Vec::new();
        while !due.is_empty() {
            let mut keys = HashSet::new();
            let (wave, later): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|unsent| keys.insert(key_name(unsent)));
            let messages: Vec<_> = wave.iter().map(|unsent| unsent.message.clone()).collect();
            let answers = self.broker.publish(&messages).await;
            let mut broken = HashSet::new();
            let mut answers = answers.into_iter();
            for unsent in wave {
                match answers.next() {
                    Some(Ok(())) => sent.push(unsent),
                    Some(Err(error)) => {
                        broken.insert(key_name(&unsent));
                        failed.push((unsent, describe(&error)));
                    }
                    None => {
                        broken.insert(key_name(&unsent));
                        failed.push((unsent, "the broker did not answer for this message".to_owned()));
                    }
                }
            }
            let (held, next): (Vec<_>, Vec<_>) =
                later.into_iter().partition(|unsent| broken.contains(&key_name(unsent)));
            behind.extend(held);
            due = next;
        }
        self.note(parcels, (sent, failed, behind), now).await
    }

    async fn note(
        &self,
        parcels: Vec<ParcelKey>,
        (sent, failed, behind): (Vec<Unsent>, Vec<(Unsent, String)>, Vec<Unsent>),
        now: i64,
    ) -> Result<Round, Error> {
        if parcels.is_empty() && sent.is_empty() && failed.is_empty() {
            return Ok(Round::default());
        }
        let (shard, pace) = (self.shard, self.pace.clone());
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let mut round = Round { sent: sent.len(), ..Round::default() };
                let mut aside = Vec::new();
                for (unsent, fault) in &failed {
                    let attempts = unsent.aside.unwrap_or(0) + 1;
                    let dead = attempts >= pace.attempts_max;
                    let due_ms = now + backoff_ms(&pace, attempts);
                    if dead {
                        tracing::error!(
                            effect = unsent.message.effect,
                            fault,
                            "an effect became a dead letter"
                        );
                        round.dead += 1;
                    } else {
                        round.waiting += 1;
                    }
                    aside.push(Aside { unsent, dead, attempts, due_ms, fault });
                }
                for unsent in &behind {
                    round.waiting += 1;
                    aside.push(Aside { unsent, dead: false, attempts: 0, due_ms: now, fault: "" });
                }
                outbox::set_aside(tx, shard, &aside).await?;
                outbox::forget(tx, shard, &parcels, &sent).await?;
                Ok(round)
            })
        })
        .await
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.chars().take(480).collect()
}

fn backoff_ms(pace: &Pace, attempts: u32) -> i64 {
    let doubled = u64::from(pace.backoff_ms) << attempts.saturating_sub(1).min(20);
    i64::try_from(doubled.min(pace.backoff_ms_max.into())).unwrap_or(i64::MAX)
}
