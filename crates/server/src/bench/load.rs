//! One load: many connections, each with one request in flight, all participants and keys distinct enough.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::terminal::{Outcome, print_json, runtime};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Draws.
    Draws,
    /// The no-op that is asked for in the same way.
    Noop,
    /// Transfers of one point, from the house to a participant.
    Transfers,
    /// The no-op that is asked for as a transfer is.
    NoopTransfers,
}

impl Target {
    /// As it is named among the arguments.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draws => "draws",
            Self::Noop => "noop",
            Self::Transfers => "transfers",
            Self::NoopTransfers => "noop-transfers",
        }
    }
}

/// The load's arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the server listens.
    #[arg(long)]
    pub address: SocketAddr,
    /// An API key.
    #[arg(long)]
    pub key: String,
    /// The raffle.
    #[arg(long)]
    pub raffle: String,
    /// What is asked.
    #[arg(long, value_enum)]
    pub target: Target,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// Requests in flight.
    #[arg(long)]
    pub connections: usize,
    /// Distinct participants.
    #[arg(long)]
    pub participants: u64,
    /// How many requests came before, so that the participants go on where they ended.
    #[arg(long, default_value_t = 0)]
    pub first: u64,
    /// Begins every Idempotency-Key.
    #[arg(long)]
    pub prefix: String,
    /// Requests per second, on a schedule that does not wait for answers; as fast as they come where it is left out.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Where to write every acknowledgement: key, participant and draw, a line each.
    #[arg(long)]
    pub acks: Option<PathBuf>,
}

/// What a load saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests answered with success.
    pub answered: u64,
    /// Requests answered with an error.
    pub refused: u64,
    /// Requests that were sent and never answered: the connection broke.
    pub unanswered: u64,
    /// From the first request to the last answer, in seconds.
    pub seconds: f64,
    /// Latencies, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// The first error that was answered.
    pub first_error: Option<String>,
}

impl Report {
    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.seconds.max(1e-9)
    }

    /// Refuses a load in which something was refused or broke: it measures nothing.
    pub fn expect_clean(&self) -> Result<(), String> {
        match (self.refused, self.unanswered) {
            (0, 0) if self.answered > 0 => Ok(()),
            (refused, unanswered) => {
                let first = self.first_error.as_deref().unwrap_or("none was told");
                Err(format!(
                    "{refused} requests were refused and {unanswered} not answered; the first error: {first}"
                ))
            }
        }
    }
}

struct Shared {
    args: Args,
    next: AtomicU64,
    over: AtomicBool,
    acks: Option<Mutex<BufWriter<File>>>,
    first_error: Mutex<Option<String>>,
}

#[derive(Default)]
struct Seen {
    latencies_us: Vec<u32>,
    refused: u64,
    unanswered: u64,
}

#[expect(clippy::disallowed_methods, reason = "a load is measured by the machine's own clock")]
fn now() -> Instant {
    Instant::now()
}

/// Runs a load and prints what it saw.
pub fn run(args: &Args) -> Outcome {
    let acks = args.acks.as_ref().map(|path| {
        let file = File::options().create(true).append(true).open(path);
        file.map(|file| Mutex::new(BufWriter::new(file)))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    });
    let shared = Arc::new(Shared {
        args: args.clone(),
        next: AtomicU64::new(0),
        over: AtomicBool::new(false),
        acks: acks.transpose()?,
        first_error: Mutex::new(None),
    });
    let report = runtime()?.block_on(load(&shared));
    if let Some(acks) = &shared.acks {
        let flushed = acks.lock().unwrap_or_else(PoisonError::into_inner).flush();
        flushed.map_err(|error| format!("cannot write the acknowledgements: {error}"))?;
    }
    print_json(&report).map(|()| true)
}

async fn load(shared: &Arc<Shared>) -> Report {
    // All connections first: the schedule begins when everybody can keep it.
    let mut connections = JoinSet::new();
    for _ in 0..shared.args.connections {
        connections.spawn(connect(shared.args.address));
    }
    let connections = connections.join_all().await;
    let start = now();
    let mut workers = JoinSet::new();
    for connection in connections {
        let shared = Arc::clone(shared);
        workers.spawn(async move { worker(&shared, start, connection).await });
    }
    let seen = workers.join_all().await;
    let seconds = start.elapsed().as_secs_f64();
    let mut latencies: Vec<u32> = seen.iter().flat_map(|seen| &seen.latencies_us).copied().collect();
    latencies.sort_unstable();
    let percentile = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies.get(place.min(latencies.len().saturating_sub(1))).map_or(0.0, |us| f64::from(*us) / 1000.0)
    };
    Report {
        answered: latencies.len() as u64,
        refused: seen.iter().map(|seen| seen.refused).sum(),
        unanswered: seen.iter().map(|seen| seen.unanswered).sum(),
        seconds,
        p50_ms: percentile(0.5),
        p99_ms: percentile(0.99),
        p999_ms: percentile(0.999),
        first_error: shared.first_error.lock().unwrap_or_else(PoisonError::into_inner).take(),
    }
}

