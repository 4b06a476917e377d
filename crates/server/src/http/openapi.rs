//! `/api/v1/openapi.json`: the API's document, and `/docs`: a page that shows it. Both are made of the operations beside
//! the handlers and of the types that handlers read and write, once in a process.

mod assembly;
mod operations;
mod page;

pub use assembly::document;
pub use operations::{operations, page_operations};

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;

/// The media type of the document, as it is registered for OpenAPI 3.1.
const MEDIA: &str = "application/vnd.oai.openapi+json;version=3.1";

static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// The document as text.
pub fn text() -> &'static str {
    &TEXT
}

/// The route of the document; it needs no key.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(show))
}

/// The route of the page; it needs no key.
pub fn page_routes() -> Router<Arc<App>> {
    Router::new().route("/docs", get(page))
}

async fn show() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA))], text()).into_response()
}

static PAGE: LazyLock<page::Page> = LazyLock::new(|| page::Page::of(&document()));

async fn page() -> Response {
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, PAGE.policy.clone()),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, PAGE.html.as_str()).into_response()
}
