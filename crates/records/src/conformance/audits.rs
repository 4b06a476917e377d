//! The audit log: numbers without gaps, seals, and whatever somebody changed behind its back.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a check speaks by panicking"
)]

use std::sync::Arc;

use kernel::id::Shard;
use tokio::task::JoinSet;

use crate::audit::{self, Actor, Cause, Change, ENTRIES_MAX, Filter, Report, Stream};
use crate::error::Error;
use crate::port::{InTx, Records, Tx, Value, read, write};

const TENANT: u32 = 1;

fn stream() -> Stream {
    Stream::changes(Shard::HOME, TENANT)
}

fn note(tx: &mut dyn Tx, number: i64) -> InTx<'_, u64, Error> {
    Box::pin(async move {
        let cause = Cause { actor: Actor::house(), key: format!("key-{number}"), body_hash: Some([7; 32]) };
        let change = Change {
            at_ms: number,
            action: if number % 100 == 0 { "freeze" } else { "restock" },
            subject: format!("raffle/{}", number % 3),
            detail: "x".repeat(600),
        };
        audit::append(tx, &stream(), &cause, change).await
    })
}

/// Writes entries one after the other in one transaction.
async fn fill(records: &Arc<dyn Records>, entries: i64) {
    let filled: Result<(), Error> = write(&**records, Shard::HOME, move |tx| {
        Box::pin(async move {
            for number in 1..=entries {
                note(tx, number).await?;
            }
            Ok(())
        })
    })
    .await;
    filled.expect("entries");
}

async fn report(records: &Arc<dyn Records>) -> Report {
    audit::verify_all(&**records).await.expect("a report")
}

/// Writers side by side, some of whom change their mind: what is kept is numbered from 1 on, and a reader who goes from
/// page to page sees each entry once.
pub async fn a_stream_has_no_gaps_and_its_pages_miss_nothing(records: Arc<dyn Records>) {
    let mut crowd = JoinSet::new();
    for number in 1..=60 {
        let records = Arc::clone(&records);
        crowd.spawn(async move {
            let noted: Result<u64, Error> = write(&*records, Shard::HOME, move |tx| {
                Box::pin(async move {
                    let seq = note(tx, number).await?;
                    if number % 3 == 0 { Err(Error::RolledBack) } else { Ok(seq) }
                })
            })
            .await;
            noted.ok()
        });
    }
    let mut seqs: Vec<u64> = crowd.join_all().await.into_iter().flatten().collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=40).collect::<Vec<_>>());

    for (filter, expected) in [
        (Filter::default(), 40),
        (Filter { action: Some("restock".to_owned()), subject: None }, 40),
        (Filter { action: None, subject: Some("raffle/1".to_owned()) }, 20),
        (Filter { action: None, subject: Some("raffle/0".to_owned()) }, 0),
    ] {
        let (mut place, mut found) = (Some((String::new(), 0)), Vec::new());
        while let Some(after) = place {
            let filter = filter.clone();
            let page: Result<audit::Page, Error> = read(&*records, Shard::HOME, move |tx| {
                Box::pin(async move { audit::page(tx, (Shard::HOME, TENANT), &after, &filter, 7).await })
            })
            .await;
            let (entries, next) = page.expect("a page");
            found.extend(entries.into_iter().map(|(_, entry)| entry.seq));
            place = next;
        }
        assert_eq!(found.len(), expected, "{filter:?}");
        assert!(found.is_sorted_by(|one, other| one < other));
    }
    assert_eq!(report(&records).await, Report { entries: 40, sealed: 0, failed: vec![] });
    assert_eq!(audit::seal(&*records, 1).await, Ok(1));
    assert_eq!(audit::seal(&*records, 2).await, Ok(0), "nothing was added since");
    assert_eq!(report(&records).await, Report { entries: 40, sealed: 40, failed: vec![] });
}

/// Whoever comes first makes the row that numbers a stream; whoever comes at the same moment waits for it.
pub async fn a_stream_begins_once(records: Arc<dyn Records>) {
    for tenant in 2..12 {
        let mut crowd = JoinSet::new();
        for number in 1..=8 {
            let records = Arc::clone(&records);
            crowd.spawn(async move {
                let noted: Result<u64, Error> = write(&*records, Shard::HOME, move |tx| {
                    Box::pin(async move {
                        let cause = Cause { actor: Actor::house(), key: String::new(), body_hash: None };
                        let subject = number.to_string();
                        let change = Change { at_ms: 0, action: "begin", subject, detail: String::new() };
                        audit::append(tx, &Stream::changes(Shard::HOME, tenant), &cause, change).await
                    })
                })
                .await;
                noted.expect("an entry")
            });
        }
        let mut seqs = crowd.join_all().await;
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=8).collect::<Vec<_>>());
    }
}

