//! Published rules, and how they decide a draw.
//!
//! [`Rules`] are the canonical form of a version: their JSON text is hashed into the commitment and read by outside
//! verifiers, so its fields and their order are part of the proof. [`Plan`] is the same, indexed for speed.

mod plan;
mod shelf;
mod walk;

pub use plan::{Chosen, Outcome, PROMISED, Plan};
pub use shelf::{BUDGET, Shelf, Shelves};
pub use walk::{Step, Steps};

use std::collections::{BTreeMap, BTreeSet};

use campaign::award::Kind;
use campaign::ticket::Quota;
use campaign::window::Zone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{
    Budget, Cap, Document, ExhaustionPolicy, GuaranteedWinners, Mode, Release as DocumentRelease, SumPolicy,
};
use crate::eligibility::{Eligibility, public_names};
use crate::node::{Node, Word};

/// The format of [`Rules`].
pub const FORMAT: &str = "fairground/rules/1";

/// What stands in a pool where nothing is won.
pub const NO_WIN: &str = "-";

/// The canonical form of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rules {
    /// `fairground/rules/1`: see [`FORMAT`].
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
    /// Attributes that a caller may tell, sorted.
    pub attributes: Vec<String>,
    /// Metrics that a caller may tell, besides points spent; sorted.
    pub metrics: Vec<String>,
    /// Who may draw, in order; people by pseudonym.
    pub eligibility: Vec<Eligibility>,
    /// The base pool: prize (or `-`, see [`NO_WIN`]) and weight.
    pub base: Vec<(String, u64)>,
    /// Other pools for those who reach a threshold.
    pub tiers: Option<Tiers>,
    /// Who always draws the consolation prize.
    pub denied: Option<Denied>,
    /// All prizes.
    pub prizes: BTreeMap<String, Prize>,
    /// Rule trees.
    pub trees: BTreeMap<String, Tree>,
    /// The tree walked where chance picks nothing.
    pub no_win_tree: Option<String>,
    /// What happens where a prize cannot be had.
    pub exhausted: Exhausted,
    /// After a win, none for so long.
    pub win_interval_seconds: Option<u32>,
    /// What the prizes may cost together.
    pub budget: Option<Budget>,
    /// Whether prizes may be promised.
    pub guaranteed_winners: GuaranteedWinners,
}

/// Odds tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the document's schema explains each")]
pub struct Tiers {
    pub metric: String,
    pub mode: Mode,
    /// In the order of their thresholds.
    pub pools: Vec<TierPool>,
}

/// The pool of one tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the document's schema explains each")]
pub struct TierPool {
    pub threshold: u64,
    pub pool: Vec<(String, u64)>,
}

/// The deny list, by pseudonym: the rules are published, the people are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denied {
    /// The consolation prize.
    pub prize: String,
    /// Pseudonyms in hexadecimal, sorted.
    pub pseudonyms: Vec<String>,
}

/// What happens where a prize cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case")]
pub enum Exhausted {
    /// Nothing is won.
    NoWin,
    /// Another prize is, while that can be had.
    Fallback {
        /// Which.
        prize: String,
    },
    /// It is left out before chance picks.
    Renormalise,
}

/// What a draw must know of a prize.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prize {
    /// What people call it.
    pub title: String,
    /// Its number in this raffle, the same in every version.
    pub slot: u32,
    /// Whether it never runs out.
    pub unlimited: bool,
    /// The tree it walks, where it has one.
    pub tree: Option<String>,
    /// What one unit costs, in minor units.
    pub cost: u64,
    /// Whether winning it is no win to the interval between wins.
    pub consolation: bool,
    /// How often one participant may win it.
    pub cap: Option<Cap>,
    /// Pseudonyms of those who alone can win it, sorted.
    pub only_for: Option<Vec<String>>,
    /// Pseudonyms of those who cannot, sorted.
    pub never_for: Vec<String>,
    /// When its units may be won.
    pub release: Option<Release>,
    /// How it reaches who won it; left out where an operator hands it over, so that rules from before this was known keep
    /// their hash.
    #[serde(default, skip_serializing_if = "Kind::is_manual")]
    pub award: Kind,
}

/// When a prize's units may be won.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// So many more at the beginning of each local day, and the first such day.
    pub every_day: Option<(u64, i32)>,
    /// From an instant on (milliseconds since the epoch), so many more.
    pub slots: Vec<(i64, u64)>,
}

impl Release {
    /// Units released up to an instant.
    pub fn units(&self, now_ms: i64, day: i32) -> u64 {
        let daily = self.every_day.map_or(0, |(units, first)| {
            let days = i64::from(day) - i64::from(first) + 1;
            units.saturating_mul(u64::try_from(days).unwrap_or(0))
        });
        let begun = self.slots.iter().filter(|(from_ms, _)| *from_ms <= now_ms);
        begun.fold(daily, |sum, (_, units)| sum.saturating_add(*units))
    }
}

