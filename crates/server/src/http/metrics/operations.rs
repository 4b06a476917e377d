//! The route of metrics, as the API's document tells it.

use crate::http::operation::Operation;

/// Outside `/api/v1`.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/metrics", "getMetrics", "Counters, histograms and gauges")
            .describe("Needs no key and names no participant. It names raffles and prizes: keep it behind your proxy.")
            .tells("application/openmetrics-text", "The text format of OpenMetrics 1.0.")
            .refuses(&["edge.timeout", "edge.unwritable"]),
    ]
}
