//! `fairground ledger`: the ledger of a store that no server has open.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use kernel::id::{Shard, Tenant};
use ledger::journal::JournalKey;
use ledger::tables::ROOM;
use ledger::verify::{Failure, Report, verify};

use crate::audit::check::open_at_rest;
use crate::terminal::{Outcome, print, print_json, runtime};

/// What `fairground ledger` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Recompute the journal, and name every row that it does not prove.
    Verify(Args),
}

/// What `fairground ledger verify` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Outcome {
    let Command::Verify(args) = command;
    let report = runtime()?.block_on(check(&args.data))?;
    let fine = report.failed.is_empty();
    if args.json {
        print_json(&report)?;
        return Ok(fine);
    }
    let mut text = String::new();
    for Failure { id, reason } in &report.failed {
        text.push_str(&format!("failed   {id}: {reason}\n"));
    }
    let (entries, accounts, failed) = (report.entries, report.accounts, report.failed.len());
    text.push_str(&format!("{entries} entries, {accounts} accounts, {failed} failed\n"));
    print(&text)?;
    Ok(fine)
}

async fn check(folder: &Path) -> Result<Report, String> {
    let last = i64::try_from(ROOM.steps.len()).unwrap_or(i64::MAX);
    let records = open_at_rest(folder, (ROOM.name, last), "this ledger").await?;
    let key = JournalKey { shard: Shard::HOME, tenant: Tenant::MAIN.number };
    let found = verify(&records, key, Tenant::MAIN).await.map_err(|error| error.to_string());
    records.close();
    found
}
