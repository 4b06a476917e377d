//! `fairground why`: the story of a draw, from a server or from a store that no server holds open.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use crate::bench::process::ask;
use crate::config::Config;
use crate::http::explain::StoryView;
use crate::terminal::{Outcome, print, print_json, runtime};
use crate::wiring::Archive;

/// Which draw, and where it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The draw's id.
    draw: String,
    /// The server that made it, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", requires = "key_file", required_unless_present = "data")]
    server: Option<String>,
    /// The file that holds an API key of that server.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The data folder of a server that is not running.
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the story of a draw. `config` says where a store's keys are.
pub(crate) fn run(args: &Args, mut config: Config) -> Outcome {
    let story = runtime()?.block_on(async {
        match (&args.server, &args.key_file, &args.data) {
            (Some(server), Some(key_file), _) => from_server(server, key_file, &args.draw).await,
            (_, _, Some(data)) => {
                config.store.data.clone_from(data);
                from_store(&config, &args.draw).await
            }
            _ => Err("say --server and --key-file, or --data".to_owned()),
        }
    })?;
    if args.json {
        return print_json(&story).map(|()| true);
    }
    let sentences = story["sentences"].as_array().into_iter().flatten();
    let lines = sentences.filter_map(|sentence| sentence["told"].as_str());
    print(&lines.map(|line| format!("{line}\n")).collect::<String>()).map(|()| true)
}

async fn from_store(config: &Config, draw: &str) -> Result<Value, String> {
    let archive = Archive::open(config).await.map_err(|error| error.to_string())?;
    let story = StoryView::of(&archive.raffles, draw).await;
    archive.close().await;
    serde_json::to_value(story.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

async fn from_server(server: &str, key_file: &Path, draw: &str) -> Result<Value, String> {
    if draw.is_empty() || !draw.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("there is no draw {draw}"));
    }
    let key = std::fs::read_to_string(key_file)
        .map_err(|error| format!("cannot read {}: {error}", key_file.display()))?;
    let bearer = format!("Bearer {}", key.trim());
    let path = format!("/api/v1/draws/{draw}/explain");
    let answer = ask(address(server)?, "GET", &path, &[("authorization", &bearer)], Bytes::new()).await?;
    let body = answer.json()?;
    if answer.status.is_success() {
        return Ok(body);
    }
    Err(body["detail"].as_str().map_or_else(|| answer.text(), str::to_owned))
}

/// The address of a server by its URL. What stands before it to speak TLS is asked by its inner address.
pub(crate) fn address(server: &str) -> Result<SocketAddr, String> {
    let told = |why: &str| format!("--server {server}: {why}");
    let host = server.strip_prefix("http://").ok_or_else(|| told("write it as http://HOST:PORT"))?;
    let host = host.trim_end_matches('/');
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut found = host.to_socket_addrs().map_err(|error| told(&error.to_string()))?;
    found.next().ok_or_else(|| told("it has no address"))
}
