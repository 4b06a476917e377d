//! What is malformed, for each route.

mod bodies;
mod values;

pub use bodies::{CODE, body_of};
use bodies::{sound_body, wrong_bodies};

use campaign::offer::OrderKey;
use kernel::id::{Bucket, Place, Shard, Tenant};
use ledger::order::OrderId;

use crate::routes::TABLE;
use crate::wire::Raw;

/// A raffle in which every field of every body means something.
pub const DOCUMENT: &str = "raffle: tried
title: Tried
denominator: 10
attributes: [level]
metrics: [steps]
prizes:
  - {id: car, title: Car, weight: 4, stock: 50, cost: 1}
  - {id: pen, title: Pen, weight: 6, stock: unlimited}
budget: {amount: 1000, when_spent: stop}
guaranteed_winners: allowed
";

/// A campaign in which every field of every body means something.
pub const CAMPAIGN: &str = "campaign: tried
title: Tried
placements:
  - {channel: app, source: home}
budget: {units: {point: 1000}}
earning:
  - {id: share, behaviour: share, gains: [{unit: point, amount: 1}]}
  - {id: thanks, behaviour: referral, gains: [{unit: point, amount: 2}]}
sign_in:
  days: [[{unit: point, amount: 1}]]
referral: {behaviour: purchase}
offers:
  - {id: pen, title: Pen, price: {unit: point, amount: 1}, gains: [{unit: ticket, amount: 1}], stock: 50, pay_within_seconds: 86400}
";

/// Campaign documents that are none.
const CAMPAIGNS: &[(&str, &str)] = &[
    (CAMPAIGN, ""),
    (CAMPAIGN, "{"),
    (CAMPAIGN, "[]"),
    (CAMPAIGN, "null"),
    (CAMPAIGN, "--- a\n--- b\n"),
    (CAMPAIGN, "\u{0}"),
    ("campaign: tried", "campaign: 5"),
    ("campaign: tried", "campaign: other"),
    ("campaign: tried", "campaign: [tried"),
    ("campaign: tried", "campaign: tried\ncampaign: tried"),
    ("campaign: tried", "campaign: tried\nraffle: tried"),
    ("campaign: tried", "campaign: &a [*a, *a]"),
    ("campaign: tried\n", ""),
    ("title: Tried", "title: \"\""),
    ("title: Tried", "title: Tried\ntime_zone: Mars/Olympus"),
    ("title: Tried", "title: Tried\nwindow: {from: tomorrow}"),
    ("title: Tried", "title: Tried\naudience: nobody"),
    ("source: home", "source: Home"),
    ("point: 1000", "point: 0"),
    ("point: 1000", "point: -1000"),
    ("point: 1000", "point: 1000.5"),
    ("point: 1000", "point: 1000000000000001"),
    ("point: 1000", "Point: 1000"),
    ("id: thanks", "id: share"),
    ("unit: point, amount: 1}", "unit: point}"),
    ("unit: point, amount: 1}", "unit: point, amount: 1e400}"),
    ("unit: point, amount: 1}", "unit: point, amount: \"1\"}"),
    ("stock: 50", "stock: 0.5"),
    ("stock: 50", "stock: some"),
    ("pay_within_seconds: 86400", "pay_within_seconds: 0"),
    ("offers:\n", "offers: {}\nlist:\n"),
];

/// Documents that are none.
const DOCUMENTS: &[(&str, &str)] = &[
    (DOCUMENT, ""),
    (DOCUMENT, "{"),
    (DOCUMENT, "[]"),
    (DOCUMENT, "null"),
    (DOCUMENT, "- a\n- b\n"),
    (DOCUMENT, "--- a\n--- b\n"),
    (DOCUMENT, "\u{0}"),
    ("raffle: tried", "raffle: 5"),
    ("raffle: tried", "raffle: other"),
    ("raffle: tried", "raffle: [tried"),
    ("raffle: tried", "raffle: tried\nraffle: tried"),
    ("raffle: tried", "raffle: tried\ncolour: red"),
    ("raffle: tried", "raffle: &a [*a, *a]"),
    ("raffle: tried", "raffle: *nobody"),
    ("raffle: tried\n", ""),
    ("denominator: 10", "denominator: 0"),
    ("denominator: 10", "denominator: -10"),
    ("denominator: 10", "denominator: 10.5"),
    ("denominator: 10", "denominator: .nan"),
    ("denominator: 10", "denominator: 1e400"),
    ("denominator: 10", "denominator: 99999999999999999999999999999999999999999999"),
    ("weight: 4", "weight: 18446744073709551615"),
    ("weight: 4", "weight: \"4\""),
    ("stock: 50", "stock: null"),
    ("stock: 50", "stock: 51"),
    ("prizes:\n", "prizes: {}\nlist:\n"),
];

