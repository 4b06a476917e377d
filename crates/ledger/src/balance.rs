//! How accounts stand, and what they are called.

use kernel::amount::Unit;
use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::account::{Account, AccountId, Owner};
use crate::lot::account_of;
use crate::order::After;
use crate::scribe::PART;

static SAVE: Insert = Insert::or_replace(
    "ledger_balance",
    &["bucket", "tenant", "account", "seq", "entry", "balance", "held", "pending", "floor", "lots"],
    3,
);
static LAST: ByKeys = ByKeys::new(
    "SELECT bucket,account,seq,entry,balance,held,pending,floor,lots FROM ledger_balance WHERE tenant=?",
    &["bucket", "account"],
    "",
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

static INSERT_WALLETS: Insert = Insert::new("ledger_wallet", &["bucket", "tenant", "owner", "account"]);

fn keys(accounts: &[AccountId]) -> Vec<Value<'_>> {
    accounts
        .iter()
        .flat_map(|account| [Value::Int(account.bucket.into()), Value::Bytes(&account.hash)])
        .collect()
}

/// An account from `bucket,account,seq,entry,balance,held,pending,floor,lots`.
pub(crate) fn after(row: &Row) -> Result<(AccountId, After), RecordsError> {
    let after = After {
        seq: row.count(2)?,
        entry: row.count(3)?,
        balance: row.int(4)?,
        held: row.int(5)?,
        pending: row.int(6)?,
        floor: row.int(7)?,
        lots: row.int(8)? != 0,
    };
    Ok((account_of(row)?, after))
}

/// How accounts stand; those that do not exist are left out.
pub(crate) async fn last(
    tx: &mut dyn Tx,
    tenant: u32,
    accounts: &[AccountId],
) -> Result<Vec<(AccountId, After)>, RecordsError> {
    let rows = LAST.fetch(tx, &[Value::Int(tenant.into())], &keys(accounts)).await?;
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
    Ok(Account { owner, wallet: row.text(from + 2)?.to_owned(), unit: unit(row, from + 3)? })
}

fn unit(row: &Row, column: usize) -> Result<Unit, RecordsError> {
    row.text(column)?.parse().map_err(|_| RecordsError::Corrupt("an account's unit".to_owned()))
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
    INSERT_NAMES.rows(tx, &values).await?;
    let owners: Vec<_> = names.iter().map(|(_, account)| account.owner.key()).collect();
    let wallets = names.iter().zip(&owners).flat_map(|((id, _), owner)| {
        let tenant = Value::Int(tenant.into());
        [Value::Int(id.bucket.into()), tenant, Value::Bytes(owner), Value::Bytes(&id.hash)]
    });
    INSERT_WALLETS.rows(tx, &wallets.collect::<Vec<_>>()).await
}

/// One of somebody's accounts, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its key in a database.
    pub account: AccountId,
    /// Which wallet.
    pub wallet: String,
    /// What is counted.
    pub unit: Unit,
    /// How it stands.
    pub after: After,
}

/// Up to `limit` of somebody's accounts, in the order of their keys, after one.
pub(crate) async fn of_owner(
    tx: &mut dyn Tx,
    (tenant, bucket): (u32, u16),
    owner: &Owner,
    (after, limit): ([u8; 16], u32),
) -> Result<Vec<Held>, RecordsError> {
    let sql =
        "SELECT b.bucket,b.account,b.seq,b.entry,b.balance,b.held,b.pending,b.floor,b.lots,a.wallet,a.unit
        FROM ledger_wallet w
        JOIN ledger_account a ON a.bucket=w.bucket AND a.tenant=w.tenant AND a.account=w.account
        JOIN ledger_balance b ON b.bucket=w.bucket AND b.tenant=w.tenant AND b.account=w.account
        WHERE w.bucket=? AND w.tenant=? AND w.owner=? AND w.account>? ORDER BY w.account LIMIT ?";
    let key = owner.key();
    let values = [
        Value::Int(bucket.into()),
        Value::Int(tenant.into()),
        Value::Bytes(&key),
        Value::Bytes(&after),
        Value::Int(limit.into()),
    ];
    let rows = tx.fetch(sql, &values).await?;
    let read = |row: &Row| {
        let (account, stands) = self::after(row)?;
        Ok(Held { account, wallet: row.text(9)?.to_owned(), unit: unit(row, 10)?, after: stands })
    };
    rows.iter().map(read).collect()
}

/// Forgets the name behind somebody's accounts. Answers how many knew it.
pub(crate) async fn forget_name(
    tx: &mut dyn Tx,
    (tenant, bucket): (u32, u16),
    participant: &str,
) -> Result<u64, RecordsError> {
    let update = "UPDATE ledger_account SET owner='' WHERE bucket=? AND tenant=? AND owner=? AND account IN
        (SELECT account FROM ledger_wallet WHERE bucket=? AND tenant=? AND owner=?)";
    let key = Owner::Participant(participant.to_owned()).key();
    let (bucket, tenant) = (Value::Int(bucket.into()), Value::Int(tenant.into()));
    let values = [bucket, tenant, Value::Text(participant), bucket, tenant, Value::Bytes(&key)];
    tx.exec(update, &values).await
}

/// Whether any account knows a participant's name.
pub(crate) async fn is_named(
    tx: &mut dyn Tx,
    (tenant, bucket): (u32, u16),
    participant: &str,
) -> Result<bool, RecordsError> {
    let sql = "SELECT a.account FROM ledger_wallet w
        JOIN ledger_account a ON a.bucket=w.bucket AND a.tenant=w.tenant AND a.account=w.account
        WHERE w.bucket=? AND w.tenant=? AND w.owner=? AND a.owner=? LIMIT 1";
    let key = Owner::Participant(participant.to_owned()).key();
    let (bucket, tenant) = (Value::Int(bucket.into()), Value::Int(tenant.into()));
    let rows = tx.fetch(sql, &[bucket, tenant, Value::Bytes(&key), Value::Text(participant)]).await?;
    Ok(!rows.is_empty())
}

/// Writes how accounts stand, each named once, in the order of their keys.
pub(crate) async fn save(
    tx: &mut dyn Tx,
    tenant: u32,
    stands: &[(AccountId, After)],
) -> Result<(), RecordsError> {
    for part in stands.chunks(PART) {
        let values: Vec<_> = part
            .iter()
            .flat_map(|(account, after)| {
                [
                    Value::Int(account.bucket.into()),
                    Value::Int(tenant.into()),
                    Value::Bytes(&account.hash),
                    Value::count(after.seq),
                    Value::count(after.entry),
                    Value::Int(after.balance),
                    Value::Int(after.held),
                    Value::Int(after.pending),
                    Value::Int(after.floor),
                    Value::Int(after.lots.into()),
                ]
            })
            .collect();
        SAVE.rows(tx, &values).await?;
    }
    Ok(())
}
