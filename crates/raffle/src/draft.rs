//! Drafts of versions: written by one person, looked at by others, published when they agree.

use std::sync::Arc;

use kernel::finding::Finding;
use kernel::id::Shard;
use records::port::{Row, Tx, Value, read, write};

use crate::catalog::Raffle;
use crate::diff::Diff;
use crate::document;
use crate::draw::Draws;
use crate::entry::Request;
use crate::error::Error;
use crate::fairness::sha256;
use crate::lint;
use crate::publish::{Live, Origin, Publish, Published, identity};
use crate::review::{self, Act, Event, Move, Review, Subject};
use crate::seal::fresh_secret;
use crate::threshold::Reason;
use crate::version::Versions;

/// A draft, as it stands.
pub struct Draft {
    /// Its number in the raffle, from 1.
    pub number: u32,
    /// The version that was live when it was written; 0 is none.
    pub base: u32,
    /// The version that is live now; 0 is none. A draft whose base it is not cannot be published.
    pub live: u32,
    /// The document, as it came.
    pub text: String,
    /// Where it stands.
    pub state: Review,
    /// Who did what with it, in order; the first wrote it.
    pub moves: Vec<Move>,
    /// What the linter finds.
    pub findings: Vec<Finding>,
    /// What differs from the version that it is held against.
    pub diff: Diff,
    /// Why one person may not publish it alone; empty where one may.
    pub reasons: Vec<Reason>,
}

/// A draft, as it is listed.
pub struct Listed {
    /// Its number.
    pub number: u32,
    /// The version that was live when it was written; 0 is none.
    pub base: u32,
    /// Where it stands.
    pub state: Review,
    /// Who wrote it, and when.
    pub written: Move,
}

/// A draft's row.
struct Stored {
    number: u32,
    base: u32,
    text: String,
}

fn stored(row: &Row) -> Result<Stored, Error> {
    Ok(Stored { number: row.small(0)?, base: row.small(1)?, text: row.text(2)?.to_owned() })
}

/// The drafts of raffles.
pub struct Drafts {
    draws: Arc<Draws>,
}

impl Drafts {
    pub(crate) fn new(draws: Arc<Draws>) -> Self {
        Self { draws }
    }

