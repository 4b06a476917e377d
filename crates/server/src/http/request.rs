//! What requests carry: ids in paths, keys in headers, JSON in bodies, cursors in queries.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use campaign::request::{Answered, Request as Remembered};
use raffle::entry;
use raffle::fairness::sha256;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use super::auth::Caller;
use super::problem::Problem;

/// Numbers the requests of a process, under a name that no other start has.
pub struct Numbering {
    start: String,
    next: AtomicU64,
}

impl Numbering {
    /// Numbers under the instant of this start.
    pub fn new(start_ms: i64) -> Self {
        Self { start: format!("{start_ms:x}"), next: AtomicU64::new(1) }
    }

    /// The next request's id.
    pub fn next(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&format!("{}-{number}", self.start)).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Whether bytes are 1 to `longest` visible ASCII characters.
pub fn is_token(bytes: &[u8], longest: usize) -> bool {
    (1..=longest).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// A path as the log may keep it: without the name of a participant, whom an erasure is to forget.
pub fn without_name(path: &str) -> &str {
    const BEFORE: &str = "/participants/";
    path.find(BEFORE).map_or(path, |at| &path[..at + BEFORE.len()])
}

fn bad(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

/// The parts of the path, decoded.
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(ids)| Self(ids)).map_err(|error| bad("edge.bad_path", error.body_text()))
    }
}

/// The query, decoded.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|error| bad("edge.bad_query", error.body_text()))
    }
}

/// Which page of a list.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many, 1 to 200. Default 50.
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

/// A checked page: the cursor and a limit of 1 to 200.
pub struct PageOf {
    /// Where the page before ended; empty at the beginning.
    pub cursor: String,
    /// How many.
    pub limit: u32,
}

impl PageOf {
    /// The number that the page before ended with; 0 at the beginning.
    pub fn after<N: std::str::FromStr + Default>(&self) -> Result<N, Problem> {
        if self.cursor.is_empty() {
            return Ok(N::default());
        }
        self.cursor.parse().map_err(|_| bad_cursor())
    }

    /// The cursor of the page after this one, made from the last item; none where this one is not full.
    pub fn next<T>(&self, items: &[T], cursor: impl FnOnce(&T) -> String) -> Option<String> {
        items.last().filter(|_| items.len() == self.limit as usize).map(cursor)
    }
}

/// A cursor that no page has answered.
pub fn bad_cursor() -> Problem {
    bad("edge.bad_query", "`cursor` is not one that was given")
}

impl<S: Send + Sync> FromRequestParts<S> for PageOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Asked(PageQuery { cursor, limit }) = Asked::from_request_parts(parts, state).await?;
        Self::checked(cursor, limit)
    }
}

impl PageOf {
    /// A page as it was asked for: from the beginning, and of 50, where nothing else is said.
    pub fn checked(cursor: Option<String>, limit: Option<u32>) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(50);
        if !(1..=200).contains(&limit) {
            return Err(bad("edge.bad_query", format!("limit must be from 1 to 200, not {limit}")));
        }
        Ok(Self { cursor: cursor.unwrap_or_default(), limit })
    }
}

/// A reason.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// Why.
    #[schemars(required, length(min = 1, max = 500))]
    reason: Option<String>,
}

/// A reason, where somebody gives one.
#[derive(serde::Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RemarkBody {
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    reason: Option<String>,
}

/// What a mutation sends: its Idempotency-Key, its body within the route's limit, and what kind of body it says it is.
pub struct Sent {
    key: Option<HeaderValue>,
    /// Whether there are more keys than one, so that nobody could say which counts.
    has_more_keys: bool,
    media: Option<HeaderValue>,
    /// The raw body.
    pub body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let mut keys = headers.get_all("idempotency-key").iter();
        let (key, has_more_keys) = (keys.next().cloned(), keys.next().is_some());
        let media = headers.get(header::CONTENT_TYPE).cloned();
        let body: Result<Bytes, BytesRejection> = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "edge.body_too_large",
                "the body is larger than this address takes",
            ),
            _ => bad("edge.bad_body", "the body could not be read to its end"),
        })?;
        Ok(Self { key, has_more_keys, media, body })
    }
}

