//! What is wrong with a campaign although its shape is right.

use std::collections::{BTreeMap, BTreeSet};

use kernel::amount::AMOUNT_MAX;
use kernel::finding::{Finding, step};

use super::{Audience, Document, Gain};
use crate::tally::Caps;
use crate::window::Zone;

/// Behaviours that the campaign posts by itself.
pub(crate) const REFERRAL: &str = "referral";
/// See [`REFERRAL`].
pub(crate) const REFERRED: &str = "referred";
/// What a sign-in is posted as, and what its gains are called.
pub(crate) const SIGN_IN: &str = "sign_in";
/// What the gains of streaks are called.
pub(crate) const STREAK: &str = "streak";

/// Clocks that change make a day shorter by up to so much.
const CLOCKS_SECONDS: u64 = 2 * 3600;

/// Deepest nesting of audiences.
const DEPTH_MAX: usize = 4;

pub(super) fn findings(document: &Document, now_ms: i64) -> Vec<Finding> {
    let mut found = vec![];
    times(document, now_ms, &mut found);
    names(document, &mut found);
    audiences(document, &mut found);
    for (at, gains) in document.gains() {
        let is_valued = at.starts_with("/earning");
        for (place, gain) in gains.iter().enumerate() {
            gives(gain, is_valued, &step(&at, &place.to_string()), &mut found);
        }
    }
    rules(document, &mut found);
    offers(document, &mut found);
    money(document, &mut found);
    referrals(document, &mut found);
    found
}

fn times(document: &Document, now_ms: i64, found: &mut Vec<Finding>) {
    let Some(zone) = Zone::named(&document.time_zone) else {
        let told = format!("there is no time zone {}", document.time_zone);
        found.push(Finding::error("window.unknown_zone", "/time_zone", told));
        return;
    };
    let mut instant = |key: &str, local: &Option<String>| {
        let local = local.as_ref()?;
        let instant = zone.instant_of(local);
        if instant.is_none() {
            let told = format!("{local} is no local time");
            found.push(Finding::error("window.bad_time", step("/window", key), told));
        }
        instant
    };
    let (from, until) = (instant("from", &document.window.from), instant("until", &document.window.until));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        found.push(Finding::error("window.empty", "/window", "the campaign ends before it begins"));
    }
    if until.is_some_and(|until| until <= now_ms) {
        found.push(Finding::warning("window.over", "/window/until", "the campaign is over already"));
    }
}

/// Names that stand twice.
fn names(document: &Document, found: &mut Vec<Finding>) {
    let mut twice = |code: &str, at: &str, names: Vec<String>| {
        let mut seen = BTreeSet::new();
        for (place, name) in names.into_iter().enumerate() {
            if !seen.insert(name.clone()) {
                let told = format!("`{name}` stands twice");
                found.push(Finding::error(code, step(at, &place.to_string()), told));
            }
        }
    };
    let placements = document.placements.iter();
    let placements = placements.map(|placement| format!("{}/{}", placement.channel, placement.source));
    twice("placement.twice", "/placements", placements.collect());
    twice("earning.twice", "/earning", document.earning.iter().map(|rule| rule.id.clone()).collect());
    twice("offer.twice", "/offers", document.offers.iter().map(|offer| offer.id.clone()).collect());
    if let Some(sign_in) = &document.sign_in {
        let streaks = sign_in.streaks.iter().map(|streak| streak.days.to_string());
        twice("sign_in.twice", "/sign_in/streaks", streaks.collect());
        if sign_in.days.is_empty() && sign_in.streaks.is_empty() {
            let rules = document.earning.iter().any(|rule| rule.behaviour == SIGN_IN);
            if !rules {
                let told = "nobody gets anything for signing in";
                found.push(Finding::warning("sign_in.nothing", "/sign_in", told));
            }
        }
    }
}

