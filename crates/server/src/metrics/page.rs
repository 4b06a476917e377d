//! The page that monitoring reads: what was counted, and what is looked up when it asks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use campaign::award::DRAW_MADE;
use campaign::fulfilment::Awards;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use raffle::epoch::GATE_CLOSED;
use raffle::error::Error;
use raffle::raffles::Raffles;
use records::follow::Standing;
use records::gate::Segment;

use super::draws::{RAFFLES_MAX, Watch};
use super::{Labels, Metrics};
use crate::switches::Board;

/// Pools whose drift is told at the most.
const POOLS_MAX: usize = 1000;

type Count = Gauge<u64, AtomicU64>;
type Number = Gauge<f64, AtomicU64>;

/// What the records say.
struct Kept {
    backlog: (u64, u64, u64),
    lag: BTreeMap<String, i64>,
    stock: Vec<(String, Vec<Segment>)>,
}

async fn kept(raffles: &Raffles) -> Result<Kept, Error> {
    Ok(Kept {
        backlog: raffles.backlog().await?,
        lag: raffles.lag().await?,
        stock: raffles.stock(u32::try_from(RAFFLES_MAX).unwrap_or(u32::MAX)).await?,
    })
}

impl Metrics {
    /// The whole page, in the text format of OpenMetrics. Whatever was kept before `searched_ms` is found by searching; `None`
    /// where not everything has been read yet.
    pub async fn page(
        &self,
        (raffles, awards): (&Raffles, &Awards),
        switches: &Board,
        (searched_ms, now_ms): (Option<i64>, i64),
    ) -> Result<String, std::fmt::Error> {
        // A registry for this page alone: two who ask at once do not mix, and what is gone is not told.
        let mut registry = Registry::default();
        count(
            &mut registry,
            "fairground_batch_waiting",
            "Draws that wait for a transaction",
            raffles.waiting() as u64,
        );
        self.tell_drift(&mut registry);
        tell_switches(&mut registry, switches, now_ms);
        self.tell_spans(&mut registry);
        let kept = kept(raffles).await;
        count(
            &mut registry,
            "fairground_records_up",
            "Whether the records can be read: 0 or 1",
            kept.is_ok().into(),
        );
        match kept {
            Ok(kept) => tell_kept(&mut registry, &kept, now_ms),
            Err(error) => tracing::warn!(%error, "the metrics of the records could not be read"),
        }
        match awards.deliveries().await {
            Ok((owed, given_up, oldest_ms)) => {
                let webhooks = Family::<[(&str, &str); 1], Count>::default();
                for (state, number) in [("owed", owed), ("dead", given_up)] {
                    webhooks.get_or_create(&[("state", state)]).set(number);
                }
                registry.register(
                    "fairground_webhooks",
                    "Webhooks that are not taken: owed, or given up; each counted up to a limit",
                    webhooks,
                );
                number(
                    &mut registry,
                    "fairground_webhooks_oldest_seconds",
                    "Age of the oldest webhook that is owed; 0 where there is none",
                    seconds_since(oldest_ms.unwrap_or(now_ms), now_ms),
                );
            }
            Err(error) => tracing::warn!(%error, "the metrics of webhooks could not be read"),
        }
        if let Some(searched_ms) = searched_ms {
            number(
                &mut registry,
                "fairground_search_behind_seconds",
                "How far searching is behind the records; missing until all that there was has been read",
                seconds_since(searched_ms, now_ms),
            );
        }
        number(
            &mut registry,
            "process_start_time_seconds",
            "When the process started, since the Unix epoch",
            self.started_ms as f64 / 1000.0,
        );
        if let Some(bytes) = resident_bytes() {
            count(&mut registry, "process_resident_memory_bytes", "Resident memory", bytes);
        }
        let mut page = String::with_capacity(16 * 1024);
        encode_registry(&mut page, &self.registry)?;
        encode_registry(&mut page, &registry)?;
        encode_eof(&mut page)?;
        Ok(page)
    }

    fn tell_spans(&self, registry: &mut Registry) {
        let Some(counts) = self.traces.as_ref().map(|traces| traces.counts()) else { return };
        let spans = Family::<[(&str, &str); 1], Counter>::default();
        for (outcome, number) in [("sent", &counts.sent), ("dropped", &counts.dropped)] {
            spans.get_or_create(&[("outcome", outcome)]).inc_by(number.load(Ordering::Relaxed));
        }
        registry.register("fairground_spans", "Spans of traces: sent, or dropped", spans);
    }

