//! The life of an experiment: drafted, running, stopped. A stopped one does not run again: those who were exposed know it.

use records::machine::{Machine, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an experiment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
#[schemars(rename = "ExperimentLife")]
pub enum Life {
    /// Written, and nobody is exposed.
    Draft,
    /// Participants are exposed, and goals counted.
    Running {
        /// Since when, in milliseconds since the epoch.
        started_ms: i64,
    },
    /// Nobody is exposed any more, and no goal after that instant counts.
    Stopped {
        /// Since when it ran.
        started_ms: i64,
        /// Until when.
        stopped_ms: i64,
    },
}

impl Life {
    /// The state in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "a draft",
            Self::Running { .. } => "running",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether something that happened at an instant counts.
    pub fn counts(self, at_ms: i64) -> bool {
        match self {
            Self::Draft => false,
            Self::Running { started_ms } => started_ms <= at_ms,
            Self::Stopped { started_ms, stopped_ms } => (started_ms..stopped_ms).contains(&at_ms),
        }
    }
}

/// What can happen to an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It begins, at an instant.
    Start(i64),
    /// It ends, at an instant.
    Stop(i64),
}

/// The event cannot happen in this state.
#[derive(Debug, PartialEq, Eq)]
pub struct Illegal(pub Life);

impl Machine for Life {
    const KIND: &'static str = "experiment";
    type Event = Event;
    type Illegal = Illegal;

    fn on(&self, event: &Event) -> Result<Step<Self>, Illegal> {
        let to = match (*self, *event) {
            (Self::Draft, Event::Start(at_ms)) => Self::Running { started_ms: at_ms },
            (Self::Running { started_ms }, Event::Stop(at_ms)) => {
                Self::Stopped { started_ms, stopped_ms: at_ms }
            }
            (Self::Running { .. }, Event::Start(_)) | (Self::Stopped { .. }, Event::Stop(_)) => {
                return Ok(Step::Replay);
            }
            (Self::Draft, Event::Stop(_)) | (Self::Stopped { .. }, Event::Start(_)) => {
                return Err(Illegal(*self));
            }
        };
        Ok(Step::Move { to, effects: vec![], due_ms: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_runs_once() {
        let (draft, running) = (Life::Draft, Life::Running { started_ms: 5 });
        let stopped = Life::Stopped { started_ms: 5, stopped_ms: 9 };
        let moved = |to| Ok(Step::Move { to, effects: vec![], due_ms: None });
        for (life, event, expected) in [
            (draft, Event::Start(5), moved(running)),
            (draft, Event::Stop(5), Err(Illegal(draft))),
            (running, Event::Start(6), Ok(Step::Replay)),
            (running, Event::Stop(9), moved(stopped)),
            (stopped, Event::Stop(12), Ok(Step::Replay)),
            (stopped, Event::Start(12), Err(Illegal(stopped))),
        ] {
            assert_eq!(life.on(&event), expected, "{life:?} {event:?}");
        }
        let counted = |life: Life| (0..12).filter(|at_ms| life.counts(*at_ms)).collect::<Vec<_>>();
        assert!(counted(draft).is_empty());
        assert_eq!(counted(running), [5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(counted(stopped), [5, 6, 7, 8]);
    }
}
