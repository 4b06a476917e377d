//! The adapter keeps the port's contract against real sockets, with TLS and without.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64ct::{Base64, Encoding};
use kernel::conformance::outbound::{Heard, Receiver, Reply, check};
use kernel::ports::outbound::{Call, Outbound, Outcome, Secret, Verb};
use outbound::caller::Caller;
use outbound::policy::Policy;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// Listens for one call after the other, each on a port of its own.
struct Server {
    tls: Option<TlsAcceptor>,
    heard: Arc<Mutex<Vec<Heard>>>,
    serving: Mutex<JoinSet<()>>,
}

impl Server {
    fn new(tls: Option<TlsAcceptor>) -> Self {
        Self { tls, heard: Arc::default(), serving: Mutex::default() }
    }

    fn encrypted() -> Self {
        let chain = CertificateDer::pem_file_iter(file("localhost.pem")).expect("a file");
        let chain: Vec<_> = chain.map(|one| one.expect("a certificate")).collect();
        let key = PrivateKeyDer::from_pem_file(file("localhost.key")).expect("a key");
        let ring = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key);
        Self::new(Some(TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")))))
    }
}

async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Heard {
    let mut bytes = Vec::new();
    let head_ends = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let mut buffer = [0; 4096];
    let at = loop {
        if let Some(at) = head_ends(&bytes) {
            break at;
        }
        let read = stream.read(&mut buffer).await.expect("bytes");
        assert!(read > 0, "the caller went away");
        bytes.extend(&buffer[..read]);
    };
    let head = String::from_utf8(bytes[..at].to_vec()).expect("a head");
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value).to_owned()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    let mut body = bytes.split_off(at + 4);
    while body.len() < length {
        let read = stream.read(&mut buffer).await.expect("bytes");
        body.extend(&buffer[..read]);
    }
    Heard {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
    }
}

async fn reply(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), reply: Reply) {
    match reply {
        Reply::Answer(status, header) => {
            let header = header.map_or_else(String::new, |(name, value)| format!("{name}: {value}\r\n"));
            let answer = format!("HTTP/1.1 {status} X\r\n{header}content-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("an answer");
        }
        Reply::Drop | Reply::Away => {}
        Reply::Hang => std::future::pending().await,
        Reply::Babble => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.expect("an answer");
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
        }
    }
}

#[async_trait]
impl Receiver for Server {
    async fn expect(&self, told: Reply) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (heard, tls) = (Arc::clone(&self.heard), self.tls.clone());
        let scheme = if tls.is_some() { "https" } else { "http" };
        if told != Reply::Away {
            self.serving.lock().expect("serving").spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                match tls {
                    None => {
                        let call = hear(&mut stream).await;
                        heard.lock().expect("heard").push(call);
                        reply(&mut stream, told).await;
                    }
                    Some(tls) => {
                        let mut stream = tls.accept(stream).await.expect("TLS");
                        let call = hear(&mut stream).await;
                        heard.lock().expect("heard").push(call);
                        reply(&mut stream, told).await;
                    }
                }
            });
        }
        format!("{scheme}://localhost:{port}/hook?a=b")
    }

    fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().expect("heard"))
    }

    /// HMAC as RFC 2104 writes it.
    fn signature(&self, secrets: &[Secret], heard: &Heard) -> String {
        let signed = secrets.iter().map(|secret| {
            let pad = |byte: u8| {
                let mut block = [byte; 64];
                block.iter_mut().zip(&secret.0).for_each(|(block, key)| *block ^= key);
                block
            };
            let text = [format!("{}.{}.", heard.id, heard.timestamp).as_bytes(), &heard.body].concat();
            let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
            let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
            format!("v1,{}", Base64::encode_string(&outer))
        });
        signed.collect::<Vec<_>>().join(" ")
    }
}

fn policy() -> Policy {
    Policy {
        networks: vec!["127.0.0.1/32".parse().expect("a network"), "::1/128".parse().expect("a network")],
        connect_time: Duration::from_secs(5),
        total_time: Duration::from_millis(700),
        ..Policy::default()
    }
}

const DENIED: &str = "https://127.0.0.2:1/";

#[tokio::test]
async fn calls_keep_the_contract() {
    let caller = Caller::new(policy(), None).expect("a caller");
    check(&caller, &Server::new(None), DENIED).await;
}

#[tokio::test]
async fn calls_over_tls_keep_the_contract() {
    let caller = Caller::new(policy(), Some(&file("authority.pem"))).expect("a caller");
    check(&caller, &Server::encrypted(), DENIED).await;
}

fn call(url: String) -> Call {
    let effect = "award.granted/1".to_owned();
    Call { verb: Verb::Deliver, url, effect, at_ms: 0, secrets: vec![], body: vec![] }
}

/// A name that leads to an address which is not allowed is refused, though the name says nothing of it.
#[tokio::test]
async fn what_counts_is_the_address_and_not_the_name() {
    let server = Server::encrypted();
    let url = server.expect(Reply::Answer(200, None)).await;
    let caller = Caller::new(Policy::default(), Some(&file("authority.pem"))).expect("a caller");
    let outcome = caller.call(&call(url)).await;
    assert!(
        matches!(&outcome, Outcome::Refused { status: None, fault } if fault.contains("not of the open internet")),
        "{outcome:?}"
    );
    assert_eq!(server.heard(), [], "nothing was sent");
}

/// A server that is not who it says it is hears nothing.
#[tokio::test]
async fn a_server_without_a_known_certificate_hears_nothing() {
    let server = Server::encrypted();
    let url = server.expect(Reply::Answer(200, None)).await;
    let caller = Caller::new(policy(), None).expect("a caller");
    let outcome = caller.call(&call(url)).await;
    assert!(matches!(&outcome, Outcome::Failed { fault, .. } if fault.contains("TLS")), "{outcome:?}");
    assert_eq!(server.heard(), []);
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_said_in_a_sentence() {
    let told = Caller::new(policy(), Some(&file("none.pem"))).err().map(|error| error.to_string());
    assert!(told.is_some_and(|told| told.starts_with("cannot read certificates from")));
}
