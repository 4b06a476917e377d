//! Routes of lists, as the API's document tells them.

use serde_json::json;

use super::{ListView, MembersBody, UploadedView};
use crate::http::auth::{Operate, Read};
use crate::http::operation::Operation;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let change = |operation: Operation, means| {
        operation
            .describe(
                "Up to 20000 names and 1 MiB, as JSON or as lines of text. Takes no Idempotency-Key: doing it again changes \
                 nothing. What changes the list leaves an entry in the audit log, without names.",
            )
            .needs::<Operate>()
            .body::<MembersBody>(json!({ "participants": ["ada", "bob"] }))
            .or_lines()
            .answers::<UploadedView<'static>>(200, means, json!({ "list": "vips", "members": 12, "changed": 2 }))
            .refuses(&["audience.full", "audience.too_many", "campaign.bad_input"])
    };
    vec![
        Operation::get("/audiences/{list}", "getAudience", "How many people are on a list")
            .describe("Nobody where it was never uploaded.")
            .needs::<Read>()
            .answers::<ListView<'static>>(200, "The list.", json!({ "list": "vips", "members": 12 }))
            .refuses(&["campaign.bad_input"]),
        change(
            Operation::post("/audiences/{list}/members", "addMembers", "Put people on a list"),
            "They are on it.",
        ),
        change(
            Operation::delete("/audiences/{list}/members", "removeMembers", "Take people off a list"),
            "They are not on it.",
        ),
    ]
}