const PAGES: &[&str] = &[
    "/raffles",
    "/campaigns",
    "/orders",
    "/raffles/{id}/versions",
    "/raffles/{id}/drafts",
    "/raffles/{id}/proposals",
    "/raffles/{id}/awards",
    "/participants/{participant}/balances",
    "/participants/{participant}/wallets/{wallet}/units/{unit}/statement",
    "/participants/{participant}/wallets/{wallet}/units/{unit}/lots",
    "/house-accounts/{account}/balances",
    "/house-accounts/{account}/units/{unit}/statement",
    "/experiments",
    "/experiments/{experiment}/exposures",
    "/switches/{switch}/changes",
    "/coupon-pools",
    "/endpoints",
    "/dead-letters",
    "/audit",
    "/audit/seals",
    "/participants/{participant}/timeline",
    "/search/activities",
];

/// Every malformed query of a route that takes one.
fn wrong_queries(method: &str, path: &str) -> Vec<String> {
    let is_list = method == "GET" && PAGES.contains(&path);
    let long = format!("reason={}", "x".repeat(501));
    let texts: &[&str] = if is_list {
        values::LISTS
    } else if path == "/search/activities.csv" {
        values::SHEETS
    } else if path == "/awards" {
        &[
            "",
            "participant=",
            "participant=%00",
            "participant=a&participant=b",
            "participant=a&colour=red",
            "participant=a&limit=0",
            "participant=a&cursor=x",
            "participant=a&cursor=1",
            "participant=a&cursor=1.x",
        ]
    } else if path.ends_with("/calendar") || path.starts_with("/placements") {
        &["participant=", "participant=%00", "participant=a&participant=b", "colour=red", "Participant=ada"]
    } else if path == "/participants/{participant}" {
        &[
            "",
            "reason=",
            "reason=%00",
            "reason=a&reason=b",
            "reason=a&colour=red",
            "Reason=a",
            "reason",
            &long,
        ]
    } else if method == "GET" && path.ends_with("/assignment") {
        &[
            "",
            "participant=",
            "participant=%00",
            "participant",
            "participant=a&participant=b",
            "participant=a&colour=red",
        ]
    } else if path.ends_with("/diff") {
        &["", "from", "from=", "from=0", "from=-1", "from=x", "from=2", "from=1&from=1", "from=1&colour=red"]
    } else if path == "/raffles/{id}/drafts/{draft}" {
        &["draws_per_day=", "draws_per_day=-1", "draws_per_day=x", "draws_per_day=4294967296", "colour=red"]
    } else {
        &[]
    };
    let mut queries: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    if path == "/raffles/{id}/awards" {
        queries.extend(["state=", "state=won", "state=granted&state=paid"].map(str::to_owned));
    }
    if path.ends_with("/calendar") {
        queries.push(String::new());
    }
    if path == "/orders" {
        queries = queries.iter().map(|query| format!("participant=ada&{query}")).collect();
        let wrong = [
            "",
            "participant=",
            "participant=%00",
            "participant=bob&participant=bob",
            "limit=1",
            "cursor=ord_",
        ];
        queries.extend(wrong.map(str::to_owned));
        queries.push(format!("participant={}", "x".repeat(129)));
        queries.push("participant=ada&cursor=ord_".to_owned());
    } else if is_list
        && !["/raffles", "/campaigns", "/experiments", "/coupon-pools", "/endpoints"].contains(&path)
    {
        queries.extend(
            ["cursor=%ff", "cursor=-1", "cursor=x", "cursor=99999999999999999999"].map(str::to_owned),
        );
    }
    queries
}

