//! Whoever changes the ledger's rows behind its back is found, and the row is named.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use kernel::hex::hex;
use kernel::id::{Shard, Tenant};
use ledger::account::{Account, AccountId, Overdraft};
use ledger::entry::Entry;
use ledger::exchange::{Rate, Rounding};
use ledger::order::{Line, Order, Terms, What};
use ledger::verify::Failure;
use records::error::Error;
use records::merkle::{self, hash_fields};
use trials::books::{Books, created, id, mint, points, unit};
use trials::profile::Profile;

/// 03: each seal is chained to the one before. 13: balances can be made again from the journal alone. Whoever changes one row
/// is found, and the row is named.
async fn one_row_that_was_changed_is_named(profile: Profile) {
    let books = Books::open(profile).await;
    let pot = books.house("pot", Overdraft::Forbidden).await;
    created(books.send("one", &mint(), &points("ada"), 50).await);
    created(books.send("two", &points("ada"), &points("bob"), 20).await);
    let expires_ms = trials::NOON_MS + 1_000;
    let hold = What::Hold { from: points("bob"), to: pot, amount: 3, expires_ms };
    created(books.order("hold", hold).await);
    created(books.send("gift", &points("ada"), &points("bob"), 1).await);
    created(books.order("undo", What::Reverse { of: id("gift") }).await);
    let lasting = Terms { expires_ms: Some(expires_ms), ..Terms::default() };
    created(books.grant("lot", "cleo", 10, lasting).await);
    created(books.send("use", &points("cleo"), &points("bob"), 4).await);
    let hold = What::Hold { from: points("ada"), to: mint(), amount: 2, expires_ms: expires_ms + 1 };
    created(books.order("second", hold).await);
    created(books.order("release", What::Release { hold: id("second") }).await);
    assert_eq!(books.verified().await.failed, []);
    let wrong = |id: &str, reason: &str| Failure { id: id.to_owned(), reason: reason.to_owned() };
    let key = |account: &Account| account.id(Tenant::MAIN, Shard::HOME).to_string();
    let (ada, cleo, mint) = (key(&points("ada")), key(&points("cleo")), key(&mint()));
    let (two, hold, second) = (id("two"), format!("hold/{}", id("hold")), format!("hold/{}", id("second")));
    let (lot, used) = (format!("lot/{cleo}/1"), format!("use/{cleo}/9/1"));
    let written = "it is not what was written";
    let otherwise = "it is not what the journal makes of it";
    let behind = "its name is not the one behind its key";
    let alone = "it is not among those of whose it is";
    // The whole report: nothing is named but what was changed.
    for (table, change, back, named) in [
        (
            "ledger_entry",
            "at_ms=at_ms+1 WHERE seq=4",
            "at_ms=at_ms-1 WHERE seq=4",
            vec![wrong("entry/4", written), wrong("seal/4", "its entries are not those that it sealed")],
        ),
        (
            "ledger_seal",
            "last_seq=last_seq+1 WHERE batch=3",
            "last_seq=last_seq-1 WHERE batch=3",
            vec![wrong("seal/3", written)],
        ),
        (
            "ledger_balance",
            "balance=balance+1 WHERE bucket=745",
            "balance=balance-1 WHERE bucket=745",
            vec![wrong(&format!("balance/{ada}"), otherwise)],
        ),
        (
            "ledger_hold",
            "amount=amount+1 WHERE state=0",
            "amount=amount-1 WHERE state=0",
            vec![wrong(&hold, otherwise)],
        ),
        (
            "ledger_hold",
            "to_bucket=745 WHERE state=0",
            "to_bucket=1024 WHERE state=0",
            vec![wrong(&hold, otherwise)],
        ),
        (
            "ledger_hold",
            "expires_ms=expires_ms+1 WHERE state=0",
            "expires_ms=expires_ms-1 WHERE state=0",
            vec![wrong(&hold, otherwise)],
        ),
        ("ledger_hold", "state=1 WHERE state=2", "state=2 WHERE state=1", vec![wrong(&second, otherwise)]),
        (
            "ledger_hold",
            "tenant=2 WHERE state=2",
            "tenant=1 WHERE state=2",
            vec![wrong(&second, "it is missing")],
        ),
        ("ledger_lot", "free=free+1", "free=free-1", vec![wrong(&lot, otherwise)]),
        ("ledger_lot", "amount=amount+1", "amount=amount-1", vec![wrong(&lot, otherwise)]),
        ("ledger_lot", "lapsed=lapsed+1", "lapsed=lapsed-1", vec![wrong(&lot, otherwise)]),
        ("ledger_lot", "expires_ms=expires_ms+1", "expires_ms=expires_ms-1", vec![wrong(&lot, otherwise)]),
        ("ledger_lot", "pending=1", "pending=0", vec![wrong(&lot, otherwise)]),
        ("ledger_lot", "spent=1", "spent=0", vec![wrong(&lot, otherwise)]),
        ("ledger_lot_use", "amount=amount+1", "amount=amount-1", vec![wrong(&used, otherwise)]),
        ("ledger_lot_use", "tenant=2", "tenant=1", vec![wrong(&used, "it is missing")]),
        (
            "ledger_order",
            "seq=seq+1000 WHERE seq=4",
            "seq=seq-1000 WHERE seq=1004",
            vec![wrong(&format!("order/{two}"), "it does not lead to its entry")],
        ),
        (
            "ledger_account",
            "owner='eve' WHERE owner='ada'",
            "owner='ada' WHERE owner='eve'",
            vec![wrong(&format!("account/{ada}"), behind)],
        ),
        (
            "ledger_account",
            "kind='participant', owner='' WHERE owner='mint'",
            "kind='house', owner='mint' WHERE owner=''",
            vec![wrong(&format!("account/{mint}"), behind)],
        ),
        (
            "ledger_account",
            "tenant=2 WHERE owner='ada'",
            "tenant=1 WHERE owner='ada'",
            vec![
                wrong(&format!("wallet/{ada}"), "there is no such account"),
                wrong(&format!("account/{ada}"), "it has no name"),
            ],
        ),
        (
            "ledger_wallet",
            "owner=x'00' WHERE bucket=745",
            "owner=x'a2b0bb3c7b56d320a8cf05f8f666f93f' WHERE bucket=745",
            vec![wrong(&format!("wallet/{ada}"), alone)],
        ),
        (
            "ledger_wallet",
            "tenant=2 WHERE bucket=745",
            "tenant=1 WHERE bucket=745",
            vec![wrong(&format!("wallet/{ada}"), alone)],
        ),
        ("ledger_head", "seq=seq+1", "seq=seq-1", vec![wrong("head", "it does not name the last seal")]),
        (
            "ledger_reversal",
            "undone=undone+1000",
            "undone=undone-1000",
            vec![
                wrong("reversal/1006", "the journal does not know it"),
                wrong("reversal/6", "it is missing"),
            ],
        ),
        ("ledger_reversal", "seq=seq+1", "seq=seq-1", vec![wrong("reversal/6", otherwise)]),
    ] {
        assert_eq!(books.tamper(&format!("UPDATE {table} SET {change}")).await, 1, "{change}");
        assert_eq!(books.verified().await.failed, named, "{table}: {change}");
        books.tamper(&format!("UPDATE {table} SET {back}")).await;
        assert_eq!(books.verified().await.failed, [], "{back}");
    }
    // What nothing wakes would never expire.
    assert_eq!(books.tamper(&format!("DELETE FROM ledger_due WHERE due_ms={expires_ms}")).await, 2);
    let unnoted = format!("what is due at {expires_ms} is not noted");
    let bob = key(&points("bob"));
    let named = vec![wrong(&format!("due/{bob}"), &unnoted), wrong(&format!("due/{cleo}"), &unnoted)];
    fails(&books, named).await;
    books.close().await;
}

