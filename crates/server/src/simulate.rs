//! `fairground simulate`: runs of one document, as many at a time as there are cores.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use campaign::window::Zone;
use clap::ValueEnum;
use raffle::document::Document;
use raffle::simulate::{
    Arrival, DRAWS_MAX, Exhaustion, PARTICIPANTS_MAX, Played, Report, Scenario, Simulation,
};
use raffle::standing::{Attested, POINTS_SPENT};

use crate::terminal::{Outcome, print, print_json};

/// Between two looks at the progress, in milliseconds; the first is shown after ten.
const TICK_MS: u64 = 100;

/// Width of the progress bar, in characters.
const BAR: usize = 40;

/// What to simulate.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The document, in YAML or JSON; `-` is standard input.
    pub(crate) file: PathBuf,
    /// Draws asked for; ten for each participant where it is left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=DRAWS_MAX))]
    draws: Option<u64>,
    /// Participants; a tenth of the draws where it is left out, or more if tickets are few.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=i64::from(PARTICIPANTS_MAX)))]
    participants: Option<u32>,
    /// Draws in 24 hours, evenly spread; where it is left out they are spread over the window, or over one day.
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u64).range(1..))]
    draws_per_day: Option<u64>,
    /// Local time of the first draw, such as 2026-11-23T09:30:00; the window's beginning where it is left out.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Who comes next: anybody by chance, all in turns, or each with all their draws at once.
    #[arg(long, value_enum, default_value_t)]
    arrival: Order,
    /// Let the people whom the document's lists name draw too; else all are strangers to its lists.
    #[arg(long)]
    with_named: bool,
    /// Points that every participant has spent.
    #[arg(long, value_name = "POINTS")]
    points_spent: Option<u64>,
    /// A metric of every participant; may be repeated.
    #[arg(long, value_name = "NAME=NUMBER", value_parser = pair)]
    metric: Vec<(String, String)>,
    /// An attribute of every participant; may be repeated.
    #[arg(long, value_name = "NAME=WORD", value_parser = pair)]
    attribute: Vec<(String, String)>,
    /// The same seed gives the same result, on every machine.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Runs for the forecast; the first is the one that is told in whole numbers.
    #[arg(long, value_name = "R", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`Arrival`], as it is typed.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Order {
    #[default]
    Chance,
    Turns,
    Sessions,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Args {
    fn scenario(&self, document: &Document) -> Result<Scenario, String> {
        let start = self.start.as_deref().map(|local| {
            let zone = Zone::named(&document.time_zone);
            let instant = zone.and_then(|zone| zone.instant_of(local));
            instant.ok_or_else(|| format!("--start {local}: write a local time such as 2026-11-23T09:30:00"))
        });
        let metrics = self.metric.iter().map(|(name, number)| {
            let number =
                number.parse().map_err(|_| format!("--metric {name}={number}: this is no whole number"))?;
            Ok((name.clone(), number))
        });
        let mut metrics: BTreeMap<String, u64> = metrics.collect::<Result<_, String>>()?;
        metrics.extend(self.points_spent.map(|points| (POINTS_SPENT.to_owned(), points)));
        Ok(Scenario {
            draws: self.draws,
            participants: self.participants,
            arrival: match self.arrival {
                Order::Chance => Arrival::Chance,
                Order::Turns => Arrival::Turns,
                Order::Sessions => Arrival::Sessions,
            },
            with_named: self.with_named,
            draws_per_day: self.draws_per_day,
            start_ms: start.transpose()?,
            told: Attested { attributes: self.attribute.iter().cloned().collect(), metrics },
            seed: self.seed,
        })
    }
}

/// Simulates a document without errors, and prints what came of it.
pub(crate) fn run(args: &Args, document: &Document) -> Outcome {
    let scenario = args.scenario(document)?;
    let simulation = Simulation::of(document, scenario).map_err(|error| error.to_string())?;
    let runs = play_all(&simulation, args.runs);
    let report = Report::of(&simulation, &runs).ok_or("there was no run")?;
    if args.json {
        return print_json(&report).map(|()| true);
    }
    print(&table(&simulation, &report)).map(|()| true)
}