/// What stands in paths where nothing like it may.
fn wrong_ids(name: &str) -> Vec<String> {
    let mut ids: Vec<_> = ["%ff", "%c3%28", "", "%00", "a/b"].map(str::to_owned).into();
    ids.push("x".repeat(2_000));
    if ["{version}", "{draft}", "{proposal}"].contains(&name) {
        ids.extend(
            ["-1", "0", "1.5", "x", "4294967296", "+", "%2031", "99999999999999999999"].map(str::to_owned),
        );
    }
    if !["{participant}", "{wallet}", "{account}"].contains(&name) {
        // Any of these may be a name.
        ids.extend(
            ["%2e%2e", "..", "%2e%2e%2f%2e%2e%2fdraw", "%27%3b--", "%25ff", "%c3%a9", "%0d%0a"]
                .map(str::to_owned),
        );
    }
    // A pool may be called like this too.
    if !["{participant}", "{wallet}", "{account}", "{pool}"].contains(&name) {
        // The first may be a unit.
        let from = match name {
            "{unit}" => 1,
            // And all of them a list.
            "{list}" => 3,
            _ => 0,
        };
        ids.extend(
            ["drw_", "drw_zzzzzzzzzzzzzzzzzzzzzzzzzz", "drw_00000000000000000000000000"][from..]
                .iter()
                .map(|&id| id.to_owned()),
        );
    }
    ids
}

/// Bearers that open nothing.
fn wrong_bearers() -> Vec<Option<Vec<u8>>> {
    let texts = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a guess",
        "Basic YTpi",
        "bearer\tx",
        "the key of admin",
        "Bearer fgp1.",
        "Bearer fgp1.e30.e30",
        "Bearer fgp1.!.!",
    ];
    let mut bearers: Vec<_> = texts.iter().map(|text| Some(text.as_bytes().to_vec())).collect();
    bearers.extend([
        None,
        Some(b"Bearer \xff\xfe".to_vec()),
        Some(format!("Bearer {}", "x".repeat(20_000)).into_bytes()),
    ]);
    bearers
}

/// The documents and proposals that moves are about: each move has one of its own, in the state that it needs.
const MOVED: &[(&str, &str, &str)] = &[
    ("/experiments/{experiment}/start", "{experiment}", "drafted"),
    ("/drafts/{draft}/submit", "{draft}", "1"),
    ("/drafts/{draft}/approve", "{draft}", "2"),
    ("/drafts/{draft}/reject", "{draft}", "3"),
    ("/drafts/{draft}/withdraw", "{draft}", "4"),
    ("/drafts/{draft}/publish", "{draft}", "5"),
    ("/proposals/{proposal}/approve", "{proposal}", "2"),
    ("/proposals/{proposal}/reject", "{proposal}", "3"),
    ("/proposals/{proposal}/withdraw", "{proposal}", "4"),
];

/// The orders to the ledger that routes are about, by their Idempotency-Keys.
const ORDERED: &[(&str, &str)] = &[
    ("/transfers/{id}", "paid"),
    ("/transfers/{id}/reversal", "paid"),
    ("/holds/{id}", "held-1"),
    ("/holds/{id}/capture", "held-1"),
    ("/holds/{id}/release", "held-2"),
];

/// The orders of offers that routes are about: ada's first acts in the first campaign.
fn offer_order(path: &str) -> Option<String> {
    let seq = match path {
        "/orders/{id}" | "/orders/{id}/pay" => 1,
        "/orders/{id}/cancel" => 2,
        _ => return None,
    };
    let bucket = Bucket::of(Tenant::MAIN.name, "ada").number();
    Some(OrderKey(Place { bucket, shard: Shard::HOME, subject: 1, seq }).to_string())
}

/// The id of the order that an Idempotency-Key names.
fn order_id(key: &str) -> String {
    OrderId::of(&[b"key", key.as_bytes()]).to_string()
}

/// Whether a route's body is a document.
pub fn takes_document(path: &str) -> bool {
    path.ends_with("/versions") || path.ends_with("/drafts")
}

/// The sound document of a route that takes one, and what changes it into none.
fn document_of(path: &str) -> (&'static str, &'static [(&'static str, &'static str)]) {
    if path.starts_with("/campaigns") { (CAMPAIGN, CAMPAIGNS) } else { (DOCUMENT, DOCUMENTS) }
}

