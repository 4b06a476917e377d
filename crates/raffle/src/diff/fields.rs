use std::collections::{BTreeMap, BTreeSet};

use kernel::finding::step;
use serde_json::{Map, Value};

use super::Change;
use crate::document::Document;

/// Longest text of a value inside a sentence, in characters. The numbers beside it are whole.
const SHOWN_MAX: usize = 120;
/// Most names of a list inside a sentence.
const NAMES_MAX: usize = 10;

/// Where the comparison stands.
struct Place {
    /// In the earlier document.
    before: String,
    /// In the later one.
    after: String,
    /// The keys on the way, with `*` for names and numbers that authors choose.
    kind: String,
    /// In words.
    words: String,
}

impl Place {
    fn key(&self, key: &str) -> Self {
        let named = matches!(self.kind.as_str(), "rule_trees" | "rule_trees/*/nodes");
        let (part, words) = match self.kind.as_str() {
            "rule_trees" => ("*", format!("rule tree `{key}`")),
            "rule_trees/*/nodes" => ("*", format!("node `{key}`")),
            _ => (key, key.replace('_', " ")),
        };
        let kind = if self.kind.is_empty() { part.to_owned() } else { format!("{}/{part}", self.kind) };
        // A rule tree is its own place; "of rule trees" would add nothing.
        let parent =
            if named { self.words.rsplit_once(" of ").map_or("", |(_, rest)| rest) } else { &self.words };
        let words = if parent.is_empty() { words } else { format!("{words} of {parent}") };
        Self { before: step(&self.before, key), after: step(&self.after, key), kind, words }
    }

    fn item(&self, words: &str, before: Option<usize>, after: Option<usize>) -> Self {
        let pointer = |list: &str, place: Option<usize>| {
            place.map_or_else(|| list.to_owned(), |place| format!("{list}/{place}"))
        };
        let words = match self.kind.as_str() {
            "prizes" | "odds_tiers/tiers" => words.to_owned(),
            _ => format!("{words} of {}", self.words),
        };
        Self {
            before: pointer(&self.before, before),
            after: pointer(&self.after, after),
            kind: format!("{}/*", self.kind),
            words,
        }
    }

    /// The stable code of a change here.
    fn code(&self) -> &'static str {
        let mut parts = self.kind.split('/');
        let (top, field) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        match (top, field) {
            ("prizes", "id" | "title") => "diff.prize_renamed",
            ("prizes", "weight") | ("denominator" | "when_weights_differ", _) => "diff.weight",
            ("prizes", "stock") => "diff.stock",
            ("prizes", "cost") => "diff.cost",
            ("prizes", "consolation") => "diff.consolation",
            ("prizes", "cap") => "diff.cap",
            ("prizes", "only_for" | "never_for") => "diff.list",
            ("prizes", "release") => "diff.release",
            ("prizes", "award") => "diff.award",
            ("prizes", "rule_tree") | ("rule_trees" | "no_win_tree", _) => "diff.tree",
            ("raffle", _) => "diff.raffle",
            ("title", _) => "diff.title",
            ("time_zone" | "window", _) => "diff.window",
            ("tickets", _) => "diff.tickets",
            ("attributes" | "metrics", _) => "diff.attributes",
            ("eligibility", _) => "diff.eligibility",
            ("deny_list", _) => "diff.deny_list",
            ("when_exhausted", _) => "diff.exhausted",
            ("win_interval_seconds", _) => "diff.win_interval",
            ("budget", _) => "diff.budget",
            ("guaranteed_winners", _) => "diff.guaranteed",
            ("odds_tiers", _) => "diff.tiers",
            ("epoch", _) => "diff.epoch",
            // A field that is younger than this table is told all the same.
            _ => "diff.document",
        }
    }

    fn tell(&self, message: String, before: &Value, after: &Value) -> Change {
        let pointer = if after.is_null() { &self.before } else { &self.after };
        let (before, after) = (before.clone(), after.clone());
        Change { code: self.code(), pointer: pointer.clone(), message, before, after }
    }
}

/// Tells every field that differs.
pub(super) fn compare(before: &Document, after: &Document, changes: &mut Vec<Change>) {
    // A document that was read can be written.
    let value = |document: &Document| serde_json::to_value(document).unwrap_or_default();
    let root =
        Place { before: String::new(), after: String::new(), kind: String::new(), words: String::new() };
    walk(&value(before), &value(after), &root, changes);
}

fn walk(before: &Value, after: &Value, at: &Place, changes: &mut Vec<Change>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(before), Value::Object(after)) => {
            let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let side = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                walk(&side(before), &side(after), &at.key(key), changes);
            }
        }
        (Value::Array(before), Value::Array(after)) => lists(before, after, at, changes),
        (Value::Null, after) if is_whole(after) => {
            changes.push(at.tell(format!("{} added: {}", at.words, shown(after)), before, after));
        }
        (before, Value::Null) if is_whole(before) => {
            changes.push(at.tell(format!("{} removed: {}", at.words, shown(before)), before, after));
        }
        (before, after) => {
            let told = format!("{}: {} -> {}", at.words, shown(before), shown(after));
            changes.push(at.tell(told, before, after));
        }
    }
}

