//! What must hold of any ledger, one trial for each of the invariants that conformance suites of ledgers check (03 and
//! 13 stand in `ledger_tampered`), and histories of orders held against a model that is plain enough to be right.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use ledger::account::{Account, AccountId};
use ledger::entry::Entry;
use ledger::exchange::{Rate, Rounding};
use ledger::ledger::Ledger;
use ledger::order::{Order, Outcome, Refusal, What};
use records::batch::Limits;
use records::conformance::faulty::{Fate, Faulty};
use records::error::Error;
use records::port::{Row, read};
use tokio::task::JoinSet;
use trials::books::{Books, created, id, mint, points, refused, unit};
use trials::count;
use trials::profile::Profile;

/// Submits orders all at once, and answers what became of them in their order.
async fn at_once(ledger: &Ledger, orders: impl IntoIterator<Item = Order>) -> Vec<Outcome> {
    let mut tasks = JoinSet::new();
    for (place, order) in orders.into_iter().enumerate() {
        let ledger = ledger.clone();
        tasks.spawn(async move { (place, ledger.submit(order).await.expect("an outcome")) });
    }
    let outcomes: BTreeMap<_, _> = tasks.join_all().await.into_iter().collect();
    outcomes.into_values().collect()
}

fn pay(word: String, from: &Account, to: &Account, amount: i64) -> Order {
    Order::transfer(id(&word), (from, to), amount)
}

fn done(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Created(_))).count()
}

/// Every entry of the journal.
async fn entries(books: &Books) -> Vec<Entry> {
    let batches = books.ledger.sealed_from(1).await.expect("batches");
    batches.into_iter().flat_map(|(entries, _)| entries).collect()
}

/// What each account has, what of it is held, and what is pending.
type Stand = BTreeMap<AccountId, (i64, i64, i64)>;

/// How accounts stand by the journal: everything that entries say they moved, added up.
async fn added_up(books: &Books) -> Stand {
    let mut sums = Stand::new();
    for entry in entries(books).await.into_iter().filter(|entry| entry.refused.is_none()) {
        for line in entry.lines {
            let sum = sums.entry(line.account).or_default();
            *sum = (sum.0 + line.amount, sum.1 + line.held, sum.2 + line.pending);
        }
    }
    sums
}

/// How accounts stand by their rows.
async fn noted(books: &Books) -> Stand {
    let rows: Result<Vec<_>, Error> = read(&*books.records, Shard::HOME, |tx| {
        let sql = "SELECT bucket,account,balance,held,pending FROM ledger_balance WHERE tenant=1";
        Box::pin(async move { tx.fetch(sql, &[]).await })
    })
    .await;
    let stand = |row: &Row| {
        let bucket = u16::try_from(row.int(0)?).expect("a bucket");
        let id = AccountId { bucket, hash: row.array(1)? };
        Ok::<_, Error>((id, (row.int(2)?, row.int(3)?, row.int(4)?)))
    };
    rows.expect("rows").iter().map(|row| stand(row).expect("a row")).collect()
}

/// 08, 13: every row is what the journal adds up to, by the verification and without it.
async fn ends_well(books: Books) {
    let rows = noted(&books).await;
    assert!(!rows.is_empty());
    assert_eq!(rows, added_up(&books).await);
    assert_eq!(books.verified().await.failed, []);
    books.close().await;
}

