//! What becomes of an award. A draw that wins leaves an effect in the outbox; from it an award is opened here, once,
//! and an operator hands the prize over. (Awards that deliver themselves come with fulfilment.)

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::id::{DrawId, Shard, Tenant};
use kernel::ports::PortError;
use kernel::ports::broker::{Message, Subscriber};
use records::audit::{self, Cause, Change, Stream};
use records::machine::{self, Machine, Outcome, Step};
use records::port::{Records, read, write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Topic of the effect that every draw leaves.
pub const DRAW_MADE: &str = "draw.made";

/// Body of [`DRAW_MADE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawMade {
    /// The draw's id.
    pub draw: String,
    /// The prize, where it won one.
    pub prize: Option<String>,
}

/// Where an award stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Award {
    /// Won, and not yet in the winner's hands.
    Granted {
        /// What was won.
        prize: String,
    },
    /// In the winner's hands.
    HandedOver {
        /// What was won.
        prize: String,
        /// When the operator said so, in milliseconds since the epoch.
        at_ms: i64,
        /// What the operator noted, for example a parcel number. At most 500 characters.
        note: String,
    },
}

impl Award {
    /// What was won.
    pub fn prize(&self) -> &str {
        match self {
            Self::Granted { prize } | Self::HandedOver { prize, .. } => prize,
        }
    }
}

/// What can happen to an award.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An operator handed the prize over.
    HandOver {
        /// When.
        at_ms: i64,
        /// What was noted.
        note: String,
    },
}

/// The event cannot happen in this state.
#[derive(Debug, PartialEq, Eq)]
pub struct Illegal;

impl Machine for Award {
    const KIND: &'static str = "award";
    type Event = Event;
    type Illegal = Illegal;

    fn on(&self, event: &Event) -> Result<Step<Self>, Illegal> {
        match (self, event) {
            (Self::Granted { prize }, Event::HandOver { at_ms, note }) => Ok(Step::Move {
                to: Self::HandedOver { prize: prize.clone(), at_ms: *at_ms, note: note.clone() },
                effects: vec![],
                due_ms: None,
            }),
            // The clock has gone on between the two calls; the note is what makes them the same.
            (Self::HandedOver { note: before, .. }, Event::HandOver { note, .. }) if before == note => {
                Ok(Step::Replay)
            }
            (Self::HandedOver { .. }, Event::HandOver { .. }) => Err(Illegal),
        }
    }
}

/// An award to be: its id, its state, and no timer.
type NewAward = (Vec<u8>, Award, Option<i64>);

/// The award's id is its draw: raffle and gate sequence, so that a raffle's awards lie together in order.
fn machine_id(raffle: u32, seq: u64) -> Vec<u8> {
    [&raffle.to_be_bytes()[..], &seq.to_be_bytes()].concat()
}

/// The awards of all raffles.
#[derive(Clone)]
pub struct Awards {
    records: Arc<dyn Records>,
}

impl Awards {
    /// Awards in these records.
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// One award.
    pub async fn get(&self, draw: DrawId) -> Result<Award, Error> {
        let id = machine_id(draw.raffle, draw.seq);
        let shard = draw.shard;
        let found: Option<Award> = read(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(machine::get(tx, shard, &id).await?) })
        })
        .await?;
        found.ok_or_else(|| Error::NoSuchAward(draw.to_string()))
    }

    /// Up to `limit` awards of a raffle after a gate sequence, in the order of their draws.
    pub async fn page(
        &self,
        shard: Shard,
        raffle: u32,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Award)>, Error> {
        let (after, until) = (machine_id(raffle, after_seq), machine_id(raffle, u64::MAX));
        let found = read(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(machine::page(tx, shard, (&after, &until), limit).await?) })
        })
        .await?;
        found
            .into_iter()
            .map(|(id, award)| {
                let seq = id.get(4..).and_then(|seq| seq.try_into().ok()).map(u64::from_be_bytes);
                let seq = seq.ok_or_else(|| records::error::Error::Corrupt("an award's id".to_owned()))?;
                Ok((seq, award))
            })
            .collect()
    }

    /// Notes that a prize is in the winner's hands, and in the audit log who says so. Repeating the call with the same
    /// note changes nothing. The audit log does not hold the note, only the hash of the body it came in: a note can be
    /// about a person, and the log is for ever.
    pub async fn hand_over(
        &self,
        draw: DrawId,
        note: String,
        now_ms: i64,
        cause: Cause,
    ) -> Result<Award, Error> {
        let id = machine_id(draw.raffle, draw.seq);
        let shard = draw.shard;
        let outcome = write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let event = Event::HandOver { at_ms: now_ms, note };
                let outcome = machine::apply::<Award>(tx, shard, &id, &event).await?;
                if let Outcome::Moved(award) = &outcome {
                    let change = Change {
                        at_ms: now_ms,
                        action: "hand_over",
                        subject: format!("draw/{draw}"),
                        detail: format!("prize {}", award.prize()),
                    };
                    let changes = Stream::changes(shard, Tenant::MAIN.number);
                    audit::append(tx, &changes, &cause, change).await?;
                }
                Ok::<_, Error>(outcome)
            })
        })
        .await?;
        match outcome {
            Outcome::Moved(award) | Outcome::Replayed(award) => Ok(award),
            Outcome::Illegal(Illegal) => Err(Error::HandedOverBefore),
            Outcome::Missing => Err(Error::NoSuchAward(draw.to_string())),
        }
    }

    async fn open(&self, shard: Shard, awards: Vec<NewAward>) -> Result<(), Error> {
        write(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok(machine::start(tx, shard, &awards).await?) })
        })
        .await
    }
}

/// Opens an award for every draw that won. The award's id is the effect's name, so hearing twice opens once.
#[async_trait]
impl Subscriber for Awards {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut answers = Vec::with_capacity(messages.len());
        let mut awards: BTreeMap<Shard, Vec<NewAward>> = BTreeMap::new();
        for message in messages {
            answers.push(match serde_json::from_slice::<DrawMade>(&message.body) {
                Ok(DrawMade { prize: None, .. }) => Ok(()),
                Ok(DrawMade { draw, prize: Some(prize) }) => match draw.parse::<DrawId>() {
                    Ok(draw) => {
                        let award = (machine_id(draw.raffle, draw.seq), Award::Granted { prize }, None);
                        awards.entry(draw.shard).or_default().push(award);
                        Ok(())
                    }
                    Err(error) => Err(PortError::Corrupt(error.to_string())),
                },
                Err(error) => Err(PortError::Corrupt(error.to_string())),
            });
        }
        for (shard, awards) in awards {
            if let Err(error) = self.open(shard, awards).await {
                let told = error.to_string();
                return messages.iter().map(|_| Err(PortError::Unavailable(told.clone().into()))).collect();
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_award_is_handed_over_once() {
        let granted = Award::Granted { prize: "105".to_owned() };
        let hand_over = |note: &str, at_ms| Event::HandOver { at_ms, note: note.to_owned() };
        let Ok(Step::Move { to, effects, due_ms: None }) = granted.on(&hand_over("parcel 7", 1)) else {
            panic!("a granted award can be handed over");
        };
        assert!(effects.is_empty());
        assert_eq!(to.on(&hand_over("parcel 7", 2)), Ok(Step::Replay));
        assert_eq!(to.on(&hand_over("parcel 8", 2)), Err(Illegal));
    }
}
