//! Every route and everything malformed: always a problem of the caller's, never an error of the server's, never a hang,
//! and no table has changed.
//!
//! Two things may change, and are left out: the table `pulse`, which `/readyz` writes, and the stream `access` of the
//! audit log, which notes refusals.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use embedded::sqlite::{Caches, SqliteRecords};
use fairground::bench::process::Server;
use kernel::id::Shard;
use records::port::{Row, read};
use trials::booth::{APPROVER, AUDITOR, OPERATOR, SERVICE, keys, send};
use trials::malformed::{
    CAMPAIGN, CODE, DOCUMENT, body_of, malformed, sends, sound, takes_codes, takes_document, wrong_methods,
};
use trials::routes::{OPEN, TABLE};
use trials::wire::{Reply, exchange};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

/// What is wrong with an answer to what was malformed.
fn complaint(reply: &Reply, codes: &BTreeSet<String>) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let header = |name: &str| reply.headers.get(name).map(String::as_str);
    let is_right = (400..500).contains(&reply.status)
        && header("content-type") == Some("application/problem+json")
        && body["status"] == reply.status
        && body["code"].as_str().is_some_and(|code| codes.contains(code))
        && body["detail"].as_str().is_some_and(|detail| !detail.is_empty())
        && body["request_id"].as_str().is_some_and(|id| header("x-request-id") == Some(id));
    (!is_right)
        .then(|| format!("{} {:?} {}", reply.status, reply.headers, String::from_utf8_lossy(&reply.body)))
}

/// All tables, but for what this file's head leaves out.
async fn tables(data: &Path) -> BTreeMap<String, Vec<Row>> {
    let records = SqliteRecords::open(data, Caches::default()).expect("a store");
    let tables: Result<_, records::error::Error> = read(&records, Shard::HOME, |tx| {
        Box::pin(async move {
            let sql = "SELECT name FROM sqlite_master WHERE type='table' AND name<>'pulse' ORDER BY name";
            let mut tables = BTreeMap::new();
            for row in tx.fetch(sql, &[]).await? {
                let name = row.text(0)?.to_owned();
                let of = if name.starts_with("audit_") { " WHERE stream<>'access'" } else { "" };
                let rows = tx.fetch(&format!("SELECT * FROM {name}{of}"), &[]).await?;
                tables.insert(name, rows);
            }
            Ok(tables)
        })
    })
    .await;
    records.close();
    tables.expect("tables")
}

fn start(folder: &Path) -> Server {
    let environment = [
        ("FAIRGROUND_AUTH__KEYS", keys()),
        ("FAIRGROUND_REVIEW__FOUR_EYES", "false".to_owned()),
        (
            "FAIRGROUND_LEDGER__RATES",
            "[{from='point',to='coin',gives=1,takes=10,rounding='down'}]".to_owned(),
        ),
    ];
    Server::start(Path::new(PROGRAM), &folder.join("data"), &folder.join("log"), &environment)
        .expect("a server")
}

/// Gives ada points, and holds some.
async fn fund(address: SocketAddr) {
    let given = "{\"legs\":[{\"house\":\"issued\",\"unit\":\"point\",\"amount\":-500},\
        {\"participant\":\"ada\",\"unit\":\"point\",\"amount\":500}]}";
    let answer = send(address, SERVICE, "POST", "/transfers", "given", given).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    for (key, path) in [("paid", "/transfers"), ("held-1", "/holds"), ("held-2", "/holds")] {
        let reply = sound("POST", path, "").with("idempotency-key", Some(key.as_bytes())).send(address).await;
        assert_eq!(reply.status, 201, "{path}: {}", String::from_utf8_lossy(&reply.body));
    }
}

/// Publishes a campaign; ada orders in it, twice, and has a code.
async fn open_campaign(address: SocketAddr) {
    let path = "/campaigns/tried/versions";
    let answer = send(address, OPERATOR, "POST", path, "first", CAMPAIGN).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    let order = "{\"participant\":\"ada\",\"offer\":\"pen\"}";
    for key in ["first", "second"] {
        let answer = send(address, SERVICE, "POST", "/campaigns/tried/orders", key, order).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    }
    let ada = "{\"participant\":\"ada\"}";
    let answer = send(address, SERVICE, "PUT", "/campaigns/tried/referral-code", "", ada).await;
    let code = answer.json().expect("a code")["code"].as_str().expect("a code").to_owned();
    CODE.set(code).expect("the first");
}

