//! People bring people: codes, who was brought by whom, and whether it has paid yet.

use std::collections::{BTreeMap, BTreeSet};

use kernel::id::Shard;
use records::error::Error as RecordsError;
use records::outbox::Effect;
use records::port::{Tx, Value};
use records::statement::{ByKeys, Insert};
use serde::{Deserialize, Serialize};

use crate::who::Who;

/// Topic of the effect that tells: somebody who was brought has done what was asked.
pub const QUALIFIED: &str = "referral.qualified";

/// How many steps up are looked at for whether somebody is brought by those whom they have brought. A longer ring is not seen.
pub const RING_MAX: usize = 16;

/// Letters of a code.
pub const CODE_LETTERS: usize = 10;

/// Body of [`QUALIFIED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qualified {
    /// The campaign's id.
    pub campaign: String,
    /// The code of whoever brought them.
    pub code: String,
    /// Who was brought: the hash of their name, in hex.
    pub referee: String,
    /// When they did what was asked, in milliseconds since the epoch: what is given for it is judged by that instant, however
    /// late it is heard of. Absent in effects of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
}

/// By whom somebody was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brought {
    pub(crate) code: String,
    pub(crate) referrer: Who,
    pub(crate) at_ms: i64,
    /// Whether they have done what was asked.
    pub(crate) qualified: bool,
}

/// Who was brought, by participant and campaign.
pub(crate) type Referrals = BTreeMap<(Who, u32), Brought>;

static LOAD: ByKeys = ByKeys::new(
    "SELECT bucket,who,campaign,code,by_bucket,by_who,at_ms,qualified FROM campaign_referral WHERE tenant=?",
    &["bucket", "who"],
    "",
);
static SAVE: Insert = Insert::or_replace(
    "campaign_referral",
    &["bucket", "tenant", "who", "campaign", "code", "by_bucket", "by_who", "at_ms", "qualified"],
    4,
);

pub(crate) async fn load(
    tx: &mut dyn Tx,
    tenant: u32,
    people: &BTreeSet<Who>,
) -> Result<Referrals, RecordsError> {
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    let mut referrals = Referrals::new();
    for row in LOAD.fetch(tx, &[Value::Int(tenant.into())], &keys).await? {
        let bucket = u16::try_from(row.int(4)?).map_err(|_| RecordsError::Corrupt("a bucket".to_owned()))?;
        let brought = Brought {
            code: row.text(3)?.to_owned(),
            referrer: Who { bucket, hash: row.array(5)? },
            at_ms: row.int(6)?,
            qualified: row.int(7)? != 0,
        };
        referrals.insert((Who::from_row(&row)?, row.small(2)?), brought);
    }
    Ok(referrals)
}

/// Loads who brought those who brought the loaded ones, and so on up, as far as rings are looked for.
pub(crate) async fn load_above(
    tx: &mut dyn Tx,
    tenant: u32,
    mut known: BTreeSet<Who>,
    referrals: &mut Referrals,
) -> Result<(), RecordsError> {
    for _ in 0..RING_MAX {
        let above = referrals.values().map(|brought| brought.referrer);
        let above: BTreeSet<Who> = above.filter(|who| !known.contains(who)).collect();
        if above.is_empty() {
            break;
        }
        referrals.extend(load(tx, tenant, &above).await?);
        known.extend(above);
    }
    Ok(())
}

/// Whether somebody stands above another, or is the same: brought them, or brought who did, and so on up.
pub(crate) fn is_above(referrals: &Referrals, (who, campaign): (Who, u32), below: Who) -> bool {
    let up = |at: &Who| referrals.get(&(*at, campaign)).map(|brought| brought.referrer);
    std::iter::successors(Some(below), up).take(RING_MAX + 1).any(|at| at == who)
}

pub(crate) async fn save(
    tx: &mut dyn Tx,
    tenant: u32,
    changed: &[((Who, u32), &Brought)],
) -> Result<(), RecordsError> {
    let mut values = Vec::with_capacity(changed.len() * 9);
    for ((who, campaign), brought) in changed {
        let [bucket, hash] = who.values();
        let [by_bucket, by_hash] = brought.referrer.values();
        values.extend([
            bucket,
            Value::Int(tenant.into()),
            hash,
            Value::Int((*campaign).into()),
            Value::Text(&brought.code),
            by_bucket,
            by_hash,
            Value::Int(brought.at_ms),
            Value::Int(brought.qualified.into()),
        ]);
    }
    SAVE.rows(tx, &values).await
}

