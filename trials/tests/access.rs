//! Who may do what, and what the audit log keeps of it, through the real server.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::net::SocketAddr;
use std::path::Path;

use embedded::sqlite::{Caches, SqliteRecords};
use fairground::bench::process::Server;
use kernel::id::Shard;
use raffle::entry::Request;
use raffle::publish::Publish;
use raffle::stock::Order;
use records::audit::Actor;
use records::port::{Records, read, write};
use trials::Trial;
use trials::booth::{AUDITOR, Booth, OPERATOR, RAFFLE, ROLES, SERVICE, code, keys, publish, send};
use trials::routes::{OPEN, TABLE};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fairground-on-trial");

/// A server in a process of its own.
fn start(folder: &Path) -> Server {
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::create_dir(folder.join("data")).expect("data");
    std::fs::write(folder.join("data/admin.key"), "not in use").expect("a key");
    let environment = [("FAIRGROUND_AUTH__KEYS", keys())];
    Server::start(Path::new(PROGRAM), &folder.join("data"), &folder.join("log"), &environment)
        .expect("a server")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_opens_its_routes_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path());
    publish(server.address).await;
    let minted = "{\"participant\":\"ada\",\"seconds\":60}";
    let minted = send(server.address, SERVICE, "POST", "/participant-tokens", "", minted).await;
    let token = minted.json().expect("a token")["token"].as_str().expect("a token").to_owned();
    for (method, path, may, participants) in TABLE {
        let path = path.replace("{id}", if path.starts_with("/draws") { "none" } else { RAFFLE });
        let path = path
            .replace("{version}", "1")
            .replace("{prize}", "105")
            .replace("{draft}", "1")
            .replace("{proposal}", "1")
            .replace("{draw}", "none")
            .replace("{wallet}", "main")
            .replace("{unit}", "point")
            .replace("{account}", "issued")
            .replace("{list}", "vips")
            .replace("{channel}", "app")
            .replace("{source}", "home")
            // Who bears the token, and may look at what is theirs.
            .replace("{participant}", "ada");
        let held = ROLES.map(|role| (role, format!("the key of {role}"), may.contains(&role)));
        for (who, bearer, may_pass) in held.into_iter().chain([("ada", token.clone(), *participants)]) {
            let answer = send(server.address, &bearer, method, &path, "k", "").await;
            if may_pass {
                let refused = [401, 403, 405].contains(&answer.status.as_u16());
                assert!(!refused, "{who} may {method} {path}: {}", answer.text());
                continue;
            }
            assert_eq!(code(&answer), (403, "edge.not_allowed"), "{who} may not {method} {path}");
            let told = answer.json().expect("a problem")["detail"].as_str().expect("words").to_owned();
            let or = if *participants { ", or a participant's token" } else { "" };
            assert!(told.ends_with(&format!("role {}{or}", may.join(" or "))), "{told}");
        }
        let answer = send(server.address, "a guess", method, &path, "k", "").await;
        assert_eq!(code(&answer), (401, "edge.no_key"), "{method} {path}");
    }
    assert!(server.terminate().expect("an end"));
}