/// Publishes, makes a draw that is won and its award, and a draft and a proposal for each move. Answers the draw.
async fn prepare(address: SocketAddr) -> String {
    fund(address).await;
    open_campaign(address).await;
    let mut posted = 0;
    let mut post = async |bearer: &str, path: &str, body: &str| {
        posted += 1;
        let answer = send(address, bearer, "POST", path, &format!("first-{posted}"), body).await;
        assert_eq!(answer.status.as_u16(), 201, "{path}: {}", answer.text());
        answer.json().expect("json")
    };
    post(OPERATOR, "/raffles/tried/versions", DOCUMENT).await;
    let promise = "{\"order\":\"promise\",\"participant\":\"ada\",\"prize\":\"car\"}";
    let promise = format!("{{\"proposed\":{promise},\"reason\":\"a friend\"}}");
    post(OPERATOR, "/raffles/tried/proposals", &promise).await;
    post(APPROVER, "/raffles/tried/proposals/1/approve", "").await;
    for number in 1..=5 {
        post(OPERATOR, "/raffles/tried/drafts", DOCUMENT).await;
        if [2, 3, 5].contains(&number) {
            post(OPERATOR, &format!("/raffles/tried/drafts/{number}/submit"), "").await;
        }
    }
    post(APPROVER, "/raffles/tried/drafts/5/approve", "").await;
    let restock = "{\"order\":\"restock\",\"prize\":\"car\",\"units\":5}";
    let restock = format!("{{\"proposed\":{restock},\"reason\":\"found\"}}");
    for _ in 2..=4 {
        post(OPERATOR, "/raffles/tried/proposals", &restock).await;
    }
    for id in ["tried", "drafted"] {
        let arms = "[{\"arm\":\"a\",\"weight\":1},{\"arm\":\"b\",\"weight\":1}]";
        let document = format!(
            "{{\"experiment\":\"{id}\",\"title\":\"{id}\",\"subject\":{{\"named\":\"{id}\"}},\"denominator\":2,\
             \"arms\":{arms},\"goals\":[{{\"goal\":\"told\",\"measure\":\"share\"}}]}}"
        );
        post(OPERATOR, "/experiments", &document).await;
    }
    let reason = "{\"reason\":\"go\"}";
    let started = send(address, OPERATOR, "POST", "/experiments/tried/start", "", reason).await;
    assert_eq!(started.status.as_u16(), 200, "{}", started.text());
    let drawn = post(SERVICE, "/raffles/tried/draws", "{\"participant\":\"ada\"}").await;
    let draw = drawn["draw"].as_str().expect("a draw").to_owned();
    let award = async {
        while send(address, AUDITOR, "GET", &format!("/awards/{draw}"), "", "").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), award).await.expect("an award");
    draw
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_malformed_is_a_problem_and_changes_no_table() {
    let errors = std::fs::read_to_string(trials::root().join("docs/errors.md")).expect("codes");
    let code = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    let codes: BTreeSet<_> = errors.lines().filter_map(code).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::create_dir(&data).expect("data");
    std::fs::write(data.join("admin.key"), "not in use").expect("a key");
    let server = start(folder.path());
    let draw = prepare(server.address).await;
    assert!(server.terminate().expect("an end"));
    let before = tables(&data).await;
    assert!(before.len() > 10 && before["draw"].len() == 1, "{:?}", before.keys());

    let server = start(folder.path());
    let mut requests = vec![];
    for (method, path, ..) in TABLE {
        requests.extend(malformed(method, path, &draw));
        requests.extend(wrong_methods(path, &sound(method, path, &draw)));
        let carries = takes_document(path) || takes_codes(path) || body_of(path).is_some();
        assert!(!sends(method, path) || carries, "no body for {path}");
    }
    for path in OPEN {
        let prefix = if path.starts_with("/schemas") { "/api/v1" } else { "" };
        let request = sound("GET", "/raffles", &draw).to(format!("{prefix}{}", path.replace("{id}", "x")));
        requests.extend(wrong_methods(path, &request));
    }
    let mut wrong = vec![];
    for request in &requests {
        let reply = request.send(server.address).await;
        wrong.extend(complaint(&reply, &codes).map(|complaint| {
            let body = String::from_utf8_lossy(&request.body[..request.body.len().min(200)]).into_owned();
            let headers: Vec<_> = request.headers.iter().skip(1).collect();
            format!("{} {} {headers:?} {body}\n    {complaint}", request.method, request.target)
        }));
    }
    println!("{} requests", requests.len());
    assert!(requests.len() > 1_000, "{} requests", requests.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
    assert!(server.terminate().expect("an end"));
    let after = tables(&data).await;
    for (table, rows) in &before {
        assert_eq!(after.get(table), Some(rows), "{table} has changed");
    }
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());

    // What was changed to be malformed was sound: each request is taken as it stands.
    let server = start(folder.path());
    // A draft is published before another version is, which would make it stale.
    let mut table = TABLE.to_vec();
    table.sort_by_key(|(_, path, ..)| !path.ends_with("/publish"));
    for (method, path, ..) in table {
        // Evidence needs an epoch that is over; the first is over once `/epochs` was asked, above it in the table.
        // A promise needs a proposal where there are keys of several people, as here.
        let reply = sound(method, path, &draw).send(server.address).await;
        let told = String::from_utf8_lossy(&reply.body).into_owned();
        let is_due = told.contains("raffle.nothing_revealed")
            || (path.ends_with("/promises") && told.contains("review.needed"))
            // The draw is of a prize that an operator hands over, and nothing has failed.
            || told.contains("award.state")
            || told.contains("award.nothing_to_tell")
            || told.contains("letter.missing");
        let is_fine = (200..300).contains(&reply.status) || is_due;
        assert!(is_fine, "{method} {path}: {} {told}", reply.status);
    }
    assert!(server.terminate().expect("an end"));
}

