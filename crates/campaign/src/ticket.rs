//! Tickets: a participant's right to draw, as a quota.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How many tickets each participant has. Every completed draw uses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Over the whole campaign; no limit where it is left out.
    #[serde(default)]
    pub total: Option<u32>,
    /// Per local day; no limit where it is left out.
    #[serde(default)]
    pub per_day: Option<u32>,
}

impl Quota {
    /// Refuses a participant whose tickets are used.
    pub fn check(self, used: u64, used_today: u64) -> Result<(), Error> {
        if let Some(total) = self.total.filter(|total| used >= u64::from(*total)) {
            return Err(Error::TicketsUsed(total));
        }
        if let Some(per_day) = self.per_day.filter(|per_day| used_today >= u64::from(*per_day)) {
            return Err(Error::TicketsUsedToday(per_day));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ticket_is_a_ticket_and_the_whole_counts_first() {
        let quota = Quota { total: Some(3), per_day: Some(2) };
        assert_eq!(quota.check(0, 0), Ok(()));
        assert_eq!(quota.check(2, 1), Ok(()));
        assert_eq!(quota.check(2, 2), Err(Error::TicketsUsedToday(2)));
        assert_eq!(quota.check(3, 2), Err(Error::TicketsUsed(3)));
        assert_eq!(Quota::default().check(u64::MAX, u64::MAX), Ok(()));
        assert_eq!(Quota { total: Some(0), per_day: None }.check(0, 0), Err(Error::TicketsUsed(0)));
    }
}
