//! Routes of raffles, as the API's document tells them.

use raffle::rules::{BUDGET, Rules};
use serde_json::{Value, json};

use super::orders::{CarriedView, FreezeBody, PromiseBody, RaiseBody, RestockBody};
use super::{EpochsView, OddsView, PublishedView, RaffleView, RafflesView, TurnView};
use crate::http::auth::{Look, Operate, Read};
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

const OPENING: &[&str] = &["raffle.broken_version", "raffle.entropy", "raffle.wrong_seed_key"];

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    reading().into_iter().chain(changing()).collect()
}

fn reading() -> Vec<Operation> {
    vec![
        Operation::get("/raffles", "listRaffles", "All raffles")
            .describe("By id.")
            .needs::<Read>()
            .query::<PageQuery>()
            .answers::<RafflesView>(200, "A page of ids.", json!({ "raffles": ["spring"], "next": "spring" })),
        Operation::get("/raffles/{id}", "getRaffle", "How a raffle stands")
            .describe("Its version, epoch, stock and budget now.")
            .needs::<Look>()
            .answers::<RaffleView<'static>>(200, "How it stands.", standing())
            .refuses(&["raffle.broken_version", "raffle.missing"]),
        Operation::get("/raffles/{id}/versions/{version}", "getVersion", "A version's canonical rules")
            .describe(
                "SHA-256 of the body, as it is, is the `rules_hash` that was published. People stand by pseudonym.",
            )
            .needs::<Look>()
            .answers::<Rules>(200, "The rules.", rules())
            .refuses(&["raffle.missing", "raffle.no_such_version"]),
        Operation::get("/raffles/{id}/odds", "getOdds", "The exact odds of a raffle")
            .describe("Of its latest version, as fractions.")
            .needs::<Look>()
            .answers::<OddsView>(
                200,
                "The odds.",
                json!({
                    "version": 1, "pools": { "base": { "101": "9/10", "105": "1/10" } },
                    "unlock": { "0": { "101": "9/10", "105": "1/10" } },
                }),
            )
            .refuses(&["raffle.broken_version", "raffle.missing"]),
        Operation::get("/raffles/{id}/epochs", "listEpochs", "Commitments and revealed seeds")
            .describe("`seed_hash` is published before the epoch's first draw, the seed after its last.")
            .needs::<Look>()
            .answers::<EpochsView<'static>>(
                200,
                "All epochs.",
                json!({ "epochs": [{
                    "epoch": 1, "version": 1, "seed_hash": "69293e47", "rules_hash": "9871308d",
                    "opened_ms": 1_795_404_083_000_i64, "state": "open", "gates": [0], "closed": [],
                }] }),
            )
            .refuses(&["raffle.broken_version", "raffle.missing"]),
        Operation::get("/raffles/{id}/evidence", "getEvidence", "Everything that an outsider needs")
            .describe("The log of all revealed epochs, one JSON object a line. `fairground verify` replays it.")
            .needs::<Look>()
            .tells("application/jsonl", "The evidence, streamed.")
            .refuses(OPENING)
            .refuses(&["raffle.missing", "raffle.nothing_revealed"]),
        Operation::get("/schemas/raffle", "getRaffleSchema", "The JSON Schema of raffle documents")
            .describe("`fairground schema` prints the same. Needs no key.")
            .tells_object("application/schema+json", "The schema."),
    ]
}

