//! Routes of campaigns, as the API's document tells them.

use serde_json::{Value, json};

use super::{CampaignPublishedView, CampaignVersionView, CampaignView, CampaignsView, ShownView, WhoseQuery};
use crate::http::auth::{Look, Operate, Read};
use crate::http::operation::Operation;
use crate::http::request::PageQuery;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    reading().into_iter().chain(publishing()).collect()
}

fn shown() -> Value {
    json!({
        "campaign": "summer", "version": 1, "title": "A summer of tickets", "from_ms": 1_780_243_200_000_i64,
        "until_ms": null,
    })
}

fn standing() -> Value {
    let mut standing = shown();
    let more = json!({
        "time_zone": "Asia/Shanghai",
        "placements": [{ "channel": "app", "source": "home" }],
        "behaviours": ["purchase", "sign_in"],
        "has_sign_in": true,
        "has_referral": false,
        "offers": [{
            "id": "ticket", "title": "A ticket", "price": { "unit": "point", "wallet": "main", "amount": 100 },
            "per_order": 5, "pay_within_seconds": 900, "free": 996, "held": 1, "sold": 3,
        }],
        "budget": [{ "unit": "point", "set_aside": 100_000, "left": 98_765 }],
    });
    if let (Some(fields), Some(more)) = (standing.as_object_mut(), more.as_object()) {
        fields.extend(more.clone());
    }
    standing
}

fn document() -> Value {
    json!({
        "campaign": "summer",
        "title": "A summer of tickets",
        "earning": [{ "id": "rebate", "behaviour": "purchase", "gains": [{ "unit": "point", "amount": 10 }] }],
        "offers": [{
            "id": "ticket", "title": "A ticket", "price": { "unit": "point", "amount": 100 }, "stock": 1000,
            "gains": [{ "unit": "ticket", "wallet": "raffle-spring", "amount": 1 }],
        }],
    })
}

fn reading() -> Vec<Operation> {
    vec![
        Operation::get("/campaigns", "listCampaigns", "All campaigns")
            .describe("By id, as they are published now.")
            .needs::<Read>()
            .query::<PageQuery>()
            .answers::<CampaignsView<'static>>(
                200,
                "A page of campaigns.",
                json!({ "campaigns": [shown()], "next": "summer" }),
            ),
        Operation::get("/campaigns/{id}", "getCampaign", "How a campaign stands")
            .describe("What it says in the main, the stock of its offers, and what the ledger has left of its budget.")
            .needs::<Look>()
            .answers::<CampaignView<'static>>(200, "How it stands.", standing())
            .refuses(&["campaign.missing"]),
        Operation::get("/campaigns/{id}/versions/{version}", "getCampaignVersion", "A version's document")
            .needs::<Read>()
            .answers::<CampaignVersionView<'static>>(
                200,
                "The document, as it was sent.",
                json!({
                    "campaign": "summer", "version": 1, "published_ms": 1_795_404_083_000_i64,
                    "document": "campaign: summer\ntitle: A summer of tickets\n",
                }),
            )
            .refuses(&["campaign.missing", "campaign.no_such_version"]),
        Operation::get("/placements/{channel}/{source}", "getPlacement", "The campaign that is shown at a place now")
            .describe(
                "With a participant's token, or where `participant` is named: only one whose audience they belong to, as far \
                 as can be seen without a lock. Acting decides.",
            )
            .needs::<Look>()
            .query::<WhoseQuery>()
            .answers::<ShownView<'static>>(200, "The campaign.", shown())
            .refuses(&["campaign.bad_input", "campaign.nothing_placed", "edge.other_participant"]),
        Operation::get("/schemas/campaign", "getCampaignSchema", "The JSON Schema of campaign documents")
            .describe("`fairground schema campaign` prints the same. Needs no key.")
            .tells_object("application/schema+json", "The schema."),
    ]
}

fn publishing() -> Vec<Operation> {
    vec![
        Operation::post("/campaigns/{id}/versions", "publishCampaign", "Publish a document as the next version")
            .describe(
                "The first makes the campaign. What the budget says is set aside in the ledger, in the account \
                 `campaign-<id>` of the house. Where the document is wrong, `findings` holds everything about it.",
            )
            .needs::<Operate>()
            .campaign(document())
            .keyed()
            .answers::<CampaignPublishedView<'static>>(
                201,
                "The version is published, and acts are taken under it.",
                json!({
                    "campaign": "summer", "version": 1, "published_ms": 1_795_404_083_000_i64, "warnings": [],
                }),
            )
            .refuses(&["campaign.broken_version", "campaign.budget_spent", "campaign.document"])
            .refuses(&["campaign.other_campaign", "campaign.placement_taken", "campaign.stock_taken"])
            .refuses(&["campaign.too_many", "edge.wrong_media"]),
    ]
}
