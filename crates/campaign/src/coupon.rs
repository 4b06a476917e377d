//! Pools of coupon codes. A code is a secret: it rests sealed, is told to its winner, and stands in no log.

use kernel::hex::hex;
use kernel::id::{Shard, Tenant};
use records::audit::{self, Change, Stream};
use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use records::statement::{ByKeys, Insert};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::request::Request;
use crate::vault::Vault;

/// Most codes of one upload.
pub const CODES_MAX: usize = 10_000;
/// Longest code, in characters.
pub const CODE_CHARACTERS_MAX: usize = 128;
/// Most codes of one pool.
pub const POOL_MAX: u64 = 10_000_000;

/// A pool, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolView {
    /// The pool's id, as raffle documents name it.
    pub pool: String,
    /// Codes that were uploaded.
    pub codes: u64,
    /// Codes that nobody has.
    pub free: u64,
    /// Codes that winners have.
    pub given: u64,
    /// Codes of awards that were taken back.
    pub void: u64,
}

static CODES: Insert =
    Insert::new("coupon", &["shard", "tenant", "pool", "digest", "number", "state", "sealed"]);
static KNOWN: ByKeys =
    ByKeys::new("SELECT digest FROM coupon WHERE shard=? AND tenant=? AND pool=?", &["digest"], "");

fn fixed(shard: Shard) -> [Value<'static>; 2] {
    [Value::Int(shard.0.into()), Value::Int(Tenant::MAIN.number.into())]
}

fn about(pool: &str, digest: &[u8]) -> String {
    format!("coupon/{pool}/{}", hex(digest))
}

/// How codes stand in a body, one on each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// As the line is, or as a JSON string.
    Lines,
    /// In the first column of CSV (RFC 4180). Whether the first line is a header may be said; where it is not, it is one if its
    /// first column is one of [`HEADERS`].
    Csv {
        /// `header` of `text/csv`.
        header: Option<bool>,
    },
}

/// What the first column is called by those who say nothing of a header, in small letters.
pub const HEADERS: &[&str] = &["code", "codes", "coupon", "coupon_code", "voucher"];

/// The first column of a line of CSV; `None` where its quotes are not closed, or something stands behind them.
fn first_column(line: &str) -> Option<String> {
    let Some(quoted) = line.strip_prefix('"') else {
        return Some(line.split(',').next().unwrap_or_default().trim().to_owned());
    };
    let (mut column, mut rest) = (String::new(), quoted);
    loop {
        let (part, after) = rest.split_once('"')?;
        column.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                column.push('"');
                rest = after;
            }
            None => return (after.is_empty() || after.starts_with(',')).then_some(column),
        }
    }
}

/// Reads a body of codes.
pub fn read_codes(body: &[u8], written: Written) -> Result<Vec<String>, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::BadCodes("the body is not UTF-8".to_owned()))?;
    // Spreadsheets put a byte order mark in front, which is part of no code.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut codes, mut is_first) = (Vec::new(), true);
    for (at, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), at + 1);
        if line.is_empty() {
            continue;
        }
        let code = match (written, line.starts_with('"')) {
            (Written::Lines, false) => line.to_owned(),
            (Written::Lines, true) => serde_json::from_str::<String>(line)
                .map_err(|error| Error::BadCodes(format!("line {number} is no JSON string: {error}")))?,
            (Written::Csv { header }, _) => {
                let column = first_column(line);
                let broken = || Error::BadCodes(format!("the quotes on line {number} are not closed"));
                let column = column.ok_or_else(broken)?;
                let names_it = || HEADERS.contains(&column.to_ascii_lowercase().as_str());
                if is_first && header.unwrap_or_else(names_it) {
                    is_first = false;
                    continue;
                }
                column
            }
        };
        is_first = false;
        let length = code.chars().count();
        if !(1..=CODE_CHARACTERS_MAX).contains(&length) || code.chars().any(char::is_control) {
            return Err(Error::BadCodes(format!(
                "the code on line {number} must be 1 to {CODE_CHARACTERS_MAX} characters, none of them a control character"
            )));
        }
        codes.push(code);
        if codes.len() > CODES_MAX {
            return Err(Error::BadCodes(format!("at most {CODES_MAX} codes may be uploaded at once")));
        }
    }
    let mut sorted: Vec<_> = codes.iter().collect();
    sorted.sort_unstable();
    if codes.is_empty() {
        return Err(Error::BadCodes("there is no code".to_owned()));
    }
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::BadCodes("a code stands twice".to_owned()));
    }
    Ok(codes)
}

