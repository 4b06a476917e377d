//! Requests that change something, remembered by their Idempotency-Key: the same key and body are answered as before, byte for
//! byte.

use std::sync::Arc;

use kernel::id::{Shard, Tenant};
use records::audit::{Actor, Cause};
use records::port::{Tx, Value};
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

impl Request {
    /// The request as the audit log names it.
    pub fn cause(&self) -> Cause {
        Cause { actor: Arc::clone(&self.actor), key: self.key.clone(), body_hash: Some(self.body_hash) }
    }

    fn about(&self) -> String {
        format!("answer/{}", self.key)
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
        Ok(Some(Answered { json: vault.open(row.bytes(1)?, &self.about())?, replayed: true }))
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
        let sealed = vault.seal(&json, &self.about())?;
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
