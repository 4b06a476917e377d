//! The document and its page, in the document.

use crate::http::operation::Operation;

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/openapi.json", "getOpenApi", "This document")
            .describe("`fairground openapi` prints the same. Needs no key.")
            .tells_object("application/vnd.oai.openapi+json", "An OpenAPI 3.1.0 document."),
    ]
}

/// At the root.
pub fn page_operations() -> Vec<Operation> {
    vec![
        Operation::get("/docs", "getDocs", "A page that shows this document")
            .describe("One file that loads nothing else, so it works offline. Needs no key.")
            .tells("text/html", "The page."),
    ]
}
