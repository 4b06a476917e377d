//! Why a draw became what it is, in sentences: from its trace, its rules and what was told of the participant.
//!
//! [`story`] is pure: the same draw and rules give the same story. It says what the trace keeps, and where the trace keeps
//! only that something could not be had, it names every reason that the rules allow.

use kernel::hex::hex;
use kernel::id::DrawId;
use ledger::desk::Desk;
use records::port::read;
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::{Mode, WhenSpent};
use crate::entry::{Draw, decode_trace};
use crate::error::Error;
use crate::raffles::{Found, Raffles};
use crate::rules::{Chosen, Exhausted, PROMISED, Plan, Step, Steps};
use crate::standing::{Attested, DRAWS_MADE};
use crate::ticket;

/// What a sentence is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The draw itself, and who was admitted by which rules.
    Admission,
    /// The pool, and why it was that.
    Pool,
    /// Prizes that were left out before chance picked.
    LeftOut,
    /// The integer, and what it picked.
    Chance,
    /// One step through a tree.
    Step,
    /// What was won.
    Result,
    /// How to check it.
    Proof,
}

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sentence {
    /// What it is about.
    pub about: About,
    /// In words.
    pub told: String,
}

/// What was fixed before the draw, and what is known now.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// The epoch's name: see [`crate::fairness::epoch_name`].
    pub epoch: &'a str,
    /// SHA-256 of its seed.
    pub seed_hash: [u8; 32],
    /// The seed in hexadecimal, once it is revealed.
    pub seed: Option<&'a str>,
    /// Tickets that were left once the draw had taken its own, where it took one from the ledger. The log does not have it.
    pub tickets_left: Option<i64>,
}

impl Raffles {
    /// Tickets that a draw left in its participant's wallet, as the ledger has noted it. `None` where its rules name no wallet.
    pub async fn tickets_left(&self, found: &Found) -> Result<Option<i64>, Error> {
        if found.epoch.plan.rules.tickets.wallet.is_none() {
            return Ok(None);
        }
        let DrawId { shard, .. } = found.draw.id;
        let desk = Desk { tenant: found.raffle.tenant, shard, now_ms: found.draw.at_ms };
        let order = ticket::order_id(found.draw.id);
        let receipt = read(&*self.records(), shard, move |tx| {
            Box::pin(async move { Ok::<_, Error>(desk.receipt(tx, order).await?) })
        })
        .await?;
        let taken = receipt.and_then(|receipt| receipt.lines.into_iter().find(|line| line.amount < 0));
        Ok(taken.map(|line| line.after.balance - line.after.held - line.after.pending))
    }
}

/// The story of a draw under its rules. `None` where its trace cannot be read.
pub fn story(draw: &Draw, plan: &Plan, proof: Proof<'_>) -> Option<Vec<Sentence>> {
    let (chosen, steps) = decode_trace(&draw.trace)?;
    let attested = Attested::read(&draw.attested)?;
    let mut teller = Teller { draw, plan, attested, told: Vec::new() };
    teller.admission();
    teller.tickets(proof.tickets_left);
    teller.budget();
    teller.pool(chosen.pool)?;
    teller.left_out(&chosen);
    teller.chance(&chosen);
    teller.steps(&chosen, &steps);
    teller.result(&steps);
    teller.proof(proof);
    Some(teller.told)
}

