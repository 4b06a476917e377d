//! What is wrong with a document whose shape is right: everything at once, each with a code and a JSON pointer.

use std::collections::{BTreeMap, BTreeSet};

use campaign::window::Zone;

use crate::document::{self, Document, EdgeOutcome, Node, Per, Prize, SumPolicy, Tree};
use crate::finding::{Finding, Severity, step};

/// Reads and lints a document. Answers it, where its shape is right, and all findings.
pub fn check(text: &str, now_ms: i64) -> (Option<Document>, Vec<Finding>) {
    match document::read(text) {
        Ok(document) => {
            let findings = lint(&document, now_ms);
            (Some(document), findings)
        }
        Err(findings) => (None, findings),
    }
}

/// Whether any finding forbids publishing.
pub fn forbids(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Every finding about what a document says, in the order of the document.
pub fn lint(document: &Document, now_ms: i64) -> Vec<Finding> {
    let mut found = Vec::new();
    time(document, now_ms, &mut found);
    sums(document, &mut found);
    prizes(document, &mut found);
    for (name, tree) in &document.rule_trees {
        tree_shape(document, name, tree, &mut found);
    }
    reach(document, &mut found);
    lists(document, &mut found);
    found
}

fn time(document: &Document, now_ms: i64, found: &mut Vec<Finding>) {
    let Some(zone) = Zone::named(&document.time_zone) else {
        let told =
            format!("there is no time zone `{}`; use an IANA name such as Asia/Shanghai", document.time_zone);
        found.push(Finding::error("window.unknown_zone", "/time_zone", told));
        return;
    };
    let mut instant = |key: &str, local: &Option<String>| {
        let local = local.as_ref()?;
        let instant = zone.instant_of(local);
        if instant.is_none() {
            let told = format!("{local} is no time that exists");
            found.push(Finding::error("window.bad_time", format!("/window/{key}"), told));
        }
        instant
    };
    let from = instant("from", &document.window.from);
    let until = instant("until", &document.window.until);
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        found.push(Finding::error("window.empty", "/window", "the window ends before it begins"));
    } else if until.is_some_and(|until| until <= now_ms) {
        found.push(Finding::warning(
            "window.over",
            "/window/until",
            "the window is over: no draw will be taken",
        ));
    }
}

fn sums(document: &Document, found: &mut Vec<Finding>) {
    let sum: u64 = document.prizes.iter().map(|prize| prize.weight).sum();
    let whole = document.denominator;
    if sum == 0 && document.when_weights_differ != Some(SumPolicy::NoWin) {
        found.push(Finding::error(
            "odds.nothing_to_win",
            "/prizes",
            "all weights are zero: chance can pick nothing",
        ));
        return;
    }
    if sum == whole {
        return;
    }
    let told = match document.when_weights_differ {
        Some(SumPolicy::Normalise) => return,
        Some(SumPolicy::NoWin) if sum < whole => return,
        Some(SumPolicy::NoWin) => {
            format!("the weights sum to {sum}, above the denominator {whole}: nothing is left for no-win")
        }
        Some(SumPolicy::Reject) => format!("the weights sum to {sum}, not to the denominator {whole}"),
        None => format!(
            "the weights sum to {sum}, not to the denominator {whole}; say what that means in `when_weights_differ`"
        ),
    };
    found.push(Finding::error("odds.sum", "/prizes", told));
}

fn prizes(document: &Document, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (place, prize) in document.prizes.iter().enumerate() {
        let at = format!("/prizes/{place}");
        if !seen.insert(&prize.id) {
            let told = format!("the prize id `{}` stands twice", prize.id);
            found.push(Finding::error("prize.duplicate", step(&at, "id"), told));
        }
        if let Some(tree) = prize.rule_tree.as_ref().filter(|name| !document.rule_trees.contains_key(*name)) {
            let told = format!("there is no rule tree `{tree}`");
            found.push(Finding::error("tree.unknown", step(&at, "rule_tree"), told));
        }
    }
}

fn missing_prize(document: &Document, id: &str, at: String, found: &mut Vec<Finding>) {
    if !document.prizes.iter().any(|prize| prize.id == id) {
        let told = format!("the prize `{id}` is not among this raffle's prizes");
        found.push(Finding::error("prize.unknown", at, told));
    }
}

