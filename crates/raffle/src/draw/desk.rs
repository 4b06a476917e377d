//! One raffle's part of a batch: everything that judges, locked and in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use campaign::award::{DRAW_MADE, DrawMade, Due};
use kernel::id::{DrawId, Shard};
use ledger::account::Account;
use records::batch::Decision;
use records::error::Error as RecordsError;
use records::gate::{Gate, Segment};
use records::outbox::{self, Effect};
use records::port::Tx;

use super::till::Till;
use super::{Ask, Drawn, Lack};
use crate::catalog::{Catalog, LiveEpoch, Raffle};
use crate::entry::{self, Draw};
use crate::error::Error;
use crate::fairness::link;
use crate::player::{self, Asked, Player, PlayerKey};
use crate::rules::{Plan, Shelf};
use crate::standing::{Attested, Standing};
use crate::ticket;

/// Locked and loaded.
pub(super) struct Desk {
    raffle: Arc<Raffle>,
    gate: Gate,
    /// The epoch that draws, where this process knew it when the batch began.
    live: Option<Arc<LiveEpoch>>,
    players: HashMap<PlayerKey, Player>,
    touched: HashSet<PlayerKey>,
    /// Draws of earlier batches that some key of this one may name.
    earlier: HashMap<u64, Arc<Draw>>,
    shelves: Shelves,
    first_seq: u64,
    fresh: Vec<Arc<Draw>>,
    /// What each of them leaves, in the same order.
    effects: Vec<Effect>,
}

/// The segments, and what this batch takes from them.
struct Shelves {
    segments: Vec<Segment>,
    taken: Vec<u64>,
}

impl Shelves {
    /// Segments come in the order of their items.
    fn at(&self, item: &str) -> Option<usize> {
        self.segments.binary_search_by(|segment| segment.item.as_str().cmp(item)).ok()
    }
}

impl Shelf for Shelves {
    fn free(&self, item: &str) -> Option<u64> {
        let Some(at) = self.at(item) else { return Some(0) };
        let segment = &self.segments[at];
        (!segment.frozen).then(|| segment.free.saturating_sub(self.taken[at]))
    }

    fn granted(&self, item: &str) -> u64 {
        self.at(item).map_or(0, |at| self.segments[at].granted + self.taken[at])
    }

    fn take(&mut self, item: &str, units: u64) {
        // The statement that writes it guards it: see `Segment::grant`.
        if let Some(at) = self.at(item) {
            self.taken[at] += units;
        }
    }
}

/// How things stood before a set of draws of which all are made or none.
struct Before {
    player: Option<Player>,
    taken: Vec<u64>,
    seq: u64,
    log: [u8; 32],
    fresh: usize,
    touched: bool,
}

