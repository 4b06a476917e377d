//! The trace that a caller is in: the header `traceparent` of W3C Trace Context, <https://www.w3.org/TR/trace-context/>.

use axum::http::HeaderMap;
use kernel::hex::from_hex;

/// Where in which trace a caller stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: [u8; 16],
    /// The caller's span in it.
    pub span: [u8; 8],
    /// Whether the caller keeps its spans.
    pub sampled: bool,
}

impl Context {
    /// The caller's context. One that cannot be read is as good as none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get("traceparent")?.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let [version_number] = lower_hex::<1>(version)?;
        // Later versions may append to what this one has.
        if version_number == 0xff || (version_number == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace, span, [flags]) = (lower_hex(trace)?, lower_hex(span)?, lower_hex(flags)?);
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) { None } else { from_hex(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let known = |sampled| {
            let (trace, span) = (from_hex(trace).expect("hex"), from_hex(span).expect("hex"));
            Some(Context { trace, span, sampled })
        };
        for (text, expected) in [
            (format!("00-{trace}-{span}-01"), known(true)),
            (format!("00-{trace}-{span}-00"), known(false)),
            (format!("00-{trace}-{span}-03"), known(true)),
            (format!("cc-{trace}-{span}-01-what-comes"), known(true)),
            (format!("00-{trace}-{span}-01-more"), None),
            (format!("ff-{trace}-{span}-01"), None),
            (format!("00-{}-{span}-01", "0".repeat(32)), None),
            (format!("00-{trace}-{}-01", "0".repeat(16)), None),
            (format!("00-{}-{span}-01", trace.to_uppercase()), None),
            (format!("00-{trace}-{span}"), None),
            (format!("00-{trace}0-{span}-01"), None),
            (String::new(), None),
        ] {
            assert_eq!(Context::parse(&text), expected, "{text}");
        }
    }
}
