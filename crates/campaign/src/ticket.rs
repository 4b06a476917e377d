//! Tickets: a participant's right to draw, as a quota and as what they must hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How many tickets each participant has. Every completed draw uses one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Over the whole campaign; no limit where it is left out.
    #[serde(default)]
    pub total: Option<u32>,
    /// Per local day; no limit where it is left out.
    #[serde(default)]
    pub per_day: Option<u32>,
    // Rules are hashed: what is younger than the first of them is not written where it says nothing.
    /// Per local calendar month; no limit where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_month: Option<u32>,
    /// The participant's wallet in the ledger that every draw takes a ticket from; none is taken where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
}

/// Draws that a participant has completed: each used a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// In the whole campaign.
    pub total: u64,
    /// On this local day.
    pub today: u64,
    /// In this local month.
    pub this_month: u64,
}

impl Quota {
    /// Refuses a participant whose tickets are used. Of several reasons the one that lasts longest is told.
    pub fn check(&self, used: Used) -> Result<(), Error> {
        let spent = |limit: Option<u32>, used: u64| limit.filter(|limit| used >= u64::from(*limit));
        if let Some(total) = spent(self.total, used.total) {
            return Err(Error::TicketsUsed(total));
        }
        if let Some(per_month) = spent(self.per_month, used.this_month) {
            return Err(Error::TicketsUsedThisMonth(per_month));
        }
        if let Some(per_day) = spent(self.per_day, used.today) {
            return Err(Error::TicketsUsedToday(per_day));
        }
        Ok(())
    }

    /// Refuses a participant who holds fewer tickets than they would use, where the tickets are held in a wallet.
    pub fn check_held(&self, held: u64, wanted: u64) -> Result<(), Error> {
        match &self.wallet {
            Some(wallet) if held < wanted => Err(Error::NoTicket(wallet.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// The most draws that one participant can complete in a local day, where there is such a number.
    pub fn most_in_a_day(&self) -> Option<u32> {
        [self.per_day, self.per_month, self.total].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(total: u64, this_month: u64, today: u64) -> Used {
        Used { total, today, this_month }
    }

    #[test]
    fn the_last_ticket_is_a_ticket_and_the_longest_wait_is_told() {
        let quota = Quota { total: Some(5), per_month: Some(3), per_day: Some(2), wallet: None };
        for (used, expected) in [
            (used(0, 0, 0), Ok(())),
            (used(4, 2, 1), Ok(())),
            (used(4, 2, 2), Err(Error::TicketsUsedToday(2))),
            (used(4, 3, 0), Err(Error::TicketsUsedThisMonth(3))),
            (used(4, 3, 2), Err(Error::TicketsUsedThisMonth(3))),
            (used(5, 3, 2), Err(Error::TicketsUsed(5))),
        ] {
            assert_eq!(quota.check(used), expected, "{used:?}");
        }
        assert_eq!(Quota::default().check(used(u64::MAX, u64::MAX, u64::MAX)), Ok(()));
        let none = Quota { total: Some(0), ..Quota::default() };
        assert_eq!(none.check(Used::default()), Err(Error::TicketsUsed(0)));
        assert_eq!((quota.most_in_a_day(), Quota::default().most_in_a_day()), (Some(2), None));
        assert_eq!(Quota { per_day: Some(9), ..quota }.most_in_a_day(), Some(3));
    }

    #[test]
    fn tickets_are_held_only_where_a_wallet_is_named() {
        let quota = Quota { wallet: Some("w".to_owned()), ..Quota::default() };
        assert_eq!((quota.check_held(1, 1), quota.check_held(3, 2)), (Ok(()), Ok(())));
        assert_eq!(quota.check_held(1, 2), Err(Error::NoTicket("w".to_owned())));
        assert_eq!(Quota::default().check_held(0, 1), Ok(()));
    }

    /// Rules that were published before there were months and wallets keep the text that was hashed.
    #[test]
    fn what_says_nothing_new_is_written_as_it_always_was() {
        let check = |quota: &Quota, expected: &str| {
            let text = serde_json::to_string(quota).expect("JSON");
            assert_eq!(text, expected);
            assert_eq!(&serde_json::from_str::<Quota>(&text).expect("a quota"), quota);
        };
        let old = Quota { total: Some(3), ..Quota::default() };
        check(&old, r#"{"total":3,"per_day":null}"#);
        let wallet = Some("raffle-spring".to_owned());
        let new = Quota { per_month: Some(9), wallet, ..old.clone() };
        check(&new, r#"{"total":3,"per_day":null,"per_month":9,"wallet":"raffle-spring"}"#);
    }
}
