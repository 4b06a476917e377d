//! Effects that could not be delivered, as operators see them.

use kernel::id::{Shard, Tenant};
use records::audit::{self, Change, Stream};
use records::outbox::{self, LetterId};
use records::port::read;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::fulfilment::Awards;
use crate::request::{Answered, Request};

/// A dead letter, as it is told. What it says is not: it may name people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LetterView {
    /// Its id: `<topic>-<raffle's number>-<sequence>`.
    pub letter: String,
    /// What kind of effect it is.
    pub topic: String,
    /// Since when it is owed, in milliseconds since the epoch.
    pub at_ms: i64,
    /// How often it failed.
    pub attempts: u32,
    /// What was wrong the last time.
    pub fault: String,
}

/// A dead letter that tries again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayedView {
    /// Its id.
    pub letter: String,
    /// `waiting`: it is sent again at once.
    pub state: String,
}

impl Awards {
    /// Dead letters after one, in the order of their ids, each with what leads to the next page.
    pub async fn letters(&self, after: LetterId, limit: u32) -> Result<Vec<LetterView>, Error> {
        let letters = read(&*self.records(), Shard::HOME, move |tx| {
            Box::pin(async move { Ok::<_, Error>(outbox::letters(tx, Shard::HOME, &after, limit).await?) })
        })
        .await?;
        let view = |letter: outbox::Letter| LetterView {
            letter: letter.id.to_string(),
            topic: letter.id.topic,
            at_ms: letter.at_ms,
            attempts: letter.attempts,
            fault: letter.fault,
        };
        Ok(letters.into_iter().map(view).collect())
    }

    /// Lets a dead letter try again.
    pub async fn replay_letter(
        &self,
        letter: LetterId,
        reason: String,
        request: Request,
    ) -> Result<Answered, Error> {
        self.once(request, move |tx, request| {
            Box::pin(async move {
                if !outbox::replay(tx, Shard::HOME, &letter, request.at_ms).await? {
                    return Err(Error::NoSuchLetter(letter.to_string()));
                }
                let change = Change {
                    at_ms: request.at_ms,
                    action: "replay_letter",
                    subject: format!("dead-letter/{letter}"),
                    detail: reason,
                };
                let changes = Stream::changes(Shard::HOME, Tenant::MAIN.number);
                audit::append(tx, &changes, &request.cause(), change).await?;
                Ok(ReplayedView { letter: letter.to_string(), state: "waiting".to_owned() })
            })
        })
        .await
    }
}
