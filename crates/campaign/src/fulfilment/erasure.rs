//! Forgetting whose awards somebody's are. What they won before and nobody has heard of yet is told of later without their
//! name, and what is stranded loses it.

use kernel::id::{Shard, Tenant};
use records::audit::{self, Cause, Change, Stream};
use records::port::{Tx, read, write};

use super::Awards;
use crate::delivery::{self, News};
use crate::error::Error;
use crate::forgotten::{self, Erased};
use crate::holder;
use crate::who::Who;

/// Awards that are forgotten in one transaction.
const AT_ONCE: u32 = 200;

/// What the audit log is told of an erasure: whose, by pseudonym, by whom, and why.
#[derive(Clone)]
struct Told {
    subject: String,
    cause: Cause,
    reason: String,
}

impl Told {
    async fn note(&self, tx: &mut dyn Tx, what: String, at_ms: i64) -> Result<(), Error> {
        let detail = format!("{what}: {}", self.reason);
        let change = Change { at_ms, action: "erase", subject: self.subject.clone(), detail };
        let changes = Stream::changes(Shard::HOME, Tenant::MAIN.number);
        Ok(audit::append(tx, &changes, &self.cause, change).await.map(|_| ())?)
    }
}

impl Awards {
    /// Takes names out of dead letters. Where an operator asks for it, the audit log is told.
    async fn empty_letters(&self, shard: Shard, erased: &Erased, told: Option<&Told>) -> Result<(), Error> {
        let (mut after, at_ms) = (None, self.now_ms());
        loop {
            let (erased, from, told) = (erased.clone(), after.take(), told.cloned());
            let (emptied, next) = write(&*self.records, shard, move |tx| {
                Box::pin(async move {
                    let (emptied, next) = forgotten::empty_letters(tx, shard, &erased, from).await?;
                    if let Some(told) = told.filter(|_| emptied > 0) {
                        told.note(tx, format!("who won, in {emptied} dead letters"), at_ms).await?;
                    }
                    Ok::<_, Error>((emptied, next))
                })
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
        self.empty_letters(shard, &erased, None).await?;
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
        let subject = format!("participant/{pseudonym}");
        let told = Told { subject, cause: cause.clone(), reason: reason.to_owned() };
        self.empty_letters(Shard::HOME, &Erased::from([(who, at_ms)]), Some(&told)).await?;
        let mut forgotten = 0;
        loop {
            let (participant, told, at_ms) = (participant.to_owned(), told.clone(), self.now_ms());
            let now: u64 = write(&*self.records, Shard::HOME, move |tx| {
                Box::pin(async move {
                    let draws = holder::forget(tx, &participant, AT_ONCE).await?;
                    for draw in &draws {
                        let id = delivery::id(*draw, News::Granted);
                        delivery::forget_name(tx, draw.shard, &id).await?;
                    }
                    let forgotten = draws.len() as u64;
                    if forgotten > 0 {
                        told.note(tx, format!("whose {forgotten} awards are"), at_ms).await?;
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
