//! The command line.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use kernel::finding::{Finding, Severity};
use raffle::diff::{Change, Diff};
use raffle::document::Document;
use raffle::{lint, odds, verify};
use serde::Serialize;

use crate::audit;
use crate::bench;
use crate::config::Config;
use crate::demo;
use crate::http::openapi;
use crate::journal;
use crate::rebuild;
use crate::serve::{Ready, run};
use crate::simulate;
use crate::switchboard;
use crate::terminal::{Outcome, print, print_json, print_report, runtime};
use crate::timeline;
use crate::why;
use crate::wiring::Ports;

/// Incentive campaigns that never oversell and can prove each draw fair.
#[derive(Debug, Parser)]
#[command(name = "fairground", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port; port 0 takes a free one, and the bound address is printed.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What documents are about.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Raffles.
    Raffle,
    /// Campaigns.
    Campaign,
}

fn schema(of: Kind) -> &'static str {
    match of {
        Kind::Raffle => raffle::document::schema(),
        Kind::Campaign => campaign::document::schema(),
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a raffle to play with (also what happens without a command).
    Demo(ServeArgs),
    /// Serve the API.
    Serve(ServeArgs),
    /// Tell everything that is wrong with a raffle or campaign document.
    Check {
        /// The document, in YAML or JSON; `-` is standard input.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Tell the exact odds of a raffle document.
    Odds {
        /// The document, in YAML or JSON; `-` is standard input.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Tell in words what differs between two raffle documents.
    Diff {
        /// The earlier document, in YAML or JSON; `-` is standard input.
        old: PathBuf,
        /// The later one.
        new: PathBuf,
        /// Tell the expected cost of so many draws a day.
        #[arg(long, value_name = "N")]
        draws_per_day: Option<u32>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Tell what a raffle document would do: many draws that never happen.
    Simulate(simulate::Args),
    /// Tell why a draw became what it is.
    Why(why::Args),
    /// Replay the evidence of a raffle.
    Verify {
        /// The evidence, as GET /api/v1/raffles/{id}/evidence gives it; `-` is standard input.
        file: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Tell or set what a running server turns off or holds back.
    #[command(subcommand)]
    Switches(switchboard::Command),
    /// Recompute the audit log of a data folder that no server has open.
    Audit(audit::check::Args),
    /// Look after the ledger of a data folder that no server has open.
    #[command(subcommand)]
    Ledger(journal::Command),
    /// Look after what is searched, in a data folder that no server has open.
    #[command(subcommand)]
    Search(rebuild::Command),
    /// Tell what befell a participant, and why.
    Timeline(timeline::Args),
    /// Print the JSON Schema of documents.
    Schema {
        /// Of which documents.
        #[arg(value_enum, default_value_t = Kind::Raffle)]
        of: Kind,
    },
    /// Print the OpenAPI document of the API.
    Openapi,
    /// Print a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Measure this build on this machine.
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// Runs the command line. What is wrong is one sentence on standard error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome =
        match cli.command.unwrap_or(Command::Demo(ServeArgs { config: None, listen: None, data: None })) {
            Command::Demo(args) => serve(&args, true),
            Command::Serve(args) => serve(&args, false),
            Command::Check { file, json } => check(&file, json),
            Command::Odds { file, json } => show_odds(&file, json),
            Command::Diff { old, new, draws_per_day, json } => show_diff(&old, &new, draws_per_day, json),
            Command::Simulate(args) => simulate_file(&args),
            Command::Why(args) => explain(&args),
            Command::Verify { file, json } => verify_file(&file, json),
            Command::Audit(args) => from_environment().and_then(|config| audit::check::run(&args, config)),
            Command::Switches(command) => switchboard::run(&command),
            Command::Ledger(command) => from_environment().and_then(|config| journal::run(&command, config)),
            Command::Search(command) => from_environment().and_then(|config| rebuild::run(&command, config)),
            Command::Timeline(args) => timeline::run(&args),
            Command::Schema { of } => print(schema(of)).map(|()| true),
            Command::Openapi => print(openapi::text()).map(|()| true),
            Command::Completions { shell } => completions(shell),
            Command::Bench(command) => bench::run(command),
        };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(told) => {
            eprintln!("fairground: {told}");
            ExitCode::FAILURE
        }
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, String> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let opened =
        std::fs::File::open(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, opened)))
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = std::io::Read::read_to_string(&mut open(file)?, &mut text);
    read.map(|_| text).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn serve(args: &ServeArgs, is_demo: bool) -> Outcome {
    let mut config =
        Config::load(args.config.as_deref(), environment()).map_err(|error| error.to_string())?;
    if is_demo && args.data.is_none() && config.store == crate::config::Store::default() {
        config.store.data = PathBuf::from("fairground-demo");
    }
    if let Some(listen) = &args.listen {
        config.server.listen.clone_from(listen);
    }
    if let Some(data) = &args.data {
        config.store.data.clone_from(data);
    }
    log_to_stderr();
    runtime()?.block_on(async {
        let ready = Ready::open(&config, Ports::default()).await.map_err(|error| error.to_string())?;
        if is_demo {
            demo::start(ready).await.map_err(|error| error.to_string())?;
        } else {
            if let Some((_, file)) = &ready.admin_key {
                eprintln!("no API keys are configured: the key in {} may do everything", file.display());
            }
            run(ready).await.map_err(|error| error.to_string())?;
        }
        Ok(true)
    })
}

/// The environment, as far as it is text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("FAIRGROUND_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (trials) keeps the first one's log.
    let installed = if std::env::var("FAIRGROUND_LOG_FORMAT").is_ok_and(|format| format == "json") {
        format.json().try_init()
    } else {
        format.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
    installed.unwrap_or_default();
}

fn check(file: &Path, json: bool) -> Outcome {
    let now_ms = Ports::default().clock.now_ms();
    let text = read(file)?;
    let findings = if campaign::document::is_one(&text) {
        campaign::document::read(&text, now_ms).1
    } else {
        lint::check(&text, now_ms).1
    };
    let fine = !lint::forbids(&findings);
    if json {
        print_findings(findings)?;
        return Ok(fine);
    }
    let mut text = as_text(&findings);
    if findings.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    print(&text)?;
    Ok(fine)
}

fn print_findings(findings: Vec<Finding>) -> Result<(), String> {
    #[derive(Serialize)]
    struct Report {
        findings: Vec<Finding>,
    }
    print_json(&Report { findings })
}

fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { code, severity, pointer, message } in findings {
        let word = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let at = if pointer.is_empty() { "/" } else { pointer };
        text.push_str(&format!("{word:<8} {code:<24} {at}\n         {message}\n"));
    }
    text
}

/// Warnings do not keep a document from being played; errors are told as `check` tells them.
fn simulate_file(args: &simulate::Args) -> Outcome {
    let now_ms = Ports::default().clock.now_ms();
    let (document, findings) = lint::check(&read(&args.file)?, now_ms);
    match document.filter(|_| !lint::forbids(&findings)) {
        Some(document) => simulate::run(args, &document),
        None if args.json => print_findings(findings).map(|()| false),
        None => print(&as_text(&findings)).map(|()| false),
    }
}

fn read_document(file: &Path) -> Result<Document, String> {
    raffle::document::read(&read(file)?).map_err(|findings| {
        let first = findings.first();
        first.map_or_else(String::new, |finding| format!("{}: {}", finding.pointer, finding.message))
    })
}

fn show_diff(old: &Path, new: &Path, draws_per_day: Option<u32>, json: bool) -> Outcome {
    let diff = Diff::of(Some(&read_document(old)?), &read_document(new)?, draws_per_day);
    if json {
        return print_json(&diff).map(|()| true);
    }
    let mut text = String::new();
    for Change { code, pointer, message, .. } in &diff.changes {
        text.push_str(&format!("{code:<24} {pointer}\n         {message}\n"));
    }
    if diff.is_empty() {
        text.push_str("nothing differs\n");
    }
    print(&text).map(|()| true)
}

fn show_odds(file: &Path, json: bool) -> Outcome {
    let document = read_document(file)?;
    let odds = odds::odds(&document);
    if json {
        return print_json(&odds).map(|()| true);
    }
    let mut text = String::new();
    let mut table = |title: &str, pool: &odds::Pool| {
        text.push_str(&format!("{title}\n"));
        for (prize, odds) in pool {
            let percent = odds.numerator as f64 / odds.denominator as f64 * 100.0;
            text.push_str(&format!("  {prize:<16} {:>24}  {percent:>14.9} %\n", odds.to_string()));
        }
    };
    for (name, pool) in &odds.pools {
        let title = if name == "base" { "base pool".to_owned() } else { format!("odds tier {name}") };
        table(&format!("{title}, before the rule tree"), pool);
    }
    let mut unlock: Vec<_> = odds.unlock.iter().collect();
    unlock.sort_by_key(|(completed, _)| completed.parse::<u64>().unwrap_or(u64::MAX));
    for (completed, pool) in unlock {
        table(&format!("after the rule tree, with {completed} completed draws"), pool);
    }
    print(&text).map(|()| true)
}

/// The configuration of a command that takes no file.
fn from_environment() -> Result<Config, String> {
    Config::load(None, environment()).map_err(|error| error.to_string())
}

fn explain(args: &why::Args) -> Outcome {
    why::run(args, from_environment()?)
}

fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fairground", &mut script);
    print(&String::from_utf8_lossy(&script)).map(|()| true)
}

fn verify_file(file: &Path, json: bool) -> Outcome {
    let report = verify::verify(open(file)?.lines());
    let (verified, attested, failed) = (report.verified, report.attested, report.failed.len());
    let summary = format!("{verified} verified, {attested} attested, {failed} failed");
    let failed = report.failed.iter().map(|failure| (&*failure.id, &*failure.reason));
    print_report(json, &report, failed, &summary)
}
