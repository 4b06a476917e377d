//! What a key has drawn before, read beside the writer. While no draw is to be made, a caller whose answer was lost still
//! learns what became of theirs.

use std::sync::Arc;

use kernel::id::{Shard, fingerprint};
use records::port::read;

use crate::draw::Drawn;
use crate::entry::{self, Request};
use crate::error::Error;
use crate::player;
use crate::raffles::Raffles;

impl Raffles {
    /// The draws that a participant's key has made in a raffle; `None` where it has made none. The same key with another
    /// body is refused, as drawing refuses it.
    pub async fn drawn_before(
        &self,
        raffle: &str,
        participant: &str,
        request: &Request,
    ) -> Result<Option<Drawn>, Error> {
        let raffle = self.catalog().raffle(raffle).await?;
        let (player_key, key) = (raffle.player(participant), raffle.gate(Shard::HOME));
        let print = fingerprint(request.key.as_bytes());
        let known = read(&*self.records(), key.shard, move |tx| {
            Box::pin(async move {
                let players = player::load(tx, key, &[(player_key, print)]).await?;
                let mut seqs: Vec<u64> = players.values().flat_map(|player| player.seqs_of(print)).collect();
                seqs.sort_unstable();
                seqs.dedup();
                Ok::<_, Error>(entry::draws_at(tx, key, &seqs).await?)
            })
        })
        .await?;
        let mut made: Vec<_> =
            known.into_iter().filter(|draw| draw.key == request.key).map(Arc::new).collect();
        if made.iter().any(|draw| draw.body_hash != request.body_hash) {
            return Err(Error::KeyReused);
        }
        made.sort_unstable_by_key(|draw| draw.part);
        let mut made = made.into_iter();
        let Some(draw) = made.next() else { return Ok(None) };
        let epoch = self.catalog().epoch(&raffle, draw.epoch).await?;
        Ok(Some(Drawn { draw, more: made.collect(), epoch, replayed: true }))
    }
}
