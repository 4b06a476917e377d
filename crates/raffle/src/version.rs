//! What was published: the list of versions, what differs between two, and going back to one.

use std::sync::Arc;

use kernel::id::Shard;
use records::port::{Value, read};

use crate::diff::Diff;
use crate::document::{self, Document};
use crate::draw::Draws;
use crate::entry::Request;
use crate::error::Error;
use crate::fairness::sha256;
use crate::publish::{Origin, Publish, Published};

/// A version, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number, from 1.
    pub version: u32,
    /// The epoch that it opened.
    pub epoch: u32,
    /// SHA-256 of its canonical rules.
    pub rules_hash: [u8; 32],
    /// When, in milliseconds since the epoch.
    pub published_ms: i64,
    /// The name of the key that published it; empty where that was not noted.
    pub by: String,
    /// Why; empty where nobody said.
    pub reason: String,
    /// The draft that it was.
    pub draft: Option<u32>,
    /// The earlier version whose document it is.
    pub restores: Option<u32>,
}

/// The versions of raffles.
pub struct Versions {
    draws: Arc<Draws>,
}

impl Versions {
    pub(crate) fn new(draws: Arc<Draws>) -> Self {
        Self { draws }
    }

    /// Up to `limit` versions after one, in order.
    pub async fn list(&self, raffle: &str, after: u32, limit: u32) -> Result<Vec<Listed>, Error> {
        let raffle = self.draws.catalog.raffle(raffle).await?;
        read(&*self.draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT version,epoch,rules_hash,published_ms,published_by,reason,draft,restores
                    FROM raffle_version WHERE shard=0 AND tenant=? AND raffle=? AND version>? ORDER BY version LIMIT ?";
                let page = [Value::Int(after.into()), Value::Int(limit.into())];
                let rows = tx.fetch(sql, &[&raffle.values()[..], &page].concat()).await?;
                rows.iter()
                    .map(|row| {
                        let small = |column| Ok::<_, Error>(row.int_or_null(column)?.and_then(|int| u32::try_from(int).ok()));
                        Ok(Listed {
                            version: row.small(0)?,
                            epoch: row.small(1)?,
                            rules_hash: row.array(2)?,
                            published_ms: row.int(3)?,
                            by: row.text(4)?.to_owned(),
                            reason: row.text(5)?.to_owned(),
                            draft: small(6)?,
                            restores: small(7)?,
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    /// The document of a version, as it was published.
    pub(crate) async fn text(&self, raffle: &str, version: u32) -> Result<String, Error> {
        let raffle = self.draws.catalog.raffle(raffle).await?;
        let found = read(&*self.draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT document FROM raffle_version WHERE shard=0 AND tenant=? AND raffle=? AND version=?";
                let key = [&raffle.values()[..], &[Value::Int(version.into())]].concat();
                let rows = tx.fetch(sql, &key).await?;
                rows.first().map(|row| Ok::<_, Error>(row.text(0)?.to_owned())).transpose()
            })
        });
        found.await?.ok_or(Error::NoSuchVersion(version))
    }

    pub(crate) async fn document(&self, raffle: &str, version: u32) -> Result<Document, Error> {
        document::read(&self.text(raffle, version).await?)
            .map_err(|_| Error::BrokenVersion(format!("the document of version {version}")))
    }

    /// What differs between two versions.
    pub async fn diff(
        &self,
        raffle: &str,
        (from, to): (u32, u32),
        draws_per_day: Option<u32>,
    ) -> Result<Diff, Error> {
        let (before, after) = (self.document(raffle, from).await?, self.document(raffle, to).await?);
        Ok(Diff::of(Some(&before), &after, draws_per_day))
    }

    /// Publishes an earlier version's document as the next version, by the rules of every publication. Stock is not taken
    /// back: where it has moved so that the document would lie, that is told.
    pub async fn restore(
        &self,
        raffle: &str,
        version: u32,
        reason: String,
        request: Request,
    ) -> Result<Published, Error> {
        let text = self.text(raffle, version).await?;
        // Keys of publications belong to the raffle, so what is restored is part of what the key stands for.
        let body_hash = sha256(&[format!("restore {version} ").as_bytes(), &request.body_hash].concat());
        let request = Request { body_hash, ..request };
        let publish = Publish { raffle: raffle.to_owned(), text, request };
        self.draws.publish_from(publish, Origin::Version(version), reason).await
    }
}
