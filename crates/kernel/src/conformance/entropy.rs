//! Checks for [`crate::ports::entropy::Entropy`].

use std::collections::HashSet;

use crate::ports::entropy::Entropy;

/// Both clauses of the contract.
///
/// # Panics
/// When the adapter breaks one.
#[expect(clippy::expect_used, reason = "a check speaks by panicking")]
pub fn check(entropy: &dyn Entropy) {
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes).expect("entropy");
        assert!(seen.insert(bytes), "the same 16 bytes twice");
    }
    let mut long = [0; 4096];
    entropy.fill(&mut long).expect("entropy");
    assert!(long.chunks(64).all(|part| part.iter().any(|byte| *byte != 0)), "a part was left unfilled");
}
