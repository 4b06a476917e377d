//! Entries of the journal: what was asked, and what it did. The bytes of an entry are all that is known of it; postings,
//! orders and balances follow from them.

use kernel::varint::{put, put_bytes, put_signed, take, take_bytes, take_signed};
use records::merkle::hash_fields;

use crate::account::AccountId;
use crate::order::{After, Line, OrderId, Receipt, Refusal};

/// What kind of order an entry came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An account was opened, or got another overdraft.
    Open,
    /// A transfer.
    Transfer,
    /// An amount was held.
    Hold,
    /// A hold was captured.
    Capture,
    /// A hold was released.
    Release,
    /// A hold's time was over.
    Expire,
    /// A transfer or capture was undone.
    Reverse,
    /// A lot became available.
    Mature,
    /// A lot expired.
    Lapse,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::Transfer,
        Self::Hold,
        Self::Capture,
        Self::Release,
        Self::Expire,
        Self::Reverse,
        Self::Mature,
        Self::Lapse,
    ];

    /// Its name in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Transfer => "transfer",
            Self::Hold => "hold",
            Self::Capture => "capture",
            Self::Release => "release",
            Self::Expire => "expire",
            Self::Reverse => "reverse",
            Self::Mature => "mature",
            Self::Lapse => "lapse",
        }
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the journal, from 1.
    pub seq: u64,
    /// The order that it came from.
    pub id: OrderId,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What kind of order.
    pub kind: Kind,
    /// Why it was refused, if it was: then the lines are what was asked, and did nothing.
    pub refused: Option<Refusal>,
    /// What the order was for.
    pub code: String,
    /// What it was about.
    pub reference: String,
    /// The hold that is captured, released or over; what is undone.
    pub subject: Option<OrderId>,
    /// Where a hold goes.
    pub to: Option<AccountId>,
    /// How much of a hold was to be captured, where that was said; of an account that is opened, its floor.
    pub asked: Option<i64>,
    /// From when on what was received may be spent.
    pub available_ms: Option<i64>,
    /// Until when; of a hold, when it is over.
    pub expires_ms: Option<i64>,
    /// What it did, account by account.
    pub lines: Vec<Line>,
}

/// The form of the bytes: another form has another number.
const FORM: u8 = 1;

fn put_maybe(bytes: &mut Vec<u8>, number: Option<i64>) {
    bytes.push(number.is_some().into());
    if let Some(number) = number {
        put_signed(bytes, number);
    }
}

fn take_flag(bytes: &mut &[u8]) -> Option<bool> {
    match take(bytes)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn take_maybe(bytes: &mut &[u8]) -> Option<Option<i64>> {
    if take_flag(bytes)? { take_signed(bytes).map(Some) } else { Some(None) }
}

fn take_16(bytes: &mut &[u8]) -> Option<[u8; 16]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(bytes)?.to_vec()).ok()
}

fn put_account(bytes: &mut Vec<u8>, account: AccountId) {
    put(bytes, account.bucket.into());
    bytes.extend_from_slice(&account.hash);
}

