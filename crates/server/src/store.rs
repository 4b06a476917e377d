//! The records, where the configuration puts them: a file in the data folder, or a database on a server.

use async_trait::async_trait;
use cluster::mariadb::MariaRecords;
use embedded::sqlite::{Caches, SqliteRecords, database_path};
use kernel::id::{Bucket, Shard};
use records::error::Error;
use records::port::{Records, Value, Work, read};

use crate::config;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot.
    #[error(transparent)]
    File(#[from] embedded::sqlite::OpenError),
    /// The database cannot.
    #[error(transparent)]
    Server(#[from] cluster::mariadb::OpenError),
    /// There is no folder for the secrets.
    #[error("cannot use the data folder: {0}")]
    Folder(#[from] std::io::Error),
}

/// The name of the projection's file.
const PROJECTION: &str = "search";

/// Open records.
pub enum Store {
    /// In the data folder.
    File(SqliteRecords),
    /// On a server.
    Server(MariaRecords),
}

impl Store {
    /// Opens what is configured. Blocks.
    pub fn open(store: &config::Store) -> Result<Self, StoreError> {
        let Some(address) = &store.database else {
            let writer_kib = store.writer_cache_mib.get().saturating_mul(1024);
            let caches = Caches { writer_kib, ..Caches::default() };
            return Ok(Self::File(SqliteRecords::open(&store.data, caches)?));
        };
        std::fs::create_dir_all(&store.data)?;
        if Self::is_in(store) {
            tracing::warn!(folder = %store.data.display(), %address, "the database in the data folder is not used");
        }
        Ok(Self::Server(MariaRecords::open(address)?))
    }

    /// Whether the data folder holds a database.
    pub fn is_in(store: &config::Store) -> bool {
        database_path(&store.data).exists()
    }

    /// Opens the file of the projection for searching, which keeps no writer of the truth waiting. `None` where the records are
    /// on a server: then it is among them. Blocks.
    pub fn open_projection(store: &config::Store) -> Result<Option<Self>, StoreError> {
        if store.database.is_some() {
            return Ok(None);
        }
        let caches = Caches { writer_kib: 16 * 1024, ..Caches::default() };
        Ok(Some(Self::File(SqliteRecords::open_named(&store.data, PROJECTION, caches)?)))
    }

    /// Drops the projection's file, where it has one: it is made anew. Nothing must hold it open.
    pub fn drop_projection(store: &config::Store) -> std::io::Result<()> {
        for end in ["", "-wal", "-shm"] {
            match std::fs::remove_file(store.data.join(format!("{PROJECTION}.db{end}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Opens a store that exists, that no server works on, and that has a step of a room's tables.
    pub(crate) async fn open_at_rest(
        store: &config::Store,
        (room, step): (&'static str, i64),
        with: &str,
    ) -> Result<Self, String> {
        let folder = store.data.display();
        // Opening would make an empty file, in which nothing is wrong.
        if store.database.is_none() && !Self::is_in(store) {
            return Err(format!("there is no database in {folder}"));
        }
        let records = Self::open(store).map_err(|error| error.to_string())?;
        let has_step = read(&records, Shard::HOME, move |tx| {
            Box::pin(async move {
                let sql = "SELECT step FROM schema_step WHERE room=? AND step=?";
                Ok::<_, Error>(!tx.fetch(sql, &[Value::Text(room), Value::Int(step)]).await?.is_empty())
            })
        });
        let told = match has_step.await {
            Ok(true) => return Ok(records),
            Ok(false) => {
                format!("{folder} was written by a release without {with}: start this release on it once")
            }
            Err(error) => error.to_string(),
        };
        records.close();
        Err(told)
    }

    /// Ends the work on it. Blocks.
    pub fn close(&self) {
        match self {
            Self::File(records) => records.close(),
            Self::Server(records) => records.close(),
        }
    }

    fn records(&self) -> &dyn Records {
        match self {
            Self::File(records) => records,
            Self::Server(records) => records,
        }
    }
}

#[async_trait]
impl Records for Store {
    fn shards(&self) -> Vec<Shard> {
        self.records().shards()
    }

    fn shard_of(&self, bucket: Bucket) -> Shard {
        self.records().shard_of(bucket)
    }

    async fn write(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.records().write(shard, work).await
    }

    async fn read(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.records().read(shard, work).await
    }

    async fn look(&self, shard: Shard, work: Box<dyn Work>) -> Result<(), Error> {
        self.records().look(shard, work).await
    }
}
