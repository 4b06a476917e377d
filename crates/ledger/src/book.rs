//! The accounts that a batch is about, in memory, and what each order does to them. Knows no SQL and no clock: what it
//! decides follows from what it was given.

mod due;
mod undo;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use kernel::amount::Unit;
use kernel::id::{Shard, Tenant};

use crate::account::{Account, AccountId, BALANCE_MAX, Overdraft};
use crate::entry::{Entry, Kind};
use crate::hold::{Hold, Holds, State};
use crate::lot::{Lots, Use};
use crate::memory::Memory;
use crate::order::{
    After, HOLD_MAX_MS, Leg, Line, Order, OrderId, Outcome, Receipt, Refusal, Terms, What, has_terms,
};

/// What a batch knows and has done.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) tenant: Option<Tenant>,
    pub(crate) shard: Shard,
    pub(crate) now_ms: i64,
    /// The number of the last entry.
    pub(crate) seq: u64,
    /// Entries by their orders: earlier ones that this batch may meet, and its own.
    pub(crate) entries: HashMap<OrderId, Arc<Entry>, RandomState>,
    /// How accounts stand. One that is missing does not exist.
    pub(crate) accounts: Memory,
    /// The units of accounts with lots.
    pub(crate) units: HashMap<AccountId, Unit>,
    /// Holds that are open or asked for.
    pub(crate) holds: Holds,
    /// Lots of accounts that have any.
    pub(crate) lots: HashMap<AccountId, Lots>,
    /// What entries that may be undone took from lots.
    pub(crate) uses: Vec<Use>,
    /// Entries that are undone already.
    pub(crate) undone: HashSet<u64>,
    /// What is new and must be written.
    pub(crate) fresh: Fresh,
}

/// What a batch has done.
#[derive(Default)]
pub(crate) struct Fresh {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) accounts: Vec<(AccountId, Account)>,
    pub(crate) holds: HashSet<OrderId>,
    pub(crate) uses: Vec<Use>,
    /// The entry that is undone, and the one that undoes it.
    pub(crate) undone: Vec<(u64, u64)>,
}

/// A change of one account that is about to be made.
struct Change {
    account: AccountId,
    amount: i64,
    held: i64,
    pending: i64,
    floor: Option<i64>,
    /// Whether the account gets its first lot.
    lots: bool,
}

impl Change {
    fn of(account: AccountId, amount: i64) -> Self {
        Self { account, amount, held: 0, pending: 0, floor: None, lots: false }
    }
}

impl Book {
    fn id(&self, account: &Account) -> AccountId {
        account.id(self.tenant.unwrap_or(Tenant::MAIN), self.shard)
    }

    /// Decides an order, about accounts in the order in which it names them, as if all before it were written.
    pub(crate) fn decide(&mut self, order: &Order, accounts: &[AccountId]) -> Outcome {
        if let What::Settle { account, .. } = &order.what {
            let before = self.fresh.entries.len();
            self.settle(*account);
            return self.fresh.entries[before..]
                .last()
                .map_or(Outcome::Nothing, |entry| Outcome::Created(entry.receipt()));
        }
        let asked = self.asked(order, accounts);
        if let Some(known) = self.entries.get(&order.id) {
            return match (known.differs_from(&asked), known.refused) {
                (Some(field), _) => Outcome::ExistsWithDifferent(field),
                (None, Some(why)) => Outcome::Refused { why, replayed: true },
                (None, None) => Outcome::Exists(known.receipt()),
            };
        }
        for line in &asked.lines {
            self.settle(line.account);
        }
        match self.carry_out(order, &asked) {
            Ok(lines) => {
                let receipt = self.note(Entry { lines, ..asked });
                self.settle_after(&order.what, &receipt);
                Outcome::Created(receipt)
            }
            Err(why) => {
                self.note(Entry { refused: Some(why), ..asked });
                Outcome::Refused { why, replayed: false }
            }
        }
    }

