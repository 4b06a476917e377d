//! The page: one file, which loads nothing. Its policy names the hashes of the style and the script that are in it, and
//! allows nothing else.

use axum::http::HeaderValue;
use base64ct::{Base64, Encoding};
use raffle::fairness::sha256;
use serde_json::Value;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page, and the value of its `Content-Security-Policy`.
pub(super) struct Page {
    /// All of it.
    pub(super) html: String,
    /// What a browser may do with it.
    pub(super) policy: HeaderValue,
}

impl Page {
    /// The page that shows a document.
    pub(super) fn of(document: &Value) -> Self {
        // `<` could end the element that the document stands in.
        let data = document.to_string().replace('<', "\\u003c");
        let html = FRAME.replace("{style}", STYLE).replace("{script}", SCRIPT).replace("{document}", &data);
        let hash = |text: &str| format!("'sha256-{}'", Base64::encode_string(&sha256(text.as_bytes())));
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { html, policy }
    }
}
