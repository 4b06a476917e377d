//! The route of explanations, as the API's document tells it.

use serde_json::json;

use super::StoryView;
use crate::http::auth::Look;
use crate::http::operation::Operation;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/draws/{id}/explain", "explainDraw", "Why a draw became what it is")
            .describe("In sentences for people; their wording may change. A participant sees their own draws alone.")
            .needs::<Look>()
            .answers::<StoryView>(
                200,
                "The story.",
                json!({
                    "draw": "drw_02x4000000000g000000000009", "raffle": "spring", "version": 1, "participant": "ada",
                    "prize": "101", "revealed": false,
                    "sentences": [{ "about": "result", "told": "Won: prize `101` (Random points)." }],
                }),
            )
            .refuses(&["draw.missing", "raffle.broken_version", "raffle.wrong_seed_key"]),
    ]
}
