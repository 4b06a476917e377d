//! The tables of awards and what fulfils them. Keys begin with `shard` for what a gate has numbered or home keeps, and with
//! `bucket` for what a participant owns.

use records::migration::Room;

/// Steps of these tables.
pub const FULFILMENT: Room = Room { name: "fulfilment", steps: &[FIRST, LATER, HELD] };

/// What is held back of each winner. What was held before this table was there has a timer.
const HELD: &[&str] = &[
    "CREATE TABLE award_held (
        shard INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        winner VARCHAR(64) NOT NULL,
        award VARBINARY(12) NOT NULL,
        PRIMARY KEY (shard, tenant, winner, award)
    ){table_end}",
    r#"INSERT OR IGNORE INTO award_held (shard,tenant,winner,award)
        SELECT m.shard,1,SUBSTR(m.state,INSTR(m.state,'"winner":"')+10,32),m.id
        FROM timer t JOIN machine m ON m.shard=t.shard AND m.kind=t.kind AND m.id=t.id
        WHERE t.kind='award' AND m.state LIKE '%"state":"held"%'"#,
];

/// Who was erased, by the hash of their name; and whose erasure has to look once more, when all that is older has been sent.
/// Endpoints of earlier releases were told to remember the ids of webhooks.
const LATER: &[&str] = &[
    "CREATE TABLE person_erased (
        bucket INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        who VARBINARY(16) NOT NULL,
        at_ms BIGINT NOT NULL,
        PRIMARY KEY (bucket, tenant, who)
    ){table_end}",
    "CREATE TABLE erasure_due (
        shard INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        at_ms BIGINT NOT NULL,
        bucket INTEGER NOT NULL,
        who VARBINARY(16) NOT NULL,
        PRIMARY KEY (shard, tenant, at_ms, bucket, who)
    ){table_end}",
    "ALTER TABLE endpoint ADD COLUMN keeps_ids INTEGER NOT NULL DEFAULT 1",
];

const FIRST: &[&str] = &[
    // Who holds which award, by name: the one place where the two stand together, which an erasure empties.
    "CREATE TABLE award_holder (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            participant VARCHAR(128) NOT NULL,
            raffle BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            shard INTEGER NOT NULL,
            PRIMARY KEY (bucket, tenant, participant, raffle, seq)
        ){table_end}",
    // Where a physical prize goes.
    "CREATE TABLE award_address (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            sealed VARBINARY(8000) NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, seq)
        ){table_end}",
    // Requests about awards, endpoints and coupons, and what they were answered.
    "CREATE TABLE award_request (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            request_key VARCHAR(340) NOT NULL,
            body_hash VARBINARY(32) NOT NULL,
            at_ms BIGINT NOT NULL,
            answer BLOB NOT NULL,
            PRIMARY KEY (shard, tenant, request_key)
        ){table_end}",
    // Pools of coupon codes, and how many are left.
    "CREATE TABLE coupon_pool (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            pool VARCHAR(64) NOT NULL,
            codes BIGINT NOT NULL,
            free BIGINT NOT NULL CHECK (free >= 0),
            given BIGINT NOT NULL CHECK (given >= 0),
            void BIGINT NOT NULL CHECK (void >= 0),
            PRIMARY KEY (shard, tenant, pool),
            CHECK (free + given + void = codes)
        ){table_end}",
    // Codes by SHA-256, so that each stands once in its pool; `state` is 0 free, 1 given, 2 void.
    "CREATE TABLE coupon (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            pool VARCHAR(64) NOT NULL,
            digest VARBINARY(32) NOT NULL,
            number BIGINT NOT NULL,
            state INTEGER NOT NULL,
            award VARBINARY(12),
            sealed VARBINARY(400) NOT NULL,
            PRIMARY KEY (shard, tenant, pool, digest)
        ){table_end}",
    "CREATE INDEX coupon_free ON coupon (shard, tenant, pool, state, number)",
    "CREATE UNIQUE INDEX coupon_award ON coupon (shard, tenant, award)",
    // Awards that wait for a code, in the order of their waiting.
    "CREATE TABLE coupon_wait (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            pool VARCHAR(64) NOT NULL,
            at_ms BIGINT NOT NULL,
            award VARBINARY(12) NOT NULL,
            PRIMARY KEY (shard, tenant, pool, at_ms, award)
        ){table_end}",
    // Where webhooks go. The secrets are sealed.
    "CREATE TABLE endpoint (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            id VARCHAR(64) NOT NULL,
            url VARCHAR(2000) NOT NULL,
            status_url VARCHAR(2000),
            enabled INTEGER NOT NULL,
            why VARCHAR(500) NOT NULL,
            secrets VARBINARY(2000) NOT NULL,
            changed_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, id)
        ){table_end}",
    // Webhooks that are owed, those of one key in the order of `n`. `live` is 0 for one that was given up; one without a
    // due time waits behind another.
    "CREATE TABLE delivery (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            endpoint VARCHAR(64) NOT NULL,
            order_key VARBINARY(64) NOT NULL,
            n BIGINT NOT NULL,
            id VARBINARY(13) NOT NULL,
            live INTEGER NOT NULL,
            due_ms BIGINT,
            at_ms BIGINT NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (shard, tenant, endpoint, order_key, n)
        ){table_end}",
    "CREATE INDEX delivery_due ON delivery (shard, tenant, endpoint, live, due_ms)",
    "CREATE UNIQUE INDEX delivery_id ON delivery (shard, tenant, id)",
    "CREATE INDEX delivery_age ON delivery (shard, tenant, live, at_ms)",
    // The last place given in an order.
    "CREATE TABLE delivery_order (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            endpoint VARCHAR(64) NOT NULL,
            order_key VARBINARY(64) NOT NULL,
            n BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, endpoint, order_key)
        ){table_end}",
];
