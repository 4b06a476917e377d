//! `fairground audit`: recomputes the audit log of a store that no server has open.

use std::path::PathBuf;

use records::audit::{Report, verify_all};

use crate::config::Config;
use crate::store::Store;
use crate::terminal::{Outcome, print_report, runtime};

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
    let (entries, sealed, failed) = (report.entries, report.sealed, report.failed.len());
    let summary = format!("{entries} entries, {sealed} sealed, {failed} failed");
    let failed = report.failed.iter().map(|failure| (&*failure.id, &*failure.reason));
    print_report(args.json, &report, failed, &summary)
}

async fn check(config: &Config) -> Result<Report, String> {
    // The audit log came with the second step of its room.
    let records = Store::open_at_rest(&config.store, ("records", 2), "an audit log").await?;
    let found = verify_all(&records).await.map_err(|error| error.to_string());
    records.close();
    found
}
