//! Rules as numbers: pools as cumulative tables, trees as arrays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use campaign::window::{Window, Zone};
use kernel::hex::from_hex;

use super::shelf::{BUDGET, Shelf, Terms};
use super::walk::{Shape, Step, Steps};
use super::{Exhausted, NO_WIN, Rules};
use crate::document::{GuaranteedWinners, Mode, WhenSpent};
use crate::error::Error;
use crate::node::{Act, Node, Word};
use crate::standing::{Attested, Completed, POINTS_SPENT, Standing};

/// Rules, ready to decide.
#[derive(Debug)]
pub struct Plan {
    /// The rules as published.
    pub rules: Rules,
    /// The campaign's time zone.
    pub zone: Zone,
    /// When draws are taken.
    pub window: Window,
    /// Prize ids; everything else here speaks of prizes by their place in this list.
    pub prizes: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
    terms: Vec<Terms>,
    /// The base pool, then the tiers in the order of their thresholds, then the deny list's.
    pools: Vec<Pool>,
    /// The tree of each prize, by its place.
    trees: Vec<Option<usize>>,
    no_win_tree: Option<usize>,
    shapes: Vec<Shape>,
    denied: HashSet<[u8; 16]>,
    fallback: Option<usize>,
    dearest: u64,
    windows: Vec<u32>,
}

#[derive(Debug)]
struct Pool {
    name: String,
    threshold: u64,
    /// Prize, and the sum of all weights up to and with its own.
    cumulative: Vec<(Option<usize>, u64)>,
}

impl Pool {
    /// The weight at a place.
    fn weight(&self, at: usize) -> u64 {
        let before = at.checked_sub(1).map_or(0, |before| self.cumulative[before].1);
        self.cumulative[at].1 - before
    }
}

/// The pool of a draw that keeps a promise. No raffle has so many.
pub const PROMISED: usize = 0xffff;

/// What chance picked, before the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The pool, by its place, or [`PROMISED`].
    pub pool: usize,
    /// The integer of chance, below the pool's total weight.
    pub integer: u64,
    /// Places in the pool that were left out, in order, because their prizes could not be had.
    pub excluded: Vec<usize>,
}

/// What became of a draw, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What chance picked.
    pub chosen: Chosen,
    /// The way through the tree.
    pub steps: Steps,
    /// The prize won, by its place.
    pub prize: Option<usize>,
}

impl Plan {
    /// Indexes rules. Answers what is wrong with rules that no publication can have made.
    pub fn of(rules: Rules) -> Result<Self, String> {
        let zone =
            Zone::named(&rules.time_zone).ok_or_else(|| format!("no time zone {}", rules.time_zone))?;
        let prizes: Vec<Arc<str>> = rules.prizes.keys().map(|id| Arc::from(id.as_str())).collect();
        let places: HashMap<Arc<str>, usize> =
            prizes.iter().enumerate().map(|(at, id)| (Arc::clone(id), at)).collect();
        let find = |id: &str| places.get(id).copied().ok_or_else(|| format!("no prize {id}"));

        let pool = |name: String, threshold: u64, weights: &[(String, u64)]| -> Result<Pool, String> {
            let mut sum: u64 = 0;
            let mut cumulative = Vec::with_capacity(weights.len());
            for (id, weight) in weights {
                sum = sum.checked_add(*weight).ok_or("weights overflow")?;
                cumulative.push((if id == NO_WIN { None } else { Some(find(id)?) }, sum));
            }
            if sum == 0 {
                Err(format!("pool {name} is empty"))
            } else {
                Ok(Pool { name, threshold, cumulative })
            }
        };
        let mut pools = vec![pool("base".to_owned(), 0, &rules.base)?];
        for tier in rules.tiers.iter().flat_map(|tiers| &tiers.pools) {
            pools.push(pool(tier.threshold.to_string(), tier.threshold, &tier.pool)?);
        }
        let mut denied = HashSet::new();
        if let Some(list) = &rules.denied {
            pools.push(pool("denied".to_owned(), 0, &[(list.prize.clone(), 1)])?);
            for pseudonym in &list.pseudonyms {
                denied.insert(from_hex(pseudonym).ok_or("a pseudonym is not hexadecimal")?);
            }
        }

        let names: Vec<&String> = rules.trees.keys().collect();
        let tree = |name: &String| {
            names.iter().position(|known| *known == name).ok_or_else(|| format!("no rule tree {name}"))
        };
        let trees = rules.prizes.values().map(|prize| prize.tree.as_ref().map(tree).transpose());
        let trees = trees.collect::<Result<_, _>>()?;
        let no_win_tree = rules.no_win_tree.as_ref().map(tree).transpose()?;
        let shapes = rules.trees.values().map(|tree| Shape::of(tree, &places)).collect::<Result<_, _>>()?;
        let terms = rules
            .prizes
            .values()
            .map(|prize| Terms::of(prize, rules.win_interval_seconds, rules.budget.is_some()))
            .collect::<Result<Vec<_>, _>>()?;
        let fallback = match &rules.exhausted {
            Exhausted::Fallback { prize } => Some(find(prize)?),
            Exhausted::NoWin | Exhausted::Renormalise => None,
        };
        let window = Window { from_ms: rules.from_ms, until_ms: rules.until_ms };
        let dearest = terms.iter().map(|terms| terms.cost).max().unwrap_or(0);
        let mut windows: Vec<u32> =
            rules.eligibility.iter().filter_map(|rule| rule.rule().window_seconds()).collect();
        windows.sort_unstable();
        windows.dedup();
        Ok(Self {
            zone,
            window,
            places,
            terms,
            pools,
            trees,
            no_win_tree,
            shapes,
            denied,
            fallback,
            dearest,
            windows,
            prizes,
            rules,
        })
    }

