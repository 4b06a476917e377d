//! What an operator sees of a running product. Counted and timed here, told at `/metrics`.
//!
//! Labels are bounded: routes by template, never by path; codes, methods and outcomes from fixed lists; raffles up to a
//! number. No participant stands in a label. The rooms below know nothing of this: they call a witness, or are timed
//! from outside.

pub mod page;
pub mod requests;
pub mod draws;
pub mod outcomes;
pub mod commits;

use std::borrow::Cow;
use std::sync::Arc;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use records::port::Records;

use commits::Commits;
use draws::DrawCounts;
use outcomes::Outcomes;
use requests::Requests;

use crate::traces::Tracer;

/// Names and values of a series.
pub type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// Upper bounds of the buckets of every duration, in seconds.
pub const SECONDS: [f64; 15] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

/// All that is counted and timed in this process.
pub struct Metrics {
    /// What happens at the edge.
    pub requests: Requests,
    /// What becomes of draws.
    pub draws: Arc<DrawCounts>,
    /// What becomes of acts, of orders to the ledger, and of calls to endpoints.
    pub outcomes: Arc<Outcomes>,
    commits: Commits,
    traces: Option<Arc<Tracer>>,
    registry: Registry,
    started_ms: i64,
}

impl Metrics {
    /// Nothing counted yet, in a process that started at a time in milliseconds since the Unix epoch, and that may trace.
    pub fn new(started_ms: i64, traces: Option<Arc<Tracer>>) -> Self {
        let mut registry = Registry::default();
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("fairground_build", "The release that runs", version);
        let requests = Requests::registered(&mut registry);
        let draws = Arc::new(DrawCounts::registered(&mut registry, traces.clone()));
        let outcomes = Arc::new(Outcomes::registered(&mut registry));
        let commits = Commits::registered(&mut registry);
        Self { requests, draws, outcomes, commits, traces, registry, started_ms }
    }

    /// The same records, with their write transactions timed.
    pub fn timed(&self, records: Arc<dyn Records>) -> Arc<dyn Records> {
        self.commits.timed(records)
    }
}
