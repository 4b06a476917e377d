//! Webhooks that are owed. Those of one key go in their order, one after the other; trouble with one key, or with one
//! endpoint, holds up no other.

mod life;

pub(crate) use life::GONE;
pub use life::{ATTEMPTS_MAX, Delivery, Event, Illegal, REFUSALS_MAX, backoff_ms};

use std::collections::BTreeSet;

use kernel::id::{DrawId, Shard, Tenant};
use records::error::Error as RecordsError;
use records::machine::{self, Outcome};
use records::outbox::{self, Effect};
use records::port::{Row, Tx, Value};

use crate::award::{id_of, place_of};
use crate::forgotten;
use crate::who::Who;

/// What a webhook tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Somebody has won.
    Granted,
    /// An award was taken back.
    Reversed,
}

impl News {
    /// Its name in what is sent.
    pub fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Reversed => "reversed",
        }
    }
}

/// Names a webhook: the award and what is told of it.
pub fn id(draw: DrawId, news: News) -> Vec<u8> {
    let mut id = id_of(draw);
    id.push(news as u8);
    id
}

/// The award behind a webhook's id, and what is told of it.
pub fn award_of(id: &[u8]) -> Option<(u32, u64, News)> {
    let (last, award) = id.split_last()?;
    let (raffle, seq) = place_of(award)?;
    Some((raffle, seq, if *last == 0 { News::Granted } else { News::Reversed }))
}

/// Topic of what tells that a webhook stands otherwise than before. Its body is the webhook's id.
pub const DELIVERY_MOVED: &str = "delivery.moved";

/// What tells that a webhook has come to its how-many-eth state.
fn told(id: &[u8], version: u64, at_ms: i64) -> Option<Effect> {
    let (raffle, seq, news) = award_of(id)?;
    Some(Effect {
        topic: DELIVERY_MOVED,
        subject: raffle,
        seq: machine::told_number(seq.checked_mul(2)? + news as u64, version)?,
        key: id.to_vec(),
        n: i64::try_from(version).ok()?,
        body: id.to_vec(),
        at_ms,
        due_ms: None,
    })
}

/// A webhook to be.
pub(crate) struct Owed<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) draw: DrawId,
    pub(crate) news: News,
    /// Those of one key at one endpoint go in their order.
    pub(crate) order_key: &'a [u8],
    /// What the other side reads beside the award.
    pub(crate) data: serde_json::Value,
}

/// The stable name of a webhook, which goes out with every attempt.
pub fn effect(draw: &str, news: News) -> String {
    format!("{draw}-{}", news.word())
}

fn tenant() -> Value<'static> {
    Value::Int(Tenant::MAIN.number.into())
}

/// Where a row stands: endpoint, key and place.
type Place = (String, Vec<u8>, i64);

/// Owes a webhook. Its name, body and place are settled here, once.
pub(crate) async fn post(
    tx: &mut dyn Tx,
    shard: Shard,
    owed: &Owed<'_>,
    now_ms: i64,
) -> Result<(), RecordsError> {
    let key =
        [Value::Int(shard.0.into()), tenant(), Value::Text(owed.endpoint), Value::Bytes(owed.order_key)];
    let last = lock_order(tx, &key).await?;
    let n = last.unwrap_or(0) + 1;
    let write = match last {
        Some(_) => "UPDATE delivery_order SET n=? WHERE shard=? AND tenant=? AND endpoint=? AND order_key=?",
        None => "INSERT INTO delivery_order (n,shard,tenant,endpoint,order_key) VALUES (?,?,?,?,?)",
    };
    tx.exec(write, &[&[Value::Int(n)][..], &key].concat()).await?;
    let live =
        "SELECT n FROM delivery WHERE shard=? AND tenant=? AND endpoint=? AND order_key=? AND live=1 LIMIT 1";
    let is_first = tx.fetch(live, &key).await?.is_empty();
    let body = serde_json::json!({
        "type": format!("award.{}", owed.news.word()),
        "timestamp": instant(now_ms),
        "data": owed.data,
    });
    let body = body.to_string().into_bytes();
    let id = id(owed.draw, owed.news);
    let state = if is_first { Delivery::Due } else { Delivery::Behind };
    machine::start(tx, shard, &[(id.clone(), state, None)]).await?;
    // That a prize is told of is told by its draw; what is told later, by this.
    if owed.news != News::Granted {
        let started: Vec<_> = told(&id, 1, now_ms).into_iter().collect();
        outbox::post(tx, shard, &started).await?;
    }
    let values = [
        Value::Int(n),
        Value::Bytes(&id),
        Value::int_or_null(is_first.then_some(now_ms)),
        Value::Int(now_ms),
        Value::Bytes(&body),
    ];
    let insert = "INSERT INTO delivery (shard,tenant,endpoint,order_key,n,id,due_ms,at_ms,body,live)
        VALUES (?,?,?,?,?,?,?,?,?,1)";
    tx.exec(insert, &[&key[..], &values].concat()).await?;
    Ok(())
}

fn instant(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| String::new(), |at| at.to_string())
}

