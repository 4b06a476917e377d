//! The embedded adapters pass what every adapter must.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;

use embedded::broker::ProcessBroker;
use embedded::clock::SystemClock;
use embedded::entropy::SystemEntropy;
use embedded::sqlite::{Caches, SqliteRecords};
use kernel::conformance;
use kernel::id::Shard;
use records::error::Error;
use records::port::{Records, Value, write};

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

/// Writers that leave no pause, and readers that come and go: a WAL that only a moment of rest could begin anew would hold
/// all that was written.
#[tokio::test(flavor = "multi_thread")]
async fn the_wal_stays_bounded_under_writes_without_a_pause() {
    const WRITERS: i64 = 8;
    const WRITES: i64 = 120;
    const BYTES: usize = 256 * 1024;
    let folder = tempfile::tempdir().expect("a folder");
    let records: Arc<dyn Records> =
        Arc::new(SqliteRecords::open(folder.path(), Caches::default()).expect("open"));
    let create = "CREATE TABLE blob_table (id BIGINT PRIMARY KEY, bytes VARBINARY(1000000))";
    write::<_, Error, _>(&*records, Shard::HOME, move |tx| {
        Box::pin(async move { tx.exec(create, &[]).await })
    })
    .await
    .expect("a table");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let records = Arc::clone(&records);
        writers.spawn(async move {
            for number in 0..WRITES {
                let insert = "INSERT INTO blob_table (id, bytes) VALUES (?,?)";
                let wrote: Result<u64, Error> = write(&*records, Shard::HOME, move |tx| {
                    Box::pin(async move {
                        let values = [Value::Int(writer * WRITES + number), Value::Bytes(&[7; BYTES])];
                        tx.exec(insert, &values).await
                    })
                })
                .await;
                wrote.expect("a row");
            }
        });
    }
    writers.join_all().await;
    // The file keeps the greatest length that it had.
    let wal = folder.path().join("fairground.db-wal");
    let (length, written) = (std::fs::metadata(wal).expect("a WAL").len(), WRITERS * WRITES * BYTES as i64);
    assert!(written >= 240 << 20 && length < 160 << 20, "{length} bytes of WAL for {written}");
}