/// 01: what leaves is what arrives, in each unit, in every entry. 11: units are never mixed.
async fn each_entry_is_balanced_in_each_unit(profile: Profile) {
    let books = Books::open(profile).await;
    let coins = Account::of("ada", &unit("coin"));
    let mixed = Order::transfer(id("mixed"), (&mint(), &coins), 5);
    assert!(books.ledger.submit(mixed).await.is_err(), "points do not become coins");
    created(books.send("one", &mint(), &points("ada"), 5).await);
    let rate = Rate::new(2, 1, Rounding::Down).expect("a rate");
    let exchange = Order::exchange(id("exchange"), &points("ada"), &unit("coin"), 3, rate);
    created(books.ledger.submit(exchange.expect("an order")).await.expect("an outcome"));
    let units: HashMap<_, _> = [("point", "ada"), ("coin", "ada")]
        .map(|(name, who)| Account::of(who, &unit(name)))
        .into_iter()
        .chain(["point", "coin"].map(|name| Account::house("exchange", &unit(name))))
        .chain([mint()])
        .map(|account| (account.id(Tenant::MAIN, Shard::HOME), account.unit))
        .collect();
    let mut legs = 0;
    for entry in entries(&books).await {
        let mut sums: HashMap<_, i64> = HashMap::new();
        for line in &entry.lines {
            *sums.entry(&units[&line.account]).or_default() += line.amount;
        }
        assert!(sums.values().all(|sum| *sum == 0), "{entry:?}");
        legs += entry.lines.len();
    }
    assert_eq!(legs, 1 + 2 + 4, "each was looked at");
    ends_well(books).await;
}

/// 02: the journal is only added to. 12: an undone entry and what undoes it both stay.
async fn the_journal_is_only_added_to(profile: Profile) {
    let books = Books::open(profile).await;
    created(books.send("one", &mint(), &points("ada"), 5).await);
    let before = entries(&books).await;
    created(books.order("undo", What::Reverse { of: id("one") }).await);
    assert_eq!(
        books.send("two", &points("ada"), &points("bob"), 5).await,
        refused(Refusal::InsufficientFunds)
    );
    let after = entries(&books).await;
    assert_eq!((after[..before.len()].to_vec(), after.len()), (before.clone(), before.len() + 2));
    ends_well(books).await;
}

/// 04, 15: a repeat changes nothing, and says what it repeats: also a repeat of what was refused.
async fn a_repeat_says_that_it_is_one(profile: Profile) {
    let books = Books::open(profile).await;
    let first = created(books.send("one", &mint(), &points("ada"), 5).await);
    assert_eq!(books.send("one", &mint(), &points("ada"), 5).await, Outcome::Exists(first));
    assert_eq!(
        books.send("two", &points("ada"), &points("bob"), 9).await,
        refused(Refusal::InsufficientFunds)
    );
    let again = Outcome::Refused { why: Refusal::InsufficientFunds, replayed: true };
    assert_eq!(books.send("two", &points("ada"), &points("bob"), 9).await, again);
    assert_eq!(books.has(&points("ada")).await.0, 5);
    ends_well(books).await;
}

/// 05: of 64 at once with one id, one is done. Others beside them are not disturbed.
async fn of_sixty_four_repeats_at_once_one_is_done(profile: Profile) {
    let books = Books::open(profile).await;
    let (mint, ada) = (mint(), points("ada"));
    for round in 0..count(5, 50) {
        let same = (0..64).map(|_| pay(format!("same {round}"), &mint, &ada, 5));
        let others = (0..64).map(|number| pay(format!("other {round} {number}"), &mint, &points("bob"), 1));
        let outcomes = at_once(&books.ledger, same.chain(others)).await;
        assert_eq!(done(&outcomes[..64]), 1);
        let repeats = outcomes[..64].iter().filter(|outcome| matches!(outcome, Outcome::Exists(_))).count();
        assert_eq!((repeats, done(&outcomes[64..])), (63, 64));
        // Repeats among new orders, in a later batch.
        let again = (0..64).map(|number| pay(format!("other {round} {number}"), &mint, &points("bob"), 1));
        let fresh = (0..64).map(|number| pay(format!("fresh {round} {number}"), &mint, &points("bob"), 1));
        let outcomes = at_once(&books.ledger, again.chain(fresh)).await;
        assert_eq!((done(&outcomes[..64]), done(&outcomes[64..])), (0, 64));
    }
    assert_eq!(books.has(&ada).await.0, 5 * i64::try_from(count(5, 50)).expect("a number"));
    ends_well(books).await;
}

