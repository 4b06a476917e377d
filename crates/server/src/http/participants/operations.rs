//! Routes of participants, as the API's document tells them.

use serde_json::json;

use super::{MintBody, MintedView};
use crate::http::auth::Mint;
use crate::http::operation::Operation;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/participant-tokens", "mintParticipantToken", "Mint a participant's token")
            .describe(
                "For a participant's browser: its bearer draws as themself and sees their own draws. It is not stored and \
                 cannot be called back. Takes no Idempotency-Key: a second token does no more than the first.",
            )
            .needs::<Mint>()
            .body::<MintBody>(json!({ "participant": "ada", "seconds": 3600 }))
            .answers::<MintedView>(
                201,
                "The token.",
                json!({ "token": "fgp1.eyJ0ZW5hbnQiOiJtYWluIi", "expires_ms": 1_795_407_683_388_i64 }),
            )
            .refuses(&["edge.bad_number", "edge.bad_text"]),
    ]
}
