//! Where switches are set, and seen.

use std::sync::Arc;

use campaign::brake::Brake;
use kernel::id::{Shard, Tenant};
use kernel::ports::clock::Clock;
use records::audit::Cause;
use records::error::Error as RecordsError;
use records::follow::{Followed, Follower, Seen, Standing};
use records::port::{Records, read, write};
use records::setting::{self, Setting, Wish};

use super::table::{self, DRAWS, FULFILMENT, Kind, Limit, MODE, Own};
use super::{Error, Said, Switches, UNITS_MAX, Whose};

/// What somebody wants a switch set to.
pub struct Order {
    /// The switch's name.
    pub switch: String,
    /// For whom.
    pub whose: Whose,
    /// To what; `None` takes it back.
    pub said: Option<Said>,
    /// Until when.
    pub until_ms: Option<i64>,
    /// The version that the caller has seen.
    pub version: u64,
    /// Why.
    pub reason: String,
}

/// Where switches are set, and seen.
pub struct Board {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    tenant: Tenant,
    follower: Arc<Follower<Switches>>,
}

impl Board {
    /// Follows the switches in these records.
    pub async fn open(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Result<Self, RecordsError> {
        let tenant = Tenant::MAIN;
        let follower = Follower::open(Arc::clone(&records), Arc::clone(&clock), tenant.number).await?;
        Ok(Self { records, clock, tenant, follower: Arc::new(follower) })
    }

    /// What this process works by.
    pub fn seen(&self) -> Arc<Seen<Switches>> {
        self.follower.seen()
    }

    /// How following goes.
    pub fn standing(&self) -> Standing {
        self.follower.standing()
    }

    /// Looks whether something has changed.
    pub async fn look(&self) -> Result<bool, RecordsError> {
        self.follower.look().await
    }

    /// Sets a switch, or takes it back. It is in force in this process when this answers, and in all others within a second:
    /// what stands then is read in the transaction of the change, so that no reader is waited for.
    pub async fn set(&self, order: Order, cause: Cause) -> Result<Setting, Error> {
        let now_ms = self.clock.now_ms();
        let wish = checked(order, &cause, now_ms)?;
        let tenant = self.tenant.number;
        let (set, seen) = write(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let set = setting::change::<Switches>(tx, tenant, wish, (&cause, now_ms)).await?;
                let seen = Seen { revision: set.version, what: Switches::read(tx, tenant).await? };
                Ok::<_, Error>((set, seen))
            })
        })
        .await?;
        self.follower.tell(seen);
        Ok(set)
    }

    /// All settings that stand, from the records.
    pub async fn all(&self) -> Result<Vec<Setting>, Error> {
        let tenant = self.tenant.number;
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move { Ok(setting::all::<Switches>(tx, tenant).await?) })
        })
        .await
    }

    /// Up to `limit` changes of a switch after a version, oldest first.
    pub async fn changes(&self, switch: &str, after: u64, limit: u32) -> Result<Vec<Setting>, Error> {
        let switch = table::switch(switch).ok_or_else(|| Error::NoSuchSwitch(switch.to_owned()))?;
        let tenant = self.tenant.number;
        read(&*self.records, Shard::HOME, move |tx| {
            Box::pin(async move {
                Ok(setting::changes::<Switches>(tx, tenant, (switch.name, after), limit).await?)
            })
        })
        .await
    }
}

/// Holds what was won back while the switch of fulfilment says so.
pub fn brake(board: &Arc<Board>) -> Brake {
    let board = Arc::clone(board);
    Brake::held_by(move || board.seen().what.expect_on(FULFILMENT, board.clock.now_ms()).is_err())
}

