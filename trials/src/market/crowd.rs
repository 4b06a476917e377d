//! What participants, services and an operator ask of the product, each again with its key until it is answered, and what
//! they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use embedded::clock::ManualClock;
use kernel::ports::clock::Clock;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::booth::{OPERATOR, SERVICE};
use crate::ports::Dice;
use crate::stage::Door;

/// Those who take part.
pub(super) const PARTICIPANTS: u64 = 6;

/// A document of the campaign.
pub(super) fn campaign(version: u64) -> String {
    format!(
        "campaign: fair
title: Fair
time_zone: Asia/Shanghai
budget: {{units: {{point: 300}}}}
earning:
  - {{id: share, behaviour: share, caps: {{per_day: 3}}, gains: [{{unit: point, amount: {}}}]}}
  - {{id: rebate, behaviour: purchase, gains: [{{unit: point, of_value: {{gives: 1, for_every: 7}}, caps: {{per_day: 40}}}}]}}
  - {{id: thanks, behaviour: referral, gains: [{{unit: point, amount: 9}}]}}
  - {{id: welcome, behaviour: referred, gains: [{{unit: point, amount: 4}}]}}
sign_in: {{days: [[{{unit: point, amount: 1}}], [{{unit: point, amount: 2}}]]}}
referral: {{behaviour: purchase}}
offers:
  - id: ticket
    title: A ticket
    price: {{unit: point, amount: {}}}
    gains: [{{unit: ticket, wallet: raffle-fair, amount: 1}}]
    stock: 9
    per_order: 2
    pay_within_seconds: 1800
  - id: bundle
    title: A bundle
    gains: [{{unit: ticket, wallet: raffle-fair, amount: 3}}]
    stock: 4
    per_participant: {{total: 2}}
    pay_within_seconds: 600
",
        10 + version % 3,
        5 + version % 4,
    )
}

/// Units that the campaign's offers have in all.
pub(super) const STOCK: [(&str, u64); 2] = [("ticket", 9), ("bundle", 4)];

pub(super) const RAFFLE: &str = "raffle: fair
title: Fair
denominator: 10
when_weights_differ: no_win
tickets: {total: 500, wallet: raffle-fair}
prizes:
  - {id: money, title: Money, weight: 4, stock: unlimited, award: {kind: webhook, endpoint: pay}}
  - {id: mug, title: Mug, weight: 3, stock: 12, award: {kind: webhook, endpoint: shop}}
  - {id: points, title: Points, weight: 2, stock: unlimited, award: {kind: points, amount: 5}}
";

/// One call. Two that are equal are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) bearer: &'static str,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body: String,
    /// The switch that turns it off.
    pub(super) feature: &'static str,
}

impl Call {
    fn post(path: &str, key: &str, body: &Value, feature: &'static str) -> Self {
        let (path, key, body) = (path.to_owned(), key.to_owned(), body.to_string());
        Self { bearer: SERVICE, method: "POST", path, key, body, feature }
    }

    pub(super) fn operate(method: &'static str, path: &str, key: &str, body: String) -> Self {
        let (path, key) = (path.to_owned(), key.to_owned());
        Self { bearer: OPERATOR, method, path, key, body, feature: "" }
    }

    /// Whether it is answered the same on every day.
    fn is_timeless(&self) -> bool {
        self.method != "GET" && !self.path.ends_with("/sign-ins") && !self.path.starts_with("/switches")
    }
}

/// What a call was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) replayed: bool,
}

impl Answer {
    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// What is known of a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What it was answered in the end.
    pub(super) kept: Option<Answer>,
    /// Whether one of its attempts may have been begun and was not answered well.
    pub(super) begun: bool,
    /// Why it was refused in the end.
    pub(super) refused: Option<String>,
}

/// What the operator knows of the switches: which features are off in the process, and how often that was to change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thrown {
    pub(super) changes: u64,
    pub(super) off: BTreeSet<String>,
}