/// A pool.
pub(crate) async fn pool(
    tx: &mut dyn Tx,
    shard: Shard,
    pool: &str,
) -> Result<Option<PoolView>, RecordsError> {
    fetch(tx, shard, pool, "").await
}

/// A pool, locked to be changed.
async fn lock(tx: &mut dyn Tx, shard: Shard, pool: &str) -> Result<Option<PoolView>, RecordsError> {
    let end = tx.dialect().for_update();
    fetch(tx, shard, pool, end).await
}

async fn fetch(
    tx: &mut dyn Tx,
    shard: Shard,
    pool: &str,
    end: &str,
) -> Result<Option<PoolView>, RecordsError> {
    let sql = format!(
        "SELECT pool,codes,free,given,void FROM coupon_pool WHERE shard=? AND tenant=? AND pool=?{end}"
    );
    let rows = tx.fetch(&sql, &[&fixed(shard)[..], &[Value::Text(pool)]].concat()).await?;
    rows.first().map(read_pool).transpose()
}

fn read_pool(row: &Row) -> Result<PoolView, RecordsError> {
    Ok(PoolView {
        pool: row.text(0)?.to_owned(),
        codes: row.count(1)?,
        free: row.count(2)?,
        given: row.count(3)?,
        void: row.count(4)?,
    })
}

/// Pools after one, in the order of their ids.
pub(crate) async fn pools(
    tx: &mut dyn Tx,
    shard: Shard,
    after: &str,
    limit: u32,
) -> Result<Vec<PoolView>, RecordsError> {
    let sql = "SELECT pool,codes,free,given,void FROM coupon_pool WHERE shard=? AND tenant=? AND pool>?
        ORDER BY pool LIMIT ?";
    let values = [&fixed(shard)[..], &[Value::Text(after), Value::Int(limit.into())]].concat();
    tx.fetch(sql, &values).await?.iter().map(read_pool).collect()
}

/// Adds codes to a pool, which begins with its first. None may be in it already: all are added, or none.
pub(crate) async fn add(
    tx: &mut dyn Tx,
    shard: Shard,
    (id, codes): (&str, &[String]),
    (vault, request): (&dyn Vault, &Request),
) -> Result<PoolView, Error> {
    let known = lock(tx, shard, id).await?;
    let digests: Vec<[u8; 32]> = codes.iter().map(|code| Sha256::digest(code.as_bytes()).into()).collect();
    let keys: Vec<_> = digests.iter().map(|digest| Value::Bytes(digest)).collect();
    let twice = KNOWN.fetch(tx, &[&fixed(shard)[..], &[Value::Text(id)]].concat(), &keys).await?.len();
    if twice > 0 {
        return Err(Error::CodesKnown { pool: id.to_owned(), codes: twice });
    }
    let before = known.as_ref().map_or(0, |pool| pool.codes);
    let added = codes.len() as u64;
    if before + added > POOL_MAX {
        return Err(Error::BadCodes(format!("a pool holds at most {POOL_MAX} codes")));
    }
    let sealed: Vec<_> = codes
        .iter()
        .zip(&digests)
        .map(|(code, digest)| vault.seal(code.as_bytes(), &about(id, digest)))
        .collect::<Result<_, _>>()?;
    let mut values = Vec::with_capacity(codes.len() * 7);
    for (at, (digest, sealed)) in digests.iter().zip(&sealed).enumerate() {
        values.extend(fixed(shard));
        let number = Value::count(before + at as u64 + 1);
        values.extend([Value::Text(id), Value::Bytes(digest), number, Value::Int(0), Value::Bytes(sealed)]);
    }
    CODES.rows(tx, &values).await?;
    let key = [&fixed(shard)[..], &[Value::Text(id)]].concat();
    let write = match known {
        Some(_) => "UPDATE coupon_pool SET codes=codes+?, free=free+? WHERE shard=? AND tenant=? AND pool=?",
        None => "INSERT INTO coupon_pool (codes,free,shard,tenant,pool,given,void) VALUES (?,?,?,?,?,0,0)",
    };
    tx.exec(write, &[&[Value::count(added), Value::count(added)][..], &key].concat()).await?;
    let change = Change {
        at_ms: request.at_ms,
        action: "add_coupons",
        subject: format!("coupon-pool/{id}"),
        detail: format!("{added} codes"),
    };
    audit::append(tx, &Stream::changes(shard, Tenant::MAIN.number), &request.cause(), change).await?;
    let view = pool(tx, shard, id).await?;
    view.ok_or_else(|| RecordsError::Corrupt("a pool that was written".to_owned()).into())
}

