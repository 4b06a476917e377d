//! One thing that befell a participant, as it is kept and found.

use kernel::id::{Shard, Tenant};
use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};
use sha2::{Digest, Sha256};

/// Longest reason and longest note, in characters: what is longer is cut.
pub const TEXT_MAX: usize = 600;

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A draw, won or not.
    Draw,
    /// What was won, and where it stands.
    Award,
    /// A call that tells another system.
    Delivery,
    /// Points, coins or another unit came or went.
    Transfer,
    /// Tickets came or went.
    Ticket,
    /// Something was kept back, or given back.
    Hold,
    /// Something that a participant did in a campaign.
    Act,
    /// An order of an offer.
    Order,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Draw,
        Self::Award,
        Self::Delivery,
        Self::Transfer,
        Self::Ticket,
        Self::Hold,
        Self::Act,
        Self::Order,
    ];

    /// Its name in questions and answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draw => "draw",
            Self::Award => "award",
            Self::Delivery => "delivery",
            Self::Transfer => "transfer",
            Self::Ticket => "ticket",
            Self::Hold => "hold",
            Self::Act => "act",
            Self::Order => "order",
        }
    }

    /// The kind of a name.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One thing that befell a participant. What does not apply is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// When, in milliseconds since the epoch. It never changes.
    pub at_ms: i64,
    /// Names what it was made from, for ever: `draw/drw_…`. At most 64 bytes.
    pub id: String,
    /// Who; empty where nobody knows, or nobody is to know any more.
    pub participant: String,
    /// What kind of thing.
    pub kind: Kind,
    /// The raffle's id.
    pub raffle: String,
    /// The campaign's id.
    pub campaign: String,
    /// The prize's id.
    pub prize: String,
    /// Where it stands now.
    pub state: String,
    /// What was counted.
    pub unit: String,
    /// How much came, in minor units; negative is what went.
    pub amount: Option<i64>,
    /// Why, as a short stable word.
    pub code: String,
    /// Why, in a sentence.
    pub reason: String,
    /// What only the house sees.
    pub note: String,
}

impl Activity {
    /// One of which only that is known, at a time.
    pub fn new(kind: Kind, id: String, at_ms: i64) -> Self {
        let nothing = String::new;
        Self {
            at_ms,
            id,
            participant: nothing(),
            kind,
            raffle: nothing(),
            campaign: nothing(),
            prize: nothing(),
            state: nothing(),
            unit: nothing(),
            amount: None,
            code: nothing(),
            reason: nothing(),
            note: nothing(),
        }
    }

    /// Its place in the order of time.
    pub fn place(&self) -> Place {
        Place { at_ms: self.at_ms, id: self.id.clone() }
    }

    /// Cuts texts that are longer than their column, in characters: what does not fit would hold up all that comes after it.
    /// The id is made here and never too long; cut, it would name something else.
    pub(crate) fn cut(mut self) -> Self {
        for (text, width) in [
            (&mut self.participant, 128),
            (&mut self.raffle, 64),
            (&mut self.campaign, 64),
            (&mut self.prize, 64),
            (&mut self.state, 32),
            (&mut self.unit, 16),
            (&mut self.code, 64),
            (&mut self.reason, TEXT_MAX),
            (&mut self.note, TEXT_MAX),
        ] {
            if let Some((end, _)) = text.char_indices().nth(width) {
                text.truncate(end);
            }
        }
        self
    }
}

/// Where an activity stands in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at_ms: i64,
    /// Which.
    pub id: String,
}

/// Somebody in keys: the first 16 bytes of SHA-256 over the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who(pub [u8; 16]);

impl Who {
    /// A participant by name.
    pub fn named(participant: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(participant).into();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self(hash)
    }
}

/// Whose activities these are, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Books {
    pub(crate) shard: Shard,
    pub(crate) tenant: Tenant,
}

impl Books {
    pub(crate) fn values(self) -> [Value<'static>; 2] {
        [Value::Int(self.shard.0.into()), Value::Int(self.tenant.number.into())]
    }
}

macro_rules! columns {
    () => {
        "at_ms,id,participant,kind,raffle,campaign,prize,state,unit,amount,code,reason,note"
    };
}

/// The columns that [`from_row`] reads.
pub(crate) const COLUMNS: &str = columns!();

