//! Participants' tokens: `fgp1.<payload>.<mac>`, both parts in base64url without padding (RFC 4648, section 5). The
//! payload is JSON; the MAC is HMAC-SHA256 (RFC 2104) over `fgp1.<payload>`. Nothing is stored: who holds the key can
//! mint, and a token cannot be called back before it expires.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use kernel::hex::hex;
use kernel::id::Tenant;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What every token begins with.
pub const PREFIX: &str = "fgp1.";

/// Longest life of a token, in seconds.
pub const SECONDS_MAX: u32 = 86_400;

/// Longest token that is looked at, in bytes. A participant of 128 characters needs less than half of it.
const TOKEN_BYTES_MAX: usize = 4096;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The tenant's name.
    pub tenant: String,
    /// Who bears it.
    pub participant: String,
    /// Until when, in milliseconds since the epoch; at that instant it is over.
    pub expires_ms: i64,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is none, or none of ours.
    Bad,
    /// Its time is over.
    Expired,
}

/// The key that signs.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// A key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        Self(Hmac::new_from_slice(key).expect("any key"))
    }

    /// A name for a participant that says nothing to whoever lacks this key: the first 16 bytes of an HMAC, in hexadecimal.
    pub fn pseudonym(&self, participant: &str) -> String {
        hex(&self.mac(&format!("participant/{participant}")).finalize().into_bytes()[..16])
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(signed.as_bytes());
        mac
    }

    /// A token for a participant of the one tenant there is.
    pub fn mint(&self, participant: &str, expires_ms: i64) -> Result<String, serde_json::Error> {
        let claims =
            Claims { tenant: Tenant::MAIN.name.to_owned(), participant: participant.to_owned(), expires_ms };
        Ok(self.sign(&serde_json::to_vec(&claims)?))
    }

    fn sign(&self, payload: &[u8]) -> String {
        let signed = format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(payload));
        let mac = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{}", Base64UrlUnpadded::encode_string(&mac))
    }

    /// Who bears a token. Nothing of the payload is looked at before the MAC was found right, in constant time.
    pub fn read(&self, token: &[u8], now_ms: i64) -> Result<Claims, Refusal> {
        let claims = self.verified(token).filter(|claims| claims.tenant == Tenant::MAIN.name);
        let claims = claims.ok_or(Refusal::Bad)?;
        if now_ms < claims.expires_ms { Ok(claims) } else { Err(Refusal::Expired) }
    }

    fn verified(&self, token: &[u8]) -> Option<Claims> {
        let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= TOKEN_BYTES_MAX)?;
        let (signed, mac) = token.rsplit_once('.')?;
        let payload = signed.strip_prefix(PREFIX)?;
        let mac = Base64UrlUnpadded::decode_vec(mac).ok()?;
        self.mac(signed).verify_slice(&mac).ok()?;
        serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: i64 = 1_795_435_200_000;

    #[test]
    fn a_token_says_who_bears_it_until_it_expires() {
        let key = TokenKey::new(&[7; 32]);
        for participant in
            ["ada", "\u{5c0f}\u{5085}\u{54e5}", "a \"quoted\" \\ name", &"\u{1f600}".repeat(128)]
        {
            let token = key.mint(participant, NOON_MS).expect("a token");
            let claims = Claims {
                tenant: "main".to_owned(),
                participant: participant.to_owned(),
                expires_ms: NOON_MS,
            };
            assert_eq!(key.read(token.as_bytes(), NOON_MS - 1), Ok(claims));
            assert_eq!(key.read(token.as_bytes(), NOON_MS), Err(Refusal::Expired));
        }
    }

    #[test]
    fn whatever_is_no_token_of_ours_is_refused() {
        let key = TokenKey::new(&[7; 32]);
        let good = key.mint("ada", NOON_MS).expect("a token");
        let (signed, mac) = good.rsplit_once('.').expect("a mac");
        let signed_with = |payload: &str| key.sign(payload.as_bytes());
        let cases: Vec<Vec<u8>> = vec![
            b"".to_vec(),
            b"fgp1".to_vec(),
            b"fgp1.".to_vec(),
            b"fgp1..".to_vec(),
            b"fgp1...".to_vec(),
            b"fgp1.\xff\xfe.\xff".to_vec(),
            good[..good.len() - 1].into(),
            format!("{good}A").into(),
            format!("{good}=").into(),
            format!("{good}.").into(),
            format!("{signed}.").into(),
            format!("{signed}.{}", &mac[..20]).into(),
            format!("{signed}.{}", "A".repeat(43)).into(),
            format!("{signed}.{}", "A".repeat(5000)).into(),
            format!("{}.{mac}", signed.replace("fgp1", "fgp2")).into(),
            format!("{}.{mac}", signed.to_ascii_uppercase()).into(),
            format!("fgp1.{}.{mac}", Base64UrlUnpadded::encode_string(b"{}")).into(),
            TokenKey::new(&[8; 32]).mint("ada", NOON_MS).expect("a token").into(),
            signed_with("").into(),
            signed_with("{}").into(),
            signed_with("[1]").into(),
            signed_with(&"[".repeat(1000)).into(),
            signed_with(r#"{"tenant":"other","participant":"ada","expires_ms":1795435200000}"#).into(),
            signed_with(r#"{"tenant":"main","participant":"ada","expires_ms":1e300}"#).into(),
            signed_with(r#"{"tenant":"main","participant":"ada","expires_ms":1,"role":"admin"}"#).into(),
        ];
        for case in cases {
            assert_eq!(key.read(&case, 0), Err(Refusal::Bad), "{}", String::from_utf8_lossy(&case));
        }
        // Every single byte counts.
        for place in 0..good.len() {
            let mut forged = good.clone().into_bytes();
            forged[place] ^= 1;
            assert_eq!(key.read(&forged, 0), Err(Refusal::Bad), "byte {place}");
        }
    }
}
