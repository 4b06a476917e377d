//! One participant in one raffle: what they did, their chain head, and the keys of their draws.
//!
//! An Idempotency-Key is found through the participant's row, which a draw reads and writes anyway: the latest keys stand
//! in the row itself, older ones beside it, one row each. So a draw has no index of its own on a random key.

use std::collections::{BTreeSet, HashMap};

use kernel::varint::{put, take};
use records::error::Error;
use records::gate::GateKey;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};

use crate::standing::{Completed, History, Pace, TENTHS, Wins};

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
    /// What they did.
    pub history: History,
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
            history: History::default(),
            chain: [0; 32],
            recent: Vec::new(),
            older: Vec::new(),
            moved: 0,
        }
    }

    /// Somebody who never drew, and of whom only the public name is known.
    fn stranger() -> Self {
        Self { participant: None, ..Self::new("") }
    }

    /// Gate sequences of draws whose key may be the one of this fingerprint.
    pub fn seqs_of(&self, fingerprint: u64) -> impl Iterator<Item = u64> {
        let all = self.recent.iter().chain(&self.older);
        all.filter(move |(known, _)| *known == fingerprint & FINGERPRINT).map(|(_, seq)| *seq)
    }

    /// Notes a completed draw.
    pub fn complete(&mut self, draw: Completed<'_>, fingerprint: u64, seq: u64, chain: [u8; 32]) {
        if self.recent.len() == RECENT {
            self.moved += self.recent.len();
            self.older.append(&mut self.recent);
        }
        self.history.complete(draw);
        self.chain = chain;
        self.recent.push((fingerprint & FINGERPRINT, seq));
    }

    fn from_row(row: &Row) -> Result<(PlayerKey, Self), Error> {
        let bucket = u16::try_from(row.int(0)?).map_err(|_| Error::Corrupt("a bucket".to_owned()))?;
        let player = Self {
            participant: row.text_or_null(2)?.map(str::to_owned),
            history: History {
                number: row.count(3)?,
                day: i32::try_from(row.int(4)?).map_err(|_| Error::Corrupt("a day".to_owned()))?,
                today: row.count(5)?,
                this_month: row.count(12)?,
                wins: read_wins(row.bytes(8)?).ok_or_else(|| Error::Corrupt("wins".to_owned()))?,
                last_win_ms: row.int_or_null(9)?,
                paces: read_paces(row.bytes(10)?).ok_or_else(|| Error::Corrupt("paces".to_owned()))?,
                promised: row.text_or_null(11)?.map(str::to_owned),
            },
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

fn write_wins(wins: &[Wins]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for won in wins {
        for number in [won.slot.into(), won.total, won.today, won.last] {
            put(&mut bytes, number);
        }
    }
    bytes
}

fn read_wins(mut bytes: &[u8]) -> Option<Vec<Wins>> {
    let mut wins = Vec::new();
    while !bytes.is_empty() {
        let slot = u32::try_from(take(&mut bytes)?).ok()?;
        let (total, today, last) = (take(&mut bytes)?, take(&mut bytes)?, take(&mut bytes)?);
        wins.push(Wins { slot, total, today, last });
    }
    Some(wins)
}

/// Each pace: a zero, its seconds and its latest tenth, how many tenths follow, and their draws. Rows written before paces
/// counted tenths have no zero.
fn write_paces(paces: &[Pace]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for pace in paces {
        let tenth = u64::try_from(pace.tenth).unwrap_or(0);
        let kept = pace.draws.iter().rposition(|draws| *draws > 0).map_or(0, |last| last + 1);
        for number in [0, pace.seconds.into(), tenth, kept as u64] {
            put(&mut bytes, number);
        }
        for draws in &pace.draws[..kept] {
            put(&mut bytes, (*draws).into());
        }
    }
    bytes
}

fn read_paces(mut bytes: &[u8]) -> Option<Vec<Pace>> {
    let mut paces = Vec::new();
    while !bytes.is_empty() {
        let pace = match u32::try_from(take(&mut bytes)?).ok()? {
            0 => read_pace(&mut bytes)?,
            seconds => read_pace_of_windows(&mut bytes, seconds)?,
        };
        paces.push(pace);
    }
    Some(paces)
}

fn read_pace(bytes: &mut &[u8]) -> Option<Pace> {
    let seconds = u32::try_from(take(bytes)?).ok()?;
    let mut pace = Pace { seconds, tenth: i64::try_from(take(bytes)?).ok()?, ..Pace::default() };
    let kept = usize::try_from(take(bytes)?).ok()?;
    for draws in pace.draws.get_mut(..kept)? {
        *draws = u32::try_from(take(bytes)?).ok()?;
    }
    Some(pace)
}

/// As paces were written before: draws of a whole window and of the one before it. Each is taken as late as it can be.
fn read_pace_of_windows(bytes: &mut &[u8], seconds: u32) -> Option<Pace> {
    let window = i64::try_from(take(bytes)?).ok()?;
    let mut pace = Pace { seconds, tenth: window.checked_mul(10)?.checked_add(9)?, ..Pace::default() };
    pace.draws[0] = u32::try_from(take(bytes)?).ok()?;
    pace.draws[TENTHS - 1] = u32::try_from(take(bytes)?).ok()?;
    Some(pace)
}

static LOAD: ByKeys = ByKeys::new(
    "SELECT bucket,pseudonym,participant,number,day,today,chain,recent_keys,wins,last_win_ms,paces,promised,
     this_month FROM player WHERE tenant=? AND raffle=?",
    &["bucket", "pseudonym"],
    "",
);
static NAMES: ByKeys = ByKeys::new(
    "SELECT bucket,pseudonym,participant FROM player WHERE tenant=? AND raffle=?",
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
        "wins",
        "last_win_ms",
        "paces",
        "promised",
        "this_month",
    ],
    4,
);
static SAVE_OLDER: Insert =
    Insert::new("player_key", &["bucket", "tenant", "raffle", "pseudonym", "fingerprint", "seq"]);

/// Whose draw is asked for, and the fingerprint of its key.
pub type Asked = (PlayerKey, u64);

/// Who is behind public names; whoever was erased is left out.
pub async fn names(
    tx: &mut dyn Tx,
    gate: GateKey,
    players: &BTreeSet<PlayerKey>,
) -> Result<HashMap<PlayerKey, String>, Error> {
    let keys: Vec<_> = players
        .iter()
        .flat_map(|(bucket, pseudonym)| [Value::Int((*bucket).into()), Value::Bytes(pseudonym)])
        .collect();
    let fixed = [Value::Int(gate.tenant.into()), Value::Int(gate.subject.into())];
    let mut names = HashMap::with_capacity(players.len());
    for row in NAMES.fetch(tx, &fixed, &keys).await? {
        if let Some(name) = row.text_or_null(2)? {
            let bucket = u16::try_from(row.int(0)?).map_err(|_| Error::Corrupt("a bucket".to_owned()))?;
            names.insert((bucket, row.array(1)?), name.to_owned());
        }
    }
    Ok(names)
}

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
        .filter(|(key, _)| players.get(key).is_some_and(|player| player.history.number > RECENT as u64))
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

/// Gate sequences of a participant's draws after one, in their order; none of somebody who was erased.
pub async fn draws_after(
    tx: &mut dyn Tx,
    gate: GateKey,
    (bucket, pseudonym): PlayerKey,
    after: u64,
) -> Result<Vec<u64>, Error> {
    let key = [
        Value::Int(bucket.into()),
        Value::Int(gate.tenant.into()),
        Value::Int(gate.subject.into()),
        Value::Bytes(&pseudonym),
    ];
    let recent = "SELECT recent_keys FROM player
        WHERE bucket=? AND tenant=? AND raffle=? AND pseudonym=? AND participant IS NOT NULL";
    let rows = tx.fetch(recent, &key).await?;
    let Some(row) = rows.first() else { return Ok(vec![]) };
    let mut seqs: Vec<_> = decode(row.bytes(0)?).into_iter().map(|(_, seq)| seq).collect();
    let older = "SELECT seq FROM player_key WHERE bucket=? AND tenant=? AND raffle=? AND pseudonym=?";
    for row in tx.fetch(older, &key).await? {
        seqs.push(row.count(0)?);
    }
    seqs.retain(|seq| *seq > after);
    seqs.sort_unstable();
    Ok(seqs)
}

/// Promises a prize to a participant, who need not have drawn before. A promise that was made before is replaced.
pub async fn promise(tx: &mut dyn Tx, gate: GateKey, key: PlayerKey, prize: &str) -> Result<(), Error> {
    let mut known = load(tx, gate, &[(key, 0)]).await?;
    let mut player = known.remove(&key).unwrap_or_else(Player::stranger);
    player.history.promised = Some(prize.to_owned());
    save(tx, gate, &[(&key, &player)]).await
}

/// Removes a participant's name from their row. Answers whether it stood there.
pub async fn forget_name(
    tx: &mut dyn Tx,
    gate: GateKey,
    (bucket, pseudonym): PlayerKey,
) -> Result<bool, Error> {
    let sql = "UPDATE player SET participant=NULL
        WHERE bucket=? AND tenant=? AND raffle=? AND pseudonym=? AND participant IS NOT NULL";
    let key = [
        Value::Int(bucket.into()),
        Value::Int(gate.tenant.into()),
        Value::Int(gate.subject.into()),
        Value::Bytes(&pseudonym),
    ];
    Ok(tx.exec(sql, &key).await? > 0)
}

/// Writes participants back, or for the first time.
pub async fn save(tx: &mut dyn Tx, gate: GateKey, players: &[(&PlayerKey, &Player)]) -> Result<(), Error> {
    let packed = players.iter().map(|(_, player)| {
        let history = &player.history;
        (encode(&player.recent), write_wins(&history.wins), write_paces(&history.paces))
    });
    let packed: Vec<_> = packed.collect();
    let mut values = Vec::with_capacity(players.len() * 15);
    let mut older = Vec::new();
    for (((bucket, pseudonym), player), (recent, wins, paces)) in players.iter().zip(&packed) {
        let history = &player.history;
        let key = [
            Value::Int((*bucket).into()),
            Value::Int(gate.tenant.into()),
            Value::Int(gate.subject.into()),
            Value::Bytes(pseudonym),
        ];
        values.extend(key);
        values.extend([
            Value::text_or_null(player.participant.as_deref()),
            Value::count(history.number),
            Value::Int(history.day.into()),
            Value::count(history.today),
            Value::Bytes(&player.chain),
            Value::Bytes(recent),
            Value::Bytes(wins),
            Value::int_or_null(history.last_win_ms),
            Value::Bytes(paces),
            Value::text_or_null(history.promised.as_deref()),
            Value::count(history.this_month),
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

    fn draw(day: i32) -> Completed<'static> {
        Completed { at_ms: 5, day, won: Some((3, true)), kept_promise: false, windows: &[60] }
    }

    #[test]
    fn every_key_is_found_wherever_it_stands() {
        let mut player = Player::new("ada");
        for key in 0..100u64 {
            player.complete(draw(1), key * 7, key + 1, [0; 32]);
            assert_eq!(decode(&encode(&player.recent)), player.recent);
        }
        assert_eq!((player.history.number, player.history.today), (100, 100));
        assert_eq!((player.recent.len(), player.moved), (4, 96));
        for key in 0..100u64 {
            assert_eq!(player.seqs_of(key * 7).collect::<Vec<_>>(), [key + 1]);
        }
        player.complete(draw(2), u64::MAX, 101, [0; 32]);
        assert_eq!(player.seqs_of(u64::MAX).collect::<Vec<_>>(), [101]);
        let history = &player.history;
        assert_eq!(read_wins(&write_wins(&history.wins)).as_ref(), Some(&history.wins));
        assert_eq!(read_paces(&write_paces(&history.paces)).as_ref(), Some(&history.paces));
        assert_eq!((read_wins(&[1]), read_paces(&[200])), (None, None));
    }

    #[test]
    fn paces_are_read_as_they_are_written_and_as_they_were() {
        let mut pace = Pace { seconds: 60, tenth: 1_234_567, ..Pace::default() };
        for (kept, draws) in [(0, 0), (0, 300), (4, 1), (TENTHS - 1, u32::MAX)] {
            pace.draws[kept] = draws;
            let twice = [pace, Pace { seconds: 1, ..pace }];
            assert_eq!(read_paces(&write_paces(&twice)).as_deref(), Some(&twice[..]), "{kept}");
        }
        assert_eq!(read_paces(&[0, 60, 1, 12]), None, "more tenths than a window has");
        let before = read_paces(&[60, 7, 3, 2]).expect("a pace of windows");
        assert_eq!((before[0].seconds, before[0].tenth, before[0].after(0)), (60, 79, 5));
        assert_eq!((before[0].after(1), before[0].after(10), before[0].after(11)), (3, 3, 0));
    }
}