/// Takes codes for awards, in their order, as far as there are any. Answers how many got one.
pub(crate) async fn take(
    tx: &mut dyn Tx,
    shard: Shard,
    id: &str,
    awards: &[Vec<u8>],
) -> Result<usize, RecordsError> {
    let Some(standing) = lock(tx, shard, id).await? else { return Ok(0) };
    let wanted = standing.free.min(awards.len() as u64);
    let key = [&fixed(shard)[..], &[Value::Text(id)]].concat();
    let free =
        "SELECT digest FROM coupon WHERE shard=? AND tenant=? AND pool=? AND state=0 ORDER BY number LIMIT ?";
    let rows = tx.fetch(free, &[&key[..], &[Value::count(wanted)]].concat()).await?;
    for (row, award) in rows.iter().zip(awards) {
        let update = "UPDATE coupon SET state=1, award=? WHERE shard=? AND tenant=? AND pool=? AND digest=? AND state=0";
        let values = [&[Value::Bytes(award)][..], &key, &[Value::Bytes(row.bytes(0)?)]].concat();
        // The judge: a code that somebody else took meanwhile undoes all of it.
        if tx.exec(update, &values).await? != 1 {
            return Err(RecordsError::Surprise("coupon"));
        }
    }
    let taken = Value::count(rows.len() as u64);
    let update =
        "UPDATE coupon_pool SET free=free-?, given=given+? WHERE shard=? AND tenant=? AND pool=? AND free>=?";
    if tx.exec(update, &[&[taken, taken][..], &key, &[taken]].concat()).await? != 1 {
        return Err(RecordsError::Surprise("coupon_pool"));
    }
    Ok(rows.len())
}

/// Lets an award wait for a code.
pub(crate) async fn wait(
    tx: &mut dyn Tx,
    shard: Shard,
    (pool, award): (&str, &[u8]),
    now_ms: i64,
) -> Result<(), RecordsError> {
    let values = [&fixed(shard)[..], &[Value::Text(pool), Value::Int(now_ms), Value::Bytes(award)]].concat();
    let insert = "INSERT INTO coupon_wait (shard,tenant,pool,at_ms,award) VALUES (?,?,?,?,?)";
    tx.exec(insert, &values).await.map(|_| ())
}

/// Awards that wait for a code of a pool, longest first.
pub(crate) async fn waiting(
    tx: &mut dyn Tx,
    shard: Shard,
    pool: &str,
    limit: u32,
) -> Result<Vec<Vec<u8>>, RecordsError> {
    let sql =
        "SELECT award FROM coupon_wait WHERE shard=? AND tenant=? AND pool=? ORDER BY at_ms,award LIMIT ?";
    let values = [&fixed(shard)[..], &[Value::Text(pool), Value::Int(limit.into())]].concat();
    tx.fetch(sql, &values).await?.iter().map(|row| row.bytes(0).map(<[u8]>::to_vec)).collect()
}

/// An award waits no more.
pub(crate) async fn stop_waiting(
    tx: &mut dyn Tx,
    shard: Shard,
    (pool, award): (&str, &[u8]),
) -> Result<(), RecordsError> {
    let values = [&fixed(shard)[..], &[Value::Text(pool), Value::Bytes(award)]].concat();
    let delete = "DELETE FROM coupon_wait WHERE shard=? AND tenant=? AND pool=? AND award=?";
    tx.exec(delete, &values).await.map(|_| ())
}

