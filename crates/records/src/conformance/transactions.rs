//! The port itself.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a check speaks by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernel::id::Shard;
use tokio::task::JoinSet;

use super::{balance, set};
use crate::error::Error;
use crate::migration::{self, RECORDS, Room};
use crate::port::{Cell, Records, Value, look, read, write};

/// Contract 2.
pub async fn keeps_only_what_ended_well(records: Arc<dyn Records>) {
    set(&records, "kept", 1).await.expect("insert");
    let refused: Result<(), Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            tx.exec("UPDATE till SET balance = 2", &[]).await?;
            tx.exec("INSERT INTO till (name,entries,balance) VALUES ('gone',0,1)", &[]).await?;
            Err(Error::QueueFull)
        })
    })
    .await;
    assert_eq!(refused, Err(Error::QueueFull), "the work's own error comes back");
    assert_eq!((balance(&records, "kept").await, balance(&records, "gone").await), (Some(1), None));
}

/// Contract 6 and 7.
pub async fn keys_are_unique_and_compare_as_bytes(records: Arc<dyn Records>) {
    set(&records, "abc", 1).await.expect("insert");
    assert!(matches!(set(&records, "abc", 2).await, Err(Error::Duplicate(_))));
    for other in ["ABC", "abc ", "\u{e1}bc"] {
        set(&records, other, 3).await.expect("another key");
    }
    assert_eq!(balance(&records, "abc").await, Some(1));
}

/// Contract 6.
pub async fn guards_are_enforced(records: Arc<dyn Records>) {
    set(&records, "guarded", 5).await.expect("insert");
    let overdrawn: Result<(), Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move { tx.exec("UPDATE till SET balance = balance - 6", &[]).await.map(|_| ()) })
    })
    .await;
    assert!(matches!(overdrawn, Err(Error::Corrupt(_))), "{overdrawn:?}");
    assert!(set(&records, "negative", -1).await.is_err());
    let null: Result<(), Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let values = [Value::Text("null"), Value::Null];
            tx.exec("INSERT INTO till (name,entries,balance) VALUES (?,0,?)", &values).await.map(|_| ())
        })
    })
    .await;
    assert!(null.is_err());
    assert_eq!(balance(&records, "guarded").await, Some(5));
}

/// Contract 9.
pub async fn a_look_waits_behind_no_reader(records: Arc<dyn Records>) {
    set(&records, "looked at", 7).await.expect("insert");
    let (ended, mut crowd) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..60 {
        let (records, ended) = (Arc::clone(&records), Arc::clone(&ended));
        crowd.spawn(async move {
            let slow: Result<(), Error> = read(&*records, Shard::HOME, |tx| {
                Box::pin(async move {
                    for _ in 0..400 {
                        tx.fetch("SELECT balance FROM till", &[]).await?;
                    }
                    Ok(())
                })
            })
            .await;
            slow.expect("a read");
            ended.fetch_add(1, Ordering::SeqCst);
        });
    }
    // By now all have handed in their work, or have done it.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    let before = ended.load(Ordering::SeqCst);
    let found = look(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let rows = tx.fetch("SELECT balance FROM till WHERE name='looked at'", &[]).await?;
            rows.first().map_or(Ok(0), |row| row.int(0))
        })
    });
    assert_eq!(found.await, Ok::<_, Error>(7));
    let meanwhile = ended.load(Ordering::SeqCst) - before;
    assert!(meanwhile < 30, "{meanwhile} of {} reads went before the look", 60 - before);
    crowd.join_all().await;
    let written: Result<u64, Error> = look(&*records, Shard::HOME, |tx| {
        Box::pin(async move { tx.exec("UPDATE till SET balance = 8", &[]).await })
    })
    .await;
    assert!(written.is_err(), "who looks does not write");
}

