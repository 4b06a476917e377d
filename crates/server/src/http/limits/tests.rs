//! What limits let through, and what they say where they do not.

use records::setting::Setting;

use super::*;

const NAMES: [u8; 32] = [7; 32];

fn unset(limits: &config::Limits) -> Rates {
    Rates::configured(limits, Box::new(Arc::default), TokenKey::new(&NAMES))
}

fn limits(requests: u32, draws: u32, draws_a_minute: u32) -> config::Limits {
    config::Limits {
        requests_per_second: NonZeroU32::new(requests),
        draws_per_second_per_participant: NonZeroU32::new(draws),
        draws_per_minute_per_participant: NonZeroU32::new(draws_a_minute),
        ..config::Limits::default()
    }
}

fn rates(requests: u32, draws: u32, draws_a_minute: u32) -> Rates {
    unset(&limits(requests, draws, draws_a_minute))
}

fn told(answer: Result<(), Problem>) -> Vec<String> {
    let problem = answer.expect_err("a refusal");
    assert_eq!((problem.status().as_u16(), problem.code()), (429, "edge.too_many_requests"));
    let headers = problem.into_body("id").headers().clone();
    let told = ["retry-after", "ratelimit", "ratelimit-policy"]
        .map(|name| headers.get(name).expect("a header").to_str().expect("text").to_owned());
    told.into()
}

#[test]
fn a_limit_that_is_not_configured_refuses_nobody() {
    let rates = rates(0, 0, 0);
    for _ in 0..1000 {
        assert!(
            rates.admit_request("shop", 0).is_ok()
                && rates.admit_participant("ada", 0).is_ok()
                && rates.admit_draws("ada", NonZeroU32::MIN, 0).is_ok()
        );
    }
}

#[test]
fn a_refusal_names_the_limit_that_takes_longest_and_all_that_there_are() {
    let policy = "\"participant-draws-per-second\";q=2;w=1, \"participant-draws-per-minute\";q=3;w=60";
    let second = ["1", "\"participant-draws-per-second\";r=0;t=1", policy];
    let minute = |seconds: &str| {
        let limit = format!("\"participant-draws-per-minute\";r=0;t={seconds}");
        vec![seconds.to_owned(), limit, policy.to_owned()]
    };
    let rates = rates(0, 2, 3);
    let draw = |who: &str, now_ms| rates.admit_draws(who, NonZeroU32::MIN, now_ms);
    for now_ms in [0, 1] {
        assert!(draw("ada", now_ms).is_ok());
    }
    assert_eq!(told(draw("ada", 2)), second);
    assert_eq!(told(draw("ada", 999)), second, "a millisecond is told as a second");
    assert!(draw("ada", 1000).is_ok());
    assert_eq!(told(draw("ada", 1000)), minute("59"));
    assert_eq!(told(draw("ada", 1001)), minute("59"));
    assert_eq!(told(draw("ada", 59_999)), minute("1"));
    assert!(draw("ada", 60_000).is_ok());
    assert!(draw("bob", 1000).is_ok(), "one participant's draws are not another's");
}

#[test]
fn draws_of_one_request_count_each_and_too_many_never_fit() {
    let rates = rates(0, 5, 0);
    let ask = |draws, now_ms| rates.admit_draws("ada", NonZeroU32::new(draws).expect("a number"), now_ms);
    assert!(ask(3, 0).is_ok());
    assert_eq!(told(ask(3, 1))[0], "1", "three more are one too many");
    assert!(ask(2, 1).is_ok(), "what was refused was not counted");
    assert_eq!(told(ask(1, 2))[0], "1");
    let never = ask(6, 5_000).expect_err("a refusal");
    assert_eq!((never.status().as_u16(), never.code()), (422, "edge.beyond_limit"));
    assert!(ask(5, 5_000).is_ok());
}

#[test]
fn each_key_has_its_own_requests() {
    let rates = rates(1, 0, 0);
    assert!(rates.admit_request("shop", 0).is_ok());
    let policy = "\"key-requests-per-second\";q=1;w=1";
    assert_eq!(told(rates.admit_request("shop", 1)), ["1", "\"key-requests-per-second\";r=0;t=1", policy]);
    assert!(rates.admit_request("ops", 1).is_ok());
    assert!(rates.admit_request("shop", 1000).is_ok());
}

