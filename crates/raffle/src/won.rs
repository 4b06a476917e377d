//! What a participant has won: found by the keys of their draws, which stand beside each other, so that an award needs no
//! row that says whose it is.

use campaign::award::{Award, machine_id};
use kernel::id::{DrawId, Shard};
use records::machine;
use records::port::read;

use crate::entry;
use crate::error::Error;
use crate::player;
use crate::raffles::Raffles;

/// Raffles that are looked into in one go.
const RAFFLES: u32 = 100;

/// Draws whose awards are looked up in one go.
const DRAWS: usize = 256;

/// Where an award stands among a participant's: its raffle's number and its draw's gate sequence.
pub type Place = (u32, u64);

impl Raffles {
    /// Up to `limit` awards of a participant after one, by raffle and in the order of their draws.
    pub async fn awards_of(
        &self,
        participant: &str,
        (from, after_seq): Place,
        limit: u32,
    ) -> Result<Vec<(Place, Award)>, Error> {
        let (mut awards, mut next) = (vec![], Some(from));
        while let Some(first) = next {
            let numbers = self.catalog().numbers_from(first, RAFFLES).await?;
            let is_full = numbers.len() == RAFFLES as usize;
            next = numbers.last().filter(|_| is_full).map(|last| last + 1);
            let mut looked_into = Vec::with_capacity(numbers.len());
            for number in numbers {
                let raffle = self.catalog().raffle_numbered(number).await?;
                let after = if number == from { after_seq } else { 0 };
                looked_into.push((raffle.gate(Shard::HOME), raffle.player(participant), after));
            }
            let missing = limit as usize - awards.len();
            let found = read(&*self.records(), Shard::HOME, move |tx| {
                Box::pin(async move {
                    let mut found = vec![];
                    for (gate, player, after) in looked_into {
                        let seqs = player::draws_after(tx, gate, player, after).await?;
                        for seqs in seqs.chunks(DRAWS) {
                            let ids: Vec<_> = seqs.iter().map(|seq| machine_id(gate.subject, *seq)).collect();
                            let mut known = machine::find::<Award>(tx, gate.shard, &ids).await?;
                            let won =
                                seqs.iter().zip(&ids).filter_map(|(seq, id)| Some((seq, known.remove(id)?)));
                            found.extend(won.map(|(seq, award)| ((gate.subject, *seq), award)));
                            if found.len() >= missing {
                                found.truncate(missing);
                                return Ok(found);
                            }
                        }
                    }
                    Ok::<_, Error>(found)
                })
            })
            .await?;
            awards.extend(found);
            if awards.len() >= limit as usize {
                break;
            }
        }
        Ok(awards)
    }

    /// Whether a draw is a participant's. Nobody's is that of somebody who was erased.
    pub async fn is_of(&self, id: DrawId, participant: &str) -> Result<bool, Error> {
        let raffle = match self.catalog().raffle_numbered(id.raffle).await {
            Err(Error::NoSuchRaffle(_)) => return Ok(false),
            found => found?,
        };
        let player = raffle.player(participant);
        if !self.records().shards().contains(&id.shard) || player.0 != id.bucket {
            return Ok(false);
        }
        let gate = raffle.gate(id.shard);
        read(&*self.records(), id.shard, move |tx| {
            Box::pin(async move {
                let draws = entry::draws_at(tx, gate, &[id.seq]).await?;
                let is_theirs = draws.iter().any(|draw| draw.id == id && draw.pseudonym == player.1);
                Ok(is_theirs && !player::names(tx, gate, &[player].into()).await?.is_empty())
            })
        })
        .await
    }
}
