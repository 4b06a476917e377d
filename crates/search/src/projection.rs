//! What others call. Whoever writes has read what they write from somewhere else; between the two, somebody newer may have
//! written, and somebody may have been forgotten. So each write names the turn that it has seen before it read, and where
//! another was kept since nothing of it is: it is read anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::id::{Shard, Tenant};
use records::error::Error as RecordsError;
use records::port::{Records, Tx, Value, read, write};
use records::statement::Insert;

use crate::activity::{self, Activity, Books, Place, Who};
use crate::error::Error;
use crate::filter::Filter;
use crate::page::{self, Page};

/// Rows that are forgotten or cleared in one transaction.
const SWEEP: u32 = 1_000;

static CURSORS: Insert = Insert::or_replace("activity_cursor", &["shard", "tenant", "source", "seq"], 3);
static HEAD: Insert = Insert::or_keep("activity_head", &["shard", "tenant", "turn"], 2);

/// What a writer has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Counts what was written.
    pub turn: u64,
    /// How far each source was read.
    pub cursors: BTreeMap<String, u64>,
    /// Whether it was begun to be cleared, and not ended.
    pub is_clearing: bool,
}

/// Stands among the cursors while the projection is cleared: a process that ends meanwhile leaves it to the next.
const CLEARING: &str = "clearing";

/// The activities of a tenant.
#[derive(Clone)]
pub struct Projection {
    records: Arc<dyn Records>,
    books: Books,
}

/// Takes the next turn, if the last is the one that was seen. It locks out whoever else writes.
async fn take_turn(tx: &mut dyn Tx, books: Books, seen: u64) -> Result<(), Error> {
    let sql = "UPDATE activity_head SET turn=turn+1 WHERE shard=? AND tenant=? AND turn=?";
    let changed = tx.exec(sql, &[&books.values()[..], &[Value::count(seen)]].concat()).await?;
    if changed == 1 { Ok(()) } else { Err(Error::Overtaken) }
}

async fn standing(tx: &mut dyn Tx, books: Books) -> Result<Standing, RecordsError> {
    let head = "SELECT turn FROM activity_head WHERE shard=? AND tenant=?";
    let rows = tx.fetch(head, &books.values()).await?;
    let turn = rows.first().map_or(Ok(0), |row| row.count(0))?;
    let sql = "SELECT source,seq FROM activity_cursor WHERE shard=? AND tenant=?";
    let rows = tx.fetch(sql, &books.values()).await?;
    let cursors = rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.count(1)?)));
    let mut cursors = cursors.collect::<Result<BTreeMap<_, _>, RecordsError>>()?;
    let is_clearing = cursors.remove(CLEARING).is_some();
    Ok(Standing { turn, cursors, is_clearing })
}

impl Projection {
    /// The projection in some records, whose tables are up to date.
    pub async fn open(records: Arc<dyn Records>) -> Result<Self, Error> {
        let books = Books { shard: Shard::HOME, tenant: Tenant::MAIN };
        write(&*records, books.shard, move |tx| {
            Box::pin(async move {
                let values = [&books.values()[..], &[Value::Int(0)]].concat();
                HEAD.rows(tx, &values).await.map_err(Error::from)
            })
        })
        .await?;
        Ok(Self { records, books })
    }

    /// Turn and cursors: what a writer looks at before it reads.
    pub async fn standing(&self) -> Result<Standing, Error> {
        let books = self.books;
        read(&*self.records, books.shard, move |tx| Box::pin(async move { Ok(standing(tx, books).await?) }))
            .await
    }

    /// Keeps activities, each in place of the one of its id, and how far a source was read by them. Where another turn was
    /// taken since the one that was seen, nothing is kept: [`Error::Overtaken`].
    pub async fn keep(
        &self,
        seen: u64,
        activities: Vec<Activity>,
        cursor: Option<(String, u64)>,
    ) -> Result<(), Error> {
        let books = self.books;
        let activities: Vec<_> = activities.into_iter().map(Activity::cut).collect();
        write(&*self.records, books.shard, move |tx| {
            Box::pin(async move {
                take_turn(tx, books, seen).await?;
                activity::keep(tx, books, &activities).await?;
                if let Some((source, seq)) = &cursor {
                    let values = [&books.values()[..], &[Value::Text(source), Value::count(*seq)]].concat();
                    CURSORS.rows(tx, &values).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Takes a name from everything that befell somebody. Answers from how many activities.
    pub async fn forget(&self, who: Who) -> Result<u64, Error> {
        let (books, mut forgotten) = (self.books, 0);
        loop {
            let swept = write(&*self.records, books.shard, move |tx| {
                Box::pin(async move {
                    let seen = standing(tx, books).await?.turn;
                    take_turn(tx, books, seen).await?;
                    Ok::<_, Error>(activity::forget(tx, books, (who, SWEEP)).await?)
                })
            });
            let swept = swept.await?;
            forgotten += swept as u64;
            if swept < SWEEP as usize {
                return Ok(forgotten);
            }
        }
    }

    /// Forgets everything, so that it is read anew from the first row of every source.
    pub async fn clear(&self) -> Result<(), Error> {
        let mut sweep = Some(i64::MIN);
        while let Some(until_ms) = sweep {
            sweep = self.clear_from(until_ms).await?;
        }
        Ok(())
    }

    /// A piece of clearing, which begins at `i64::MIN`: what is from before an instant, or at it. Answers where the next goes to,
    /// and nothing once all is gone. The cursors go with each; until the last, the standing says that it is being cleared.
    pub async fn clear_from(&self, until_ms: i64) -> Result<Option<i64>, Error> {
        let books = self.books;
        write(&*self.records, books.shard, move |tx| {
            Box::pin(async move {
                let seen = standing(tx, books).await?.turn;
                take_turn(tx, books, seen).await?;
                let cursors = "DELETE FROM activity_cursor WHERE shard=? AND tenant=?";
                tx.exec(cursors, &books.values()).await?;
                let rows = "DELETE FROM activity WHERE shard=? AND tenant=? AND at_ms<=?";
                tx.exec(rows, &[&books.values()[..], &[Value::Int(until_ms)]].concat()).await?;
                let next = activity::sweep_end(tx, books, SWEEP).await?;
                if next.is_some() {
                    let values = [&books.values()[..], &[Value::Text(CLEARING), Value::Int(0)]].concat();
                    CURSORS.rows(tx, &values).await?;
                }
                Ok(next)
            })
        })
        .await
    }

    /// Up to `limit` of what is asked for, the newest first, older than a place.
    pub async fn page(&self, filter: Filter, after: Option<Place>, limit: u32) -> Result<Page, Error> {
        filter.check()?;
        let books = self.books;
        read(&*self.records, books.shard, move |tx| {
            Box::pin(async move { Ok(page::page(tx, books, (&filter, after), limit).await?) })
        })
        .await
    }
}
