//! Why a draw became what it is: over HTTP, from the command line, and from a store at rest.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::path::Path;
use std::process::Command;

use fairground::bench::process::Server;
use serde_json::Value;

const RAFFLE: &str = "late-100006-repaired";
const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

/// What `why` prints, on standard output and on standard error.
fn why(arguments: &[&str]) -> (String, String) {
    let output = Command::new(PROGRAM).arg("why").args(arguments).output().expect("run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_story_is_told_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let server = Server::start(Path::new(PROGRAM), &data, &log, &[]).expect("a server");
    server.publish(RAFFLE, &trials::example(RAFFLE)).await.expect("publish");
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let json = async |method: &str, path: String, body: &'static str| {
        let answer = server.ask(method, &format!("/api/v1{path}"), &headers, body).await.expect("an answer");
        (answer.status.as_u16(), answer.json().expect("json"))
    };
    let body = "{\"participant\":\"user001\"}";
    let (status, foreseen) = json("POST", format!("/raffles/{RAFFLE}/dry-runs"), body).await;
    assert_eq!((status, &foreseen["admitted"], &foreseen["pool"]), (200, &true.into(), &"denied".into()));
    assert_eq!((&foreseen["odds"]["101"], &foreseen["odds"]["102"]), (&"1".into(), &"0".into()));
    assert_eq!(foreseen["candidates"][0]["steps"][0]["said"], "unlimited");
    let (status, _) = json("POST", "/raffles/none/dry-runs".to_owned(), body).await;
    assert_eq!(status, 404);

    let (_, drawn) = json("POST", format!("/raffles/{RAFFLE}/draws"), body).await;
    let id = drawn["draw"].as_str().expect("an id");
    let (status, story) = json("GET", format!("/draws/{id}/explain"), "").await;
    assert_eq!((status, &story["participant"], &story["revealed"]), (200, &"user001".into(), &false.into()));
    let sentences: Vec<_> = story["sentences"].as_array().expect("a list").iter().collect();
    let about = |what: &str| {
        let told = sentences.iter().find(|sentence| sentence["about"] == what).expect("a sentence");
        told["told"].as_str().expect("text").to_owned()
    };
    assert_eq!(
        about("pool"),
        "The participant is on the deny list, which draws prize `101` (Random points) alone."
    );
    assert_eq!(about("chance"), "Chance gave 0 of 1 (0 to 0): prize `101` (Random points) holds 0 to 0.");
    assert_eq!(
        about("step"),
        "Node `stock` takes a unit of the prize that chance has picked: it never runs out."
    );
    assert_eq!(about("result"), "Won: prize `101` (Random points).");
    for unknown in ["drw_nothing", "drw_02x4000000000g0000000zzzzz"] {
        let (status, problem) = json("GET", format!("/draws/{unknown}/explain"), "").await;
        assert_eq!((status, &problem["code"]), (404, &"draw.missing".into()));
    }

    let key_file = data.join("admin.key").display().to_string();
    let url = format!("http://{}/", server.address);
    let asked = [id, "--server", &url, "--key-file", &key_file];
    let (lines, _) = why(&asked);
    let told: Vec<_> = sentences.iter().map(|sentence| sentence["told"].as_str().expect("text")).collect();
    assert_eq!(lines.lines().collect::<Vec<_>>(), told);
    let (text, _) = why(&[&asked[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&text).expect("json"), story);

    let data = data.display().to_string();
    let (_, error) = why(&[id, "--data", &data]);
    assert!(error.contains("another process is using the data folder"), "{error}");
    let (_, error) = why(&["drw_02x4000000000g0000000zzzzz", "--server", &url, "--key-file", &key_file]);
    assert!(error.contains("there is no draw drw_02x4000000000g0000000zzzzz"), "{error}");
    for (server, expected) in
        [("https://x", "write it as http://HOST:PORT"), ("http://127.0.0.1:1", "refused")]
    {
        let (_, error) = why(&[id, "--server", server, "--key-file", &key_file]);
        assert!(error.contains(expected), "{error}");
    }
    assert!(server.terminate().expect("an end"));
    let (text, error) = why(&[id, "--data", &data, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&text).expect(&error), story, "a store at rest tells the same");
    let (_, error) = why(&[id, "--data", &folder.path().join("none").display().to_string()]);
    assert!(error.contains("there is no store in"), "{error}");
}