impl Desk {
    /// Locks the gate, then loads participants, draws that may be repeats, and stock. `None`: there is no such gate.
    pub(super) async fn open(
        tx: &mut dyn Tx,
        raffle: &Arc<Raffle>,
        shard: Shard,
        asks: &[&Ask],
        catalog: &Catalog,
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
            live: catalog.known_epoch(raffle.number, gate.epoch),
            gate,
            players,
            touched: HashSet::new(),
            earlier: earlier.into_iter().map(|draw| (draw.id.seq, Arc::new(draw))).collect(),
            shelves: Shelves { taken: vec![0; segments.len()], segments },
            fresh: Vec::with_capacity(asks.len()),
            effects: Vec::with_capacity(asks.len()),
        }))
    }

    /// The wallets that draws of this batch would take tickets from: none where no draw is taken, or all are repeats.
    pub(super) fn wallets(&self, asks: &[&Ask]) -> Vec<Account> {
        let live = self.live.as_ref().filter(|_| !self.gate.frozen && self.gate.epoch != 0);
        // Most rules name none: then nobody's earlier draws are looked through for it.
        let live = live.filter(|live| live.plan.rules.tickets.wallet.is_some());
        let Some(live) = live else { return vec![] };
        let new = asks.iter().filter(|ask| self.made_before(ask).is_empty());
        new.filter_map(|ask| wallet(ask, live)).collect()
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
        till: Option<&mut Till>,
        (now_ms, admitted): (i64, &Result<(), RecordsError>),
    ) -> Result<Decision<Drawn, Error, Lack>, RecordsError> {
        let before = self.made_before(ask);
        if !before.is_empty() {
            return Ok(self.repeat(ask, before, catalog));
        }
        // What was made before is answered all the same: it adds nothing to what is unsent.
        if let Err(backlog) = admitted {
            return Ok(Decision::Refused(backlog.clone().into()));
        }
        if self.gate.frozen {
            return Ok(Decision::Refused(Error::Frozen));
        }
        let (raffle, number) = (self.raffle.number, self.gate.epoch);
        if number == 0 {
            return Ok(Decision::Refused(Error::Over));
        }
        // As it was when the batch began: what has been learnt since came too late for the wallets of its rules.
        let Some(epoch) = self.live.clone() else {
            return Ok(Decision::Deferred(Lack::Epoch { raffle, epoch: number }));
        };
        // One entry of the epoch is kept for its closing.
        let parts = u64::from(ask.parts);
        if self.gate.seq + parts + 1 - self.gate.epoch_first >= epoch.plan.rules.epoch_entries_max {
            return Ok(Decision::Deferred(Lack::Turn { raffle, full: number }));
        }
        let Some(held) = wallet(ask, &epoch) else {
            return Ok(match self.make_all(ask, &epoch, (now_ms, u64::MAX)) {
                Ok(draws) => done(draws, epoch, false),
                Err(error) => Decision::Refused(error),
            });
        };
        let till = till.ok_or(RecordsError::Surprise("ledger_head"))?;
        Ok(match self.make_all(ask, &epoch, (now_ms, till.left(&held))) {
            Ok(draws) => {
                till.take(&held, &draws)?;
                done(draws, epoch, false)
            }
            Err(error) => Decision::Refused(error),
        })
    }

    /// The draws that the same key has made, in their order.
    fn made_before(&self, ask: &Ask) -> Vec<Arc<Draw>> {
        let Some(player) = self.players.get(&(ask.bucket, ask.pseudonym)) else { return vec![] };
        let known = player.seqs_of(ask.fingerprint).filter_map(|seq| self.draw_at(seq));
        let mut made: Vec<_> = known.filter(|draw| draw.key == ask.key).cloned().collect();
        made.sort_unstable_by_key(|draw| draw.part);
        made
    }

    fn epoch(&self, epoch: u32, catalog: &Catalog) -> Result<Arc<LiveEpoch>, Lack> {
        let raffle = self.raffle.number;
        catalog.known_epoch(raffle, epoch).ok_or(Lack::Epoch { raffle, epoch })
    }

    fn repeat(&self, ask: &Ask, draws: Vec<Arc<Draw>>, catalog: &Catalog) -> Decision<Drawn, Error, Lack> {
        if draws.iter().any(|draw| draw.body_hash != ask.body_hash) {
            return Decision::Refused(Error::KeyReused);
        }
        let number = draws.first().map_or(0, |draw| draw.epoch);
        match self.epoch(number, catalog) {
            Ok(epoch) => done(draws, epoch, true),
            Err(lack) => Decision::Deferred(lack),
        }
    }

    /// Makes every draw of a request, or none: of the tickets that are left each needs one.
    fn make_all(&mut self, ask: &Ask, epoch: &LiveEpoch, now: (i64, u64)) -> Result<Vec<Arc<Draw>>, Error> {
        let attested = epoch.plan.attest(&ask.attested)?;
        if ask.parts == 1 {
            return self.make(ask, (epoch, &attested), now, 0).map(|draw| vec![draw]);
        }
        let before = self.remember(ask);
        let made: Result<Vec<_>, _> =
            (0..ask.parts).map(|part| self.make(ask, (epoch, &attested), now, part)).collect();
        if made.is_err() {
            self.restore(ask, before);
        }
        made
    }

    fn remember(&self, ask: &Ask) -> Before {
        let key = (ask.bucket, ask.pseudonym);
        Before {
            player: self.players.get(&key).cloned(),
            taken: self.shelves.taken.clone(),
            seq: self.gate.seq,
            log: self.gate.log,
            fresh: self.fresh.len(),
            touched: self.touched.contains(&key),
        }
    }

    fn restore(&mut self, ask: &Ask, before: Before) {
        let key = (ask.bucket, ask.pseudonym);
        match before.player {
            Some(player) => self.players.insert(key, player),
            None => self.players.remove(&key),
        };
        if !before.touched {
            self.touched.remove(&key);
        }
        self.shelves.taken = before.taken;
        (self.gate.seq, self.gate.log) = (before.seq, before.log);
        self.fresh.truncate(before.fresh);
        self.effects.truncate(before.fresh);
    }

    fn make(
        &mut self,
        ask: &Ask,
        (epoch, attested): (&LiveEpoch, &Attested),
        (now_ms, tickets): (i64, u64),
        part: u32,
    ) -> Result<Arc<Draw>, Error> {
        let plan = &*epoch.plan;
        let day = plan.zone.day_of(now_ms);
        let player_key = (ask.bucket, ask.pseudonym);
        let player = self.players.entry(player_key).or_insert_with(|| Player::new(&ask.participant));
        if player.history.number == 0 {
            // A promise may have been made before the first draw, to a public name alone.
            player.participant = Some(ask.participant.clone());
        }
        let standing = Standing { pseudonym: ask.pseudonym, history: &player.history, attested, now_ms, day };
        plan.admit(&standing, &self.shelves)?;
        plan.rules.tickets.check_held(tickets, u64::from(part) + 1).map_err(Error::from)?;

        let number = standing.number();
        let client_seed = ask.client_seed.as_deref().unwrap_or(&ask.key);
        let chance = |total| epoch.chance.below(total, &ask.pseudonym, number, client_seed);
        let outcome = plan.draw(&standing, chance, &mut self.shelves);
        let completed = plan.completed(&standing, &outcome);

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
            attested: attested.text(),
            part,
            parts: ask.parts,
            prize: outcome.prize.map(|prize| Arc::clone(&plan.prizes[prize])),
            trace: entry::encode_trace(&outcome),
            chain: player.chain,
        };
        let digest = draw.digest();
        draw.chain = link(&player.chain, &digest);
        self.gate.seq = seq;
        self.gate.log = link(&self.gate.log, &digest);
        player.complete(completed, ask.fingerprint, seq, draw.chain);
        self.touched.insert(player_key);
        let draw = Arc::new(draw);
        self.fresh.push(Arc::clone(&draw));
        self.effects.push(draw_made(&draw, plan, &ask.participant));
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
        outbox::post(tx, key.shard, &self.effects).await?;
        self.gate.save(tx).await
    }
}

