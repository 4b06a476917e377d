//! What trials stand on: a house in this process with a clock that can be set, a server in a process of its own, and
//! documents to publish.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a trial speaks by panicking")]

pub mod market;
pub mod simulation;
pub mod stage;
pub mod shop;
pub mod ports;
pub mod documents;
pub mod malformed;
pub mod wire;
pub mod routes;
pub mod calls;
pub mod booth;
pub mod stand;
pub mod books;
pub mod profile;
pub mod fair;
pub mod schema;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use embedded::clock::ManualClock;
use fairground::config::Config;
use fairground::wiring::{House, Ports};
use raffle::draw::Drawn;
use raffle::entry::Request;
use raffle::error::Error;
use raffle::fairness::sha256;
use raffle::publish::{Publish, Published};
use raffle::raffles::{DrawRequest, Raffles};
use raffle::standing::{Attested, POINTS_SPENT};
use raffle::stock::{Carried, Order};
use raffle::verify::{Report, verify};
use records::audit::{Actor, Cause};

use crate::ports::SeededEntropy;
use crate::profile::{Place, Profile};

/// 2026-11-23T12:00:00Z, the instant at which houses open.
pub const NOON_MS: i64 = 1_795_435_200_000;

/// Points spent, as a caller tells them.
pub fn told(points_spent: Option<u64>) -> Attested {
    let metrics = points_spent.map(|points| (POINTS_SPENT.to_owned(), points)).into_iter().collect();
    Attested { metrics, ..Attested::default() }
}

/// Why something is done that nobody has asked for by a request.
pub fn cause() -> Cause {
    Cause { actor: Actor::house(), key: String::new(), body_hash: None }
}

/// How often something is done: small in `make test`, the issues' counts in `make test-full`.
pub fn count(small: usize, full: usize) -> usize {
    if std::env::var_os("FAIRGROUND_TRIALS_FULL").is_some() { full } else { small }
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a root").to_owned()
}

/// Sources in a folder and in those below it.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .map(|entry| entry.expect("entry").path())
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// Every route that the sources of the edge give to the router.
pub fn routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for file in sources(&root().join("crates/server/src/http")) {
        let text = std::fs::read_to_string(file).expect("a source");
        routes.extend(
            text.split(".route(").skip(1).filter_map(|part| part.split('"').nth(1).map(str::to_owned)),
        );
    }
    routes
}

/// An example document of `examples/big-market`.
pub fn example(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("examples/big-market/{name}.yaml"))).expect("an example")
}

/// The product in this process, on a temporary folder.
pub struct Trial {
    /// The product.
    pub house: House,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Where its data folder and its records are.
    pub place: Place,
    /// How often it was opened: what its chance follows from, so that a trial ends the same each time.
    opened: u64,
}

impl Trial {
    /// Opens a house at noon.
    pub async fn open() -> Self {
        Self::open_on(Profile::Embedded).await
    }

    /// Opens a house at noon, with its records where a profile has them.
    pub async fn open_on(profile: Profile) -> Self {
        Self::open_in(profile.place(), NOON_MS).await
    }

    /// Opens a house on what there is in a place.
    pub async fn open_in(place: Place, now_ms: i64) -> Self {
        Self::open_as((place, 1), now_ms, Config::default()).await
    }

    /// Opens a house at noon in which two people are needed for what is above the default sizes.
    pub async fn open_with_four_eyes(profile: Profile) -> Self {
        let mut config = Config::default();
        config.review.four_eyes = Some(true);
        Self::open_as((profile.place(), 1), NOON_MS, config).await
    }

    async fn open_as((place, opened): (Place, u64), now_ms: i64, mut config: Config) -> Self {
        let clock = Arc::new(ManualClock::at(now_ms));
        place.configure(&mut config);
        let ports = Ports {
            clock: Arc::clone(&clock) as Arc<_>,
            entropy: Arc::new(SeededEntropy::kind(opened)),
            outbound: None,
        };
        let house = House::open(&config, ports).await.expect("a house");
        Self { house, clock, place, opened }
    }

    /// Closes the house and opens it again.
    pub async fn reopen(self) -> Self {
        let now_ms = kernel::ports::clock::Clock::now_ms(&*self.clock);
        self.house.close().await;
        Self::open_as((self.place, self.opened + 1), now_ms, Config::default()).await
    }

    /// Publishes a document under a key.
    pub async fn publish(&self, text: &str, key: &str) -> Result<Published, Error> {
        let raffle = raffle::document::read(text).map_err(Error::Document)?.raffle;
        let request =
            Request { key: key.to_owned(), body_hash: sha256(text.as_bytes()), actor: Actor::house() };
        self.house.raffles.publish(Publish { raffle, text: text.to_owned(), request }).await
    }

