//! Checks for [`crate::ports::broker::Broker`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::ports::PortError;
use crate::ports::broker::{Broker, Message, Subscriber};

/// Remembers what it took; refuses the effects it was told to refuse.
#[derive(Default)]
pub struct Listener {
    refuse: Vec<String>,
    taken: Mutex<Vec<Message>>,
}

#[async_trait]
impl Subscriber for Listener {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        messages
            .iter()
            .map(|message| {
                if self.refuse.contains(&message.effect) {
                    return Err(PortError::Corrupt("refused by the check".to_owned()));
                }
                taken.push(message.clone());
                Ok(())
            })
            .collect()
    }
}

fn message(topic: &str, key: u8, n: i64) -> Message {
    Message {
        topic: topic.to_owned(),
        effect: format!("{topic}/{key}/{n}"),
        key: vec![key],
        n,
        body: vec![1],
    }
}

/// All clauses of the contract. `wire` builds a broker on which the listener has subscribed to topic `a`.
///
/// # Panics
/// When the adapter breaks one.
pub async fn check(wire: impl Fn(Arc<dyn Subscriber>) -> Arc<dyn Broker>) {
    let listener = Arc::new(Listener { refuse: vec!["a/2/1".to_owned()], ..Listener::default() });
    let broker = wire(Arc::clone(&listener) as Arc<dyn Subscriber>);

    let sent: Vec<_> = (0..20).map(|i| message("a", u8::from(i % 2 == 0), i)).collect();
    let answers = broker.publish(&sent).await;
    assert_eq!(answers.len(), sent.len());
    assert!(answers.iter().all(Result::is_ok));

    let answers = broker.publish(&[message("a", 2, 1), message("b", 1, 1), message("a", 3, 1)]).await;
    assert!(answers[0].is_err(), "a refused message was acknowledged");
    assert!(answers[1].is_err(), "a topic nobody listens to was acknowledged");
    assert!(answers[2].is_ok(), "a refusal must not take others with it");

    let taken = listener.taken.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last: HashMap<&[u8], i64> = HashMap::new();
    for message in taken.iter() {
        let before = last.insert(&message.key, message.n).unwrap_or(-1);
        assert!(before <= message.n, "order broken within a key: {before} then {}", message.n);
    }
    assert!(sent.iter().all(|message| taken.contains(message)), "acknowledged, but nobody took it");
}
