//! The life of a draft or a proposal: what one person wrote, another approves, and then is done. Each move is a row that
//! says who made it, when and why.

use kernel::id::Shard;
use records::audit::{self, Change, Stream};
use records::machine::{self, Machine, Outcome, Step};
use records::port::{Row, Tx, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::Raffle;
use crate::entry::Request;
use crate::error::Error;

/// Where a draft or a proposal stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Review {
    /// Written, and not yet shown to anybody.
    Drafted {
        /// Who wrote it.
        author: String,
    },
    /// Somebody else is asked to look at it.
    Submitted {
        /// Who wrote it.
        author: String,
    },
    /// Somebody else agreed.
    Approved {
        /// Who wrote it.
        author: String,
        /// Who agreed: never the author.
        approver: String,
    },
    /// Somebody disagreed. Whoever wants it still drafts it again.
    Rejected,
    /// It is not wanted any more.
    Withdrawn,
    /// The draft is a version.
    Published {
        /// Which.
        version: u32,
    },
    /// The proposed order is an entry of the gate's log.
    CarriedOut {
        /// Which.
        seq: u64,
    },
}

/// What can happen to a draft or a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is shown to others.
    Submit,
    /// Somebody agrees.
    Approve {
        /// Who.
        by: String,
    },
    /// Somebody disagrees, or takes back what was agreed.
    Reject,
    /// It is not wanted any more.
    Withdraw,
    /// It becomes a version.
    Publish {
        /// Which.
        version: u32,
        /// Whether somebody else must have agreed.
        needs_approval: bool,
    },
    /// It becomes an entry of the log.
    CarryOut {
        /// Which.
        seq: u64,
    },
}

/// Why an event cannot happen.
#[derive(Debug, PartialEq, Eq)]
pub enum Illegal {
    /// Who wrote it cannot approve it.
    SamePerson,
    /// Nobody else has agreed yet.
    NotApproved,
    /// It is past that, or not there yet.
    State(&'static str),
}

impl Review {
    /// The state's name.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Drafted { .. } => "drafted",
            Self::Submitted { .. } => "submitted",
            Self::Approved { .. } => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Published { .. } => "published",
            Self::CarriedOut { .. } => "carried_out",
        }
    }
}

impl Machine for Review {
    const KIND: &'static str = "review";
    type Event = Event;
    type Illegal = Illegal;

    fn on(&self, event: &Event) -> Result<Step<Self>, Illegal> {
        let to = match (self, event) {
            (Self::Drafted { author }, Event::Submit) => Self::Submitted { author: author.clone() },
            (Self::Submitted { author }, Event::Approve { by }) if by == author => {
                return Err(Illegal::SamePerson);
            }
            (Self::Submitted { author }, Event::Approve { by }) => {
                Self::Approved { author: author.clone(), approver: by.clone() }
            }
            (Self::Submitted { .. } | Self::Approved { .. }, Event::Reject) => Self::Rejected,
            (Self::Drafted { .. } | Self::Submitted { .. } | Self::Approved { .. }, Event::Withdraw) => {
                Self::Withdrawn
            }
            (Self::Drafted { .. } | Self::Submitted { .. }, Event::Publish { needs_approval: true, .. }) => {
                return Err(Illegal::NotApproved);
            }
            (
                Self::Drafted { .. } | Self::Submitted { .. } | Self::Approved { .. },
                Event::Publish { version, .. },
            ) => Self::Published { version: *version },
            (Self::Approved { .. }, Event::CarryOut { seq }) => Self::CarriedOut { seq: *seq },
            (Self::Submitted { .. }, Event::Submit)
            | (Self::Rejected, Event::Reject)
            | (Self::Withdrawn, Event::Withdraw) => return Ok(Step::Replay),
            (Self::Approved { approver, .. }, Event::Approve { by }) if approver == by => {
                return Ok(Step::Replay);
            }
            (
                Self::Drafted { .. }
                | Self::Submitted { .. }
                | Self::Approved { .. }
                | Self::Rejected
                | Self::Withdrawn
                | Self::Published { .. }
                | Self::CarriedOut { .. },
                Event::Submit
                | Event::Approve { .. }
                | Event::Reject
                | Event::Withdraw
                | Event::Publish { .. }
                | Event::CarryOut { .. },
            ) => return Err(Illegal::State(self.word())),
        };
        Ok(Step::Move { to, effects: vec![], due_ms: None })
    }
}

