//! [`Outbound`] over HTTP/1.1: a connection for each call, to an address that was looked at.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use kernel::ports::outbound::{Call, Outbound, Outcome, Verb};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::policy::{Policy, Target};
use crate::signature::signature;

/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most headers of an answer.
const HEADERS_MAX: usize = 64;
/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Why no calls can be made.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// A file of certificates cannot be read.
    #[error("cannot read certificates from {path}: {told}")]
    Certificates {
        /// Which file.
        path: String,
        /// What is wrong.
        told: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// Makes calls.
pub struct Caller {
    policy: Policy,
    tls: TlsConnector,
}

/// What went wrong before anything of the call was sent.
enum Early {
    /// It may not go there.
    Denied(String),
    /// It could not get there.
    Away(String),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Caller {
    /// Calls under a policy. Servers are known by the certificates of this machine, and by those in a file of PEM where one
    /// is given.
    pub fn new(policy: Policy, more_certificates: Option<&Path>) -> Result<Self, SetUpError> {
        let mut roots = RootCertStore::empty();
        // A machine without certificates can still make calls without TLS, inside.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = more_certificates {
            let wrong = |told: String| SetUpError::Certificates { path: path.display().to_string(), told };
            let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
            for certificate in read {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        let ring = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
        let config = config.map_err(|error| SetUpError::Tls(error.to_string()))?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { policy, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Where calls may go.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Connects to one of the addresses that a host has and that may be connected to.
    async fn connect(&self, target: &Target) -> Result<Box<dyn Stream>, Early> {
        let found = lookup_host((target.host.as_str(), target.port)).await;
        let found = found.map_err(|error| Early::Away(format!("cannot resolve {}: {error}", target.host)))?;
        let mut denied = None;
        let mut allowed: Vec<SocketAddr> = Vec::new();
        for address in found {
            match self.policy.admit_address(target, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(told) => denied = Some(told),
            }
        }
        if let (true, Some(told)) = (allowed.is_empty(), denied) {
            return Err(Early::Denied(told));
        }
        allowed.truncate(ADDRESSES_MAX);
        let stream = connect_any(&allowed, self.policy.connect_time).await.map_err(Early::Away)?;
        self.encrypt(target, stream).await
    }

    async fn encrypt(&self, target: &Target, stream: TcpStream) -> Result<Box<dyn Stream>, Early> {
        if !target.is_encrypted {
            return Ok(Box::new(stream));
        }
        let name =
            ServerName::try_from(target.host.clone()).map_err(|error| Early::Denied(error.to_string()))?;
        let agreed = self.tls.connect(name, stream).await;
        agreed.map(|stream| Box::new(stream) as _).map_err(|error| Early::Away(format!("no TLS: {error}")))
    }

    async fn whole_call(&self, call: &Call, is_sent: &mut bool) -> Outcome {
        let target = match self.policy.admit(&call.url) {
            Ok(target) => target,
            Err(fault) => return Outcome::Refused { status: None, fault },
        };
        let connected = tokio::time::timeout(self.policy.connect_time, self.connect(&target)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(Early::Denied(fault))) => return Outcome::Refused { status: None, fault },
            Ok(Err(Early::Away(fault))) => return Outcome::Failed { fault, retry_seconds: None },
            Err(_) => {
                let fault = format!("no connection within {:?}", self.policy.connect_time);
                return Outcome::Failed { fault, retry_seconds: None };
            }
        };
        let request = match request(call, &target) {
            Ok(request) => request,
            Err(error) => return Outcome::Refused { status: None, fault: error.to_string() },
        };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        let (mut sender, connection) = match builder.handshake(TokioIo::new(stream)).await {
            Ok(shaken) => shaken,
            Err(error) => return Outcome::Failed { fault: error.to_string(), retry_seconds: None },
        };
        let connection = async {
            connection.await.unwrap_or_default();
            std::future::pending::<()>().await;
        };
        *is_sent = true;
        tokio::select! {
            biased;
            // The body of the answer is never read: the status says all that there is to know.
            answer = sender.send_request(request) => match answer {
                Ok(answer) => judge(answer.status(), answer.headers()),
                Err(error) => Outcome::Unknown { fault: format!("no answer: {error}") },
            },
            () = connection => Outcome::Unknown { fault: "the connection ended".to_owned() },
        }
    }
}

/// Connects to the first of several addresses that answers. Each has its share of the time: one that swallows everything
/// leaves enough for the next, and for TLS.
async fn connect_any(addresses: &[SocketAddr], connect_time: Duration) -> Result<TcpStream, String> {
    let shares = u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
    let share = if addresses.len() > 1 { connect_time / shares } else { connect_time };
    let mut away = "the host has no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => away = format!("cannot connect to {address}: {error}"),
            Err(_) => away = format!("no connection to {address} within {share:?}"),
        }
    }
    Err(away)
}

fn request(call: &Call, target: &Target) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let timestamp = call.at_ms.div_euclid(1000);
    let method = match call.verb {
        Verb::Deliver => Method::POST,
        Verb::Ask => Method::GET,
    };
    let request = Request::builder()
        .method(method)
        .uri(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, concat!("fairground/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &call.effect)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature(&call.secrets, &call.effect, timestamp, &call.body));
    let request = match call.verb {
        Verb::Deliver => request.header(CONTENT_TYPE, "application/json"),
        Verb::Ask => request,
    };
    request.body(Full::new(Bytes::copy_from_slice(&call.body)))
}

/// What an answer says.
fn judge(status: StatusCode, headers: &HeaderMap) -> Outcome {
    let fault = format!("the answer was {status}");
    match status.as_u16() {
        200..=299 => Outcome::Taken,
        408 | 425 | 429 | 503 => {
            let told = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            Outcome::Failed { fault, retry_seconds: told.and_then(|seconds| seconds.trim().parse().ok()) }
        }
        500..=599 => Outcome::Unknown { fault },
        status => Outcome::Refused { status: Some(status), fault },
    }
}

#[async_trait]
impl Outbound for Caller {
    async fn call(&self, call: &Call) -> Outcome {
        let mut is_sent = false;
        let answer = tokio::time::timeout(self.policy.total_time, self.whole_call(call, &mut is_sent)).await;
        answer.unwrap_or_else(|_| {
            let fault = format!("no answer within {:?}", self.policy.total_time);
            if is_sent { Outcome::Unknown { fault } } else { Outcome::Failed { fault, retry_seconds: None } }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpSocket;

    /// A server whose queue is full: whoever connects is not answered.
    #[tokio::test]
    async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let full = socket.listen(1).expect("listening");
        let swallows = full.local_addr().expect("an address");
        let mut queued = Vec::new();
        while let Ok(stream) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(swallows)).await
        {
            queued.push(stream);
        }
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let answers = open.local_addr().expect("an address");
        let whole = Duration::from_millis(900);
        let addresses = [swallows, answers];
        let call = tokio::time::timeout(whole, connect_any(&addresses, whole));
        let stream = call.await.expect("within the time of the call").expect("a connection");
        assert_eq!(stream.peer_addr().expect("an address"), answers);
        let told = connect_any(&[swallows], Duration::from_millis(100)).await.expect_err("no connection");
        assert!(told.contains("within 100ms"), "{told}");
    }
}