/// Why a draw became what it is, as a word and in one sentence: for lists. It says less than [`story`] and reads nothing else.
pub fn in_short(draw: &Draw, plan: &Plan) -> (&'static str, String) {
    let Some((chosen, steps)) = decode_trace(&draw.trace) else {
        return ("unread", "The trace of this draw cannot be read.".to_owned());
    };
    let teller = Teller { draw, plan, attested: Attested::default(), told: Vec::new() };
    let picked = teller.named(plan.candidate(&chosen));
    let from = if chosen.pool == PROMISED {
        let prize = teller.prize(draw.prize.as_deref().unwrap_or_default());
        format!("An operator had promised {prize}")
    } else if plan.rules.denied.is_some() && plan.denies(&draw.pseudonym) {
        format!("The deny list draws {picked} alone")
    } else if plan.total(chosen.pool, &chosen.excluded) == 0 {
        "Everything in the pool was left out".to_owned()
    } else {
        match (chosen.pool, plan.pool_name(chosen.pool)) {
            (0, _) | (_, None) => format!("Chance picked {picked} from the base pool"),
            (_, Some(tier)) => format!("Chance picked {picked} from the pool of the odds tier {tier}"),
        }
    };
    let obstacle = steps.iter().map(|(_, step)| *step).find(|step| step.is_obstacle());
    let kept_away = obstacle.map_or_else(String::new, |step| format!("; it could not be had: {}", met(step)));
    let left_out = match chosen.excluded.len() {
        0 => String::new(),
        1 => ", 1 entry left out before".to_owned(),
        count => format!(", {count} entries left out before"),
    };
    let (code, end) = match (&draw.prize, obstacle) {
        (Some(_), None) if chosen.pool == PROMISED => ("promised", String::new()),
        (Some(_), None) => ("picked", String::new()),
        (Some(prize), Some(_)) => ("fallback", format!("; {} came instead", teller.prize(prize))),
        (None, Some(_)) => ("out_of_reach", "; nothing came instead".to_owned()),
        (None, None) if steps.is_empty() => ("no_prize_picked", String::new()),
        (None, None) => ("ended_in_tree", "; the way through its rule tree ended without it".to_owned()),
    };
    (code, format!("{from}{left_out}{kept_away}{end}."))
}

struct Teller<'a> {
    draw: &'a Draw,
    plan: &'a Plan,
    attested: Attested,
    told: Vec<Sentence>,
}

