//! Errors as RFC 9457 problem documents. The one place where a [`Fault`] becomes a status.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kernel::fault::{Classify, Fault};
use kernel::finding::Finding;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

/// What a caller is told when something is wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    cause: String,
    findings: Vec<Finding>,
    headers: Vec<(HeaderName, String)>,
}

/// A problem document (RFC 9457).
#[derive(Serialize, JsonSchema)]
struct Body<'a> {
    /// `urn:fairground:error:` and the code.
    r#type: String,
    /// The name of the status.
    title: &'a str,
    /// The status.
    status: u16,
    /// Stable: decide by this.
    code: &'a str,
    /// What is wrong this time, in a sentence for people. Its wording may change.
    detail: &'a str,
    /// The same as in the header `X-Request-Id`.
    request_id: &'a str,
    /// Only where a document was wrong: everything about it.
    #[serde(skip_serializing_if = "<[Finding]>::is_empty")]
    findings: &'a [Finding],
}

/// The schema of every problem's body.
pub fn schema(answers: &mut SchemaGenerator) -> Schema {
    let mut schema = Body::json_schema(answers);
    schema.insert("title".to_owned(), "Problem".into());
    schema
}

impl Problem {
    /// A problem of the edge itself.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), cause: String::new(), findings: vec![], headers: vec![] }
    }

    /// The answer took too long; what was asked may have been done.
    pub fn too_slow(limit: Duration, writes: bool) -> Self {
        let detail = if writes {
            format!(
                "no answer within {limit:?}; what you asked may be done: repeat it as it was, with its Idempotency-Key if it had one"
            )
        } else {
            format!("no answer within {limit:?}")
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "edge.timeout", detail)
    }

    /// Adds what a document's check found.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whether an operator wants it so: a switch says no, and nothing is wrong.
    pub fn is_wanted(&self) -> bool {
        self.code.starts_with("switch.")
    }

    /// What only the log is told.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The whole answer.
    pub fn into_body(self, request_id: &str) -> Response {
        let body = Body {
            r#type: format!("urn:fairground:error:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id,
            findings: &self.findings,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl<E: Classify> From<E> for Problem {
    fn from(error: E) -> Self {
        let status = match error.fault() {
            Fault::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Missing => StatusCode::NOT_FOUND,
            Fault::Conflict => StatusCode::CONFLICT,
            Fault::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Fault::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // Callers are told what they can act on; the rest goes to the log.
        let (detail, cause) = match error.fault() {
            Fault::Bug => {
                ("something is wrong on our side; the log knows more".to_owned(), error.to_string())
            }
            Fault::Busy if error.code() == "records.unavailable" => {
                ("the records cannot be reached".to_owned(), error.to_string())
            }
            Fault::Refused | Fault::Missing | Fault::Conflict | Fault::TooOften | Fault::Busy => {
                (error.to_string(), String::new())
            }
        };
        let retry = error.retry_seconds().map(|seconds| (header::RETRY_AFTER, seconds.to_string()));
        let headers = retry.into_iter().collect();
        Self { status, code: error.code(), detail, cause, findings: vec![], headers }
    }
}

impl IntoResponse for Problem {
    /// Leaves the body to the layer around all routes, which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