/// Contract 5.
pub async fn readers_see_one_moment_and_cannot_write(records: Arc<dyn Records>) {
    set(&records, "seen", 1).await.expect("insert");
    let wrote: Result<(), Error> = read(&*records, Shard::HOME, |tx| {
        Box::pin(async move { tx.exec("UPDATE till SET balance = 9", &[]).await.map(|_| ()) })
    })
    .await;
    assert!(wrote.is_err(), "a reader wrote");

    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let writer = Arc::clone(&records);
        crowd.spawn(async move {
            write(&*writer, Shard::HOME, |tx| {
                Box::pin(async move {
                    tx.exec("UPDATE till SET balance = balance + 1", &[]).await?;
                    tx.exec("UPDATE till SET entries = entries + 1", &[]).await.map(|_| ())
                })
            })
            .await
        });
        let look = read(&*records, Shard::HOME, |tx| {
            Box::pin(async move {
                let first = tx.fetch("SELECT balance FROM till", &[]).await?;
                let second = tx.fetch("SELECT entries FROM till", &[]).await?;
                assert_eq!(first[0].int(0)?, second[0].int(0)? + 1, "two moments in one reading");
                Ok::<_, Error>(())
            })
        });
        look.await.expect("read");
    }
    assert!(crowd.join_all().await.iter().all(Result::is_ok));
    assert_eq!(balance(&records, "seen").await, Some(21));
}

/// Contract 4.
pub async fn writers_run_one_after_the_other(records: Arc<dyn Records>) {
    set(&records, "counter", 0).await.expect("insert");
    let mut crowd = JoinSet::new();
    for _ in 0..100 {
        let records = Arc::clone(&records);
        crowd.spawn(async move {
            write(&*records, Shard::HOME, |tx| {
                Box::pin(async move {
                    let select = format!("SELECT balance FROM till{}", tx.dialect().for_update());
                    let now = tx.fetch(&select, &[]).await?[0].int(0)?;
                    tx.exec("UPDATE till SET balance = ?", &[Value::Int(now + 1)]).await?;
                    Ok::<_, Error>(())
                })
            })
            .await
        });
    }
    assert!(crowd.join_all().await.iter().all(Result::is_ok));
    assert_eq!(balance(&records, "counter").await, Some(100));
}

/// Every kind of value comes back as it went in.
pub async fn values_survive_the_round_trip(records: Arc<dyn Records>) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let expected = vec![
        Cell::Int(i64::MIN),
        Cell::Text("\u{e1}, \u{4e2d}, \u{1f3a1}, 12 ".to_owned()),
        Cell::Bytes(all_bytes.clone()),
        Cell::Null,
    ];
    let row = write(&*records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let text = "\u{e1}, \u{4e2d}, \u{1f3a1}, 12 ";
            let values = [Value::Int(i64::MIN), Value::Text(text), Value::Bytes(&all_bytes), Value::Null];
            tx.exec("INSERT INTO kinds (number,phrase,raw,absent) VALUES (?,?,?,?)", &values).await?;
            let rows = tx.fetch("SELECT number,phrase,raw,absent FROM kinds", &[]).await?;
            Ok::<_, Error>(rows.into_iter().next())
        })
    })
    .await;
    assert_eq!(row.expect("round trip").expect("a row").0, expected);
}

/// A database of a newer release, or with a room that this release does not know, is not touched.
pub async fn a_newer_schema_is_refused(records: Arc<dyn Records>) {
    const NEWER: Room = Room { name: "checks", steps: &[&[], &["CREATE TABLE later (id BIGINT NOT NULL)"]] };
    const OLDER: Room = Room { name: "checks", steps: &[&[]] };
    migration::run(&*records, &[&RECORDS, &NEWER], 0).await.expect("newer");
    migration::run(&*records, &[&RECORDS, &NEWER], 0).await.expect("again");
    let refused = migration::run(&*records, &[&RECORDS, &OLDER], 0).await;
    assert!(matches!(refused, Err(Error::NewerSchema { found: 2, known: 1, .. })), "{refused:?}");
    let unknown = migration::run(&*records, &[&RECORDS], 0).await;
    assert!(matches!(unknown, Err(Error::NewerSchema { known: 0, .. })), "{unknown:?}");
}
