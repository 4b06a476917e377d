//! Routes of orders, as the API's document tells them.

use serde_json::{Value, json};

use super::exchanges::{ExchangeBody, RatesView};
use super::holds::{CaptureBody, HoldBody, HoldView};
use super::{AboutBody, EntryView, ReceiptView, TransferBody};
use crate::http::auth::{Look, Move, Read};
use crate::http::operation::Operation;

/// What whoever orders something may be told, done or not.
pub(in crate::http) const ORDER: &[&str] = &[
    "edge.bad_text",
    "ledger.bad_text",
    "ledger.insufficient_funds",
    "ledger.balance_too_large",
    "ledger.too_many_lots",
];
/// What whoever names an account may be told.
pub(in crate::http) const ACCOUNT: &[&str] = &["ledger.bad_unit", "ledger.bad_account"];
/// What whoever names a hold may be told.
const HOLD: &[&str] = &[
    "transfer.missing",
    "ledger.no_such_hold",
    "ledger.hold_captured",
    "ledger.hold_released",
    "ledger.hold_expired",
];
const ID: &str = "9f86d081884c7d659a2feaa0c55ad015";

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    transfers().into_iter().chain(exchanges()).chain(holds()).collect()
}

pub(in crate::http) fn receipt(lines: Value) -> Value {
    json!({ "id": ID, "seq": 7, "at_ms": 1_795_404_083_388_i64, "lines": lines })
}

fn line(account: &str, number: u64, [amount, held, balance, held_then]: [i64; 4]) -> Value {
    let after = json!({ "balance": balance, "held": held_then, "pending": 0 });
    json!({ "account": account, "amount": amount, "held": held, "number": number, "after": after })
}

const ADA: &str = "745/0cc175b9c0f1b6a831c399e269772661";
const ISSUED: &str = "1024/92eb5ffee6ae2fec3ad71c777531578f";

fn granted() -> Value {
    receipt(json!([line(ISSUED, 4, [-50, 0, -170, 0]), line(ADA, 1, [50, 0, 50, 0])]))
}

fn transfers() -> Vec<Operation> {
    let mut entry = granted();
    if let Some(fields) = entry.as_object_mut() {
        let more = json!({
            "kind": "transfer", "refused": null, "code": "rebate", "reference": "order-7", "subject": null, "to": null,
            "available_ms": null, "expires_ms": null,
        });
        fields.extend(more.as_object().cloned().unwrap_or_default());
    }
    vec![
        Operation::post("/transfers", "transfer", "Move what is counted: all legs, or nothing")
            .describe(
                "The Idempotency-Key is the transfer's id. A transfer that is refused stays refused: ask again under a new \
                 key. Wallets of participants open by themselves, and so do the house's accounts `issued` (where things \
                 come from), `exchange`, `spent` and `expired`; others of the house are opened first.",
            )
            .needs::<Move>()
            .body::<TransferBody>(json!({
                "legs": [
                    { "house": "issued", "unit": "point", "amount": -50 },
                    { "participant": "ada", "unit": "point", "amount": 50 },
                ],
                "code": "rebate",
                "reference": "order-7",
            }))
            .keyed()
            .answers::<ReceiptView>(201, "It is done.", granted())
            .refuses(ORDER)
            .refuses(ACCOUNT)
            .refuses(&[
                "edge.bad_number",
                "ledger.bad_amount",
                "ledger.bad_legs",
                "ledger.bad_time",
                "ledger.no_such_account",
                "ledger.time_over",
                "ledger.unbalanced",
            ]),
        Operation::get("/transfers/{id}", "getTransfer", "What became of an order")
            .describe("Of whatever kind: transfers, exchanges, holds, captures, releases, reversals; done or refused.")
            .needs::<Read>()
            .answers::<EntryView>(200, "Its entry in the journal.", entry)
            .refuses(&["transfer.missing"]),
        Operation::post("/transfers/{id}/reversal", "reverseTransfer", "Undo a transfer or a capture by its opposite")
            .describe("Once, and both stay in the journal. What was spent since cannot be taken back; what has expired since comes \
                 back from the house's account `expired`.")
            .needs::<Move>()
            .may_body::<AboutBody>(json!({ "code": "refund", "reference": "complaint-3" }))
            .keyed()
            .answers::<ReceiptView>(
                201,
                "It is undone.",
                receipt(json!([line(ISSUED, 5, [50, 0, -120, 0]), line(ADA, 2, [-50, 0, 0, 0])])),
            )
            .refuses(ORDER)
            .refuses(&["ledger.no_such_transfer", "ledger.not_reversible", "transfer.missing"]),
    ]
}

