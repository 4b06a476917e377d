//! An award: what was won, how it reaches the winner, and where it stands. A pure function of state and event.

use kernel::id::DrawId;
use records::machine::{self, Machine, Step};
use records::outbox::Effect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Topic of the effect that every draw leaves.
pub const DRAW_MADE: &str = "draw.made";

/// Topic of what tells that an award stands otherwise than before. Its body is the award's id. That it was opened is told by
/// its draw.
pub const AWARD_MOVED: &str = "award.moved";

/// How a prize reaches who won it, as the raffle's document says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the published schema documents each field, in one place")]
pub enum Kind {
    /// An operator hands it over.
    #[default]
    Manual,
    /// Points in the winner's wallet.
    Points {
        amount: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        available_after_seconds: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_after_seconds: Option<u32>,
    },
    /// Tickets to the same raffle.
    Tickets {
        amount: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        available_after_seconds: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_after_seconds: Option<u32>,
    },
    /// One ticket to another raffle.
    RaffleTicket { raffle: String },
    /// A code out of a pool.
    Coupon { pool: String },
    /// A thing that is sent to an address, which the winner gives in time.
    Physical { claim_seconds: u32 },
    /// A call to an endpoint.
    Webhook { endpoint: String },
}

impl Kind {
    /// Whether an operator hands it over.
    pub fn is_manual(&self) -> bool {
        *self == Self::Manual
    }

    fn is_webhook(&self) -> bool {
        matches!(self, Self::Webhook { .. })
    }
}

/// The wallet of a raffle's tickets.
pub fn wallet_of(raffle: &str) -> String {
    format!("raffle-{raffle}")
}

/// Body of [`DRAW_MADE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawMade {
    /// The draw's id.
    pub draw: String,
    /// The prize, where it won one.
    pub prize: Option<String>,
    /// Who won, where no operator hands it over; nobody any more where they were erased and this became a dead letter. Effects
    /// of earlier releases name every winner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// How it reaches them, where no operator hands it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
    /// When it was drawn, in milliseconds since the epoch. Absent in effects of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
}

/// What fulfils itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The raffle's id.
    pub raffle: String,
    /// How.
    pub award: Kind,
}

/// An award.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Award {
    /// The draw that won, whose id is the award's too. Absent where an earlier release has opened it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub draw: String,
    /// What was won.
    pub prize: String,
    /// How it reaches the winner, where no operator hands it over.
    #[serde(default, skip_serializing_if = "Kind::is_manual")]
    pub award: Kind,
    /// The raffle's id, where no operator hands it over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raffle: String,
    /// The winner, as the public knows them, where no operator hands it over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub winner: String,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
}

/// Where an award stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Won while fulfilment was off, or behind something of the same winner that was: what its kind does is done once it is on
    /// again.
    Held,
    /// Won; an operator hands it over, or a webhook is under way.
    Granted,
    /// In the winner's hands, or sent to them.
    HandedOver {
        /// When the operator said so, in milliseconds since the epoch.
        at_ms: i64,
        /// What the operator noted, for example a parcel number. At most 500 characters.
        note: String,
    },
    /// Points or tickets are in the winner's wallet.
    Paid {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
        /// How many transfers were refused before.
        #[serde(default)]
        refused: u32,
    },
    /// The ledger refused the transfer. An operator sees to the cause and replays it.
    Unpaid {
        /// The ledger's word for why.
        why: String,
        /// How many transfers were refused.
        refused: u32,
    },
    /// All codes of the pool are given: it is served after the next upload.
    WaitsForCode,
    /// The winner has a code.
    CodeGiven {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
    },
    /// The winner has yet to say where it goes.
    ToClaim {
        /// Until when, in milliseconds since the epoch; at that instant it is over.
        until_ms: i64,
    },
    /// The address is known; an operator sends it.
    Claimed {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
    },
    /// Nobody claimed it in time, or whoever won it was erased before it could reach them.
    Expired {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
    },
    /// The endpoint has taken it.
    Delivered {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
    },
    /// The endpoint never took it. An operator sees to the cause and replays it.
    Undeliverable {
        /// What was wrong the last time.
        fault: String,
    },
    /// Taken back.
    Reversed {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
    },
}

impl State {
    /// Its name.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Granted => "granted",
            Self::HandedOver { .. } => "handed_over",
            Self::Paid { .. } => "paid",
            Self::Unpaid { .. } => "unpaid",
            Self::WaitsForCode => "waits_for_code",
            Self::CodeGiven { .. } => "code_given",
            Self::ToClaim { .. } => "to_claim",
            Self::Claimed { .. } => "claimed",
            Self::Expired { .. } => "expired",
            Self::Delivered { .. } => "delivered",
            Self::Undeliverable { .. } => "undeliverable",
            Self::Reversed { .. } => "reversed",
        }
    }

    /// All names.
    pub const WORDS: [&str; 13] = [
        "held",
        "granted",
        "handed_over",
        "paid",
        "unpaid",
        "waits_for_code",
        "code_given",
        "to_claim",
        "claimed",
        "expired",
        "delivered",
        "undeliverable",
        "reversed",
    ];
}

