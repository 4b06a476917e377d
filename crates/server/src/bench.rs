//! `fairground bench`: measures the real server from a separate load process, over loopback HTTP.

pub mod draws;
pub mod transfers;
pub mod audit;
pub mod process;
pub mod load;

use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Durable draws per second, beside the same server's no-op.
    Draws(draws::Args),
    /// Durable transfers per second, beside the same rows without any logic, and over HTTP beside the no-op.
    Transfers(transfers::Args),
    /// One load, in a process of its own; the other benches start it.
    #[command(hide = true)]
    Load(load::Args),
}

pub(crate) fn run(bench: Bench) -> Result<bool, String> {
    match bench {
        Bench::Draws(args) => draws::run(&args),
        Bench::Transfers(args) => transfers::run(&args),
        Bench::Load(args) => load::run(&args),
    }
}

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
