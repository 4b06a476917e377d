//! A server with a key for each role, in this process, and how trials ask it.

use std::net::SocketAddr;
use std::sync::Arc;

use embedded::clock::ManualClock;
use fairground::bench::process::{Answer, ask};
use fairground::config::Config;
use fairground::serve::Ready;
use fairground::wiring::Ports;
use kernel::hex::hex;
use kernel::ports::outbound::Outbound;
use raffle::fairness::sha256;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ports::SeededEntropy;
use crate::profile::{Place, Profile};

/// The raffle that booths publish.
pub const RAFFLE: &str = "late-100006-repaired";
/// Every role.
pub const ROLES: [&str; 5] = ["admin", "operator", "approver", "auditor", "service"];

/// The configuration's keys: one for each role; the key of a role is `the key of <role>`.
pub fn keys() -> String {
    let key = |role: &str| {
        let hash = hex(&sha256(format!("the key of {role}").as_bytes()));
        format!("{{name='{role}-1',role='{role}',sha256='{hash}'}}")
    };
    format!("[{}]", ROLES.map(key).join(","))
}

/// A server in this process, whose clock can be set.
pub struct Booth {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its data folder is `data` in this.
    pub folder: TempDir,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl Booth {
    /// Opens one at noon.
    pub async fn open() -> Self {
        Self::open_with("").await
    }

    /// Opens one at noon, with its records where a profile has them.
    pub async fn open_on(profile: Profile) -> Self {
        Self::open_as(profile, "").await
    }

    /// Opens one at noon, with more sections in its configuration.
    pub async fn open_with(sections: &str) -> Self {
        Self::open_as(Profile::Embedded, sections).await
    }

    /// Opens one at noon, with its records where a profile has them, and more sections in its configuration.
    pub async fn open_as(profile: Profile, sections: &str) -> Self {
        Self::open_at(profile.place(), sections, None).await
    }

    /// Opens one at noon on a folder, which another may have left.
    pub async fn open_in(folder: TempDir, sections: &str) -> Self {
        Self::open_at(Place { folder, database: None }, sections, None).await
    }

    /// The same, with calls to other people's servers going elsewhere.
    pub async fn open_calling(folder: TempDir, sections: &str, outbound: Option<Arc<dyn Outbound>>) -> Self {
        Self::open_at(Place { folder, database: None }, sections, outbound).await
    }

    /// The same at a place that the trial has made.
    pub async fn open_at(place: Place, sections: &str, outbound: Option<Arc<dyn Outbound>>) -> Self {
        let clock = Arc::new(ManualClock::at(crate::NOON_MS));
        let mut config = Config::read(&format!("[auth]\nkeys = {}\n{sections}", keys()), std::iter::empty())
            .expect("a configuration");
        config.server.listen = "127.0.0.1:0".to_owned();
        place.configure(&mut config);
        let entropy = Arc::new(SeededEntropy::kind(1));
        let ports = Ports { clock: Arc::clone(&clock) as Arc<_>, entropy, outbound };
        let ready = Ready::open(&config, ports).await.expect("a server");
        let (stop, stopped) = watch::channel(false);
        let address = ready.address;
        let mut serving = JoinSet::new();
        serving.spawn(ready.serve(stopped));
        Self { address, clock, stop, serving, folder: place.folder }
    }

    /// Ends it; its data folder stays.
    pub async fn close(mut self) -> TempDir {
        self.stop.send(true).expect("a server that listens");
        while let Some(ended) = self.serving.join_next().await {
            ended.expect("a server that ends well");
        }
        self.folder
    }

    /// A token for a participant.
    pub async fn token(&self, participant: &str, seconds: u32) -> String {
        let body = format!("{{\"participant\":\"{participant}\",\"seconds\":{seconds}}}");
        let answer = send(self.address, SERVICE, "POST", "/participant-tokens", "", &body).await;
        let minted = answer.json().expect("a token");
        let life_ms = i64::from(seconds) * 1000;
        assert_eq!(minted["expires_ms"], kernel::ports::clock::Clock::now_ms(&*self.clock) + life_ms);
        minted["token"].as_str().expect("a token").to_owned()
    }
}

/// The bearer of a service.
pub const SERVICE: &str = "the key of service";
/// The bearer of an operator.
pub const OPERATOR: &str = "the key of operator";
/// The bearer of an approver.
pub const APPROVER: &str = "the key of approver";
/// The bearer of an auditor.
pub const AUDITOR: &str = "the key of auditor";

/// Asks with a bearer, an Idempotency-Key and a body that is JSON or a document.
pub async fn send(
    address: SocketAddr,
    bearer: &str,
    method: &str,
    path: &str,
    key: &str,
    body: &str,
) -> Answer {
    let (bearer, path) = (format!("Bearer {bearer}"), format!("/api/v1{path}"));
    let kind = if body.starts_with('{') || body.is_empty() { "application/json" } else { "application/yaml" };
    let headers = [("authorization", bearer.as_str()), ("content-type", kind), ("idempotency-key", key)];
    ask(address, method, &path, &headers, body.to_owned().into()).await.expect("an answer")
}

/// Publishes the booth's raffle, under the same key each time.
pub async fn publish(address: SocketAddr) {
    let path = format!("/raffles/{RAFFLE}/versions");
    let answer = send(address, OPERATOR, "POST", &path, "p", &crate::example(RAFFLE)).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
}

/// A problem's status and code. The code is leaked: it is compared with words of the source, and there are few.
pub fn code(answer: &Answer) -> (u16, &'static str) {
    let body = answer.json().expect("a problem");
    (answer.status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned().leak())
}