fn exchanges() -> Vec<Operation> {
    let rate = json!({ "gives": 1, "takes": 10, "rounding": "down" });
    vec![
        Operation::post("/exchanges", "exchange", "Turn one unit into another, in one wallet")
            .describe(
                "At the rate of the house's configuration, through the house's account `exchange` of either unit. A repeat \
                 is answered with what was exchanged, whatever has become of the rate.",
            )
            .needs::<Move>()
            .body::<ExchangeBody>(json!({
                "participant": "ada", "from": "point", "to": "coin", "amount": 105, "rate": rate,
            }))
            .keyed()
            .answers::<ReceiptView>(
                201,
                "It is exchanged.",
                receipt(json!([
                    line(ADA, 3, [-105, 0, 20, 0]),
                    line(ISSUED, 1, [105, 0, 105, 0]),
                    line(ISSUED, 1, [-10, 0, -10, 0]),
                    line(ADA, 1, [10, 0, 10, 0]),
                ])),
            )
            .refuses(ORDER)
            .refuses(ACCOUNT)
            .refuses(&[
                "ledger.bad_amount",
                "ledger.bad_exchange",
                "ledger.bad_legs",
                "ledger.no_rate",
                "ledger.other_rate",
            ]),
        Operation::get("/rates", "listRates", "The rates at which units are exchanged").needs::<Look>().answers::<RatesView>(
            200,
            "All of them.",
            json!({ "rates": [{ "from": "point", "to": "coin", "gives": 1, "takes": 10, "rounding": "down" }] }),
        ),
    ]
}

fn holds() -> Vec<Operation> {
    vec![
        Operation::post("/holds", "hold", "Keep an amount back")
            .describe(
                "Until it is captured or released, or its time is over by the server's clock. The hold's id is the answer's \
                 `id`.",
            )
            .needs::<Move>()
            .body::<HoldBody>(json!({
                "from": { "participant": "ada" }, "to": { "house": "spent" }, "unit": "point", "amount": 20,
                "expires_ms": 1_795_404_983_000_i64, "reference": "order-8",
            }))
            .keyed()
            .answers::<ReceiptView>(201, "It is held.", receipt(json!([line(ADA, 4, [0, 20, 50, 20])])))
            .refuses(ORDER)
            .refuses(ACCOUNT)
            .refuses(&[
                "edge.bad_number",
                "ledger.bad_amount",
                "ledger.bad_legs",
                "ledger.no_such_account",
                "ledger.time_over",
                "ledger.too_many_holds",
            ]),
        Operation::get("/holds/{id}", "getHold", "A hold, and what became of it")
            .describe("What became due in the last second may not be done yet.")
            .needs::<Read>()
            .answers::<HoldView>(
                200,
                "The hold.",
                json!({
                    "id": ID, "account": ADA, "to": ISSUED, "amount": 20, "expires_ms": 1_795_404_983_000_i64,
                    "state": "open",
                }),
            )
            .refuses(&["hold.missing"]),
        Operation::post("/holds/{id}/capture", "captureHold", "Move what is held, or a part of it")
            .describe("Once; the rest is released.")
            .needs::<Move>()
            .may_body::<CaptureBody>(json!({ "amount": 15 }))
            .keyed()
            .answers::<ReceiptView>(
                201,
                "It is moved.",
                receipt(json!([line(ADA, 5, [-15, -20, 35, 0]), line(ISSUED, 2, [15, 0, 15, 0])])),
            )
            .refuses(ORDER)
            .refuses(HOLD)
            .refuses(&["ledger.bad_amount", "ledger.beyond_hold", "ledger.no_such_account"]),
        Operation::post("/holds/{id}/release", "releaseHold", "Give back what is held")
            .needs::<Move>()
            .may_body::<AboutBody>(json!({ "reference": "order-8" }))
            .keyed()
            .answers::<ReceiptView>(201, "It is released.", receipt(json!([line(ADA, 5, [0, -20, 50, 0])])))
            .refuses(&["edge.bad_text", "ledger.bad_text"])
            .refuses(HOLD),
    ]
}