/// All that was asked and answered.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) lines: Vec<String>,
    pub(super) calls: BTreeMap<Call, Known>,
    /// Days that were signed, by their answers.
    pub(super) signed: BTreeMap<String, BTreeSet<String>>,
    pub(super) thrown: Thrown,
    /// How many changes of switches are under way.
    throwing: u32,
    pub(super) broken: Vec<String>,
    pub(super) answered: u64,
    /// Calls that a switch has refused.
    pub(super) held_back: u64,
}

/// Who asks.
#[derive(Clone)]
pub(super) struct Crowd {
    pub(super) door: Arc<Door<Router>>,
    pub(super) dice: Arc<Dice>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) log: Arc<Mutex<Log>>,
}

async fn send(router: Router, call: &Call) -> Answer {
    let request = Request::builder()
        .method(call.method)
        .uri(format!("/api/v1{}", call.path))
        .header("authorization", format!("Bearer {}", call.bearer))
        .header(
            "content-type",
            if call.body.starts_with('{') { "application/json" } else { "application/yaml" },
        )
        .header("idempotency-key", &call.key)
        .body(Body::from(call.body.clone()))
        .expect("a request");
    let Ok(response) = router.oneshot(request).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let body = String::from_utf8_lossy(&body).into_owned();
    Answer { status, body, replayed: headers.contains_key("idempotent-replayed") }
}

impl Crowd {
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pass(&self, milliseconds: i64) {
        self.clock.set(self.clock.now_ms() + milliseconds);
    }

