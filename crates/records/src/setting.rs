//! Settings that people change while the product runs: what stands now, and every change there was.
//!
//! A setting that was never changed, or was taken back, or whose time is over, has no say: what holds then is the
//! business of whoever reads it. Its version is the revision at which it was changed, and 0 where it does not stand.

use kernel::id::Shard;

use crate::audit::{self, Cause, Change, Stream};
use crate::error::Error as RecordsError;
use crate::follow::{Followed, REVISION_TABLE, advance};
use crate::migration::Room;
use crate::port::{Row, Tx, Value};

const SETTING_TABLE: &str = "CREATE TABLE setting (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    family VARCHAR(32) NOT NULL,
    name VARCHAR(64) NOT NULL,
    whose VARCHAR(160) NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    value VARCHAR(200) NOT NULL,
    until_ms BIGINT,
    at_ms BIGINT NOT NULL,
    actor VARCHAR(128) NOT NULL,
    reason VARCHAR(500) NOT NULL,
    PRIMARY KEY (shard, tenant, family, name, whose)
){table_end}";

const CHANGE_TABLE: &str = "CREATE TABLE setting_change (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    family VARCHAR(32) NOT NULL,
    name VARCHAR(64) NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    whose VARCHAR(160) NOT NULL,
    value VARCHAR(200),
    until_ms BIGINT,
    at_ms BIGINT NOT NULL,
    actor VARCHAR(128) NOT NULL,
    reason VARCHAR(500) NOT NULL,
    PRIMARY KEY (shard, tenant, family, name, version)
){table_end}";

/// The tables of settings, and of the revisions by which all processes follow them.
pub const ROOM: Room = Room { name: "setting", steps: &[&[REVISION_TABLE, SETTING_TABLE, CHANGE_TABLE]] };

/// Settings of one family that may stand at once.
pub const STANDING_MAX: u64 = 1000;

/// Why a setting is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was changed since the caller read it.
    #[error("the setting stands at version {0}: read it again, then decide")]
    Changed(u64),
    /// There are too many.
    #[error("{STANDING_MAX} settings stand already: take one back first")]
    TooMany,
    /// The records failed.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// A setting, as it stands or as it was changed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What is set.
    pub name: String,
    /// For whom alone; empty where it is for all.
    pub whose: String,
    /// The revision at which it was changed.
    pub version: u64,
    /// What it is set to; `None` where it was taken back.
    pub value: Option<String>,
    /// Until when, in milliseconds since the epoch; for good where it is `None`.
    pub until_ms: Option<i64>,
    /// When it was changed, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Who changed it, by the name of their key.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Setting {
    fn read(row: &Row) -> Result<Self, RecordsError> {
        Ok(Self {
            name: row.text(0)?.to_owned(),
            whose: row.text(1)?.to_owned(),
            version: row.count(2)?,
            value: row.text_or_null(3)?.map(str::to_owned),
            until_ms: row.int_or_null(4)?,
            at_ms: row.int(5)?,
            by: row.text(6)?.to_owned(),
            reason: row.text(7)?.to_owned(),
        })
    }
}

const COLUMNS: &str = "name,whose,version,value,until_ms,at_ms,actor,reason";

fn family<F: Followed>(tenant: u32) -> [Value<'static>; 3] {
    [Value::Int(Shard::HOME.0.into()), Value::Int(tenant.into()), Value::Text(F::NAME)]
}

/// All settings of a family that stand, those among them whose time is over.
pub async fn all<F: Followed>(tx: &mut dyn Tx, tenant: u32) -> Result<Vec<Setting>, RecordsError> {
    let sql =
        format!("SELECT {COLUMNS} FROM setting WHERE shard=? AND tenant=? AND family=? ORDER BY name,whose");
    tx.fetch(&sql, &family::<F>(tenant)).await?.iter().map(Setting::read).collect()
}

/// Up to `limit` changes of a name after a version, oldest first.
pub async fn changes<F: Followed>(
    tx: &mut dyn Tx,
    tenant: u32,
    (name, after): (&str, u64),
    limit: u32,
) -> Result<Vec<Setting>, RecordsError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM setting_change WHERE shard=? AND tenant=? AND family=? AND name=? AND version>?
         ORDER BY version LIMIT ?"
    );
    let rest = [Value::Text(name), Value::count(after), Value::Int(limit.into())];
    let rows = tx.fetch(&sql, &[&family::<F>(tenant)[..], &rest].concat()).await?;
    rows.iter().map(Setting::read).collect()
}

