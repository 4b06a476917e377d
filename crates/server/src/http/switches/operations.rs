//! Routes of switches, as the API's document tells them.

use serde_json::json;

use super::{ChangesView, SetBody, SettingView, SwitchesView};
use crate::http::auth::{Operate, Review};
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let set = json!({
        "version": 7, "value": false, "until_ms": 1_795_407_683_840_i64, "over": false,
        "at_ms": 1_795_404_083_840_i64, "by": "ops", "reason": "a prize is wrong",
    });
    vec![
        Operation::get("/switches", "listSwitches", "Every switch, and what is set")
            .describe(
                "What is turned off or held back is refused before anything is begun; what was begun is finished and \
                 answered. Answered in every mode.",
            )
            .needs::<Review>()
            .answers::<SwitchesView>(
                200,
                "All switches.",
                json!({
                    "revision": 7, "seen": 7, "mode": "normal",
                    "switches": [{
                        "switch": "feature.draws", "about": "New draws.", "default": true, "set": [set],
                    }],
                }),
            ),
        Operation::put("/switches/{switch}", "setSwitch", "Set a switch, or take it back")
            .describe(
                "In force in all processes within a second. `version` is the one that you have seen: a switch that \
                 was changed since is not changed by this. Takes no Idempotency-Key: a repeat finds the version gone \
                 on.",
            )
            .needs::<Operate>()
            .body::<SetBody>(json!({
                "value": false, "until_ms": 1_795_407_683_840_i64, "version": 0, "reason": "a prize is wrong",
            }))
            .answers::<SettingView>(200, "It is set.", set.clone())
            .refuses(&["edge.bad_text", "switch.bad_value", "switch.changed", "switch.missing"])
            .refuses(&["switch.own_key", "switch.too_many"]),
        Operation::get("/switches/{switch}/changes", "listSwitchChanges", "Every change of a switch")
            .describe("Oldest first. Participants are named by pseudonym.")
            .needs::<Review>()
            .query::<PageQuery>()
            .answers::<ChangesView>(200, "A page of changes.", json!({ "changes": [set] }))
            .refuses(&["switch.missing"]),
    ]
}
