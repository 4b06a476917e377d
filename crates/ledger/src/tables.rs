//! The tables of this room. Every key begins with the shard key: `bucket` for what belongs to an account, `shard` for what
//! the journal of a database has numbered.

use records::migration::Room;

/// Steps of this room's tables.
pub const ROOM: Room = Room { name: "ledger", steps: &[STEP_1, STEP_2, STEP_3] };

const STEP_1: &[&str] = &[
    // Numbers the journal of a tenant in a database. Whoever writes to it has locked this row.
    "CREATE TABLE ledger_head (
        shard INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        seq BIGINT NOT NULL CHECK (seq >= 0),
        batch BIGINT NOT NULL CHECK (batch >= 0),
        seal_hash VARBINARY(32) NOT NULL,
        PRIMARY KEY (shard, tenant)
    ){table_end}",
    // The journal: what was asked and what it did, done or refused. Only ever added to.
    "CREATE TABLE ledger_entry (
        shard INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        seq BIGINT NOT NULL,
        id VARBINARY(16) NOT NULL,
        at_ms BIGINT NOT NULL,
        body BLOB NOT NULL,
        digest VARBINARY(32) NOT NULL,
        PRIMARY KEY (shard, tenant, seq)
    ){table_end}",
    "CREATE TABLE ledger_seal (
        shard INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        batch BIGINT NOT NULL,
        first_seq BIGINT NOT NULL,
        last_seq BIGINT NOT NULL,
        previous VARBINARY(32) NOT NULL,
        root VARBINARY(32) NOT NULL,
        seal_hash VARBINARY(32) NOT NULL,
        PRIMARY KEY (shard, tenant, batch)
    ){table_end}",
    // Which entry an order has become.
    "CREATE TABLE ledger_order (
        shard INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        id VARBINARY(16) NOT NULL,
        seq BIGINT NOT NULL,
        PRIMARY KEY (shard, tenant, id)
    ){table_end}",
    // What an entry has undone: it is undone once.
    "CREATE TABLE ledger_reversal (
        shard INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        undone BIGINT NOT NULL,
        seq BIGINT NOT NULL,
        PRIMARY KEY (shard, tenant, undone)
    ){table_end}",
    // The name behind an account's key.
    "CREATE TABLE ledger_account (
        bucket INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        account VARBINARY(16) NOT NULL,
        kind VARCHAR(16) NOT NULL,
        owner VARCHAR(128) NOT NULL,
        wallet VARCHAR(32) NOT NULL,
        unit VARCHAR(16) NOT NULL,
        opened_ms BIGINT NOT NULL,
        PRIMARY KEY (bucket, tenant, account)
    ){table_end}",
    // How an account stands, and the last entry about it: each entry names the one before, so that these two lead
    // through all of an account's. None may go below the floor.
    "CREATE TABLE ledger_balance (
        bucket INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        account VARBINARY(16) NOT NULL,
        seq BIGINT NOT NULL CHECK (seq > 0),
        entry BIGINT NOT NULL,
        balance BIGINT NOT NULL,
        held BIGINT NOT NULL CHECK (held >= 0),
        pending BIGINT NOT NULL CHECK (pending >= 0),
        floor BIGINT NOT NULL,
        lots INTEGER NOT NULL,
        PRIMARY KEY (bucket, tenant, account),
        CHECK (balance - held - pending >= floor)
    ){table_end}",
    // Holds, the open ones of an account together: `state` is 0 while a hold is open.
    "CREATE TABLE ledger_hold (
        bucket INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        account VARBINARY(16) NOT NULL,
        state INTEGER NOT NULL,
        id VARBINARY(16) NOT NULL,
        amount BIGINT NOT NULL,
        to_bucket INTEGER NOT NULL,
        to_account VARBINARY(16) NOT NULL,
        expires_ms BIGINT NOT NULL,
        PRIMARY KEY (bucket, tenant, account, state, id)
    ){table_end}",
    // Lots of accounts whose units have terms, those with something left together: `spent` is 1 when nothing is.
    "CREATE TABLE ledger_lot (
        bucket INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        account VARBINARY(16) NOT NULL,
        spent INTEGER NOT NULL,
        lot BIGINT NOT NULL,
        amount BIGINT NOT NULL,
        free BIGINT NOT NULL CHECK (free >= 0),
        pending INTEGER NOT NULL,
        available_ms BIGINT,
        expires_ms BIGINT,
        PRIMARY KEY (bucket, tenant, account, spent, lot)
    ){table_end}",
    // Which lots an entry has taken from, for the day that it is undone.
    "CREATE TABLE ledger_lot_use (
        bucket INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        account VARBINARY(16) NOT NULL,
        entry BIGINT NOT NULL,
        lot BIGINT NOT NULL,
        amount BIGINT NOT NULL,
        PRIMARY KEY (bucket, tenant, account, entry, lot)
    ){table_end}",
    // When something of an account is due.
    "CREATE TABLE ledger_due (
        shard INTEGER NOT NULL,
        due_ms BIGINT NOT NULL,
        tenant BIGINT NOT NULL,
        bucket INTEGER NOT NULL,
        account VARBINARY(16) NOT NULL,
        noted_ms BIGINT NOT NULL,
        PRIMARY KEY (shard, due_ms, tenant, bucket, account)
    ){table_end}",
];

const STEP_2: &[&str] = &[
    // Which accounts somebody has, by what whose they are hashes to: it stays when a name is forgotten.
    "CREATE TABLE ledger_wallet (
        bucket INTEGER NOT NULL,
        tenant BIGINT NOT NULL,
        owner VARBINARY(16) NOT NULL,
        account VARBINARY(16) NOT NULL,
        PRIMARY KEY (bucket, tenant, owner, account)
    ){table_end}",
];

const STEP_3: &[&str] = &[
    // What has expired of a lot: whoever undoes what brought it takes that back from where it went.
    "ALTER TABLE ledger_lot ADD COLUMN lapsed BIGINT NOT NULL DEFAULT 0 CHECK (lapsed >= 0)",
];
