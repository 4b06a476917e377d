//! What entries did, one after the other: to accounts, to holds, to lots.

use std::collections::BTreeMap;

use kernel::amount::Unit;

use crate::account::AccountId;
use crate::entry::{Entry, Kind};
use crate::hold::{Hold, State};
use crate::lot::{lapse_id, mature_id};
use crate::order::{After, Line, Terms};

use super::Walk;

impl Walk {
    /// Adds up what an entry did; `undone` is what it undid.
    pub(super) fn entry(&mut self, entry: &Entry, undone: Option<&Entry>) {
        self.report.entries += 1;
        if entry.refused.is_some() {
            return;
        }
        let name = format!("entry/{}", entry.seq);
        let mut sums: BTreeMap<Option<&Unit>, i128> = BTreeMap::new();
        for line in &entry.lines {
            let unit = self.names.get(&line.account).and_then(|name| name.unit.as_ref());
            *sums.entry(unit).or_default() += i128::from(line.amount);
        }
        // Of an account without a name nobody knows what it counts: it is named itself.
        if !sums.contains_key(&None) && sums.values().any(|sum| *sum != 0) {
            self.unbalanced(&name, entry);
        }
        if let Some(undone) = undone
            && self.reversals.insert(undone.seq, entry.seq).is_some()
        {
            self.wrong(&name, "what it undoes was undone before");
        }
        if !self.holds_follow(entry) {
            self.wrong(&name, "what it holds or ends does not follow from the entries before");
        }
        for line in &entry.lines {
            let before = self.books.insert(line.account, line.after).unwrap_or_default();
            if !follows(entry, line, &before) {
                let why = format!("account {} does not follow from the entries before", line.account);
                self.wrong(&name, &why);
            }
            if line.after.lots && !self.move_lots(entry, line, &before, undone) {
                self.wrong(&name, "no such lot was due");
            }
        }
    }

    /// What leaves is not what arrives: so it may look where what an account counts was changed, and nobody can prove that of
    /// somebody who was erased.
    fn unbalanced(&mut self, name: &str, entry: &Entry) {
        let is_erased =
            |account: &AccountId| self.names.get(account).is_some_and(super::names::Name::is_erased);
        let erased: Vec<_> = entry.lines.iter().map(|line| line.account).filter(is_erased).collect();
        if erased.is_empty() {
            self.wrong(name, "what leaves is not what arrives");
        }
        for account in erased {
            self.wrong(format_args!("account/{account}"), "its unit is not that of what it moved");
        }
    }

    /// Notes what an entry does to a hold. Answers whether it may.
    fn holds_follow(&mut self, entry: &Entry) -> bool {
        let state = match entry.kind {
            Kind::Hold => {
                let (Some(line), Some(to), Some(expires_ms)) =
                    (entry.lines.first(), entry.to, entry.expires_ms)
                else {
                    return false;
                };
                let (id, account, amount) = (entry.id, line.account, line.held);
                let hold = Hold { id, account, amount, to, expires_ms, state: State::Open };
                return self.holds.insert(id, hold).is_none() && amount > 0;
            }
            Kind::Capture => State::Captured,
            Kind::Release => State::Released,
            Kind::Expire => State::Expired,
            Kind::Open | Kind::Transfer | Kind::Reverse | Kind::Mature | Kind::Lapse => {
                return entry.lines.iter().all(|line| line.held == 0);
            }
        };
        let hold = entry.subject.and_then(|id| self.holds.get_mut(&id));
        let Some(hold) = hold.filter(|hold| hold.state == State::Open) else { return false };
        hold.state = state;
        let is_over = hold.expires_ms <= entry.at_ms;
        let line = entry.lines.first().filter(|line| line.account == hold.account);
        let goes = line.is_some_and(|line| line.held == -hold.amount && -line.amount <= hold.amount);
        let arrives = entry.lines.get(1).is_none_or(|line| line.account == hold.to && line.held == 0);
        goes && arrives && is_over == (state == State::Expired)
    }

    /// Does to lots what an entry did. Answers whether it could.
    fn move_lots(&mut self, entry: &Entry, line: &Line, before: &After, undone: Option<&Entry>) -> bool {
        let account = line.account;
        let lots = self.lots.entry(account).or_default();
        let uses = match entry.kind {
            Kind::Open | Kind::Hold | Kind::Release | Kind::Expire => vec![],
            Kind::Transfer => {
                let Entry { available_ms, expires_ms, .. } = *entry;
                lots.moved(before, line, Terms { available_ms, expires_ms }, None)
            }
            Kind::Capture => lots.moved(before, line, Terms::default(), None),
            Kind::Reverse if line.amount > 0 => {
                let undone = undone.map_or(0, |undone| undone.seq);
                let known = self.uses.range((account, undone, 0)..=(account, undone, u64::MAX));
                lots.regain(before, line, known.map(|((_, _, lot), amount)| (*lot, *amount)));
                vec![]
            }
            Kind::Reverse => {
                let done = undone.and_then(|undone| undone.lines.iter().find(|done| done.account == account));
                lots.moved(before, line, Terms::default(), done.map(|done| done.after.seq))
            }
            Kind::Mature => {
                let ripe = lots.ripe(entry.at_ms);
                let lot = ripe.iter().find(|lot| mature_id(account, lot.lot) == entry.id);
                let Some(lot) = lot.filter(|lot| lot.free == -line.pending) else { return false };
                lots.mature(before, lot.lot);
                vec![]
            }
            Kind::Lapse => {
                let overdue = lots.overdue(entry.at_ms, before.held);
                let is_it = |lot: u64| lapse_id(account, lot, line.after.seq) == entry.id;
                let Some((lot, part)) = overdue.into_iter().find(|(lot, _)| is_it(*lot)) else {
                    return false;
                };
                if part != -line.amount || !lots.lapse(lot, part) {
                    return false;
                }
                vec![(lot, part)]
            }
        };
        self.uses.extend(uses.into_iter().map(|(lot, amount)| ((account, entry.seq, lot), amount)));
        true
    }
}

/// Whether an account stands after an entry as it must.
fn follows(entry: &Entry, line: &Line, before: &After) -> bool {
    let after = line.after;
    let adds = |now: i64, then: i64, more: i64| i128::from(now) == i128::from(then) + i128::from(more);
    after.seq == before.seq + 1
        && line.before == before.entry
        && adds(after.balance, before.balance, line.amount)
        && adds(after.held, before.held, line.held)
        && adds(after.pending, before.pending, line.pending)
        && (before.seq == 0 || entry.kind == Kind::Open || after.floor == before.floor)
        && (after.lots || !before.lots)
        && after.held >= 0
        && after.pending >= 0
        && i128::from(after.balance) - i128::from(after.held) - i128::from(after.pending)
            >= i128::from(after.floor)
}
