//! Where the records of a trial live: the same scenario once in a file, once on a server.

use std::sync::Arc;

use cluster::mariadb::{Address, MariaRecords};
use cluster::scratch;
use embedded::sqlite::{Caches, SqliteRecords};
use fairground::config::Config;
use records::port::Records;
use tempfile::TempDir;

/// Which adapter keeps the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// SQLite, in a folder.
    Embedded,
    /// MariaDB, on a server that the trials of this process share.
    Cluster,
}

/// A folder, and a database elsewhere if the records are not in it.
pub struct Place {
    /// The folder.
    pub folder: TempDir,
    /// The database.
    pub database: Option<Address>,
}

impl Profile {
    /// A new, empty place.
    pub fn place(self) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let database = (self == Self::Cluster).then(|| scratch::shared().address());
        Place { folder, database }
    }
}

impl Place {
    /// Opens the records.
    pub fn open(&self) -> Arc<dyn Records> {
        match &self.database {
            None => Arc::new(SqliteRecords::open(self.folder.path(), Caches::default()).expect("records")),
            Some(address) => Arc::new(MariaRecords::open(address).expect("records")),
        }
    }

    /// Sets a house up here; its data folder is `data`.
    pub fn configure(&self, config: &mut Config) {
        config.store.data = self.folder.path().join("data");
        config.store.database.clone_from(&self.database);
    }
}

/// Runs each scenario once in each profile: a scenario takes the profile, and where it is not listed nobody runs it, which
/// the compiler says.
#[macro_export]
macro_rules! in_each_profile {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$scenario($crate::profile::Profile::Embedded).await;
            })+
        }

        mod on_mariadb {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$scenario($crate::profile::Profile::Cluster).await;
            })+
        }
    };
}
