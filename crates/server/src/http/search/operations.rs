//! Routes of what is searched, as the API's document tells them.

use serde_json::json;

use super::{ActivitiesView, RowsOfFile, RowsOfPage, SearchQuery, TimelineQuery};
use crate::http::auth::{ReadTimeline, Search};
use crate::http::operation::Operation;

const DRAW: &str = "drw_02x4000000000g000000000009";

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/participants/{participant}/timeline",
            "getTimeline",
            "What befell a participant, and why",
        )
        .describe("The newest first: draws, awards, webhooks, transfers, tickets, holds, acts and orders. A draw that was refused wrote nothing and is not here: a dry run tells what would be refused. A participant reads their own, without notes.")
        .needs::<ReadTimeline>()
        .query::<TimelineQuery>()
        .answers::<ActivitiesView>(
            200,
            "A page of activities.",
            json!({ "activities": [{
                "id": format!("draw/{DRAW}"), "kind": "draw", "at_ms": 1_795_404_083_840_i64,
                "participant": "ada", "raffle": "spring", "prize": "105", "state": "won", "code": "picked",
                "reason": "Chance picked prize `105` (Bicycle) from the base pool.",
                "link": format!("/api/v1/draws/{DRAW}/explain"),
            }], "as_of_ms": 1_795_404_084_000_i64 }),
        )
        .refuses(&["edge.bad_text", "edge.other_participant", "search.bad_filter"]),
        Operation::get("/search/activities", "searchActivities", "Search through what befell everybody")
            .describe("The newest first; all that is said must hold. A page looks at 5,000 rows at the most: where few match it ends early, and `next` says where to go on. A page is of 200 at the most.")
            .needs::<Search>()
            .query::<SearchQuery<RowsOfPage>>()
            .answers::<ActivitiesView>(
                200,
                "A page of activities.",
                json!({ "activities": [{
                    "id": "ledger/000000000007/01", "kind": "transfer", "at_ms": 1_795_404_083_840_i64,
                    "participant": "ada", "campaign": "summer", "state": "done", "unit": "point", "amount": 5,
                    "code": "earning", "reason": "Earned in campaign `summer` by what is reported as `1`.",
                }], "next": "1795404083840.ledger/000000000007/01", "as_of_ms": 1_795_404_084_000_i64 }),
            )
            .refuses(&["search.bad_filter"]),
        Operation::get("/search/activities.csv", "exportActivities", "The same as a file for a spreadsheet")
            .describe("Of 10,000 rows where no `limit` is given and 100,000 at the most; a longer one goes on at the `cursor` of its last row. One that comes to its end is whole, however many rows are looked through for it. Two are written at once. Text that begins like a formula begins with an apostrophe. An entry of the audit log says who took it.")
            .needs::<Search>()
            .query::<SearchQuery<RowsOfFile>>()
            .tells("text/csv", "Lines of comma-separated values (RFC 4180), the first with the names of the columns.")
            .refuses(&["search.bad_filter", "search.too_many_exports"]),
    ]
}
