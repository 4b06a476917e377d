//! Rules as numbers: pools as cumulative tables, trees as arrays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use campaign::window::{Window, Zone};

use super::{NO_WIN, Rules, Tree, TreeNode};
use crate::document::{Metric, Mode, Per};

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
    unlimited: Vec<bool>,
    /// The base pool, then the tiers in the order of their thresholds, then the deny list's.
    pools: Vec<Pool>,
    /// The tree of each prize, by its place.
    trees: Vec<Option<usize>>,
    shapes: Vec<Shape>,
    denied: HashSet<[u8; 16]>,
}

#[derive(Debug)]
struct Pool {
    name: String,
    threshold: u64,
    /// Prize, and the sum of all weights up to and with its own.
    cumulative: Vec<(Option<usize>, u64)>,
}

#[derive(Debug)]
struct Shape {
    start: usize,
    nodes: Vec<(String, PlanNode)>,
}

#[derive(Debug)]
enum PlanNode {
    Unlock { after: u64, per: Per, open: Option<usize>, locked: Option<usize> },
    Stock { empty: Option<usize> },
    Fallback { prize: usize },
}

/// What decides about one participant's draw, besides chance and stock.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The participant's public name in this raffle.
    pub pseudonym: [u8; 16],
    /// Draws completed in this raffle, this one not counted.
    pub completed: u64,
    /// Those of them completed on this local day.
    pub completed_today: u64,
    /// Points spent, where the caller said so.
    pub points_spent: Option<u64>,
}

/// Where finite prizes are taken from.
pub trait Shelf {
    /// Takes a unit of a prize, by its place; `false` where there is none.
    fn take(&mut self, prize: usize) -> bool;
}

/// What a node of the tree said. The order is part of the stored trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// The unlock is open.
    Open = 0,
    /// It is locked.
    Locked = 1,
    /// A unit was taken.
    Taken = 2,
    /// There was none.
    Empty = 3,
    /// The prize never runs out.
    Unlimited = 4,
}

impl Step {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Locked => "locked",
            Self::Taken => "taken",
            Self::Empty => "empty",
            Self::Unlimited => "unlimited",
        }
    }

    /// The step of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Open, Self::Locked, Self::Taken, Self::Empty, Self::Unlimited];
        all.into_iter().find(|step| *step as u8 == number)
    }
}

/// What chance picked, before the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// The pool, by its place.
    pub pool: usize,
    /// The integer of chance, below the pool's total weight.
    pub integer: u64,
}