fn audiences(document: &Document, found: &mut Vec<Finding>) {
    let mut named: Vec<(String, &Option<String>)> = vec![("/audience".to_owned(), &document.audience)];
    let rules = document.earning.iter().enumerate();
    named.extend(rules.map(|(place, rule)| (format!("/earning/{place}/audience"), &rule.audience)));
    let offers = document.offers.iter().enumerate();
    named.extend(offers.map(|(place, offer)| (format!("/offers/{place}/audience"), &offer.audience)));
    let mut used = BTreeSet::new();
    for (at, name) in named {
        let Some(name) = name else { continue };
        used.insert(name);
        if !document.audiences.contains_key(name) {
            let told = format!("there is no audience `{name}`");
            found.push(Finding::error("audience.unknown", at, told));
        }
    }
    for (name, audience) in &document.audiences {
        let at = step("/audiences", name);
        if depth(audience) > DEPTH_MAX {
            let told = format!("an audience may nest {DEPTH_MAX} deep");
            found.push(Finding::error("audience.too_deep", &at, told));
        }
        if !used.contains(name) {
            found.push(Finding::warning("audience.unused", at, "nothing is for this audience"));
        }
    }
}

fn depth(audience: &Audience) -> usize {
    match audience {
        Audience::All { of } | Audience::Any { of } | Audience::None { of } => {
            1 + of.iter().map(depth).max().unwrap_or(0)
        }
        Audience::List { .. }
        | Audience::Balance { .. }
        | Audience::Streak { .. }
        | Audience::Referred {} => 1,
    }
}

fn gives(gain: &Gain, is_valued: bool, at: &str, found: &mut Vec<Finding>) {
    let told = match (gain.amount, gain.of_value) {
        (Some(_), None) => None,
        (None, Some(_)) if is_valued => None,
        (None, Some(_)) => Some("there is no value here to give a part of: name an `amount`"),
        (None, None) | (Some(_), Some(_)) => Some("name either an `amount` or `of_value`"),
    };
    found.extend(told.map(|told| Finding::error("gain.amount", at, told)));
    if let (Some(seconds), Some(days)) = (gain.available_after_seconds, gain.expires_after_days)
        && u64::from(seconds) > (u64::from(days) * 86_400).saturating_sub(CLOCKS_SECONDS)
    {
        let told = "it may expire before it can be spent";
        found.push(Finding::error("gain.terms", at, told));
    }
}

/// Rules whose caps would count together with those of the calendar.
fn rules(document: &Document, found: &mut Vec<Finding>) {
    for (place, rule) in document.earning.iter().enumerate() {
        if [SIGN_IN, STREAK].contains(&rule.id.as_str()) {
            let told =
                format!("`{}` is what the calendar's gains are called: name the rule otherwise", rule.id);
            found.push(Finding::error("earning.reserved", format!("/earning/{place}/id"), told));
        }
    }
}

fn offers(document: &Document, found: &mut Vec<Finding>) {
    let is_too_much = |amount: i64, times: u32| amount.saturating_mul(times.into()) > AMOUNT_MAX;
    for (place, offer) in document.offers.iter().enumerate() {
        let at = format!("/offers/{place}");
        for (place, gain) in offer.gains.iter().enumerate() {
            let at = step(&format!("{at}/gains"), &place.to_string());
            if gain.caps != Caps::default() {
                let told = "an offer gives what was paid for: say `per_participant` of the offer";
                found.push(Finding::error("offer.gain_caps", step(&at, "caps"), told));
            }
            if is_too_much(gain.amount.unwrap_or(0), offer.per_order) {
                let told = format!("one order could give more than {AMOUNT_MAX} at once");
                found.push(Finding::error("offer.too_much", step(&at, "amount"), told));
            }
        }
        if offer.price.as_ref().is_some_and(|price| is_too_much(price.amount, offer.per_order)) {
            let told = format!("one order could cost more than {AMOUNT_MAX} at once");
            found.push(Finding::error("offer.too_much", format!("{at}/price/amount"), told));
        }
    }
}

