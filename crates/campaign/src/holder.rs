//! Who holds which of the awards that fulfil themselves: the rows that join a name to what was won.

use kernel::id::{Bucket, DrawId, Shard, Tenant};
use records::error::Error;
use records::port::{Row, Tx, Value};
use records::statement::Insert;

static HOLDERS: Insert =
    Insert::or_replace("award_holder", &["bucket", "tenant", "participant", "raffle", "seq", "shard"], 5);

/// Notes whose awards these are. Noting it twice changes nothing.
pub(crate) async fn note(tx: &mut dyn Tx, holders: &[(&str, DrawId)]) -> Result<(), Error> {
    let values: Vec<_> = holders
        .iter()
        .flat_map(|(participant, draw)| {
            [
                Value::Int(draw.bucket.into()),
                Value::Int(Tenant::MAIN.number.into()),
                Value::Text(participant),
                Value::Int(draw.raffle.into()),
                Value::count(draw.seq),
                Value::Int(draw.shard.0.into()),
            ]
        })
        .collect();
    HOLDERS.rows(tx, &values).await
}

/// The key of a row.
fn row_of(participant: &str, draw: DrawId) -> [Value<'_>; 5] {
    [
        Value::Int(Bucket::of(Tenant::MAIN.name, participant).number().into()),
        Value::Int(Tenant::MAIN.number.into()),
        Value::Text(participant),
        Value::Int(draw.raffle.into()),
        Value::count(draw.seq),
    ]
}

/// Whether an award is a participant's.
pub(crate) async fn holds(tx: &mut dyn Tx, participant: &str, draw: DrawId) -> Result<bool, Error> {
    holds_under(tx, participant, draw, "").await
}

async fn holds_under(tx: &mut dyn Tx, participant: &str, draw: DrawId, lock: &str) -> Result<bool, Error> {
    let sql = format!(
        "SELECT seq FROM award_holder WHERE bucket=? AND tenant=? AND participant=? AND raffle=? AND seq=?{lock}"
    );
    Ok(!tx.fetch(&sql, &row_of(participant, draw)).await?.is_empty())
}

/// Whose an award is; `None` once they are forgotten. Looks through a bucket: for what operators do by hand.
pub(crate) async fn of(tx: &mut dyn Tx, draw: DrawId) -> Result<Option<String>, Error> {
    let sql = "SELECT participant FROM award_holder WHERE bucket=? AND tenant=? AND raffle=? AND seq=?";
    let values = [
        Value::Int(draw.bucket.into()),
        Value::Int(Tenant::MAIN.number.into()),
        Value::Int(draw.raffle.into()),
        Value::count(draw.seq),
    ];
    tx.fetch(sql, &values).await?.first().map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// The same, held fast until the transaction ends: an erasure waits for it, or has gone before.
pub(crate) async fn of_locked(tx: &mut dyn Tx, draw: DrawId) -> Result<Option<String>, Error> {
    let Some(participant) = of(tx, draw).await? else { return Ok(None) };
    let lock = tx.dialect().for_update();
    let holds = holds_under(tx, &participant, draw, lock).await?;
    Ok(Some(participant).filter(|_| holds))
}

/// Forgets up to `limit` awards of a participant: that they are theirs, and where they go. Answers which. Waits for those
/// that are being noted.
pub(crate) async fn forget(tx: &mut dyn Tx, participant: &str, limit: u32) -> Result<Vec<DrawId>, Error> {
    let (bucket, tenant) = (Bucket::of(Tenant::MAIN.name, participant).number(), Tenant::MAIN.number);
    let sql = format!(
        "SELECT raffle,seq,shard FROM award_holder WHERE bucket=? AND tenant=? AND participant=?
        ORDER BY raffle,seq LIMIT ?{}",
        tx.dialect().for_update()
    );
    let tenant = Value::Int(tenant.into());
    let values = [Value::Int(bucket.into()), tenant, Value::Text(participant), Value::Int(limit.into())];
    let read = |row: &Row| {
        let shard = u16::try_from(row.small(2)?).map_err(|_| Error::Corrupt("a shard".to_owned()))?;
        Ok(DrawId { bucket, shard: Shard(shard), raffle: row.small(0)?, seq: row.count(1)? })
    };
    let draws: Vec<_> = tx.fetch(&sql, &values).await?.iter().map(read).collect::<Result<_, Error>>()?;
    for draw in &draws {
        let (raffle, seq) = (Value::Int(draw.raffle.into()), Value::count(draw.seq));
        let address = "DELETE FROM award_address WHERE shard=? AND tenant=? AND raffle=? AND seq=?";
        tx.exec(address, &[Value::Int(draw.shard.0.into()), tenant, raffle, seq]).await?;
        let_go(tx, participant, *draw).await?;
    }
    Ok(draws)
}

/// Forgets that an award is a participant's.
pub(crate) async fn let_go(tx: &mut dyn Tx, participant: &str, draw: DrawId) -> Result<(), Error> {
    let sql = "DELETE FROM award_holder WHERE bucket=? AND tenant=? AND participant=? AND raffle=? AND seq=?";
    tx.exec(sql, &row_of(participant, draw)).await.map(|_| ())
}
