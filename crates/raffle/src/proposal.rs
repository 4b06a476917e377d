//! Orders that two people give together: one proposes, another approves, and with the approval it is carried out.

use std::sync::Arc;

use kernel::id::Shard;
use records::gate::Gate;
use records::port::{Tx, Value, read, write};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::Raffle;
use crate::draw::Draws;
use crate::entry::{Event as Entry, Request};
use crate::error::Error;
use crate::review::{self, Act, Event, Move, Review, Subject};
use crate::stock::{self, Carried, Order, UNITS_MAX};

/// An order, as people write and read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Proposed {
    /// More units of a finite prize.
    Restock {
        /// Which prize.
        prize: String,
        /// How many, from 1.
        #[schemars(range(min = 1, max = UNITS_MAX))]
        units: u64,
    },
    /// More money.
    RaiseBudget {
        /// How much, in minor units, from 1.
        #[schemars(range(min = 1, max = UNITS_MAX))]
        amount: u64,
    },
    /// A participant's next draw gives this prize, if it can be had.
    Promise {
        /// Who, by name: whoever approves must know whom. Empty once the person is erased.
        #[schemars(length(min = 1, max = 128))]
        participant: String,
        /// Which prize.
        prize: String,
    },
}

impl Proposed {
    fn order(&self, raffle: &Raffle) -> Order {
        match self {
            Self::Restock { prize, units } => Order::Restock { prize: prize.clone(), units: *units },
            Self::RaiseBudget { amount } => Order::RaiseBudget { amount: *amount },
            Self::Promise { participant, prize } => {
                Order::Promise { player: raffle.player(participant), prize: prize.clone() }
            }
        }
    }
}

/// A proposal, as it stands.
pub struct Proposal {
    /// Its number in the raffle, from 1.
    pub number: u32,
    /// What is proposed.
    pub proposed: Proposed,
    /// Where it stands.
    pub state: Review,
    /// Who did what with it, in order; the first proposed it and said why.
    pub moves: Vec<Move>,
}

/// The proposals of raffles.
pub struct Proposals {
    draws: Arc<Draws>,
}

impl Proposals {
    pub(crate) fn new(draws: Arc<Draws>) -> Self {
        Self { draws }
    }

    /// Proposes an order. Answers its first move, and whether it had been proposed before, for the same key. The
    /// request's key goes after its route.
    pub async fn propose(
        &self,
        raffle: &str,
        proposed: Proposed,
        reason: String,
        request: Request,
    ) -> Result<(Move, bool), Error> {
        let draws = &self.draws;
        let raffle = draws.catalog.raffle(raffle).await?;
        let (now_ms, shard) = (draws.clock.now_ms(), draws.shard);
        write(&*draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                // The gate's lock also keeps two proposals from one number.
                let gate = stock::lock(tx, &raffle, shard).await?;
                if let Some(before) = review::by_request(tx, &raffle, &request).await? {
                    return Ok((before, true));
                }
                let (rules, _) = crate::catalog::rules(tx, &raffle, gate.version).await?;
                stock::allowed(&rules, &proposed.order(&raffle))?;
                let sql = "SELECT COALESCE(MAX(proposal),0) FROM raffle_proposal WHERE shard=0 AND tenant=? AND raffle=?";
                let last = tx.fetch(sql, &raffle.values()).await?;
                let number = last.first().map_or(Ok(0), |row| row.small(0))? + 1;
                let text = write_order(&proposed)?;
                let own = [Value::Int(number.into()), Value::Text(&text)];
                tx.exec(
                    "INSERT INTO raffle_proposal (shard,tenant,raffle,proposal,proposed) VALUES (0,?,?,?,?)",
                    &[&raffle.values()[..], &own].concat(),
                )
                .await?;
                let state = Review::Submitted { author: request.actor.name.clone() };
                let act = Act { request, at_ms: now_ms, reason };
                Ok((review::begin(tx, &raffle, Subject::Proposal(number), (state, &act)).await?, false))
            })
        })
        .await
    }

    /// A proposal as it stands.
    pub async fn get(&self, raffle: &str, number: u32) -> Result<Proposal, Error> {
        let found = self.list(raffle, number.saturating_sub(1), 1).await?.into_iter().next();
        found.filter(|proposal| proposal.number == number).ok_or(Error::NoSuchProposal(number))
    }

    /// Up to `limit` proposals after one, in order.
    pub async fn list(&self, raffle: &str, after: u32, limit: u32) -> Result<Vec<Proposal>, Error> {
        let raffle = self.draws.catalog.raffle(raffle).await?;
        read(&*self.draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT proposal,proposed FROM raffle_proposal
                    WHERE shard=0 AND tenant=? AND raffle=? AND proposal>? ORDER BY proposal LIMIT ?";
                let page = review::page(tx, &raffle, (Subject::Proposal(after), limit), sql).await?;
                let listed = page.into_iter().map(|(row, state, moves)| {
                    Ok(Proposal { number: row.small(0)?, proposed: read_order(row.text(1)?)?, state, moves })
                });
                listed.collect()
            })
        })
        .await
    }

    /// Approves a proposal and carries it out, in one transaction. Whoever proposed it cannot approve it.
    pub async fn approve(
        &self,
        raffle: &str,
        number: u32,
        reason: String,
        request: Request,
    ) -> Result<Carried, Error> {
        let draws = &self.draws;
        let raffle = draws.catalog.raffle(raffle).await?;
        let (clock, shard) = (Arc::clone(&draws.clock), draws.shard);
        write(&*draws.records, shard, move |tx| {
            Box::pin(async move {
                let mut gate: Gate = stock::lock(tx, &raffle, shard).await?;
                if let Some(event) = Entry::by_request(tx, gate.key, &request).await? {
                    return Ok(Carried { event, replayed: true });
                }
                let (subject, at_ms) = (Subject::Proposal(number), clock.now_ms());
                let approve = Event::Approve { by: request.actor.name.clone() };
                let act = Act { request: request.clone(), at_ms, reason };
                review::happen(tx, &raffle, subject, (approve, &act)).await?;
                let proposed = proposed(tx, &raffle, number).await?;
                if matches!(&proposed, Proposed::Promise { participant, .. } if participant.is_empty()) {
                    return Err(Error::ErasedPerson(number));
                }
                let order = proposed.order(&raffle);
                // The log tells everybody why; that is the reason of whoever asked for it.
                let why = review::moves(tx, &raffle, subject).await?.into_iter().next();
                let why = why.map(|first| first.reason).unwrap_or_default();
                let event = stock::give(tx, &raffle, &mut gate, (order, why, request.clone(), at_ms)).await?;
                let act = Act { request, at_ms, reason: String::new() };
                review::happen(tx, &raffle, subject, (Event::CarryOut { seq: event.seq }, &act)).await?;
                Ok(Carried { event, replayed: false })
            })
        })
        .await
    }

    /// Rejects or withdraws a proposal. Answers the move, and whether it had been made before.
    pub async fn end(
        &self,
        raffle: &str,
        number: u32,
        event: Event,
        reason: String,
        request: Request,
    ) -> Result<(Move, bool), Error> {
        let raffle = self.draws.catalog.raffle(raffle).await?;
        let at_ms = self.draws.clock.now_ms();
        write(&*self.draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                if let Some(before) = review::by_request(tx, &raffle, &request).await? {
                    return Ok((before, true));
                }
                let act = Act { request, at_ms, reason };
                review::happen(tx, &raffle, Subject::Proposal(number), (event, &act)).await
            })
        })
        .await
    }
}

