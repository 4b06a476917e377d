//! Files hold as many rows as is said, are whole where they end, and are written two at once.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;
use std::time::Duration;

use embedded::sqlite::{Caches, SqliteRecords};
use records::migration;
use records::port::Records;
use search::activity::{Activity, Kind};
use search::projection::Projection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trials::booth::{AUDITOR, Booth, SERVICE, code, send};

const CSV: &str = "/search/activities.csv";
const ROWS: i64 = 10_700;

/// A booth in which more befell somebody than one file has where nothing is said. The oldest alone is of a raffle.
async fn long_booth() -> Booth {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let file = Arc::new(SqliteRecords::open_named(&data, "search", Caches::default()).expect("a file"));
    migration::run(&*file, &[&search::tables::ROOM], 0).await.expect("tables");
    let projection = Projection::open(Arc::clone(&file) as Arc<dyn Records>).await.expect("a projection");
    let many: Vec<_> = (0..ROWS)
        .map(|at_ms| Activity {
            raffle: if at_ms == 0 { "rare" } else { "" }.to_owned(),
            // More than the buffers of a connection hold.
            reason: "\u{e9}".repeat(600),
            note: "\u{e9}".repeat(600),
            ..Activity::new(Kind::Act, format!("act/{at_ms:012}"), at_ms)
        })
        .collect();
    for part in many.chunks(1_000) {
        let seen = projection.standing().await.expect("a standing").turn;
        projection.keep(seen, part.to_vec(), None).await.expect("kept");
    }
    drop(projection);
    file.close();
    drop(file);
    Booth::open_in(folder, "").await
}

async fn rows(booth: &Booth, query: &str) -> usize {
    let answer = send(booth.address, AUDITOR, "GET", &format!("{CSV}{query}"), "", "").await;
    assert_eq!(answer.status.as_u16(), 200, "{query}");
    // The first line has the names of the columns.
    answer.text().trim_end().split("\r\n").count() - 1
}

/// Begins to take a file, and reads no more of it.
async fn begun(booth: &Booth) -> TcpStream {
    let mut stream = TcpStream::connect(booth.address).await.expect("a connection");
    let asked = format!(
        "GET /api/v1{CSV}?limit=100000 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {AUDITOR}\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await.expect("asked");
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.expect("the first line");
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_as_many_rows_as_is_said_and_two_are_written_at_once() {
    let booth = long_booth().await;
    for (query, count) in [
        ("", 10_000),
        ("?limit=1", 1),
        ("?limit=100000", 10_700),
        // It is whole, although no page but the third finds anything.
        ("?raffle=rare", 1),
        ("?raffle=none", 0),
    ] {
        assert_eq!(rows(&booth, query).await, count, "{query}");
    }
    for (path, expected) in [
        (format!("{CSV}?limit=0"), (400, "edge.bad_query")),
        (format!("{CSV}?limit=100001"), (400, "edge.bad_query")),
        (format!("{CSV}?limit=many"), (400, "edge.bad_query")),
        ("/search/activities?limit=0".to_owned(), (400, "edge.bad_query")),
        ("/search/activities?limit=201".to_owned(), (400, "edge.bad_query")),
        (format!("{CSV}?prize={}", "x".repeat(129)), (422, "search.bad_filter")),
    ] {
        assert_eq!(code(&send(booth.address, AUDITOR, "GET", &path, "", "").await), expected, "{path}");
    }
    assert_eq!(
        code(&send(booth.address, SERVICE, "GET", "/search/activities", "", "").await),
        (403, "edge.not_allowed")
    );

    let (first, second) = (begun(&booth).await, begun(&booth).await);
    let answer = send(booth.address, AUDITOR, "GET", CSV, "", "").await;
    assert_eq!(code(&answer), (503, "search.too_many_exports"));
    assert_eq!(answer.headers["retry-after"], "5");
    // Searching goes on meanwhile.
    let answer = send(booth.address, AUDITOR, "GET", "/search/activities?limit=200", "", "").await;
    assert_eq!(answer.json().expect("JSON")["activities"].as_array().map(Vec::len), Some(200));
    // Whoever goes away makes room.
    drop(first);
    let room = async {
        while send(booth.address, AUDITOR, "GET", &format!("{CSV}?limit=1"), "", "").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), room).await.expect("room");
    drop(second);
    drop(booth.close().await);
}
