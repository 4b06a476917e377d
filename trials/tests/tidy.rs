//! House rules that the compiler does not keep.
#![expect(clippy::expect_used, clippy::panic, reason = "a trial speaks by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use trials::{root, sources};

const LINES_MAX: usize = 500;

/// Which rooms a room may import. An arrow covers all below it.
const ARROWS: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("guard", &["kernel"]),
    ("records", &["kernel"]),
    ("embedded", &["records", "kernel"]),
    ("cluster", &["records", "kernel"]),
    ("outbound", &["records", "kernel"]),
    ("ledger", &["records", "kernel"]),
    ("campaign", &["ledger", "records", "kernel"]),
    ("raffle", &["campaign", "ledger", "records", "kernel"]),
    ("search", &["records", "kernel"]),
    (
        "server",
        &[
            "raffle", "search", "campaign", "ledger", "embedded", "cluster", "outbound", "records", "guard",
            "kernel",
        ],
    ),
];

fn rooms() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("crates")).expect("crates");
    let found: Vec<_> =
        entries.map(|entry| entry.expect("entry").path()).filter(|path| path.is_dir()).collect();
    assert_eq!(found.len(), ARROWS.len(), "a room without arrows, or an arrow without a room: {found:?}");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A source without its tests and comments.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn rooms_import_only_what_their_arrows_allow() {
    for room in rooms() {
        let name = room.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let (_, allowed) = ARROWS.iter().find(|(known, _)| *known == name).expect("arrows");
        let manifest = read(&room.join("Cargo.toml"));
        let own = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        let names = ARROWS.iter().map(|(name, _)| *name).chain(["fairground", "trials"]);
        for other in names.filter(|other| {
            own.contains(&format!("\n{other}.workspace")) || own.contains(&format!("\n{other} ="))
        }) {
            assert!(allowed.contains(&other), "`{name}` may not import `{other}`");
        }
    }
}

/// Inside a crate, arrows point down the page: a module may only use modules that `lib.rs` lists below it.
#[test]
fn imports_point_down_the_page() {
    let mut broken = Vec::new();
    for room in rooms() {
        let source = room.join("src");
        let text = read(&source.join("lib.rs"));
        let order: Vec<&str> = text
            .lines()
            .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
            .collect();
        assert!(!order.is_empty(), "{} lists no modules", room.display());
        for (rank, module) in order.iter().enumerate() {
            let mut files = sources(&source.join(module));
            files.extend(Some(source.join(format!("{module}.rs"))).filter(|file| file.exists()));
            for file in files {
                let code = code(&file);
                if code.contains("crate::{") {
                    broken.push(format!("{}: one `use` per module, please", file.display()));
                }
                for above in &order[..rank] {
                    let used = [format!("crate::{above}::"), format!("crate::{above};")];
                    if used.iter().any(|used| code.contains(used)) {
                        broken.push(format!(
                            "{} uses `{above}`, which stands above `{module}`",
                            file.display()
                        ));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_fit_in_a_reader() {
    let mut files: Vec<_> = rooms().iter().flat_map(|room| sources(room)).collect();
    files.extend(sources(&root().join("trials")));
    let long: Vec<_> = files.iter().filter(|file| read(file).lines().count() > LINES_MAX).collect();
    assert!(long.is_empty(), "over {LINES_MAX} lines: {long:?}");
    let vague = ["utils", "common", "types", "helpers", "manager"];
    let named =
        |file: &&PathBuf| file.file_stem().is_some_and(|stem| vague.iter().any(|vague| stem == *vague));
    assert_eq!(files.iter().find(named), None, "a file is named by a noun of the domain");
}

/// SQL that some database of the family does not speak (`docs/decisions/0003-portable-sql.md`).
#[test]
fn sql_is_portable() {
    let banned = [
        "AUTO_INCREMENT",
        "AUTOINCREMENT",
        "RETURNING",
        "SKIP LOCKED",
        "INSERT IGNORE",
        "ON CONFLICT",
        "WITHOUT ROWID",
    ];
    for room in rooms() {
        for file in sources(&room).iter().filter(|file| !file.ends_with("records/src/dialect.rs")) {
            let text = code(file);
            for word in banned {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

/// Every code that a caller can be told stands in `docs/errors.md`, and nothing else does.
#[test]
fn every_error_code_is_documented() {
    let areas = [
        "edge",
        "idempotency",
        "raffle",
        "draw",
        "campaign",
        "award",
        "coupon",
        "endpoint",
        "letter",
        "records",
        "document",
        "window",
        "odds",
        "prize",
        "tree",
        "fallback",
        "tier",
        "deny_list",
        "attribute",
        "eligibility",
        "exhausted",
        "budget",
        "release",
        "tickets",
        "guaranteed",
        "diff",
        "draft",
        "proposal",
        "review",
        "account",
        "ledger",
        "hold",
        "transfer",
        "experiment",
        "switch",
        "offer",
        "audience",
        "earning",
        "gain",
        "placement",
        "referral",
        "sign_in",
        "search",
    ];
    let mut used = BTreeSet::new();
    for room in rooms() {
        // What the API's document lists is no use of a code.
        let only_told = |file: &PathBuf| {
            file.ends_with("operation.rs")
                || file.ends_with("operations.rs")
                || file.to_string_lossy().contains("conformance")
        };
        for file in sources(&room.join("src")).iter().filter(|file| !only_told(file)) {
            for literal in code(file).split('"').skip(1).step_by(2) {
                let is_code = literal.split_once('.').is_some_and(|(area, rest)| {
                    areas.contains(&area)
                        && !rest.is_empty()
                        && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                });
                if is_code {
                    used.insert(literal.to_owned());
                }
            }
        }
    }
    // Topics of effects and keys of the configuration look like codes and are none.
    let topics = ["draw.made", "epoch.gate_closed", "referral.qualified", "award.moved", "ledger.sealed"];
    let keys = ["campaign.acts_max", "campaign.queue_max", "ledger.orders_max", "ledger.queue_max"];
    for name in topics.into_iter().chain(keys) {
        used.remove(name);
    }
    let text = read(&root().join("docs/errors.md"));
    let documented: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    let missing: Vec<_> = used.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&used).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:?}, stale: {stale:?}");
}

#[test]
fn the_published_schema_is_the_one_that_is_checked() {
    assert_eq!(read(&root().join("docs/schema/raffle.schema.json")), raffle::document::schema());
    assert_eq!(read(&root().join("docs/schema/campaign.schema.json")), campaign::document::schema());
}

#[test]
fn an_outsiders_verifier_stays_short() {
    let rules = read(&root().join("docs/fairness/rules.py")).lines().count();
    assert!(rules < 200, "{rules} lines");
    let lines = read(&root().join("docs/fairness/verify.py")).lines().count();
    assert!(lines < 100, "{lines} lines");
}

/// Each dependency has a reason on paper.
#[test]
fn every_dependency_has_its_reason() {
    let manifest = read(&root().join("Cargo.toml"));
    let dependencies =
        manifest.split("[workspace.dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let reasons = read(&root().join("docs/decisions/0002-dependencies.md"));
    let mut without = BTreeMap::new();
    for line in dependencies.expect("dependencies").lines() {
        let Some((name, value)) = line.split_once(" = ") else { continue };
        if !value.contains("path =") && !reasons.contains(&format!("`{name}`")) {
            without.insert(name.to_owned(), value.to_owned());
        }
    }
    assert!(without.is_empty(), "{without:?}");
}