/// The effect of somebody having done what was asked of those who are brought.
pub(crate) fn qualified(
    (campaign, id): (u32, &str),
    (seq, at_ms): (u64, i64),
    (who, brought): (Who, &Brought),
) -> Result<Effect, RecordsError> {
    let (campaign_id, code, referee) = (id.to_owned(), brought.code.clone(), who.to_string());
    let body = Qualified { campaign: campaign_id, code, referee, at_ms: Some(at_ms) };
    let body = serde_json::to_vec(&body).map_err(|error| RecordsError::Corrupt(error.to_string()))?;
    let key = [&campaign.to_be_bytes()[..], &who.hash].concat();
    Ok(Effect { topic: QUALIFIED, subject: campaign, seq, key, n: 1, body, at_ms, due_ms: None })
}

/// Whose code this is, in which campaign: their name, unless it was erased.
pub(crate) async fn owner_of(
    tx: &mut dyn Tx,
    tenant: u32,
    (campaign, code): (u32, &str),
) -> Result<Option<String>, RecordsError> {
    let sql = "SELECT participant FROM referral_code WHERE shard=? AND tenant=? AND campaign=? AND code=?";
    let values = [
        Value::Int(Shard::HOME.0.into()),
        Value::Int(tenant.into()),
        Value::Int(campaign.into()),
        Value::Text(code),
    ];
    let rows = tx.fetch(sql, &values).await?;
    rows.first().map(|row| Ok(row.text(0)?.to_owned())).transpose()
}

/// Somebody's code in a campaign, where they have one.
pub(crate) async fn code_of(
    tx: &mut dyn Tx,
    tenant: u32,
    (campaign, who): (u32, Who),
) -> Result<Option<String>, RecordsError> {
    let [bucket, hash] = who.values();
    let sql = "SELECT code FROM referral_code
        WHERE shard=? AND tenant=? AND campaign=? AND bucket=? AND who=?";
    let values = [
        Value::Int(Shard::HOME.0.into()),
        Value::Int(tenant.into()),
        Value::Int(campaign.into()),
        bucket,
        hash,
    ];
    let rows = tx.fetch(sql, &values).await?;
    rows.first().map(|row| Ok(row.text(0)?.to_owned())).transpose()
}

/// Whether somebody has a code in any campaign.
pub(crate) async fn has_code(tx: &mut dyn Tx, tenant: u32, who: Who) -> Result<bool, RecordsError> {
    let [bucket, hash] = who.values();
    let sql = "SELECT code FROM referral_code WHERE shard=? AND tenant=? AND bucket=? AND who=? LIMIT 1";
    let values = [Value::Int(Shard::HOME.0.into()), Value::Int(tenant.into()), bucket, hash];
    Ok(!tx.fetch(sql, &values).await?.is_empty())
}

/// Removes all codes of somebody, and their name with them. Answers how many.
pub(crate) async fn forget_codes(tx: &mut dyn Tx, tenant: u32, who: Who) -> Result<u64, RecordsError> {
    let [bucket, hash] = who.values();
    let sql = "DELETE FROM referral_code WHERE shard=? AND tenant=? AND bucket=? AND who=?";
    let values = [Value::Int(Shard::HOME.0.into()), Value::Int(tenant.into()), bucket, hash];
    tx.exec(sql, &values).await
}

/// Gives somebody a code, unless they have one: answers theirs.
pub(crate) async fn give_code(
    tx: &mut dyn Tx,
    tenant: u32,
    (campaign, who, participant): (u32, Who, &str),
    (code, now_ms): (&str, i64),
) -> Result<String, RecordsError> {
    if let Some(known) = code_of(tx, tenant, (campaign, who)).await? {
        return Ok(known);
    }
    let [bucket, hash] = who.values();
    let values = [
        Value::Int(Shard::HOME.0.into()),
        Value::Int(tenant.into()),
        Value::Int(campaign.into()),
        Value::Text(code),
        bucket,
        hash,
        Value::Text(participant),
        Value::Int(now_ms),
    ];
    let sql = "INSERT INTO referral_code (shard,tenant,campaign,code,bucket,who,participant,given_ms)
        VALUES (?,?,?,?,?,?,?,?)";
    tx.exec(sql, &values).await?;
    Ok(code.to_owned())
}
