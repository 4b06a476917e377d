//! Everything that can be done with experiments, as the edge calls it.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use records::audit::{self, Cause, Change, Stream};
use records::batch::{self, Batch, Batcher, Decision, Decisions, Limits};
use records::error::Error as RecordsError;
use records::follow::{Followed, Follower, Seen, advance};
use records::machine::{self, Outcome};
use records::port::{Records, Tx, Value, read, write};

use super::bucketing::Pseudonyms;
use super::document::{DRAW, Document, ORDER, PAY, WIN, check_weights};
use super::error::Error;
use super::exposure::{self, Exposed, Guest, Hit, Recorded, VALUE_MAX};
use super::life::{Event, Illegal, Life};
use super::live::{Live, Lives, home_of, machine_id};
use super::register::{Experiment, Generation, draft, fetch, home, note, write_generation};
use super::results::{Counted, Results};
use super::{GENERATIONS_MAX, LEADING_MAX};

/// Where a participant stands in an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Whether their place in the layer is among those who take part.
    pub takes_part: bool,
    /// Their arm; `None` where they have none, and would get none now.
    pub arm: Option<String>,
    /// When they were exposed to it, in milliseconds since the epoch; `None` where they were not.
    pub exposed_ms: Option<i64>,
    /// The raffle that their draws go to; `None` where the experiment leads none now.
    pub raffle: Option<String>,
}

/// A draw, as its effect tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The raffle that it was drawn from.
    pub raffle: String,
    /// Who drew.
    pub participant: String,
    /// The draw's id.
    pub draw: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Whether it won a prize.
    pub won: bool,
}

/// First exposures, in batches: a crowd that comes at once shares transactions.
struct Exposures {
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Batch for Exposures {
    type Item = Guest;
    type Answer = Exposed;
    type Error = Error;
    type Lack = Infallible;

    async fn run(&self, tx: &mut dyn Tx, items: &[Arc<Guest>]) -> Result<Decisions<Self>, RecordsError> {
        let guests: Vec<&Guest> = items.iter().map(|guest| &**guest).collect();
        let exposed = exposure::expose(tx, Shard::HOME, &guests, self.clock.now_ms()).await?;
        Ok(exposed.into_iter().map(Decision::Done).collect())
    }

    async fn supply(&self, lack: Infallible) -> Result<(), Error> {
        match lack {}
    }
}

/// The experiments of a tenant.
#[derive(Clone)]
pub struct Experiments {
    pub(super) records: Arc<dyn Records>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) names: Pseudonyms,
    pub(super) tenant: Tenant,
    four_eyes: bool,
    follower: Arc<Follower<Lives>>,
    exposures: Batcher<Exposures>,
}

impl Experiments {
    /// Experiments over ports, with the key of their pseudonyms. With `four_eyes` nobody starts what they drafted. The future
    /// drives exposures; someone must await it until [`Experiments::close`] has let it end.
    pub async fn open(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        names: Pseudonyms,
        four_eyes: bool,
        limits: Limits,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), RecordsError> {
        let tenant = Tenant::MAIN;
        let follower = Follower::open(Arc::clone(&records), Arc::clone(&clock), tenant.number).await?;
        let batch = Arc::new(Exposures { clock: Arc::clone(&clock) });
        let (exposures, driver) = batch::open(Arc::clone(&records), Shard::HOME, batch, limits);
        let follower = Arc::new(follower);
        Ok((Self { records, clock, names, tenant, four_eyes, follower, exposures }, driver))
    }

    /// Exposes nobody any more; those who wait are answered.
    pub fn close(&self) {
        self.exposures.close();
    }

    /// Looks whether something has changed.
    pub async fn look(&self) -> Result<bool, RecordsError> {
        self.follower.look().await
    }

    /// What this process works by.
    pub fn seen(&self) -> Arc<Seen<Lives>> {
        self.follower.seen()
    }

