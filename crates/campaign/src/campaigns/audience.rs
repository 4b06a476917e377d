//! Uploaded lists of people.

use std::collections::BTreeSet;

use records::audit::{self, Cause, Change, Stream};
use records::port::{read, write};

use super::{Campaigns, is_name};
use crate::audience::{self, Uploaded};
use crate::error::Error;
use crate::who::Who;

fn check_list(list: &str) -> Result<(), Error> {
    if is_name(list) {
        return Ok(());
    }
    Err(Error::BadInput { what: "list", form: "1 to 64 of a-z, 0-9, `-` and `_`, a letter or digit first" })
}

impl Campaigns {
    /// Puts people on an uploaded list, or takes them off. Doing it again changes nothing and leaves no entry of the audit
    /// log.
    pub async fn upload(
        &self,
        list: &str,
        (people, are_added): (Vec<String>, bool),
        cause: Cause,
    ) -> Result<Uploaded, Error> {
        check_list(list)?;
        if people.is_empty() || people.len() > audience::UPLOAD_MAX {
            return Err(Error::BadInput { what: "the upload", form: "1 to 20000 names" });
        }
        let people: BTreeSet<Who> = people.iter().map(|name| self.who(name)).collect::<Result<_, _>>()?;
        let (tenant, shard, list) = (self.tenant.number, self.shard, list.to_owned());
        let at_ms = self.clock.now_ms();
        write(&*self.records, shard, move |tx| {
            Box::pin(async move {
                let database = (shard, tenant);
                let uploaded = if are_added {
                    audience::add(tx, database, (&list, &people, at_ms)).await?
                } else {
                    audience::remove(tx, database, (&list, &people)).await?
                };
                if uploaded.changed > 0 {
                    let change = Change {
                        at_ms,
                        action: if are_added { "add_members" } else { "remove_members" },
                        subject: format!("audience/{list}"),
                        detail: format!("{} people, {} are on it now", uploaded.changed, uploaded.members),
                    };
                    audit::append(tx, &Stream::changes(shard, tenant), &cause, change).await?;
                }
                Ok(uploaded)
            })
        })
        .await
    }

    /// How many people are on an uploaded list; nobody where it was never uploaded.
    pub async fn members(&self, list: &str) -> Result<u64, Error> {
        check_list(list)?;
        let (tenant, shard, list) = (self.tenant.number, self.shard, list.to_owned());
        read(&*self.records, shard, move |tx| {
            Box::pin(async move { Ok(audience::members(tx, (shard, tenant), &list).await?.unwrap_or(0)) })
        })
        .await
    }
}
