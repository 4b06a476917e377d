//! What behaviours, sign-ins and referrals give: rules, caps, budgets, and the transfer that moves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::account::Account;
use ledger::error::Error as LedgerError;
use ledger::exchange::{Rate, Rounding as LedgerRounding};
use ledger::order::{Leg, Order, OrderId, Outcome as Posted, Terms, What as Move};
use records::error::Error as RecordsError;

use super::{Desk, kind_of};
use crate::act::{ActKey, Ask, Outcome};
use crate::audience;
use crate::catalog::{Campaign, spent, wallet};
use crate::document::{Earning, Gain, REFERRED, Rebate, Rounding, SIGN_IN, STREAK};
use crate::error::Error;
use crate::gain::Gained;
use crate::referral::{self, Brought};
use crate::who::Who;
use crate::window::Zone;

/// A gain that is about to be given.
pub(super) struct Giving<'g> {
    pub(super) campaign: &'g Campaign,
    pub(super) ask: &'g Ask,
    /// The rule's id, as answers name it.
    pub(super) rule: &'g str,
    pub(super) gain: &'g Gain,
    pub(super) amount: i64,
    pub(super) id: OrderId,
    /// What the ledger's order is for, and what it is about.
    pub(super) about: (&'static str, &'g str),
}

/// Every rule of a campaign for a behaviour.
fn rules<'c>(campaign: &'c Campaign, behaviour: &str) -> impl Iterator<Item = &'c Earning> {
    campaign.document.earning.iter().filter(move |rule| rule.behaviour == behaviour)
}

/// Whether doing this is what is asked of people who were brought.
fn qualifies(campaign: &Campaign, behaviour: &str) -> bool {
    campaign.document.referral.as_ref().is_some_and(|referral| referral.behaviour == behaviour)
}

/// The accounts that a behaviour may move, or look at.
pub(super) fn accounts(
    campaign: &Campaign,
    ask: &Ask,
    behaviour: &str,
    accounts: &mut Vec<Account>,
) -> Result<(), RecordsError> {
    let mut gains: Vec<&Gain> = rules(campaign, behaviour).flat_map(|rule| &rule.gains).collect();
    if qualifies(campaign, behaviour) {
        gains.extend(rules(campaign, REFERRED).flat_map(|rule| &rule.gains));
    }
    if let Some(sign_in) = campaign.document.sign_in.as_ref().filter(|_| behaviour == SIGN_IN) {
        gains.extend(sign_in.days.iter().flatten());
        gains.extend(sign_in.streaks.iter().flat_map(|streak| &streak.gains));
    }
    // Whom a campaign is for is asked also where nothing is given: a day is signed, and somebody who was brought qualifies.
    if gains.is_empty() && behaviour != SIGN_IN && !qualifies(campaign, behaviour) {
        return Ok(());
    }
    audience_accounts(campaign, ask, accounts)?;
    gains.into_iter().try_for_each(|gain| gain_accounts(campaign, ask, gain, accounts))
}

/// The wallets that a campaign's audiences look at.
pub(super) fn audience_accounts(
    campaign: &Campaign,
    ask: &Ask,
    accounts: &mut Vec<Account>,
) -> Result<(), RecordsError> {
    for (unit, name) in campaign.document.audiences.values().flat_map(audience::wallets) {
        accounts.push(wallet(&ask.participant, unit, name)?);
    }
    Ok(())
}

/// The accounts that a gain moves.
pub(super) fn gain_accounts(
    campaign: &Campaign,
    ask: &Ask,
    gain: &Gain,
    accounts: &mut Vec<Account>,
) -> Result<(), RecordsError> {
    accounts.push(wallet(&ask.participant, &gain.unit, &gain.wallet)?);
    accounts.push(campaign.source(&gain.unit)?);
    if let Some(money) = &campaign.document.budget.money {
        accounts.extend([campaign.fund(&money.unit)?, spent(&money.unit)?]);
    }
    Ok(())
}

impl Gain {
    /// How much a value gives; nothing where it gives less than one.
    fn of(&self, value: Option<i64>) -> Option<i64> {
        match (self.amount, self.of_value, value) {
            (Some(amount), _, _) => Some(amount),
            (None, Some(rebate), Some(value)) => rebate.of(value),
            (None, _, _) => None,
        }
    }
}