/// A webhook whose time has come.
pub(crate) struct Due {
    pub(crate) id: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// Webhooks to an endpoint whose time has come, longest due first.
pub(crate) async fn due(
    tx: &mut dyn Tx,
    shard: Shard,
    endpoint: &str,
    (now_ms, limit): (i64, u32),
) -> Result<Vec<Due>, RecordsError> {
    let sql =
        "SELECT id,body FROM delivery WHERE shard=? AND tenant=? AND endpoint=? AND live=1 AND due_ms<=?
        ORDER BY due_ms LIMIT ?";
    let values = [
        Value::Int(shard.0.into()),
        tenant(),
        Value::Text(endpoint),
        Value::Int(now_ms),
        Value::Int(limit.into()),
    ];
    let rows = tx.fetch(sql, &values).await?;
    rows.iter().map(|row| Ok(Due { id: row.bytes(0)?.to_vec(), body: row.bytes(1)?.to_vec() })).collect()
}

async fn place(tx: &mut dyn Tx, shard: Shard, id: &[u8]) -> Result<Option<Place>, RecordsError> {
    let sql = "SELECT endpoint,order_key,n FROM delivery WHERE shard=? AND tenant=? AND id=?";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), tenant(), Value::Bytes(id)]).await?;
    let read = |row: &Row| Ok((row.text(0)?.to_owned(), row.bytes(1)?.to_vec(), row.int(2)?));
    rows.first().map(read).transpose()
}

