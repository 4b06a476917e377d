//! Draws, what was won in them, and the webhooks that tell of it, as activities.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use campaign::award::{self, Award, Kind as AwardKind, State};
use campaign::delivery::{self, Delivery, News};
use kernel::id::Shard;
use raffle::catalog::{Catalog, Raffle};
use raffle::entry::{self, Draw};
use raffle::error::Error;
use raffle::explain;
use raffle::player::{self, PlayerKey};
use raffle::rules::Plan;
use records::machine;
use records::port::{Records, read};
use search::activity::{Activity, Kind};

/// Which draws of a raffle are read.
pub(super) enum Which {
    /// Those numbered `after + 1 ..= last`.
    Range(u64, u64),
    /// These.
    These(Vec<u64>),
}

struct Rows {
    draws: Vec<Draw>,
    names: HashMap<PlayerKey, String>,
    awards: HashMap<Vec<u8>, Award>,
    deliveries: HashMap<Vec<u8>, Delivery>,
}

async fn rows(records: &dyn Records, raffle: &Raffle, which: Which) -> Result<Rows, Error> {
    let gate = raffle.gate(Shard::HOME);
    read(records, gate.shard, move |tx| {
        Box::pin(async move {
            let mut draws = match which {
                Which::Range(after, last) => {
                    let limit = u32::try_from(last.saturating_sub(after)).unwrap_or(u32::MAX);
                    let mut draws = entry::draws_after(tx, gate, after, limit).await?;
                    draws.retain(|draw| draw.id.seq <= last);
                    draws
                }
                Which::These(seqs) => entry::draws_at(tx, gate, &seqs).await?,
            };
            draws.sort_unstable_by_key(|draw| draw.id.seq);
            let players: BTreeSet<_> = draws.iter().map(|draw| (draw.id.bucket, draw.pseudonym)).collect();
            let names = player::names(tx, gate, &players).await?;
            let won = draws.iter().filter(|draw| draw.prize.is_some());
            let won: Vec<_> = won.map(|draw| award::id_of(draw.id)).collect();
            let awards = machine::find::<Award>(tx, gate.shard, &won).await?;
            let told = draws.iter().filter(|draw| {
                let award = awards.get(&award::id_of(draw.id));
                award.is_some_and(|award| matches!(award.award, AwardKind::Webhook { .. }))
            });
            let told: Vec<_> = told
                .flat_map(|draw| [News::Granted, News::Reversed].map(|news| delivery::id(draw.id, news)))
                .collect();
            let deliveries = machine::find::<Delivery>(tx, gate.shard, &told).await?;
            Ok::<_, Error>(Rows { draws, names, awards, deliveries })
        })
    })
    .await
}

/// What stands in the records about draws, as they stand now.
pub(super) async fn activities(
    records: &dyn Records,
    (catalog, raffle): (&Catalog, &Arc<Raffle>),
    which: Which,
) -> Result<Vec<Activity>, Error> {
    let rows = rows(records, raffle, which).await?;
    let mut plans: BTreeMap<u32, Arc<Plan>> = BTreeMap::new();
    let epochs: BTreeSet<u32> = rows.draws.iter().map(|draw| draw.epoch).collect();
    for number in epochs {
        let epoch = catalog.epoch(raffle, number).await?;
        plans.insert(number, Arc::clone(&epoch.plan));
    }
    let mut told = Vec::with_capacity(rows.draws.len());
    for draw in &rows.draws {
        let Some(plan) = plans.get(&draw.epoch) else { continue };
        let about = Activity {
            participant: rows.names.get(&(draw.id.bucket, draw.pseudonym)).cloned().unwrap_or_default(),
            raffle: raffle.id.clone(),
            prize: draw.prize.as_deref().unwrap_or_default().to_owned(),
            ..Activity::new(Kind::Draw, format!("draw/{}", draw.id), draw.at_ms)
        };
        let award = rows.awards.get(&award::id_of(draw.id));
        if let Some(award) = award {
            told.push(of_award(&about, draw, award, plan));
            for news in [News::Granted, News::Reversed] {
                if let Some(delivery) = rows.deliveries.get(&delivery::id(draw.id, news)) {
                    told.push(of_delivery(&about, (draw, award, news), delivery, plan));
                }
            }
        }
        told.push(of_draw(about, draw, plan));
    }
    Ok(told)
}