/// What can happen to an award.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An earlier release held it back with a timer: from now on it has none, and waits its turn among its winner's.
    Hold(i64),
    /// What was held back is done, and has led here.
    Release(i64, State),
    /// An operator handed the prize over, or sent it.
    HandOver {
        /// When.
        at_ms: i64,
        /// What was noted.
        note: String,
    },
    /// The ledger was asked again: it was done, or refused for a reason.
    Paid(i64, Result<(), String>),
    /// A code was taken for it.
    Code(i64),
    /// The winner gave an address.
    Claim(i64),
    /// The time to claim is over, by this instant.
    Expire(i64),
    /// The endpoint took it.
    Delivered(i64),
    /// The endpoint never took it.
    GivenUp(i64, String),
    /// An operator lets a webhook try again.
    TryAgain(i64),
    /// An operator takes it back.
    Reverse(i64),
}

impl Event {
    /// When it happened.
    fn at_ms(&self) -> i64 {
        match self {
            Self::Hold(at_ms)
            | Self::Release(at_ms, _)
            | Self::HandOver { at_ms, .. }
            | Self::Paid(at_ms, _)
            | Self::Code(at_ms)
            | Self::Claim(at_ms)
            | Self::Expire(at_ms)
            | Self::Delivered(at_ms)
            | Self::GivenUp(at_ms, _)
            | Self::TryAgain(at_ms)
            | Self::Reverse(at_ms) => *at_ms,
        }
    }
}

