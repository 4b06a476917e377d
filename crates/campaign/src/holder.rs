//! Who holds which award: the rows that join a name to what was won.

use kernel::id::{Bucket, DrawId, Shard, Tenant};
use records::error::Error;
use records::port::{Tx, Value};
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

/// Up to `limit` awards of a participant after one, by raffle and in the order of their draws.
pub(crate) async fn awards_of(
    tx: &mut dyn Tx,
    participant: &str,
    place: (u32, u64),
    limit: u32,
) -> Result<Vec<DrawId>, Error> {
    after(tx, participant, place, (limit, "")).await
}

async fn after(
    tx: &mut dyn Tx,
    participant: &str,
    (raffle, seq): (u32, u64),
    (limit, end): (u32, &str),
) -> Result<Vec<DrawId>, Error> {
    let bucket = Bucket::of(Tenant::MAIN.name, participant).number();
    let sql = format!(
        "SELECT raffle,seq,shard FROM award_holder WHERE bucket=? AND tenant=? AND participant=?
        AND (raffle>? OR (raffle=? AND seq>?)) ORDER BY raffle,seq LIMIT ?{end}"
    );
    let values = [
        Value::Int(bucket.into()),
        Value::Int(Tenant::MAIN.number.into()),
        Value::Text(participant),
        Value::Int(raffle.into()),
        Value::Int(raffle.into()),
        Value::count(seq),
        Value::Int(limit.into()),
    ];
    let rows = tx.fetch(&sql, &values).await?;
    rows.iter()
        .map(|row| {
            let shard = u16::try_from(row.small(2)?).map_err(|_| Error::Corrupt("a shard".to_owned()))?;
            Ok(DrawId { bucket, shard: Shard(shard), raffle: row.small(0)?, seq: row.count(1)? })
        })
        .collect()
}

/// Whether an award is a participant's.
pub(crate) async fn holds(tx: &mut dyn Tx, participant: &str, draw: DrawId) -> Result<bool, Error> {
    let sql =
        "SELECT seq FROM award_holder WHERE bucket=? AND tenant=? AND participant=? AND raffle=? AND seq=?";
    let values = [
        Value::Int(Bucket::of(Tenant::MAIN.name, participant).number().into()),
        Value::Int(Tenant::MAIN.number.into()),
        Value::Text(participant),
        Value::Int(draw.raffle.into()),
        Value::count(draw.seq),
    ];
    Ok(!tx.fetch(sql, &values).await?.is_empty())
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

/// Forgets up to `limit` awards of a participant: that they are theirs, and where they go. Answers which. Waits for those
/// that are being noted.
pub(crate) async fn forget(tx: &mut dyn Tx, participant: &str, limit: u32) -> Result<Vec<DrawId>, Error> {
    let tenant = Value::Int(Tenant::MAIN.number.into());
    let end = tx.dialect().for_update();
    let draws = after(tx, participant, (0, 0), (limit, end)).await?;
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
    let values = [
        Value::Int(draw.bucket.into()),
        Value::Int(Tenant::MAIN.number.into()),
        Value::Text(participant),
        Value::Int(draw.raffle.into()),
        Value::count(draw.seq),
    ];
    tx.exec(sql, &values).await.map(|_| ())
}