/// Plays all runs, in the order of their numbers whoever plays them.
fn play_all(simulation: &Simulation, runs: u32) -> Vec<Played> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (next, done) = (AtomicU32::new(0), AtomicU64::new(0));
    let whole = simulation.draws().saturating_mul(runs.into());
    let (send, receive) = mpsc::channel();
    let mut played: Vec<(u32, Played)> = std::thread::scope(|scope| {
        for _ in 0..cores.min(runs as usize) {
            let (send, next, done) = (send.clone(), &next, &done);
            scope.spawn(move || {
                let progress = |more| {
                    done.fetch_add(more, Ordering::Relaxed);
                };
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs || send.send((run, simulation.play(run, &progress))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        gather(&receive, &done, whole)
    });
    played.sort_unstable_by_key(|(run, _)| *run);
    played.into_iter().map(|(_, played)| played).collect()
}

/// Takes in what was played. On a terminal, a bar shows how far it is, once it has taken a second.
fn gather(receive: &Receiver<(u32, Played)>, done: &AtomicU64, whole: u64) -> Vec<(u32, Played)> {
    let mut err = std::io::stderr();
    let is_watched = err.is_terminal();
    let (mut played, mut ticks) = (Vec::new(), 0u32);
    let mut show = |text: &str| {
        // A terminal that went away misses a bar, and nothing else.
        err.write_all(text.as_bytes()).and_then(|()| err.flush()).unwrap_or_default();
    };
    loop {
        match receive.recv_timeout(Duration::from_millis(TICK_MS)) {
            Ok(run) => played.push(run),
            Err(RecvTimeoutError::Timeout) => ticks += 1,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if is_watched && ticks >= 10 {
            show(&bar(done.load(Ordering::Relaxed), whole));
        }
    }
    if is_watched && ticks >= 10 {
        show("\r\u{1b}[K");
    }
    played
}

fn bar(done: u64, whole: u64) -> String {
    let part = |of: u128| u128::from(done.min(whole)) * of / u128::from(whole.max(1));
    let filled = usize::try_from(part(BAR as u128)).unwrap_or(BAR);
    format!("\r[{}{}] {:>3} %", "#".repeat(filled), "-".repeat(BAR - filled), part(100))
}

fn table(simulation: &Simulation, report: &Report) -> String {
    let Report { draws, seed, participants, runs, cost, intervals, .. } = report;
    let mut text = format!("{draws} draws by {participants} participants, seed {seed}, {runs} runs\n");
    text.push_str(&format!("  {:<16} {:>12} {:>14} {:>27}\n", "prize", "first run", "mean", "95 % of runs"));
    let mut row = |name: &str, first: u64, of: &raffle::simulate::Interval<u64>| {
        let span = format!("{} to {}", of.low, of.high);
        text.push_str(&format!("  {name:<16} {first:>12} {:>14.1} {span:>27}\n", of.mean));
    };
    for (prize, of) in &intervals.outcomes {
        row(prize, report.outcomes.get(prize).copied().unwrap_or(0), of);
    }
    row("cost", *cost, &intervals.cost);
    for (code, of) in &intervals.refused {
        row(&format!("refused: {code}"), report.refused.get(code).copied().unwrap_or(0), of);
    }
    let zone = &simulation.plan().zone;
    for (prize, exhaustion) in &intervals.stock_out {
        match exhaustion {
            None => text.push_str(&format!("prize {prize} does not run out\n")),
            Some(Exhaustion { runs: ran_out, draw, at_ms }) => text.push_str(&format!(
                "prize {prize} runs out in {ran_out} of {runs} runs: with draw {} to {}, {} to {}\n",
                draw.low,
                draw.high,
                zone.write(at_ms.low),
                zone.write(at_ms.high)
            )),
        }
    }
    if report.refused.contains_key("raffle.not_eligible") && simulation.named() == 0 {
        text.push_str(
            "all participants are strangers to the document's lists; --with-named lets its people draw\n",
        );
    }
    text
}
