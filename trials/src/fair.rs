//! Campaigns and a ledger, with a clock that can be set.

use std::sync::Arc;

use campaign::act::{Outcome, What};
use campaign::campaigns::Campaigns;
use campaign::desk::{Acted, Done};
use campaign::error::Error;
use campaign::gain::Gained;
use campaign::offer::{Order, OrderKey};
use campaign::publish::{Publish, Published};
use campaign::referral::QUALIFIED;
use embedded::clock::ManualClock;
use embedded::entropy::SystemEntropy;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::Account;
use ledger::ledger::Ledger;
use ledger::verify::{Report, verify};
use raffle::fairness::sha256;
use records::audit::{Actor, Cause};
use records::batch::Limits;
use records::migration::{self, RECORDS, Room};
use records::port::Records;
use records::relay::{Pace, Relay};
use tokio::task::JoinSet;

use crate::books::unit;
use crate::ports::unfollowed;
use crate::profile::{Place, Profile};

const ROOMS: &[&Room] = &[&RECORDS, &ledger::tables::ROOM, &campaign::tables::ROOM];

/// SHA-256 of a body.
pub fn body(text: &str) -> [u8; 32] {
    sha256(text.as_bytes())
}

/// The same as what a caller reports.
pub fn behaves(behaviour: &str, business_id: &str, value: Option<i64>) -> What {
    let (behaviour, business_id) = (behaviour.to_owned(), business_id.to_owned());
    What::Behave { behaviour, business_id, value, campaign: None }
}

/// Campaigns beside a ledger.
pub struct Fair {
    /// The campaigns.
    pub campaigns: Campaigns,
    /// The ledger.
    pub ledger: Ledger,
    /// Their records.
    pub records: Arc<dyn Records>,
    /// Their clock.
    pub clock: Arc<ManualClock>,
    /// Where their records are.
    pub place: Place,
    drivers: JoinSet<()>,
}

impl Fair {
    /// Opens one at an instant.
    pub async fn at(profile: Profile, now_ms: i64) -> Self {
        let place = profile.place();
        let records = place.open();
        let clock = Arc::new(ManualClock::at(now_ms));
        migration::run(&*records, ROOMS, now_ms).await.expect("tables");
        Self::over(place, records, clock)
    }

    fn over(place: Place, records: Arc<dyn Records>, clock: Arc<ManualClock>) -> Self {
        let (port, ticks) = (Arc::clone(&records), Arc::clone(&clock) as Arc<dyn Clock>);
        let (ledger, posts) = Ledger::open(Arc::clone(&port), Arc::clone(&ticks), Limits::default());
        let (campaigns, acts) = Campaigns::open(port, ticks, Arc::new(SystemEntropy), Limits::default());
        let mut drivers = JoinSet::new();
        drivers.spawn(posts);
        drivers.spawn(acts);
        Self { campaigns, ledger, records, clock, place, drivers }
    }

    /// Ends the process's part and begins another on the same records.
    pub async fn again(self) -> Self {
        self.campaigns.close();
        self.ledger.close();
        self.drivers.join_all().await;
        Self::over(self.place, self.records, self.clock)
    }

    /// Publishes a document under a key.
    pub async fn publish(&self, key: &str, text: &str) -> Result<Published, Error> {
        let campaign = text.lines().find_map(|line| line.strip_prefix("campaign: ")).expect("an id");
        let body_hash = body(text);
        let cause = Cause { actor: Actor::house(), key: key.to_owned(), body_hash: Some(body_hash) };
        let (campaign, text, key) = (campaign.to_owned(), text.to_owned(), key.to_owned());
        self.campaigns.publish(Publish { campaign, text, key, body_hash, cause }).await
    }

    /// Somebody does something; the body is made of it.
    pub async fn act(&self, participant: &str, what: What) -> Result<Done, Error> {
        let body_hash = body(&format!("{what:?}"));
        self.campaigns.act(participant, what, body_hash).await
    }

    /// What somebody got for a behaviour: rule, amount, and why not.
    pub async fn behave(&self, participant: &str, what: What) -> Vec<(String, i64, Option<String>)> {
        let done = self.act(participant, what).await.expect("an act");
        gains(&done).into_iter().map(|gained| (gained.rule, gained.amount, gained.withheld)).collect()
    }

    /// Somebody signs in.
    pub async fn sign_in(&self, participant: &str, campaign: &str) -> Result<Done, Error> {
        self.act(participant, What::SignIn { campaign: campaign.to_owned() }).await
    }

    /// Somebody orders.
    pub async fn order(
        &self,
        participant: &str,
        (campaign, offer): (&str, &str),
        key: &str,
    ) -> Result<OrderKey, Error> {
        let (campaign, offer, key) = (campaign.to_owned(), offer.to_owned(), key.to_owned());
        let done = self.act(participant, What::Order { campaign, offer, quantity: 1, key }).await?;
        let order =
            if let Acted::Kept(Outcome::Ordered { order, .. }) = done.acted { order } else { String::new() };
        Ok(order.parse().expect("an order's id"))
    }

    /// Somebody pays.
    pub async fn pay(&self, participant: &str, order: OrderKey) -> Result<Order, Error> {
        let done = self.act(participant, What::Pay { order }).await?;
        let order = if let Acted::Moved(_, order) = done.acted { Some(*order) } else { None };
        Ok(order.expect("an order that has moved"))
    }

    /// What somebody has in a wallet: all of it, and what is held.
    pub async fn has(&self, participant: &str, unit_name: &str, wallet: &str) -> (i64, i64) {
        let account = Account { wallet: wallet.to_owned(), ..Account::of(participant, &unit(unit_name)) };
        self.ledger.balance(&account).await.map_or((0, 0), |after| (after.balance, after.held))
    }

    /// What an account of the house has.
    pub async fn house(&self, name: &str, unit_name: &str) -> i64 {
        let account = Account::house(name, &unit(unit_name));
        self.ledger.balance(&account).await.map_or(0, |after| after.balance)
    }

    /// Moves the clock on, and lets what is due happen.
    pub async fn pass(&self, milliseconds: i64) {
        self.clock.set(self.clock.now_ms() + milliseconds);
        self.ledger.settle_due().await.expect("settled");
        self.campaigns.end_what_is_over().await.expect("ended");
    }

    /// Lets effects leave.
    pub async fn deliver(&self) {
        let broker = unfollowed().with(QUALIFIED, Arc::new(self.campaigns.clone()));
        let (records, clock) = (Arc::clone(&self.records), Arc::clone(&self.clock));
        let relay = Relay::new(records, Arc::new(broker), clock, Shard::HOME, Pace::default());
        relay.round().await.expect("a round");
    }

    /// What a verification of the ledger finds.
    pub async fn verified(&self) -> Report {
        verify(&*self.records, self.ledger.journal(), Tenant::MAIN).await.expect("a report")
    }
}

/// What an act gave.
pub fn gains(done: &Done) -> Vec<Gained> {
    match &done.acted {
        Acted::Kept(Outcome::Behaved { gains, .. } | Outcome::SignedIn { gains, .. }) => gains.clone(),
        Acted::Kept(Outcome::Referred { .. } | Outcome::Ordered { .. }) => vec![],
        Acted::Moved(_, order) => match &**order {
            Order::Paid { gains, .. } => gains.clone(),
            Order::Ordered { .. } | Order::Cancelled { .. } | Order::Expired { .. } => vec![],
        },
    }
}