/// Outcomes of a node that an edge may carry on.
fn outcomes(node: &Node) -> &'static [EdgeOutcome] {
    match node {
        Node::Unlock { .. } => &[EdgeOutcome::Open, EdgeOutcome::Locked],
        Node::Stock {} => &[EdgeOutcome::Empty],
        Node::Fallback { .. } => &[],
    }
}

fn word(outcome: EdgeOutcome) -> &'static str {
    match outcome {
        EdgeOutcome::Open => "open",
        EdgeOutcome::Locked => "locked",
        EdgeOutcome::Empty => "empty",
    }
}

fn tree_shape(document: &Document, name: &str, tree: &Tree, found: &mut Vec<Finding>) {
    let at = step("/rule_trees", name);
    let unknown = |node: &str| format!("there is no node `{node}` in the tree `{name}`");
    if !tree.nodes.contains_key(&tree.start) {
        found.push(Finding::error("tree.unknown_node", step(&at, "start"), unknown(&tree.start)));
    }
    let mut leads: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (place, edge) in tree.edges.iter().enumerate() {
        let at = format!("{at}/edges/{place}");
        if !tree.nodes.contains_key(&edge.to) {
            found.push(Finding::error("tree.unknown_node", step(&at, "to"), unknown(&edge.to)));
        }
        let Some(from) = tree.nodes.get(&edge.from) else {
            found.push(Finding::error("tree.unknown_node", step(&at, "from"), unknown(&edge.from)));
            continue;
        };
        if !outcomes(from).contains(&edge.on) {
            let told = format!("the node `{}` never says `{}`", edge.from, word(edge.on));
            found.push(Finding::error("tree.impossible_edge", step(&at, "on"), told));
        }
        if !leads.insert((&edge.from, word(edge.on))) {
            let told = format!("`{}` of the node `{}` leads to two places", word(edge.on), edge.from);
            found.push(Finding::error("tree.ambiguous_edge", &at, told));
        }
    }
    for (node_name, node) in &tree.nodes {
        let at = step(&format!("{at}/nodes"), node_name);
        if let Node::Fallback { prize } = node {
            missing_prize(document, prize, step(&at, "prize"), found);
            let finite =
                document.prizes.iter().find(|known| known.id == *prize).and_then(|known| known.stock.units());
            if finite.is_some() {
                let told = format!(
                    "the fallback prize `{prize}` can run out; a draw that falls back then wins nothing"
                );
                found.push(Finding::warning("fallback.finite", step(&at, "prize"), told));
            }
        }
        for outcome in outcomes(node).iter().filter(|on| **on != EdgeOutcome::Open) {
            if !leads.contains(&(node_name.as_str(), word(*outcome))) {
                let told = format!("`{}` leads nowhere: such a draw wins nothing", word(*outcome));
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
    let known = tree.nodes.get(node).map(outcomes).unwrap_or_default();
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

/// Whether an unlock may ever be open: a participant whose tickets are used completes no more draws.
fn can_open(document: &Document, after: u32, per: Per) -> bool {
    let total = document.tickets.total;
    let most = match per {
        Per::Campaign => total,
        Per::Day => document.tickets.per_day.into_iter().chain(total).min(),
    };
    most.is_none_or(|most| after < most)
}

/// What a draw whose candidate is this prize may come to: the prize itself, and fallbacks.
fn ways<'d>(document: &'d Document, prize: &Prize, tree: &'d Tree) -> (bool, BTreeSet<&'d str>) {
    let (mut gives, mut fallbacks) = (false, BTreeSet::new());
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = vec![&tree.start];
    while let Some(name) = open.pop() {
        let Some(node) = tree.nodes.get(name).filter(|_| seen.insert(name)) else { continue };
        let said: Vec<EdgeOutcome> = match node {
            Node::Unlock { after, per } => [
                can_open(document, *after, *per).then_some(EdgeOutcome::Open),
                (*after > 0).then_some(EdgeOutcome::Locked),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Node::Stock {} => {
                gives = true;
                prize.stock.units().map(|_| EdgeOutcome::Empty).into_iter().collect()
            }
            Node::Fallback { prize } => {
                fallbacks.insert(prize.as_str());
                vec![]
            }
        };
        for on in said {
            let edge = tree.edges.iter().find(|edge| edge.from == name && edge.on == on);
            // An unlock that opens to nowhere gives the prize.
            gives |= edge.is_none() && on == EdgeOutcome::Open;
            open.extend(edge.map(|edge| edge.to.as_str()));
        }
    }
    (gives, fallbacks)
}

/// Prizes that no draw can win: chance, a tier or the deny list must pick it and its tree must give it, or a tree that
/// can be walked must fall back on it.
fn reach(document: &Document, found: &mut Vec<Finding>) {
    let mut picked: BTreeSet<&str> =
        document.prizes.iter().filter(|prize| prize.weight > 0).map(|prize| prize.id.as_str()).collect();
    picked.extend(document.deny_list.iter().map(|denied| denied.prize.as_str()));

    let mut won: BTreeSet<&str> = BTreeSet::new();
    let mut stuck: BTreeMap<&str, &str> = BTreeMap::new();
    for prize in document.prizes.iter().filter(|prize| picked.contains(prize.id.as_str())) {
        let Some((name, tree)) =
            prize.rule_tree.as_ref().and_then(|name| Some((name, document.rule_trees.get(name)?)))
        else {
            won.insert(&prize.id);
            continue;
        };
        let (gives, fallbacks) = ways(document, prize, tree);
        won.extend(fallbacks);
        if gives {
            won.insert(&prize.id);
        } else {
            stuck.insert(&prize.id, name);
        }
    }
    for (place, prize) in document.prizes.iter().enumerate() {
        if won.contains(prize.id.as_str()) {
            continue;
        }
        let told = match stuck.get(prize.id.as_str()) {
            Some(tree) => format!(
                "the prize `{}` can never be won: no draw comes to a stock node or an open end of its tree `{tree}`",
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

fn lists(document: &Document, found: &mut Vec<Finding>) {
    if let Some(denied) = &document.deny_list {
        missing_prize(document, &denied.prize, "/deny_list/prize".to_owned(), found);
        let mut seen = BTreeSet::new();
        for (place, participant) in denied.participants.iter().enumerate() {
            if !seen.insert(participant) {
                let at = format!("/deny_list/participants/{place}");
                found.push(Finding::warning(
                    "deny_list.duplicate",
                    at,
                    format!("`{participant}` stands twice"),
                ));
            }
        }
    }
    let mut thresholds = BTreeSet::new();
    for (place, tier) in document.odds_tiers.iter().flat_map(|tiers| &tiers.tiers).enumerate() {
        let at = format!("/odds_tiers/tiers/{place}");
        if !thresholds.insert(tier.threshold) {
            let told = format!("two tiers have the threshold {}", tier.threshold);
            found.push(Finding::error("tier.duplicate", step(&at, "threshold"), told));
        }
        let mut seen = BTreeSet::new();
        for (nth, prize) in tier.prizes.iter().enumerate() {
            let at = format!("{at}/prizes/{nth}");
            missing_prize(document, prize, at.clone(), found);
            if !seen.insert(prize) {
                found.push(Finding::warning("tier.duplicate_prize", at, format!("`{prize}` stands twice")));
            }
        }
        let weight: u64 = document
            .prizes
            .iter()
            .filter(|prize| tier.prizes.contains(&prize.id))
            .map(|prize| prize.weight)
            .sum();
        if weight == 0 {
            let told = "the weights of this tier's prizes are all zero: chance can pick nothing";
            found.push(Finding::error("tier.nothing_to_win", step(&at, "prizes"), told));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_only_an_impossible_outcome_leads_to_cannot_be_won() {
        let check = |stock: &str, expected: &[&str]| {
            let text = format!(
                "raffle: r\ntitle: R\ndenominator: 1\nprizes:\n  - {{id: a, title: A, weight: 1, stock: {stock}, rule_tree: t}}\n  - {{id: b, title: B, weight: 0, stock: unlimited}}\nrule_trees: {{t: {{start: s, nodes: {{s: {{kind: stock}}, f: {{kind: fallback, prize: b}}}}, edges: [{{from: s, on: empty, to: f}}]}}}}\n"
            );
            let (_, findings) = super::check(&text, 0);
            let told: Vec<_> = findings.iter().map(|finding| finding.pointer.as_str()).collect();
            assert_eq!(told, expected, "{findings:?}");
        };
        check("5", &[]);
        check("unlimited", &["/prizes/1"]);
    }
}