    async fn look_after_change(&self) {
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "an experiment was changed; this process will see it at a later look");
        }
    }

    /// Drafts an experiment. The same document again is a repeat: the id is its key.
    pub async fn draft(&self, document: Document, cause: Cause) -> Result<(Experiment, bool), Error> {
        document.check()?;
        let (tenant, now_ms) = (self.tenant.number, self.clock.now_ms());
        let outcome = write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { draft(tx, tenant, document, (&cause, now_ms)).await })
        })
        .await?;
        self.look_after_change().await;
        Ok(outcome)
    }

    /// Starts an experiment. Answers where it stands, and whether it had been started before. Where two people are needed,
    /// the second one `approves`, and has set nothing of it.
    pub async fn start(
        &self,
        id: &str,
        reason: String,
        (cause, approves): (Cause, bool),
    ) -> Result<(Life, bool), Error> {
        self.apply(id, Event::Start(self.clock.now_ms()), reason, (cause, approves)).await
    }

    /// Stops an experiment for good. Answers where it stands, and whether it had been stopped before.
    pub async fn stop(&self, id: &str, reason: String, cause: Cause) -> Result<(Life, bool), Error> {
        self.apply(id, Event::Stop(self.clock.now_ms()), reason, (cause, false)).await
    }

    async fn apply(
        &self,
        id: &str,
        event: Event,
        reason: String,
        (cause, approves): (Cause, bool),
    ) -> Result<(Life, bool), Error> {
        let (tenant, now_ms, four_eyes) = (self.tenant.number, self.clock.now_ms(), self.four_eyes);
        let id = id.to_owned();
        let outcome = write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                // Starts wait for each other here: two of one layer do not both find it free.
                advance::<Lives>(tx, tenant).await?;
                let found = fetch(tx, tenant, &id).await?;
                let action = match event {
                    Event::Start(_) if found.life == Life::Draft => {
                        if four_eyes && !approves {
                            return Err(Error::OnePerson(
                                "where four eyes are on, a key with the role approver or admin starts an experiment",
                            ));
                        }
                        if four_eyes && found.is_of(&cause.actor.name) {
                            return Err(Error::OnePerson(
                                "who drafted an experiment, or has set its weights, does not start it",
                            ));
                        }
                        let running = Lives::read(tx, tenant).await?;
                        expect_room(&running, &found.document)?;
                        "start"
                    }
                    Event::Start(_) => "start",
                    Event::Stop(_) => "stop",
                };
                match machine::apply::<Life>(tx, Shard::HOME, &machine_id(tenant, &id), &event).await? {
                    Outcome::Moved(life) => {
                        note(tx, tenant, &id, (action, reason), (&cause, now_ms)).await?;
                        Ok((life, false))
                    }
                    Outcome::Replayed(life) => Ok((life, true)),
                    Outcome::Illegal(Illegal(life)) => Err(Error::State(life.word())),
                    Outcome::Missing => Err(Error::NoSuchExperiment(id)),
                }
            })
        })
        .await?;
        self.look_after_change().await;
        Ok(outcome)
    }

    /// Sets weights anew: for newcomers alone, for whoever was exposed keeps their arm. Answers their generation, and
    /// whether they were so before.
    pub async fn reweigh(
        &self,
        id: &str,
        weights: Vec<u32>,
        reason: String,
        cause: Cause,
    ) -> Result<(Generation, bool), Error> {
        let (tenant, now_ms, four_eyes) = (self.tenant.number, self.clock.now_ms(), self.four_eyes);
        let id = id.to_owned();
        let outcome = write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                advance::<Lives>(tx, tenant).await?;
                let found = fetch(tx, tenant, &id).await?;
                if let Life::Stopped { .. } = found.life {
                    return Err(Error::State(found.life.word()));
                }
                if weights.len() != found.document.arms.len() {
                    return Err(Error::Document("there is one weight for each arm".to_owned()));
                }
                check_weights(&weights, found.document.denominator)?;
                let Some(latest) = found.generations.last().cloned() else {
                    return Err(RecordsError::Corrupt("an experiment without weights".to_owned()).into());
                };
                if latest.weights == weights {
                    return Ok((latest, true));
                }
                if four_eyes && found.life != Life::Draft {
                    return Err(Error::OnePerson(
                        "weights of a running experiment decide who gets which odds: stop it, and have another started",
                    ));
                }
                if latest.generation >= GENERATIONS_MAX {
                    return Err(Error::TooMany(format!("weights were set {GENERATIONS_MAX} times already")));
                }
                let by = cause.actor.name.clone();
                let next = Generation { generation: latest.generation + 1, weights, since_ms: now_ms, by };
                write_generation(tx, tenant, &id, &next).await?;
                let told = format!("{:?}: {reason}", next.weights);
                note(tx, tenant, &id, ("reweigh", told), (&cause, now_ms)).await?;
                Ok((next, false))
            })
        })
        .await?;
        self.look_after_change().await;
        Ok(outcome)
    }

    /// An experiment.
    pub async fn get(&self, id: &str) -> Result<Experiment, Error> {
        let (tenant, id) = (self.tenant.number, id.to_owned());
        read(&*self.records, Shard::HOME, move |tx| Box::pin(async move { fetch(tx, tenant, &id).await }))
            .await
    }

    /// Up to `limit` experiments after an id, in the order of their ids.
    pub async fn list(&self, after: &str, limit: u32) -> Result<Vec<Experiment>, Error> {
        let (tenant, after) = (self.tenant.number, after.to_owned());
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM experiment WHERE shard=? AND tenant=? AND id>? ORDER BY id LIMIT ?";
                let rest = [Value::Text(&after), Value::Int(limit.into())];
                let mut found = Vec::new();
                for row in tx.fetch(sql, &[&home(tenant)[..], &rest].concat()).await? {
                    found.push(fetch(tx, tenant, row.text(0)?).await?);
                }
                Ok(found)
            })
        })
        .await
    }

    /// What an experiment has shown.
    pub async fn results(&self, experiment: &Experiment) -> Result<Results, Error> {
        let mut counted = Counted::default();
        for shard in self.records.shards() {
            let (tenant, id) = (self.tenant.number, experiment.document.experiment.clone());
            let part = read(&*self.records, shard, move |tx| {
                Box::pin(async move { Ok::<_, Error>(Counted::read(tx, shard, tenant, &id).await?) })
            })
            .await?;
            counted.add(part);
        }
        let weights = experiment.generations.iter().map(|known| (known.generation, known.weights.clone()));
        Ok(Results::of(&experiment.document, &weights.collect(), &counted))
    }

    async fn live(&self, id: &str) -> Result<Arc<Live>, Error> {
        if let Some(live) = self.seen().what.get(id) {
            return Ok(Arc::clone(live));
        }
        Err(Error::State(self.get(id).await?.life.word()))
    }

    /// Where a participant stands. Exposes nobody.
    pub async fn assignment(&self, id: &str, participant: &str) -> Result<Assignment, Error> {
        let live = self.live(id).await?;
        let Some(guest) = Guest::of(&live, &self.names, participant) else { return Ok(NOT_TAKING_PART) };
        let exposed = self.exposed(participant, vec![guest.clone()]).await?.into_iter().next().flatten();
        let would = live.exposes(self.clock.now_ms()).then_some(guest.arm);
        Ok(assigned(&live, exposed, would))
    }

    /// Exposes a participant, where the experiment exposes anybody now and `may_expose` does not say no, and answers where
    /// they stand. To be called when they are about to be shown what their arm shows, and not before.
    pub async fn expose(&self, id: &str, participant: &str, may_expose: bool) -> Result<Assignment, Error> {
        let live = self.live(id).await?;
        let Some(guest) = Guest::of(&live, &self.names, participant) else { return Ok(NOT_TAKING_PART) };
        let mut exposed = self.exposed(participant, vec![guest.clone()]).await?.into_iter().next().flatten();
        if exposed.is_none() && may_expose && live.exposes(self.clock.now_ms()) {
            exposed = Some(self.newly(guest).await?);
        }
        Ok(assigned(&live, exposed, None))
    }

    /// Exposes somebody who was not, as far as anybody knows.
    pub(super) async fn newly(&self, guest: Guest) -> Result<Exposed, Error> {
        self.exposures.submit(guest).await
    }

    /// The assignments of one participant in several experiments, where they were exposed.
    pub(super) async fn exposed(
        &self,
        participant: &str,
        guests: Vec<Guest>,
    ) -> Result<Vec<Option<Exposed>>, Error> {
        read(&*self.records, self.records.shard_of(home_of(participant)), move |tx| {
            Box::pin(async move {
                let guests: Vec<&Guest> = guests.iter().collect();
                Ok(exposure::look(tx, &guests).await?)
            })
        })
        .await
    }

    /// Records that a participant reached a goal, once for each event.
    pub async fn reached(
        &self,
        id: &str,
        participant: &str,
        (goal, event, value): (String, String, u64),
    ) -> Result<Recorded, Error> {
        let live = self.live(id).await?;
        if [DRAW, WIN, ORDER, PAY].contains(&goal.as_str()) || live.document.goal(&goal).is_none() {
            return Err(Error::NoSuchGoal(goal));
        }
        if value > VALUE_MAX {
            return Err(Error::Document(format!("`value` is {VALUE_MAX} at the most")));
        }
        let Some(guest) = Guest::of(&live, &self.names, participant) else { return Ok(Recorded::Not) };
        let hit = Hit { guest, goal, event, value, at_ms: self.clock.now_ms(), place: None };
        let shard = self.records.shard_of(home_of(participant));
        write(&*self.records, shard, move |tx| {
            Box::pin(async move { exposure::record(tx, shard, &hit).await })
        })
        .await
    }

    /// Records what draws were goals of. Hearing of a draw again changes nothing.
    pub async fn heard(&self, draws: Vec<Heard>) -> Result<(), Error> {
        let seen = self.seen();
        let mut hits = Vec::new();
        for Heard { raffle, participant, draw, at_ms, won } in draws {
            let shard = self.records.shard_of(home_of(&participant));
            for live in seen.what.hearing(&raffle) {
                let Some(guest) = Guest::of(live, &self.names, &participant) else { continue };
                let goals = [(DRAW, true), (WIN, won)].into_iter();
                for (goal, _) in goals.filter(|(goal, is_so)| *is_so && live.document.goal(goal).is_some()) {
                    let (guest, goal) = (guest.clone(), goal.to_owned());
                    let (event, place) = (draw.clone(), Some(raffle.clone()));
                    hits.push((shard, Hit { guest, goal, event, value: 1, at_ms, place }));
                }
            }
        }
        for shard in self.records.shards() {
            let here: Vec<Hit> =
                hits.iter().filter(|(at, _)| *at == shard).map(|(_, hit)| hit.clone()).collect();
            if here.is_empty() {
                continue;
            }
            write(&*self.records, shard, move |tx| {
                Box::pin(async move {
                    for hit in &here {
                        match exposure::record(tx, shard, hit).await {
                            // Who draws a million times does not keep the others' draws from counting.
                            Ok(_) | Err(Error::BeyondTotal(_)) => {}
                            Err(error) => return Err(error),
                        }
                    }
                    Ok(())
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Forgets a participant: what they were shown, and what they did. Answers in how many experiments they were.
    pub async fn erase(&self, participant: &str, cause: &Cause, reason: &str) -> Result<u64, Error> {
        let (tenant, now_ms, names) = (self.tenant.number, self.clock.now_ms(), self.names.clone());
        let bucket = home_of(participant);
        let (participant, cause, reason) = (participant.to_owned(), cause.clone(), reason.to_owned());
        let ids = read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM experiment WHERE shard=? AND tenant=? ORDER BY id";
                let rows = tx.fetch(sql, &home(tenant)).await?;
                rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect::<Result<Vec<_>, Error>>()
            })
        })
        .await?;
        if ids.is_empty() {
            return Ok(0);
        }
        let shard = self.records.shard_of(bucket);
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let names: Vec<_> = ids
                    .into_iter()
                    .map(|id| {
                        let name = names.of(&id, &participant);
                        (id, name)
                    })
                    .collect();
                let forgotten = exposure::forget(tx, (bucket.number(), tenant), &names).await?;
                if forgotten > 0 {
                    let detail = format!("a participant, from {forgotten} experiments: {reason}");
                    let subject = "experiments".to_owned();
                    let change = Change { at_ms: now_ms, action: "erase", subject, detail };
                    audit::append(tx, &Stream::changes(shard, tenant), &cause, change).await?;
                }
                Ok::<_, Error>(forgotten)
            })
        })
        .await
    }
}

