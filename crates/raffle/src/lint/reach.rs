//! Prizes that no draw can win, and ways to a prize past its stock node.

use std::collections::{BTreeMap, BTreeSet};

use kernel::finding::{Finding, step};

use crate::document::{Document, ExhaustionPolicy, GuaranteedWinners, Mode, Prize, Tier, Tree};
use crate::node::{Circumstances, Node};
use crate::standing::DRAWS_MADE;

/// What the draws with one candidate may come to.
#[derive(Default)]
struct Ways<'d> {
    /// The candidate itself.
    gives: bool,
    /// The candidate, on a way that passes no stock node.
    gives_past_stock: bool,
    /// Other prizes.
    others: BTreeSet<&'d str>,
}

/// Follows every word that some draw may hear.
fn ways<'d>(document: &Document, candidate: Option<&Prize>, tree: &'d Tree) -> Ways<'d> {
    let about = Circumstances {
        tickets: document.tickets.clone(),
        candidate_is_endless: candidate.map(|prize| is_endless(document, prize)),
    };
    let mut ways = Ways::default();
    let mut seen: BTreeSet<(&str, bool)> = BTreeSet::new();
    let mut open: Vec<(&str, bool)> = vec![(&tree.start, false)];
    while let Some((name, passed_stock)) = open.pop() {
        let Some(node) = tree.nodes.get(name).filter(|_| seen.insert((name, passed_stock))) else { continue };
        let is_stock = matches!(node, Node::Stock(_));
        if is_stock {
            ways.gives |= candidate.is_some();
        }
        if let Node::Fallback(fallback) = node {
            ways.others.insert(&fallback.prize);
        }
        for word in node.rule().possible(&about) {
            let edge = tree.edges.iter().find(|edge| edge.from == name && edge.on == word);
            match edge {
                Some(edge) => open.push((&edge.to, passed_stock || is_stock)),
                None if word.gives() && candidate.is_some() => {
                    ways.gives = true;
                    ways.gives_past_stock |= !passed_stock;
                }
                None => {}
            }
        }
    }
    ways
}

/// Whether everybody can always have it.
fn is_endless(document: &Document, prize: &Prize) -> bool {
    let costs = document.budget.is_some() && prize.cost > 0;
    let waits = document.win_interval_seconds.is_some() && !prize.consolation;
    let listed = prize.only_for.is_some() || !prize.never_for.is_empty();
    prize.stock.units().is_none() && prize.cap.is_none() && !costs && !waits && !listed
}

/// The tier that the first draw reaches already, where every draw counts and the highest tier reached holds: nobody ever
/// draws from the base pool, nor from a tier below.
fn first_of_all(document: &Document) -> Option<&Tier> {
    let tiers = document.odds_tiers.as_ref()?;
    let everybody = tiers.metric == DRAWS_MADE && tiers.mode == Mode::AtLeast;
    let reached = tiers.tiers.iter().filter(|tier| everybody && tier.threshold <= 1);
    reached.max_by_key(|tier| tier.threshold)
}

/// Prizes that chance picks, from whatever pool some draw is made from, or that the deny list does.
fn picked(document: &Document) -> BTreeSet<&str> {
    let first = first_of_all(document);
    let last = document.tickets.total.map_or(u64::MAX, |total| u64::from(total).max(1));
    let tiers = document.odds_tiers.iter().flat_map(|tiers| &tiers.tiers);
    let drawn: Vec<&Tier> = tiers
        .filter(|tier| first.is_some_and(|first| (first.threshold..=last).contains(&tier.threshold)))
        .collect();
    let is_drawn =
        |prize: &&Prize| first.is_none() || drawn.iter().any(|tier| tier.prizes.contains(&prize.id));
    let weighted = document.prizes.iter().filter(|prize| prize.weight > 0).filter(is_drawn);
    let denied = document.deny_list.iter().map(|denied| denied.prize.as_str());
    weighted.map(|prize| prize.id.as_str()).chain(denied).collect()
}

/// Chance, a tier or the deny list must pick a prize and its tree must give it, or a tree that can be walked, or the
/// raffle's own fallback, must give it in place of another. Where prizes may be promised, a promise gives any.
pub(super) fn prizes(document: &Document, found: &mut Vec<Finding>) {
    let (picked, first) = (picked(document), first_of_all(document));
    let mut won: BTreeSet<&str> = document.when_exhausted.prize.iter().map(String::as_str).collect();
    if document.guaranteed_winners == GuaranteedWinners::Allowed {
        won.extend(document.prizes.iter().map(|prize| prize.id.as_str()));
    }
    // A tier always picks something, unless all that it lists is left out.
    let picks_nothing = first.is_none() || document.when_exhausted.policy == ExhaustionPolicy::Renormalise;
    let no_win_tree = document.no_win_tree.as_ref().filter(|_| picks_nothing);
    if let Some(tree) = no_win_tree.and_then(|name| document.rule_trees.get(name)) {
        won.extend(ways(document, None, tree).others);
    }
    let mut stuck: BTreeMap<&str, &str> = BTreeMap::new();
    let mut past_stock: BTreeMap<&str, &str> = BTreeMap::new();
    for prize in document.prizes.iter().filter(|prize| picked.contains(prize.id.as_str())) {
        let Some((name, tree)) =
            prize.rule_tree.as_ref().and_then(|name| Some((name, document.rule_trees.get(name)?)))
        else {
            won.insert(&prize.id);
            continue;
        };
        let ways = ways(document, Some(prize), tree);
        won.extend(ways.others);
        let has_stock_node = tree.nodes.values().any(|node| matches!(node, Node::Stock(_)));
        if ways.gives_past_stock && has_stock_node && prize.stock.units().is_some() {
            past_stock.insert(name, &prize.id);
        }
        if ways.gives {
            won.insert(&prize.id);
        } else {
            stuck.insert(&prize.id, name);
        }
    }
    for (tree, prize) in past_stock {
        let told = format!(
            "a way leads to the prize `{prize}` past the stock node: a unit is taken, but `empty` leads nowhere there"
        );
        found.push(Finding::warning("tree.bypassed_stock", step("/rule_trees", tree), told));
    }
    for (place, prize) in document.prizes.iter().enumerate() {
        let nobody = prize
            .only_for
            .as_ref()
            .is_some_and(|only| only.iter().all(|participant| prize.never_for.contains(participant)));
        let told = match stuck.get(prize.id.as_str()) {
            _ if nobody => format!("the prize `{}` can never be won: its lists leave nobody", prize.id),
            _ if won.contains(prize.id.as_str()) => continue,
            Some(tree) => format!(
                "the prize `{}` can never be won: no draw comes to a stock node or an open end of its tree `{tree}`",
                prize.id
            ),
            None if prize.weight > 0 => format!(
                "the prize `{}` can never be won: every draw is made from an odds tier, none that lists it can be reached, and no draw comes to a fallback that gives it",
                prize.id
            ),
            None => format!(
                "the prize `{}` can never be won: its weight is 0, and no draw comes to a fallback that gives it",
                prize.id
            ),
        };
        found.push(Finding::error("prize.unreachable", format!("/prizes/{place}"), told));
    }
}
