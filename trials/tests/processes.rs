//! Two servers on one database: what is set at one is in force at the other within a second, and what was refused was not done.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cluster::mariadb::{Address, MariaRecords};
use cluster::scratch::{self, PASSWORD};
use embedded::clock::Stopwatch;
use fairground::bench::audit::audit_records;
use fairground::bench::process::Server;
use tokio::task::{JoinSet, spawn_blocking};
use trials::booth::{OPERATOR, RAFFLE, SERVICE, code, keys, publish, send};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");
/// Callers at each server, who draw without a rest.
const CALLERS: usize = 3;
/// How often draws are turned off, and on again.
const CHANGES: usize = 5;

/// A server with a folder of its own, on a database that another may work on, with the same keys and secrets.
fn start(folder: &Path, name: &str, database: &str) -> Server {
    let data = folder.join(name);
    std::fs::create_dir_all(&data).expect("a folder");
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::write(data.join("admin.key"), "not in use").expect("a key");
    let file = |name: &str| folder.join(name).display().to_string();
    let environment = [
        ("FAIRGROUND_STORE__DATABASE", database.to_owned()),
        ("FAIRGROUND_STORE__DATABASE_PASSWORD", PASSWORD.to_owned()),
        ("FAIRGROUND_STORE__SEED_KEY_FILE", file("seed.key")),
        ("FAIRGROUND_AUTH__TOKEN_KEY_FILE", file("token.key")),
        ("FAIRGROUND_AUTH__KEYS", keys()),
    ];
    Server::start(Path::new(PROGRAM), &data, &folder.join("log"), &environment).expect("a server")
}

/// Draws under a key. The draw's id, or the code of the refusal.
async fn draw(at: SocketAddr, key: &str) -> Result<String, &'static str> {
    let path = format!("/raffles/{RAFFLE}/draws");
    let answer = send(at, SERVICE, "POST", &path, key, &format!("{{\"participant\":\"{key}\"}}")).await;
    if answer.status.as_u16() == 201 {
        return Ok(answer.json().expect("a draw")["draw"].as_str().expect("an id").to_owned());
    }
    Err(code(&answer).1)
}

/// Sets a switch; its version then.
async fn set(at: SocketAddr, switch: &str, body: &str) -> u64 {
    let answer = send(at, OPERATOR, "PUT", &format!("/switches/{switch}"), "", body).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    answer.json().expect("json")["version"].as_u64().expect("a version")
}

/// What callers were told.
#[derive(Default)]
struct Told {
    /// Lines of acknowledgements: key, participant, draw.
    acks: String,
    /// Keys that were refused, because draws were off.
    refused: Vec<String>,
}

async fn crowd_of(at: SocketAddr, name: String, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("{name}-{n}");
        match draw(at, &key).await {
            Ok(draw) => told.acks += &format!("{key} {key} {draw}\n"),
            Err("switch.off") => told.refused.push(key),
            // Two processes may want the same rows in another order: nothing was kept, and the key may ask again.
            Err("records.contended") => {}
            Err(code) => panic!("{code}"),
        }
    }
    told
}

/// How long it takes until a look at a server finds what it waits for.
async fn within_a_second(what: &str, look: impl AsyncFn() -> bool) {
    let watch = Stopwatch::start();
    while !look().await {
        assert!(watch.elapsed() < Duration::from_secs(30), "{what} does not arrive");
    }
    let took = watch.elapsed();
    assert!(took < Duration::from_secs(1), "{what} took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_is_told_the_other_does_within_a_second_and_nothing_refused_was_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = scratch::shared().database();
    let servers = ["here", "there"].map(|name| start(folder.path(), name, &database));
    let at = servers.each_ref().map(|server| server.address);
    publish(at[0]).await;
    assert!(draw(at[1], "first").await.is_ok(), "what one publishes the other draws from");

    let stop = Arc::new(AtomicBool::new(false));
    let mut crowd = JoinSet::new();
    for (place, at) in at.into_iter().enumerate() {
        for caller in 0..CALLERS {
            crowd.spawn(crowd_of(at, format!("c{place}-{caller}"), Arc::clone(&stop)));
        }
    }
    for n in 0..CHANGES {
        // The one who is told and the one who follows take turns.
        let (told, follows) = (at[n % 2], at[(n + 1) % 2]);
        let version =
            set(told, "feature.draws", r#"{"value":false,"version":0,"reason":"a prize is wrong"}"#).await;
        let tried = AtomicUsize::new(0);
        let try_once = async || {
            let key = format!("t{n}-{}", tried.fetch_add(1, Ordering::SeqCst));
            draw(follows, &key).await
        };
        within_a_second("draws turned off", async || try_once().await == Err("switch.off")).await;
        for _ in 0..20 {
            assert_eq!(try_once().await, Err("switch.off"), "once off it is off");
        }
        let body = format!("{{\"version\":{version},\"reason\":\"all is well\"}}");
        set(told, "feature.draws", &body).await;
        within_a_second("draws turned on", async || try_once().await.is_ok()).await;
    }
    // Modes and limits go the same way.
    let list = async || send(at[1], SERVICE, "GET", "/raffles", "", "").await.status.as_u16();
    let mode = set(at[0], "mode", r#"{"value":"essential","version":0,"reason":"a storm"}"#).await;
    within_a_second("a mode", async || list().await == 503).await;
    set(at[0], "mode", &format!("{{\"version\":{mode},\"reason\":\"it is over\"}}")).await;
    within_a_second("the end of a mode", async || list().await == 200).await;
    let limit = r#"{"value":0,"route":"GET /raffles","version":0,"reason":"a storm"}"#;
    set(at[0], "limit.route_requests_per_second", limit).await;
    within_a_second("a limit", async || list().await == 403).await;

    stop.store(true, Ordering::SeqCst);
    let crowd = crowd.join_all().await;
    // Nothing of what was refused at one is a draw that the other could tell of.
    set(at[0], "feature.draws", r#"{"value":false,"version":0,"reason":"the end"}"#).await;
    let tried = AtomicUsize::new(0);
    within_a_second("the end of draws", async || {
        draw(at[1], &format!("last-{}", tried.fetch_add(1, Ordering::SeqCst))).await == Err("switch.off")
    })
    .await;
    let refused: Vec<_> = crowd.iter().flat_map(|told| told.refused.iter().rev().take(30)).collect();
    assert!(!refused.is_empty(), "nobody was refused");
    for key in refused {
        for at in at {
            assert_eq!(
                draw(at, key).await,
                Err("switch.off"),
                "{key} was drawn, and its caller told otherwise"
            );
        }
    }
    for server in servers {
        assert!(spawn_blocking(|| server.terminate()).await.expect("a thread").expect("an end"));
    }
    let acks: PathBuf = folder.path().join("acks");
    std::fs::write(&acks, crowd.iter().map(|told| told.acks.as_str()).collect::<String>())
        .expect("acknowledgements");
    let address = Address::parse(&database).expect("an address").with_password(PASSWORD);
    let records = MariaRecords::open(&address).expect("records");
    let audit = audit_records(&records, &[&acks]).await.expect("an audit");
    assert!(audit.holds(), "{audit:?}");
    records.close();
}
