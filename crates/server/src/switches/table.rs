//! Every switch there is, and what each does to which route. A room that comes adds its lines here, and nowhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of the product answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All of it.
    Normal,
    /// What is costly and can wait is refused.
    Reduced,
    /// Only what people wait for, what moves what they have, and the orders that end an emergency. [`PLACES`] says for each
    /// route.
    Essential,
}

impl Mode {
    /// The mode as it is set and told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Reduced => "reduced",
            Self::Essential => "essential",
        }
    }
}

/// A rate limit that can be set at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests of one API key in any second.
    KeyRequests,
    /// Requests of one participant's tokens in any second.
    ParticipantRequests,
    /// Draws of one participant in any second.
    DrawsSecond,
    /// Draws of one participant in any minute.
    DrawsMinute,
    /// What one participant does in campaigns, in any second.
    ActsSecond,
    /// Requests of one route in any second, whoever asks.
    RouteRequests,
    /// Requests of one route by one participant's tokens, in any second.
    ParticipantRouteRequests,
}

/// For whom a switch can be set alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// For nobody: it holds for all.
    Nobody,
    /// For one API key, by its name.
    Key,
    /// For one participant.
    Participant,
    /// For one route, and never for all of them.
    Route,
}

/// What a switch is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; `true` where it does not stand.
    Feature,
    /// A [`Mode`].
    Mode,
    /// A number of calls, 0 to 1000000; 0 refuses all.
    Limit(Limit),
}

/// One switch.
#[derive(Debug, Clone, Copy)]
pub struct Switch {
    /// Its name, in the address.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// What it is set to.
    pub kind: Kind,
    /// For whom it can be set alone.
    pub own: Own,
}

const fn feature(name: &'static str, about: &'static str) -> Switch {
    Switch { name, about, kind: Kind::Feature, own: Own::Nobody }
}

const fn limit(name: &'static str, limit: Limit, own: Own, about: &'static str) -> Switch {
    Switch { name, about, kind: Kind::Limit(limit), own }
}

/// Drawing: asked by the handler of draws too, which answers repeats all the same.
pub const DRAWS: &str = "feature.draws";
/// Fulfilment: asked by what fulfils awards by itself too.
pub const FULFILMENT: &str = "feature.fulfilment";
/// Experiments.
pub const EXPERIMENTS: &str = "feature.experiments";
/// How much of the product answers.
pub const MODE: &str = "mode";

/// Every switch.
pub const SWITCHES: &[Switch] = &[
    feature(DRAWS, "New draws. A repeat of a draw that was made is answered all the same."),
    feature("feature.publishing", "Publishing versions, going back to one, publishing drafts."),
    feature("feature.drafting", "Drafts and their moves, and reading them."),
    feature("feature.orders", "Restocks, budgets, promises, freezing, thawing, turning epochs, proposals."),
    feature("feature.reading", "Raffles, versions and their lists."),
    feature("feature.evidence", "Odds, epochs and evidence."),
    feature("feature.explanations", "Why a draw became what it is."),
    feature("feature.dry_runs", "What a draw would be."),
    feature(EXPERIMENTS, "Experiments. Nobody new is exposed; who was keeps their arm, and draws go on."),
    feature("feature.awards", "Reading awards."),
    feature(
        FULFILMENT,
        "What awards do by themselves (points, tickets, codes, webhooks): it is held back, and done once this is on again. \
         Handing over, replaying and reversing; coupons, new endpoints, dead letters. Claiming goes on, as its time does.",
    ),
    feature(
        "feature.transfers",
        "Moving, exchanging and holding what the ledger counts. What became of an order is told.",
    ),
    feature("feature.campaigns", "Publishing campaigns, uploading lists, and reading them."),
    feature("feature.acts", "What participants do in campaigns, and their calendars."),
    feature("feature.offers", "Ordering, paying and cancelling offers. How an order stands is told."),
    feature("feature.accounts", "Opening accounts."),
    feature("feature.wallets", "Reading balances and statements."),
    feature("feature.tokens", "Minting participants' tokens. Tokens that were minted go on."),
    feature(
        "feature.search",
        "Searching through what befell participants, and their timelines. Following it goes on.",
    ),
    feature("feature.erasure", "Forgetting who somebody was."),
    feature("feature.audit_log", "Reading the audit log. Writing it goes on."),
    Switch {
        name: MODE,
        about: "How much of the product answers: `normal`, `reduced` or `essential`.",
        kind: Kind::Mode,
        own: Own::Nobody,
    },
    limit(
        "limit.key_requests_per_second",
        Limit::KeyRequests,
        Own::Key,
        "Requests of one API key in any second. 0 for one key refuses all of its calls.",
    ),
    limit(
        "limit.participant_requests_per_second",
        Limit::ParticipantRequests,
        Own::Participant,
        "Requests of one participant's tokens in any second. 0 refuses all of them.",
    ),
    limit(
        "limit.participant_draws_per_second",
        Limit::DrawsSecond,
        Own::Participant,
        "Draws of one participant in any second, whoever asks for them. 0 refuses all.",
    ),
    limit(
        "limit.participant_draws_per_minute",
        Limit::DrawsMinute,
        Own::Participant,
        "Draws of one participant in any minute, whoever asks for them. 0 refuses all.",
    ),
    limit(
        "limit.participant_acts_per_second",
        Limit::ActsSecond,
        Own::Participant,
        "What one participant does in campaigns in any second, whoever tells of it. 0 refuses all.",
    ),
    limit(
        "limit.route_requests_per_second",
        Limit::RouteRequests,
        Own::Route,
        "Requests of one route in any second, whoever asks. 0 refuses all.",
    ),
    limit(
        "limit.participant_route_requests_per_second",
        Limit::ParticipantRouteRequests,
        Own::Route,
        "Requests of one route by each participant's tokens in any second. 0 leaves the route to keys.",
    ),
];

