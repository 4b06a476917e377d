//! A sign of life: one row that is written to learn whether writes are kept.

use kernel::id::Shard;

use crate::error::Error;
use crate::port::{Records, Value, write};
use crate::statement::Insert;

pub(crate) const PULSE_TABLE: &str = "CREATE TABLE pulse (
    shard INTEGER NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (shard)
){table_end}";

static PULSE: Insert = Insert::or_replace("pulse", &["shard", "at_ms"], 1);

/// Writes the row. An empty transaction would not touch the disk, and so not notice one that fails.
pub async fn beat(records: &dyn Records, shard: Shard, now_ms: i64) -> Result<(), Error> {
    write(records, shard, move |tx| {
        Box::pin(async move { PULSE.rows(tx, &[Value::Int(shard.0.into()), Value::Int(now_ms)]).await })
    })
    .await
}