/// 06: of 500 credits at once none is lost. 14: an account's postings are numbered without gaps, each after the one before.
async fn of_five_hundred_credits_at_once_none_is_lost(profile: Profile) {
    let books = Books::open(profile).await;
    let (mint, ada) = (mint(), points("ada"));
    let orders = (0..500).map(|number| pay(format!("credit {number}"), &mint, &ada, 1 + number % 7));
    let outcomes = at_once(&books.ledger, orders).await;
    let sum: i64 = (0..500).map(|number| 1 + number % 7).sum();
    assert_eq!((done(&outcomes), books.has(&ada).await.0), (500, sum));
    let (mut posted, mut before) = (vec![], None);
    loop {
        let page = books.ledger.statement(&ada, before, 70).await.expect("a statement");
        let Some(last) = page.last() else { break };
        before = Some(last.entry.seq);
        posted.extend(page);
    }
    posted.reverse();
    let (mut balance, mut entry) = (0, 0);
    for (place, posted) in posted.iter().enumerate() {
        balance += posted.line.amount;
        assert_eq!((posted.line.after.seq, posted.line.after.balance), (place as u64 + 1, balance));
        assert!(posted.entry.seq > entry, "an earlier posting stands in a later entry");
        entry = posted.entry.seq;
    }
    assert_eq!((posted.len(), balance), (500, sum));
    ends_well(books).await;
}

/// 07: 400 transfers among 8 accounts lose and make nothing, and are done but where funds are short. 08: a balance is what the
/// journal adds up to.
async fn transfers_among_a_few_conserve(profile: Profile) {
    let books = Books::open(profile).await;
    let people: Vec<Account> = (0..8).map(|number| points(&format!("p{number}"))).collect();
    for (number, person) in people.iter().enumerate() {
        created(books.send(&format!("fund {number}"), &mint(), person, 100).await);
    }
    let orders = (0..400usize).map(|number| {
        let (from, to) = (number % 8, (number * 5 + 3) % 8);
        let to = if from == to { (to + 1) % 8 } else { to };
        pay(
            format!("move {number}"),
            &people[from],
            &people[to],
            1 + i64::try_from(number % 40).expect("small"),
        )
    });
    let before = entries(&books).await.len();
    let outcomes = at_once(&books.ledger, orders).await;
    // None leaves more than 40, so each person must have paid twice before one is refused.
    assert!(done(&outcomes) >= 16);
    let short = refused(Refusal::InsufficientFunds);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Created(_)) || *outcome == short));
    // In the order in which they were done, exactly those are refused for which funds were short.
    let mut funds: HashMap<_, i64> =
        people.iter().map(|person| (person.id(Tenant::MAIN, Shard::HOME), 100)).collect();
    let moves = entries(&books).await.split_off(before);
    for entry in &moves {
        let [from, to] = [0, 1].map(|place| &entry.lines[place]);
        let is_short = funds[&from.account] < -from.amount;
        assert_eq!(entry.refused, is_short.then_some(Refusal::InsufficientFunds), "{entry:?}");
        for line in entry.lines.iter().filter(|_| !is_short) {
            *funds.entry(line.account).or_default() += line.amount;
        }
        assert_eq!(from.amount, -to.amount);
    }
    assert_eq!(moves.len(), 400);
    let mut sum = 0;
    for person in &people {
        let balance = books.has(person).await.0;
        assert!(balance >= 0);
        sum += balance;
    }
    assert_eq!((sum, books.has(&mint()).await.0), (800, -800));
    ends_well(books).await;
}

/// 09: of 20 debits with funds for 14 and a rest, 14 are done, and the rest is left. 10: a thousand moves of one are a thousand.
async fn funds_for_fourteen_pay_fourteen_and_a_thousand_ones_are_a_thousand(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob) = (points("ada"), points("bob"));
    created(books.send("ada", &mint(), &ada, 1_000).await);
    let outcomes =
        at_once(&books.ledger, (0..20).map(|number| pay(format!("a {number}"), &ada, &bob, 70))).await;
    assert_eq!((done(&outcomes), books.has(&ada).await.0), (14, 20));
    created(books.send("bob", &mint(), &bob, 20).await);
    let outcomes =
        at_once(&books.ledger, (0..1000).map(|number| pay(format!("b {number}"), &bob, &ada, 1))).await;
    assert_eq!((done(&outcomes), books.has(&ada).await.0, books.has(&bob).await.0), (1000, 1020, 0));
    ends_well(books).await;
}

