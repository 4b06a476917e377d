//! What is looked at again and again while the product runs.

use std::sync::Arc;
use std::time::Duration;

use campaign::campaigns::Campaigns;
use campaign::experiment::board::Experiments;
use campaign::fulfilment::Awards;
use kernel::id::Shard;
use ledger::ledger::Ledger;
use raffle::raffles::Raffles;
use records::follow::LOOK_MS;
use tokio::sync::watch;

use crate::switches::Board;

/// How often the timers of state machines are looked at, in milliseconds.
const TIMERS_MS: u64 = 500;

/// How often the ledger and the campaigns are asked what is due, in milliseconds.
const DUE_MS: u64 = 1000;

/// Rests between two looks. `false`: it is time to stop.
async fn rested(stop: &mut watch::Receiver<bool>, rest_ms: u64) -> bool {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => false,
        () = tokio::time::sleep(Duration::from_millis(rest_ms)) => true,
    }
}

/// Ends what nobody claimed in time, does what was held back, and serves who waits for codes.
pub(crate) async fn tend(awards: Awards, shard: Shard, mut stop: watch::Receiver<bool>) {
    loop {
        let more = match awards.tend(shard).await {
            Ok(moved) => moved > 0,
            Err(error) => {
                tracing::warn!(shard = shard.0, %error, "awards could not be seen to");
                false
            }
        };
        if !rested(&mut stop, if more { 0 } else { TIMERS_MS }).await {
            return;
        }
    }
}

/// Closes raffles that are over.
pub(crate) async fn watch_timers(raffles: Raffles, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = raffles.close_what_is_over().await {
            tracing::warn!(%error, "raffles that are over could not be closed");
        }
        if !rested(&mut stop, TIMERS_MS).await {
            return;
        }
    }
}

/// Ends orders whose time is over, and learns what other processes have published.
pub(crate) async fn watch_orders(campaigns: Campaigns, mut stop: watch::Receiver<bool>) {
    loop {
        let looked = async { campaigns.all().await.and(campaigns.end_what_is_over().await) };
        match looked.await {
            Ok(_) | Err(campaign::error::Error::Records(records::error::Error::Closed)) => {}
            Err(error) => tracing::warn!(%error, "orders that are over could not be ended"),
        }
        if !rested(&mut stop, DUE_MS).await {
            return;
        }
    }
}

/// Does what is due in the ledger. A ledger that takes no more orders leaves the rest to the next start.
pub(crate) async fn watch_due(ledger: Ledger, mut stop: watch::Receiver<bool>) {
    loop {
        match ledger.settle_due().await {
            Ok(_) | Err(ledger::error::Error::Records(records::error::Error::Closed)) => {}
            Err(error) => tracing::warn!(%error, "what is due in the ledger could not be done"),
        }
        if !rested(&mut stop, DUE_MS).await {
            return;
        }
    }
}

/// Looks at what all processes follow, again and again. A look that fails leaves what was seen before in force.
pub(crate) async fn follow(switches: Arc<Board>, experiments: Experiments, mut stop: watch::Receiver<bool>) {
    let mut fails = false;
    loop {
        let looked = switches.look().await.and(experiments.look().await);
        match &looked {
            Err(error) if !fails => {
                tracing::warn!(%error, "switches and experiments cannot be read: what was seen last stays in force")
            }
            Ok(_) if fails => tracing::info!("switches and experiments can be read again"),
            Ok(_) | Err(_) => {}
        }
        fails = looked.is_err();
        if !rested(&mut stop, LOOK_MS).await {
            return;
        }
    }
}
