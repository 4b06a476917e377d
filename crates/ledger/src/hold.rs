//! Holds: amounts that are kept back until they are captured or released, or their time is over.

use std::collections::{BTreeSet, HashMap};

use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::account::AccountId;
use crate::lot::account_of;
use crate::order::{HOLDS_MAX, OrderId};

/// What became of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The amount is held.
    Open,
    /// It was moved, or a part of it.
    Captured,
    /// It was given back.
    Released,
    /// Its time was over.
    Expired,
}

const STATES: [State; 4] = [State::Open, State::Captured, State::Released, State::Expired];

impl State {
    /// The state as it is told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Captured => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    fn number(self) -> i64 {
        STATES.iter().position(|state| *state == self).map_or(-1, |place| place as i64)
    }

    fn from_number(number: i64) -> Result<Self, RecordsError> {
        let state = usize::try_from(number).ok().and_then(|place| STATES.get(place).copied());
        state.ok_or_else(|| RecordsError::Corrupt("a hold's state".to_owned()))
    }
}

/// A hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: OrderId,
    /// Where the amount is kept back.
    pub account: AccountId,
    /// How much.
    pub amount: i64,
    /// Where it goes when it is captured.
    pub to: AccountId,
    /// When it is released by itself, in milliseconds since the epoch.
    pub expires_ms: i64,
    /// What became of it.
    pub state: State,
}

/// Holds that somebody asks about, and the open ones of accounts that they are about.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    all: HashMap<OrderId, Hold>,
    /// Open ones in the order in which they end.
    open: HashMap<AccountId, BTreeSet<(i64, OrderId)>>,
}

impl Holds {
    /// Notes a hold, or what became of it.
    pub(crate) fn put(&mut self, hold: Hold) {
        let open = self.open.entry(hold.account).or_default();
        if hold.state == State::Open {
            open.insert((hold.expires_ms, hold.id));
        } else {
            open.remove(&(hold.expires_ms, hold.id));
        }
        self.all.insert(hold.id, hold);
    }

    /// A hold by its id.
    pub(crate) fn get(&self, id: OrderId) -> Option<&Hold> {
        self.all.get(&id)
    }

    /// Open holds of an account whose time is over, the longest over first.
    pub(crate) fn over(&self, account: AccountId, now_ms: i64) -> Vec<Hold> {
        let open = self.open.get(&account).into_iter().flatten();
        let over = open.take_while(|(expires_ms, _)| *expires_ms <= now_ms);
        over.filter_map(|(_, id)| self.all.get(id)).copied().collect()
    }

    /// Whether an account may have one more.
    pub(crate) fn has_room(&self, account: AccountId) -> bool {
        self.open.get(&account).is_none_or(|open| open.len() < HOLDS_MAX)
    }
}

impl FromIterator<Hold> for Holds {
    fn from_iter<I: IntoIterator<Item = Hold>>(holds: I) -> Self {
        let mut found = Self::default();
        holds.into_iter().for_each(|hold| found.put(hold));
        found
    }
}

const COLUMNS: &[&str] =
    &["bucket", "tenant", "account", "state", "id", "amount", "to_bucket", "to_account", "expires_ms"];
static INSERT: Insert = Insert::new("ledger_hold", COLUMNS);
static CLOSE: ByKeys =
    ByKeys::new("DELETE FROM ledger_hold WHERE tenant=? AND state=0", &["bucket", "account", "id"], "");
static OPEN: ByKeys = ByKeys::new(
    "SELECT bucket,account,state,id,amount,to_bucket,to_account,expires_ms FROM ledger_hold WHERE tenant=? AND state=0",
    &["bucket", "account"],
    "",
);
static BY_ID: ByKeys = ByKeys::new(
    "SELECT bucket,account,state,id,amount,to_bucket,to_account,expires_ms FROM ledger_hold
     WHERE tenant=? AND state IN (0,1,2,3)",
    &["bucket", "account", "id"],
    "",
);

/// A hold from `bucket,account,state,id,amount,to_bucket,to_account,expires_ms`.
pub(crate) fn from_row(row: &Row) -> Result<Hold, RecordsError> {
    let to_bucket = u16::try_from(row.int(5)?).map_err(|_| RecordsError::Corrupt("a bucket".to_owned()))?;
    Ok(Hold {
        id: OrderId(row.array(3)?),
        account: account_of(row)?,
        amount: row.int(4)?,
        to: AccountId { bucket: to_bucket, hash: row.array(6)? },
        expires_ms: row.int(7)?,
        state: State::from_number(row.int(2)?)?,
    })
}

/// Open holds of accounts.
pub(crate) async fn open(
    tx: &mut dyn Tx,
    tenant: u32,
    accounts: &[AccountId],
) -> Result<Vec<Hold>, RecordsError> {
    let keys: Vec<_> = accounts
        .iter()
        .flat_map(|account| [Value::Int(account.bucket.into()), Value::Bytes(&account.hash)])
        .collect();
    let rows = OPEN.fetch(tx, &[Value::Int(tenant.into())], &keys).await?;
    rows.iter().map(from_row).collect()
}

/// Holds by their ids, whatever became of them.
pub(crate) async fn by_id(
    tx: &mut dyn Tx,
    tenant: u32,
    holds: &[(AccountId, OrderId)],
) -> Result<Vec<Hold>, RecordsError> {
    let keys: Vec<_> = holds
        .iter()
        .flat_map(|(account, id)| {
            [Value::Int(account.bucket.into()), Value::Bytes(&account.hash), Value::Bytes(&id.0)]
        })
        .collect();
    let rows = BY_ID.fetch(tx, &[Value::Int(tenant.into())], &keys).await?;
    rows.iter().map(from_row).collect()
}

/// Writes holds; `known` says which were open in the database before.
pub(crate) async fn save(
    tx: &mut dyn Tx,
    tenant: u32,
    holds: &[Hold],
    known: impl Fn(OrderId) -> bool,
) -> Result<(), RecordsError> {
    let (mut gone, mut new) = (vec![], vec![]);
    for hold in holds {
        if known(hold.id) {
            gone.extend([
                Value::Int(hold.account.bucket.into()),
                Value::Bytes(&hold.account.hash),
                Value::Bytes(&hold.id.0),
            ]);
        }
        new.extend([
            Value::Int(hold.account.bucket.into()),
            Value::Int(tenant.into()),
            Value::Bytes(&hold.account.hash),
            Value::Int(hold.state.number()),
            Value::Bytes(&hold.id.0),
            Value::Int(hold.amount),
            Value::Int(hold.to.bucket.into()),
            Value::Bytes(&hold.to.hash),
            Value::Int(hold.expires_ms),
        ]);
    }
    // Whoever closes a hold must find it open.
    if CLOSE.exec(tx, &[Value::Int(tenant.into())], &gone).await? != gone.len() as u64 / 3 {
        return Err(RecordsError::Surprise("ledger_hold"));
    }
    INSERT.rows(tx, &new).await
}