/// What is reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A draft of a version, by its number.
    Draft(u32),
    /// A proposed order, by its number.
    Proposal(u32),
}

impl Subject {
    fn kind(self) -> &'static str {
        match self {
            Self::Draft(_) => "draft",
            Self::Proposal(_) => "proposal",
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Draft(number) | Self::Proposal(number) => number,
        }
    }

    fn machine_id(self, raffle: u32) -> Vec<u8> {
        let kind = match self {
            Self::Draft(_) => b"d",
            Self::Proposal(_) => b"p",
        };
        [&raffle.to_be_bytes()[..], kind, &self.number().to_be_bytes()].concat()
    }

    /// Another of its kind.
    fn numbered(self, number: u32) -> Self {
        match self {
            Self::Draft(_) => Self::Draft(number),
            Self::Proposal(_) => Self::Proposal(number),
        }
    }

    fn number_of(machine_id: &[u8]) -> Result<u32, Error> {
        let number = machine_id.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        number.ok_or_else(|| records::error::Error::Corrupt("a review's id".to_owned()).into())
    }

    fn missing(self) -> Error {
        match self {
            Self::Draft(number) => Error::NoSuchDraft(number),
            Self::Proposal(number) => Error::NoSuchProposal(number),
        }
    }
}

/// A move, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The draft's or proposal's number.
    pub number: u32,
    /// The state that it led to.
    pub state: String,
    /// Who made it.
    pub by: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Why; empty where it needed no reason.
    pub reason: String,
}

/// By which request somebody moves, when and why.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// The key goes after its route.
    pub(crate) request: Request,
    pub(crate) at_ms: i64,
    pub(crate) reason: String,
}

/// What the audit log calls a move. A publication and an order have entries of their own.
fn verb(subject: Subject, state: &Review) -> Option<&'static str> {
    match (state, subject) {
        (Review::Drafted { .. }, _) => Some("draft"),
        (Review::Submitted { .. }, Subject::Draft(_)) => Some("submit"),
        (Review::Submitted { .. }, Subject::Proposal(_)) => Some("propose"),
        (Review::Approved { .. }, _) => Some("approve"),
        (Review::Rejected, _) => Some("reject"),
        (Review::Withdrawn, _) => Some("withdraw"),
        (Review::Published { .. } | Review::CarriedOut { .. }, _) => None,
    }
}

fn row_move(row: &Row) -> Result<Move, Error> {
    Ok(Move {
        number: row.small(0)?,
        state: row.text(1)?.to_owned(),
        by: row.text(2)?.to_owned(),
        at_ms: row.int(3)?,
        reason: row.text(4)?.to_owned(),
    })
}

