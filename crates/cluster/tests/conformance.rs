//! MariaDB as records passes what every adapter must.
#![expect(clippy::expect_used, reason = "a trial speaks by panicking")]

use std::sync::Arc;

use cluster::mariadb::MariaRecords;
use cluster::scratch;
use records::port::Records;

fn fresh() -> (Arc<dyn Records>, ()) {
    (Arc::new(MariaRecords::open(&scratch::shared().address()).expect("open")), ())
}
records::records_conformance!(fresh);
