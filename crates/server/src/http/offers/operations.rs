//! Routes of orders, as the API's document tells them.

use campaign::act::Outcome;
use serde_json::{Value, json};

use super::{OrderBody, OrderView, OrdersQuery, OrdersView};
use crate::http::acts::{ACT, ActorBody};
use crate::http::auth::{Act, Look};
use crate::http::operation::Operation;

const AT: i64 = 1_795_404_083_388;
const ORDER: &str = "ord_02x4000000000g000000000009";

fn price() -> Value {
    json!({ "unit": "point", "wallet": "main", "amount": 200 })
}

fn order(state: &str, ended_ms: Option<i64>) -> Value {
    let gains = if state == "paid" {
        json!([{ "campaign": "summer", "rule": "ticket", "unit": "ticket", "wallet": "raffle-spring", "amount": 2 }])
    } else {
        json!([])
    };
    json!({
        "order": ORDER, "state": state, "campaign": "summer", "offer": "ticket", "quantity": 2, "price": price(),
        "at_ms": AT, "expires_ms": AT + 900_000, "ended_ms": ended_ms, "gains": gains,
    })
}

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let moved = |path, id, summary, means, state| {
        Operation::post(path, id, summary)
            .needs::<Act>()
            .body::<ActorBody>(json!({ "participant": "ada" }))
            .repeats()
            .answers::<OrderView<'static>>(200, means, order(state, Some(AT + 60_000)))
            .refuses(&["edge.bad_text", "edge.other_participant", "offer.no_such_order", "offer.order_ended"])
    };
    vec![
        Operation::post("/campaigns/{id}/orders", "order", "Order an offer")
            .describe(
                "Its units and its price are set aside until it is paid, cancelled, or its time is over. A repeat with the \
                 same Idempotency-Key and body is answered as before, byte for byte, whatever has become of the order; each \
                 participant has keys of their own. An order that is refused leaves no record.",
            )
            .needs::<Act>()
            .body::<OrderBody>(json!({ "participant": "ada", "offer": "ticket", "quantity": 2 }))
            .keyed()
            .answers::<Outcome>(
                201,
                "It is set aside.",
                json!({
                    "act": "ordered", "at_ms": AT, "order": ORDER, "campaign": "summer", "offer": "ticket", "quantity": 2,
                    "price": price(), "expires_ms": AT + 900_000,
                }),
            )
            .refuses(ACT)
            .refuses(&["offer.cap", "offer.missing", "offer.not_enough", "offer.sold_out", "offer.too_many"])
            .refuses(&["offer.wallet_full"]),
        moved("/orders/{id}/pay", "payOrder", "Pay an order", "It is paid, and this was given.", "paid")
            .describe("What it gives is given, the price taken and the stock sold, all together or nothing. Once.")
            .refuses(&["campaign.missing", "offer.budget_used", "offer.price_gone", "offer.wallet_full"]),
        moved("/orders/{id}/cancel", "cancelOrder", "Give an order up", "It is given up.", "cancelled")
            .describe("The price, the stock and what it counted under caps come back. Once."),
        Operation::get("/orders/{id}", "getOrder", "Where an order stands")
            .describe("A participant sees their own orders alone.")
            .needs::<Look>()
            .answers::<OrderView<'static>>(200, "The order.", order("ordered", None))
            .refuses(&["campaign.bad_input", "offer.no_such_order"]),
        Operation::get("/orders", "listOrders", "Somebody's orders")
            .describe("The latest first. A key names the participant; with a token it is whoever bears it.")
            .needs::<Look>()
            .query::<OrdersQuery>()
            .answers::<OrdersView<'static>>(
                200,
                "A page of orders.",
                json!({ "orders": [order("paid", Some(AT + 60_000))], "next": ORDER }),
            )
            .refuses(&["campaign.bad_input", "edge.other_participant"]),
    ]
}
