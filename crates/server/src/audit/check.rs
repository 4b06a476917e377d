//! `fairground audit`: recomputes the audit log of a store that no server has open.

use std::path::PathBuf;

use records::audit::{Failure, Report, verify_all};

use crate::config::Config;
use crate::store::Store;
use crate::terminal::{Outcome, print, print_json, runtime};

/// What `fairground audit` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks a store. `config` says whether its records are on a server.
pub(crate) fn run(args: &Args, mut config: Config) -> Outcome {
    config.store.data.clone_from(&args.data);
    let report = runtime()?.block_on(check(&config))?;
    let fine = report.failed.is_empty();
    if args.json {
        print_json(&report)?;
        return Ok(fine);
    }
    let mut text = String::new();
    for Failure { id, reason } in &report.failed {
        text.push_str(&format!("failed   {id}: {reason}\n"));
    }
    let (entries, sealed, failed) = (report.entries, report.sealed, report.failed.len());
    text.push_str(&format!("{entries} entries, {sealed} sealed, {failed} failed\n"));
    print(&text)?;
    Ok(fine)
}

async fn check(config: &Config) -> Result<Report, String> {
    // The audit log came with the second step of its room.
    let records = Store::open_at_rest(&config.store, ("records", 2), "an audit log").await?;
    let found = verify_all(&records).await.map_err(|error| error.to_string());
    records.close();
    found
}
