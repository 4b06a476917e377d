//! The stock that a version brings.

use records::gate::{Gate, Segment};
use records::port::Tx;

use super::{Making, VersionRow};
use crate::document::{Document, Stock};
use crate::entry::Event;
use crate::error::Error;
use crate::rules::BUDGET;

impl Making {
    /// A document fills a prize's segment once, when the prize first becomes finite. From then on the stock is what the
    /// journal of moves says, and a document that names another number is refused: it would lie to whoever reads it.
    pub(super) async fn stock(
        &self,
        tx: &mut dyn Tx,
        gate: &mut Gate,
        last: Option<&VersionRow>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let last = last.and_then(|row| crate::document::read(&row.document).ok());
        let segments = Segment::all(tx, gate.key).await?;
        for prize in &self.document.prizes {
            let before =
                last.iter().flat_map(|document| &document.prizes).find(|before| before.id == prize.id);
            if let (Some(Stock::Units(published)), Stock::Units(asked)) =
                (before.map(|before| before.stock), prize.stock)
                && published != asked
            {
                return Err(Error::StockIsNotEdited {
                    prize: prize.id.clone(),
                    published: published.to_string(),
                    asked: asked.to_string(),
                });
            }
            let Stock::Units(units) = prize.stock else { continue };
            if let Some(segment) = segments.iter().find(|segment| segment.item == prize.id) {
                // A prize that was finite before, and was left out or unlimited since: its shelf is as it was left.
                let total = segment.granted + segment.free;
                if !matches!(before.map(|before| before.stock), Some(Stock::Units(_))) && total != units {
                    return Err(Error::StockIsNotEdited {
                        prize: prize.id.clone(),
                        published: total.to_string(),
                        asked: units.to_string(),
                    });
                }
                continue;
            }
            fill(tx, gate, (&prize.id, units), now_ms).await?;
        }
        self.budget(tx, gate, (last.as_ref(), &segments), now_ms).await
    }

    /// The budget is stock too: filled once, raised by an order.
    async fn budget(
        &self,
        tx: &mut dyn Tx,
        gate: &mut Gate,
        (last, segments): (Option<&Document>, &[Segment]),
        now_ms: i64,
    ) -> Result<(), Error> {
        let Some(budget) = &self.document.budget else { return Ok(()) };
        let segment = segments.iter().find(|segment| segment.item == BUDGET);
        let before = last.and_then(|last| last.budget.as_ref()).map(|before| before.amount);
        let published = match (before, segment) {
            (_, None) => return fill(tx, gate, (BUDGET, budget.amount), now_ms).await,
            (Some(before), Some(_)) => before,
            (None, Some(segment)) => segment.granted + segment.free,
        };
        if published == budget.amount {
            return Ok(());
        }
        Err(Error::StockIsNotEdited {
            prize: BUDGET.to_owned(),
            published: published.to_string(),
            asked: budget.amount.to_string(),
        })
    }
}

/// Makes a segment with its first units, and tells the log.
async fn fill(
    tx: &mut dyn Tx,
    gate: &mut Gate,
    (item, units): (&str, u64),
    now_ms: i64,
) -> Result<(), Error> {
    Segment::add(tx, gate.key, item, units).await?;
    let event = Event {
        kind: "moved",
        at_ms: now_ms,
        prize: item.to_owned(),
        units,
        reason: "published".to_owned(),
        ..Event::default()
    };
    event.append(tx, gate).await?;
    Ok(())
}