/// A route that is added without a line in the table would be a route that nobody tried.
#[test]
fn the_table_of_roles_names_every_route() {
    let table = TABLE.iter().map(|(_, path, ..)| *path).chain(OPEN.iter().copied());
    assert_eq!(trials::routes(), table.map(str::to_owned).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_draws_as_themself_and_sees_their_own_draws() {
    let booth = Booth::open().await;
    publish(booth.address).await;
    let (ada, bob) = (booth.token("ada", 60).await, booth.token("bob", 86_400).await);
    let draws = format!("/raffles/{RAFFLE}/draws");
    let draw = async |bearer: &str, key: &str, body: &str| {
        send(booth.address, bearer, "POST", &draws, key, body).await
    };
    let mine = draw(&ada, "k", "{\"participant\":\"ada\"}").await;
    assert_eq!(mine.status.as_u16(), 201, "{}", mine.text());
    let through_the_shop = draw(SERVICE, "k", "{\"participant\":\"ada\"}").await;
    assert_eq!(through_the_shop.body, mine.body, "one participant, one key, two draws");
    let other = draw(&bob, "k", "{\"participant\":\"ada\"}").await;
    assert_eq!(code(&other), (403, "edge.other_participant"));
    let dear = draw(&ada, "dear", "{\"participant\":\"ada\",\"points_spent\":1000000}").await;
    assert_eq!(code(&dear), (403, "edge.not_allowed"), "a participant chose their own odds");

    let id = mine.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let show = async |bearer: &str, id: &str| {
        send(booth.address, bearer, "GET", &format!("/draws/{id}"), "", "").await
    };
    assert_eq!(show(&ada, &id).await.json().expect("json")["participant"], "ada");
    assert_eq!(show(SERVICE, &id).await.status.as_u16(), 200);
    assert_eq!(code(&show(&bob, &id).await), (404, "draw.missing"));
    let nobodys = id.replace("000009", "00000a");
    let (others, nobodys) = (show(&bob, &id).await.text(), show(&bob, &nobodys).await.text());
    let without_ids = |text: &str| text.split("request_id").next().unwrap_or_default().replace("0a", "09");
    assert_eq!(without_ids(&others), without_ids(&nobodys), "another's draw shows");

    let forged = format!("{}A{}", &ada[..8], &ada[9..]);
    booth.clock.set(trials::NOON_MS + 60_000);
    let wrong = [
        (ada.as_str(), "edge.token_expired"),
        (forged.as_str(), "edge.bad_token"),
        ("fgp1.", "edge.bad_token"),
        ("fgp1.e30.", "edge.bad_token"),
        ("fgp2.e30.e30", "edge.no_key"),
        ("", "edge.no_key"),
    ];
    for (bearer, expected) in wrong {
        assert_eq!(code(&show(bearer, &id).await), (401, expected), "{bearer}");
    }
    assert_eq!(code(&show(&bob, &id).await), (404, "draw.missing"), "bob's token lives on");
    for (body, expected) in [
        ("{\"participant\":\"ada\",\"seconds\":0}", (422, "edge.bad_number")),
        ("{\"participant\":\"ada\",\"seconds\":86401}", (422, "edge.bad_number")),
        ("{\"participant\":\"\",\"seconds\":1}", (422, "edge.bad_text")),
        ("{\"participant\":\"ada\"}", (400, "edge.bad_json")),
    ] {
        let answer = send(booth.address, SERVICE, "POST", "/participant-tokens", "", body).await;
        assert_eq!(code(&answer), expected, "{body}");
    }
    drop(booth.close().await);
}

/// All pages of a list of the audit log.
async fn pages(address: SocketAddr, path: &str, list: &str) -> Vec<serde_json::Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = send(address, AUDITOR, "GET", &format!("{path}limit=3&cursor={cursor}"), "", "").await;
        let body = answer.json().expect("json");
        found.extend(body[list].as_array().expect("a list").iter().cloned());
        match body["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return found,
        }
    }
}

