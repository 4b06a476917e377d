//! `fairground search rebuild`: makes the projection anew, from the first row of every source.

use std::path::PathBuf;
use std::sync::Arc;

use embedded::clock::Stopwatch;
use records::migration;
use serde::Serialize;

use crate::chronicle::Chronicle;
use crate::config::Config;
use crate::rooms::{main_rooms, open_projection};
use crate::store::Store;
use crate::terminal::{Outcome, print, print_json, runtime};
use crate::wiring::{Archive, Ports};

/// What is done with the projection.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make anew what is searched, from the records.
    Rebuild {
        /// The data folder of a server that is not running.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// What was done.
#[derive(Debug, Serialize)]
struct Rebuilt {
    /// Activities that were written.
    activities: u64,
    /// How long it took.
    seconds: f64,
    /// Activities written in one second.
    activities_per_s: f64,
}

/// Makes a store's projection anew.
pub(crate) fn run(command: &Command, mut config: Config) -> Outcome {
    let Command::Rebuild { data, json } = command;
    config.store.data.clone_from(data);
    let rebuilt = runtime()?.block_on(rebuild(&config))?;
    if *json {
        return print_json(&rebuilt).map(|()| true);
    }
    let Rebuilt { activities, seconds, activities_per_s } = rebuilt;
    print(&format!("{activities} activities in {seconds:.1} s ({activities_per_s:.0} in one second)\n"))
        .map(|()| true)
}

async fn rebuild(config: &Config) -> Result<Rebuilt, String> {
    let archive = Archive::open(config).await.map_err(|error| error.to_string())?;
    let outcome = follow(config, &archive).await;
    archive.close().await;
    outcome
}

async fn follow(config: &Config, archive: &Archive) -> Result<Rebuilt, String> {
    let Ports { clock, entropy, .. } = Ports::default();
    let records = archive.raffles.records();
    let rooms = main_rooms(&config.store);
    migration::run(&*records, rooms, clock.now_ms()).await.map_err(|error| error.to_string())?;
    Store::drop_projection(&config.store).map_err(|error| error.to_string())?;
    let (store, projection) =
        open_projection(&config.store, &records, clock.now_ms()).await.map_err(|error| error.to_string())?;
    let worked = Stopwatch::start();
    let read = async {
        projection.clear().await?;
        let catalog = Arc::clone(archive.raffles.catalog());
        let chronicle = Chronicle::open((records, catalog), (clock, entropy), projection).await?;
        chronicle.read_everything().await
    };
    let outcome = read.await.map_err(|error| error.to_string());
    if let Some(store) = store {
        store.close();
    }
    let (activities, seconds) = (outcome?, worked.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let activities_per_s = activities as f64 / seconds.max(f64::EPSILON);
    Ok(Rebuilt { activities, seconds, activities_per_s })
}
