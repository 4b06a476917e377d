//! Replays evidence: every hash, every integer, every walk through a tree, every unit of stock.
//!
//! It shares the rules' arithmetic with the product; `docs/fairness/verify.py` shares nothing, and must agree.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kernel::hex::{from_hex, hex};
use kernel::id::DrawId;
use serde::{Deserialize, Serialize};

use crate::entry::{Draw, EVENT_KINDS, Event};
use crate::evidence::{DrawLine, EventLine, FORMAT, Header, Line, RevealedEpoch};
use crate::fairness::{Chance, epoch_name, link, sha256};
use crate::rules::{Plan, Rules, Shelves};
use crate::standing::{Attested, History, Standing};

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Draws whose outcome follows from the evidence alone.
    pub verified: u64,
    /// Draws whose outcome also rests on what came from outside: points that a caller told.
    pub attested: u64,
    /// What does not hold.
    pub failed: Vec<Failure>,
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The draw, or the part of the evidence.
    pub id: String,
    /// Why it does not hold.
    pub reason: String,
}

/// Failures told at the most; a file that is wrong throughout is told in part.
const FAILURES_MAX: usize = 1_000;

#[derive(Default)]
struct Known {
    history: History,
    chain: [u8; 32],
}

struct Replay {
    report: Report,
    failures: u64,
    epochs: BTreeMap<u32, (RevealedEpoch, Arc<Plan>, Chance)>,
    open: Option<u32>,
    frozen: bool,
    seq: u64,
    log: [u8; 32],
    shelves: Shelves,
    players: HashMap<String, Known>,
}

