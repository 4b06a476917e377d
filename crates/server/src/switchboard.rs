//! `fairground switches`: what a running server has turned off or holds back, and changing it, through its API.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench::process::ask;
use crate::terminal::{Outcome, print, print_json, runtime};
use crate::why::address;

/// Where the server is, and who asks.
#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// The server, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    server: String,
    /// The file that holds an API key of that server.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to do with switches.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Tell every switch, and what is set.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Set a switch in every process within a second.
    Set(Set),
}

/// A switch, and what to set it to.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// The switch's name, such as feature.draws.
    switch: String,
    /// true, false, a number, or a mode; `back` takes the setting back.
    value: String,
    /// Why: stands in the audit log.
    #[arg(long)]
    reason: String,
    /// For the API key of this name alone.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["participant", "route"])]
    key: Option<String>,
    /// For this participant alone. Say --version where a setting of theirs stands.
    #[arg(long, value_name = "NAME", conflicts_with = "route")]
    participant: Option<String>,
    /// For this route alone, such as "GET /raffles".
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Until when, in milliseconds since 1970; for good where it is left out.
    #[arg(long, value_name = "MS")]
    until_ms: Option<i64>,
    /// The version that you have seen. Where it is left out, the one that stands now.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    #[command(flatten)]
    at: At,
}

/// Lists or sets.
pub(crate) fn run(command: &Command) -> Outcome {
    runtime()?.block_on(async {
        match command {
            Command::List { at } => list(at).await,
            Command::Set(set) => set.run().await,
        }
    })?;
    Ok(true)
}

impl At {
    async fn call(&self, method: &str, path: &str, body: Bytes) -> Result<Value, String> {
        let key = std::fs::read_to_string(&self.key_file)
            .map_err(|error| format!("cannot read {}: {error}", self.key_file.display()))?;
        let bearer = format!("Bearer {}", key.trim());
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let path = format!("/api/v1/switches{path}");
        let answer = ask(address(&self.server)?, method, &path, &headers, body).await?;
        let body = answer.json()?;
        if answer.status.is_success() {
            return Ok(body);
        }
        Err(body["detail"].as_str().map_or_else(|| answer.text(), str::to_owned))
    }
}

async fn list(at: &At) -> Result<(), String> {
    let told = at.call("GET", "", Bytes::new()).await?;
    if at.json {
        return print_json(&told);
    }
    let mut text = String::new();
    for switch in told["switches"].as_array().into_iter().flatten() {
        let name = switch["switch"].as_str().unwrap_or_default();
        text.push_str(&format!("{name:<44} {}\n", switch["about"].as_str().unwrap_or_default()));
        for set in switch["set"].as_array().into_iter().flatten() {
            let whose = ["participant", "key", "route"]
                .iter()
                .find_map(|kind| set[*kind].as_str().map(|whose| format!(" for {kind} {whose}")));
            let over = if set["over"] == true { ", over" } else { "" };
            text.push_str(&format!(
                "  {}{} (version {}{over}), by {}: {}\n",
                set["value"],
                whose.unwrap_or_default(),
                set["version"],
                set["by"].as_str().unwrap_or_default(),
                set["reason"].as_str().unwrap_or_default(),
            ));
        }
    }
    print(&text)
}

impl Set {
    async fn run(&self) -> Result<(), String> {
        if self.switch.is_empty()
            || !self.switch.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
        {
            return Err(format!("there is no switch {}", self.switch));
        }
        let version = match self.version {
            Some(version) => version,
            None => self.standing().await?,
        };
        let mut body = json!({ "version": version, "reason": self.reason });
        if self.value != "back" {
            body["value"] =
                serde_json::from_str(&self.value).unwrap_or_else(|_| Value::String(self.value.clone()));
        }
        for (name, value) in [("key", &self.key), ("participant", &self.participant), ("route", &self.route)]
        {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        if let Some(until_ms) = self.until_ms {
            body["until_ms"] = until_ms.into();
        }
        let set = self.at.call("PUT", &format!("/{}", self.switch), body.to_string().into()).await?;
        if self.at.json {
            return print_json(&set);
        }
        print(&format!("{} is set, at version {}\n", self.switch, set["version"]))
    }

    /// The version of the setting that stands now; 0 where none does. Participants are told by pseudonym, so theirs is not
    /// found.
    async fn standing(&self) -> Result<u64, String> {
        let told = self.at.call("GET", "", Bytes::new()).await?;
        let switches = told["switches"].as_array().into_iter().flatten();
        let mut set = switches
            .filter(|switch| switch["switch"] == self.switch.as_str())
            .flat_map(|switch| switch["set"].as_array().into_iter().flatten());
        let is_same = |set: &&Value| {
            set["over"] == false
                && set["participant"].is_null()
                && self.participant.is_none()
                && set["key"].as_str() == self.key.as_deref()
                && set["route"].as_str() == self.route.as_deref()
        };
        Ok(set.find(is_same).and_then(|set| set["version"].as_u64()).unwrap_or_default())
    }
}
