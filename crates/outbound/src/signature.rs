//! Signatures of Standard Webhooks (<https://www.standardwebhooks.com>, specification 1.0.0): HMAC-SHA256 over the id, the
//! time and the body, in base64, one for each secret.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use kernel::ports::outbound::Secret;
use sha2::Sha256;

/// The header `webhook-signature`: `v1,<base64>` for each secret, with blanks between.
pub fn signature(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed = secrets.iter().map(|secret| {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("any key");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes()))
    });
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example_is_signed_as_it_says() {
        // From the reference libraries' tests: secret, id, time, body and signature.
        let secret = Base64::decode_vec("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let (id, timestamp, body) =
            ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let one = Secret(secret);
        assert_eq!(signature(std::slice::from_ref(&one), id, timestamp, body), expected);
        let two = signature(&[Secret(vec![1; 24]), one], id, timestamp, body);
        assert!(two.ends_with(&format!(" {expected}")) && two.starts_with("v1,"), "{two}");
    }
}
