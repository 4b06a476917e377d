//! A small reader of JSON Schema: as much as the API's document uses, without patterns and formats. It is stricter than
//! the standard in one thing: a property that no part of a schema names is wrong, so that an answer cannot tell what the
//! document does not.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Keywords that are read, and those that only tell. A schema with another is refused, not half read.
const KEYWORDS: &[&str] = &[
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "pattern",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
    "uniqueItems",
];

/// What is at a reference within a document.
pub fn follow<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    document.pointer(reference.strip_prefix('#')?)
}

/// Holds a value against a schema of a document. What does not fit is told with its place.
pub fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    Reader { document }.whole(schema, value, "")
}

struct Reader<'a> {
    document: &'a Value,
}

impl Reader<'_> {
    fn whole(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let known = self.part(schema, value, at)?;
        let unknown = value.as_object().and_then(|fields| fields.keys().find(|name| !known.contains(*name)));
        unknown.map_or(Ok(()), |name| Err(format!("{at}/{name} is not documented")))
    }

    /// Answers the properties that this part of a schema names.
    fn part(&self, schema: &Value, value: &Value, at: &str) -> Result<BTreeSet<String>, String> {
        let all = || value.as_object().into_iter().flat_map(Map::keys).cloned().collect::<BTreeSet<_>>();
        let parts = match schema {
            Value::Bool(true) => return Ok(all()),
            Value::Object(parts) => parts,
            Value::Null | Value::Bool(false) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(format!("{at}: {schema} lets nothing through"));
            }
        };
        if let Some(keyword) = parts.keys().find(|keyword| !KEYWORDS.contains(&keyword.as_str())) {
            return Err(format!("{at}: the keyword {keyword} is not read here"));
        }
        let mut known = BTreeSet::new();
        if let Some(reference) = parts.get("$ref").and_then(Value::as_str) {
            let found =
                follow(self.document, reference).ok_or_else(|| format!("{reference} leads nowhere"))?;
            known.extend(self.part(found, value, at)?);
        }
        simple(parts, value, at)?;
        for choice in parts.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            known.extend(self.part(choice, value, at)?);
        }
        for (keyword, is_one) in [("anyOf", false), ("oneOf", true)] {
            let Some(choices) = parts.get(keyword).and_then(Value::as_array) else { continue };
            let tried: Vec<_> = choices.iter().map(|choice| self.part(choice, value, at)).collect();
            let fits = tried.iter().filter(|tried| tried.is_ok()).count();
            if fits == 0 || is_one && fits > 1 {
                return Err(format!("{at}: {fits} of {keyword} fit: {tried:?}"));
            }
            known.extend(tried.into_iter().flatten().flatten());
        }
        known.extend(self.fields(parts, value, at)?);
        self.items(parts, value, at)?;
        let says_nothing = ["$ref", "additionalProperties", "allOf", "anyOf", "oneOf", "properties"];
        Ok(if says_nothing.iter().any(|keyword| parts.contains_key(*keyword)) { known } else { all() })
    }

    fn fields(
        &self,
        parts: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Result<BTreeSet<String>, String> {
        let Some(fields) = value.as_object() else { return Ok(BTreeSet::new()) };
        let required = parts.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                return Err(format!("{at}/{name} is missing"));
            }
        }
        let mut known = BTreeSet::new();
        for (name, field) in fields {
            let at = format!("{at}/{name}");
            match (
                parts.get("properties").and_then(|properties| properties.get(name)),
                parts.get("additionalProperties"),
            ) {
                (Some(schema), _) => self.whole(schema, field, &at)?,
                (None, Some(Value::Bool(false))) => return Err(format!("{at} is forbidden")),
                (None, Some(schema)) => self.whole(schema, field, &at)?,
                (None, None) => continue,
            }
            known.insert(name.clone());
        }
        Ok(known)
    }

    fn items(&self, parts: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
        let items = value.as_array().into_iter().flatten().enumerate();
        for (place, item) in items {
            let prefix = parts.get("prefixItems").and_then(|prefix| prefix.get(place));
            if let Some(schema) = prefix.or(parts.get("items")) {
                self.whole(schema, item, &format!("{at}/{place}"))?;
            }
        }
        Ok(())
    }
}

/// What can be said of a value without looking into it.
fn simple(parts: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let is = |kind: &str| match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match parts.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is),
        Some(kind) => kind.as_str().is_some_and(is),
        None => true,
    };
    let size = |value: &Value| value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    let length = value.as_str().map(|text| text.chars().count()).or(value.as_array().map(Vec::len));
    let within = |least: &str, most: &str, found: Option<i128>| {
        let limit = |name: &str| parts.get(name).and_then(size);
        found.is_none_or(|found| {
            limit(least).is_none_or(|least| found >= least) && limit(most).is_none_or(|most| found <= most)
        })
    };
    let length = length.and_then(|length| i128::try_from(length).ok());
    let (text, list) = (length.filter(|_| value.is_string()), length.filter(|_| value.is_array()));
    let is_listed = parts.get("enum").and_then(Value::as_array).is_none_or(|words| words.contains(value));
    let is_same = parts.get("const").is_none_or(|same| same == value);
    let has_its_size = within("minimum", "maximum", size(value))
        && within("minLength", "maxLength", text)
        && within("minItems", "maxItems", list);
    if fits && is_listed && is_same && has_its_size {
        return Ok(());
    }
    Err(format!("{at}: {value} is not what {} says", Value::Object(parts.clone())))
}
