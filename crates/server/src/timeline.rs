//! `fairground timeline`: what befell a participant, asked of a server.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench::process::ask;
use crate::terminal::{Outcome, print, print_json, runtime};
use crate::why::address;

/// Whose, and where it is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The participant.
    participant: String,
    /// The server, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    server: String,
    /// The file that holds an API key of that server.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Tell only of one kind: draw, award, delivery, transfer, ticket, hold, act or order.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Tell of so many, the newest first; 1 to 10000.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints what befell somebody.
pub(crate) fn run(args: &Args) -> Outcome {
    let (activities, as_of_ms) = runtime()?.block_on(timeline(args))?;
    if args.json {
        return print_json(&json!({ "activities": activities, "as_of_ms": as_of_ms })).map(|()| true);
    }
    let line = |activity: &Value| {
        let text = |field: &str| activity[field].as_str().unwrap_or_default().to_owned();
        let amount = activity["amount"].as_i64().map(|amount| format!(" {amount:+} {}", text("unit")));
        format!(
            "{}  {:<8} {}{}  {}\n",
            activity["at_ms"],
            text("kind"),
            text("state"),
            amount.unwrap_or_default(),
            text("reason")
        )
    };
    let lines: String = activities.iter().map(line).collect();
    let end = if as_of_ms.is_null() { "not everything has been read yet\n" } else { "" };
    print(&format!("{lines}{end}")).map(|()| true)
}

/// Bytes of a name or cursor as a path or query takes them.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

async fn timeline(args: &Args) -> Result<(Vec<Value>, Value), String> {
    let key = std::fs::read_to_string(&args.key_file)
        .map_err(|error| format!("cannot read {}: {error}", args.key_file.display()))?;
    let bearer = format!("Bearer {}", key.trim());
    let (server, wanted) = (address(&args.server)?, args.limit as usize);
    let kind = args.kind.as_ref().map(|kind| format!("&kind={}", escaped(kind))).unwrap_or_default();
    let (mut activities, mut cursor) = (vec![], String::new());
    loop {
        let limit = (wanted - activities.len()).min(200);
        let path = format!(
            "/api/v1/participants/{}/timeline?limit={limit}{kind}{cursor}",
            escaped(&args.participant)
        );
        let answer = ask(server, "GET", &path, &[("authorization", &bearer)], Bytes::new()).await?;
        let body = answer.json()?;
        if !answer.status.is_success() {
            return Err(body["detail"].as_str().map_or_else(|| answer.text(), str::to_owned));
        }
        activities.extend(body["activities"].as_array().into_iter().flatten().cloned());
        match body["next"].as_str().filter(|_| activities.len() < wanted) {
            Some(next) => cursor = format!("&cursor={}", escaped(next)),
            None => return Ok((activities, body["as_of_ms"].clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_cannot_hold_is_escaped() {
        for (name, expected) in [("ada", "ada"), ("a/b c", "a%2Fb%20c"), ("ü", "%C3%BC"), ("..", "..")] {
            assert_eq!(escaped(name), expected);
        }
    }
}
