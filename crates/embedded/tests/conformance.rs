//! The embedded adapters pass what every adapter must.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;

use embedded::broker::ProcessBroker;
use embedded::clock::SystemClock;
use embedded::entropy::SystemEntropy;
use embedded::sqlite::{Caches, SqliteRecords};
use kernel::conformance;
use records::port::Records;

fn fresh() -> (Arc<dyn Records>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let records = SqliteRecords::open(folder.path(), Caches::default()).expect("open");
    (Arc::new(records), folder)
}
records::records_conformance!(fresh);

mod inline {
    use super::{Arc, Records};

    fn fresh() -> (Arc<dyn Records>, ()) {
        (Arc::new(embedded::sqlite::inline::InlineRecords::open().expect("open")), ())
    }
    records::records_conformance!(fresh);
}

#[test]
fn the_clock_keeps_its_contract() {
    conformance::clock::check(&SystemClock::default());
}

#[test]
fn the_entropy_keeps_its_contract() {
    conformance::entropy::check(&SystemEntropy);
}

#[tokio::test]
async fn the_broker_keeps_its_contract() {
    conformance::broker::check(|listener| Arc::new(ProcessBroker::default().with("a", listener))).await;
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = SqliteRecords::open(folder.path(), Caches::default()).expect("open");
    let second = SqliteRecords::open(folder.path(), Caches::default());
    let told = second.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.starts_with("another process is using the data folder"), "{told}");
    drop(first);
    SqliteRecords::open(folder.path(), Caches::default()).expect("open again");
}

#[test]
fn what_is_no_database_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(embedded::sqlite::database_path(folder.path()), "no database at all, though long enough")
        .expect("write");
    let told = SqliteRecords::open(folder.path(), Caches::default()).err().map(|error| error.to_string());
    assert!(told.is_some_and(|told| told.starts_with("cannot open the database")));
}
