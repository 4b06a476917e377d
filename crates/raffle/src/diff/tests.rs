use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Diff;
use crate::document::{Document, read, schema};

/// A document with every field of the schema.
fn whole() -> Value {
    json!({
        "raffle": "r", "title": "R", "time_zone": "Asia/Shanghai",
        "window": {"from": "2026-11-01T00:00:00", "until": "2026-12-01T00:00:00"},
        "tickets": {"total": 9, "per_day": 3, "per_month": 7, "wallet": "raffle-r"},
        "denominator": 1000, "when_weights_differ": "no_win",
        "prizes": [
            {"id": "phone", "title": "Phone", "weight": 1, "stock": 5, "rule_tree": "t", "cost": 60_000,
             "consolation": false, "cap": {"wins": 1, "per": "campaign"}, "only_for": ["ada", "bob"],
             "never_for": ["mallory"], "award": {"kind": "physical", "claim_seconds": 3600},
             "release": {"every_day": 1, "slots": [{"from": "2026-11-02T00:00:00", "units": 2}, {"from": "2026-11-03T00:00:00", "units": 3}]}},
            {"id": "mug", "title": "Mug", "weight": 400, "stock": 100, "cost": 50,
             "award": {"kind": "points", "amount": 5, "available_after_seconds": 60, "expires_after_seconds": 600}},
            {"id": "pen", "title": "Pen", "weight": 500, "stock": "unlimited", "consolation": true,
             "award": {"kind": "webhook", "endpoint": "pens"}},
            {"id": "card", "title": "Card", "weight": 0, "stock": 5, "award": {"kind": "coupon", "pool": "cards"}}
        ],
        "rule_trees": {
            "t": {"start": "lock", "nodes": {
                    "lock": {"kind": "unlock", "after": 2, "per": "day"},
                    "who": {"kind": "attribute", "attribute": "level", "one_of": ["gold", "silver"]},
                    "stock": {"kind": "stock"}, "other": {"kind": "fallback", "prize": "pen"}},
                  "edges": [{"from": "lock", "on": "open", "to": "who"}, {"from": "lock", "on": "locked", "to": "other"},
                            {"from": "who", "on": "yes", "to": "stock"}]},
            "wait": {"start": "pity", "nodes": {
                    "pity": {"kind": "pity", "prize": "phone", "after": 50},
                    "draw": {"kind": "milestone", "draws": [10, 20]}},
                  "edges": [{"from": "pity", "on": "not_due", "to": "draw"}]}
        },
        "deny_list": {"participants": ["u1", "u2"], "prize": "pen"},
        "odds_tiers": {"metric": "points_spent", "mode": "at_least",
                       "tiers": [{"threshold": 10, "prizes": ["phone", "mug"]}, {"threshold": 20, "prizes": ["phone"]}]},
        "epoch": {"entries_max": 5000},
        "attributes": ["level"], "metrics": ["visits"],
        "eligibility": [{"kind": "allow_list", "participants": ["ada", "bob"]},
                        {"kind": "deny_list", "participants": ["eve"]},
                        {"kind": "attribute", "attribute": "level", "one_of": ["gold"]},
                        {"kind": "velocity", "draws": 3, "seconds": 60}],
        "no_win_tree": "wait", "when_exhausted": {"policy": "fallback", "prize": "pen"},
        "win_interval_seconds": 60, "budget": {"amount": 1_000_000, "when_spent": "degrade"},
        "guaranteed_winners": "allowed"
    })
}

fn document(value: &Value) -> Option<Document> {
    read(&value.to_string()).ok()
}

/// Other values that could stand in place of one.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![],
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => vec![json!(number.as_u64().unwrap_or_default() + 1), json!("unlimited")],
        Value::String(text) => {
            let words = [
                "reject",
                "normalise",
                "no_win",
                "exact",
                "stop",
                "forbidden",
                "day",
                "phone",
                "missed",
                "UTC",
            ];
            let mut others: Vec<_> = words.iter().map(|word| json!(word)).collect();
            others.extend([json!(format!("{text}x")), json!("2026-11-05T00:00:00"), json!(7)]);
            others
        }
        Value::Array(items) => {
            let mut others = vec![json!(items.iter().rev().collect::<Vec<_>>())];
            for place in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(place);
                others.push(Value::Array(fewer));
                let mut more = items.clone();
                more.insert(place, items[place].clone());
                others.push(Value::Array(more));
            }
            others
        }
        Value::Object(fields) => fields
            .keys()
            .map(|key| {
                let mut fewer = fields.clone();
                fewer.remove(key);
                Value::Object(fewer)
            })
            .collect(),
    }
}

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{place}"), found);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                places(field, &format!("{at}/{key}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The properties of the schema that a document does not use, by their names.
fn unused(schema: &Value, used: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        found.extend(properties.keys().filter(|key| !used.contains(*key)).cloned());
    }
    let parts: Vec<&Value> = match schema {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    };
    for part in parts {
        unused(part, used, found);
    }
}

