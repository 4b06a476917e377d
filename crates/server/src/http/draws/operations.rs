//! Routes of draws, as the API's document tells them.

use serde_json::json;

use super::{DrawBody, DrawnView, FullView};
use crate::http::auth::{self, LookBack};
use crate::http::operation::Operation;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let drawn = json!({
        "draw": "drw_02x4000000000g000000000009", "raffle": "spring", "version": 1, "epoch": 1, "participant": "ada",
        "number": 1, "at_ms": 1_795_404_083_388_i64, "prize": { "id": "101", "title": "Random points" },
        "pool": "base", "chain": "5cb2af6d51283fef965f4d75d98aa890809c9b717de562696fc311a36bf034e5",
    });
    let mut full = drawn.clone();
    full["trace"] = json!({
        "pool": "base", "integer": 4886, "total": 9703, "candidate": "101", "prize": "101",
        "steps": [{ "node": "stock", "said": "unlimited" }],
    });
    full["proof"] = json!({
        "epoch": "main/spring/1", "seed_hash": "69293e47", "rules_hash": "9871308d", "pseudonym": "52b992fa",
        "number": 1, "client_seed": "my-first-draw", "attested": {}, "seq": 9, "day": 20780, "chain": "5cb2af6d",
        "seed": null,
    });
    vec![
        Operation::post("/raffles/{id}/draws", "draw", "Draw")
            .describe(
                "A repeat with the same Idempotency-Key and body is answered with the same draw, byte for byte; each participant has \
                 keys of their own. A draw that \
                 is refused leaves no record. A participant draws as themself, and may not tell `points_spent`, `metrics` or \
                 `attributes`.",
            )
            .needs::<auth::Draw>()
            .body::<DrawBody>(json!({ "participant": "ada", "client_seed": "my-own-luck" }))
            .keyed()
            .answers::<DrawnView<'static>>(201, "The draw, or the draws where `draws` stood in the body.", drawn)
            .refuses(&["campaign.ended", "campaign.not_begun", "records.backlog"])
            .refuses(&["campaign.tickets_used", "campaign.tickets_used_this_month", "campaign.tickets_used_today"])
            .refuses(&["campaign.no_ticket"])
            .refuses(&["edge.bad_number", "edge.beyond_limit", "edge.bad_text", "edge.other_participant"])
            .refuses(&["experiment.led_only"])
            .refuses(&["raffle.broken_version", "raffle.budget_spent", "raffle.entropy", "raffle.frozen"])
            .refuses(&["raffle.missing", "raffle.not_eligible", "raffle.over", "raffle.too_often"])
            .refuses(&["raffle.unknown_attribute", "raffle.wrong_seed_key"]),
        Operation::get("/draws/{id}", "getDraw", "A draw with its trace and proof")
            .describe("The seed is null as long as its epoch is open. A participant sees their own draws alone.")
            .needs::<LookBack>()
            .answers::<FullView<'static>>(200, "The draw.", full)
            .refuses(&["draw.missing", "raffle.broken_version", "raffle.wrong_seed_key"]),
    ]
}
