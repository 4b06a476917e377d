//! Pages of what is asked for, the newest first. A page looks at a bounded number of rows, whatever is asked: one that finds
//! little among many ends before it is full, and says where to go on.

use records::error::Error as RecordsError;
use records::port::{Tx, Value};

use crate::activity::{self, Activity, Books, COLUMNS, Place};
use crate::filter::{Filter, Way};

/// Rows that one page looks at, at the most.
pub const LOOKED_MAX: u32 = 5_000;

/// Rows that are read at once.
const STRIDE: u32 = 500;

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The newest first.
    pub activities: Vec<Activity>,
    /// Where to go on; nothing is left where it is absent.
    pub next: Option<Place>,
}

impl Place {
    /// As a cursor: the time and the id.
    pub fn cursor(&self) -> String {
        format!("{}.{}", self.at_ms, self.id)
    }

    /// Reads a cursor; `None` where it is none that a page has ended with.
    pub fn read(cursor: &str) -> Option<Self> {
        cursor.split_once('.').and_then(|(at_ms, id)| {
            let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
            Some(Self { at_ms: at_ms.parse().ok().filter(|at_ms| *at_ms >= 0 && is_id)?, id: id.to_owned() })
        })
    }
}

/// One stride along an index: rows older than a place, the newest of them first.
async fn stride(
    tx: &mut dyn Tx,
    books: Books,
    (way, filter): (&Way, &Filter),
    (after, limit): (Option<&Place>, u32),
) -> Result<Vec<Activity>, RecordsError> {
    let (condition, value) = way.condition();
    let mut sql = format!("SELECT {COLUMNS} FROM activity WHERE shard=? AND tenant=?{condition}");
    let mut values = books.values().to_vec();
    values.extend(value);
    if let Some(from_ms) = filter.from_ms {
        sql.push_str(" AND at_ms>=?");
        values.push(Value::Int(from_ms));
    }
    if let Some(place) = after {
        // The first bound is one of the index; the second is for those of the same instant.
        sql.push_str(" AND at_ms<=? AND (at_ms<? OR id<?)");
        values.extend([Value::Int(place.at_ms), Value::Int(place.at_ms), Value::Text(&place.id)]);
    } else if let Some(until_ms) = filter.until_ms {
        sql.push_str(" AND at_ms<?");
        values.push(Value::Int(until_ms));
    }
    sql.push_str(" ORDER BY at_ms DESC, id DESC LIMIT ?");
    values.push(Value::Int(limit.into()));
    let rows = tx.fetch(&sql, &values).await?;
    rows.iter().map(activity::from_row).collect()
}

/// Up to `limit` of what is asked for, older than a place.
pub(crate) async fn page(
    tx: &mut dyn Tx,
    books: Books,
    (filter, after): (&Filter, Option<Place>),
    limit: u32,
) -> Result<Page, RecordsError> {
    let way = Way::of(filter);
    let (mut page, mut place, mut looked) = (Page::default(), after, 0);
    while looked < LOOKED_MAX {
        // One more than is wanted says whether there is more; where few match, a stride is long.
        let wanted = limit.saturating_sub(u32::try_from(page.activities.len()).unwrap_or(limit));
        let length = (wanted + 1).max(if looked == 0 { 0 } else { STRIDE }).min(LOOKED_MAX - looked);
        let found = stride(tx, books, (&way, filter), (place.as_ref(), length)).await?;
        let is_last = found.len() < length as usize;
        for activity in found {
            if page.activities.len() == limit as usize {
                // There is at least this one.
                page.next = page.activities.last().map(Activity::place);
                return Ok(page);
            }
            looked += 1;
            place = Some(activity.place());
            if filter.matches(&activity) {
                page.activities.push(activity);
            }
        }
        if is_last {
            return Ok(page);
        }
    }
    page.next = place;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let place = Place { at_ms: 1_795_435_200_000, id: "ledger/7.2".to_owned() };
        assert_eq!(Place::read(&place.cursor()), Some(place));
        for wrong in ["", "5", "x.draw/1", "5.", "-5.draw/1", "5.a b", &format!("5.{}", "x".repeat(65))] {
            assert_eq!(Place::read(wrong), None, "{wrong}");
        }
    }
}
