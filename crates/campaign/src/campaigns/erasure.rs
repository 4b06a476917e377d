//! Forgetting who somebody was. Acts, tallies, calendars and orders stay: they stand under a hash of the name, so that caps
//! hold and repeats are answered; who is behind the hash is forgotten. Codes hold the name itself, and lists say what somebody is: those go.

use std::collections::BTreeSet;

use kernel::id::Tenant;
use records::audit::{self, Cause, Change, Stream};
use records::port::{Tx, read, write};

use super::Campaigns;
use crate::act;
use crate::audience;
use crate::error::Error;
use crate::referral;
use crate::who::Who;

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Referral codes that led to the name.
    pub codes: u64,
    /// Uploaded lists that they were on.
    pub lists: u64,
}

impl Campaigns {
    /// Removes a participant's referral codes and takes them off every list, with an entry of the audit log about `subject`
    /// in the same transaction. Doing it again changes nothing.
    pub async fn erase(
        &self,
        participant: &str,
        subject: String,
        (cause, reason): (&Cause, &str),
    ) -> Result<Erased, Error> {
        let (who, tenant, shard) = (self.who(participant)?, self.tenant.number, self.shard);
        // Most people have neither: the one writer is not kept busy with them.
        let known = read(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let lists = lists_of(tx, tenant, who).await?;
                let people = BTreeSet::from([who]);
                let is_named =
                    act::names(tx, Tenant::MAIN, &people).await?.values().any(|name| !name.is_empty());
                Ok::<_, Error>(is_named || !lists.is_empty() || referral::has_code(tx, tenant, who).await?)
            })
        });
        if !known.await? {
            return Ok(Erased::default());
        }
        let (cause, reason, at_ms) = (cause.clone(), reason.to_owned(), self.clock.now_ms());
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let people = BTreeSet::from([who]);
                let mut erased = Erased { codes: referral::forget_codes(tx, tenant, who).await?, lists: 0 };
                for list in lists_of(tx, tenant, who).await? {
                    let uploaded = audience::remove(tx, (shard, tenant), (&list, &people)).await?;
                    erased.lists += uploaded.changed;
                }
                let named = act::forget_name(tx, tenant, who).await?;
                if named || erased != Erased::default() {
                    let Erased { codes, lists } = erased;
                    let acts = if named { "from acts, " } else { "" };
                    let detail = format!("{acts}{codes} referral codes and from {lists} lists: {reason}");
                    let change = Change { at_ms, action: "erase", subject, detail };
                    audit::append(tx, &Stream::changes(shard, tenant), &cause, change).await?;
                }
                Ok(erased)
            })
        })
        .await
    }
}

async fn lists_of(tx: &mut dyn Tx, tenant: u32, who: Who) -> Result<Vec<String>, Error> {
    let lists = audience::lists(tx, tenant, &BTreeSet::from([who])).await?;
    Ok(lists.into_iter().map(|(_, list)| list).collect())
}