/// The proposals of a promise to somebody, by their name: each one's number, and the prize.
pub(crate) async fn promised_to(
    tx: &mut dyn Tx,
    raffle: &Raffle,
    name: &str,
) -> Result<Vec<(i64, String)>, Error> {
    // Proposals are few: what operators wrote by hand, since the raffle began.
    let sql = "SELECT proposal,proposed FROM raffle_proposal WHERE shard=0 AND tenant=? AND raffle=?";
    let mut found = Vec::new();
    for row in tx.fetch(sql, &raffle.values()).await? {
        match read_order(row.text(1)?)? {
            Proposed::Promise { participant, prize } if participant == name => {
                found.push((row.int(0)?, prize));
            }
            Proposed::Promise { .. } | Proposed::Restock { .. } | Proposed::RaiseBudget { .. } => {}
        }
    }
    Ok(found)
}

/// Removes a participant's name from a raffle's proposals. Answers from how many.
pub(crate) async fn forget_name(tx: &mut dyn Tx, raffle: &Raffle, name: &str) -> Result<u64, Error> {
    let mut forgotten = 0;
    for (proposal, prize) in promised_to(tx, raffle, name).await? {
        let text = write_order(&Proposed::Promise { participant: String::new(), prize })?;
        let update =
            "UPDATE raffle_proposal SET proposed=? WHERE shard=0 AND tenant=? AND raffle=? AND proposal=?";
        let [tenant, number] = raffle.values();
        forgotten += tx.exec(update, &[Value::Text(&text), tenant, number, Value::Int(proposal)]).await?;
    }
    Ok(forgotten)
}

fn write_order(proposed: &Proposed) -> Result<String, Error> {
    serde_json::to_string(proposed).map_err(|error| Error::BrokenVersion(error.to_string()))
}

fn read_order(text: &str) -> Result<Proposed, Error> {
    serde_json::from_str(text).map_err(|error| Error::BrokenVersion(error.to_string()))
}

async fn proposed(tx: &mut dyn Tx, raffle: &Raffle, number: u32) -> Result<Proposed, Error> {
    let sql = "SELECT proposed FROM raffle_proposal WHERE shard=0 AND tenant=? AND raffle=? AND proposal=?";
    let key = [&raffle.values()[..], &[Value::Int(number.into())]].concat();
    let rows = tx.fetch(sql, &key).await?;
    read_order(rows.first().ok_or(Error::NoSuchProposal(number))?.text(0)?)
}
