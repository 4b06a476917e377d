//! Who may do what, through the real server.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use embedded::clock::ManualClock;
use embedded::entropy::SystemEntropy;
use fairground::bench::process::{Answer, Server, ask};
use fairground::config::Config;
use fairground::serve::Ready;
use fairground::wiring::Ports;
use raffle::fairness::{hex, sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");
const ROLES: [&str; 5] = ["admin", "operator", "approver", "auditor", "service"];

/// The configuration's keys: one for each role; the key of a role is `the key of <role>`.
fn keys() -> String {
    let key = |role: &str| {
        let hash = hex(&sha256(format!("the key of {role}").as_bytes()));
        format!("{{name='{role}-1',role='{role}',sha256='{hash}'}}")
    };
    format!("[{}]", ROLES.map(key).join(","))
}

/// A server in a process of its own.
fn start(folder: &Path) -> Server {
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::create_dir(folder.join("data")).expect("data");
    std::fs::write(folder.join("data/admin.key"), "not in use").expect("a key");
    let environment = [("FAIRGROUND_AUTH__KEYS", keys())];
    Server::start(Path::new(PROGRAM), &folder.join("data"), &folder.join("log"), &environment)
        .expect("a server")
}

/// A server in this process, whose clock can be set.
struct Booth {
    address: SocketAddr,
    clock: Arc<ManualClock>,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
    folder: tempfile::TempDir,
}

impl Booth {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::at(trials::NOON_MS));
        let mut config =
            Config::read(&format!("[auth]\nkeys = {}", keys()), std::iter::empty()).expect("a configuration");
        config.server.listen = "127.0.0.1:0".to_owned();
        config.store.data = folder.path().join("data");
        let ports = Ports { clock: Arc::clone(&clock) as Arc<_>, entropy: Arc::new(SystemEntropy) };
        let ready = Ready::open(&config, ports).await.expect("a server");
        let (stop, stopped) = watch::channel(false);
        let address = ready.address;
        let mut serving = JoinSet::new();
        serving.spawn(ready.serve(stopped));
        Self { address, clock, stop, serving, folder }
    }

    /// Ends it; its data folder stays.
    async fn close(mut self) -> tempfile::TempDir {
        self.stop.send(true).expect("a server that listens");
        while let Some(ended) = self.serving.join_next().await {
            ended.expect("a server that ends well");
        }
        self.folder
    }

    /// A token for a participant.
    async fn token(&self, participant: &str, seconds: u32) -> String {
        let body = format!("{{\"participant\":\"{participant}\",\"seconds\":{seconds}}}");
        let answer = send(self.address, SERVICE, "POST", "/participant-tokens", "", &body).await;
        let minted = answer.json().expect("a token");
        let life_ms = i64::from(seconds) * 1000;
        assert_eq!(minted["expires_ms"], kernel::ports::clock::Clock::now_ms(&*self.clock) + life_ms);
        minted["token"].as_str().expect("a token").to_owned()
    }
}

const SERVICE: &str = "the key of service";
const OPERATOR: &str = "the key of operator";

/// Asks with a bearer, an Idempotency-Key and a body that is JSON or a document.
async fn send(address: SocketAddr, bearer: &str, method: &str, path: &str, key: &str, body: &str) -> Answer {
    let (bearer, path) = (format!("Bearer {bearer}"), format!("/api/v1{path}"));
    let kind = if body.starts_with('{') || body.is_empty() { "application/json" } else { "application/yaml" };
    let headers = [("authorization", bearer.as_str()), ("content-type", kind), ("idempotency-key", key)];
    ask(address, method, &path, &headers, body.to_owned().into()).await.expect("an answer")
}

async fn publish(address: SocketAddr) {
    let path = format!("/raffles/{RAFFLE}/versions");
    let answer = send(address, OPERATOR, "POST", &path, "p", &trials::example(RAFFLE)).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
}

/// A problem's status and code. The code is leaked: it is compared with words of the source, and there are few.
fn code(answer: &Answer) -> (u16, &'static str) {
    let body = answer.json().expect("a problem");
    (answer.status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned().leak())
}

const READERS: &[&str] = &ROLES;
const OPERATORS: &[&str] = &["admin", "operator"];
const DRAWERS: &[&str] = &["admin", "service"];

const PARTICIPANTS: bool = true;

/// Every route under `/api/v1` that needs a key, the roles that may, and whether participants may.
const TABLE: &[(&str, &str, &[&str], bool)] = &[
    ("GET", "/raffles", READERS, false),
    ("GET", "/raffles/{id}", READERS, PARTICIPANTS),
    ("POST", "/raffles/{id}/versions", OPERATORS, false),
    ("GET", "/raffles/{id}/versions/{version}", READERS, PARTICIPANTS),
    ("GET", "/raffles/{id}/odds", READERS, PARTICIPANTS),
    ("GET", "/raffles/{id}/epochs", READERS, PARTICIPANTS),
    ("POST", "/raffles/{id}/epochs", OPERATORS, false),
    ("GET", "/raffles/{id}/evidence", READERS, PARTICIPANTS),
    ("POST", "/raffles/{id}/freeze", OPERATORS, false),
    ("POST", "/raffles/{id}/thaw", OPERATORS, false),
    ("POST", "/raffles/{id}/prizes/{prize}/restock", OPERATORS, false),
    ("POST", "/raffles/{id}/draws", DRAWERS, PARTICIPANTS),
    ("GET", "/draws/{id}", READERS, PARTICIPANTS),
    ("GET", "/raffles/{id}/awards", READERS, false),
    ("GET", "/awards/{draw}", READERS, false),
    ("POST", "/awards/{draw}/hand-over", OPERATORS, false),
    ("POST", "/participant-tokens", DRAWERS, false),
];