impl Rebate {
    fn of(self, value: i64) -> Option<i64> {
        let rounding = match self.rounding {
            Rounding::Down => LedgerRounding::Down,
            Rounding::Up => LedgerRounding::Up,
            Rounding::HalfEven => LedgerRounding::HalfEven,
        };
        let most = self.at_most.unwrap_or(i64::MAX);
        match Rate::new(self.gives, self.for_every, rounding).ok()?.convert(value) {
            Ok(amount) => Some(amount.min(most)),
            // More than can be moved at once is still as much as is given at the most.
            Err(LedgerError::BadExchange { got, .. }) => self.at_most.filter(|most| i128::from(*most) <= got),
            Err(_) => None,
        }
    }
}

impl Desk {
    pub(super) fn behave(
        &mut self,
        ask: &Ask,
        key: &ActKey,
        (behaviour, value): (&str, Option<i64>),
        only: Option<&str>,
    ) -> Result<Outcome, Error> {
        let campaigns: Vec<Arc<Campaign>> = match only {
            Some(id) => vec![self.running(id, ask)?],
            None => {
                let all = self.snapshot.campaigns.values();
                let at_ms = self.done_ms(ask);
                let runs = |campaign: &&Arc<Campaign>| campaign.window.check(at_ms, &campaign.zone).is_ok();
                all.filter(runs).cloned().collect()
            }
        };
        let mut gains = vec![];
        for campaign in &campaigns {
            self.earn(campaign, (ask, key), (behaviour, value), &mut gains)?;
        }
        Ok(Outcome::Behaved { at_ms: self.place.now_ms, gains })
    }

    /// What a campaign's rules give for a behaviour, to the one who was brought too where that is what was asked of them.
    fn earn(
        &mut self,
        campaign: &Arc<Campaign>,
        (ask, key): (&Ask, &ActKey),
        (behaviour, value): (&str, Option<i64>),
        gains: &mut Vec<Gained>,
    ) -> Result<(), Error> {
        if !self.is_for(campaign, campaign.document.audience.as_ref(), ask) {
            return Ok(());
        }
        for rule in rules(campaign, behaviour) {
            self.earn_by(campaign, (ask, key), (rule, value), gains)?;
        }
        if qualifies(campaign, behaviour) && self.qualify(campaign, ask)? {
            for rule in rules(campaign, REFERRED) {
                self.earn_by(campaign, (ask, key), (rule, value), gains)?;
            }
        }
        Ok(())
    }

    fn earn_by(
        &mut self,
        campaign: &Campaign,
        (ask, key): (&Ask, &ActKey),
        (rule, value): (&Earning, Option<i64>),
        gains: &mut Vec<Gained>,
    ) -> Result<(), Error> {
        let is_enough = rule.min_value.is_none_or(|min| value.is_some_and(|value| value >= min));
        if !is_enough || !self.is_for(campaign, rule.audience.as_ref(), ask) {
            return Ok(());
        }
        let (day, item) =
            (campaign.zone.day_of(self.done_ms(ask)), (campaign.number, format!("earn/{}", rule.id)));
        let (room, which) = self.tallies.of(ask.who, &item).room(rule.caps, day);
        let mut given = false;
        for (place, gain) in rule.gains.iter().enumerate() {
            let Some(amount) = gain.of(value) else { continue };
            let giving = Giving {
                campaign,
                ask,
                rule: &rule.id,
                gain,
                amount,
                id: gain_id(campaign, key, &rule.id, place),
                about: ("earning", &key.2),
            };
            if room == 0 {
                gains.push(giving.withheld(which.word()));
                continue;
            }
            let gained = self.give(&giving)?;
            given |= gained.amount > 0;
            gains.push(gained);
        }
        if given {
            self.tallies.change(ask.who, item, |tally| tally.add(1, day));
        }
        Ok(())
    }

    /// Notes that somebody who was brought has done what was asked. `false`: they were not, or had done so, or came too late.
    fn qualify(&mut self, campaign: &Campaign, ask: &Ask) -> Result<bool, Error> {
        let key = (ask.who, campaign.number);
        let Some(brought) = self.referrals.get_mut(&key).filter(|brought| !brought.qualified) else {
            return Ok(false);
        };
        let within = campaign.document.referral.as_ref().and_then(|referral| referral.within_days);
        let days = campaign.zone.day_of(self.place.now_ms) - campaign.zone.day_of(brought.at_ms);
        if within.is_some_and(|within| i64::from(days) > i64::from(within)) {
            return Ok(false);
        }
        brought.qualified = true;
        let brought = brought.clone();
        // The act is about to get this number.
        let at = (self.head.seq + 1, self.place.now_ms);
        let effect = referral::qualified((campaign.number, &campaign.id), at, (ask.who, &brought))?;
        self.fresh.effects.push(effect);
        self.fresh.referrals.insert(key);
        Ok(true)
    }

