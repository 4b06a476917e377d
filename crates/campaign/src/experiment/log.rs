//! The log of exposures, page by page: who was shown what, and when, for whoever computes results of their own.

use kernel::id::{BUCKETS, Shard};
use records::error::Error as RecordsError;
use records::port::{Tx, Value, read};

use super::board::Experiments;
use super::error::Error;
use super::exposure::{Exposed, read_exposed};

/// Buckets that one statement asks about. Rows begin with the bucket, so an experiment is looked up in each of them.
const BUCKETS_AT_ONCE: u16 = 64;

/// Where an exposure stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The database.
    pub shard: Shard,
    /// The participant's bucket.
    pub bucket: u16,
    /// Their name in this experiment.
    pub pseudonym: [u8; 16],
}

async fn page(
    tx: &mut dyn Tx,
    (shard, tenant, experiment): (Shard, u32, &str),
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<(Place, Exposed)>, RecordsError> {
    let marks = vec!["?"; usize::from(BUCKETS_AT_ONCE)].join(",");
    let sql = format!(
        "SELECT bucket,experiment,pseudonym,arm,generation,at_ms FROM experiment_exposure
         WHERE tenant=? AND experiment=? AND bucket IN ({marks}) AND (bucket>? OR (bucket=? AND pseudonym>?))
         ORDER BY bucket,pseudonym LIMIT ?"
    );
    let (past, name) = after.map_or((-1, [0; 16]), |place| (i64::from(place.bucket), place.pseudonym));
    let mut found: Vec<(Place, Exposed)> = vec![];
    let first = after.map_or(0, |place| place.bucket / BUCKETS_AT_ONCE * BUCKETS_AT_ONCE);
    for from in (first..BUCKETS).step_by(BUCKETS_AT_ONCE.into()) {
        let left = limit - found.len();
        if left == 0 {
            break;
        }
        let mut values = vec![Value::Int(tenant.into()), Value::Text(experiment)];
        values.extend((from..from + BUCKETS_AT_ONCE).map(|bucket| Value::Int(bucket.into())));
        let rest = [Value::Int(past), Value::Int(past), Value::Bytes(&name), Value::count(left as u64)];
        values.extend(rest);
        for row in tx.fetch(&sql, &values).await? {
            let ((bucket, _, pseudonym), exposed) = read_exposed(&row)?;
            found.push((Place { shard, bucket, pseudonym }, exposed));
        }
    }
    Ok(found)
}

impl Experiments {
    /// Up to `limit` of those whom an experiment has exposed, in an order that means nothing, after a place. Who was forgotten
    /// is not among them.
    pub async fn exposures(
        &self,
        id: &str,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<(Place, Exposed)>, Error> {
        let mut found = vec![];
        let shards = self.records.shards().into_iter();
        for shard in shards.filter(|shard| after.is_none_or(|place| place.shard.0 <= shard.0)) {
            let (tenant, id, left) = (self.tenant.number, id.to_owned(), limit - found.len());
            let after = after.filter(|place| place.shard == shard);
            let here = read(&*self.records, shard, move |tx| {
                Box::pin(async move { Ok::<_, Error>(page(tx, (shard, tenant, &id), after, left).await?) })
            });
            found.extend(here.await?);
        }
        Ok(found)
    }
}