#[test]
fn whatever_differs_is_told_and_nothing_else() {
    let base = whole();
    let before = document(&base).expect("a document");
    assert!(Diff::of(Some(&before), &before, Some(5)).is_empty());
    let mut found = Vec::new();
    places(&base, "", &mut found);
    let used = found.iter().flat_map(|at| at.rsplit('/').next()).map(str::to_owned).collect();
    let mut missing = BTreeSet::new();
    unused(&serde_json::from_str(schema()).expect("JSON"), &used, &mut missing);
    assert!(missing.is_empty(), "the trial's document lacks {missing:?}");

    let (mut tried, mut codes) = (0, BTreeSet::new());
    for at in &found {
        for other in others(base.pointer(at).expect("a place")) {
            let mut changed = base.clone();
            *changed.pointer_mut(at).expect("a place") = other;
            let Some(after) = document(&changed) else { continue };
            for (before, after) in [(&before, &after), (&after, &before)] {
                let diff = Diff::of(Some(before), after, None);
                assert_eq!(diff.is_empty(), before == after, "{at}: {:?}", diff.changes);
                for change in diff.changes {
                    assert!(change.code != "diff.document", "{change:?}");
                    assert!(change.before != change.after && !change.message.is_empty(), "{change:?}");
                    assert!(change.pointer.starts_with('/'), "{change:?}");
                    codes.insert(change.code);
                }
            }
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
    assert_eq!(codes.len(), 30, "{codes:?}");
}

#[test]
fn differences_read_as_sentences() {
    let check = |edits: &[(&str, Value)], expected: &[&str]| {
        let base = whole();
        let mut changed = base.clone();
        for (at, value) in edits {
            *changed.pointer_mut(at).expect("a place") = value.clone();
        }
        let (before, after) = (document(&base).expect("one"), document(&changed).expect("another"));
        let diff = Diff::of(Some(&before), &after, Some(1_000));
        let told: Vec<_> = diff.changes.iter().map(|change| change.message.as_str()).collect();
        assert_eq!(told, expected);
    };
    check(
        &[("/prizes/0/weight", json!(5))],
        &[
            "odds of no win, base pool: 9.9% -> 9.5%",
            "odds of prize `phone`, base pool: 0.1% -> 0.5%",
            "odds of prize `mug`, odds tier 10: about 99.750623% -> about 98.765432%",
            "odds of prize `phone`, odds tier 10: about 0.249376% -> about 1.234567%",
            "odds of prize `pen`, after the rule tree with 0 to 1 completed draws: 50.1% -> 50.5%",
            "expected cost of a draw, odds tier 10: about 199.501246 -> about 790.123456 (about +590.622209), about +590,622.209907 a day",
            "weight of prize `phone`: 1 -> 5",
        ],
    );
    check(
        &[("/prizes/1/cost", json!(53))],
        &[
            "expected cost of a draw, odds tier 10: about 199.501246 -> about 202.493765 (about +2.992518), about +2,992.518703 a day",
            "expected cost of a draw, base pool: 20 -> 21.2 (+1.2), +1,200 a day",
            "cost of prize `mug`: 50 -> 53",
        ],
    );
    check(
        &[
            ("/prizes/2/title", json!("Biro")),
            ("/tickets/per_day", json!(4)),
            ("/tickets/per_month", json!(6)),
            ("/tickets/wallet", json!("tombola")),
            ("/deny_list/participants", json!(["u2", "u3"])),
            ("/rule_trees/t/nodes/who/one_of", json!(["gold"])),
            ("/eligibility/3/draws", json!(9)),
            ("/prizes/0/release/slots/1/units", json!(9)),
        ],
        &[
            "participants of deny list: without `u1`, with `u3`",
            "draws of rule 4 of eligibility: 3 -> 9",
            "units of slot 2 of slots of release of prize `phone`: 3 -> 9",
            "title of prize `pen`: `Pen` -> `Biro`",
            "one of of node `who` of rule tree `t`: without `silver`",
            "per day of tickets: 3 -> 4",
            "per month of tickets: 7 -> 6",
            "wallet of tickets: `raffle-r` -> `tombola`",
        ],
    );
}

#[test]
fn pity_and_milestones_cost_nothing_that_is_expected() {
    for (rare, often, word, told) in [
        (
            json!({"kind": "pity", "prize": "phone", "after": 1000}),
            json!({"kind": "pity", "prize": "phone", "after": 1}),
            "due",
            "after of node `who` of rule tree `t`: 1000 -> 1",
        ),
        (
            json!({"kind": "milestone", "draws": [1000]}),
            json!({"kind": "milestone", "draws": [3]}),
            "reached",
            "draws of node `who` of rule tree `t`: without 1000, with 3",
        ),
    ] {
        let with = |node: &Value| {
            let mut changed = whole();
            changed["rule_trees"]["t"]["nodes"]["who"] = node.clone();
            changed["rule_trees"]["t"]["edges"][2]["on"] = json!(word);
            document(&changed).expect("a document")
        };
        let diff = Diff::of(Some(&with(&rare)), &with(&often), None);
        let messages: Vec<_> = diff.changes.iter().map(|change| change.message.as_str()).collect();
        assert_eq!(messages, [told]);
    }
}
