//! Puts operations, types and codes together into one document of OpenAPI 3.1.0.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::http::operation::{CAMPAIGN, Carries, Operation, RAFFLE, Shape, Told};
use crate::http::problem;
use crate::http::{
    accounts, acts, audiences, audit, awards, campaigns, coupons, drafts, draws, dry_runs, endpoints,
    erasure, experiments, explain, health, ledger, letters, metrics, offers, openapi, participants,
    proposals, raffles, search, switches, versions,
};

/// What every code means: the page that a trial holds against the code.
const ERRORS: &str = include_str!("../../../../../docs/errors.md");

/// Where the routes of the API are nested.
const API: &str = "/api/v1";

/// Every operation by its tag, in the order of the page: what stands before its path, and the operations.
fn tags() -> Vec<(&'static str, &'static str, &'static str, Vec<Operation>)> {
    vec![
        ("Raffles", "Publishing, standing, odds, epochs, stock and evidence.", API, raffles::operations()),
        ("Versions", "What was published, what differs, and going back.", API, versions::operations()),
        (
            "Drafts",
            "Versions that are not published yet: written, looked at, approved.",
            API,
            drafts::operations(),
        ),
        ("Proposals", "Orders that two people give together.", API, proposals::operations()),
        ("Draws", "Drawing, what a draw would be, and what it became and why.", API, draws::operations()),
        ("Draws", "", API, dry_runs::operations()),
        ("Draws", "", API, explain::operations()),
        (
            "Campaigns",
            "What people get for what they do: published, shown, and for whom.",
            API,
            campaigns::operations(),
        ),
        ("Campaigns", "", API, audiences::operations()),
        ("Acts", "What participants do in campaigns, and what they order.", API, acts::operations()),
        ("Acts", "", API, offers::operations()),
        (
            "Ledger",
            "What is counted: moved, exchanged, kept back; wallets and statements.",
            API,
            ledger::operations(),
        ),
        ("Ledger", "", API, accounts::operations()),
        ("Experiments", "What is tried on whom, and what it has shown.", API, experiments::operations()),
        ("Awards", "What was won, and how it reaches the winner.", API, awards::operations()),
        ("Coupons", "Codes that awards give out.", API, coupons::operations()),
        ("Endpoints", "Where webhooks go.", API, endpoints::operations()),
        ("Dead letters", "Effects that could not be delivered.", API, letters::operations()),
        ("Search", "What befell participants, and why.", API, search::operations()),
        ("Participants", "Their tokens, and forgetting who they were.", API, participants::operations()),
        ("Participants", "", API, erasure::operations()),
        ("Switches", "What is turned off or held back while the product runs.", API, switches::operations()),
        ("Audit", "Who did what, and the seals over it.", API, audit::operations()),
        (
            "Health",
            "Whether the process runs and can answer, and what monitoring reads.",
            "",
            health::operations(),
        ),
        ("Health", "", "", metrics::operations()),
        ("This document", "The document that you are reading.", API, openapi::operations()),
        ("This document", "", "", openapi::page_operations()),
    ]
}

/// What a part of a path is: the part before it, its type, and what it means.
const PARTS: &[(&str, &str, &str)] = &[
    ("raffles", "string", "The raffle's id."),
    ("campaigns", "string", "The campaign's id."),
    ("placements", "string", "The channel, for example `app`."),
    ("{channel}", "string", "The place within the channel, for example `home`."),
    ("audiences", "string", "The list's name."),
    ("orders", "string", "The order's id, as ordering answers it."),
    ("versions", "integer", "The version, from 1."),
    ("drafts", "integer", "The draft's number in the raffle, from 1."),
    ("proposals", "integer", "The proposal's number in the raffle, from 1."),
    ("prizes", "string", "The prize's id."),
    ("draws", "string", "The draw's id, as drawing answers it."),
    ("awards", "string", "The id of the draw that won."),
    ("participants", "string", "The participant's name."),
    (
        "wallets",
        "string",
        "Which of the participant's wallets; `main` is the one of whoever says nothing else.",
    ),
    ("house-accounts", "string", "The name of an account of the house."),
    ("units", "string", "What is counted, such as `point`."),
    ("transfers", "string", "The id of the order, as its answer tells it."),
    ("holds", "string", "The hold's id."),
    ("experiments", "string", "The experiment's id."),
    ("switches", "string", "The switch's name."),
    ("coupon-pools", "string", "The pool's id, as raffle documents name it."),
    ("endpoints", "string", "The endpoint's id, as raffle documents name it."),
    ("dead-letters", "string", "The dead letter's id."),
];

