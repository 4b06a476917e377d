//! The JSON body of each route, and what is malformed in it.

use std::sync::{LazyLock, OnceLock};

use embedded::clock::SystemClock;
use kernel::ports::clock::Clock;

use super::values::*;

/// A field of a JSON body.
pub struct Field {
    name: &'static str,
    sound: &'static str,
    is_needed: bool,
    wrong: &'static [&'static str],
}

/// Stands for a time that is not far away: the server's clock is the machine's.
const SOON: &str = "SOON";
static IN_AN_HOUR: LazyLock<String> =
    LazyLock::new(|| (SystemClock::default().now_ms() + 3_600_000).to_string());
/// Stands for a referral code that somebody has.
const KNOWN_CODE: &str = "KNOWN_CODE";
/// The code, once it is known.
pub static CODE: OnceLock<String> = OnceLock::new();
/// The year 2100.
const LATE: &str = "4102444800000";

const fn needed(name: &'static str, sound: &'static str, wrong: &'static [&'static str]) -> Field {
    Field { name, sound, is_needed: true, wrong }
}

const fn free(name: &'static str, sound: &'static str, wrong: &'static [&'static str]) -> Field {
    Field { name, sound, is_needed: false, wrong }
}

/// The body of each route that takes JSON.
const BODIES: &[(&str, &[Field])] = &[
    ("/raffles/{id}/epochs", &[]),
    ("/raffles/{id}/freeze", &[needed("reason", "\"lent\"", TEXT), free("prize", "\"car\"", TEXT)]),
    ("/raffles/{id}/thaw", &[needed("reason", "\"back\"", TEXT), free("prize", "\"car\"", TEXT)]),
    (
        "/raffles/{id}/prizes/{prize}/restock",
        &[needed("units", "5", NUMBER), needed("reason", "\"found\"", TEXT)],
    ),
    ("/raffles/{id}/budget/raise", &[needed("amount", "5", NUMBER), needed("reason", "\"rich\"", TEXT)]),
    (
        "/raffles/{id}/promises",
        &[
            needed("participant", "\"bob\"", TEXT),
            needed("prize", "\"car\"", TEXT),
            needed("reason", "\"a friend\"", TEXT),
        ],
    ),
    ("/raffles/{id}/draws", DRAW),
    ("/raffles/{id}/dry-runs", DRAW),
    ("/awards/{draw}/hand-over", &[needed("note", "\"parcel 7\"", TEXT)]),
    (
        "/awards/{draw}/claim",
        &[
            needed("name", "\"Ada\"", TEXT),
            needed("lines", "[\"1 Example Street\"]", LINES),
            needed("country", "\"DE\"", TEXT),
            free("phone", "\"+49 1\"", TEXT),
        ],
    ),
    ("/awards/{draw}/replay", REASON),
    ("/awards/{draw}/reverse", REASON),
    (
        "/endpoints",
        &[
            needed("endpoint", "\"pay\"", TEXT),
            needed("url", "\"https://pay.example/\"", URLS),
            free("status_url", "\"https://pay.example/taken\"", URLS),
            free("keeps_ids", "true", TRUTHS),
        ],
    ),
    (
        "/endpoints/{endpoint}",
        &[
            needed("url", "\"https://pay.example/\"", URLS),
            free("status_url", "\"https://pay.example/taken\"", URLS),
            free("keeps_ids", "true", TRUTHS),
            needed("enabled", "true", TRUTHS),
        ],
    ),
    ("/endpoints/{endpoint}/replay", REASON),
    ("/endpoints/{endpoint}/rotate", &[free("overlap_seconds", "60", NUMBER)]),
    ("/dead-letters/{letter}/replay", REASON),
    ("/raffles/{id}/versions/{version}/restore", &[needed("reason", "\"it was better\"", TEXT)]),
    ("/raffles/{id}/versions/{version}/draft", &[]),
    ("/raffles/{id}/drafts/{draft}/submit", REMARK),
    ("/raffles/{id}/drafts/{draft}/approve", REMARK),
    ("/raffles/{id}/drafts/{draft}/reject", REASON),
    ("/raffles/{id}/drafts/{draft}/withdraw", REASON),
    ("/raffles/{id}/drafts/{draft}/publish", REMARK),
    (
        "/raffles/{id}/proposals",
        &[needed("proposed", RESTOCK, PROPOSED), needed("reason", "\"found\"", TEXT)],
    ),
    ("/raffles/{id}/proposals/{proposal}/approve", REMARK),
    ("/raffles/{id}/proposals/{proposal}/reject", REASON),
    ("/raffles/{id}/proposals/{proposal}/withdraw", REASON),
    (
        "/transfers",
        &[
            needed("legs", PAID, LEGS),
            free("code", "\"rebate\"", TEXT),
            free("reference", "\"order-7\"", TEXT),
            free("available_ms", "1", NUMBER),
            free("expires_ms", LATE, NUMBER),
        ],
    ),
    ("/transfers/{id}/reversal", ABOUT),
    (
        "/exchanges",
        &[
            needed("participant", "\"ada\"", TEXT),
            free("wallet", "\"main\"", TEXT),
            needed("from", "\"point\"", TEXT),
            needed("to", "\"coin\"", TEXT),
            needed("amount", "10", NUMBER),
            free("rate", "{\"gives\":1,\"takes\":10,\"rounding\":\"down\"}", RATE),
            free("reference", "\"order-7\"", TEXT),
        ],
    ),
    (
        "/holds",
        &[
            needed("from", "{\"participant\":\"ada\"}", PLACE),
            needed("to", "{\"house\":\"spent\"}", PLACE),
            needed("unit", "\"point\"", TEXT),
            needed("amount", "5", NUMBER),
            needed("expires_ms", SOON, NUMBER),
            free("code", "\"rebate\"", TEXT),
            free("reference", "\"order-7\"", TEXT),
        ],
    ),
    (
        "/holds/{id}/capture",
        &[
            free("amount", "5", NUMBER),
            free("code", "\"rebate\"", TEXT),
            free("reference", "\"order-7\"", TEXT),
        ],
    ),
    ("/holds/{id}/release", ABOUT),
    ("/participants/{participant}/wallets/{wallet}/units/{unit}", OPENED),
    ("/house-accounts/{account}/units/{unit}", OPENED),
    (
        "/experiments",
        &[
            needed("experiment", "\"fresh\"", TEXT),
            needed("title", "\"Fresh\"", TEXT),
            needed("subject", "{\"named\":\"fresh\"}", SUBJECT),
            free("layer", "\"fresh\"", TEXT),
            free("buckets", "{\"from\":0,\"until\":5000}", RANGE),
            needed("denominator", "2", NUMBER),
            needed("arms", "[{\"arm\":\"a\",\"weight\":1},{\"arm\":\"b\",\"weight\":1}]", ARMS),
            free("goals", "[{\"goal\":\"told\",\"measure\":\"share\"}]", GOALS),
        ],
    ),
    ("/experiments/{experiment}/start", REASON),
    ("/experiments/{experiment}/stop", REASON),
    (
        "/experiments/{experiment}/weights",
        &[needed("weights", "{\"a\":1,\"b\":1}", WEIGHTS), needed("reason", "\"because\"", TEXT)],
    ),
    ("/experiments/{experiment}/assignment", &[needed("participant", "\"ada\"", TEXT)]),
    (
        "/experiments/{experiment}/goals",
        &[
            needed("participant", "\"ada\"", TEXT),
            needed("goal", "\"told\"", TEXT),
            needed("event", "\"order-1\"", TEXT),
            free("value", "7", NUMBER),
        ],
    ),
    (
        "/switches/{switch}",
        &[
            free("value", "7", SWITCH),
            free("participant", "\"bob\"", TEXT),
            free("until_ms", "4102444800000", UNTIL),
            needed("version", "0", NUMBER),
            needed("reason", "\"because\"", TEXT),
        ],
    ),
    (
        "/behaviours",
        &[
            needed("participant", "\"ada\"", TEXT),
            needed("behaviour", "\"share\"", BEHAVIOUR),
            needed("business_id", "\"post-1\"", BUSINESS_ID),
            free("value", "5", VALUE),
            free("campaign", "\"tried\"", TEXT),
        ],
    ),
    ("/campaigns/{id}/sign-ins", ACTOR),
    ("/campaigns/{id}/referral-code", ACTOR),
    (
        "/campaigns/{id}/referrals",
        &[needed("participant", "\"bob\"", TEXT), needed("code", "\"KNOWN_CODE\"", CODES)],
    ),
    (
        "/campaigns/{id}/orders",
        &[
            needed("participant", "\"ada\"", TEXT),
            needed("offer", "\"pen\"", TEXT),
            free("quantity", "1", NUMBER),
        ],
    ),
    ("/orders/{id}/pay", ACTOR),
    ("/orders/{id}/cancel", ACTOR),
    ("/audiences/{list}/members", &[needed("participants", "[\"ada\",\"bob\"]", NAMES)]),
    ("/participant-tokens", &[needed("participant", "\"ada\"", TEXT), needed("seconds", "60", NUMBER)]),
];

