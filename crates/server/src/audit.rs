//! The audit log as the server uses it: what is given out or refused at the edge is noted, new entries are sealed, pages
//! are read. Changes note themselves, in their own transactions.

pub mod check;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use records::audit::{self, Actor, Cause, Change, Filter, Page, Place, Seal, Stream};
use records::error::Error;
use records::port::{Records, read, write};
use tokio::sync::watch;

/// How often new entries are sealed, in milliseconds.
const SEALS_MS: u64 = 2000;

/// Most refusals noted in a minute, of one caller and of all. Whoever holds any key could otherwise fill the disk.
const REFUSALS_OF_ONE_MAX: u32 = 10;
const REFUSALS_MAX: u32 = 600;

/// The audit log. Clones share it.
#[derive(Clone)]
pub struct AuditLog {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    refusals: Arc<Mutex<Refusals>>,
}

/// The refusals of one minute.
#[derive(Debug, Default)]
struct Refusals {
    minute: i64,
    noted: u32,
    by_caller: HashMap<String, u32>,
    left_out: u64,
}

impl Refusals {
    /// Whether one more is noted, and how many were left out before it.
    fn admit(&mut self, caller: &str, now_ms: i64) -> Option<u64> {
        let minute = now_ms.div_euclid(60_000);
        if minute != self.minute {
            (self.minute, self.noted) = (minute, 0);
            self.by_caller.clear();
        }
        let own = self.by_caller.get(caller).copied().unwrap_or(0);
        if own >= REFUSALS_OF_ONE_MAX || self.noted >= REFUSALS_MAX {
            self.left_out += 1;
            return None;
        }
        self.noted += 1;
        self.by_caller.insert(caller.to_owned(), own + 1);
        Some(std::mem::take(&mut self.left_out))
    }
}

impl AuditLog {
    /// The log in these records.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, refusals: Arc::default() }
    }

    async fn note(&self, actor: &Arc<Actor>, change: Change) -> Result<(), Error> {
        let cause = Cause { actor: Arc::clone(actor), key: String::new(), body_hash: None };
        write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let access = Stream::access(Tenant::MAIN.number);
                audit::append(tx, &access, &cause, change).await.map(|_| ())
            })
        })
        .await
    }

    /// Notes that a token is about to be given out. Neither the name nor a hash of it is kept: names can be guessed.
    pub async fn minted(&self, actor: &Arc<Actor>, pseudonym: &str, expires_ms: i64) -> Result<(), Error> {
        let change = Change {
            at_ms: self.clock.now_ms(),
            action: "mint_token",
            subject: format!("participant/{pseudonym}"),
            detail: format!("expires at {expires_ms} ms"),
        };
        self.note(actor, change).await
    }

    /// Notes that what befell participants is about to be taken away as a file. Who was asked for is kept by pseudonym, as in
    /// `about`.
    pub async fn exported(&self, actor: &Arc<Actor>, about: String) -> Result<(), Error> {
        let change = Change {
            at_ms: self.clock.now_ms(),
            action: "export",
            subject: "search/activities".to_owned(),
            detail: about,
        };
        self.note(actor, change).await
    }

    /// Notes that somebody was refused. The caller is told so in any case: a note that cannot be kept goes to the log.
    pub async fn refused(&self, actor: &Arc<Actor>, route: String, why: &str) {
        let at_ms = self.clock.now_ms();
        let admitted = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).admit(&actor.name, at_ms);
        let Some(left_out) = admitted else { return };
        let more = if left_out > 0 {
            format!("; {left_out} refusals before this were not noted")
        } else {
            String::new()
        };
        let detail = format!("{why}{more}");
        let change = Change { at_ms, action: "refused", subject: route, detail };
        if let Err(error) = self.note(actor, change).await {
            tracing::error!(actor = actor.name, %error, "a refusal could not be noted");
        }
    }

    /// Entries after a place.
    pub async fn page(&self, after: Place, filter: Filter, limit: u32) -> Result<Page, Error> {
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                audit::page(tx, (Shard::HOME, Tenant::MAIN.number), &after, &filter, limit).await
            })
        })
        .await
    }

    /// Seals after a place, each with its stream.
    pub async fn seals(&self, after: Place, limit: u32) -> Result<Vec<(String, Seal)>, Error> {
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                audit::seals_after(tx, (Shard::HOME, Tenant::MAIN.number), &after, limit).await
            })
        })
        .await
    }

    /// Seals what was added.
    pub async fn seal(&self) -> Result<u64, Error> {
        audit::seal(&*self.records, self.clock.now_ms()).await
    }

    /// Seals what is added, every two seconds, and once more at the end.
    pub async fn watch(self, mut stop: watch::Receiver<bool>) {
        loop {
            let ends = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                () = tokio::time::sleep(Duration::from_millis(SEALS_MS)) => false,
            };
            if let Err(error) = self.seal().await {
                tracing::error!(%error, "the audit log could not be sealed");
            }
            if ends {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_floods_is_noted_ten_times_a_minute_and_then_counted() {
        let mut refusals = Refusals::default();
        let admitted = (0..25).filter(|_| refusals.admit("shop", 60_000).is_some()).count();
        assert_eq!(admitted, 10);
        assert_eq!(refusals.admit("ops", 60_001), Some(15), "another caller is noted, and the rest told");
        assert_eq!(refusals.admit("shop", 119_999), None);
        assert_eq!(refusals.admit("shop", 120_000), Some(1), "a new minute");
        let crowd = (0..1000).filter(|n| refusals.admit(&n.to_string(), 120_000).is_some()).count();
        assert_eq!(crowd, 599, "a crowd is bounded too");
    }
}