const INTRODUCTION: &str = "Fairground runs raffles and campaigns and keeps a ledger: rules come from a document, stock never oversells, \
a repeat of a request never draws or pays twice, and an outsider can verify every draw.\n\nTimes end in `_ms` and are milliseconds since \
1970-01-01T00:00:00Z. Amounts of money are whole numbers of minor units, for example cents. Hashes, seeds and chains are \
in lowercase hexadecimal.\n\nA call that takes an `Idempotency-Key` may be repeated: the same key and the same body are \
answered as before, with `Idempotent-Replayed: true`, and nothing is done twice. Bodies with unknown fields are refused. \
Answers may gain fields.\n\nWhatever goes wrong is answered as a problem document (RFC 9457). Decide by its `code`.";

/// The document.
pub fn document() -> Value {
    let mut writer = Writer::new();
    let (mut paths, mut listed) = (Map::new(), Vec::<Value>::new());
    for (tag, description, base, operations) in tags() {
        if !listed.iter().any(|known| known["name"] == tag) {
            listed.push(json!({ "name": tag, "description": description }));
        }
        for operation in operations {
            let written = writer.operation(tag, &operation);
            let path = paths.entry(format!("{base}{}", operation.path)).or_insert_with(|| json!({}));
            path[operation.method.to_lowercase()] = written;
        }
    }
    let responses = hoist_refusals(&mut paths);
    let problem = problem::schema(&mut writer.answers);
    let mut schemas = writer.answers.take_definitions(true);
    schemas.extend(writer.bodies);
    schemas.insert("Problem".to_owned(), problem.to_value());
    schemas.extend(document_schema(RAFFLE, raffle::document::schema()));
    schemas.extend(document_schema(CAMPAIGN, campaign::document::schema()));
    schemas.values_mut().for_each(tidy);
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Fairground",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that answers this document." }],
        "tags": listed,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "headers": headers(),
            "parameters": { "IdempotencyKey": {
                "name": "Idempotency-Key",
                "in": "header",
                "required": true,
                "description": "1 to 255 visible ASCII characters. Repeat a call with the same key and the same body: it is done once.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
            } },
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "An API key. It has one role; what is listed beside it is the role that may." },
                "participant": { "type": "http", "scheme": "bearer", "description": "A participant's token, which a service minted. It sees and does what is its bearer's." },
            },
        },
        "x-codes": codes().into_iter().filter(|(_, code)| code.status.is_some()).map(|(name, code)| {
            (name.to_owned(), json!({ "status": code.status, "meaning": code.meaning, "remedy": code.remedy }))
        }).collect::<Map<_, _>>(),
    })
}

/// Most routes refuse alike: of each status, the refusal that most have is written once.
fn hoist_refusals(paths: &mut Map<String, Value>) -> Map<String, Value> {
    fn responses(paths: &mut Map<String, Value>) -> impl Iterator<Item = (&String, &mut Value)> {
        let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
        operations.filter_map(|operation| operation["responses"].as_object_mut()).flatten()
    }
    let mut counts = BTreeMap::<(String, String), (usize, Value)>::new();
    for (status, response) in responses(paths).filter(|(_, response)| is_refusal(response)) {
        let known = counts.entry((status.clone(), response.to_string()));
        known.or_insert_with(|| (0, response.clone())).0 += 1;
    }
    let mut most = BTreeMap::<String, (usize, Value)>::new();
    for ((status, _), (count, response)) in counts.into_iter().filter(|(_, (count, _))| *count > 1) {
        let before = most.get(&status).map_or(0, |(count, _)| *count);
        if count > before {
            most.insert(status, (count, response));
        }
    }
    for (status, response) in responses(paths) {
        if most.get(status).is_some_and(|(_, common)| common == response) {
            *response = json!({ "$ref": format!("#/components/responses/Refused{status}") });
        }
    }
    most.into_iter().map(|(status, (_, response))| (format!("Refused{status}"), response)).collect()
}

fn is_refusal(response: &Value) -> bool {
    !response["content"]["application/problem+json"].is_null()
}

