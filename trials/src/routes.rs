//! Every route, and who may ask it.

use crate::booth::ROLES;

const READERS: &[&str] = &ROLES;
const REVIEWERS: &[&str] = &["admin", "operator", "approver", "auditor"];
const MOVERS: &[&str] = &["admin", "operator", "service"];
const TRIERS: &[&str] = &["admin", "operator", "service"];
const OPERATORS: &[&str] = &["admin", "operator"];
const APPROVERS: &[&str] = &["admin", "approver"];
const DRAWERS: &[&str] = &["admin", "service"];
const AUDITORS: &[&str] = &["admin", "auditor"];

const PARTICIPANTS: bool = true;

/// Every route under `/api/v1` that needs a key, the roles that may, and whether participants may.
pub const TABLE: &[(&str, &str, &[&str], bool)] = &[
    ("GET", "/raffles", READERS, false),
    ("GET", "/raffles/{id}", READERS, PARTICIPANTS),
    ("POST", "/raffles/{id}/versions", OPERATORS, false),
    ("GET", "/raffles/{id}/versions", READERS, false),
    ("GET", "/raffles/{id}/versions/{version}", READERS, PARTICIPANTS),
    ("GET", "/raffles/{id}/versions/{version}/diff", READERS, false),
    ("POST", "/raffles/{id}/versions/{version}/restore", OPERATORS, false),
    ("POST", "/raffles/{id}/versions/{version}/draft", OPERATORS, false),
    ("GET", "/raffles/{id}/drafts", REVIEWERS, false),
    ("POST", "/raffles/{id}/drafts", OPERATORS, false),
    ("GET", "/raffles/{id}/drafts/{draft}", REVIEWERS, false),
    ("POST", "/raffles/{id}/drafts/{draft}/submit", OPERATORS, false),
    ("POST", "/raffles/{id}/drafts/{draft}/approve", APPROVERS, false),
    ("POST", "/raffles/{id}/drafts/{draft}/reject", APPROVERS, false),
    ("POST", "/raffles/{id}/drafts/{draft}/withdraw", OPERATORS, false),
    ("POST", "/raffles/{id}/drafts/{draft}/publish", OPERATORS, false),
    ("GET", "/raffles/{id}/proposals", REVIEWERS, false),
    ("POST", "/raffles/{id}/proposals", OPERATORS, false),
    ("GET", "/raffles/{id}/proposals/{proposal}", REVIEWERS, false),
    ("POST", "/raffles/{id}/proposals/{proposal}/approve", APPROVERS, false),
    ("POST", "/raffles/{id}/proposals/{proposal}/reject", APPROVERS, false),
    ("POST", "/raffles/{id}/proposals/{proposal}/withdraw", OPERATORS, false),
    ("GET", "/raffles/{id}/odds", READERS, PARTICIPANTS),
    ("GET", "/raffles/{id}/epochs", READERS, PARTICIPANTS),
    ("POST", "/raffles/{id}/epochs", OPERATORS, false),
    ("GET", "/raffles/{id}/evidence", READERS, PARTICIPANTS),
    ("POST", "/raffles/{id}/freeze", OPERATORS, false),
    ("POST", "/raffles/{id}/thaw", OPERATORS, false),
    ("POST", "/raffles/{id}/prizes/{prize}/restock", OPERATORS, false),
    ("POST", "/raffles/{id}/budget/raise", OPERATORS, false),
    ("POST", "/raffles/{id}/promises", OPERATORS, false),
    ("POST", "/raffles/{id}/draws", DRAWERS, PARTICIPANTS),
    ("GET", "/draws/{id}", READERS, PARTICIPANTS),
    ("GET", "/draws/{id}/explain", READERS, PARTICIPANTS),
    ("POST", "/raffles/{id}/dry-runs", TRIERS, false),
    ("DELETE", "/participants/{participant}", OPERATORS, false),
    ("GET", "/raffles/{id}/awards", READERS, false),
    ("GET", "/awards/{draw}", READERS, false),
    ("POST", "/awards/{draw}/hand-over", OPERATORS, false),
    ("POST", "/transfers", MOVERS, false),
    ("GET", "/transfers/{id}", READERS, false),
    ("POST", "/transfers/{id}/reversal", MOVERS, false),
    ("POST", "/exchanges", MOVERS, false),
    ("GET", "/rates", READERS, PARTICIPANTS),
    ("POST", "/holds", MOVERS, false),
    ("POST", "/holds/{id}/capture", MOVERS, false),
    ("POST", "/holds/{id}/release", MOVERS, false),
    ("GET", "/participants/{participant}/balances", READERS, PARTICIPANTS),
    ("PUT", "/participants/{participant}/wallets/{wallet}/units/{unit}", OPERATORS, false),
    ("GET", "/participants/{participant}/wallets/{wallet}/units/{unit}/statement", READERS, PARTICIPANTS),
    ("GET", "/house-accounts/{account}/balances", READERS, false),
    ("PUT", "/house-accounts/{account}/units/{unit}", OPERATORS, false),
    ("GET", "/house-accounts/{account}/units/{unit}/statement", READERS, false),
    ("GET", "/campaigns", READERS, false),
    ("GET", "/campaigns/{id}", READERS, PARTICIPANTS),
    ("POST", "/campaigns/{id}/versions", OPERATORS, false),
    ("GET", "/campaigns/{id}/versions/{version}", READERS, false),
    ("GET", "/placements/{channel}/{source}", READERS, PARTICIPANTS),
    ("GET", "/audiences/{list}", READERS, false),
    ("POST", "/audiences/{list}/members", OPERATORS, false),
    ("DELETE", "/audiences/{list}/members", OPERATORS, false),
    ("POST", "/behaviours", DRAWERS, false),
    ("POST", "/campaigns/{id}/sign-ins", DRAWERS, PARTICIPANTS),
    ("GET", "/campaigns/{id}/calendar", READERS, PARTICIPANTS),
    ("PUT", "/campaigns/{id}/referral-code", DRAWERS, PARTICIPANTS),
    ("POST", "/campaigns/{id}/referrals", DRAWERS, PARTICIPANTS),
    ("POST", "/campaigns/{id}/orders", DRAWERS, PARTICIPANTS),
    ("GET", "/orders", READERS, PARTICIPANTS),
    ("GET", "/orders/{id}", READERS, PARTICIPANTS),
    ("POST", "/orders/{id}/pay", DRAWERS, PARTICIPANTS),
    ("POST", "/orders/{id}/cancel", DRAWERS, PARTICIPANTS),
    ("POST", "/participant-tokens", DRAWERS, false),
    ("GET", "/audit", AUDITORS, false),
    ("GET", "/audit/seals", AUDITORS, false),
];

/// Routes that need no key, and the bench's.
pub const OPEN: &[&str] = &[
    "/schemas/raffle",
    "/schemas/campaign",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/noop/{id}",
    "/noop-transfers",
];
