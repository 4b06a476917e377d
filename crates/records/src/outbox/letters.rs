//! Effects that could not be delivered: what they are, and letting them try again.

use std::fmt;
use std::str::FromStr;

use kernel::id::Shard;

use crate::error::Error;
use crate::port::{Row, Tx, Value};

/// Names a dead letter: `<topic>-<subject>-<seq>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// What kind of effect it is.
    pub topic: String,
    /// The raffle or contest.
    pub subject: u32,
    /// The entry of its gate.
    pub seq: u64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.topic, self.subject, self.seq)
    }
}

/// A text that names no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a dead letter's id: expected `<topic>-<subject>-<seq>`")]
pub struct NotALetterId;

impl FromStr for LetterId {
    type Err = NotALetterId;

    fn from_str(text: &str) -> Result<Self, NotALetterId> {
        let (rest, seq) = text.rsplit_once('-').ok_or(NotALetterId)?;
        let (topic, subject) = rest.rsplit_once('-').ok_or(NotALetterId)?;
        let read = Self {
            topic: topic.to_owned(),
            subject: subject.parse().map_err(|_| NotALetterId)?,
            seq: seq.parse().map_err(|_| NotALetterId)?,
        };
        // One text for each letter: no plus sign, no zero in front.
        if topic.is_empty() || read.to_string() != text { Err(NotALetterId) } else { Ok(read) }
    }
}

/// An effect that failed too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its name.
    pub id: LetterId,
    /// Since when it was owed, in milliseconds since the epoch.
    pub at_ms: i64,
    /// How often it failed.
    pub attempts: u32,
    /// What was wrong the last time.
    pub fault: String,
}

/// Up to `limit` dead letters after one, in the order of their names.
pub async fn letters(
    tx: &mut dyn Tx,
    shard: Shard,
    after: &LetterId,
    limit: u32,
) -> Result<Vec<Letter>, Error> {
    let sql = "SELECT topic,subject,seq,at_ms,attempts,fault FROM outbox_aside WHERE shard=? AND dead=1
        AND (topic>? OR (topic=? AND (subject>? OR (subject=? AND seq>?)))) ORDER BY topic,subject,seq LIMIT ?";
    let values = [
        Value::Int(shard.0.into()),
        Value::Text(&after.topic),
        Value::Text(&after.topic),
        Value::Int(after.subject.into()),
        Value::Int(after.subject.into()),
        Value::count(after.seq),
        Value::Int(limit.into()),
    ];
    let rows = tx.fetch(sql, &values).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Letter, Error> {
    let id = LetterId { topic: row.text(0)?.to_owned(), subject: row.small(1)?, seq: row.count(2)? };
    let (at_ms, attempts, fault) = (row.int(3)?, row.small(4)?, row.text(5)?.to_owned());
    Ok(Letter { id, at_ms, attempts, fault })
}

/// Up to `limit` dead letters of one topic after one, with what they say.
pub async fn bodies(
    tx: &mut dyn Tx,
    shard: Shard,
    after: &LetterId,
    limit: u32,
) -> Result<Vec<(Letter, Vec<u8>)>, Error> {
    let sql = "SELECT topic,subject,seq,at_ms,attempts,fault,body FROM outbox_aside WHERE shard=? AND topic=? AND dead=1
        AND (subject>? OR (subject=? AND seq>?)) ORDER BY subject,seq LIMIT ?";
    let values = [
        Value::Int(shard.0.into()),
        Value::Text(&after.topic),
        Value::Int(after.subject.into()),
        Value::Int(after.subject.into()),
        Value::count(after.seq),
        Value::Int(limit.into()),
    ];
    let rows = tx.fetch(sql, &values).await?;
    rows.iter().map(|row| Ok((read(row)?, row.bytes(6)?.to_vec()))).collect()
}

/// Gives a dead letter another body. One that waits again meanwhile stays as it is.
pub async fn rewrite(tx: &mut dyn Tx, shard: Shard, letter: &LetterId, body: &[u8]) -> Result<(), Error> {
    let sql = "UPDATE outbox_aside SET body=? WHERE shard=? AND topic=? AND subject=? AND seq=? AND dead=1";
    let values = [
        Value::Bytes(body),
        Value::Int(shard.0.into()),
        Value::Text(&letter.topic),
        Value::Int(letter.subject.into()),
        Value::count(letter.seq),
    ];
    tx.exec(sql, &values).await.map(|_| ())
}

/// Lets one dead letter wait again, as if it had never failed. Answers whether there was one. Whoever takes it must not mind
/// that later effects of the same key came before.
pub async fn replay(tx: &mut dyn Tx, shard: Shard, letter: &LetterId, now_ms: i64) -> Result<bool, Error> {
    let sql = "UPDATE outbox_aside SET dead=0, attempts=0, due_ms=?
        WHERE shard=? AND topic=? AND subject=? AND seq=? AND dead=1";
    let values = [
        Value::Int(now_ms),
        Value::Int(shard.0.into()),
        Value::Text(&letter.topic),
        Value::Int(letter.subject.into()),
        Value::count(letter.seq),
    ];
    Ok(tx.exec(sql, &values).await? == 1)
}

/// Lets all dead letters of a topic wait again. Answers how many.
pub async fn revive(tx: &mut dyn Tx, shard: Shard, topic: &str, now_ms: i64) -> Result<u64, Error> {
    let sql = "UPDATE outbox_aside SET dead=0, attempts=0, due_ms=? WHERE shard=? AND topic=? AND dead=1";
    tx.exec(sql, &[Value::Int(now_ms), Value::Int(shard.0.into()), Value::Text(topic)]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_one_name() {
        let id = LetterId { topic: "draw.made".to_owned(), subject: 7, seq: 12 };
        assert_eq!(id.to_string(), "draw.made-7-12");
        assert_eq!("draw.made-7-12".parse(), Ok(id));
        for wrong in [
            "",
            "-",
            "--",
            "-7-12",
            "draw.made",
            "draw.made-7",
            "draw.made-+7-12",
            "draw.made-7-012",
            "a-b-c",
        ] {
            assert_eq!(wrong.parse::<LetterId>(), Err(NotALetterId), "{wrong}");
        }
    }
}