    /// What comes back, or is no longer held, may have expired meanwhile: it goes at once.
    fn settle_after(&mut self, what: &What, receipt: &Receipt) {
        match what {
            What::Capture { .. } | What::Release { .. } | What::Reverse { .. } => {
                receipt.lines.iter().for_each(|line| self.settle(line.account));
            }
            What::Open { .. } | What::Transfer { .. } | What::Hold { .. } | What::Settle { .. } => {}
        }
    }

    /// What can be spent of an account, once what is due by now is done.
    pub(crate) fn available(&mut self, account: AccountId) -> i64 {
        self.settle(account);
        self.accounts.get(&account).map_or(0, |after| after.balance - after.held - after.pending)
    }

    /// The entry that an order would be, with what it asks in place of what it does.
    fn asked(&self, order: &Order, accounts: &[AccountId]) -> Entry {
        let (code, reference) = (order.code.clone(), order.reference.clone());
        let mut entry = Entry { code, reference, ..self.blank(Kind::Transfer, order.id) };
        let line = |account, amount, held| Line {
            account,
            before: 0,
            amount,
            held,
            pending: 0,
            after: After::default(),
        };
        match &order.what {
            What::Open { overdraft, .. } => {
                entry.kind = Kind::Open;
                entry.asked = Some(overdraft.floor());
                entry.lines = accounts.iter().map(|account| line(*account, 0, 0)).collect();
            }
            What::Transfer { legs, terms: Terms { available_ms, expires_ms } } => {
                (entry.available_ms, entry.expires_ms) = (*available_ms, *expires_ms);
                entry.lines =
                    accounts.iter().zip(legs).map(|(account, leg)| line(*account, leg.amount, 0)).collect();
            }
            What::Hold { amount, expires_ms, .. } => {
                entry.kind = Kind::Hold;
                entry.to = accounts.get(1).copied();
                entry.expires_ms = Some(*expires_ms);
                entry.lines = accounts.iter().take(1).map(|from| line(*from, 0, *amount)).collect();
            }
            What::Capture { hold, amount } => {
                entry.kind = Kind::Capture;
                (entry.subject, entry.asked) = (Some(*hold), *amount);
            }
            What::Release { hold } => (entry.kind, entry.subject) = (Kind::Release, Some(*hold)),
            What::Reverse { of } => (entry.kind, entry.subject) = (Kind::Reverse, Some(*of)),
            What::Settle { .. } => {}
        }
        entry
    }

    fn blank(&self, kind: Kind, id: OrderId) -> Entry {
        Entry {
            seq: 0,
            id,
            at_ms: self.now_ms,
            kind,
            refused: None,
            code: String::new(),
            reference: String::new(),
            subject: None,
            to: None,
            asked: None,
            available_ms: None,
            expires_ms: None,
            lines: vec![],
        }
    }

    /// Changes what an order changes, as the next entry. Answers its lines; the caller puts them into the journal.
    fn carry_out(&mut self, order: &Order, asked: &Entry) -> Result<Vec<Line>, Refusal> {
        match &order.what {
            What::Open { account, overdraft } => self.open(account, *overdraft),
            What::Transfer { legs, terms } => self.transfer(legs, *terms, asked),
            What::Hold { to, expires_ms, .. } => self.hold(to, *expires_ms, asked),
            What::Capture { hold, amount } => self.capture(*hold, *amount),
            What::Release { hold } => self.release(*hold),
            What::Reverse { of } => self.reverse(*of),
            What::Settle { .. } => Err(Refusal::NoSuchTransfer),
        }
    }

    /// Puts an entry into the journal.
    fn note(&mut self, entry: Entry) -> Receipt {
        self.seq += 1;
        let entry = Arc::new(Entry { seq: self.seq, ..entry });
        let receipt = entry.receipt();
        self.entries.insert(entry.id, Arc::clone(&entry));
        self.fresh.entries.push(entry);
        receipt
    }

