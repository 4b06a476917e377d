//! Holds a document against its JSON Schema and tells everything that differs. Knows the keywords that our schema
//! uses, and says so where it meets another.

use std::collections::{BTreeSet, HashSet};

use regex_lite::Regex;
use serde_json::Value;

use super::tree::Tree;
use crate::finding::{Finding, step};

/// A schema to hold documents against.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'s> {
    /// The whole schema.
    pub root: &'s Value,
}

/// An integer of a schema.
pub fn number(schema: &Value, key: &str) -> Option<i128> {
    schema.get(key).and_then(Value::as_i64).map(i128::from)
}

fn in_words(kind: &str) -> &str {
    match kind {
        "object" => "a map",
        "array" => "a list",
        "integer" => "a whole number",
        "boolean" => "true or false",
        _ => "text",
    }
}

fn or(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn size(count: usize, schema: &Value, keys: (&str, &str), what: &str, at: &str, found: &mut Vec<Finding>) {
    let count = count as i128;
    if let Some(min) = number(schema, keys.0).filter(|min| count < *min) {
        found.push(Finding::error("document.value", at, format!("must have at least {min} {what}")));
    }
    if let Some(max) = number(schema, keys.1).filter(|max| count > *max) {
        found.push(Finding::error(
            "document.value",
            at,
            format!("may have at most {max} {what}, not {count}"),
        ));
    }
}

fn integer(int: i128, schema: &Value, at: &str, found: &mut Vec<Finding>) {
    let (min, max) = (number(schema, "minimum"), number(schema, "maximum"));
    if min.is_some_and(|min| int < min) || max.is_some_and(|max| int > max) {
        let range =
            format!("must be from {} to {}, not {int}", min.unwrap_or(0), max.unwrap_or(i64::MAX.into()));
        found.push(Finding::error("document.value", at, range));
    }
}

fn string(text: &str, schema: &Value, at: &str, found: &mut Vec<Finding>) {
    size(text.chars().count(), schema, ("minLength", "maxLength"), "characters", at, found);
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return };
    if !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text)) {
        let about = schema.get("description").and_then(Value::as_str).unwrap_or(pattern);
        found.push(Finding::error("document.value", at, format!("is not of the form: {about}")));
    }
}

fn kind_of(choice: &Value) -> Option<&str> {
    choice.pointer("/properties/kind/const").and_then(Value::as_str)
}

/// The shape whose `kind` a map names.
pub fn of_kind<'a>(entries: &[(String, Tree)], choices: &'a [Value]) -> Option<&'a Value> {
    let named = entries.iter().find(|(key, _)| key == "kind").map(|(_, kind)| kind);
    choices.iter().find(|choice| match (named, kind_of(choice)) {
        (Some(Tree::Text(named)), Some(kind)) => named == kind,
        _ => false,
    })
}

/// Keywords that are held against a document, and those that only speak to people.
const KNOWN: [&str; 23] = [
    "$schema",
    "$ref",
    "$defs",
    "title",
    "description",
    "type",
    "additionalProperties",
    "required",
    "properties",
    "propertyNames",
    "items",
    "enum",
    "const",
    "anyOf",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
];

impl<'s> Shape<'s> {
    /// Keywords of the schema that nothing is held against: a schema of ours has none.
    pub fn unchecked_keywords(self) -> Vec<String> {
        let mut found = BTreeSet::new();
        keywords(self.root, &mut found);
        found.into_iter().filter(|key| !KNOWN.contains(&key.as_str())).collect()
    }

    /// Everything about a document's shape that differs from the schema.
    pub fn findings(self, document: &Tree) -> Vec<Finding> {
        let mut found = Vec::new();
        self.visit(document, self.root, "", &mut found);
        found
    }

