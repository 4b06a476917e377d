//! What a document would do: draws that never happen, decided by the product's own rules.
//!
//! A [`Simulation`] plays a [`Scenario`] with [`Plan`], shelves in memory, participants in memory and a clock that jumps
//! from draw to draw. No I/O and no other source of chance than the seed: the same document, scenario and run give the
//! same [`Played`] on every machine. [`Report`] puts many runs together. Whether people hold tickets is not in a document:
//! where its rules take them from a wallet, everybody is taken to hold enough.

mod dice;
mod forecast;

pub use forecast::{Exhaustion, Interval, Intervals, Report};

use std::collections::{BTreeMap, HashMap};

use kernel::fault::Classify;
use kernel::hex::hex;

use crate::document::Document;
use crate::error::Error;
use crate::rules::{BUDGET, Plan, Publication, Rules, Shelf, Shelves};
use crate::standing::{Attested, History, Standing};
use dice::Dice;

/// Most draws of one run.
pub const DRAWS_MAX: u64 = 1_000_000_000;

/// Most participants.
pub const PARTICIPANTS_MAX: u32 = 2_000_000;

/// Draws between two reports of progress.
const STRIDE: u64 = 8_192;

/// Draws for each participant, where only one of both numbers is said.
const DRAWS_EACH: u64 = 10;

/// Draws, where nothing is said.
const DRAWS: u64 = 100_000;

const DAY_MS: u64 = 86_400_000;

/// In which order participants draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrival {
    /// Each draw is made by anybody, all equally likely.
    #[default]
    Chance,
    /// One after the other, then the first again.
    Turns,
    /// Each makes all their draws before the next comes.
    Sessions,
}

/// Who draws, when, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scenario {
    /// Draws asked for, at most [`DRAWS_MAX`]. `None`: ten for each participant, or 100 000.
    pub draws: Option<u64>,
    /// Participants, at most [`PARTICIPANTS_MAX`]. `None`: a tenth of the draws, or as many as the tickets ask for.
    pub participants: Option<u32>,
    /// In which order.
    pub arrival: Arrival,
    /// Whether the people whom the document names are the first participants. Else all are strangers to its lists.
    pub with_named: bool,
    /// Draws in 24 hours, evenly spread. `None`: all are spread over the window, or over a day where that has no end.
    pub draws_per_day: Option<u64>,
    /// The first draw, in milliseconds since the epoch. `None`: when the window opens, or when the first units are
    /// released, or a day before the window closes, or 1970-01-01.
    pub start_ms: Option<i64>,
    /// What is told of every participant.
    pub told: Attested,
    /// The same seed gives the same runs.
    pub seed: u64,
}

/// A scenario with all its numbers, over rules that are ready to decide.
pub struct Simulation {
    plan: Plan,
    shelves: Shelves,
    costs: Vec<u64>,
    attested: Attested,
    scenario: Scenario,
    draws: u64,
    participants: u32,
    named: u32,
    start_ms: i64,
    span_ms: u128,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Wins, by the prize's place in the plan.
    pub won: Vec<u64>,
    /// Draws that won nothing.
    pub nothing: u64,
    /// Draws that were refused, by the error's code.
    pub refused: BTreeMap<&'static str, u64>,
    /// What was won costs so much, in minor units.
    pub cost: u64,
    /// By the prize's place: the number of the draw that took the last unit, from 1, and its instant in milliseconds.
    pub stock_out: Vec<Option<(u64, i64)>>,
}

impl Simulation {
    /// Prepares a document without lint errors. What the scenario tells of participants must be known to its rules.
    pub fn of(document: &Document, scenario: Scenario) -> Result<Self, Error> {
        let people = if scenario.with_named { named(document) } else { HashMap::new() };
        let place = |id: &str| document.prizes.iter().position(|prize| prize.id == id).unwrap_or(0);
        let publication = Publication {
            tenant: "",
            version: 1,
            // Whoever does not take part has a name that no participant has.
            pseudonym: &|name| hex(&pseudonym(people.get(name).copied().unwrap_or(u32::MAX))),
            slot: &|id| u32::try_from(place(id)).unwrap_or(u32::MAX),
        };
        let plan = Plan::of(Rules::of(document, &publication)).map_err(Error::BrokenVersion)?;
        let attested = plan.attest(&scenario.told)?;
        let mut shelves = Shelves::default();
        for prize in &document.prizes {
            if let Some(units) = prize.stock.units() {
                shelves.put(&prize.id, units, 0, false);
            }
        }
        if let Some(budget) = &document.budget {
            shelves.put(BUDGET, budget.amount, 0, false);
        }
        let (draws, participants) = sized(&scenario, document.tickets.total);
        let (start_ms, span_ms) = time(&scenario, &plan, draws);
        let costs = plan.rules.prizes.values().map(|prize| prize.cost).collect();
        let named = u32::try_from(people.len()).unwrap_or(u32::MAX);
        Ok(Self { plan, shelves, costs, attested, scenario, draws, participants, named, start_ms, span_ms })
    }

