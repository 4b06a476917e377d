//! Routes of endpoints, as the API's document tells them.

use campaign::endpoint::{EndpointView, FreshView};
use serde_json::{Value, json};

use super::{ChangeBody, CreateBody, EndpointsView, RotateBody};
use crate::http::auth::{Operate, Review};
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

const URL: &str = "https://pay.example/hook";
const STATUS: &str = "https://pay.example/taken";

fn endpoint() -> Value {
    json!({
        "endpoint": "pay", "url": URL, "status_url": STATUS, "enabled": true, "why": "", "secrets": 1,
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
                 Standard Webhooks says. An endpoint must remember the `webhook-id` of what it has taken: where it has no \
                 status URL, a webhook whose outcome is not known is sent again under the same id.",
            )
            .body::<CreateBody>(json!({ "endpoint": "pay", "url": URL, "status_url": STATUS }))
            .keyed()
            .answers::<FreshView>(201, "The endpoint, and its secret.", fresh())
            .refuses(&["edge.bad_text", "endpoint.known", "endpoint.not_allowed", "endpoint.too_many"]),
        Operation::get("/endpoints/{endpoint}", "getEndpoint", "An endpoint")
            .needs::<Review>()
            .answers::<EndpointView>(200, "The endpoint.", endpoint())
            .refuses(&["award.sealed", "endpoint.missing"]),
        order("/endpoints/{endpoint}", "changeEndpoint", "Say where an endpoint is, and whether it is called")
            .describe("What is owed to an endpoint that is not enabled waits. One that answers 410 is switched off.")
            .body::<ChangeBody>(json!({ "url": URL, "status_url": STATUS, "enabled": true }))
            .keyed()
            .answers::<EndpointView>(201, "The endpoint.", endpoint())
            .refuses(&["edge.bad_text", "endpoint.missing", "endpoint.not_allowed"]),
        order("/endpoints/{endpoint}/rotate", "rotateEndpoint", "Give an endpoint a new secret")
            .describe("Webhooks are signed with both until the one before is over.")
            .body::<RotateBody>(json!({ "overlap_seconds": 86_400 }))
            .keyed()
            .answers::<FreshView>(201, "The endpoint, and its new secret.", fresh())
            .refuses(&["edge.bad_number", "endpoint.missing"]),
    ]
}
