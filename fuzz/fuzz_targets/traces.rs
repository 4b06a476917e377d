//! Traces: what is read says the same when it is written and read again.
#![no_main]

use raffle::entry::{decode_chosen, decode_trace, encode_trace};
use raffle::rules::Outcome;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let chosen = decode_chosen(bytes);
    let Some((whole, steps)) = decode_trace(bytes) else { return };
    assert_eq!(chosen.as_ref(), Some(&whole));
    let outcome = Outcome { chosen: whole, steps, prize: None };
    let written = encode_trace(&outcome);
    assert!(written.len() <= bytes.len(), "longer than it was");
    assert_eq!(decode_trace(&written), Some((outcome.chosen, outcome.steps)));
});
