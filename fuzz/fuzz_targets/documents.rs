//! Raffle documents: see `trials/src/documents.rs`.
#![no_main]

#[path = "../../trials/src/documents.rs"]
mod documents;

libfuzzer_sys::fuzz_target!(|text: &str| {
    documents::hold(text);
});
