//! What is malformed, for each route.

mod bodies;

pub use bodies::body_of;
use bodies::{sound_body, wrong_bodies};

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
    "/raffles/{id}/versions",
    "/raffles/{id}/drafts",
    "/raffles/{id}/proposals",
    "/raffles/{id}/awards",
    "/participants/{participant}/balances",
    "/participants/{participant}/wallets/{wallet}/units/{unit}/statement",
    "/house-accounts/{account}/balances",
    "/house-accounts/{account}/units/{unit}/statement",
    "/audit",
    "/audit/seals",
];

/// Every malformed query of a route that takes one.
fn wrong_queries(method: &str, path: &str) -> Vec<String> {
    let is_list = method == "GET" && PAGES.contains(&path);
    let long = format!("reason={}", "x".repeat(501));
    let texts: &[&str] = if is_list {
        &[
            "limit=0",
            "limit=-1",
            "limit=201",
            "limit=x",
            "limit=1.5",
            "limit=4294967296",
            "limit=",
            "limit",
            "limit=1&limit=1",
            "colour=red",
            "cursor=a&cursor=b",
            "LIMIT=1",
            "limit=%00",
            "limit[]=1",
        ]
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
    } else if path.ends_with("/diff") {
        &["", "from", "from=", "from=0", "from=-1", "from=x", "from=2", "from=1&from=1", "from=1&colour=red"]
    } else if path == "/raffles/{id}/drafts/{draft}" {
        &["draws_per_day=", "draws_per_day=-1", "draws_per_day=x", "draws_per_day=4294967296", "colour=red"]
    } else {
        &[]
    };
    let mut queries: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    if is_list && path != "/raffles" {
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
        // The first may be a unit.
        let from = usize::from(name == "{unit}");
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
    ("/holds/{id}/capture", "held-1"),
    ("/holds/{id}/release", "held-2"),
];

/// The id of the order that an Idempotency-Key names.
fn order_id(key: &str) -> String {
    OrderId::of(&[b"key", key.as_bytes()]).to_string()
}

/// Whether a route's body is a document.
pub fn takes_document(path: &str) -> bool {
    path.ends_with("/versions") || path.ends_with("/drafts")
}

/// Whether a method carries a body.
pub fn sends(method: &str) -> bool {
    ["POST", "PUT"].contains(&method)
}

/// The sound request of a route.
pub fn sound(method: &str, path: &str, draw: &str) -> Raw {
    let moved = MOVED.iter().find(|(end, ..)| path.ends_with(end));
    let path_moved = moved.map(|(_, name, number)| path.replace(name, number));
    let target = path_moved.as_deref().unwrap_or(path);
    let target = target.replace("{draft}", "1").replace("{proposal}", "1");
    let ordered = ORDERED.iter().find(|(of, _)| *of == path).map(|(_, key)| order_id(key));
    let id = ordered.as_deref().unwrap_or(if path.starts_with("/draws") { draw } else { "tried" });
    let target = target.replace("{id}", id);
    let target = target.replace("{wallet}", "main").replace("{unit}", "point").replace("{account}", "pot");
    let target = target.replace("{version}", "1").replace("{prize}", "car").replace("{draw}", draw);
    let target = target.replace("{participant}", "nobody");
    let query = match method {
        "DELETE" => "?reason=asked",
        _ if path.ends_with("/diff") => "?from=1",
        _ => "",
    };
    let is_document = takes_document(path);
    let bearer = b"Bearer the key of admin".to_vec();
    let mut headers = vec![("authorization", bearer)];
    if sends(method) {
        let media = if is_document { "application/yaml" } else { "application/json" };
        headers.push(("content-type", media.as_bytes().to_vec()));
        headers.push(("idempotency-key", format!("sound{path}").into_bytes()));
    }
    let body = if is_document { DOCUMENT.to_owned() } else { sound_body(path) };
    Raw {
        method: method.to_owned(),
        target: format!("/api/v1{target}{query}"),
        headers,
        body: if sends(method) { body.into_bytes() } else { vec![] },
    }
}

/// Whether a route remembers its mutations by Idempotency-Key.
fn takes_key(method: &str, path: &str) -> bool {
    sends(method)
        && !["/participant-tokens", "/awards/{draw}/hand-over", "/raffles/{id}/dry-runs"].contains(&path)
}

/// Everything malformed for a route.
pub fn malformed(method: &str, path: &str, draw: &str) -> Vec<Raw> {
    let sound = sound(method, path, draw);
    let mut all = vec![];
    if takes_document(path) && method == "POST" {
        // A draft with other stock is refused when it is to be published, for stock moves by orders.
        let is_wrong = |(_, to): &&(&str, &str)| path.ends_with("/versions") || *to != "stock: 51";
        let changed =
            DOCUMENTS.iter().filter(is_wrong).map(|(from, to)| DOCUMENT.replacen(from, to, 1).into_bytes());
        all.extend(changed.map(|body| sound.clone().saying(body)));
        let large = format!("{DOCUMENT}{}", "\n".repeat(1024 * 1024 + 1 - DOCUMENT.len()));
        let laughs = (0..20).fold("a: &a0 [1]\n".to_owned(), |text, n| {
            text + &format!("b{n}: &a{} [*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1)
        });
        for body in [large, laughs, "[".repeat(100_000), "{\"a\":".repeat(100_000), "- ".repeat(100_000)] {
            all.push(sound.clone().saying(body));
        }
        all.push(sound.clone().saying([DOCUMENT.as_bytes(), b"# \xff"].concat()));
    }
    if let Some(fields) = body_of(path).filter(|_| sends(method)) {
        all.extend(wrong_bodies(path, fields).into_iter().map(|body| sound.clone().saying(body)));
    }
    if !sound.body.is_empty() {
        for media in
            [&b""[..], b"text/plain", b"application/jsonx", b"application", b"\xff", b"application/json+yaml"]
        {
            all.push(sound.clone().with("content-type", Some(media)));
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
            // Two parts stand before the route: nothing, and `api/v1`.
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
    let is_open = taken.is_empty();
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"];
    let wrong =
        methods.into_iter().filter(|method| !(taken.contains(method) || (is_open && *method == "GET")));
    wrong.map(|method| Raw { method: method.to_owned(), ..target.clone() }).collect()
}
