//! `fairground ledger`: the ledger of a store that no server has open.

use std::path::PathBuf;

use clap::Subcommand;
use kernel::id::{Shard, Tenant};
use ledger::journal::JournalKey;
use ledger::tables::ROOM;
use ledger::verify::{Report, verify};

use crate::config::Config;
use crate::store::Store;
use crate::terminal::{Outcome, print_report, runtime};

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

/// Checks a store. `config` says whether its records are on a server.
pub(crate) fn run(command: &Command, mut config: Config) -> Outcome {
    let Command::Verify(args) = command;
    config.store.data.clone_from(&args.data);
    let report = runtime()?.block_on(check(&config))?;
    let (entries, accounts, failed) = (report.entries, report.accounts, report.failed.len());
    let summary = format!("{entries} entries, {accounts} accounts, {failed} failed");
    let failed = report.failed.iter().map(|failure| (&*failure.id, &*failure.reason));
    print_report(args.json, &report, failed, &summary)
}

async fn check(config: &Config) -> Result<Report, String> {
    let last = i64::try_from(ROOM.steps.len()).unwrap_or(i64::MAX);
    let records = Store::open_at_rest(&config.store, (ROOM.name, last), "this ledger").await?;
    let key = JournalKey { shard: Shard::HOME, tenant: Tenant::MAIN.number };
    let found = verify(&records, key, Tenant::MAIN).await.map_err(|error| error.to_string());
    records.close();
    found
}
