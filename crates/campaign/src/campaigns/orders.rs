//! Orders, read one by one and in pages, and ended when their time is over.

use futures_util::future::join_all;
use kernel::id::Place;
use records::error::Error as RecordsError;
use records::machine;
use records::port::{Row, Value, read};

use super::Campaigns;
use crate::act::{Ask, What};
use crate::error::Error;
use crate::offer::{Order, OrderKey};
use crate::who::Who;

/// Orders that are ended in one go.
const DUE_MAX: u32 = 200;

impl Campaigns {
    /// An order as it stands; of this participant alone, where one is named.
    pub async fn order(&self, key: OrderKey, of: Option<&str>) -> Result<Order, Error> {
        let who = of.map(|participant| self.who(participant)).transpose()?;
        let (shard, id) = (self.shard, key.machine_id());
        let found = read(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(machine::get::<Order>(tx, shard, &id).await?) })
        });
        let missing = || Error::NoSuchOrder(key.to_string());
        let order = found.await?.filter(|_| key.0.shard == shard).ok_or_else(missing)?;
        let owner = order.ordered().owner()?;
        // Another's order is answered like one that is not there: whether it is, is theirs to tell.
        let may_see = owner.bucket == key.0.bucket && who.is_none_or(|who| who == owner);
        if may_see { Ok(order) } else { Err(missing()) }
    }

    /// A page of somebody's orders, the latest first, before one of them where one is named.
    pub async fn orders(
        &self,
        participant: &str,
        before: Option<OrderKey>,
        limit: u32,
    ) -> Result<Vec<(OrderKey, Order)>, Error> {
        let (who, tenant, shard) = (self.who(participant)?, self.tenant.number, self.shard);
        let before = before.map_or(i64::MAX, |key| i64::try_from(key.0.seq).unwrap_or(i64::MAX));
        read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let [bucket, hash] = who.values();
                let sql =
                    "SELECT seq,campaign FROM offer_order WHERE bucket=? AND tenant=? AND who=? AND seq<?
                    ORDER BY seq DESC LIMIT ?";
                let key =
                    [bucket, Value::Int(tenant.into()), hash, Value::Int(before), Value::Int(limit.into())];
                let rows = tx.fetch(sql, &key).await?;
                let place = |row: &Row| {
                    let (seq, subject) = (row.count(0)?, row.small(1)?);
                    Ok::<_, Error>(OrderKey(Place { bucket: who.bucket, shard, subject, seq }))
                };
                let keys: Vec<OrderKey> = rows.iter().map(place).collect::<Result<_, _>>()?;
                let ids: Vec<_> = keys.iter().map(|key| key.machine_id()).collect();
                let mut found = machine::find::<Order>(tx, shard, &ids).await?;
                let order = |key: OrderKey| Some((key, found.remove(&key.machine_id())?));
                Ok(keys.into_iter().filter_map(order).collect())
            })
        })
        .await
    }

    /// Ends orders that were not paid in time. Answers how many it ended.
    pub async fn end_what_is_over(&self) -> Result<u64, Error> {
        let (shard, mut ended) = (self.shard, 0);
        loop {
            let now_ms = self.clock.now_ms();
            let due = read(&*self.records, shard, move |tx| {
                Box::pin(
                    async move { Ok::<_, Error>(machine::due::<Order>(tx, shard, now_ms, DUE_MAX).await?) },
                )
            })
            .await?;
            // Handed in together, they share a transaction.
            let before = ended;
            for outcome in join_all(due.iter().map(|id| self.expire(id))).await {
                ended += u64::from(outcome?);
            }
            // What is due and cannot be ended must not be tried for ever.
            if ended == before || due.len() < DUE_MAX as usize {
                return Ok(ended);
            }
        }
    }

    /// Ends an order; `false` where somebody else has, meanwhile.
    async fn expire(&self, id: &[u8]) -> Result<bool, Error> {
        // Whose it is stands in the order itself.
        let corrupt = || RecordsError::Corrupt("an order's timer".to_owned());
        let order = OrderKey::of_machine(self.shard, 0, id).ok_or_else(corrupt)?;
        let (who, what) = (Who { bucket: 0, hash: [0; 16] }, What::Expire { order });
        let ask = Ask { participant: String::new(), who, what, body_hash: [0; 32], done_ms: None };
        match self.batcher.submit(ask).await {
            Ok(done) => Ok(!done.replayed),
            Err(Error::OrderEnded(_) | Error::NoSuchOrder(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
