//! Segments of people: uploaded lists, and rules over what is known of somebody.

use std::collections::BTreeSet;

use records::error::Error as RecordsError;
use records::port::{Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::document::Audience;
use crate::who::Who;

/// Most names in one upload.
pub const UPLOAD_MAX: usize = 20_000;

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
static ADD: Insert =
    Insert::or_replace("audience_member", &["bucket", "tenant", "who", "list", "added_ms"], 4);
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

/// Puts people on a list; those who are on it stay.
pub(crate) async fn add(
    tx: &mut dyn Tx,
    tenant: u32,
    (list, people, now_ms): (&str, &BTreeSet<Who>, i64),
) -> Result<(), RecordsError> {
    let mut values = Vec::with_capacity(people.len() * 5);
    for who in people {
        let [bucket, hash] = who.values();
        values.extend([bucket, Value::Int(tenant.into()), hash, Value::Text(list), Value::Int(now_ms)]);
    }
    ADD.rows(tx, &values).await
}

/// Takes people off a list; answers how many were on it.
pub(crate) async fn remove(
    tx: &mut dyn Tx,
    tenant: u32,
    (list, people): (&str, &BTreeSet<Who>),
) -> Result<u64, RecordsError> {
    let keys: Vec<_> = people.iter().flat_map(Who::values).collect();
    REMOVE.exec(tx, &[Value::Int(tenant.into()), Value::Text(list)], &keys).await
}

/// How many are on a list.
pub(crate) async fn count(tx: &mut dyn Tx, tenant: u32, list: &str) -> Result<u64, RecordsError> {
    let sql = "SELECT COUNT(*) FROM audience_member WHERE tenant=? AND list=?";
    let rows = tx.fetch(sql, &[Value::Int(tenant.into()), Value::Text(list)]).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
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
