//! The API over HTTP: what is wrong is a problem document, and changes nothing.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use fairground::bench::process::{Answer, Server};
use std::path::Path;

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

fn start(folder: &Path, environment: &[(&str, String)]) -> Server {
    Server::start(Path::new(PROGRAM), &folder.join("data"), &folder.join("log"), environment)
        .expect("a server")
}

fn code(answer: &Answer) -> String {
    let kind = answer.headers.get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{}", answer.text());
    let body = answer.json().expect("a problem");
    assert_eq!(body["status"], answer.status.as_u16());
    let id = answer.headers.get("x-request-id").expect("a request id");
    assert_eq!(body["request_id"].as_str().map(str::as_bytes), Some(id.as_bytes()));
    body["code"].as_str().expect("a code").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_a_problem_with_a_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    let draws = format!("/api/v1/raffles/{RAFFLE}/draws");
    let json = ("content-type", "application/json");
    let key = ("idempotency-key", "k");
    let long = "x".repeat(300);
    let large = format!("{{\"participant\":\"{}\"}}", "x".repeat(20_000));
    type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a str, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("POST", &draws, vec![key], "{}", 415, "edge.wrong_media"),
        ("POST", &draws, vec![json], "{}", 400, "idempotency.missing"),
        ("POST", &draws, vec![json, ("idempotency-key", "")], "{}", 400, "idempotency.bad_key"),
        ("POST", &draws, vec![json, ("idempotency-key", "a b")], "{}", 400, "idempotency.bad_key"),
        ("POST", &draws, vec![json, ("idempotency-key", &long)], "{}", 400, "idempotency.bad_key"),
        ("POST", &draws, vec![json, key], "", 400, "edge.bad_json"),
        ("POST", &draws, vec![json, key], "{\"participant\":", 400, "edge.bad_json"),
        ("POST", &draws, vec![json, key], "{\"participant\":5}", 400, "edge.bad_json"),
        ("POST", &draws, vec![json, key], "{\"participant\":\"a\",\"colour\":1}", 400, "edge.bad_json"),
        (
            "POST",
            &draws,
            vec![json, key],
            "{\"participant\":\"a\",\"points_spent\":-1}",
            400,
            "edge.bad_json",
        ),
        ("POST", &draws, vec![json, key], "{\"participant\":\"\"}", 422, "edge.bad_text"),
        ("POST", &draws, vec![json, key], "{\"participant\":\"a\\u0000\"}", 422, "edge.bad_text"),
        ("POST", &draws, vec![json, key], &large, 413, "edge.body_too_large"),
        (
            "POST",
            "/api/v1/raffles/none/draws",
            vec![json, key],
            "{\"participant\":\"a\"}",
            404,
            "raffle.missing",
        ),
        ("GET", "/api/v1/raffles/none", vec![], "", 404, "raffle.missing"),
        ("GET", "/api/v1/raffles/%ff", vec![], "", 400, "edge.bad_path"),
        ("GET", "/api/v1/raffles?limit=0", vec![], "", 400, "edge.bad_query"),
        ("GET", "/api/v1/raffles?colour=red", vec![], "", 400, "edge.bad_query"),
        ("GET", "/api/v1/draws/drw_nothing", vec![], "", 404, "draw.missing"),
        ("GET", "/api/v1/draws/drw_02x4000000000g0000000zzzzz", vec![], "", 404, "draw.missing"),
        ("GET", "/api/v1/awards/drw_02x4000000000g0000000zzzzz", vec![], "", 404, "award.missing"),
        ("GET", "/nowhere", vec![], "", 404, "edge.no_such_route"),
        ("DELETE", "/livez", vec![], "", 405, "edge.wrong_method"),
        ("GET", "/api/v1/raffles/late-100006-repaired/evidence", vec![], "", 422, "raffle.nothing_revealed"),
        ("GET", "/api/v1/raffles/late-100006-repaired/versions/9", vec![], "", 404, "raffle.no_such_version"),
        (
            "POST",
            "/api/v1/raffles/late-100006-repaired/prizes/105/restock",
            vec![json, key],
            "{\"units\":0,\"reason\":\"x\"}",
            422,
            "edge.bad_number",
        ),
        (
            "POST",
            "/api/v1/raffles/late-100006-repaired/prizes/101/restock",
            vec![json, key],
            "{\"units\":1,\"reason\":\"x\"}",
            404,
            "raffle.no_such_prize",
        ),
        (
            "POST",
            "/api/v1/raffles/late-100006-repaired/thaw",
            vec![json, key],
            "{\"reason\":\"x\"}",
            409,
            "raffle.already_so",
        ),
    ];
    for (method, path, headers, body, status, expected) in cases {
        let answer = server.ask(method, path, &headers, body.to_owned()).await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), code(&answer).as_str()),
            (status, expected),
            "{method} {path} {body}"
        );
    }
    for (path, document, expected) in [
        ("/api/v1/raffles/other/versions", trials::example(RAFFLE), "raffle.other_raffle"),
        ("/api/v1/raffles/late-100006/versions", trials::example("late-100006"), "raffle.document"),
        ("/api/v1/raffles/x/versions", "raffle: [".to_owned(), "raffle.document"),
    ] {
        let headers = [("content-type", "application/yaml"), ("idempotency-key", "p")];
        let answer = server.ask("POST", path, &headers, document).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (422, expected), "{}", answer.text());
        if expected == "raffle.document" {
            let body = answer.json().expect("a problem");
            assert!(!body["findings"].as_array().expect("findings").is_empty());
        }
    }
    let raffle = server.ask("GET", &format!("/api/v1/raffles/{RAFFLE}"), &[], "").await.expect("an answer");
    // Eight entries: seven prizes moved in, and the epoch opened.
    assert_eq!(raffle.json().expect("json")["entries"], 8, "something wrong has changed something");
    assert!(server.terminate().expect("an end"), "SIGTERM ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_what_its_role_says_and_answers_repeat_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let hash = kernel::hex::hex(&raffle::fairness::sha256(b"the service's key"));
    let admin = kernel::hex::hex(&raffle::fairness::sha256(b"the admin's key"));
    let config = folder.path().join("fairground.toml");
    let text = format!(
        "[[auth.keys]]\nname = \"shop\"\nrole = \"service\"\nsha256 = \"{hash}\"\n[[auth.keys]]\nname = \"ops\"\nrole = \"admin\"\nsha256 = \"{admin}\"\n"
    );
    std::fs::write(&config, text).expect("config");
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::create_dir(folder.path().join("data")).expect("data");
    std::fs::write(folder.path().join("data/admin.key"), "not in use").expect("a key");
    let keys = format!(
        "[{{name='shop',role='service',sha256='{hash}'}},{{name='ops',role='admin',sha256='{admin}'}}]"
    );
    let server = start(folder.path(), &[("FAIRGROUND_AUTH__KEYS", keys)]);
    let ask = async |method: &str, path: &str, key: &str, headers: &[(&str, &str)], body: String| {
        let bearer = format!("Bearer {key}");
        let all: Vec<_> = headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        fairground::bench::process::ask(server.address, method, path, &all, body.into())
            .await
            .expect("an answer")
    };
    let yaml = [("content-type", "application/yaml"), ("idempotency-key", "p")];
    let versions = format!("/api/v1/raffles/{RAFFLE}/versions");
    let refused = ask("POST", &versions, "the service's key", &yaml, trials::example(RAFFLE)).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "edge.not_allowed"));
    let unknown = ask("POST", &versions, "a guess", &yaml, trials::example(RAFFLE)).await;
    assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (401, "edge.no_key"));
    let first = ask("POST", &versions, "the admin's key", &yaml, trials::example(RAFFLE)).await;
    let again = ask("POST", &versions, "the admin's key", &yaml, trials::example(RAFFLE)).await;
    assert_eq!((first.status.as_u16(), first.body.clone()), (201, again.body.clone()));

    let draws = format!("/api/v1/raffles/{RAFFLE}/draws");
    let json = [("content-type", "application/json"), ("idempotency-key", "k")];
    let body = "{\"participant\":\"ada\"}".to_owned();
    let first = ask("POST", &draws, "the service's key", &json, body.clone()).await;
    let again = ask("POST", &draws, "the service's key", &json, body).await;
    assert_eq!((first.status.as_u16(), &first.body), (again.status.as_u16(), &again.body));
    assert_eq!(first.headers.get("idempotent-replayed"), None);
    assert_eq!(again.headers.get("idempotent-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));

    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (address, draws) = (server.address, draws.clone());
        crowd.spawn(async move {
            let headers = [
                ("authorization", "Bearer the service's key"),
                ("content-type", "application/json"),
                ("idempotency-key", "shared"),
            ];
            let body = "{\"participant\":\"bob\"}".into();
            let answer = fairground::bench::process::ask(address, "POST", &draws, &headers, body).await;
            let answer = answer.expect("an answer");
            (answer.status.as_u16(), answer.headers.contains_key("idempotent-replayed"), answer.body)
        });
    }
    let answers = crowd.join_all().await;
    assert!(
        answers.iter().all(|(status, _, body)| *status == 201 && *body == answers[0].2),
        "two bodies for one key"
    );
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1, "two draws for one key");

    let id = first.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let full = ask("GET", &format!("/api/v1/draws/{id}"), "the service's key", &[], String::new()).await;
    let full = full.json().expect("json");
    assert_eq!(full["participant"], "ada");
    assert_eq!(full["proof"]["seed"], serde_json::Value::Null, "the seed of an open epoch is nobody's");
    assert!(!full["trace"]["steps"].as_array().expect("steps").is_empty());
    assert!(server.terminate().expect("an end"));
}