    /// What changes make of their accounts; refused where one cannot be. Each account is named once.
    fn judge(&self, changes: &[Change]) -> Result<Vec<Line>, Refusal> {
        let line = |change: &Change| {
            let before = self.accounts.get(&change.account).copied();
            let before = before.or(change.floor.map(|_| After::default())).ok_or(Refusal::NoSuchAccount)?;
            let after = After {
                seq: before.seq + 1,
                entry: self.seq + 1,
                balance: before.balance + change.amount,
                held: before.held + change.held,
                pending: before.pending + change.pending,
                floor: change.floor.unwrap_or(before.floor),
                lots: before.lots || change.lots,
            };
            if after.balance.abs() > BALANCE_MAX {
                return Err(Refusal::BalanceTooLarge);
            }
            if after.balance - after.held - after.pending < after.floor {
                return Err(Refusal::InsufficientFunds);
            }
            let Change { account, amount, held, pending, floor: _, lots: _ } = *change;
            Ok(Line { account, before: before.entry, amount, held, pending, after })
        };
        changes.iter().map(line).collect()
    }

    fn apply(&mut self, lines: &[Line]) {
        for line in lines {
            self.accounts.insert(line.account, line.after);
        }
    }

    fn open(&mut self, account: &Account, overdraft: Overdraft) -> Result<Vec<Line>, Refusal> {
        let id = self.id(account);
        let change = Change { floor: Some(overdraft.floor()), ..Change::of(id, 0) };
        let lines = self.judge(&[change])?;
        self.learn(id, account);
        self.apply(&lines);
        Ok(lines)
    }

    /// Notes the name of an account that does not exist yet.
    fn learn(&mut self, id: AccountId, account: &Account) {
        if !self.accounts.contains_key(&id) {
            self.fresh.accounts.push((id, account.clone()));
        }
    }

    /// The floor of an account that does not exist yet and opens by itself.
    fn opens(&self, id: AccountId, account: &Account) -> Option<i64> {
        let is_new = !self.accounts.contains_key(&id);
        account.opens_with().filter(|_| is_new).map(Overdraft::floor)
    }

    fn transfer(&mut self, legs: &[Leg], terms: Terms, asked: &Entry) -> Result<Vec<Line>, Refusal> {
        if terms.expires_ms.is_some_and(|expires_ms| expires_ms <= self.now_ms) {
            return Err(Refusal::BadTime);
        }
        let is_timed = terms != Terms::default();
        let waits = terms.available_ms.is_some_and(|available_ms| available_ms > self.now_ms);
        let changes = legs.iter().zip(&asked.lines).map(|(leg, line)| {
            let floor = self.opens(line.account, &leg.account);
            let lots = is_timed && leg.amount > 0 && has_terms(&leg.account);
            let pending = if waits && lots { leg.amount } else { 0 };
            Change { pending, lots, floor, ..Change::of(line.account, leg.amount) }
        });
        let lines = self.judge(&changes.collect::<Vec<_>>())?;
        self.has_room(&lines)?;
        for (leg, line) in legs.iter().zip(&lines) {
            self.learn(line.account, &leg.account);
            if line.after.lots {
                self.units.entry(line.account).or_insert_with(|| leg.account.unit.clone());
                self.move_lots(line, terms, None);
            }
        }
        self.apply(&lines);
        Ok(lines)
    }

    /// Adds a lot for what arrives, or takes from lots what leaves, where the account has lots. Called before the account
    /// changes.
    fn move_lots(&mut self, line: &Line, terms: Terms, first: Option<u64>) {
        if !line.after.lots {
            return;
        }
        let before = self.accounts.get(&line.account).copied().unwrap_or_default();
        let (account, entry) = (line.account, self.seq + 1);
        let uses = self.lots.entry(account).or_default().moved(&before, line, terms, first);
        self.fresh.uses.extend(uses.into_iter().map(|(lot, amount)| Use { account, entry, lot, amount }));
    }