    /// Keeps of what is told only what these rules read; refuses what they do not know.
    pub fn attest(&self, told: &Attested) -> Result<Attested, Error> {
        let stranger = |known: &[String], name: &&String| known.binary_search(name).is_err();
        let mut attributes = told.attributes.keys();
        if let Some(name) = attributes.find(|name| stranger(&self.rules.attributes, name)) {
            return Err(Error::UnknownAttribute(name.clone()));
        }
        let mut metrics = told.metrics.keys().filter(|name| *name != POINTS_SPENT);
        if let Some(name) = metrics.find(|name| stranger(&self.rules.metrics, name)) {
            return Err(Error::UnknownAttribute(name.clone()));
        }
        let mut kept = told.clone();
        let reads_points = self.rules.tiers.as_ref().is_some_and(|tiers| tiers.metric == POINTS_SPENT);
        if !reads_points {
            kept.metrics.remove(POINTS_SPENT);
        }
        Ok(kept)
    }

    /// Whether a draw is taken at all: the window, the rules of eligibility in their order, the tickets, the budget.
    pub fn admit(&self, standing: &Standing<'_>, shelf: &dyn Shelf) -> Result<(), Error> {
        self.window.check(standing.now_ms, &self.zone)?;
        let mut refusals = self.rules.eligibility.iter().filter_map(|rule| rule.rule().check(standing).err());
        if let Some(mut first) = refusals.next() {
            // The first decides. Where waiting helps, it has to be long enough for all that ask for a wait.
            first.retry_ms =
                first.retry_ms.map(|wait| refusals.filter_map(|other| other.retry_ms).fold(wait, i64::max));
            return Err(Error::NotEligible(first));
        }
        self.rules.tickets.check(standing.used())?;
        match &self.rules.budget {
            Some(budget)
                if budget.when_spent == WhenSpent::Stop && shelf.free(BUDGET).unwrap_or(0) < self.dearest =>
            {
                Err(Error::BudgetSpent)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What a draw leaves in the participant's history.
    pub fn completed(&self, standing: &Standing<'_>, outcome: &Outcome) -> Completed<'_> {
        let won = outcome.prize.map(|prize| (self.terms[prize].slot, !self.terms[prize].consolation));
        Completed {
            at_ms: standing.now_ms,
            day: standing.day,
            won,
            kept_promise: outcome.chosen.pool == PROMISED,
            windows: &self.windows,
        }
    }

    /// Whether a participant is on the deny list.
    pub fn denies(&self, pseudonym: &[u8; 16]) -> bool {
        self.denied.contains(pseudonym)
    }

    /// The pool that a standing draws from, by its place: the deny list's, a tier's, or the base.
    pub fn pool_for(&self, standing: &Standing<'_>) -> usize {
        if self.denies(&standing.pseudonym) {
            return self.pools.len() - 1;
        }
        let Some(tiers) = &self.rules.tiers else { return 0 };
        let Some(metric) = standing.metric(&tiers.metric) else { return 0 };
        let tier_pools = &self.pools[1..=tiers.pools.len()];
        let reached = tier_pools.iter().rposition(|pool| match tiers.mode {
            Mode::Exact => metric == pool.threshold,
            Mode::AtLeast => metric >= pool.threshold,
        });
        reached.map_or(0, |at| at + 1)
    }

    /// Places in a pool whose prizes cannot be had, where the rules leave them out.
    pub fn excluded(&self, pool: usize, standing: &Standing<'_>, shelf: &dyn Shelf) -> Vec<usize> {
        if self.rules.exhausted != Exhausted::Renormalise {
            return Vec::new();
        }
        let entries = self.pools[pool].cumulative.iter().enumerate();
        let cannot = |prize: &Option<usize>| {
            prize.is_some_and(|at| self.terms[at].obstacle(&self.prizes[at], standing, shelf).is_some())
        };
        entries.filter(|(_, (prize, _))| cannot(prize)).map(|(at, _)| at).collect()
    }

    /// The total weight of a pool without what is left out: chance picks an integer below it.
    pub fn total(&self, pool: usize, excluded: &[usize]) -> u64 {
        let Some(pool) = self.pools.get(pool) else { return 0 };
        let whole = pool.cumulative.last().map_or(0, |(_, sum)| *sum);
        let known = excluded.iter().filter(|at| **at < pool.cumulative.len());
        whole - known.map(|at| pool.weight(*at)).sum::<u64>()
    }

    /// The pool's name: `base`, a tier's threshold, `denied` or `promised`.
    pub fn pool_name(&self, pool: usize) -> Option<&str> {
        if pool == PROMISED {
            return Some("promised");
        }
        self.pools.get(pool).map(|pool| pool.name.as_str())
    }

    /// The prizes of a pool (`None` is no win) with their weights.
    pub fn pool_weights(&self, pool: usize) -> Vec<(Option<usize>, u64)> {
        let Some(pool) = self.pools.get(pool) else { return vec![] };
        pool.cumulative.iter().enumerate().map(|(at, (prize, _))| (*prize, pool.weight(at))).collect()
    }

    /// What an integer of chance picks from a pool; `None` picks nothing.
    pub fn candidate(&self, chosen: &Chosen) -> Option<usize> {
        let table = &self.pools.get(chosen.pool)?.cumulative;
        if chosen.excluded.is_empty() {
            let at = table.partition_point(|(_, sum)| *sum <= chosen.integer);
            return table.get(at).and_then(|(prize, _)| *prize);
        }
        let mut rest = chosen.integer;
        for (at, (prize, _)) in table.iter().enumerate().filter(|(at, _)| !chosen.excluded.contains(at)) {
            let weight = self.pools[chosen.pool].weight(at);
            match rest.checked_sub(weight) {
                Some(left) => rest = left,
                None => return *prize,
            }
        }
        None
    }

    /// The name of a node of a candidate's tree, or of the tree of those who win nothing.
    pub fn node_name(&self, candidate: Option<usize>, node: usize) -> Option<&str> {
        let shape = self.shapes.get(self.tree_of(candidate)?)?;
        shape.nodes.get(node).map(|node| node.name.as_str())
    }

    /// A node of a candidate's tree, or of the tree of those who win nothing.
    pub fn node(&self, candidate: Option<usize>, node: usize) -> Option<&Node> {
        let shape = self.shapes.get(self.tree_of(candidate)?)?;
        shape.nodes.get(node).map(|node| &node.node)
    }

    fn tree_of(&self, candidate: Option<usize>) -> Option<usize> {
        match candidate {
            Some(candidate) => self.trees.get(candidate).copied().flatten(),
            None => self.no_win_tree,
        }
    }

    /// The whole draw of somebody who was admitted: promise, pool, chance, tree, stock. `chance` gives an integer below a
    /// total.
    pub fn draw(
        &self,
        standing: &Standing<'_>,
        chance: impl FnOnce(u64) -> u64,
        shelf: &mut dyn Shelf,
    ) -> Outcome {
        let mut steps = Vec::new();
        if let Some(prize) = self.promised(standing, shelf) {
            self.take(prize, None, standing, shelf, &mut steps);
            let chosen = Chosen { pool: PROMISED, integer: 0, excluded: vec![] };
            return Outcome { chosen, steps, prize: Some(prize) };
        }
        let pool = self.pool_for(standing);
        let excluded = self.excluded(pool, standing, shelf);
        let total = self.total(pool, &excluded);
        // Where everything is left out there is nothing to pick from.
        let integer = if total == 0 { 0 } else { chance(total) };
        let chosen = Chosen { pool, integer, excluded };
        let prize = self.settle(self.candidate(&chosen), standing, shelf, &mut steps);
        Outcome { chosen, steps, prize }
    }

    /// The prize of a promise that can be kept now.
    pub fn promised(&self, standing: &Standing<'_>, shelf: &dyn Shelf) -> Option<usize> {
        let promised = standing.history.promised.as_deref()?;
        let allowed = self.rules.guaranteed_winners == GuaranteedWinners::Allowed;
        let prize = self.places.get(promised).copied().filter(|_| allowed)?;
        let obstacle = self.terms[prize].obstacle(&self.prizes[prize], standing, shelf);
        obstacle.is_none().then_some(prize)
    }

    /// What a candidate comes to: its tree, then what the rules say of a prize that cannot be had.
    pub fn settle(
        &self,
        candidate: Option<usize>,
        standing: &Standing<'_>,
        shelf: &mut dyn Shelf,
        steps: &mut Steps,
    ) -> Option<usize> {
        let won = self.walk(candidate, standing, shelf, steps);
        let was_kept_away = steps.last().is_some_and(|(_, step)| step.is_obstacle());
        match self.fallback {
            Some(fallback) if won.is_none() && was_kept_away => {
                self.take(fallback, None, standing, shelf, steps).then_some(fallback)
            }
            Some(_) | None => won,
        }
    }

    /// Takes a unit of a prize, where nothing stands in the way of it.
    fn take(
        &self,
        prize: usize,
        node: Option<usize>,
        standing: &Standing<'_>,
        shelf: &mut dyn Shelf,
        steps: &mut Steps,
    ) -> bool {
        let (terms, id) = (&self.terms[prize], &self.prizes[prize]);
        let obstacle = terms.obstacle(id, standing, shelf);
        steps.push((node, obstacle.unwrap_or_else(|| terms.take(id, shelf))));
        obstacle.is_none()
    }

    /// Walks the candidate's tree. Whatever way a finite prize is won, a unit of it is taken.
    fn walk(
        &self,
        candidate: Option<usize>,
        standing: &Standing<'_>,
        shelf: &mut dyn Shelf,
        steps: &mut Steps,
    ) -> Option<usize> {
        let Some(shape) = self.tree_of(candidate).map(|tree| &self.shapes[tree]) else {
            return candidate.filter(|candidate| self.take(*candidate, None, standing, shelf, steps));
        };
        let slot_of = |id: &str| self.places.get(id).map(|at| self.terms[*at].slot);
        let mut at = shape.start;
        // A published tree has no cycle; the bound keeps even a wrong one from hanging.
        for _ in 0..shape.nodes.len() {
            let node = &shape.nodes[at];
            let word = match node.node.rule().act(standing, &slot_of) {
                Act::Give(id) => {
                    let prize = *self.places.get(id)?;
                    return self.take(prize, Some(at), standing, shelf, steps).then_some(prize);
                }
                Act::Take => match candidate {
                    Some(candidate) if self.take(candidate, Some(at), standing, shelf, steps) => {
                        return Some(candidate);
                    }
                    Some(_) => Word::Empty,
                    None => {
                        steps.push((Some(at), Step::Empty));
                        Word::Empty
                    }
                },
                Act::Say(word) => {
                    steps.push((Some(at), word.into()));
                    word
                }
            };
            match node.next(word) {
                Some(next) => at = next,
                None if word.gives() => {
                    return candidate.filter(|candidate| self.take(*candidate, None, standing, shelf, steps));
                }
                None => return None,
            }
        }
        None
    }
}
