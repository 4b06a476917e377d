//! Defects that `tools/mutants.sh` plants: each still applies, and names tests that there are.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::Path;
use std::process::Command;

use trials::root;

/// A source in which a test of the suite stands: a trial, or a file of the raffle or ledger room.
fn source(suite: &str, path: &[&str]) -> String {
    // The ledger has a trial of its name: that one's tests stand in no module, or in that of a profile.
    let profiles = ["on_sqlite", "on_mariadb"];
    let is_trial = path.len() == 1 || path.first().is_some_and(|module| profiles.contains(module));
    let file = match suite {
        "raffle" | "ledger" | "campaign" if !is_trial => {
            let modules: Vec<_> = path.iter().take_while(|module| **module != "tests").copied().collect();
            let modules = if modules.len() == path.len() { &modules[..path.len() - 1] } else { &modules };
            format!("crates/{suite}/src/{}.rs", modules.join("/"))
        }
        "histories" => "crates/ledger/tests/histories.rs".to_owned(),
        trial => format!("trials/tests/{trial}.rs"),
    };
    let beside = file.replace(".rs", "/tests.rs");
    [file, beside].iter().filter_map(|file| std::fs::read_to_string(root().join(file)).ok()).collect()
}

/// Whether a patch applies to the tree, wherever the tree lies.
fn applies(patch: &Path) -> bool {
    let tree = root();
    let above = tree.parent().unwrap_or(&tree);
    // A tree inside another repository would be taken for a part of it, and nothing be applied.
    let git = Command::new("git")
        .args(["apply", "--check"])
        .arg(patch)
        .current_dir(&tree)
        .env("GIT_CEILING_DIRECTORIES", above)
        .output();
    git.expect("git").status.success()
}

#[test]
fn every_planted_defect_applies_and_names_its_tests() {
    let mut found = 0;
    for entry in std::fs::read_dir(root().join("trials/mutants")).expect("mutants") {
        let patch = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&patch).expect("a patch");
        assert!(applies(&patch), "{} does not apply any more: mend it", patch.display());
        let head = text.split("\ndiff ").next().unwrap_or_default();
        let named = |word: &'static str| head.lines().filter_map(move |line| line.strip_prefix(word));
        assert!(named("# kills: ").count() > 0, "{} names no test", patch.display());
        for test in named("# kills: ") {
            let path: Vec<_> = test.split("::").collect();
            let (suite, name) = (path[0], path[path.len() - 1]);
            let is_there = source(suite, &path[1..]).contains(&format!("fn {name}("));
            assert!(is_there, "{}: there is no test {test}", patch.display());
        }
        found += 1;
    }
    assert_eq!(found, 26);
}
