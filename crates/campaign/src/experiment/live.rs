//! The experiments that matter to calls, as every process follows them: those that run, and those that have led draws.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use kernel::id::{Bucket, Shard, Tenant};
use records::error::Error;
use records::follow::Followed;
use records::machine;
use records::port::{Row, Tx, Value};

use super::bucketing::{arm_of, bucket, ends};
use super::document::{DRAW, Document, WIN};
use super::life::Life;

/// An experiment that was started.
#[derive(Debug)]
pub struct Live {
    /// Whose it is.
    pub tenant: u32,
    /// What it is.
    pub document: Document,
    /// Where it stands.
    pub life: Life,
    /// How often its weights were set.
    pub generation: u32,
    /// Where each arm's buckets end, by the latest weights.
    pub ends: Vec<u32>,
}

impl Live {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.document.experiment
    }

    /// Whether somebody's place in the layer is among those who take part. It never changes.
    pub fn takes(&self, participant: &str) -> bool {
        self.document.buckets().contain(bucket(self.document.layer(), "", participant))
    }

    /// The arm whose buckets hold a participant, by the latest weights: where a newcomer goes.
    pub fn arm_for(&self, participant: &str) -> Option<usize> {
        arm_of(&self.ends, bucket(self.document.layer(), self.id(), participant))
    }

    /// Whether newcomers are exposed at an instant.
    pub fn exposes(&self, now_ms: i64) -> bool {
        let Document { from_ms, until_ms, .. } = &self.document;
        matches!(self.life, Life::Running { .. })
            && from_ms.is_none_or(|from_ms| from_ms <= now_ms)
            && until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }

    /// Whether it runs, so that whoever was exposed goes where their arm goes.
    pub fn is_running(&self) -> bool {
        matches!(self.life, Life::Running { .. })
    }

    /// The raffle of an arm.
    pub fn raffle_of(&self, arm: usize) -> Option<&str> {
        self.document.arms.get(arm)?.raffle.as_deref()
    }

    /// The offer of an arm.
    pub fn offer_of(&self, arm: usize) -> Option<&str> {
        self.document.arms.get(arm)?.offer.as_deref()
    }
}

/// A participant's bucket.
pub fn home_of(participant: &str) -> Bucket {
    Bucket::of(Tenant::MAIN.name, participant)
}

/// What a process knows of experiments.
#[derive(Debug, Default)]
pub struct Lives {
    by_id: HashMap<String, Arc<Live>>,
    /// Those that lead, or have led, draws of a raffle.
    leading: HashMap<String, Vec<Arc<Live>>>,
    /// Raffles whose draws are goals of some experiment.
    heard: HashSet<String>,
    /// Those that are about offers of a campaign.
    offered: HashMap<String, Vec<Arc<Live>>>,
    /// Raffles that some running experiment leads to from another, with that one.
    led_to: HashMap<String, Arc<Live>>,
}

impl Lives {
    /// A started experiment.
    pub fn get(&self, id: &str) -> Option<&Arc<Live>> {
        self.by_id.get(id)
    }

    /// Those that run.
    pub fn running(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.by_id.values().filter(|live| live.is_running())
    }

    /// Those that lead, or have led, the draws of a raffle.
    pub fn leading(&self, raffle: &str) -> &[Arc<Live>] {
        self.leading.get(raffle).map_or(&[], Vec::as_slice)
    }

    /// Those that are about offers of a campaign, as long as they run.
    pub fn offered(&self, campaign: &str) -> impl Iterator<Item = &Arc<Live>> {
        let all = self.offered.get(campaign).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|live| live.is_running())
    }

    /// The running experiment that leads draws of another raffle to this one.
    pub fn leading_to(&self, raffle: &str) -> Option<&Arc<Live>> {
        self.led_to.get(raffle)
    }

    /// Whether draws of any raffle are goals.
    pub fn hears_any(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Whether draws of a raffle are goals.
    pub fn hears(&self, raffle: &str) -> bool {
        self.heard.contains(raffle)
    }

    /// The experiments of which draws of a raffle are goals.
    pub fn hearing(&self, raffle: &str) -> impl Iterator<Item = &Arc<Live>> {
        self.by_id.values().filter(move |live| {
            hears(&live.document)
                && live.document.arms.iter().any(|arm| arm.raffle.as_deref() == Some(raffle))
        })
    }
}