/// The wallet that a draw takes its ticket from, where the rules name one.
fn wallet(ask: &Ask, epoch: &LiveEpoch) -> Option<Account> {
    let wallet = epoch.plan.rules.tickets.wallet.as_deref();
    wallet.map(|wallet| ticket::held(&ask.participant, wallet))
}

fn done(mut draws: Vec<Arc<Draw>>, epoch: Arc<LiveEpoch>, replayed: bool) -> Decision<Drawn, Error, Lack> {
    if draws.is_empty() {
        return Decision::Refused(RecordsError::Corrupt("a request without a draw".to_owned()).into());
    }
    let draw = draws.remove(0);
    Decision::Done(Drawn { draw, more: draws, epoch, replayed })
}

/// The effect that a draw leaves, in the order of its participant's draws: with all that the award needs, as what fulfils it
/// knows no raffle.
fn draw_made(draw: &Draw, plan: &Plan, participant: &str) -> Effect {
    let award = draw.prize.as_deref().and_then(|prize| Some(&plan.rules.prizes.get(prize)?.award));
    let award = award.filter(|award| !award.is_manual());
    let made = DrawMade {
        draw: draw.id.to_string(),
        prize: draw.prize.as_deref().map(str::to_owned),
        // What an operator hands over needs no name: its draw tells whose it is.
        winner: award.map(|_| participant.to_owned()),
        due: award.map(|award| Due { raffle: plan.rules.raffle.clone(), award: award.clone() }),
        at_ms: Some(draw.at_ms),
    };
    // Texts and numbers can always be written.
    let body = serde_json::to_vec(&made).unwrap_or_default();
    Effect {
        topic: DRAW_MADE,
        subject: draw.id.raffle,
        seq: draw.id.seq,
        key: draw.pseudonym.to_vec(),
        n: i64::try_from(draw.number).unwrap_or(i64::MAX),
        body,
        at_ms: draw.at_ms,
        due_ms: None,
    }
}