impl Teller<'_> {
    fn say(&mut self, about: About, told: impl Into<String>) {
        self.told.push(Sentence { about, told: told.into() });
    }

    /// A prize as people know it.
    fn prize(&self, id: &str) -> String {
        let title = self.plan.rules.prizes.get(id).map_or("", |prize| &prize.title);
        format!("prize `{id}` ({title})")
    }

    fn named(&self, prize: Option<usize>) -> String {
        prize.map_or_else(|| "no prize".to_owned(), |prize| self.prize(&self.plan.prizes[prize]))
    }

    fn admission(&mut self) {
        let (draw, plan) = (self.draw, self.plan);
        let (rules, zone) = (&plan.rules, &plan.zone);
        let at = zone.write(draw.at_ms);
        let opening = format!(
            "Draw {} of raffle `{}` under version {}, made at {at}, was the participant's draw number {}.",
            draw.id, rules.raffle, rules.version, draw.number
        );
        self.say(About::Admission, opening);
        match (rules.from_ms.map(|from| zone.write(from)), rules.until_ms.map(|until| zone.write(until))) {
            (Some(from), Some(until)) => {
                self.say(About::Admission, format!("Draws are taken from {from} until {until}."));
            }
            (Some(from), None) => self.say(About::Admission, format!("Draws are taken from {from} on.")),
            (None, Some(until)) => self.say(About::Admission, format!("Draws are taken until {until}.")),
            (None, None) => {}
        }
        for (place, rule) in rules.eligibility.iter().enumerate() {
            let rule = rule.rule();
            let why = rule.admitted(&self.attested);
            let told =
                format!("Rule {} of eligibility, `{}`, let it through: {why}.", place + 1, rule.kind());
            self.say(About::Admission, told);
        }
        if rules.eligibility.is_empty() {
            self.say(About::Admission, "No rule of eligibility stood in the way: there is none.");
        }
    }

    fn tickets(&mut self, left: Option<i64>) {
        let quota = &self.plan.rules.tickets;
        if let Some(total) = quota.total {
            self.say(About::Admission, format!("It used ticket {} of {total}.", self.draw.number));
        }
        if let Some(per_month) = quota.per_month {
            self.say(
                About::Admission,
                format!("Of the {per_month} tickets of its local month one was left."),
            );
        }
        if let Some(per_day) = quota.per_day {
            self.say(About::Admission, format!("Of the {per_day} tickets of its local day one was left."));
        }
        if let Some(wallet) = &quota.wallet {
            let left = left.map_or_else(String::new, |left| format!("; {left} were left"));
            self.say(
                About::Admission,
                format!("It used 1 ticket of the wallet `{wallet}` in the ledger{left}."),
            );
        }
    }

    fn budget(&mut self) {
        let budget = self.plan.rules.budget.as_ref();
        if budget.is_some_and(|budget| budget.when_spent == WhenSpent::Stop) {
            self.say(About::Admission, "The budget covered the dearest prize, so draws were taken.");
        }
    }

    fn pool(&mut self, pool: usize) -> Option<()> {
        let plan = self.plan;
        let name = plan.pool_name(pool)?.to_owned();
        let told = if pool == PROMISED {
            "An operator had promised the participant a prize, and it could be had: chance was not asked."
                .to_owned()
        } else if let Some(denied) = plan.rules.denied.as_ref().filter(|_| plan.denies(&self.draw.pseudonym))
        {
            let prize = self.prize(&denied.prize);
            format!("The participant is on the deny list, which draws {prize} alone.")
        } else {
            match &plan.rules.tiers {
                None => "The base pool was drawn from: there are no odds tiers.".to_owned(),
                Some(tiers) => {
                    let made = (tiers.metric == DRAWS_MADE).then_some(self.draw.number);
                    let told = made.or_else(|| self.attested.metrics.get(&tiers.metric).copied());
                    let metric = told.map_or_else(
                        || format!("`{}` was not told", tiers.metric),
                        |number| format!("`{}` was {number}", tiers.metric),
                    );
                    let reached = match tiers.mode {
                        Mode::Exact => "is exactly",
                        Mode::AtLeast => "is at least",
                    };
                    if pool == 0 {
                        format!("The base pool was drawn from: {metric}, and no tier's threshold is met.")
                    } else {
                        format!(
                            "The pool of the odds tier {name} was drawn from: {metric}, which {reached} {name}."
                        )
                    }
                }
            }
        };
        self.say(About::Pool, told);
        Some(())
    }

    fn left_out(&mut self, chosen: &Chosen) {
        let weights = self.plan.pool_weights(chosen.pool);
        for at in &chosen.excluded {
            let Some(prize) = weights.get(*at).and_then(|(prize, _)| *prize) else { continue };
            let told = format!(
                "Left out before chance picked: {}, as {}.",
                self.named(Some(prize)),
                self.obstacles(prize)
            );
            self.say(About::LeftOut, told);
        }
    }

    /// What may have kept a prize from the participant. A list is certain; the rest is one or more of what the rules know.
    fn obstacles(&self, prize: usize) -> String {
        let rules = &self.plan.rules;
        let Some(terms) = rules.prizes.get(&*self.plan.prizes[prize]) else { return String::new() };
        let name = hex(&self.draw.pseudonym);
        let is_not_invited = terms.only_for.as_ref().is_some_and(|invited| !invited.contains(&name));
        if is_not_invited || terms.never_for.contains(&name) {
            return met(Step::NotForThem).to_owned();
        }
        let may_be = [
            (!terms.unlimited, Step::Empty),
            (!terms.unlimited, Step::Frozen),
            (terms.release.is_some(), Step::NotReleased),
            (terms.cap.is_some(), Step::Capped),
            (rules.win_interval_seconds.is_some() && !terms.consolation, Step::TooSoon),
            (rules.budget.is_some() && terms.cost > 0, Step::OverBudget),
        ];
        let reasons: Vec<_> = may_be.into_iter().filter(|(may, _)| *may).map(|(_, step)| met(step)).collect();
        reasons.join(", or ")
    }

    fn chance(&mut self, chosen: &Chosen) {
        let plan = self.plan;
        if chosen.pool == PROMISED {
            return;
        }
        let total = plan.total(chosen.pool, &chosen.excluded);
        if total == 0 {
            self.say(About::Chance, "Everything in the pool was left out: chance had nothing to pick from.");
            return;
        }
        let mut from = 0;
        let entries = plan.pool_weights(chosen.pool);
        let kept = entries.into_iter().enumerate().filter(|(at, _)| !chosen.excluded.contains(at));
        for (_, (prize, weight)) in kept {
            if chosen.integer < from + weight {
                let holds = format!("{} holds {from} to {}", self.named(prize), from + weight - 1);
                let told =
                    format!("Chance gave {} of {total} (0 to {}): {holds}.", chosen.integer, total - 1);
                self.say(About::Chance, told);
                return;
            }
            from += weight;
        }
    }

    fn steps(&mut self, chosen: &Chosen, steps: &Steps) {
        let plan = self.plan;
        let candidate = plan.candidate(chosen);
        if steps.is_empty() {
            self.say(About::Step, "No rule tree is walked where chance picks no prize.");
        }
        let mut before = None;
        for (node, step) in steps {
            let was_kept_away = before.is_some_and(Step::is_obstacle);
            let known = node.and_then(|at| Some((plan.node_name(candidate, at)?, plan.node(candidate, at)?)));
            let what = match (known, &plan.rules.exhausted) {
                (Some((name, node)), _) => format!("Node `{name}` {}", node.rule().told()),
                (None, Exhausted::Fallback { prize }) if was_kept_away => {
                    format!("What cannot be had is replaced by {}", self.prize(prize))
                }
                (None, _) if chosen.pool == PROMISED => {
                    format!(
                        "The promise is kept with {}",
                        self.prize(self.draw.prize.as_deref().unwrap_or_default())
                    )
                }
                (None, _) => format!("Nothing more stands before {}", self.named(candidate)),
            };
            self.say(About::Step, format!("{what}: {}.", met(*step)));
            before = Some(*step);
        }
    }

    fn result(&mut self, steps: &Steps) {
        let told = match &self.draw.prize {
            Some(prize) => format!("Won: {}.", self.prize(prize)),
            None if steps.last().is_some_and(|(_, step)| step.is_obstacle()) => {
                "Nothing was won: the rules name no other prize for that case.".to_owned()
            }
            None if steps.is_empty() => "Nothing was won.".to_owned(),
            None => "Nothing was won: the way through the tree ends there.".to_owned(),
        };
        self.say(About::Result, told);
    }

    fn proof(&mut self, Proof { epoch, seed_hash, seed, tickets_left: _ }: Proof<'_>) {
        let told = format!(
            "The integer is HMAC-SHA256 under the seed of epoch {epoch}, over the participant's pseudonym {}, the draw's number and the client seed; SHA-256 of that seed, published before the epoch's first draw, is {}.",
            hex(&self.draw.pseudonym),
            hex(&seed_hash)
        );
        self.say(About::Proof, told);
        if !self.attested.is_empty() {
            let told = format!(
                "What a caller told of the participant is attested, not proven: {}.",
                self.draw.attested
            );
            self.say(About::Proof, told);
        }
        let told = match seed {
            Some(seed) => format!("The seed is revealed: {seed}. `fairground verify` replays the draw from the raffle's evidence."),
            None => "The seed is not revealed yet; it is once the epoch has closed, and the evidence then replays the draw.".to_owned(),
        };
        self.say(About::Proof, told);
    }
}

/// What was met, as the end of a sentence.
fn met(step: Step) -> &'static str {
    match step {
        Step::Open => "there were as many, so it was open",
        Step::Locked => "there were fewer, so it was locked",
        Step::Taken => "a unit was there and was taken",
        Step::Empty => "there was no unit",
        Step::Unlimited => "it never runs out",
        Step::Yes => "it is",
        Step::No => "it is not, or was not told",
        Step::Due => "they were, so it was due",
        Step::NotDue => "they were not",
        Step::Reached => "it is",
        Step::Missed => "it is not",
        Step::Frozen => "an operator had frozen it",
        Step::NotReleased => "its next units come later",
        Step::Capped => "the participant had won it as often as one may",
        Step::TooSoon => "the participant's last win was too near",
        Step::NotForThem => "a list keeps it from this participant",
        Step::OverBudget => "the budget did not cover it",
    }
}

#[cfg(test)]
mod tests;