const ACTOR: &[Field] = &[needed("participant", "\"ada\"", TEXT)];
const ABOUT: &[Field] = &[free("code", "\"refund\"", TEXT), free("reference", "\"order-7\"", TEXT)];
const OPENED: &[Field] = &[
    needed("overdraft", "{\"up_to\":5}", OVERDRAFT),
    free("code", "\"contract\"", TEXT),
    free("reference", "\"order-7\"", TEXT),
];
const REASON: &[Field] = &[needed("reason", "\"because\"", TEXT)];
const REMARK: &[Field] = &[free("reason", "\"because\"", TEXT)];
const RESTOCK: &str = "{\"order\":\"restock\",\"prize\":\"car\",\"units\":5}";

const DRAW: &[Field] = &[
    needed("participant", "\"ada\"", TEXT),
    free("client_seed", "\"mine\"", TEXT),
    free("points_spent", "7", NUMBER),
    free("metrics", "{\"steps\":5}", METRICS),
    free("attributes", "{\"level\":\"gold\"}", ATTRIBUTES),
    free("draws", "2", NUMBER),
];

/// The fields of the body of a route that takes JSON.
pub fn body_of(path: &str) -> Option<&'static [Field]> {
    BODIES.iter().find(|(known, _)| *known == path).map(|(_, fields)| *fields)
}

