//! `fairground serve`: every role in one process.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kernel::hex::hex;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Config, ConfigError};
use crate::http::auth::Keys;
use crate::http::limits::Rates;
use crate::http::listener::{self, Limits};
use crate::http::request::Numbering;
use crate::http::{App, Edge, router};
use crate::secrets::{self, SecretError};
use crate::token::TokenKey;
use crate::wiring::{House, Ports, WiringError};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or no address at all.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// Why, in words.
        reason: String,
    },
    /// The product cannot be put together.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// The configuration was not read from a file, and is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no key to call with.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Something of the operating system is not to be had.
    #[error("cannot {doing}: {source}")]
    System {
        /// What we were doing.
        doing: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// A server that has its address, and is not yet serving.
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that may do everything, and its file; `None` where keys are configured.
    pub admin_key: Option<(String, PathBuf)>,
    listener: TcpListener,
    house: House,
    app: Arc<App>,
    edge: Edge,
    limits: Limits,
}

async fn listen(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| {
        use std::io::ErrorKind;
        let reasons = [
            (
                ErrorKind::AddrInUse,
                "another program is using it; choose another with --listen, for example --listen 127.0.0.1:0",
            ),
            (ErrorKind::PermissionDenied, "this user may not; ports below 1024 need more rights"),
            (ErrorKind::InvalidInput, "it is no address and port, such as 127.0.0.1:8080"),
        ];
        let known = reasons.iter().find(|(kind, _)| *kind == error.kind());
        let reason = known.map_or_else(|| error.to_string(), |(_, reason)| (*reason).to_owned());
        ServeError::Listen { address: address.to_owned(), reason }
    })
}

impl Ready {
    /// Takes the address, opens the store and puts the product together.
    pub async fn open(config: &Config, ports: Ports) -> Result<Self, ServeError> {
        let listener = listen(&config.server.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|source| ServeError::System { doing: "read the bound address", source })?;
        let entropy = Arc::clone(&ports.entropy);
        let house = House::open(config, ports).await?;
        let (keys, admin_key) = if config.auth.keys.is_empty() {
            let file = config.store.data.join("admin.key");
            let key = hex(&secrets::read_or_make(&file, true, &*entropy)?);
            (Keys::admin(&key), Some((key, file)))
        } else {
            (Keys::configured(&config.auth.keys), None)
        };
        let token_file =
            config.auth.token_key_file.clone().unwrap_or_else(|| config.store.data.join("token.key"));
        let tokens = TokenKey::new(&secrets::read_or_make(&token_file, true, &*entropy)?);
        let seconds = |seconds: std::num::NonZeroU32| Duration::from_secs(seconds.get().into());
        let switches = Arc::clone(&house.switches);
        let eye = Box::new(move || switches.seen());
        let app = Arc::new(App {
            raffles: house.raffles.clone(),
            awards: house.awards.clone(),
            ledger: house.ledger.clone(),
            campaigns: house.campaigns.clone(),
            exchange: config.ledger.rates()?,
            experiments: house.experiments.clone(),
            policy: config.outbound.policy().map_err(WiringError::from)?,
            chronicle: Arc::clone(&house.chronicle),
            audit: house.audit.clone(),
            errands: Arc::clone(&house.errands),
            pulses: Arc::clone(&house.pulses),
            clock: Arc::clone(&house.clock),
            keys,
            switches: Arc::clone(&house.switches),
            rates: Rates::configured(&config.limits, eye, tokens.clone()),
            tokens,
            request_time: seconds(config.server.request_seconds),
            requests: Numbering::new(house.clock.now_ms()),
            metrics: Arc::clone(&house.metrics),
            traces: house.traces.clone(),
        });
        let edge = Edge { body_bytes_max: config.server.body_bytes_max.get(), noop: config.server.noop };
        let limits = Limits {
            connections: config.server.connections_max.get(),
            header_time: seconds(config.server.header_seconds),
            drain_time: seconds(config.server.drain_seconds),
        };
        Ok(Self { address, admin_key, listener, house, app, edge, limits })
    }

    /// The product behind the listener.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// Serves until `stop` turns true, then drains and closes.
    pub async fn serve(self, stop: watch::Receiver<bool>) {
        listener::serve(self.listener, router(self.app, self.edge), self.limits, stop).await;
        self.house.close().await;
    }
}

/// Turns true at SIGTERM or SIGINT. The future must be awaited beside the server.
pub fn stop_at_signal() -> Result<(watch::Receiver<bool>, impl Future<Output = ()>), ServeError> {
    let catch =
        |kind| signal(kind).map_err(|source| ServeError::System { doing: "listen for signals", source });
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    let (send, stop) = watch::channel(false);
    let wait = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Nobody listens when the server has ended by itself.
        send.send(true).unwrap_or_default();
        std::future::pending::<()>().await;
    };
    Ok((stop, wait))
}

/// Serves until a signal comes. Prints the bound address on a line of its own, for programs to read.
pub async fn run(ready: Ready) -> Result<(), ServeError> {
    let (stop, signals) = stop_at_signal()?;
    let mut out = std::io::stdout();
    let printed = writeln!(out, "listening on http://{}", ready.address).and_then(|()| out.flush());
    printed.map_err(|source| ServeError::System { doing: "print the bound address", source })?;
    tokio::select! {
        () = ready.serve(stop) => {}
        () = signals => {}
    }
    Ok(())
}

/// The address that a started server printed.
pub(crate) fn bound_address(line: &str) -> Option<SocketAddr> {
    line.trim().strip_prefix("listening on http://")?.parse().ok()
}