/// Descriptions come from comments, which are broken into lines and link to names of the source.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(parts) => {
            if let Some(Value::String(text)) = parts.get_mut("description") {
                *text = text.replace('\n', " ").replace("[`", "`").replace("`]", "`");
            }
            parts.values_mut().for_each(tidy);
        }
        Value::Array(parts) => parts.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let number = |description: &str| json!({ "description": description, "schema": { "type": "integer", "minimum": 0 } });
    json!({
        "RequestId": text("The request's id: the caller's own `X-Request-Id`, or one of ours. Quote it when you report a problem."),
        "IdempotentReplayed": {
            "description": "Stands where the call was answered before with the same Idempotency-Key: nothing was done now.",
            "schema": { "type": "string", "const": "true" },
        },
        "RetryAfter": number("Wait for so many seconds, then repeat with the same Idempotency-Key."),
        "RateLimit": text("The limit that refuses, what is left of it, and in how many seconds there is more. Only where a rate limit of the server refuses."),
        "RateLimitPolicy": text("All limits that hold such a call. Only where a rate limit of the server refuses."),
        "Authenticate": text("`Bearer`."),
    })
}

struct Code<'a> {
    status: Option<u16>,
    meaning: &'a str,
    remedy: &'a str,
}

/// The rows of `docs/errors.md`. Findings have a severity and no status.
fn codes() -> BTreeMap<&'static str, Code<'static>> {
    let row = |line: &'static str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[code, status, meaning, remedy] = cells.as_slice() else { return None };
        Some((code.trim_matches('`'), Code { status: status.parse().ok(), meaning, remedy }))
    };
    ERRORS.lines().filter(|line| line.starts_with("| `")).filter_map(row).collect()
}

/// The schema of documents under a name, with its definitions among the others.
fn document_schema(name: &str, text: &str) -> Map<String, Value> {
    let text = text.replace("#/$defs/", &format!("#/components/schemas/{name}."));
    let mut schema: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut schemas = Map::new();
    if let Some(root) = schema.as_object_mut() {
        root.remove("$schema");
        root.remove("$id");
        if let Some(Value::Object(parts)) = root.remove("$defs") {
            schemas.extend(parts.into_iter().map(|(part_name, part)| (format!("{name}.{part_name}"), part)));
        }
    }
    schemas.insert(name.to_owned(), schema);
    schemas
}

fn schema_ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn header_ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// Writes operations, and gathers the schemas that they name.
struct Writer {
    answers: SchemaGenerator,
    /// Bodies may be written otherwise than answers, so theirs are apart, each in one piece.
    asks: SchemaGenerator,
    bodies: Map<String, Value>,
    codes: BTreeMap<&'static str, Code<'static>>,
}

