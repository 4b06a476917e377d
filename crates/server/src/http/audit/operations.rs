//! Routes of the audit log, as the API's document tells them.

use serde_json::json;

use super::{AuditQuery, EntriesView, SealsView};
use crate::http::auth::Audit;
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/audit", "listAuditEntries", "Who did what")
            .describe("Oldest first, stream by stream. Participants stand by pseudonym.")
            .needs::<Audit>()
            .query::<AuditQuery>()
            .answers::<EntriesView>(
                200,
                "A page of entries.",
                json!({ "entries": [{
                    "stream": "changes", "seq": 2, "at_ms": 1_795_404_083_840_i64, "actor": "ops", "role": "operator",
                    "action": "restock", "subject": "raffle/spring", "request_key": "restock/105 monday",
                    "body_hash": "1d26", "detail": "prize 105, 5 units, entry 10: the dealer lent us five more",
                }], "next": "changes.2" }),
            ),
        Operation::get("/audit/seals", "listAuditSeals", "The seals over the audit log")
            .describe("A seal is a Merkle root over entries, chained to the seal before. Keep a recent one elsewhere.")
            .needs::<Audit>()
            .query::<PageQuery>()
            .answers::<SealsView>(
                200,
                "A page of seals.",
                json!({ "seals": [{
                    "stream": "changes", "batch": 1, "first_seq": 1, "last_seq": 2, "previous": "00", "root": "9c1f",
                    "hash": "77ab", "at_ms": 1_795_404_085_000_i64,
                }] }),
            ),
    ]
}
