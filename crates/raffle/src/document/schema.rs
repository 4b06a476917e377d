//! The published JSON Schema of raffle documents: a base, and what each kind of node and of eligibility rule adds.

use std::sync::LazyLock;

use serde_json::Value;

use crate::eligibility;
use crate::node;

const BASE: &str = include_str!("raffle.base.json");

#[expect(clippy::expect_used, reason = "built in, and read by every test")]
static SCHEMA: LazyLock<(Value, String)> = LazyLock::new(|| {
    let mut base: Value = serde_json::from_str(BASE).expect("the base is JSON");
    for (place, parts) in
        [("/$defs/node/anyOf", node::SCHEMAS), ("/$defs/eligibility/anyOf", eligibility::SCHEMAS)]
    {
        let choices = base.pointer_mut(place).and_then(Value::as_array_mut).expect("a place for each kind");
        choices.extend(parts.iter().map(|part| serde_json::from_str::<Value>(part).expect("a part is JSON")));
    }
    let text = serde_json::to_string_pretty(&base).expect("JSON can be written") + "\n";
    (base, text)
});

/// The published JSON Schema of raffle documents, as text.
pub fn schema() -> &'static str {
    &SCHEMA.1
}

pub(super) fn root() -> &'static Value {
    &SCHEMA.0
}

#[cfg(test)]
mod tests {
    use kernel::document::shape::Shape;

    use super::root;

    #[test]
    fn the_schema_uses_no_keyword_that_is_not_checked() {
        assert_eq!(Shape { root: root() }.unchecked_keywords(), Vec::<String>::new());
    }
}
