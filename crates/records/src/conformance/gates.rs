//! Gates and segments.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a check speaks by panicking")]

use std::sync::Arc;

use kernel::id::Shard;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::gate::{Gate, GateKey, Segment};
use crate::port::{Records, write};

const KEY: GateKey = GateKey { shard: Shard::HOME, tenant: 1, subject: 7 };

async fn open(records: &Arc<dyn Records>, units: u64) {
    write(&**records, Shard::HOME, move |tx| {
        Box::pin(async move {
            Gate::new(KEY).create(tx).await?;
            Segment::add(tx, KEY, "mug", units).await
        })
    })
    .await
    .expect("open");
}

/// The gate's sequence is its guard.
pub async fn a_gate_that_moved_is_a_surprise(records: Arc<dyn Records>) {
    open(&records, 1).await;
    let outcome: Result<(), Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            let mut first = Gate::lock(tx, KEY).await?.expect("gate");
            let mut second = first.clone();
            first.seq += 1;
            first.log = [9; 32];
            first.save(tx).await?;
            assert_eq!(Gate::peek(tx, KEY).await?.map(|gate| (gate.seq, gate.log)), Some((1, [9; 32])));
            second.seq += 1;
            second.save(tx).await
        })
    })
    .await;
    assert_eq!(outcome, Err(Error::Surprise("gate")));
}

/// Never below zero, under any concurrency; a restock after sell-out grants exactly the restock.
pub async fn a_segment_never_grants_what_it_lacks(records: Arc<dyn Records>) {
    open(&records, 50).await;
    let hammer = async |times: usize| {
        let mut crowd = JoinSet::new();
        for _ in 0..times {
            let records = Arc::clone(&records);
            crowd.spawn(async move {
                let grant = write(&*records, Shard::HOME, |tx| Box::pin(Segment::grant(tx, KEY, "mug", 1)));
                let granted: Result<(), Error> = grant.await;
                granted.is_ok()
            });
        }
        crowd.join_all().await.into_iter().filter(|granted| *granted).count()
    };
    assert_eq!(hammer(80).await, 50);
    let restock: Result<(), Error> =
        write(&*records, Shard::HOME, |tx| Box::pin(Segment::add(tx, KEY, "mug", 5))).await;
    restock.expect("restock");
    assert_eq!(hammer(20).await, 5);

    let segments: Result<Vec<Segment>, Error> = write(&*records, Shard::HOME, |tx| {
        Box::pin(async move {
            Segment::add(tx, KEY, "mug", 3).await?;
            Segment::set_frozen(tx, KEY, "mug", true).await?;
            Segment::all(tx, KEY).await
        })
    })
    .await;
    let expected = Segment { item: "mug".to_owned(), granted: 55, free: 3, frozen: true };
    assert_eq!(segments, Ok(vec![expected]));
    assert_eq!(hammer(3).await, 0, "a frozen segment granted");
}
