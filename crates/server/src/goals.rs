//! Who hears of draws: awards, and the experiments of which draws are goals; and what orders ask of experiments.

use std::sync::Arc;

use async_trait::async_trait;
use campaign::award::DrawMade;
use campaign::desk::Trying;
use campaign::experiment::board::{Experiments, Heard};
use kernel::id::DrawId;
use kernel::ports::PortError;
use kernel::ports::broker::{Message, Subscriber};
use kernel::ports::clock::Clock;
use raffle::raffles::Raffles;

use crate::switches::Board;
use crate::switches::table::EXPERIMENTS;

/// Hands messages of one topic to several subscribers, one after the other. A message is taken when all have taken it; who
/// took it before takes it again, and does nothing.
pub struct Each(pub Vec<Arc<dyn Subscriber>>);

#[async_trait]
impl Subscriber for Each {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut answers: Vec<Result<(), PortError>> = messages.iter().map(|_| Ok(())).collect();
        for subscriber in &self.0 {
            for (answer, taken) in answers.iter_mut().zip(subscriber.take(messages).await) {
                if answer.is_ok() {
                    *answer = taken;
                }
            }
        }
        answers
    }
}

/// What orders ask of experiments: where newcomers are exposed as long as the switches say so.
pub fn trying(experiments: &Experiments, switches: &Arc<Board>, clock: &Arc<dyn Clock>) -> Trying {
    let (switches, clock) = (Arc::clone(switches), Arc::clone(clock));
    let may_expose = move || switches.seen().what.expect_on(EXPERIMENTS, clock.now_ms()).is_ok();
    Trying { experiments: experiments.clone(), may_expose: Arc::new(may_expose) }
}

/// Tells experiments of draws from raffles of their arms. Draws of all other raffles cost a look into memory.
pub struct Goals {
    /// Where draws are.
    pub raffles: Raffles,
    /// Who is told.
    pub experiments: Experiments,
}

impl Goals {
    /// What experiments are told of a draw; `None` where they need not know.
    async fn heard(&self, message: &Message) -> Result<Option<Heard>, PortError> {
        let made: DrawMade =
            serde_json::from_slice(&message.body).map_err(|error| PortError::Corrupt(error.to_string()))?;
        let id: DrawId =
            made.draw.parse().map_err(|error| PortError::Corrupt(format!("{}: {error}", made.draw)))?;
        let away = |error: raffle::error::Error| PortError::Unavailable(Box::new(error));
        let raffle = self.raffles.catalog().raffle_numbered(id.raffle).await.map_err(away)?;
        if !self.experiments.seen().what.hears(&raffle.id) {
            return Ok(None);
        }
        let found = self.raffles.find(id).await.map_err(away)?;
        // Whoever was erased meanwhile is in no experiment any more.
        Ok(found.participant.map(|participant| Heard {
            raffle: raffle.id.clone(),
            participant,
            draw: made.draw,
            at_ms: found.draw.at_ms,
            won: made.prize.is_some(),
        }))
    }
}

#[async_trait]
impl Subscriber for Goals {
    async fn take(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        if !self.experiments.seen().what.hears_any() {
            return messages.iter().map(|_| Ok(())).collect();
        }
        let (mut answers, mut draws) = (Vec::with_capacity(messages.len()), Vec::new());
        for message in messages {
            answers.push(match self.heard(message).await {
                Ok(heard) => {
                    draws.extend(heard);
                    Ok(())
                }
                Err(error) => Err(error),
            });
        }
        if draws.is_empty() {
            return answers;
        }
        if let Err(error) = self.experiments.heard(draws).await {
            let told = error.to_string();
            return messages.iter().map(|_| Err(PortError::Unavailable(told.clone().into()))).collect();
        }
        answers
    }
}
