//! What participants did in campaigns, and their orders, as activities.

use std::collections::{BTreeMap, BTreeSet};

use campaign::act::{self, Kept, Outcome};
use campaign::gain::Gained;
use campaign::offer::{Order, OrderKey};
use campaign::who::Who;
use kernel::id::{Shard, Tenant};
use records::error::Error;
use records::machine;
use records::port::{Records, Tx, read};
use search::activity::{Activity, Kind};

struct Rows {
    acts: Vec<Kept>,
    orders: Vec<(OrderKey, Order)>,
    names: BTreeMap<Who, String>,
}

async fn with_names(tx: &mut dyn Tx, acts: Vec<Kept>, orders: Vec<(OrderKey, Order)>) -> Result<Rows, Error> {
    let mut people: BTreeSet<Who> = acts.iter().map(|act| act.who).collect();
    for (_, order) in &orders {
        people.insert(order.ordered().owner()?);
    }
    let names = act::names(tx, Tenant::MAIN, &people).await?;
    Ok(Rows { acts, orders, names })
}

async fn orders_at(tx: &mut dyn Tx, keys: &[OrderKey]) -> Result<Vec<(OrderKey, Order)>, Error> {
    let ids: Vec<_> = keys.iter().map(|key| key.machine_id()).collect();
    let found = machine::find::<Order>(tx, Shard::HOME, &ids).await?;
    let mut orders = Vec::with_capacity(keys.len());
    for (key, id) in keys.iter().zip(&ids) {
        if let Some(order) = found.get(id) {
            let mut key = *key;
            key.0.bucket = order.ordered().bucket;
            orders.push((key, order.clone()));
        }
    }
    Ok(orders)
}

/// The acts numbered `after + 1 ..= last` and the orders among them, as they stand now.
pub(super) async fn activities(records: &dyn Records, range: (u64, u64)) -> Result<Vec<Activity>, Error> {
    let found = read(records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let acts = act::between(tx, Tenant::MAIN, range).await?;
            let keys: Vec<OrderKey> = acts
                .iter()
                .filter_map(|act| match &act.outcome {
                    Outcome::Ordered { order, .. } => order.parse().ok(),
                    Outcome::Behaved { .. } | Outcome::SignedIn { .. } | Outcome::Referred { .. } => None,
                })
                .collect();
            let orders = orders_at(tx, &keys).await?;
            with_names(tx, acts, orders).await
        })
    });
    Ok(told(&found.await?))
}

/// These orders, as they stand now.
pub(super) async fn orders(records: &dyn Records, keys: Vec<OrderKey>) -> Result<Vec<Activity>, Error> {
    let found = read(records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let orders = orders_at(tx, &keys).await?;
            with_names(tx, vec![], orders).await
        })
    });
    Ok(told(&found.await?))
}

fn told(rows: &Rows) -> Vec<Activity> {
    let name = |who: &Who| rows.names.get(who).cloned().unwrap_or_default();
    let acts = rows.acts.iter().filter_map(|act| of_act(act, name(&act.who)));
    let orders = rows.orders.iter().filter_map(|(key, order)| {
        let owner = order.ordered().owner().ok()?;
        Some(of_order(*key, order, name(&owner)))
    });
    acts.chain(orders).collect()
}

fn gains_told(gains: &[Gained]) -> String {
    if gains.is_empty() {
        return "no rule gives anything for it".to_owned();
    }
    let told = gains.iter().map(|gain| {
        let Gained { campaign, rule, unit, amount, .. } = gain;
        let given = format!("{amount} {unit} by rule `{rule}` of campaign `{campaign}`");
        gain.withheld.as_ref().map_or(given.clone(), |why| format!("{given}, withheld: {why}"))
    });
    told.collect::<Vec<_>>().join("; ")
}

fn of_act(act: &Kept, participant: String) -> Option<Activity> {
    let (campaign, what, gains): (&str, String, &[Gained]) = match &act.outcome {
        Outcome::Behaved { gains, .. } => {
            let behaviour = act.kind.strip_prefix("behaviour/").unwrap_or(&act.kind);
            let campaign = gains.first().map_or("", |gain| gain.campaign.as_str());
            (campaign, format!("Did `{behaviour}` (reported as `{}`)", act.key), gains)
        }
        Outcome::SignedIn { campaign, day, streak, gains, .. } => {
            (campaign, format!("Signed in for {day}, day {streak} in a row"), gains)
        }
        Outcome::Referred { campaign, .. } => (campaign, String::new(), &[]),
        // The order itself is told.
        Outcome::Ordered { .. } => return None,
    };
    let withheld = gains.iter().find_map(|gain| gain.withheld.as_deref());
    let is_given = gains.iter().any(|gain| gain.amount > 0);
    let (state, code) = match (is_given, withheld) {
        (true, _) => ("rewarded", withheld.unwrap_or("rewarded")),
        (false, Some(why)) => ("withheld", why),
        (false, None) => ("noted", "noted"),
    };
    let reason = if what.is_empty() {
        format!("Was brought to campaign `{campaign}` by somebody's code.")
    } else {
        format!("{what}: {}.", gains_told(gains))
    };
    let only = if let [only] = gains { Some(only) } else { None };
    Some(Activity {
        participant,
        campaign: campaign.to_owned(),
        state: state.to_owned(),
        unit: only.map(|gain| gain.unit.clone()).unwrap_or_default(),
        amount: only.map(|gain| gain.amount),
        code: code.to_owned(),
        reason,
        ..Activity::new(Kind::Act, format!("act/{:012}", act.seq), act.at_ms)
    })
}

fn of_order(key: OrderKey, order: &Order, participant: String) -> Activity {
    let ordered = order.ordered();
    let (state, stands) = match order {
        Order::Ordered { .. } => {
            ("ordered", "it is set aside until it is paid or its time is over".to_owned())
        }
        Order::Paid { gains, .. } => ("paid", format!("paid, and given: {}", gains_told(gains))),
        Order::Cancelled { .. } => ("cancelled", "whoever ordered gave it up".to_owned()),
        Order::Expired { .. } => ("expired", "it was not paid in time".to_owned()),
    };
    let price = ordered.price.as_ref();
    Activity {
        participant,
        campaign: ordered.campaign.clone(),
        prize: ordered.offer.clone(),
        state: state.to_owned(),
        unit: price.map(|price| price.unit.clone()).unwrap_or_default(),
        amount: price.map(|price| -price.amount),
        code: state.to_owned(),
        reason: format!("Ordered {} of offer `{}`: {stands}.", ordered.quantity, ordered.offer),
        ..Activity::new(Kind::Order, format!("order/{key}"), ordered.at_ms)
    }
}