    /// Calls until it is answered for good; gives up on what is turned off for long.
    pub(super) async fn call(&self, call: &Call) -> Option<Answer> {
        let mut patience = 5;
        for attempt in 0u64.. {
            assert!(attempt < 10_000, "a call is never answered: {call:?}");
            let thrown = self.log().thrown.clone();
            let answer = self.door.ask(|router| send(router, call)).await;
            let ends = self.note(call, answer.as_ref(), &thrown, &mut patience);
            if ends {
                return answer.filter(Answer::is_done);
            }
            self.pass(200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Writes an answer down; whether it is the last.
    fn note(&self, call: &Call, answer: Option<&Answer>, thrown: &Thrown, patience: &mut u32) -> bool {
        let mut log = self.log();
        let log = &mut *log;
        let known = log.calls.entry(call.clone()).or_default();
        // The process was killed: whether it was done, nobody says.
        let Some(answer) = answer else {
            known.begun = true;
            return false;
        };
        log.lines.push(format!(
            "{} {} {}: {} {}",
            call.path, call.key, answer.replayed, answer.status, answer.body
        ));
        if answer.is_done() {
            log.answered += 1;
            let is_off = thrown.off.contains(call.feature) && *thrown == log.thrown;
            if is_off && call.method == "POST" && !answer.replayed {
                log.broken.push(format!("{call:?} was done while `{}` was off", call.feature));
            }
            if call.path.ends_with("/sign-ins") {
                let (who, day) = (&call.body, answer.json()["day"].as_str().unwrap_or_default().to_owned());
                log.signed.entry(format!("{who} {day}")).or_default().insert(answer.body.clone());
            } else if call.is_timeless() {
                let kept = known.kept.get_or_insert_with(|| answer.clone());
                if kept.body != answer.body || kept.status != answer.status {
                    log.broken.push(format!("{call:?} was answered {kept:?}, and then {answer:?}"));
                }
            }
            return true;
        }
        let code = answer.code();
        match code.as_str() {
            "switch.off" | "switch.degraded" | "switch.blocked" | "edge.too_many_requests" => {
                log.held_back += 1;
                *patience -= 1;
                *patience == 0
            }
            _ if answer.status >= 500 => {
                known.begun = true;
                false
            }
            _ => {
                known.refused = Some(code);
                true
            }
        }
    }

    fn who(&self) -> String {
        format!("p{}", self.dice.below(PARTICIPANTS))
    }

    /// A participant or a service does something.
    pub(super) async fn act(&self, key: &str) {
        let who = self.who();
        match self.dice.below(100) {
            0..28 => {
                // Few enough numbers that some events are reported twice, by others too.
                let (event, shares) = (self.dice.below(40), self.dice.below(2) == 0);
                let behaviour = if shares { "share" } else { "purchase" };
                let body = json!({ "participant": format!("p{}", event % PARTICIPANTS), "behaviour": behaviour,
                    "business_id": event.to_string(), "value": event * 5 });
                self.call(&Call::post("/behaviours", "", &body, "feature.acts")).await;
            }
            28..38 => {
                let body = json!({ "participant": who });
                self.call(&Call::post("/campaigns/fair/sign-ins", "", &body, "feature.acts")).await;
            }
            38..45 => self.refer(&who).await,
            45..65 => self.order(&who, key).await,
            65..70 => {
                self.call(&grant(&who, key, 1)).await;
            }
            70..75 => self.operate(key).await,
            _ => {
                let body = json!({ "participant": who });
                self.call(&Call::post("/raffles/fair/draws", key, &body, "feature.draws")).await;
            }
        }
    }

    async fn refer(&self, brought: &str) {
        let by = json!({ "participant": self.who() }).to_string();
        let path = "/campaigns/fair/referral-code".to_owned();
        let ask = Call {
            bearer: SERVICE,
            method: "PUT",
            path,
            key: String::new(),
            body: by,
            feature: "feature.acts",
        };
        let Some(answer) = self.call(&ask).await else { return };
        let body = json!({ "participant": brought, "code": answer.json()["code"] });
        self.call(&Call::post("/campaigns/fair/referrals", "", &body, "feature.acts")).await;
    }

    /// Orders, and pays, gives up, does both, or lets the time pass.
    async fn order(&self, who: &str, key: &str) {
        let offer = if self.dice.below(4) == 0 { "bundle" } else { "ticket" };
        let quantity = 1 + self.dice.below(2) * u64::from(offer == "ticket");
        let body = json!({ "participant": who, "offer": offer, "quantity": quantity });
        let ordered = self.call(&Call::post("/campaigns/fair/orders", key, &body, "feature.offers")).await;
        let Some(order) = ordered.and_then(|answer| answer.json()["order"].as_str().map(str::to_owned))
        else {
            return;
        };
        let (body, end) = (json!({ "participant": who }), self.dice.below(10));
        if end == 0 {
            self.pass(1_800_000);
        }
        if end < 8 {
            self.call(&Call::post(&format!("/orders/{order}/pay"), "", &body, "feature.offers")).await;
        }
        if (7..9).contains(&end) {
            self.call(&Call::post(&format!("/orders/{order}/cancel"), "", &body, "feature.offers")).await;
        }
    }

    /// An operator throws a switch, publishes, or turns an endpoint off and on.
    async fn operate(&self, key: &str) {
        match self.dice.below(10) {
            0..2 => {
                let path = "/campaigns/fair/versions";
                self.call(&Call::operate("POST", path, key, campaign(self.dice.below(12)))).await;
            }
            2..4 => {
                let on = self.dice.below(3) > 0;
                self.call(&endpoint_on(key, on)).await;
            }
            _ => self.throw().await,
        }
    }

    async fn throw(&self) {
        let now_ms = self.clock.now_ms();
        let (switch, mut body) = match self.dice.below(8) {
            0 => ("mode", json!({ "value": "essential", "until_ms": now_ms + 60_000 })),
            1 => {
                let body = json!({ "value": 0, "participant": self.who(), "until_ms": now_ms + 60_000 });
                ("limit.participant_acts_per_second", body)
            }
            2 => ("limit.participant_acts_per_second", json!({ "value": 1 + self.dice.below(3) })),
            kind => {
                let features = ["feature.acts", "feature.offers", "feature.draws", "feature.transfers"];
                let on = self.dice.below(3) == 0;
                (features[usize::try_from(kind % 4).unwrap_or(0)], json!({ "value": on }))
            }
        };
        body["reason"] = json!("a trial");
        self.set(switch, body).await;
    }

    /// Sets a switch at the version that stands, then learns what is off.
    async fn set(&self, switch: &str, mut body: Value) {
        let listed = self.switches().await;
        let settings = listed["switches"].as_array().into_iter().flatten();
        let set =
            settings.filter(|known| known["switch"] == switch).filter_map(|known| known["set"].as_array());
        let for_all = |known: &&Value| known.get("participant").is_none();
        // Whoever is blocked a second time is blocked already: their setting is known by pseudonym alone.
        let standing = set.flatten().find(for_all).filter(|_| body.get("participant").is_none());
        body["version"] = json!(standing.map_or(0, |known| known["version"].as_u64().unwrap_or(0)));
        {
            let mut log = self.log();
            let changes = log.thrown.changes + 1;
            log.thrown = Thrown { changes, off: BTreeSet::new() };
            log.throwing += 1;
        }
        let path = format!("/switches/{switch}");
        self.call(&Call::operate("PUT", &path, "", body.to_string())).await;
        {
            let mut log = self.log();
            log.thrown.changes += 1;
            log.throwing -= 1;
        }
        self.learn().await;
    }

    async fn switches(&self) -> Value {
        let call = Call::operate("GET", "/switches", "", String::new());
        self.call(&call).await.map(|answer| answer.json()).unwrap_or_default()
    }

    /// Looks until the process works by what is set.
    async fn learn(&self) {
        loop {
            let changes = self.log().thrown.changes;
            let listed = self.switches().await;
            if listed["seen"] != listed["revision"] {
                self.pass(200);
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            let mut log = self.log();
            // Where somebody else is about to change one, they will look too.
            if log.thrown.changes == changes && log.throwing == 0 {
                let is_off = |known: &&Value| {
                    known["set"].as_array().is_some_and(|set| set.iter().any(|set| set["value"] == false))
                };
                let off = listed["switches"].as_array().into_iter().flatten().filter(is_off);
                let off = off.filter_map(|known| known["switch"].as_str().map(str::to_owned)).collect();
                log.thrown = Thrown { changes: changes + 1, off };
            }
            return;
        }
    }

    /// Takes every switch back that does not end by itself, lets the time of the others pass, and turns the endpoint on.
    pub(super) async fn calm(&self) {
        self.call(&endpoint_on("calm", true)).await;
        self.pass(60_000);
        let listed = self.switches().await;
        for known in listed["switches"].as_array().into_iter().flatten() {
            let set = known["set"].as_array().into_iter().flatten();
            for set in set.filter(|set| set.get("until_ms").is_none() && !set["value"].is_null()) {
                let body = json!({ "version": set["version"], "reason": "it is over" });
                let path = format!("/switches/{}", known["switch"].as_str().unwrap_or_default());
                self.call(&Call::operate("PUT", &path, "", body.to_string())).await;
            }
        }
        self.learn().await;
    }
}

/// Tickets for somebody.
pub(super) fn grant(who: &str, key: &str, tickets: i64) -> Call {
    let legs = json!([{ "house": "issued", "unit": "ticket", "amount": -tickets },
        { "participant": who, "wallet": "raffle-fair", "unit": "ticket", "amount": tickets }]);
    Call::post("/transfers", key, &json!({ "legs": legs }), "feature.transfers")
}

/// Turns the endpoint `pay` on or off.
fn endpoint_on(key: &str, on: bool) -> Call {
    let (url, status) = ("https://pay.example/", "https://pay.example/taken");
    let body = json!({ "url": url, "status_url": status, "enabled": on }).to_string();
    Call::operate("POST", "/endpoints/pay", key, body)
}