fn money(document: &Document, found: &mut Vec<Finding>) {
    let Some(money) = &document.budget.money else { return };
    let mut costs: BTreeMap<&str, usize> = BTreeMap::new();
    for cost in &money.costs {
        *costs.entry(&cost.unit).or_default() += 1;
    }
    if let Some((unit, _)) = costs.iter().find(|(_, times)| **times > 1) {
        let told = format!("the cost of `{unit}` stands twice");
        found.push(Finding::error("budget.twice", "/budget/money/costs", told));
    }
    if document.budget.units.contains_key(&money.unit) {
        let told = format!("`{}` is the money and has a budget of its own besides", money.unit);
        found.push(Finding::error("budget.twice", "/budget/money/unit", told));
    }
    for (at, gains) in document.gains() {
        for (place, gain) in gains.iter().enumerate() {
            if !costs.contains_key(gain.unit.as_str()) {
                let told = format!("no cost is named for `{}`: it takes nothing of the money", gain.unit);
                found.push(Finding::warning("budget.unit_without_cost", step(&at, &place.to_string()), told));
            }
        }
    }
}

fn referrals(document: &Document, found: &mut Vec<Finding>) {
    let own = [REFERRAL, REFERRED];
    if let Some(referral) = &document.referral {
        if own.contains(&referral.behaviour.as_str()) {
            let told = "this behaviour is what follows, and cannot be what is asked for";
            found.push(Finding::error("referral.behaviour", "/referral/behaviour", told));
        }
        if !document.earning.iter().any(|rule| own.contains(&rule.behaviour.as_str())) {
            let told = "no earning rule gives anything for `referral` or `referred`";
            found.push(Finding::warning("referral.nothing", "/referral", told));
        }
        return;
    }
    for (place, rule) in document.earning.iter().enumerate() {
        if own.contains(&rule.behaviour.as_str()) {
            let told = "the document says nothing about `referral`, so this never happens";
            found.push(Finding::warning("referral.missing", format!("/earning/{place}/behaviour"), told));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::document::read;

    const WHOLE: &str = include_str!("whole.yaml");

    #[test]
    fn what_cannot_be_right_is_told() {
        for (from, to, expected) in [
            ("Asia/Shanghai", "Mars/Olympus", "window.unknown_zone /time_zone"),
            ("2026-09-01T00:00:00", "2026-05-01T00:00:00", "window.empty /window"),
            ("2026-09-01T00:00:00", "2026-09-41T00:00:00", "window.bad_time /window/until"),
            (
                "{channel: app, source: home}",
                "{channel: app, source: home}\n  - {channel: app, source: home}",
                "placement.twice /placements/1",
            ),
            ("id: rebate", "id: daily", "earning.twice /earning/1"),
            ("id: gift", "id: ticket", "offer.twice /offers/1"),
            ("audience: rich", "audience: poor", "audience.unknown /offers/0/audience"),
            ("point, amount: 10}", "point}", "gain.amount /earning/0/gains/0"),
            (
                "point, amount: 5}",
                "point, of_value: {gives: 1, for_every: 2}}",
                "gain.amount /offers/1/gains/0",
            ),
            ("expires_after_days: 365", "expires_after_days: 0", "gain.terms /earning/1/gains/0"),
            ("id: rebate", "id: streak", "earning.reserved /earning/1/id"),
            (
                "amount: 1, expires_after_days: 7",
                "amount: 1, caps: {total: 9}",
                "offer.gain_caps /offers/0/gains/0/caps",
            ),
            (
                "amount: 1, expires_after_days: 7",
                "amount: 1000000000000000",
                "offer.too_much /offers/0/gains/0/amount",
            ),
            (
                "price: {unit: point, amount: 100}",
                "price: {unit: point, amount: 200000000000001}",
                "offer.too_much /offers/0/price/amount",
            ),
            ("unit: ticket, units: 1", "unit: point, units: 1", "budget.twice /budget/money/costs"),
            ("{unit: cny_fen,", "{unit: point,", "budget.twice /budget/money/unit"),
            (
                "referral: {behaviour: purchase",
                "referral: {behaviour: referred",
                "referral.behaviour /referral/behaviour",
            ),
        ] {
            assert!(WHOLE.contains(from), "{from}");
            let (_, findings) = read(&WHOLE.replacen(from, to, 1), 0);
            let told: Vec<_> =
                findings.iter().map(|finding| format!("{} {}", finding.code, finding.pointer)).collect();
            assert!(told.contains(&expected.to_owned()), "{from} -> {to}: {told:?}");
        }
    }
}
