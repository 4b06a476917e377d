//! Evidence: whatever stands in it, the verifier answers. Lines that are no text are told as a file tells them.
#![no_main]

use std::io::BufRead;

use raffle::verify::verify;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let report = verify(bytes.lines());
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    assert!(report.verified + report.attested <= lines, "more draws than lines: {report:?}");
    assert!(lines > 1 || !report.failed.is_empty(), "nothing is no evidence");
});
