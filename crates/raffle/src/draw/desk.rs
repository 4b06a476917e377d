//! One raffle's part of a batch: everything that judges, locked and in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use campaign::award::DRAW_MADE;
use kernel::id::{DrawId, Shard};
use records::batch::Decision;
use records::error::Error as RecordsError;
use records::gate::{Gate, Segment};
use records::outbox::{self, Effect};
use records::port::Tx;

use super::{Ask, Drawn, Lack};
use crate::catalog::{Catalog, LiveEpoch, Raffle};
use crate::entry::{self, Draw};
use crate::error::Error;
use crate::fairness::link;
use crate::player::{self, Asked, Player, PlayerKey};
use crate::rules::{Plan, Shelf, Standing};

/// Locked and loaded.
pub(super) struct Desk {
    raffle: Arc<Raffle>,
    gate: Gate,
    players: HashMap<PlayerKey, Player>,
    touched: HashSet<PlayerKey>,
    /// Draws of earlier batches that some key of this one may name.
    earlier: HashMap<u64, Arc<Draw>>,
    shelves: Shelves,
    first_seq: u64,
    fresh: Vec<Arc<Draw>>,
}

/// The segments, and what this batch takes from them.
struct Shelves {
    segments: Vec<Segment>,
    taken: Vec<u64>,
}

struct ShelvesOf<'a> {
    plan: &'a Plan,
    shelves: &'a mut Shelves,
}

impl Shelf for ShelvesOf<'_> {
    fn take(&mut self, prize: usize) -> bool {
        let id = &self.plan.prizes[prize];
        // Segments come in the order of their items.
        let Ok(at) = self.shelves.segments.binary_search_by(|segment| segment.item.as_str().cmp(id)) else {
            return false;
        };
        let (segment, taken) = (&self.shelves.segments[at], &mut self.shelves.taken[at]);
        if segment.frozen || *taken >= segment.free {
            return false;
        }
        *taken += 1;
        true
    }
}

impl Desk {
    /// Locks the gate, then loads participants, draws that may be repeats, and stock. `None`: there is no such gate.
    pub(super) async fn open(
        tx: &mut dyn Tx,
        raffle: &Arc<Raffle>,
        shard: Shard,
        asks: &[&Ask],
    ) -> Result<Option<Self>, RecordsError> {
        let key = raffle.gate(shard);
        let Some(gate) = Gate::lock(tx, key).await? else { return Ok(None) };
        let asked: Vec<Asked> =
            asks.iter().map(|ask| ((ask.bucket, ask.pseudonym), ask.fingerprint)).collect();
        let players = player::load(tx, key, &asked).await?;
        let known = asks.iter().filter_map(|ask| Some((ask, players.get(&(ask.bucket, ask.pseudonym))?)));
        let mut seqs: Vec<u64> = known.flat_map(|(ask, player)| player.seqs_of(ask.fingerprint)).collect();
        seqs.sort_unstable();
        seqs.dedup();
        let earlier = entry::draws_at(tx, key, &seqs).await?;
        let segments = Segment::all(tx, key).await?;
        Ok(Some(Self {
            raffle: Arc::clone(raffle),
            first_seq: gate.seq + 1,
            gate,
            players,
            touched: HashSet::new(),
            earlier: earlier.into_iter().map(|draw| (draw.id.seq, Arc::new(draw))).collect(),
            shelves: Shelves { taken: vec![0; segments.len()], segments },
            fresh: Vec::with_capacity(asks.len()),
        }))
    }

    /// The draw of a sequence: of this batch, or of an earlier one.
    fn draw_at(&self, seq: u64) -> Option<&Arc<Draw>> {
        match seq.checked_sub(self.first_seq) {
            Some(place) => self.fresh.get(usize::try_from(place).ok()?),
            None => self.earlier.get(&seq),
        }
    }

    /// Decides one request as if all before it were written.
    pub(super) fn decide(
        &mut self,
        ask: &Ask,
        catalog: &Catalog,
        now_ms: i64,
    ) -> Decision<Drawn, Error, Lack> {
        let player_key = (ask.bucket, ask.pseudonym);
        let before = self.players.get(&player_key).and_then(|player| {
            player
                .seqs_of(ask.fingerprint)
                .filter_map(|seq| self.draw_at(seq))
                .find(|draw| draw.key == ask.key)
        });
        if let Some(draw) = before {
            let draw = Arc::clone(draw);
            return self.repeat(ask, draw, catalog);
        }
        if self.gate.frozen {
            return Decision::Refused(Error::Frozen);
        }
        if self.gate.epoch == 0 {
            return Decision::Refused(Error::Over);
        }
        let epoch = match self.epoch(self.gate.epoch, catalog) {
            Ok(epoch) => epoch,
            Err(lack) => return Decision::Deferred(lack),
        };
        // One entry of the epoch is kept for its closing.
        if self.gate.seq + 2 - self.gate.epoch_first >= epoch.plan.rules.epoch_entries_max {
            return Decision::Deferred(Lack::Turn { raffle: self.raffle.number, full: self.gate.epoch });
        }
        match self.make(ask, &epoch, now_ms) {
            Ok(draw) => Decision::Done(Drawn { draw, epoch, replayed: false }),
            Err(error) => Decision::Refused(error),
        }
    }

