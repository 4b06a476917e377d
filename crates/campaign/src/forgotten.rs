//! Who was erased, and when. News of what somebody did before that may still be on its way: it must not bring their name
//! back, and where it is stranded it must not keep it.
//!
//! Whoever writes a name down writes first and looks here then; an erasure notes itself here first and looks for what is
//! written then, under a lock. So one of the two always sees the other.

use std::collections::{BTreeMap, BTreeSet};

use kernel::id::{Shard, Tenant};
use records::error::Error;
use records::outbox::{self, LetterId};
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::award::DRAW_MADE;
use crate::who::Who;

/// News that was caused before an erasure is on the disk so long after it at the latest, in milliseconds.
const SETTLED_MS: i64 = 60_000;
/// Erasures that are ended in one go.
const DUE_MAX: u32 = 200;
/// Dead letters that are looked at in one transaction.
const LETTERS_MAX: u32 = 200;

/// When people were erased, in milliseconds since the epoch.
pub(crate) type Erased = BTreeMap<Who, i64>;

static MARKS: Insert = Insert::or_replace("person_erased", &["bucket", "tenant", "who", "at_ms"], 3);
static DUE: Insert = Insert::or_keep("erasure_due", &["shard", "tenant", "at_ms", "bucket", "who"], 5);
static MARKED: ByKeys =
    ByKeys::new("SELECT bucket,who,at_ms FROM person_erased WHERE tenant=?", &["bucket", "who"], "");
static ENDED: ByKeys =
    ByKeys::new("DELETE FROM erasure_due WHERE shard=? AND tenant=?", &["at_ms", "bucket", "who"], "");

fn tenant() -> Value<'static> {
    Value::Int(Tenant::MAIN.number.into())
}

/// Notes that somebody is erased.
pub(crate) async fn mark(tx: &mut dyn Tx, shard: Shard, who: Who, at_ms: i64) -> Result<(), Error> {
    let [bucket, hash] = who.values();
    MARKS.rows(tx, &[bucket, tenant(), hash, Value::Int(at_ms)]).await?;
    DUE.rows(tx, &[Value::Int(shard.0.into()), tenant(), Value::Int(at_ms), bucket, hash]).await
}

/// Which of these people were erased, and when.
pub(crate) async fn of(tx: &mut dyn Tx, people: &BTreeSet<Who>) -> Result<Erased, Error> {
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    let rows = MARKED.fetch(tx, &[tenant()], &keys).await?;
    rows.iter().map(|row| Ok((Who::from_row(row)?, row.int(2)?))).collect()
}

/// Whether what somebody did at an instant was before their erasure; where the instant is not known, it was.
pub(crate) fn was_before(erased: &Erased, who: Who, done_ms: Option<i64>) -> bool {
    erased.get(&who).is_some_and(|at_ms| done_ms.is_none_or(|done_ms| done_ms <= *at_ms))
}

/// Erasures before which nothing is unsent any more.
pub(crate) async fn settled(tx: &mut dyn Tx, shard: Shard, now_ms: i64) -> Result<Erased, Error> {
    let sql = "SELECT bucket,who,at_ms FROM erasure_due WHERE shard=? AND tenant=? AND at_ms<=? ORDER BY at_ms LIMIT ?";
    let until = Value::Int(now_ms.saturating_sub(SETTLED_MS));
    let values = [Value::Int(shard.0.into()), tenant(), until, Value::Int(DUE_MAX.into())];
    let rows = tx.fetch(sql, &values).await?;
    if rows.is_empty() {
        return Ok(Erased::new());
    }
    let oldest = outbox::lag(tx, shard, now_ms).await?.remove(DRAW_MADE);
    let read = |row: &Row| Ok((Who::from_row(row)?, row.int(2)?));
    let due: Vec<(Who, i64)> = rows.iter().map(read).collect::<Result<_, Error>>()?;
    Ok(due.into_iter().filter(|(_, at_ms)| oldest.is_none_or(|oldest| oldest > *at_ms)).collect())
}

/// Ends erasures: nothing that is older can be heard of any more.
pub(crate) async fn end(tx: &mut dyn Tx, shard: Shard, erased: &Erased) -> Result<(), Error> {
    let keys: Vec<_> = erased
        .iter()
        .flat_map(|(who, at_ms)| {
            let [bucket, hash] = who.values();
            [Value::Int(*at_ms), bucket, hash]
        })
        .collect();
    ENDED.exec(tx, &[Value::Int(shard.0.into()), tenant()], &keys).await.map(|_| ())
}

/// Takes the names of these people out of some of the dead letters, those after one. Answers how many held one, and where to
/// go on; nowhere after the last.
pub(crate) async fn empty_letters(
    tx: &mut dyn Tx,
    shard: Shard,
    erased: &Erased,
    after: Option<LetterId>,
) -> Result<(u64, Option<LetterId>), Error> {
    let after = after.unwrap_or_else(|| LetterId { topic: DRAW_MADE.to_owned(), ..LetterId::default() });
    let letters = outbox::bodies(tx, shard, &after, LETTERS_MAX).await?;
    let mut emptied = 0;
    for (letter, body) in &letters {
        if let Some(body) = without_name(body, "/winner", (erased, letter.at_ms)) {
            emptied += 1;
            outbox::rewrite(tx, shard, &letter.id, &body).await?;
        }
    }
    let is_last = letters.len() < LETTERS_MAX as usize;
    Ok((emptied, letters.into_iter().next_back().filter(|_| !is_last).map(|(letter, _)| letter.id)))
}

/// A body without the name in it, where that is the name of somebody who was erased after it was written.
pub(crate) fn without_name(body: &[u8], pointer: &str, (erased, at_ms): (&Erased, i64)) -> Option<Vec<u8>> {
    let mut body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let place = body.pointer_mut(pointer)?;
    let who = Who::named(Tenant::MAIN, place.as_str()?);
    if !was_before(erased, who, Some(at_ms)) {
        return None;
    }
    *place = serde_json::Value::Null;
    serde_json::to_vec(&body).ok()
}
