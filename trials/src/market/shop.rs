//! Two endpoints of webhooks. `pay` remembers nothing, and says what it has taken; `shop` remembers names, and says nothing.
//! Both are down at times, and what one winner is owed is poison to `pay`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use embedded::clock::ManualClock;
use kernel::ports::clock::Clock;
use kernel::ports::outbound::{Call, Outbound, Outcome, Verb};

use crate::ports::Dice;

/// Whose webhooks `pay` never takes.
pub(super) const POISON: &str = "p0";

#[derive(Default)]
struct Books {
    down_until_ms: BTreeMap<&'static str, i64>,
    taken: BTreeMap<String, u32>,
    downs: u64,
}

/// The other end of webhooks: it outlives every process.
pub(super) struct Shop {
    clock: Arc<ManualClock>,
    dice: Arc<Dice>,
    books: Mutex<Books>,
}

impl Shop {
    pub(super) fn new(clock: Arc<ManualClock>, dice: Arc<Dice>) -> Self {
        Self { clock, dice, books: Mutex::default() }
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was taken, by name, and how often it was done.
    pub(super) fn taken(&self) -> BTreeMap<String, u32> {
        self.books().taken.clone()
    }

    /// How often an endpoint went down.
    pub(super) fn downs(&self) -> u64 {
        self.books().downs
    }
}

#[async_trait]
impl Outbound for Shop {
    async fn call(&self, call: &Call) -> Outcome {
        let fault = || "as the dice say".to_owned();
        let endpoint = if call.url.starts_with("https://pay.") { "pay" } else { "shop" };
        let now_ms = self.clock.now_ms();
        let mut books = self.books();
        if !self.dice.is_kind() && self.dice.below(25) == 0 {
            let minutes = 1 + i64::try_from(self.dice.below(10)).unwrap_or(0);
            books.down_until_ms.insert(endpoint, now_ms + minutes * 60_000);
            books.downs += 1;
        }
        if books.down_until_ms.get(endpoint).is_some_and(|until_ms| now_ms < *until_ms) {
            return Outcome::Failed { fault: fault(), retry_seconds: None };
        }
        let was_taken = books.taken.contains_key(&call.effect);
        match call.verb {
            Verb::Ask if was_taken => Outcome::Taken,
            Verb::Ask => Outcome::Refused { status: Some(404), fault: fault() },
            Verb::Deliver => {
                let body: serde_json::Value = serde_json::from_slice(&call.body).expect("JSON");
                if endpoint == "pay" && body["data"]["participant"] == POISON {
                    return Outcome::Refused { status: Some(422), fault: fault() };
                }
                if !(endpoint == "shop" && was_taken) {
                    *books.taken.entry(call.effect.clone()).or_default() += 1;
                }
                Outcome::Taken
            }
        }
    }
}