    pub(super) fn sign_in(&mut self, ask: &Ask, key: &ActKey, campaign: &str) -> Result<Outcome, Error> {
        let campaign = self.running(campaign, ask)?;
        let Some(sign_in) = &campaign.document.sign_in else {
            return Err(Error::NoSignIn(campaign.id.clone()));
        };
        if !self.is_for(&campaign, campaign.document.audience.as_ref(), ask) {
            return Err(Error::NotForThem);
        }
        let (day, place) = (self.today(&campaign, ask.who), (ask.who, campaign.number));
        let calendar = self.calendars.entry(place).or_default();
        calendar.sign(day);
        let streak = calendar.streak;
        self.fresh.calendars.insert(place);
        let mut gains = vec![];
        for (rule, given) in [(SIGN_IN, sign_in.of_day(streak)), (STREAK, sign_in.of_streak(streak))] {
            for (place, gain) in given.iter().enumerate() {
                let Some(amount) = gain.of(None) else { continue };
                let id = gain_id(&campaign, key, &format!("/{rule}"), place);
                let about = ("sign_in", key.2.as_str());
                let giving = Giving { campaign: &campaign, ask, rule, gain, amount, id, about };
                gains.push(self.give(&giving)?);
            }
        }
        self.earn(&campaign, (ask, key), (SIGN_IN, None), &mut gains)?;
        Ok(Outcome::SignedIn {
            at_ms: self.place.now_ms,
            campaign: campaign.id.clone(),
            day: Zone::write_day(day),
            streak,
            gains,
        })
    }

    pub(super) fn refer(
        &mut self,
        ask: &Ask,
        campaign: &str,
        (code, referrer): (&str, Option<Who>),
    ) -> Result<Outcome, Error> {
        let campaign = self.running(campaign, ask)?;
        let Some(referral) = &campaign.document.referral else {
            return Err(Error::NoReferral(campaign.id.clone()));
        };
        let referrer = referrer.ok_or_else(|| Error::NoSuchCode(code.to_owned()))?;
        let (key, at_ms) = ((ask.who, campaign.number), self.place.now_ms);
        if referral::is_above(&self.referrals, key, referrer) {
            return Err(Error::Circular);
        }
        // Who has done before what is asked of those who are brought was not won by being brought.
        let has_signed = referral.behaviour == SIGN_IN
            && self.calendars.get(&key).is_some_and(|calendar| calendar.last.is_some());
        if has_signed || self.done.contains(&(ask.who, kind_of(&referral.behaviour))) {
            return Err(Error::NotNew(referral.behaviour.clone()));
        }
        let brought = Brought { code: code.to_owned(), referrer, at_ms, qualified: false };
        self.referrals.insert(key, brought);
        self.fresh.referrals.insert(key);
        Ok(Outcome::Referred { at_ms, campaign: campaign.id.clone() })
    }

    /// Gives what caps, budget and money let through, and tells what they did not.
    pub(super) fn give(&mut self, giving: &Giving<'_>) -> Result<Gained, Error> {
        let Giving { campaign, ask, rule, gain, .. } = giving;
        let day = campaign.zone.day_of(self.done_ms(ask));
        let item = (campaign.number, format!("gain/{rule}/{}/{}", gain.unit, gain.wallet));
        let (room, which) = self.tallies.of(ask.who, &item).room(gain.caps, day);
        let amount = giving.amount.min(i64::try_from(room).unwrap_or(i64::MAX));
        if amount == 0 {
            return Ok(giving.withheld(which.word()));
        }
        if let Some(why) = self.lacks(campaign, &[(&gain.unit, amount)])? {
            return Ok(giving.withheld(why));
        }
        let order = self.transfer(giving, amount)?;
        match self.counter.decide(&order)? {
            Posted::Created(_) => {}
            Posted::Refused { why, .. } => return Ok(giving.withheld(why.word())),
            Posted::Exists(_) | Posted::ExistsWithDifferent(_) | Posted::Nothing => {
                return Err(RecordsError::Surprise("ledger_order").into());
            }
        }
        if gain.caps != crate::tally::Caps::default() {
            self.tallies.change(ask.who, item, |tally| tally.add(amount.unsigned_abs(), day));
        }
        let withheld = (amount < giving.amount).then(|| which.word().to_owned());
        Ok(Gained { amount, withheld, ..giving.withheld("") })
    }

