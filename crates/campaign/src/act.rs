//! What participants do in campaigns, and what came of it. An act is kept under its key, so that whoever reports it twice is
//! answered as before.

use std::collections::{BTreeMap, BTreeSet};

use kernel::id::{Shard, Tenant};
use records::error::Error as RecordsError;
use records::outbox::Effect;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gain::Gained;
use crate::offer::{OrderKey, Total};
use crate::who::Who;

/// Longest business id, in bytes.
pub const BUSINESS_ID_MAX: usize = 128;

/// Something that a participant does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who.
    pub participant: String,
    /// Their place in keys.
    pub who: Who,
    /// What.
    pub what: What,
    /// SHA-256 of what was sent: the same key with another body is another act.
    pub body_hash: [u8; 32],
    /// When it was done, in milliseconds since the epoch, where the house posts it later than that; now where nothing is said.
    pub done_ms: Option<i64>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// They behaved in some way.
    Behave {
        /// How.
        behaviour: String,
        /// What the caller calls the event: reported twice, it counts once.
        business_id: String,
        /// Its value, for example the price paid in minor units.
        value: Option<i64>,
        /// Only for this campaign; for every campaign with a rule where nothing is said.
        campaign: Option<String>,
    },
    /// They sign in for today.
    SignIn {
        /// Where.
        campaign: String,
    },
    /// They were brought.
    Refer {
        /// Where.
        campaign: String,
        /// By the code of whom.
        code: String,
        /// Whose code it is; nobody's where there is none, or not any more.
        referrer: Option<Who>,
    },
    /// They order.
    Order {
        /// Where.
        campaign: String,
        /// What.
        offer: String,
        /// How many.
        quantity: u32,
        /// The Idempotency-Key.
        key: String,
    },
    /// They pay what they ordered.
    Pay {
        /// Which.
        order: OrderKey,
    },
    /// They give up what they ordered.
    Cancel {
        /// Which.
        order: OrderKey,
    },
    /// An order's time is over.
    Expire {
        /// Which.
        order: OrderKey,
    },
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Outcome {
    /// A behaviour was taken.
    Behaved {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
        /// What it gave.
        gains: Vec<Gained>,
    },
    /// A day was signed.
    SignedIn {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
        /// The campaign's id.
        campaign: String,
        /// The local day.
        day: String,
        /// On how many days in a row.
        streak: u32,
        /// What it gave.
        gains: Vec<Gained>,
    },
    /// It is noted who brought them.
    Referred {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
        /// The campaign's id.
        campaign: String,
    },
    /// Something is set aside for them.
    Ordered {
        /// When, in milliseconds since the epoch.
        at_ms: i64,
        /// The order's id.
        order: String,
        /// The campaign's id.
        campaign: String,
        /// The offer's id.
        offer: String,
        /// How many.
        quantity: u32,
        /// What it costs in all; null where it is for free.
        price: Option<Total>,
        /// When it is over unless it is paid, in milliseconds since the epoch.
        expires_ms: i64,
    },
}

/// An act's key: who, the kind of act, and the key within it.
pub(crate) type ActKey = (Who, String, String);

/// An act that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) seq: u64,
    pub(crate) at_ms: i64,
    pub(crate) body_hash: [u8; 32],
    pub(crate) outcome: Outcome,
}

static LOAD: ByKeys = ByKeys::new(
    "SELECT bucket,who,kind,act_key,seq,at_ms,body_hash,outcome FROM campaign_act WHERE tenant=?",
    &["bucket", "who", "kind", "act_key"],
    "",
);
static SAVE: Insert = Insert::new(
    "campaign_act",
    &["bucket", "tenant", "who", "kind", "act_key", "seq", "at_ms", "body_hash", "outcome"],
);

/// Acts by their keys.
pub(crate) async fn load(
    tx: &mut dyn Tx,
    tenant: u32,
    keys: &[ActKey],
) -> Result<BTreeMap<ActKey, Act>, RecordsError> {
    let values: Vec<_> = keys
        .iter()
        .flat_map(|(who, kind, key)| {
            let [bucket, hash] = who.values();
            [bucket, hash, Value::Text(kind), Value::Text(key)]
        })
        .collect();
    let mut acts = BTreeMap::new();
    for row in LOAD.fetch(tx, &[Value::Int(tenant.into())], &values).await? {
        let outcome = serde_json::from_str(row.text(7)?)
            .map_err(|error| RecordsError::Corrupt(format!("an act's outcome: {error}")))?;
        let act = Act { seq: row.count(4)?, at_ms: row.int(5)?, body_hash: row.array(6)?, outcome };
        acts.insert((Who::from_row(&row)?, row.text(2)?.to_owned(), row.text(3)?.to_owned()), act);
    }
    Ok(acts)
}

static DONE: ByKeys = ByKeys::new(
    "SELECT bucket,who,kind FROM campaign_act WHERE tenant=?",
    &["bucket", "who", "kind"],
    "GROUP BY bucket,who,kind",
);

/// Which of these kinds of acts people have done, under whatever key.
pub(crate) async fn done(
    tx: &mut dyn Tx,
    tenant: u32,
    kinds: &BTreeSet<(Who, String)>,
) -> Result<BTreeSet<(Who, String)>, RecordsError> {
    let values: Vec<_> = kinds
        .iter()
        .flat_map(|(who, kind)| {
            let [bucket, hash] = who.values();
            [bucket, hash, Value::Text(kind)]
        })
        .collect();
    let rows = DONE.fetch(tx, &[Value::Int(tenant.into())], &values).await?;
    rows.iter().map(|row| Ok((Who::from_row(row)?, row.text(2)?.to_owned()))).collect()
}

