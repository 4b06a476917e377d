//! Routes of health, as the API's document tells them.

use serde_json::json;

use super::{LiveView, ReadyView};
use crate::http::operation::Operation;

/// Outside `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/livez", "getLive", "Whether the process runs")
            .describe("Needs no key and touches nothing.")
            .answers::<LiveView>(200, "It runs.", json!({ "status": "live" })),
        Operation::get("/readyz", "getReady", "Whether the server can answer")
            .describe("Needs no key. Writes a row, to learn whether writes are kept.")
            .answers::<ReadyView>(
                200,
                "It can.",
                json!({
                    "status": "ready", "effects_unsent": 0, "effects_waiting": 0, "dead_letters": 0,
                    "switches_revision": 0, "switches_seen_ms": 120, "switches_stale": false,
                }),
            )
            .refuses(&["edge.timeout", "edge.unwritable", "records.closed", "records.corrupt"])
            .refuses(&["records.outcome_unknown", "records.unavailable"]),
    ]
}
