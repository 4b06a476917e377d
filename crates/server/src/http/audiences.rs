//! `/audiences`: uploaded lists of people, which campaigns name.

mod operations;

pub use operations::operations;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use campaign::audience::UPLOAD_MAX;
use records::audit::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::{Allowed, Caller, Operate, Read};
use super::problem::Problem;
use super::request::{Ids, Sent, answer};

/// Largest upload, in bytes.
const BYTES_MAX: usize = 1024 * 1024;

/// Routes of lists.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/audiences/{list}", get(show))
}

/// Uploading takes larger bodies.
pub fn upload_routes() -> Router<Arc<App>> {
    let members = post(add).delete(remove);
    Router::new().route("/audiences/{list}/members", members).layer(DefaultBodyLimit::max(BYTES_MAX))
}

/// Who is put on a list, or taken off.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MembersBody {
    /// Their names, each of 1 to 128 characters.
    #[schemars(length(min = 1, max = UPLOAD_MAX))]
    participants: Vec<String>,
}

/// The names that were sent: as JSON, or one on each line.
fn names(sent: &Sent) -> Result<Vec<String>, Problem> {
    sent.expect_media(&["application/json", "text/plain"])?;
    if sent.is_media("application/json") {
        return sent.json::<MembersBody>().map(|body| body.participants);
    }
    let lines = sent.utf8("the list")?.lines().map(str::trim_end);
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// A list.
#[derive(Serialize, JsonSchema)]
struct ListView<'a> {
    /// Its name.
    list: &'a str,
    /// How many people are on it.
    members: u64,
}

/// A list that was changed.
#[derive(Serialize, JsonSchema)]
struct UploadedView<'a> {
    #[serde(flatten)]
    list: ListView<'a>,
    /// How many of those who were named were not on it before, or were.
    changed: u64,
}

async fn show(
    State(app): State<Arc<App>>,
    _: Allowed<Read>,
    Ids(list): Ids<String>,
) -> Result<Response, Problem> {
    let members = app.campaigns.members(&list).await?;
    Ok(answer(StatusCode::OK, &ListView { list: &list, members }, false))
}

async fn upload(
    app: &App,
    caller: &Caller,
    list: &str,
    (sent, are_added): (&Sent, bool),
) -> Result<Response, Problem> {
    let people = names(sent)?;
    // No hash of the body: that of one name would tell the name to whoever guesses it.
    let cause = Cause { actor: Arc::clone(caller.actor()), key: String::new(), body_hash: None };
    let uploaded = app.campaigns.upload(list, (people, are_added), cause).await?;
    let list = ListView { list, members: uploaded.members };
    Ok(answer(StatusCode::OK, &UploadedView { list, changed: uploaded.changed }, false))
}

/// Needs no Idempotency-Key: doing it again changes nothing. So does taking off.
async fn add(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(list): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    upload(&app, &caller, &list, (&sent, true)).await
}

/// A body of a DELETE may be dropped on its way (RFC 9110, section 9.3.5): an empty one is refused, and nothing is lost.
async fn remove(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Operate>,
    Ids(list): Ids<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    upload(&app, &caller, &list, (&sent, false)).await
}