/// Whether a route carries a body.
pub fn sends(method: &str, path: &str) -> bool {
    ["POST", "PUT"].contains(&method) || (method == "DELETE" && path.starts_with("/audiences"))
}

/// Whether a route's body is coupon codes.
pub fn takes_codes(path: &str) -> bool {
    path.ends_with("/codes")
}

/// The sound request of a route.
pub fn sound(method: &str, path: &str, draw: &str) -> Raw {
    let moved = MOVED.iter().find(|(end, ..)| path.ends_with(end));
    let path_moved = moved.map(|(_, name, number)| path.replace(name, number));
    let target = path_moved.as_deref().unwrap_or(path);
    let target = target.replace("{draft}", "1").replace("{proposal}", "1");
    let ordered = ORDERED.iter().find(|(of, _)| *of == path).map(|(_, key)| order_id(key));
    let ordered = ordered.or_else(|| offer_order(path));
    let id = ordered.as_deref().unwrap_or(if path.starts_with("/draws") { draw } else { "tried" });
    let target = target.replace("{id}", id);
    let target = target.replace("{wallet}", "main").replace("{unit}", "point").replace("{account}", "pot");
    let target = target.replace("{version}", "1").replace("{prize}", "car").replace("{draw}", draw);
    let target = target.replace("{participant}", "nobody").replace("{list}", "vips");
    let target = target.replace("{experiment}", "tried");
    let target = target.replace("{switch}", "limit.participant_draws_per_second");
    let target = target.replace("{channel}", "app").replace("{source}", "home");
    let target = target.replace("{pool}", "spring");
    let target = target.replace("{endpoint}", "pay").replace("{letter}", "draw.made-1-1");
    let query = match method {
        "DELETE" if path.starts_with("/participants") => "?reason=asked",
        "GET" if path == "/orders" || path.ends_with("/calendar") => "?participant=ada",
        _ if path.ends_with("/diff") => "?from=1",
        "GET" if path == "/awards" => "?participant=ada",
        "GET" if path.ends_with("/assignment") => "?participant=nobody",
        _ => "",
    };
    let (is_document, is_codes) = (takes_document(path), takes_codes(path));
    let bearer = b"Bearer the key of admin".to_vec();
    let mut headers = vec![("authorization", bearer)];
    if sends(method, path) {
        let media = match (is_document, is_codes) {
            (true, _) => "application/yaml",
            (_, true) => "application/x-ndjson",
            (false, false) => "application/json",
        };
        headers.push(("content-type", media.as_bytes().to_vec()));
        headers.push(("idempotency-key", format!("sound{path}").into_bytes()));
    }
    let body = match (is_document, is_codes) {
        (true, _) => document_of(path).0.to_owned(),
        (_, true) => "A-1\n\"B-2\"\n".to_owned(),
        (false, false) => sound_body(path),
    };
    Raw {
        method: method.to_owned(),
        target: format!("/api/v1{target}{query}"),
        headers,
        body: if sends(method, path) { body.into_bytes() } else { vec![] },
    }
}

/// Routes that send and take no Idempotency-Key: what they are about is the key, or they change nothing twice.
const KEYLESS: &[&str] = &[
    "/participant-tokens",
    "/awards/{draw}/hand-over",
    "/raffles/{id}/dry-runs",
    "/behaviours",
    "/campaigns/{id}/sign-ins",
    "/campaigns/{id}/referral-code",
    "/campaigns/{id}/referrals",
    "/orders/{id}/pay",
    "/orders/{id}/cancel",
    "/audiences/{list}/members",
];

/// Whether a route remembers its mutations by Idempotency-Key.
fn takes_key(method: &str, path: &str) -> bool {
    sends(method, path)
        && !path.starts_with("/experiments")
        && !path.starts_with("/switches")
        && !KEYLESS.contains(&path)
}

