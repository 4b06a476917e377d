//! The life of a webhook, as a pure function. What was sent and not answered is unknown: the other side is asked before
//! anything is sent again, where it says whom to ask.

use kernel::ports::outbound::Outcome;
use records::machine::{Machine, Step};
use records::outbox::Effect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Calls after which a webhook is given up.
pub const ATTEMPTS_MAX: u32 = 20;
/// Calls after which what is refused is given up. One call says little: for some minutes a server may answer so, or lead to an
/// address that is not allowed, only because it is being replaced.
pub const REFUSALS_MAX: u32 = 10;
/// Wait after the first call, in milliseconds; doubles with each.
const BACKOFF_MS: i64 = 2_000;
/// Longest wait between calls, in milliseconds: also the longest that the other side may ask for.
const BACKOFF_MS_MAX: i64 = 3_600_000;

/// The wait after a call, of which the last half is chance: endpoints that come back do not meet all who wait at once.
pub fn backoff_ms(attempt: u32, chance: u64) -> i64 {
    let doubled = BACKOFF_MS.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(BACKOFF_MS_MAX);
    let half = doubled / 2;
    half + i64::try_from(chance % u64::try_from(half + 1).unwrap_or(1)).unwrap_or(0)
}

/// Where a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Delivery {
    /// An earlier one of the same winner goes first.
    Behind,
    /// Ready to be sent.
    Due,
    /// A call is under way, or was when the process ended.
    Sending {
        /// The how-many-eth call.
        attempt: u32,
        /// When it is over at the latest, in milliseconds since the epoch.
        until_ms: i64,
        /// Whether a call before may have been taken, and nobody could be asked.
        #[serde(default)]
        maybe_taken: bool,
    },
    /// The other side is being asked whether it has taken it.
    Asking {
        /// The how-many-eth call.
        attempt: u32,
        /// When it is over at the latest, in milliseconds since the epoch.
        until_ms: i64,
    },
    /// It was not taken. It is sent again.
    Waiting {
        /// How many calls there were.
        attempt: u32,
        /// When it is sent again, in milliseconds since the epoch.
        due_ms: i64,
        /// What was wrong.
        fault: String,
    },
    /// It may have been taken. The other side is asked first.
    Unknown {
        /// How many calls there were.
        attempt: u32,
        /// When it is asked, in milliseconds since the epoch.
        due_ms: i64,
        /// What was wrong.
        fault: String,
    },
    /// It was taken.
    Delivered {
        /// How many calls there were.
        attempt: u32,
        /// When, in milliseconds since the epoch.
        at_ms: i64,
    },
    /// It was given up; an operator may replay it.
    Dead {
        /// How many calls there were.
        attempt: u32,
        /// When, in milliseconds since the epoch.
        at_ms: i64,
        /// What was wrong the last time.
        fault: String,
        /// Whether it may have been taken.
        maybe_taken: bool,
    },
    /// The award was taken back before it was taken.
    CalledOff {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
    },
}

impl Delivery {
    /// Whether the next of its key may go.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Delivered { .. } | Self::Dead { .. } | Self::CalledOff { .. })
    }
}

/// What can happen to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is the first of its key.
    Turn {
        /// Now.
        now_ms: i64,
    },
    /// A call begins.
    Begin {
        /// Now.
        now_ms: i64,
        /// When it is over at the latest.
        until_ms: i64,
        /// Whether the other side says whom to ask.
        can_ask: bool,
    },
    /// A call has ended.
    Ended {
        /// Which.
        attempt: u32,
        /// Now.
        now_ms: i64,
        /// How.
        outcome: Outcome,
        /// The wait before another.
        wait_ms: i64,
    },
    /// An operator lets it try again.
    Replay {
        /// Now.
        now_ms: i64,
    },
    /// The award was taken back.
    CallOff {
        /// Now.
        now_ms: i64,
    },
}

impl Event {
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::Turn { now_ms }
            | Self::Begin { now_ms, .. }
            | Self::Ended { now_ms, .. }
            | Self::Replay { now_ms }
            | Self::CallOff { now_ms } => *now_ms,
        }
    }

    /// Whether a webhook may be over after it, or come back: what changes which of its key goes next.
    pub(crate) fn may_end(&self) -> bool {
        match self {
            Self::Ended { .. } | Self::Replay { .. } | Self::CallOff { .. } => true,
            Self::Turn { .. } | Self::Begin { .. } => false,
        }
    }

    /// When a webhook that has come to a state by this event is looked at next.
    pub(crate) fn due_ms(&self, state: &Delivery) -> Option<i64> {
        match state {
            Delivery::Due => Some(self.now_ms()),
            // A process that ends during a call leaves it to whoever looks when the call must be over.
            Delivery::Sending { until_ms, .. } | Delivery::Asking { until_ms, .. } => Some(*until_ms),
            Delivery::Waiting { due_ms, .. } | Delivery::Unknown { due_ms, .. } => Some(*due_ms),
            Delivery::Behind
            | Delivery::Delivered { .. }
            | Delivery::Dead { .. }
            | Delivery::CalledOff { .. } => None,
        }
    }
}

