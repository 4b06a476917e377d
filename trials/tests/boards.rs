//! Boards of switches: what one process sets, the others follow, however busy they are; and of two who set at once one does.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use embedded::clock::{ManualClock, Stopwatch, SystemClock};
use fairground::rooms::ROOMS;
use fairground::switches::table::{DRAWS, MODE, Mode};
use fairground::switches::{Board, Error, Order, Said, Whose};
use kernel::id::{Bucket, Shard};
use kernel::ports::clock::Clock;
use records::error::Error as RecordsError;
use records::follow::LOOK_MS;
use records::migration;
use records::port::{Records, Work, read};
use records::setting::{Error as SettingError, STANDING_MAX};
use tokio::task::JoinSet;
use trials::profile::Profile;
use trials::{NOON_MS, Trial, in_each_profile};

/// Records whose reads fail while they are told to.
struct Flaky {
    inner: Arc<dyn Records>,
    fails: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Records for Flaky {
    fn shards(&self) -> Vec<Shard> {
        self.inner.shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.inner.shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), RecordsError> {
        self.inner.write(shard, work).await
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), RecordsError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(RecordsError::Unavailable("the cable is out".to_owned()));
        }
        self.inner.read(shard, work).await
    }
}

fn order(switch: &str, said: Option<Said>, version: u64) -> Order {
    let (switch, reason) = (switch.to_owned(), "a trial".to_owned());
    Order { switch, whose: Whose::All, said, until_ms: None, version, reason }
}

async fn what_one_process_sets_the_others_follow_within_a_second(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let clock = Arc::new(ManualClock::at(NOON_MS));
    let board = async |records: Arc<dyn Records>| {
        Board::open(records, Arc::clone(&clock) as Arc<_>).await.expect("a board")
    };
    // SQLite lets one process open a store, so here the processes are boards over the same records.
    let flaky = Arc::new(Flaky { inner: trial.house.records(), fails: false.into() });
    let (here, there) = (board(trial.house.records()).await, board(Arc::clone(&flaky) as Arc<_>).await);
    let is_off = |board: &Board| board.seen().what.expect_on(DRAWS, NOON_MS).is_err();

    let set = here.set(order(DRAWS, Some(Said::On(false)), 0), trials::cause()).await.expect("it is set");
    assert!(is_off(&here) && !is_off(&there), "a process that has not looked does not know");
    assert!(there.look().await.expect("a look") && is_off(&there));
    assert!(!there.look().await.expect("a look"), "nothing is read twice");
    // The house follows by itself.
    let watch = Stopwatch::start();
    while !is_off(&trial.house.switches) {
        assert!(watch.elapsed() < Duration::from_secs(30), "it does not follow");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // One that cannot read goes on as it did, and says so.
    flaky.fails.store(true, Ordering::SeqCst);
    here.set(order(DRAWS, None, set.version), trials::cause()).await.expect("it is taken back");
    clock.set(NOON_MS + 5_000);
    assert!(there.look().await.is_err());
    let standing = there.standing();
    assert!(is_off(&there) && standing.fault.is_some() && standing.looked_ms == NOON_MS);
    flaky.fails.store(false, Ordering::SeqCst);
    assert!(there.look().await.expect("a look") && !is_off(&there));
    assert_eq!((there.standing().fault, there.standing().looked_ms), (None, NOON_MS + 5_000));
}

/// However many read, a change is seen within the second that is promised.
async fn a_flood_of_reads_keeps_no_process_from_seeing_a_change(profile: Profile) {
    let place = profile.place();
    let records = place.open();
    migration::run(&*records, ROOMS, 0).await.expect("tables");
    let clock = Arc::new(SystemClock::default());
    let (here, there) = (
        Board::open(Arc::clone(&records), Arc::clone(&clock) as Arc<_>).await.expect("a board"),
        Board::open(Arc::clone(&records), Arc::clone(&clock) as Arc<_>).await.expect("a board"),
    );
    // A hundred callers whose reads take a while, again and again: a read that waits its turn waits for seconds.
    let (mut crowd, waited) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..100 {
        let (records, waited) = (Arc::clone(&records), Arc::clone(&waited));
        crowd.spawn(async move {
            loop {
                let watch = Stopwatch::start();
                let slow: Result<(), RecordsError> = read(&*records, Shard::HOME, |tx| {
                    Box::pin(async move {
                        let watch = Stopwatch::start();
                        while watch.elapsed() < Duration::from_millis(100) {
                            tx.fetch("SELECT name FROM revision WHERE shard=0", &[]).await?;
                        }
                        Ok(())
                    })
                })
                .await;
                slow.expect("a read");
                waited.fetch_max(
                    usize::try_from(watch.elapsed().as_millis()).expect("a while"),
                    Ordering::SeqCst,
                );
            }
        });
    }
    while waited.load(Ordering::SeqCst) < 1_500 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut version = 0;
    for n in 0..4 {
        let is_off = n % 2 == 0;
        let watch = Stopwatch::start();
        let said = is_off.then_some(Said::On(false));
        version = here.set(order(DRAWS, said, version), trials::cause()).await.expect("it is set").version;
        if !is_off {
            version = 0;
        }
        let set = watch.elapsed();
        // As the house follows.
        while there.seen().what.expect_on(DRAWS, clock.now_ms()).is_err() != is_off {
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            there.look().await.expect("a look");
        }
        let seen = watch.elapsed();
        assert!(seen < Duration::from_secs(1), "change {n} took {seen:?}, {set:?} of them to be set");
    }
    crowd.shutdown().await;
}

async fn of_two_who_change_a_switch_at_once_one_is_told_so(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let board = Arc::clone(&trial.house.switches);
        crowd.spawn(async move {
            board.set(order(MODE, Some(Said::Mode(Mode::Reduced)), 0), trials::cause()).await
        });
    }
    let outcomes = crowd.join_all().await;
    let set: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(set.len(), 1);
    let told = |error: &Error| *error == Error::Setting(SettingError::Changed(set[0].version));
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(told));
    assert_eq!(trial.house.switches.changes(MODE, 0, 10).await.expect("changes").len(), 1);
}

