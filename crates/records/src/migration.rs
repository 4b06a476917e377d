//! Tables, brought up to date at start. Each room owns its steps; a step, once released, never changes.

use crate::error::Error;
use crate::port::{InTx, Records, Tx, Value, write};
use crate::statement::Insert;
use kernel::id::Shard;

/// The tables of one room.
pub struct Room {
    /// The room's name, for example `raffle`.
    pub name: &'static str,
    /// Its steps in order; each is a list of definitions. `{table_end}` stands for the dialect's end of a table. Where
    /// definitions are not part of a transaction, a step that was broken off is run again from its beginning.
    pub steps: &'static [&'static [&'static str]],
}

/// The tables of this room.
pub const RECORDS: Room = Room {
    name: "records",
    steps: &[
        &[
            crate::gate::GATE_TABLE,
            crate::gate::SEGMENT_TABLE,
            crate::machine::MACHINE_TABLE,
            crate::machine::TIMER_TABLE,
            crate::outbox::OUTBOX_TABLE,
            crate::outbox::ASIDE_TABLE,
            crate::inbox::INBOX_TABLE,
            crate::pulse::PULSE_TABLE,
        ],
        &[crate::audit::HEAD_TABLE, crate::audit::ENTRY_TABLE, crate::audit::SEAL_TABLE],
        crate::outbox::LATER_STEPS,
        &[crate::machine::LONGER_STATES],
        crate::outbox::BY_TOPIC,
    ],
};

const STEPS_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_step (
    room VARCHAR(32) NOT NULL,
    step BIGINT NOT NULL,
    applied_ms BIGINT NOT NULL,
    PRIMARY KEY (room, step)
){table_end}";

static STEP: Insert = Insert::or_keep("schema_step", &["room", "step", "applied_ms"], 2);

/// Brings every database to this release's tables. Refuses a database that a newer release has written, or
/// that holds rooms which this release does not know, before it changes anything.
pub async fn run(records: &dyn Records, rooms: &'static [&'static Room], now_ms: i64) -> Result<(), Error> {
    for shard in records.shards() {
        write(records, shard, move |tx| bring_up(tx, shard, rooms, now_ms)).await?;
    }
    Ok(())
}

async fn define(tx: &mut dyn Tx, statement: &str) -> Result<(), Error> {
    match tx.dialect().definition(statement) {
        Some(definition) => tx.exec(&definition, &[]).await.map(|_| ()),
        None => Ok(()),
    }
}

fn bring_up<'t>(
    tx: &'t mut dyn Tx,
    shard: Shard,
    rooms: &'static [&'static Room],
    now_ms: i64,
) -> InTx<'t, (), Error> {
    Box::pin(async move {
        define(tx, STEPS_TABLE).await?;
        let found = tx.fetch("SELECT room, MAX(step) FROM schema_step GROUP BY room", &[]).await?;
        for row in &found {
            let (room, found) = (row.text(0)?, row.int(1)?);
            let known = rooms.iter().find(|known| known.name == room);
            let known = known.map_or(0, |known| i64::try_from(known.steps.len()).unwrap_or(i64::MAX));
            if found > known {
                return Err(Error::NewerSchema { room: room.to_owned(), found, known });
            }
        }
        for room in rooms {
            let mut done = 0;
            for row in &found {
                if row.text(0)? == room.name {
                    done = usize::try_from(row.int(1)?).unwrap_or(usize::MAX);
                }
            }
            for (place, step) in room.steps.iter().enumerate().skip(done) {
                for statement in *step {
                    define(tx, statement).await?;
                }
                let number = i64::try_from(place + 1).unwrap_or(i64::MAX);
                let values = [Value::Text(room.name), Value::Int(number), Value::Int(now_ms)];
                STEP.rows(tx, &values).await?;
                tracing::debug!(shard = shard.0, room = room.name, step = number, "migrated");
            }
        }
        Ok(())
    })
}
