//! What is wrong with a document besides its shape: everything at once, each with a code and a JSON pointer.

mod reach;
mod trees;

use std::collections::BTreeSet;

use campaign::award::{Kind, wallet_of};
use campaign::window::Zone;
use kernel::finding::{Finding, Severity, step};
use ledger::account::WALLET_MAX;

use crate::document::{self, Document, ExhaustionPolicy, GuaranteedWinners, Prize, SumPolicy, WhenSpent};
use crate::standing::{DRAWS_MADE, POINTS_SPENT};
use crate::ticket::check_wallet;

/// Reads and lints a document. Answers it, where its shape is right, and all findings.
pub fn check(text: &str, now_ms: i64) -> (Option<Document>, Vec<Finding>) {
    document::examine(text, |document| lint(document, now_ms))
}

/// Whether any finding forbids publishing.
pub fn forbids(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Every finding about what a document says, in the order of the document.
pub fn lint(document: &Document, now_ms: i64) -> Vec<Finding> {
    let mut found = Vec::new();
    time(document, now_ms, &mut found);
    tickets(document, &mut found);
    sums(document, &mut found);
    prizes(document, &mut found);
    trees::shapes(document, &mut found);
    reach::prizes(document, &mut found);
    lists(document, &mut found);
    tiers(document, &mut found);
    eligibility(document, &mut found);
    exhaustion(document, &mut found);
    budget(document, &mut found);
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

fn tickets(document: &Document, found: &mut Vec<Finding>) {
    let quota = &document.tickets;
    let Some(wallet) = &quota.wallet else { return };
    if check_wallet(wallet).is_err() {
        let told = "a wallet is 1 to 32 characters without control characters";
        found.push(Finding::error("tickets.bad_wallet", "/tickets/wallet", told));
    }
    for (key, limit) in [("total", quota.total), ("per_month", quota.per_month), ("per_day", quota.per_day)] {
        if limit == Some(0) {
            let told = format!("`{key}` is 0: no draw is taken, and so no ticket of `wallet` can be used");
            found.push(Finding::warning("tickets.unusable", format!("/tickets/{key}"), told));
        }
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
        if let Some(tree) = &prize.rule_tree {
            missing_tree(document, tree, step(&at, "rule_tree"), found);
        }
        if let Some(both) = prize.only_for.iter().flatten().find(|one| prize.never_for.contains(one)) {
            let told = format!("`{both}` stands in `only_for` and in `never_for`: they cannot win it");
            found.push(Finding::warning("prize.list_overlap", step(&at, "only_for"), told));
        }
        release(document, prize, &at, found);
        award(document, prize, &step(&at, "award"), found);
    }
}

/// What no winner could ever be given, or spend.
fn award(document: &Document, prize: &Prize, at: &str, found: &mut Vec<Finding>) {
    let raffle = match &prize.award {
        Kind::Points { available_after_seconds, expires_after_seconds, .. }
        | Kind::Tickets { available_after_seconds, expires_after_seconds, .. } => {
            if let (Some(from), Some(until)) = (available_after_seconds, expires_after_seconds)
                && from >= until
            {
                let told = "they expire before they may be spent";
                found.push(Finding::error("award.never_available", step(at, "expires_after_seconds"), told));
            }
            matches!(prize.award, Kind::Tickets { .. }).then_some(&document.raffle)
        }
        Kind::RaffleTicket { raffle } => Some(raffle),
        Kind::Manual | Kind::Coupon { .. } | Kind::Physical { .. } | Kind::Webhook { .. } => None,
    };
    if let Some(raffle) = raffle.filter(|raffle| wallet_of(raffle).chars().count() > WALLET_MAX) {
        let told = format!(
            "the id `{raffle}` is too long for a wallet of its tickets: `raffle-` and the id may have {WALLET_MAX} characters"
        );
        found.push(Finding::error("award.wallet", at, told));
    }
}

fn missing_tree(document: &Document, name: &str, at: String, found: &mut Vec<Finding>) {
    if !document.rule_trees.contains_key(name) {
        found.push(Finding::error("tree.unknown", at, format!("there is no rule tree `{name}`")));
    }
}

fn release(document: &Document, prize: &document::Prize, at: &str, found: &mut Vec<Finding>) {
    let Some(release) = &prize.release else { return };
    let at = step(at, "release");
    let Some(stock) = prize.stock.units() else {
        let told = "an unlimited prize has no units to release";
        found.push(Finding::error("release.unlimited", at, told));
        return;
    };
    if release.every_day.is_none() && release.slots.is_empty() {
        found.push(Finding::error(
            "release.empty",
            &at,
            "nothing is ever released: say `every_day` or `slots`",
        ));
    }
    if release.every_day.is_some() && document.window.from.is_none() {
        let told = "the first day is the window's: say `from` in `window`";
        found.push(Finding::error("release.no_beginning", step(&at, "every_day"), told));
    }
    let zone = Zone::named(&document.time_zone);
    for (place, slot) in release.slots.iter().enumerate() {
        if zone.as_ref().is_some_and(|zone| zone.instant_of(&slot.from).is_none()) {
            let told = format!("{} is no time that exists", slot.from);
            found.push(Finding::error("window.bad_time", format!("{at}/slots/{place}/from"), told));
        }
    }
    let sum = release.slots.iter().fold(0u64, |sum, slot| sum.saturating_add(slot.units));
    if release.every_day.is_none() && !release.slots.is_empty() && sum < stock {
        let told = format!("{sum} of {stock} units are released in all: the rest is never won");
        found.push(Finding::warning("release.not_all", &at, told));
    }
}

fn missing_prize(document: &Document, id: &str, at: String, found: &mut Vec<Finding>) {
    if !document.prizes.iter().any(|prize| prize.id == id) {
        let told = format!("the prize `{id}` is not among this raffle's prizes");
        found.push(Finding::error("prize.unknown", at, told));
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
}

fn tiers(document: &Document, found: &mut Vec<Finding>) {
    let Some(tiers) = &document.odds_tiers else { return };
    let known = [DRAWS_MADE, POINTS_SPENT];
    if !known.contains(&tiers.metric.as_str()) && !document.metrics.contains(&tiers.metric) {
        let told = format!(
            "`{}` is neither `{DRAWS_MADE}`, `{POINTS_SPENT}` nor one of this raffle's `metrics`",
            tiers.metric
        );
        found.push(Finding::error("tier.unknown_metric", "/odds_tiers/metric", told));
    }
    let mut thresholds = BTreeSet::new();
    for (place, tier) in tiers.tiers.iter().enumerate() {
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

/// Names that callers may tell, and rules that read them.
fn eligibility(document: &Document, found: &mut Vec<Finding>) {
    let mut names = BTreeSet::from([DRAWS_MADE, POINTS_SPENT]);
    for (key, list) in [("attributes", &document.attributes), ("metrics", &document.metrics)] {
        for (place, name) in list.iter().enumerate() {
            if !names.insert(name) {
                let at = format!("/{key}/{place}");
                found.push(Finding::error("attribute.duplicate", at, format!("`{name}` stands twice")));
            }
        }
    }
    for (place, rule) in document.eligibility.iter().enumerate() {
        let at = format!("/eligibility/{place}");
        let rule = rule.rule();
        for attribute in rule.attributes() {
            missing_attribute(document, attribute, step(&at, "attribute"), found);
        }
        if rule.kind() == "allow_list" && rule.participants().is_empty() {
            let at = step(&at, "participants");
            found.push(Finding::error("eligibility.nobody", at, "the list is empty: nobody may draw"));
        }
        let mut seen = BTreeSet::new();
        for (nth, participant) in rule.participants().iter().enumerate() {
            if !seen.insert(participant) {
                let at = format!("{at}/participants/{nth}");
                let told = format!("`{participant}` stands twice");
                found.push(Finding::warning("eligibility.duplicate", at, told));
            }
        }
    }
    if document.guaranteed_winners == GuaranteedWinners::Allowed {
        let told =
            "pre-arranged winners are against the law in many places; each will stand in the public log";
        found.push(Finding::warning("guaranteed.allowed", "/guaranteed_winners", told));
    }
}

fn missing_attribute(document: &Document, name: &str, at: String, found: &mut Vec<Finding>) {
    if !document.attributes.iter().any(|known| known == name) {
        let told = format!("`{name}` is not among this raffle's `attributes`");
        found.push(Finding::error("attribute.unknown", at, told));
    }
}

/// A prize that stands in for others should not run out itself.
fn finite_fallback(document: &Document, id: &str, at: String, found: &mut Vec<Finding>) {
    let prize = document.prizes.iter().find(|prize| prize.id == id);
    if prize.is_some_and(|prize| prize.stock.units().is_some()) {
        let told = format!("the fallback prize `{id}` can run out; a draw that falls back then wins nothing");
        found.push(Finding::warning("fallback.finite", at, told));
    }
}

fn exhaustion(document: &Document, found: &mut Vec<Finding>) {
    let at = "/when_exhausted/prize".to_owned();
    match (document.when_exhausted.policy, &document.when_exhausted.prize) {
        (ExhaustionPolicy::Fallback, Some(prize)) => {
            missing_prize(document, prize, at.clone(), found);
            finite_fallback(document, prize, at, found);
        }
        (ExhaustionPolicy::Fallback, None) => {
            let told = "`fallback` falls back on which `prize`?";
            found.push(Finding::error("exhausted.prize", "/when_exhausted", told));
        }
        (ExhaustionPolicy::NoWin | ExhaustionPolicy::Renormalise, Some(_)) => {
            let told = "only the policy `fallback` has a prize";
            found.push(Finding::error("exhausted.prize", at, told));
        }
        (ExhaustionPolicy::NoWin | ExhaustionPolicy::Renormalise, None) => {}
    }
    if let Some(name) = &document.no_win_tree {
        missing_tree(document, name, "/no_win_tree".to_owned(), found);
    }
}

fn budget(document: &Document, found: &mut Vec<Finding>) {
    let Some(budget) = &document.budget else { return };
    let dearest = document.prizes.iter().map(|prize| prize.cost).max().unwrap_or(0);
    if dearest == 0 {
        let told = "no prize has a `cost`: the budget is never spent";
        found.push(Finding::warning("budget.no_cost", "/budget", told));
    } else if budget.amount < dearest && budget.when_spent == WhenSpent::Stop {
        let told = format!("the budget does not cover one prize of {dearest}: no draw would be taken");
        found.push(Finding::error("budget.too_small", "/budget/amount", told));
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

    #[test]
    fn a_wallet_has_a_name_and_tickets_that_can_be_used() {
        for (tickets, expected) in [
            ("total: 0", &[][..]),
            ("total: 1, wallet: raffle-r", &[]),
            ("wallet: 奖券", &[]),
            ("total: 0, wallet: w", &["tickets.unusable /tickets/total"]),
            (
                "per_month: 0, per_day: 0, wallet: w",
                &["tickets.unusable /tickets/per_month", "tickets.unusable /tickets/per_day"],
            ),
            (r#"wallet: "a\u0007b""#, &["tickets.bad_wallet /tickets/wallet"]),
            (r#"wallet: """#, &["document.value /tickets/wallet", "tickets.bad_wallet /tickets/wallet"]),
            (
                "wallet: 0123456789-0123456789-0123456789-",
                &["document.value /tickets/wallet", "tickets.bad_wallet /tickets/wallet"],
            ),
            ("wallet: true", &["document.type /tickets/wallet"]),
            ("per_month: -1", &["document.value /tickets/per_month"]),
        ] {
            let text = format!(
                "raffle: r\ntitle: R\ndenominator: 1\nprizes:\n  - {{id: a, title: A, weight: 1, stock: 5}}\ntickets: {{{tickets}}}\n"
            );
            let (_, findings) = super::check(&text, 0);
            let told: Vec<_> =
                findings.iter().map(|finding| format!("{} {}", finding.code, finding.pointer)).collect();
            assert_eq!(told, expected, "{tickets}");
        }
    }

    #[test]
    fn prizes_are_held_against_the_pools_that_draws_are_made_from() {
        let tiers = |metric: &str, mode: &str, lowest: u32| {
            format!(
                "odds_tiers: {{metric: {metric}, mode: {mode}, tiers: [{{threshold: 9, prizes: [b, c]}}, {{threshold: {lowest}, prizes: [b]}}]}}\n"
            )
        };
        let always = tiers("draws_made", "at_least", 1);
        let trees = "rule_trees: {t: {start: f, nodes: {f: {kind: fallback, prize: d}}, edges: []}}\nno_win_tree: t\n";
        for (more, expected) in [
            (String::new(), &["/prizes/3"][..]),
            ("guaranteed_winners: forbidden\n".into(), &["/prizes/3"]),
            ("guaranteed_winners: allowed\n".into(), &[]),
            (always.clone(), &["/prizes/0", "/prizes/3"]),
            (format!("{always}guaranteed_winners: allowed\n"), &[]),
            (tiers("draws_made", "at_least", 2), &["/prizes/3"]),
            (tiers("draws_made", "exact", 1), &["/prizes/3"]),
            (tiers("points_spent", "at_least", 1), &["/prizes/3"]),
            // The higher tier comes with the ninth draw.
            (format!("{always}tickets: {{total: 8}}\n"), &["/prizes/0", "/prizes/2", "/prizes/3"]),
            (format!("{always}tickets: {{total: 9}}\n"), &["/prizes/0", "/prizes/3"]),
            (format!("{always}deny_list: {{participants: [x], prize: a}}\n"), &["/prizes/3"]),
            (format!("{always}when_exhausted: {{policy: fallback, prize: a}}\n"), &["/prizes/3"]),
            // Where the base pool is never drawn from, chance picks nothing only where all is left out.
            (trees.into(), &[]),
            (format!("{always}{trees}"), &["/prizes/0", "/prizes/3"]),
            (format!("{always}{trees}when_exhausted: {{policy: renormalise}}\n"), &["/prizes/0"]),
        ] {
            let text = format!(
                "raffle: r\ntitle: R\ndenominator: 9\nwhen_weights_differ: no_win\nprizes:\n  - {{id: a, title: A, weight: 1, stock: unlimited}}\n  - {{id: b, title: B, weight: 1, stock: 5}}\n  - {{id: c, title: C, weight: 1, stock: 5}}\n  - {{id: d, title: D, weight: 0, stock: unlimited}}\n{more}"
            );
            let (_, findings) = super::check(&text, 0);
            let told = findings.iter().filter(|finding| finding.code != "guaranteed.allowed");
            let told: Vec<_> = told.map(|finding| finding.pointer.as_str()).collect();
            assert_eq!(told, expected, "{more}: {findings:?}");
        }
    }

    #[test]
    fn a_promise_gives_a_prize_past_its_tree_and_not_past_its_lists() {
        let check = |prize: &str, expected: &[&str]| {
            let text = format!(
                "raffle: r\ntitle: R\ndenominator: 1\nguaranteed_winners: allowed\nprizes:\n  - {{id: a, title: A, weight: 1, stock: unlimited, {prize}}}\nrule_trees: {{t: {{start: u, nodes: {{u: {{kind: unlock, after: 9, per: campaign}}}}, edges: []}}}}\ntickets: {{total: 3}}\n"
            );
            let (_, findings) = super::check(&text, 0);
            let told = findings.iter().filter(|finding| finding.code == "prize.unreachable");
            let told: Vec<_> = told.map(|finding| finding.pointer.as_str()).collect();
            assert_eq!(told, expected, "{findings:?}");
        };
        check("rule_tree: t", &[]);
        check("only_for: [x], never_for: [x]", &["/prizes/0"]);
    }
}