fn of_draw(about: Activity, draw: &Draw, plan: &Plan) -> Activity {
    let (code, reason) = explain::in_short(draw, plan);
    let state = if draw.prize.is_some() { "won" } else { "no_win" };
    Activity { state: state.to_owned(), code: code.to_owned(), reason, ..about }
}

/// Why nobody has what the ledger was to pay. No transfer was refused where there was nobody left to pay.
fn unpaid(refused: u32) -> String {
    if refused == 0 {
        return "Whoever won it was erased before it could reach them: it goes to nobody.".to_owned();
    }
    format!(
        "The ledger refused the transfer, {refused} in all: an operator sees to the cause and replays it."
    )
}

/// Why an award is over. One that is claimed has two ways to it, and whose winner is known has only the one.
fn why_expired(kind: &AwardKind, is_known: bool) -> &'static str {
    match kind {
        AwardKind::Physical { .. } if is_known => "Nobody claimed it in time",
        AwardKind::Physical { .. } => {
            "Nobody claimed it in time, or whoever won it was erased before it could reach them"
        }
        AwardKind::Manual
        | AwardKind::Points { .. }
        | AwardKind::Tickets { .. }
        | AwardKind::RaffleTicket { .. }
        | AwardKind::Coupon { .. }
        | AwardKind::Webhook { .. } => "Whoever won it was erased before it could reach them",
    }
}

fn of_award(about: &Activity, draw: &Draw, award: &Award, plan: &Plan) -> Activity {
    let (unit, amount) = match &award.award {
        AwardKind::Points { amount, .. } => ("point", i64::try_from(*amount).ok()),
        AwardKind::Tickets { amount, .. } => ("ticket", i64::try_from(*amount).ok()),
        AwardKind::RaffleTicket { .. } => ("ticket", Some(1)),
        AwardKind::Manual
        | AwardKind::Coupon { .. }
        | AwardKind::Physical { .. }
        | AwardKind::Webhook { .. } => ("", None),
    };
    let pool = if let AwardKind::Coupon { pool } = &award.award { pool.as_str() } else { "" };
    let endpoint = endpoint_of(award);
    let instant = |at_ms: i64| plan.zone.write(at_ms);
    let nothing = String::new;
    let (reason, note) = match &award.state {
        State::Held => (
            "Won while fulfilment was off, or behind what was: what its kind does is done once it is on again.".to_owned(),
            nothing(),
        ),
        State::Granted if award.award.is_manual() => {
            ("Won; an operator hands it over.".to_owned(), nothing())
        }
        State::Granted => (format!("Won; a webhook to `{endpoint}` is under way."), nothing()),
        State::HandedOver { at_ms, note } => (format!("Handed over at {}.", instant(*at_ms)), note.clone()),
        State::Paid { at_ms, refused } => {
            let before = match refused {
                0 => nothing(),
                count => format!(", after {count} transfers that the ledger refused"),
            };
            (format!("In the winner's wallet since {}{before}.", instant(*at_ms)), nothing())
        }
        State::Unpaid { why, refused } => (unpaid(*refused), why.clone()),
        State::WaitsForCode => {
            (format!("All codes of pool `{pool}` are given: it is served after the next upload."), nothing())
        }
        State::CodeGiven { at_ms } => {
            (format!("A code of pool `{pool}` was given at {}.", instant(*at_ms)), nothing())
        }
        State::ToClaim { until_ms } => {
            (format!("The winner is to say where it goes before {}.", instant(*until_ms)), nothing())
        }
        State::Claimed { at_ms } => {
            (format!("The address is known since {}; an operator sends it.", instant(*at_ms)), nothing())
        }
        State::Expired { at_ms } => {
            let why = why_expired(&award.award, !about.participant.is_empty());
            (format!("{why}; it ended at {}.", instant(*at_ms)), nothing())
        }
        State::Delivered { at_ms } => (format!("The endpoint took it at {}.", instant(*at_ms)), nothing()),
        State::Undeliverable { fault } => (
            "The endpoint never took it: an operator sees to the cause and replays it.".to_owned(),
            fault.clone(),
        ),
        State::Reversed { at_ms } => {
            (format!("An operator took it back at {}; the audit log says why.", instant(*at_ms)), nothing())
        }
    };
    Activity {
        kind: Kind::Award,
        id: format!("award/{}", draw.id),
        state: award.state.word().to_owned(),
        unit: unit.to_owned(),
        amount,
        code: award.state.word().to_owned(),
        reason,
        note,
        ..about.clone()
    }
}