    fn epoch(&self, epoch: u32, catalog: &Catalog) -> Result<Arc<LiveEpoch>, Lack> {
        let raffle = self.raffle.number;
        catalog.known_epoch(raffle, epoch).ok_or(Lack::Epoch { raffle, epoch })
    }

    fn repeat(&self, ask: &Ask, draw: Arc<Draw>, catalog: &Catalog) -> Decision<Drawn, Error, Lack> {
        if draw.body_hash != ask.body_hash {
            return Decision::Refused(Error::KeyReused);
        }
        match self.epoch(draw.epoch, catalog) {
            Ok(epoch) => Decision::Done(Drawn { draw, epoch, replayed: true }),
            Err(lack) => Decision::Deferred(lack),
        }
    }

    fn make(&mut self, ask: &Ask, epoch: &LiveEpoch, now_ms: i64) -> Result<Arc<Draw>, Error> {
        let plan = &*epoch.plan;
        plan.window.check(now_ms, &plan.zone)?;
        let day = plan.zone.day_of(now_ms);
        let player_key = (ask.bucket, ask.pseudonym);
        let player = self.players.entry(player_key).or_insert_with(|| Player::new(&ask.participant));
        let standing = Standing {
            pseudonym: ask.pseudonym,
            completed: player.number,
            completed_today: player.completed_on(day),
            points_spent: ask.points_spent,
        };
        plan.rules.tickets.check(standing.completed, standing.completed_today)?;

        let number = player.number + 1;
        let client_seed = ask.client_seed.as_deref().unwrap_or(&ask.key);
        let chance = |total| epoch.chance.below(total, &ask.pseudonym, number, client_seed);
        let outcome = plan.draw(&standing, chance, &mut ShelvesOf { plan, shelves: &mut self.shelves });

        let seq = self.gate.seq + 1;
        let mut draw = Draw {
            id: DrawId { bucket: ask.bucket, shard: self.gate.key.shard, raffle: self.raffle.number, seq },
            pseudonym: ask.pseudonym,
            number,
            epoch: epoch.number,
            at_ms: now_ms,
            day,
            key: ask.key.clone(),
            body_hash: ask.body_hash,
            client_seed: ask.client_seed.clone(),
            points_spent: ask.points_spent,
            prize: outcome.prize.map(|prize| Arc::clone(&plan.prizes[prize])),
            trace: entry::encode_trace(&outcome),
            chain: player.chain,
        };
        let digest = draw.digest();
        draw.chain = link(&player.chain, &digest);
        self.gate.seq = seq;
        self.gate.log = link(&self.gate.log, &digest);
        player.complete(day, ask.fingerprint, seq, draw.chain);
        self.touched.insert(player_key);
        let draw = Arc::new(draw);
        self.fresh.push(Arc::clone(&draw));
        Ok(draw)
    }

    /// Writes what was decided. The guards of gate and segments are in their statements.
    pub(super) async fn write(self, tx: &mut dyn Tx) -> Result<(), RecordsError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let key = self.gate.key;
        entry::write_draws(tx, key.tenant, &self.fresh).await?;
        // In the order of their keys: neighbours share a page.
        let mut players: Vec<_> =
            self.players.iter().filter(|(player, _)| self.touched.contains(*player)).collect();
        players.sort_unstable_by_key(|(player, _)| **player);
        player::save(tx, key, &players).await?;
        for (segment, taken) in self.shelves.segments.iter().zip(&self.shelves.taken) {
            if *taken > 0 {
                Segment::grant(tx, key, &segment.item, *taken).await?;
            }
        }
        let effects: Vec<_> = self.fresh.iter().map(|draw| draw_made(draw)).collect();
        outbox::post(tx, key.shard, &effects).await?;
        self.gate.save(tx).await
    }
}

/// The effect that a draw leaves, in the order of its participant's draws.
fn draw_made(draw: &Draw) -> Effect {
    // Ids and prize names need no escaping: their alphabets hold no quote.
    let body = match &draw.prize {
        Some(prize) => format!(r#"{{"draw":"{}","prize":"{prize}"}}"#, draw.id),
        None => format!(r#"{{"draw":"{}","prize":null}}"#, draw.id),
    };
    Effect {
        topic: DRAW_MADE,
        subject: draw.id.raffle,
        seq: draw.id.seq,
        key: draw.pseudonym.to_vec(),
        n: i64::try_from(draw.number).unwrap_or(i64::MAX),
        body: body.into_bytes(),
    }
}