#[test]
fn each_participant_has_their_own_requests_as_many_as_a_key_unless_it_is_said() {
    for (own, policy) in [(None, 2), (NonZeroU32::new(1), 1)] {
        let rates = unset(&config::Limits {
            requests_per_second: NonZeroU32::new(2),
            requests_per_second_per_participant: own,
            ..config::Limits::default()
        });
        for _ in 0..policy {
            assert!(rates.admit_participant("ada", 0).is_ok());
        }
        let told = told(rates.admit_participant("ada", 1));
        let name = "\"participant-requests-per-second\"";
        assert_eq!(told, ["1".to_owned(), format!("{name};r=0;t=1"), format!("{name};q={policy};w=1")]);
        assert!(rates.admit_participant("bob", 1).is_ok());
        assert!(rates.admit_request("ada", 1).is_ok(), "a key of that name is somebody else");
        assert!(rates.admit_participant("ada", 1000).is_ok());
    }
}

/// Switches that stand at a revision: limit, whose, units, until when.
fn seen(revision: u64, set: &[(Limit, &str, u32, Option<i64>)]) -> Arc<Seen<Switches>> {
    let setting = |(limit, whose, units, until_ms): &(Limit, &str, u32, Option<i64>)| Setting {
        name: table::name_of(*limit).to_owned(),
        whose: (*whose).to_owned(),
        version: revision,
        value: Some(units.to_string()),
        until_ms: *until_ms,
        at_ms: 0,
        by: "ops".to_owned(),
        reason: "a trial".to_owned(),
    };
    let settings: Vec<_> = set.iter().map(setting).collect();
    Arc::new(Seen { revision, what: Switches::of(&settings) })
}

/// Limits under switches that the trial sets.
fn switched(limits: &config::Limits) -> (Rates, Arc<RwLock<Arc<Seen<Switches>>>>) {
    let board = Arc::new(RwLock::new(Arc::default()));
    let eye = Arc::clone(&board);
    let eye = Box::new(move || Arc::clone(&eye.read().expect("a board")));
    (Rates::configured(limits, eye, TokenKey::new(&NAMES)), board)
}

fn refused(answer: Result<(), Problem>) -> (u16, &'static str) {
    answer.map_or_else(|problem| (problem.status().as_u16(), problem.code()), |()| (200, ""))
}

#[test]
fn a_switch_overrides_what_is_configured_for_all_or_for_one_until_its_time_is_over() {
    let ada = format!("participant:{}", TokenKey::new(&NAMES).pseudonym("ada"));
    let (rates, board) = switched(&limits(0, 0, 0));
    let draws = |who: &str, now_ms| {
        let admitted = (0..10).take_while(|_| rates.admit_draws(who, NonZeroU32::MIN, now_ms).is_ok());
        admitted.count()
    };
    assert_eq!((draws("ada", 0), draws("bob", 0)), (10, 10), "nothing is configured, nothing is set");
    *board.write().expect("a board") =
        seen(1, &[(Limit::DrawsSecond, "", 3, None), (Limit::DrawsSecond, &ada, 5, Some(60_000))]);
    assert_eq!((draws("ada", 1_000), draws("bob", 1_000)), (5, 3));
    assert_eq!((draws("ada", 1_001), draws("bob", 1_001)), (0, 0), "the same second");
    // Another switch changes: what was counted under those that did not is still counted.
    *board.write().expect("a board") = seen(
        2,
        &[
            (Limit::DrawsSecond, "", 3, None),
            (Limit::DrawsSecond, &ada, 5, Some(60_000)),
            (Limit::KeyRequests, "", 1, None),
        ],
    );
    assert_eq!((draws("ada", 1_002), draws("bob", 1_002)), (0, 0));
    assert_eq!(refused(rates.admit_request("shop", 1_002)), (200, ""));
    assert_eq!(refused(rates.admit_request("shop", 1_002)), (429, "edge.too_many_requests"));
    assert_eq!((draws("ada", 59_999), draws("ada", 60_000)), (5, 3), "her time is over: as all others");
    *board.write().expect("a board") = seen(3, &[]);
    assert_eq!(draws("ada", 60_001), 10, "all is taken back");
}

