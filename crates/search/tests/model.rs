//! What is found is what a look through everything finds, on each store.
#![expect(clippy::expect_used, reason = "a test speaks by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::mariadb::MariaRecords;
use cluster::scratch;
use embedded::sqlite::{Caches, SqliteRecords};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use records::migration;
use records::port::Records;
use search::activity::{Activity, Kind, Place, Who};
use search::error::Error;
use search::filter::Filter;
use search::page::LOOKED_MAX;
use search::projection::Projection;
use tempfile::TempDir;

static ROOMS: &[&migration::Room] = &[&search::tables::ROOM];

async fn open(records: Arc<dyn Records>) -> Projection {
    migration::run(&*records, ROOMS, 0).await.expect("tables");
    Projection::open(records).await.expect("a projection")
}

/// One on each store.
async fn each() -> (TempDir, Vec<Projection>) {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = SqliteRecords::open_named(folder.path(), "search", Caches::default()).expect("a file");
    let maria = MariaRecords::open(&scratch::shared().address()).expect("a database");
    (folder, vec![open(Arc::new(sqlite)).await, open(Arc::new(maria)).await])
}

/// Keeps some, as a writer does who has looked just before.
async fn keep(projection: &Projection, activities: &[Activity]) {
    let seen = projection.standing().await.expect("a standing").turn;
    projection.keep(seen, activities.to_vec(), None).await.expect("kept");
}

