//! Requests that change something, remembered by their Idempotency-Key: the same key and body are answered as before, byte for
//! byte.

use std::sync::Arc;

use kernel::id::{Shard, Tenant};
use records::audit::{Actor, Cause};
use records::port::{Records, Row, Tx, Value, read};
use serde::Serialize;

use crate::error::Error;
use crate::vault::Vault;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Idempotency-Key, after the route that it is scoped to.
    pub key: String,
    /// SHA-256 of the raw body.
    pub body_hash: [u8; 32],
    /// Who asks.
    pub actor: Arc<Actor>,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// An answer, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub json: Vec<u8>,
    /// Whether it was given before.
    pub replayed: bool,
}

/// Answers that are looked at to learn whether a key is the right one.
const LOOKED_AT: i64 = 8;

/// Whether a vault opens what was sealed here: whoever makes an endpoint or uploads codes is answered under its key.
pub async fn opens(records: &dyn Records, vault: &dyn Vault) -> Result<bool, Error> {
    let answers = read(records, Shard::HOME, |tx| {
        Box::pin(async move {
            let sql = "SELECT request_key,answer FROM award_request WHERE shard=? AND tenant=? LIMIT ?";
            let tenant = Value::Int(Tenant::MAIN.number.into());
            let rows =
                tx.fetch(sql, &[Value::Int(Shard::HOME.0.into()), tenant, Value::Int(LOOKED_AT)]).await?;
            let read = |row: &Row| Ok((row.text(0)?.to_owned(), row.bytes(1)?.to_vec()));
            rows.iter().map(read).collect::<Result<Vec<_>, Error>>()
        })
    })
    .await?;
    // One that is broken says nothing; a key that opens none of them is another.
    let opens = |(key, answer): &(String, Vec<u8>)| vault.open(answer, &about(key)).is_ok();
    Ok(answers.is_empty() || answers.iter().any(opens))
}

fn about(key: &str) -> String {
    format!("answer/{key}")
}

impl Request {
    /// The request as the audit log names it.
    pub fn cause(&self) -> Cause {
        Cause { actor: Arc::clone(&self.actor), key: self.key.clone(), body_hash: Some(self.body_hash) }
    }

    /// What this request was answered before, if it was.
    pub(crate) async fn before(
        &self,
        tx: &mut dyn Tx,
        shard: Shard,
        vault: &dyn Vault,
    ) -> Result<Option<Answered>, Error> {
        let sql = "SELECT body_hash,answer FROM award_request WHERE shard=? AND tenant=? AND request_key=?";
        let key =
            [Value::Int(shard.0.into()), Value::Int(Tenant::MAIN.number.into()), Value::Text(&self.key)];
        let rows = tx.fetch(sql, &key).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        if row.array::<32>(0)? != self.body_hash {
            return Err(Error::KeyReused);
        }
        Ok(Some(Answered { json: vault.open(row.bytes(1)?, &about(&self.key))?, replayed: true }))
    }

    /// Remembers what it is answered.
    pub(crate) async fn answer(
        &self,
        tx: &mut dyn Tx,
        shard: Shard,
        vault: &dyn Vault,
        answer: &impl Serialize,
    ) -> Result<Answered, Error> {
        let json = serde_json::to_vec(answer)
            .map_err(|error| records::error::Error::Corrupt(format!("an answer: {error}")))?;
        let sealed = vault.seal(&json, &about(&self.key))?;
        let values = [
            Value::Int(shard.0.into()),
            Value::Int(Tenant::MAIN.number.into()),
            Value::Text(&self.key),
            Value::Bytes(&self.body_hash),
            Value::Int(self.at_ms),
            Value::Bytes(&sealed),
        ];
        let insert = "INSERT INTO award_request (shard,tenant,request_key,body_hash,at_ms,answer) VALUES (?,?,?,?,?,?)";
        tx.exec(insert, &values).await?;
        Ok(Answered { json, replayed: false })
    }
}
