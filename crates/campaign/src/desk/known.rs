//! What is known of somebody in a campaign: what rules and offers ask, to see whether they belong to an audience.

use std::collections::BTreeSet;

use ledger::desk::Counter;

use crate::act::Ask;
use crate::audience::Standing;
use crate::calendar::Calendars;
use crate::catalog::wallet;
use crate::referral::Referrals;
use crate::who::Who;

/// What is known of somebody in a campaign.
pub(super) struct Known<'d> {
    pub(super) day: i32,
    pub(super) campaign: u32,
    pub(super) ask: &'d Ask,
    pub(super) lists: &'d BTreeSet<(Who, String)>,
    pub(super) calendars: &'d Calendars,
    pub(super) referrals: &'d Referrals,
    pub(super) counter: &'d mut Counter,
}

impl Standing for Known<'_> {
    fn is_on(&self, list: &str) -> bool {
        self.lists.contains(&(self.ask.who, list.to_owned()))
    }

    fn available(&mut self, unit: &str, name: &str) -> i64 {
        wallet(&self.ask.participant, unit, name).map_or(0, |account| self.counter.available(&account))
    }

    fn streak(&self) -> u32 {
        let calendar = self.calendars.get(&(self.ask.who, self.campaign));
        calendar.map_or(0, |calendar| calendar.streak_on(self.day))
    }

    fn is_referred(&self) -> bool {
        self.referrals.contains_key(&(self.ask.who, self.campaign))
    }
}