#[test]
fn what_keeps_it_from_starting_is_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = std::process::Command::new(PROGRAM)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(folder.path())
            .output()
            .expect("run");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let told = run(&["serve", "--listen", &address], &[]);
    assert!(told.contains(&format!("cannot listen on {address}: another program is using it")), "{told}");
    let told = run(&["serve", "--listen", "nowhere"], &[]);
    assert!(told.contains("cannot listen on nowhere"), "{told}");
    let told = run(&["serve", "--config", "missing.toml"], &[]);
    assert!(told.contains("cannot read the configuration missing.toml"), "{told}");
    let told = run(&["serve"], &[("FAIRGROUND_SERVER__LISTENING", "x")]);
    assert!(told.contains("the configuration is wrong") && told.contains("listening"), "{told}");
    std::fs::write(folder.path().join("file"), "x").expect("a file");
    let told = run(&["serve", "--listen", "127.0.0.1:0", "--data", "file"], &[]);
    assert!(told.contains("cannot use the data folder file"), "{told}");
    let told = run(&["check", "missing.yaml"], &[]);
    assert!(told.contains("cannot read missing.yaml"), "{told}");
    assert!(!told.contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_key_that_is_gone_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    assert!(server.terminate().expect("an end"));
    std::fs::remove_file(folder.path().join("data/seed.key")).expect("remove");
    let again =
        Server::start(Path::new(PROGRAM), &folder.path().join("data"), &folder.path().join("log2"), &[]);
    let told = again.err().expect("no start");
    assert!(told.contains("seed.key is missing"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_seed_key_is_told_before_anything_is_written_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    assert!(server.terminate().expect("an end"));
    let (file, data) = (folder.path().join("another.key"), folder.path().join("data"));
    std::fs::write(&file, "5e".repeat(32)).expect("a key");
    let another = [("FAIRGROUND_STORE__SEED_KEY_FILE", file.display().to_string())];
    let again = Server::start(Path::new(PROGRAM), &data, &folder.path().join("log2"), &another);
    let told = again.err().expect("no start");
    let expected = format!("the key in {} is not the one that sealed this store", file.display());
    assert!(told.contains(&expected) && told.contains("store.seed_key_file"), "{told}");
    let right = [("FAIRGROUND_STORE__SEED_KEY_FILE", data.join("seed.key").display().to_string())];
    assert!(start(folder.path(), &right).terminate().expect("an end"));
}
