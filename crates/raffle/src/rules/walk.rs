//! The way of a draw through a rule tree.

use std::collections::HashMap;

use super::{Tree, TreeNode};
use crate::node::{Node, Word};

/// What was met on the way. The numbers are part of the stored trace.
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
    /// The condition holds.
    Yes = 5,
    /// It does not.
    No = 6,
    /// The participant has waited long enough.
    Due = 7,
    /// Not yet.
    NotDue = 8,
    /// This draw is the one.
    Reached = 9,
    /// It is not.
    Missed = 10,
    /// The prize is frozen.
    Frozen = 11,
    /// Its next units come later.
    NotReleased = 12,
    /// The participant has won it as often as they may.
    Capped = 13,
    /// The participant's last win is too near.
    TooSoon = 14,
    /// A list keeps it from the participant.
    NotForThem = 15,
    /// The budget does not cover it.
    OverBudget = 16,
}

/// Every step, in the order of its number, with its word.
const STEPS: [(Step, &str); 17] = [
    (Step::Open, "open"),
    (Step::Locked, "locked"),
    (Step::Taken, "taken"),
    (Step::Empty, "empty"),
    (Step::Unlimited, "unlimited"),
    (Step::Yes, "yes"),
    (Step::No, "no"),
    (Step::Due, "due"),
    (Step::NotDue, "not_due"),
    (Step::Reached, "reached"),
    (Step::Missed, "missed"),
    (Step::Frozen, "frozen"),
    (Step::NotReleased, "not_released"),
    (Step::Capped, "capped"),
    (Step::TooSoon, "too_soon"),
    (Step::NotForThem, "not_for_them"),
    (Step::OverBudget, "over_budget"),
];

impl Step {
    /// The word for it.
    pub fn word(self) -> &'static str {
        STEPS[self as usize].1
    }

    /// The step of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        STEPS.get(usize::from(number)).map(|(step, _)| *step)
    }

    /// Whether a prize was kept from the participant.
    pub fn is_obstacle(self) -> bool {
        match self {
            Self::Empty
            | Self::Frozen
            | Self::NotReleased
            | Self::Capped
            | Self::TooSoon
            | Self::NotForThem
            | Self::OverBudget => true,
            Self::Open
            | Self::Locked
            | Self::Taken
            | Self::Unlimited
            | Self::Yes
            | Self::No
            | Self::Due
            | Self::NotDue
            | Self::Reached
            | Self::Missed => false,
        }
    }
}

impl From<Word> for Step {
    fn from(word: Word) -> Self {
        match word {
            Word::Open => Self::Open,
            Word::Locked => Self::Locked,
            Word::Empty => Self::Empty,
            Word::Yes => Self::Yes,
            Word::No => Self::No,
            Word::Due => Self::Due,
            Word::NotDue => Self::NotDue,
            Word::Reached => Self::Reached,
            Word::Missed => Self::Missed,
        }
    }
}

/// Each node passed, by its place in the tree (or none, for what happens without a node), and what was met there.
pub type Steps = Vec<(Option<usize>, Step)>;

/// A tree as an array.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) start: usize,
    pub(super) nodes: Vec<ShapeNode>,
}

#[derive(Debug)]
pub(super) struct ShapeNode {
    pub(super) name: String,
    pub(super) node: Node,
    next: Vec<(Word, usize)>,
}

impl ShapeNode {
    /// The node that a word leads to.
    pub(super) fn next(&self, word: Word) -> Option<usize> {
        self.next.iter().find(|(known, _)| *known == word).map(|(_, to)| *to)
    }
}

impl Shape {
    pub(super) fn of<P>(tree: &Tree, prizes: &HashMap<P, usize>) -> Result<Self, String>
    where
        P: std::borrow::Borrow<str> + std::hash::Hash + Eq,
    {
        let names: Vec<&String> = tree.nodes.keys().collect();
        let place = |name: &String| {
            names.iter().position(|known| *known == name).ok_or_else(|| format!("no node {name}"))
        };
        let mut nodes = Vec::new();
        for (name, TreeNode { node, next }) in &tree.nodes {
            for (_, prize) in node.rule().prizes() {
                if !prizes.contains_key(prize) {
                    return Err(format!("no prize {prize}"));
                }
            }
            let next =
                next.iter().map(|(word, to)| Ok((*word, place(to)?))).collect::<Result<_, String>>()?;
            nodes.push(ShapeNode { name: name.clone(), node: node.clone(), next });
        }
        Ok(Self { start: place(&tree.start)?, nodes })
    }
}