    /// The rules, for the names of prizes.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Draws asked for in one run.
    pub fn draws(&self) -> u64 {
        self.draws
    }

    /// Participants of one run.
    pub fn participants(&self) -> u32 {
        self.participants
    }

    /// How many participants the document names.
    pub fn named(&self) -> u32 {
        self.named.min(self.participants)
    }

    /// The seed of all runs.
    pub fn seed(&self) -> u64 {
        self.scenario.seed
    }

    /// Plays one run. `progress` hears now and then how many more draws are done.
    pub fn play(&self, run: u32, progress: &dyn Fn(u64)) -> Played {
        let plan = &self.plan;
        let mut dice = Dice::new(self.scenario.seed, u64::from(run) * 2);
        let mut crowd = Dice::new(self.scenario.seed, u64::from(run) * 2 + 1);
        let mut shelves = self.shelves.clone();
        let mut histories = vec![History::default(); self.participants as usize];
        let mut played = Played {
            won: vec![0; plan.prizes.len()],
            nothing: 0,
            refused: BTreeMap::new(),
            cost: 0,
            stock_out: vec![None; plan.prizes.len()],
        };
        let mut today = Today { day: 0, until_ms: i64::MIN };
        for number in 1..=self.draws {
            let now_ms = self.instant(number - 1);
            let day = today.day(now_ms, plan);
            let who = self.who(number - 1, &mut crowd);
            let Some(history) = histories.get_mut(who as usize) else { continue };
            let standing =
                Standing { pseudonym: pseudonym(who), history, attested: &self.attested, now_ms, day };
            if let Err(error) = plan.admit(&standing, &shelves) {
                *played.refused.entry(error.code()).or_default() += 1;
            } else {
                let outcome = plan.draw(&standing, |total| dice.below(total), &mut shelves);
                let completed = plan.completed(&standing, &outcome);
                history.complete(completed);
                match outcome.prize {
                    None => played.nothing += 1,
                    Some(prize) => {
                        played.won[prize] += 1;
                        played.cost = played.cost.saturating_add(self.costs[prize]);
                        let id = &plan.prizes[prize];
                        let is_last = played.stock_out[prize].is_none()
                            && shelves.granted(id) > 0
                            && shelves.free(id) == Some(0);
                        if is_last {
                            played.stock_out[prize] = Some((number, now_ms));
                        }
                    }
                }
            }
            if number % STRIDE == 0 {
                progress(STRIDE);
            }
        }
        progress(self.draws % STRIDE);
        played
    }

    /// The instant of a draw, counted from 0.
    fn instant(&self, at: u64) -> i64 {
        let into_ms = u128::from(at) * self.span_ms / u128::from(self.draws.max(1));
        self.start_ms.saturating_add(i64::try_from(into_ms).unwrap_or(i64::MAX))
    }

    /// The participant of a draw, both counted from 0.
    fn who(&self, at: u64, crowd: &mut Dice) -> u32 {
        let participants = u64::from(self.participants);
        let who = match self.scenario.arrival {
            Arrival::Chance => crowd.below(participants),
            Arrival::Turns => at % participants,
            Arrival::Sessions => at / self.draws.div_ceil(participants),
        };
        u32::try_from(who).unwrap_or(u32::MAX)
    }
}

/// The local day, looked up once for all its draws.
struct Today {
    day: i32,
    until_ms: i64,
}

impl Today {
    fn day(&mut self, now_ms: i64, plan: &Plan) -> i32 {
        if now_ms >= self.until_ms {
            self.day = plan.zone.day_of(now_ms);
            self.until_ms = plan.zone.next_midnight(now_ms).unwrap_or(i64::MAX);
        }
        self.day
    }
}

/// The public name of a participant's number.
fn pseudonym(who: u32) -> [u8; 16] {
    let mut name = [0; 16];
    name[12..].copy_from_slice(&who.to_be_bytes());
    name
}

/// Everybody whom a document names, in its order: rules of eligibility, lists of prizes, the deny list.
fn named(document: &Document) -> HashMap<&str, u32> {
    let rules = document.eligibility.iter().flat_map(|rule| rule.rule().participants());
    let prizes =
        document.prizes.iter().flat_map(|prize| prize.only_for.iter().flatten().chain(&prize.never_for));
    let denied = document.deny_list.iter().flat_map(|denied| &denied.participants);
    let mut people = HashMap::new();
    for name in rules.chain(prizes).chain(denied) {
        let next = u32::try_from(people.len()).unwrap_or(u32::MAX);
        people.entry(name.as_str()).or_insert(next);
    }
    people
}

