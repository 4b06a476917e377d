//! Experiments as rows at home.

use kernel::id::Shard;
use records::audit::{self, Cause, Change, Stream};
use records::error::Error as RecordsError;
use records::follow::advance;
use records::machine;
use records::port::{Row, Tx, Value};

use super::EXPERIMENTS_MAX;
use super::document::Document;
use super::error::Error;
use super::life::Life;
use super::live::{Lives, machine_id, read_document, read_weights};

/// Weights, since when they assign newcomers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// How often weights had been set then, from 1.
    pub generation: u32,
    /// The weights, in the order of the arms.
    pub weights: Vec<u32>,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Who set them, by the name of their key; empty where an earlier release has not noted it.
    pub by: String,
}

/// An experiment as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// What it is.
    pub document: Document,
    /// Where it stands.
    pub life: Life,
    /// Who drafted it, by the name of their key.
    pub author: String,
    /// When, in milliseconds since the epoch.
    pub drafted_ms: i64,
    /// Its weights, oldest first.
    pub generations: Vec<Generation>,
}

impl Experiment {
    /// Whether somebody drafted it or has set weights of it. Nobody is cleared by weights of which it is not known who set
    /// them: a draft of an earlier release that was re-weighed is drafted anew.
    pub fn is_of(&self, name: &str) -> bool {
        let name = kept(name);
        let set = |known: &Generation| known.by == name || (known.generation > 1 && known.by.is_empty());
        self.author == name || self.generations.iter().any(set)
    }
}

/// As much of a key's name as its column holds.
fn kept(name: &str) -> String {
    name.chars().take(128).collect()
}

/// The beginning of every key at home.
pub(super) fn home(tenant: u32) -> [Value<'static>; 2] {
    [Value::Int(Shard::HOME.0.into()), Value::Int(tenant.into())]
}

/// Writes the entry of the audit log.
pub(super) async fn note(
    tx: &mut dyn Tx,
    tenant: u32,
    id: &str,
    (action, detail): (&'static str, String),
    (cause, at_ms): (&Cause, i64),
) -> Result<(), RecordsError> {
    let change = Change { at_ms, action, subject: format!("experiment/{id}"), detail };
    audit::append(tx, &Stream::changes(Shard::HOME, tenant), cause, change).await.map(|_| ())
}

/// Writes weights down.
pub(super) async fn write_generation(
    tx: &mut dyn Tx,
    tenant: u32,
    id: &str,
    generation: &Generation,
) -> Result<(), Error> {
    let weights = serde_json::to_string(&generation.weights).map_err(unwritable)?;
    let by = kept(&generation.by);
    let insert = "INSERT INTO experiment_weights (shard,tenant,experiment,generation,weights,since_ms,actor)
        VALUES (?,?,?,?,?,?,?)";
    let rest = [
        Value::Text(id),
        Value::Int(generation.generation.into()),
        Value::Text(&weights),
        Value::Int(generation.since_ms),
        Value::Text(&by),
    ];
    tx.exec(insert, &[&home(tenant)[..], &rest].concat()).await?;
    Ok(())
}

fn unwritable(error: serde_json::Error) -> Error {
    RecordsError::Corrupt(format!("an experiment: {error}")).into()
}

/// Writes a new experiment down. Answers it, and whether it stood there before.
pub(super) async fn draft(
    tx: &mut dyn Tx,
    tenant: u32,
    document: Document,
    (cause, now_ms): (&Cause, i64),
) -> Result<(Experiment, bool), Error> {
    advance::<Lives>(tx, tenant).await?;
    let id = document.experiment.clone();
    match fetch(tx, tenant, &id).await {
        Ok(known) if known.document == document => return Ok((known, true)),
        Ok(_) => return Err(Error::Exists(id)),
        Err(Error::NoSuchExperiment(_)) => {}
        Err(error) => return Err(error),
    }
    let count = "SELECT COUNT(*) FROM experiment WHERE shard=? AND tenant=?";
    let rows = tx.fetch(count, &home(tenant)).await?;
    if rows.first().map_or(Ok(0), |row| row.count(0))? >= u64::from(EXPERIMENTS_MAX) {
        return Err(Error::TooMany(format!("there are {EXPERIMENTS_MAX} experiments already")));
    }
    let text = serde_json::to_string(&document).map_err(unwritable)?;
    let author = kept(&cause.actor.name);
    let insert = "INSERT INTO experiment (shard,tenant,id,document,author,drafted_ms) VALUES (?,?,?,?,?,?)";
    let rest = [Value::Text(&id), Value::Text(&text), Value::Text(&author), Value::Int(now_ms)];
    tx.exec(insert, &[&home(tenant)[..], &rest].concat()).await?;
    let weights = document.weights();
    let first = Generation { generation: 1, weights, since_ms: now_ms, by: author.clone() };
    write_generation(tx, tenant, &id, &first).await?;
    machine::start(tx, Shard::HOME, &[(machine_id(tenant, &id), Life::Draft, None)]).await?;
    note(tx, tenant, &id, ("draft", document.title.clone()), (cause, now_ms)).await?;
    let generations = vec![first];
    Ok((Experiment { document, life: Life::Draft, author, drafted_ms: now_ms, generations }, false))
}

/// An experiment as it stands.
pub(super) async fn fetch(tx: &mut dyn Tx, tenant: u32, id: &str) -> Result<Experiment, Error> {
    let key = [&home(tenant)[..], &[Value::Text(id)]].concat();
    let sql = "SELECT document,author,drafted_ms FROM experiment WHERE shard=? AND tenant=? AND id=?";
    let rows = tx.fetch(sql, &key).await?;
    let row = rows.first().ok_or_else(|| Error::NoSuchExperiment(id.to_owned()))?;
    let life = machine::get::<Life>(tx, Shard::HOME, &machine_id(tenant, id)).await?;
    let life = life.ok_or_else(|| RecordsError::Corrupt(format!("the experiment {id} has no state")))?;
    let sql = "SELECT generation,weights,since_ms,actor FROM experiment_weights
        WHERE shard=? AND tenant=? AND experiment=? ORDER BY generation";
    let read_generation = |row: &Row| {
        let (generation, weights) = (row.small(0)?, read_weights(row, 1)?);
        Ok(Generation { generation, weights, since_ms: row.int(2)?, by: row.text(3)?.to_owned() })
    };
    let weights = tx.fetch(sql, &key).await?;
    let generations = weights.iter().map(read_generation).collect::<Result<_, RecordsError>>()?;
    Ok(Experiment {
        document: read_document(row, 0)?,
        life,
        author: row.text(1)?.to_owned(),
        drafted_ms: row.int(2)?,
        generations,
    })
}