fn is_whole(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

/// What names an item of a list, where its items have names.
fn name(kind: &str, item: &Value) -> Option<String> {
    let text = |key: &str| item.get(key).map(shown);
    match kind {
        "prizes" => Some(format!("prize {}", text("id")?)),
        "odds_tiers/tiers" => Some(format!("odds tier {}", text("threshold")?)),
        "rule_trees/*/edges" => Some(format!("edge {} on {}", text("from")?, text("on")?)),
        _ => None,
    }
}

fn lists(before: &[Value], after: &[Value], at: &Place, changes: &mut Vec<Change>) {
    if !before.iter().chain(after).any(is_whole) {
        return words(before, after, at, changes);
    }
    let names = |list: &[Value]| {
        let named = list.iter().enumerate().map(|(place, item)| Some((name(&at.kind, item)?, place)));
        let named = named.collect::<Option<BTreeMap<_, _>>>()?;
        (named.len() == list.len()).then_some(named)
    };
    match names(before).zip(names(after)) {
        Some((old, new)) => named((before, &old), (after, &new), at, changes),
        None => numbered(before, after, at, changes),
    }
}

/// A list of names or numbers, as a set; its order is told where nothing else differs.
fn words(before: &[Value], after: &[Value], at: &Place, changes: &mut Vec<Change>) {
    let without = |list: &[Value], other: &[Value]| {
        let mut other = other.to_vec();
        let mut rest = list.to_vec();
        rest.retain(|item| match other.iter().position(|known| known == item) {
            Some(place) => {
                other.swap_remove(place);
                false
            }
            None => true,
        });
        rest
    };
    let (gone, new) = (without(before, after), without(after, before));
    let list = |word: &str, items: &[Value]| {
        let named: Vec<_> = items.iter().take(NAMES_MAX).map(shown).collect();
        let more = items.len().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{word} {}{more}", named.join(", "))
    };
    let mut told = Vec::new();
    if !gone.is_empty() {
        told.push(list("without", &gone));
    }
    if !new.is_empty() {
        told.push(list("with", &new));
    }
    if told.is_empty() {
        told.push("in another order".to_owned());
    }
    let (before, after) = (Value::Array(before.to_vec()), Value::Array(after.to_vec()));
    changes.push(at.tell(format!("{}: {}", at.words, told.join(", ")), &before, &after));
}

type Named<'a> = (&'a [Value], &'a BTreeMap<String, usize>);

fn named((before, old): Named<'_>, (after, new): Named<'_>, at: &Place, changes: &mut Vec<Change>) {
    for (place, item) in after.iter().enumerate() {
        let name = name(&at.kind, item).unwrap_or_default();
        match old.get(&name) {
            Some(was) => walk(&before[*was], item, &at.item(&name, Some(*was), Some(place)), changes),
            None => one(&Value::Null, item, &at.item(&name, None, Some(place)), changes),
        }
    }
    for (place, item) in before.iter().enumerate() {
        let name = name(&at.kind, item).unwrap_or_default();
        if !new.contains_key(&name) {
            one(item, &Value::Null, &at.item(&name, Some(place), None), changes);
        }
    }
    let order = |names: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| {
        let mut kept: Vec<_> = names.iter().filter(|(name, _)| other.contains_key(*name)).collect();
        kept.sort_by_key(|(_, place)| **place);
        kept.into_iter().map(|(name, _)| Value::String(name.clone())).collect::<Vec<_>>()
    };
    let (was, is) = (order(old, new), order(new, old));
    if was != is {
        let told = format!("{} in another order", at.words);
        let mut change = at.tell(told, &Value::Array(was), &Value::Array(is));
        if at.kind == "prizes" {
            change.code = "diff.prize_order";
        }
        changes.push(change);
    }
}

/// A list whose items have no names: what stands the same at both ends is passed over.
fn numbered(before: &[Value], after: &[Value], at: &Place, changes: &mut Vec<Change>) {
    let same = |pairs: &mut dyn Iterator<Item = (&Value, &Value)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut before.iter().zip(after));
    let tail = same(&mut before[head..].iter().rev().zip(after[head..].iter().rev()));
    let (olds, news) = (&before[head..before.len() - tail], &after[head..after.len() - tail]);
    let item = match at.kind.as_str() {
        "eligibility" => "rule",
        "prizes/*/release/slots" => "slot",
        _ => "item",
    };
    for place in 0..olds.len().max(news.len()) {
        let number = head + place;
        let side =
            |list: &[Value]| (list.get(place).cloned().unwrap_or_default(), list.get(place).map(|_| number));
        let ((was, old), (is, new)) = (side(olds), side(news));
        let at = at.item(&format!("{item} {}", number + 1), old, new);
        match (&was, &is) {
            (Value::Null, _) | (_, Value::Null) => one(&was, &is, &at, changes),
            _ => walk(&was, &is, &at, changes),
        }
    }
}

/// An item that came or went.
fn one(before: &Value, after: &Value, at: &Place, changes: &mut Vec<Change>) {
    let added = before.is_null();
    let item = if added { after } else { before };
    let told = match at.kind.as_str() {
        "prizes/*" => {
            let part = |key: &str| item.get(key).map(shown).unwrap_or_default();
            let more = if added {
                format!(": weight {}, stock {}, cost {}", part("weight"), part("stock"), part("cost"))
            } else {
                String::new()
            };
            format!("{} ({}) {}{more}", at.words, part("title"), if added { "added" } else { "removed" })
        }
        _ => format!("{} {}: {}", at.words, if added { "added" } else { "removed" }, shown(item)),
    };
    let mut change = at.tell(told, before, after);
    change.code = match (at.kind.as_str(), added) {
        ("prizes/*", true) => "diff.prize_added",
        ("prizes/*", false) => "diff.prize_removed",
        ("odds_tiers/tiers/*", true) => "diff.tier_added",
        ("odds_tiers/tiers/*", false) => "diff.tier_removed",
        _ => change.code,
    };
    changes.push(change);
}

/// A value as it stands in a sentence.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    text.chars().take(SHOWN_MAX).chain(['.', '.', '.']).collect()
}