/// The event cannot happen in this state.
#[derive(Debug, PartialEq, Eq)]
pub struct Illegal;

impl Machine for Delivery {
    const KIND: &'static str = "delivery";
    type Event = Event;
    type Illegal = Illegal;

    fn on(&self, event: &Event) -> Result<Step<Self>, Illegal> {
        let to = match (self, event) {
            (Self::Behind, Event::Turn { .. }) => Self::Due,
            (_, Event::Turn { .. }) => return Ok(Step::Replay),
            (_, Event::Begin { now_ms, until_ms, can_ask }) => self.begin(*now_ms, *until_ms, *can_ask)?,
            (
                Self::Sending { attempt, maybe_taken, .. },
                Event::Ended { attempt: ended, now_ms, outcome, wait_ms },
            ) if attempt == ended => Ending {
                attempt: *attempt,
                maybe_taken: *maybe_taken,
                now_ms: *now_ms,
                due_ms: now_ms.saturating_add(*wait_ms),
            }
            .of_sending(outcome),
            (Self::Asking { attempt, .. }, Event::Ended { attempt: ended, now_ms, outcome, wait_ms })
                if attempt == ended =>
            {
                Ending {
                    attempt: *attempt,
                    maybe_taken: true,
                    now_ms: *now_ms,
                    due_ms: now_ms.saturating_add(*wait_ms),
                }
                .of_asking(outcome)
            }
            // Somebody else has taken over since.
            (_, Event::Ended { .. }) => return Ok(Step::Replay),
            (Self::Dead { maybe_taken: false, .. }, Event::Replay { .. }) => Self::Due,
            (Self::Dead { fault, .. }, Event::Replay { now_ms }) => {
                Self::Unknown { attempt: 0, due_ms: *now_ms, fault: fault.clone() }
            }
            (
                Self::Behind | Self::Due | Self::Waiting { .. } | Self::Dead { .. },
                Event::CallOff { now_ms },
            ) => Self::CalledOff { at_ms: *now_ms },
            (Self::CalledOff { .. }, Event::CallOff { .. }) => return Ok(Step::Replay),
            (_, Event::Replay { .. } | Event::CallOff { .. }) => return Err(Illegal),
        };
        Ok(Step::Move { to, effects: vec![], due_ms: None })
    }

    fn told(&self, id: &[u8], version: u64, event: &Event) -> Option<Effect> {
        super::told(id, version, event.now_ms())
    }
}

impl Delivery {
    /// The next call: the other side is asked where it may have taken it, and says whom to ask. Where nobody can be asked it
    /// is sent again under the same name, which the other side must remember.
    fn begin(&self, now_ms: i64, until_ms: i64, can_ask: bool) -> Result<Self, Illegal> {
        let (attempt, maybe_taken) = match self {
            Self::Due => (1, false),
            Self::Waiting { attempt, due_ms, .. } if *due_ms <= now_ms => (attempt + 1, false),
            Self::Unknown { attempt, due_ms, .. } if *due_ms <= now_ms => (attempt + 1, true),
            Self::Sending { attempt, until_ms, .. } | Self::Asking { attempt, until_ms }
                if *until_ms <= now_ms =>
            {
                (attempt + 1, true)
            }
            Self::Behind
            | Self::Sending { .. }
            | Self::Asking { .. }
            | Self::Waiting { .. }
            | Self::Unknown { .. }
            | Self::Delivered { .. }
            | Self::Dead { .. }
            | Self::CalledOff { .. } => return Err(Illegal),
        };
        let asks = maybe_taken && can_ask;
        Ok(if asks {
            Self::Asking { attempt, until_ms }
        } else {
            Self::Sending { attempt, until_ms, maybe_taken }
        })
    }
}

/// The status with which an endpoint says that it has gone for good.
pub(crate) const GONE: u16 = 410;

/// A call that has ended.
struct Ending {
    attempt: u32,
    /// Whether a call before it may have been taken.
    maybe_taken: bool,
    now_ms: i64,
    /// When to try again, where nothing else is said.
    due_ms: i64,
}