const NOT_TAKING_PART: Assignment =
    Assignment { takes_part: false, arm: None, exposed_ms: None, raffle: None };

fn assigned(live: &Live, exposed: Option<Exposed>, would: Option<usize>) -> Assignment {
    let arm = exposed.map(|exposed| exposed.arm).or(would).and_then(|arm| live.document.arms.get(arm));
    Assignment {
        takes_part: true,
        arm: arm.map(|arm| arm.arm.clone()),
        exposed_ms: exposed.map(|exposed| exposed.at_ms),
        raffle: arm.filter(|_| live.is_running()).and_then(|arm| arm.raffle.clone()),
    }
}

/// Refuses to start what would share participants, or draws of a raffle, with something that runs.
fn expect_room(lives: &Lives, document: &Document) -> Result<(), Error> {
    for live in lives.running() {
        let other = &live.document;
        if other.layer() == document.layer() && other.buckets().overlap(document.buckets()) {
            return Err(Error::LayerTaken(other.experiment.clone()));
        }
        let is_led = document.raffle().is_some() || document.offer().is_some();
        if is_led && document.subject == other.subject {
            return Err(Error::SubjectTaken(other.experiment.clone()));
        }
    }
    let before = document.raffle().map_or(0, |raffle| lives.leading(raffle).len());
    if before >= LEADING_MAX {
        let told = format!("{LEADING_MAX} experiments have led draws of this raffle: publish another raffle");
        return Err(Error::TooMany(told));
    }
    Ok(())
}