/// A batch that was rolled back when all of it was done leaves nothing, neither in the records nor in what the ledger
/// remembers of them. Whoever ordered it is not told that it was done; ordered again it is, as the next entry.
async fn a_commit_that_is_lost_leaves_nothing(profile: Profile) {
    let books = Books::open(profile).await;
    let (ada, bob, cleo) = (points("ada"), points("bob"), points("cleo"));
    created(books.send("one", &mint(), &ada, 9).await);
    let faulty = Faulty::new(Arc::clone(&books.records), vec![Fate::Kept, Fate::Lost, Fate::Kept]);
    let clock = Arc::clone(&books.clock) as Arc<dyn Clock>;
    let (ledger, driver) = Ledger::open(Arc::new(faulty), clock, Limits::default());
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    let submit = async |word: &str, to, amount| ledger.submit(pay(word.to_owned(), &ada, to, amount)).await;
    created(submit("two", &bob, 2).await.expect("an outcome"));
    let (journal, rows) = (entries(&books).await, noted(&books).await);
    let told = submit("three", &cleo, 7).await;
    assert!(matches!(told, Err(ledger::error::Error::Records(Error::Unavailable(_)))), "{told:?}");
    assert_eq!((entries(&books).await, noted(&books).await), (journal.clone(), rows));
    assert_eq!(ledger.find(id("three")).await, Ok(None));
    let receipt = created(submit("three", &cleo, 7).await.expect("an outcome"));
    assert_eq!(receipt.seq, journal.len() as u64 + 1);
    let left = [&ada, &bob, &cleo].map(|account| account.id(Tenant::MAIN, Shard::HOME));
    let stand = noted(&books).await;
    assert_eq!(left.map(|account| stand[&account].0), [0, 2, 7]);
    ledger.close();
    drivers.join_all().await;
    ends_well(books).await;
}

/// A number that follows from another: the histories are chosen by it.
fn mixed(seed: u64, step: u64) -> u64 {
    kernel::id::fingerprint(&[seed.to_be_bytes(), step.to_be_bytes()].concat())
}

/// A ledger of four people, as simple as can be.
#[derive(Default)]
struct Model {
    balances: HashMap<usize, i64>,
    held: HashMap<usize, i64>,
    /// Open holds: whose, how much, until when.
    holds: BTreeMap<String, (usize, i64, i64)>,
    transfers: BTreeMap<String, (usize, usize, i64)>,
}

impl Model {
    fn free(&self, who: usize) -> i64 {
        self.balances.get(&who).unwrap_or(&0) - self.held.get(&who).unwrap_or(&0)
    }

    fn expire(&mut self, now_ms: i64) {
        let over: Vec<String> =
            self.holds.iter().filter(|(_, hold)| hold.2 <= now_ms).map(|(word, _)| word.clone()).collect();
        for word in over {
            self.release(&word);
        }
    }

    fn release(&mut self, word: &str) -> Option<(usize, i64)> {
        let (who, amount, _) = self.holds.remove(word)?;
        *self.held.entry(who).or_default() -= amount;
        Some((who, amount))
    }

    fn pay(&mut self, from: usize, to: usize, amount: i64) -> bool {
        if self.free(from) < amount {
            return false;
        }
        *self.balances.entry(from).or_default() -= amount;
        *self.balances.entry(to).or_default() += amount;
        true
    }
}

