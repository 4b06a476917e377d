//! The route of dry runs, as the API's document tells it.

use serde_json::json;

use super::DryRunView;
use crate::http::auth::TryOut;
use crate::http::draws::DrawBody;
use crate::http::operation::Operation;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/raffles/{id}/dry-runs", "dryRun", "What a draw would be now")
            .describe(
                "Whether this participant would be admitted, and the exact odds of every outcome. Writes nothing, so it \
                 takes no Idempotency-Key. `client_seed` and `draws` change nothing.",
            )
            .needs::<TryOut>()
            .body::<DrawBody>(json!({ "participant": "ada" }))
            .answers::<DryRunView<'static>>(
                200,
                "What it would be.",
                json!({
                    "raffle": "spring", "version": 1, "number": 1, "admitted": true, "pool": "base", "excluded": [],
                    "odds": { "101": "9/10", "105": "1/10", "-": "0" },
                    "candidates": [
                        { "candidate": "101", "odds": "9/10", "prize": "101", "steps": [{ "node": null, "said": "unlimited" }] },
                        { "candidate": "105", "odds": "1/10", "prize": "105", "steps": [{ "node": null, "said": "taken" }] },
                    ],
                }),
            )
            .refuses(&["edge.bad_number", "edge.bad_text", "raffle.broken_version", "raffle.missing"])
            .refuses(&["raffle.unknown_attribute", "raffle.wrong_seed_key"]),
    ]
}
