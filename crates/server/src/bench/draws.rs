//! `fairground bench draws`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use embedded::clock::Stopwatch;
use raffle::entry::Request;
use raffle::raffles::DrawRequest;
use raffle::standing::Attested;
use records::audit::Actor;
use serde::Serialize;
use tokio::task::JoinSet;

use super::audit::audit;
use super::load::Target;
use super::median;
use super::process::{Load, Server, this_program};
use crate::config::{Config, size};
use crate::demo::{DOCUMENT, RAFFLE};
use crate::terminal::{Outcome, print, print_json, runtime};
use crate::wiring::{House, Ports};

/// Interleaved rounds of no-op and draws.
const ROUNDS: usize = 5;

/// The bench's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Length of each measured load, in seconds.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Earlier draws of the same shape to begin with.
    #[arg(long, default_value_t = 0)]
    pub rows: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What the bench found.
#[derive(Debug, Serialize)]
struct Report {
    draws_per_s: f64,
    noop_per_s: f64,
    ratio: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    cpu_us_per_draw: f64,
    memory_mib: f64,
    acknowledged: u64,
    lost: u64,
    duplicated: u64,
    oversold: u64,
}

pub(super) fn run(args: &Args) -> Outcome {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err("--seconds must be above 0 and at most 3600".to_owned());
    }
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    runtime()?.block_on(measure(args, folder.path()))
}

async fn measure(args: &Args, folder: &Path) -> Outcome {
    let program = this_program()?;
    let (data, log, acks) = (folder.join("data"), folder.join("server.log"), folder.join("acks"));
    let environment = [("FAIRGROUND_SERVER__NOOP", "true".to_owned())];
    if args.rows > 0 {
        eprintln!("making {} earlier draws", args.rows);
        let began = Stopwatch::start();
        prefill(&data, args.rows).await?;
        eprintln!("made {} earlier draws in {:.0} s", args.rows, began.elapsed().as_secs_f64());
    }
    let began = Stopwatch::start();
    let server = Server::start(&program, &data, &log, &environment)?;
    eprintln!("the server listened after {:.2} s", began.elapsed().as_secs_f64());
    server.publish(RAFFLE, DOCUMENT).await?;
    let mut asked = 0;
    let mut load = |target, prefix: String, seconds, rate| {
        let mut load = server.load(RAFFLE, target, &prefix, seconds);
        load.first = asked;
        load.rate = rate;
        if target == Target::Draws {
            load.acks = Some(acks.clone());
        }
        let report = Load::start(&program, &load)?.finish()?;
        if target == Target::Draws {
            asked += report.answered;
        }
        Ok::<_, String>(report)
    };

    load(Target::Noop, "warm-noop".to_owned(), 1.0, None)?;
    load(Target::Draws, "warm".to_owned(), 1.0, None)?;
    let (mut noops, mut draws, mut ratios, mut cpu) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let noop = load(Target::Noop, format!("noop-{round}"), args.seconds, None)?;
        let before = server.cpu_seconds();
        let drawn = load(Target::Draws, format!("draw-{round}"), args.seconds, None)?;
        let used = server.cpu_seconds() - before;
        noop.expect_clean()?;
        drawn.expect_clean()?;
        eprintln!(
            "round {}: {:.0} no-ops/s, {:.0} draws/s, ratio {:.3}",
            round + 1,
            noop.per_second(),
            drawn.per_second(),
            drawn.per_second() / noop.per_second()
        );
        ratios.push(drawn.per_second() / noop.per_second());
        cpu.push(used * 1e6 / drawn.answered.max(1) as f64);
        noops.push(noop.per_second());
        draws.push(drawn.per_second());
    }
    let peak = median(draws);
    // Let the effects of the full load leave before latency is looked at.
    settle(&server).await?;
    let half = load(Target::Draws, "half".to_owned(), args.seconds, Some(peak / 2.0))?;
    half.expect_clean()?;
    eprintln!("half the peak: {:.0} draws/s", half.per_second());
    let memory_mib = server.memory_mib();
    if !server.terminate()? {
        return Err("the server did not end well".to_owned());
    }
    let audit = audit(&data, &[&acks]).await?;
    let report = Report {
        draws_per_s: peak,
        noop_per_s: median(noops),
        ratio: median(ratios),
        p50_ms: half.p50_ms,
        p99_ms: half.p99_ms,
        p999_ms: half.p999_ms,
        cpu_us_per_draw: median(cpu),
        memory_mib,
        acknowledged: audit.acknowledged,
        lost: audit.lost,
        duplicated: audit.duplicated,
        oversold: audit.oversold,
    };
    if args.json {
        print_json(&report)?;
    } else {
        print(&format!("{report:#?}\n"))?;
    }
    for broken in &audit.unbalanced {
        eprintln!("the books do not agree: {broken}");
    }
    Ok(audit.holds())
}

/// Waits until the server has no unsent effects.
async fn settle(server: &Server) -> Result<(), String> {
    loop {
        let ready = server.ask("GET", "/readyz", &[], "").await?.json()?;
        if ready["effects_unsent"] == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes earlier draws as the server would, without the network.
async fn prefill(data: &Path, rows: u64) -> Result<(), String> {
    let mut config = Config::default();
    config.store.data = data.to_owned();
    // The largest batches: nobody waits for an answer here.
    config.batch.draws_max = const { size(4096) };
    let house = House::open(&config, Ports::default()).await.map_err(|error| error.to_string())?;
    let publish = raffle::publish::Publish {
        raffle: RAFFLE.to_owned(),
        text: DOCUMENT.to_owned(),
        request: Request {
            key: "publish-1".to_owned(),
            body_hash: raffle::fairness::sha256(DOCUMENT.as_bytes()),
            actor: Actor::house(),
        },
    };
    house.raffles.publish(publish).await.map_err(|error| error.to_string())?;
    let raffles = Arc::new(house.raffles.clone());
    let mut workers = JoinSet::new();
    const WORKERS: u64 = 8192;
    for worker in 0..WORKERS {
        let (raffles, actor) = (Arc::clone(&raffles), Actor::house());
        workers.spawn(async move {
            for number in (worker..rows).step_by(usize::try_from(WORKERS).unwrap_or(1)) {
                let asked = DrawRequest {
                    raffle: RAFFLE.to_owned(),
                    participant: format!("p{:07}", number.wrapping_mul(7_919) % 100_000),
                    client_seed: None,
                    attested: Attested::default(),
                    parts: 1,
                    request: Request {
                        key: format!("earlier-{number}"),
                        body_hash: [0; 32],
                        actor: Arc::clone(&actor),
                    },
                };
                raffles.draw(asked).await.map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        });
    }
    let outcome: Result<Vec<()>, String> = workers.join_all().await.into_iter().collect();
    // What these draws owe the world is none of the load that is measured.
    while house.raffles.backlog().await.map_err(|error| error.to_string())?.0 > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    house.close().await;
    outcome.map(|_| ())
}