/// Pools that have codes, and awards that wait for them.
pub(crate) async fn servable(tx: &mut dyn Tx, shard: Shard, limit: u32) -> Result<Vec<String>, RecordsError> {
    let sql = "SELECT p.pool FROM coupon_pool p WHERE p.shard=? AND p.tenant=? AND p.free>0
        AND EXISTS (SELECT 1 FROM coupon_wait w WHERE w.shard=p.shard AND w.tenant=p.tenant AND w.pool=p.pool)
        ORDER BY p.pool LIMIT ?";
    let values = [&fixed(shard)[..], &[Value::Int(limit.into())]].concat();
    tx.fetch(sql, &values).await?.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// The code of an award.
pub(crate) async fn code(
    tx: &mut dyn Tx,
    shard: Shard,
    award: &[u8],
    vault: &dyn Vault,
) -> Result<Option<String>, Error> {
    let sql = "SELECT pool,digest,sealed FROM coupon WHERE shard=? AND tenant=? AND award=? AND state=1";
    let rows = tx.fetch(sql, &[&fixed(shard)[..], &[Value::Bytes(award)]].concat()).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let code = vault.open(row.bytes(2)?, &about(row.text(0)?, row.bytes(1)?))?;
    let code = String::from_utf8(code).map_err(|_| RecordsError::Corrupt("a coupon's code".to_owned()))?;
    Ok(Some(code))
}

/// Voids the code of an award that is taken back: its winner has seen it, so nobody else gets it.
pub(crate) async fn void(
    tx: &mut dyn Tx,
    shard: Shard,
    (pool, award): (&str, &[u8]),
) -> Result<(), RecordsError> {
    let update = "UPDATE coupon SET state=2 WHERE shard=? AND tenant=? AND award=? AND state=1";
    let voided = tx.exec(update, &[&fixed(shard)[..], &[Value::Bytes(award)]].concat()).await?;
    let update = "UPDATE coupon_pool SET given=given-1, void=void+1 WHERE shard=? AND tenant=? AND pool=?";
    let counted = tx.exec(update, &[&fixed(shard)[..], &[Value::Text(pool)]].concat()).await?;
    if (voided, counted) == (1, 1) { Ok(()) } else { Err(RecordsError::Surprise("coupon")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_line_by_line_or_refused_with_a_sentence() {
        let read = |text: &str| read_codes(text.as_bytes(), Written::Lines);
        let csv = |text: &str, header| read_codes(text.as_bytes(), Written::Csv { header });
        let codes = |codes: &[&str]| Ok(codes.iter().map(|code| (*code).to_owned()).collect());
        assert_eq!(read("A-1\n\r\n  B-2 \n"), codes(&["A-1", "B-2"]));
        assert_eq!(read("\"A,1\"\n\"\\u00e4\"\n"), codes(&["A,1", "\u{e4}"]));
        assert_eq!(read("A-1,9.99,EUR\nB-2"), codes(&["A-1,9.99,EUR", "B-2"]));
        assert_eq!(csv("A-1,9.99,EUR\nB-2", None), codes(&["A-1", "B-2"]));
        assert_eq!(csv("\"A,\"\"1\",x\n \"B\" \n", None), codes(&["A,\"1", "B"]));
        assert_eq!(csv("Code,price\nA-1,9\nCODE,9", None), codes(&["A-1", "CODE"]));
        assert_eq!(csv("\u{feff}number,price\nA-1,9", Some(true)), codes(&["A-1"]));
        assert_eq!(csv("code\nA-1", Some(false)), codes(&["code", "A-1"]));
        assert_eq!(csv("number\nA-1", None), codes(&["number", "A-1"]));
        for wrong in ["\"A", "\"A\"B,x", "code", ",x", "\"\",x"] {
            assert!(matches!(csv(wrong, None), Err(Error::BadCodes(_))), "{wrong}");
        }
        let many = (0..=CODES_MAX).map(|n| format!("{n}\n")).collect::<String>();
        let long = "x".repeat(CODE_CHARACTERS_MAX + 1);
        for wrong in ["", "\n\n", "A\nA", "\"A", "\"\"", "a\u{7}b", &long, &many] {
            assert!(matches!(read(wrong), Err(Error::BadCodes(_))), "{wrong:.20}");
        }
        assert!(read_codes(b"\xff", Written::Lines).is_err());
    }
}
