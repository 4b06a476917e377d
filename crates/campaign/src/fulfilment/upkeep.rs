//! What happens to awards by itself, and what operators keep for them: pools of codes and endpoints.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use kernel::id::{Shard, Tenant};
use records::audit::{self, Change, Stream};
use records::machine::{self, Outcome};
use records::port::{Tx, read, write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Awards, opening};
use crate::award::{Award, Event, State, machine_id};
use crate::coupon::{self, PoolView};
use crate::delivery::{self, News};
use crate::endpoint::{self, EndpointView, Wanted};
use crate::error::Error;
use crate::held;
use crate::request::{Answered, Request};

/// Awards that are seen to in one transaction.
const AT_ONCE: u32 = 200;

/// Gives codes to awards that wait for them, as far as there are any. Answers how many.
async fn serve(tx: &mut dyn Tx, shard: Shard, pool: &str, now_ms: i64) -> Result<usize, Error> {
    let mut waiting = vec![];
    for id in coupon::waiting(tx, shard, pool, AT_ONCE).await? {
        match machine::get_locked::<Award>(tx, shard, &id).await? {
            Some(award) if award.state == State::WaitsForCode => waiting.push(id),
            // It was taken back meanwhile: no code is for it, and it keeps no other from theirs.
            _ => coupon::stop_waiting(tx, shard, (pool, &id)).await?,
        }
    }
    let served = coupon::take(tx, shard, pool, &waiting).await?;
    for id in &waiting[..served] {
        let outcome = machine::apply::<Award>(tx, shard, id, &Event::Code(now_ms)).await?;
        if !matches!(outcome, Outcome::Moved(_)) {
            return Err(super::corrupt("an award that waits for a code").into());
        }
        coupon::stop_waiting(tx, shard, (pool, id)).await?;
    }
    Ok(served)
}

/// Lets an award that an earlier release held back with a timer wait behind what is held back of its winner, without one.
/// Answers whether it was such an award.
async fn wait(tx: &mut dyn Tx, shard: Shard, id: &[u8], now_ms: i64) -> Result<bool, Error> {
    let award: Option<Award> = machine::get_locked(tx, shard, id).await?;
    let Some(award) = award.filter(|award| award.state == State::Held) else { return Ok(false) };
    held::note(tx, shard, &[(award.winner, id.to_vec())]).await?;
    Ok(matches!(machine::apply::<Award>(tx, shard, id, &Event::Hold(now_ms)).await?, Outcome::Moved(_)))
}

/// Lets a webhook that was given up try again, and its award with it. One that tells of an award that was taken back since is
/// called off: what tells of that has gone before it. Answers whether it tries again.
async fn replay(tx: &mut dyn Tx, shard: Shard, webhook: &[u8], now_ms: i64) -> Result<bool, Error> {
    let corrupt = || super::corrupt("a webhook that was given up");
    let (raffle, seq, news) = delivery::award_of(webhook).ok_or_else(corrupt)?;
    let (id, mut is_over) = (machine_id(raffle, seq), false);
    if news == News::Granted {
        let award = machine::get_locked::<Award>(tx, shard, &id).await?.ok_or_else(corrupt)?;
        is_over = matches!(award.state, State::Reversed { .. });
    }
    let event =
        if is_over { delivery::Event::CallOff { now_ms } } else { delivery::Event::Replay { now_ms } };
    let outcome = delivery::apply(tx, shard, webhook, &event).await?;
    if !matches!(outcome, Outcome::Moved(_)) {
        return Err(corrupt().into());
    }
    if news == News::Granted && !is_over {
        machine::apply::<Award>(tx, shard, &id, &Event::TryAgain(now_ms)).await?;
    }
    Ok(!is_over)
}

/// How many webhooks of an endpoint try again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplaysView {
    /// The endpoint's id.
    pub endpoint: String,
    /// How many try again: 200 at the most.
    pub replayed: u64,
    /// Whether more of them were given up.
    pub more: bool,
}

impl Awards {
    /// Ends the time of awards that nobody claimed, does what was held back, and serves those that wait for codes. Answers how
    /// many moved; where that is none, nothing more is to be done now. While awards are held back it does nothing.
    pub async fn tend(&self, shard: Shard) -> Result<usize, Error> {
        self.end_erasures(shard).await?;
        if self.brake.is_on() {
            return Ok(0);
        }
        // What spoils one of them does not keep the other from being done.
        let (seen_to, released) = (self.see_to_due(shard).await, self.release_held(shard).await);
        Ok(seen_to? + released?)
    }

