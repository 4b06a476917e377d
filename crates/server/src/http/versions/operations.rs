//! Routes of versions, as the API's document tells them.

use serde_json::json;

use super::{DiffQuery, DiffView, VersionsView};
use crate::http::auth::{Operate, Read};
use crate::http::operation::Operation;
use crate::http::raffles::PublishedView;
use crate::http::request::{PageQuery, ReasonBody};

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/raffles/{id}/versions", "listVersions", "All versions of a raffle")
            .describe("By number, with who published them and why.")
            .needs::<Read>()
            .query::<PageQuery>()
            .answers::<VersionsView>(
                200,
                "A page of versions.",
                json!({ "versions": [
                    {
                        "version": 1, "epoch": 1, "rules_hash": "9871308d", "published_ms": 1_795_404_083_000_i64,
                        "by": "ops",
                    },
                    {
                        "version": 2, "epoch": 2, "rules_hash": "1f0c22ab", "published_ms": 1_795_404_183_000_i64,
                        "by": "ops", "reason": "more bicycles for summer", "draft": 1,
                    },
                ] }),
            )
            .refuses(&["raffle.missing", "raffle.wrong_seed_key"]),
        Operation::get("/raffles/{id}/versions/{version}/diff", "diffVersions", "What differs between versions")
            .describe("In words, with exact odds and costs. Not for participants: documents name others.")
            .needs::<Read>()
            .query::<DiffQuery>()
            .answers::<DiffView<'static>>(
                200,
                "What differs.",
                json!({
                    "from": 1, "to": 2,
                    "changes": [
                        {
                            "code": "diff.odds", "pointer": "/prizes/1/weight",
                            "message": "odds of prize `105`, base pool: 10% -> 20%", "before": "1/10", "after": "1/5",
                        },
                        {
                            "code": "diff.stock", "pointer": "/prizes/0/stock",
                            "message": "stock of prize `101`: 10000 -> `unlimited`", "before": 10_000,
                            "after": "unlimited",
                        },
                    ],
                    "expected_cost": { "base": {
                        "before": "5000", "after": "10000",
                        "per_day": { "before": "4000000", "after": "8000000", "change": "4000000" },
                    } },
                    "draws_per_day": 800,
                }),
            )
            .refuses(&["raffle.broken_version", "raffle.missing"])
            .refuses(&["raffle.no_such_version", "raffle.wrong_seed_key"]),
        Operation::post("/raffles/{id}/versions/{version}/restore", "restoreVersion", "Go back to a version")
            .describe(
                "Publishes its document as the next version. Stock is not taken back. Where one person may not do \
                 so, draft the version again.",
            )
            .needs::<Operate>()
            .body::<ReasonBody>(json!({ "reason": "the summer is over" }))
            .keyed()
            .answers::<PublishedView<'static>>(
                201,
                "The document is published again.",
                json!({
                    "raffle": "spring", "version": 3, "rules_hash": "77be01c4", "epoch": 3, "seed_hash": "f00a9c12",
                    "published_ms": 1_795_404_283_000_i64, "warnings": [],
                }),
            )
            .refuses(&["draft.stale", "edge.bad_text", "raffle.broken_version", "raffle.document"])
            .refuses(&["raffle.entropy"])
            .refuses(&["raffle.missing", "raffle.no_such_version", "raffle.stock_is_not_edited"])
            .refuses(&["raffle.wrong_seed_key", "review.needed"]),
    ]
}
