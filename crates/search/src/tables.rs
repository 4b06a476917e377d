//! The tables of this room. On SQLite they are in a file of their own, so that writing them keeps nobody waiting who decides.

use records::migration::Room;

/// Steps of this room's tables.
pub const ROOM: Room = Room {
    name: "search",
    steps: &[&[
        // In the order of time, so that what is new is appended. When something befell somebody never changes, so the key of
        // an activity does not either. `who` is a hash of the name, empty where nobody is known; it goes with the name.
        "CREATE TABLE activity (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            at_ms BIGINT NOT NULL,
            id VARCHAR(64) NOT NULL,
            who VARBINARY(16) NOT NULL,
            participant VARCHAR(128) NOT NULL,
            kind VARCHAR(16) NOT NULL,
            raffle VARCHAR(64) NOT NULL,
            campaign VARCHAR(64) NOT NULL,
            prize VARCHAR(64) NOT NULL,
            state VARCHAR(32) NOT NULL,
            unit VARCHAR(16) NOT NULL,
            amount BIGINT,
            code VARCHAR(64) NOT NULL,
            reason VARCHAR(600) NOT NULL,
            note VARCHAR(600) NOT NULL,
            PRIMARY KEY (shard, tenant, at_ms, id)
        ){table_end}",
        "CREATE INDEX activity_who ON activity (shard, tenant, who, at_ms, id)",
        "CREATE INDEX activity_prize ON activity (shard, tenant, prize, at_ms, id)",
        "CREATE INDEX activity_state ON activity (shard, tenant, state, at_ms, id)",
        // How far each source was read.
        "CREATE TABLE activity_cursor (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            source VARCHAR(32) NOT NULL,
            seq BIGINT NOT NULL CHECK (seq >= 0),
            PRIMARY KEY (shard, tenant, source)
        ){table_end}",
        // Counts what was written: whoever writes says what they have seen, and nothing older replaces what is newer.
        "CREATE TABLE activity_head (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            turn BIGINT NOT NULL CHECK (turn >= 0),
            PRIMARY KEY (shard, tenant)
        ){table_end}",
    ]],
};