/// What somebody wants changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What.
    pub name: &'static str,
    /// For whom alone; empty where it is for all. At most 160 bytes.
    pub whose: String,
    /// To what; `None` takes the setting back. At most 200 bytes.
    pub value: Option<String>,
    /// Until when, in milliseconds since the epoch.
    pub until_ms: Option<i64>,
    /// The version that the caller has seen; 0 where the setting did not stand, or its time was over.
    pub version: u64,
    /// Why. At most 500 characters.
    pub reason: String,
}

/// Changes a setting, with its revision, its history and its entry of the audit log. A setting whose time is over counts as
/// never set, and is known by its version all the same, for as long as it is told. All of those are taken out on the way.
pub async fn change<F: Followed>(
    tx: &mut dyn Tx,
    tenant: u32,
    wish: Wish,
    (cause, now_ms): (&Cause, i64),
) -> Result<Setting, Error> {
    let version = advance::<F>(tx, tenant).await?;
    let family = family::<F>(tenant);
    let key = [&family[..], &[Value::Text(wish.name), Value::Text(&wish.whose)]].concat();
    let select =
        "SELECT version,until_ms FROM setting WHERE shard=? AND tenant=? AND family=? AND name=? AND whose=?";
    let (stands, is_over) = match tx.fetch(select, &key).await?.first() {
        Some(row) => (row.count(0)?, row.int_or_null(1)?.is_some_and(|until_ms| until_ms <= now_ms)),
        None => (0, true),
    };
    if wish.version != stands && !(is_over && wish.version == 0) {
        return Err(Error::Changed(stands));
    }
    let over = "DELETE FROM setting WHERE shard=? AND tenant=? AND family=? AND until_ms<=?";
    tx.exec(over, &[&family[..], &[Value::Int(now_ms)]].concat()).await?;
    let delete = "DELETE FROM setting WHERE shard=? AND tenant=? AND family=? AND name=? AND whose=?";
    tx.exec(delete, &key).await?;
    let by: String = cause.actor.name.chars().take(128).collect();
    let told = [
        Value::text_or_null(wish.value.as_deref()),
        Value::int_or_null(wish.until_ms),
        Value::Int(now_ms),
        Value::Text(&by),
        Value::Text(&wish.reason),
    ];
    if wish.value.is_some() {
        let count = "SELECT COUNT(*) FROM setting WHERE shard=? AND tenant=? AND family=?";
        if tx.fetch(count, &family).await?.first().map_or(Ok(0), |row| row.count(0))? >= STANDING_MAX {
            return Err(Error::TooMany);
        }
        let insert =
            "INSERT INTO setting (shard,tenant,family,name,whose,version,value,until_ms,at_ms,actor,reason)
            VALUES (?,?,?,?,?,?,?,?,?,?,?)";
        tx.exec(insert, &[&key[..], &[Value::count(version)], &told].concat()).await?;
    }
    let insert = "INSERT INTO setting_change
        (shard,tenant,family,name,version,whose,value,until_ms,at_ms,actor,reason) VALUES (?,?,?,?,?,?,?,?,?,?,?)";
    let named = [Value::Text(wish.name), Value::count(version), Value::Text(&wish.whose)];
    tx.exec(insert, &[&family[..], &named, &told].concat()).await?;
    let whose = if wish.whose.is_empty() { String::new() } else { format!(" for {}", wish.whose) };
    let value = wish.value.as_deref().unwrap_or("taken back");
    let until = wish.until_ms.map_or_else(String::new, |until_ms| format!(" until {until_ms}"));
    let change = Change {
        at_ms: now_ms,
        action: "set",
        subject: format!("{}/{}", F::NAME, wish.name),
        detail: format!("{value}{whose}{until}: {}", wish.reason),
    };
    audit::append(tx, &Stream::changes(Shard::HOME, tenant), cause, change).await?;
    let Wish { name, whose, value, until_ms, reason, .. } = wish;
    Ok(Setting { name: name.to_owned(), whose, version, value, until_ms, at_ms: now_ms, by, reason })
}