/// The move that a request has made before. The same key with another body is [`Error::KeyReused`].
pub(crate) async fn by_request(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    request: &Request,
) -> Result<Option<Move>, Error> {
    let sql = "SELECT number,state,actor,at_ms,reason,body_hash FROM review_move
        WHERE shard=0 AND tenant=? AND raffle=? AND idem_key=?";
    let [tenant, number] = raffle.values();
    let rows = tx.fetch(sql, &[tenant, number, Value::Text(&request.key)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.array::<32>(5)? != request.body_hash {
        return Err(Error::KeyReused);
    }
    row_move(row).map(Some)
}

/// The moves of a draft or proposal, in order. There are few: a life has an end.
pub(crate) async fn moves(tx: &mut dyn Tx, raffle: &Raffle, subject: Subject) -> Result<Vec<Move>, Error> {
    let sql = "SELECT number,state,actor,at_ms,reason FROM review_move
        WHERE shard=0 AND tenant=? AND raffle=? AND kind=? AND number=? ORDER BY place";
    let [tenant, number] = raffle.values();
    let own = [Value::Text(subject.kind()), Value::Int(subject.number().into())];
    let rows = tx.fetch(sql, &[&[tenant, number][..], &own].concat()).await?;
    rows.iter().map(row_move).collect()
}

/// Something reviewed: its own row, its number first, then where it stands, and its moves in order.
pub(crate) type Reviewed = (Row, Review, Vec<Move>);

/// Up to `limit` drafts or proposals after one, by number. `own` finds their rows, by tenant, raffle, the number after which
/// they begin, and how many.
pub(crate) async fn page(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    (after, limit): (Subject, u32),
    own: &str,
) -> Result<Vec<Reviewed>, Error> {
    let [tenant, number] = raffle.values();
    let range = [Value::Int(after.number().into()), Value::Int(limit.into())];
    let own = tx.fetch(own, &[&[tenant, number][..], &range].concat()).await?;
    let ids = (after.machine_id(raffle.number), after.numbered(u32::MAX).machine_id(raffle.number));
    let states = machine::page::<Review>(tx, Shard::HOME, (&ids.0, &ids.1), limit).await?;
    let numbers = states.iter().map(|(id, _)| Subject::number_of(id)).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = numbers.last() else { return Ok(vec![]) };
    let sql = "SELECT number,state,actor,at_ms,reason FROM review_move
        WHERE shard=0 AND tenant=? AND raffle=? AND kind=? AND number>? AND number<=? ORDER BY number,place";
    let kind = Value::Text(after.kind());
    let rows = tx.fetch(sql, &[tenant, number, kind, range[0], Value::Int((*last).into())]).await?;
    let mut moves = rows.iter().map(row_move).collect::<Result<Vec<_>, _>>()?.into_iter().peekable();
    let reviewed = own.into_iter().zip(numbers).zip(states).map(|((row, number), (_, state))| {
        if row.small(0)? != number {
            return Err(after.numbered(number).missing());
        }
        let moves = std::iter::from_fn(|| moves.next_if(|made| made.number == number)).collect();
        Ok((row, state, moves))
    });
    reviewed.collect()
}

async fn note(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    subject: Subject,
    (state, act): (&Review, &Act),
) -> Result<Move, Error> {
    let place = moves(tx, raffle, subject).await?.len() + 1;
    let [tenant, number] = raffle.values();
    let Act { request, at_ms, reason } = act;
    let by = &request.actor.name;
    // The approval, one move before, is the key row of what it carries out.
    let remembered = !matches!(state, Review::CarriedOut { .. });
    let own = [
        Value::Text(subject.kind()),
        Value::Int(subject.number().into()),
        Value::count(place as u64),
        Value::Text(state.word()),
        Value::Text(by),
        Value::Int(*at_ms),
        Value::Text(reason),
        Value::text_or_null(remembered.then_some(request.key.as_str())),
        Value::Bytes(if remembered { &request.body_hash } else { &[] }),
    ];
    tx.exec(
        "INSERT INTO review_move (shard,tenant,raffle,kind,number,place,state,actor,at_ms,reason,idem_key,body_hash)
         VALUES (0,?,?,?,?,?,?,?,?,?,?,?)",
        &[&[tenant, number][..], &own].concat(),
    )
    .await?;
    if let Some(action) = verb(subject, state) {
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        let detail = format!("{} {}{why}", subject.kind(), subject.number());
        let change = Change { at_ms: *at_ms, action, subject: raffle.subject(), detail };
        let changes = Stream::changes(Shard::HOME, raffle.tenant.number);
        audit::append(tx, &changes, &request.cause(), change).await?;
    }
    let (state, by) = (state.word().to_owned(), by.clone());
    Ok(Move { number: subject.number(), state, by, at_ms: *at_ms, reason: reason.clone() })
}

/// Begins a review.
pub(crate) async fn begin(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    subject: Subject,
    (state, act): (Review, &Act),
) -> Result<Move, Error> {
    let noted = note(tx, raffle, subject, (&state, act)).await?;
    machine::start(tx, Shard::HOME, &[(subject.machine_id(raffle.number), state, None)]).await?;
    Ok(noted)
}

/// Tells a draft or proposal that something happened. Answers the move, and whether it had been made before.
pub(crate) async fn happen(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    subject: Subject,
    (event, act): (Event, &Act),
) -> Result<(Move, bool), Error> {
    let id = subject.machine_id(raffle.number);
    match machine::apply::<Review>(tx, Shard::HOME, &id, &event).await? {
        Outcome::Moved(state) => Ok((note(tx, raffle, subject, (&state, act)).await?, false)),
        Outcome::Replayed(_) => {
            let last = moves(tx, raffle, subject).await?.pop();
            Ok((last.ok_or_else(|| subject.missing())?, true))
        }
        Outcome::Illegal(Illegal::SamePerson) => Err(Error::SamePerson),
        Outcome::Illegal(Illegal::NotApproved) => Err(Error::needs_review(&[])),
        Outcome::Illegal(Illegal::State(is)) => Err(Error::ReviewState { what: subject.kind(), is }),
        Outcome::Missing => Err(subject.missing()),
    }
}

/// Where a draft or proposal stands.
pub(crate) async fn state(tx: &mut dyn Tx, raffle: &Raffle, subject: Subject) -> Result<Review, Error> {
    let found = machine::get(tx, Shard::HOME, &subject.machine_id(raffle.number)).await?;
    found.ok_or_else(|| subject.missing())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(events: &[Event]) -> Result<&'static str, Illegal> {
        let drafted = Review::Drafted { author: "ada".to_owned() };
        let end = events.iter().try_fold(drafted, |review, event| {
            Ok(match review.on(event)? {
                Step::Move { to, .. } => to,
                Step::Replay => review,
            })
        });
        end.map(|review| review.word())
    }

    #[test]
    fn what_one_wrote_another_approves() {
        let approve = |by: &str| Event::Approve { by: by.to_owned() };
        let publish = |needs_approval| Event::Publish { version: 2, needs_approval };
        let check = |events: &[Event], expected| assert_eq!(walk(events), expected, "{events:?}");
        check(&[Event::Submit, approve("bob"), publish(true)], Ok("published"));
        check(&[Event::Submit, Event::Submit, approve("bob"), approve("bob")], Ok("approved"));
        check(&[publish(false)], Ok("published"));
        check(&[Event::Submit, publish(false)], Ok("published"));
        check(&[publish(true)], Err(Illegal::NotApproved));
        check(&[Event::Submit, publish(true)], Err(Illegal::NotApproved));
        check(&[Event::Submit, approve("ada")], Err(Illegal::SamePerson));
        check(&[approve("bob")], Err(Illegal::State("drafted")));
        check(&[Event::Submit, approve("bob"), approve("eve")], Err(Illegal::State("approved")));
        check(&[Event::Submit, Event::Reject], Ok("rejected"));
        check(&[Event::Submit, approve("bob"), Event::Reject], Ok("rejected"));
        check(&[Event::Submit, Event::Reject, publish(false)], Err(Illegal::State("rejected")));
        check(&[Event::Withdraw, Event::Withdraw], Ok("withdrawn"));
        check(&[Event::Withdraw, Event::Submit], Err(Illegal::State("withdrawn")));
        check(&[publish(false), publish(false)], Err(Illegal::State("published")));
        check(&[Event::Submit, Event::CarryOut { seq: 9 }], Err(Illegal::State("submitted")));
        check(&[Event::Submit, approve("bob"), Event::CarryOut { seq: 9 }], Ok("carried_out"));
        check(&[publish(false), Event::Withdraw], Err(Illegal::State("published")));
    }
}
