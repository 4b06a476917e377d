//! A raffle whose draws use tickets: a house, and the ledger on its records.

use std::sync::Arc;

use kernel::amount::Unit;
use kernel::fault::Classify;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::Account;
use ledger::ledger::Ledger;
use ledger::order::{Order, OrderId, Terms, What};
use ledger::verify::verify;
use raffle::draw::Drawn;
use raffle::entry::Request;
use raffle::error::Error;
use raffle::raffles::DrawRequest;
use raffle::standing::Attested;
use raffle::ticket;
use records::audit::Actor;
use records::batch::Limits;
use records::port::read;
use tokio::task::JoinSet;

use crate::books::created;
use crate::profile::Profile;
use crate::{Trial, verify_in_python, verify_lines};

/// A raffle in which every draw wins, under what is said of tickets.
pub fn document(zone: &str, tickets: &str) -> String {
    format!(
        "raffle: r\ntitle: R\ntime_zone: {zone}\ndenominator: 1\nprizes:\n  - {{id: a, title: A, weight: 1, stock: 5000}}\ntickets: {{{tickets}}}\n"
    )
}

/// A house, and the ledger on its records.
pub struct Stand {
    /// The house.
    pub trial: Trial,
    /// The ledger.
    pub ledger: Ledger,
    driving: JoinSet<()>,
}

impl Stand {
    /// Opens one at noon.
    pub async fn open(profile: Profile, tickets: &str) -> Self {
        Self::over(Trial::open_on(profile).await, "UTC", tickets).await
    }

    /// Publishes the raffle in a house, and opens the ledger.
    pub async fn over(trial: Trial, zone: &str, tickets: &str) -> Self {
        trial.publish(&document(zone, tickets), "p").await.expect("publish");
        let clock = Arc::clone(&trial.clock) as Arc<dyn Clock>;
        let (ledger, driver) = Ledger::open(trial.house.raffles.records(), clock, Limits::default());
        let mut driving = JoinSet::new();
        driving.spawn(driver);
        Self { trial, ledger, driving }
    }

    /// Gives a participant tickets of the raffle.
    pub async fn grant(&self, word: &str, participant: &str, tickets: i64, terms: Terms) {
        let issued = Account::house("issued", &Unit::ticket());
        let held = ticket::held(participant, "raffle-r");
        let mut order = Order::transfer(OrderId::of(&[word.as_bytes()]), (&issued, &held), tickets);
        if let What::Transfer { terms: of_order, .. } = &mut order.what {
            *of_order = terms;
        }
        created(self.ledger.submit(order).await.expect("an outcome"));
    }

    /// A request for draws.
    pub fn asked(participant: &str, key: &str, parts: u32) -> DrawRequest {
        DrawRequest {
            raffle: "r".to_owned(),
            participant: participant.to_owned(),
            client_seed: None,
            attested: Attested::default(),
            parts,
            request: Request { key: key.to_owned(), body_hash: [7; 32], actor: Actor::house() },
        }
    }

    /// Draws.
    pub async fn draw(&self, participant: &str, key: &str, parts: u32) -> Result<Drawn, Error> {
        self.trial.house.raffles.draw(Self::asked(participant, key, parts)).await
    }

    /// The code of a draw that is refused; `drawn` is no refusal.
    pub async fn code(&self, participant: &str, key: &str, parts: u32) -> &'static str {
        self.draw(participant, key, parts).await.map_or_else(|error| error.code(), |_| "drawn")
    }

    /// How an account of tickets stands.
    pub async fn has(&self, account: &Account) -> i64 {
        self.ledger.balance(account).await.map_or(0, |after| after.balance)
    }

    /// How many tickets a participant holds.
    pub async fn holds(&self, participant: &str) -> i64 {
        self.has(&ticket::held(participant, "raffle-r")).await
    }

    /// Entries of the gate's log and of the ledger's journal: what is written anywhere.
    pub async fn entries(&self) -> (u64, u64) {
        let standing = self.trial.house.raffles.standing("r").await.expect("a raffle");
        (standing.entries, self.ledger.entries().await.expect("entries"))
    }

    /// Ends it: the ledger proves every balance and holds nothing that did not come from somewhere; both verifiers accept
    /// the log, whose draws are as many as the tickets that were spent where a wallet is named.
    pub async fn close(self, draws: usize) {
        let records = self.trial.house.raffles.records();
        let report = verify(&*records, self.ledger.journal(), Tenant::MAIN).await.expect("a report");
        assert_eq!(report.failed, []);
        let sum = read(&*records, Shard::HOME, |tx| {
            Box::pin(async move {
                let rows = tx.fetch("SELECT COALESCE(SUM(balance),0) FROM ledger_balance", &[]).await?;
                rows[0].int(0)
            })
        });
        assert_eq!(sum.await, Ok(0));
        let takes =
            self.trial.house.raffles.standing("r").await.expect("a raffle").plan.rules.tickets.clone();
        if takes.wallet.is_some() {
            assert_eq!(usize::try_from(self.has(&ticket::spent()).await), Ok(draws));
        }
        self.trial.reveal("r", "the end").await;
        let lines = self.trial.evidence("r").await;
        assert_eq!(lines.iter().filter(|line| line.contains("\"draw\":")).count(), draws);
        assert_eq!(verify_lines(&lines).failed, []);
        let (told, accepted) = verify_in_python(&lines);
        assert!(accepted, "{told}");
        self.end().await.house.close().await;
    }

    /// Ends the ledger; the house goes on.
    pub async fn end(self) -> Trial {
        self.ledger.close();
        self.driving.join_all().await;
        self.trial
    }
}
