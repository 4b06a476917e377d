//! Work that a request begins and that is done whole, whether or not its caller waits for the answer.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tracing::Instrument;

/// Errands under way. Whoever closes the house waits for them.
#[derive(Debug)]
pub struct Errands {
    tasks: Mutex<JoinSet<()>>,
    free: Arc<Semaphore>,
}

impl Errands {
    /// So many at once; one more waits for as long as its caller does.
    pub fn at_once(errands: usize) -> Self {
        Self { tasks: Mutex::default(), free: Arc::new(Semaphore::new(errands)) }
    }

    /// Does work to its end, even if nobody awaits this any more once it has begun. `None` where it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let seat = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let (send, done) = oneshot::channel();
        let errand = async move {
            // Nobody may be there to hear it.
            drop(send.send(work.await));
            drop(seat);
        };
        {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(errand.in_current_span());
        }
        done.await.ok()
    }

    /// Waits for what is under way.
    pub async fn finish(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn an_errand_is_done_though_its_caller_went_away() {
        let (errands, done) = (Errands::at_once(4), Arc::new(AtomicBool::new(false)));
        let (go, gate) = oneshot::channel::<()>();
        let told = Arc::clone(&done);
        let work = async move {
            gate.await.expect("a word");
            told.store(true, Ordering::SeqCst);
        };
        {
            let mut asked = std::pin::pin!(errands.run(work));
            let polled = std::future::poll_fn(|context| std::task::Poll::Ready(asked.as_mut().poll(context)));
            assert!(polled.await.is_pending(), "it has begun");
        }
        go.send(()).expect("it still listens");
        errands.finish().await;
        assert!(done.load(Ordering::SeqCst));
        assert_eq!(errands.run(async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn one_more_than_may_be_at_once_waits_and_is_not_begun_for_nobody() {
        let errands = Errands::at_once(2);
        let mut gates = Vec::new();
        let mut asked: Vec<_> = Vec::new();
        for _ in 0..2 {
            let (go, gate) = oneshot::channel::<()>();
            gates.push(go);
            asked.push(Box::pin(errands.run(gate)));
        }
        for run in &mut asked {
            assert!(
                std::future::poll_fn(|c| std::task::Poll::Ready(run.as_mut().poll(c))).await.is_pending()
            );
        }
        let begun = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&begun);
        let mut late = Box::pin(errands.run(async move { told.store(true, Ordering::SeqCst) }));
        assert!(std::future::poll_fn(|c| std::task::Poll::Ready(late.as_mut().poll(c))).await.is_pending());
        drop(late);
        drop(gates);
        for run in asked {
            assert!(run.await.is_some_and(|heard| heard.is_err()));
        }
        errands.finish().await;
        assert!(!begun.load(Ordering::SeqCst));
    }
}
