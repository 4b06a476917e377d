//! The `[telemetry]` section: where traces go.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::number;

/// Traces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Where spans go, by OTLP over HTTP, such as `http://127.0.0.1:4318`. Default none: nothing is traced.
    pub otlp_endpoint: Option<String>,
    /// The name of this service in its traces. Default `fairground`.
    pub service_name: String,
    /// One in this many requests and batches is traced, where no caller has decided. Default 1.
    pub one_in: NonZeroU32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, service_name: "fairground".to_owned(), one_in: const { number(1) } }
    }
}