/// Routes that need no key, and the bench's.
const OPEN: &[&str] = &["/schemas/raffle", "/livez", "/readyz", "/noop/{id}"];

#[tokio::test(flavor = "multi_thread")]
async fn each_role_opens_its_routes_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path());
    publish(server.address).await;
    let minted = "{\"participant\":\"ada\",\"seconds\":60}";
    let minted = send(server.address, SERVICE, "POST", "/participant-tokens", "", minted).await;
    let token = minted.json().expect("a token")["token"].as_str().expect("a token").to_owned();
    for (method, path, may, participants) in TABLE {
        let path = path.replace("{id}", if path.starts_with("/draws") { "none" } else { RAFFLE });
        let path = path.replace("{version}", "1").replace("{prize}", "105").replace("{draw}", "none");
        let held = ROLES.map(|role| (role, format!("the key of {role}"), may.contains(&role)));
        for (who, bearer, may_pass) in held.into_iter().chain([("ada", token.clone(), *participants)]) {
            let answer = send(server.address, &bearer, method, &path, "k", "").await;
            if may_pass {
                let refused = [401, 403, 405].contains(&answer.status.as_u16());
                assert!(!refused, "{who} may {method} {path}: {}", answer.text());
                continue;
            }
            assert_eq!(code(&answer), (403, "edge.not_allowed"), "{who} may not {method} {path}");
            let told = answer.json().expect("a problem")["detail"].as_str().expect("words").to_owned();
            let or = if *participants { ", or a participant's token" } else { "" };
            assert!(told.ends_with(&format!("role {}{or}", may.join(" or "))), "{told}");
        }
        let answer = send(server.address, "a guess", method, &path, "k", "").await;
        assert_eq!(code(&answer), (401, "edge.no_key"), "{method} {path}");
    }
    assert!(server.terminate().expect("an end"));
}

/// A route that is added without a line in the table would be a route that nobody tried.
#[test]
fn the_table_of_roles_names_every_route() {
    let mut routes = BTreeSet::new();
    for entry in std::fs::read_dir(trials::root().join("crates/server/src/http")).expect("http") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a source");
        for part in text.split(".route(").skip(1) {
            routes.extend(part.split('"').nth(1).map(str::to_owned));
        }
    }
    let table = TABLE.iter().map(|(_, path, ..)| *path).chain(OPEN.iter().copied());
    assert_eq!(routes, table.map(str::to_owned).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_draws_as_themself_and_sees_their_own_draws() {
    let booth = Booth::open().await;
    publish(booth.address).await;
    let (ada, bob) = (booth.token("ada", 60).await, booth.token("bob", 86_400).await);
    let draws = format!("/raffles/{RAFFLE}/draws");
    let draw = async |bearer: &str, key: &str, body: &str| {
        send(booth.address, bearer, "POST", &draws, key, body).await
    };
    let mine = draw(&ada, "k", "{\"participant\":\"ada\"}").await;
    assert_eq!(mine.status.as_u16(), 201, "{}", mine.text());
    let through_the_shop = draw(SERVICE, "k", "{\"participant\":\"ada\"}").await;
    assert_eq!(through_the_shop.body, mine.body, "one participant, one key, two draws");
    let other = draw(&bob, "k", "{\"participant\":\"ada\"}").await;
    assert_eq!(code(&other), (403, "edge.other_participant"));
    let dear = draw(&ada, "dear", "{\"participant\":\"ada\",\"points_spent\":1000000}").await;
    assert_eq!(code(&dear), (403, "edge.not_allowed"), "a participant chose their own odds");

    let id = mine.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let show = async |bearer: &str, id: &str| {
        send(booth.address, bearer, "GET", &format!("/draws/{id}"), "", "").await
    };
    assert_eq!(show(&ada, &id).await.json().expect("json")["participant"], "ada");
    assert_eq!(show(SERVICE, &id).await.status.as_u16(), 200);
    assert_eq!(code(&show(&bob, &id).await), (404, "draw.missing"));
    let nobodys = id.replace("000009", "00000a");
    let (others, nobodys) = (show(&bob, &id).await.text(), show(&bob, &nobodys).await.text());
    let without_ids = |text: &str| text.split("request_id").next().unwrap_or_default().replace("0a", "09");
    assert_eq!(without_ids(&others), without_ids(&nobodys), "another's draw shows");

    let forged = format!("{}A{}", &ada[..8], &ada[9..]);
    booth.clock.set(trials::NOON_MS + 60_000);
    let wrong = [
        (ada.as_str(), "edge.token_expired"),
        (forged.as_str(), "edge.bad_token"),
        ("fgp1.", "edge.bad_token"),
        ("fgp1.e30.", "edge.bad_token"),
        ("fgp2.e30.e30", "edge.no_key"),
        ("", "edge.no_key"),
    ];
    for (bearer, expected) in wrong {
        assert_eq!(code(&show(bearer, &id).await), (401, expected), "{bearer}");
    }
    assert_eq!(code(&show(&bob, &id).await), (404, "draw.missing"), "bob's token lives on");
    for (body, expected) in [
        ("{\"participant\":\"ada\",\"seconds\":0}", (422, "edge.bad_number")),
        ("{\"participant\":\"ada\",\"seconds\":86401}", (422, "edge.bad_number")),
        ("{\"participant\":\"\",\"seconds\":1}", (422, "edge.bad_text")),
        ("{\"participant\":\"ada\"}", (400, "edge.bad_json")),
    ] {
        let answer = send(booth.address, SERVICE, "POST", "/participant-tokens", "", body).await;
        assert_eq!(code(&answer), expected, "{body}");
    }
    drop(booth.close().await);
}
