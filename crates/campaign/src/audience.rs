//! Segments of people: uploaded lists, and rules over what is known of somebody.

use std::collections::BTreeSet;

use kernel::id::Shard;
use records::audit::{self, Stream};
use records::error::Error as RecordsError;
use records::port::{Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::document::Audience;
use crate::error::Error;
use crate::who::Who;

/// Most names in one upload.
pub const UPLOAD_MAX: usize = 20_000;

/// Most lists of a tenant.
pub const LISTS_MAX: u64 = 1000;

/// Most people on one list.
pub const MEMBERS_MAX: u64 = 5_000_000;

/// What an upload has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// How many are on the list now.
    pub members: u64,
    /// How many of those who were named were not on it before, or were.
    pub changed: u64,
}

/// What is known of somebody.
pub(crate) trait Standing {
    /// Whether they are on an uploaded list.
    fn is_on(&self, list: &str) -> bool;
    /// What they can spend of a wallet now.
    fn available(&mut self, unit: &str, wallet: &str) -> i64;
    /// On how many days in a row they have signed in, up to today or yesterday.
    fn streak(&self) -> u32;
    /// Whether somebody brought them.
    fn is_referred(&self) -> bool;
}

/// Whether somebody belongs to an audience.
pub(crate) fn belongs(audience: &Audience, standing: &mut dyn Standing) -> bool {
    match audience {
        Audience::List { list } => standing.is_on(list),
        Audience::Balance { unit, wallet, at_least } => standing.available(unit, wallet) >= *at_least,
        Audience::Streak { at_least } => standing.streak() >= *at_least,
        Audience::Referred {} => standing.is_referred(),
        Audience::All { of } => of.iter().all(|part| belongs(part, standing)),
        Audience::Any { of } => of.iter().any(|part| belongs(part, standing)),
        Audience::None { of } => !of.iter().any(|part| belongs(part, standing)),
    }
}

/// The wallets that an audience looks at: unit and wallet.
pub(crate) fn wallets(audience: &Audience) -> Vec<(&str, &str)> {
    match audience {
        Audience::Balance { unit, wallet, .. } => vec![(unit, wallet)],
        Audience::All { of } | Audience::Any { of } | Audience::None { of } => {
            of.iter().flat_map(wallets).collect()
        }
        Audience::List { .. } | Audience::Streak { .. } | Audience::Referred {} => vec![],
    }
}

static LOAD: ByKeys =
    ByKeys::new("SELECT bucket,who,list FROM audience_member WHERE tenant=?", &["bucket", "who"], "");
static ADD: Insert = Insert::new("audience_member", &["bucket", "tenant", "who", "list", "added_ms"]);
static ADDED: ByKeys =
    ByKeys::new("SELECT bucket,who FROM audience_member WHERE tenant=? AND list=?", &["bucket", "who"], "");
static REMOVE: ByKeys =
    ByKeys::new("DELETE FROM audience_member WHERE tenant=? AND list=?", &["bucket", "who"], "");

/// The lists that people are on.
pub(crate) async fn lists(
    tx: &mut dyn Tx,
    tenant: u32,
    people: &BTreeSet<Who>,
) -> Result<BTreeSet<(Who, String)>, RecordsError> {
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    let rows = LOAD.fetch(tx, &[Value::Int(tenant.into())], &keys).await?;
    rows.iter().map(|row| Ok((Who::from_row(row)?, row.text(2)?.to_owned()))).collect()
}

/// How many are on a list; `None` where there is no such list.
pub(crate) async fn members(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    list: &str,
) -> Result<Option<u64>, RecordsError> {
    let sql = "SELECT members FROM audience_list WHERE shard=? AND tenant=? AND list=?";
    let key = [Value::Int(shard.0.into()), Value::Int(tenant.into()), Value::Text(list)];
    tx.fetch(sql, &key).await?.first().map(|row| row.count(0)).transpose()
}

/// Makes sure that there is a list, and locks it: whoever changes it has counted what they change.
async fn lock(tx: &mut dyn Tx, (shard, tenant): (Shard, u32), list: &str) -> Result<u64, Error> {
    let key = [Value::Int(shard.0.into()), Value::Int(tenant.into()), Value::Text(list)];
    let sql = format!(
        "SELECT members FROM audience_list WHERE shard=? AND tenant=? AND list=?{}",
        tx.dialect().for_update()
    );
    if let Some(row) = tx.fetch(&sql, &key).await?.first() {
        return Ok(row.count(0)?);
    }
    // Lists are made one at a time: two that are made at once would each count without the other.
    audit::hold(tx, &Stream::changes(shard, tenant)).await?;
    if let Some(row) = tx.fetch(&sql, &key).await?.first() {
        return Ok(row.count(0)?);
    }
    let sql = "SELECT COUNT(*) FROM audience_list WHERE shard=? AND tenant=?";
    let lists = tx.fetch(sql, &key[..2]).await?.first().map_or(Ok(0), |row| row.count(0))?;
    if lists >= LISTS_MAX {
        return Err(Error::TooManyLists(LISTS_MAX));
    }
    let insert = "INSERT INTO audience_list (shard,tenant,list,members) VALUES (?,?,?,0)";
    tx.exec(insert, &key).await?;
    Ok(0)
}

