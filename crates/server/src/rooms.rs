//! Which tables there are, and where the projection for searching lives.

use std::sync::Arc;

use records::error::Error::Unavailable;
use records::migration::{self, RECORDS, Room};
use records::port::Records;
use records::setting;
use search::projection::Projection;

use crate::chronicle;
use crate::config;
use crate::store::Store;

/// The tables of every room that decides something.
pub const ROOMS: &[&Room] = EVERY_ROOM.split_at(EVERY_ROOM.len() - PROJECTION.len()).0;

/// The tables of the projection.
const PROJECTION: &[&Room] = &[&search::tables::ROOM];

/// The tables of a database that holds the projection too, which come last.
const EVERY_ROOM: &[&Room] = &[
    &RECORDS,
    &setting::ROOM,
    &ledger::tables::ROOM,
    &campaign::tables::ROOM,
    &campaign::tables::FULFILMENT,
    &raffle::tables::ROOM,
    &campaign::experiment::tables::ROOM,
    &search::tables::ROOM,
];

/// The tables of the records, where the configuration puts them.
pub fn main_rooms(store: &config::Store) -> &'static [&'static Room] {
    if store.database.is_some() { EVERY_ROOM } else { ROOMS }
}

/// Opens the projection: in a file of its own, which is answered, or among the records.
pub async fn open_projection(
    store: &config::Store,
    records: &Arc<dyn Records>,
    now_ms: i64,
) -> Result<(Option<Arc<Store>>, Projection), chronicle::Error> {
    let file = Store::open_projection(store).map_err(|error| Unavailable(error.to_string()))?.map(Arc::new);
    let projected = match &file {
        Some(file) => {
            migration::run(&**file, PROJECTION, now_ms).await?;
            Arc::clone(file) as Arc<dyn Records>
        }
        None => Arc::clone(records),
    };
    Ok((file, Projection::open(projected).await?))
}
