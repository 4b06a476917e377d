//! Routes of drafts, as the API's document tells them.

use serde_json::{Value, json};

use super::{DraftQuery, DraftView, DraftsView, MovedDraftView};
use crate::http::auth::{self, Approve, Operate, Permission};
use crate::http::operation::Operation;
use crate::http::raffles::PublishedView;
use crate::http::request::{PageQuery, ReasonBody, RemarkBody};

/// What whoever names a raffle may be told.
const RAFFLE: &[&str] = &["raffle.missing", "raffle.wrong_seed_key"];

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    reading().into_iter().chain(writing()).chain(moving()).collect()
}

fn reading() -> Vec<Operation> {
    let mut read = drafted();
    read["document"] = "raffle: spring\ntitle: Spring raffle\n".into();
    vec![
        Operation::get("/raffles/{id}/drafts", "listDrafts", "All drafts of a raffle")
            .describe("By number.")
            .needs::<auth::Review>()
            .query::<PageQuery>()
            .answers::<DraftsView<'static>>(
                200,
                "A page of drafts.",
                json!({ "drafts": [{
                    "draft": 1, "base": 1, "state": "approved", "author": "ops", "approver": "law", "written_by": "ops",
                    "written_ms": 1_795_404_083_000_i64,
                }] }),
            )
            .refuses(RAFFLE)
            .refuses(&["draft.missing"]),
        Operation::get("/raffles/{id}/drafts/{draft}", "getDraft", "A draft as it stands")
            .describe("Held against the version that is live now.")
            .needs::<auth::Review>()
            .query::<DraftQuery>()
            .answers::<DraftView<'static>>(200, "The draft.", read)
            .refuses(RAFFLE)
            .refuses(&["draft.missing", "raffle.broken_version", "raffle.document"]),
    ]
}

fn writing() -> Vec<Operation> {
    let drafting = |path, id, summary| {
        let operation = Operation::post(path, id, summary).needs::<Operate>();
        operation.refuses(RAFFLE).refuses(&["raffle.broken_version", "raffle.document", "raffle.entropy"])
    };
    vec![
        drafting("/raffles/{id}/drafts", "writeDraft", "Write a draft")
            .describe(
                "What is wrong with the document is told in `findings` and does not keep it from being stored; \
                 one of the wrong shape is refused. A document may have 1 MiB.",
            )
            .document(json!({
                "raffle": "spring", "title": "Spring raffle",
                "prizes": [
                    { "id": "101", "title": "Random points", "weight": 8, "stock": "unlimited" },
                    { "id": "105", "title": "A bicycle", "weight": 2, "stock": 5 },
                ],
                "denominator": 10,
            }))
            .keyed()
            .answers::<DraftView<'static>>(201, "It is written, and told as it was then.", drafted())
            .refuses(&["edge.wrong_media", "raffle.other_raffle"]),
        drafting("/raffles/{id}/versions/{version}/draft", "draftVersion", "Draft an earlier version")
            .describe(
                "Its document is the draft: the way back where one person may not restore it alone. Takes no body; \
                 what is sent is only hashed.",
            )
            .keyed()
            .answers::<DraftView<'static>>(201, "It is written, and told as it was then.", drafted())
            .refuses(&["raffle.no_such_version"]),
    ]
}

fn moving() -> Vec<Operation> {
    vec![
        remarked::<Operate>("/raffles/{id}/drafts/{draft}/submit", "submitDraft", "Show a draft to others")
            .describe("A draft with errors is not submitted.")
            .answers::<MovedDraftView<'static>>(201, "It is submitted.", moved("submitted", "ops"))
            .refuses(&["raffle.document"]),
        remarked::<Approve>("/raffles/{id}/drafts/{draft}/approve", "approveDraft", "Approve a draft")
            .describe("Not for the key that wrote it, nor for another of its name.")
            .answers::<MovedDraftView<'static>>(201, "It is approved.", moved("approved", "law"))
            .refuses(&["review.same_person"]),
        ended::<Approve>("/raffles/{id}/drafts/{draft}/reject", "rejectDraft", "Reject a draft")
            .describe("Also what was approved, as long as it is not published.")
            .answers::<MovedDraftView<'static>>(201, "It is rejected.", moved("rejected", "law")),
        ended::<Operate>("/raffles/{id}/drafts/{draft}/withdraw", "withdrawDraft", "Withdraw a draft")
            .answers::<MovedDraftView<'static>>(201, "It is withdrawn.", moved("withdrawn", "ops")),
        remarked::<Operate>("/raffles/{id}/drafts/{draft}/publish", "publishDraft", "Publish a draft")
            .describe(
                "Only while the version that it was written from is live. Where `needs_approval` says why, it must \
                 be approved.",
            )
            .answers::<PublishedView<'static>>(
                201,
                "The draft is a version, and draws are taken under it.",
                json!({
                    "raffle": "spring", "version": 2, "rules_hash": "1f0c22ab", "epoch": 2, "seed_hash": "b2077d5e",
                    "published_ms": 1_795_404_183_000_i64, "warnings": [],
                }),
            )
            .refuses(&["draft.stale", "raffle.document", "raffle.entropy", "raffle.other_raffle"])
            .refuses(&["raffle.broken_version", "raffle.stock_is_not_edited", "review.needed"]),
    ]
}

fn a_move<P: Permission>(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let operation = Operation::post(path, id, summary).needs::<P>();
    operation.refuses(RAFFLE).refuses(&["draft.missing", "edge.bad_text", "review.state"])
}

/// A move that may come with a reason.
fn remarked<P: Permission>(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    a_move::<P>(path, id, summary)
        .may_body::<RemarkBody>(json!({ "reason": "more bicycles for summer" }))
        .keyed()
}

/// A move that needs a reason.
fn ended<P: Permission>(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    a_move::<P>(path, id, summary).body::<ReasonBody>(json!({ "reason": "too dear" })).keyed()
}

fn moved(state: &str, by: &str) -> Value {
    json!({ "raffle": "spring", "draft": 1, "state": state, "by": by, "at_ms": 1_795_404_083_840_i64 })
}

fn drafted() -> Value {
    json!({
        "raffle": "spring", "draft": 1, "base": 1, "live": 1, "stale": false, "state": "drafted", "author": "ops",
        "needs_approval": [{
            "code": "review.odds", "message": "odds of prize `105`, base pool: 10% -> 20%, by more than 10%",
        }],
        "moves": [{ "state": "drafted", "by": "ops", "at_ms": 1_795_404_083_000_i64 }],
        "findings": [],
        "diff": {
            "changes": [{
                "code": "diff.odds", "pointer": "/prizes/1/weight",
                "message": "odds of prize `105`, base pool: 10% -> 20%", "before": "1/10", "after": "1/5",
            }],
            "expected_cost": { "base": { "before": "0", "after": "0", "per_day": null } },
            "draws_per_day": null,
        },
    })
}
