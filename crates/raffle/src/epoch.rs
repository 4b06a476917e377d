//! The life of an epoch: open while gates draw under its seed, revealed once every gate has closed it.

use records::machine::{Machine, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Topic of the effect that a gate leaves when it closes an epoch.
pub const GATE_CLOSED: &str = "epoch.gate_closed";

/// What a gate fixed when it closed an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closing {
    /// The gate's database.
    pub shard: u16,
    /// The first entry of the epoch: the one that opened it.
    pub first: u64,
    /// The last entry: the one that closed it.
    pub last: u64,
    /// The log hash after the last entry, in hexadecimal.
    pub log: String,
}

/// Where an epoch stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Epoch {
    /// Some gate may still draw.
    Open {
        /// The gates that must close it.
        gates: Vec<u16>,
        /// Those that have.
        closed: Vec<Closing>,
    },
    /// Every gate has closed it, and everybody may know the seed.
    Revealed {
        /// What each gate fixed.
        closed: Vec<Closing>,
        /// The seed, in hexadecimal.
        seed: String,
    },
}

/// What can happen to an epoch.
#[derive(Debug, Clone)]
pub enum Event {
    /// A gate has closed it. The seed travels with the event, to be published by the last one.
    GateClosed {
        /// What the gate fixed.
        closing: Closing,
        /// The seed, in hexadecimal.
        seed: String,
    },
}

/// The event cannot happen in this state.
#[derive(Debug, PartialEq, Eq)]
pub struct Illegal;

impl Machine for Epoch {
    const KIND: &'static str = "epoch";
    type Event = Event;
    type Illegal = Illegal;

    fn on(&self, event: &Event) -> Result<Step<Self>, Illegal> {
        let Event::GateClosed { closing, seed } = event;
        match self {
            Self::Open { closed, .. } | Self::Revealed { closed, .. } if closed.contains(closing) => {
                Ok(Step::Replay)
            }
            Self::Open { gates, closed } if gates.contains(&closing.shard) => {
                if closed.iter().any(|before| before.shard == closing.shard) {
                    return Err(Illegal);
                }
                let mut closed = closed.clone();
                closed.push(closing.clone());
                closed.sort_by_key(|closing| closing.shard);
                let to = if closed.len() == gates.len() {
                    Self::Revealed { closed, seed: seed.clone() }
                } else {
                    Self::Open { gates: gates.clone(), closed }
                };
                Ok(Step::Move { to, effects: vec![], due_ms: None })
            }
            Self::Open { .. } | Self::Revealed { .. } => Err(Illegal),
        }
    }
}

/// The machine's id.
pub fn machine_id(raffle: u32, epoch: u32) -> Vec<u8> {
    [raffle.to_be_bytes(), epoch.to_be_bytes()].concat()
}

/// Raffle and epoch of a machine's id.
pub fn from_machine_id(id: &[u8]) -> Option<(u32, u32)> {
    let (raffle, epoch) = id.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*raffle), u32::from_be_bytes(epoch.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing(shard: u16, last: u64) -> Event {
        let closing = Closing { shard, first: 1, last, log: "00".to_owned() };
        Event::GateClosed { closing, seed: "5eed".to_owned() }
    }

    fn walk(events: &[Event]) -> Result<Epoch, Illegal> {
        let open = Epoch::Open { gates: vec![0, 1], closed: vec![] };
        events.iter().try_fold(open, |epoch, event| {
            Ok(match epoch.on(event)? {
                Step::Move { to, .. } => to,
                Step::Replay => epoch,
            })
        })
    }

    #[test]
    fn the_seed_is_revealed_after_the_last_gate_and_not_before() {
        assert!(matches!(walk(&[closing(1, 5)]), Ok(Epoch::Open { .. })));
        assert!(matches!(walk(&[closing(1, 5), closing(1, 5)]), Ok(Epoch::Open { .. })));
        let both = walk(&[closing(1, 5), closing(0, 9)]);
        assert!(matches!(&both, Ok(Epoch::Revealed { seed, .. }) if seed == "5eed"));
        assert_eq!(both, walk(&[closing(0, 9), closing(0, 9), closing(1, 5), closing(0, 9)]));
    }

    #[test]
    fn a_gate_closes_once_and_a_stranger_never() {
        assert_eq!(walk(&[closing(1, 5), closing(1, 6)]), Err(Illegal));
        assert_eq!(walk(&[closing(7, 5)]), Err(Illegal));
    }
}
