//! `fairground` without a word: a raffle to play with, on a store of its own.

use raffle::entry::Request;
use raffle::fairness::sha256;
use raffle::publish::Publish;
use records::audit::Actor;

use crate::serve::{Ready, ServeError, run};

/// The demo's raffle.
pub const RAFFLE: &str = "late-100006-repaired";
/// Its document.
pub const DOCUMENT: &str = include_str!("../../../examples/big-market/late-100006-repaired.yaml");

/// Why the demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The server does not.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Its raffle cannot be published.
    #[error("the demo's raffle cannot be published: {0}")]
    Publish(#[from] raffle::error::Error),
}

/// Publishes the demo's raffle, once for each text of its document, and serves.
pub async fn start(ready: Ready) -> Result<(), DemoError> {
    let body_hash = sha256(DOCUMENT.as_bytes());
    let key = format!("demo-{}", &kernel::hex::hex(&body_hash)[..16]);
    let publish = Publish {
        raffle: RAFFLE.to_owned(),
        text: DOCUMENT.to_owned(),
        request: Request { key, body_hash, actor: Actor::house() },
    };
    ready.house().raffles.publish(publish).await?;
    let address = ready.address;
    if let Some((_, file)) = &ready.admin_key {
        eprintln!("The demo raffle `{RAFFLE}` is open. Draw from it, in another terminal:\n");
        eprintln!("  KEY=$(cat {})", file.display());
        eprintln!("  curl -s -X POST http://{address}/api/v1/raffles/{RAFFLE}/draws \\");
        eprintln!("    -H \"Authorization: Bearer $KEY\" -H 'Idempotency-Key: my-first-draw' \\");
        eprintln!("    -H 'Content-Type: application/json' -d '{{\"participant\": \"ada\"}}'\n");
        eprintln!(
            "The README goes on from there: the trace and the proof of a draw, restocking, the reveal."
        );
        eprintln!("Ctrl-C ends it; what was answered is kept.\n");
    }
    Ok(run(ready).await?)
}