/// Writes how many are on a list, if there are still as many as were counted.
async fn count(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    (list, before, after): (&str, u64, u64),
) -> Result<(), RecordsError> {
    let values = [
        Value::count(after),
        Value::Int(shard.0.into()),
        Value::Int(tenant.into()),
        Value::Text(list),
        Value::count(before),
    ];
    let sql = "UPDATE audience_list SET members=? WHERE shard=? AND tenant=? AND list=? AND members=?";
    if tx.exec(sql, &values).await? == 1 { Ok(()) } else { Err(RecordsError::Surprise("audience_list")) }
}

/// Puts people on a list; those who are on it stay.
pub(crate) async fn add(
    tx: &mut dyn Tx,
    database: (Shard, u32),
    (list, people, now_ms): (&str, &BTreeSet<Who>, i64),
) -> Result<Uploaded, Error> {
    let (before, tenant) = (lock(tx, database, list).await?, Value::Int(database.1.into()));
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    let known = ADDED.fetch(tx, &[tenant, Value::Text(list)], &keys).await?;
    let known: BTreeSet<Who> = known.iter().map(Who::from_row).collect::<Result<_, _>>()?;
    let fresh: Vec<&Who> = people.difference(&known).collect();
    let (changed, members) = (fresh.len() as u64, before + fresh.len() as u64);
    if members > MEMBERS_MAX {
        return Err(Error::ListFull(MEMBERS_MAX));
    }
    let mut values = Vec::with_capacity(fresh.len() * 5);
    for who in fresh {
        let [bucket, hash] = who.values();
        values.extend([bucket, tenant, hash, Value::Text(list), Value::Int(now_ms)]);
    }
    ADD.rows(tx, &values).await?;
    if changed > 0 {
        count(tx, database, (list, before, members)).await?;
    }
    Ok(Uploaded { members, changed })
}

/// Takes people off a list. One that is not there stays so.
pub(crate) async fn remove(
    tx: &mut dyn Tx,
    database: (Shard, u32),
    (list, people): (&str, &BTreeSet<Who>),
) -> Result<Uploaded, Error> {
    if members(tx, database, list).await?.is_none() {
        return Ok(Uploaded { members: 0, changed: 0 });
    }
    let before = lock(tx, database, list).await?;
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    let fixed = [Value::Int(database.1.into()), Value::Text(list)];
    let changed = REMOVE.exec(tx, &fixed, &keys).await?;
    let members = before.checked_sub(changed).ok_or(RecordsError::Surprise("audience_list"))?;
    if changed > 0 {
        count(tx, database, (list, before, members)).await?;
    }
    Ok(Uploaded { members, changed })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Standing for Known {
        fn is_on(&self, list: &str) -> bool {
            list == "vips"
        }
        fn available(&mut self, unit: &str, wallet: &str) -> i64 {
            if (unit, wallet) == ("point", "main") { 100 } else { 0 }
        }
        fn streak(&self) -> u32 {
            3
        }
        fn is_referred(&self) -> bool {
            true
        }
    }

    #[test]
    fn rules_are_put_together() {
        let list = |list: &str| Audience::List { list: list.to_owned() };
        let points =
            |at_least| Audience::Balance { unit: "point".to_owned(), wallet: "main".to_owned(), at_least };
        let (vips, staff) = (list("vips"), list("staff"));
        for (audience, expected) in [
            (vips.clone(), true),
            (staff.clone(), false),
            (points(100), true),
            (points(101), false),
            (Audience::Streak { at_least: 3 }, true),
            (Audience::Streak { at_least: 4 }, false),
            (Audience::Referred {}, true),
            (Audience::All { of: vec![vips.clone(), points(100)] }, true),
            (Audience::All { of: vec![vips.clone(), staff.clone()] }, false),
            (Audience::Any { of: vec![vips.clone(), staff.clone()] }, true),
            (Audience::None { of: vec![staff.clone(), points(500)] }, true),
            (Audience::None { of: vec![vips, staff] }, false),
        ] {
            assert_eq!(belongs(&audience, &mut Known), expected, "{audience:?}");
        }
    }
}
