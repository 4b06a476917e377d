//! The tables of experiments.

use records::migration::Room;

/// Their tables. What is a participant's begins with their bucket; what is read together begins with the shard.
pub const ROOM: Room = Room {
    name: "experiment",
    steps: &[
        &[EXPERIMENT, WEIGHTS, EXPOSURE, EVENT, TALLY, COUNT],
        &["ALTER TABLE experiment_weights ADD COLUMN actor VARCHAR(128) NOT NULL DEFAULT ''"],
    ],
};

const EXPERIMENT: &str = "CREATE TABLE experiment (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    id VARCHAR(48) NOT NULL,
    document VARCHAR(8000) NOT NULL,
    author VARCHAR(128) NOT NULL,
    drafted_ms BIGINT NOT NULL,
    PRIMARY KEY (shard, tenant, id)
){table_end}";

const WEIGHTS: &str = "CREATE TABLE experiment_weights (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    experiment VARCHAR(48) NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    weights VARCHAR(200) NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (shard, tenant, experiment, generation)
){table_end}";

const EXPOSURE: &str = "CREATE TABLE experiment_exposure (
    bucket INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    experiment VARCHAR(48) NOT NULL,
    pseudonym VARBINARY(16) NOT NULL,
    arm INTEGER NOT NULL CHECK (arm >= 0),
    generation INTEGER NOT NULL CHECK (generation > 0),
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (bucket, tenant, experiment, pseudonym)
){table_end}";

const EVENT: &str = "CREATE TABLE experiment_event (
    bucket INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    experiment VARCHAR(48) NOT NULL,
    pseudonym VARBINARY(16) NOT NULL,
    goal VARCHAR(48) NOT NULL,
    event VARCHAR(200) NOT NULL,
    value BIGINT NOT NULL CHECK (value >= 0),
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (bucket, tenant, experiment, pseudonym, goal, event)
){table_end}";

const TALLY: &str = "CREATE TABLE experiment_tally (
    bucket INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    experiment VARCHAR(48) NOT NULL,
    pseudonym VARBINARY(16) NOT NULL,
    goal VARCHAR(48) NOT NULL,
    events BIGINT NOT NULL CHECK (events > 0),
    total BIGINT NOT NULL CHECK (total >= 0),
    PRIMARY KEY (bucket, tenant, experiment, pseudonym, goal)
){table_end}";

const COUNT: &str = "CREATE TABLE experiment_count (
    shard INTEGER NOT NULL,
    tenant BIGINT NOT NULL,
    experiment VARCHAR(48) NOT NULL,
    slot INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    arm INTEGER NOT NULL,
    goal VARCHAR(48) NOT NULL,
    participants BIGINT NOT NULL CHECK (participants >= 0),
    total BIGINT NOT NULL CHECK (total >= 0),
    squares BIGINT NOT NULL CHECK (squares >= 0),
    PRIMARY KEY (shard, tenant, experiment, slot, generation, arm, goal)
){table_end}";
