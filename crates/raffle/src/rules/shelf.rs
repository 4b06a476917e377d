//! Where finite things are taken from, and what keeps a prize from a participant.

use std::collections::{BTreeMap, HashSet};

use kernel::hex::from_hex;

use super::walk::Step;
use super::{Prize, Release};
use crate::document::Cap;
use crate::node::Per;
use crate::standing::Standing;

/// The item that a raffle's budget is. No prize has such a name.
pub const BUDGET: &str = "$budget";

/// Finite things, under the gate.
pub trait Shelf {
    /// Units of an item that may be granted; `None` where it is frozen.
    fn free(&self, item: &str) -> Option<u64>;
    /// Units that were granted, ever.
    fn granted(&self, item: &str) -> u64;
    /// Grants units that are free.
    fn take(&mut self, item: &str, units: u64);
}

/// Finite things in memory, for what is tried or replayed and never written.
#[derive(Debug, Clone, Default)]
pub struct Shelves(BTreeMap<String, Held>);

/// One finite thing of [`Shelves`].
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    free: u64,
    granted: u64,
    frozen: bool,
}

impl Shelves {
    /// Puts an item there, as it stands elsewhere.
    pub fn put(&mut self, item: &str, free: u64, granted: u64, frozen: bool) {
        self.0.insert(item.to_owned(), Held { free, granted, frozen });
    }

    /// Adds units.
    pub fn add(&mut self, item: &str, units: u64) {
        let held = self.0.entry(item.to_owned()).or_default();
        held.free = held.free.saturating_add(units);
    }

    /// Freezes or thaws an item.
    pub fn set_frozen(&mut self, item: &str, frozen: bool) {
        self.0.entry(item.to_owned()).or_default().frozen = frozen;
    }
}

impl Shelf for Shelves {
    fn free(&self, item: &str) -> Option<u64> {
        let held = self.0.get(item).copied().unwrap_or_default();
        (!held.frozen).then_some(held.free)
    }

    fn granted(&self, item: &str) -> u64 {
        self.0.get(item).map_or(0, |held| held.granted)
    }

    fn take(&mut self, item: &str, units: u64) {
        if let Some(held) = self.0.get_mut(item) {
            held.free = held.free.saturating_sub(units);
            held.granted = held.granted.saturating_add(units);
        }
    }
}

/// What may keep a prize from a participant.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) slot: u32,
    pub(super) unlimited: bool,
    pub(super) cost: u64,
    pub(super) consolation: bool,
    cap: Option<Cap>,
    only_for: Option<HashSet<[u8; 16]>>,
    never_for: HashSet<[u8; 16]>,
    release: Option<Release>,
    interval_ms: Option<i64>,
    budgeted: bool,
}

impl Terms {
    pub(super) fn of(prize: &Prize, interval_seconds: Option<u32>, budgeted: bool) -> Result<Self, String> {
        let people = |names: &[String]| {
            let read = |name: &String| from_hex(name).ok_or_else(|| format!("{name} is no pseudonym"));
            names.iter().map(read).collect::<Result<HashSet<_>, _>>()
        };
        Ok(Self {
            slot: prize.slot,
            unlimited: prize.unlimited,
            cost: prize.cost,
            consolation: prize.consolation,
            cap: prize.cap,
            only_for: prize.only_for.as_deref().map(people).transpose()?,
            never_for: people(&prize.never_for)?,
            release: prize.release.clone(),
            interval_ms: interval_seconds
                .filter(|_| !prize.consolation)
                .map(|seconds| i64::from(seconds) * 1000),
            budgeted: budgeted && prize.cost > 0,
        })
    }

    /// What keeps a unit of the prize from the participant now; `None` where they can have one.
    pub(super) fn obstacle(&self, id: &str, standing: &Standing<'_>, shelf: &dyn Shelf) -> Option<Step> {
        let is_not_invited =
            self.only_for.as_ref().is_some_and(|invited| !invited.contains(&standing.pseudonym));
        if is_not_invited || self.never_for.contains(&standing.pseudonym) {
            return Some(Step::NotForThem);
        }
        if let Some(cap) = self.cap {
            let wins = standing.history.wins_of(self.slot, standing.day);
            let won = match cap.per {
                Per::Day => wins.today,
                Per::Campaign => wins.total,
            };
            if won >= u64::from(cap.wins) {
                return Some(Step::Capped);
            }
        }
        if let (Some(interval_ms), Some(last_ms)) = (self.interval_ms, standing.history.last_win_ms)
            && standing.now_ms.saturating_sub(last_ms) < interval_ms
        {
            return Some(Step::TooSoon);
        }
        if !self.unlimited {
            match shelf.free(id) {
                None => return Some(Step::Frozen),
                Some(0) => return Some(Step::Empty),
                Some(_) => {}
            }
            let released = self.release.as_ref().map(|release| release.units(standing.now_ms, standing.day));
            if released.is_some_and(|released| shelf.granted(id) >= released) {
                return Some(Step::NotReleased);
            }
        }
        if self.budgeted && shelf.free(BUDGET).unwrap_or(0) < self.cost {
            return Some(Step::OverBudget);
        }
        None
    }

    /// Takes a unit, and its cost. Nothing stands in the way of it.
    pub(super) fn take(&self, id: &str, shelf: &mut dyn Shelf) -> Step {
        if self.budgeted {
            shelf.take(BUDGET, self.cost);
        }
        if self.unlimited {
            return Step::Unlimited;
        }
        shelf.take(id, 1);
        Step::Taken
    }
}
