//! Sends spans to an endpoint by OTLP over HTTP. What cannot be sent waits within a limit and is then dropped: no request
//! ever waits for a trace.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Uri;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::{Counts, Span, otlp};

/// Spans in one request at the most.
const SPANS_MAX: usize = 1024;
/// Time between two requests, in milliseconds, while less than a full one has gathered.
const PACE_MS: u64 = 1_000;
/// Longest time for one request, in seconds.
const SEND_SECONDS: u64 = 5;

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

impl Endpoint {
    /// Reads an address such as `http://127.0.0.1:4318`; `/v1/traces` is added to it, as OTLP has it. What is wrong is a
    /// sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("telemetry.otlp_endpoint is `{text}`: {why}; it is written like http://127.0.0.1:4318")
        };
        let uri: Uri = text.parse().map_err(|_| wrong("that is no address"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong("spans leave over plain HTTP only, to a collector beside this process"));
            }
            Some(_) | None => return Err(wrong("it does not begin with http://")),
        }
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?.to_owned();
        let path = format!("{}/v1/traces", uri.path().trim_end_matches('/'));
        Ok(Self { host, port: uri.port_u16().unwrap_or(4318), path })
    }
}

/// Why spans were not taken.
enum Untaken {
    /// Another time they may be.
    NotNow(String),
    /// They never will.
    Never(String),
}

/// Carries spans to an endpoint.
pub struct Exporter {
    /// Where to.
    pub endpoint: Endpoint,
    /// The name of this service among others.
    pub service: String,
    /// What became of the spans.
    pub counts: Arc<Counts>,
    /// The spans.
    pub spans: Receiver<Span>,
}

impl Exporter {
    /// Sends until `stop` is true, then what is left.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pace = tokio::time::interval(Duration::from_millis(PACE_MS));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut gathered, mut stopping, mut away) = (Vec::new(), false, false);
        while !stopping {
            let space = SPANS_MAX - gathered.len();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => stopping = true,
                _ = pace.tick() => {}
                _ = self.spans.recv_many(&mut gathered, space), if space > 0 => {
                    if gathered.len() < SPANS_MAX {
                        continue;
                    }
                }
            }
            self.send(&mut gathered, &mut away).await;
        }
        while gathered.is_empty() && self.spans.try_recv().map(|span| gathered.push(span)).is_ok() {
            while gathered.len() < SPANS_MAX && self.spans.try_recv().map(|span| gathered.push(span)).is_ok()
            {
            }
            self.send(&mut gathered, &mut away).await;
        }
        self.counts.dropped.fetch_add(gathered.len() as u64, Ordering::Relaxed);
    }

    /// Sends what was gathered. What is not taken now stays.
    async fn send(&self, gathered: &mut Vec<Span>, away: &mut bool) {
        if gathered.is_empty() {
            return;
        }
        let count = gathered.len() as u64;
        match self.post(gathered).await {
            Ok(()) => {
                *away = false;
                self.counts.sent.fetch_add(count, Ordering::Relaxed);
                gathered.clear();
            }
            Err(Untaken::NotNow(why)) => {
                // Once for as long as it lasts: a collector may be away for hours.
                if !*away {
                    tracing::warn!(why, "spans wait for their endpoint");
                }
                *away = true;
            }
            Err(Untaken::Never(why)) => {
                tracing::warn!(why, spans = count, "the endpoint refused spans");
                self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                gathered.clear();
            }
        }
    }

    async fn post(&self, spans: &[Span]) -> Result<(), Untaken> {
        let body = otlp::body(&self.service, spans).map_err(|error| Untaken::Never(error.to_string()))?;
        let Endpoint { host, port, path } = &self.endpoint;
        let request = Request::post(path)
            .header(header::HOST, format!("{host}:{port}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Untaken::Never(error.to_string()))?;
        let exchange = exchange((host.trim_matches(['[', ']']), *port), request);
        let status = match tokio::time::timeout(Duration::from_secs(SEND_SECONDS), exchange).await {
            Ok(answered) => answered.map_err(Untaken::NotNow)?,
            Err(_) => return Err(Untaken::NotNow(format!("no answer within {SEND_SECONDS} s"))),
        };
        // Which statuses may be tried again: <https://opentelemetry.io/docs/specs/otlp/#failures-1>.
        match status.as_u16() {
            200..=299 => Ok(()),
            429 | 502 | 503 | 504 => Err(Untaken::NotNow(format!("it answers {status}"))),
            _ => Err(Untaken::Never(format!("it answers {status}"))),
        }
    }
}

async fn exchange(address: (&str, u16), request: Request<Full<Bytes>>) -> Result<StatusCode, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let connection = async {
        connection.await.unwrap_or_default();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = sender.send_request(request) => {
            answer.map(|answer| answer.status()).map_err(|error| error.to_string())
        }
        () = connection => Err("the connection ended".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_or_a_sentence() {
        let at = |host: &str, port, path: &str| {
            Ok(Endpoint { host: host.to_owned(), port, path: path.to_owned() })
        };
        for (text, expected) in [
            ("http://127.0.0.1:4318", at("127.0.0.1", 4318, "/v1/traces")),
            ("http://collector/", at("collector", 4318, "/v1/traces")),
            ("http://collector:80/otlp/", at("collector", 80, "/otlp/v1/traces")),
            ("http://[::1]:4318", at("[::1]", 4318, "/v1/traces")),
            ("https://collector", Err("plain HTTP only")),
            ("collector:4318", Err("does not begin with http://")),
            ("", Err("no address")),
        ] {
            match (Endpoint::parse(text), expected) {
                (found, Ok(expected)) => assert_eq!(found, Ok(expected), "{text}"),
                (found, Err(part)) => {
                    let told = found.expect_err("wrong");
                    assert!(told.contains(part), "{told}");
                }
            }
        }
    }
}
