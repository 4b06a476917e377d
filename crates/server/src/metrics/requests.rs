//! What happens at the edge: requests by route, method and class of status, their time, and the codes of problems.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Labels, durations};

/// Methods that have a label of their own; the last stands for all others.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];
/// Classes of status; the last stands for what is no status.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The series of one route: made when first needed, then found without building labels.
#[derive(Default)]
struct Route {
    seconds: [OnceLock<Histogram>; METHODS.len()],
    answered: [[OnceLock<Counter>; CLASSES.len()]; METHODS.len()],
}

/// Requests, counted and timed.
pub struct Requests {
    answered: Family<Labels<3>, Counter>,
    seconds: Family<Labels<2>, Histogram, fn() -> Histogram>,
    problems: Family<[(&'static str, &'static str); 1], Counter>,
    routes: RwLock<HashMap<String, Arc<Route>>>,
}

impl Requests {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let (answered, problems) = (Family::default(), Family::default());
        let seconds = Family::new_with_constructor(durations as fn() -> Histogram);
        registry.register(
            "fairground_requests",
            "Requests answered, by route template, method and class of status",
            answered.clone(),
        );
        registry.register(
            "fairground_request_seconds",
            "Time from the end of a request's headers to the beginning of its answer",
            seconds.clone(),
        );
        registry.register(
            "fairground_problems",
            "Requests answered with a problem document, by its code",
            problems.clone(),
        );
        Self { answered, seconds, problems, routes: RwLock::default() }
    }

    /// Counts an answer. `route` is a template: there are as many as the router has.
    pub fn answered(&self, route: &str, method: &Method, status: StatusCode, time: Duration) {
        let method_at =
            METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class_at = (usize::from(status.as_u16() / 100)).wrapping_sub(1).min(CLASSES.len() - 1);
        let (method, class) = (METHODS[method_at], CLASSES[class_at]);
        let known = self.route(route);
        let labels = || [("route", Cow::from(route.to_owned())), ("method", Cow::from(method))];
        let seconds = known.seconds[method_at].get_or_init(|| self.seconds.get_or_create_owned(&labels()));
        seconds.observe(time.as_secs_f64());
        let answered = known.answered[method_at][class_at].get_or_init(|| {
            let [route, method] = labels();
            self.answered.get_or_create_owned(&[route, method, ("status", Cow::from(class))])
        });
        answered.inc();
    }

    /// Counts a problem.
    pub fn problem(&self, code: &'static str) {
        self.problems.get_or_create(&[("code", code)]).inc();
    }

    fn route(&self, route: &str) -> Arc<Route> {
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(route).cloned();
        known.unwrap_or_else(|| {
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(routes.entry(route.to_owned()).or_default())
        })
    }
}
