//! Spans as OTLP's JSON: the protobuf message `ExportTraceServiceRequest` in its JSON mapping, with ids in hexadecimal and
//! 64-bit numbers as text. See <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use kernel::hex::hex;
use serde::Serialize;

use super::{Span, Value};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [Attribute<'a>; 2],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<SpanView<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanView<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    /// 0 is unset, 2 is an error.
    code: u8,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: ValueView<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ValueView<'a> {
    StringValue(&'a str),
    IntValue(String),
}

impl<'a> SpanView<'a> {
    fn of(span: &'a Span) -> Self {
        let attributes = span.about.attributes.iter().map(|(key, value)| {
            let value = match value {
                Value::Text(text) => ValueView::StringValue(text),
                Value::Number(number) => ValueView::IntValue(number.to_string()),
            };
            Attribute { key, value }
        });
        Self {
            trace_id: hex(&span.trace),
            span_id: hex(&span.id),
            parent_span_id: span.parent.map(|parent| hex(&parent)),
            name: &span.about.name,
            kind: span.about.kind as u8,
            start_time_unix_nano: span.start_ns.to_string(),
            end_time_unix_nano: span.end_ns.to_string(),
            attributes: attributes.collect(),
            status: Status { code: if span.about.failed { 2 } else { 0 } },
        }
    }
}

/// Spans of a service, as the body of one request.
pub fn body(service: &str, spans: &[Span]) -> Result<Vec<u8>, serde_json::Error> {
    let version = env!("CARGO_PKG_VERSION");
    let attribute = |key, value| Attribute { key, value: ValueView::StringValue(value) };
    let resource =
        Resource { attributes: [attribute("service.name", service), attribute("service.version", version)] };
    let scope = Scope { name: "fairground", version };
    let scope_spans = [ScopeSpans { scope, spans: spans.iter().map(SpanView::of).collect() }];
    serde_json::to_vec(&Request { resource_spans: [ResourceSpans { resource, scope_spans }] })
}
