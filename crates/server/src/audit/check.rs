//! `fairground audit`: recomputes the audit log of a store that no server has open.

use std::path::{Path, PathBuf};

use embedded::sqlite::{Caches, SqliteRecords, database_path};
use kernel::id::Shard;
use records::audit::{Failure, Report, verify_all};
use records::error::Error;
use records::port::{Value, read};

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

pub(crate) fn run(args: &Args) -> Outcome {
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
    let (entries, sealed, failed) = (report.entries, report.sealed, report.failed.len());
    text.push_str(&format!("{entries} entries, {sealed} sealed, {failed} failed\n"));
    print(&text)?;
    Ok(fine)
}

async fn check(folder: &Path) -> Result<Report, String> {
    // The audit log came with the second step of its room.
    let records = open_at_rest(folder, ("records", 2), "an audit log").await?;
    let found = verify_all(&records).await.map_err(|error| error.to_string());
    records.close();
    found
}

/// Opens a store that exists, that no other process holds, and that has a step of a room's tables.
pub(crate) async fn open_at_rest(
    folder: &Path,
    (room, step): (&'static str, i64),
    with: &str,
) -> Result<SqliteRecords, String> {
    // Opening would make an empty store, in which nothing is wrong.
    if !database_path(folder).exists() {
        return Err(format!("there is no database in {}", folder.display()));
    }
    let records = SqliteRecords::open(folder, Caches::default()).map_err(|error| error.to_string())?;
    let has_step = read(&records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let sql = "SELECT step FROM schema_step WHERE room=? AND step=?";
            Ok::<_, Error>(!tx.fetch(sql, &[Value::Text(room), Value::Int(step)]).await?.is_empty())
        })
    });
    let told = match has_step.await {
        Ok(true) => return Ok(records),
        Ok(false) => format!(
            "{} was written by a release without {with}: start this release on it once",
            folder.display()
        ),
        Err(error) => error.to_string(),
    };
    records.close();
    Err(told)
}