/// What tells a setting tells its version also when its time is over: both that and 0 are what was seen.
async fn a_setting_whose_time_is_over_is_changed_by_what_is_told_of_it(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let board = &trial.house.switches;
    let until = |version, until_ms| Order { until_ms, ..order(DRAWS, Some(Said::On(false)), version) };
    let mut now_ms = NOON_MS;
    let mut over = board.set(until(0, Some(now_ms + 1_000)), trials::cause()).await.expect("it is set");
    for by_version in [true, false] {
        let changed = Err(Error::Setting(SettingError::Changed(over.version)));
        assert_eq!(board.set(until(0, None), trials::cause()).await, changed, "it stands");
        now_ms += 1_000;
        trial.clock.set(now_ms);
        let told = &board.all().await.expect("all")[0];
        assert_eq!(told.version, over.version);
        let wrong = board.set(until(over.version + 7, None), trials::cause()).await;
        assert_eq!(wrong, changed, "nobody has seen that");
        let version = if by_version { told.version } else { 0 };
        let next = board.set(until(version, Some(now_ms + 1_000)), trials::cause()).await;
        over = next.expect("it is what was seen");
    }
    let taken = Order { said: None, ..until(over.version, None) };
    trial.clock.set(now_ms + 1_000);
    board.set(taken, trials::cause()).await.expect("what is over is taken back too");
    assert!(board.all().await.expect("all").is_empty());
}

async fn so_many_stand_at_once_and_those_whose_time_is_over_make_room(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let board = &trial.house.switches;
    let block = |n: u64, until_ms| Order {
        whose: Whose::Participant(format!("{n:032x}")),
        until_ms,
        ..order("limit.participant_draws_per_second", Some(Said::Units(0)), 0)
    };
    for n in 0..STANDING_MAX {
        board.set(block(n, (n == 0).then_some(NOON_MS + 1_000)), trials::cause()).await.expect("it is set");
    }
    let beyond = board.set(block(STANDING_MAX, None), trials::cause()).await;
    assert_eq!(beyond, Err(Error::Setting(SettingError::TooMany)));
    trial.clock.set(NOON_MS + 1_000);
    board.set(block(STANDING_MAX, None), trials::cause()).await.expect("there is room");
    assert_eq!(board.all().await.expect("all").len() as u64, STANDING_MAX);
}

in_each_profile!(
    a_flood_of_reads_keeps_no_process_from_seeing_a_change,
    what_one_process_sets_the_others_follow_within_a_second,
    of_two_who_change_a_switch_at_once_one_is_told_so,
    a_setting_whose_time_is_over_is_changed_by_what_is_told_of_it,
    so_many_stand_at_once_and_those_whose_time_is_over_make_room,
);
