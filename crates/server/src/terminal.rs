//! What commands share: how they end, how they print, what they run on.

use std::io::Write;

use serde::Serialize;

/// Whether it went well, or why it could not be tried.
pub(crate) type Outcome = Result<bool, String>;

/// Writes to standard output; a reader that went away (`| head`) is no error of ours.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(format!("cannot write to standard output: {error}")),
    }
}

/// Writes one JSON object.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    print(&format!("{text}\n"))
}

/// Tells what a check found: one JSON object, or each failure by what failed and why, and a summary. Answers whether there was
/// none.
pub(crate) fn print_report<'a>(
    json: bool,
    report: &impl Serialize,
    failed: impl IntoIterator<Item = (&'a str, &'a str)>,
    summary: &str,
) -> Outcome {
    let lines: Vec<_> = failed.into_iter().map(|(id, reason)| format!("failed   {id}: {reason}\n")).collect();
    if json {
        print_json(report)?;
    } else {
        print(&format!("{}{summary}\n", lines.concat()))?;
    }
    Ok(lines.is_empty())
}

/// A runtime for servers and loads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start threads: {error}"))
}
