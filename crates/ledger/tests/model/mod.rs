//! What should become of orders, as plain as can be: a purse is a row of parcels, and what is owed.

use std::collections::BTreeMap;

use ledger::order::Refusal;

use crate::{Ask, HOUR_MS};

/// So many people.
pub(crate) const PEOPLE: usize = 3;

/// A part of what somebody has, by the order that brought it.
#[derive(Debug, Clone, Copy)]
struct Parcel {
    /// `None` of what was there before anything had terms.
    order: Option<usize>,
    free: i64,
    lapsed: i64,
    /// Not available before.
    from_ms: Option<i64>,
    until_ms: Option<i64>,
}

#[derive(Debug, Clone, Default)]
struct Purse {
    parcels: Vec<Parcel>,
    owed: i64,
    may_owe: i64,
    /// Whether something ever had terms.
    timed: bool,
    held: i64,
    coins: i64,
}

impl Purse {
    fn pending(&self) -> i64 {
        self.parcels.iter().filter(|parcel| parcel.from_ms.is_some()).map(|parcel| parcel.free).sum()
    }

    fn ready(&self) -> i64 {
        let ready = self.parcels.iter().filter(|parcel| parcel.from_ms.is_none());
        ready.map(|parcel| parcel.free).sum::<i64>() - self.owed
    }

    /// Whether so much may go: what is held stays.
    fn may(&self, amount: i64) -> Result<(), Refusal> {
        if self.ready() - self.held - amount >= -self.may_owe {
            Ok(())
        } else {
            Err(Refusal::InsufficientFunds)
        }
    }

    fn repay(&mut self, amount: i64) -> i64 {
        let repaid = amount.min(self.owed);
        self.owed -= repaid;
        amount - repaid
    }

    fn arrive(&mut self, order: usize, amount: i64, (from_ms, until_ms): (Option<i64>, Option<i64>)) {
        let free = if from_ms.is_some() { amount } else { self.repay(amount) };
        if self.timed {
            self.parcels.push(Parcel { order: Some(order), free, lapsed: 0, from_ms, until_ms });
        } else if let Some(all) = self.parcels.first_mut() {
            all.free += free;
        } else {
            self.parcels.push(Parcel { order: None, free, lapsed: 0, from_ms, until_ms });
        }
    }

    /// Takes from the oldest; what is not there is owed.
    fn leave(&mut self, mut amount: i64, first: Option<usize>) -> Uses {
        let mut uses = vec![];
        let is_first = |parcel: &Parcel| first.is_some() && parcel.order == first;
        for only_first in [true, false] {
            for parcel in self.parcels.iter_mut().filter(|parcel| is_first(parcel) == only_first) {
                let part = parcel.free.min(amount);
                if part > 0 && (parcel.from_ms.is_none() || only_first) {
                    parcel.free -= part;
                    amount -= part;
                    uses.push((parcel.order, part));
                }
            }
        }
        self.owed += amount;
        if self.timed { uses } else { vec![] }
    }

    /// Takes back what was paid: it goes where it came from, and the rest repays what is owed.
    fn regain(&mut self, order: usize, amount: i64, uses: &[(Option<usize>, i64)]) {
        let rest = amount - uses.iter().map(|(_, part)| part).sum::<i64>();
        for (order, part) in uses {
            let parcel = self.parcels.iter_mut().find(|parcel| parcel.order == *order);
            parcel.expect("a parcel").free += part;
        }
        let rest = self.repay(rest);
        if rest > 0 {
            self.arrive(order, rest, (None, None));
        }
        let still = self.owed;
        self.owed = 0;
        self.leave(still, None);
    }

    fn settle(&mut self, now_ms: i64) -> i64 {
        let mut due: Vec<_> = self
            .parcels
            .iter()
            .enumerate()
            .filter_map(|(place, parcel)| Some((parcel.from_ms.filter(|from_ms| *from_ms <= now_ms)?, place)))
            .collect();
        due.sort_unstable();
        for (_, place) in due {
            self.parcels[place].from_ms = None;
            self.parcels[place].free = self.repay(self.parcels[place].free);
        }
        let (mut held, mut lapsed) = (self.held, 0);
        for parcel in self.parcels.iter_mut().filter(|parcel| parcel.from_ms.is_none()) {
            let kept = parcel.free.min(held);
            held -= kept;
            if parcel.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
                lapsed += parcel.free - kept;
                parcel.lapsed += parcel.free - kept;
                parcel.free = kept;
            }
        }
        lapsed
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended(Refusal),
}

