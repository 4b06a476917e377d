//! The tables of this room. Every key begins with the shard key: `bucket` for what a participant owns, `shard` for what the
//! head of a database has numbered (and for the home tables, where it is 0).

mod fulfilment;

pub use fulfilment::FULFILMENT;

use records::migration::Room;

/// Steps of this room's tables.
pub const ROOM: Room = Room {
    name: "campaign",
    steps: &[
        &[
            // Numbers the acts of a tenant in a database. Whoever decides about campaigns there has locked this row; `version`
            // grows with each publication.
            "CREATE TABLE campaign_head (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            seq BIGINT NOT NULL CHECK (seq >= 0),
            version BIGINT NOT NULL CHECK (version >= 0),
            PRIMARY KEY (shard, tenant)
        ){table_end}",
            "CREATE TABLE campaign (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            id VARCHAR(64) NOT NULL,
            number BIGINT NOT NULL,
            version BIGINT NOT NULL,
            created_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, id),
            UNIQUE (shard, number)
        ){table_end}",
            "CREATE TABLE campaign_version (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            campaign BIGINT NOT NULL,
            version BIGINT NOT NULL,
            idem_key VARCHAR(255) NOT NULL,
            body_hash VARBINARY(32) NOT NULL,
            document MEDIUMTEXT NOT NULL,
            published_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, campaign, version),
            UNIQUE (shard, tenant, campaign, idem_key)
        ){table_end}",
            // Where campaigns are shown, and when.
            "CREATE TABLE campaign_placement (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            channel VARCHAR(64) NOT NULL,
            source VARCHAR(64) NOT NULL,
            campaign BIGINT NOT NULL,
            from_ms BIGINT NOT NULL,
            until_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, channel, source, campaign)
        ){table_end}",
            // What was set aside for a campaign's budget.
            "CREATE TABLE campaign_fund (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            campaign BIGINT NOT NULL,
            unit VARCHAR(16) NOT NULL,
            amount BIGINT NOT NULL CHECK (amount >= 0),
            PRIMARY KEY (shard, tenant, campaign, unit)
        ){table_end}",
            "CREATE TABLE offer_stock (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            campaign BIGINT NOT NULL,
            offer VARCHAR(64) NOT NULL,
            allotted BIGINT NOT NULL,
            free BIGINT NOT NULL CHECK (free >= 0),
            held BIGINT NOT NULL CHECK (held >= 0),
            sold BIGINT NOT NULL CHECK (sold >= 0),
            PRIMARY KEY (shard, tenant, campaign, offer),
            CHECK (free + held + sold = allotted)
        ){table_end}",
            // What was done, under its key.
            "CREATE TABLE campaign_act (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            who VARBINARY(16) NOT NULL,
            kind VARCHAR(80) NOT NULL,
            act_key VARCHAR(255) NOT NULL,
            seq BIGINT NOT NULL,
            at_ms BIGINT NOT NULL,
            body_hash VARBINARY(32) NOT NULL,
            outcome MEDIUMTEXT NOT NULL,
            PRIMARY KEY (bucket, tenant, who, kind, act_key)
        ){table_end}",
            "CREATE TABLE campaign_tally (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            who VARBINARY(16) NOT NULL,
            campaign BIGINT NOT NULL,
            item VARCHAR(160) NOT NULL,
            day INTEGER NOT NULL,
            total BIGINT NOT NULL CHECK (total >= 0),
            in_month BIGINT NOT NULL CHECK (in_month >= 0),
            today BIGINT NOT NULL CHECK (today >= 0),
            PRIMARY KEY (bucket, tenant, who, campaign, item)
        ){table_end}",
            "CREATE TABLE campaign_calendar (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            who VARBINARY(16) NOT NULL,
            campaign BIGINT NOT NULL,
            last_day INTEGER NOT NULL,
            streak BIGINT NOT NULL,
            days BIGINT NOT NULL,
            total BIGINT NOT NULL,
            PRIMARY KEY (bucket, tenant, who, campaign)
        ){table_end}",
            "CREATE TABLE campaign_referral (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            who VARBINARY(16) NOT NULL,
            campaign BIGINT NOT NULL,
            code VARCHAR(16) NOT NULL,
            by_bucket INTEGER NOT NULL,
            by_who VARBINARY(16) NOT NULL,
            at_ms BIGINT NOT NULL,
            qualified INTEGER NOT NULL,
            PRIMARY KEY (bucket, tenant, who, campaign)
        ){table_end}",
            "CREATE TABLE referral_code (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            campaign BIGINT NOT NULL,
            code VARCHAR(16) NOT NULL,
            bucket INTEGER NOT NULL,
            who VARBINARY(16) NOT NULL,
            participant VARCHAR(128) NOT NULL,
            given_ms BIGINT NOT NULL,
            PRIMARY KEY (shard, tenant, campaign, code),
            UNIQUE (shard, tenant, bucket, who, campaign)
        ){table_end}",
            "CREATE TABLE audience_member (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            who VARBINARY(16) NOT NULL,
            list VARCHAR(64) NOT NULL,
            added_ms BIGINT NOT NULL,
            PRIMARY KEY (bucket, tenant, who, list)
        ){table_end}",
            // How many are on each uploaded list.
            "CREATE TABLE audience_list (
            shard INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            list VARCHAR(64) NOT NULL,
            members BIGINT NOT NULL CHECK (members >= 0),
            PRIMARY KEY (shard, tenant, list)
        ){table_end}",
            // The orders of a participant, the latest last.
            "CREATE TABLE offer_order (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            who VARBINARY(16) NOT NULL,
            seq BIGINT NOT NULL,
            campaign BIGINT NOT NULL,
            PRIMARY KEY (bucket, tenant, who, seq)
        ){table_end}",
        ],
        &[
            // Who is behind a hash: the one place of this room where the two stand together. The row stays when the name is
            // forgotten, so that it does not come back.
            "CREATE TABLE campaign_person (
            bucket INTEGER NOT NULL,
            tenant BIGINT NOT NULL,
            who VARBINARY(16) NOT NULL,
            participant VARCHAR(128) NOT NULL,
            PRIMARY KEY (bucket, tenant, who)
        ){table_end}",
            // For whoever follows the acts of a database in their order.
            "CREATE INDEX campaign_act_seq ON campaign_act (tenant, seq)",
        ],
    ],
};