/// Either what an attempt at tampering was answered, undone again, or what the records said.
enum Told {
    Report(Report),
    Records(Error),
}

impl From<Error> for Told {
    fn from(error: Error) -> Self {
        Self::Records(error)
    }
}

/// Runs statements, verifies, and keeps nothing of it.
async fn tampered(records: &Arc<dyn Records>, statements: &'static [&'static str]) -> Report {
    let told: Result<(), Told> = write(&**records, Shard::HOME, move |tx| {
        Box::pin(async move {
            for sql in statements {
                assert!(tx.exec(sql, &[]).await? > 0, "{sql} changed nothing");
            }
            Err(Told::Report(audit::verify(tx, &stream()).await?))
        })
    })
    .await;
    match told {
        Err(Told::Report(report)) => report,
        Err(Told::Records(error)) => panic!("{statements:?}: {error}"),
        Ok(()) => panic!("an Err is an Err"),
    }
}

/// Two full seals, one of 12 entries, and 3 entries that are not sealed: each kind of row, altered, dropped, exchanged or
/// put in.
pub async fn whatever_is_tampered_with_is_named(records: Arc<dyn Records>) {
    let full = i64::try_from(ENTRIES_MAX).expect("a batch");
    fill(&records, 2 * full + 12).await;
    assert_eq!(audit::seal(&*records, 5).await, Ok(3));
    fill(&records, 3).await;
    let (sealed, entries) = (2 * ENTRIES_MAX + 12, 2 * ENTRIES_MAX + 15);
    assert_eq!(report(&records).await, Report { entries, sealed, failed: vec![] });

    let cases: &[(&[&str], &str, &str)] = &[
        (&["UPDATE audit_entry SET detail='y' WHERE seq=1"], "changes/1", "not what was written"),
        (&["UPDATE audit_entry SET at_ms=at_ms+1 WHERE seq=1500"], "changes/1500", "not what was written"),
        (&["UPDATE audit_entry SET actor='eve' WHERE seq=2063"], "changes/2063", "not what was written"),
        (&["UPDATE audit_entry SET role='admin' WHERE seq=7"], "changes/7", "not what was written"),
        (&["UPDATE audit_entry SET action='thaw' WHERE seq=7"], "changes/7", "not what was written"),
        (&["UPDATE audit_entry SET subject='' WHERE seq=7"], "changes/7", "not what was written"),
        (&["UPDATE audit_entry SET request_key='k' WHERE seq=7"], "changes/7", "not what was written"),
        (&["UPDATE audit_entry SET body_hash=digest WHERE seq=7"], "changes/7", "not what was written"),
        (&["UPDATE audit_entry SET digest=body_hash WHERE seq=7"], "changes/7", "not what was written"),
        (
            &[
                "DELETE FROM audit_entry WHERE seq=9",
                "INSERT INTO audit_entry SELECT shard,tenant,stream,9,at_ms,actor,role,action,subject,request_key,
                 body_hash,detail,digest FROM audit_entry WHERE seq=10",
            ],
            "changes/9",
            "not what was written",
        ),
        (&["DELETE FROM audit_entry WHERE seq=1"], "changes/1", "missing"),
        (&["DELETE FROM audit_entry WHERE seq=1030"], "changes/1030", "missing"),
        (&["DELETE FROM audit_entry WHERE seq=2060"], "changes/2060", "missing"),
        (&["DELETE FROM audit_entry WHERE seq=2063"], "changes/2063", "missing"),
        (&["DELETE FROM audit_entry WHERE seq>100"], "changes/101", "missing"),
        (
            &[
                "UPDATE audit_entry SET seq=-1 WHERE seq=20",
                "UPDATE audit_entry SET seq=20 WHERE seq=21",
                "UPDATE audit_entry SET seq=21 WHERE seq=-1",
            ],
            "changes/20",
            "not what was written",
        ),
        (&["UPDATE audit_entry SET seq=0 WHERE seq=20"], "changes/0", "inserted"),
        (&["UPDATE audit_entry SET stream='other' WHERE seq=20"], "changes/20", "missing"),
        (
            &["INSERT INTO audit_entry SELECT shard,tenant,stream,2064,at_ms,actor,role,action,subject,request_key,
               body_hash,detail,digest FROM audit_entry WHERE seq=2063"],
            "changes/2064",
            "inserted",
        ),
        (&["UPDATE audit_head SET seq=seq-1"], "changes/2063", "inserted"),
        (&["UPDATE audit_head SET seq=seq+1"], "changes/2064", "missing"),
        (&["UPDATE audit_head SET batch=batch-1"], "changes/head", "does not name the last seal"),
        (&["UPDATE audit_head SET sealed_seq=sealed_seq-1"], "changes/head", "does not name the last seal"),
        (&["DELETE FROM audit_head"], "changes/head", "does not name the last seal"),
        (&["DELETE FROM audit_seal WHERE batch=1"], "changes/seal/1", "missing"),
        (&["DELETE FROM audit_seal WHERE batch=3"], "changes/seal/3", "missing"),
        (&["DELETE FROM audit_seal"], "changes/seal/1", "missing"),
        (&["UPDATE audit_seal SET root=previous WHERE batch=2"], "changes/seal/2", "not what was written"),
        (&["UPDATE audit_seal SET at_ms=6 WHERE batch=1"], "changes/seal/1", "not what was written"),
        (&["UPDATE audit_seal SET last_seq=1023 WHERE batch=1"], "changes/seal/1", "not what was written"),
        (&["UPDATE audit_seal SET seal_hash=root WHERE batch=3"], "changes/seal/3", "not what was written"),
        (&["UPDATE audit_seal SET batch=-1 WHERE batch=2"], "changes/seal/1", "cannot be read"),
        (
            &[
                "DELETE FROM audit_seal WHERE batch=2",
                "INSERT INTO audit_seal SELECT shard,tenant,stream,2,first_seq,last_seq,previous,root,seal_hash,at_ms
                 FROM audit_seal WHERE batch=1",
            ],
            "changes/seal/2",
            "not what was written",
        ),
    ];
    for (statements, id, reason) in cases {
        let failed = tampered(&records, statements).await.failed;
        let [failure] = &failed[..] else { panic!("{statements:?} was not noticed") };
        assert_eq!(failure.id, *id, "{statements:?}");
        assert!(failure.reason.contains(reason), "{statements:?}: {}", failure.reason);
    }
    assert_eq!(report(&records).await, Report { entries, sealed, failed: vec![] });
}

/// Whoever knows how digests and seals are made can forge one, and meets the next.
pub async fn forged_digests_meet_their_seal_and_forged_seals_the_next(records: Arc<dyn Records>) {
    for sealed_ms in 1..=2 {
        fill(&records, 3).await;
        assert_eq!(audit::seal(&*records, sealed_ms).await, Ok(1));
    }
    let forged: Result<(), Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let home = (Shard::HOME, TENANT);
            let (entries, _) = audit::page(tx, home, &(String::new(), 1), &Filter::default(), 1).await?;
            let (_, entry) = entries.into_iter().next().expect("an entry");
            let entry = audit::Entry { actor: "eve".to_owned(), ..entry };
            let digest = entry.digest(&stream());
            let values = [Value::Text(&entry.actor), Value::Bytes(&digest), Value::count(entry.seq)];
            tx.exec("UPDATE audit_entry SET actor=?, digest=? WHERE seq=?", &values).await?;
            Ok(())
        })
    })
    .await;
    assert_eq!(forged, Ok(()));
    let failed = report(&records).await.failed;
    assert_eq!(failed.first().map(|failure| failure.id.as_str()), Some("changes/seal/1"), "{failed:?}");

    let forged: Result<(), Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let home = (Shard::HOME, TENANT);
            let (entries, _) = audit::page(tx, home, &(String::new(), 0), &Filter::default(), 3).await?;
            let leaves: Vec<_> = entries.iter().map(|(_, entry)| entry.digest(&stream())).collect();
            let seals = audit::seals_after(tx, home, &(String::new(), 0), 1).await?;
            let (_, mut seal) = seals.into_iter().next().expect("a seal");
            seal.root = crate::merkle::root(&leaves);
            seal.hash = seal.computed(&stream());
            let values = [Value::Bytes(&seal.root), Value::Bytes(&seal.hash)];
            tx.exec("UPDATE audit_seal SET root=?, seal_hash=? WHERE batch=1", &values).await?;
            Ok(())
        })
    })
    .await;
    assert_eq!(forged, Ok(()));
    let failed = report(&records).await.failed;
    assert_eq!(failed.first().map(|failure| failure.id.as_str()), Some("changes/seal/2"), "{failed:?}");
    assert!(failed.iter().all(|failure| failure.reason.contains("does not follow")), "{failed:?}");
}

/// A seal over an altered entry would make it look right.
pub async fn what_was_tampered_with_is_not_sealed(records: Arc<dyn Records>) {
    fill(&records, 3).await;
    let altered: Result<u64, Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move { tx.exec("UPDATE audit_entry SET actor='eve' WHERE seq=2", &[]).await })
    })
    .await;
    assert_eq!(altered, Ok(1));
    let told = audit::seal(&*records, 1).await.expect_err("no seal").to_string();
    assert!(told.contains("changes/2"), "{told}");
    assert_eq!(report(&records).await.sealed, 0);
}