impl Writer {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        let asks = settings().with(|settings| settings.inline_subschemas = true).for_deserialize();
        Self {
            answers: settings().for_serialize().into_generator(),
            asks: asks.into_generator(),
            bodies: Map::new(),
            codes: codes(),
        }
    }

    fn operation(&mut self, tag: &str, operation: &Operation) -> Value {
        let mut written = json!({
            "operationId": operation.id,
            "tags": [tag],
            "summary": operation.summary,
            "security": security(operation),
            "responses": self.responses(operation),
        });
        if !operation.description.is_empty() {
            written["description"] = operation.description.into();
        }
        let parameters = self.parameters(operation);
        if !parameters.is_empty() {
            written["parameters"] = parameters.into();
        }
        if let Some(content) = self.body(operation) {
            written["requestBody"] = json!({ "required": !operation.may_be_empty, "content": content });
        }
        written
    }

    fn parameters(&mut self, operation: &Operation) -> Vec<Value> {
        let mut parameters = Vec::new();
        let mut before = "";
        for part in operation.path.split('/') {
            if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                let known = PARTS.iter().find(|(of, ..)| *of == before);
                let (kind, means) = known.map_or(("string", ""), |(_, kind, means)| (*kind, *means));
                let schema = json!({ "type": kind });
                parameters.push(json!({ "name": name, "in": "path", "required": true, "description": means, "schema": schema }));
            }
            before = part;
        }
        if let Some(query) = operation.query {
            let schema = (query.schema)(&mut self.asks).to_value();
            let is_required = |name: &str| {
                schema["required"]
                    .as_array()
                    .is_some_and(|required| required.iter().any(|other| other == name))
            };
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let mut property = property.clone();
                // Left out is how a query says nothing: it has no null.
                if let Some(kinds) = property["type"].as_array().cloned() {
                    property["type"] = kinds.into_iter().find(|kind| kind != "null").unwrap_or_default();
                }
                let description =
                    property.as_object_mut().and_then(|property| property.remove("description"));
                parameters.push(json!({
                    "name": name, "in": "query", "required": is_required(name),
                    "description": description.unwrap_or_default(), "schema": property,
                }));
            }
        }
        if operation.takes_key {
            parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
        parameters
    }

    fn body(&mut self, operation: &Operation) -> Option<Value> {
        match operation.carries? {
            Carries::Json(Shape { name, schema }) => {
                let name = name().into_owned();
                let mut schema = (schema)(&mut self.asks).to_value();
                if let Some(schema) = schema.as_object_mut() {
                    schema.remove("title");
                }
                self.bodies.insert(name.clone(), schema);
                let json = json!({ "schema": schema_ref(&name), "example": operation.example });
                let mut content = json!({ "application/json": json });
                if operation.takes_lines {
                    content["text/plain"] = json!({ "schema": { "type": "string" } });
                }
                Some(content)
            }
            Carries::Document(name) => {
                let yaml = json!({ "schema": schema_ref(name) });
                Some(json!({
                    "application/json": { "schema": schema_ref(name), "example": operation.example },
                    "application/yaml": yaml,
                    "application/x-yaml": yaml,
                    "text/yaml": yaml,
                }))
            }
            Carries::Text(media) => {
                let text = json!({ "schema": { "type": "string" } });
                Some(media.iter().map(|media| ((*media).to_owned(), text.clone())).collect())
            }
            Carries::Anything => None,
        }
    }

    fn responses(&mut self, operation: &Operation) -> Value {
        let mut content = match operation.told {
            Told::Json(shape) => {
                json!({ "application/json": { "schema": (shape.schema)(&mut self.answers).to_value() } })
            }
            Told::Text(media) => json!({ media: { "schema": { "type": "string" } } }),
            Told::Object(media) => json!({ media: { "schema": { "type": "object" } } }),
        };
        if let (Some(example), Told::Json(_)) = (&operation.told_example, operation.told) {
            content["application/json"]["example"] = example.clone();
        }
        let mut headers = json!({ "X-Request-Id": header_ref("RequestId") });
        if operation.takes_key || operation.repeats {
            headers["Idempotent-Replayed"] = header_ref("IdempotentReplayed");
        }
        let success = json!({ "description": operation.means, "headers": headers, "content": content });
        let mut responses = Map::from_iter([(operation.status.to_string(), success)]);
        let mut by_status = BTreeMap::<u16, Vec<&str>>::new();
        for code in operation.codes() {
            let status = self.codes.get(code).and_then(|code| code.status);
            by_status.entry(status.unwrap_or_default()).or_default().push(code);
        }
        for (status, codes) in by_status {
            responses.insert(status.to_string(), refusal(status, &codes));
        }
        responses.into()
    }
}

/// One object for each role: whoever satisfies any of them may.
fn security(operation: &Operation) -> Vec<Value> {
    let Some((roles, participants)) = operation.needs else { return vec![] };
    let roles = roles.iter().map(|role| json!({ "key": [role.word()] }));
    roles.chain(participants.then(|| json!({ "participant": [] }))).collect()
}

fn refusal(status: u16, codes: &[&str]) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut headers = json!({ "X-Request-Id": header_ref("RequestId") });
    if status == 401 {
        headers["WWW-Authenticate"] = header_ref("Authenticate");
    }
    if [429, 503].contains(&status) {
        headers["Retry-After"] = header_ref("RetryAfter");
    }
    if codes.contains(&"edge.too_many_requests") {
        headers["RateLimit"] = header_ref("RateLimit");
        headers["RateLimit-Policy"] = header_ref("RateLimitPolicy");
    }
    let mut schema = schema_ref("Problem");
    schema["properties"] = json!({ "status": { "const": status }, "code": { "enum": codes } });
    json!({
        "description": reason.unwrap_or_default(),
        "headers": headers,
        "content": { "application/problem+json": { "schema": schema } },
    })
}