    /// Draws, as a participant with a key.
    pub async fn draw(&self, raffle: &str, participant: &str, key: &str) -> Result<Drawn, Error> {
        self.draw_with(raffle, participant, key, None).await
    }

    /// Draws with points spent.
    pub async fn draw_with(
        &self,
        raffle: &str,
        participant: &str,
        key: &str,
        points_spent: Option<u64>,
    ) -> Result<Drawn, Error> {
        let body = format!("{participant} {points_spent:?}");
        let asked = DrawRequest {
            raffle: raffle.to_owned(),
            participant: participant.to_owned(),
            client_seed: None,
            attested: told(points_spent),
            parts: 1,
            request: Request {
                key: key.to_owned(),
                body_hash: sha256(body.as_bytes()),
                actor: Actor::house(),
            },
        };
        self.house.raffles.draw(asked).await
    }

    /// The prize of a draw that succeeds; `-` is no win.
    pub async fn prize(&self, raffle: &str, participant: &str, key: &str) -> String {
        let drawn = self.draw(raffle, participant, key).await.expect("a draw");
        drawn.draw.prize.as_deref().unwrap_or("-").to_owned()
    }

    /// Carries out an operator's order.
    pub async fn order(&self, raffle: &str, order: Order, key: &str) -> Result<Carried, Error> {
        let request = Request {
            key: key.to_owned(),
            body_hash: sha256(format!("{order:?}").as_bytes()),
            actor: Actor::house(),
        };
        self.house.raffles.carry_out(raffle, order, "a trial".to_owned(), request).await
    }

    /// Granted and free of a finite prize, as its segment says.
    pub async fn stock(&self, raffle: &str, prize: &str) -> (u64, u64) {
        let standing = self.house.raffles.standing(raffle).await.expect("a raffle");
        let segment = standing.segments.iter().find(|segment| segment.item == prize).expect("a segment");
        (segment.granted, segment.free)
    }

    /// Closes the epoch and waits until it is revealed.
    pub async fn reveal(&self, raffle: &str, key: &str) {
        let request = Request { key: key.to_owned(), body_hash: [0; 32], actor: Actor::house() };
        let (next, _) = self.house.raffles.turn(raffle, request).await.expect("a turn");
        self.wait_for_reveal(raffle, next - 1).await;
    }

    /// Waits until an epoch is revealed: the relay carries the news.
    pub async fn wait_for_reveal(&self, raffle: &str, epoch: u32) {
        let revealed = self.until_revealed(raffle, epoch);
        tokio::time::timeout(std::time::Duration::from_secs(60), revealed).await.expect("a reveal");
    }

    async fn until_revealed(&self, raffle: &str, epoch: u32) {
        loop {
            let epochs = self.house.raffles.epochs(raffle).await.expect("epochs");
            let row = epochs.iter().find(|row| row.epoch == epoch).expect("the epoch");
            if matches!(row.state, raffle::epoch::Epoch::Revealed { .. }) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until every effect has left.
    pub async fn settle(&self) {
        let empty = async {
            while self.house.raffles.backlog().await.expect("a backlog").0 > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), empty).await.expect("effects left");
    }

    /// The evidence of all revealed epochs, as lines.
    pub async fn evidence(&self, raffle: &str) -> Vec<String> {
        evidence(&self.house.raffles, raffle).await.expect("evidence")
    }
}

/// The evidence of all revealed epochs, as lines.
pub async fn evidence(raffles: &Raffles, raffle: &str) -> Result<Vec<String>, Error> {
    let mut pages = raffles.evidence(raffle).await?;
    let mut text = String::new();
    while let Some(page) = pages.next().await? {
        text.push_str(&page);
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// Verifies evidence with the product's own verifier.
pub fn verify_lines(lines: &[String]) -> Report {
    verify(lines.iter().map(|line| Ok(line.clone())))
}

/// Verifies evidence with the outsider's verifier; answers its report and whether it accepted.
pub fn verify_in_python(lines: &[String]) -> (serde_json::Value, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("evidence.jsonl");
    std::fs::write(&file, lines.join("\n") + "\n").expect("evidence");
    let script = root().join("docs/fairness/verify.py");
    // Without -B it would leave compiled files in the repository.
    let output =
        std::process::Command::new("python3").arg("-B").arg(script).arg(&file).output().expect("python3");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        // A file that cannot be read at all ends in a traceback: that is a refusal too.
        serde_json::json!({ "failed": [String::from_utf8_lossy(&output.stderr)] })
    });
    (report, output.status.success())
}
