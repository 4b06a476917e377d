//! Forgetting whose awards somebody's are. What they won before and nobody has heard of yet is told of later without their
//! name, and what is stranded loses it.

use kernel::id::{Shard, Tenant};
use records::audit::{self, Cause, Change, Stream};
use records::port::{read, write};

use super::Awards;
use crate::delivery::{self, News};
use crate::error::Error;
use crate::forgotten::{self, Erased};
use crate::holder;
use crate::who::Who;

/// Awards that are forgotten in one transaction.
const AT_ONCE: u32 = 200;

impl Awards {
    /// Takes names out of dead letters.
    async fn empty_letters(&self, shard: Shard, erased: &Erased) -> Result<(), Error> {
        let mut after = None;
        loop {
            let (erased, from) = (erased.clone(), after.take());
            let (emptied, next) = write(&*self.records, shard, move |tx| {
                Box::pin(
                    async move { Ok::<_, Error>(forgotten::empty_letters(tx, shard, &erased, from).await?) },
                )
            })
            .await?;
            if emptied > 0 {
                tracing::info!(
                    shard = shard.0,
                    emptied,
                    "dead letters have lost the names of who was erased"
                );
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Ends erasures before which nothing is unsent any more: what became a dead letter meanwhile loses the name too.
    pub(super) async fn end_erasures(&self, shard: Shard) -> Result<(), Error> {
        let now_ms = self.now_ms();
        let erased = read(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(forgotten::settled(tx, shard, now_ms).await?) })
        })
        .await?;
        if erased.is_empty() {
            return Ok(());
        }
        self.empty_letters(shard, &erased).await?;
        write(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok(forgotten::end(tx, shard, &erased).await?) })
        })
        .await
    }

    /// Forgets whose awards a participant's are, and where they go. Doing it again changes nothing. The audit log names them
    /// by pseudonym.
    pub async fn erase(
        &self,
        participant: &str,
        pseudonym: &str,
        (cause, reason): (&Cause, &str),
    ) -> Result<u64, Error> {
        let (at_ms, who) = (self.now_ms(), Who::named(Tenant::MAIN, participant));
        write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { Ok::<_, Error>(forgotten::mark(tx, Shard::HOME, who, at_ms).await?) })
        })
        .await?;
        self.empty_letters(Shard::HOME, &Erased::from([(who, at_ms)])).await?;
        let mut forgotten = 0;
        loop {
            let (participant, cause, at_ms) = (participant.to_owned(), cause.clone(), self.now_ms());
            let (pseudonym, reason) = (pseudonym.to_owned(), reason.to_owned());
            let now: u64 = write(&*self.records, Shard::HOME, move |tx| {
                Box::pin(async move {
                    let draws = holder::forget(tx, &participant, AT_ONCE).await?;
                    for draw in &draws {
                        let id = delivery::id(*draw, News::Granted);
                        delivery::forget_name(tx, draw.shard, &id).await?;
                    }
                    let forgotten = draws.len() as u64;
                    if forgotten > 0 {
                        let detail = format!("whose {forgotten} awards are: {reason}");
                        let subject = format!("participant/{pseudonym}");
                        let change = Change { at_ms, action: "erase", subject, detail };
                        let changes = Stream::changes(Shard::HOME, Tenant::MAIN.number);
                        audit::append(tx, &changes, &cause, change).await?;
                    }
                    Ok::<_, Error>(forgotten)
                })
            })
            .await?;
            if now == 0 {
                return Ok(forgotten);
            }
            forgotten += now;
        }
    }
}
