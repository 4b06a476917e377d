//! Forgetting who a participant was. Chains, counters, draws and the keys that answer repeats stay as they are: they name a
//! pseudonym, and what is proven about it is proven for everybody else's draws too.

use std::sync::Arc;

use kernel::hex::hex;
use kernel::id::Shard;
use records::audit::{self, Cause, Change, Stream};
use records::gate::Gate;
use records::port::{read, write};

use crate::catalog::Raffle;
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
    /// Removes a participant's name from every raffle of the tenant, each in one transaction with its entry of the audit
    /// log. Doing it again changes nothing, and so does going on after a crash.
    pub async fn erase(&self, participant: &str, cause: &Cause, reason: &str) -> Result<Erased, Error> {
        let (mut erased, mut after) = (Erased::default(), String::new());
        loop {
            let ids = self.ids_after(&after, PAGE).await?;
            for id in &ids {
                let raffle = self.catalog().raffle(id).await?;
                let (took_part, knew_them) = self.erase_in(raffle, participant, cause, reason).await?;
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
    async fn erase_in(
        &self,
        raffle: Arc<Raffle>,
        participant: &str,
        cause: &Cause,
        reason: &str,
    ) -> Result<(bool, bool), Error> {
        let (player_key, key) = (raffle.player(participant), raffle.gate(Shard::HOME));
        let (known, proposed) = read(&*self.records(), key.shard, {
            let (raffle, name) = (Arc::clone(&raffle), participant.to_owned());
            move |tx| {
                Box::pin(async move {
                    let players = player::load(tx, key, &[(player_key, 0)]).await?;
                    let proposed = proposal::promised_to(tx, &raffle, &name).await?;
                    Ok::<_, Error>((players.into_values().next(), !proposed.is_empty()))
                })
            }
        })
        .await?;
        let took_part = known.is_some() || proposed;
        // Most raffles never knew most people: the one writer is not kept busy with them.
        if !proposed && known.is_none_or(|player| player.participant.is_none()) {
            return Ok((took_part, false));
        }
        let (name, cause, reason) = (participant.to_owned(), cause.clone(), reason.to_owned());
        let at_ms = self.now_ms();
        let knew_them = write(&*self.records(), key.shard, move |tx| {
            Box::pin(async move {
                // A batch of draws that holds their row writes it back whole: it has to be over first.
                Gate::lock(tx, key).await?;
                let proposals = proposal::forget_name(tx, &raffle, &name).await?;
                let row = player::forget_name(tx, key, player_key).await?;
                if !row && proposals == 0 {
                    return Ok(false);
                }
                let places = match (row, proposals) {
                    (true, 0) => "their row".to_owned(),
                    (true, proposals) => format!("their row and {proposals} proposals"),
                    (false, proposals) => format!("{proposals} proposals"),
                };
                let detail = format!("participant {}, from {places}: {reason}", hex(&player_key.1));
                let change = Change { at_ms, action: "erase", subject: raffle.subject(), detail };
                let changes = Stream::changes(key.shard, raffle.tenant.number);
                audit::append(tx, &changes, &cause, change).await?;
                Ok::<_, Error>(true)
            })
        })
        .await?;
        Ok((true, knew_them))
    }
}
