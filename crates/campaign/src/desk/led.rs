//! Orders that experiments lead: the offer of the participant's arm is ordered in place of the one that was asked for. Who is
//! led is looked up, exposed and counted in the transaction of their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::id::Shard;
use records::error::Error as RecordsError;
use records::port::Tx;

use crate::act::{Ask, What};
use crate::experiment::board::Experiments;
use crate::experiment::error::Error;
use crate::experiment::exposure::{self, Guest, Hit};
use crate::who::Who;

/// What orders ask of experiments.
#[derive(Clone)]
pub struct Trying {
    /// The experiments.
    pub experiments: Experiments,
    /// Whether newcomers may be exposed now.
    pub may_expose: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The offer that is ordered instead, and the guest who is exposed by ordering it.
type Way = (String, Option<Guest>);

/// What experiments have to do with a batch.
#[derive(Default)]
pub(super) struct Led {
    trying: Option<Trying>,
    /// By whom, in which campaign, and which offer was asked for.
    ways: BTreeMap<(Who, String, String), Way>,
    exposed: Vec<Guest>,
    hits: Vec<Hit>,
}

impl Led {
    /// Looks where orders of a batch go.
    pub(super) async fn open(
        tx: &mut dyn Tx,
        trying: Option<&Trying>,
        asks: &[Arc<Ask>],
        now_ms: i64,
    ) -> Result<Self, RecordsError> {
        let Some(trying) = trying else { return Ok(Self::default()) };
        let mut guests = vec![];
        for ask in asks {
            let What::Order { campaign, offer, .. } = &ask.what else { continue };
            let guest = trying.experiments.ordering((campaign, offer), &ask.participant);
            guests.extend(guest.map(|guest| ((ask.who, campaign.clone(), offer.clone()), guest)));
        }
        let mut led = Self { trying: Some(trying.clone()), ..Self::default() };
        let found = exposure::look(tx, &guests.iter().map(|(_, guest)| guest).collect::<Vec<_>>()).await?;
        for ((key, guest), exposed) in guests.into_iter().zip(found) {
            let (arm, live) = (exposed.map_or(guest.arm, |exposed| exposed.arm), Arc::clone(&guest.live));
            let is_newcomer = exposed.is_none();
            if is_newcomer && !((trying.may_expose)() && live.exposes(now_ms)) {
                continue;
            }
            let Some(offer) = live.offer_of(arm) else { continue };
            led.ways.insert(key, (offer.to_owned(), is_newcomer.then_some(guest)));
        }
        Ok(led)
    }

    fn way(&self, ask: &Ask) -> Option<&Way> {
        let What::Order { campaign, offer, .. } = &ask.what else { return None };
        self.ways.get(&(ask.who, campaign.clone(), offer.clone()))
    }

    /// The offer that an order is of: that of the arm, or the one that was asked for.
    pub(super) fn offer<'o>(&'o self, ask: &Ask, asked: &'o str) -> &'o str {
        self.way(ask).map_or(asked, |(offer, _)| offer)
    }

    /// Notes that an order was decided, and that it will be kept.
    pub(super) fn note(&mut self, ask: &Ask, place: (&str, &str), goal: (&str, &str), at_ms: i64) {
        let newcomer = self.way(ask).and_then(|(_, guest)| guest.clone());
        self.exposed.extend(newcomer);
        let Some(trying) = &self.trying else { return };
        self.hits.extend(trying.experiments.hits_of(place, &ask.participant, goal, at_ms));
    }

    /// Writes down who was exposed by their orders, and what the orders are goals of.
    pub(super) async fn write(&self, tx: &mut dyn Tx, shard: Shard, now_ms: i64) -> Result<(), RecordsError> {
        exposure::expose(tx, shard, &self.exposed.iter().collect::<Vec<_>>(), now_ms).await?;
        for hit in &self.hits {
            match exposure::record(tx, shard, hit).await {
                // Who orders a million times does not keep their orders from being kept.
                Ok(_) | Err(Error::BeyondTotal(_)) => {}
                Err(Error::Records(error)) => return Err(error),
                Err(error) => return Err(RecordsError::Corrupt(error.to_string())),
            }
        }
        Ok(())
    }
}