/// Everything malformed for a route.
pub fn malformed(method: &str, path: &str, draw: &str) -> Vec<Raw> {
    let sound = sound(method, path, draw);
    let mut all = vec![];
    if takes_document(path) && method == "POST" {
        // A draft with other stock is refused when it is to be published, for stock moves by orders.
        let is_wrong = |(_, to): &&(&str, &str)| path.ends_with("/versions") || *to != "stock: 51";
        let (document, changes) = document_of(path);
        let changed = changes.iter().filter(is_wrong).map(|(from, to)| {
            assert!(document.contains(from), "{from}");
            document.replacen(from, to, 1).into_bytes()
        });
        all.extend(changed.map(|body| sound.clone().saying(body)));
        let large = format!("{document}{}", "\n".repeat(1024 * 1024 + 1 - document.len()));
        let laughs = (0..20).fold("a: &a0 [1]\n".to_owned(), |text, n| {
            text + &format!("b{n}: &a{} [*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1)
        });
        for body in [large, laughs, "[".repeat(100_000), "{\"a\":".repeat(100_000), "- ".repeat(100_000)] {
            all.push(sound.clone().saying(body));
        }
        all.push(sound.clone().saying([document.as_bytes(), b"# \xff"].concat()));
    }
    if takes_codes(path) {
        for body in ["", "\n", "A\nA", "A\n\"B", "A\n\"\"", "A\u{7}", &"x".repeat(129)] {
            all.push(sound.clone().saying(body.as_bytes().to_vec()));
        }
        for body in [",x", "\"A", "\"A\"B", "code"] {
            all.push(sound.clone().with("content-type", Some(b"text/csv")).saying(body.as_bytes().to_vec()));
        }
        all.push(sound.clone().saying(b"A\xff".to_vec()));
        all.push(sound.clone().saying((0..10_001).map(|n| format!("{n}\n")).collect::<String>()));
        all.push(sound.clone().saying(vec![b'\n'; 1024 * 1024 + 1]));
    }
    if let Some(fields) = body_of(path).filter(|_| sends(method, path)) {
        all.extend(wrong_bodies(path, fields).into_iter().map(|body| sound.clone().saying(body)));
    }
    if !sound.body.is_empty() {
        for media in
            [&b""[..], b"text/html", b"application/jsonx", b"application", b"\xff", b"application/json+yaml"]
        {
            // Names may come as lines of text.
            if media != b"text/plain" || !path.starts_with("/audiences") {
                all.push(sound.clone().with("content-type", Some(media)));
            }
        }
        all.push(sound.clone().with("content-type", None));
    }
    if takes_key(method, path) {
        let long = [b'k'; 256];
        for key in [&b""[..], b" ", b"a b", b"a\tb", b"\xff", "\u{e9}".as_bytes(), &long] {
            all.push(sound.clone().with("idempotency-key", Some(key)));
        }
        all.push(sound.clone().with("idempotency-key", None));
        let mut twice = sound.clone();
        twice.headers.push(("idempotency-key", b"another".to_vec()));
        all.push(twice);
    }
    let address = sound.target.split('?').next().unwrap_or_default().to_owned();
    all.extend(
        wrong_queries(method, path).iter().map(|query| sound.clone().to(format!("{address}?{query}"))),
    );
    for (at, name) in path.split('/').enumerate().filter(|(_, part)| part.starts_with('{')) {
        for id in wrong_ids(name) {
            // Two parts stand before the route.
            let mut parts: Vec<_> = sound.target.split('/').map(str::to_owned).collect();
            let query = parts[at + 2].split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
            parts[at + 2] = format!("{id}{query}");
            all.push(sound.clone().to(parts.join("/")));
        }
    }
    all.push(sound.clone().to(format!("{address}/")));
    all.push(sound.clone().to(format!("/api/v1/{address}")));
    all.extend(
        wrong_bearers().into_iter().map(|bearer| sound.clone().with("authorization", bearer.as_deref())),
    );
    all
}

/// Methods that an address does not take.
pub fn wrong_methods(path: &str, target: &Raw) -> Vec<Raw> {
    let taken: Vec<_> =
        TABLE.iter().filter(|(_, known, ..)| *known == path).map(|(method, ..)| *method).collect();
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"];
    let is_taken = |method: &&str| taken.contains(method) || (taken.is_empty() && *method == "GET");
    let wrong = methods.into_iter().filter(|method| !is_taken(method));
    wrong.map(|method| Raw { method: method.to_owned(), ..target.clone() }).collect()
}