    /// Whether the budget or the money is used up by amounts of units that are given together.
    pub(super) fn lacks(
        &mut self,
        campaign: &Campaign,
        given: &[(&str, i64)],
    ) -> Result<Option<&'static str>, RecordsError> {
        let (mut units, mut money) = (BTreeMap::<&str, i64>::new(), 0_i64);
        for (unit, amount) in given {
            if campaign.document.budget.units.contains_key(*unit) {
                let needed = units.entry(*unit).or_default();
                *needed = needed.saturating_add(*amount);
            }
            // Each is rounded up by itself, as each is a transfer of its own.
            money = money.saturating_add(campaign.cost(unit, *amount).map_or(0, |(_, cost)| cost));
        }
        for (unit, needed) in units {
            if self.counter.available(&campaign.fund(unit)?) < needed {
                return Ok(Some("budget"));
            }
        }
        if let Some(budget) = campaign.document.budget.money.as_ref().filter(|_| money > 0)
            && self.counter.available(&campaign.fund(&budget.unit)?) < money
        {
            return Ok(Some("money"));
        }
        Ok(None)
    }

    /// The ledger's order that gives.
    pub(super) fn transfer(&self, giving: &Giving<'_>, amount: i64) -> Result<Order, RecordsError> {
        let Giving { campaign, ask, gain, id, about: (code, reference), .. } = giving;
        let leg = |account, amount| Leg { account, amount };
        let mut legs = vec![
            leg(campaign.source(&gain.unit)?, -amount),
            leg(wallet(&ask.participant, &gain.unit, &gain.wallet)?, amount),
        ];
        if let Some((money, cost)) = campaign.cost(&gain.unit, amount) {
            legs.extend([leg(campaign.fund(money)?, -cost), leg(spent(money)?, cost)]);
        }
        let (now_ms, day) = (self.place.now_ms, campaign.zone.day_of(self.place.now_ms));
        let available_ms = gain.available_after_seconds.map(|seconds| now_ms + i64::from(seconds) * 1000);
        let last = gain.expires_after_days.and_then(|days| i32::try_from(days).ok());
        let expires_ms = last.and_then(|days| campaign.zone.begin_of(day + days + 1));
        // A day that the clocks cut short must not end before what it gives can be spent.
        let available_ms = available_ms.filter(|from| expires_ms.is_none_or(|until| *from < until));
        let terms = Terms { available_ms, expires_ms };
        // A reference is what the act is called; what is too long for the ledger leads there by its beginning.
        let reference: String = reference.chars().take(ledger::order::REFERENCE_MAX).collect();
        Ok(Order { id: *id, code: (*code).to_owned(), reference, what: Move::Transfer { legs, terms } })
    }
}

impl Campaign {
    /// What an amount costs of the campaign's money, rounded up: the money's unit and how much.
    fn cost(&self, unit: &str, amount: i64) -> Option<(&str, i64)> {
        let money = self.document.budget.money.as_ref()?;
        let cost = money.costs.iter().find(|cost| cost.unit == unit)?;
        let whole = i128::from(amount) * i128::from(cost.cost);
        let up = (whole + i128::from(cost.units) - 1) / i128::from(cost.units);
        Some((&money.unit, i64::try_from(up).unwrap_or(i64::MAX)))
    }
}

impl Giving<'_> {
    /// What is told where nothing is given.
    pub(super) fn withheld(&self, why: &str) -> Gained {
        Gained {
            campaign: self.campaign.id.clone(),
            rule: self.rule.to_owned(),
            unit: self.gain.unit.clone(),
            wallet: self.gain.wallet.clone(),
            amount: 0,
            withheld: Some(why.to_owned()),
        }
    }
}

/// The ledger's id of a gain: it follows from the act and the rule, so that nothing is ever given twice for them.
fn gain_id(campaign: &Campaign, (who, kind, key): &ActKey, rule: &str, place: usize) -> OrderId {
    OrderId::of(&[
        b"campaign-gain",
        &campaign.number.to_be_bytes(),
        &who.bucket.to_be_bytes(),
        &who.hash,
        kind.as_bytes(),
        key.as_bytes(),
        rule.as_bytes(),
        &place.to_be_bytes(),
    ])
}
