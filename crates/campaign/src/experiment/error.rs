//! What can be wrong with an experiment.

use kernel::fault::{Classify, Fault};

/// Why an experiment says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such experiment.
    #[error("there is no experiment `{0}`")]
    NoSuchExperiment(String),
    /// The document makes no sense.
    #[error("{0}")]
    Document(String),
    /// Another document has this id.
    #[error(
        "there is another experiment `{0}`: an experiment does not change, so give the new one another id"
    )]
    Exists(String),
    /// It is past this move, or not there yet.
    #[error("the experiment is {0}; this cannot be done with it now")]
    State(&'static str),
    /// A running experiment of the layer has some of these buckets.
    #[error("`{0}` is running and has some of these buckets of the layer: nobody may be in both")]
    LayerTaken(String),
    /// The subject has a running experiment.
    #[error("`{0}` is running on the same raffle or offer: stop it first")]
    SubjectTaken(String),
    /// There are too many.
    #[error("{0}")]
    TooMany(String),
    /// Two people are needed, and this is one.
    #[error("{0}")]
    OnePerson(&'static str),
    /// A participant would pick their arm.
    #[error(
        "`{raffle}` is an arm of a running experiment: draw from `{from}`, which leads to whom it is for"
    )]
    LedOnly {
        /// The arm's raffle.
        raffle: String,
        /// The raffle that leads there.
        from: String,
    },
    /// No such goal.
    #[error("the experiment has no goal `{0}` that can be told")]
    NoSuchGoal(String),
    /// The same event was told with another value.
    #[error("this event was told before, with another value; what was told first stands")]
    EventReused,
    /// A participant's sum has grown too large.
    #[error("a participant's values of one goal may add up to {0} at the most: tell them in larger units")]
    BeyondTotal(u64),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] records::error::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::NoSuchExperiment(_) | Self::NoSuchGoal(_) => Fault::Missing,
            Self::Document(_)
            | Self::TooMany(_)
            | Self::OnePerson(_)
            | Self::LedOnly { .. }
            | Self::BeyondTotal(_) => Fault::Refused,
            Self::Exists(_)
            | Self::State(_)
            | Self::LayerTaken(_)
            | Self::SubjectTaken(_)
            | Self::EventReused => Fault::Conflict,
            Self::Records(error) => error.fault(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchExperiment(_) => "experiment.missing",
            Self::Document(_) => "experiment.document",
            Self::Exists(_) => "experiment.exists",
            Self::State(_) => "experiment.state",
            Self::LayerTaken(_) => "experiment.layer_taken",
            Self::SubjectTaken(_) => "experiment.subject_taken",
            Self::TooMany(_) => "experiment.too_many",
            Self::OnePerson(_) => "experiment.one_person",
            Self::LedOnly { .. } => "experiment.led_only",
            Self::NoSuchGoal(_) => "experiment.no_such_goal",
            Self::EventReused => "experiment.event_reused",
            Self::BeyondTotal(_) => "experiment.beyond_total",
            Self::Records(error) => error.code(),
        }
    }
}
