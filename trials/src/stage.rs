//! A process that is killed and built anew, as its clients see it: what simulations stand on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::ports::Kill;

/// What a simulation found.
#[derive(Debug, Default)]
pub struct Found {
    /// Hash over everything that was answered, in order, and over how it ended.
    pub trace: String,
    /// How often each fault met each kind of call.
    pub met: BTreeMap<(String, &'static str), u64>,
    /// Invariants that do not hold.
    pub broken: Vec<String>,
    /// Calls that were answered well.
    pub answered: u64,
    /// How often the process was killed.
    pub killed: u64,
}

/// What runs: dropped as a whole when the process is killed.
pub trait House {
    /// What its clients call.
    type Inside: Clone;
    /// What its clients call.
    fn inside(&self) -> Self::Inside;
    /// What runs in it.
    fn tasks(&mut self) -> &mut JoinSet<()>;
    /// What ends it. Whoever is dead stays so: the next start is another process.
    fn life(&self) -> Arc<Kill>;
}

/// The process as its clients see it. (A `watch` channel would wake them in an order of its own chance.)
pub struct Door<I> {
    inside: Mutex<Option<I>>,
    changed: Notify,
}

impl<I> Default for Door<I> {
    fn default() -> Self {
        Self { inside: Mutex::new(None), changed: Notify::new() }
    }
}

impl<I: Clone> Door<I> {
    /// Opens it on a process, or closes it.
    pub fn set(&self, inside: Option<I>) {
        *self.inside.lock().unwrap_or_else(PoisonError::into_inner) = inside;
        self.changed.notify_waiters();
    }

    /// Asks whoever is inside, once there is somebody. `None`: the process was killed meanwhile, and nobody will answer.
    pub async fn ask<T, A: Future<Output = T>>(&self, ask: impl FnOnce(I) -> A) -> Option<T> {
        loop {
            let changed = self.changed.notified();
            let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(inside) = inside else {
                changed.await;
                continue;
            };
            return tokio::select! {
                biased;
                answer = ask(inside) => Some(answer),
                () = changed => None,
            };
        }
    }
}

/// Plays until every client has ended. A killed process is built anew on what it has left; a start may be killed too.
/// Answers the last process, and how many were killed.
pub async fn play<H: House, S: Future<Output = H>>(
    (mut house, start): (H, impl Fn(Arc<Kill>) -> S),
    door: &Door<H::Inside>,
    mut clients: JoinSet<()>,
) -> (H, u64) {
    let mut killed = 0;
    loop {
        let life = house.life();
        tokio::select! {
            biased;
            () = life.wait() => {}
            ended = clients.join_next() => match ended {
                Some(ended) => {
                    ended.expect("a client");
                    continue;
                }
                None => return (house, killed),
            },
        }
        killed += 1;
        door.set(None);
        house.tasks().shutdown().await;
        house = loop {
            let life = Arc::new(Kill::default());
            tokio::select! {
                biased;
                () = life.wait() => killed += 1,
                house = start(Arc::clone(&life)) => break house,
            }
        };
        door.set(Some(house.inside()));
    }
}
