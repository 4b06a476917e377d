//! The tickets of a batch: the ledger's counter, locked after every gate, for the raffles whose rules name a wallet.

use std::sync::Arc;

use ledger::account::Account;
use ledger::desk::{Counter, Desk as LedgerDesk};
use ledger::order::Outcome;
use records::error::Error as RecordsError;
use records::port::Tx;

use crate::entry::Draw;
use crate::ticket;

/// Where a batch takes tickets.
pub(super) struct Till(Counter);

impl Till {
    /// Locks the ledger and loads the wallets that are asked about. `None` where there are none: then the ledger is not
    /// touched at all.
    pub(super) async fn open(
        tx: &mut dyn Tx,
        desk: LedgerDesk,
        mut wallets: Vec<Account>,
    ) -> Result<Option<Self>, RecordsError> {
        if wallets.is_empty() {
            return Ok(None);
        }
        wallets.push(ticket::spent());
        // No draw of this batch has an id yet, so no order of it can be an earlier one.
        desk.open(tx, &wallets, &[]).await.map(|counter| Some(Self(counter)))
    }

    /// Tickets that can be used now.
    pub(super) fn left(&mut self, held: &Account) -> u64 {
        u64::try_from(self.0.available(held)).unwrap_or(0)
    }

    /// Takes a ticket for each draw. They have been counted: one that is not there is a surprise, and nothing is kept.
    pub(super) fn take(&mut self, held: &Account, draws: &[Arc<Draw>]) -> Result<(), RecordsError> {
        for draw in draws {
            let outcome = self.0.decide(&ticket::order(draw.id, held))?;
            if !matches!(outcome, Outcome::Created(_)) {
                tracing::error!(draw = %draw.id, ?outcome, "a draw's ticket could not be taken");
                return Err(RecordsError::Surprise("ledger_entry"));
            }
        }
        Ok(())
    }

    /// Writes what was taken.
    pub(super) async fn write(self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        self.0.write(tx).await
    }
}
