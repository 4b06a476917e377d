use super::*;
use crate::document::Document;
use crate::rules::{BUDGET, Publication, Rules, Shelves};
use crate::standing::{Completed, History, Standing};

const NOON_MS: i64 = 1_795_435_200_000;
const ADA: [u8; 16] = [0xad; 16];
const NOBODY: [u8; 16] = [0; 16];

/// One draw: what the document says of prize `a` and besides, what happened before, what chance gives.
#[derive(Default)]
struct Case {
    a: &'static str,
    more: &'static str,
    /// Prizes won before, by slot; `None` won nothing. The last was a second ago.
    before: &'static [Option<u32>],
    frozen: bool,
    promised: bool,
    attested: &'static str,
    integer: u64,
}

fn tell(case: &Case) -> Vec<Sentence> {
    let Case { a, more, before, .. } = case;
    let text = format!(
        "raffle: r\ntitle: R\ndenominator: 10\nwhen_weights_differ: no_win\nprizes:\n  - {{id: a, title: Apple, weight: 4, {a}}}\n  - {{id: b, title: Bun, weight: 3, stock: unlimited, consolation: true}}\n{more}"
    );
    let document: Document = crate::document::read(&text).expect("a document");
    let publication = Publication {
        tenant: "main",
        version: 2,
        pseudonym: &|name| hex(if name == "ada" { &ADA } else { &NOBODY }),
        slot: &|id| u32::from(id == "b"),
    };
    let plan = Plan::of(Rules::of(&document, &publication)).expect("a plan");
    let mut shelves = Shelves::default();
    let units = document.prizes[0].stock.units().unwrap_or(0);
    shelves.put("a", units, 0, case.frozen);
    shelves.put(BUDGET, document.budget.as_ref().map_or(0, |budget| budget.amount), 0, false);
    let day = plan.zone.day_of(NOON_MS);
    let mut history = History::default();
    for won in *before {
        let won = won.map(|slot| (slot, slot == 0));
        history.complete(Completed { at_ms: NOON_MS - 1_000, day, won, kept_promise: false, windows: &[60] });
    }
    history.promised = case.promised.then(|| "a".to_owned());
    let attested = Attested::read(case.attested).expect("what is told");
    let standing = Standing { pseudonym: ADA, history: &history, attested: &attested, now_ms: NOON_MS, day };
    plan.admit(&standing, &shelves).expect("admitted");
    let outcome = plan.draw(&standing, |_| case.integer, &mut shelves);
    let draw = Draw {
        id: "drw_02x4000000000g000000000009".parse().expect("an id"),
        pseudonym: ADA,
        number: standing.number(),
        epoch: 1,
        at_ms: NOON_MS,
        day,
        key: "k".to_owned(),
        body_hash: [0; 32],
        client_seed: None,
        attested: attested.text(),
        part: 0,
        parts: 1,
        prize: outcome.prize.map(|prize| plan.prizes[prize].clone()),
        trace: crate::entry::encode_trace(&outcome),
        chain: [0; 32],
    };
    let proof = Proof { epoch: "main/r/1", seed_hash: [0x5e; 32], seed: None, tickets_left: Some(4) };
    story(&draw, &plan, proof).expect("a story")
}

/// What the story says between admission and proof.
fn middle(case: &Case) -> Vec<String> {
    let told = tell(case).into_iter();
    told.filter(|said| !matches!(said.about, About::Admission | About::Proof)).map(|said| said.told).collect()
}

