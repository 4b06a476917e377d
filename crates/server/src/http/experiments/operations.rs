//! Routes of experiments, as the API's document tells them.

use campaign::experiment::document::Document;
use serde_json::{Value, json};

use super::{
    AssignmentView, ExperimentView, ExperimentsView, ExposuresView, GenerationView, GoalBody, GoalView,
    MovedExperimentView, ShownView, WeightsBody, WhoBody, WhoQuery,
};
use crate::http::auth::{LookUp, Operate, Review, Start, Tell};
use crate::http::operation::Operation;
use crate::http::request::{PageQuery, ReasonBody};

fn document() -> Value {
    json!({
        "experiment": "bigger-wheel", "title": "Does a bigger wheel sell more?",
        "subject": { "raffle": "spring" }, "layer": "wheel", "buckets": { "from": 0, "until": 5_000 },
        "denominator": 100,
        "arms": [
            { "arm": "as-it-is", "weight": 50, "raffle": "spring" },
            { "arm": "bigger", "weight": 50, "raffle": "spring-bigger" },
        ],
        "goals": [{ "goal": "draw", "measure": "mean" }, { "goal": "purchase", "measure": "share" }],
    })
}

fn drafted() -> Value {
    let mut view = document();
    view["state"] = "draft".into();
    view["author"] = "ops".into();
    view["drafted_ms"] = 1_795_404_083_840_i64.into();
    view["generations"] =
        json!([{ "generation": 1, "weights": [50, 50], "since_ms": 1_795_404_083_840_i64, "by": "ops" }]);
    view
}

fn shown() -> Value {
    let mut view = drafted();
    view["state"] = "running".into();
    view["started_ms"] = 1_795_404_093_840_i64.into();
    view["results"] = json!({
        "exposed": [1_000, 1_040],
        "ratio": { "p": 0.376, "alarm": false },
        "goals": [{
            "goal": "purchase", "measure": "share",
            "arms": [
                {
                    "arm": "as-it-is", "reached": 100, "total": 100, "value": 0.1, "interval": [0.0829, 0.1202],
                },
                {
                    "arm": "bigger", "reached": 130, "total": 130, "value": 0.125, "interval": [0.1063, 0.1465],
                    "against_control": {
                        "difference": 0.025, "interval": [-0.0026, 0.0525], "p": 0.0753, "p_always_valid": 0.5,
                    },
                },
            ],
        }],
    });
    view
}

/// Under `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let (running, stopped) = (
        json!({ "experiment": "bigger-wheel", "state": "running", "started_ms": 1_795_404_093_840_i64 }),
        json!({
            "experiment": "bigger-wheel", "state": "stopped", "started_ms": 1_795_404_093_840_i64,
            "stopped_ms": 1_796_404_093_840_i64,
        }),
    );
    let operations = vec![
        Operation::get("/experiments", "listExperiments", "All experiments")
            .describe("By id.")
            .needs::<Review>()
            .query::<PageQuery>()
            .answers::<ExperimentsView<'static>>(
                200,
                "A page of experiments.",
                json!({ "experiments": [drafted()] }),
            ),
        Operation::post("/experiments", "draftExperiment", "Draft an experiment")
            .describe("Nobody is exposed yet. The same document again is a repeat; another under the same id is refused.")
            .needs::<Operate>()
            .body::<Document>(document())
            .answers::<ExperimentView<'static>>(201, "It is drafted.", drafted())
            .refuses(&["experiment.document", "experiment.exists", "experiment.too_many"])
            .refuses(&["raffle.broken_version", "raffle.missing", "raffle.wrong_seed_key"]),
        Operation::get("/experiments/{experiment}", "getExperiment", "An experiment, and what it has shown")
            .describe(
                "`p` and the intervals of differences are for one look at a time that was fixed before the start; for \
                 looking at any time there is `p_always_valid`, for shares. Where `ratio.alarm` is true no number means \
                 anything.",
            )
            .needs::<Review>()
            .answers::<ShownView<'static>>(200, "The experiment.", shown())
            .refuses(&["experiment.missing"]),
        Operation::post("/experiments/{experiment}/start", "startExperiment", "Start an experiment")
            .describe(
                "From then on draws of its raffle are led to the raffles of the arms. Where four eyes are on, for an approver or \
                 an admin, and for no key that drafted it or has set its weights, nor for another of its name.",
            )
            .needs::<Start>()
            .body::<ReasonBody>(json!({ "reason": "the season begins" }))
            .answers::<MovedExperimentView<'static>>(200, "It runs.", running)
            .refuses(&["edge.bad_text", "experiment.layer_taken", "experiment.missing"])
            .refuses(&["experiment.one_person", "experiment.state", "experiment.subject_taken"])
            .refuses(&["experiment.too_many"]),
        Operation::post("/experiments/{experiment}/stop", "stopExperiment", "Stop an experiment for good")
            .describe("Draws go to its raffle again. What was drawn from an arm's raffle stands, and repeats are answered.")
            .needs::<Operate>()
            .body::<ReasonBody>(json!({ "reason": "the season is over" }))
            .answers::<MovedExperimentView<'static>>(200, "It is stopped.", stopped)
            .refuses(&["edge.bad_text", "experiment.missing", "experiment.state"]),
        Operation::post("/experiments/{experiment}/weights", "weighExperiment", "Set the arms' weights anew")
            .describe("For newcomers alone. Where four eyes are on, a running experiment's weights stay.")
            .needs::<Operate>()
            .body::<WeightsBody>(json!({ "weights": { "as-it-is": 10, "bigger": 90 }, "reason": "it goes well" }))
            .answers::<GenerationView>(
                200,
                "They are set.",
                json!({ "generation": 2, "weights": [10, 90], "since_ms": 1_795_604_083_840_i64, "by": "ops" }),
            )
            .refuses(&["edge.bad_text", "experiment.document", "experiment.missing"])
            .refuses(&["experiment.one_person", "experiment.state", "experiment.too_many"]),
    ];
    operations.into_iter().chain(of_participants()).collect()
}

