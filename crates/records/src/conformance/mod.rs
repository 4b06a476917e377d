//! What every adapter of [`crate::port::Records`] must pass, and with it everything in this room that stands on the
//! port. [`crate::records_conformance!`] expands the list once per adapter.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a check speaks by panicking")]

pub mod audits;
pub mod batches;
pub mod effects;
pub mod faulty;
pub mod gates;
pub mod transactions;

use std::sync::Arc;

use crate::error::Error;
use crate::migration::{self, RECORDS, Room};
use crate::port::{Records, Value, write};
use kernel::id::Shard;

/// Tables that the checks write to.
const CHECKS: Room = Room {
    name: "checks",
    steps: &[&[
        "CREATE TABLE till (
        name VARCHAR(64) NOT NULL,
        entries BIGINT NOT NULL,
        balance BIGINT NOT NULL CHECK (balance >= 0),
        PRIMARY KEY (name)
    ){table_end}",
        "CREATE TABLE kinds (
        number BIGINT NOT NULL,
        phrase VARCHAR(64) NOT NULL,
        raw VARBINARY(256) NOT NULL,
        absent BIGINT,
        PRIMARY KEY (number)
    ){table_end}",
    ]],
};

/// Makes the tables.
pub async fn prepare(records: &dyn Records) {
    migration::run(records, &[&RECORDS, &CHECKS], 0).await.expect("migrate");
}

/// Lists each check once, so that no adapter can miss one. `$fresh` makes empty records and something that keeps their
/// folder or server alive.
#[macro_export]
macro_rules! records_conformance {
    ($fresh:path) => {
        $crate::records_conformance!(@each $fresh:
            transactions::keeps_only_what_ended_well,
            transactions::keys_are_unique_and_compare_as_bytes,
            transactions::guards_are_enforced,
            transactions::readers_see_one_moment_and_cannot_write,
            transactions::a_look_waits_behind_no_reader,
            transactions::writers_run_one_after_the_other,
            transactions::values_survive_the_round_trip,
            transactions::a_newer_schema_is_refused,
            gates::a_gate_that_moved_is_a_surprise,
            gates::a_segment_never_grants_what_it_lacks,
            audits::a_stream_has_no_gaps_and_its_pages_miss_nothing,
            audits::a_stream_begins_once,
            audits::whatever_is_tampered_with_is_named,
            audits::forged_digests_meet_their_seal_and_forged_seals_the_next,
            audits::what_was_tampered_with_is_not_sealed,
            effects::a_machine_moves_once,
            effects::a_timer_follows_its_machine,
            effects::a_long_state_is_kept,
            effects::an_inbox_hears_once,
            effects::a_rolled_back_transaction_posts_nothing,
            effects::order_holds_within_a_key_and_trouble_stays_there,
            effects::a_dead_letter_makes_way,
            effects::a_delayed_effect_leaves_at_its_time_and_in_its_order,
            effects::what_is_not_due_hides_nothing_that_is,
            effects::dead_letters_are_listed_and_replayed_one_by_one,
            effects::a_backlog_presses_until_it_is_gone,
            effects::a_topic_that_is_spared_presses_on_nothing,
            batches::any_interleaving_equals_some_serial_order,
            batches::a_failing_database_answers_each_caller_rightly,
            batches::a_batch_that_makes_way_is_rerun,
            batches::a_full_queue_says_so_and_a_closed_one_drains,
        );
    };
    (@each $fresh:path: $($file:ident::$check:ident,)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let (records, _alive) = $fresh();
            $crate::conformance::prepare(&*records).await;
            $crate::conformance::$file::$check(records).await;
        }
    )+};
}

async fn set(records: &Arc<dyn Records>, name: &'static str, balance: i64) -> Result<(), Error> {
    write(&**records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let values = [Value::Text(name), Value::Int(balance)];
            tx.exec("INSERT INTO till (name,entries,balance) VALUES (?,0,?)", &values).await.map(|_| ())
        })
    })
    .await
}

async fn balance(records: &Arc<dyn Records>, name: &'static str) -> Option<i64> {
    crate::port::read(&**records, Shard::HOME, move |tx| {
        Box::pin(async move {
            let rows = tx.fetch("SELECT balance FROM till WHERE name=?", &[Value::Text(name)]).await?;
            rows.first().map(|row| row.int(0)).transpose()
        })
    })
    .await
    .expect("read")
}
