//! How effects leave: the relay hands messages to a broker, the broker to whoever subscribed.

use async_trait::async_trait;

use super::PortError;

/// One effect on its way. Its key is made once, with the effect, never per attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What kind of effect this is, for example `award.granted`.
    pub topic: String,
    /// Stable name of the effect: a receiver that has seen it does nothing again.
    pub effect: String,
    /// Messages of one key are handed over in the order of their `n`.
    pub key: Vec<u8>,
    /// Place among the messages of this key.
    pub n: i64,
    /// The effect itself, as its topic defines it.
    pub body: Vec<u8>,
}

/// Contract, checked by [`crate::conformance::broker`]:
///
/// 1. `Ok` for a message means that every subscriber of its topic has taken it durably, or that the broker
///    has and will hand it over itself.
/// 2. A message may be handed over more than once, never in an order that breaks `n` within a key.
/// 3. One answer per message, in the order given.
/// 4. A topic without a subscriber is not acknowledged.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Hands messages over, answering for each.
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PortError>>;
}

/// Takes messages of one topic. Must be idempotent by [`Message::effect`].
#[async_trait]
pub trait Subscriber: Send + Sync {
    /// Takes messages, answering for each in the order given.
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>>;
}
