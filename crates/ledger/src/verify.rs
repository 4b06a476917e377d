//! Recomputes a journal, and names every row that it does not prove: entries against their seals, accounts against the
//! entries; balances, orders, holds and lots against the accounts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kernel::amount::Unit;
use kernel::id::Tenant;
use records::error::Error as RecordsError;
use records::merkle;
use records::port::{Records, Tx, Value, read};
use records::statement::ByKeys;
use serde::Serialize;

use crate::account::{Account, AccountId, Owner};
use crate::balance;
use crate::entry::{Entry, Kind};
use crate::journal::{self, Head, JournalKey, Seal};
use crate::lot::account_of;
use crate::order::After;

/// Most wrong rows that are named.
pub const FAILURES_MAX: usize = 100;
/// Rows that are read at once.
const PAGE: i64 = 4096;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// Accounts that they are about.
    pub accounts: u64,
    /// What is wrong; no more than a hundred are named.
    pub failed: Vec<Failure>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Failure {
    /// `entry/<seq>`, `seal/<batch>`, `head`, `balance/<account>`, `order/<id>`, `account/<account>`, `holds/<account>`,
    /// `lots/<account>`, `wallet/<account>`; of a whole table `entry`, `order`, `reversal` or `wallet`.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Recomputes a journal as of one moment.
pub async fn verify(records: &dyn Records, key: JournalKey, tenant: Tenant) -> Result<Report, RecordsError> {
    read(records, key.shard, move |tx| {
        Box::pin(async move {
            let mut walk = Walk {
                key,
                tenant,
                report: Report::default(),
                units: HashMap::new(),
                books: HashMap::new(),
                reversals: BTreeSet::new(),
            };
            walk.names(tx).await?;
            walk.journal(tx).await?;
            walk.balances(tx).await?;
            walk.holds_and_lots(tx).await?;
            walk.report.accounts = walk.books.len() as u64;
            Ok::<_, RecordsError>(walk.report)
        })
    })
    .await
}

struct Walk {
    key: JournalKey,
    tenant: Tenant,
    report: Report,
    units: HashMap<AccountId, Unit>,
    books: HashMap<AccountId, After>,
    reversals: BTreeSet<u64>,
}

static WALLETS: ByKeys = ByKeys::new(
    "SELECT bucket,account FROM ledger_wallet WHERE tenant=?",
    &["bucket", "owner", "account"],
    "",
);
static ORDERS: ByKeys =
    ByKeys::new("SELECT id,seq FROM ledger_order WHERE shard=? AND tenant=?", &["id"], "");

impl Walk {
    fn wrong(&mut self, id: impl std::fmt::Display, reason: &str) {
        let failure = Failure { id: id.to_string(), reason: reason.to_owned() };
        if self.report.failed.len() < FAILURES_MAX && !self.report.failed.contains(&failure) {
            self.report.failed.push(failure);
        }
    }

    /// The unit of each account, from its name; the name must be the one behind the key, unless a person was erased.
    async fn names(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let sql = "SELECT bucket,account,kind,owner,wallet,unit FROM ledger_account
            WHERE tenant=? AND (bucket>? OR (bucket=? AND account>?)) ORDER BY bucket,account LIMIT ?";
        let mut last = (-1, vec![]);
        loop {
            let tenant = Value::Int(self.key.tenant.into());
            let bucket = Value::Int(last.0);
            let rows =
                tx.fetch(sql, &[tenant, bucket, bucket, Value::Bytes(&last.1), Value::Int(PAGE)]).await?;
            let mut named = vec![];
            for row in &rows {
                let id = account_of(row)?;
                last = (row.int(0)?, row.bytes(1)?.to_vec());
                match balance::named(row, 2) {
                    Ok(name) => {
                        let is_erased = name.owner == Owner::Participant(String::new());
                        if !is_erased && Account::id(&name, self.tenant, self.key.shard) != id {
                            self.wrong(
                                format_args!("account/{id}"),
                                "its name is not the one behind its key",
                            );
                        }
                        named.extend((!is_erased).then(|| (id, name.owner.key())));
                        self.units.insert(id, name.unit);
                    }
                    Err(_) => self.wrong(format_args!("account/{id}"), "its name cannot be read"),
                }
            }
            if rows.is_empty() {
                break;
            }
            self.wallets(tx, &named).await?;
        }
        // Whose an account is that a person was erased from, nobody knows any more: such a row is only counted.
        let sql = "SELECT COUNT(*) FROM ledger_wallet WHERE tenant=?";
        let counted = tx.fetch(sql, &[Value::Int(self.key.tenant.into())]).await?;
        if counted.first().map(|row| row.count(0)).transpose()? != Some(self.units.len() as u64) {
            self.wrong("wallet", "there are rows without an account, or some are missing");
        }
        Ok(())
    }

    /// Holds whose accounts are against their names.
    async fn wallets(
        &mut self,
        tx: &mut dyn Tx,
        named: &[(AccountId, [u8; 16])],
    ) -> Result<(), RecordsError> {
        let keys: Vec<_> = named
            .iter()
            .flat_map(|(id, owner)| {
                [Value::Int(id.bucket.into()), Value::Bytes(owner), Value::Bytes(&id.hash)]
            })
            .collect();
        let rows = WALLETS.fetch(tx, &[Value::Int(self.key.tenant.into())], &keys).await?;
        let found: BTreeSet<AccountId> = rows.iter().map(account_of).collect::<Result<_, _>>()?;
        for (id, _) in named.iter().filter(|(id, _)| !found.contains(id)) {
            self.wrong(format_args!("wallet/{id}"), "it is not among those of whose it is");
        }
        Ok(())
    }

    async fn journal(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let head = Head::fetch(tx, self.key, "").await?.unwrap_or(Head::EMPTY);
        let sql = "SELECT batch,first_seq,last_seq,previous,root,seal_hash FROM ledger_seal
            WHERE shard=? AND tenant=? AND batch>? ORDER BY batch LIMIT 256";
        let (mut last, mut after) = (Head::EMPTY, i64::MIN);
        loop {
            let rows = tx.fetch(sql, &[&self.key.values()[..], &[Value::Int(after)]].concat()).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                after = row.int(0)?;
                let Ok(seal) = Seal::from_row(row) else {
                    self.wrong(format_args!("seal/{after}"), "it cannot be read");
                    continue;
                };
                last = self.seal(tx, &seal, last).await?;
            }
        }
        if head != last {
            self.wrong("head", "it does not name the last seal");
        }
        let counts = [
            ("entry", "SELECT COUNT(*) FROM ledger_entry WHERE shard=? AND tenant=?", last.seq),
            ("order", "SELECT COUNT(*) FROM ledger_order WHERE shard=? AND tenant=?", last.seq),
            (
                "reversal",
                "SELECT COUNT(*) FROM ledger_reversal WHERE shard=? AND tenant=?",
                self.reversals.len() as u64,
            ),
        ];
        for (what, sql, expected) in counts {
            let rows = tx.fetch(sql, &self.key.values()).await?;
            if rows.first().map(|row| row.count(0)).transpose()? != Some(expected) {
                self.wrong(what, "there are rows that no seal covers, or some are missing");
            }
        }
        Ok(())
    }

    /// Holds a seal and the entries under it against each other. Answers where the journal ends with it.
    async fn seal(&mut self, tx: &mut dyn Tx, seal: &Seal, before: Head) -> Result<Head, RecordsError> {
        let name = format!("seal/{}", seal.batch);
        if seal.computed(self.key) != seal.hash {
            self.wrong(&name, "it is not what was written");
        } else if seal.batch != before.batch + 1
            || seal.first_seq != before.seq + 1
            || seal.last_seq < seal.first_seq
            || seal.previous != before.seal_hash
        {
            self.wrong(&name, "it does not follow the seal before it");
        }
        let sql = "SELECT seq,id,at_ms,body,digest FROM ledger_entry
            WHERE shard=? AND tenant=? AND seq>? AND seq<=? ORDER BY seq LIMIT ?";
        let (mut after, mut digests) = (seal.first_seq.saturating_sub(1), vec![]);
        loop {
            let range = [Value::count(after), Value::count(seal.last_seq), Value::Int(PAGE)];
            let rows = tx.fetch(sql, &[&self.key.values()[..], &range].concat()).await?;
            let Some(last) = rows.last() else { break };
            let mut entries = vec![];
            for row in &rows {
                let seq = row.count(0)?;
                for missing in after + 1..seq {
                    self.wrong(format_args!("entry/{missing}"), "it is missing");
                }
                after = seq;
                let Ok((entry, written)) = journal::entry(row) else {
                    self.wrong(format_args!("entry/{seq}"), "it cannot be read");
                    continue;
                };
                let digest = Entry::digest((seq, entry.id, entry.at_ms), row.bytes(3)?);
                if digest != written {
                    self.wrong(format_args!("entry/{seq}"), "it is not what was written");
                }
                digests.push(digest);
                self.entry(&entry);
                entries.push(entry);
            }
            self.orders(tx, &entries).await?;
            after = last.count(0)?;
        }
        for missing in (after + 1..=seal.last_seq).take(FAILURES_MAX) {
            self.wrong(format_args!("entry/{missing}"), "it is missing");
        }
        if merkle::root(&digests) != seal.root {
            self.wrong(&name, "its entries are not those that it sealed");
        }
        Ok(Head { seq: seal.last_seq, batch: seal.batch, seal_hash: seal.hash })
    }

    /// Adds up what an entry did.
    fn entry(&mut self, entry: &Entry) {
        self.report.entries += 1;
        if entry.refused.is_some() {
            return;
        }
        if entry.kind == Kind::Reverse {
            self.reversals.insert(entry.seq);
        }
        let name = format!("entry/{}", entry.seq);
        let mut sums: BTreeMap<Option<Unit>, i128> = BTreeMap::new();
        for line in &entry.lines {
            let after = line.after;
            let before = self.books.insert(line.account, after).unwrap_or_default();
            let follows = after.seq == before.seq + 1
                && line.before == before.entry
                && i128::from(after.balance) == i128::from(before.balance) + i128::from(line.amount)
                && i128::from(after.held) == i128::from(before.held) + i128::from(line.held)
                && i128::from(after.pending) == i128::from(before.pending) + i128::from(line.pending)
                && (before.seq == 0 || entry.kind == Kind::Open || after.floor == before.floor)
                && after.held >= 0
                && after.pending >= 0
                && after.balance - after.held - after.pending >= after.floor;
            if !follows {
                self.wrong(
                    &name,
                    &format!("account {} does not follow from the entries before", line.account),
                );
            }
            *sums.entry(self.units.get(&line.account).cloned()).or_default() += i128::from(line.amount);
        }
        if sums.contains_key(&None) {
            self.wrong(&name, "it is about an account without a name");
        } else if sums.values().any(|sum| *sum != 0) {
            self.wrong(&name, "what leaves is not what arrives");
        }
    }

    async fn orders(&mut self, tx: &mut dyn Tx, entries: &[Entry]) -> Result<(), RecordsError> {
        let mut ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        ids.sort_unstable();
        let values: Vec<_> = ids.iter().map(|id| Value::Bytes(&id.0)).collect();
        let rows = ORDERS.fetch(tx, &self.key.values(), &values).await?;
        let found: HashMap<[u8; 16], u64> =
            rows.iter().map(|row| Ok((row.array(0)?, row.count(1)?))).collect::<Result<_, RecordsError>>()?;
        for entry in entries {
            if found.get(&entry.id.0) != Some(&entry.seq) {
                self.wrong(format_args!("order/{}", entry.id), "it does not lead to its entry");
            }
        }
        Ok(())
    }

    /// Holds how accounts stand against what the journal makes of them.
    async fn balances(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let sql = "SELECT bucket,account,seq,entry,balance,held,pending,floor,lots FROM ledger_balance
            WHERE tenant=? AND (bucket>? OR (bucket=? AND account>?)) ORDER BY bucket,account LIMIT ?";
        let mut missing: BTreeSet<AccountId> = self.books.keys().copied().collect();
        let mut last = (-1, vec![]);
        loop {
            let (tenant, bucket) = (Value::Int(self.key.tenant.into()), Value::Int(last.0));
            let rows =
                tx.fetch(sql, &[tenant, bucket, bucket, Value::Bytes(&last.1), Value::Int(PAGE)]).await?;
            for row in &rows {
                let (account, after) = balance::after(row)?;
                last = (row.int(0)?, row.bytes(1)?.to_vec());
                missing.remove(&account);
                if self.books.get(&account) != Some(&after) {
                    self.wrong(format_args!("balance/{account}"), "it is not what the journal makes of it");
                }
            }
            if rows.is_empty() {
                break;
            }
        }
        for account in missing {
            self.wrong(format_args!("balance/{account}"), "it is missing");
        }
        Ok(())
    }

    /// Holds what is held against open holds, and balances against lots.
    async fn holds_and_lots(&mut self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        let tenant = [Value::Int(self.key.tenant.into())];
        let sql = "SELECT bucket,account,SUM(amount) FROM ledger_hold WHERE tenant=? AND state=0 GROUP BY bucket,account";
        let mut held: HashMap<AccountId, i64> = HashMap::new();
        for row in tx.fetch(sql, &tenant).await? {
            held.insert(account_of(&row)?, row.int(2)?);
        }
        let sql = "SELECT bucket,account,SUM(free),SUM(free*pending) FROM ledger_lot WHERE tenant=? GROUP BY bucket,account";
        let mut lots: HashMap<AccountId, (i64, i64)> = HashMap::new();
        for row in tx.fetch(sql, &tenant).await? {
            lots.insert(account_of(&row)?, (row.int(2)?, row.int(3)?));
        }
        let books: BTreeMap<AccountId, After> =
            self.books.iter().map(|(account, after)| (*account, *after)).collect();
        for (account, after) in &books {
            if held.remove(account).unwrap_or(0) != after.held {
                self.wrong(format_args!("holds/{account}"), "its open holds are not what is held");
            }
            let (free, pending) = lots.remove(account).unwrap_or((0, 0));
            // What is owed stands in no lot.
            let is_owed = after.floor < 0 && free >= after.balance;
            if after.lots && (pending != after.pending || (free != after.balance && !is_owed)) {
                self.wrong(format_args!("lots/{account}"), "its lots are not its balance");
            }
        }
        for account in held.into_keys() {
            self.wrong(format_args!("holds/{account}"), "there is no such account");
        }
        for account in lots.into_keys() {
            self.wrong(format_args!("lots/{account}"), "there is no such account");
        }
        Ok(())
    }
}
