//! A ledger on a temporary folder, with a clock that can be set.

use std::sync::Arc;

use embedded::clock::ManualClock;
use kernel::amount::Unit;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::{Account, Overdraft};
use ledger::ledger::Ledger;
use ledger::order::{After, Leg, Order, OrderId, Outcome, Receipt, Refusal, Terms, What};
use ledger::verify::{Report, verify};
use records::batch::Limits;
use records::error::Error;
use records::migration::{self, RECORDS, Room};
use records::port::{Records, Value, write};
use tokio::task::JoinSet;

use crate::NOON_MS;
use crate::profile::{Place, Profile};

const ROOMS: &[&Room] = &[&RECORDS, &ledger::tables::ROOM];

/// A unit, by its name.
pub fn unit(name: &str) -> Unit {
    name.parse().expect("a unit")
}

/// A participant's points.
pub fn points(participant: &str) -> Account {
    Account::of(participant, &unit("point"))
}

/// Where points come from.
pub fn mint() -> Account {
    Account::house("mint", &unit("point"))
}

/// The id of an order, by a word.
pub fn id(word: &str) -> OrderId {
    OrderId::of(&[word.as_bytes()])
}

/// A ledger, and where points come from.
pub struct Books {
    /// The ledger.
    pub ledger: Ledger,
    /// Its records.
    pub records: Arc<dyn Records>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Where its records are.
    pub place: Place,
    driver: JoinSet<()>,
}

impl Books {
    /// Opens one at noon, with a mint of points.
    pub async fn open(profile: Profile) -> Self {
        let books = Self::open_in(profile.place()).await;
        books.house("mint", Overdraft::Unlimited).await;
        books
    }

    /// Opens one on what there is in a place, at noon.
    pub async fn open_in(place: Place) -> Self {
        let records = place.open();
        let clock = Arc::new(ManualClock::at(NOON_MS));
        migration::run(&*records, ROOMS, NOON_MS).await.expect("tables");
        let (ledger, driver) =
            Ledger::open(Arc::clone(&records), Arc::clone(&clock) as Arc<dyn Clock>, Limits::default());
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        Self { ledger, records, clock, place, driver: drivers }
    }

    /// Ends it, and keeps its place.
    pub async fn close(self) -> Place {
        let Self { ledger, records, place, driver, .. } = self;
        ledger.close();
        driver.join_all().await;
        // Whoever lets go of the records last closes them.
        drop((ledger, records));
        place
    }

    /// Moves the clock on.
    pub fn pass(&self, milliseconds: i64) {
        self.clock.set(self.clock.now_ms() + milliseconds);
    }

    /// Opens an account of the house that counts points.
    pub async fn house(&self, name: &str, overdraft: Overdraft) -> Account {
        let account = Account::house(name, &unit("point"));
        self.overdraft(&format!("open {name}"), &account, overdraft).await;
        account
    }

    /// Gives an account an overdraft.
    pub async fn overdraft(&self, word: &str, account: &Account, overdraft: Overdraft) -> Outcome {
        self.order(word, What::Open { account: account.clone(), overdraft }).await
    }

    /// Orders something under the id of a word.
    pub async fn order(&self, word: &str, what: What) -> Outcome {
        let order = Order { id: id(word), code: "trial".to_owned(), reference: String::new(), what };
        self.ledger.submit(order).await.expect("an outcome")
    }

    /// Moves an amount.
    pub async fn send(&self, word: &str, from: &Account, to: &Account, amount: i64) -> Outcome {
        self.ledger.submit(Order::transfer(id(word), (from, to), amount)).await.expect("an outcome")
    }

    /// Gives points to a participant, with terms.
    pub async fn grant(&self, word: &str, participant: &str, amount: i64, terms: Terms) -> Outcome {
        let leg = |account: Account, amount| Leg { account, amount };
        let legs = vec![leg(mint(), -amount), leg(points(participant), amount)];
        self.order(word, What::Transfer { legs, terms }).await
    }

    /// How an account stands.
    pub async fn stands(&self, account: &Account) -> After {
        self.ledger.balance(account).await.expect("a balance")
    }

    /// What an account has, of that what is held, and what is pending.
    pub async fn has(&self, account: &Account) -> (i64, i64, i64) {
        let after = self.stands(account).await;
        (after.balance, after.held, after.pending)
    }

    /// What a verification finds.
    pub async fn verified(&self) -> Report {
        verify(&*self.records, self.ledger.journal(), Tenant::MAIN).await.expect("a report")
    }

    /// Changes rows behind the ledger's back. Answers how many.
    pub async fn tamper(&self, sql: &str) -> u64 {
        self.try_to_tamper(sql).await.expect("a change")
    }

    /// Changes rows behind the ledger's back, where the store lets one.
    pub async fn try_to_tamper(&self, sql: &str) -> Result<u64, Error> {
        let sql = sql.to_owned();
        write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { tx.exec(&sql, &[] as &[Value<'_>]).await })
        })
        .await
    }
}

/// What an order that was done now says.
pub fn created(outcome: Outcome) -> Receipt {
    let told = format!("created, not {outcome:?}");
    if let Outcome::Created(receipt) = outcome { Some(receipt) } else { None }.expect(&told)
}

/// A refusal for the first time.
pub fn refused(why: Refusal) -> Outcome {
    Outcome::Refused { why, replayed: false }
}
