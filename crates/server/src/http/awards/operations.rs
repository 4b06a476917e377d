//! Routes of awards, as the API's document tells them.

use campaign::award::Award;
use serde_json::json;

use super::{AwardsView, HandOverBody};
use crate::http::auth::{Operate, Read};
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/raffles/{id}/awards", "listAwards", "What was won in a raffle")
            .describe("In the order of the draws.")
            .needs::<Read>()
            .query::<PageQuery>()
            .answers::<AwardsView>(
                200,
                "A page of awards.",
                json!({ "awards": [{ "seq": 9, "state": "granted", "prize": "105" }], "next": "9" }),
            )
            .refuses(&["raffle.missing"]),
        Operation::get("/awards/{draw}", "getAward", "Whether a prize is in the winner's hands")
            .describe("An award is opened shortly after its draw.")
            .needs::<Read>()
            .answers::<Award>(200, "The award.", json!({ "state": "granted", "prize": "105" }))
            .refuses(&["award.missing"]),
        Operation::post("/awards/{draw}/hand-over", "handOverAward", "Note that a prize was handed over")
            .describe("Takes no Idempotency-Key: the same note makes it the same call.")
            .needs::<Operate>()
            .body::<HandOverBody>(json!({ "note": "parcel 7" }))
            .answers::<Award>(
                200,
                "The award.",
                json!({ "state": "handed_over", "prize": "105", "at_ms": 1_795_404_083_840_i64, "note": "parcel 7" }),
            )
            .refuses(&["award.handed_over_before", "award.missing", "edge.bad_text"]),
    ]
}