/// Writes new acts. One whose key is taken is [`RecordsError::Duplicate`].
pub(crate) async fn save(tx: &mut dyn Tx, tenant: u32, acts: &[(ActKey, Act)]) -> Result<(), RecordsError> {
    let text = |(_, act): &(ActKey, Act)| {
        serde_json::to_string(&act.outcome).map_err(|error| RecordsError::Corrupt(error.to_string()))
    };
    let texts: Vec<_> = acts.iter().map(text).collect::<Result<_, _>>()?;
    let mut values = Vec::with_capacity(acts.len() * 9);
    for (((who, kind, key), act), text) in acts.iter().zip(&texts) {
        let [bucket, hash] = who.values();
        values.extend([
            bucket,
            Value::Int(tenant.into()),
            hash,
            Value::Text(kind),
            Value::Text(key),
            Value::count(act.seq),
            Value::Int(act.at_ms),
            Value::Bytes(&act.body_hash),
            Value::Text(text),
        ]);
    }
    SAVE.rows(tx, &values).await
}

/// Topic of what tells that acts were kept: one effect for all of a batch. Its number is that of the last.
pub const ACTS_KEPT: &str = "act.kept";

/// What tells that acts were kept, up to the last of a batch.
pub(crate) fn kept(tenant: Tenant, last: u64, at_ms: i64) -> Effect {
    Effect::up_to(ACTS_KEPT, tenant.number, last, at_ms)
}

static NAMES: Insert = Insert::or_keep("campaign_person", &["bucket", "tenant", "who", "participant"], 3);

/// Notes who is behind a hash. Whoever was forgotten stays so.
pub(crate) async fn note_names(
    tx: &mut dyn Tx,
    tenant: u32,
    names: &BTreeMap<Who, String>,
) -> Result<(), RecordsError> {
    let values = names.iter().flat_map(|(who, name)| {
        let [bucket, hash] = who.values();
        [bucket, Value::Int(tenant.into()), hash, Value::Text(name)]
    });
    NAMES.rows(tx, &values.collect::<Vec<_>>()).await
}

/// Forgets who is behind a hash. Answers whether that was known.
pub(crate) async fn forget_name(tx: &mut dyn Tx, tenant: u32, who: Who) -> Result<bool, RecordsError> {
    let sql =
        "UPDATE campaign_person SET participant='' WHERE bucket=? AND tenant=? AND who=? AND participant<>''";
    let [bucket, hash] = who.values();
    Ok(tx.exec(sql, &[bucket, Value::Int(tenant.into()), hash]).await? > 0)
}

/// An act as those see it who follow them.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its number, from 1 and without gaps in a database.
    pub seq: u64,
    /// Who.
    pub who: Who,
    /// `behaviour/<behaviour>`, `sign_in`, `referral` or `order/<campaign's number>`.
    pub kind: String,
    /// What the caller calls it.
    pub key: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What came of it.
    pub outcome: Outcome,
}

/// The acts with numbers in `after + 1 ..= last`, in order.
pub async fn between(
    tx: &mut dyn Tx,
    tenant: Tenant,
    (after, last): (u64, u64),
) -> Result<Vec<Kept>, RecordsError> {
    let sql = "SELECT bucket,who,kind,act_key,seq,at_ms,outcome FROM campaign_act
        WHERE tenant=? AND seq>? AND seq<=? ORDER BY seq";
    let values = [Value::Int(tenant.number.into()), Value::count(after), Value::count(last)];
    let rows = tx.fetch(sql, &values).await?;
    let read = |row: &Row| {
        let outcome = serde_json::from_str(row.text(6)?)
            .map_err(|error| RecordsError::Corrupt(format!("an act's outcome: {error}")))?;
        Ok(Kept {
            who: Who::from_row(row)?,
            kind: row.text(2)?.to_owned(),
            key: row.text(3)?.to_owned(),
            seq: row.count(4)?,
            at_ms: row.int(5)?,
            outcome,
        })
    };
    rows.iter().map(read).collect()
}

/// The number of the last act; 0 where there is none.
pub async fn last(tx: &mut dyn Tx, shard: Shard, tenant: Tenant) -> Result<u64, RecordsError> {
    let sql = "SELECT seq FROM campaign_head WHERE shard=? AND tenant=?";
    let rows = tx.fetch(sql, &[Value::Int(shard.0.into()), Value::Int(tenant.number.into())]).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

static PERSONS: ByKeys =
    ByKeys::new("SELECT bucket,who,participant FROM campaign_person WHERE tenant=?", &["bucket", "who"], "");

/// Who is behind hashes, where it is known.
pub async fn names(
    tx: &mut dyn Tx,
    tenant: Tenant,
    people: &BTreeSet<Who>,
) -> Result<BTreeMap<Who, String>, RecordsError> {
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    let rows = PERSONS.fetch(tx, &[Value::Int(tenant.number.into())], &keys).await?;
    rows.iter().map(|row| Ok((Who::from_row(row)?, row.text(2)?.to_owned()))).collect()
}
