//! Where a draw goes: to the raffle itself, or to the raffle of the participant's arm.

use std::sync::Arc;

use super::board::Experiments;
use super::error::Error;
use super::exposure::Guest;

/// Where a participant's draws of a raffle go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The raffle to draw from.
    pub to: String,
    /// Raffles that the same key may have drawn from before: as long as an experiment had not begun, and in those that have
    /// ended. Whoever draws looks there first, so that a repeat stays a repeat.
    pub before: Vec<String>,
}

impl Experiments {
    /// Refuses to let somebody pick their arm: draws of a raffle that a running experiment leads to come from where it leads.
    pub fn expect_led(&self, raffle: &str) -> Result<(), Error> {
        let seen = self.seen();
        match seen.what.leading_to(raffle).and_then(|live| live.document.raffle()) {
            None => Ok(()),
            Some(from) => Err(Error::LedOnly { raffle: raffle.to_owned(), from: from.to_owned() }),
        }
    }

    /// Where a participant's draws of a raffle go; `None` where no experiment leads or has led them. Who is led for the first
    /// time is exposed by this, in a transaction that is kept before this answers; unless `may_expose` says no.
    pub async fn way(&self, raffle: &str, participant: &str, may_expose: bool) -> Result<Option<Way>, Error> {
        let seen = self.seen();
        let leading = seen.what.leading(raffle);
        if leading.is_empty() {
            return Ok(None);
        }
        let guests = leading.iter().filter_map(|live| Guest::of(live, &self.names, participant));
        let guests: Vec<_> = guests.collect();
        if guests.is_empty() {
            return Ok(None);
        }
        let now_ms = self.clock.now_ms();
        let exposed = self.exposed(participant, guests.clone()).await?;
        let (mut to, mut raffles) = (raffle.to_owned(), vec![raffle.to_owned()]);
        for (guest, exposed) in guests.into_iter().zip(exposed) {
            let live = Arc::clone(&guest.live);
            let arm = match exposed {
                Some(exposed) => exposed.arm,
                None if may_expose && live.exposes(now_ms) => {
                    // They may be somebody who was erased, and whose keys have drawn from any arm's raffle.
                    raffles.extend(live.document.arms.iter().filter_map(|arm| arm.raffle.clone()));
                    self.newly(guest).await?.arm
                }
                None => continue,
            };
            let Some(arm) = live.raffle_of(arm) else { continue };
            raffles.push(arm.to_owned());
            if live.is_running() {
                arm.clone_into(&mut to);
            }
        }
        raffles.sort_unstable();
        raffles.dedup();
        raffles.retain(|raffle| *raffle != to);
        Ok(Some(Way { to, before: raffles }))
    }
}
