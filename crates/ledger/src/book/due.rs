//! What becomes due of accounts as time passes: holds that are over, points that become available or expire.

use crate::account::{Account, AccountId, EXPIRED};
use crate::entry::{Entry, Kind};
use crate::hold::State;
use crate::lot::{Lot, Use, lapse_id, mature_id};
use crate::order::OrderId;

use super::{Book, Change};

impl Book {
    /// Does what is due of an account by now: also once more after what brings back, or no longer holds, what has expired.
    pub(super) fn settle(&mut self, account: AccountId) {
        for hold in self.holds.over(account, self.now_ms) {
            // Releasing what is held cannot be refused.
            let Ok(lines) = self.close(&hold, State::Expired) else { continue };
            let id = OrderId::of(&[b"expire", &hold.id.0]);
            self.note(Entry { lines, ..self.own_entry(Kind::Expire, id, Some(hold.id)) });
        }
        let Some(lots) = self.lots.get(&account) else { return };
        for lot in lots.ripe(self.now_ms) {
            self.mature(account, &lot);
        }
        let held = self.accounts.get(&account).map_or(0, |after| after.held);
        let overdue = self.lots.get(&account).map(|lots| lots.overdue(self.now_ms, held)).unwrap_or_default();
        for (lot, part) in overdue {
            self.lapse(account, lot, part);
        }
    }

    pub(super) fn own_entry(&self, kind: Kind, id: OrderId, subject: Option<OrderId>) -> Entry {
        Entry { code: kind.word().to_owned(), subject, ..self.blank(kind, id) }
    }

    fn mature(&mut self, account: AccountId, lot: &Lot) {
        let Some(before) = self.accounts.get(&account).copied() else { return };
        let changes = [Change { pending: -lot.free, ..Change::of(account, 0) }];
        let Ok(lines) = self.judge(&changes) else { return };
        if let Some(lots) = self.lots.get_mut(&account) {
            lots.mature(&before, lot.lot);
        }
        self.apply(&lines);
        let entry = self.own_entry(Kind::Mature, mature_id(account, lot.lot), None);
        self.note(Entry { lines, ..entry });
    }

    /// Takes a part of a lot.
    fn lapse(&mut self, account: AccountId, lot: u64, part: i64) {
        let Some(unit) = self.units.get(&account).cloned() else { return };
        let to = Account::house(EXPIRED, &unit);
        let to_id = self.id(&to);
        let floor = self.opens(to_id, &to);
        let changes = [Change::of(account, -part), Change { floor, ..Change::of(to_id, part) }];
        let Ok(lines) = self.judge(&changes) else { return };
        self.learn(to_id, &to);
        if self.lots.get_mut(&account).is_some_and(|lots| lots.lapse(lot, part)) {
            self.fresh.uses.push(Use { account, entry: self.seq + 1, lot, amount: part });
        }
        self.apply(&lines);
        let posting = lines.first().map_or(0, |line| line.after.seq);
        let entry = self.own_entry(Kind::Lapse, lapse_id(account, lot, posting), None);
        self.note(Entry { lines, ..entry });
    }
}
