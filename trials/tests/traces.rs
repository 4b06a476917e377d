//! Traces leave by OTLP, continue what callers began, and name nobody.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use fairground::bench::process::Server;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// What a collector was sent.
struct Sent {
    line: String,
    media: String,
    body: Value,
}

async fn read(stream: TcpStream, status: &str) -> Option<Sent> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut media, mut length) = (String::new(), String::new(), 0);
    stream.read_line(&mut line).await.ok()?;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "content-type" => value.clone_into(&mut media),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes()).await.ok()?;
    Some(Sent { line: line.trim().to_owned(), media, body: serde_json::from_slice(&body).ok()? })
}

/// A collector that is away at first, and takes everything afterwards.
async fn collect(listener: TcpListener, sent: mpsc::UnboundedSender<Sent>) {
    let mut status = "503 Service Unavailable";
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        sent.send(read(stream, status).await.expect("a request")).expect("somebody who looks");
        status = "200 OK";
    }
}

/// Attributes by name, numbers as their text.
fn attributes(span: &Value) -> BTreeMap<String, String> {
    let all = span["attributes"].as_array().expect("attributes").iter().map(|attribute| {
        let value = attribute["value"].as_object().expect("a value").values().next().expect("one");
        (attribute["key"].as_str().expect("a key").to_owned(), value.as_str().expect("text").to_owned())
    });
    all.collect()
}

fn spans(sent: &Sent) -> Vec<Value> {
    assert_eq!((sent.line.as_str(), sent.media.as_str()), ("POST /v1/traces HTTP/1.1", "application/json"));
    let resource = &sent.body["resourceSpans"][0];
    let service = &resource["resource"]["attributes"][0];
    assert_eq!((&service["key"], &service["value"]["stringValue"]), (&"service.name".into(), &"shop".into()));
    resource["scopeSpans"][0]["spans"].as_array().expect("spans").clone()
}

async fn draw(server: &Server, raffle: &str, key: &str, traceparent: Option<&str>) -> u16 {
    let mut headers =
        vec![("content-type", "application/json"), ("idempotency-key", key), ("x-request-id", key)];
    headers.extend(traceparent.map(|given| ("traceparent", given)));
    let path = format!("/api/v1/raffles/{raffle}/draws");
    let answer = server.ask("POST", &path, &headers, "{\"participant\":\"ada-lovelace\"}").await;
    answer.expect("an answer").status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_batches_leave_as_spans() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let (send, mut sent) = mpsc::unbounded_channel();
    let mut collector = JoinSet::new();
    collector.spawn(collect(listener, send));

    let folder = tempfile::tempdir().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let environment = [
        ("FAIRGROUND_TELEMETRY__OTLP_ENDPOINT", endpoint),
        ("FAIRGROUND_TELEMETRY__SERVICE_NAME", "shop".to_owned()),
    ];
    let server = Server::start(Path::new(PROGRAM), &data, &log, &environment).expect("a server");
    let kept = format!("00-{TRACE}-{CALLER}-01");
    let not_kept = format!("00-{}-{CALLER}-00", TRACE.replace('4', "5"));
    let headers =
        [("content-type", "application/yaml"), ("idempotency-key", "p"), ("traceparent", kept.as_str())];
    let path = format!("/api/v1/raffles/{RAFFLE}/versions");
    let published = server.ask("POST", &path, &headers, trials::example(RAFFLE)).await.expect("an answer");
    assert_eq!(published.status.as_u16(), 201);
    assert_eq!(draw(&server, RAFFLE, "k1", Some(&kept)).await, 201);
    assert_eq!(draw(&server, RAFFLE, "k2", Some(&not_kept)).await, 201);
    assert_eq!(draw(&server, RAFFLE, "k3", None).await, 201);
    assert_eq!(draw(&server, "nowhere", "k4", Some("nonsense")).await, 404);

    // The collector is away once: what it was sent then comes again.
    let first = tokio::time::timeout(std::time::Duration::from_secs(60), sent.recv()).await;
    let refused = spans(&first.expect("within a minute").expect("spans"));
    assert!(server.terminate().expect("an end"), "what is left is sent before the end");
    let mut all = Vec::new();
    while let Ok(more) = sent.try_recv() {
        all.extend(spans(&more));
    }
    collector.abort_all();
    for span in &refused {
        assert_eq!(all.iter().filter(|again| again["spanId"] == span["spanId"]).count(), 1, "{span}");
    }

    let of = |request: &str| {
        let told =
            |span: &&Value| attributes(span).get("fairground.request_id").is_some_and(|id| id == request);
        all.iter().filter(told).collect::<Vec<_>>()
    };
    assert!(of("k2").is_empty(), "the caller keeps no spans of this trace");
    let [k1, k3, k4] = ["k1", "k3", "k4"].map(|key| match of(key)[..] {
        [span] => span,
        ref found => panic_about(found.len()),
    });
    assert_eq!((&k1["traceId"], &k1["parentSpanId"]), (&TRACE.into(), &CALLER.into()));
    assert_eq!((&k1["name"], &k1["kind"]), (&"POST /api/v1/raffles/{id}/draws".into(), &2.into()));
    let about = attributes(k1);
    for (name, expected) in [
        ("http.request.method", "POST"),
        ("http.route", "/api/v1/raffles/{id}/draws"),
        ("http.response.status_code", "201"),
        ("fairground.raffle", RAFFLE),
    ] {
        assert_eq!(about.get(name).map(String::as_str), Some(expected), "{name}");
    }
    assert!(k3["parentSpanId"].is_null() && k3["traceId"] != k1["traceId"] && k3["traceId"] != k4["traceId"]);
    assert_eq!(attributes(k4).get("error.type").map(String::as_str), Some("raffle.missing"));
    for span in &all {
        let at = |name: &str| span[name].as_str().expect("text").parse::<u64>().expect("nanoseconds");
        assert!(at("startTimeUnixNano") > 1_700_000_000_000_000_000);
        assert!(at("endTimeUnixNano") >= at("startTimeUnixNano"));
        assert!(!span.to_string().contains("ada-lovelace"), "a participant in a span");
    }
    let batches: Vec<_> = all.iter().filter(|span| span["name"] == "batch of draws").collect();
    assert!(batches.len() >= 3 && batches.iter().all(|span| attributes(span)["fairground.draws"] == "1"));

    let log = std::fs::read_to_string(log).expect("a log");
    let admin = log.lines().find(|line| line.contains("an admin calls")).expect("a line");
    assert!(admin.contains(TRACE), "{admin}");
}

#[expect(clippy::panic, reason = "a trial speaks by panicking")]
fn panic_about(found: usize) -> ! {
    panic!("{found} spans of one request")
}

#[test]
fn an_endpoint_that_is_none_is_told_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    for (endpoint, part) in
        [("https://collector:4318", "plain HTTP only"), ("collector:4318", "it does not begin with http://")]
    {
        let environment = [("FAIRGROUND_TELEMETRY__OTLP_ENDPOINT", endpoint.to_owned())];
        let (data, log) = (folder.path().join("data"), folder.path().join("log"));
        let told = Server::start(Path::new(PROGRAM), &data, &log, &environment).err().expect("no start");
        assert!(told.contains("telemetry.otlp_endpoint") && told.contains(part), "{told}");
    }
}