fn take_account(bytes: &mut &[u8]) -> Option<AccountId> {
    let bucket = u16::try_from(take(bytes)?).ok()?;
    Some(AccountId { bucket, hash: take_16(bytes)? })
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|known| known == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

impl Entry {
    /// The bytes that are kept beside its number, its id and its time.
    pub fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 40 * self.lines.len());
        self.put_body(&mut bytes);
        bytes
    }

    /// Adds those bytes to others.
    pub(crate) fn put_body(&self, bytes: &mut Vec<u8>) {
        bytes.push(FORM);
        bytes.push(place(&Kind::ALL, &self.kind));
        bytes.push(self.refused.map_or(0, |why| place(&Refusal::ALL, &why) + 1));
        put_bytes(bytes, self.code.as_bytes());
        put_bytes(bytes, self.reference.as_bytes());
        bytes.push(self.subject.is_some().into());
        bytes.extend(self.subject.iter().flat_map(|id| id.0));
        bytes.push(self.to.is_some().into());
        if let Some(to) = self.to {
            put_account(bytes, to);
        }
        for number in [self.asked, self.available_ms, self.expires_ms] {
            put_maybe(bytes, number);
        }
        put(bytes, self.lines.len() as u64);
        for line in &self.lines {
            put_account(bytes, line.account);
            put(bytes, line.after.seq);
            put(bytes, line.before);
            let After { balance, held, pending, floor, lots, seq: _, entry: _ } = line.after;
            bytes.push(lots.into());
            for number in [line.amount, line.held, line.pending, balance, held, pending, floor] {
                put_signed(bytes, number);
            }
        }
    }

    /// Reads what [`Entry::body`] wrote; `None` where it is no such thing.
    pub fn read((seq, id, at_ms): (u64, OrderId, i64), body: &[u8]) -> Option<Self> {
        let (form, mut rest) = body.split_first()?;
        if *form != FORM {
            return None;
        }
        let bytes = &mut rest;
        let kind = *Kind::ALL.get(usize::try_from(take(bytes)?).ok()?)?;
        let refused = match usize::try_from(take(bytes)?).ok()? {
            0 => None,
            why => Some(*Refusal::ALL.get(why - 1)?),
        };
        let (code, reference) = (take_text(bytes)?, take_text(bytes)?);
        let subject = if take_flag(bytes)? { Some(OrderId(take_16(bytes)?)) } else { None };
        let to = if take_flag(bytes)? { Some(take_account(bytes)?) } else { None };
        let (asked, available_ms, expires_ms) = (take_maybe(bytes)?, take_maybe(bytes)?, take_maybe(bytes)?);
        let count = usize::try_from(take(bytes)?).ok()?;
        let mut lines = vec![];
        for _ in 0..count {
            let (account, after_seq, before) = (take_account(bytes)?, take(bytes)?, take(bytes)?);
            let lots = take_flag(bytes)?;
            let mut numbers = [0; 7];
            for number in &mut numbers {
                *number = take_signed(bytes)?;
            }
            let [amount, more_held, more_pending, balance, held, pending, floor] = numbers;
            // A refused order has changed nothing, so its lines say how no account stands.
            let entry = if refused.is_none() { seq } else { 0 };
            let after = After { seq: after_seq, entry, balance, held, pending, floor, lots };
            lines.push(Line { account, before, amount, held: more_held, pending: more_pending, after });
        }
        bytes.is_empty().then_some(Self {
            seq,
            id,
            at_ms,
            kind,
            refused,
            code,
            reference,
            subject,
            to,
            asked,
            available_ms,
            expires_ms,
            lines,
        })
    }

    /// What a seal is taken over: SHA-256 of the number, the id, the time and the bytes, as a leaf of RFC 6962.
    pub fn digest((seq, id, at_ms): (u64, OrderId, i64), body: &[u8]) -> [u8; 32] {
        hash_fields(0, &[&seq.to_be_bytes(), &id.0, &at_ms.to_be_bytes(), body])
    }

    /// What its caller is told.
    pub fn receipt(&self) -> Receipt {
        Receipt { id: self.id, seq: self.seq, at_ms: self.at_ms, lines: self.lines.clone() }
    }

    /// The first field in which another order with the same id differs from the one that this entry came from.
    pub(crate) fn differs_from(&self, asked: &Self) -> Option<&'static str> {
        let accounts = |entry: &Self| entry.lines.iter().map(|line| line.account).collect::<Vec<_>>();
        let amounts =
            |entry: &Self| entry.lines.iter().map(|line| (line.amount, line.held)).collect::<Vec<_>>();
        // Lines of what moves a hold, undoes or settles follow from what is held or undone.
        let follows = !matches!(self.kind, Kind::Open | Kind::Transfer | Kind::Hold);
        if self.kind != asked.kind {
            Some("kind")
        } else if self.subject != asked.subject {
            Some(if self.kind == Kind::Reverse { "of" } else { "hold" })
        } else if !follows && accounts(self) != accounts(asked) {
            Some("account")
        } else if (!follows && amounts(self) != amounts(asked)) || self.asked != asked.asked {
            Some(if self.kind == Kind::Open { "overdraft" } else { "amount" })
        } else if self.to != asked.to {
            Some("to")
        } else if self.available_ms != asked.available_ms {
            Some("available_ms")
        } else if self.expires_ms != asked.expires_ms {
            Some("expires_ms")
        } else if self.code != asked.code {
            Some("code")
        } else if self.reference != asked.reference {
            Some("reference")
        } else {
            None
        }
    }
}
