//! One participant in one raffle: counters, chain head, and the keys of their draws.
//!
//! An Idempotency-Key is found through the participant's row, which a draw reads and writes anyway: the latest keys stand
//! in the row itself, older ones in pages beside it. So a draw has no index of its own on a random key.

use std::collections::HashMap;

use records::error::Error;
use records::gate::GateKey;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

/// A participant's pseudonym, after their bucket.
pub type PlayerKey = (u16, [u8; 16]);

/// Keys in the row, and on one page.
const PAGE: usize = 32;

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
    older: Vec<KeyAt>,
    filled: Vec<(u64, Vec<u8>)>,
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
            filled: Vec::new(),
        }
    }

    /// Draws completed on a local day.
    pub fn completed_on(&self, day: i32) -> u64 {
        if self.day == day { self.today } else { 0 }
    }

    /// Gate sequences of draws whose key may be the one of this fingerprint.
    pub fn seqs_of(&self, fingerprint: u64) -> impl Iterator<Item = u64> {
        let all = self.recent.iter().chain(&self.older);
        all.filter(move |(known, _)| *known == fingerprint).map(|(_, seq)| *seq)
    }

    /// Notes a completed draw.
    pub fn complete(&mut self, day: i32, fingerprint: u64, seq: u64, chain: [u8; 32]) {
        if self.recent.len() == PAGE {
            let page = self.number / PAGE as u64 - 1;
            self.filled.push((page, encode(&self.recent)));
            self.older.append(&mut self.recent);
        }
        self.today = self.completed_on(day) + 1;
        self.day = day;
        self.number += 1;
        self.chain = chain;
        self.recent.push((fingerprint, seq));
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
            filled: Vec::new(),
        };
        Ok(((bucket, row.array(1)?), player))
    }
}

fn encode(keys: &[KeyAt]) -> Vec<u8> {
    keys.iter()
        .flat_map(|(fingerprint, seq)| [fingerprint.to_be_bytes(), seq.to_be_bytes()].concat())
        .collect()
}

fn decode(bytes: &[u8]) -> Vec<KeyAt> {
    let (pairs, _) = bytes.as_chunks::<16>();
    pairs
        .iter()
        .map(|pair| {
            let (fingerprint, seq) = pair.split_at(8);
            let number = |half: &[u8]| half.try_into().map(u64::from_be_bytes).unwrap_or_default();
            (number(fingerprint), number(seq))
        })
        .collect()
}

static LOAD: ByKeys = ByKeys::new(
    "SELECT bucket,pseudonym,participant,number,day,today,chain,recent_keys FROM player WHERE tenant=? AND raffle=?",
    &["bucket", "pseudonym"],
    "",
);
static LOAD_PAGES: ByKeys = ByKeys::new(
    "SELECT bucket,pseudonym,page_keys FROM player_keys WHERE tenant=? AND raffle=?",
    &["bucket", "pseudonym"],
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
static SAVE_PAGES: Insert =
    Insert::new("player_keys", &["bucket", "tenant", "raffle", "pseudonym", "page", "page_keys"]);

fn key_values(keys: &[PlayerKey]) -> Vec<Value<'_>> {
    keys.iter()
        .flat_map(|(bucket, pseudonym)| [Value::Int((*bucket).into()), Value::Bytes(pseudonym)])
        .collect()
}

/// Loads participants of a raffle; those who never drew are not in the answer. Locked by the gate.
pub async fn load(
    tx: &mut dyn Tx,
    gate: GateKey,
    keys: &[PlayerKey],
) -> Result<HashMap<PlayerKey, Player>, Error> {
    let fixed = [Value::Int(gate.tenant.into()), Value::Int(gate.subject.into())];
    let rows = LOAD.fetch(tx, &fixed, &key_values(keys)).await?;
    let mut players: HashMap<PlayerKey, Player> =
        rows.iter().map(Player::from_row).collect::<Result<_, _>>()?;
    let paged: Vec<PlayerKey> =
        players.iter().filter(|(_, player)| player.number > PAGE as u64).map(|(key, _)| *key).collect();
    for row in LOAD_PAGES.fetch(tx, &fixed, &key_values(&paged)).await? {
        let bucket = u16::try_from(row.int(0)?).map_err(|_| Error::Corrupt("a bucket".to_owned()))?;
        if let Some(player) = players.get_mut(&(bucket, row.array(1)?)) {
            player.older.extend(decode(row.bytes(2)?));
        }
    }
    Ok(players)
}

/// Writes participants back, or for the first time.
pub async fn save(tx: &mut dyn Tx, gate: GateKey, players: &[(&PlayerKey, &Player)]) -> Result<(), Error> {
    let recent: Vec<_> = players.iter().map(|(_, player)| encode(&player.recent)).collect();
    let mut values = Vec::with_capacity(players.len() * 10);
    let mut pages = Vec::new();
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
        for (page, keys) in &player.filled {
            pages.extend(key);
            pages.extend([Value::count(*page), Value::Bytes(keys)]);
        }
    }
    SAVE.rows(tx, &values).await?;
    SAVE_PAGES.rows(tx, &pages).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_on_whatever_page_it_stands() {
        let mut player = Player::new("ada");
        for draw in 0..100u64 {
            player.complete(1, draw * 7, draw + 1, [0; 32]);
        }
        assert_eq!((player.number, player.today), (100, 100));
        assert_eq!(player.filled.iter().map(|(page, _)| *page).collect::<Vec<_>>(), [0, 1, 2]);
        for draw in 0..100u64 {
            assert_eq!(player.seqs_of(draw * 7).collect::<Vec<_>>(), [draw + 1]);
        }
        assert_eq!(decode(&encode(&player.recent)), player.recent);
        player.complete(2, 1, 101, [0; 32]);
        assert_eq!((player.today, player.completed_on(2), player.completed_on(1)), (1, 1, 0));
    }
}
