//! What is found stays true whatever the ledger is told, when a message was given up, and when a copy is put back.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use campaign::award::{AWARD_MOVED, machine_id};
use kernel::id::Shard;
use ledger::account::{Account, Overdraft};
use ledger::order::{Leg, Order, Outcome, Terms, What};
use records::error::Error;
use records::port::{Value, write};
use search::activity::{Activity, Kind};
use search::filter::Filter;
use trials::books::{id, points, unit};
use trials::profile::Profile;
use trials::{NOON_MS, Trial, in_each_profile};

async fn order(trial: &Trial, word: &str, what: What) {
    let order = Order { id: id(word), code: "gift".to_owned(), reference: String::new(), what };
    let outcome = trial.house.ledger.submit(order).await.expect("an outcome");
    assert!(matches!(outcome, Outcome::Created(_)), "{outcome:?}");
}

async fn give(trial: &Trial, word: &str, from: &Account, amount: i64, terms: Terms) {
    let legs = vec![Leg { account: from.clone(), amount: -amount }, Leg { account: points("ada"), amount }];
    order(trial, word, What::Transfer { legs, terms }).await;
}

async fn open(trial: &Trial, name: &str) -> Account {
    let account = Account::house(name, &unit("point"));
    let overdraft = Overdraft::Unlimited;
    order(trial, &format!("open {name}"), What::Open { account: account.clone(), overdraft }).await;
    account
}

/// Everything, once everything is read.
async fn all(trial: &Trial) -> Vec<Activity> {
    trial.settle().await;
    trial.house.chronicle.read_everything().await.expect("all of it is read");
    let page = trial.house.chronicle.projection().page(Filter::default(), None, 200).await.expect("a page");
    assert_eq!(page.next, None);
    page.activities
}

