//! Brings the entries of a batch into the form of their rows: bytes and digests, and keys in the order in which they are
//! written. Where the entries are many, a thread does so beside the one that decides and writes them, which is the only
//! one that the database has.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::mpsc::{IntoIter, Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use records::error::Error as RecordsError;
use records::merkle;

use crate::account::AccountId;
use crate::entry::Entry;
use crate::order::{After, OrderId};

/// Entries that are brought into form at once: as many as the largest statement takes.
pub(crate) const PART: usize = 256;

/// Orders in a batch from which a thread is worth starting: below, it would take longer than what it does.
const MANY: usize = 4 * PART;

/// Rows of the journal, ready to be bound.
#[derive(Default)]
pub(crate) struct Part {
    entries: Vec<Arc<Entry>>,
    /// Bodies, one after the other, and where each ends.
    bodies: Vec<u8>,
    ends: Vec<usize>,
    digests: Vec<[u8; 32]>,
}

impl Part {
    fn of(entries: Vec<Arc<Entry>>) -> Self {
        let mut part = Self::default();
        for entry in &entries {
            let begin = part.bodies.len();
            entry.put_body(&mut part.bodies);
            part.ends.push(part.bodies.len());
            part.digests.push(Entry::digest((entry.seq, entry.id, entry.at_ms), &part.bodies[begin..]));
        }
        Self { entries, ..part }
    }

    /// Each entry with its body and its digest.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Entry, &[u8], &[u8; 32])> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let bodies = begins.zip(&self.ends).map(|(begin, end)| &self.bodies[begin..*end]);
        self.entries
            .iter()
            .zip(bodies)
            .zip(&self.digests)
            .map(|((entry, body), digest)| (&**entry, body, digest))
    }
}

/// What follows from all entries of a batch.
pub(crate) struct Whole {
    /// The Merkle tree hash of their digests.
    pub(crate) root: [u8; 32],
    /// Which entry each order has become, in the order of the orders' ids.
    pub(crate) orders: Vec<(OrderId, u64)>,
    /// How accounts stand, in the order of their keys: neighbours share a page.
    pub(crate) stands: Vec<(AccountId, After)>,
}

/// Takes parts until there are no more, and hands each on. Ends early where nobody takes them.
fn write_down(given: &Receiver<Vec<Arc<Entry>>>, parts: &Sender<Part>) -> Whole {
    let (mut digests, mut orders, mut stands) = (vec![], vec![], vec![]);
    for entries in given {
        let part = Part::of(entries);
        digests.extend_from_slice(&part.digests);
        orders.extend(part.entries.iter().map(|entry| (entry.id, entry.seq)));
        let done = part.entries.iter().filter(|entry| entry.refused.is_none());
        stands.extend(done.flat_map(|entry| entry.lines.iter().map(|line| (line.account, line.after))));
        if parts.send(part).is_err() {
            break;
        }
    }
    orders.sort_unstable();
    // The last word of each.
    stands.sort_unstable_by_key(|(account, after): &(_, After)| (*account, Reverse(after.seq)));
    stands.dedup_by_key(|(account, _)| *account);
    Whole { root: merkle::root(&digests), orders, stands }
}

/// Who does it.
enum Hand {
    /// A thread, at once.
    Beside(JoinHandle<Whole>),
    /// The caller, when all entries are given.
    Own(Receiver<Vec<Arc<Entry>>>, Sender<Part>),
}

/// Takes entries, in their order, and gives back their rows.
pub(crate) struct Scribe {
    taken: usize,
    entries: Sender<Vec<Arc<Entry>>>,
    parts: Receiver<Part>,
    hand: Hand,
}

impl Scribe {
    /// One for a batch of so many orders.
    pub(crate) fn new(orders: usize) -> Self {
        let ((entries, given), (done, parts)) = (channel(), channel());
        if orders >= MANY {
            let write = move || write_down(&given, &done);
            if let Ok(thread) = Builder::new().name("ledger-scribe".to_owned()).spawn(write) {
                return Self { taken: 0, entries, parts, hand: Hand::Beside(thread) };
            }
            // There are too many threads already: it is done without.
            return Self::new(0);
        }
        Self { taken: 0, entries, parts, hand: Hand::Own(given, done) }
    }

    /// Takes the entries of a batch so far, without those that were taken before. What is less than a part waits for more: a
    /// part goes in one statement.
    pub(crate) fn take(&mut self, entries: &[Arc<Entry>]) {
        for part in entries[self.taken..].chunks_exact(PART) {
            self.hand_on(part);
        }
    }

    fn hand_on(&mut self, part: &[Arc<Entry>]) {
        // A thread that has died is found out where it is waited for.
        drop(self.entries.send(part.to_vec()));
        self.taken += part.len();
    }

