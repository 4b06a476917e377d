//! The product as another process: started, asked, measured, ended. Benches and trials use it; `why` asks with it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::load::{Args, Report, Target};
use crate::serve::bound_address;

/// A server in a process of its own.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that may do everything.
    pub key: String,
}

impl Server {
    /// Starts `program serve` on a free port and a data folder, with more of an environment. Its log goes to `log`.
    pub fn start(
        program: &Path,
        data: &Path,
        log: &Path,
        environment: &[(&str, String)],
    ) -> Result<Self, String> {
        let log_file = std::fs::File::options().create(true).append(true).open(log);
        let log_file = log_file.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let Some(address) = bound_address(&line) else {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            let told = std::fs::read_to_string(log).unwrap_or_default();
            return Err(format!("the server did not start: {}", told.trim()));
        };
        let mut server = Self { child, address, key: String::new() };
        let key = std::fs::read_to_string(data.join("admin.key")).map_err(|error| error.to_string())?;
        server.key = key.trim().to_owned();
        Ok(server)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(mut self) -> Result<(), String> {
        self.child.kill().and_then(|()| self.child.wait()).map(|_| ()).map_err(|error| error.to_string())
    }

    /// Ends it with SIGTERM; answers whether it ended well.
    pub fn terminate(mut self) -> Result<bool, String> {
        let kill = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        kill.map_err(|error| format!("cannot run kill: {error}"))?;
        self.child.wait().map(|status| status.success()).map_err(|error| error.to_string())
    }

    /// Processor time it used, in seconds: user and system.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // After the name in parentheses; fields 14 and 15 of the whole, in ticks of 1/100 s.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 =
            rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        ticks as f64 / 100.0
    }

    /// The most memory it ever held, in MiB.
    pub fn memory_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(0.0) / 1024.0
    }

    /// Asks it something, on a connection of its own.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let bearer = format!("Bearer {}", self.key);
        let all: Vec<(&str, &str)> =
            [("authorization", bearer.as_str())].iter().chain(headers).copied().collect();
        ask(self.address, method, path, &all, body.into()).await
    }

    /// Publishes a document.
    pub async fn publish(&self, raffle: &str, document: &str) -> Result<(), String> {
        let headers = [("content-type", "application/yaml"), ("idempotency-key", "publish-1")];
        let path = format!("/api/v1/raffles/{raffle}/versions");
        let answer = self.ask("POST", &path, &headers, document.to_owned()).await?;
        if answer.status == StatusCode::CREATED { Ok(()) } else { Err(answer.text()) }
    }

    /// Arguments for a load on this server.
    pub fn load(&self, raffle: &str, target: Target, prefix: &str, seconds: f64) -> Args {
        Args {
            address: self.address,
            key: self.key.clone(),
            raffle: raffle.to_owned(),
            target,
            seconds,
            connections: 512,
            participants: 100_000,
            first: 0,
            prefix: prefix.to_owned(),
            rate: None,
            acks: None,
        }
    }
}

/// A server that nobody ended, because something went wrong, ends here.
impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already in every case but that one.
        self.child.kill().and_then(|()| self.child.wait()).map(|_| ()).unwrap_or_default();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: hyper::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("{error}: {}", self.text()))
    }
}

/// Asks a server something.
pub async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer, String> {
    let told = |error: &dyn std::error::Error| format!("{method} {path}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| told(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).map_err(|error| told(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Answer { status: parts.status, headers: parts.headers, body })
    };
    let connection = async {
        connection.await.unwrap_or_default();
        std::future::pending().await
    };
    tokio::select! {
        answer = exchange => answer.map_err(|error| told(&error)),
        () = connection => Err(told(&std::io::Error::other("the connection ended"))),
    }
}

/// A load in a process of its own. It ends by itself, with its time or with its server.
pub struct Load(Option<Child>);

impl Load {
    /// Starts `program bench load`.
    pub fn start(program: &Path, args: &Args) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["bench", "load"]);
        let mut add = |name: &str, value: String| {
            command.args([format!("--{name}"), value]);
        };
        add("address", args.address.to_string());
        add("key", args.key.clone());
        add("raffle", args.raffle.clone());
        add("target", args.target.word().to_owned());
        add("seconds", args.seconds.to_string());
        add("connections", args.connections.to_string());
        add("participants", args.participants.to_string());
        add("first", args.first.to_string());
        add("prefix", args.prefix.clone());
        if let Some(rate) = args.rate {
            add("rate", rate.to_string());
        }
        if let Some(acks) = &args.acks {
            add("acks", acks.display().to_string());
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child
            .map(|child| Self(Some(child)))
            .map_err(|error| format!("cannot start {}: {error}", program.display()))
    }

    /// Waits until it ends; answers what it saw.
    pub fn finish(mut self) -> Result<Report, String> {
        let child = self.0.take().ok_or("the load has ended before")?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("the load said nothing sensible: {error}"))
    }
}

/// A load that nobody waited for, because something went wrong, ends here.
impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().and_then(|()| child.wait()).map(|_| ()).unwrap_or_default();
        }
    }
}

/// This program, to be started again as another process.
pub fn this_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))
}