#[test]
fn every_step_is_told_in_words() {
    let base = "The base pool was drawn from: there are no odds tiers.";
    let a = "Chance gave 1 of 10 (0 to 9): prize `a` (Apple) holds 0 to 3.";
    let none = "Chance gave 8 of 10 (0 to 9): no prize holds 7 to 9.";
    let won_a = "Won: prize `a` (Apple).";
    let won_b = "Won: prize `b` (Bun).";
    let straight = "Nothing more stands before prize `a` (Apple)";
    let fallback = "when_exhausted: {policy: fallback, prize: b}\n";
    let tree = |node: &str, on: &str| -> &'static str {
        format!("no_win_tree: t\nrule_trees: {{t: {{start: n, nodes: {{n: {node}, f: {{kind: fallback, prize: b}}}}, edges: [{{from: n, on: {on}, to: f}}]}}}}\n").leak()
    };
    let cannot = |step: &str| {
        vec![
            base.to_owned(),
            a.to_owned(),
            format!("{straight}: {step}."),
            "Nothing was won: the rules name no other prize for that case.".to_owned(),
        ]
    };
    let told = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let lock = "rule_trees: {t: {start: l, nodes: {l: {kind: unlock, after: 1, per: day}}, edges: []}}\n";
    let level = "attributes: [level]\n";
    let asks = tree("{kind: attribute, attribute: level, one_of: [gold, red]}", "yes");
    let asks: &str = format!("{level}{asks}").leak();
    let (pity, mile) = (
        tree("{kind: pity, prize: a, after: 2}", "due"),
        tree("{kind: milestone, draws: [2, 5]}", "reached"),
    );
    let gold = r#"{"attributes":{"level":"gold"}}"#;
    let plain = || Case { a: "stock: 5", integer: 1, ..Case::default() };
    let at_8 = |more, before, attested| Case {
        a: "stock: 5",
        more,
        before,
        attested,
        integer: 8,
        ..Case::default()
    };
    let locked =
        |before| Case { a: "stock: 5, rule_tree: t", more: lock, before, integer: 1, ..Case::default() };
    let opens = "Node `l` opens after 1 completed draws of the day";
    let instead = "Node `f` gives prize `b` (Bun) instead".replace(" (Bun)", "");
    let instead = format!("{instead}: it never runs out.");
    let ends = "Nothing was won: the way through the tree ends there.";
    let node = |text: &str| format!("Node `n` asks whether {text}.");
    let cases: Vec<(Case, Vec<String>)> = vec![
        (plain(), told(&[base, a, &format!("{straight}: a unit was there and was taken."), won_a])),
        (
            Case { a: "stock: unlimited", ..plain() },
            told(&[base, a, &format!("{straight}: it never runs out."), won_a]),
        ),
        (Case { a: "stock: 0", ..plain() }, cannot("there was no unit")),
        (Case { frozen: true, ..plain() }, cannot("an operator had frozen it")),
        (
            Case { a: "stock: 5, cap: {wins: 1, per: day}", before: &[Some(0)], ..plain() },
            cannot("the participant had won it as often as one may"),
        ),
        (
            Case { more: "win_interval_seconds: 60\n", before: &[Some(0)], ..plain() },
            cannot("the participant's last win was too near"),
        ),
        (
            Case { a: "stock: 5, never_for: [ada]", ..plain() },
            cannot("a list keeps it from this participant"),
        ),
        (
            Case { a: "stock: 5, cost: 9", more: "budget: {amount: 8, when_spent: degrade}\n", ..plain() },
            cannot("the budget did not cover it"),
        ),
        (
            Case { a: "stock: 5, release: {slots: [{from: \"2030-01-01T00:00:00\", units: 5}]}", ..plain() },
            cannot("its next units come later"),
        ),
        (
            Case { a: "stock: 0", more: fallback, ..plain() },
            told(&[
                base,
                a,
                &format!("{straight}: there was no unit."),
                "What cannot be had is replaced by prize `b` (Bun): it never runs out.",
                won_b,
            ]),
        ),
        (
            locked(&[None]),
            told(&[
                base,
                a,
                &format!("{opens}: there were as many, so it was open."),
                &format!("{straight}: a unit was there and was taken."),
                won_a,
            ]),
        ),
        (locked(&[]), told(&[base, a, &format!("{opens}: there were fewer, so it was locked."), ends])),
        (
            at_8("", &[], ""),
            told(&[base, none, "No rule tree is walked where chance picks no prize.", "Nothing was won."]),
        ),
        (
            at_8(asks, &[], gold),
            told(&[base, none, &node("`level` is one of: gold, red: it is"), &instead, won_b]),
        ),
        (
            at_8(asks, &[], ""),
            told(&[base, none, &node("`level` is one of: gold, red: it is not, or was not told"), ends]),
        ),
        (
            at_8(pity, &[None, None], ""),
            told(&[
                base,
                none,
                &node("2 draws were completed since prize `a` was last won: they were, so it was due"),
                &instead,
                won_b,
            ]),
        ),
        (
            at_8(pity, &[None], ""),
            told(&[
                base,
                none,
                &node("2 draws were completed since prize `a` was last won: they were not"),
                ends,
            ]),
        ),
        (
            at_8(mile, &[None], ""),
            told(&[base, none, &node("this is the participant's draw 2, 5: it is"), &instead, won_b]),
        ),
        (
            at_8(mile, &[], ""),
            told(&[base, none, &node("this is the participant's draw 2, 5: it is not"), ends]),
        ),
        (
            Case { promised: true, more: "guaranteed_winners: allowed\n", integer: 8, ..plain() },
            told(&[
                "An operator had promised the participant a prize, and it could be had: chance was not asked.",
                "The promise is kept with prize `a` (Apple): a unit was there and was taken.",
                won_a,
            ]),
        ),
    ];
    for (case, expected) in cases {
        assert_eq!(middle(&case), expected, "{} {}", case.a, case.more);
    }
}

