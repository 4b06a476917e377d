//! Routes of awards, as the API's document tells them.

use campaign::fulfilment::{AddressView, AwardView};
use serde_json::{Value, json};

use super::{AwardsQuery, AwardsView, CodeView, HandOverBody, OwnQuery};
use crate::http::auth::{Claim, Operate, Read, ReadOwn};
use crate::http::operation::Operation;
use crate::http::request::ReasonBody;

const DRAW: &str = "drw_5t80000000000g000000000009";
const AT_MS: i64 = 1_795_404_083_840;

fn points(state: Value) -> Value {
    let mut award = json!({
        "draw": DRAW,
        "prize": "101",
        "award": { "kind": "points", "amount": 50 },
        "raffle": "spring",
        "winner": "0123456789abcdef0123456789abcdef",
    });
    if let (Some(award), Value::Object(state)) = (award.as_object_mut(), state) {
        award.extend(state);
    }
    award
}

fn address() -> Value {
    json!({ "name": "Ada", "lines": ["1 Example Street", "12345 Town"], "country": "DE" })
}

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let mut operations = reading();
    operations.extend(changing());
    operations
}

fn reading() -> Vec<Operation> {
    vec![
        Operation::get("/raffles/{id}/awards", "listAwards", "What was won in a raffle")
            .describe("In the order of the draws.")
            .needs::<Read>()
            .query::<AwardsQuery>()
            .answers::<AwardsView>(
                200,
                "A page of awards.",
                json!({ "awards": [{ "seq": 9, "draw": DRAW, "state": "granted", "prize": "105" }], "next": "9" }),
            )
            .refuses(&["raffle.missing"]),
        Operation::get("/awards", "listAwardsOfParticipant", "What a participant has won")
            .describe("In all raffles, by raffle and in the order of the draws. A participant's token sees its bearer's alone.")
            .needs::<ReadOwn>()
            .query::<OwnQuery>()
            .answers::<AwardsView>(
                200,
                "A page of awards.",
                json!({ "awards": [{ "seq": 9, "draw": DRAW, "state": "granted", "prize": "105" }] }),
            )
            .refuses(&["edge.bad_text", "edge.other_participant"]),
        Operation::get("/awards/{draw}", "getAward", "How a prize reaches its winner")
            .describe("An award is opened shortly after its draw. Another's is answered like one that is not there.")
            .needs::<ReadOwn>()
            .answers::<AwardView>(200, "The award.", points(json!({ "state": "paid", "at_ms": AT_MS, "refused": 0 })))
            .refuses(&["award.missing"]),
        Operation::get("/awards/{draw}/code", "getAwardCode", "The code of a coupon")
            .describe("A code is a secret: it stands in no list and in no log.")
            .needs::<Claim>()
            .answers::<CodeView>(200, "The code.", json!({ "code": "SPRING-7F3K" }))
            .refuses(&["award.missing", "award.nothing_to_tell", "award.sealed"]),
        Operation::get("/awards/{draw}/address", "getAwardAddress", "Where a prize goes")
            .needs::<Operate>()
            .answers::<AddressView>(200, "The address.", address())
            .refuses(&["award.missing", "award.nothing_to_tell", "award.sealed"]),
    ]
}

fn changing() -> Vec<Operation> {
    let order = |path, id, summary| {
        let operation = Operation::post(path, id, summary).needs::<Operate>();
        let operation = operation.body::<ReasonBody>(json!({ "reason": "the endpoint is back" })).keyed();
        operation.refuses(&["award.missing", "award.state", "edge.bad_text", "award.entropy", "award.sealed"])
    };
    vec![
        Operation::post("/awards/{draw}/claim", "claimAward", "Say where a prize goes")
            .describe("While the time to claim lasts, once. The address is kept sealed, and forgotten with the participant.")
            .needs::<Claim>()
            .body::<AddressView>(address())
            .keyed()
            .answers::<AwardView>(201, "It is claimed.", points(json!({ "state": "claimed", "at_ms": AT_MS })))
            .refuses(&["award.missing", "award.state", "edge.bad_text", "award.entropy", "award.sealed"]),
        Operation::post("/awards/{draw}/hand-over", "handOverAward", "Note that a prize was handed over, or sent")
            .describe("Takes no Idempotency-Key: the same note makes it the same call.")
            .needs::<Operate>()
            .body::<HandOverBody>(json!({ "note": "parcel 7" }))
            .answers::<AwardView>(
                200,
                "The award.",
                json!({ "draw": DRAW, "state": "handed_over", "prize": "105", "at_ms": AT_MS, "note": "parcel 7" }),
            )
            .refuses(&["award.handed_over_before", "award.missing", "award.state", "edge.bad_text"]),
        order("/awards/{draw}/replay", "replayAward", "Try again what could not be done")
            .describe(
                "A transfer that the ledger refused, or a webhook that was given up. A webhook that may have been taken is asked \
                 for first, where the endpoint has a status URL.",
            )
            .answers::<AwardView>(201, "It was tried, or will be at once.", points(json!({ "state": "paid", "at_ms": AT_MS, "refused": 1 })))
            .refuses(&["award.nothing_to_tell"]),
        order("/awards/{draw}/reverse", "reverseAward", "Take an award back")
            .describe(
                "Points and tickets go back by a reversal in the ledger, unless they were spent; a coupon's code becomes void; a \
                 webhook tells of it under a name of its own. What was handed over, sent or has expired is not taken back. \
                 Stock is not given back.",
            )
            .answers::<AwardView>(201, "It is taken back.", points(json!({ "state": "reversed", "at_ms": AT_MS })))
            .refuses(&["award.spent"]),
    ]
}
