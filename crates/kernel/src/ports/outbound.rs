//! Calls to somebody else's server: signed, once per effect where the receiver keeps its part, and honest about what is not
//! known.

use std::fmt;

use async_trait::async_trait;

/// What a call is signed with: bytes that both sides know.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is wanted of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Take this.
    Deliver,
    /// Say whether an effect was taken: nothing changes by asking.
    Ask,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is wanted.
    pub verb: Verb,
    /// Where to.
    pub url: String,
    /// The stable name of the effect, the same in every attempt: goes out as `webhook-id`.
    pub effect: String,
    /// When this attempt is made, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What it is signed with, newest first; several while a secret is replaced.
    pub secrets: Vec<Secret>,
    /// What is delivered; empty where something is asked.
    pub body: Vec<u8>,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it, or says that it has.
    Taken,
    /// It will never be taken as it is.
    Refused {
        /// The HTTP status, where there was an answer at all.
        status: Option<u16>,
        /// What was wrong, for people.
        fault: String,
    },
    /// It was not taken, and may be later.
    Failed {
        /// What was wrong, for people.
        fault: String,
        /// How long the other side asks us to wait, in seconds.
        retry_seconds: Option<u64>,
    },
    /// It was sent, and nobody knows whether it was taken.
    Unknown {
        /// What was wrong, for people.
        fault: String,
    },
}

/// Contract, checked by [`crate::conformance::outbound`]:
///
/// 1. `Taken` only where the other side answered that it is: a status from 200 to 299.
/// 2. `Failed` only where it was not taken: nothing was sent, or the answer says so (408, 425, 429, 503). What was sent and
///    not answered, and every other answer from 500 on, is `Unknown`.
/// 3. Any other answer is `Refused`, a redirect too: none is followed.
/// 4. Every call ends within a fixed time, whatever the other side does, and reads a bounded part of what it says.
/// 5. The effect's name, the time of the attempt and a signature by every secret go out with each call, as the specification
///    of Standard Webhooks has it.
/// 6. An address that is not allowed is `Refused`, and nothing is sent to it. What counts is the address that is connected
///    to, not the name that led to it.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Makes one call, once.
    async fn call(&self, call: &Call) -> Outcome;
}