#[test]
fn the_pool_and_what_was_left_out_are_told() {
    let tiers = |mode: &str, metric: &str| -> &'static str {
        format!("metrics: [steps]\nodds_tiers: {{metric: {metric}, mode: {mode}, tiers: [{{threshold: 2, prizes: [a]}}]}}\n").leak()
    };
    let steps = r#"{"metrics":{"steps":7}}"#;
    let case = |more, before, attested| Case { a: "stock: 5", more, before, attested, ..Case::default() };
    for (case, expected) in [
        (
            case(tiers("exact", "draws_made"), &[None], ""),
            "The pool of the odds tier 2 was drawn from: `draws_made` was 2, which is exactly 2.",
        ),
        (
            case(tiers("exact", "draws_made"), &[], ""),
            "The base pool was drawn from: `draws_made` was 1, and no tier's threshold is met.",
        ),
        (
            case(tiers("at_least", "steps"), &[], steps),
            "The pool of the odds tier 2 was drawn from: `steps` was 7, which is at least 2.",
        ),
        (
            case(tiers("at_least", "steps"), &[], ""),
            "The base pool was drawn from: `steps` was not told, and no tier's threshold is met.",
        ),
        (
            case("deny_list: {participants: [ada], prize: b}\n", &[], ""),
            "The participant is on the deny list, which draws prize `b` (Bun) alone.",
        ),
    ] {
        assert_eq!(middle(&case)[0], expected);
    }

    let out = "when_exhausted: {policy: renormalise}\n";
    for (a, reasons) in [
        ("stock: 0", "there was no unit, or an operator had frozen it"),
        ("stock: 0, only_for: [bob]", "a list keeps it from this participant"),
        (
            "stock: 0, cap: {wins: 9, per: day}",
            "there was no unit, or an operator had frozen it, or the participant had won it as often as one may",
        ),
    ] {
        let told = middle(&Case { a, more: out, integer: 2, ..Case::default() });
        assert_eq!(told[1], format!("Left out before chance picked: prize `a` (Apple), as {reasons}."));
        assert_eq!(told[2], "Chance gave 2 of 6 (0 to 5): prize `b` (Bun) holds 0 to 2.");
    }
}

#[test]
fn the_story_begins_with_who_was_admitted_and_ends_with_the_proof() {
    let more = "time_zone: Asia/Shanghai\nwindow: {from: \"2026-11-01T00:00:00\", until: \"2026-12-01T00:00:00\"}\ntickets: {total: 9, per_month: 5, per_day: 3, wallet: raffle-r}\nattributes: [level]\nbudget: {amount: 10, when_spent: stop}\neligibility:\n  - {kind: allow_list, participants: [ada]}\n  - {kind: deny_list, participants: [eve]}\n  - {kind: attribute, attribute: level, one_of: [gold]}\n  - {kind: velocity, draws: 5, seconds: 60}\n";
    let attested = r#"{"attributes":{"level":"gold"}}"#;
    let told = tell(&Case { a: "stock: 5, cost: 2", more, before: &[None], attested, ..Case::default() });
    let told: Vec<_> = told.iter().map(|said| format!("{:?}: {}", said.about, said.told)).collect();
    assert_eq!(
        told,
        [
            "Admission: Draw drw_02x4000000000g000000000009 of raffle `r` under version 2, made at 2026-11-23T20:00:00+08:00, was the participant's draw number 2.",
            "Admission: Draws are taken from 2026-11-01T00:00:00+08:00 until 2026-12-01T00:00:00+08:00.",
            "Admission: Rule 1 of eligibility, `allow_list`, let it through: the participant is one of those who are invited.",
            "Admission: Rule 2 of eligibility, `deny_list`, let it through: the participant is none of those who may not draw.",
            "Admission: Rule 3 of eligibility, `attribute`, let it through: `level` was told as `gold`, which the rule takes.",
            "Admission: Rule 4 of eligibility, `velocity`, let it through: the participant had completed fewer than 5 draws in 60 seconds.",
            "Admission: It used ticket 2 of 9.",
            "Admission: Of the 5 tickets of its local month one was left.",
            "Admission: Of the 3 tickets of its local day one was left.",
            "Admission: It used 1 ticket of the wallet `raffle-r` in the ledger; 4 were left.",
            "Admission: The budget covered the dearest prize, so draws were taken.",
            "Pool: The base pool was drawn from: there are no odds tiers.",
            "Chance: Chance gave 0 of 10 (0 to 9): prize `a` (Apple) holds 0 to 3.",
            "Step: Nothing more stands before prize `a` (Apple): a unit was there and was taken.",
            "Result: Won: prize `a` (Apple).",
            "Proof: The integer is HMAC-SHA256 under the seed of epoch main/r/1, over the participant's pseudonym adadadadadadadadadadadadadadadad, the draw's number and the client seed; SHA-256 of that seed, published before the epoch's first draw, is 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e.",
            "Proof: What a caller told of the participant is attested, not proven: {\"attributes\":{\"level\":\"gold\"}}.",
            "Proof: The seed is not revealed yet; it is once the epoch has closed, and the evidence then replays the draw.",
        ]
    );
}