async fn connect(address: SocketAddr) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    // Ends with the sender; what goes wrong, the sender is told.
    #[expect(
        clippy::disallowed_methods,
        reason = "the connection's half of a request loop; it ends with its sender"
    )]
    tokio::spawn(async move { connection.await.unwrap_or_default() });
    Some(sender)
}

async fn worker(shared: &Shared, start: Instant, connection: Option<SendRequest<Full<Bytes>>>) -> Seen {
    let mut seen = Seen::default();
    let args = &shared.args;
    let length = Duration::from_secs_f64(args.seconds);
    let Some(mut sender) = connection else { return seen };
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let due = match args.rate {
            Some(rate) => {
                let due = start + Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                due
            }
            None => now(),
        };
        if due.duration_since(start) >= length || shared.over.load(Ordering::Relaxed) {
            return seen;
        }
        let participant = participant_of(args.first + number, args.participants);
        let Some(request) = request(args, number, participant) else { return seen };
        if sender.ready().await.is_err() {
            // Nothing was sent, so nobody waits for an answer.
            shared.over.store(true, Ordering::Relaxed);
            return seen;
        }
        match ask(&mut sender, request).await {
            Ok((status, body)) if status.is_success() => {
                let waited = now().duration_since(due);
                seen.latencies_us.push(u32::try_from(waited.as_micros()).unwrap_or(u32::MAX));
                acknowledge(shared, number, participant, &body);
            }
            Ok((status, body)) => {
                seen.refused += 1;
                let mut first = shared.first_error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| format!("{status}: {}", String::from_utf8_lossy(&body)));
            }
            Err(_) => {
                // The server is gone: everybody stops, as nobody is there to answer.
                seen.unanswered += 1;
                shared.over.store(true, Ordering::Relaxed);
                return seen;
            }
        }
    }
}

/// The participant of a load's request: a stride that shares no factor with their number visits each of them.
pub fn participant_of(number: u64, participants: u64) -> u64 {
    number.wrapping_mul(7_919) % participants.max(1)
}

fn request(args: &Args, number: u64, participant: u64) -> Option<Request<Full<Bytes>>> {
    let path = match args.target {
        Target::Draws => format!("/api/v1/raffles/{}/draws", args.raffle),
        Target::Noop => format!("/api/v1/noop/{}", args.raffle),
        Target::Transfers => "/api/v1/transfers".to_owned(),
        Target::NoopTransfers => "/api/v1/noop-transfers".to_owned(),
    };
    let body = match args.target {
        Target::Draws | Target::Noop => format!("{{\"participant\":\"p{participant:07}\"}}"),
        Target::Transfers | Target::NoopTransfers => format!(
            "{{\"legs\":[{{\"house\":\"issued\",\"unit\":\"point\",\"amount\":-1}},\
             {{\"participant\":\"p{participant:07}\",\"unit\":\"point\",\"amount\":1}}]}}"
        ),
    };
    Request::post(path)
        .header(HOST, "localhost")
        .header(AUTHORIZATION, format!("Bearer {}", args.key))
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", format!("{}-{number}", args.prefix))
        .body(Full::new(Bytes::from(body)))
        .ok()
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), hyper::Error> {
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, body))
}

/// Notes the draw of an answer. A no-op has none.
fn acknowledge(shared: &Shared, number: u64, participant: u64, body: &[u8]) {
    let Some(acks) = &shared.acks else { return };
    let draw = draw_of(body).unwrap_or("-");
    let mut acks = acks.lock().unwrap_or_else(PoisonError::into_inner);
    // A full disk shows as acknowledgements that are missing at the end, and is told there.
    let line = writeln!(acks, "{}-{number} p{participant:07} {draw}", shared.args.prefix);
    line.unwrap_or_default();
}

/// The id in an answer's `{"draw":"..."`.
fn draw_of(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(b"{\"draw\":\"")?;
    std::str::from_utf8(rest.get(..30)?).ok()
}