/// 13: whoever writes an entry anew with its digest is found by the seal, and whoever takes one away by its number.
async fn an_entry_that_was_written_anew_is_found(profile: Profile) {
    let books = Books::open(profile).await;
    for word in ["one", "two", "three"] {
        created(books.send(word, &mint(), &points("ada"), 5).await);
    }
    let mut entry = books.ledger.find(id("two")).await.expect("records").expect("an entry");
    entry.reference = "another".to_owned();
    let digest = Entry::digest((entry.seq, entry.id, entry.at_ms), &entry.body());
    let (body, digest, seq) = (hex(&entry.body()), hex(&digest), entry.seq);
    let change = format!("UPDATE ledger_entry SET body=x'{body}', digest=x'{digest}' WHERE seq={seq}");
    assert_eq!(books.tamper(&change).await, 1);
    let wrong = |id: &str, reason: &str| Failure { id: id.to_owned(), reason: reason.to_owned() };
    let seal = wrong(&format!("seal/{seq}"), "its entries are not those that it sealed");
    assert_eq!(books.verified().await.failed, [seal]);
    assert_eq!(books.tamper(&format!("DELETE FROM ledger_entry WHERE seq={seq}")).await, 1);
    assert!(books.verified().await.failed.contains(&wrong(&format!("entry/{seq}"), "it is missing")));
    books.close().await;
}

