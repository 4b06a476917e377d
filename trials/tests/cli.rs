//! What programs read from the command line: stable from the first release.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::Path;
use std::process::Command;

use embedded::sqlite::{Caches, SqliteRecords};
use kernel::id::Shard;
use records::port::write;
use trials::books::{Books, created, mint, points};
use trials::profile::Profile;

const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

/// Runs the product in the repository's root; answers its output and whether it ended well.
fn run(arguments: &[&str]) -> (String, bool) {
    let output = Command::new(PROGRAM).args(arguments).current_dir(trials::root()).output().expect("run");
    (String::from_utf8(output.stdout).expect("text"), output.status.success())
}

/// Compares an output with its snapshot. `FAIRGROUND_WRITE_SNAPSHOTS` set writes it anew, for review as a diff.
fn check_snapshot(name: &str, found: &str) {
    let path = trials::root().join("trials/snapshots").join(name);
    if std::env::var_os("FAIRGROUND_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).expect("write");
    }
    let kept = std::fs::read_to_string(&path).expect("a snapshot");
    // Thousands of lines tell nobody what changed.
    let line = found.lines().zip(kept.lines()).position(|(found, kept)| found != kept);
    let at = |text: &str| text.lines().nth(line.unwrap_or_default()).map(str::to_owned);
    assert!(found == kept, "{name}: line {:?} is {:?} and was {:?}", line, at(found), at(&kept));
}

#[test]
fn json_of_check_odds_diff_simulate_and_verify_is_as_it_was() {
    let (found, fine) = run(&["check", "--json", "examples/big-market/late-100006.yaml"]);
    assert!(!fine, "a document with an error ends with 1");
    check_snapshot("check.json", &found);
    let (found, fine) = run(&["odds", "--json", "examples/big-market/late-100006.yaml"]);
    assert!(fine, "odds work in spite of lint errors");
    check_snapshot("odds.json", &found);
    let (repaired, old) =
        ("examples/big-market/late-100006-repaired.yaml", "examples/big-market/late-100006.yaml");
    let (found, fine) = run(&["diff", "--json", "--draws-per-day", "800", old, repaired]);
    assert!(fine, "a difference is no error");
    check_snapshot("diff.json", &found);
    let (found, _) = run(&["diff", old, old]);
    assert_eq!(found, "nothing differs\n");
    let scenario = ["--draws", "5000", "--participants", "500", "--draws-per-day", "1000", "--runs", "5"];
    let (found, fine) = run(&[&["simulate", repaired, "--seed", "7", "--json"], &scenario[..]].concat());
    assert!(fine, "warnings do not keep a document from being played");
    check_snapshot("simulate.json", &found);
    let (found, fine) = run(&["simulate", "--json", "examples/big-market/late-100006.yaml"]);
    assert!(!fine, "errors do");
    check_snapshot("check.json", &found);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("evidence.jsonl");
    std::fs::write(&file, "{}\n").expect("write");
    let (found, fine) = run(&["verify", "--json", &file.display().to_string()]);
    assert!(!fine);
    check_snapshot("verify.json", &found);
    let (found, fine) = run(&["schema"]);
    assert!(fine);
    assert_eq!(found, raffle::document::schema());
    assert_eq!(run(&["schema", "raffle"]), (found, true));
    assert_eq!(run(&["schema", "campaign"]), (campaign::document::schema().to_owned(), true));
}

#[test]
fn campaigns_are_checked_as_raffles_are() {
    let example = "examples/summer/campaign.yaml";
    assert_eq!(run(&["check", example]), ("nothing is wrong\n".to_owned(), true));
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(trials::root().join(example)).expect("an example");
    let wrong = text.replace("audience: loyal,", "audience: royal,").replace("id: welcome", "id: thanks");
    let file = folder.path().join("wrong.yaml");
    std::fs::write(&file, wrong).expect("write");
    let (found, fine) = run(&["check", "--json", &file.display().to_string()]);
    assert!(!fine, "a document with an error ends with 1");
    check_snapshot("check-campaign.json", &found);
}