/// The event cannot happen in this state.
#[derive(Debug, PartialEq, Eq)]
pub struct Illegal(pub &'static str);

impl Machine for Award {
    const KIND: &'static str = "award";
    type Event = Event;
    type Illegal = Illegal;

    fn on(&self, event: &Event) -> Result<Step<Self>, Illegal> {
        use State as S;
        let to = match (&self.state, event) {
            // The clock has gone on between the two calls; the note is what makes them the same.
            (S::HandedOver { note: before, .. }, Event::HandOver { note, .. }) if before == note => {
                return Ok(Step::Replay);
            }
            (S::Held, Event::Hold(_)) => S::Held,
            (S::Held, Event::Release(_, to)) => to.clone(),
            (S::Granted, Event::HandOver { at_ms, note }) if self.award.is_manual() => {
                S::HandedOver { at_ms: *at_ms, note: note.clone() }
            }
            (S::Claimed { .. }, Event::HandOver { at_ms, note }) => {
                S::HandedOver { at_ms: *at_ms, note: note.clone() }
            }
            (S::Unpaid { refused, .. }, Event::Paid(at_ms, Ok(()))) => {
                S::Paid { at_ms: *at_ms, refused: *refused }
            }
            (S::Unpaid { refused, .. }, Event::Paid(_, Err(why))) => {
                S::Unpaid { why: why.clone(), refused: refused + 1 }
            }
            (S::WaitsForCode, Event::Code(at_ms)) => S::CodeGiven { at_ms: *at_ms },
            (S::ToClaim { until_ms }, Event::Claim(at_ms)) if at_ms < until_ms => {
                S::Claimed { at_ms: *at_ms }
            }
            (S::ToClaim { until_ms }, Event::Expire(at_ms)) if at_ms >= until_ms => {
                S::Expired { at_ms: *at_ms }
            }
            // Replayed, taken back or claimed in time: the news is late.
            (S::Claimed { .. } | S::Expired { .. } | S::Reversed { .. }, Event::Expire(_))
            | (S::Delivered { .. } | S::Reversed { .. }, Event::Delivered(_))
            | (S::Undeliverable { .. } | S::Reversed { .. }, Event::GivenUp(..))
            | (S::Reversed { .. }, Event::Reverse(_)) => return Ok(Step::Replay),
            (S::Granted | S::Undeliverable { .. }, Event::Delivered(at_ms)) if self.award.is_webhook() => {
                S::Delivered { at_ms: *at_ms }
            }
            (S::Granted, Event::GivenUp(_, fault)) if self.award.is_webhook() => {
                S::Undeliverable { fault: fault.clone() }
            }
            (S::Undeliverable { .. }, Event::TryAgain(_)) => S::Granted,
            (S::HandedOver { .. }, Event::Reverse(_)) => return Err(Illegal("it was handed over")),
            (S::Expired { .. }, Event::Reverse(_)) => return Err(Illegal("it has expired")),
            (_, Event::Reverse(at_ms)) => S::Reversed { at_ms: *at_ms },
            (S::HandedOver { .. }, Event::HandOver { .. }) => {
                return Err(Illegal("it was handed over before, with another note"));
            }
            (state, _) => return Err(Illegal(state.word())),
        };
        let due_ms = if let S::ToClaim { until_ms } = to { Some(until_ms) } else { None };
        Ok(Step::Move { to: Self { state: to, ..self.clone() }, effects: vec![], due_ms })
    }

    fn told(&self, id: &[u8], version: u64, event: &Event) -> Option<Effect> {
        let (raffle, seq) = place_of(id)?;
        Some(Effect {
            topic: AWARD_MOVED,
            subject: raffle,
            seq: machine::told_number(seq, version)?,
            key: id.to_vec(),
            n: i64::try_from(version).ok()?,
            body: id.to_vec(),
            at_ms: event.at_ms(),
            due_ms: None,
        })
    }
}

/// An award's id is its draw: raffle and gate sequence, so that a raffle's awards lie together in order.
pub fn machine_id(raffle: u32, seq: u64) -> Vec<u8> {
    [&raffle.to_be_bytes()[..], &seq.to_be_bytes()].concat()
}

/// The id of a draw's award.
pub fn id_of(draw: DrawId) -> Vec<u8> {
    machine_id(draw.raffle, draw.seq)
}

/// The raffle and sequence behind an id.
pub fn place_of(id: &[u8]) -> Option<(u32, u64)> {
    let (raffle, rest) = id.split_first_chunk::<4>()?;
    let seq = rest.first_chunk::<8>()?;
    Some((u32::from_be_bytes(*raffle), u64::from_be_bytes(*seq)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn award(award: Kind, state: State) -> Award {
        Award {
            draw: String::new(),
            prize: "105".to_owned(),
            raffle: String::new(),
            winner: String::new(),
            award,
            state,
        }
    }

    /// A letter for each event's outcome in each state: m moves, r replays, - is illegal.
    #[test]
    fn every_event_in_every_state_has_a_named_outcome() {
        let note = |note: &str| Event::HandOver { at_ms: 9, note: note.to_owned() };
        let events = [
            note("parcel 7"),
            note("parcel 8"),
            Event::Paid(9, Ok(())),
            Event::Paid(9, Err("no".to_owned())),
            Event::Code(9),
            Event::Claim(9),
            Event::Expire(10),
            Event::Delivered(9),
            Event::GivenUp(9, "no".to_owned()),
            Event::TryAgain(9),
            Event::Reverse(9),
            Event::Release(9, State::CodeGiven { at_ms: 9 }),
            Event::Hold(9),
        ];
        let at_ms = 5;
        let webhook = || Kind::Webhook { endpoint: "pay".to_owned() };
        for (award, expected) in [
            (award(webhook(), State::Held), "----------mmm"),
            (award(Kind::Manual, State::Granted), "mm--------m--"),
            (award(webhook(), State::Granted), "-------mm-m--"),
            (award(Kind::Manual, State::HandedOver { at_ms, note: "parcel 7".to_owned() }), "r------------"),
            (award(Kind::Manual, State::Paid { at_ms, refused: 0 }), "----------m--"),
            (award(Kind::Manual, State::Unpaid { why: String::new(), refused: 1 }), "--mm------m--"),
            (award(Kind::Manual, State::WaitsForCode), "----m-----m--"),
            (award(Kind::Manual, State::CodeGiven { at_ms }), "----------m--"),
            (award(Kind::Manual, State::ToClaim { until_ms: 10 }), "-----mm---m--"),
            (award(Kind::Manual, State::ToClaim { until_ms: 9 }), "------m---m--"),
            (award(Kind::Manual, State::ToClaim { until_ms: 11 }), "-----m----m--"),
            (award(Kind::Manual, State::Claimed { at_ms }), "mm----r---m--"),
            (award(Kind::Manual, State::Expired { at_ms }), "------r------"),
            (award(webhook(), State::Delivered { at_ms }), "-------r--m--"),
            (award(webhook(), State::Undeliverable { fault: String::new() }), "-------mrmm--"),
            (award(Kind::Manual, State::Reversed { at_ms }), "------rrr-r--"),
        ] {
            let outcomes = events.iter().map(|event| match award.on(event) {
                Ok(Step::Move { .. }) => 'm',
                Ok(Step::Replay) => 'r',
                Err(Illegal(_)) => '-',
            });
            assert_eq!(outcomes.collect::<String>(), expected, "{award:?}");
            let text = serde_json::to_string(&award).expect("JSON");
            assert_eq!(serde_json::from_str::<Award>(&text).expect("an award"), award, "{text}");
            assert!(text.contains(&format!("\"state\":\"{}\"", award.state.word())), "{text}");
            assert!(State::WORDS.contains(&award.state.word()));
        }
    }

    /// States as earlier releases wrote them.
    #[test]
    fn an_award_of_an_earlier_release_is_read() {
        for (text, state) in [
            (r#"{"state":"granted","prize":"105"}"#, State::Granted),
            (
                r#"{"state":"handed_over","prize":"105","at_ms":5,"note":"x"}"#,
                State::HandedOver { at_ms: 5, note: "x".to_owned() },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Award>(text).expect("an award"), award(Kind::Manual, state));
        }
    }
}