    /// Refuses what would bring an account more lots than it may have.
    fn has_room(&self, lines: &[Line]) -> Result<(), Refusal> {
        let brings = lines.iter().filter(|line| line.after.lots && line.amount > 0);
        let mut lots = brings.filter_map(|line| self.lots.get(&line.account));
        if lots.all(Lots::has_room) { Ok(()) } else { Err(Refusal::TooManyLots) }
    }

    fn hold(&mut self, receiver: &Account, expires_ms: i64, asked: &Entry) -> Result<Vec<Line>, Refusal> {
        if expires_ms <= self.now_ms || expires_ms - self.now_ms > HOLD_MAX_MS {
            return Err(Refusal::BadTime);
        }
        let (Some(line), Some(to)) = (asked.lines.first(), asked.to) else {
            return Err(Refusal::NoSuchAccount);
        };
        let changes = [Change { held: line.held, ..Change::of(line.account, 0) }];
        self.judge(&changes)?;
        if !self.holds.has_room(line.account) {
            return Err(Refusal::TooManyHolds);
        }
        // Whoever captures knows the account by its key alone: what opens by itself does so now, as an entry of its own.
        if let Some(floor) = self.opens(to, receiver) {
            let id = OrderId::of(&[b"open", &to.bucket.to_be_bytes(), &to.hash]);
            let lines = self.open(receiver, Overdraft::from_floor(floor))?;
            self.note(Entry { lines, asked: Some(floor), ..self.own_entry(Kind::Open, id, None) });
        }
        let lines = self.judge(&changes)?;
        self.apply(&lines);
        let hold = Hold {
            id: asked.id,
            account: line.account,
            amount: line.held,
            to,
            expires_ms,
            state: State::Open,
        };
        self.holds.put(hold);
        self.fresh.holds.insert(asked.id);
        Ok(lines)
    }

    /// A hold that is open.
    fn open_hold(&mut self, id: OrderId) -> Result<Hold, Refusal> {
        // What is over is over, whether or not somebody has looked.
        if let Some(account) = self.holds.get(id).map(|hold| hold.account) {
            self.settle(account);
        }
        let hold = self.holds.get(id).copied().ok_or(Refusal::NoSuchHold)?;
        match hold.state {
            State::Open => Ok(hold),
            State::Captured => Err(Refusal::HoldCaptured),
            State::Released => Err(Refusal::HoldReleased),
            State::Expired => Err(Refusal::HoldExpired),
        }
    }

    fn end(&mut self, id: OrderId, state: State) {
        if let Some(hold) = self.holds.get(id).copied() {
            self.holds.put(Hold { state, ..hold });
            self.fresh.holds.insert(id);
        }
    }

    fn capture(&mut self, id: OrderId, amount: Option<i64>) -> Result<Vec<Line>, Refusal> {
        let hold = self.open_hold(id)?;
        let amount = amount.unwrap_or(hold.amount);
        if amount > hold.amount {
            return Err(Refusal::BeyondHold);
        }
        // The amount leaves what is held: how the account stands otherwise is not asked.
        let leaves = Change { held: -hold.amount, ..Change::of(hold.account, -amount) };
        let lines = self.judge(&[leaves, Change::of(hold.to, amount)])?;
        self.has_room(&lines)?;
        for line in &lines {
            self.move_lots(line, Terms::default(), None);
        }
        self.apply(&lines);
        self.end(id, State::Captured);
        Ok(lines)
    }

    fn release(&mut self, id: OrderId) -> Result<Vec<Line>, Refusal> {
        let hold = self.open_hold(id)?;
        self.close(&hold, State::Released)
    }

    /// Gives back what is held.
    fn close(&mut self, hold: &Hold, state: State) -> Result<Vec<Line>, Refusal> {
        let lines = self.judge(&[Change { held: -hold.amount, ..Change::of(hold.account, 0) }])?;
        self.apply(&lines);
        self.end(hold.id, state);
        Ok(lines)
    }
}
