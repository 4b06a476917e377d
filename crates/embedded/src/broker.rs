//! [`Broker`] within this process: handing over is calling the subscriber, and its answer is the acknowledgement.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::ports::PortError;
use kernel::ports::broker::{Broker, Message, Subscriber};

/// One subscriber per topic, fixed when the process is wired.
#[derive(Default)]
pub struct ProcessBroker {
    subscribers: HashMap<&'static str, Arc<dyn Subscriber>>,
}

/// Nobody subscribed to this topic.
#[derive(Debug, thiserror::Error)]
#[error("nobody listens to `{0}`")]
struct NobodyListens(String);

impl ProcessBroker {
    /// Adds the subscriber of a topic.
    #[must_use]
    pub fn with(mut self, topic: &'static str, subscriber: Arc<dyn Subscriber>) -> Self {
        self.subscribers.insert(topic, subscriber);
        self
    }
}

#[async_trait]
impl Broker for ProcessBroker {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut answers = Vec::with_capacity(messages.len());
        // Runs of one topic go together: the outbox is ordered by topic, so there are few.
        for run in messages.chunk_by(|a, b| a.topic == b.topic) {
            let Some(subscriber) = run.first().and_then(|first| self.subscribers.get(first.topic.as_str()))
            else {
                let nobody =
                    |m: &Message| Err(PortError::Unavailable(Box::new(NobodyListens(m.topic.clone()))));
                answers.extend(run.iter().map(nobody));
                continue;
            };
            answers.extend(subscriber.take(run).await);
        }
        answers
    }
}