    /// Writes a draft. What the linter finds is told and does not keep it from being stored; a document whose shape is
    /// wrong is refused. Answers its number, and whether it had been written before, for the same key.
    pub async fn write(&self, draft: Publish) -> Result<(u32, bool), Error> {
        let document = document::read(&draft.text).map_err(Error::Document)?;
        if document.raffle != draft.raffle {
            return Err(Error::OtherRaffle { found: document.raffle, wanted: draft.raffle });
        }
        let draws = &self.draws;
        let (catalog, entropy, tenant) =
            (Arc::clone(&draws.catalog), Arc::clone(&draws.entropy), draws.tenant);
        let (new_key, now_ms) = (fresh_secret(&*entropy)?, draws.clock.now_ms());
        write(&*draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let id = (tenant, draft.raffle.as_str());
                let raffle = identity(tx, id, (&new_key, now_ms), (&catalog, &*entropy)).await?;
                let request = Request { key: format!("drafts {}", draft.request.key), ..draft.request };
                if let Some(before) = review::by_request(tx, &raffle, &request).await? {
                    return Ok((before.number, true));
                }
                let (number, base) = next(tx, &raffle).await?;
                let own = [Value::Int(number.into()), Value::Int(base.into()), Value::Text(&draft.text)];
                tx.exec(
                    "INSERT INTO raffle_draft (shard,tenant,raffle,draft,base,document) VALUES (0,?,?,?,?,?)",
                    &[&raffle.values()[..], &own].concat(),
                )
                .await?;
                let state = Review::Drafted { author: request.actor.name.clone() };
                let act = Act { request, at_ms: now_ms, reason: String::new() };
                review::begin(tx, &raffle, Subject::Draft(number), (state, &act)).await?;
                Ok::<_, Error>((number, false))
            })
        })
        .await
    }

    /// Writes an earlier version's document as a draft: the way back where one person may not restore it alone.
    pub async fn write_again(
        &self,
        raffle: &str,
        version: u32,
        request: Request,
    ) -> Result<(u32, bool), Error> {
        let text = Versions::new(Arc::clone(&self.draws)).text(raffle, version).await?;
        let body_hash = sha256(&[format!("version {version} ").as_bytes(), &request.body_hash].concat());
        let request = Request { body_hash, ..request };
        self.write(Publish { raffle: raffle.to_owned(), text, request }).await
    }

    /// A draft as its author was answered: held against the version that was live then.
    pub async fn as_written(&self, raffle: &str, number: u32) -> Result<Draft, Error> {
        let (stored, _, mut moves) = self.load(raffle, number).await?;
        moves.truncate(1);
        let (author, at_ms) =
            moves.first().map(|written| (written.by.clone(), written.at_ms)).unwrap_or_default();
        let version = stored.base;
        let versions = Versions::new(Arc::clone(&self.draws));
        let document = if version > 0 { Some(versions.document(raffle, version).await?) } else { None };
        let base = Live { version, document };
        self.look((stored, Review::Drafted { author }, moves), base, (at_ms, None))
    }

    /// A draft as it stands, held against the version that is live.
    pub async fn get(&self, raffle: &str, number: u32, draws_per_day: Option<u32>) -> Result<Draft, Error> {
        let loaded = self.load(raffle, number).await?;
        let live = self.draws.live(raffle).await?;
        self.look(loaded, live, (self.draws.clock.now_ms(), draws_per_day))
    }

    async fn load(&self, raffle: &str, number: u32) -> Result<(Stored, Review, Vec<Move>), Error> {
        let raffle = self.draws.catalog.raffle(raffle).await?;
        read(&*self.draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let stored = row(tx, &raffle, number).await?;
                let subject = Subject::Draft(number);
                let state = review::state(tx, &raffle, subject).await?;
                Ok((stored, state, review::moves(tx, &raffle, subject).await?))
            })
        })
        .await
    }

    fn look(
        &self,
        (stored, state, moves): (Stored, Review, Vec<Move>),
        Live { version: live, document: before }: Live,
        (now_ms, draws_per_day): (i64, Option<u32>),
    ) -> Result<Draft, Error> {
        let document = document::read(&stored.text).map_err(Error::Document)?;
        let diff = Diff::of(before.as_ref(), &document, draws_per_day);
        Ok(Draft {
            number: stored.number,
            base: stored.base,
            live,
            state,
            moves,
            findings: lint::lint(&document, now_ms),
            reasons: self.draws.thresholds.version(before.as_ref(), &document, &diff),
            diff,
            text: stored.text,
        })
    }

    /// Up to `limit` drafts after one, in order.
    pub async fn list(&self, raffle: &str, after: u32, limit: u32) -> Result<Vec<Listed>, Error> {
        let raffle = self.draws.catalog.raffle(raffle).await?;
        read(&*self.draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT draft,base FROM raffle_draft
                    WHERE shard=0 AND tenant=? AND raffle=? AND draft>? ORDER BY draft LIMIT ?";
                let page = review::page(tx, &raffle, (Subject::Draft(after), limit), sql).await?;
                let listed = page.into_iter().map(|(row, state, moves)| {
                    let number = row.small(0)?;
                    let written = moves.into_iter().next().ok_or(Error::NoSuchDraft(number))?;
                    Ok(Listed { number, base: row.small(1)?, state, written })
                });
                listed.collect()
            })
        })
        .await
    }

    /// Moves a draft: submits, approves, rejects or withdraws it. Answers the move, and whether it had been made before.
    /// The request's key goes after its route. A draft with errors is not submitted.
    pub async fn happen(
        &self,
        raffle: &str,
        number: u32,
        event: Event,
        reason: String,
        request: Request,
    ) -> Result<(Move, bool), Error> {
        let now_ms = self.draws.clock.now_ms();
        let raffle = self.draws.catalog.raffle(raffle).await?;
        write(&*self.draws.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                if let Some(before) = review::by_request(tx, &raffle, &request).await? {
                    return Ok((before, true));
                }
                let stored = row(tx, &raffle, number).await?;
                if event == Event::Submit {
                    let (_, findings) = lint::check(&stored.text, now_ms);
                    if lint::forbids(&findings) {
                        return Err(Error::Document(findings));
                    }
                }
                let act = Act { request, at_ms: now_ms, reason };
                review::happen(tx, &raffle, Subject::Draft(number), (event, &act)).await
            })
        })
        .await
    }

    /// Publishes a draft, if the version that it was written from is still live.
    pub async fn publish(
        &self,
        raffle: &str,
        number: u32,
        reason: String,
        request: Request,
    ) -> Result<Published, Error> {
        let (stored, ..) = self.load(raffle, number).await?;
        // Keys of publications belong to the raffle, so the draft is part of what the key stands for.
        let body_hash = sha256(&[format!("draft {number} ").as_bytes(), &request.body_hash].concat());
        let request = Request { body_hash, ..request };
        let publish = Publish { raffle: raffle.to_owned(), text: stored.text, request };
        let origin = Origin::Draft { number, base: stored.base };
        self.draws.publish_from(publish, origin, reason).await
    }
}

async fn row(tx: &mut dyn Tx, raffle: &Raffle, number: u32) -> Result<Stored, Error> {
    let sql =
        "SELECT draft,base,document FROM raffle_draft WHERE shard=0 AND tenant=? AND raffle=? AND draft=?";
    let key = [&raffle.values()[..], &[Value::Int(number.into())]].concat();
    let rows = tx.fetch(sql, &key).await?;
    stored(rows.first().ok_or(Error::NoSuchDraft(number))?)
}

/// The next draft's number, and the version that is live. The raffle's row is locked.
async fn next(tx: &mut dyn Tx, raffle: &Raffle) -> Result<(u32, u32), Error> {
    let last = "SELECT COALESCE(MAX(draft),0) FROM raffle_draft WHERE shard=0 AND tenant=? AND raffle=?";
    let live = "SELECT COALESCE(MAX(version),0) FROM raffle_version WHERE shard=0 AND tenant=? AND raffle=?";
    let mut found = [0, 0];
    for (place, sql) in [last, live].into_iter().enumerate() {
        let rows = tx.fetch(sql, &raffle.values()).await?;
        found[place] = rows.first().map_or(Ok(0), |row| row.small(0))?;
    }
    Ok((found[0] + 1, found[1]))
}