impl Ending {
    fn of_sending(&self, outcome: &Outcome) -> Delivery {
        match outcome {
            Outcome::Taken => self.delivered(),
            // The endpoint is switched off for it; what is owed stays owed.
            Outcome::Refused { status: Some(GONE), fault } => {
                self.again(fault, self.maybe_taken, self.due_ms)
            }
            Outcome::Refused { status: Some(_), fault } if self.attempt >= REFUSALS_MAX => {
                self.dead(fault, self.maybe_taken)
            }
            // Nothing was sent, or it was read and not taken.
            Outcome::Refused { fault, .. } => self.again_unless_last(fault, self.maybe_taken, self.due_ms),
            Outcome::Failed { fault, retry_seconds } => {
                let asked_for = retry_seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0);
                let asked_for = asked_for.saturating_mul(1000).min(BACKOFF_MS_MAX);
                let due_ms = self.due_ms.max(self.now_ms.saturating_add(asked_for));
                self.again_unless_last(fault, self.maybe_taken, due_ms)
            }
            Outcome::Unknown { fault } => self.again_unless_last(fault, true, self.due_ms),
        }
    }

    fn of_asking(&self, outcome: &Outcome) -> Delivery {
        match outcome {
            Outcome::Taken => self.delivered(),
            // It says that it knows nothing of it: so it was not taken, and is sent.
            Outcome::Refused { status: Some(404), .. } => {
                self.again("it was asked, and had not taken it", false, self.now_ms)
            }
            Outcome::Refused { fault, .. } | Outcome::Failed { fault, .. } | Outcome::Unknown { fault } => {
                self.again_unless_last(fault, true, self.due_ms)
            }
        }
    }

    fn delivered(&self) -> Delivery {
        Delivery::Delivered { attempt: self.attempt, at_ms: self.now_ms }
    }

    fn dead(&self, fault: &str, maybe_taken: bool) -> Delivery {
        Delivery::Dead { attempt: self.attempt, at_ms: self.now_ms, fault: short(fault), maybe_taken }
    }

    fn again(&self, fault: &str, maybe_taken: bool, due_ms: i64) -> Delivery {
        let (attempt, fault) = (self.attempt, short(fault));
        if maybe_taken {
            Delivery::Unknown { attempt, due_ms, fault }
        } else {
            Delivery::Waiting { attempt, due_ms, fault }
        }
    }

    fn again_unless_last(&self, fault: &str, maybe_taken: bool, due_ms: i64) -> Delivery {
        if self.attempt >= ATTEMPTS_MAX {
            self.dead(fault, maybe_taken)
        } else {
            self.again(fault, maybe_taken, due_ms)
        }
    }
}

