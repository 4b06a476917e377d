//! What is searched, as a file for a spreadsheet.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use search::activity::{Activity, Place};
use search::filter::Filter;
use search::projection::Projection;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{AskedFor, RowsOfFile};
use crate::http::App;
use crate::http::auth::{Allowed, Search};
use crate::http::problem::Problem;

/// Rows of a file where nothing else is said, and at the most.
const ROWS: u32 = 10_000;
const ROWS_MAX: u32 = 100_000;

/// Rows that are read at once.
const PAGE: u32 = 500;

/// How long a reader may take none of them.
const STALL: Duration = Duration::from_secs(60);

const COLUMNS: [&str; 14] = [
    "cursor",
    "at_ms",
    "kind",
    "participant",
    "raffle",
    "campaign",
    "prize",
    "state",
    "unit",
    "amount",
    "code",
    "reason",
    "note",
    "id",
];

/// A cell as a spreadsheet takes it for text: what begins like a formula is not one.
fn text(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

fn row(activity: &Activity) -> [String; 14] {
    [
        text(&activity.place().cursor()),
        activity.at_ms.to_string(),
        activity.kind.word().to_owned(),
        text(&activity.participant),
        text(&activity.raffle),
        text(&activity.campaign),
        text(&activity.prize),
        text(&activity.state),
        text(&activity.unit),
        // A number, whatever its sign.
        activity.amount.map_or_else(String::new, |amount| amount.to_string()),
        text(&activity.code),
        text(&activity.reason),
        text(&activity.note),
        text(&activity.id),
    ]
}

fn lines(rows: impl IntoIterator<Item = [String; 14]>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(vec![]);
    for row in rows {
        writer.write_record(&row)?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

/// Some lines, or what went wrong.
type Lines = Result<Vec<u8>, String>;

/// A file under way. It ends with the last row that there is or at its limit, however many rows are looked through for it: one
/// that ended earlier would look whole. Whoever does not want to wait goes away, and ends it.
struct Sheet {
    projection: Projection,
    filter: Filter,
    after: Option<Place>,
    rows_left: u32,
    is_begun: bool,
    _place: OwnedSemaphorePermit,
}

impl Sheet {
    /// The next lines; the first are the names of the columns. `None` is the end.
    async fn next(mut self) -> Option<(Lines, Option<Self>)> {
        if !self.is_begun {
            self.is_begun = true;
            let names = lines([COLUMNS.map(str::to_owned)]).map_err(|error| error.to_string());
            return Some((names, Some(self)));
        }
        if self.rows_left == 0 {
            return None;
        }
        let limit = PAGE.min(self.rows_left);
        let page = match self.projection.page(self.filter.clone(), self.after.take(), limit).await {
            Ok(page) => page,
            // The connection is cut: a file that ends early must not look whole.
            Err(error) => return Some((Err(error.to_string()), None)),
        };
        let found = u32::try_from(page.activities.len()).unwrap_or(u32::MAX);
        self.rows_left = self.rows_left.saturating_sub(found);
        let text = lines(page.activities.iter().map(row)).map_err(|error| error.to_string());
        self.after = page.next;
        let rest = self.after.is_some().then_some(self);
        Some((text, rest))
    }
}

/// Lines on their way to a reader, who takes them as fast as it can. One that takes none for so long is as good as gone,
/// whatever its connection says: the lines end there and what they hold is free, and the reader, should it come back, finds
/// the connection cut.
fn flow(
    mut lines: impl Stream<Item = Lines> + Send + Unpin + 'static,
    stall: Duration,
) -> impl Stream<Item = Lines> + Send {
    let (sender, receiver) = mpsc::channel(1);
    // Owned by the stream: where a reader goes away, it ends at once.
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            let next = lines.next().await;
            let is_end = next.is_none();
            let is_taken = matches!(timeout(stall, sender.send(next)).await, Ok(Ok(())));
            if is_end || !is_taken {
                return;
            }
        }
    });
    stream::unfold(Some((receiver, task)), |flowing: Option<(mpsc::Receiver<Option<Lines>>, _)>| async move {
        let (mut receiver, task) = flowing?;
        match receiver.recv().await {
            Some(next) => next.map(|lines| (lines, Some((receiver, task)))),
            None => Some((Err("the reader took nothing for too long".to_owned()), None)),
        }
    })
}