fn of_participants() -> Vec<Operation> {
    let seen = json!({ "experiment": "bigger-wheel", "takes_part": true, "arm": "bigger", "exposed_ms": null, "raffle": "spring-bigger" });
    let mut exposed = seen.clone();
    exposed["exposed_ms"] = 1_795_404_093_840_i64.into();
    vec![
        Operation::get("/experiments/{experiment}/assignment", "getAssignment", "Where a participant stands")
            .describe(
                "Exposes nobody. A participant's token reads its bearer's. Also while experiments are off: who was exposed \
                 keeps their arm.",
            )
            .needs::<LookUp>()
            .query::<WhoQuery>()
            .answers::<AssignmentView<'static>>(200, "Where they stand.", seen)
            .refuses(&["edge.bad_text", "experiment.missing", "experiment.state"]),
        Operation::post("/experiments/{experiment}/assignment", "exposeParticipant", "Expose a participant")
            .describe(
                "Call it when they are about to be shown what their arm shows. The first exposure stands for ever. Draws of \
                 the subject do it by themselves. While experiments are off nobody new is exposed: who was not has no arm.",
            )
            .needs::<Tell>()
            .body::<WhoBody>(json!({ "participant": "ada" }))
            .answers::<AssignmentView<'static>>(200, "Where they stand.", exposed)
            .refuses(&["edge.bad_text", "experiment.missing", "experiment.state"]),
        Operation::get("/experiments/{experiment}/exposures", "listExposures", "The log of exposures")
            .describe("For whoever computes results of their own. It names nobody, and who was forgotten is not in it.")
            .needs::<Review>()
            .query::<PageQuery>()
            .answers::<ExposuresView<'static>>(
                200,
                "A page of exposures.",
                json!({ "exposures": [{
                    "pseudonym": "9f86d081884c7d659a2feaa0c55ad015", "arm": "bigger", "generation": 1,
                    "exposed_ms": 1_795_404_093_840_i64,
                }] }),
            )
            .refuses(&["experiment.missing"]),
        Operation::post("/experiments/{experiment}/goals", "reachGoal", "Tell what a participant did")
            .describe("It counts once for each `event`, where they were exposed before and the experiment runs.")
            .needs::<Tell>()
            .body::<GoalBody>(json!({
                "participant": "ada", "goal": "purchase", "event": "order-4711", "value": 1,
            }))
            .answers::<GoalView>(200, "Whether it counts.", json!({ "counted": true }))
            .refuses(&["edge.bad_text", "experiment.beyond_total", "experiment.document"])
            .refuses(&["experiment.event_reused", "experiment.missing", "experiment.no_such_goal"])
            .refuses(&["experiment.state"]),
    ]
}
