//! Requests as bytes, for what no client would send.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request, of which every part may be wrong.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The method.
    pub method: String,
    /// The path and query, as they are sent.
    pub target: String,
    /// The headers, besides those of the connection and the body's length.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Raw {
    /// The same with another header in place of those of its name; `None` takes it away.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<&[u8]>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.extend(value.map(|value| (name, value.to_vec())));
        self
    }

    /// The same with another body.
    #[must_use]
    pub fn saying(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same, sent elsewhere.
    #[must_use]
    pub fn to(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: localhost\r\n", self.method, self.target).into_bytes();
        bytes.extend(format!("connection: close\r\ncontent-length: {}\r\n", self.body.len()).bytes());
        for (name, value) in &self.headers {
            bytes.extend(name.bytes().chain(*b": "));
            bytes.extend(value.iter().chain(b"\r\n"));
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }

    /// Sends it; answers what came back.
    pub async fn send(&self, address: SocketAddr) -> Reply {
        let bytes = exchange(address, self.bytes(), false).await;
        let reply = Reply::read(&bytes);
        assert!(reply.is_some(), "{} {}: {}", self.method, self.target, String::from_utf8_lossy(&bytes));
        reply.expect("an answer")
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Reads an answer that is whole; `None` where it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let header = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        Some(Self { status, headers: lines.filter_map(header).collect(), body: bytes[end + 4..].to_vec() })
    }
}

/// Sends bytes and reads until the other side is done, which must not take long. `ends` tells it that no more will come.
pub async fn exchange(address: SocketAddr, bytes: Vec<u8>, ends: bool) -> Vec<u8> {
    let (mut reading, mut writing) = TcpStream::connect(address).await.expect("a connection").into_split();
    let mut read = Vec::new();
    let write = async {
        // The other side may have said no before the end of a long body; what it said is read all the same.
        let sent = writing.write_all(&bytes).await;
        if ends && sent.is_ok() {
            drop(writing.shutdown().await);
        }
    };
    let both = async { tokio::join!(write, reading.read_to_end(&mut read)) };
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    let ended = tokio::time::timeout(Duration::from_secs(60), both).await;
    assert!(ended.is_ok(), "no end to the answer to {shown}");
    read
}