/// How new what is searched is, once it is at least as new as some instant. A round that began before may end only now.
async fn as_of(trial: &Trial, at_least_ms: i64) -> i64 {
    let there = async {
        loop {
            let as_of_ms = trial.house.chronicle.as_of_ms();
            if let Some(as_of_ms) = as_of_ms.filter(|as_of_ms| *as_of_ms >= at_least_ms) {
                return as_of_ms;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), there).await.expect("it is as new")
}

async fn cursor(trial: &Trial, source: &str) -> u64 {
    trial.house.chronicle.projection().standing().await.expect("a standing").cursors[source]
}

/// The house may name its accounts as it likes: one that is named like a campaign's and is none holds nothing up.
async fn a_long_name_of_the_house_holds_up_nothing(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    for (word, house) in [
        ("long", format!("campaign-{}", "x".repeat(100))),
        ("odd", "campaign-\u{e9}t\u{e9}".to_owned()),
        ("fine", "campaign-summer".to_owned()),
    ] {
        let from = open(&trial, &house).await;
        give(&trial, word, &from, 5, Terms::default()).await;
    }
    let campaigns: Vec<_> = all(&trial).await.into_iter().map(|one| (one.campaign, one.amount)).collect();
    let expected = ["summer", "", ""].map(|campaign| (campaign.to_owned(), Some(5)));
    assert_eq!(campaigns, expected);
    trial.house.close().await;
}

/// What comes later is told when it comes, and once more when it may be spent: it comes once.
async fn what_is_pending_comes_once(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let mint = open(&trial, "mint").await;
    let later = Terms { available_ms: Some(NOON_MS + 1000), ..Terms::default() };
    give(&trial, "pending", &mint, 7, later).await;
    trial.clock.set(NOON_MS + 2000);
    give(&trial, "plain", &mint, 1, Terms::default()).await;
    let mut told: Vec<_> = all(&trial).await;
    told.sort_by(|one, other| one.id.cmp(&other.id));
    let states: Vec<_> = told.iter().map(|one| (one.kind, one.state.as_str(), one.amount)).collect();
    let expected = [
        (Kind::Transfer, "done", Some(7)),
        (Kind::Hold, "available", None),
        (Kind::Transfer, "done", Some(1)),
    ];
    assert_eq!(states, expected);
    assert_eq!(told[0].reason, "Came as `gift`. It is pending until its time has come.");
    assert_eq!((told[1].code.as_str(), told[1].unit.as_str()), ("mature", "point"));
    assert_eq!(told[1].reason, "What was pending became available: 7 point.");
    assert_eq!(told[2].reason, "Came as `gift`.");
    trial.house.close().await;
}

/// A projection that has read more than there is was made from other records: nothing of it is left, and nothing is missed.
async fn what_is_ahead_of_the_records_is_made_anew(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let mint = open(&trial, "mint").await;
    give(&trial, "one", &mint, 5, Terms::default()).await;
    let before = all(&trial).await;
    assert_eq!(before.len(), 1);
    let last = cursor(&trial, "journal").await;
    // As if it had followed until later, and the records were put back from a copy.
    let projection = trial.house.chronicle.projection();
    for n in 0..3_i64 {
        let phantoms = (0..900).map(|at_ms| {
            let id = format!("ledger/{:012}/00", 1_000 * (n + 1) + at_ms);
            Activity { participant: "ada".to_owned(), ..Activity::new(Kind::Transfer, id, at_ms) }
        });
        let seen = projection.standing().await.expect("a standing").turn;
        let cursor = Some(("journal".to_owned(), last + 100));
        projection.keep(seen, phantoms.collect(), cursor).await.expect("kept");
    }
    let trial = trial.reopen().await;
    // Entries that the cursor would have passed over.
    let mint = Account::house("mint", &unit("point"));
    give(&trial, "two", &mint, 6, Terms::default()).await;
    let after = all(&trial).await;
    let amounts: Vec<_> = after.iter().map(|one| one.amount).collect();
    assert_eq!(amounts, [Some(6), Some(5)]);
    assert_eq!(after[1], before[0]);
    assert_eq!(cursor(&trial, "journal").await, last + 1);
    // Another start finds nothing to clear.
    let trial = trial.reopen().await;
    assert_eq!(cursor(&trial, "journal").await, last + 1);
    assert_eq!(all(&trial).await, after);
    trial.house.close().await;
}

/// What the chronicle never heard is told as it was, and no answer says otherwise; a start tells it again.
async fn what_was_given_up_is_owed_and_sent_again(profile: Profile) {
    const PENS: &str = "raffle: pens\ntitle: R\ntime_zone: UTC\ndenominator: 1\nprizes:\n  - {id: pen, title: A pen, weight: 1, stock: unlimited}\n";
    let trial = Trial::open_on(profile).await;
    trial.publish(PENS, "p").await.expect("published");
    let draw = trial.draw("pens", "ada", "1").await.expect("a draw").draw.id;
    let before = all(&trial).await;
    assert_eq!(before.iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::Draw, Kind::Award]);
    // As if it had been told before it moved, and the news that it has were given up.
    let projection = trial.house.chronicle.projection();
    let seen = projection.standing().await.expect("a standing").turn;
    let stale = Activity { state: "stale".to_owned(), ..before[1].clone() };
    projection.keep(seen, vec![stale], None).await.expect("kept");
    let posted: Result<u64, Error> = write(&*trial.house.records(), Shard::HOME, move |tx| {
        Box::pin(async move {
            let body = machine_id(draw.raffle, draw.seq);
            let sql = "INSERT INTO outbox_aside
                (shard,topic,subject,seq,order_key,n,body,dead,attempts,due_ms,fault,at_ms)
                VALUES (?,?,?,?,?,?,?,?,?,?,?,?)";
            let values = [
                Value::Int(Shard::HOME.0.into()),
                Value::Text(AWARD_MOVED),
                Value::Int(draw.raffle.into()),
                Value::Int(1 << 40),
                Value::Bytes(&body),
                Value::Int(9),
                Value::Bytes(&body),
                Value::Int(1),
                Value::Int(20),
                Value::Int(0),
                Value::Text("nobody heard it"),
                Value::Int(NOON_MS + 5),
            ];
            tx.exec(sql, &values).await
        })
    })
    .await;
    assert_eq!(posted, Ok(1));
    trial.clock.set(NOON_MS + 10_000);
    assert_eq!(all(&trial).await[1].state, "stale");
    assert_eq!(as_of(&trial, NOON_MS + 1).await, NOON_MS + 5);
    let trial = trial.reopen().await;
    let heard = async {
        while trial.house.raffles.backlog().await.expect("a backlog") != (0, 0, 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), heard).await.expect("the letter is heard");
    assert_eq!(all(&trial).await, before);
    assert_eq!(as_of(&trial, NOON_MS + 6).await, NOON_MS + 10_000);
    trial.house.close().await;
}

in_each_profile!(
    a_long_name_of_the_house_holds_up_nothing,
    what_is_pending_comes_once,
    what_is_ahead_of_the_records_is_made_anew,
    what_was_given_up_is_owed_and_sent_again,
);
