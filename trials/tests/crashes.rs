//! Killed at any moment, and on a disk that fails: what was answered is kept, what is granted is granted once.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use embedded::entropy::SystemEntropy;
use embedded::sqlite::{Caches, SqliteRecords};
use fairground::bench::audit::audit;
use fairground::bench::load::{Target, participant_of};
use fairground::bench::process::{Load, Server};
use kernel::hex::from_hex;
use kernel::id::Shard;
use kernel::ports::PortError;
use kernel::ports::broker::{Broker, Message};
use kernel::ports::clock::Clock;
use raffle::entry::Request;
use raffle::raffles::Raffles;
use raffle::seal::Sealer;
use raffle::threshold::Thresholds;
use records::audit::Actor;
use records::batch::Limits;
use records::port::Records;
use records::relay::{Pace, Relay};
use trials::{Trial, verify_lines};

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

/// Waits until a log of acknowledgements has grown to a size; the load writes it in blocks.
#[expect(clippy::disallowed_methods, reason = "a load that stopped must fail the trial, not hang it")]
fn wait_until_larger(path: &Path, bytes: u64) {
    let began = std::time::Instant::now();
    while std::fs::metadata(path).map_or(0, |file| file.len()) <= bytes {
        assert!(began.elapsed().as_secs() < 120, "the load acknowledges nothing");
        std::thread::yield_now();
    }
}

/// Sends the requests of a load again: those that were not answered, and some that were. Notes what is answered.
async fn send_again(server: &Server, prefix: &str, participants: u64, acks: &Path, again: &Path) -> usize {
    let text = std::fs::read_to_string(acks).expect("acknowledgements");
    let numbers =
        text.lines().filter_map(|line| line.split(' ').next()?.rsplit('-').next()?.parse::<u64>().ok());
    let answered: std::collections::BTreeSet<u64> = numbers.collect();
    let last = answered.last().copied().unwrap_or(0) + 64;
    let missing = (0..=last).filter(|number| !answered.contains(number));
    let some = answered.iter().copied().step_by(answered.len() / 20 + 1);
    let mut lines = String::new();
    let mut sent = 0;
    for number in missing.chain(some) {
        let (key, participant) = (format!("{prefix}-{number}"), participant_of(number, participants));
        let body = format!("{{\"participant\":\"p{participant:07}\"}}");
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let path = format!("/api/v1/raffles/{RAFFLE}/draws");
        let answer = server.ask("POST", &path, &headers, body).await.expect("an answer");
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
        let draw = answer.json().expect("a draw")["draw"].as_str().expect("an id").to_owned();
        lines.push_str(&format!("{key} p{participant:07} {draw}\n"));
        sent += 1;
    }
    std::fs::write(again, lines).expect("write");
    sent
}

#[test]
fn a_killed_server_loses_nothing_that_it_answered() {
    let kills = trials::count(10, 50);
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut logs: Vec<PathBuf> = Vec::new();
    let (mut logs_again, mut sent_again): (Vec<PathBuf>, usize) = (Vec::new(), 0);
    let mut in_flight = 0;
    for kill in 0..kills {
        let server = Server::start(Path::new(PROGRAM), &data, &log, &[]).expect("it starts again");
        if kill == 0 {
            runtime.block_on(server.publish(RAFFLE, &trials::example(RAFFLE))).expect("publish");
        }
        let acks = folder.path().join(format!("acks-{kill}"));
        if let Some(before) = logs.last().cloned() {
            // The audit then sees every key that was sent twice, and what it was told each time.
            let again = folder.path().join(format!("again-{kill}"));
            let prefix = format!("kill{}", kill - 1);
            sent_again += runtime.block_on(send_again(&server, &prefix, 500, &before, &again));
            logs_again.push(again);
        }
        let mut load = server.load(RAFFLE, Target::Draws, &format!("kill{kill}"), 60.0);
        (load.connections, load.participants, load.acks) = (64, 500, Some(acks.clone()));
        let load = Load::start(Path::new(PROGRAM), &load).expect("a load");
        // Each kill meets the server at another amount of work.
        wait_until_larger(&acks, 8_192 * (1 + kill as u64 % 5));
        server.kill().expect("a kill");
        let report = load.finish().expect("a report");
        assert_eq!((report.refused, report.first_error), (0, None));
        in_flight += usize::from(report.unanswered > 0);
        logs.push(acks);
    }
    let server = Server::start(Path::new(PROGRAM), &data, &log, &[]).expect("it starts once more");
    assert!(server.terminate().expect("an end"));

    let acks: Vec<&Path> = logs.iter().chain(&logs_again).map(PathBuf::as_path).collect();
    let audit = runtime.block_on(audit(&data, &acks)).expect("an audit");
    println!(
        "{kills} kills, {in_flight} with requests in flight, {sent_again} requests sent again: {audit:?}"
    );
    assert!(audit.acknowledged > 0);
    assert!(audit.holds(), "{audit:?}");
    assert!(in_flight * 10 >= kills * 9, "requests were in flight in {in_flight} of {kills} kills");
}