/// What is to be written for an order that makes sense.
fn checked(order: Order, cause: &Cause, now_ms: i64) -> Result<Wish, Error> {
    let Order { switch: name, whose, said, until_ms, version, reason } = order;
    let switch = table::switch(&name).ok_or(Error::NoSuchSwitch(name))?;
    let bad = |detail: String| Err(Error::BadValue(detail));
    if !whose.fits(switch) {
        return bad(match switch.own {
            Own::Nobody => format!("`{}` holds for all: name no key, participant or route", switch.name),
            Own::Key => format!("`{}` is set for all, or for one `key`", switch.name),
            Own::Participant => format!("`{}` is set for all, or for one `participant`", switch.name),
            Own::Route => format!("`{}` is set for one `route`", switch.name),
        });
    }
    if let Whose::Route(route) = &whose {
        let place = route.split_once(' ').and_then(|(method, path)| table::place_of(method, path));
        if place.is_none_or(|place| place.feature.is_none()) {
            return bad(format!("`{route}` is no route that can be held back, such as `GET /raffles`"));
        }
        if said == Some(Said::Units(0)) && place.is_some_and(|place| place.feature == Some(DRAWS)) {
            return bad(format!("to stop draws, set `{DRAWS}`: repeats are answered all the same"));
        }
    }
    if said.is_some_and(|said| !said.fits(switch)) {
        return bad(match switch.kind {
            Kind::Feature => format!("`{}` is true or false", switch.name),
            Kind::Mode => format!("`{MODE}` is normal, reduced or essential"),
            Kind::Limit(_) => format!("`{}` is a number from 0 to {UNITS_MAX}", switch.name),
        });
    }
    if said == Some(Said::Units(0)) && switch.kind == Kind::Limit(Limit::KeyRequests) {
        match &whose {
            // Nobody could take it back.
            Whose::All => return bad(format!("`{}` is at least 1 for all", switch.name)),
            Whose::Key(name) if *name == cause.actor.name => return Err(Error::OwnKey),
            Whose::Key(_) | Whose::Participant(_) | Whose::Route(_) => {}
        }
    }
    if until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
        return bad("`until_ms` is over already".to_owned());
    }
    let value = said.map(|said| serde_json::to_string(&said));
    let value = value.transpose().map_err(|error| Error::BadValue(error.to_string()))?;
    Ok(Wish { name: switch.name, whose: whose.text(), value, until_ms, version, reason })
}

#[cfg(test)]
mod tests {
    use kernel::fault::Classify;
    use records::audit::Actor;

    use super::super::table::Mode;
    use super::*;

    #[test]
    fn an_order_that_makes_no_sense_is_refused() {
        let actor = Arc::new(Actor { name: "ops".to_owned(), role: "operator" });
        let cause = Cause { actor, key: String::new(), body_hash: None };
        let check = |switch: &str, whose: Whose, said: Option<Said>, until_ms, code: &str| {
            let order = Order {
                switch: switch.to_owned(),
                whose,
                said,
                until_ms,
                version: 0,
                reason: "a trial".to_owned(),
            };
            let told = checked(order, &cause, 1_000).map_or_else(|error| error.code(), |_| "");
            assert_eq!(told, code, "{switch} {said:?}");
        };
        let (keys, routes) = ("limit.key_requests_per_second", "limit.route_requests_per_second");
        let draws = "limit.participant_draws_per_second";
        let pairs = "limit.participant_route_requests_per_second";
        let key = |name: &str| Whose::Key(name.to_owned());
        let route = |route: &str| Whose::Route(route.to_owned());
        let (on, bad) = (Some(Said::On(false)), "switch.bad_value");
        check(DRAWS, Whose::All, on, None, "");
        check(DRAWS, Whose::All, None, None, "");
        check(DRAWS, Whose::All, on, Some(1_001), "");
        check(DRAWS, Whose::All, on, Some(1_000), bad);
        check("feature.none", Whose::All, on, None, "switch.missing");
        check(DRAWS, Whose::All, Some(Said::Units(0)), None, bad);
        check(DRAWS, key("shop"), on, None, bad);
        check(MODE, Whose::All, Some(Said::Mode(Mode::Essential)), None, "");
        check(MODE, Whose::All, on, None, bad);
        check(draws, Whose::Participant("p".to_owned()), Some(Said::Units(0)), None, "");
        check(draws, key("shop"), Some(Said::Units(0)), None, bad);
        check(draws, Whose::All, Some(Said::Units(UNITS_MAX)), None, "");
        check(draws, Whose::All, Some(Said::Units(UNITS_MAX + 1)), None, bad);
        check(keys, Whose::All, Some(Said::Units(1)), None, "");
        check(keys, Whose::All, Some(Said::Units(0)), None, bad);
        check(keys, key("shop"), Some(Said::Units(0)), None, "");
        check(keys, key("ops"), Some(Said::Units(0)), None, "switch.own_key");
        check(routes, Whose::All, Some(Said::Units(5)), None, bad);
        check(routes, route("GET /raffles"), Some(Said::Units(0)), None, "");
        check(routes, route("GET /switches"), Some(Said::Units(0)), None, bad);
        check(routes, route("GET /nowhere"), Some(Said::Units(5)), None, bad);
        check(routes, route("POST /raffles/{id}/draws"), Some(Said::Units(5)), None, "");
        check(routes, route("POST /raffles/{id}/draws"), Some(Said::Units(0)), None, bad);
        check(pairs, Whose::All, Some(Said::Units(5)), None, bad);
        check(pairs, Whose::Participant("p".to_owned()), Some(Said::Units(5)), None, bad);
        check(pairs, route("GET /raffles"), Some(Said::Units(0)), None, "");
        check(pairs, route("POST /raffles/{id}/draws"), Some(Said::Units(0)), None, bad);
    }
}