/// A switch by its name.
pub fn switch(name: &str) -> Option<&'static Switch> {
    SWITCHES.iter().find(|switch| switch.name == name)
}

/// The switch of a limit.
pub fn name_of(limit: Limit) -> &'static str {
    let found = SWITCHES.iter().find(|switch| switch.kind == Kind::Limit(limit));
    found.map_or("", |switch| switch.name)
}

/// What the switches do to one route.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The method.
    pub method: &'static str,
    /// The address under `/api/v1`, as the router has it.
    pub path: &'static str,
    /// The feature it belongs to; none for the switches themselves, which nothing turns off.
    pub feature: Option<&'static str>,
    /// The last mode in which it is answered.
    pub last: Mode,
    /// Whether its handler asks the switch of the feature: what was begun before is answered all the same.
    pub asks_itself: bool,
}

const fn place(method: &'static str, path: &'static str, feature: &'static str, last: Mode) -> Place {
    Place { method, path, feature: Some(feature), last, asks_itself: false }
}

const fn asking(method: &'static str, path: &'static str, feature: &'static str) -> Place {
    Place { method, path, feature: Some(feature), last: Mode::Essential, asks_itself: true }
}

const fn always(method: &'static str, path: &'static str) -> Place {
    Place { method, path, feature: None, last: Mode::Essential, asks_itself: false }
}