fn endpoint_of(award: &Award) -> &str {
    if let AwardKind::Webhook { endpoint } = &award.award { endpoint } else { "" }
}

fn of_delivery(
    about: &Activity,
    (draw, award, news): (&Draw, &Award, News),
    delivery: &Delivery,
    plan: &Plan,
) -> Activity {
    let endpoint = endpoint_of(award);
    let what = match news {
        News::Granted => "that it was won",
        News::Reversed => "that it was taken back",
    };
    let calls = |count: &u32| if *count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
    let instant = |at_ms: i64| plan.zone.write(at_ms);
    let none = String::new;
    let (state, stands, note) = match delivery {
        Delivery::Behind => {
            ("behind", "it waits: an earlier one of the same winner goes first".to_owned(), none())
        }
        Delivery::Due => ("due", "it is called next".to_owned(), none()),
        Delivery::Sending { attempt, .. } => ("sending", format!("call {attempt} is under way"), none()),
        Delivery::Asking { attempt, .. } => {
            ("asking", format!("at call {attempt} it is asked whether it has taken it"), none())
        }
        Delivery::Waiting { attempt, due_ms, fault } => {
            let told = format!("not taken after {}; called again at {}", calls(attempt), instant(*due_ms));
            ("waiting", told, fault.clone())
        }
        Delivery::Unknown { attempt, due_ms, fault } => {
            let told = format!(
                "it may have been taken, after {}; looked into at {}",
                calls(attempt),
                instant(*due_ms)
            );
            ("unknown", told, fault.clone())
        }
        Delivery::Delivered { attempt, at_ms } => {
            ("delivered", format!("taken at {} after {}", instant(*at_ms), calls(attempt)), none())
        }
        Delivery::Dead { attempt, at_ms, fault, .. } => {
            let told = format!(
                "given up at {} after {}; an operator may replay it",
                instant(*at_ms),
                calls(attempt)
            );
            ("dead", told, fault.clone())
        }
        Delivery::CalledOff { at_ms } => {
            ("called_off", format!("called off at {}, as the award was taken back", instant(*at_ms)), none())
        }
    };
    // A webhook has no time of its own that stays: what it tells of has.
    let at_ms = match (news, &award.state) {
        (News::Reversed, State::Reversed { at_ms }) => *at_ms,
        _ => draw.at_ms,
    };
    Activity {
        at_ms,
        kind: Kind::Delivery,
        id: format!("delivery/{}-{}", draw.id, news.word()),
        state: state.to_owned(),
        code: news.word().to_owned(),
        reason: format!("Endpoint `{endpoint}` is told {what}: {stands}."),
        note,
        ..about.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_told_with_what_may_have_been_the_cause() {
        let physical = AwardKind::Physical { claim_seconds: 60 };
        let coupon = AwardKind::Coupon { pool: "spring".to_owned() };
        for (kind, is_known, claimed, erased) in
            [(&physical, true, true, false), (&physical, false, true, true), (&coupon, false, false, true)]
        {
            let told = why_expired(kind, is_known);
            assert_eq!((told.contains("claimed"), told.contains("erased")), (claimed, erased), "{told}");
        }
        for (refused, ledger, erased) in [(0, false, true), (2, true, false)] {
            let told = unpaid(refused);
            assert_eq!((told.contains("ledger"), told.contains("erased")), (ledger, erased), "{told}");
        }
    }
}
