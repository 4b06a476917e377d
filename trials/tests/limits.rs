//! Rate limits over HTTP: who is above one is told how long to wait, and costs nothing.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::Path;

use fairground::bench::process::{Answer, Server, ask};

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
    // The repeat counted, so these are the fourth and later: a new draw, a repeat, and the new one again.
    for key in ["k3", "k1", "k3"] {
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
    let hash = |key: &str| raffle::fairness::hex(&raffle::fairness::sha256(key.as_bytes()));
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
