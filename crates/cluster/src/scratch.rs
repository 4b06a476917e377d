//! A MariaDB server for trials: in a temporary folder, on a free port of this machine, ended with whoever started it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a trial speaks by panicking"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tempfile::TempDir;

use crate::mariadb::Address;

/// The password of the one user.
pub const PASSWORD: &str = "p@ss:w/rd";

/// What a server keeps when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// Each commit is on the disk before it is answered.
    Durable,
    /// Commits are written in the background: quick, and for trials in which no server dies.
    Relaxed,
}

/// Makes a data folder: the tables of a server, and one user. A server that starts clears away what others keep in its folder
/// for temporary tables, so that each has its own.
const BOOTSTRAP: &str = r#"
    PATH=$PATH:/usr/sbin; folder=$0
    command -v mariadbd >/dev/null || { echo "mariadbd is missing: make tools installs it"; exit 1; }
    for tables in /usr/share/mysql /usr/share/mariadb; do [ -e $tables/mysql_system_tables.sql ] && break; done
    [ "$(id -u)" = 0 ] && user=--user=root
    { printf 'CREATE DATABASE mysql;\nUSE mysql;\n'; cat $tables/mysql_system_tables.sql $tables/mysql_system_tables_data.sql
      printf "FLUSH PRIVILEGES;\nCREATE USER 'fairground'@'%%' IDENTIFIED BY '%s';\n" "$1"
      printf "GRANT ALL ON *.* TO 'fairground'@'%%';\n"; } |
    mariadbd --no-defaults --bootstrap $user --datadir="$folder/data" --tmpdir="$folder" --innodb-log-file-size=16M \
      --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=24M --skip-innodb-doublewrite 2>&1"#;

/// Runs the server until a line comes, or until whoever would send one is gone, and kills it by its id. The folder goes too,
/// unless the line says otherwise.
const RUN: &str = r#"
    PATH=$PATH:/usr/sbin; folder=$0
    [ "$(id -u)" = 0 ] && user=--user=root
    mariadbd --no-defaults $user --datadir="$folder/data" --tmpdir="$folder" --socket="$folder/socket" --port="$1" \
      --bind-address=127.0.0.1 --innodb-log-file-size=16M --innodb-buffer-pool-size=48M --performance-schema=off \
      --skip-name-resolve --skip-log-bin --max-connections=500 "--innodb-flush-log-at-trx-commit=$2" </dev/null &
    server=$!; exec 2>/dev/null
    read -r word
    kill -9 $server; wait $server 2>/dev/null
    [ "$word" = keep ] || rm -rf "$folder""#;

/// A server.
pub struct Server {
    folder: TempDir,
    commits: Commits,
    running: Option<Running>,
    port: u16,
    databases: AtomicU32,
}

struct Running {
    shell: Child,
    end: ChildStdin,
}

impl Running {
    /// Ends the server, and keeps its folder.
    fn kill(mut self) {
        self.end.write_all(b"keep\n").expect("a shell that listens");
        drop(self.end);
        assert!(self.shell.wait().expect("a shell that ends").success());
    }
}

impl Server {
    /// Starts a server on an empty folder.
    pub fn start(commits: Commits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("data")).expect("a data folder");
        let made = Command::new("sh").args(["-c", BOOTSTRAP]).arg(folder.path()).arg(PASSWORD).output();
        let made = made.expect("a shell");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        // Somebody else may take a free port before the server does; then another is tried.
        for _ in 0..8 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = free.expect("a free port").port();
            if let Some(running) = run(folder.path(), port, commits) {
                return Self { folder, commits, running: Some(running), port, databases: AtomicU32::new(0) };
            }
        }
        panic!("mariadbd does not start");
    }

    /// Kills the server: it gets no chance to write anything more.
    pub fn kill(&mut self) {
        self.running.take().expect("a server that runs").kill();
    }

    /// Starts it again, where it was, on what it had kept.
    pub fn restart(&mut self) {
        self.running =
            Some(run(self.folder.path(), self.port, self.commits).expect("a server that starts again"));
    }

    /// The address of a new, empty database, as text without its password.
    pub fn database(&self) -> String {
        let name = format!("trial_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.tell(&format!("CREATE DATABASE {name}"));
        format!("mysql://fairground@127.0.0.1:{}/{name}", self.port)
    }

    /// The address of a new, empty database.
    pub fn address(&self) -> Address {
        Address::parse(&self.database()).expect("an address").with_password(PASSWORD)
    }

    /// Runs a statement beside everything else.
    pub fn tell(&self, sql: &str) {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some("fairground"))
            .pass(Some(PASSWORD));
        let told = async {
            let mut connection = Conn::new(options).await?;
            connection.query_drop(sql).await?;
            connection.disconnect().await
        };
        // Whoever asks may stand in a runtime of their own.
        std::thread::scope(|scope| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let told = scope.spawn(move || runtime.block_on(told)).join().expect("a thread");
            told.unwrap_or_else(|error| panic!("{sql}: {error}"));
        });
    }
}

/// The server that all trials of a process share. It is ended with the process, whichever way that goes.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(Commits::Relaxed))
}

/// Runs the server; `None` where it ends at once.
fn run(folder: &Path, port: u16, commits: Commits) -> Option<Running> {
    let flush = if commits == Commits::Durable { "1" } else { "0" };
    let mut shell = Command::new("sh")
        .args(["-c", RUN])
        .arg(folder)
        .args([&port.to_string(), flush])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let end = shell.stdin.take().expect("its input");
    let mut lines = BufReader::new(shell.stderr.take().expect("its log")).lines();
    let is_ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("ready for connections"));
    // A log that nobody reads would hold up the server.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    let running = Running { shell, end };
    if is_ready {
        return Some(running);
    }
    running.kill();
    None
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}