/// Each node passed, by its place in the tree (or none, for stock taken without a node), and what it said.
pub type Steps = Vec<(Option<usize>, Step)>;

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
        let place: HashMap<&str, usize> = prizes.iter().enumerate().map(|(at, id)| (&**id, at)).collect();
        let find = |id: &str| place.get(id).copied().ok_or_else(|| format!("no prize {id}"));

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
                denied.insert(crate::fairness::from_hex(pseudonym).ok_or("a pseudonym is not hexadecimal")?);
            }
        }

        let names: Vec<&String> = rules.trees.keys().collect();
        let mut trees = Vec::new();
        for prize in rules.prizes.values() {
            let tree = prize.tree.as_ref().map(|name| {
                names.iter().position(|known| *known == name).ok_or_else(|| format!("no rule tree {name}"))
            });
            trees.push(tree.transpose()?);
        }
        let shapes = rules.trees.values().map(|tree| shape(tree, &find)).collect::<Result<_, _>>()?;
        let unlimited = rules.prizes.values().map(|prize| prize.unlimited).collect();
        let window = Window { from_ms: rules.from_ms, until_ms: rules.until_ms };
        Ok(Self { zone, window, unlimited, pools, trees, shapes, denied, prizes, rules })
    }

    /// Whether a participant is on the deny list.
    pub fn denies(&self, pseudonym: &[u8; 16]) -> bool {
        self.denied.contains(pseudonym)
    }

    /// The pool that a standing draws from, by its place: the deny list's, a tier's, or the base.
    pub fn pool_for(&self, standing: &Standing) -> usize {
        if self.denies(&standing.pseudonym) {
            return self.pools.len() - 1;
        }
        let Some(tiers) = &self.rules.tiers else { return 0 };
        let metric = match tiers.metric {
            // The draw being made counts.
            Metric::DrawsMade => Some(standing.completed.saturating_add(1)),
            Metric::PointsSpent => standing.points_spent,
        };
        let Some(metric) = metric else { return 0 };
        let tier_pools = &self.pools[1..=tiers.pools.len()];
        let reached = tier_pools.iter().rposition(|pool| match tiers.mode {
            Mode::Exact => metric == pool.threshold,
            Mode::AtLeast => metric >= pool.threshold,
        });
        reached.map_or(0, |at| at + 1)
    }

    /// The total weight of a pool: chance picks an integer below it.
    pub fn total(&self, pool: usize) -> u64 {
        self.pools[pool].cumulative.last().map_or(0, |(_, sum)| *sum)
    }

    /// The pool's name: `base`, a tier's threshold, or `denied`.
    pub fn pool_name(&self, pool: usize) -> Option<&str> {
        self.pools.get(pool).map(|pool| pool.name.as_str())
    }

    /// What an integer of chance picks from a pool; `None` picks nothing.
    pub fn candidate(&self, chosen: Chosen) -> Option<usize> {
        let table = &self.pools[chosen.pool].cumulative;
        let at = table.partition_point(|(_, sum)| *sum <= chosen.integer);
        table.get(at).and_then(|(prize, _)| *prize)
    }

    /// The weights of a pool as the rules state them, by a prize's place, and last that of no win. They are not read
    /// from the table that [`Plan::candidate`] looks integers up in, so that one can be held against the other.
    pub fn weights(&self, pool: usize) -> Vec<u64> {
        let tiers = self.rules.tiers.as_ref().map_or(&[][..], |tiers| &tiers.pools);
        let denied = self.rules.denied.as_ref().map(|list| (list.prize.clone(), 1));
        let stated = match pool.checked_sub(1).map(|at| tiers.get(at)) {
            None => &self.rules.base[..],
            Some(Some(tier)) => &tier.pool,
            Some(None) => denied.as_slice(),
        };
        let weight_of =
            |id: &str| stated.iter().find(|(stated, _)| stated == id).map_or(0, |(_, weight)| *weight);
        self.prizes.iter().map(|id| weight_of(id)).chain([weight_of(NO_WIN)]).collect()
    }

    /// The name of a node of a prize's tree.
    pub fn node_name(&self, candidate: usize, node: usize) -> Option<&str> {
        let shape = self.shapes.get(self.trees.get(candidate).copied().flatten()?)?;
        shape.nodes.get(node).map(|(name, _)| name.as_str())
    }

    /// The whole draw: pool, chance, tree, stock. `chance` gives an integer below a total.
    pub fn draw(
        &self,
        standing: &Standing,
        chance: impl FnOnce(u64) -> u64,
        shelf: &mut dyn Shelf,
    ) -> Outcome {
        let pool = self.pool_for(standing);
        let chosen = Chosen { pool, integer: chance(self.total(pool)) };
        let mut steps = Vec::new();
        let prize =
            self.candidate(chosen).and_then(|candidate| self.walk(candidate, standing, shelf, &mut steps));
        Outcome { chosen, steps, prize }
    }

    /// Takes a unit of a prize, where it is finite.
    fn take(&self, prize: usize, node: Option<usize>, shelf: &mut dyn Shelf, steps: &mut Steps) -> bool {
        let step = match self.unlimited[prize] {
            true => Step::Unlimited,
            false if shelf.take(prize) => Step::Taken,
            false => Step::Empty,
        };
        steps.push((node, step));
        step != Step::Empty
    }

    /// Walks the candidate's tree. Whatever way a finite prize is won, a unit of it is taken.
    pub fn walk(
        &self,
        candidate: usize,
        standing: &Standing,
        shelf: &mut dyn Shelf,
        steps: &mut Steps,
    ) -> Option<usize> {
        let Some(shape) = self.trees[candidate].map(|tree| &self.shapes[tree]) else {
            return self.take(candidate, None, shelf, steps).then_some(candidate);
        };
        let mut at = shape.start;
        // A published tree has no cycle; the bound keeps even a wrong one from hanging.
        for _ in 0..shape.nodes.len() {
            let next = match &shape.nodes[at].1 {
                PlanNode::Unlock { after, per, open, locked } => {
                    let completed = match per {
                        Per::Day => standing.completed_today,
                        Per::Campaign => standing.completed,
                    };
                    let is_open = completed >= *after;
                    steps.push((Some(at), if is_open { Step::Open } else { Step::Locked }));
                    match (is_open, open, locked) {
                        (true, Some(next), _) | (false, _, Some(next)) => *next,
                        (true, None, _) => {
                            return self.take(candidate, None, shelf, steps).then_some(candidate);
                        }
                        (false, _, None) => return None,
                    }
                }
                PlanNode::Stock { empty } => {
                    if self.take(candidate, Some(at), shelf, steps) {
                        return Some(candidate);
                    }
                    (*empty)?
                }
                PlanNode::Fallback { prize } => {
                    return self.take(*prize, Some(at), shelf, steps).then_some(*prize);
                }
            };
            at = next;
        }
        None
    }
}

fn shape(tree: &Tree, prize: &dyn Fn(&str) -> Result<usize, String>) -> Result<Shape, String> {
    let names: Vec<&String> = tree.nodes.keys().collect();
    let node = |name: &String| {
        names.iter().position(|known| *known == name).ok_or_else(|| format!("no node {name}"))
    };
    let edge = |to: &Option<String>| to.as_ref().map(&node).transpose();
    let mut nodes = Vec::new();
    for (name, planned) in &tree.nodes {
        let planned = match planned {
            TreeNode::Unlock { after, per, open, locked } => PlanNode::Unlock {
                after: u64::from(*after),
                per: *per,
                open: edge(open)?,
                locked: edge(locked)?,
            },
            TreeNode::Stock { empty } => PlanNode::Stock { empty: edge(empty)? },
            TreeNode::Fallback { prize: id } => PlanNode::Fallback { prize: prize(id)? },
        };
        nodes.push((name.clone(), planned));
    }
    Ok(Shape { start: node(&tree.start)?, nodes })
}