/// What a program prints, and whether it ended well.
fn run(arguments: &[&str]) -> (String, String, bool) {
    let output = std::process::Command::new(PROGRAM).args(arguments).output().expect("run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_noted_once_and_what_was_refused_is_no_change() {
    let booth = Booth::open().await;
    publish(booth.address).await;
    publish(booth.address).await;
    let raffle = format!("/raffles/{RAFFLE}");
    let restock = format!("{raffle}/prizes/105/restock");
    let (freeze, thaw, epochs) =
        (format!("{raffle}/freeze"), format!("{raffle}/thaw"), format!("{raffle}/epochs"));
    let (five, why) = ("{\"units\":5,\"reason\":\"lent\"}", "{\"prize\":\"105\",\"reason\":\"broken\"}");
    let post = async |bearer: &str, path: &str, key: &str, body: &str| {
        send(booth.address, bearer, "POST", path, key, body).await
    };
    for (bearer, path, key, body, status) in [
        (OPERATOR, &restock, "r", five, 201),
        (OPERATOR, &restock, "r", five, 201),
        (OPERATOR, &restock, "r", "{\"units\":6,\"reason\":\"lent\"}", 409),
        (OPERATOR, &format!("{raffle}/prizes/none/restock"), "n", five, 404),
        ("the key of admin", &freeze, "f", why, 201),
        (OPERATOR, &freeze, "f2", why, 409),
        (OPERATOR, &thaw, "t", why, 201),
        (OPERATOR, &freeze, "g", "{\"reason\":\"a storm\"}", 201),
        (OPERATOR, &thaw, "u", "{\"reason\":\"it passed\"}", 201),
        (OPERATOR, &epochs, "e", "", 201),
        (OPERATOR, &epochs, "e", "", 201),
        (SERVICE, &freeze, "s", why, 403),
    ] {
        let answer = post(bearer, path, key, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {key}: {}", answer.text());
    }
    let mut won = None;
    for number in 0..50 {
        let drawn =
            post(SERVICE, &format!("{raffle}/draws"), &number.to_string(), "{\"participant\":\"ada\"}").await;
        let drawn = drawn.json().expect("json");
        won = Some(drawn["draw"].as_str().expect("a draw").to_owned()).filter(|_| !drawn["prize"].is_null());
        if won.is_some() {
            break;
        }
    }
    let won = won.expect("a win");
    let opened = async {
        while send(booth.address, SERVICE, "GET", &format!("/awards/{won}"), "", "").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), opened).await.expect("an award");
    for (note, status) in [("parcel 7", 200), ("parcel 7", 200), ("parcel 8", 409)] {
        let note = format!("{{\"note\":\"{note}\"}}");
        let answer = post(OPERATOR, &format!("/awards/{won}/hand-over"), "", &note).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
    let token = booth.token("ada", 60).await;
    for _ in 0..12 {
        assert_eq!(post(&token, &freeze, "x", why).await.status.as_u16(), 403);
    }

    let entries = pages(booth.address, "/audit?", "entries").await;
    let word = |entry: &serde_json::Value, name: &str| entry[name].as_str().expect("a word").to_owned();
    let told: Vec<_> = entries
        .iter()
        .filter(|entry| word(entry, "stream") == "changes")
        .map(|entry| {
            ["actor", "role", "action", "subject", "request_key", "detail"].map(|name| word(entry, name))
        })
        .collect();
    let subject = format!("raffle/{RAFFLE}");
    let expected = [
        ["operator-1", "operator", "publish", &subject, "p", "version 1, epoch 1, rules "],
        ["operator-1", "operator", "restock", &subject, "restock/105 r", "prize 105, 5 units, entry 9: lent"],
        ["admin-1", "admin", "freeze", &subject, "freeze f", "prize 105, entry 10: broken"],
        ["operator-1", "operator", "thaw", &subject, "thaw t", "prize 105, entry 11: broken"],
        ["operator-1", "operator", "freeze", &subject, "freeze g", "all of it, entry 12: a storm"],
        ["operator-1", "operator", "thaw", &subject, "thaw u", "all of it, entry 13: it passed"],
        ["operator-1", "operator", "turn", &subject, "epochs e", "epoch 2"],
        ["operator-1", "operator", "hand_over", &format!("draw/{won}"), "", "prize "],
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert_eq!(told[..5], expected[..5]);
        assert!(told[5].starts_with(expected[5]), "{told:?}");
    }
    let access: Vec<_> = entries.iter().filter(|entry| word(entry, "stream") == "access").collect();
    let seqs: Vec<_> = access.iter().filter_map(|entry| entry["seq"].as_u64()).collect();
    assert_eq!(
        seqs,
        (1..=12).collect::<Vec<_>>(),
        "one refused service, one token, ten of twelve refusals of ada"
    );
    assert_eq!(word(access[0], "subject"), format!("POST {freeze}"));
    assert_eq!(word(access[0], "detail"), "this needs a key with the role admin or operator");
    assert_eq!(word(access[1], "action"), "mint_token");
    assert_eq!(word(access[1], "subject"), format!("participant/{}", word(access[2], "actor")));
    let all = serde_json::to_string(&entries).expect("json");
    assert!(!all.contains("ada") && !all.contains("parcel"), "the log is for ever, and names people");

    assert_eq!(pages(booth.address, "/audit?action=thaw&", "entries").await.len(), 2);
    assert_eq!(pages(booth.address, &format!("/audit?subject={subject}&"), "entries").await.len(), 7);
    assert_eq!(pages(booth.address, "/audit?subject=nothing&", "entries").await.len(), 0);
    for query in ["cursor=x", "cursor=changes.x", "limit=0", "colour=red"] {
        let answer = send(booth.address, AUDITOR, "GET", &format!("/audit?{query}"), "", "").await;
        assert_eq!(code(&answer), (400, "edge.bad_query"), "{query}");
    }

    // The end of a server seals what was not sealed.
    let folder = booth.close().await;
    let data = folder.path().join("data").display().to_string();
    let (told, _, fine) = run(&["audit", "--data", &data, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&told).expect("one JSON object");
    assert_eq!((report, fine), (serde_json::json!({ "entries": 20, "sealed": 20, "failed": [] }), true));
}

/// Each change of a raffle, and what it is called.
async fn attempt(trial: &Trial, action: &str, key: &str) -> Result<(), String> {
    let prize = || "105".to_owned();
    let request = || Request { key: key.to_owned(), body_hash: [0; 32], actor: Actor::house() };
    let outcome = match action {
        "publish" => trial.publish(&trials::example(RAFFLE), key).await.map(|_| ()),
        "restock" => trial.order(RAFFLE, Order::Restock { prize: prize(), units: 5 }, key).await.map(|_| ()),
        "freeze" => trial.order(RAFFLE, Order::Freeze { prize: Some(prize()) }, key).await.map(|_| ()),
        "thaw" => trial.order(RAFFLE, Order::Thaw { prize: Some(prize()) }, key).await.map(|_| ()),
        "draft" => {
            let draft =
                Publish { raffle: RAFFLE.to_owned(), text: trials::example(RAFFLE), request: request() };
            trial.house.raffles.drafts().write(draft).await.map(|_| ())
        }
        _ => trial.house.raffles.turn(RAFFLE, request()).await.map(|_| ()),
    };
    outcome.map_err(|error| error.to_string())
}

/// Rows that changes leave, and the stock.
async fn rows_of(records: &dyn Records) -> Vec<records::port::Row> {
    let rows: Result<Vec<_>, records::error::Error> = read(records, Shard::HOME, |tx| {
        Box::pin(async move {
            let sql = "SELECT (SELECT COUNT(*) FROM gate_event), (SELECT COUNT(*) FROM raffle_version),
                (SELECT SUM(free) FROM segment), (SELECT SUM(frozen) FROM segment), (SELECT MAX(seq) FROM gate),
                (SELECT COUNT(*) FROM raffle_draft), (SELECT COUNT(*) FROM review_move),
                (SELECT COUNT(*) FROM audit_entry), (SELECT MAX(seq) FROM audit_head),
                (SELECT COUNT(*) FROM machine WHERE state LIKE '%handed_over%')";
            tx.fetch(sql, &[]).await
        })
    })
    .await;
    rows.expect("rows")
}

async fn exec(records: &dyn Records, sql: &'static str) {
    let changed: Result<u64, records::error::Error> =
        write(records, Shard::HOME, move |tx| Box::pin(async move { tx.exec(sql, &[]).await })).await;
    assert_eq!(changed, Ok(1), "{sql}");
}

/// The entry and the change are kept together or not at all: where the entry's place is taken, nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_noted_is_not_made() {
    let trial = Trial::open().await;
    attempt(&trial, "publish", "p").await.expect("publish");
    let mut won = None;
    for number in 0..50 {
        let drawn = trial.draw(RAFFLE, "ada", &number.to_string()).await.expect("a draw").draw;
        won = won.or(Some(drawn.id).filter(|_| drawn.prize.is_some()));
    }
    let won = won.expect("a win");
    trial.settle().await;
    let records = trial.house.records();
    exec(
        &*records,
        "INSERT INTO audit_entry SELECT shard,tenant,stream,2,at_ms,actor,role,action,subject,request_key,body_hash,
         detail,digest FROM audit_entry WHERE seq=1",
    )
    .await;
    let before = rows_of(&*records).await;
    for action in ["publish", "restock", "freeze", "turn", "draft"] {
        attempt(&trial, action, action).await.expect_err(action);
        assert_eq!(rows_of(&*records).await, before, "{action}");
    }
    let cause = trials::cause();
    let hand_over = trial.house.awards.hand_over(won, "parcel 7".to_owned(), cause.clone());
    hand_over.await.expect_err("hand over");
    assert_eq!(rows_of(&*records).await, before, "hand over");

    exec(&*records, "DELETE FROM audit_entry WHERE seq=2").await;
    for action in ["publish", "restock", "freeze", "thaw", "turn", "draft"] {
        attempt(&trial, action, action).await.expect(action);
        attempt(&trial, action, action).await.expect("a repeat");
    }
    trial.house.awards.hand_over(won, "parcel 7".to_owned(), cause).await.expect("hand over");
    let report = records::audit::verify_all(&*records).await.expect("a report");
    assert_eq!((report.entries, report.failed), (8, vec![]));
    drop(records);
    trial.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_names_what_was_tampered_with() {
    let booth = Booth::open().await;
    let data = booth.folder.path().join("data");
    let shown = data.display().to_string();
    publish(booth.address).await;
    let (_, told, fine) = run(&["audit", "--data", &shown]);
    assert!(!fine && told.contains("another process is using the data folder"), "{told}");
    let folder = booth.close().await;
    let check = |id: &str, reason: &str| {
        let (told, _, fine) = run(&["audit", "--data", &shown]);
        assert!(!fine && told.contains(&format!("failed   {id}: {reason}")), "{told}");
        let (told, _, fine) = run(&["audit", "--data", &shown, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&told).expect("one JSON object");
        assert!(!fine);
        assert_eq!(report["failed"], serde_json::json!([{ "id": id, "reason": reason }]));
    };
    for (sql, undo, id, reason) in [
        (
            "UPDATE audit_entry SET actor='eve' WHERE seq=1",
            "UPDATE audit_entry SET actor='operator-1' WHERE seq=1",
            "changes/1",
            "it is not what was written",
        ),
        (
            "UPDATE audit_entry SET seq=2 WHERE seq=1",
            "UPDATE audit_entry SET seq=1 WHERE seq=2",
            "changes/1",
            "it is missing",
        ),
        (
            "UPDATE audit_seal SET at_ms=at_ms+1",
            "UPDATE audit_seal SET at_ms=at_ms-1",
            "changes/seal/1",
            "it is not what was written",
        ),
        ("UPDATE audit_head SET seq=seq+1", "UPDATE audit_head SET seq=seq-1", "changes/2", "it is missing"),
    ] {
        let records = SqliteRecords::open(&data, Caches::default()).expect("a store");
        exec(&records, sql).await;
        records.close();
        drop(records);
        check(id, reason);
        let records = SqliteRecords::open(&data, Caches::default()).expect("a store");
        exec(&records, undo).await;
        records.close();
    }
    let (told, _, fine) = run(&["audit", "--data", &shown]);
    assert_eq!((told.as_str(), fine), ("1 entries, 1 sealed, 0 failed\n", true));
    let nowhere = folder.path().join("nowhere");
    let (_, told, fine) = run(&["audit", "--data", &nowhere.display().to_string()]);
    assert!(!fine && told.contains("there is no database in"), "{told}");
    assert!(!nowhere.exists(), "looking has made a store");
}
