//! What a receiver has heard. A message may arrive twice; its effect name goes in once, in the transaction that
//! acts on it. A receiver whose own rows carry the effect's name (see [`crate::machine::start`]) needs no row here.

use kernel::id::Shard;

use crate::error::Error;
use crate::port::{Tx, Value};

pub(crate) const INBOX_TABLE: &str = "CREATE TABLE inbox (
    shard INTEGER NOT NULL,
    receiver VARCHAR(48) NOT NULL,
    effect VARCHAR(160) NOT NULL,
    heard_ms BIGINT NOT NULL,
    PRIMARY KEY (shard, receiver, effect)
){table_end}";

/// Whether a message is heard for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Act on it, in this transaction.
    First,
    /// Acted on before: acknowledge it and do nothing.
    Again,
}

/// Notes that `receiver` has heard `effect`.
pub async fn admit(
    tx: &mut dyn Tx,
    shard: Shard,
    receiver: &str,
    effect: &str,
    now_ms: i64,
) -> Result<Heard, Error> {
    let key = [Value::Int(shard.0.into()), Value::Text(receiver), Value::Text(effect)];
    let insert = "INSERT INTO inbox (shard,receiver,effect,heard_ms)
         SELECT ?,?,?,? WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE shard=? AND receiver=? AND effect=?)";
    let changed = tx.exec(insert, &[&key[..], &[Value::Int(now_ms)], &key].concat()).await?;
    Ok(if changed == 1 { Heard::First } else { Heard::Again })
}
