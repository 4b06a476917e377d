//! Postings: what each entry did to an account. The last one is how the account stands.

use std::collections::HashMap;

use kernel::amount::Unit;
use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, FromKeys, Insert};

use crate::account::{Account, AccountId, Owner};
use crate::entry::Entry;
use crate::lot::account_of;
use crate::order::{After, Line};

static INSERT: Insert = Insert::new(
    "ledger_posting",
    &["bucket", "tenant", "account", "seq", "entry", "amount", "balance", "held", "pending", "floor", "lots"],
);
static LAST: FromKeys = FromKeys::new(
    "SELECT p.bucket,p.account,p.seq,p.balance,p.held,p.pending,p.floor,p.lots FROM",
    2,
    "JOIN ledger_posting p ON p.bucket=k.k0 AND p.tenant=? AND p.account=k.k1 AND p.seq=
        (SELECT MAX(q.seq) FROM ledger_posting q WHERE q.bucket=k.k0 AND q.tenant=? AND q.account=k.k1)",
);
static NAMES: ByKeys = ByKeys::new(
    "SELECT bucket,account,kind,owner,wallet,unit FROM ledger_account WHERE tenant=?",
    &["bucket", "account"],
    "",
);
static INSERT_NAMES: Insert = Insert::new(
    "ledger_account",
    &["bucket", "tenant", "account", "kind", "owner", "wallet", "unit", "opened_ms"],
);

fn keys(accounts: &[AccountId]) -> Vec<Value<'_>> {
    accounts
        .iter()
        .flat_map(|account| [Value::Int(account.bucket.into()), Value::Bytes(&account.hash)])
        .collect()
}

fn after(row: &Row) -> Result<(AccountId, After), RecordsError> {
    let after = After {
        seq: row.count(2)?,
        balance: row.int(3)?,
        held: row.int(4)?,
        pending: row.int(5)?,
        floor: row.int(6)?,
        lots: row.int(7)? != 0,
    };
    Ok((account_of(row)?, after))
}

/// How accounts stand; those that do not exist are left out.
pub(crate) async fn last(
    tx: &mut dyn Tx,
    tenant: u32,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, After>, RecordsError> {
    let tenant = Value::Int(tenant.into());
    let rows = LAST.fetch(tx, &keys(accounts), &[tenant, tenant]).await?;
    rows.iter().map(after).collect()
}

/// Names of accounts.
pub(crate) async fn names(
    tx: &mut dyn Tx,
    tenant: u32,
    accounts: &[AccountId],
) -> Result<Vec<(AccountId, Account)>, RecordsError> {
    let rows = NAMES.fetch(tx, &[Value::Int(tenant.into())], &keys(accounts)).await?;
    rows.iter().map(|row| Ok((account_of(row)?, named(row, 2)?))).collect()
}

/// The name in four columns.
pub(crate) fn named(row: &Row, from: usize) -> Result<Account, RecordsError> {
    let owner = row.text(from + 1)?.to_owned();
    let owner = match row.text(from)? {
        "participant" => Owner::Participant(owner),
        "house" => Owner::House(owner),
        other => return Err(RecordsError::Corrupt(format!("an account of kind `{other}`"))),
    };
    let unit: Unit =
        row.text(from + 3)?.parse().map_err(|_| RecordsError::Corrupt("an account's unit".to_owned()))?;
    Ok(Account { owner, wallet: row.text(from + 2)?.to_owned(), unit })
}

/// Writes the names of new accounts.
pub(crate) async fn save_names(
    tx: &mut dyn Tx,
    (tenant, now_ms): (u32, i64),
    names: &[(AccountId, Account)],
) -> Result<(), RecordsError> {
    let values: Vec<_> = names
        .iter()
        .flat_map(|(id, account)| {
            let (kind, owner) = match &account.owner {
                Owner::Participant(name) => ("participant", name),
                Owner::House(name) => ("house", name),
            };
            [
                Value::Int(id.bucket.into()),
                Value::Int(tenant.into()),
                Value::Bytes(&id.hash),
                Value::Text(kind),
                Value::Text(owner),
                Value::Text(&account.wallet),
                Value::Text(account.unit.name()),
                Value::Int(now_ms),
            ]
        })
        .collect();
    INSERT_NAMES.rows(tx, &values).await
}

/// Writes the postings of entries, account by account.
pub(crate) async fn save<'a>(
    tx: &mut dyn Tx,
    tenant: u32,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<(), RecordsError> {
    let done = entries.filter(|entry| entry.refused.is_none());
    let mut postings: Vec<(u64, &Line)> =
        done.flat_map(|entry| entry.lines.iter().map(|line| (entry.seq, line))).collect();
    postings.sort_unstable_by_key(|(_, line)| (line.account, line.after.seq));
    let values: Vec<_> = postings
        .iter()
        .flat_map(|(entry, line)| {
            [
                Value::Int(line.account.bucket.into()),
                Value::Int(tenant.into()),
                Value::Bytes(&line.account.hash),
                Value::count(line.after.seq),
                Value::count(*entry),
                Value::Int(line.amount),
                Value::Int(line.after.balance),
                Value::Int(line.after.held),
                Value::Int(line.after.pending),
                Value::Int(line.after.floor),
                Value::Int(line.after.lots.into()),
            ]
        })
        .collect();
    INSERT.rows(tx, &values).await
}