/// Writes an entry anew with its digest and its seal, as whoever may write to the records could; where it is the last one,
/// also that the journal ends with it. It must be alone under its seal.
async fn write_anew(books: &Books, entry: &Entry) {
    let batches = books.ledger.sealed_from(entry.seq).await.expect("batches");
    let seal = &batches.first().expect("a batch").1;
    assert_eq!((seal.first_seq, seal.last_seq), (entry.seq, entry.seq));
    let (body, key) = (entry.body(), books.ledger.journal());
    let digest = Entry::digest((entry.seq, entry.id, entry.at_ms), &body);
    let root = merkle::root(&[digest]);
    let fields: [&[u8]; 7] = [
        &key.shard.0.to_be_bytes(),
        &key.tenant.to_be_bytes(),
        &seal.batch.to_be_bytes(),
        &seal.first_seq.to_be_bytes(),
        &seal.last_seq.to_be_bytes(),
        &seal.previous,
        &root,
    ];
    let (batch, hash) = (seal.batch, hex(&hash_fields(2, &fields)));
    let (body, digest, root) = (hex(&body), hex(&digest), hex(&root));
    for change in [
        format!("ledger_entry SET body=x'{body}', digest=x'{digest}' WHERE seq={}", entry.seq),
        format!("ledger_seal SET root=x'{root}', seal_hash=x'{hash}' WHERE batch={batch}"),
        format!("ledger_head SET seal_hash=x'{hash}' WHERE batch={batch}"),
    ] {
        books.tamper(&format!("UPDATE {change}")).await;
    }
}

/// The verification finds these, in any order, and nothing else.
async fn fails(books: &Books, mut named: Vec<Failure>) {
    let mut found = books.verified().await.failed;
    found.sort();
    named.sort();
    assert_eq!(found, named);
}

/// Changes the row of how an account stands.
async fn restate(books: &Books, account: AccountId, change: &str) {
    let AccountId { bucket, hash } = account;
    let hash = hex(&hash);
    let sql = format!("UPDATE ledger_balance SET {change} WHERE bucket={bucket} AND account=x'{hash}'");
    assert_eq!(books.tamper(&sql).await, 1, "{change}");
}

async fn entry(books: &Books, word: &str) -> Entry {
    books.ledger.find(id(word)).await.expect("records").expect("an entry")
}

fn key(account: &Account) -> AccountId {
    account.id(Tenant::MAIN, Shard::HOME)
}

fn line_of(entry: &mut Entry, account: AccountId) -> &mut Line {
    entry.lines.iter_mut().find(|line| line.account == account).expect("a line")
}

