//! What is read in the order of its numbers, how far it goes, and what messages tell of it.

use std::collections::BTreeMap;

use campaign::act::{self, ACTS_KEPT};
use campaign::award::{self, AWARD_MOVED, DRAW_MADE};
use campaign::delivery::{self, DELIVERY_MOVED};
use kernel::id::{Shard, Tenant};
use kernel::ports::PortError;
use kernel::ports::broker::Message;
use ledger::reading::{self, SEALED};
use records::error::Error;
use records::gate;
use records::port::{Records, read};

/// What is read in the order of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Draws(u32),
    Journal,
    Acts,
}

impl Source {
    pub(super) fn name(self) -> String {
        match self {
            Self::Draws(raffle) => format!("draws/{raffle}"),
            Self::Journal => "journal".to_owned(),
            Self::Acts => "acts".to_owned(),
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "journal" => Some(Self::Journal),
            "acts" => Some(Self::Acts),
            _ => name.strip_prefix("draws/")?.parse().ok().map(Self::Draws),
        }
    }
}

/// How far there is something to read of each source, how far the worker has begun to, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) told: BTreeMap<Source, u64>,
    pub(super) begun: BTreeMap<Source, u64>,
    pub(super) ended: BTreeMap<Source, u64>,
}

/// How far every source goes, as the records have it now.
pub(super) async fn last(records: &dyn Records) -> Result<BTreeMap<Source, u64>, Error> {
    read(records, Shard::HOME, |tx| {
        Box::pin(async move {
            let journal = reading::last(tx, Shard::HOME, Tenant::MAIN).await?;
            let acts = act::last(tx, Shard::HOME, Tenant::MAIN).await?;
            let raffles = gate::last_numbers(tx, Shard::HOME, Tenant::MAIN).await?;
            let draws = raffles.into_iter().map(|(raffle, seq)| (Source::Draws(raffle), seq));
            let rest = [(Source::Journal, journal), (Source::Acts, acts)];
            Ok(draws.chain(rest).collect())
        })
    })
    .await
}

/// The last two parts of an effect's name: its subject and its number.
fn numbered(message: &Message) -> Result<(u32, u64), PortError> {
    let mut parts = message.effect.rsplit('/');
    let (seq, subject) = (parts.next(), parts.next());
    let read = subject.and_then(|subject| subject.parse().ok()).zip(seq.and_then(|seq| seq.parse().ok()));
    read.ok_or_else(|| PortError::Corrupt(message.effect.clone()))
}

/// The source that a message tells of, and how far it goes.
pub(super) fn mark(message: &Message) -> Result<Option<(Source, u64)>, PortError> {
    Ok(match message.topic.as_str() {
        DRAW_MADE => {
            let (raffle, seq) = numbered(message)?;
            Some((Source::Draws(raffle), seq))
        }
        SEALED => Some((Source::Journal, numbered(message)?.1)),
        ACTS_KEPT => Some((Source::Acts, numbered(message)?.1)),
        _ => None,
    })
}

/// The draw of which something has moved.
pub(super) fn moved(message: &Message) -> Result<Option<(u32, u64)>, PortError> {
    let found = match message.topic.as_str() {
        AWARD_MOVED => award::place_of(&message.body),
        DELIVERY_MOVED => delivery::award_of(&message.body).map(|(raffle, seq, _)| (raffle, seq)),
        _ => return Ok(None),
    };
    found.map(Some).ok_or_else(|| PortError::Corrupt(message.effect.clone()))
}