/// `GET /search/activities.csv`.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Search>,
    AskedFor { filter, after, limit }: AskedFor<RowsOfFile>,
) -> Result<Response, Problem> {
    let rows = limit.map_or(ROWS, |RowsOfFile(rows)| rows);
    if !(1..=ROWS_MAX).contains(&rows) {
        let detail = format!("limit must be from 1 to {ROWS_MAX}, not {rows}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "edge.bad_query", detail));
    }
    let place = app.chronicle.export()?;
    let whose = filter.participant.as_ref().map_or_else(
        || "everybody".to_owned(),
        |participant| format!("participant/{}", app.tokens.pseudonym(participant)),
    );
    app.audit.exported(caller.actor(), format!("up to {rows} rows about {whose}")).await?;
    let sheet = Sheet {
        projection: app.chronicle.projection().clone(),
        filter,
        after,
        rows_left: rows,
        is_begun: false,
        _place: place,
    };
    let lines = stream::unfold(Some(sheet), |sheet| async move { sheet?.next().await });
    let body = flow(Box::pin(lines), STALL);
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response())
}

#[cfg(test)]
mod tests {
    use search::activity::Kind;

    use super::*;

    /// Lines without end, which hold something.
    fn endless(held: &Arc<()>) -> impl Stream<Item = Lines> + Send + Unpin + 'static {
        let held = Arc::clone(held);
        stream::repeat_with(move || {
            let _held = &held;
            Ok(b"line".to_vec())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_for_too_long_is_cut_and_holds_nothing() {
        let held = Arc::new(());
        let mut lines = Box::pin(flow(endless(&held), STALL));
        for _ in 0..10 {
            tokio::time::sleep(STALL - Duration::from_secs(1)).await;
            assert_eq!(lines.next().await, Some(Ok(b"line".to_vec())), "slow, but not gone");
        }
        assert_eq!(Arc::strong_count(&held), 2);
        tokio::time::sleep(STALL + Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&held), 1, "another file may be written");
        // What was under way is read; the end is not one that looks whole.
        assert!(matches!(lines.next().await, Some(Ok(_))));
        assert!(matches!(lines.next().await, Some(Err(_))));
        assert_eq!(lines.next().await, None);
    }

    #[tokio::test]
    async fn all_lines_come_in_their_order_and_a_fault_ends_them() {
        let some = |lines: &[Lines]| flow(stream::iter(lines.to_vec()), STALL).collect::<Vec<_>>();
        let (one, two, fault) = (Ok(b"1".to_vec()), Ok(b"2".to_vec()), Err("broken".to_owned()));
        let lines = [one, two, fault];
        for count in 0..=lines.len() {
            assert_eq!(some(&lines[..count]).await, lines[..count]);
        }
    }

    #[test]
    fn what_begins_like_a_formula_is_text_and_numbers_stay_numbers() {
        for (cell, expected) in [
            ("ada", "ada"),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(text(cell), expected, "{cell:?}");
        }
        let activity = Activity {
            participant: "=cmd|' /C calc'!A0".to_owned(),
            amount: Some(-5),
            reason: "He said \"no\", and\nleft.".to_owned(),
            ..Activity::new(Kind::Transfer, "ledger/000000000001/00".to_owned(), 7)
        };
        let told = String::from_utf8(lines([row(&activity)]).expect("lines")).expect("UTF-8");
        let expected = "7.ledger/000000000001/00,7,transfer,'=cmd|' /C calc'!A0,,,,,,-5,,\"He said \"\"no\"\", and\nleft.\",,ledger/000000000001/00\r\n";
        assert_eq!(told, expected);
    }
}
