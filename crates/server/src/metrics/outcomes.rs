//! What becomes of acts, of orders to the ledger, of the news that somebody was brought, and of calls to endpoints.

use campaign::courier;
use campaign::desk::{self, Done};
use kernel::fault::Classify;
use kernel::ports::outbound::{Call, Outcome as Called, Verb};
use ledger::ledger as orders;
use ledger::order::Outcome as Ordered;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

type Counts<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;

/// Outcomes, counted. Kinds, outcomes and codes are from fixed lists.
pub struct Outcomes {
    acts: Counts<2>,
    acts_refused: Counts<1>,
    orders: Counts<1>,
    referrals: Counts<1>,
    calls: Counts<2>,
}

impl Outcomes {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let outcomes = Self {
            acts: Counts::default(),
            acts_refused: Counts::default(),
            orders: Counts::default(),
            referrals: Counts::default(),
            calls: Counts::default(),
        };
        let Self { acts, acts_refused, orders, referrals, calls } = &outcomes;
        let help = "Acts in campaigns by kind: done, or replayed";
        registry.register("fairground_acts", help, acts.clone());
        registry.register(
            "fairground_acts_refused",
            "Acts in campaigns that were refused",
            acts_refused.clone(),
        );
        let help = "Orders to the ledger: done, replayed, refused, conflict, or failed";
        registry.register("fairground_ledger_orders", help, orders.clone());
        let help = "News that somebody was brought: rewarded, replayed, over, forgotten, or failed";
        registry.register("fairground_referrals", help, referrals.clone());
        let help = "Calls to endpoints, to deliver or to ask: taken, refused, failed, or unknown";
        registry.register("fairground_webhook_calls", help, calls.clone());
        outcomes
    }
}

fn done(replayed: bool) -> &'static str {
    if replayed { "replayed" } else { "done" }
}

impl desk::Witness for Outcomes {
    fn acted(&self, outcome: &Result<Done, campaign::error::Error>) {
        match outcome {
            Ok(Done { acted, replayed }) => {
                let labels = [("kind", acted.word()), ("outcome", done(*replayed))];
                self.acts.get_or_create(&labels).inc();
            }
            Err(error) => {
                self.acts_refused.get_or_create(&[("code", error.code())]).inc();
            }
        }
    }

    fn brought(&self, outcome: &'static str) {
        self.referrals.get_or_create(&[("outcome", outcome)]).inc();
    }
}

impl orders::Witness for Outcomes {
    fn ordered(&self, outcome: &Result<Ordered, ledger::error::Error>) {
        let word = match outcome {
            Ok(Ordered::Created(_)) => "done",
            Ok(Ordered::Exists(_) | Ordered::Refused { replayed: true, .. }) => "replayed",
            Ok(Ordered::Refused { replayed: false, .. }) => "refused",
            Ok(Ordered::ExistsWithDifferent(_)) => "conflict",
            // Looking whether something is due is no order of anybody.
            Ok(Ordered::Nothing) => return,
            Err(_) => "failed",
        };
        self.orders.get_or_create(&[("outcome", word)]).inc();
    }
}

impl courier::Witness for Outcomes {
    fn called(&self, call: &Call, outcome: &Called) {
        let kind = match call.verb {
            Verb::Deliver => "deliver",
            Verb::Ask => "ask",
        };
        let word = match outcome {
            Called::Taken => "taken",
            Called::Refused { .. } => "refused",
            Called::Failed { .. } => "failed",
            Called::Unknown { .. } => "unknown",
        };
        self.calls.get_or_create(&[("kind", kind), ("outcome", word)]).inc();
    }
}