fn failing_sync(folder: &Path) -> PathBuf {
    let library = folder.join("failing_sync.so");
    let source = trials::root().join("trials/fault/failing_sync.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status();
    assert!(built.expect("cc").success());
    library
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_acknowledges_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log, trigger) =
        (folder.path().join("data"), folder.path().join("log"), folder.path().join("failing"));
    let environment = [
        ("LD_PRELOAD", failing_sync(folder.path()).display().to_string()),
        ("FAILING_SYNC_WHILE", trigger.display().to_string()),
    ];
    let server = Server::start(Path::new(PROGRAM), &data, &log, &environment).expect("a server");
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    let path = format!("/api/v1/raffles/{RAFFLE}/draws");
    let draw = async |key: String| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        server.ask("POST", &path, &headers, "{\"participant\":\"ada\"}").await.expect("an answer")
    };
    for number in 0..5 {
        assert_eq!(draw(format!("before-{number}")).await.status.as_u16(), 201);
    }
    std::fs::write(&trigger, "").expect("the disk fails");
    for number in 0..5 {
        let answer = draw(format!("failing-{number}")).await;
        assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
        assert_eq!(answer.json().expect("a problem")["code"], "records.outcome_unknown");
    }
    std::fs::remove_file(&trigger).expect("the disk works again");
    let mut numbers = Vec::new();
    for number in 0..5 {
        let answer = draw(format!("failing-{number}")).await;
        assert_eq!(answer.status.as_u16(), 201, "the same key learns the outcome: {}", answer.text());
        numbers.push(answer.json().expect("a draw")["number"].as_u64().expect("a number"));
    }
    assert_eq!(numbers, [6, 7, 8, 9, 10], "each is made once");
    server.kill().expect("a kill");
    let audit = audit(&data, &[]).await.expect("an audit");
    assert_eq!(audit.draws, 10);
    assert!(audit.holds(), "{audit:?}");
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("a commit failed"), "the log says why");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_answers_what_is_in_flight() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log, acks) =
        (folder.path().join("data"), folder.path().join("log"), folder.path().join("acks"));
    let server = Server::start(Path::new(PROGRAM), &data, &log, &[]).expect("a server");
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    let mut load = server.load(RAFFLE, Target::Draws, "term", 60.0);
    (load.connections, load.participants, load.acks) = (64, 500, Some(acks.clone()));
    let load = Load::start(Path::new(PROGRAM), &load).expect("a load");
    wait_until_larger(&acks, 8_192);
    assert!(server.terminate().expect("an end"));
    let report = load.finish().expect("a report");
    assert_eq!(report.refused, 0, "{report:?}");
    let audit = audit(&data, &[&acks]).await.expect("an audit");
    assert!(audit.holds(), "{audit:?}");
    assert_eq!(audit.draws, audit.acknowledged, "a draw was made and its answer dropped");
    assert!(!data.join("fairground.db-wal").exists(), "the WAL is folded in");
}

/// Takes nothing, as a broker does whose receivers all fail.
struct Deaf;

#[async_trait::async_trait]
impl Broker for Deaf {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        messages.iter().map(|_| Err(PortError::Corrupt("deaf".to_owned()))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_reveals_what_was_closed_and_given_up() {
    let trial = Trial::open().await;
    trial.publish(&trials::example(RAFFLE), "p").await.expect("publish");
    for number in 0..5 {
        trial.prize(RAFFLE, "ada", &format!("k{number}")).await;
    }
    trial.settle().await;
    let Trial { house, clock, place, .. } = trial;
    house.close().await;

    // An epoch is closed while nobody hears of it, until the news is given up.
    let data = place.folder.path().join("data");
    let key = std::fs::read_to_string(data.join("seed.key")).expect("a key");
    let sealer = Sealer::new(&from_hex(&key).expect("32 bytes"));
    let store = Arc::new(SqliteRecords::open(&data, Caches::default()).expect("a store"));
    let records = Arc::clone(&store) as Arc<dyn Records>;
    let ports = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemEntropy));
    let (raffles, driver) = Raffles::new(
        Arc::clone(&records),
        Arc::clone(&ports.0),
        ports.1,
        sealer,
        Limits::default(),
        Thresholds::default(),
    );
    let request = Request { key: "turn".to_owned(), body_hash: [0; 32], actor: Actor::house() };
    assert_eq!(raffles.turn(RAFFLE, request).await, Ok((2, false)));
    let pace = Pace { attempts_max: 1, ..Pace::default() };
    let relay = Relay::new(records, Arc::new(Deaf), ports.0, Shard::HOME, pace);
    assert_eq!(relay.round().await.expect("a round").dead, 1);
    assert_eq!(raffles.backlog().await, Ok((0, 0, 1)));
    raffles.close();
    driver.await;
    drop((raffles, relay));
    store.close();
    drop(store);

    let trial = Trial::open_in(place, trials::NOON_MS).await;
    trial.wait_for_reveal(RAFFLE, 1).await;
    let lines = trial.evidence(RAFFLE).await;
    let report = verify_lines(&lines);
    assert!(report.failed.is_empty() && report.verified == 5, "{:?}", report.failed);
    // A second start has nothing to send, and hearing it twice would change nothing.
    let trial = trial.reopen().await;
    assert_eq!(trial.house.raffles.backlog().await, Ok((0, 0, 0)));
    trial.house.close().await;
}
