//! One participant in one raffle: counters, chain head, and the keys of their draws.
//!
//! An Idempotency-Key is found through the participant's row, which a draw reads and writes anyway: the latest keys stand
//! in the row itself, older ones beside it, one row each. So a draw has no index of its own on a random key.

use std::collections::HashMap;

use records::error::Error;
use records::gate::GateKey;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

/// A participant's pseudonym, after their bucket.
pub type PlayerKey = (u16, [u8; 16]);

/// Keys in the row.
const RECENT: usize = 16;

/// Bytes of a key in the row: six of its fingerprint, six of the gate sequence of its draw.
const KEY_BYTES: usize = 12;

/// The part of a fingerprint that is kept.
const FINGERPRINT: u64 = (1 << 48) - 1;

/// A key's fingerprint and the gate sequence of its draw.
type KeyAt = (u64, u64);

/// What a raffle knows of one participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Player {
    /// Who; `None` where the person was erased.
    pub participant: Option<String>,
    /// Draws completed.
    pub number: u64,
    /// The local day of the last draw.
    pub day: i32,
    /// Draws completed on that day.
    pub today: u64,
    /// The chain head after the last draw.
    pub chain: [u8; 32],
    recent: Vec<KeyAt>,
    /// Of the keys beside the row: those that this batch asks for, and those that it has moved there.
    older: Vec<KeyAt>,
    /// How many of those at the end are not written yet.
    moved: usize,
}

impl Player {
    /// A participant before their first draw.
    pub fn new(participant: &str) -> Self {
        Self {
            participant: Some(participant.to_owned()),
            number: 0,
            day: 0,
            today: 0,
            chain: [0; 32],
            recent: Vec::new(),
            older: Vec::new(),
            moved: 0,
        }
    }

    /// Draws completed on a local day.
    pub fn completed_on(&self, day: i32) -> u64 {
        if self.day == day { self.today } else { 0 }
    }

    /// Gate sequences of draws whose key may be the one of this fingerprint.
    pub fn seqs_of(&self, fingerprint: u64) -> impl Iterator<Item = u64> {
        let all = self.recent.iter().chain(&self.older);
        all.filter(move |(known, _)| *known == fingerprint & FINGERPRINT).map(|(_, seq)| *seq)
    }

    /// Notes a completed draw.
    pub fn complete(&mut self, day: i32, fingerprint: u64, seq: u64, chain: [u8; 32]) {
        if self.recent.len() == RECENT {
            self.moved += self.recent.len();
            self.older.append(&mut self.recent);
        }
        self.today = self.completed_on(day) + 1;
        self.day = day;
        self.number += 1;
        self.chain = chain;
        self.recent.push((fingerprint & FINGERPRINT, seq));
    }

    fn from_row(row: &Row) -> Result<(PlayerKey, Self), Error> {
        let bucket = u16::try_from(row.int(0)?).map_err(|_| Error::Corrupt("a bucket".to_owned()))?;
        let player = Self {
            participant: row.text_or_null(2)?.map(str::to_owned),
            number: row.count(3)?,
            day: i32::try_from(row.int(4)?).map_err(|_| Error::Corrupt("a day".to_owned()))?,
            today: row.count(5)?,
            chain: row.array(6)?,
            recent: decode(row.bytes(7)?),
            older: Vec::new(),
            moved: 0,
        };
        Ok(((bucket, row.array(1)?), player))
    }
}