fn some(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

const PEOPLE: &[&str] = &["", "ada", "Ada", "bob", "bob ", "é"];
const THINGS: &[&str] = &["", "a", "b"];
const STATES: &[&str] = &["won", "done", "paid"];

/// Few instants, so that many share one.
fn activity() -> impl Strategy<Value = Activity> {
    let texts = (some(PEOPLE), some(THINGS), some(THINGS), some(THINGS), some(STATES));
    let numbers = (0..4_i64, 0..400_u32, prop::option::of(-3..4_i64), 0..Kind::ALL.len());
    (texts, numbers).prop_map(|((participant, raffle, campaign, prize, state), (at_ms, id, amount, kind))| {
        // The id settles when it was and what kind it is, as ids do.
        let (at_ms, kind) = (at_ms.max(i64::from(id % 4)), Kind::ALL[(kind + id as usize) % Kind::ALL.len()]);
        let unit = if amount.is_some() { "point" } else { "" }.to_owned();
        let known = Activity::new(kind, format!("{at_ms}/{id}"), at_ms);
        Activity { participant, raffle, campaign, prize, state, amount, unit, ..known }
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let maybe = |words| prop::option::weighted(0.2, some(words));
    let texts = (maybe(&["ada", "bob", "bob ", "é"]), maybe(&["a"]), maybe(&["b"]), maybe(&["a", "b"]));
    let words = (maybe(STATES), prop::option::weighted(0.2, 0..Kind::ALL.len()), any::<bool>());
    let bounds = (prop::option::weighted(0.3, 0..4_i64), prop::option::weighted(0.3, 0..5_i64));
    let amounts = (prop::option::weighted(0.2, -3..4_i64), prop::option::weighted(0.2, -3..4_i64));
    (texts, words, bounds, amounts).prop_map(
        |(texts, words, (from_ms, until_ms), (amount_min, amount_max))| {
            let (participant, raffle, campaign, prize) = texts;
            let (state, kind, has_unit) = words;
            let unit = (has_unit && amount_min.is_some()).then(|| "point".to_owned());
            let kind = kind.map(|kind| Kind::ALL[kind]);
            Filter {
                participant,
                kind,
                raffle,
                campaign,
                prize,
                state,
                unit,
                from_ms,
                until_ms,
                amount_min,
                amount_max,
            }
        },
    )
}

/// A look through everything, in words of its own.
fn looked_through(all: &BTreeMap<Place, Activity>, filter: &Filter) -> Vec<Activity> {
    let is = |asked: &Option<String>, text: &str| asked.iter().all(|asked| asked == text);
    let mut found: Vec<Activity> = all.values().cloned().collect();
    found.retain(|one| is(&filter.participant, &one.participant) && is(&filter.raffle, &one.raffle));
    found.retain(|one| is(&filter.campaign, &one.campaign) && is(&filter.prize, &one.prize));
    found.retain(|one| is(&filter.state, &one.state) && is(&filter.unit, &one.unit));
    found.retain(|one| filter.kind.iter().all(|kind| *kind == one.kind));
    found.retain(|one| filter.from_ms.iter().all(|from| one.at_ms >= *from));
    found.retain(|one| filter.until_ms.iter().all(|until| one.at_ms < *until));
    found.retain(|one| {
        filter.amount_min.iter().all(|least| one.amount.is_some_and(|amount| amount >= *least))
    });
    found.retain(|one| filter.amount_max.iter().all(|most| one.amount.is_some_and(|amount| amount <= *most)));
    found.reverse();
    found
}

/// All pages put together. Between two pages something newer comes.
async fn paged(projection: &Projection, filter: &Filter, limit: u32, newer: &[Activity]) -> Vec<Activity> {
    let (mut all, mut after, mut pages) = (vec![], None, 0);
    loop {
        let page = projection.page(filter.clone(), after, limit).await.expect("a page");
        assert!(page.activities.len() <= limit as usize);
        all.extend(page.activities);
        after = page.next;
        if after.is_none() {
            return all;
        }
        if pages < newer.len() {
            keep(projection, &newer[pages..=pages]).await;
        }
        pages += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_put_together_are_what_a_look_through_everything_finds() {
    let (_folder, projections) = each().await;
    let mut runner = TestRunner::deterministic();
    let mut draw =
        |count| prop::collection::vec(activity(), count).new_tree(&mut runner).expect("a tree").current();
    let (first, again) = (draw(300), draw(100));
    let mut filters = TestRunner::deterministic();
    for projection in &projections {
        let mut all = BTreeMap::new();
        for part in [&first, &again] {
            // Doubled and late: each replaces the one of its id.
            for one in part.chunks(64) {
                // An id stands once in a statement.
                let once: BTreeMap<Place, Activity> =
                    one.iter().map(|one| (one.place(), one.clone())).collect();
                let once: Vec<_> = once.into_values().collect();
                keep(projection, &once).await;
                keep(projection, &once).await;
                all.extend(once.into_iter().map(|one| (one.place(), one)));
            }
        }
        let newer: Vec<_> = (0..3).map(|n| Activity::new(Kind::Act, format!("new/{n}"), 9_000 + n)).collect();
        let mut asked = 0;
        while asked < 120 {
            let filter = filter().new_tree(&mut filters).expect("a tree").current();
            if filter.check().is_err() {
                continue;
            }
            asked += 1;
            let limit = [1, 7, 200][asked % 3];
            let found = paged(projection, &filter, limit, &newer).await;
            // What came meanwhile is newer than all of it, and may or may not be there.
            let found: Vec<_> = found.into_iter().filter(|one| one.at_ms < 9_000).collect();
            assert_eq!(found, looked_through(&all, &filter), "{filter:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_at_so_many_rows_and_says_where_to_go_on() {
    let (_folder, projections) = each().await;
    let rare = LOOKED_MAX as i64 + 700;
    let many: Vec<_> = (0..rare)
        .map(|at_ms| {
            let raffle = if at_ms == 3 { "rare" } else { "often" }.to_owned();
            Activity { raffle, ..Activity::new(Kind::Draw, format!("draw/{at_ms}"), at_ms) }
        })
        .collect();
    let filter = Filter { raffle: Some("rare".to_owned()), ..Filter::default() };
    for projection in &projections {
        for part in many.chunks(1024) {
            keep(projection, part).await;
        }
        let first = projection.page(filter.clone(), None, 5).await.expect("a page");
        assert_eq!(first.activities, []);
        let next = first.next.expect("more");
        assert_eq!(next.at_ms, rare - i64::from(LOOKED_MAX));
        let second = projection.page(filter.clone(), Some(next), 5).await.expect("a page");
        assert_eq!(second.activities.iter().map(|one| one.at_ms).collect::<Vec<_>>(), [3]);
        assert_eq!(second.next, None);
    }
}

/// Whoever read before somebody else wrote, or before somebody was forgotten, keeps nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_older_replaces_anything_newer_and_a_forgotten_name_does_not_come_back() {
    let (_folder, projections) = each().await;
    let of = |participant: &str, id: i64| Activity {
        participant: participant.to_owned(),
        ..Activity::new(Kind::Draw, format!("draw/{id}"), id)
    };
    for projection in &projections {
        let many: Vec<_> = (0..2_500).map(|id| of(if id % 2 == 0 { "ada" } else { "bob" }, id)).collect();
        for part in many.chunks(1000) {
            keep(projection, part).await;
        }
        let seen = projection.standing().await.expect("a standing").turn;
        assert_eq!(projection.forget(Who::named("ada")).await, Ok(1_250));
        let late = projection.keep(seen, vec![of("ada", 0)], Some(("draws/1".to_owned(), 9))).await;
        assert_eq!(late, Err(Error::Overtaken));
        assert_eq!(projection.standing().await.expect("a standing").cursors, BTreeMap::new());
        let found =
            |participant: &str| Filter { participant: Some(participant.to_owned()), ..Filter::default() };
        assert_eq!(projection.page(found("ada"), None, 1).await.expect("a page").activities, []);
        assert_eq!(projection.page(found("bob"), None, 200).await.expect("a page").activities.len(), 200);
        assert_eq!(projection.forget(Who::named("ada")).await, Ok(0), "again is no error");

        let seen = projection.standing().await.expect("a standing").turn;
        projection.keep(seen, vec![], Some(("draws/1".to_owned(), 9))).await.expect("kept");
        assert_eq!(projection.standing().await.expect("a standing").cursors["draws/1"], 9);
        // A process that ends while it clears leaves the rest to the next, which sees that something was left.
        let next = projection.clear_from(i64::MIN).await.expect("begun");
        let begun = projection.standing().await.expect("a standing");
        assert_eq!((next.is_some(), begun.is_clearing, begun.cursors), (true, true, BTreeMap::new()));
        projection.clear().await.expect("cleared");
        assert!(!projection.standing().await.expect("a standing").is_clearing);
        let nothing = projection.page(Filter::default(), None, 1).await.expect("a page");
        assert_eq!((nothing.activities, nothing.next), (vec![], None));
        assert_eq!(projection.standing().await.expect("a standing").cursors, BTreeMap::new());
    }
}

/// Whatever is told fits its row: one text that does not would hold up all that comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn every_text_is_cut_to_the_width_of_its_column() {
    let (_folder, projections) = each().await;
    for projection in &projections {
        let long = || "\u{e9}".repeat(700);
        let wide = Activity {
            participant: long(),
            raffle: long(),
            campaign: long(),
            prize: long(),
            state: long(),
            unit: long(),
            code: long(),
            reason: long(),
            note: long(),
            ..Activity::new(Kind::Order, "i".repeat(64), 1)
        };
        keep(projection, &[wide]).await;
        let page = projection.page(Filter::default(), None, 5).await.expect("a page");
        let [kept] = &page.activities[..] else { panic!("{page:?}") };
        let texts = [&kept.participant, &kept.raffle, &kept.campaign, &kept.prize, &kept.state, &kept.unit];
        assert_eq!(texts.map(|text| text.chars().count()), [128, 64, 64, 64, 32, 16]);
        let texts = [&kept.code, &kept.reason, &kept.note];
        assert_eq!(texts.map(|text| text.chars().count()), [64, 600, 600]);
    }
}