#[test]
fn a_limit_of_zero_refuses_one_and_no_other_and_says_by_what_and_how_long() {
    let ada = format!("participant:{}", TokenKey::new(&NAMES).pseudonym("ada"));
    let (rates, board) = switched(&limits(0, 0, 7));
    *board.write().expect("a board") = seen(
        1,
        &[
            (Limit::DrawsMinute, &ada, 0, Some(90_500)),
            (Limit::KeyRequests, "key:shop", 0, None),
            (Limit::RouteRequests, "route:GET /raffles", 1, None),
        ],
    );
    let draw = |who: &str, now_ms| rates.admit_draws(who, NonZeroU32::MIN, now_ms);
    let told = draw("ada", 0).expect_err("blocked");
    assert_eq!((told.status().as_u16(), told.code(), told.is_wanted()), (403, "switch.blocked", true));
    let answer = told.into_body("id");
    assert_eq!(answer.headers()["retry-after"], "91");
    assert_eq!(refused(draw("bob", 0)), (200, ""));
    assert_eq!(refused(draw("ada", 90_500)), (200, ""), "its time is over");
    assert_eq!(refused(rates.admit_request("shop", 0)), (403, "switch.blocked"));
    assert_eq!(refused(rates.admit_request("ops", 0)), (200, ""));
    let list = |method, path| refused(rates.admit_route((method, path), Some("ada"), 0));
    assert_eq!(list("GET", "/raffles"), (200, ""));
    assert_eq!(list("GET", "/raffles"), (429, "edge.too_many_requests"));
    assert_eq!(list("GET", "/raffles/{id}"), (200, ""));
    assert_eq!(list("POST", "/raffles"), (200, ""), "another method is another route");
}

#[test]
fn a_limit_of_participants_at_a_route_counts_each_of_them_there_and_no_key() {
    let (rates, board) = switched(&limits(0, 0, 0));
    *board.write().expect("a board") = seen(
        1,
        &[
            (Limit::ParticipantRouteRequests, "route:GET /raffles", 2, None),
            (Limit::ParticipantRouteRequests, "route:GET /orders", 0, Some(60_000)),
            (Limit::RouteRequests, "route:GET /raffles", 5, None),
        ],
    );
    let ask = |path, who: Option<&str>, now_ms| refused(rates.admit_route(("GET", path), who, now_ms));
    let raffles = |who, now_ms| ask("/raffles", who, now_ms);
    let too_many = (429, "edge.too_many_requests");
    for who in ["ada", "bob"] {
        assert_eq!([raffles(Some(who), 0), raffles(Some(who), 0)], [(200, ""); 2], "{who}");
        assert_eq!([raffles(Some(who), 0), raffles(Some(who), 0)], [too_many; 2], "{who}");
    }
    assert_eq!(ask("/campaigns", Some("ada"), 0), (200, ""), "another route");
    assert_eq!(raffles(None, 0), (200, ""), "who was refused has used up nothing of the route's");
    assert_eq!(raffles(None, 0), too_many, "the sixth");
    assert_eq!(raffles(Some("ada"), 1_000), (200, ""), "another second");
    assert_eq!(ask("/orders", Some("ada"), 0), (403, "switch.blocked"));
    assert_eq!(ask("/orders", None, 0), (200, ""), "keys go on");
    assert_eq!(ask("/orders", Some("ada"), 60_000), (200, ""), "its time is over");
    let told = rates
        .admit_route(("GET", "/raffles"), Some("ada"), 1_000)
        .and_then(|()| rates.admit_route(("GET", "/raffles"), Some("ada"), 1_000));
    let name = "\"participant-route-requests-per-second\"";
    assert_eq!(self::told(told), ["1".to_owned(), format!("{name};r=0;t=1"), format!("{name};q=2;w=1")]);
}
