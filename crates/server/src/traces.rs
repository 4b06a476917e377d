//! Traces: one span for each request and for each batch of draws, sent by OTLP where an endpoint is configured.
//!
//! A caller that sends a `traceparent` continues its own trace and decides whether it is kept. Otherwise one in a number
//! of requests is traced. No participant, no key and no path stands in a span.

pub mod export;
pub mod otlp;
pub mod context;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use embedded::clock::Stopwatch;
use kernel::ports::clock::Clock;
use kernel::ports::entropy::Entropy;
use tokio::sync::mpsc::{self, Receiver, Sender};

use context::Context;

/// Spans that wait to be sent at the most; one more is dropped, and counted.
const WAITING_MAX: usize = 8192;

/// Who is on which end of a span. The numbers are OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Work within this process.
    Internal = 1,
    /// A request that this process answers.
    Server = 2,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

/// What is told of a span besides its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What was done: of few different values.
    pub name: String,
    /// Who is on which end.
    pub kind: Kind,
    /// Whether it failed for a reason of ours.
    pub failed: bool,
    /// Attributes, by OpenTelemetry's names where it has any.
    pub attributes: Vec<(&'static str, Value)>,
}

/// A span that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// The trace that it belongs to.
    pub trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    start_ms: i64,
    watch: Stopwatch,
}

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Span {
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    /// In nanoseconds since the Unix epoch, as exact as the clock's milliseconds.
    start_ns: u64,
    /// In nanoseconds since the Unix epoch; its distance to the start is exact.
    end_ns: u64,
    about: About,
}

/// Spans so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Taken by the endpoint.
    pub sent: AtomicU64,
    /// Given up: too many waited, or the endpoint would not have them.
    pub dropped: AtomicU64,
}

/// Makes spans.
pub struct Tracer {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    one_in: u64,
    begun: AtomicU64,
    spans: Sender<Span>,
    counts: Arc<Counts>,
}

impl Tracer {
    /// A tracer of one in so many, and the spans that it makes.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, one_in: u32) -> (Self, Receiver<Span>) {
        let (spans, made) = mpsc::channel(WAITING_MAX);
        let one_in = u64::from(one_in.max(1));
        let counts = Arc::default();
        (Self { clock, entropy, one_in, begun: AtomicU64::new(0), spans, counts }, made)
    }

    /// Spans so far.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Begins a span; `None` where it is not to be traced.
    pub fn begin(&self, caller: Option<Context>) -> Option<Begun> {
        let traced = match caller {
            Some(context) => context.sampled,
            None => self.begun.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_in),
        };
        if !traced {
            return None;
        }
        // Without chance there are no ids, and so no trace: the request itself is none the worse for it.
        let mut id = [0; 8];
        self.entropy.fill(&mut id).ok()?;
        let mut trace = [0; 16];
        match caller {
            Some(context) => trace = context.trace,
            None => self.entropy.fill(&mut trace).ok()?,
        }
        let parent = caller.map(|context| context.span);
        Some(Begun { trace, id, parent, start_ms: self.clock.now_ms(), watch: Stopwatch::start() })
    }

    /// Ends a span.
    pub fn end(&self, begun: Begun, about: About) {
        let start_ns = u64::try_from(begun.start_ms).unwrap_or(0).saturating_mul(1_000_000);
        let took_ns = u64::try_from(begun.watch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let Begun { trace, id, parent, .. } = begun;
        let span = Span { trace, id, parent, start_ns, end_ns: start_ns.saturating_add(took_ns), about };
        if self.spans.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