    /// These are all entries of the batch: their rows, as they come, and what follows from all of them.
    pub(crate) fn end(mut self, entries: &[Arc<Entry>]) -> (IntoIter<Part>, Rest) {
        self.take(entries);
        if self.taken < entries.len() {
            self.hand_on(&entries[self.taken..]);
        }
        drop(self.entries);
        let rest = match self.hand {
            Hand::Beside(thread) => Rest::Awaited(thread),
            Hand::Own(given, done) => Rest::Known(write_down(&given, &done)),
        };
        (self.parts.into_iter(), rest)
    }
}

/// What follows from all entries, or who knows it.
pub(crate) enum Rest {
    Awaited(JoinHandle<Whole>),
    Known(Whole),
}

impl Rest {
    /// Waits for it.
    pub(crate) fn wait(self) -> Result<Whole, RecordsError> {
        match self {
            Self::Awaited(thread) => {
                thread.join().map_err(|_| RecordsError::Corrupt("the ledger's scribe panicked".to_owned()))
            }
            Self::Known(whole) => Ok(whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Kind;
    use crate::order::{Line, Refusal};

    /// An entry that changes two of seven accounts, or is refused.
    fn entry(seq: u64) -> Arc<Entry> {
        let id = OrderId::of(&[&seq.to_be_bytes()]);
        let line = |account: u64, amount: i64| {
            let hash = OrderId::of(&[&(account % 7).to_be_bytes()]).0;
            let after = After { seq, entry: seq, balance: amount * 100, ..After::default() };
            let account = AccountId { bucket: 3, hash };
            Line { account, before: seq - 1, amount, held: 0, pending: 0, after }
        };
        Arc::new(Entry {
            seq,
            id,
            at_ms: 1_000 + seq.cast_signed(),
            kind: Kind::Transfer,
            refused: seq.is_multiple_of(5).then_some(Refusal::InsufficientFunds),
            code: "gift".to_owned(),
            reference: format!("number {seq}"),
            subject: None,
            to: None,
            asked: None,
            available_ms: None,
            expires_ms: None,
            lines: vec![line(seq, -5), line(seq + 1, 5)],
        })
    }

    /// A row's number, body and digest.
    type Row = (u64, Vec<u8>, [u8; 32]);

    /// What a scribe makes of entries that are given in pieces.
    fn written(orders: usize, entries: &[Arc<Entry>]) -> (Vec<Row>, Whole) {
        let mut scribe = Scribe::new(orders);
        for end in (0..=entries.len()).step_by(100).chain([entries.len()]) {
            scribe.take(&entries[..end]);
        }
        let (parts, rest) = scribe.end(entries);
        let row = |(entry, body, digest): (&Entry, &[u8], &[u8; 32])| (entry.seq, body.to_vec(), *digest);
        let rows = parts.flat_map(|part| part.rows().map(row).collect::<Vec<_>>());
        (rows.collect(), rest.wait().expect("no panic"))
    }

    #[test]
    fn rows_are_those_of_their_entries_whoever_writes_them() {
        for count in [0, 1, 3 * PART as u64 + 50] {
            let entries: Vec<_> = (1..=count).map(entry).collect();
            let expected: Vec<_> = entries
                .iter()
                .map(|entry| {
                    let body = entry.body();
                    let digest = Entry::digest((entry.seq, entry.id, entry.at_ms), &body);
                    (entry.seq, body, digest)
                })
                .collect();
            for orders in [0, MANY] {
                let (rows, whole) = written(orders, &entries);
                assert_eq!(rows, expected);
                let digests: Vec<_> = expected.iter().map(|(_, _, digest)| *digest).collect();
                assert_eq!(whole.root, merkle::root(&digests));
                let mut orders: Vec<_> = entries.iter().map(|entry| (entry.id, entry.seq)).collect();
                orders.sort_unstable();
                assert_eq!(whole.orders, orders);
                assert!(whole.stands.is_sorted_by(|(one, _), (next, _)| one < next));
                let done = || entries.iter().filter(|entry| entry.refused.is_none());
                let lines = || done().flat_map(|entry| &entry.lines);
                for (account, after) in &whole.stands {
                    let last = lines().rfind(|line| line.account == *account);
                    assert_eq!(last.map(|line| line.after), Some(*after));
                }
                assert!(lines().all(|line| whole.stands.iter().any(|(account, _)| *account == line.account)));
            }
        }
    }

    /// A transaction that fails takes no more parts: the thread ends.
    #[test]
    fn a_scribe_whose_rows_nobody_takes_ends() {
        let entries: Vec<_> = (1..=5 * PART as u64).map(entry).collect();
        let mut scribe = Scribe::new(MANY);
        let (given, parts) = channel();
        drop(std::mem::replace(&mut scribe.parts, parts));
        drop(given);
        let (mut parts, rest) = scribe.end(&entries);
        assert!(parts.next().is_none());
        assert!(rest.wait().expect("no panic").orders.len() < entries.len());
    }
}
