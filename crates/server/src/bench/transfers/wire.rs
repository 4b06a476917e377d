//! Transfers over HTTP: the real server, a load in a process of its own, and the books afterwards.

use std::path::Path;
use std::sync::Arc;

use embedded::clock::SystemClock;
use embedded::sqlite::{Caches, SqliteRecords};
use kernel::id::Tenant;
use ledger::account::{Account, ISSUED};
use ledger::ledger::Ledger;
use ledger::verify::verify;
use records::batch::Limits;
use records::port::Records;

use super::{GRANT, House, PARTICIPANTS, ROUNDS, unit, words};
use crate::bench::load::Target;
use crate::bench::median;
use crate::bench::process::{Load, Server, this_program};

/// What was measured, and what is wrong with the books.
pub(super) struct Wire {
    pub(super) http_per_s: f64,
    pub(super) noop_per_s: f64,
    pub(super) broken: Vec<String>,
}

/// Measures rounds of no-ops and transfers, each from the house to one of many participants, who have their wallets before: as
/// in the engine, what is measured is transfers, and not the opening of accounts.
pub(super) async fn measure(seconds: f64, folder: &Path) -> Result<Wire, String> {
    std::fs::create_dir_all(folder).map_err(words)?;
    let (program, data, log) = (this_program()?, folder.join("data"), folder.join("server.log"));
    let house = House::open(&data).await?;
    house.fund().await?;
    let funded = house.ledger.entries().await.map_err(words)?;
    house.close().await?;
    let server = Server::start(&program, &data, &log, &[("FAIRGROUND_SERVER__NOOP", "true".to_owned())])?;
    let mut done = 0;
    let mut load = |target, prefix: String, seconds| {
        let mut load = server.load("none", target, &prefix, seconds);
        load.first = done;
        let report = Load::start(&program, &load)?.finish()?;
        report.expect_clean()?;
        if target == Target::Transfers {
            done += report.answered;
        }
        Ok::<_, String>(report.per_second())
    };
    load(Target::NoopTransfers, "warm-noop".to_owned(), 1.0)?;
    load(Target::Transfers, "warm".to_owned(), 1.0)?;
    let (mut noops, mut transfers) = (vec![], vec![]);
    for round in 1..=ROUNDS {
        let noop = load(Target::NoopTransfers, format!("noop-{round}"), seconds)?;
        let sent = load(Target::Transfers, format!("transfer-{round}"), seconds)?;
        eprintln!(
            "round {round}: {noop:.0} no-ops/s, {sent:.0} transfers/s over HTTP, ratio {:.3}",
            sent / noop
        );
        noops.push(noop);
        transfers.push(sent);
    }
    if !server.terminate()? {
        return Err("the server did not end well".to_owned());
    }
    let broken = broken(&data, funded, done).await?;
    Ok(Wire { http_per_s: median(transfers), noop_per_s: median(noops), broken })
}

/// What of the books does not agree with what stood there and so many transfers of one unit that were answered, each under a key
/// of its own.
async fn broken(data: &Path, before: u64, answered: u64) -> Result<Vec<String>, String> {
    let records = Arc::new(SqliteRecords::open(data, Caches::default()).map_err(words)?);
    let shared = Arc::clone(&records) as Arc<dyn Records>;
    // Without its driver nothing is ordered.
    let (ledger, _) = Ledger::open(shared, Arc::new(SystemClock::default()), Limits::default());
    let found = verify(&*records, ledger.journal(), Tenant::MAIN).await.map_err(words)?;
    let mut broken: Vec<_> =
        found.failed.iter().map(|failure| format!("{}: {}", failure.id, failure.reason)).collect();
    if found.entries != before + answered {
        let kept = found.entries;
        broken
            .push(format!("{answered} transfers were answered after {before} entries, and {kept} are kept"));
    }
    let issued = ledger.balance(&Account::house(ISSUED, &unit()?)).await.map_err(words)?.balance;
    let granted = i128::from(PARTICIPANTS) * i128::from(GRANT);
    if i128::from(issued) != -(granted + i128::from(answered)) {
        broken.push(format!("{answered} were given away beside {granted}, and the house has {issued}"));
    }
    records.close();
    Ok(broken)
}
