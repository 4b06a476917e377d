//! Routes of proposals, as the API's document tells them.

use serde_json::{Value, json};

use super::{MovedProposalView, ProposalView, ProposalsView, ProposeBody};
use crate::http::auth::{self, Approve, Operate};
use crate::http::operation::Operation;
use crate::http::raffles::CarriedView;
use crate::http::request::{PageQuery, ReasonBody, RemarkBody};

/// What whoever names a raffle may be told.
const RAFFLE: &[&str] = &["raffle.missing", "raffle.wrong_seed_key"];

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    reading().into_iter().chain(changing()).collect()
}

fn reading() -> Vec<Operation> {
    let proposal = json!({
        "raffle": "spring", "proposal": 1, "proposed": { "order": "restock", "prize": "105", "units": 5_000 },
        "state": "submitted", "author": "ops",
        "moves": [{
            "state": "submitted", "by": "ops", "at_ms": 1_795_404_083_000_i64, "reason": "a truck has come",
        }],
    });
    vec![
        Operation::get("/raffles/{id}/proposals", "listProposals", "All proposals of a raffle")
            .describe("By number.")
            .needs::<auth::Review>()
            .query::<PageQuery>()
            .answers::<ProposalsView<'static>>(
                200,
                "A page of proposals.",
                json!({ "proposals": [proposal] }),
            )
            .refuses(RAFFLE)
            .refuses(&["proposal.missing", "raffle.broken_version"]),
        Operation::get("/raffles/{id}/proposals/{proposal}", "getProposal", "A proposal as it stands")
            .needs::<auth::Review>()
            .answers::<ProposalView<'static>>(200, "The proposal.", proposal)
            .refuses(RAFFLE)
            .refuses(&["proposal.missing", "raffle.broken_version"]),
    ]
}

fn changing() -> Vec<Operation> {
    vec![
        Operation::post("/raffles/{id}/proposals", "propose", "Propose an order")
            .describe("For what one person may not order alone: there `review.needed` is answered.")
            .needs::<Operate>()
            .body::<ProposeBody>(json!({
                "proposed": { "order": "restock", "prize": "105", "units": 5_000 }, "reason": "a truck has come",
            }))
            .keyed()
            .answers::<MovedProposalView<'static>>(
                201,
                "It is proposed.",
                moved("submitted", "ops", "a truck has come"),
            )
            .refuses(RAFFLE)
            .refuses(&["edge.bad_number", "edge.bad_text", "raffle.broken_version", "raffle.no_such_prize"])
            .refuses(&["raffle.promises_forbidden"]),
        Operation::post("/raffles/{id}/proposals/{proposal}/approve", "approveProposal", "Approve a proposal")
            .describe(
                "The order is carried out with the approval, in one transaction. Not for the key that proposed \
                 it, nor for another of its name.",
            )
            .needs::<Approve>()
            .may_body::<RemarkBody>(json!({ "reason": "I saw the truck" }))
            .keyed()
            .answers::<CarriedView<'static>>(
                201,
                "The order is carried out.",
                json!({
                    "raffle": "spring", "event": "moved", "seq": 10, "at_ms": 1_795_404_083_840_i64, "prize": "105",
                    "units": 5_000, "reason": "a truck has come",
                }),
            )
            .refuses(RAFFLE)
            .refuses(&["edge.bad_text", "proposal.erased_person", "proposal.missing", "raffle.no_such_prize"])
            .refuses(&["raffle.promises_forbidden"])
            .refuses(&["raffle.broken_version", "review.same_person", "review.state"]),
        Operation::post("/raffles/{id}/proposals/{proposal}/reject", "rejectProposal", "Reject a proposal")
            .needs::<Approve>()
            .body::<ReasonBody>(json!({ "reason": "there was no truck" }))
            .keyed()
            .answers::<MovedProposalView<'static>>(
                201,
                "It is rejected.",
                moved("rejected", "law", "there was no truck"),
            )
            .refuses(RAFFLE)
            .refuses(&["edge.bad_text", "proposal.missing", "review.state"]),
        Operation::post("/raffles/{id}/proposals/{proposal}/withdraw", "withdrawProposal", "Withdraw a proposal")
            .needs::<Operate>()
            .body::<ReasonBody>(json!({ "reason": "it went elsewhere" }))
            .keyed()
            .answers::<MovedProposalView<'static>>(
                201,
                "It is withdrawn.",
                moved("withdrawn", "ops", "it went elsewhere"),
            )
            .refuses(RAFFLE)
            .refuses(&["edge.bad_text", "proposal.missing", "review.state"]),
    ]
}

fn moved(state: &str, by: &str, reason: &str) -> Value {
    json!({
        "raffle": "spring", "proposal": 1, "state": state, "by": by, "at_ms": 1_795_404_083_840_i64, "reason": reason,
    })
}
