//! Routes of dead letters, as the API's document tells them.

use campaign::letter::ReplayedView;
use serde_json::json;

use super::LettersView;
use crate::http::auth::{Operate, Review};
use crate::http::operation::Operation;
use crate::http::request::{PageQuery, ReasonBody};

const LETTER: &str = "draw.made-1-9";

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/dead-letters",
            "listDeadLetters",
            "Effects that could not be delivered within the house",
        )
        .describe("Webhooks that were given up are awards in the state `undeliverable`.")
        .needs::<Review>()
        .query::<PageQuery>()
        .answers::<LettersView>(
            200,
            "A page of dead letters.",
            json!({ "letters": [{
                    "letter": LETTER, "topic": "draw.made", "at_ms": 1_795_404_083_840_i64, "attempts": 20,
                    "fault": "backend unavailable",
                }] }),
        ),
        Operation::post("/dead-letters/{letter}/replay", "replayDeadLetter", "Let a dead letter try again")
            .describe("Those of its key that came later may have been delivered before it.")
            .needs::<Operate>()
            .body::<ReasonBody>(json!({ "reason": "the disk is mended" }))
            .keyed()
            .answers::<ReplayedView>(
                201,
                "It is sent again at once.",
                json!({ "letter": LETTER, "state": "waiting" }),
            )
            .refuses(&["award.entropy", "award.sealed", "edge.bad_text", "letter.missing"]),
    ]
}