fn encode(keys: &[KeyAt]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(keys.len() * KEY_BYTES);
    for (fingerprint, seq) in keys {
        bytes.extend(&fingerprint.to_be_bytes()[2..]);
        bytes.extend(&seq.to_be_bytes()[2..]);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Vec<KeyAt> {
    let six = |part: &[u8]| part.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    bytes.chunks_exact(KEY_BYTES).map(|key| (six(&key[..6]), six(&key[6..]))).collect()
}

static LOAD: ByKeys = ByKeys::new(
    "SELECT bucket,pseudonym,participant,number,day,today,chain,recent_keys FROM player WHERE tenant=? AND raffle=?",
    &["bucket", "pseudonym"],
    "",
);
static LOAD_OLDER: ByKeys = ByKeys::new(
    "SELECT bucket,pseudonym,fingerprint,seq FROM player_key WHERE tenant=? AND raffle=?",
    &["bucket", "pseudonym", "fingerprint"],
    "",
);
static SAVE: Insert = Insert::or_replace(
    "player",
    &[
        "bucket",
        "tenant",
        "raffle",
        "pseudonym",
        "participant",
        "number",
        "day",
        "today",
        "chain",
        "recent_keys",
    ],
    4,
);
static SAVE_OLDER: Insert =
    Insert::new("player_key", &["bucket", "tenant", "raffle", "pseudonym", "fingerprint", "seq"]);

/// Whose draw is asked for, and the fingerprint of its key.
pub type Asked = (PlayerKey, u64);

/// Loads the participants who ask, with what is known of the keys that they ask with; those who never drew are not in the
/// answer. Locked by the gate.
pub async fn load(
    tx: &mut dyn Tx,
    gate: GateKey,
    asked: &[Asked],
) -> Result<HashMap<PlayerKey, Player>, Error> {
    let fixed = [Value::Int(gate.tenant.into()), Value::Int(gate.subject.into())];
    let mut keys: Vec<PlayerKey> = asked.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    let values: Vec<_> = keys
        .iter()
        .flat_map(|(bucket, pseudonym)| [Value::Int((*bucket).into()), Value::Bytes(pseudonym)])
        .collect();
    let rows = LOAD.fetch(tx, &fixed, &values).await?;
    let mut players: HashMap<PlayerKey, Player> =
        rows.iter().map(Player::from_row).collect::<Result<_, _>>()?;
    let mut older: Vec<&Asked> = asked
        .iter()
        .filter(|(key, _)| players.get(key).is_some_and(|player| player.number > RECENT as u64))
        .collect();
    older.sort_unstable();
    older.dedup();
    let values: Vec<_> = older
        .iter()
        .flat_map(|((bucket, pseudonym), fingerprint)| {
            [Value::Int((*bucket).into()), Value::Bytes(pseudonym), Value::count(fingerprint & FINGERPRINT)]
        })
        .collect();
    for row in LOAD_OLDER.fetch(tx, &fixed, &values).await? {
        let bucket = u16::try_from(row.int(0)?).map_err(|_| Error::Corrupt("a bucket".to_owned()))?;
        if let Some(player) = players.get_mut(&(bucket, row.array(1)?)) {
            player.older.push((row.count(2)?, row.count(3)?));
        }
    }
    Ok(players)
}

/// Writes participants back, or for the first time.
pub async fn save(tx: &mut dyn Tx, gate: GateKey, players: &[(&PlayerKey, &Player)]) -> Result<(), Error> {
    let recent: Vec<_> = players.iter().map(|(_, player)| encode(&player.recent)).collect();
    let mut values = Vec::with_capacity(players.len() * 10);
    let mut older = Vec::new();
    for (((bucket, pseudonym), player), recent) in players.iter().zip(&recent) {
        let key = [
            Value::Int((*bucket).into()),
            Value::Int(gate.tenant.into()),
            Value::Int(gate.subject.into()),
            Value::Bytes(pseudonym),
        ];
        values.extend(key);
        values.extend([
            Value::text_or_null(player.participant.as_deref()),
            Value::count(player.number),
            Value::Int(player.day.into()),
            Value::count(player.today),
            Value::Bytes(&player.chain),
            Value::Bytes(recent),
        ]);
        for (fingerprint, seq) in &player.older[player.older.len() - player.moved..] {
            older.extend(key);
            older.extend([Value::count(*fingerprint), Value::count(*seq)]);
        }
    }
    SAVE.rows(tx, &values).await?;
    SAVE_OLDER.rows(tx, &older).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_wherever_it_stands() {
        let mut player = Player::new("ada");
        for draw in 0..100u64 {
            player.complete(1, draw * 7, draw + 1, [0; 32]);
            assert_eq!(decode(&encode(&player.recent)), player.recent);
        }
        assert_eq!((player.number, player.today), (100, 100));
        assert_eq!((player.recent.len(), player.moved), (4, 96));
        for draw in 0..100u64 {
            assert_eq!(player.seqs_of(draw * 7).collect::<Vec<_>>(), [draw + 1]);
        }
        player.complete(2, u64::MAX, 101, [0; 32]);
        assert_eq!(player.seqs_of(u64::MAX).collect::<Vec<_>>(), [101]);
        assert_eq!((player.today, player.completed_on(2), player.completed_on(1)), (1, 1, 0));
    }
}