#[test]
fn the_document_of_the_api_is_as_it_was() {
    let (found, fine) = run(&["openapi"]);
    assert!(fine);
    check_snapshot("openapi.json", &found);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_of_the_ledger_names_the_row_that_was_tampered_with() {
    let books = Books::open(Profile::Embedded).await;
    created(books.send("one", &mint(), &points("ada"), 50).await);
    created(books.send("two", &points("ada"), &points("bob"), 20).await);
    let folder = books.close().await.folder;
    let data = folder.path().display().to_string();
    assert_eq!(
        run(&["ledger", "verify", "--data", &data]),
        ("3 entries, 3 accounts, 0 failed\n".to_owned(), true)
    );
    for (change, back, named) in [
        (
            "UPDATE ledger_balance SET balance=balance+1 WHERE bucket=745",
            "UPDATE ledger_balance SET balance=balance-1 WHERE bucket=745",
            "it is not what the journal makes of it",
        ),
        (
            "UPDATE ledger_entry SET at_ms=at_ms+1 WHERE seq=2",
            "UPDATE ledger_entry SET at_ms=at_ms-1 WHERE seq=2",
            "failed   entry/2: it is not what was written",
        ),
    ] {
        tamper(folder.path(), change).await;
        let (told, fine) = run(&["ledger", "verify", "--data", &data]);
        assert!(!fine && told.contains(named), "{told}");
        let (found, fine) = run(&["ledger", "verify", "--data", &data, "--json"]);
        assert!(!fine);
        if change.contains("ledger_entry") {
            check_snapshot("ledger-verify.json", &found);
        }
        tamper(folder.path(), back).await;
    }
    assert!(run(&["ledger", "verify", "--data", &data]).1);
    let nowhere = folder.path().join("nowhere");
    assert_eq!(run(&["ledger", "verify", "--data", &nowhere.display().to_string()]), (String::new(), false));
    assert!(!nowhere.exists(), "looking has made a store");
}

/// Changes one row of a store at rest.
async fn tamper(folder: &Path, sql: &'static str) {
    let records = SqliteRecords::open(folder, Caches::default()).expect("a store");
    let changed = write(&records, Shard::HOME, move |tx| Box::pin(async move { tx.exec(sql, &[]).await }));
    let changed: Result<u64, records::error::Error> = changed.await;
    assert_eq!(changed, Ok(1), "{sql}");
    records.close();
}

#[test]
fn a_simulation_takes_what_is_told_of_participants_and_when_they_come() {
    let early = "examples/big-market/early-100001.yaml";
    let run_with = |more: &[&str]| {
        run(&[&["simulate", early, "--json", "--runs", "1", "--draws", "500"], more].concat())
    };
    let won = |more: &[&str], prize: &str| {
        let (found, fine) = run_with(more);
        assert!(fine, "{more:?}");
        let report: serde_json::Value = serde_json::from_str(&found).expect("one JSON object");
        report["outcomes"][prize].as_u64().expect("a count")
    };
    assert!(won(&[], "101") > 0);
    assert_eq!(won(&["--points-spent", "4000"], "101"), 0, "the tier of 4000 points has no prize 101");
    assert_eq!(
        won(&["--participants", "3", "--with-named"], "100"),
        500,
        "three people, all on the deny list"
    );
    let day = ["--start", "2026-11-23T09:30:00", "--draws-per-day", "500", "--participants", "10"];
    assert!(
        won(&[&day[..], &["--arrival", "sessions"]].concat(), "107") > 0,
        "unlocked by the day's second draw"
    );
    for wrong in [
        ["--start", "tomorrow"],
        ["--metric", "shoes=4"],
        ["--metric", "points=many"],
        ["--attribute", "level"],
        ["--draws-per-day", "0"],
        ["--runs", "0"],
        ["--arrival", "late"],
    ] {
        assert_eq!(run_with(&wrong), (String::new(), false), "{wrong:?}");
    }
}

#[test]
fn completions_of_every_shell_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, fine) = run(&["completions", shell]);
        assert!(fine, "{shell}");
        let commands = [
            "demo",
            "serve",
            "check",
            "odds",
            "diff",
            "simulate",
            "why",
            "verify",
            "audit",
            "ledger",
            "schema",
            "openapi",
            "completions",
            "bench",
        ];
        for command in commands {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
    assert!(!run(&["completions", "cmd"]).1);
}

#[test]
fn a_short_bench_measures_audits_and_tells_its_keys() {
    let (found, fine) = run(&["bench", "draws", "--seconds", "0.2", "--rows", "2000", "--json"]);
    assert!(fine, "{found}");
    let report: serde_json::Value = serde_json::from_str(&found).expect("one JSON object");
    let report = report.as_object().expect("an object");
    let keys = [
        "acknowledged",
        "cpu_us_per_draw",
        "draws_per_s",
        "duplicated",
        "lost",
        "memory_mib",
        "noop_per_s",
        "oversold",
        "p50_ms",
        "p999_ms",
        "p99_ms",
        "ratio",
    ];
    let mut found: Vec<_> = report.keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, keys);
    assert!(report["acknowledged"].as_u64() > Some(0));
    assert!(["lost", "duplicated", "oversold"].iter().all(|key| report[*key] == 0));
}

#[test]
fn a_short_bench_of_transfers_measures_and_its_books_agree() {
    let (found, fine) = run(&["bench", "transfers", "--seconds", "0.1", "--json"]);
    assert!(fine, "{found}");
    let report: serde_json::Value = serde_json::from_str(&found).expect("one JSON object");
    let mut keys: Vec<_> = report.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["hot_per_s", "http_per_s", "noop_per_s", "raw_per_s", "spread_per_s", "unbalanced"]);
    assert_eq!(report["unbalanced"], 0);
    assert!(keys.iter().all(|key| *key == "unbalanced" || report[*key].as_f64() > Some(0.0)), "{found}");
}