/// What is no HTTP is refused before there is a request, or not answered at all.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_refused_or_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let server =
        Server::start(Path::new(PROGRAM), &folder.path().join("data"), &folder.path().join("log"), &[])
            .expect("a server");
    let head = format!(
        "POST /api/v1/participant-tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
        server.key
    );
    let body = "{\"participant\":\"ada\",\"seconds\":60}";
    let headers = "x: y\r\n".repeat(5_000);
    let cases: Vec<Vec<u8>> = vec![
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /livez HTTP/9.9\r\n\r\n".to_vec(),
        b"GET livez HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n".to_vec(),
        b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        format!("GET /livez HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(100_000)).into_bytes(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000)).into_bytes(),
        format!("GET /livez HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes(),
        format!("{head}content-length: 1000\r\n\r\n{body}").into_bytes(),
        format!("{head}content-length: -1\r\n\r\n{body}").into_bytes(),
        format!("{head}content-length: x\r\n\r\n{body}").into_bytes(),
        format!("{head}content-length: 1\r\ncontent-length: 2\r\n\r\n{body}").into_bytes(),
        format!("{head}content-length: 99999999999999999999999\r\n\r\n{body}").into_bytes(),
        format!("{head}transfer-encoding: gzip\r\n\r\n{body}").into_bytes(),
        format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n").into_bytes(),
        format!("{head}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{body}\r\n0\r\n\r\n")
            .into_bytes(),
        format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n{body}\r\n0\r\n\r\n").into_bytes(),
        format!("{head}transfer-encoding: chunked\r\n\r\n22\r\n{body}").into_bytes(),
    ];
    for bytes in cases {
        let shown = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(120)..]).into_owned();
        let answered = exchange(server.address, bytes, true).await;
        let Some(reply) = Reply::read(&answered) else {
            assert!(answered.is_empty(), "{shown}: {}", String::from_utf8_lossy(&answered));
            continue;
        };
        assert!((400..500).contains(&reply.status), "{shown}: {}", reply.status);
    }
    let alive = server.ask("GET", "/livez", &[], "").await.expect("an answer");
    assert_eq!(alive.status.as_u16(), 200);
    assert!(server.terminate().expect("an end"));
}
