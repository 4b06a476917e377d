//! Which experiments have to do with an order: the one that leads it, and those of which it is a goal. Nothing is read or
//! written here; that is done in the order's transaction.

use super::board::Experiments;
use super::exposure::{Guest, Hit};

impl Experiments {
    /// The participant as a guest of the experiment that leads orders of an offer; `None` where none does, or not theirs.
    pub fn ordering(&self, (campaign, offer): (&str, &str), participant: &str) -> Option<Guest> {
        let seen = self.seen();
        let mut about = seen.what.offered(campaign);
        let live = about.find(|live| live.document.offer() == Some((campaign, offer)))?;
        Guest::of(live, &self.names, participant)
    }

    /// What an order of an offer, by its id, is a goal of.
    pub fn hits_of(
        &self,
        (campaign, offer): (&str, &str),
        participant: &str,
        (goal, order): (&str, &str),
        at_ms: i64,
    ) -> Vec<Hit> {
        let seen = self.seen();
        let tried = |document: &super::document::Document| {
            document.goal(goal).is_some()
                && document.arms.iter().any(|arm| arm.offer.as_deref() == Some(offer))
        };
        let about = seen.what.offered(campaign).filter(|live| tried(&live.document));
        let guests = about.filter_map(|live| Guest::of(live, &self.names, participant));
        let hit = |guest| Hit {
            guest,
            goal: goal.to_owned(),
            event: order.to_owned(),
            value: 1,
            at_ms,
            place: Some(offer.to_owned()),
        };
        guests.map(hit).collect()
    }
}