    fn tell_drift(&self, registry: &mut Registry) {
        let (draws, statistic, alarm) = (
            Family::<Labels<3>, Count>::default(),
            Family::<Labels<3>, Number>::default(),
            Family::default(),
        );
        let mut watches = self.draws.watches();
        watches.sort_by(|a, b| name(a).cmp(&name(b)));
        let mut pools = 0;
        for watch in &watches {
            let (raffle, version) = name(watch);
            for (pool, tally) in watch.drift().tallies().take(POOLS_MAX - pools) {
                pools += 1;
                let pool = watch.plan.pool_name(pool).unwrap_or_default();
                let labels = [
                    ("raffle", Cow::from(raffle.to_owned())),
                    ("version", Cow::from(version.to_string())),
                    ("pool", Cow::from(pool.to_owned())),
                ];
                draws.get_or_create(&labels).set(tally.draws());
                statistic.get_or_create(&labels).set(tally.statistic());
                let alarm: &Family<Labels<3>, Count> = &alarm;
                alarm.get_or_create(&labels).set(tally.alarm().into());
            }
        }
        registry.register(
            "fairground_odds_drift_draws",
            "Draws since the start whose picks were counted",
            draws,
        );
        registry.register(
            "fairground_odds_drift",
            "Log-likelihood ratio (G) of what chance picked against the weights",
            statistic,
        );
        registry.register(
            "fairground_odds_drift_alarm",
            "Whether chance did not pick what the weights say: 0 or 1, until the process ends",
            alarm,
        );
    }
}

fn name(watch: &Watch) -> (&str, u32) {
    (&watch.plan.rules.raffle, watch.plan.rules.version)
}

fn count(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Count::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn number(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Number::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

/// How long ago something was; 0 where it is still to come.
fn seconds_since(at_ms: i64, now_ms: i64) -> f64 {
    now_ms.saturating_sub(at_ms).max(0) as f64 / 1000.0
}

/// What this process works by. A stale one works by what it saw before.
fn tell_switches(registry: &mut Registry, switches: &Board, now_ms: i64) {
    let Standing { revision, looked_ms, fault } = switches.standing();
    count(registry, "fairground_switches_revision", "The revision of the switches that holds here", revision);
    count(
        registry,
        "fairground_switches_stale",
        "Whether the latest look at the switches failed: 0 or 1",
        fault.is_some().into(),
    );
    number(
        registry,
        "fairground_switches_seen_seconds",
        "How long ago the switches could last be looked at",
        seconds_since(looked_ms, now_ms),
    );
}

fn tell_kept(registry: &mut Registry, kept: &Kept, now_ms: i64) {
    let effects = Family::<[(&str, &str); 1], Count>::default();
    let (fresh, waiting, dead) = kept.backlog;
    for (state, number) in [("fresh", fresh), ("waiting", waiting), ("dead", dead)] {
        effects.get_or_create(&[("state", state)]).set(number);
    }
    registry.register(
        "fairground_effects",
        "Effects that are not sent: fresh, waiting, or dead; each counted up to a limit",
        effects,
    );
    let oldest = Family::<[(&str, Cow<'_, str>); 1], Number>::default();
    for topic in [DRAW_MADE, GATE_CLOSED] {
        oldest.get_or_create(&[("topic", Cow::from(topic))]).set(0.0);
    }
    for (topic, oldest_ms) in &kept.lag {
        oldest.get_or_create(&[("topic", Cow::from(topic.clone()))]).set(seconds_since(*oldest_ms, now_ms));
    }
    registry.register(
        "fairground_effects_oldest_seconds",
        "Age of the oldest effect of a topic that is due, not sent and not dead; 0 where there is none",
        oldest,
    );
    let units = Family::<Labels<3>, Count>::default();
    for (raffle, segment) in
        kept.stock.iter().flat_map(|(id, segments)| segments.iter().map(move |one| (id, one)))
    {
        for (state, number) in [("free", segment.free), ("granted", segment.granted)] {
            let labels = [
                ("raffle", Cow::from(raffle.clone())),
                ("prize", Cow::from(segment.item.clone())),
                ("state", Cow::from(state)),
            ];
            units.get_or_create(&labels).set(number);
        }
    }
    registry.register("fairground_prize_units", "Units of finite prizes: free, and granted", units);
}

/// Resident memory in bytes, where the system tells it: see proc_pid_status(5).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
