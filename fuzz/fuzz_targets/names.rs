//! Draw ids and participants' tokens: what is read is written back as it was, and no token is anybody's but its key's.
#![no_main]

// The server itself would be many times as long to build.
#[path = "../../crates/server/src/token.rs"]
mod token;

use kernel::id::DrawId;
use token::{Refusal, TokenKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let key = TokenKey::new(&[7; 32]);
    assert_eq!(key.read(bytes, 0).err(), Some(Refusal::Bad), "a forged token");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(id) = text.parse::<DrawId>() {
        assert_eq!(id.to_string(), text);
    }
    let (participant, expires_ms) = (text, text.len() as i64);
    let token = key.mint(participant, expires_ms).expect("a token");
    match key.read(token.as_bytes(), expires_ms - 1) {
        Ok(claims) => assert_eq!((claims.participant.as_str(), claims.expires_ms), (participant, expires_ms)),
        // Longer than any that is looked at.
        Err(refusal) => assert!(token.len() > 4096, "{refusal:?} {token}"),
    }
    let is_over = key.read(token.as_bytes(), expires_ms).is_err();
    let is_others = TokenKey::new(&[8; 32]).read(token.as_bytes(), 0).is_ok();
    assert!(is_over && !is_others);
});