/// 03: whoever writes an entry anew with its digest and its seal is found by the seal after it.
async fn an_entry_with_a_seal_of_its_own_breaks_the_chain(profile: Profile) {
    let books = Books::open(profile).await;
    for word in ["one", "two", "three"] {
        created(books.send(word, &mint(), &points("ada"), 5).await);
    }
    let written = entry(&books, "two").await;
    write_anew(&books, &written).await;
    assert_eq!(books.verified().await.failed, [], "it is written as it was");
    write_anew(&books, &Entry { reference: "another".to_owned(), ..written }).await;
    let reason = "it does not follow the seal before it".to_owned();
    assert_eq!(books.verified().await.failed, [Failure { id: "seal/4".to_owned(), reason }]);
    books.close().await;
}

/// 01, 11: an entry by which something comes from nowhere is named, whatever is written to agree with it, and also where one
/// unit makes up for another.
async fn an_entry_that_is_not_balanced_is_named(profile: Profile) {
    let books = Books::open(profile).await;
    created(books.send("one", &mint(), &points("ada"), 5).await);
    let rate = Rate::new(2, 1, Rounding::Down).expect("a rate");
    let exchange = Order::exchange(id("exchange"), &points("ada"), &unit("coin"), 3, rate);
    created(books.ledger.submit(exchange.expect("an order")).await.expect("an outcome"));
    let written = entry(&books, "exchange").await;
    let (ada, coins) = (key(&points("ada")), key(&Account::of("ada", &unit("coin"))));
    let reason = "what leaves is not what arrives".to_owned();
    let named = [Failure { id: format!("entry/{}", written.seq), reason }];
    for more in [vec![(ada, 1)], vec![(coins, 1)], vec![(ada, 1), (coins, -1)]] {
        let mut changed = written.clone();
        for (account, more) in &more {
            let line = line_of(&mut changed, *account);
            line.amount += more;
            line.after.balance += more;
            restate(&books, *account, &format!("balance=balance+({more})")).await;
        }
        write_anew(&books, &changed).await;
        assert_eq!(books.verified().await.failed, named, "{more:?}");
        for (account, more) in &more {
            restate(&books, *account, &format!("balance=balance-({more})")).await;
        }
        write_anew(&books, &written).await;
        assert_eq!(books.verified().await.failed, []);
    }
    books.close().await;
}

/// What is done to a line, what it is called, and why it is found.
type Tampered = (fn(&mut Line), &'static str, &'static str);

/// 13, 14: an entry after which an account does not stand as all before it says is named, whatever is written to agree.
async fn an_entry_that_does_not_follow_is_named(profile: Profile) {
    let books = Books::open(profile).await;
    for word in ["one", "two", "three"] {
        created(books.send(word, &mint(), &points("ada"), 5).await);
    }
    let (written, ada) = (entry(&books, "three").await, key(&points("ada")));
    let wrong = |id: String, reason: &str| Failure { id, reason: reason.to_owned() };
    let broken = wrong(
        format!("entry/{}", written.seq),
        &format!("account {ada} does not follow from the entries before"),
    );
    let changes: [Tampered; 6] = [
        (|line| line.after.balance += 1, "balance=balance+1", "balance=balance-1"),
        (|line| line.after.held += 1, "held=held+1", "held=held-1"),
        (|line| line.after.pending += 1, "pending=pending+1", "pending=pending-1"),
        (|line| line.after.floor -= 1, "floor=floor-1", "floor=floor+1"),
        (|line| line.after.seq += 1, "seq=seq+1", "seq=seq-1"),
        (|line| line.before -= 1, "lots=0", "lots=0"),
    ];
    for (change, with, back) in changes {
        let mut changed = written.clone();
        change(line_of(&mut changed, ada));
        write_anew(&books, &changed).await;
        books.tamper(&format!("UPDATE ledger_balance SET {with} WHERE bucket={}", ada.bucket)).await;
        assert_eq!(books.verified().await.failed, std::slice::from_ref(&broken), "{with}");
        books.tamper(&format!("UPDATE ledger_balance SET {back} WHERE bucket={}", ada.bucket)).await;
        write_anew(&books, &written).await;
        assert_eq!(books.verified().await.failed, []);
    }
    // More leaves than there is: it adds up, and no row can say so.
    let (mut changed, mint) = (written.clone(), key(&mint()));
    for (account, more) in [(ada, -100), (mint, 100)] {
        let line = line_of(&mut changed, account);
        line.amount += more;
        line.after.balance += more;
    }
    write_anew(&books, &changed).await;
    let otherwise = "it is not what the journal makes of it";
    let rows = [ada, mint].map(|account| wrong(format!("balance/{account}"), otherwise));
    fails(&books, [vec![broken], rows.to_vec()].concat()).await;
    books.close().await;
}

