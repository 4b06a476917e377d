//! What is shown at a place, and to whom. Nothing is locked: what somebody has may have changed when they act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledger::desk::Desk as LedgerDesk;
use records::port::read;

use super::Campaigns;
use crate::audience::{self, Standing, belongs};
use crate::calendar;
use crate::catalog::{Campaign, wallet};
use crate::error::Error;
use crate::referral;

/// What is known of somebody in a campaign.
struct Seen {
    lists: BTreeSet<String>,
    available: BTreeMap<(String, String), i64>,
    streak: u32,
    is_referred: bool,
}

impl Standing for Seen {
    fn is_on(&self, list: &str) -> bool {
        self.lists.contains(list)
    }

    fn available(&mut self, unit: &str, wallet: &str) -> i64 {
        self.available.get(&(unit.to_owned(), wallet.to_owned())).copied().unwrap_or(0)
    }

    fn streak(&self) -> u32 {
        self.streak
    }

    fn is_referred(&self) -> bool {
        self.is_referred
    }
}

impl Campaigns {
    /// The campaign that is shown at a place now; to a participant only one that is for them, where one is named.
    pub async fn placed(
        &self,
        (channel, source): (&str, &str),
        to: Option<&str>,
    ) -> Result<Arc<Campaign>, Error> {
        let (snapshot, now_ms) = (self.catalog.fresh().await?, self.clock.now_ms());
        let shown = |campaign: &&Arc<Campaign>| {
            campaign.window.check(now_ms, &campaign.zone).is_ok()
                && campaign.document.placements.iter().any(|placement| {
                    (placement.channel.as_str(), placement.source.as_str()) == (channel, source)
                })
        };
        let found = snapshot.campaigns.values().find(shown).cloned();
        let nothing = || Error::NothingPlaced {
            channel: channel.chars().take(64).collect(),
            source_name: source.chars().take(64).collect(),
        };
        let campaign = found.ok_or_else(nothing)?;
        match to {
            Some(participant) if !self.is_for(&campaign, participant).await? => Err(nothing()),
            Some(_) | None => Ok(campaign),
        }
    }

    /// Whether somebody belongs to a campaign's audience, as far as can be seen without a lock.
    pub async fn is_for(&self, campaign: &Arc<Campaign>, participant: &str) -> Result<bool, Error> {
        let who = self.who(participant)?;
        let Some(name) = &campaign.document.audience else { return Ok(true) };
        let Some(audience) = campaign.document.audiences.get(name).cloned() else { return Ok(false) };
        let (tenant, shard, now_ms) = (self.tenant, self.shard, self.clock.now_ms());
        let (participant, campaign) = (participant.to_owned(), Arc::clone(campaign));
        read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let people = BTreeSet::from([who]);
                let looked_at = audience::wallets(&audience);
                let accounts = looked_at.iter().map(|(unit, name)| wallet(&participant, unit, name));
                let accounts: Vec<_> = accounts.collect::<Result<_, _>>()?;
                let left = LedgerDesk { tenant, shard, now_ms }.available(tx, &accounts).await?;
                let names = looked_at.iter().map(|(unit, name)| ((*unit).to_owned(), (*name).to_owned()));
                let available = names.zip(left).collect();
                let lists = audience::lists(tx, tenant.number, &people).await?;
                let place = (who, campaign.number);
                let calendars = calendar::load(tx, tenant.number, &people).await?;
                let today = campaign.zone.day_of(now_ms);
                let mut seen = Seen {
                    lists: lists.into_iter().map(|(_, list)| list).collect(),
                    available,
                    streak: calendars.get(&place).map_or(0, |calendar| calendar.streak_on(today)),
                    is_referred: referral::load(tx, tenant.number, &people).await?.contains_key(&place),
                };
                Ok(belongs(&audience, &mut seen))
            })
        })
        .await
    }
}