/// A JSON object of names and values, as text.
fn object<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let code = CODE.get().map_or(KNOWN_CODE, String::as_str);
    let stands_for = |value: &str| value.replace(SOON, &IN_AN_HOUR).replace(KNOWN_CODE, code);
    let entries = entries.into_iter().map(|(name, value)| format!("\"{name}\":{}", stands_for(value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

pub(super) fn sound_body(path: &str) -> String {
    let fields = body_of(path).unwrap_or_default();
    if fields.is_empty() {
        String::new()
    } else {
        object(fields.iter().map(|field| (field.name, field.sound)))
    }
}

/// Every malformed body of a route that takes JSON.
pub(super) fn wrong_bodies(path: &str, fields: &[Field]) -> Vec<Vec<u8>> {
    let sound = object(fields.iter().map(|field| (field.name, field.sound)));
    let (long, deep) = ("x".repeat(3_000), 20_000);
    let mut bodies: Vec<Vec<u8>> = vec![];
    let texts = [
        "{",
        "[]",
        "null",
        "5",
        "\"x\"",
        "true",
        "NaN",
        "{\"\":}",
        "{,}",
        "{'a':1}",
        "{} {}",
        "\u{feff}{}",
        "//x\n{}",
        "\0",
    ];
    bodies.extend(texts.map(|text| text.as_bytes().to_vec()));
    bodies.push(format!("{sound}{sound}").into_bytes());
    bodies.push(sound.as_bytes()[..sound.len() - 1].to_vec());
    bodies.push([sound.as_bytes(), b"\xff"].concat());
    bodies.push(sound.replace('{', "{\"\u{1}\":1,").into_bytes());
    bodies.push(["[".repeat(deep), "]".repeat(deep)].concat().into_bytes());
    bodies.push(["{\"a\":".repeat(deep), "1".into(), "}".repeat(deep)].concat().into_bytes());
    bodies.push(format!("{sound}{}", " ".repeat(1024 * 1024 + 1 - sound.len())).into_bytes());
    let entries = || fields.iter().map(|field| (field.name, field.sound));
    bodies.push(object(entries().chain([("colour", "1")])).into_bytes());
    // A body by position would be a body that nobody documented.
    let values: Vec<_> = fields.iter().map(|field| field.sound).collect();
    bodies.push(format!("[{}]", values.join(",")).into_bytes());
    if fields.iter().any(|field| field.is_needed) {
        bodies.push(vec![]);
        bodies.push(b"{}".to_vec());
    }
    for field in fields {
        bodies.push(object(entries().chain([(field.name, field.sound)])).into_bytes());
        let with = |value: &str| {
            let value = value.replace("LONG", &long);
            let entry =
                |(name, sound)| if name == field.name { (name, value.as_str()) } else { (name, sound) };
            let body = object(entries().map(entry));
            match body.split_once("BROKEN") {
                Some((before, after)) => [before.as_bytes(), b"\xc3\x28", after.as_bytes()].concat(),
                None => body.into_bytes(),
            }
        };
        // A dry run tells of what the rules do not know, as it tells of every other refusal.
        let is_told = |wrong: &str| {
            path.ends_with("dry-runs") && (wrong.contains("strides") || wrong.contains("colour"))
        };
        bodies.extend(field.wrong.iter().filter(|wrong| !is_told(wrong)).map(|wrong| with(wrong)));
        if field.is_needed {
            bodies.push(with("null"));
            bodies.push(object(entries().filter(|(name, _)| *name != field.name)).into_bytes());
        }
        let beyond = match field.name {
            "units" | "amount" if path.starts_with("/raffles") => UNITS,
            "amount" => AMOUNT,
            "seconds" => SECONDS,
            "quantity" => QUANTITY,
            "overlap_seconds" => &["2592001"],
            "draws" => &["0", "1000000"],
            _ => &[],
        };
        bodies.extend(beyond.iter().map(|wrong| with(wrong)));
    }
    bodies
}