/// What came of which parcels.
type Uses = Vec<(Option<usize>, i64)>;

#[derive(Debug, Clone)]
enum Done {
    /// Who paid with what, who received, how much; where one is nobody, the house.
    Moved {
        from: Option<(usize, Uses)>,
        to: Option<usize>,
        amount: i64,
        coins: i64,
        undone: bool,
    },
    Held(usize),
    Else,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    who: usize,
    amount: i64,
    until_ms: i64,
    state: State,
}

/// What should be.
#[derive(Default)]
pub(crate) struct Model {
    people: [Purse; PEOPLE],
    orders: Vec<Result<Done, Refusal>>,
    holds: Vec<Hold>,
    house: BTreeMap<&'static str, i64>,
}

impl Model {
    pub(crate) fn known(&self, place: usize) -> Result<(), Refusal> {
        self.orders[place].as_ref().map(|_| ()).map_err(|why| *why)
    }

    pub(crate) fn has(&self, who: usize) -> (i64, i64, i64) {
        let purse = &self.people[who];
        (purse.ready() + purse.pending(), purse.held, purse.pending())
    }

    pub(crate) fn coins(&self, who: usize) -> i64 {
        self.people[who].coins
    }

    /// What its lots have in them.
    pub(crate) fn free(&self, who: usize) -> i64 {
        let purse = &self.people[who];
        if purse.timed { purse.parcels.iter().map(|parcel| parcel.free).sum() } else { 0 }
    }