/// 09: whatever a program says, the store itself keeps no row by which somebody owes what they may not.
async fn the_store_refuses_what_no_account_may_be(profile: Profile) {
    let books = Books::open(profile).await;
    created(books.send("one", &mint(), &points("ada"), 5).await);
    let terms = Terms { expires_ms: Some(trials::NOON_MS + 1_000), ..Terms::default() };
    created(books.grant("lot", "cleo", 10, terms).await);
    let bucket = key(&points("ada")).bucket;
    for change in [
        format!("ledger_balance SET balance=-1 WHERE bucket={bucket}"),
        format!("ledger_balance SET held=6 WHERE bucket={bucket}"),
        format!("ledger_balance SET pending=6 WHERE bucket={bucket}"),
        format!("ledger_balance SET floor=6 WHERE bucket={bucket}"),
        format!("ledger_balance SET held=-1 WHERE bucket={bucket}"),
        format!("ledger_balance SET pending=-1 WHERE bucket={bucket}"),
        format!("ledger_balance SET seq=0 WHERE bucket={bucket}"),
        "ledger_lot SET free=-1".to_owned(),
        "ledger_lot SET lapsed=-1".to_owned(),
        "ledger_head SET seq=-1".to_owned(),
        "ledger_head SET batch=-1".to_owned(),
    ] {
        let told = books.try_to_tamper(&format!("UPDATE {change}")).await;
        assert!(matches!(told, Err(Error::Corrupt(_))), "{change}: {told:?}");
    }
    assert_eq!(books.verified().await.failed, []);
    books.close().await;
}

/// A cell of another kind than its column's, which SQLite keeps, ends no check: its row is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_named() {
    let books = Books::open(Profile::Embedded).await;
    created(books.send("one", &mint(), &points("ada"), 5).await);
    let ada = points("ada").id(Tenant::MAIN, Shard::HOME);
    for (change, back, named) in [
        (
            "ledger_balance SET lots='x' WHERE bucket=745",
            "ledger_balance SET lots=0 WHERE bucket=745",
            format!("balance/{ada}"),
        ),
        ("ledger_head SET batch='x'", "ledger_head SET batch=2", "head".to_owned()),
        (
            "ledger_entry SET at_ms='x' WHERE seq=1",
            "ledger_entry SET at_ms=0 WHERE seq=1",
            "entry/1".to_owned(),
        ),
        (
            "ledger_seal SET root='x' WHERE batch=1",
            "ledger_seal SET root=x'00' WHERE batch=1",
            "seal/1".to_owned(),
        ),
    ] {
        assert_eq!(books.tamper(&format!("UPDATE {change}")).await, 1, "{change}");
        let found = books.verified().await.failed;
        assert!(found.iter().any(|failure| failure.id == named), "{change}: {found:?}");
        books.tamper(&format!("UPDATE {back}")).await;
    }
    books.close().await;
}

trials::in_each_profile!(
    one_row_that_was_changed_is_named,
    an_entry_that_was_written_anew_is_found,
    an_entry_with_a_seal_of_its_own_breaks_the_chain,
    an_entry_that_is_not_balanced_is_named,
    an_entry_that_does_not_follow_is_named,
    the_store_refuses_what_no_account_may_be,
);
