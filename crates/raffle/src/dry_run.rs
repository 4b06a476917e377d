//! What a draw would be for one participant now: whether it is taken, and the exact odds of everything that can come of it.
//!
//! [`Chances::of`] asks the rules for each entry of the participant's pool, on a copy of the shelves. Nothing is written, and
//! no integer of chance is made: the next draw's stays unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::id::Shard;
use ledger::desk::Desk;
use records::gate::{Gate, Segment};
use records::port::read;

use crate::error::Error;
use crate::odds::{Fraction, Pool};
use crate::player;
use crate::raffles::Raffles;
use crate::rules::{NO_WIN, Plan, Shelves, Steps};
use crate::standing::{Attested, History, Standing};
use crate::ticket;

/// Who would draw, when, and what is told of them.
pub struct DryRunRequest {
    /// The raffle's id.
    pub raffle: String,
    /// Who: 1 to 128 characters.
    pub participant: String,
    /// What the caller tells of them.
    pub attested: Attested,
    /// Now, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// A draw that was not made.
pub struct DryRun {
    /// The rules that would decide.
    pub plan: Arc<Plan>,
    /// The participant's how-many-eth draw it would be, from 1.
    pub number: u64,
    /// Why the draw would be refused, or what it could come to.
    pub chances: Result<Chances, Error>,
}

/// What an admitted draw could come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chances {
    /// The pool, by its place in the plan.
    pub pool: usize,
    /// Prizes of the pool that are left out because they cannot be had, by their places.
    pub excluded: Vec<usize>,
    /// The odds of every prize of the raffle, zeros too; no-win is named `-`. They sum to 1.
    pub odds: Pool,
    /// Everything that chance could pick.
    pub candidates: Vec<Candidate>,
}

/// One entry of a pool, followed to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What chance would pick: a prize by its place, or nothing.
    pub prize: Option<usize>,
    /// How likely that is.
    pub odds: Fraction,
    /// The way through the tree.
    pub steps: Steps,
    /// What would be won in the end.
    pub won: Option<usize>,
}

impl Chances {
    /// What a draw could come to for a participant who has this standing.
    pub fn of(
        plan: &Plan,
        attested: &Attested,
        standing: &Standing<'_>,
        shelves: &Shelves,
    ) -> Result<Self, Error> {
        let kept = plan.attest(attested)?;
        let standing = Standing { attested: &kept, ..*standing };
        plan.admit(&standing, shelves)?;
        if let Some(prize) = plan.promised(&standing, shelves) {
            let outcome = plan.draw(&standing, |_| 0, &mut shelves.clone());
            let kept = Candidate {
                prize: Some(prize),
                odds: Fraction::of(1, 1),
                steps: outcome.steps,
                won: outcome.prize,
            };
            return Ok(Self::sum(plan, (outcome.chosen.pool, vec![]), vec![(1, kept)]));
        }
        let pool = plan.pool_for(&standing);
        let places = plan.excluded(pool, &standing, shelves);
        let total = plan.total(pool, &places);
        let mut entries = plan.pool_weights(pool);
        let excluded = places.iter().filter_map(|at| entries.get(*at)?.0).collect();
        let mut at = 0;
        entries.retain(|_| {
            at += 1;
            !places.contains(&(at - 1))
        });
        if entries.is_empty() {
            // Where everything is left out there is nothing to pick from.
            entries.push((None, 1));
        }
        let follow = |(prize, weight): (Option<usize>, u64)| {
            let mut steps = Steps::new();
            let won = plan.settle(prize, &standing, &mut shelves.clone(), &mut steps);
            (weight, Candidate { prize, odds: Fraction::of(weight, total.max(1)), steps, won })
        };
        Ok(Self::sum(plan, (pool, excluded), entries.into_iter().map(follow).collect()))
    }

    fn sum(plan: &Plan, (pool, excluded): (usize, Vec<usize>), weighed: Vec<(u64, Candidate)>) -> Self {
        let total = weighed.iter().map(|(weight, _)| weight).sum();
        let names = plan.prizes.iter().map(|id| &**id).chain([NO_WIN]);
        let mut weights: BTreeMap<&str, u64> = names.map(|name| (name, 0)).collect();
        for (weight, candidate) in &weighed {
            let name = candidate.won.map_or(NO_WIN, |won| &plan.prizes[won]);
            *weights.entry(name).or_default() += weight;
        }
        let odds = weights
            .into_iter()
            .map(|(name, weight)| (name.to_owned(), Fraction::of(weight, total)))
            .collect();
        Self {
            pool,
            excluded,
            odds,
            candidates: weighed.into_iter().map(|(_, candidate)| candidate).collect(),
        }
    }
}

impl Raffles {
    /// What a draw of a participant would be now. Gate, stock and participant are read in one transaction; whether a ticket
    /// is there, for rules that ask for one, a moment later.
    pub async fn dry_run(&self, asked: DryRunRequest) -> Result<DryRun, Error> {
        let raffle = self.catalog().raffle(&asked.raffle).await?;
        let player_key = raffle.player(&asked.participant);
        let key = raffle.gate(Shard::HOME);
        let (gate, segments, player) = read(&*self.records(), key.shard, move |tx| {
            Box::pin(async move {
                let gate = Gate::peek(tx, key).await?;
                let segments = Segment::all(tx, key).await?;
                let player = player::load(tx, key, &[(player_key, 0)]).await?.into_values().next();
                Ok::<_, Error>((gate, segments, player))
            })
        })
        .await?;
        let gate = gate.ok_or_else(|| Error::NoSuchRaffle(raffle.id.clone()))?;
        let plan = self.catalog().plan(&raffle, gate.version).await?;
        let history = player.map_or_else(History::default, |player| player.history);
        let (now_ms, day) = (asked.now_ms, plan.zone.day_of(asked.now_ms));
        let attested = Attested::default();
        let standing =
            Standing { pseudonym: player_key.1, history: &history, attested: &attested, now_ms, day };
        let mut shelves = Shelves::default();
        for Segment { item, free, granted, frozen } in &segments {
            shelves.put(item, *free, *granted, *frozen);
        }
        let mut chances = if gate.frozen {
            Err(Error::Frozen)
        } else if gate.epoch == 0 {
            Err(Error::Over)
        } else {
            Chances::of(&plan, &asked.attested, &standing, &shelves)
        };
        if let (Ok(_), Some(wallet)) = (&chances, &plan.rules.tickets.wallet) {
            let held = ticket::held(&asked.participant, wallet);
            let desk = Desk { tenant: raffle.tenant, shard: key.shard, now_ms };
            let left = read(&*self.records(), key.shard, move |tx| {
                Box::pin(async move { Ok::<_, Error>(desk.available(tx, &[held]).await?) })
            })
            .await?;
            let left = left.first().and_then(|left| u64::try_from(*left).ok()).unwrap_or(0);
            chances = plan.rules.tickets.check_held(left, 1).map_err(Error::from).and(chances);
        }
        let number = standing.number();
        Ok(DryRun { plan, number, chances })
    }
}