    /// Ends the time of awards that nobody claimed, and serves those that wait for codes.
    async fn see_to_due(&self, shard: Shard) -> Result<usize, Error> {
        let now_ms = self.now_ms();
        let (due, pools) = read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let due = machine::due::<Award>(tx, shard, now_ms, AT_ONCE).await?;
                Ok::<_, Error>((due, coupon::servable(tx, shard, AT_ONCE).await?))
            })
        })
        .await?;
        if due.is_empty() && pools.is_empty() {
            return Ok(0);
        }
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let mut moved = 0;
                for id in &due {
                    let outcome = machine::apply::<Award>(tx, shard, id, &Event::Expire(now_ms)).await?;
                    moved += match outcome {
                        Outcome::Moved(_) => 1,
                        Outcome::Illegal(_) => usize::from(wait(tx, shard, id, now_ms).await?),
                        Outcome::Replayed(_) | Outcome::Missing => 0,
                    };
                }
                for pool in &pools {
                    moved += serve(tx, shard, pool, now_ms).await?;
                }
                Ok::<_, Error>(moved)
            })
        })
        .await
    }

    /// Does what was held back for the winners whose turn it is, for each in its order. What cannot be done keeps nothing from
    /// being done but what the same winner has behind it: where nothing could be done for these winners, it goes on to the next,
    /// until it has been through all of them.
    async fn release_held(&self, shard: Shard) -> Result<usize, Error> {
        let mut after = self.passed().get(&shard).cloned().unwrap_or_default();
        let mut is_from_first = after.is_empty();
        loop {
            let from = after.clone();
            let winners = read(&*self.records, shard, move |tx| {
                Box::pin(async move { Ok::<_, Error>(held::page(tx, shard, (&from, AT_ONCE)).await?) })
            })
            .await?;
            let is_last = winners.len() < AT_ONCE as usize;
            after = winners.last().filter(|_| !is_last).cloned().unwrap_or_default();
            let moved = self.release_of(shard, winners).await;
            self.passed().insert(shard, after.clone());
            if moved > 0 || self.brake.is_on() || (is_last && is_from_first) {
                return Ok(moved);
            }
            is_from_first |= is_last;
        }
    }

    /// Does what was held back for winners, for each as much as for the others. Answers how much.
    async fn release_of(&self, shard: Shard, winners: Vec<String>) -> usize {
        let for_each = AT_ONCE as usize / winners.len().max(1);
        let mut moved = 0;
        for winner in winners {
            for _ in 0..for_each {
                if self.brake.is_on() {
                    return moved;
                }
                match self.release(shard, winner.clone()).await {
                    Ok(true) => moved += 1,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(shard = shard.0, %error, "an award that was held back stays so");
                        break;
                    }
                }
            }
        }
        moved
    }

    fn passed(&self) -> MutexGuard<'_, BTreeMap<Shard, String>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what was held back longest for a winner, if anything was. In a transaction of its own: what spoils it spoils no
    /// other.
    async fn release(&self, shard: Shard, winner: String) -> Result<bool, Error> {
        let now_ms = self.now_ms();
        write(&*self.records, shard, move |tx| {
            Box::pin(async move { opening::release(tx, shard, &winner, now_ms).await })
        })
        .await
    }

    /// Adds codes to a pool, and serves those who wait for one.
    pub async fn add_coupons(
        &self,
        pool: &str,
        codes: Vec<String>,
        request: Request,
    ) -> Result<Answered, Error> {
        let (pool, vault) = (pool.to_owned(), Arc::clone(&self.vault));
        self.once(request, move |tx, request| {
            Box::pin(async move {
                coupon::add(tx, Shard::HOME, (&pool, &codes), (&*vault, request)).await?;
                serve(tx, Shard::HOME, &pool, request.at_ms).await?;
                let view = coupon::pool(tx, Shard::HOME, &pool).await?;
                view.ok_or(Error::NoSuchPool(pool))
            })
        })
        .await
    }

    /// A pool as it stands.
    pub async fn pool(&self, pool: &str) -> Result<PoolView, Error> {
        let pool = pool.to_owned();
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let found = coupon::pool(tx, Shard::HOME, &pool).await?;
                found.ok_or(Error::NoSuchPool(pool))
            })
        })
        .await
    }

    /// Pools after one, in the order of their ids.
    pub async fn pools(&self, after: &str, limit: u32) -> Result<Vec<PoolView>, Error> {
        let after = after.to_owned();
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { Ok(coupon::pools(tx, Shard::HOME, &after, limit).await?) })
        })
        .await
    }

    /// Makes an endpoint.
    pub async fn create_endpoint(
        &self,
        id: &str,
        wanted: Wanted,
        request: Request,
    ) -> Result<Answered, Error> {
        let (id, vault, entropy) = (id.to_owned(), Arc::clone(&self.vault), Arc::clone(&self.entropy));
        self.once(request, move |tx, request| {
            Box::pin(async move {
                let made = (&*vault, &*entropy);
                endpoint::create(tx, Shard::HOME, (&id, wanted), made, request).await
            })
        })
        .await
    }

    /// Changes where an endpoint is, and whether it is called.
    pub async fn change_endpoint(
        &self,
        id: &str,
        wanted: Wanted,
        request: Request,
    ) -> Result<Answered, Error> {
        let (id, vault) = (id.to_owned(), Arc::clone(&self.vault));
        self.once(request, move |tx, request| {
            Box::pin(async move { endpoint::change(tx, Shard::HOME, (&id, wanted), &*vault, request).await })
        })
        .await
    }

    /// Gives an endpoint a new secret.
    pub async fn rotate_endpoint(
        &self,
        id: &str,
        overlap_seconds: u32,
        request: Request,
    ) -> Result<Answered, Error> {
        let (id, vault, entropy) = (id.to_owned(), Arc::clone(&self.vault), Arc::clone(&self.entropy));
        self.once(request, move |tx, request| {
            Box::pin(async move {
                let made = (&*vault, &*entropy);
                endpoint::rotate(tx, Shard::HOME, (&id, overlap_seconds), made, request).await
            })
        })
        .await
    }

    /// Lets webhooks that were given up at an endpoint try again, so many at once.
    pub async fn replay_endpoint(
        &self,
        id: &str,
        reason: String,
        request: Request,
    ) -> Result<Answered, Error> {
        let (id, vault) = (id.to_owned(), Arc::clone(&self.vault));
        self.once(request, move |tx, request| {
            Box::pin(async move {
                let now_ms = request.at_ms;
                if endpoint::get(tx, Shard::HOME, &id, (&*vault, now_ms)).await?.is_none() {
                    return Err(Error::NoSuchEndpoint(id));
                }
                let given_up = delivery::given_up(tx, Shard::HOME, &id, AT_ONCE + 1).await?;
                let at_once = given_up.len().min(AT_ONCE as usize);
                let mut replayed = 0;
                for webhook in &given_up[..at_once] {
                    replayed += u64::from(replay(tx, Shard::HOME, webhook, now_ms).await?);
                }
                let change = Change {
                    at_ms: now_ms,
                    action: "replay_endpoint",
                    subject: format!("endpoint/{id}"),
                    detail: format!("{replayed} webhooks: {reason}"),
                };
                let changes = Stream::changes(Shard::HOME, Tenant::MAIN.number);
                audit::append(tx, &changes, &request.cause(), change).await?;
                Ok(ReplaysView { endpoint: id, replayed, more: at_once < given_up.len() })
            })
        })
        .await
    }

    /// An endpoint.
    pub async fn endpoint(&self, id: &str) -> Result<EndpointView, Error> {
        let (id, vault, now_ms) = (id.to_owned(), Arc::clone(&self.vault), self.now_ms());
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let found = endpoint::get(tx, Shard::HOME, &id, (&*vault, now_ms)).await?;
                Ok(found.ok_or(Error::NoSuchEndpoint(id))?.view)
            })
        })
        .await
    }

    /// Endpoints after one, in the order of their ids.
    pub async fn endpoints(&self, after: &str, limit: u32) -> Result<Vec<EndpointView>, Error> {
        let (after, vault, now_ms) = (after.to_owned(), Arc::clone(&self.vault), self.now_ms());
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let all = endpoint::all(tx, Shard::HOME, (&after, limit), (&*vault, now_ms)).await?;
                Ok(all.into_iter().map(|endpoint| endpoint.view).collect())
            })
        })
        .await
    }

    /// How many webhooks are owed, how many were given up, and since when the oldest is owed.
    pub async fn deliveries(&self) -> Result<(u64, u64, Option<i64>), Error> {
        read(&*self.records, Shard::HOME, |tx| {
            Box::pin(async move { Ok(delivery::backlog(tx, Shard::HOME).await?) })
        })
        .await
    }
}
