//! Routes of endpoints, as the API's document tells them.

use campaign::endpoint::{EndpointView, FreshView};
use campaign::fulfilment::ReplaysView;
use serde_json::{Value, json};

use super::{ChangeBody, CreateBody, EndpointsView, RotateBody};
use crate::http::auth::{Operate, Review};
use crate::http::operation::Operation;
use crate::http::request::{PageQuery, ReasonBody};

const URL: &str = "https://pay.example/hook";
const STATUS: &str = "https://pay.example/taken";

fn endpoint() -> Value {
    json!({
        "endpoint": "pay", "url": URL, "status_url": STATUS, "keeps_ids": true, "enabled": true, "why": "", "secrets": 1,
        "changed_ms": 1_795_404_083_840_i64,
    })
}

fn fresh() -> Value {
    let mut fresh = endpoint();
    fresh["secret"] = json!("whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=");
    fresh
}

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let order = |path, id, summary| {
        let operation = Operation::post(path, id, summary).needs::<Operate>();
        operation.refuses(&["award.entropy", "award.sealed"])
    };
    vec![
        Operation::get("/endpoints", "listEndpoints", "All endpoints")
            .needs::<Review>()
            .query::<PageQuery>()
            .answers::<EndpointsView>(200, "A page of endpoints.", json!({ "endpoints": [endpoint()] }))
            .refuses(&["award.sealed"]),
        order("/endpoints", "createEndpoint", "Make an endpoint")
            .describe(
                "The secret is made here and told in this answer alone, and where the call is repeated. Webhooks are signed as \
                 Standard Webhooks says. An endpoint has a status URL, or keeps ids: it remembers the `webhook-id` of what it \
                 has taken, as without a status URL a webhook whose outcome is not known is sent again under the same id.",
            )
            .body::<CreateBody>(json!({ "endpoint": "pay", "url": URL, "status_url": STATUS, "keeps_ids": true }))
            .keyed()
            .answers::<FreshView>(201, "The endpoint, and its secret.", fresh())
            .refuses(&[
                "edge.bad_text",
                "endpoint.known",
                "endpoint.nobody_to_ask",
                "endpoint.not_allowed",
                "endpoint.too_many",
            ]),
        Operation::get("/endpoints/{endpoint}", "getEndpoint", "An endpoint")
            .needs::<Review>()
            .answers::<EndpointView>(200, "The endpoint.", endpoint())
            .refuses(&["award.sealed", "endpoint.missing"]),
        order("/endpoints/{endpoint}", "changeEndpoint", "Say where an endpoint is, and whether it is called")
            .describe("What is owed to an endpoint that is not enabled waits. One that answers 410 is switched off.")
            .body::<ChangeBody>(json!({ "url": URL, "status_url": STATUS, "keeps_ids": true, "enabled": true }))
            .keyed()
            .answers::<EndpointView>(201, "The endpoint.", endpoint())
            .refuses(&["edge.bad_text", "endpoint.missing", "endpoint.nobody_to_ask", "endpoint.not_allowed"]),
        order("/endpoints/{endpoint}/rotate", "rotateEndpoint", "Give an endpoint a new secret")
            .describe("Webhooks are signed with both until the one before is over.")
            .body::<RotateBody>(json!({ "overlap_seconds": 86_400 }))
            .keyed()
            .answers::<FreshView>(201, "The endpoint, and its new secret.", fresh())
            .refuses(&["edge.bad_number", "endpoint.missing"]),
        order("/endpoints/{endpoint}/replay", "replayEndpoint", "Let webhooks that were given up try again")
            .describe(
                "Up to 200 of those that were given up at this endpoint, those of one winner in their order; `more` says \
                 whether to call again, under another key.",
            )
            .body::<ReasonBody>(json!({ "reason": "the endpoint is mended" }))
            .keyed()
            .answers::<ReplaysView>(
                201,
                "How many try again.",
                json!({ "endpoint": "pay", "replayed": 12, "more": false }),
            )
            .refuses(&["edge.bad_text", "endpoint.missing"]),
    ]
}