/// A rule tree with each node's edges beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tree {
    /// The first node.
    pub start: String,
    /// All nodes.
    pub nodes: BTreeMap<String, TreeNode>,
}

/// A node and where its words lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeNode {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// By word.
    pub next: BTreeMap<Word, String>,
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

/// Who publishes, and how people and prizes are named.
pub struct Publication<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// The version to be.
    pub version: u32,
    /// The pseudonym of a participant, in hexadecimal.
    pub pseudonym: &'a dyn Fn(&str) -> String,
    /// The slot of a prize, by its id.
    pub slot: &'a dyn Fn(&str) -> u32,
}

impl Rules {
    /// The canonical form of a document without errors.
    pub fn of(document: &Document, publication: &Publication<'_>) -> Self {
        let zone = Zone::named(&document.time_zone);
        let instant = |local: &str| zone.as_ref()?.instant_of(local);
        let from_ms = document.window.from.as_deref().and_then(instant);
        let names = |participants: &[String]| public_names(participants, publication.pseudonym);
        let tiers = document.odds_tiers.as_ref().map(|tiers| {
            let mut pools: Vec<_> = tiers
                .tiers
                .iter()
                .map(|tier| TierPool { threshold: tier.threshold, pool: tier_pool(document, &tier.prizes) })
                .collect();
            pools.sort_by_key(|tier| tier.threshold);
            Tiers { metric: tiers.metric.clone(), mode: tiers.mode, pools }
        });
        let denied = document
            .deny_list
            .as_ref()
            .map(|denied| Denied { prize: denied.prize.clone(), pseudonyms: names(&denied.participants) });
        let release = |release: &DocumentRelease| {
            let first_day = zone.as_ref().zip(from_ms).map_or(0, |(zone, from_ms)| zone.day_of(from_ms));
            let slots = release.slots.iter().filter_map(|slot| Some((instant(&slot.from)?, slot.units)));
            let mut slots: Vec<_> = slots.collect();
            slots.sort_unstable();
            Release { every_day: release.every_day.map(|units| (units, first_day)), slots }
        };
        let prizes = document.prizes.iter().map(|prize| {
            let rules = Prize {
                title: prize.title.clone(),
                slot: (publication.slot)(&prize.id),
                unlimited: prize.stock.units().is_none(),
                tree: prize.rule_tree.clone(),
                cost: prize.cost,
                consolation: prize.consolation,
                cap: prize.cap,
                only_for: prize.only_for.as_deref().map(names),
                never_for: names(&prize.never_for),
                release: prize.release.as_ref().map(release),
                award: prize.award.clone(),
            };
            (prize.id.clone(), rules)
        });
        let exhausted = match (document.when_exhausted.policy, &document.when_exhausted.prize) {
            (ExhaustionPolicy::Renormalise, _) => Exhausted::Renormalise,
            (ExhaustionPolicy::Fallback, Some(prize)) => Exhausted::Fallback { prize: prize.clone() },
            (ExhaustionPolicy::Fallback, None) | (ExhaustionPolicy::NoWin, _) => Exhausted::NoWin,
        };
        let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        Self {
            format: FORMAT.to_owned(),
            tenant: publication.tenant.to_owned(),
            raffle: document.raffle.clone(),
            version: publication.version,
            time_zone: document.time_zone.clone(),
            from_ms,
            until_ms: document.window.until.as_deref().and_then(instant),
            tickets: document.tickets.clone(),
            epoch_entries_max: document.epoch.entries_max,
            attributes: sorted(&document.attributes),
            metrics: sorted(&document.metrics),
            eligibility: document
                .eligibility
                .iter()
                .map(|rule| rule.in_public(publication.pseudonym))
                .collect(),
            base: base_pool(document),
            tiers,
            denied,
            prizes: prizes.collect(),
            trees: document.rule_trees.iter().map(|(name, tree)| (name.clone(), with_edges(tree))).collect(),
            no_win_tree: document.no_win_tree.clone(),
            exhausted,
            win_interval_seconds: document.win_interval_seconds,
            budget: document.budget.clone(),
            guaranteed_winners: document.guaranteed_winners,
        }
    }
}

fn with_edges(tree: &crate::document::Tree) -> Tree {
    let nodes = tree.nodes.iter().map(|(name, node)| {
        let mut next = BTreeMap::new();
        for edge in tree.edges.iter().filter(|edge| edge.from == *name) {
            next.entry(edge.on).or_insert_with(|| edge.to.clone());
        }
        (name.clone(), TreeNode { node: node.clone(), next })
    });
    Tree { start: tree.start.clone(), nodes: nodes.collect() }
}
