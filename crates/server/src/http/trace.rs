//! A request as a span, and its trace in the log.

use axum::http::{HeaderValue, Method, StatusCode};
use kernel::hex::hex;

use crate::traces::{About, Kind, Value};

/// Longest id of a raffle, in bytes: see the document's schema.
const ID_BYTES_MAX: usize = 64;

/// What gives log lines within a request the id of its trace, at every level; nothing where there is no trace.
pub fn log_span(trace: Option<[u8; 16]>) -> tracing::Span {
    trace.map_or_else(tracing::Span::none, |trace| tracing::error_span!("request", trace_id = hex(&trace)))
}

/// What is told of a request, by the names of OpenTelemetry's conventions for HTTP. `path` is read for the raffle alone.
pub fn about(
    route: &str,
    method: &Method,
    path: &str,
    status: StatusCode,
    code: Option<&'static str>,
    request_id: &HeaderValue,
) -> About {
    let text = |text: &str| Value::Text(text.to_owned().into());
    let mut attributes = vec![
        ("http.request.method", text(method.as_str())),
        ("http.route", text(route)),
        ("http.response.status_code", Value::Number(status.as_u16().into())),
        ("fairground.request_id", text(request_id.to_str().unwrap_or_default())),
    ];
    attributes.extend(code.map(|code| ("error.type", Value::Text(code.into()))));
    attributes.extend(raffle_of(route, path).map(|raffle| ("fairground.raffle", text(raffle))));
    About {
        name: format!("{method} {route}"),
        kind: Kind::Server,
        failed: status.is_server_error(),
        attributes,
    }
}

/// The raffle that a path names, where its route has one in this place.
fn raffle_of<'a>(route: &str, path: &'a str) -> Option<&'a str> {
    let before = route.split_once("/raffles/{id}")?.0;
    let id = path.strip_prefix(before)?.strip_prefix("/raffles/")?.split('/').next()?;
    (1..=ID_BYTES_MAX).contains(&id.len()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raffle_is_told_where_the_route_has_one() {
        let long = format!("/api/v1/raffles/{}", "x".repeat(65));
        for (route, path, expected) in [
            ("/api/v1/raffles/{id}/draws", "/api/v1/raffles/a-b/draws", Some("a-b")),
            ("/api/v1/raffles/{id}", "/api/v1/raffles/a", Some("a")),
            ("/api/v1/raffles/{id}", long.as_str(), None),
            ("/api/v1/raffles", "/api/v1/raffles", None),
            ("/api/v1/draws/{id}", "/api/v1/draws/drw_1", None),
            ("none", "/raffles/a", None),
        ] {
            assert_eq!(raffle_of(route, path), expected, "{route} {path}");
        }
    }
}
