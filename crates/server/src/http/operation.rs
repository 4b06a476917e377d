//! One route under one method, as the API's document tells it. Each module of routes has a list of these in its
//! `operations.rs`; types of the bodies, and the permission, are the handler's own.
//!
//! What follows from the kind of call is told once, here: who has no key is answered the same everywhere.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::auth::Permission;
use crate::config::Role;

/// The schema of a type, and the name it goes by.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its name.
    pub name: fn() -> std::borrow::Cow<'static, str>,
    /// Its schema, or a reference to it.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Shape {
    fn of<T: JsonSchema>() -> Self {
        Self { name: T::schema_name, schema: SchemaGenerator::subschema_for::<T> }
    }
}

/// The schema of raffle documents, as the API's document names it.
pub const RAFFLE: &str = "Document";
/// The schema of campaign documents.
pub const CAMPAIGN: &str = "Campaign";

/// What a call carries in its body.
#[derive(Debug, Clone, Copy)]
pub enum Carries {
    /// JSON of a type.
    Json(Shape),
    /// A document whose schema goes by this name, in JSON or YAML.
    Document(&'static str),
    /// Text of one of these media types.
    Text(&'static [&'static str]),
    /// Nothing that is read; it is hashed all the same.
    Anything,
}

/// What stands in the body of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// JSON of a type.
    Json(Shape),
    /// Text or a stream of this media type.
    Text(&'static str),
    /// JSON that is no type of ours, of this media type.
    Object(&'static str),
}

/// One route under one method.
#[derive(Debug, Clone)]
pub struct Operation {
    /// `GET`, `POST` and so on.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    /// Unique, for generators of clients.
    pub id: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What else a caller should know.
    pub description: &'static str,
    /// Roles that may, and whether participants may. `None` where no key is needed.
    pub needs: Option<(&'static [Role], bool)>,
    /// The parameters of its query.
    pub query: Option<Shape>,
    /// Its body.
    pub carries: Option<Carries>,
    /// Whether its body may be left out.
    pub may_be_empty: bool,
    /// An example of its body.
    pub example: Option<Value>,
    /// Whether it takes an Idempotency-Key, and answers a repeat as before.
    pub takes_key: bool,
    /// Whether it answers a repeat as before without one: what it is about is the key.
    pub repeats: bool,
    /// Whether its body may be lines of text instead.
    pub takes_lines: bool,
    /// The status of success.
    pub status: u16,
    /// What success is.
    pub means: &'static str,
    /// What success tells.
    pub told: Told,
    /// An example of what success tells.
    pub told_example: Option<Value>,
    /// Codes of problems that are this route's own.
    own_codes: Vec<&'static str>,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            description: "",
            needs: None,
            query: None,
            carries: None,
            may_be_empty: false,
            example: None,
            takes_key: false,
            repeats: false,
            takes_lines: false,
            status: 200,
            means: "",
            told: Told::Text("text/plain"),
            told_example: None,
            own_codes: vec![],
        }
    }

    /// A reading call.
    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("GET", path, id, summary)
    }

    /// A call that makes or changes something.
    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("POST", path, id, summary)
    }

    /// A call that makes something what it is to be.
    pub fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("PUT", path, id, summary)
    }

    /// A call that removes something.
    pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("DELETE", path, id, summary)
    }

    /// Adds what else a caller should know.
    #[must_use]
    pub fn describe(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// Needs a permission.
    #[must_use]
    pub fn needs<P: Permission>(self) -> Self {
        Self { needs: Some((P::ROLES, P::PARTICIPANTS)), ..self }
    }

    /// Takes parameters in its query.
    #[must_use]
    pub fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(Shape::of::<T>()), ..self }
    }

    /// Takes a JSON body.
    #[must_use]
    pub fn body<T: JsonSchema>(self, example: Value) -> Self {
        Self { carries: Some(Carries::Json(Shape::of::<T>())), example: Some(example), ..self }
    }

    /// Takes a JSON body, or none.
    #[must_use]
    pub fn may_body<T: JsonSchema>(self, example: Value) -> Self {
        Self { may_be_empty: true, ..self.body::<T>(example) }
    }

    /// Takes a raffle document.
    #[must_use]
    pub fn document(self, example: Value) -> Self {
        Self { carries: Some(Carries::Document(RAFFLE)), example: Some(example), ..self }
    }

    /// Takes a campaign document.
    #[must_use]
    pub fn campaign(self, example: Value) -> Self {
        Self { carries: Some(Carries::Document(CAMPAIGN)), example: Some(example), ..self }
    }

    /// Takes lines of text too.
    #[must_use]
    pub fn or_lines(self) -> Self {
        Self { takes_lines: true, ..self }
    }

    /// Answers a repeat as before, by what it is about.
    #[must_use]
    pub fn repeats(self) -> Self {
        Self { repeats: true, ..self }
    }

    /// Takes text of one of these media types.
    #[must_use]
    pub fn text(self, media: &'static [&'static str]) -> Self {
        Self { carries: Some(Carries::Text(media)), ..self }
    }

    /// Takes an Idempotency-Key. Without a body of a type, whatever is sent is hashed with it.
    #[must_use]
    pub fn keyed(self) -> Self {
        Self { takes_key: true, carries: self.carries.or(Some(Carries::Anything)), ..self }
    }

    /// Answers JSON of a type.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, means: &'static str, example: Value) -> Self {
        Self { status, means, told: Told::Json(Shape::of::<T>()), told_example: Some(example), ..self }
    }

    /// Answers text.
    #[must_use]
    pub fn tells(self, media: &'static str, means: &'static str) -> Self {
        Self { means, told: Told::Text(media), ..self }
    }

    /// Answers a JSON object that is no type of ours.
    #[must_use]
    pub fn tells_object(self, media: &'static str, means: &'static str) -> Self {
        Self { means, told: Told::Object(media), ..self }
    }

    /// Adds codes of problems that are this route's own.
    #[must_use]
    pub fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.own_codes.extend(codes);
        self
    }

    /// Every code that a caller may be told: those of its kind, and its own.
    pub fn codes(&self) -> Vec<&'static str> {
        let writes = self.method != "GET";
        let parts: [(bool, &[&'static str]); 7] = [
            (self.needs.is_some(), &KEYED),
            (self.path.contains('{'), &["edge.bad_path"]),
            (self.query.is_some(), &["edge.bad_query"]),
            (self.carries.is_some(), &["edge.bad_body", "edge.body_too_large"]),
            (matches!(self.carries, Some(Carries::Json(_))), &["edge.wrong_media", "edge.bad_json"]),
            (self.takes_key, &["idempotency.bad_key", "idempotency.key_reused", "idempotency.missing"]),
            (writes, &WRITING),
        ];
        let of_kind = parts.into_iter().filter(|(has, _)| *has).flat_map(|(_, codes)| codes.iter().copied());
        let mut codes: Vec<_> = of_kind.chain(self.own_codes.iter().copied()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

/// What may be told to whoever needs a key: such a call reads records.
const KEYED: [&str; 14] = [
    "edge.bad_token",
    "edge.no_key",
    "edge.not_allowed",
    "edge.timeout",
    "edge.token_expired",
    "edge.too_many_requests",
    "edge.unwritable",
    "records.closed",
    "records.corrupt",
    "records.rolled_back",
    "records.unavailable",
    "switch.blocked",
    "switch.degraded",
    "switch.off",
];

/// What may be told, besides, to whoever changes something.
const WRITING: [&str; 5] = [
    "records.contended",
    "records.duplicate",
    "records.outcome_unknown",
    "records.queue_full",
    "records.surprise",
];