/// A state is kept in a bounded column.
fn short(fault: &str) -> String {
    fault.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> String {
        "no".to_owned()
    }

    fn after(state: &Delivery, event: &Event) -> String {
        match state.on(event) {
            Ok(Step::Move { to, effects, due_ms: None }) if effects.is_empty() => {
                let json = serde_json::to_value(&to).expect("JSON");
                let number = |name: &str| json[name].as_i64().unwrap_or(-1);
                format!("{} {}", json["state"].as_str().expect("a state"), number("attempt"))
            }
            Ok(Step::Move { .. }) => panic!("a webhook's schedule stands in its row"),
            Ok(Step::Replay) => "replay".to_owned(),
            Err(Illegal) => "illegal".to_owned(),
        }
    }

    #[test]
    fn what_may_have_been_taken_is_asked_for_before_it_is_sent_again() {
        let begin = |now_ms, can_ask| Event::Begin { now_ms, until_ms: now_ms + 30, can_ask };
        let (attempt, maybe) = (3, true);
        let waiting = Delivery::Waiting { attempt, due_ms: 10, fault: fault() };
        let unknown = Delivery::Unknown { attempt, due_ms: 10, fault: fault() };
        let sending = Delivery::Sending { attempt, until_ms: 10, maybe_taken: false };
        let asking = Delivery::Asking { attempt, until_ms: 10 };
        let dead = Delivery::Dead { attempt, at_ms: 5, fault: fault(), maybe_taken: maybe };
        for (state, event, expected) in [
            (&Delivery::Behind, begin(10, true), "illegal"),
            (&Delivery::Behind, Event::Turn { now_ms: 9 }, "due -1"),
            (&Delivery::Due, Event::Turn { now_ms: 9 }, "replay"),
            (&Delivery::Due, begin(10, true), "sending 1"),
            (&waiting, begin(9, true), "illegal"),
            (&waiting, begin(10, true), "sending 4"),
            (&unknown, begin(9, true), "illegal"),
            (&unknown, begin(10, true), "asking 4"),
            (&unknown, begin(10, false), "sending 4"),
            (&sending, begin(9, true), "illegal"),
            (&sending, begin(10, true), "asking 4"),
            (&sending, begin(10, false), "sending 4"),
            (&asking, begin(10, true), "asking 4"),
            (&dead, begin(10, true), "illegal"),
            (&dead, Event::Replay { now_ms: 9 }, "unknown 0"),
            (&waiting, Event::Replay { now_ms: 9 }, "illegal"),
            (&Delivery::Due, Event::CallOff { now_ms: 9 }, "called_off -1"),
            (&waiting, Event::CallOff { now_ms: 9 }, "called_off -1"),
            (&dead, Event::CallOff { now_ms: 9 }, "called_off -1"),
            (&unknown, Event::CallOff { now_ms: 9 }, "illegal"),
            (&sending, Event::CallOff { now_ms: 9 }, "illegal"),
        ] {
            assert_eq!(after(state, &event), expected, "{state:?} {event:?}");
        }
    }

    #[test]
    fn every_outcome_of_a_call_has_its_state() {
        let refused = |status| Outcome::Refused { status, fault: fault() };
        let failed = Outcome::Failed { fault: fault(), retry_seconds: Some(60) };
        let unknown = Outcome::Unknown { fault: fault() };
        for (outcome, sent, sent_again, asked) in [
            (Outcome::Taken, "delivered", "delivered", "delivered"),
            (refused(Some(404)), "waiting", "unknown", "waiting"),
            (refused(Some(400)), "waiting", "unknown", "unknown"),
            (refused(Some(410)), "waiting", "unknown", "unknown"),
            (refused(None), "waiting", "unknown", "unknown"),
            (failed, "waiting", "unknown", "unknown"),
            (unknown, "unknown", "unknown", "unknown"),
        ] {
            for attempt in [3, REFUSALS_MAX - 1, REFUSALS_MAX, ATTEMPTS_MAX - 1, ATTEMPTS_MAX] {
                let ended =
                    |attempt| Event::Ended { attempt, now_ms: 100, outcome: outcome.clone(), wait_ms: 5 };
                let sending = |maybe_taken| Delivery::Sending { attempt, until_ms: 200, maybe_taken };
                let asking = Delivery::Asking { attempt, until_ms: 200 };
                for (state, expected) in
                    [(sending(false), sent), (sending(true), sent_again), (asking, asked)]
                {
                    let is_sent = matches!(state, Delivery::Sending { .. });
                    let gives_up = match outcome {
                        Outcome::Taken => false,
                        Outcome::Refused { status: Some(410), .. } if is_sent => false,
                        Outcome::Refused { status: Some(404), .. } if !is_sent => false,
                        Outcome::Refused { status: Some(_), .. } if is_sent => attempt >= REFUSALS_MAX,
                        Outcome::Refused { .. } | Outcome::Failed { .. } | Outcome::Unknown { .. } => {
                            attempt >= ATTEMPTS_MAX
                        }
                    };
                    let expected = if gives_up { "dead" } else { expected };
                    assert_eq!(
                        after(&state, &ended(attempt)),
                        format!("{expected} {attempt}"),
                        "{state:?} {outcome:?}"
                    );
                    assert_eq!(
                        after(&state, &ended(attempt - 1)),
                        "replay",
                        "of a call that somebody took over"
                    );
                }
            }
        }
    }

    #[test]
    fn the_other_side_may_ask_for_a_longer_wait_up_to_a_limit() {
        for (retry_seconds, expected) in [
            (None, 105),
            (Some(0), 105),
            (Some(60), 60_100),
            (Some(u64::MAX), 105),
            (Some(86_400), 3_600_100),
        ] {
            let failed = Outcome::Failed { fault: fault(), retry_seconds };
            let ending = Ending { attempt: 1, maybe_taken: false, now_ms: 100, due_ms: 105 };
            let state = ending.of_sending(&failed);
            assert_eq!(state, Delivery::Waiting { attempt: 1, due_ms: expected, fault: fault() });
        }
    }

    #[test]
    fn waits_double_up_to_an_hour_and_are_half_chance() {
        for (attempt, least, most) in [
            (1, 1_000, 2_000),
            (2, 2_000, 4_000),
            (9, 256_000, 512_000),
            (12, 1_800_000, 3_600_000),
            (u32::MAX, 1_800_000, 3_600_000),
        ] {
            assert_eq!(backoff_ms(attempt, 0), least);
            let longest = (0..10_000_u64).map(|chance| backoff_ms(attempt, chance * 401)).max();
            assert!(longest.is_some_and(|longest| longest <= most && longest > least), "{attempt}");
        }
    }
}
