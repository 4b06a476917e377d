//! What an act is about: its campaign, its order, the key it is kept under, and the accounts that it may move.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::account::Account;
use records::error::Error as RecordsError;

use super::led::Led;
use super::{earn, orders};
use crate::act::{ActKey, Ask, What};
use crate::catalog::{Campaign, Snapshot};
use crate::document::{REFERRAL, SIGN_IN};
use crate::offer::{OfferKey, Order, OrderKey};
use crate::who::Who;

impl Ask {
    /// Whether it follows by itself from what somebody else did.
    pub(super) fn is_of_the_house(&self) -> bool {
        matches!(&self.what, What::Behave { behaviour, .. } if behaviour == REFERRAL)
    }

    /// The campaign that is named; none where it is about many, or about an order.
    pub(super) fn campaign(&self) -> &str {
        match &self.what {
            What::SignIn { campaign } | What::Refer { campaign, .. } | What::Order { campaign, .. } => {
                campaign
            }
            What::Behave { campaign, .. } => campaign.as_deref().unwrap_or_default(),
            What::Pay { .. } | What::Cancel { .. } | What::Expire { .. } => "",
        }
    }

    /// The order that it moves.
    pub(super) fn order(&self) -> Option<OrderKey> {
        match &self.what {
            What::Pay { order } | What::Cancel { order } | What::Expire { order } => Some(*order),
            What::Behave { .. } | What::SignIn { .. } | What::Refer { .. } | What::Order { .. } => None,
        }
    }

    /// The offer whose units it may move.
    pub(super) fn offer(
        &self,
        snapshot: &Snapshot,
        led: &Led,
        orders: &BTreeMap<OrderKey, Order>,
    ) -> Option<OfferKey> {
        if let What::Order { campaign, offer, .. } = &self.what {
            return Some((snapshot.campaigns.get(campaign)?.number, led.offer(self, offer).to_owned()));
        }
        let key = self.order()?;
        Some((key.0.subject, orders.get(&key)?.ordered().offer.clone()))
    }
}

/// The kind of act by which somebody who is brought would qualify, where it is a behaviour that is reported.
pub(super) fn first_of(ask: &Ask, snapshot: &Snapshot) -> Option<(Who, String)> {
    let What::Refer { campaign, .. } = &ask.what else { return None };
    let referral = snapshot.campaigns.get(campaign)?.document.referral.as_ref()?;
    Some((ask.who, kind_of(&referral.behaviour)))
}

/// The kind under which a behaviour is kept.
pub(super) fn kind_of(behaviour: &str) -> String {
    format!("behaviour/{behaviour}")
}

/// What an act is kept under; `None` where there is no such campaign.
pub(super) fn act_key(
    ask: &Ask,
    snapshot: &Snapshot,
    today: impl Fn(&Campaign, Who) -> i32,
) -> Option<ActKey> {
    let number = |campaign: &String| snapshot.campaigns.get(campaign);
    let (kind, key) = match &ask.what {
        What::Behave { behaviour, business_id, campaign, .. } => {
            // One event is one act, whether or not a campaign is named with it: else it would count twice.
            campaign.as_ref().map_or(Some(()), |campaign| number(campaign).map(|_| ()))?;
            (kind_of(behaviour), business_id.clone())
        }
        What::SignIn { campaign } => {
            let campaign = number(campaign)?;
            ("sign_in".to_owned(), format!("{}/{}", campaign.number, today(campaign, ask.who)))
        }
        What::Refer { campaign, .. } => ("referral".to_owned(), number(campaign)?.number.to_string()),
        What::Order { campaign, key, .. } => (format!("order/{}", number(campaign)?.number), key.clone()),
        What::Pay { .. } | What::Cancel { .. } | What::Expire { .. } => return None,
    };
    Some((ask.who, kind, key))
}

/// The accounts that an act may move, or look at.
pub(super) fn wallets(
    ask: &Ask,
    snapshot: &Snapshot,
    led: &Led,
    orders: &BTreeMap<OrderKey, Order>,
) -> Result<Vec<Account>, RecordsError> {
    let mut accounts = vec![];
    match &ask.what {
        What::Behave { behaviour, campaign, .. } => {
            let named = |found: &&Arc<Campaign>| campaign.as_ref().is_none_or(|named| *named == found.id);
            for campaign in snapshot.campaigns.values().filter(named) {
                earn::accounts(campaign, ask, behaviour, &mut accounts)?;
            }
        }
        What::SignIn { campaign } => {
            if let Some(campaign) = snapshot.campaigns.get(campaign) {
                earn::accounts(campaign, ask, SIGN_IN, &mut accounts)?;
            }
        }
        What::Refer { .. } | What::Expire { .. } => {}
        What::Order { campaign, offer, .. } => {
            if let Some(campaign) = snapshot.campaigns.get(campaign) {
                orders::accounts(campaign, ask, led.offer(ask, offer), &mut accounts)?;
            }
        }
        What::Pay { order } | What::Cancel { order } => {
            if let (Some(campaign), Some(order)) = (snapshot.numbered(order.0.subject), orders.get(order)) {
                for gain in &order.ordered().gains {
                    earn::gain_accounts(campaign, ask, gain, &mut accounts)?;
                }
            }
        }
    }
    Ok(accounts)
}
