//! MariaDB as records passes what every adapter must, and stays true where only a server can fail.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::{Arc, Mutex};

use cluster::mariadb::{Address, MariaRecords};
use cluster::scratch::{self, Commits, PASSWORD, Server};
use kernel::id::Shard;
use records::error::Error;
use records::migration::{self, RECORDS, Room};
use records::port::{Records, Tx, Value, read, write};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

fn fresh() -> (Arc<dyn Records>, ()) {
    (Arc::new(MariaRecords::open(&scratch::shared().address()).expect("open")), ())
}
records::records_conformance!(fresh);

async fn insert(tx: &mut dyn Tx, name: &str) -> Result<(), Error> {
    tx.exec("INSERT INTO till (name,entries,balance) VALUES (?,0,0)", &[Value::Text(name)]).await.map(|_| ())
}

async fn names(records: &dyn Records) -> Result<Vec<String>, Error> {
    read(records, Shard::HOME, |tx| {
        Box::pin(async move {
            let rows = tx.fetch("SELECT name FROM till ORDER BY name", &[]).await?;
            rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
        })
    })
    .await
}

/// Two who lock the same two rows, each the other's first: one makes way, whole, also where its work does not mind.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_stand_in_each_others_way_one_keeps_nothing() {
    let (records, ()) = fresh();
    records::conformance::prepare(&*records).await;
    for name in ["a", "b"] {
        let inserted: Result<(), Error> =
            write(&*records, Shard::HOME, move |tx| Box::pin(insert(tx, name))).await;
        inserted.expect("a row");
    }
    let both_hold_one = Arc::new(Barrier::new(2));
    let mut pair = JoinSet::new();
    for (own, first, second) in [("of a", "a", "b"), ("of b", "b", "a")] {
        let (records, both_hold_one) = (Arc::clone(&records), Arc::clone(&both_hold_one));
        pair.spawn(async move {
            let outcome: Result<bool, Error> = write(&*records, Shard::HOME, move |tx| {
                Box::pin(async move {
                    insert(tx, own).await?;
                    let lock = "SELECT name FROM till WHERE name=? FOR UPDATE";
                    tx.fetch(lock, &[Value::Text(first)]).await?;
                    both_hold_one.wait().await;
                    let made_way = tx.fetch(lock, &[Value::Text(second)]).await.is_err();
                    // What it goes on with, as if nothing had happened, must not be kept by itself.
                    let went_on = insert(tx, "goes on").await.is_ok();
                    assert!(!(made_way && went_on), "a transaction that was undone went on");
                    Ok(made_way)
                })
            })
            .await;
            outcome
        });
    }
    let outcomes = pair.join_all().await;
    let made_way = |outcome: &&Result<bool, Error>| matches!(outcome, Err(Error::Contended(_)));
    assert_eq!(outcomes.iter().filter(made_way).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(false)).count(), 1, "{outcomes:?}");
    let kept = names(&*records).await.expect("names");
    assert_eq!(kept.len(), 4, "{kept:?}");
}

/// A server that goes away in the middle, and comes back: what was acknowledged is there, what was not is told apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_keeps_what_it_acknowledged() {
    let server = Arc::new(Mutex::new(Server::start(Commits::Durable)));
    let address = server.lock().expect("a server").address();
    let records: Arc<dyn Records> = Arc::new(MariaRecords::open(&address).expect("open"));
    records::conformance::prepare(&*records).await;
    let put = async |name: &'static str, dies: Option<Arc<Mutex<Server>>>| {
        let outcome: Result<(), Error> = write(&*records, Shard::HOME, move |tx| {
            Box::pin(async move {
                insert(tx, name).await?;
                if let Some(server) = dies {
                    tokio::task::spawn_blocking(move || server.lock().expect("a server").kill())
                        .await
                        .expect("a kill");
                }
                Ok(())
            })
        })
        .await;
        outcome
    };
    assert_eq!(put("acknowledged", None).await, Ok(()));
    assert_eq!(put("in doubt", Some(Arc::clone(&server))).await, Err(Error::OutcomeUnknown));
    assert!(matches!(put("refused", None).await, Err(Error::Unavailable(_))));
    assert!(matches!(names(&*records).await, Err(Error::Unavailable(_))));
    server.lock().expect("a server").restart();
    assert_eq!(names(&*records).await, Ok(vec!["acknowledged".to_owned()]));
    assert_eq!(put("afterwards", None).await, Ok(()));
    assert_eq!(names(&*records).await.expect("names").len(), 2);
}

/// A start that was broken off between two definitions of a step, and two starts at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_broken_off_goes_on() {
    const FIRST: &str = "CREATE TABLE one (id BIGINT NOT NULL, PRIMARY KEY (id)){table_end}";
    const SECOND: &str = "CREATE INDEX one_again ON one (id)";
    const THIRD: &str = "CREATE UNIQUE INDEX one_only ON one (id)";
    const ROW: &str = "INSERT OR IGNORE INTO one (id) VALUES (1)";
    const BROKEN: Room =
        Room { name: "broken", steps: &[&[FIRST, SECOND, THIRD, ROW, "CREATE TABLE 2 (wrong)"]] };
    const MENDED: Room = Room {
        name: "broken",
        steps: &[
            &[FIRST, SECOND, THIRD, ROW, "ALTER TABLE one ADD COLUMN more BIGINT"],
            &["ALTER TABLE one ADD COLUMN last BIGINT", "CREATE INDEX one_last ON one (last)"],
        ],
    };
    let (records, ()) = fresh();
    let broken = migration::run(&*records, &[&RECORDS, &BROKEN], 0).await;
    assert!(matches!(broken, Err(Error::Corrupt(_))), "{broken:?}");
    let mut starts = JoinSet::new();
    for _ in 0..4 {
        let records = Arc::clone(&records);
        starts.spawn(async move { migration::run(&*records, &[&RECORDS, &MENDED], 0).await });
    }
    assert_eq!(starts.join_all().await, [Ok(()), Ok(()), Ok(()), Ok(())]);
}

#[test]
fn what_cannot_be_opened_is_told_without_its_password() {
    let database = scratch::shared().database();
    let nobody = format!("mysql://fairground@127.0.0.1:{}/trial", free_port());
    for (address, password, part) in [
        (database.clone(), "secret", "Access denied"),
        (database.replace("trial_", "nowhere_"), PASSWORD, "Unknown database"),
        (nobody, "secret", "Connection refused"),
    ] {
        let address = Address::parse(&address).expect("an address").with_password(password);
        let told = MariaRecords::open(&address).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.starts_with("cannot open the database mysql://fairground@127.0.0.1:"), "{told}");
        assert!(told.contains(part) && !told.contains(password), "{told}");
    }
}

fn free_port() -> u16 {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.expect("a port").port()
}