/// Every route under `/api/v1` that needs a key. Orders are answered in every mode: they are what ends an emergency.
pub const PLACES: &[Place] = &[
    always("GET", "/switches"),
    always("PUT", "/switches/{switch}"),
    always("GET", "/switches/{switch}/changes"),
    asking("POST", "/raffles/{id}/draws", DRAWS),
    place("POST", "/noop/{id}", DRAWS, Mode::Essential),
    // Reading a result is never turned off: it is how a caller learns what became of a draw.
    always("GET", "/draws/{id}"),
    place("GET", "/draws/{id}/explain", "feature.explanations", Mode::Normal),
    place("POST", "/raffles/{id}/dry-runs", "feature.dry_runs", Mode::Normal),
    place("GET", "/campaigns", "feature.campaigns", Mode::Normal),
    place("GET", "/campaigns/{id}", "feature.campaigns", Mode::Reduced),
    place("POST", "/campaigns/{id}/versions", "feature.campaigns", Mode::Reduced),
    place("GET", "/campaigns/{id}/versions/{version}", "feature.campaigns", Mode::Reduced),
    place("GET", "/placements/{channel}/{source}", "feature.campaigns", Mode::Essential),
    place("GET", "/audiences/{list}", "feature.campaigns", Mode::Normal),
    place("POST", "/audiences/{list}/members", "feature.campaigns", Mode::Reduced),
    place("DELETE", "/audiences/{list}/members", "feature.campaigns", Mode::Reduced),
    place("POST", "/behaviours", "feature.acts", Mode::Essential),
    place("POST", "/campaigns/{id}/sign-ins", "feature.acts", Mode::Essential),
    place("GET", "/campaigns/{id}/calendar", "feature.acts", Mode::Reduced),
    place("PUT", "/campaigns/{id}/referral-code", "feature.acts", Mode::Reduced),
    place("POST", "/campaigns/{id}/referrals", "feature.acts", Mode::Reduced),
    place("POST", "/campaigns/{id}/orders", "feature.offers", Mode::Essential),
    place("POST", "/orders/{id}/pay", "feature.offers", Mode::Essential),
    place("POST", "/orders/{id}/cancel", "feature.offers", Mode::Essential),
    always("GET", "/orders/{id}"),
    place("GET", "/orders", "feature.offers", Mode::Normal),
    place("POST", "/transfers", "feature.transfers", Mode::Essential),
    place("POST", "/transfers/{id}/reversal", "feature.transfers", Mode::Essential),
    place("POST", "/exchanges", "feature.transfers", Mode::Reduced),
    place("POST", "/holds", "feature.transfers", Mode::Essential),
    place("POST", "/holds/{id}/capture", "feature.transfers", Mode::Essential),
    place("POST", "/holds/{id}/release", "feature.transfers", Mode::Essential),
    always("GET", "/holds/{id}"),
    place("POST", "/noop-transfers", "feature.transfers", Mode::Essential),
    always("GET", "/transfers/{id}"),
    place("GET", "/rates", "feature.wallets", Mode::Reduced),
    place("GET", "/participants/{participant}/balances", "feature.wallets", Mode::Essential),
    place("GET", "/house-accounts/{account}/balances", "feature.wallets", Mode::Reduced),
    place(
        "GET",
        "/participants/{participant}/wallets/{wallet}/units/{unit}/statement",
        "feature.wallets",
        Mode::Normal,
    ),
    place(
        "GET",
        "/participants/{participant}/wallets/{wallet}/units/{unit}/lots",
        "feature.wallets",
        Mode::Reduced,
    ),
    place("GET", "/house-accounts/{account}/units/{unit}/statement", "feature.wallets", Mode::Normal),
    place(
        "PUT",
        "/participants/{participant}/wallets/{wallet}/units/{unit}",
        "feature.accounts",
        Mode::Reduced,
    ),
    place("PUT", "/house-accounts/{account}/units/{unit}", "feature.accounts", Mode::Reduced),
    place("GET", "/raffles", "feature.reading", Mode::Normal),
    place("GET", "/raffles/{id}", "feature.reading", Mode::Reduced),
    place("GET", "/raffles/{id}/versions", "feature.reading", Mode::Normal),
    place("GET", "/raffles/{id}/versions/{version}", "feature.reading", Mode::Reduced),
    place("GET", "/raffles/{id}/versions/{version}/diff", "feature.reading", Mode::Normal),
    place("POST", "/raffles/{id}/versions", "feature.publishing", Mode::Reduced),
    place("POST", "/raffles/{id}/versions/{version}/restore", "feature.publishing", Mode::Reduced),
    place("POST", "/raffles/{id}/drafts/{draft}/publish", "feature.publishing", Mode::Reduced),
    place("POST", "/raffles/{id}/versions/{version}/draft", "feature.drafting", Mode::Normal),
    place("GET", "/raffles/{id}/drafts", "feature.drafting", Mode::Normal),
    place("POST", "/raffles/{id}/drafts", "feature.drafting", Mode::Normal),
    place("GET", "/raffles/{id}/drafts/{draft}", "feature.drafting", Mode::Normal),
    place("POST", "/raffles/{id}/drafts/{draft}/submit", "feature.drafting", Mode::Reduced),
    place("POST", "/raffles/{id}/drafts/{draft}/approve", "feature.drafting", Mode::Reduced),
    place("POST", "/raffles/{id}/drafts/{draft}/reject", "feature.drafting", Mode::Reduced),
    place("POST", "/raffles/{id}/drafts/{draft}/withdraw", "feature.drafting", Mode::Reduced),
    place("GET", "/raffles/{id}/proposals", "feature.orders", Mode::Normal),
    place("POST", "/raffles/{id}/proposals", "feature.orders", Mode::Essential),
    place("GET", "/raffles/{id}/proposals/{proposal}", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/proposals/{proposal}/approve", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/proposals/{proposal}/reject", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/proposals/{proposal}/withdraw", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/epochs", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/freeze", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/thaw", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/prizes/{prize}/restock", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/budget/raise", "feature.orders", Mode::Essential),
    place("POST", "/raffles/{id}/promises", "feature.orders", Mode::Essential),
    place("GET", "/raffles/{id}/odds", "feature.evidence", Mode::Normal),
    place("GET", "/raffles/{id}/epochs", "feature.evidence", Mode::Normal),
    place("GET", "/raffles/{id}/evidence", "feature.evidence", Mode::Normal),
    place("GET", "/experiments", EXPERIMENTS, Mode::Normal),
    place("POST", "/experiments", EXPERIMENTS, Mode::Reduced),
    place("GET", "/experiments/{experiment}", EXPERIMENTS, Mode::Normal),
    place("POST", "/experiments/{experiment}/start", EXPERIMENTS, Mode::Reduced),
    // Stopping one may be what ends an emergency.
    always("POST", "/experiments/{experiment}/stop"),
    place("POST", "/experiments/{experiment}/weights", EXPERIMENTS, Mode::Reduced),
    // Who was exposed keeps their arm, and whoever shows it has to learn which.
    asking("GET", "/experiments/{experiment}/assignment", EXPERIMENTS),
    asking("POST", "/experiments/{experiment}/assignment", EXPERIMENTS),
    place("GET", "/experiments/{experiment}/exposures", EXPERIMENTS, Mode::Normal),
    place("POST", "/experiments/{experiment}/goals", EXPERIMENTS, Mode::Reduced),
    place("GET", "/raffles/{id}/awards", "feature.awards", Mode::Normal),
    place("GET", "/awards/{draw}", "feature.awards", Mode::Essential),
    place("GET", "/awards", "feature.awards", Mode::Reduced),
    place("GET", "/awards/{draw}/code", "feature.awards", Mode::Essential),
    place("GET", "/awards/{draw}/address", "feature.awards", Mode::Reduced),
    // Its time runs out whatever is off: it only takes down where a prize goes, and nothing leaves by it.
    always("POST", "/awards/{draw}/claim"),
    place("POST", "/awards/{draw}/hand-over", FULFILMENT, Mode::Reduced),
    place("POST", "/awards/{draw}/replay", FULFILMENT, Mode::Essential),
    place("POST", "/awards/{draw}/reverse", FULFILMENT, Mode::Essential),
    place("POST", "/coupon-pools/{pool}/codes", FULFILMENT, Mode::Reduced),
    place("GET", "/coupon-pools", FULFILMENT, Mode::Normal),
    place("GET", "/coupon-pools/{pool}", FULFILMENT, Mode::Reduced),
    place("POST", "/endpoints", FULFILMENT, Mode::Reduced),
    place("GET", "/endpoints", FULFILMENT, Mode::Normal),
    place("GET", "/endpoints/{endpoint}", FULFILMENT, Mode::Reduced),
    // Stopping calls to one may be what ends an emergency.
    always("POST", "/endpoints/{endpoint}"),
    place("POST", "/endpoints/{endpoint}/rotate", FULFILMENT, Mode::Essential),
    place("POST", "/endpoints/{endpoint}/replay", FULFILMENT, Mode::Essential),
    place("GET", "/dead-letters", FULFILMENT, Mode::Reduced),
    place("POST", "/dead-letters/{letter}/replay", FULFILMENT, Mode::Essential),
    place("POST", "/participant-tokens", "feature.tokens", Mode::Essential),
    place("DELETE", "/participants/{participant}", "feature.erasure", Mode::Reduced),
    place("GET", "/participants/{participant}/timeline", "feature.search", Mode::Reduced),
    place("GET", "/search/activities", "feature.search", Mode::Normal),
    place("GET", "/search/activities.csv", "feature.search", Mode::Normal),
    place("GET", "/audit", "feature.audit_log", Mode::Reduced),
    place("GET", "/audit/seals", "feature.audit_log", Mode::Reduced),
];

/// What the switches do to a route.
pub fn place_of(method: &str, path: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.method == method && place.path == path)
}
