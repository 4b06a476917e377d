//! A database on a server that dies under load, and comes back.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cluster::mariadb::{Address, MariaRecords};
use cluster::scratch::{self, Commits, PASSWORD};
use fairground::bench::audit::audit_records;
use fairground::bench::process::{Answer, Server};
use kernel::id::Shard;
use records::error::Error;
use records::port::read;
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");
const RAFFLE: &str = "late-100006-repaired";
/// Callers at once, each a participant.
const CALLERS: usize = 16;
/// Draws in a round, over all callers, after which the database is killed.
const DRAWS: usize = 200;

fn environment(database: &str) -> [(&'static str, String); 2] {
    [
        ("FAIRGROUND_STORE__DATABASE", database.to_owned()),
        ("FAIRGROUND_STORE__DATABASE_PASSWORD", PASSWORD.to_owned()),
    ]
}

fn start(folder: &Path, database: &str) -> Result<Server, String> {
    let environment = environment(database);
    Server::start(Path::new(PROGRAM), &folder.join("data"), &folder.join("log"), &environment)
}

/// What a command says about the store at rest, and whether it found nothing wrong.
fn check(folder: &Path, database: &str, command: &[&str]) -> (String, bool) {
    let mut program = Command::new(PROGRAM);
    program.args(command).arg("--data").arg(folder.join("data")).envs(environment(database));
    let output = program.output().expect("the program");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

/// A draw that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ask {
    key: String,
    participant: String,
}

async fn draw(server: &Server, ask: &Ask) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", ask.key.as_str())];
    let body = format!("{{\"participant\":\"{}\"}}", ask.participant);
    let path = format!("/api/v1/raffles/{RAFFLE}/draws");
    server.ask("POST", &path, &headers, body).await.expect("an answer")
}

/// The code of a problem that says: not now.
fn refusal(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let told = answer.json().expect("a problem");
    assert!(!answer.text().contains(PASSWORD), "{}", answer.text());
    told["code"].as_str().expect("a code").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_loses_nothing_and_doubles_nothing() {
    let kills = trials::count(3, 25);
    let database = Arc::new(Mutex::new(scratch::Server::start(Commits::Durable)));
    let address = database.lock().expect("a server").database();
    let folder = tempfile::tempdir().expect("a folder");
    let server = Arc::new(start(folder.path(), &address).expect("a server"));
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    let (mut told, mut unknown) = (Vec::<(Ask, Answer)>::new(), 0);
    for kill in 0..kills {
        let made = Arc::new((AtomicUsize::new(0), Notify::new()));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (server, made) = (Arc::clone(&server), Arc::clone(&made));
            callers.spawn(async move {
                let mut told = Vec::new();
                for number in 0.. {
                    let key = format!("{kill}-{caller}-{number}");
                    let ask = Ask { key, participant: format!("p{caller}") };
                    let answer = draw(&server, &ask).await;
                    if answer.status.as_u16() != 201 {
                        return (told, ask, refusal(&answer));
                    }
                    told.push((ask, answer));
                    made.0.fetch_add(1, Ordering::SeqCst);
                    made.1.notify_one();
                }
                unreachable!("numbers do not end")
            });
        }
        while made.0.load(Ordering::SeqCst) < DRAWS {
            made.1.notified().await;
        }
        let dying = Arc::clone(&database);
        spawn_blocking(move || dying.lock().expect("a server").kill()).await.expect("a kill");
        let ended = callers.join_all().await;

        // The product itself goes on, and says what is the matter.
        assert_eq!(server.ask("GET", "/livez", &[], "").await.expect("an answer").status.as_u16(), 200);
        let ready = server.ask("GET", "/readyz", &[], "").await.expect("an answer");
        assert_eq!(refusal(&ready), "records.unavailable");
        let page = server.ask("GET", &format!("/api/v1/raffles/{RAFFLE}"), &[], "").await.expect("an answer");
        assert_eq!(refusal(&page), "records.unavailable");
        let returning = Arc::clone(&database);
        spawn_blocking(move || returning.lock().expect("a server").restart()).await.expect("a start");

        let mut round = Vec::new();
        for (answered, in_doubt, code) in ended {
            match code.as_str() {
                "records.unavailable" => {}
                "records.outcome_unknown" => unknown += 1,
                other => panic!("{other}"),
            }
            // Kept or not, the same key learns it, at once.
            let answer = draw(&server, &in_doubt).await;
            assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
            round.extend(answered);
            round.push((in_doubt, answer));
        }
        for (ask, first) in &round {
            let again = draw(&server, ask).await;
            assert_eq!((again.status.as_u16(), &again.body), (201, &first.body), "{ask:?}");
            assert_eq!(again.headers["idempotent-replayed"], "true");
        }
        told.extend(round);
    }
    let asked: HashSet<&Ask> = told.iter().map(|(ask, _)| ask).collect();
    println!("{kills} kills, {} draws, {unknown} answers that did not know", asked.len());

    let unsent = async {
        loop {
            let answer = server.ask("GET", "/readyz", &[], "").await.expect("an answer");
            if answer.status.as_u16() == 200 && answer.json().expect("a view")["effects_unsent"] == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), unsent).await.expect("effects that left");
    let server = Arc::into_inner(server).expect("nobody else asks");
    assert!(spawn_blocking(|| server.terminate()).await.expect("a thread").expect("an end"));

    let acks = folder.path().join("acks");
    let line = |(ask, answer): &(Ask, Answer)| {
        let draw = answer.json().expect("a draw")["draw"].as_str().expect("an id").to_owned();
        format!("{} {} {draw}\n", ask.key, ask.participant)
    };
    std::fs::write(&acks, told.iter().map(line).collect::<String>()).expect("acknowledgements");
    assert_eq!(
        check(folder.path(), &address, &["audit"]),
        ("1 entries, 1 sealed, 0 failed\n".to_owned(), true)
    );
    let (told, fine) = check(folder.path(), &address, &["ledger", "verify"]);
    assert!(fine && told.ends_with(" 0 failed\n"), "{told}");
    let address = Address::parse(&address).expect("an address").with_password(PASSWORD);
    let records = MariaRecords::open(&address).expect("records");
    let audit = audit_records(&records, &[&acks]).await.expect("an audit");
    assert!(audit.holds(), "{audit:?}");
    assert_eq!(audit.draws, asked.len() as u64, "a draw that nobody asked for");
    let counted: Result<(i64, i64), Error> = read(&records, Shard::HOME, |tx| {
        Box::pin(async move {
            let awards = tx.fetch("SELECT COUNT(*) FROM machine WHERE kind='award'", &[]).await?;
            let prizes = tx.fetch("SELECT COUNT(prize) FROM draw", &[]).await?;
            Ok((awards[0].int(0)?, prizes[0].int(0)?))
        })
    })
    .await;
    let (awards, prizes) = counted.expect("counts");
    assert_eq!(awards, prizes, "each win opens one award");
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(log.contains("cannot be reached") && !log.contains(PASSWORD), "the log says why, and no secret");
}

#[test]
fn a_start_without_its_database_says_so() {
    let mut database = scratch::Server::start(Commits::Relaxed);
    let address = database.database();
    database.kill();
    let folder = tempfile::tempdir().expect("a folder");
    let told = start(folder.path(), &address).err().expect("no server");
    assert!(told.contains(&format!("cannot open the database {address}: ")), "{told}");
    assert!(told.contains("Connection refused") && !told.contains(PASSWORD), "{told}");
}
