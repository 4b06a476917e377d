//! Checks of [`Outbound`].

use async_trait::async_trait;

use crate::ports::outbound::{Call, Outbound, Outcome, Secret, Verb};

/// What the other side does with the next call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answers a status, with a header where one is given.
    Answer(u16, Option<(&'static str, String)>),
    /// Takes the call and closes the connection without a word.
    Drop,
    /// Takes the call and says nothing for longer than a call may take.
    Hang,
    /// Answers a status and a header that never ends.
    Babble,
    /// Nobody listens.
    Away,
}

/// A call as the other side heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The other side.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// An address at which the next call meets this reply.
    async fn expect(&self, reply: Reply) -> String;
    /// What was heard since this was last asked.
    fn heard(&self) -> Vec<Heard>;
    /// What the signature of a call must be, by a second implementation.
    fn signature(&self, secrets: &[Secret], heard: &Heard) -> String;
}

/// All clauses of the contract but the fourth's length of time. `denied` is an address that is not allowed.
///
/// # Panics
/// When the adapter breaks one.
pub async fn check(outbound: &dyn Outbound, receiver: &dyn Receiver, denied: &str) {
    let secrets = vec![Secret(vec![7; 32]), Secret(vec![8; 24])];
    let call = |url: String, verb| Call {
        verb,
        url,
        effect: "award.granted/1".to_owned(),
        at_ms: 1_795_435_200_999,
        secrets: secrets.clone(),
        body: if verb == Verb::Ask { vec![] } else { b"{\"prize\":\"car\"}".to_vec() },
    };
    for verb in [Verb::Deliver, Verb::Ask] {
        for (reply, expected, is_heard) in [
            (Reply::Answer(200, None), "taken", true),
            (Reply::Answer(204, None), "taken", true),
            (Reply::Answer(301, Some(("location", "http://127.0.0.1/".to_owned()))), "refused 301", true),
            (Reply::Answer(400, None), "refused 400", true),
            (Reply::Answer(404, None), "refused 404", true),
            (Reply::Answer(410, None), "refused 410", true),
            (Reply::Answer(408, None), "failed None", true),
            (Reply::Answer(425, None), "failed None", true),
            (Reply::Answer(429, Some(("retry-after", "30".to_owned()))), "failed Some(30)", true),
            (Reply::Answer(503, Some(("retry-after", "soon".to_owned()))), "failed None", true),
            (Reply::Answer(500, None), "unknown", true),
            (Reply::Answer(502, None), "unknown", true),
            (Reply::Drop, "unknown", true),
            (Reply::Hang, "unknown", true),
            (Reply::Babble, "unknown", true),
            (Reply::Away, "failed None", false),
        ] {
            let sent = call(receiver.expect(reply.clone()).await, verb);
            let told = match outbound.call(&sent).await {
                Outcome::Taken => "taken".to_owned(),
                Outcome::Refused { status, .. } => format!("refused {}", status.unwrap_or_default()),
                Outcome::Failed { retry_seconds, .. } => format!("failed {retry_seconds:?}"),
                Outcome::Unknown { .. } => "unknown".to_owned(),
            };
            assert_eq!(told, expected, "{reply:?}");
            let heard = receiver.heard();
            assert_eq!(heard.len(), usize::from(is_heard), "{reply:?}: once, or not at all");
            for heard in heard {
                assert_eq!((&heard.id, &heard.body), (&sent.effect, &sent.body), "{reply:?}");
                assert_eq!(heard.timestamp, "1795435200", "seconds");
                assert_eq!(heard.signature, receiver.signature(&secrets, &heard), "{reply:?}");
            }
        }
        let outcome = outbound.call(&call(denied.to_owned(), verb)).await;
        assert!(matches!(outcome, Outcome::Refused { status: None, .. }), "{outcome:?}");
    }
}
