//! The route of erasure, as the API's document tells it.

use serde_json::json;

use super::{ErasedView, ReasonQuery};
use crate::http::auth::Operate;
use crate::http::operation::Operation;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::delete("/participants/{participant}", "eraseParticipant", "Forget who somebody was")
            .describe(
                "In all raffles, campaigns and the ledger. Draws, chains and counters stay valid under the pseudonym, accounts and their \
                 entries under a key, and what was done in campaigns under a hash; referral codes are removed, and the participant is \
                 taken off every list. The audit log has an entry for each raffle that knew the name, one for campaigns, and one for the ledger. Takes no Idempotency-Key: doing it again changes nothing. Goes on if the \
                 caller goes away.",
            )
            .needs::<Operate>()
            .query::<ReasonQuery>()
            .answers::<ErasedView>(200, "The name is forgotten.", json!({ "raffles": 2, "erased": 2, "accounts": 1, "experiments": 1, "codes": 1, "lists": 2 }))
            .refuses(&["edge.bad_text"]),
    ]
}