/// Draws and participants. Where tickets are few, a participant is not asked to draw more often than they may.
fn sized(scenario: &Scenario, tickets: Option<u32>) -> (u64, u32) {
    let each = tickets.map_or(DRAWS_EACH, |tickets| DRAWS_EACH.min(u64::from(tickets.max(1))));
    let participants = scenario.participants.map(|participants| participants.clamp(1, PARTICIPANTS_MAX));
    let draws = scenario.draws.unwrap_or_else(|| participants.map_or(DRAWS, |many| u64::from(many) * each));
    let draws = draws.min(DRAWS_MAX);
    let fitting = u32::try_from(draws.div_ceil(each)).unwrap_or(u32::MAX).clamp(1, PARTICIPANTS_MAX);
    (draws, participants.unwrap_or(fitting))
}

/// The first instant, and over how many milliseconds the draws are spread.
fn time(scenario: &Scenario, plan: &Plan, draws: u64) -> (i64, u128) {
    let releases = plan.rules.prizes.values().filter_map(|prize| prize.release.as_ref());
    let first_release = releases.flat_map(|release| &release.slots).map(|(from_ms, _)| *from_ms).min();
    let (from_ms, until_ms) = (plan.rules.from_ms, plan.rules.until_ms);
    let last_day = until_ms.map(|until_ms| until_ms.saturating_sub(DAY_MS as i64));
    let start_ms = scenario.start_ms.or(from_ms).or(first_release).or(last_day).unwrap_or(0);
    let span_ms = match (scenario.draws_per_day, until_ms) {
        (Some(per_day), _) => u128::from(draws) * u128::from(DAY_MS) / u128::from(per_day.max(1)),
        (None, Some(until_ms)) => u128::try_from(until_ms.saturating_sub(start_ms)).unwrap_or(0),
        (None, None) => u128::from(DAY_MS),
    };
    (start_ms, span_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prize `a` of weight 1 in 2, then prize `b`, which is endless and costs 3.
    fn document(a: &str, more: &str) -> Document {
        let text = format!(
            "raffle: r\ntitle: R\ndenominator: 2\nprizes:\n  - {{id: a, title: A, weight: 1, cost: 10, {a}}}\n  - {{id: b, title: B, weight: 1, stock: unlimited, cost: 3, consolation: true}}\n{more}"
        );
        crate::document::read(&text).expect("a document")
    }

    fn play(document: &Document, scenario: Scenario) -> Report {
        let simulation = Simulation::of(document, scenario).expect("a simulation");
        let runs: Vec<_> = (0..20).map(|run| simulation.play(run, &|_| {})).collect();
        Report::of(&simulation, &runs).expect("runs")
    }

    fn draws(draws: u64, participants: u32) -> Scenario {
        Scenario { draws: Some(draws), participants: Some(participants), ..Scenario::default() }
    }

    #[test]
    fn every_draw_is_won_refused_or_nothing_and_costs_what_was_won() {
        let cases: [(&str, &str, Scenario); 7] = [
            ("stock: 40", "", draws(1_000, 10)),
            ("stock: 40", "when_exhausted: {policy: fallback, prize: b}\n", draws(1_000, 10)),
            ("stock: 40", "when_exhausted: {policy: renormalise}\n", draws(1_000, 10)),
            ("stock: unlimited, cap: {wins: 2, per: day}", "", draws(500, 20)),
            ("stock: unlimited", "tickets: {total: 3}\n", draws(500, 20)),
            ("stock: unlimited", "budget: {amount: 100, when_spent: stop}\n", draws(500, 20)),
            ("stock: unlimited", "eligibility: [{kind: velocity, draws: 2, seconds: 3600}]\n", draws(500, 1)),
        ];
        for (a, more, scenario) in cases {
            let report = play(&document(a, more), scenario);
            let seen: u64 = report.outcomes.values().chain(report.refused.values()).sum();
            assert_eq!(seen, report.draws, "{a} {more}");
            assert_eq!(report.cost, report.outcomes["a"] * 10 + report.outcomes["b"] * 3);
            for (prize, interval) in &report.intervals.outcomes {
                assert!(interval.low <= interval.high, "{prize}");
                assert!((interval.low as f64..=interval.high as f64).contains(&interval.mean), "{prize}");
            }
        }
    }

    #[test]
    fn what_refuses_and_what_runs_out_is_told() {
        let report = play(&document("stock: 40", ""), draws(1_000, 10));
        assert_eq!(report.outcomes["a"], 40);
        let at = report.stock_out["a"].expect("it runs out");
        assert!((60..=110).contains(&at), "forty of every second draw: {at}");
        let exhaustion = report.intervals.stock_out["a"].expect("it runs out");
        assert_eq!(exhaustion.runs, 20);
        assert!(exhaustion.draw.low <= at && exhaustion.at_ms.low > 0);
        assert!(!report.stock_out.contains_key("b"), "an endless prize has no stock to run out of");

        let report = play(&document("stock: 5000", ""), draws(1_000, 10));
        assert_eq!((report.stock_out["a"], report.intervals.stock_out["a"]), (None, None));

        let report = play(&document("stock: 1", "tickets: {total: 3}\n"), draws(100, 5));
        assert_eq!(report.refused, BTreeMap::from([("campaign.tickets_used".to_owned(), 85)]));
        let over = Scenario { draws_per_day: Some(10), ..draws(100, 5) };
        let window = "window: {from: \"2026-01-01T00:00:00\", until: \"2026-01-08T00:00:00\"}\n";
        let report = play(&document("stock: 1", window), over);
        assert_eq!(report.refused, BTreeMap::from([("campaign.ended".to_owned(), 30)]));
        assert_eq!(play(&document("stock: 1", window), draws(100, 5)).refused, BTreeMap::new());
    }

    #[test]
    fn days_pass_and_people_are_counted() {
        let cap = document("stock: unlimited, cap: {wins: 1, per: day}", "");
        let days = Scenario { draws_per_day: Some(100), arrival: Arrival::Turns, ..draws(1_000, 1) };
        assert_eq!(play(&cap, days).outcomes["a"], 10, "once on each of ten days");
        let one_day = Scenario { arrival: Arrival::Sessions, ..draws(1_000, 4) };
        assert_eq!(play(&cap, one_day).outcomes["a"], 4, "once for each of four");
        let release = "window: {from: \"2026-01-01T00:00:00\"}\n";
        let release = document("stock: 500, release: {every_day: 2}", release);
        let days = Scenario { draws_per_day: Some(100), ..draws(1_000, 10) };
        assert_eq!(play(&release, days).outcomes["a"], 20, "two on each of ten days");
    }

    #[test]
    fn people_whom_the_document_names_draw_where_that_is_asked() {
        let invited = document("stock: 50", "eligibility: [{kind: allow_list, participants: [ada, bob]}]\n");
        let named = |with_named| Scenario { with_named, arrival: Arrival::Turns, ..draws(100, 10) };
        assert_eq!(play(&invited, named(false)).refused["raffle.not_eligible"], 100);
        assert_eq!(play(&invited, named(true)).refused["raffle.not_eligible"], 80);
        let denied = document("stock: 500", "deny_list: {participants: [eve], prize: b}\n");
        assert_eq!(play(&denied, Scenario { with_named: true, ..draws(100, 1) }).outcomes["b"], 100);
    }

    #[test]
    fn what_is_told_must_be_known_and_counts() {
        let tiers = document(
            "stock: 500",
            "metrics: [steps]\nodds_tiers: {metric: steps, mode: at_least, tiers: [{threshold: 10, prizes: [a]}]}\n",
        );
        let told = |name: &str, steps| Scenario {
            told: Attested { metrics: BTreeMap::from([(name.to_owned(), steps)]), ..Attested::default() },
            ..draws(100, 1)
        };
        assert_eq!(play(&tiers, told("steps", 10)).outcomes["a"], 100);
        assert!(play(&tiers, told("steps", 9)).outcomes["a"] < 80);
        let strange = Simulation::of(&tiers, told("shoes", 9)).err();
        assert_eq!(strange, Some(Error::UnknownAttribute("shoes".to_owned())));
    }

    #[test]
    fn draws_and_participants_follow_from_each_other_and_from_tickets() {
        let sizes = |draws, participants, tickets| {
            sized(&Scenario { draws, participants, ..Scenario::default() }, tickets)
        };
        assert_eq!(sizes(None, None, None), (100_000, 10_000));
        assert_eq!(sizes(Some(1_000), None, None), (1_000, 100));
        assert_eq!(sizes(None, Some(7), None), (70, 7));
        assert_eq!(sizes(None, Some(7), Some(3)), (21, 7));
        assert_eq!(sizes(Some(1_000), None, Some(1)), (1_000, 1_000));
        assert_eq!(sizes(Some(0), None, None), (0, 1));
        assert_eq!(sizes(Some(5), Some(0), Some(0)), (5, 1));
    }

    /// These numbers may only change with the rules or the generator: the same seed is the same result, everywhere.
    #[test]
    fn a_seed_gives_the_same_run_for_ever() {
        let document = document("stock: 300, cap: {wins: 3, per: campaign}", "");
        let simulation = Simulation::of(&document, Scenario { seed: 7, ..draws(2_000, 90) });
        let simulation = simulation.expect("a simulation");
        let first = simulation.play(0, &|_| {});
        assert_eq!((first.won.clone(), first.nothing, first.cost), (vec![270, 969], 761, 5_607));
        assert_eq!(simulation.play(0, &|_| {}), first);
        assert_ne!(simulation.play(1, &|_| {}), first);
    }
}