/// Histories of transfers, holds, captures, releases, reversals and time that passes, each step held against the model.
async fn histories_are_those_of_the_model(profile: Profile) {
    for seed in 0..count(20, 300) as u64 {
        let books = Books::open(profile).await;
        let people: Vec<Account> = (0..4).map(|number| points(&format!("p{number}"))).collect();
        let (mut model, mut now_ms) = (Model::default(), trials::NOON_MS);
        for (number, person) in people.iter().enumerate() {
            created(books.send(&format!("fund {number}"), &mint(), person, 50).await);
            model.balances.insert(number, 50);
        }
        for step in 0..60u64 {
            let dice = mixed(seed, step);
            let pick = |shift: u32, of: u64| usize::try_from((dice >> shift) % of).expect("small");
            let (from, amount) = (pick(8, 4), 1 + i64::try_from(pick(16, 40)).expect("small"));
            let to = (from + 1 + pick(24, 3)) % 4;
            let word = format!("step {step}");
            model.expire(now_ms);
            let hold = model.holds.keys().nth(pick(32, 3)).cloned();
            let transfer = model.transfers.keys().nth(pick(32, 5)).cloned();
            let (what, may) = match (dice % 6, hold, transfer) {
                (0, ..) => {
                    now_ms += i64::try_from(pick(40, 2_000)).expect("small");
                    books.pass(now_ms - kernel::ports::clock::Clock::now_ms(&*books.clock));
                    continue;
                }
                (1, ..) => {
                    let may = model.free(from) >= amount;
                    let expires_ms = now_ms + 1 + i64::try_from(pick(40, 3_000)).expect("small");
                    if may {
                        *model.held.entry(from).or_default() += amount;
                        model.holds.insert(word.clone(), (from, amount, expires_ms));
                    }
                    let (from, to) = (people[from].clone(), people[to].clone());
                    (What::Hold { from, to, amount, expires_ms }, may)
                }
                (2, Some(hold), _) => {
                    let entry = books.ledger.find(id(&hold)).await.expect("records").expect("a hold");
                    let (who, held, _) = model.holds[&hold];
                    let may = amount <= held;
                    if may {
                        model.release(&hold);
                        let to = people
                            .iter()
                            .position(|person| Some(person.id(Tenant::MAIN, Shard::HOME)) == entry.to);
                        assert!(model.pay(who, to.expect("one of the people"), amount));
                    }
                    (What::Capture { hold: id(&hold), amount: Some(amount) }, may)
                }
                (3, Some(hold), _) => {
                    let may = model.release(&hold).is_some();
                    (What::Release { hold: id(&hold) }, may)
                }
                (4, _, Some(transfer)) => {
                    let (from, to, amount) = model.transfers[&transfer];
                    let may = model.pay(to, from, amount);
                    if may {
                        model.transfers.remove(&transfer);
                    }
                    (What::Reverse { of: id(&transfer) }, may)
                }
                _ => {
                    let may = model.pay(from, to, amount);
                    if may {
                        model.transfers.insert(word.clone(), (from, to, amount));
                    }
                    let order = pay(word.clone(), &people[from], &people[to], amount);
                    (order.what, may)
                }
            };
            let outcome = books.order(&word, what.clone()).await;
            let is_done = matches!(outcome, Outcome::Created(_));
            assert_eq!(is_done, may, "seed {seed}, step {step}: {what:?} became {outcome:?}");
            let known = match outcome {
                Outcome::Created(receipt) => Outcome::Exists(receipt),
                Outcome::Refused { why, replayed: false } => Outcome::Refused { why, replayed: true },
                other @ (Outcome::Exists(_)
                | Outcome::ExistsWithDifferent(_)
                | Outcome::Refused { .. }
                | Outcome::Nothing) => other,
            };
            assert_eq!(books.order(&word, what).await, known, "seed {seed}, step {step}");
        }
        books.ledger.settle_due().await.expect("settled");
        model.expire(now_ms);
        for (number, person) in people.iter().enumerate() {
            let (balance, held, _) = books.has(person).await;
            let expected = (model.balances[&number], *model.held.get(&number).unwrap_or(&0));
            assert_eq!((balance, held), expected, "seed {seed}: p{number}");
        }
        ends_well(books).await;
    }
}

trials::in_each_profile!(
    each_entry_is_balanced_in_each_unit,
    the_journal_is_only_added_to,
    a_repeat_says_that_it_is_one,
    of_sixty_four_repeats_at_once_one_is_done,
    of_five_hundred_credits_at_once_none_is_lost,
    transfers_among_a_few_conserve,
    funds_for_fourteen_pay_fourteen_and_a_thousand_ones_are_a_thousand,
    a_commit_that_is_lost_leaves_nothing,
    histories_are_those_of_the_model,
);
