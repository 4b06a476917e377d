//! What holds for whatever is handed in as a raffle document. The fuzz targets read this file too, so it uses the raffle
//! crate and serde alone.

use kernel::hex::hex;
use raffle::document::Document;
use raffle::fairness::sha256;
use raffle::lint;
use raffle::odds::odds;
use raffle::rules::{Chosen, Plan, Publication, Rules, Shelf};
use raffle::standing::{Attested, History, Standing};

/// 2026-11-23T12:00:00Z.
const NOON_MS: i64 = 1_795_435_200_000;

/// Finite prizes, of which some are gone.
struct Shelves;

impl Shelf for Shelves {
    fn free(&self, item: &str) -> Option<u64> {
        Some(u64::from(item.len() % 2 == 1))
    }

    fn granted(&self, _: &str) -> u64 {
        1
    }

    fn take(&mut self, _: &str, _: u64) {}
}

/// Reads, checks and computes odds, which never panics. What the check lets through is published into rules that read back
/// as they were written, and that decide. Answers whether it was let through.
pub fn hold(text: &str) -> bool {
    let (document, findings) = lint::check(text, NOON_MS);
    for finding in &findings {
        assert!(finding.pointer.is_empty() || finding.pointer.starts_with('/'), "{finding:?}");
    }
    let Some(document) = document else {
        assert!(lint::forbids(&findings), "no document, and nothing wrong with it");
        return false;
    };
    let told = serde_json::to_string(&odds(&document)).expect("odds");
    assert!(told.contains("\"base\""), "{told}");
    if lint::forbids(&findings) {
        return false;
    }
    publish(&document);
    true
}

fn publish(document: &Document) {
    let slot = |id: &str| {
        let at = document.prizes.iter().position(|prize| prize.id == id).expect("a prize");
        u32::try_from(at).expect("few prizes")
    };
    let pseudonym = |name: &str| hex(&sha256(name.as_bytes())[..16]);
    let publication = Publication { tenant: "main", version: 1, pseudonym: &pseudonym, slot: &slot };
    let rules = Rules::of(document, &publication);
    let text = serde_json::to_string(&rules).expect("rules");
    let again: Rules = serde_json::from_str(&text).expect("rules that read back");
    assert_eq!(again, rules);
    assert_eq!(serde_json::to_string(&again).expect("rules"), text);
    let (plan, other) = (Plan::of(rules).expect("a plan"), Plan::of(again).expect("a plan"));
    let mut pool = 0;
    while plan.pool_name(pool).is_some() {
        decide(&plan, &other, pool);
        pool += 1;
    }
    assert!(pool > 0);
}

/// Holds a pool's table against its weights, where one entry ends and the next begins, and draws there.
fn decide(plan: &Plan, other: &Plan, pool: usize) {
    let weights = plan.pool_weights(pool);
    assert_eq!(other.pool_weights(pool), weights);
    let total = plan.total(pool, &[]);
    assert_eq!(weights.iter().map(|(_, weight)| weight).sum::<u64>(), total);
    assert!(total > 0, "an empty pool");
    let candidate = |integer| plan.candidate(&Chosen { pool, integer, excluded: vec![] });
    let mut begins = 0;
    for (prize, weight) in weights {
        assert!(weight > 0, "an entry that nothing picks");
        for integer in [begins, begins + weight - 1] {
            assert_eq!(candidate(integer), prize, "{integer} of {total}");
            draw(plan, integer);
        }
        begins += weight;
    }
    assert_eq!(candidate(total), None);
}

fn draw(plan: &Plan, integer: u64) {
    let told = Attested::default();
    for number in [0, 1, 9, u64::MAX / 2] {
        let history = History { number, today: number, ..History::default() };
        let standing =
            Standing { pseudonym: [7; 16], history: &history, attested: &told, now_ms: NOON_MS, day: 20_780 };
        drop(plan.admit(&standing, &Shelves));
        let outcome = plan.draw(&standing, |total| integer % total, &mut Shelves);
        assert!(outcome.prize.is_none_or(|prize| prize < plan.prizes.len()));
        let trace = raffle::entry::encode_trace(&outcome);
        assert_eq!(raffle::entry::decode_trace(&trace), Some((outcome.chosen, outcome.steps)));
    }
}
