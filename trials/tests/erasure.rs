//! Forgetting who somebody was keeps every proof.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use fairground::bench::process::{Server, ask};
use kernel::hex::hex;
use raffle::entry::Request;
use raffle::erasure::Erased;
use raffle::error::Error;
use raffle::fairness::sha256;
use raffle::proposal::Proposed;
use records::audit::{Actor, Filter};
use std::path::Path;
use std::sync::Arc;
use trials::profile::Profile;
use trials::{Trial, example, verify_in_python, verify_lines};

const RAFFLE: &str = "late-100006-repaired";

fn document(raffle: &str) -> String {
    format!(
        "raffle: {raffle}\ntitle: R\ndenominator: 2\nprizes:\n  - {{id: a, title: A, weight: 1, stock: 5, cap: {{wins: 1, per: campaign}}}}\n  - {{id: b, title: B, weight: 1, stock: unlimited}}\ntickets: {{total: 40}}\n"
    )
}

async fn erase(trial: &Trial, who: &str) -> Erased {
    let cause = trials::cause();
    trial.house.raffles.erase(who, &cause, "asked").await.expect("an erasure")
}

/// Stream, subject and detail of each entry that says something was forgotten, in order.
async fn erasures(trial: &Trial) -> Vec<(String, String, String)> {
    let filter = Filter { action: Some("erase".to_owned()), subject: None };
    let (page, _) = trial.house.audit.page((String::new(), 0), filter, 100).await.expect("a page");
    let mut noted: Vec<_> =
        page.into_iter().map(|(stream, entry)| (stream, entry.subject, entry.detail)).collect();
    noted.sort();
    noted
}

async fn a_person_is_forgotten_and_their_draws_still_prove_and_count(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    for raffle in ["one", "two", "three"] {
        trial.publish(&document(raffle), "p").await.expect("publish");
    }
    let mut draws = Vec::new();
    for raffle in ["one", "two"] {
        for number in 0..20 {
            draws.push(trial.draw(raffle, "ada", &format!("k{number}")).await.expect("a draw").draw.id);
            trial.prize(raffle, "bob", &format!("k{number}")).await;
        }
    }
    let raffles = &trial.house.raffles;
    let name = async |id| raffles.find(id).await.expect("a draw").participant;
    assert_eq!(name(draws[0]).await.as_deref(), Some("ada"));

    assert_eq!(erase(&trial, "ada").await, Erased { raffles: 2, now: 2 });
    let mut noted = Vec::new();
    for raffle in ["one", "two"] {
        let (_, pseudonym) = raffles.player_key(raffle, "ada").await.expect("a key");
        let detail = format!("participant {}, from their row: asked", hex(&pseudonym));
        noted.push(("changes".to_owned(), format!("raffle/{raffle}"), detail));
    }
    noted.sort();
    assert_eq!(erasures(&trial).await, noted, "one entry for each raffle that knew the name");
    assert_eq!(erase(&trial, "ada").await, Erased { raffles: 2, now: 0 }, "again is no error");
    assert_eq!(erase(&trial, "nobody").await, Erased { raffles: 0, now: 0 });
    assert_eq!(erasures(&trial).await, noted, "nothing was forgotten that an entry could tell of");
    for id in &draws {
        assert_eq!(name(*id).await, None);
    }

    // A repeat is answered, the next draw counts on, the cap and the tickets hold.
    assert!(trial.draw("one", "ada", "k0").await.expect("a repeat").replayed);
    let mut won = 0;
    for number in 20..40 {
        let draw = trial.draw("one", "ada", &format!("k{number}")).await.expect("a draw").draw;
        assert_eq!(draw.number, number + 1);
        assert_eq!(name(draw.id).await, None, "the name does not come back by itself");
        won += u32::from(draw.prize.as_deref() == Some("a"));
    }
    let found = async |id| raffles.find(id).await.expect("a draw").draw.prize.as_deref() == Some("a");
    for id in &draws[..20] {
        won += u32::from(found(*id).await);
    }
    assert_eq!(won, 1, "what was won before still counts against the cap");
    assert!(trial.draw("one", "ada", "k40").await.is_err(), "all forty tickets are used");

    for raffle in ["one", "two"] {
        trial.reveal(raffle, "t").await;
        let lines = trial.evidence(raffle).await;
        assert!(lines.iter().all(|line| !line.contains("ada\"")), "no name in the evidence");
        let report = verify_lines(&lines);
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        let (told, accepted) = verify_in_python(&lines);
        assert!(accepted, "{told}");
        assert_eq!(told["verified"], report.verified);
    }
    trial.house.close().await;
}

