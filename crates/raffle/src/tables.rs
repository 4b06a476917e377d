//! The tables of this room. Every key begins with the shard key: `bucket` for what a participant owns, `shard` for what
//! a gate has numbered (and for the home tables, where it is 0).

use records::migration::Room;

/// Steps of this room's tables.
pub const ROOM: Room = Room {
    name: "raffle",
    steps: &[
        &[
            "CREATE TABLE raffle (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            id VARCHAR(64) NOT NULL,
            number BIGINT NOT NULL,
            pseudonym_key VARBINARY(128) NOT NULL,
            created_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, id),
            UNIQUE (shard, number)
        ){table_end}",
            "CREATE TABLE raffle_version (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            version BIGINT NOT NULL,
            epoch BIGINT NOT NULL,
            idem_key VARCHAR(255) NOT NULL,
            body_hash VARBINARY(32) NOT NULL,
            document MEDIUMTEXT NOT NULL,
            rules MEDIUMTEXT NOT NULL,
            rules_hash VARBINARY(32) NOT NULL,
            published_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, version),
            UNIQUE (shard, tenant, raffle, idem_key)
        ){table_end}",
            // The numbers of prizes: the same in every version, also after a version without the prize.
            "CREATE TABLE raffle_prize (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            prize VARCHAR(64) NOT NULL,
            slot BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, prize)
        ){table_end}",
            "CREATE TABLE raffle_epoch (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            epoch BIGINT NOT NULL,
            version BIGINT NOT NULL,
            seed VARBINARY(128) NOT NULL,
            seed_hash VARBINARY(32) NOT NULL,
            rules_hash VARBINARY(32) NOT NULL,
            opened_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, epoch)
        ){table_end}",
            // Everything that a gate lets through besides draws, numbered in the same sequence.
            "CREATE TABLE gate_event (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            at_ms BIGINT NOT NULL,
            kind VARCHAR(16) NOT NULL,
            prize VARCHAR(64) NOT NULL,
            units BIGINT NOT NULL,
            epoch BIGINT NOT NULL,
            version BIGINT NOT NULL,
            rules_hash VARBINARY(32) NOT NULL,
            seed_hash VARBINARY(32) NOT NULL,
            pseudonym VARBINARY(16) NOT NULL,
            reason VARCHAR(500) NOT NULL,
            idem_key VARCHAR(340),
            body_hash VARBINARY(32) NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, seq),
            UNIQUE (shard, tenant, raffle, idem_key)
        ){table_end}",
            // In the order of the gate, so that a batch of draws is one append and a log is one scan.
            "CREATE TABLE draw (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            bucket INTEGER NOT NULL,
            pseudonym VARBINARY(16) NOT NULL,
            number BIGINT NOT NULL,
            epoch BIGINT NOT NULL,
            at_ms BIGINT NOT NULL,
            day INTEGER NOT NULL,
            idem_key VARCHAR(255) NOT NULL,
            body_hash VARBINARY(32) NOT NULL,
            client_seed VARCHAR(255),
            attested MEDIUMTEXT NOT NULL,
            part INTEGER NOT NULL,
            parts INTEGER NOT NULL,
            prize VARCHAR(64),
            trace VARBINARY(2000) NOT NULL,
            chain VARBINARY(32) NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, seq)
        ){table_end}",
            // One row a participant: counters, chain head, and the latest keys, so that a draw touches one such row.
            "CREATE TABLE player (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            pseudonym VARBINARY(16) NOT NULL,
            participant VARCHAR(128),
            number BIGINT NOT NULL CHECK (number >= 0),
            day INTEGER NOT NULL,
            today BIGINT NOT NULL CHECK (today >= 0),
            chain VARBINARY(32) NOT NULL,
            recent_keys VARBINARY(192) NOT NULL,
            wins VARBINARY(8000) NOT NULL,
            last_win_ms BIGINT,
            paces BLOB NOT NULL,
            promised VARCHAR(64),
            PRIMARY KEY (bucket, tenant, raffle, pseudonym)
        ){table_end}",
            // Older keys of a participant, beside each other.
            "CREATE TABLE player_key (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            pseudonym VARBINARY(16) NOT NULL,
            fingerprint BIGINT NOT NULL,
            seq BIGINT NOT NULL,
            PRIMARY KEY (bucket, tenant, raffle, pseudonym, fingerprint, seq)
        ){table_end}",
        ],
        &[
            "ALTER TABLE raffle_version ADD COLUMN published_by VARCHAR(255) NOT NULL DEFAULT ''",
            "ALTER TABLE raffle_version ADD COLUMN reason VARCHAR(500) NOT NULL DEFAULT ''",
            "ALTER TABLE raffle_version ADD COLUMN draft BIGINT",
            "ALTER TABLE raffle_version ADD COLUMN restores BIGINT",
            "CREATE TABLE raffle_draft (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            draft BIGINT NOT NULL,
            base BIGINT NOT NULL,
            document MEDIUMTEXT NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, draft)
        ){table_end}",
            // The order as JSON. A promise names the participant: who approves must know whom.
            "CREATE TABLE raffle_proposal (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            proposal BIGINT NOT NULL,
            proposed VARCHAR(2000) NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, proposal)
        ){table_end}",
            // Who did what with a draft or proposal, when and why. The row is the key row of its request.
            "CREATE TABLE review_move (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            raffle BIGINT NOT NULL,
            kind VARCHAR(16) NOT NULL,
            number BIGINT NOT NULL,
            place BIGINT NOT NULL,
            state VARCHAR(16) NOT NULL,
            actor VARCHAR(255) NOT NULL,
            at_ms BIGINT NOT NULL,
            reason VARCHAR(500) NOT NULL,
            idem_key VARCHAR(340),
            body_hash VARBINARY(32) NOT NULL,
            PRIMARY KEY (shard, tenant, raffle, kind, number, place),
            UNIQUE (shard, tenant, raffle, idem_key)
        ){table_end}",
        ],
        // Draws in the local month of `day`. What a row of before has done in that month is not known without its draws: all
        // of them count, until the next month begins. That may refuse a draw and never gives one too many, and so the
        // verifiers, who count from the log, never find one too many either.
        &[
            "ALTER TABLE player ADD COLUMN this_month BIGINT NOT NULL DEFAULT 0 CHECK (this_month >= 0)",
            "UPDATE player SET this_month=number",
        ],
    ],
};
