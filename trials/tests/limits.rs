//! Rate limits over HTTP: who is above one is told how long to wait, and costs nothing.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::Path;

use fairground::bench::process::{Answer, Server, ask};
use tokio::task::JoinSet;
use trials::booth::{Booth, SERVICE, publish, send};

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

fn start(folder: &Path, environment: &[(&str, String)]) -> Server {
    Server::start(Path::new(PROGRAM), &folder.join("data"), &folder.join("log"), environment)
        .expect("a server")
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).expect("a header").to_str().expect("text")
}

/// What a refused caller is told: which limit, and for how many seconds to wait.
fn refusal(answer: &Answer) -> (String, u64) {
    assert_eq!(answer.status.as_u16(), 429, "{}", answer.text());
    assert_eq!(header(answer, "content-type"), "application/problem+json");
    let body = answer.json().expect("a problem");
    assert_eq!((&body["status"], &body["code"]), (&429.into(), &"edge.too_many_requests".into()));
    let seconds: u64 = header(answer, "retry-after").parse().expect("seconds");
    let limit = header(answer, "ratelimit").strip_suffix(&format!(";r=0;t={seconds}"));
    (limit.expect("a limit").to_owned(), seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_above_the_limit_is_told_so_and_draws_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = [
        ("FAIRGROUND_LIMITS__DRAWS_PER_SECOND_PER_PARTICIPANT", "1000".to_owned()),
        ("FAIRGROUND_LIMITS__DRAWS_PER_MINUTE_PER_PARTICIPANT", "3".to_owned()),
    ];
    let server = start(folder.path(), &limits);
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    let draw = async |participant: &str, key: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let body = format!("{{\"participant\":\"{participant}\"}}");
        server
            .ask("POST", &format!("/api/v1/raffles/{RAFFLE}/draws"), &headers, body)
            .await
            .expect("an answer")
    };
    let first = draw("ada", "k1").await;
    let again = draw("ada", "k1").await;
    assert_eq!((first.status.as_u16(), &first.body), (201, &again.body));
    assert_eq!(draw("ada", "k2").await.status.as_u16(), 201);
    // The repeat counted, so these are the fourth and later. What was drawn is told all the same.
    for key in ["k3", "k4", "k3"] {
        assert_eq!(draw("ada", "k1").await.body, first.body, "a draw that was made is told at any time");
        let refused = draw("ada", key).await;
        let (limit, seconds) = refusal(&refused);
        assert_eq!(limit, "\"participant-draws-per-minute\"");
        assert!((1..=60).contains(&seconds), "{seconds} seconds");
        let policy = "\"participant-draws-per-second\";q=1000;w=1, \"participant-draws-per-minute\";q=3;w=60";
        assert_eq!(header(&refused, "ratelimit-policy"), policy);
    }
    assert_eq!(draw("bob", "k1").await.status.as_u16(), 201, "another participant is not affected");
    let id = first.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let read = server.ask("GET", &format!("/api/v1/draws/{id}"), &[], "").await.expect("an answer");
    assert_eq!(read.status.as_u16(), 200, "reading is no draw");
    let raffle = server.ask("GET", &format!("/api/v1/raffles/{RAFFLE}"), &[], "").await.expect("an answer");
    // Eight entries of the publication, two draws of ada and one of bob.
    assert_eq!(raffle.json().expect("json")["entries"], 11, "a refused call has drawn");
    assert!(server.terminate().expect("an end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_above_the_limit_is_told_so_and_another_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let hash = |key: &str| kernel::hex::hex(&raffle::fairness::sha256(key.as_bytes()));
    let keys = format!(
        "[{{name='shop',role='service',sha256='{}'}},{{name='ops',role='admin',sha256='{}'}}]",
        hash("the shop's key"),
        hash("the ops' key"),
    );
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::create_dir(folder.path().join("data")).expect("data");
    std::fs::write(folder.path().join("data/admin.key"), "not in use").expect("a key");
    let limits = [
        ("FAIRGROUND_AUTH__KEYS", keys),
        ("FAIRGROUND_LIMITS__REQUESTS_PER_SECOND", "1".to_owned()),
        ("FAIRGROUND_LIMITS__KEYS_MAX", "2".to_owned()),
    ];
    let server = start(folder.path(), &limits);
    let call = async |key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        ask(server.address, "GET", "/api/v1/raffles", &headers, "".into()).await.expect("an answer")
    };
    let mut refused = call("the shop's key").await;
    assert_eq!(refused.status.as_u16(), 200, "the first call is within any limit");
    // The next is refused, unless a whole second lies between the two; a hundred such seconds are no slow machine.
    for _ in 0..100 {
        if refused.status.as_u16() == 200 {
            refused = call("the shop's key").await;
        }
    }
    assert_eq!(refusal(&refused), ("\"key-requests-per-second\"".to_owned(), 1));
    assert_eq!(header(&refused, "ratelimit-policy"), "\"key-requests-per-second\";q=1;w=1");
    assert_eq!(call("the ops' key").await.status.as_u16(), 200, "another key is not affected");
    for _ in 0..3 {
        assert_eq!(call("a guess").await.status.as_u16(), 401, "an unknown key is not counted");
    }
    let live = ask(server.address, "GET", "/livez", &[], "".into()).await.expect("an answer");
    assert_eq!(live.status.as_u16(), 200);
    assert!(server.terminate().expect("an end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reads_no_more_often_than_its_participant_may() {
    let booth = Booth::open_with("[limits]\nrequests_per_second_per_participant = 3\n").await;
    publish(booth.address).await;
    let (ada, again, bob) =
        (booth.token("ada", 60).await, booth.token("ada", 50).await, booth.token("bob", 60).await);
    let read = async |bearer: &str, what: &str| {
        send(booth.address, bearer, "GET", &format!("/raffles/{}{what}", trials::booth::RAFFLE), "", "").await
    };
    for what in ["/odds", "/epochs", ""] {
        assert_eq!(read(&ada, what).await.status.as_u16(), 200, "{what}");
    }
    for (bearer, what) in [(&ada, "/evidence"), (&ada, "/odds"), (&again, "/epochs")] {
        let refused = read(bearer, what).await;
        assert_eq!(refusal(&refused), ("\"participant-requests-per-second\"".to_owned(), 1));
        assert_eq!(header(&refused, "ratelimit-policy"), "\"participant-requests-per-second\";q=3;w=1");
    }
    assert_eq!(read(&bob, "/odds").await.status.as_u16(), 200, "another participant is not affected");
    for _ in 0..5 {
        assert_eq!(read(SERVICE, "/odds").await.status.as_u16(), 200, "neither is a key");
        assert_eq!(read(&format!("{ada}x"), "/odds").await.status.as_u16(), 401, "nor does a forgery count");
    }
    booth.clock.set(trials::NOON_MS + 1_000);
    assert_eq!(read(&again, "/odds").await.status.as_u16(), 200);
    drop(booth.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_whether_it_is_ready_it_writes_once_a_second() {
    const CROWD: u64 = 100;
    let booth = Booth::open().await;
    let writes = async || {
        let page = ask(booth.address, "GET", "/metrics", &[], "".into()).await.expect("an answer").text();
        let lines = page.lines().filter(|line| line.starts_with("fairground_commit_seconds_count{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    let before = writes().await;
    let moments = [0, 999, 1_000, 1_999, 60_000];
    for at_ms in moments {
        booth.clock.set(trials::NOON_MS + at_ms);
        let (mut crowd, address) = (JoinSet::new(), booth.address);
        for _ in 0..CROWD {
            crowd.spawn(async move { ask(address, "GET", "/readyz", &[], "".into()).await });
        }
        for answer in crowd.join_all().await {
            assert_eq!(answer.expect("an answer").status.as_u16(), 200);
        }
    }
    // `records::pulse` says exactly how often. What the server does by itself meanwhile is counted here too.
    let wrote = writes().await - before;
    assert!((1..CROWD).contains(&wrote), "{} asked, and {wrote} were written", moments.len() as u64 * CROWD);
    drop(booth.close().await);
}
