//! What can be wrong with a campaign or an award.

use kernel::fault::{Classify, Fault};
use kernel::finding::Finding;

/// Why a campaign says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The campaign has not begun.
    #[error("the campaign begins at {0}")]
    NotBegun(String),
    /// The campaign is over.
    #[error("the campaign ended at {0}")]
    Ended(String),
    /// All tickets of the whole campaign are used.
    #[error("all {0} tickets of this campaign are used")]
    TicketsUsed(u32),
    /// All tickets of the day are used.
    #[error("all {0} tickets of today are used; more come at midnight in the campaign's time zone")]
    TicketsUsedToday(u32),
    /// All tickets of the month are used.
    #[error(
        "all {0} tickets of this month are used; more come with the next month in the campaign's time zone"
    )]
    TicketsUsedThisMonth(u32),
    /// The participant holds no ticket, or fewer than are asked for.
    #[error("too few tickets are left in the participant's wallet `{0}`")]
    NoTicket(String),
    /// The document cannot be published.
    #[error("the document has errors")]
    Document(Vec<Finding>),
    /// The document is about another campaign than the address.
    #[error("the document is about campaign {found}, the address about {wanted}")]
    OtherCampaign {
        /// In the document.
        found: String,
        /// In the address.
        wanted: String,
    },
    /// No such campaign.
    #[error("there is no campaign {0}")]
    NoSuchCampaign(String),
    /// There are too many campaigns.
    #[error("there are {0} campaigns, which is the most there can be")]
    TooManyCampaigns(usize),
    /// The campaign never had this version.
    #[error("campaign {campaign} has no version {version}")]
    NoSuchVersion {
        /// The campaign's id.
        campaign: String,
        /// The version.
        version: u32,
    },
    /// There are too many uploaded lists.
    #[error("there are {0} lists, which is the most there can be")]
    TooManyLists(u64),
    /// A list would hold too many people.
    #[error("a list holds at most {0} people")]
    ListFull(u64),
    /// A published document cannot be read.
    #[error("version {version} of campaign {campaign} cannot be read")]
    BrokenVersion {
        /// The campaign's id.
        campaign: String,
        /// The version.
        version: u32,
    },
    /// Another campaign is shown there at that time.
    #[error("campaign {campaign} is shown at {channel}/{source_name} at that time")]
    PlacementTaken {
        /// The other campaign's id.
        campaign: String,
        /// The channel.
        channel: String,
        /// The source.
        source_name: String,
    },
    /// Nothing is shown there now.
    #[error("no campaign is shown at {channel}/{source_name} now")]
    NothingPlaced {
        /// The channel.
        channel: String,
        /// The source.
        source_name: String,
    },
    /// More of an offer is taken than would be left of it.
    #[error("more than {units} of offer {offer} are ordered or sold already")]
    StockTaken {
        /// The offer's id.
        offer: String,
        /// What is asked for.
        units: u64,
    },
    /// More of the budget is given than would be left of it.
    #[error("more of the budget of {unit} is given already than {amount} would leave")]
    BudgetSpent {
        /// What is counted.
        unit: String,
        /// What is asked for.
        amount: i64,
    },
    /// The participant does not belong to the audience.
    #[error("this is not for this participant")]
    NotForThem,
    /// There is nothing to sign in for.
    #[error("campaign {0} has no sign-in")]
    NoSignIn(String),
    /// Nobody is brought to this campaign.
    #[error("campaign {0} has no referrals")]
    NoReferral(String),
    /// No such code.
    #[error("there is no referral code {0} in this campaign")]
    NoSuchCode(String),
    /// Nobody brings themselves, or those who brought them.
    #[error("nobody can be brought by themselves, or by somebody whom they have brought")]
    Circular,
    /// They have done before what is asked of those who are brought.
    #[error("this participant has done `{0}` before: only who is new can be brought")]
    NotNew(String),
    /// Somebody else brought them before.
    #[error("this participant was brought before, by another code")]
    BroughtBefore,
    /// No such offer.
    #[error("campaign {campaign} has no offer {offer}")]
    NoSuchOffer {
        /// The campaign's id.
        campaign: String,
        /// The offer's id.
        offer: String,
    },
    /// More than one order may hold.
    #[error("one order may hold at most {0}")]
    TooMany(u32),
    /// The participant has ordered as many as they may.
    #[error("this participant may order {left} more now ({which})")]
    OfferCap {
        /// How many more.
        left: u64,
        /// Which cap says so.
        which: &'static str,
    },
    /// Nothing is left.
    #[error("{0} are left of this offer now")]
    SoldOut(u64),
    /// The participant has not got the price.
    #[error("this costs {price} {unit}; there are {available}")]
    NotEnough {
        /// What is counted.
        unit: String,
        /// What it costs.
        price: i64,
        /// What can be spent now.
        available: i64,
    },
    /// The participant's wallet has as many holds or lots as it may.
    #[error("the wallet of this {unit} has {most} {what}, which is the most")]
    WalletFull {
        /// What is counted in it.
        unit: String,
        /// What there are so many of.
        what: &'static str,
        /// The most.
        most: usize,
    },
    /// The price was held, and is held no more.
    #[error("the price that was held for this order was released or taken in the ledger")]
    PriceGone,
    /// The campaign's budget does not hold what the order gives.
    #[error("the campaign's budget does not hold what this order gives: {0}")]
    BudgetUsed(&'static str),
    /// No such order.
    #[error("there is no order {0}")]
    NoSuchOrder(String),
    /// The order cannot be paid or cancelled any more.
    #[error("the order {0}")]
    OrderEnded(&'static str),
    /// A name, id or number that cannot be.
    #[error("{what} must be {form}")]
    BadInput {
        /// Of what.
        what: &'static str,
        /// How it must be.
        form: &'static str,
    },
    /// No such award.
    #[error("there is no award {0}")]
    NoSuchAward(String),
    /// The award was handed over before, with another note.
    #[error("the award was handed over before, with another note")]
    HandedOverBefore,
    /// The award's state does not allow it.
    #[error("the award is past this, or not there yet: {0}")]
    AwardState(&'static str),
    /// The ledger would not take back what was paid.
    #[error("the winner has spent it, so it cannot be taken back: {0}. Nothing was done")]
    Spent(&'static str),
    /// The award has no code or address to tell.
    #[error("this award has no {0}")]
    NothingToTell(&'static str),
    /// No such dead letter.
    #[error("there is no dead letter {0}")]
    NoSuchLetter(String),
    /// Codes that cannot be taken.
    #[error("{0}")]
    BadCodes(String),
    /// Codes that the pool holds already.
    #[error("{codes} of these codes are in the pool `{pool}` already; nothing was added")]
    CodesKnown {
        /// The pool.
        pool: String,
        /// How many.
        codes: usize,
    },
    /// No such pool.
    #[error("there is no coupon pool `{0}`")]
    NoSuchPool(String),
    /// No such endpoint.
    #[error("there is no endpoint `{0}`")]
    NoSuchEndpoint(String),
    /// The endpoint exists.
    #[error("there is an endpoint `{0}` already")]
    EndpointKnown(String),
    /// Nothing at the endpoint could be done about a webhook whose outcome is not known.
    #[error(
        "an endpoint needs a `status_url` that says what it has taken, or must say `keeps_ids: true`: that it remembers the \
         `webhook-id` of what it has taken, and takes each once"
    )]
    NobodyToAsk,
    /// There are as many endpoints as may be.
    #[error("there are {0} endpoints already, which is the limit")]
    TooManyEndpoints(u32),
    /// The Idempotency-Key was used with another body.
    #[error("this Idempotency-Key was used before with another body")]
    KeyReused,
    /// No chance is to be had.
    #[error("no entropy: {0}")]
    Entropy(String),
    /// A secret cannot be sealed or opened.
    #[error("a secret cannot be opened: {0}")]
    Sealed(String),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] records::error::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::NotBegun(_) | Self::Ended(_) | Self::NoTicket(_) => Fault::Refused,
            Self::TicketsUsed(_) | Self::TicketsUsedToday(_) | Self::TicketsUsedThisMonth(_) => {
                Fault::Refused
            }
            Self::Document(_)
            | Self::OtherCampaign { .. }
            | Self::TooManyCampaigns(_)
            | Self::TooManyLists(_)
            | Self::ListFull(_)
            | Self::StockTaken { .. }
            | Self::BudgetSpent { .. }
            | Self::NotForThem
            | Self::NoSignIn(_)
            | Self::NoReferral(_)
            | Self::Circular
            | Self::NotNew(_)
            | Self::TooMany(_)
            | Self::OfferCap { .. }
            | Self::SoldOut(_)
            | Self::NotEnough { .. }
            | Self::WalletFull { .. }
            | Self::BudgetUsed(_)
            | Self::BadInput { .. }
            | Self::NobodyToAsk
            | Self::BadCodes(_) => Fault::Refused,
            Self::NoSuchAward(_)
            | Self::NothingToTell(_)
            | Self::NoSuchLetter(_)
            | Self::NoSuchPool(_)
            | Self::NoSuchEndpoint(_)
            | Self::NoSuchCampaign(_)
            | Self::NoSuchVersion { .. }
            | Self::NothingPlaced { .. }
            | Self::NoSuchCode(_)
            | Self::NoSuchOffer { .. }
            | Self::NoSuchOrder(_) => Fault::Missing,
            Self::HandedOverBefore
            | Self::AwardState(_)
            | Self::Spent(_)
            | Self::CodesKnown { .. }
            | Self::EndpointKnown(_)
            | Self::TooManyEndpoints(_)
            | Self::PlacementTaken { .. }
            | Self::KeyReused
            | Self::BroughtBefore
            | Self::PriceGone
            | Self::OrderEnded(_) => Fault::Conflict,
            Self::Entropy(_) => Fault::Busy,
            Self::BrokenVersion { .. } | Self::Sealed(_) => Fault::Bug,
            Self::Records(error) => error.fault(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotBegun(_) => "campaign.not_begun",
            Self::Ended(_) => "campaign.ended",
            Self::TicketsUsed(_) => "campaign.tickets_used",
            Self::TicketsUsedToday(_) => "campaign.tickets_used_today",
            Self::TicketsUsedThisMonth(_) => "campaign.tickets_used_this_month",
            Self::NoTicket(_) => "campaign.no_ticket",
            Self::Document(_) => "campaign.document",
            Self::OtherCampaign { .. } => "campaign.other_campaign",
            Self::NoSuchCampaign(_) => "campaign.missing",
            Self::TooManyCampaigns(_) => "campaign.too_many",
            Self::NoSuchVersion { .. } => "campaign.no_such_version",
            Self::TooManyLists(_) => "audience.too_many",
            Self::ListFull(_) => "audience.full",
            Self::BrokenVersion { .. } => "campaign.broken_version",
            Self::PlacementTaken { .. } => "campaign.placement_taken",
            Self::NothingPlaced { .. } => "campaign.nothing_placed",
            Self::StockTaken { .. } => "campaign.stock_taken",
            Self::BudgetSpent { .. } => "campaign.budget_spent",
            Self::NotForThem => "campaign.not_for_them",
            Self::NoSignIn(_) => "campaign.no_sign_in",
            Self::NoReferral(_) => "campaign.no_referral",
            Self::NoSuchCode(_) => "campaign.no_such_code",
            Self::Circular => "campaign.circular_referral",
            Self::NotNew(_) => "campaign.not_new",
            Self::BroughtBefore => "campaign.brought_before",
            Self::NoSuchOffer { .. } => "offer.missing",
            Self::TooMany(_) => "offer.too_many",
            Self::OfferCap { .. } => "offer.cap",
            Self::SoldOut(_) => "offer.sold_out",
            Self::NotEnough { .. } => "offer.not_enough",
            Self::WalletFull { .. } => "offer.wallet_full",
            Self::PriceGone => "offer.price_gone",
            Self::BudgetUsed(_) => "offer.budget_used",
            Self::NoSuchOrder(_) => "offer.no_such_order",
            Self::OrderEnded(_) => "offer.order_ended",
            Self::BadInput { .. } => "campaign.bad_input",
            Self::NoSuchAward(_) => "award.missing",
            Self::HandedOverBefore => "award.handed_over_before",
            Self::AwardState(_) => "award.state",
            Self::Spent(_) => "award.spent",
            Self::NothingToTell(_) => "award.nothing_to_tell",
            Self::NoSuchLetter(_) => "letter.missing",
            Self::BadCodes(_) => "coupon.bad_codes",
            Self::CodesKnown { .. } => "coupon.known",
            Self::NoSuchPool(_) => "coupon.no_such_pool",
            Self::NoSuchEndpoint(_) => "endpoint.missing",
            Self::EndpointKnown(_) => "endpoint.known",
            Self::NobodyToAsk => "endpoint.nobody_to_ask",
            Self::TooManyEndpoints(_) => "endpoint.too_many",
            Self::KeyReused => "idempotency.key_reused",
            Self::Entropy(_) => "award.entropy",
            Self::Sealed(_) => "award.sealed",
            Self::Records(error) => error.code(),
        }
    }

    fn retry_seconds(&self) -> Option<u64> {
        if let Self::Records(error) = self { error.retry_seconds() } else { None }
    }
}