fn changing() -> Vec<Operation> {
    let order = |path, id, summary| {
        let operation = Operation::post(path, id, summary).needs::<Operate>();
        operation.refuses(&["edge.bad_text", "raffle.broken_version", "raffle.missing"])
    };
    let reason = "the dealer lent us five more";
    vec![
        Operation::post("/raffles/{id}/versions", "publish", "Publish a version")
            .describe(
                "The first version makes the raffle; a later one closes the epoch and opens the next. A document may have \
                 1 MiB. Whatever is wrong with it is told at once, in `findings`.",
            )
            .needs::<Operate>()
            .document(document())
            .keyed()
            .answers::<PublishedView<'static>>(
                201,
                "The version is published, and draws are taken under it.",
                json!({
                    "raffle": "spring", "version": 1, "rules_hash": "9871308d", "epoch": 1, "seed_hash": "69293e47",
                    "published_ms": 1_795_404_083_000_i64, "warnings": [],
                }),
            )
            .refuses(OPENING)
            .refuses(&["edge.wrong_media", "raffle.document", "raffle.other_raffle"])
            .refuses(&["draft.stale", "raffle.stock_is_not_edited", "review.needed"]),
        Operation::post("/raffles/{id}/epochs", "turnEpoch", "Close the epoch, reveal its seed, open the next")
            .describe("Takes no body; what is sent is only hashed.")
            .needs::<Operate>()
            .keyed()
            .answers::<TurnView<'static>>(201, "The epoch that is open now.", json!({ "raffle": "spring", "epoch": 2 }))
            .refuses(OPENING)
            .refuses(&["raffle.missing", "raffle.over"]),
        order("/raffles/{id}/freeze", "freeze", "Freeze a raffle, or one of its prizes")
            .body::<FreezeBody>(json!({ "prize": "105", "reason": "broken" }))
            .keyed()
            .answers::<CarriedView<'static>>(201, "It is frozen.", carried("frozen", "broken", 0))
            .refuses(&["raffle.already_so", "raffle.no_such_prize"]),
        order("/raffles/{id}/thaw", "thaw", "Thaw a raffle, or one of its prizes")
            .body::<FreezeBody>(json!({ "prize": "105", "reason": "repaired" }))
            .keyed()
            .answers::<CarriedView<'static>>(201, "It is thawed.", carried("thawed", "repaired", 0))
            .refuses(&["raffle.already_so", "raffle.no_such_prize"]),
        order("/raffles/{id}/prizes/{prize}/restock", "restock", "Add units to a prize")
            .body::<RestockBody>(json!({ "units": 5, "reason": reason }))
            .keyed()
            .answers::<CarriedView<'static>>(201, "The units are there.", carried("moved", reason, 5))
            .refuses(&["edge.bad_number", "raffle.no_such_prize", "review.needed"]),
        order("/raffles/{id}/budget/raise", "raiseBudget", "Raise a raffle's budget")
            .body::<RaiseBody>(json!({ "amount": 50_000, "reason": "a second sponsor" }))
            .keyed()
            .answers::<CarriedView<'static>>(201, "The budget is raised.", carried_budget())
            .refuses(&["edge.bad_number", "raffle.no_such_prize", "review.needed"]),
        order("/raffles/{id}/promises", "promise", "Promise a prize to a participant")
            .describe("Only where the rules allow guaranteed winners, and one person may: else it is a proposal. The log shows it to everybody, under the pseudonym.")
            .body::<PromiseBody>(json!({ "participant": "ada", "prize": "105", "reason": "a lost parcel" }))
            .keyed()
            .answers::<CarriedView<'static>>(201, "It is promised.", carried("promised", "a lost parcel", 0))
            .refuses(&["raffle.no_such_prize", "raffle.promises_forbidden", "review.needed"]),
    ]
}

fn carried(event: &str, reason: &str, units: u64) -> Value {
    let mut view = json!({
        "raffle": "spring", "event": event, "seq": 10, "at_ms": 1_795_404_083_840_i64, "prize": "105", "reason": reason,
    });
    if units > 0 {
        view["units"] = units.into();
    }
    view
}

fn carried_budget() -> Value {
    let mut view = carried("moved", "a second sponsor", 50_000);
    view["prize"] = BUDGET.into();
    view
}

fn document() -> Value {
    json!({
        "raffle": "spring", "title": "Spring raffle",
        "prizes": [
            { "id": "101", "title": "Random points", "weight": 9, "stock": "unlimited" },
            { "id": "105", "title": "A bicycle", "weight": 1, "stock": 5 },
        ],
        "denominator": 10,
    })
}

fn standing() -> Value {
    json!({
        "raffle": "spring", "version": 1, "epoch": 1, "frozen": false, "time_zone": "UTC", "from_ms": null,
        "until_ms": null, "entries": 9,
        "prizes": [
            { "id": "101", "title": "Random points", "unlimited": true, "granted": null, "free": null, "frozen": false },
            { "id": "105", "title": "A bicycle", "unlimited": false, "granted": 1, "free": 4, "frozen": false },
        ],
    })
}

fn rules() -> Value {
    json!({
        "format": "fairground/rules/1", "tenant": "main", "raffle": "spring", "version": 1, "time_zone": "UTC",
        "from_ms": null, "until_ms": null, "tickets": { "total": null, "per_day": null }, "epoch_entries_max": 1_000_000,
        "attributes": [], "metrics": [], "eligibility": [], "base": [["101", 9], ["105", 1]], "tiers": null,
        "denied": null, "prizes": {}, "trees": {}, "no_win_tree": null, "exhausted": { "policy": "no_win" },
        "win_interval_seconds": null, "budget": null, "guaranteed_winners": "forbidden",
    })
}