/// Verifies evidence, line by line. Text that is no evidence at all is a failure too.
pub fn verify(mut lines: impl Iterator<Item = std::io::Result<String>>) -> Report {
    let header = match lines.next() {
        Some(Ok(line)) => serde_json::from_str::<Header>(&line).map_err(|error| error.to_string()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the file is empty".to_owned()),
    };
    let mut replay = Replay {
        report: Report::default(),
        failures: 0,
        epochs: BTreeMap::new(),
        open: None,
        frozen: false,
        seq: 0,
        log: [0; 32],
        shelves: Shelves::default(),
        players: HashMap::new(),
    };
    let header = match header {
        Ok(header) if header.format == FORMAT => header,
        Ok(header) => {
            replay.fail("header", format!("the format is {}, not {FORMAT}", header.format));
            return replay.report;
        }
        Err(error) => {
            replay.fail("header", format!("this is no evidence: {error}"));
            return replay.report;
        }
    };
    replay.commitments(&header);
    for line in lines {
        match line.map_err(|error| error.to_string()).and_then(|line| parse(&line)) {
            Ok(Line::Draw(draw)) => replay.draw(&draw),
            Ok(Line::Event(event)) => replay.event(&event),
            Err(error) => {
                let after = replay.seq;
                replay.fail(&format!("entry after {after}"), format!("it cannot be read: {error}"));
            }
        }
    }
    replay.end();
    replay.report
}

fn parse(line: &str) -> Result<Line, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

impl Replay {
    fn fail(&mut self, id: &str, reason: impl Into<String>) {
        self.failures += 1;
        if self.report.failed.len() < FAILURES_MAX {
            self.report.failed.push(Failure { id: id.to_owned(), reason: reason.into() });
        }
    }

    /// The seeds and rules must be those that were committed to.
    fn commitments(&mut self, header: &Header) {
        for epoch in &header.epochs {
            let id = format!("epoch {}", epoch.epoch);
            let Some(seed) = from_hex::<32>(&epoch.seed) else {
                self.fail(&id, "the seed is not 32 bytes in hexadecimal");
                continue;
            };
            if hex(&sha256(&seed)) != epoch.seed_hash {
                self.fail(&id, "the seed is not the one that was committed to");
            }
            let Some(text) = header.versions.get(&epoch.version) else {
                self.fail(&id, format!("the rules of version {} are missing", epoch.version));
                continue;
            };
            if hex(&sha256(text.as_bytes())) != epoch.rules_hash {
                self.fail(&id, "the rules are not the ones that were committed to");
            }
            let plan =
                serde_json::from_str::<Rules>(text).map_err(|error| error.to_string()).and_then(Plan::of);
            match plan {
                Ok(plan) => {
                    let chance = Chance::new(&seed, epoch_name(&header.tenant, &header.raffle, epoch.epoch));
                    self.epochs.insert(epoch.epoch, (epoch.clone(), Arc::new(plan), chance));
                }
                Err(error) => self.fail(&id, format!("the rules cannot be read: {error}")),
            }
        }
    }

    /// Every entry stands where its number says. Times are what the operator's clock said, which may be set.
    fn place(&mut self, id: &str, seq: u64) {
        if Some(seq) != self.seq.checked_add(1) {
            let told =
                format!("entry {seq} follows entry {}: one is missing, doubled or out of order", self.seq);
            self.fail(id, told);
        }
        self.seq = seq;
    }

    fn event(&mut self, line: &EventLine) {
        let id = format!("entry {}", line.seq);
        self.place(&id, line.seq);
        let Some(kind) = EVENT_KINDS.into_iter().find(|kind| *kind == line.event) else {
            self.fail(&id, format!("there is no event `{}`", line.event));
            return;
        };
        let bytes = |text: &str| from_hex::<32>(text).map_or_else(Vec::new, |bytes| bytes.to_vec());
        let event = Event {
            seq: line.seq,
            at_ms: line.at_ms,
            kind,
            prize: line.prize.clone(),
            units: line.units,
            epoch: line.epoch,
            version: line.version,
            rules_hash: bytes(&line.rules_hash),
            seed_hash: bytes(&line.seed_hash),
            pseudonym: from_hex::<16>(&line.pseudonym).map_or_else(Vec::new, |bytes| bytes.to_vec()),
            reason: line.reason.clone(),
            request: None,
        };
        self.log = link(&self.log, &event.digest());
        match kind {
            "opened" => self.opened(&id, line),
            "closed" => self.closed(&id, line),
            "promised" => {
                let known = self.players.entry(line.pseudonym.clone()).or_default();
                known.history.promised = Some(line.prize.clone());
            }
            "moved" => self.shelves.add(&line.prize, line.units),
            _ if line.prize.is_empty() => self.frozen = kind == "frozen",
            _ => self.shelves.set_frozen(&line.prize, kind == "frozen"),
        }
    }

    fn opened(&mut self, id: &str, line: &EventLine) {
        if self.open.is_some() {
            self.fail(id, "an epoch opens while another is open");
        }
        self.open = Some(line.epoch);
        let Some((epoch, _, _)) = self.epochs.get(&line.epoch) else { return };
        let same = epoch.seed_hash == line.seed_hash
            && epoch.rules_hash == line.rules_hash
            && epoch.version == line.version
            && epoch.first == line.seq;
        if !same {
            self.fail(id, "the epoch was opened with other commitments than those that are shown");
        }
    }

    fn closed(&mut self, id: &str, line: &EventLine) {
        if self.open.take() != Some(line.epoch) {
            self.fail(id, "an epoch closes that was not open");
        }
        let Some((epoch, _, _)) = self.epochs.get(&line.epoch) else { return };
        if (epoch.last, epoch.log.as_str()) != (line.seq, hex(&self.log).as_str()) {
            let told = "the log is not the one whose hash was published when the epoch closed";
            self.fail(&format!("epoch {}", line.epoch), told);
        }
    }

    fn draw(&mut self, line: &DrawLine) {
        self.place(&line.draw, line.seq);
        let before = self.failures;
        if self.frozen {
            self.fail(&line.draw, "it was made while the raffle was frozen");
        }
        if self.open != Some(line.epoch) {
            self.fail(&line.draw, format!("epoch {} was not open", line.epoch));
        }
        let (Ok(draw_id), Some(pseudonym)) = (line.draw.parse::<DrawId>(), from_hex::<16>(&line.pseudonym))
        else {
            self.fail(&line.draw, "its id or pseudonym cannot be read");
            return;
        };
        let draw = Draw {
            id: draw_id,
            pseudonym,
            number: line.number,
            epoch: line.epoch,
            at_ms: line.at_ms,
            day: line.day,
            key: String::new(),
            body_hash: [0; 32],
            client_seed: Some(line.client_seed.clone()),
            attested: line.attested.clone(),
            part: 0,
            parts: 1,
            prize: line.prize.as_deref().map(Arc::from),
            trace: Vec::new(),
            chain: [0; 32],
        };
        let digest = draw.digest();
        self.log = link(&self.log, &digest);
        let known = self.players.entry(line.pseudonym.clone()).or_default();
        let expected = known.history.number.saturating_add(1);
        known.chain = link(&known.chain, &digest);
        let (chain, history) = (known.chain, known.history.clone());
        if draw_id.seq != line.seq {
            self.fail(&line.draw, "its id names another entry");
        }
        if line.number != expected {
            self.fail(&line.draw, format!("it is the participant's draw {}, not {expected}", line.number));
        }
        if hex(&chain) != line.chain {
            self.fail(&line.draw, "the participant's chain does not lead here");
        }
        self.outcome(line, pseudonym, history);
        if self.failures > before {
            return;
        }
        if line.attested.is_empty() { self.report.verified += 1 } else { self.report.attested += 1 }
    }

    fn outcome(&mut self, line: &DrawLine, pseudonym: [u8; 16], mut history: History) {
        let Some((_, plan, chance)) = self.epochs.get(&line.epoch) else {
            self.fail(&line.draw, format!("nothing is shown of epoch {}", line.epoch));
            return;
        };
        let Some(attested) = Attested::read(&line.attested) else {
            self.fail(&line.draw, "what is attested cannot be read");
            return;
        };
        let plan = Arc::clone(plan);
        let mut refused = Vec::new();
        if plan.zone.day_of(line.at_ms) != line.day {
            refused.push("its day is not the day of its time".to_owned());
        }
        let standing =
            Standing { pseudonym, history: &history, attested: &attested, now_ms: line.at_ms, day: line.day };
        match plan.attest(&attested) {
            Ok(kept) if kept == attested => {}
            Ok(_) => refused.push("something is attested that its rules do not read".to_owned()),
            Err(error) => refused.push(error.to_string()),
        }
        if let Err(error) = plan.admit(&standing, &self.shelves) {
            refused.push(error.to_string());
        }
        let integer = |total| chance.below(total, &pseudonym, line.number, &line.client_seed);
        let outcome = plan.draw(&standing, integer, &mut self.shelves);
        let prize = outcome.prize.map(|prize| &*plan.prizes[prize]);
        if outcome.chosen.integer != line.integer {
            refused.push(format!("chance gives {}, not {}", outcome.chosen.integer, line.integer));
        }
        if prize != line.prize.as_deref() {
            let word =
                |prize: Option<&str>| prize.map_or("nothing".to_owned(), |prize| format!("prize {prize}"));
            refused.push(format!("the rules give {}, not {}", word(prize), word(line.prize.as_deref())));
        }
        let completed = plan.completed(&standing, &outcome);
        history.complete(completed);
        self.players.entry(line.pseudonym.clone()).or_default().history = history;
        for reason in refused {
            self.fail(&line.draw, reason);
        }
    }

    fn end(&mut self) {
        let Some(last) = self.epochs.values().map(|(epoch, _, _)| epoch.last).max() else {
            self.fail("header", "it shows no epoch that could be verified");
            return;
        };
        if self.seq != last || self.open.is_some() {
            self.fail("log", format!("it ends with entry {}, the last epoch with entry {last}", self.seq));
        }
    }
}