fn hears(document: &Document) -> bool {
    [DRAW, WIN].iter().any(|goal| document.goal(goal).is_some())
}

/// The id of an experiment's machine: the tenant, then its name.
pub(super) fn machine_id(tenant: u32, experiment: &str) -> Vec<u8> {
    [&tenant.to_be_bytes()[..], experiment.as_bytes()].concat()
}

pub(super) fn read_document(row: &Row, column: usize) -> Result<Document, Error> {
    serde_json::from_str(row.text(column)?).map_err(|error| Error::Corrupt(format!("an experiment: {error}")))
}

pub(super) fn read_weights(row: &Row, column: usize) -> Result<Vec<u32>, Error> {
    serde_json::from_str(row.text(column)?)
        .map_err(|error| Error::Corrupt(format!("an experiment's weights: {error}")))
}

#[async_trait]
impl Followed for Lives {
    const NAME: &'static str = "experiment";

    async fn read(tx: &mut dyn Tx, tenant: u32) -> Result<Self, Error> {
        let home = [Value::Int(Shard::HOME.0.into()), Value::Int(tenant.into())];
        let sql = "SELECT experiment,generation,weights FROM experiment_weights WHERE shard=? AND tenant=?
            ORDER BY experiment,generation";
        // The latest of each stands last.
        let mut weights = BTreeMap::new();
        for row in tx.fetch(sql, &home).await? {
            weights.insert(row.text(0)?.to_owned(), (row.small(1)?, read_weights(&row, 2)?));
        }
        let mut states = HashMap::new();
        let (first, last) = (machine_id(tenant, ""), machine_id(tenant, "~"));
        for (id, life) in
            machine::page::<Life>(tx, Shard::HOME, (&first, &last), super::EXPERIMENTS_MAX).await?
        {
            states.insert(id, life);
        }
        let mut lives = Self::default();
        let sql = "SELECT document FROM experiment WHERE shard=? AND tenant=? ORDER BY id";
        for row in tx.fetch(sql, &home).await? {
            let document = read_document(&row, 0)?;
            let life = states.get(&machine_id(tenant, &document.experiment)).copied();
            let known = weights.get(&document.experiment);
            let (Some(life), Some((generation, weights))) = (life, known) else {
                return Err(Error::Corrupt(format!("the experiment {} has no state", document.experiment)));
            };
            if life == Life::Draft {
                continue;
            }
            let live =
                Arc::new(Live { tenant, life, generation: *generation, ends: ends(weights), document });
            lives.add(live);
        }
        Ok(lives)
    }
}

impl Lives {
    fn add(&mut self, live: Arc<Live>) {
        if let Some(raffle) = live.document.raffle() {
            self.leading.entry(raffle.to_owned()).or_default().push(Arc::clone(&live));
        }
        if let Some((campaign, _)) = live.document.offer() {
            self.offered.entry(campaign.to_owned()).or_default().push(Arc::clone(&live));
        }
        if live.is_running() {
            let arms = live.document.arms.iter().filter_map(|arm| arm.raffle.as_deref());
            for raffle in arms.filter(|raffle| live.document.raffle() != Some(raffle)) {
                self.led_to.insert(raffle.to_owned(), Arc::clone(&live));
            }
        }
        if hears(&live.document) {
            self.heard.extend(live.document.arms.iter().filter_map(|arm| arm.raffle.clone()));
        }
        self.by_id.insert(live.id().to_owned(), live);
    }
}
