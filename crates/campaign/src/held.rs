//! Awards that are held back, by their winner: those of one winner are done in their order, and what is won meanwhile waits
//! behind them.

use std::collections::BTreeSet;

use kernel::id::{Shard, Tenant};
use records::error::Error;
use records::port::{Tx, Value};
use records::statement::{ByKeys, Insert};

static HELD: Insert = Insert::or_keep("award_held", &["shard", "tenant", "winner", "award"], 4);
static WINNERS: ByKeys =
    ByKeys::new("SELECT DISTINCT winner FROM award_held WHERE shard=? AND tenant=?", &["winner"], "");

fn fixed(shard: Shard) -> [Value<'static>; 2] {
    [Value::Int(shard.0.into()), Value::Int(Tenant::MAIN.number.into())]
}

/// Notes awards that are held back, each with its winner.
pub(crate) async fn note(tx: &mut dyn Tx, shard: Shard, awards: &[(String, Vec<u8>)]) -> Result<(), Error> {
    let values: Vec<_> = awards
        .iter()
        .flat_map(|(winner, award)| {
            let [shard, tenant] = fixed(shard);
            [shard, tenant, Value::Text(winner), Value::Bytes(award)]
        })
        .collect();
    HELD.rows(tx, &values).await
}

/// Of these winners, those for whom something is held back.
pub(crate) async fn winners(
    tx: &mut dyn Tx,
    shard: Shard,
    winners: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    let keys: Vec<_> = winners.iter().map(|winner| Value::Text(winner)).collect();
    let rows = WINNERS.fetch(tx, &fixed(shard), &keys).await?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// Up to so many winners after one for whom something is held back, in the order of their pseudonyms.
pub(crate) async fn page(
    tx: &mut dyn Tx,
    shard: Shard,
    (after, limit): (&str, u32),
) -> Result<Vec<String>, Error> {
    let sql = "SELECT DISTINCT winner FROM award_held WHERE shard=? AND tenant=? AND winner>?
        ORDER BY winner LIMIT ?";
    let range = [Value::Text(after), Value::Int(limit.into())];
    let rows = tx.fetch(sql, &[&fixed(shard)[..], &range].concat()).await?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// The award of a winner that is done before all others that are held back.
pub(crate) async fn first(tx: &mut dyn Tx, shard: Shard, winner: &str) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT award FROM award_held WHERE shard=? AND tenant=? AND winner=? ORDER BY award LIMIT 1";
    let rows = tx.fetch(sql, &[&fixed(shard)[..], &[Value::Text(winner)]].concat()).await?;
    rows.first().map(|row| row.bytes(0).map(<[u8]>::to_vec)).transpose()
}

/// Notes that an award is held back no longer.
pub(crate) async fn let_go(tx: &mut dyn Tx, shard: Shard, winner: &str, award: &[u8]) -> Result<(), Error> {
    let sql = "DELETE FROM award_held WHERE shard=? AND tenant=? AND winner=? AND award=?";
    tx.exec(sql, &[&fixed(shard)[..], &[Value::Text(winner), Value::Bytes(award)]].concat()).await.map(|_| ())
}