static KEEP: Insert = Insert::or_replace(
    "activity",
    &[
        "shard",
        "tenant",
        "at_ms",
        "id",
        "who",
        "participant",
        "kind",
        "raffle",
        "campaign",
        "prize",
        "state",
        "unit",
        "amount",
        "code",
        "reason",
        "note",
    ],
    4,
);

/// Keeps activities: each replaces the one of its id.
pub(crate) async fn keep(tx: &mut dyn Tx, books: Books, activities: &[Activity]) -> Result<(), RecordsError> {
    let names: Vec<_> = activities.iter().map(|activity| Who::named(&activity.participant)).collect();
    let [shard, tenant] = books.values();
    let mut values = Vec::with_capacity(activities.len() * 16);
    for (activity, who) in activities.iter().zip(&names) {
        let who: &[u8] = if activity.participant.is_empty() { &[] } else { &who.0 };
        values.extend([
            shard,
            tenant,
            Value::Int(activity.at_ms),
            Value::Text(&activity.id),
            Value::Bytes(who),
            Value::Text(&activity.participant),
            Value::Text(activity.kind.word()),
            Value::Text(&activity.raffle),
            Value::Text(&activity.campaign),
            Value::Text(&activity.prize),
            Value::Text(&activity.state),
            Value::Text(&activity.unit),
            Value::int_or_null(activity.amount),
            Value::Text(&activity.code),
            Value::Text(&activity.reason),
            Value::Text(&activity.note),
        ]);
    }
    KEEP.rows(tx, &values).await
}

/// An activity from [`COLUMNS`].
pub(crate) fn from_row(row: &Row) -> Result<Activity, RecordsError> {
    let kind = row.text(3)?;
    let text = |column: usize| Ok::<_, RecordsError>(row.text(column)?.to_owned());
    Ok(Activity {
        at_ms: row.int(0)?,
        id: text(1)?,
        participant: text(2)?,
        kind: Kind::of(kind).ok_or_else(|| RecordsError::Corrupt(format!("an activity of kind {kind}")))?,
        raffle: text(4)?,
        campaign: text(5)?,
        prize: text(6)?,
        state: text(7)?,
        unit: text(8)?,
        amount: row.int_or_null(9)?,
        code: text(10)?,
        reason: text(11)?,
        note: text(12)?,
    })
}

static FORGET: ByKeys =
    ByKeys::new("UPDATE activity SET participant='', who=? WHERE shard=? AND tenant=?", &["at_ms", "id"], "");

/// Takes the name from up to `limit` activities of somebody. Answers from how many.
pub(crate) async fn forget(
    tx: &mut dyn Tx,
    books: Books,
    (who, limit): (Who, u32),
) -> Result<usize, RecordsError> {
    let [shard, tenant] = books.values();
    let sql = "SELECT at_ms,id FROM activity WHERE shard=? AND tenant=? AND who=? LIMIT ?";
    let rows = tx.fetch(sql, &[shard, tenant, Value::Bytes(&who.0), Value::Int(limit.into())]).await?;
    let mut keys = Vec::with_capacity(rows.len() * 2);
    for row in &rows {
        keys.extend([Value::Int(row.int(0)?), Value::Text(row.text(1)?)]);
    }
    FORGET.exec(tx, &[Value::Bytes(&[]), shard, tenant], &keys).await?;
    Ok(rows.len())
}

/// The time of the last of the oldest `limit` activities; `None` where there is none.
pub(crate) async fn sweep_end(
    tx: &mut dyn Tx,
    books: Books,
    limit: u32,
) -> Result<Option<i64>, RecordsError> {
    let sql = "SELECT at_ms FROM activity WHERE shard=? AND tenant=? ORDER BY at_ms,id LIMIT ?";
    let rows = tx.fetch(sql, &[&books.values()[..], &[Value::Int(limit.into())]].concat()).await?;
    rows.last().map(|row| row.int(0)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.word()), Some(kind));
            assert!(kind.word().len() <= 16);
        }
        assert_eq!(Kind::of("prize"), None);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let long =
            Activity { reason: "é".repeat(TEXT_MAX + 7), ..Activity::new(Kind::Act, "a".to_owned(), 0) };
        let cut = long.cut();
        assert_eq!(cut.reason.chars().count(), TEXT_MAX);
        let short = Activity { note: "é".repeat(TEXT_MAX), ..cut };
        assert_eq!(short.clone().cut(), short);
    }
}
