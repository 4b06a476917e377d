//! Published rules, and how they decide a draw.
//!
//! [`Rules`] are the canonical form of a version: their JSON text is hashed into the commitment and read by outside
//! verifiers, so its fields and their order are part of the proof. [`Plan`] is the same, indexed for speed.

mod plan;

pub use plan::{Chosen, Outcome, Plan, Shelf, Standing, Step, Steps};

use std::collections::BTreeMap;

use campaign::ticket::Quota;
use campaign::window::Zone;
use serde::{Deserialize, Serialize};

use crate::document::{Document, EdgeOutcome, Metric, Mode, Node, Per, SumPolicy};

/// The format of [`Rules`].
pub const FORMAT: &str = "fairground/rules/1";

/// What stands in a pool where nothing is won.
pub const NO_WIN: &str = "-";

/// The canonical form of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// [`FORMAT`].
    pub format: String,
    /// The tenant's name.
    pub tenant: String,
    /// The raffle's id.
    pub raffle: String,
    /// The version, from 1.
    pub version: u32,
    /// IANA name of the zone whose midnight begins a day.
    pub time_zone: String,
    /// First instant of the campaign, in milliseconds since the epoch.
    pub from_ms: Option<i64>,
    /// First instant after it.
    pub until_ms: Option<i64>,
    /// Tickets per participant.
    pub tickets: Quota,
    /// Entries of a gate's log that one seed serves at the most.
    pub epoch_entries_max: u64,
    /// The base pool: prize (or [`NO_WIN`]) and weight.
    pub base: Vec<(String, u64)>,
    /// Other pools for those who reach a threshold.
    pub tiers: Option<Tiers>,
    /// Who always draws the consolation prize.
    pub denied: Option<Denied>,
    /// All prizes.
    pub prizes: BTreeMap<String, Prize>,
    /// Rule trees.
    pub trees: BTreeMap<String, Tree>,
}

/// Odds tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the document's schema explains each")]
pub struct Tiers {
    pub metric: Metric,
    pub mode: Mode,
    /// In the order of their thresholds.
    pub pools: Vec<TierPool>,
}

/// The pool of one tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the document's schema explains each")]
pub struct TierPool {
    pub threshold: u64,
    pub pool: Vec<(String, u64)>,
}

/// The deny list, by pseudonym: the rules are published, the people are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The consolation prize.
    pub prize: String,
    /// Pseudonyms in hexadecimal, sorted.
    pub pseudonyms: Vec<String>,
}

/// What a draw must know of a prize.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prize {
    /// What people call it.
    pub title: String,
    /// Whether it never runs out.
    pub unlimited: bool,
    /// The tree it walks, where it has one.
    pub tree: Option<String>,
}

/// A rule tree with each node's edges beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The first node.
    pub start: String,
    /// All nodes.
    pub nodes: BTreeMap<String, TreeNode>,
}

/// A node and where its outcomes lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TreeNode {
    /// Opens after completed draws.
    Unlock {
        /// How many.
        after: u32,
        /// Counted where.
        per: Per,
        /// Next when open; nowhere wins the prize.
        open: Option<String>,
        /// Next when locked; nowhere wins nothing.
        locked: Option<String>,
    },
    /// Takes a unit of the prize; with one it is won.
    Stock {
        /// Next when there is none; nowhere wins nothing.
        empty: Option<String>,
    },
    /// Gives another prize, while that lasts.
    Fallback {
        /// Which.
        prize: String,
    },
}

/// The base pool of a document under its policy. Where the policy does not fit the sum (an error to the linter), what is
/// missing wins nothing and what is too much is relative to the sum.
pub fn base_pool(document: &Document) -> Vec<(String, u64)> {
    let weighted = document.prizes.iter().filter(|prize| prize.weight > 0);
    let mut pool: Vec<_> = weighted.map(|prize| (prize.id.clone(), prize.weight)).collect();
    let sum: u64 = pool.iter().map(|(_, weight)| weight).sum();
    let normalised = document.when_weights_differ == Some(SumPolicy::Normalise);
    if !normalised && sum < document.denominator {
        pool.push((NO_WIN.to_owned(), document.denominator - sum));
    }
    pool
}

/// The pool of a tier: its prizes alone, relative to their sum.
pub fn tier_pool(document: &Document, prizes: &[String]) -> Vec<(String, u64)> {
    let listed = document.prizes.iter().filter(|prize| prize.weight > 0 && prizes.contains(&prize.id));
    listed.map(|prize| (prize.id.clone(), prize.weight)).collect()
}

/// Who publishes, and how people are named in public.
pub struct Publication<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// The version to be.
    pub version: u32,
    /// The pseudonym of a participant, in hexadecimal.
    pub pseudonym: &'a dyn Fn(&str) -> String,
}

impl Rules {
    /// The canonical form of a document without errors.
    pub fn of(document: &Document, publication: &Publication<'_>) -> Self {
        let zone = Zone::named(&document.time_zone);
        let instant = |local: &Option<String>| zone.as_ref()?.instant_of(local.as_deref()?);
        let tiers = document.odds_tiers.as_ref().map(|tiers| {
            let mut pools: Vec<_> = tiers
                .tiers
                .iter()
                .map(|tier| TierPool { threshold: tier.threshold, pool: tier_pool(document, &tier.prizes) })
                .collect();
            pools.sort_by_key(|tier| tier.threshold);
            Tiers { metric: tiers.metric, mode: tiers.mode, pools }
        });
        let denied = document.deny_list.as_ref().map(|denied| {
            let mut pseudonyms: Vec<_> =
                denied.participants.iter().map(|participant| (publication.pseudonym)(participant)).collect();
            pseudonyms.sort();
            pseudonyms.dedup();
            Denied { prize: denied.prize.clone(), pseudonyms }
        });
        let prizes = document.prizes.iter().map(|prize| {
            let unlimited = prize.stock.units().is_none();
            (prize.id.clone(), Prize { title: prize.title.clone(), unlimited, tree: prize.rule_tree.clone() })
        });
        Self {
            format: FORMAT.to_owned(),
            tenant: publication.tenant.to_owned(),
            raffle: document.raffle.clone(),
            version: publication.version,
            time_zone: document.time_zone.clone(),
            from_ms: instant(&document.window.from),
            until_ms: instant(&document.window.until),
            tickets: document.tickets,
            epoch_entries_max: document.epoch.entries_max,
            base: base_pool(document),
            tiers,
            denied,
            prizes: prizes.collect(),
            trees: document.rule_trees.iter().map(|(name, tree)| (name.clone(), with_edges(tree))).collect(),
        }
    }
}

fn with_edges(tree: &crate::document::Tree) -> Tree {
    let nodes = tree.nodes.iter().map(|(name, node)| {
        let next = |on: EdgeOutcome| {
            let edge = tree.edges.iter().find(|edge| edge.from == *name && edge.on == on);
            edge.map(|edge| edge.to.clone())
        };
        let node = match node {
            Node::Unlock { after, per } => TreeNode::Unlock {
                after: *after,
                per: *per,
                open: next(EdgeOutcome::Open),
                locked: next(EdgeOutcome::Locked),
            },
            Node::Stock {} => TreeNode::Stock { empty: next(EdgeOutcome::Empty) },
            Node::Fallback { prize } => TreeNode::Fallback { prize: prize.clone() },
        };
        (name.clone(), node)
    });
    Tree { start: tree.start.clone(), nodes: nodes.collect() }
}
