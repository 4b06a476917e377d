//! Routes of acts, as the API's document tells them.

use campaign::act::Outcome;
use serde_json::{Value, json};

use super::{ActorBody, BehaviourBody, CalendarView, CodeView, ReferralBody};
use crate::http::auth::{Act, Look, Report};
use crate::http::campaigns::WhoseQuery;
use crate::http::operation::Operation;

/// What whoever acts in a campaign may be told.
pub(in crate::http) const ACT: &[&str] = &[
    "campaign.ended",
    "campaign.missing",
    "campaign.not_begun",
    "campaign.not_for_them",
    "edge.bad_text",
    "edge.other_participant",
];

const AT: i64 = 1_795_404_083_388;

fn gain(rule: &str, unit: &str, amount: i64) -> Value {
    json!({ "campaign": "summer", "rule": rule, "unit": unit, "wallet": "main", "amount": amount })
}

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    earning().into_iter().chain(bringing()).collect()
}

fn earning() -> Vec<Operation> {
    vec![
        Operation::post("/behaviours", "reportBehaviour", "Report what a participant did")
            .describe(
                "The business id is the key, for each participant and behaviour: the same again is answered as before, byte \
                 for byte, with `Idempotent-Replayed: true`, and gives nothing twice. Without `campaign` every campaign that \
                 runs gives by its own rules. What caps and budgets hold back is told, with the reason, and stays so.",
            )
            .needs::<Report>()
            .body::<BehaviourBody>(json!({
                "participant": "ada", "behaviour": "purchase", "business_id": "order-7", "value": 12_900,
            }))
            .repeats()
            .answers::<Outcome>(
                201,
                "It is noted, and this is what it gave.",
                json!({ "act": "behaved", "at_ms": AT, "gains": [gain("rebate", "point", 129)] }),
            )
            .refuses(&["campaign.bad_input", "campaign.ended", "campaign.missing", "campaign.not_begun"])
            .refuses(&["idempotency.key_reused"]),
        Operation::post("/campaigns/{id}/sign-ins", "signIn", "Sign in for today")
            .describe(
                "Today is the day of the campaign's time zone. It is signed once: asked again, it is answered as before. A \
                 participant signs for themself.",
            )
            .needs::<Act>()
            .body::<ActorBody>(json!({ "participant": "ada" }))
            .repeats()
            .answers::<Outcome>(
                201,
                "The day is signed, and this is what it gave.",
                json!({
                    "act": "signed_in", "at_ms": AT, "campaign": "summer", "day": "2026-11-23", "streak": 3,
                    "gains": [gain("sign_in", "point", 5)],
                }),
            )
            .refuses(ACT)
            .refuses(&["campaign.no_sign_in"]),
        Operation::get("/campaigns/{id}/calendar", "getCalendar", "What somebody has signed")
            .describe("A key names the participant; with a token it is whoever bears it.")
            .needs::<Look>()
            .query::<WhoseQuery>()
            .answers::<CalendarView>(
                200,
                "The calendar of this month.",
                json!({
                    "campaign": "summer", "today": "2026-11-23", "signed_today": true, "streak": 3, "total": 9,
                    "days": [3, 4, 21, 22, 23],
                }),
            )
            .refuses(&["campaign.bad_input", "campaign.missing", "edge.other_participant"]),
    ]
}

fn bringing() -> Vec<Operation> {
    vec![
        Operation::put("/campaigns/{id}/referral-code", "getReferralCode", "Somebody's referral code")
            .describe("Made where there is none; the same ever after.")
            .needs::<Act>()
            .body::<ActorBody>(json!({ "participant": "ada" }))
            .answers::<CodeView>(200, "Their code.", json!({ "campaign": "summer", "code": "7KQ2MXNA4B" }))
            .refuses(&["award.entropy", "campaign.missing", "campaign.no_referral", "edge.bad_text"])
            .refuses(&["edge.other_participant"]),
        Operation::post("/campaigns/{id}/referrals", "refer", "Note that somebody was brought")
            .describe(
                "Once for each participant and campaign. What both get follows when the one who was brought does what the \
                 campaign asks; whoever brought them hears of it a moment later.",
            )
            .needs::<Act>()
            .body::<ReferralBody>(json!({ "participant": "bob", "code": "7KQ2MXNA4B" }))
            .repeats()
            .answers::<Outcome>(
                201,
                "It is noted.",
                json!({ "act": "referred", "at_ms": AT, "campaign": "summer" }),
            )
            .refuses(&["campaign.brought_before", "campaign.circular_referral", "campaign.ended", "campaign.not_new"])
            .refuses(&["campaign.missing", "campaign.no_referral", "campaign.no_such_code"])
            .refuses(&["campaign.not_begun", "edge.bad_text", "edge.other_participant"]),
    ]
}