async fn a_person_is_forgotten_where_somebody_proposed_a_promise_to_them(profile: Profile) {
    let trial = Trial::open_on(profile).await;
    let text = format!("{}guaranteed_winners: allowed\n", document("one"));
    trial.publish(&text, "p").await.expect("publish");
    let raffles = &trial.house.raffles;
    let proposals = raffles.proposals();
    let request = |by: &str, key: &str| Request {
        key: key.to_owned(),
        body_hash: [0; 32],
        actor: Arc::new(Actor { name: by.to_owned(), role: "operator" }),
    };
    let propose = async |participant: &str| {
        let promise = Proposed::Promise { participant: participant.to_owned(), prize: "a".to_owned() };
        let request = request("olga", participant);
        proposals.propose("one", promise, "a friend".to_owned(), request).await.expect("a proposal")
    };
    propose("ada").await;
    propose("bob").await;
    assert_eq!(erase(&trial, "ada").await, Erased { raffles: 1, now: 1 });
    assert_eq!(erase(&trial, "ada").await, Erased { raffles: 0, now: 0 });
    let noted = erasures(&trial).await;
    let [(stream, subject, detail)] = &noted[..] else { unreachable!("one entry: {noted:?}") };
    assert_eq!((stream.as_str(), subject.as_str()), ("changes", "raffle/one"));
    assert!(detail.ends_with(", from 1 proposals: asked") && !detail.contains("ada"), "{detail}");
    let listed = proposals.list("one", 0, 10).await.expect("proposals");
    let names = listed.iter().map(|proposal| match &proposal.proposed {
        Proposed::Promise { participant, .. } => participant.as_str(),
        Proposed::Restock { .. } | Proposed::RaiseBudget { .. } => "another order",
    });
    assert_eq!(names.collect::<Vec<_>>(), ["", "bob"]);
    let approve = async |number| {
        proposals.approve("one", number, String::new(), request("anna", &format!("a{number}"))).await
    };
    assert_eq!(approve(1).await.err(), Some(Error::ErasedPerson(1)));
    assert!(approve(2).await.is_ok());
    trial.house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_takes_an_admin_and_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_fairground-on-trial"));
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let hash = |key: &str| hex(&sha256(key.as_bytes()));
    let (shop, ops) = (hash("the shop's key"), hash("the admin's key"));
    let keys = format!(
        "[{{name='shop',role='service',sha256='{shop}'}},{{name='ops',role='admin',sha256='{ops}'}}]"
    );
    // The helper reads admin.key, which a server with configured keys does not make.
    std::fs::create_dir(&data).expect("data");
    std::fs::write(data.join("admin.key"), "the admin's key").expect("a key");
    let server = Server::start(program, &data, &log, &[("FAIRGROUND_AUTH__KEYS", keys)]).expect("a server");
    server.publish(RAFFLE, &example(RAFFLE)).await.expect("publish");
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let draws = format!("/api/v1/raffles/{RAFFLE}/draws");
    let drawn = server.ask("POST", &draws, &headers, "{\"participant\":\"ada l\"}").await.expect("an answer");
    let id = drawn.json().expect("json")["draw"].as_str().expect("an id").to_owned();
    let path = "/api/v1/participants/ada%20l?reason=asked";
    let shop = [("authorization", "Bearer the shop's key")];
    let refused = ask(server.address, "DELETE", path, &shop, "".into()).await.expect("an answer");
    assert_eq!((refused.status.as_u16(), refused.text().contains("edge.not_allowed")), (403, true));
    let long = "x".repeat(129);
    for (path, status, told) in [
        ("ada%20l".to_owned(), 400, "edge.bad_query"),
        ("ada%20l?reason=x&colour=red".to_owned(), 400, "edge.bad_query"),
        ("ada%20l?reason=".to_owned(), 422, "edge.bad_text"),
        (format!("{long}?reason=x"), 422, "edge.bad_text"),
        (
            "nobody?reason=asked".to_owned(),
            200,
            "{\"raffles\":0,\"erased\":0,\"accounts\":0,\"experiments\":0,\"codes\":0,\"lists\":0}",
        ),
        (
            "ada%20l?reason=asked".to_owned(),
            200,
            "{\"raffles\":1,\"erased\":1,\"accounts\":0,\"experiments\":0,\"codes\":0,\"lists\":0}",
        ),
        (
            "ada%20l?reason=asked".to_owned(),
            200,
            "{\"raffles\":1,\"erased\":0,\"accounts\":0,\"experiments\":0,\"codes\":0,\"lists\":0}",
        ),
    ] {
        let path = format!("/api/v1/participants/{path}");
        let answer = server.ask("DELETE", &path, &[], "").await.expect("an answer");
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
        assert!(answer.text().contains(told), "{path}: {}", answer.text());
    }
    let full = server.ask("GET", &format!("/api/v1/draws/{id}"), &[], "").await.expect("an answer");
    assert_eq!(full.json().expect("json")["participant"], serde_json::Value::Null);
    assert!(server.terminate().expect("an end"));
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("an admin calls"), "{log}");
    assert!(!log.contains("ada"), "the log keeps the name: {log}");
}

trials::in_each_profile!(
    a_person_is_forgotten_and_their_draws_still_prove_and_count,
    a_person_is_forgotten_where_somebody_proposed_a_promise_to_them,
);