    pub(crate) fn house(&self) -> [(&'static str, i64); 4] {
        ["issued", "spent", "exchange", "expired"]
            .map(|name| (name, self.house.get(name).copied().unwrap_or(0)))
    }

    fn move_house(&mut self, name: &'static str, amount: i64) {
        *self.house.entry(name).or_default() += amount;
    }

    /// Does all that is due.
    pub(crate) fn pass(&mut self, now_ms: i64) {
        for hold in self.holds.iter_mut().filter(|hold| hold.state == State::Open) {
            if hold.until_ms <= now_ms {
                hold.state = State::Ended(Refusal::HoldExpired);
                self.people[hold.who].held -= hold.amount;
            }
        }
        let lapsed = self.people.iter_mut().map(|purse| purse.settle(now_ms)).sum();
        self.move_house("expired", lapsed);
    }

    pub(crate) fn ask(&mut self, ask: &Ask, place: usize, now_ms: i64) -> Result<(), Refusal> {
        self.pass(now_ms);
        let done = self.carry_out(ask, place, now_ms);
        self.orders.push(done);
        self.pass(now_ms);
        self.known(place)
    }

    fn carry_out(&mut self, ask: &Ask, place: usize, now_ms: i64) -> Result<Done, Refusal> {
        let moved = |from, to, amount| Ok(Done::Moved { from, to, amount, coins: 0, undone: false });
        match *ask {
            Ask::Grant(who, amount, from, until) => {
                let from_ms = from.map(|hours| now_ms + hours * HOUR_MS);
                let until_ms = until.map(|hours| from_ms.unwrap_or(now_ms) + hours * HOUR_MS);
                self.people[who].timed |= from_ms.is_some() || until_ms.is_some();
                let from_ms = from_ms.filter(|from_ms| *from_ms > now_ms);
                self.people[who].arrive(place, amount, (from_ms, until_ms));
                self.move_house("issued", -amount);
                moved(None, Some(who), amount)
            }
            Ask::Spend(who, amount) => {
                self.people[who].may(amount)?;
                self.move_house("spent", amount);
                moved(Some((who, self.people[who].leave(amount, None))), None, amount)
            }
            Ask::Give(from, to, amount) => {
                self.people[from].may(amount)?;
                let uses = self.people[from].leave(amount, None);
                self.people[to].arrive(place, amount, (None, None));
                moved(Some((from, uses)), Some(to), amount)
            }
            Ask::Exchange(who, amount) => {
                self.people[who].may(amount)?;
                let (uses, coins) = (self.people[who].leave(amount, None), amount / 3);
                self.people[who].coins += coins;
                self.move_house("exchange", amount);
                Ok(Done::Moved { from: Some((who, uses)), to: None, amount, coins, undone: false })
            }
            Ask::Hold(who, amount, hours) => {
                if hours == 0 {
                    return Err(Refusal::BadTime);
                }
                self.people[who].may(amount)?;
                self.people[who].held += amount;
                let until_ms = now_ms + hours * HOUR_MS;
                self.holds.push(Hold { who, amount, until_ms, state: State::Open });
                Ok(Done::Held(self.holds.len() - 1))
            }
            Ask::Capture(of, amount) => {
                let hold = self.end(of, amount, Refusal::HoldCaptured)?;
                let amount = amount.unwrap_or(hold.amount);
                self.move_house("spent", amount);
                moved(Some((hold.who, self.people[hold.who].leave(amount, None))), None, amount)
            }
            Ask::Release(of) => self.end(of, None, Refusal::HoldReleased).map(|_| Done::Else),
            Ask::Reverse(of) => self.reverse(of, place),
            Ask::Owe(who, owes) => {
                let purse = &mut self.people[who];
                if purse.ready() - purse.held < -owes {
                    return Err(Refusal::InsufficientFunds);
                }
                purse.may_owe = owes;
                Ok(Done::Else)
            }
            Ask::Repeat(..) => unreachable!("a repeat asks for nothing"),
        }
    }

    fn end(&mut self, of: usize, amount: Option<i64>, why: Refusal) -> Result<Hold, Refusal> {
        let count = self.orders.len();
        let Some(Ok(Done::Held(place))) = of.checked_rem(count).map(|of| self.orders[of].clone()) else {
            return Err(Refusal::NoSuchHold);
        };
        let hold = self.holds[place];
        if let State::Ended(why) = hold.state {
            return Err(why);
        }
        if amount.is_some_and(|amount| amount > hold.amount) {
            return Err(Refusal::BeyondHold);
        }
        self.holds[place].state = State::Ended(why);
        self.people[hold.who].held -= hold.amount;
        Ok(hold)
    }

    fn reverse(&mut self, of: usize, place: usize) -> Result<Done, Refusal> {
        let of = of % self.orders.len();
        let (from, to, amount, coins) = match self.orders[of].clone() {
            Err(_) => return Err(Refusal::NoSuchTransfer),
            Ok(Done::Moved { from, to, amount, coins, undone: false }) => (from, to, amount, coins),
            Ok(_) => return Err(Refusal::NotReversible),
        };
        let mut expired = 0;
        if let Some(to) = to {
            let own = self.people[to].parcels.iter().find(|parcel| parcel.order == Some(of));
            let (waits, lapsed) =
                own.map_or((0, 0), |own| (if own.from_ms.is_some() { own.free } else { 0 }, own.lapsed));
            // What has expired of a grant is taken back from where it went.
            expired = lapsed;
            self.people[to].may(amount - lapsed - waits)?;
            self.people[to].leave(amount - lapsed, Some(of));
        }
        let Some((from, uses)) = from else {
            self.move_house("issued", amount);
            self.move_house("expired", -expired);
            return self.undo(of);
        };
        if self.people[from].coins < coins {
            return Err(Refusal::InsufficientFunds);
        }
        self.people[from].coins -= coins;
        self.people[from].regain(place, amount, &uses);
        match (to, coins) {
            (Some(_), _) => {}
            (None, 0) => self.move_house("spent", -amount),
            (None, _) => self.move_house("exchange", -amount),
        }
        self.undo(of)
    }

    fn undo(&mut self, of: usize) -> Result<Done, Refusal> {
        if let Ok(Done::Moved { undone, .. }) = &mut self.orders[of] {
            *undone = true;
        }
        Ok(Done::Else)
    }
}
