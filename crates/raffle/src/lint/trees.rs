//! The shape of rule trees: names that lead nowhere, ways that part or turn back.

use std::collections::{BTreeMap, BTreeSet};

use kernel::finding::{Finding, step};

use super::{finite_fallback, missing_attribute, missing_prize};
use crate::document::{Document, Tree};
use crate::node::{Node, Word};

pub(super) fn shapes(document: &Document, found: &mut Vec<Finding>) {
    for (name, tree) in &document.rule_trees {
        tree_shape(document, name, tree, found);
    }
}

fn tree_shape(document: &Document, name: &str, tree: &Tree, found: &mut Vec<Finding>) {
    let at = step("/rule_trees", name);
    let unknown = |node: &str| format!("there is no node `{node}` in the tree `{name}`");
    if !tree.nodes.contains_key(&tree.start) {
        found.push(Finding::error("tree.unknown_node", step(&at, "start"), unknown(&tree.start)));
    }
    let mut leads: BTreeSet<(&str, Word)> = BTreeSet::new();
    for (place, edge) in tree.edges.iter().enumerate() {
        let at = format!("{at}/edges/{place}");
        if !tree.nodes.contains_key(&edge.to) {
            found.push(Finding::error("tree.unknown_node", step(&at, "to"), unknown(&edge.to)));
        }
        let Some(from) = tree.nodes.get(&edge.from) else {
            found.push(Finding::error("tree.unknown_node", step(&at, "from"), unknown(&edge.from)));
            continue;
        };
        if !from.rule().words().contains(&edge.on) {
            let told = format!("the node `{}` never says `{}`", edge.from, edge.on.text());
            found.push(Finding::error("tree.impossible_edge", step(&at, "on"), told));
        }
        if !leads.insert((&edge.from, edge.on)) {
            let told = format!("`{}` of the node `{}` leads to two places", edge.on.text(), edge.from);
            found.push(Finding::error("tree.ambiguous_edge", &at, told));
        }
    }
    for (node_name, node) in &tree.nodes {
        let at = step(&format!("{at}/nodes"), node_name);
        for (key, prize) in node.rule().prizes() {
            missing_prize(document, prize, step(&at, key), found);
        }
        for attribute in node.rule().attributes() {
            missing_attribute(document, attribute, step(&at, "attribute"), found);
        }
        if let Node::Fallback(fallback) = node {
            finite_fallback(document, &fallback.prize, step(&at, "prize"), found);
        }
        if document.no_win_tree.as_deref() == Some(name) && matches!(node, Node::Stock(_)) {
            let told = "a draw that comes here has no prize to take: chance has picked nothing";
            found.push(Finding::error("tree.stock_without_prize", at.clone(), told));
        }
        for word in node.rule().words().iter().filter(|word| !word.gives()) {
            if !leads.contains(&(node_name.as_str(), *word)) {
                let told = format!("`{}` leads nowhere: such a draw wins nothing", word.text());
                found.push(Finding::warning("tree.dead_end", at.clone(), told));
            }
        }
    }
    if let Some(node) = cycle(tree) {
        let told = format!("the tree comes back to the node `{node}`");
        found.push(Finding::error("tree.cycle", &at, told));
        return;
    }
    let reached = reached(tree);
    for node in tree.nodes.keys().filter(|node| !reached.contains(node.as_str())) {
        let told = format!("no way leads from `{}` to the node `{node}`", tree.start);
        found.push(Finding::warning("tree.unreachable_node", step(&format!("{at}/nodes"), node), told));
    }
}

fn next<'t>(tree: &'t Tree, node: &str) -> impl Iterator<Item = &'t str> {
    let known = tree.nodes.get(node).map(|node| node.rule().words()).unwrap_or_default();
    let edges: Vec<&str> = tree
        .edges
        .iter()
        .filter(|edge| edge.from == node && known.contains(&edge.on) && tree.nodes.contains_key(&edge.to))
        .map(|edge| edge.to.as_str())
        .collect();
    edges.into_iter()
}

/// Nodes that a walk can come to.
fn reached(tree: &Tree) -> BTreeSet<&str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![&tree.start];
    while let Some(node) = open.pop() {
        if tree.nodes.contains_key(node) && reached.insert(node) {
            open.extend(next(tree, node));
        }
    }
    reached
}

/// A node that a walk can come back to. Nodes are taken away while nothing leads to them; what stays is a cycle.
fn cycle(tree: &Tree) -> Option<&str> {
    let mut incoming: BTreeMap<&str, usize> = tree.nodes.keys().map(|node| (node.as_str(), 0)).collect();
    for node in tree.nodes.keys() {
        for to in next(tree, node) {
            *incoming.entry(to).or_default() += 1;
        }
    }
    let mut free: Vec<&str> =
        incoming.iter().filter(|(_, count)| **count == 0).map(|(node, _)| *node).collect();
    let mut left = tree.nodes.len();
    while let Some(node) = free.pop() {
        left -= 1;
        incoming.remove(node);
        for to in next(tree, node) {
            if let Some(count) = incoming.get_mut(to) {
                *count -= 1;
                if *count == 0 {
                    free.push(to);
                }
            }
        }
    }
    if left == 0 { None } else { incoming.keys().next().copied() }
}