    /// Follows `$ref` to the schema it names, within the same file.
    pub fn resolve<'a>(self, schema: &'a Value) -> &'a Value
    where
        's: 'a,
    {
        let named = schema.get("$ref").and_then(Value::as_str);
        named.and_then(|at| self.root.pointer(at.trim_start_matches('#'))).unwrap_or(schema)
    }

    /// Everything about a part that differs from its schema.
    pub fn visit(self, tree: &Tree, schema: &Value, at: &str, found: &mut Vec<Finding>) {
        let schema = self.resolve(schema);
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            return self.any_of(tree, schema, choices, at, found);
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            let is_allowed =
                |allowed: &Value| matches!((tree, allowed), (Tree::Text(a), Value::String(b)) if a == b);
            if !allowed.iter().any(is_allowed) {
                let words: Vec<_> =
                    allowed.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
                found.push(Finding::error("document.value", at, format!("must be {}", or(&words))));
            }
            return;
        }
        match (schema.get("type").and_then(Value::as_str), tree) {
            (Some("object"), Tree::Map(entries)) => self.object(entries, schema, at, found),
            (Some("array"), Tree::List(items)) => self.array(items, schema, at, found),
            (Some("integer"), Tree::Int(int)) => integer(*int, schema, at, found),
            (Some("string"), Tree::Text(text)) => string(text, schema, at, found),
            (Some("boolean"), Tree::Bool(_)) => {}
            (Some("string"), Tree::Int(int)) => {
                let told = format!("must be text: write \"{int}\" in quotes");
                found.push(Finding::error("document.type", at, told));
            }
            (Some(wanted), _) => {
                let told = format!("must be {}, not {}", in_words(wanted), tree.kind());
                found.push(Finding::error("document.type", at, told));
            }
            (None, _) => {}
        }
    }

    fn object(self, entries: &[(String, Tree)], schema: &Value, at: &str, found: &mut Vec<Finding>) {
        let mut seen = HashSet::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, tree) in entries {
            let here = step(at, key);
            if !seen.insert(key) {
                found.push(Finding::error("document.duplicate_key", &here, format!("`{key}` stands twice")));
            }
            if let Some(names) = schema.get("propertyNames") {
                self.visit(&Tree::Text(key.clone()), names, &here, found);
            }
            match (properties.and_then(|known| known.get(key)), schema.get("additionalProperties")) {
                (Some(known), _) => self.visit(tree, known, &here, found),
                (None, Some(Value::Bool(false))) => {
                    let known: Vec<_> = properties
                        .into_iter()
                        .flat_map(|known| known.keys())
                        .map(|key| format!("`{key}`"))
                        .collect();
                    let told = format!("`{key}` is not known here; known are {}", known.join(", "));
                    found.push(Finding::error("document.unknown_key", &here, told));
                }
                (None, Some(any)) => self.visit(tree, any, &here, found),
                (None, None) => {}
            }
        }
        for missing in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !seen.iter().any(|key| *key == missing) {
                found.push(Finding::error("document.missing_key", at, format!("`{missing}` is missing")));
            }
        }
        size(entries.len(), schema, ("minProperties", "maxProperties"), "entries", at, found);
    }

    fn array(self, items: &[Tree], schema: &Value, at: &str, found: &mut Vec<Finding>) {
        size(items.len(), schema, ("minItems", "maxItems"), "items", at, found);
        if let Some(of) = schema.get("items") {
            for (place, item) in items.iter().enumerate() {
                self.visit(item, of, &step(at, &place.to_string()), found);
            }
        }
    }

    /// One of several shapes: the one whose `kind` the document names, else the one of its type.
    fn any_of(self, tree: &Tree, schema: &Value, choices: &[Value], at: &str, found: &mut Vec<Finding>) {
        if let Tree::Map(entries) = tree {
            match of_kind(entries, choices) {
                Some(choice) => self.visit(tree, choice, at, found),
                None => {
                    let words: Vec<_> =
                        choices.iter().filter_map(kind_of).map(|kind| format!("`{kind}`")).collect();
                    found.push(Finding::error(
                        "document.value",
                        step(at, "kind"),
                        format!("must be {}", or(&words)),
                    ));
                }
            }
            return;
        }
        for choice in choices {
            if matches!((tree, choice.get("const")), (Tree::Text(text), Some(Value::String(word))) if text == word)
            {
                return;
            }
            if matches!((tree, choice.get("type").and_then(Value::as_str)), (Tree::Int(_), Some("integer"))) {
                return self.visit(tree, choice, at, found);
            }
        }
        let about = schema.get("description").and_then(Value::as_str).unwrap_or("one of several shapes");
        found.push(Finding::error("document.type", at, format!("is {}; it must be: {about}", tree.kind())));
    }
}

fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
    let Some(entries) = schema.as_object() else { return };
    for (key, value) in entries {
        found.insert(key.clone());
        match key.as_str() {
            "properties" | "$defs" => {
                value.as_object().into_iter().flatten().for_each(|(_, schema)| keywords(schema, found));
            }
            "anyOf" => value.as_array().into_iter().flatten().for_each(|schema| keywords(schema, found)),
            "items" | "additionalProperties" | "propertyNames" => keywords(value, found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_keyword_that_is_not_checked_is_told() {
        let schema = json!({"type": "object", "properties": {"a": {"multipleOf": 2, "minimum": 1}}});
        assert_eq!(Shape { root: &schema }.unchecked_keywords(), ["multipleOf"]);
    }
}