/// Holds the order of a key: whoever owes the next of it, and whoever ends the one before, do so one after the other. Else
/// the next could find one that is not over yet, and be found by nobody when it is.
async fn lock_order(tx: &mut dyn Tx, key: &[Value<'_>]) -> Result<Option<i64>, RecordsError> {
    let select = format!(
        "SELECT n FROM delivery_order WHERE shard=? AND tenant=? AND endpoint=? AND order_key=?{}",
        tx.dialect().for_update()
    );
    tx.fetch(&select, key).await?.first().map(|row| row.int(0)).transpose()
}

/// Tells a webhook that something happened: its state, its row, and the next of its key move together.
pub(crate) async fn apply(
    tx: &mut dyn Tx,
    shard: Shard,
    id: &[u8],
    event: &Event,
) -> Result<Outcome<Delivery, Illegal>, RecordsError> {
    let Some((endpoint, order_key, n)) = place(tx, shard, id).await? else {
        // Nothing is owed under this name: it was taken or called off, or never was.
        let outcome = machine::apply::<Delivery>(tx, shard, id, event).await?;
        let is_sound = !matches!(outcome, Outcome::Moved(_));
        return if is_sound { Ok(outcome) } else { Err(RecordsError::Surprise("delivery")) };
    };
    let key = [
        Value::Int(shard.0.into()),
        tenant(),
        Value::Text(&endpoint),
        Value::Bytes(&order_key),
        Value::Int(n),
    ];
    // Before its own row: everybody locks an order first, and then what is in it.
    if event.may_end() {
        lock_order(tx, &key[..4]).await?;
    }
    let outcome = machine::apply::<Delivery>(tx, shard, id, event).await?;
    let Outcome::Moved(state) = &outcome else { return Ok(outcome) };
    // What comes back waits for what is on its way, be it earlier or later, and then takes its place again.
    let waits = matches!(event, Event::Replay { .. }) && is_any_under_way(tx, &key[..4]).await?;
    let (change, values): (_, &[Value<'_>]) = match state {
        Delivery::Delivered { .. } | Delivery::CalledOff { .. } => ("DELETE FROM delivery", &[]),
        // What was given up keeps its body, for the day that it is replayed.
        Delivery::Dead { .. } => ("UPDATE delivery SET live=0, due_ms=?", &[Value::Null]),
        Delivery::Behind
        | Delivery::Due
        | Delivery::Sending { .. }
        | Delivery::Asking { .. }
        | Delivery::Waiting { .. }
        | Delivery::Unknown { .. } => (
            "UPDATE delivery SET live=1, due_ms=?",
            &[Value::int_or_null(event.due_ms(state).filter(|_| !waits))],
        ),
    };
    // One that waits for another is not begun, whatever it was when it was looked for.
    let is_due = if matches!(event, Event::Begin { .. }) { " AND due_ms IS NOT NULL" } else { "" };
    let sql = format!("{change} WHERE shard=? AND tenant=? AND endpoint=? AND order_key=? AND n=?{is_due}");
    if tx.exec(&sql, &[values, &key].concat()).await? != 1 {
        return Err(RecordsError::Surprise("delivery"));
    }
    if matches!(state, Delivery::Dead { .. }) {
        forget_name(tx, shard, id).await?;
    }
    if state.is_over() {
        wake_next(tx, shard, &key[..4], event.now_ms()).await?;
    }
    Ok(outcome)
}

/// Takes the winner's name out of a webhook that was given up, where they were erased since. One that is still owed says
/// what was promised.
pub(crate) async fn forget_name(tx: &mut dyn Tx, shard: Shard, id: &[u8]) -> Result<(), RecordsError> {
    let sql = format!(
        "SELECT body,at_ms FROM delivery WHERE shard=? AND tenant=? AND id=? AND live=0{}",
        tx.dialect().for_update()
    );
    let key = [Value::Int(shard.0.into()), tenant(), Value::Bytes(id)];
    let rows = tx.fetch(&sql, &key).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (body, at_ms) = (row.bytes(0)?, row.int(1)?);
    let Some(name) = participant_in(body) else { return Ok(()) };
    let erased = forgotten::of(tx, &BTreeSet::from([Who::named(Tenant::MAIN, &name)])).await?;
    let Some(body) = forgotten::without_name(body, PARTICIPANT, (&erased, at_ms)) else { return Ok(()) };
    let update = "UPDATE delivery SET body=? WHERE shard=? AND tenant=? AND id=?";
    tx.exec(update, &[&[Value::Bytes(&body)][..], &key].concat()).await.map(|_| ())
}

/// Where the winner's name stands in a webhook's body.
const PARTICIPANT: &str = "/data/participant";

fn participant_in(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body.pointer(PARTICIPANT)?.as_str().map(str::to_owned)
}

/// Whether one of a key is on its way: it alone has a due time.
async fn is_any_under_way(tx: &mut dyn Tx, key: &[Value<'_>]) -> Result<bool, RecordsError> {
    let sql = "SELECT n FROM delivery WHERE shard=? AND tenant=? AND endpoint=? AND order_key=? AND live=1
        AND due_ms IS NOT NULL LIMIT 1";
    Ok(!tx.fetch(sql, key).await?.is_empty())
}

/// Lets the next of a key go, unless one is on its way: what is over may have been waiting itself.
async fn wake_next(
    tx: &mut dyn Tx,
    shard: Shard,
    key: &[Value<'_>],
    now_ms: i64,
) -> Result<(), RecordsError> {
    if is_any_under_way(tx, key).await? {
        return Ok(());
    }
    let next =
        "SELECT id,n FROM delivery WHERE shard=? AND tenant=? AND endpoint=? AND order_key=? AND live=1
        ORDER BY n LIMIT 1";
    let rows = tx.fetch(next, key).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    machine::apply::<Delivery>(tx, shard, row.bytes(0)?, &Event::Turn { now_ms }).await?;
    let update =
        "UPDATE delivery SET due_ms=? WHERE shard=? AND tenant=? AND endpoint=? AND order_key=? AND n=?";
    let n = Value::Int(row.int(1)?);
    tx.exec(update, &[&[Value::Int(now_ms)][..], key, &[n]].concat()).await?;
    Ok(())
}

/// How many webhooks are owed, counted up to a limit.
pub(crate) async fn owed(tx: &mut dyn Tx, shard: Shard, limit: u64) -> Result<u64, RecordsError> {
    let sql = "SELECT COUNT(*) FROM (SELECT live FROM delivery WHERE shard=? AND tenant=? AND live=1 LIMIT ?) AS some";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), tenant(), Value::count(limit)]).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

/// Webhooks to an endpoint that were given up, those of one key in their order.
pub(crate) async fn given_up(
    tx: &mut dyn Tx,
    shard: Shard,
    endpoint: &str,
    limit: u32,
) -> Result<Vec<Vec<u8>>, RecordsError> {
    let sql = "SELECT id FROM delivery WHERE shard=? AND tenant=? AND endpoint=? AND live=0 ORDER BY order_key,n LIMIT ?";
    let values = [Value::Int(shard.0.into()), tenant(), Value::Text(endpoint), Value::Int(limit.into())];
    tx.fetch(sql, &values).await?.iter().map(|row| row.bytes(0).map(<[u8]>::to_vec)).collect()
}

/// Where a webhook of an award stands.
pub(crate) async fn get(tx: &mut dyn Tx, draw: DrawId, news: News) -> Result<Option<Delivery>, RecordsError> {
    machine::get(tx, draw.shard, &id(draw, news)).await
}

/// How many webhooks are owed and how many were given up, each counted up to a limit; and since when the oldest is owed, in
/// milliseconds since the epoch.
pub async fn backlog(tx: &mut dyn Tx, shard: Shard) -> Result<(u64, u64, Option<i64>), RecordsError> {
    let (mut owed, mut given_up) = (0, 0);
    for (live, count) in [(1, &mut owed), (0, &mut given_up)] {
        let sql = "SELECT COUNT(*) FROM (SELECT live FROM delivery WHERE shard=? AND tenant=? AND live=? LIMIT ?) AS some";
        let limit = Value::Int(records::outbox::ROWS_MAX.into());
        let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), tenant(), Value::Int(live), limit]).await?;
        *count = rows.first().map_or(Ok(0), |row| row.count(0))?;
    }
    let sql = "SELECT MIN(at_ms) FROM delivery WHERE shard=? AND tenant=? AND live=1";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), tenant()]).await?;
    let oldest = rows.first().map(|row| row.int_or_null(0)).transpose()?.flatten();
    Ok((owed, given_up, oldest))
}
