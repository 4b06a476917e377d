//! The API's document against itself, against the router and against real answers; and the page that shows it.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use fairground::bench::process::{Answer, ask};
use fairground::http::openapi;
use serde_json::{Value, json};
use trials::booth::{Booth, OPERATOR, RAFFLE, send};
use trials::calls::CALLS;
use trials::routes::{OPEN, TABLE};
use trials::schema::{check, follow};

/// The bench's routes are there only where they are configured.
const LEFT_OUT: &[&str] = &["/noop/{id}", "/noop-transfers"];

/// Codes that no route of its own answers: of addresses that are none, and of a server that does not start.
const OF_NO_ROUTE: &[&str] =
    &["edge.no_such_route", "edge.wrong_method", "ledger.bad_rate", "records.newer_schema"];

/// Every operation: its path, its method and itself.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

fn resolved<'a>(document: &'a Value, thing: &'a Value) -> &'a Value {
    thing["$ref"].as_str().map_or(thing, |reference| follow(document, reference).expect("a component"))
}

fn each(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            visit(name, field);
            each(field, visit);
        }),
        Value::Array(items) => items.iter().for_each(|item| each(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_route_is_documented_and_nothing_else_is() {
    let document = openapi::document();
    let documented = operations(&document).into_iter().map(|(path, method, _)| {
        (method.to_uppercase(), path.strip_prefix("/api/v1").unwrap_or(path).to_owned())
    });
    // Which methods an address does not take, `malformed` tries.
    let routes = TABLE.iter().map(|(method, path, ..)| (*method, *path));
    let open = OPEN.iter().filter(|path| !LEFT_OUT.contains(path)).map(|path| ("GET", *path));
    let routes = routes.chain(open).map(|(method, path)| (method.to_owned(), path.to_owned()));
    let (documented, routes): (BTreeSet<_>, BTreeSet<_>) = (documented.collect(), routes.collect());
    assert_eq!(documented, routes);
}

#[test]
fn the_document_keeps_the_rules_of_openapi() {
    let document = openapi::document();
    assert_eq!(document["openapi"], "3.1.0");
    for name in ["title", "version"] {
        assert!(document["info"][name].is_string(), "{name}");
    }
    let mut named = BTreeSet::new();
    each(&document, &mut |name, value| {
        if let ("$ref", Some(reference)) = (name, value.as_str()) {
            assert!(follow(&document, reference).is_some(), "{reference} leads nowhere");
            named.insert(reference.to_owned());
        }
    });
    for (kind, components) in document["components"].as_object().expect("components") {
        for name in components.as_object().expect("components").keys() {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!(name.bytes().all(allowed), "{name}");
            let is_named = named.contains(&format!("#/components/{kind}/{name}"));
            assert!(is_named || kind == "securitySchemes", "nothing names {kind}/{name}");
        }
    }
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .map(|tag| &tag["name"])
        .map(Value::to_string)
        .collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let here = format!("{method} {path}");
        let id = operation["operationId"].as_str().expect("an id");
        assert!(ids.insert(id), "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{here}");
        assert!(
            operation["tags"].as_array().is_some_and(|of| of.len() == 1 && tags.contains(&of[0].to_string())),
            "{here}"
        );
        for scheme in operation["security"].as_array().expect("security").iter().filter_map(Value::as_object)
        {
            assert!(
                scheme.keys().all(|name| document["components"]["securitySchemes"][name].is_object()),
                "{here}"
            );
        }
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        let mut declared = BTreeSet::new();
        for parameter in parameters {
            let parameter = resolved(&document, parameter);
            assert!(
                parameter["description"].as_str().is_some_and(|told| !told.is_empty()),
                "{here}: {parameter}"
            );
            assert!(parameter["schema"].is_object(), "{here}: {parameter}");
            let (name, place) =
                (parameter["name"].as_str().expect("a name"), parameter["in"].as_str().expect("a place"));
            assert!(declared.insert((place, name)), "{here}: {name} is there twice");
            assert!(place != "path" || parameter["required"] == true, "{here}: {name}");
        }
        let in_path: BTreeSet<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let declared =
            declared.into_iter().filter(|(place, _)| *place == "path").map(|(_, name)| name).collect();
        assert_eq!(in_path, declared, "{here}");
        contents_are_whole(&document, &here, operation);
    }
}

/// Every answer is described, every body has a media type with a schema, and every example fits.
fn contents_are_whole(document: &Value, here: &str, operation: &Value) {
    let mut contents: Vec<_> =
        operation.get("requestBody").map(|body| (here.to_owned(), &body["content"])).into_iter().collect();
    let responses = operation["responses"].as_object().expect("responses");
    assert!(responses.keys().any(|status| status.starts_with('2')), "{here} never succeeds");
    for (status, response) in responses {
        let response = resolved(document, response);
        let number: u16 = status.parse().expect("a status");
        assert!((200..600).contains(&number), "{here}: a code without a status in docs/errors.md");
        assert!(response["description"].as_str().is_some_and(|told| !told.is_empty()), "{here} {status}");
        for header in response["headers"].as_object().into_iter().flatten().map(|(_, header)| header) {
            assert!(resolved(document, header)["schema"].is_object(), "{here} {status}");
        }
        contents.push((format!("{here} {status}"), &response["content"]));
    }
    for (here, content) in contents {
        let media = content.as_object().expect("media types");
        assert!(!media.is_empty(), "{here}");
        for (name, media) in media {
            assert!(name.contains('/') && media["schema"].is_object(), "{here} {name}");
            if let Some(example) = media.get("example") {
                assert_eq!(check(document, &media["schema"], example), Ok(()), "{here}");
            }
        }
    }
}

/// A code of `docs/errors.md` that no route tells would be one that nobody expects.
#[test]
fn every_code_is_told_by_some_route() {
    let document = openapi::document();
    let mut told: BTreeSet<String> = OF_NO_ROUTE.iter().map(|code| (*code).to_owned()).collect();
    for (_, _, operation) in operations(&document) {
        for response in operation["responses"].as_object().expect("responses").values() {
            let schema = &resolved(&document, response)["content"]["application/problem+json"]["schema"];
            let codes = schema["properties"]["code"]["enum"].as_array().into_iter().flatten();
            told.extend(codes.filter_map(Value::as_str).map(str::to_owned));
        }
    }
    let codes = document["x-codes"].as_object().expect("codes");
    assert_eq!(told, codes.keys().cloned().collect());
}

/// What the document says of an answer, held against it. Answers the body.
fn fits(document: &Value, path: &str, method: &str, answer: &Answer) -> Value {
    let operation = &document["paths"][path][method];
    let here = format!("{method} {path} {}: {}", answer.status, answer.text());
    let response = resolved(document, &operation["responses"][answer.status.as_str()]);
    let media = answer.headers.get("content-type").expect("a media type").to_str().expect("text");
    let schema = &response["content"][media.split(';').next().expect("a media type")]["schema"];
    assert!(schema.is_object(), "not documented: {here}");
    for name in answer.headers.keys().filter(|name| {
        !["content-type", "content-length", "transfer-encoding", "date"].contains(&name.as_str())
    }) {
        let known = response["headers"].as_object().into_iter().flatten();
        assert!(
            known.map(|(known, _)| known).any(|known| known.eq_ignore_ascii_case(name.as_str())),
            "{name}: {here}"
        );
    }
    let body = if media.contains("json") && !media.contains("jsonl") {
        answer.json().expect("JSON")
    } else {
        answer.text().into()
    };
    assert_eq!(check(document, schema, &body), Ok(()), "{here}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn real_answers_are_as_they_are_documented() {
    let rates =
        "[[ledger.rates]]\nfrom = \"point\"\nto = \"coin\"\ngives = 1\ntakes = 10\nrounding = \"half_even\"";
    let (document, booth) = (openapi::document(), Booth::open_with(rates).await);
    let (example, mut draw, mut order) = (trials::example(RAFFLE), String::new(), String::new());
    let (mut draft, mut proposal) = (0, 0);
    let (mut offer_order, mut referral_code) = (String::new(), String::new());
    for &(bearer, call, key, body, status) in CALLS {
        let (method, template) = call.split_once(' ').expect("a method and a path");
        let id = match template.split('/').nth(1) {
            Some("draws") => &draw,
            Some("transfers" | "holds") => &order,
            Some("orders") => &offer_order,
            Some("campaigns") => "summer",
            _ => RAFFLE,
        };
        let path = template.replace("{id}", id).replace("{version}", "1").replace("{prize}", "105");
        let path = path.replace("{draw}", "none").replace("{participant}", "ada");
        let path = path.replace("{wallet}", "main").replace("{unit}", "point").replace("{account}", "issued");
        let path = path.replace("{endpoint}", "pay").replace("{pool}", "spring").replace("{letter}", "a-1-1");
        let path = path.replace("{draft}", &draft.to_string()).replace("{proposal}", &proposal.to_string());
        let path = path.replace("{list}", "vips").replace("{channel}", "app").replace("{source}", "home");
        let body = if body == "the example" { &example } else { body }.replace("CODE", &referral_code);
        let answer = send(booth.address, bearer, method, &path, key, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{call} {key}: {}", answer.text());
        let template = template.split('?').next().unwrap_or_default();
        let told = fits(&document, &format!("/api/v1{template}"), &method.to_lowercase(), &answer);
        draft = told["draft"].as_u64().unwrap_or(draft);
        proposal = told["proposal"].as_u64().unwrap_or(proposal);
        if let Some(id) = told["draw"].as_str() {
            id.clone_into(&mut draw);
        }
        if let Some(id) = told["order"].as_str() {
            id.clone_into(&mut offer_order);
        }
        if let Some(code) = told["code"].as_str().filter(|_| status == 200) {
            code.clone_into(&mut referral_code);
        }
        if let Some(id) = told["id"].as_str() {
            id.clone_into(&mut order);
        }
    }
    let answer = send(booth.address, OPERATOR, "DELETE", "/participants/ada?reason=asked", "", "").await;
    fits(&document, "/api/v1/participants/{participant}", "delete", &answer);
    for path in ["/livez", "/readyz", "/metrics", "/nowhere"] {
        let answer = ask(booth.address, "GET", path, &[], "".into()).await.expect("an answer");
        if path == "/nowhere" {
            let problem = json!({ "$ref": "#/components/schemas/Problem" });
            assert_eq!(check(&document, &problem, &answer.json().expect("a problem")), Ok(()));
        } else {
            assert_eq!(answer.status.as_u16(), 200, "{path}");
            fits(&document, path, "get", &answer);
        }
    }
    drop(booth.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_operation_is_in_the_router_and_takes_a_key_where_it_says_so() {
    let document = openapi::document();
    let booth = Booth::open().await;
    for (path, method, operation) in operations(&document) {
        let filled = path.replace("{version}", "1").replace(['{', '}'], "");
        let method = method.to_uppercase();
        let answer = ask(booth.address, &method, &filled, &[], "".into()).await.expect("an answer");
        let needs_key = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
        assert_eq!(
            answer.status.as_u16(),
            if needs_key { 401 } else { 200 },
            "{method} {path}: {}",
            answer.text()
        );
    }
    drop(booth.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_loads_nothing_and_runs_only_what_is_in_it() {
    let booth = Booth::open().await;
    let answer = ask(booth.address, "GET", "/docs", &[], "".into()).await.expect("an answer");
    let policy = answer.headers["content-security-policy"].to_str().expect("text").to_owned();
    let page = answer.text();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let loads = ["src=", "<link", "@import", "url(", "http://", "https://", "fetch(", "import("];
    let frame = page.split("id=\"document\">").next().expect("a frame").to_owned()
        + page.rsplit("</script>\n<script>").next().expect("a script");
    for word in loads {
        assert!(!frame.contains(word), "the page has {word}");
    }
    for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
        let inner =
            page.rsplit(&format!("<{tag}>")).next().and_then(|rest| rest.split(&format!("</{tag}>")).next());
        let hash = base64(&raffle::fairness::sha256(inner.expect("a part").as_bytes()));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}'")), "{directive}: {policy}");
    }
    let data = page
        .split("id=\"document\">")
        .nth(1)
        .and_then(|rest| rest.split("</script>").next())
        .expect("the document");
    assert!(serde_json::from_str::<Value>(data).expect("JSON") == openapi::document(), "another document");
    drop(booth.close().await);
}

fn base64(bytes: &[u8]) -> String {
    let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let encode = |three: &[u8]| {
        let bits = three
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let text = [18, 12, 6, 0].map(|shift| letters[bits >> shift & 63]);
        text.into_iter().take(three.len() + 1).chain("==".chars().take(3 - three.len())).collect::<String>()
    };
    bytes.chunks(3).map(encode).collect()
}

/// A checker that lets everything through would find every answer right.
#[test]
fn the_reader_of_schemas_finds_planted_mistakes() {
    let document = openapi::document();
    let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let award = json!({ "state": "granted", "prize": "105" });
    let good = BTreeMap::from([
        ("AwardView", award.clone()),
        ("TurnView", json!({ "raffle": "spring", "epoch": 2 })),
        ("DrawBody", json!({ "participant": "ada", "metrics": { "shoes": 4 } })),
    ]);
    for (name, value) in &good {
        assert_eq!(check(&document, &schema(name), value), Ok(()), "{name}");
    }
    for (name, value) in [
        ("AwardView", json!({ "state": "granted" })),
        ("AwardView", json!({ "state": "lost", "prize": "105" })),
        ("AwardView", json!({ "state": "granted", "prize": 105 })),
        ("AwardView", json!({ "state": "granted", "prize": "105", "colour": "red" })),
        ("AwardView", json!(null)),
        ("TurnView", json!({ "raffle": "spring", "epoch": -1 })),
        ("TurnView", json!({ "raffle": "spring", "epoch": 1.5 })),
        ("TurnView", json!({ "raffle": null, "epoch": 1 })),
        ("DrawBody", json!({ "participant": "" })),
        ("DrawBody", json!({ "participant": "ada", "draws": 101 })),
        ("DrawBody", json!({ "participant": "ada", "metrics": { "shoes": "four" } })),
        ("DrawBody", json!({ "participant": "ada", "colour": "red" })),
        ("AwardsView", json!({ "awards": [award] })),
        ("Nothing", json!({})),
    ] {
        assert!(check(&document, &schema(name), &value).is_err(), "{name}: {value}");
    }
}
