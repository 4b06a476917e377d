//! What undoes a transfer or capture: everything goes back where it came from, also what has expired meanwhile.

use crate::account::{Account, AccountId, EXPIRED};
use crate::entry::Kind;
use crate::order::{Line, OrderId, Refusal, Terms};

use super::{Book, Change};

impl Book {
    pub(super) fn reverse(&mut self, of: OrderId) -> Result<Vec<Line>, Refusal> {
        let undone = self.entries.get(&of).cloned().filter(|entry| entry.refused.is_none());
        let undone = undone.ok_or(Refusal::NoSuchTransfer)?;
        if !matches!(undone.kind, Kind::Transfer | Kind::Capture) || self.undone.contains(&undone.seq) {
            return Err(Refusal::NotReversible);
        }
        for line in &undone.lines {
            self.settle(line.account);
        }
        let lines = self.judge(&self.opposite(&undone.lines))?;
        self.has_room(&lines)?;
        for (line, done) in lines.iter().zip(&undone.lines) {
            if line.amount > 0 {
                self.regain(line, undone.seq);
            } else {
                self.move_lots(line, Terms::default(), Some(done.after.seq));
            }
        }
        self.apply(&lines);
        self.undone.insert(undone.seq);
        self.fresh.undone.push((undone.seq, self.seq + 1));
        Ok(lines)
    }

    /// The changes that undo lines, in their order; after them, what comes back of what has expired.
    fn opposite(&self, lines: &[Line]) -> Vec<Change> {
        let mut changes = Vec::with_capacity(lines.len());
        let mut expired: Vec<(AccountId, i64)> = vec![];
        for line in lines {
            let lot = self.lots.get(&line.account).and_then(|lots| lots.get(line.after.seq));
            let (mut back, mut pending) = (line.amount, 0);
            if let Some((lot, unit)) = lot.filter(|_| back > 0).zip(self.units.get(&line.account)) {
                let lapsed = lot.lapsed.min(back);
                back -= lapsed;
                // What is taken back may not be available yet.
                pending = if lot.pending { -lot.free.min(back) } else { 0 };
                if lapsed > 0 {
                    expired.push((self.id(&Account::house(EXPIRED, unit)), lapsed));
                }
            }
            changes.push(Change { pending, ..Change::of(line.account, -back) });
        }
        // Each account is named once.
        for (account, lapsed) in expired {
            match changes.iter_mut().find(|change| change.account == account) {
                Some(change) => change.amount -= lapsed,
                None => changes.push(Change::of(account, -lapsed)),
            }
        }
        changes
    }

    /// Gives back what an entry took, to the lots from which it came.
    fn regain(&mut self, line: &Line, entry: u64) {
        if !line.after.lots {
            return;
        }
        let before = self.accounts.get(&line.account).copied().unwrap_or_default();
        let lots = self.lots.entry(line.account).or_default();
        let known = self.uses.iter().chain(&self.fresh.uses);
        let of_entry = known.filter(|used| used.account == line.account && used.entry == entry);
        lots.regain(&before, line, of_entry.map(|used| (used.lot, used.amount)));
    }
}
