//! Routes of accounts, as the API's document tells them.

use serde_json::{Value, json};

use super::{BalancesView, LotsView, OpenBody, StatementView};
use crate::http::auth::{Look, Operate, Read};
use crate::http::ledger::{ACCOUNT, ORDER, ReceiptView, receipt};
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

const KEY: &str = "745/0cc175b9c0f1b6a831c399e269772661";

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let mut all = opening();
    all.extend([
        balances("/participants/{participant}/balances", "getBalances", "What a participant has")
            .needs::<Look>(),
        balances(
            "/house-accounts/{account}/balances",
            "getHouseBalances",
            "What an account of the house has",
        )
        .needs::<Read>(),
        statement(
            "/participants/{participant}/wallets/{wallet}/units/{unit}/statement",
            "getStatement",
            "What became of a wallet, posting by posting",
        )
        .needs::<Look>()
        .refuses(&["edge.other_participant"]),
        lots(),
        statement(
            "/house-accounts/{account}/units/{unit}/statement",
            "getHouseStatement",
            "What became of an account of the house, posting by posting",
        )
        .needs::<Read>(),
    ]);
    all
}

fn opening() -> Vec<Operation> {
    let opened = || {
        let after = json!({ "balance": 0, "held": 0, "pending": 0 });
        receipt(json!([{ "account": KEY, "amount": 0, "held": 0, "number": 1, "after": after }]))
    };
    let open = |path, id, summary| {
        Operation::put(path, id, summary)
            .describe(
                "Opens it where there is none. With an entry in the audit log. An overdraft below what the account owes is \
                 refused.",
            )
            .needs::<Operate>()
            .body::<OpenBody>(json!({ "overdraft": { "up_to": 500 }, "reference": "contract-12" }))
            .keyed()
            .answers::<ReceiptView>(200, "It stands open.", opened())
            .refuses(ORDER)
            .refuses(ACCOUNT)
            .refuses(&["ledger.bad_amount"])
    };
    vec![
        open(
            "/participants/{participant}/wallets/{wallet}/units/{unit}",
            "openWallet",
            "Say how much a participant may owe",
        ),
        open(
            "/house-accounts/{account}/units/{unit}",
            "openHouseAccount",
            "Open an account of the house, and say how much it may owe",
        ),
    ]
}

fn balances(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let balance = json!({
        "account": KEY, "wallet": "main", "unit": "point", "overdraft": "forbidden", "balance": 50, "held": 20,
        "pending": 0,
    });
    let page: Value = json!({ "balances": [balance] });
    let operation = Operation::get(path, id, summary)
        .describe("All wallets and units. What is held or pending is a part of the balance that cannot be spent now.")
        .query::<PageQuery>()
        .answers::<BalancesView>(200, "A page of accounts.", page)
        .refuses(&["ledger.bad_text"]);
    if path.starts_with("/participants") { operation.refuses(&["edge.other_participant"]) } else { operation }
}

fn lots() -> Operation {
    let lot = json!({
        "lot": 1, "amount": 50, "left": 20, "expired": 0, "pending": false, "available_ms": null,
        "expires_ms": 1_798_675_200_000_i64,
    });
    let path = "/participants/{participant}/wallets/{wallet}/units/{unit}/lots";
    Operation::get(path, "listLots", "What a wallet is made of, and when it expires")
        .describe(
            "The parts of a balance that have something left, in the order in which they came: the first that is available is \
             spent first.",
        )
        .needs::<Look>()
        .query::<PageQuery>()
        .answers::<LotsView>(200, "A page of lots.", json!({ "lots": [lot] }))
        .refuses(&["account.missing", "edge.other_participant", "ledger.bad_text", "ledger.bad_unit"])
}

fn statement(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let after = json!({ "balance": 50, "held": 20, "pending": 0 });
    let posting = json!({
        "number": 2, "id": "9f86d081884c7d659a2feaa0c55ad015", "seq": 8, "at_ms": 1_795_404_083_388_i64, "kind": "hold",
        "code": "hold", "reference": "order-8", "amount": 0, "held": 20, "after": after,
    });
    Operation::get(path, id, summary)
        .describe("The latest first.")
        .query::<PageQuery>()
        .answers::<StatementView>(200, "A page of postings.", json!({ "postings": [posting] }))
        .refuses(&["account.missing", "ledger.bad_text", "ledger.bad_unit"])
}
