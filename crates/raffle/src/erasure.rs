//! Forgetting who a participant was. Chains, counters, draws and the keys that answer repeats stay as they are: they name a
//! pseudonym, and what is proven about it is proven for everybody else's draws too.

use std::sync::Arc;

use kernel::id::Shard;
use records::gate::Gate;
use records::port::{read, write};

use crate::error::Error;
use crate::player;
use crate::proposal;
use crate::raffles::Raffles;

/// Raffles that are looked at in one go.
const PAGE: u32 = 200;

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Raffles that the participant took part in, or was proposed a promise in. None of them knows the name any more.
    pub raffles: u64,
    /// Those that knew it until now.
    pub now: u64,
}

impl Raffles {
    /// Removes a participant's name from every raffle of the tenant. Doing it again changes nothing.
    pub async fn erase(&self, participant: &str) -> Result<Erased, Error> {
        let (mut erased, mut after) = (Erased::default(), String::new());
        loop {
            let ids = self.ids_after(&after, PAGE).await?;
            for id in &ids {
                let (took_part, knew_them) = self.erase_in(id, participant).await?;
                erased.raffles += u64::from(took_part);
                erased.now += u64::from(knew_them);
            }
            match ids.into_iter().next_back() {
                Some(last) => after = last,
                None => return Ok(erased),
            }
        }
    }

    /// Whether they took part in a raffle, and whether it knew the name.
    async fn erase_in(&self, raffle: &str, participant: &str) -> Result<(bool, bool), Error> {
        let raffle = self.catalog().raffle(raffle).await?;
        let name = participant.to_owned();
        let was_proposed = write(&*self.records(), Shard::HOME, {
            let raffle = Arc::clone(&raffle);
            move |tx| {
                Box::pin(async move { Ok::<_, Error>(proposal::forget_name(tx, &raffle, &name).await? > 0) })
            }
        })
        .await?;
        let (player_key, key) = (raffle.player(participant), raffle.gate(Shard::HOME));
        let known = read(&*self.records(), key.shard, move |tx| {
            Box::pin(async move {
                let players = player::load(tx, key, &[(player_key, 0)]).await?;
                Ok::<_, Error>(players.into_values().next())
            })
        })
        .await?;
        let Some(player) = known else { return Ok((was_proposed, was_proposed)) };
        if player.participant.is_none() {
            return Ok((true, was_proposed));
        }
        let knew_them = write(&*self.records(), key.shard, move |tx| {
            Box::pin(async move {
                // A batch of draws that holds their row writes it back whole: it has to be over first.
                Gate::lock(tx, key).await?;
                Ok::<_, Error>(player::forget_name(tx, key, player_key).await?)
            })
        })
        .await?;
        Ok((true, knew_them || was_proposed))
    }
}