impl Sent {
    /// Refuses a body that does not say it is one of these.
    pub fn expect_media(&self, allowed: &[&str]) -> Result<(), Problem> {
        let media = self.media.as_ref().and_then(|media| media.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(media)) {
            return Ok(());
        }
        let detail = format!("send the body as Content-Type: {}", allowed.join(" or "));
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "edge.wrong_media", detail))
    }

    /// Whether the body says it is of a kind.
    pub fn is_media(&self, kind: &str) -> bool {
        self.expect_media(&[kind]).is_ok()
    }

    /// A parameter of what the body says it is, for example `header` of `text/csv; header=present`.
    pub fn media_parameter(&self, name: &str) -> Option<&str> {
        let media = self.media.as_ref()?.to_str().ok()?;
        let parameters = media.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let mut named = parameters.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim().trim_matches('\u{22}'))
    }

    /// The body as text; `what` names it where it is none.
    pub fn utf8(&self, what: &str) -> Result<&str, Problem> {
        std::str::from_utf8(&self.body).map_err(|_| bad("edge.bad_body", format!("{what} is not UTF-8")))
    }

    /// Reads a JSON body, which is an object.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.expect_media(&["application/json"])?;
        // serde would also read a list, field by field in the order of the source.
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(bad("edge.bad_json", "the body is not what is expected: a JSON object"));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| bad("edge.bad_json", format!("the body is not what is expected: {error}")))
    }

    /// Reads a JSON body that may be left out.
    pub fn json_or_nothing<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// The reason in a body [`ReasonBody`].
    pub fn reason(&self) -> Result<String, Problem> {
        let reason = self.json::<ReasonBody>()?.reason.unwrap_or_default();
        text("reason", &reason, 500)?;
        Ok(reason)
    }

    /// The reason in a body [`RemarkBody`], which may be left out.
    pub fn remark(&self) -> Result<String, Problem> {
        let remark = self.json_or_nothing::<RemarkBody>()?.reason;
        remark.as_deref().map_or(Ok(()), |remark| text("reason", remark, 500))?;
        Ok(remark.unwrap_or_default())
    }

    /// The request, its key after the route that it is scoped to.
    pub fn scoped(&self, caller: &Caller, route: &str) -> Result<entry::Request, Problem> {
        let mut request = self.request(caller)?;
        request.key = format!("{route} {}", request.key);
        Ok(request)
    }

    /// The request, for what awards, coupons and endpoints remember.
    pub fn remembered(&self, caller: &Caller, route: &str, at_ms: i64) -> Result<Remembered, Problem> {
        let entry::Request { key, body_hash, actor } = self.scoped(caller, route)?;
        Ok(Remembered { key, body_hash, actor, at_ms })
    }

    /// Refuses a body that says something, where there is nothing to say.
    pub fn expect_nothing(&self) -> Result<(), Problem> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        if self.body.is_empty() { Ok(()) } else { self.json().map(|Nothing {}| ()) }
    }

    /// SHA-256 of the raw body.
    pub fn body_hash(&self) -> [u8; 32] {
        sha256(&self.body)
    }

    /// The request that a mutation is remembered by: its Idempotency-Key, the hash of its raw body, and who calls.
    pub fn request(&self, caller: &Caller) -> Result<entry::Request, Problem> {
        let key = self.key.as_ref();
        let key = key.ok_or_else(|| {
            bad("idempotency.missing", "send an Idempotency-Key: repeating a call with it is safe")
        })?;
        match key.to_str() {
            Ok(text) if is_token(text.as_bytes(), 255) && !self.has_more_keys => {
                let actor = Arc::clone(caller.actor());
                Ok(entry::Request { key: text.to_owned(), body_hash: self.body_hash(), actor })
            }
            _ => Err(bad(
                "idempotency.bad_key",
                "send one Idempotency-Key of 1 to 255 visible ASCII characters",
            )),
        }
    }
}

/// Reads a map in which each key stands once: of two values for a key nobody could say which is meant.
pub fn each_once<'de, V, D>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    V: serde::Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct EachOnce<V>(PhantomData<V>);

    impl<'de, V: serde::Deserialize<'de>> Visitor<'de> for EachOnce<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = entries.next_entry::<String, V>()? {
                if map.contains_key(&key) {
                    return Err(Error::custom(format!("`{key}` stands twice")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(EachOnce(PhantomData))
}

/// An object within a body. Its fields stand by name: serde would also read a list, field by field in the order of the source.
pub struct Named<T>(pub T);

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName<T>(PhantomData<T>);

        impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for ByName<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Named)
            }
        }
        deserializer.deserialize_map(ByName(PhantomData))
    }
}

/// Text of 1 to `longest` characters without control characters.
pub fn text(name: &'static str, text: &str, longest: usize) -> Result<(), Problem> {
    let count = text.chars().count();
    if (1..=longest).contains(&count) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let detail = format!("`{name}` must be 1 to {longest} characters, none of them a control character");
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_text", detail))
}

/// An id of our own making: 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit.
pub fn id(name: &'static str, id: &str) -> Result<(), Problem> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric();
    let fits = id.len() <= 64
        && id.bytes().next().is_some_and(is_letter)
        && id.bytes().all(|byte| is_letter(byte) || b".-_".contains(&byte));
    if fits {
        return Ok(());
    }
    let detail = format!(
        "`{name}` must be 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit"
    );
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edge.bad_text", detail))
}

/// Says that an answer was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// An answer that was written with what it answers.
pub fn answered(status: StatusCode, answered: Answered) -> Response {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, json, answered.json).into_response();
    if answered.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A JSON answer; `replayed` says that it was given before.
pub fn answer(status: StatusCode, view: &impl Serialize, replayed: bool) -> Response {
    let Ok(body) = serde_json::to_vec(view) else {
        return Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "edge.unwritable",
            "the answer could not be written",
        )
        .into_response();
    };
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, json, body).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
