//! Who may do what, through the real server.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use fairground::bench::process::{Answer, Server, ask};
use raffle::fairness::{hex, sha256};

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");
const ROLES: [&str; 5] = ["admin", "operator", "approver", "auditor", "service"];

/// A server with one key for each role; the key of a role is `the key of <role>`.
struct Place {
    server: Server,
    folder: tempfile::TempDir,
}

impl Place {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // The helper reads admin.key, which a server with configured keys does not make.
        std::fs::create_dir(folder.path().join("data")).expect("data");
        std::fs::write(folder.path().join("data/admin.key"), "not in use").expect("a key");
        Self { server: Self::start(folder.path()), folder }
    }

    fn start(folder: &Path) -> Server {
        let key = |role: &str| {
            let hash = hex(&sha256(format!("the key of {role}").as_bytes()));
            format!("{{name='{role}-1',role='{role}',sha256='{hash}'}}")
        };
        let keys = format!("[{}]", ROLES.map(key).join(","));
        let (data, log) = (folder.join("data"), folder.join("log"));
        Server::start(Path::new(PROGRAM), &data, &log, &[("FAIRGROUND_AUTH__KEYS", keys)]).expect("a server")
    }

    /// Asks with a bearer, an Idempotency-Key and JSON.
    async fn ask(&self, bearer: &str, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {bearer}");
        let headers = [
            ("authorization", bearer.as_str()),
            (
                "content-type",
                if body.starts_with("raffle:") { "application/yaml" } else { "application/json" },
            ),
            ("idempotency-key", key),
        ];
        ask(self.server.address, method, path, &headers, body.to_owned().into()).await.expect("an answer")
    }

    async fn ask_as(&self, role: &str, method: &str, path: &str, key: &str, body: &str) -> Answer {
        self.ask(&format!("the key of {role}"), method, path, key, body).await
    }

    async fn publish(&self) {
        let path = format!("/api/v1/raffles/{RAFFLE}/versions");
        let headers = [
            ("authorization", "Bearer the key of operator"),
            ("content-type", "application/yaml"),
            ("idempotency-key", "p"),
        ];
        let body = trials::example(RAFFLE).into();
        let answer = ask(self.server.address, "POST", &path, &headers, body).await.expect("an answer");
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    }
}

fn code(answer: &Answer) -> (u16, String) {
    let body = answer.json().expect("a problem");
    (answer.status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
}

const READERS: &[&str] = &ROLES;
const OPERATORS: &[&str] = &["admin", "operator"];
const DRAWERS: &[&str] = &["admin", "service"];

/// Every route under `/api/v1` that needs a key, and the roles that may.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("GET", "/raffles", READERS),
    ("GET", "/raffles/{id}", READERS),
    ("POST", "/raffles/{id}/versions", OPERATORS),
    ("GET", "/raffles/{id}/versions/{version}", READERS),
    ("GET", "/raffles/{id}/odds", READERS),
    ("GET", "/raffles/{id}/epochs", READERS),
    ("POST", "/raffles/{id}/epochs", OPERATORS),
    ("GET", "/raffles/{id}/evidence", READERS),
    ("POST", "/raffles/{id}/freeze", OPERATORS),
    ("POST", "/raffles/{id}/thaw", OPERATORS),
    ("POST", "/raffles/{id}/prizes/{prize}/restock", OPERATORS),
    ("POST", "/raffles/{id}/draws", DRAWERS),
    ("GET", "/draws/{id}", READERS),
    ("GET", "/raffles/{id}/awards", READERS),
    ("GET", "/awards/{draw}", READERS),
    ("POST", "/awards/{draw}/hand-over", OPERATORS),
];

/// Routes that need no key, and the bench's.
const OPEN: &[&str] = &["/schemas/raffle", "/livez", "/readyz", "/noop/{id}"];

#[tokio::test(flavor = "multi_thread")]
async fn each_role_opens_its_routes_and_no_others() {
    let place = Place::open();
    place.publish().await;
    for (method, path, may) in TABLE {
        let place_of = |name: &str, value: &str| path.replace(name, value);
        let path = place_of("{id}", if path.starts_with("/draws") { "none" } else { RAFFLE });
        let path = path.replace("{version}", "1").replace("{prize}", "105").replace("{draw}", "none");
        let path = format!("/api/v1{path}");
        for role in ROLES {
            let answer = place.ask_as(role, method, &path, "k", "").await;
            let status = answer.status.as_u16();
            if may.contains(&role) {
                assert!(![401, 403, 405].contains(&status), "{role} may {method} {path}: {}", answer.text());
                continue;
            }
            assert_eq!(code(&answer), (403, "edge.not_allowed".to_owned()), "{role} may not {method} {path}");
            let told = answer.json().expect("a problem")["detail"].as_str().expect("words").to_owned();
            assert!(told.ends_with(&format!("role {}", may.join(" or "))), "{told}");
        }
        let answer = place.ask("a guess", method, &path, "k", "").await;
        assert_eq!(code(&answer), (401, "edge.no_key".to_owned()), "{method} {path}");
    }
    assert!(place.server.terminate().expect("an end"));
    drop(place.folder);
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
    let table = TABLE.iter().map(|(_, path, _)| *path).chain(OPEN.iter().copied());
    assert_eq!(routes, table.map(str::to_owned).collect());
}
