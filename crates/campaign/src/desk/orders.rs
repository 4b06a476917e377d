//! Orders of offers: stock and price are set aside together, and given, taken or brought back together.

use std::collections::BTreeMap;

use kernel::hex::from_hex;
use kernel::id::{Place as IdPlace, Shard};
use ledger::account::Account;
use ledger::order::{HOLDS_MAX, LOTS_MAX, Order as Posting, OrderId, Outcome as Posted, What as Move};
use records::error::Error as RecordsError;
use records::machine::{self, Machine, Outcome as Applied, Step};
use records::port::{Tx, Value};
use records::statement::Insert;

use super::earn::{self, Giving};
use super::{Acted, Desk, Done, hold_of};
use crate::act::{Ask, Outcome};
use crate::catalog::{Campaign, spent, wallet};
use crate::document::Stock;
use crate::error::Error;
use crate::experiment::document::{ORDER, PAY};
use crate::gain::Gained;
use crate::offer::{Event, Illegal, Order, OrderKey, Ordered, Total};
use crate::who::Who;

static INSERT_ORDER: Insert = Insert::new("offer_order", &["bucket", "tenant", "who", "seq", "campaign"]);

/// The accounts that an order may move, or look at.
pub(super) fn accounts(
    campaign: &Campaign,
    ask: &Ask,
    offer: &str,
    accounts: &mut Vec<Account>,
) -> Result<(), RecordsError> {
    earn::audience_accounts(campaign, ask, accounts)?;
    if let Some(price) = campaign.offer(offer).and_then(|offer| offer.price.as_ref()) {
        accounts.extend([wallet(&ask.participant, &price.unit, &price.wallet)?, spent(&price.unit)?]);
    }
    Ok(())
}

/// Writes new orders, then what happened to orders.
pub(super) async fn write(
    tx: &mut dyn Tx,
    (shard, tenant): (Shard, u32),
    orders: &[(OrderKey, Order)],
    events: &[(OrderKey, Event)],
) -> Result<(), RecordsError> {
    let started: Vec<_> = orders
        .iter()
        .map(|(key, order)| (key.machine_id(), order.clone(), Some(order.ordered().expires_ms)))
        .collect();
    machine::start(tx, shard, &started).await?;
    let owners: Vec<Who> =
        orders.iter().map(|(_, order)| order.ordered().owner()).collect::<Result<_, _>>()?;
    let mut values = Vec::with_capacity(orders.len() * 5);
    for ((key, _), who) in orders.iter().zip(&owners) {
        let [bucket, hash] = who.values();
        let (seq, campaign) = (Value::count(key.0.seq), Value::Int(key.0.subject.into()));
        values.extend([bucket, Value::Int(tenant.into()), hash, seq, campaign]);
    }
    INSERT_ORDER.rows(tx, &values).await?;
    for (key, event) in events {
        match machine::apply::<Order>(tx, shard, &key.machine_id(), event).await? {
            Applied::Moved(_) => {}
            Applied::Replayed(_) | Applied::Illegal(_) | Applied::Missing => {
                return Err(RecordsError::Surprise("offer_order"));
            }
        }
    }
    Ok(())
}

impl Ordered {
    /// Who has ordered.
    pub fn owner(&self) -> Result<Who, RecordsError> {
        let hash =
            from_hex(&self.who).ok_or_else(|| RecordsError::Corrupt("whose order it is".to_owned()))?;
        Ok(Who { bucket: self.bucket, hash })
    }

    fn tally(&self, campaign: u32) -> (u32, String) {
        (campaign, format!("offer/{}", self.offer))
    }
}

impl Desk {
    pub(super) fn order(
        &mut self,
        ask: &Ask,
        campaign: &str,
        (offer, quantity): (&str, u32),
    ) -> Result<Outcome, Error> {
        let campaign = self.running(campaign, ask)?;
        let offer = self.led.offer(ask, offer).to_owned();
        let missing = || Error::NoSuchOffer { campaign: campaign.id.clone(), offer: offer.clone() };
        let offer = campaign.offer(&offer).ok_or_else(missing)?;
        if quantity == 0 || quantity > offer.per_order {
            return Err(Error::TooMany(offer.per_order));
        }
        let is_for = self.is_for(&campaign, campaign.document.audience.as_ref(), ask)
            && self.is_for(&campaign, offer.audience.as_ref(), ask);
        if !is_for {
            return Err(Error::NotForThem);
        }
        let now_ms = self.place.now_ms;
        let day = campaign.zone.day_of(now_ms);
        let item = (campaign.number, format!("offer/{}", offer.id));
        let (left, which) = self.tallies.of(ask.who, &item).room(offer.per_participant, day);
        if left < u64::from(quantity) {
            return Err(Error::OfferCap { left, which: which.word() });
        }
        let shelf = (campaign.number, offer.id.clone());
        let is_finite = matches!(offer.stock, Stock::Units(_));
        let free = self.shelves.get(&shelf).map_or(0, |(_, now)| now.free);
        if is_finite && free < u64::from(quantity) {
            return Err(Error::SoldOut(free));
        }
        let price = offer.price.as_ref().map(|price| Total {
            unit: price.unit.clone(),
            wallet: price.wallet.clone(),
            amount: price.amount.saturating_mul(quantity.into()),
        });
        let expires_ms = now_ms + i64::from(offer.pay_within_seconds) * 1000;
        let seq = self.head.seq + 1;
        let (bucket, subject) = (ask.who.bucket, campaign.number);
        let key = OrderKey(IdPlace { bucket, shard: self.place.shard, subject, seq });
        if let Some(total) = &price {
            self.hold(ask, (key, total), expires_ms)?;
        }
        self.tallies.change(ask.who, item, |tally| tally.add(quantity.into(), day));
        if let Some((_, now)) = self.shelves.get_mut(&shelf).filter(|_| is_finite) {
            now.free -= u64::from(quantity);
            now.held += u64::from(quantity);
        }
        let order = Ordered {
            bucket,
            who: ask.who.to_string(),
            campaign: campaign.id.clone(),
            offer: offer.id.clone(),
            quantity,
            price: price.clone(),
            gains: offer.gains.clone(),
            is_finite,
            day,
            at_ms: now_ms,
            expires_ms,
        };
        let order = Order::Ordered { order };
        self.orders.insert(key, order.clone());
        self.fresh.orders.push((key, order));
        self.led.note(ask, (&campaign.id, &offer.id), (ORDER, &key.to_string()), now_ms);
        Ok(Outcome::Ordered {
            at_ms: now_ms,
            order: key.to_string(),
            campaign: campaign.id.clone(),
            offer: offer.id.clone(),
            quantity,
            price,
            expires_ms,
        })
    }

    /// Sets the price aside.
    fn hold(&mut self, ask: &Ask, (key, total): (OrderKey, &Total), expires_ms: i64) -> Result<(), Error> {
        let from = wallet(&ask.participant, &total.unit, &total.wallet)?;
        let available = self.counter.available(&from);
        if available < total.amount {
            let (unit, price) = (total.unit.clone(), total.amount);
            return Err(Error::NotEnough { unit, price, available });
        }
        if !self.counter.may_hold(&from) {
            return Err(Error::WalletFull { unit: total.unit.clone(), what: "open holds", most: HOLDS_MAX });
        }
        let what = Move::Hold { from, to: spent(&total.unit)?, amount: total.amount, expires_ms };
        self.post(Posting { id: hold_of(key), ..posting(key, "offer_hold", what) })
    }

    /// Posts an order that cannot be refused, as it was looked at before.
    fn post(&mut self, posting: Posting) -> Result<(), Error> {
        match self.counter.decide(&posting)? {
            Posted::Created(_) => Ok(()),
            Posted::Refused { .. } | Posted::Exists(_) | Posted::ExistsWithDifferent(_) | Posted::Nothing => {
                Err(RecordsError::Surprise("ledger_order").into())
            }
        }
    }

    /// An order of the one who asks, with what an event would do to it.
    fn judged(&self, ask: &Ask, key: OrderKey, event: &Event) -> Result<(Order, bool), Error> {
        let missing = || Error::NoSuchOrder(key.to_string());
        let order = self.orders.get(&key).ok_or_else(missing)?;
        if order.ordered().owner()? != ask.who || key.0.bucket != ask.who.bucket {
            return Err(missing());
        }
        match order.on(event) {
            Ok(Step::Replay) => Ok((order.clone(), true)),
            Ok(Step::Move { .. }) => Ok((order.clone(), false)),
            Err(illegal) => Err(ended(illegal)),
        }
    }

    pub(super) fn pay(&mut self, ask: &Ask, key: OrderKey) -> Result<Done, Error> {
        let at_ms = self.place.now_ms;
        let (order, replayed) = self.judged(ask, key, &Event::Pay { at_ms, gains: vec![] })?;
        if replayed {
            return Ok(Done { acted: Acted::Moved(key, Box::new(order)), replayed });
        }
        let ordered = order.ordered().clone();
        let campaign = self.snapshot.numbered(key.0.subject);
        let campaign = campaign.ok_or_else(|| Error::NoSuchCampaign(ordered.campaign.clone()))?.clone();
        let amounts: Vec<i64> = ordered
            .gains
            .iter()
            .map(|gain| gain.amount.unwrap_or(0).saturating_mul(ordered.quantity.into()))
            .collect();
        // Looked at before, all together: an order that the ledger refuses would be refused for ever.
        if ordered.price.is_some() && !self.counter.is_held(hold_of(key)) {
            return Err(Error::PriceGone);
        }
        let units = ordered.gains.iter().map(|gain| gain.unit.as_str());
        let given: Vec<_> = units.zip(amounts.iter().copied()).collect();
        if let Some(why) = self.lacks(&campaign, &given)? {
            return Err(Error::BudgetUsed(why));
        }
        let mut lots: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for gain in &ordered.gains {
            *lots.entry((&gain.unit, &gain.wallet)).or_default() += 1;
        }
        for ((unit, name), more) in lots {
            if self.counter.room_for_lots(&wallet(&ask.participant, unit, name)?) < more {
                return Err(Error::WalletFull { unit: unit.to_owned(), what: "lots", most: LOTS_MAX });
            }
        }
        let (mut gains, reference) = (vec![], key.to_string());
        for (place, (gain, amount)) in ordered.gains.iter().zip(&amounts).enumerate() {
            let id = OrderId::of(&[b"offer-gain", &key.machine_id(), &place.to_be_bytes()]);
            let giving = Giving {
                campaign: &campaign,
                ask,
                rule: &ordered.offer,
                gain,
                amount: *amount,
                id,
                about: ("offer", &reference),
            };
            let transfer = self.transfer(&giving, *amount)?;
            self.post(transfer)?;
            gains.push(Gained { amount: *amount, withheld: None, ..giving.withheld("") });
        }
        if ordered.price.is_some() {
            let what = Move::Capture { hold: hold_of(key), amount: None };
            self.post(posting(key, "offer_pay", what))?;
        }
        if let Some(now) = self.shelf(key, &ordered) {
            now.held = now.held.saturating_sub(ordered.quantity.into());
            now.sold += u64::from(ordered.quantity);
        }
        self.led.note(ask, (&ordered.campaign, &ordered.offer), (PAY, &reference), at_ms);
        self.moved(key, Event::Pay { at_ms, gains })
    }

    pub(super) fn give_up(&mut self, ask: &Ask, key: OrderKey) -> Result<Done, Error> {
        let event = Event::Cancel { at_ms: self.place.now_ms };
        let (order, replayed) = self.judged(ask, key, &event)?;
        if replayed {
            return Ok(Done { acted: Acted::Moved(key, Box::new(order)), replayed });
        }
        let ordered = order.ordered().clone();
        // Somebody may have released it in the ledger: then there is nothing to give back.
        if ordered.price.is_some() && self.counter.is_held(hold_of(key)) {
            self.post(posting(key, "offer_cancel", Move::Release { hold: hold_of(key) }))?;
        }
        self.bring_back(key, &ordered)?;
        self.moved(key, event)
    }

    /// Ends an order that was not paid. Its price is the ledger's to release: the hold ends at the same instant.
    pub(super) fn expire(&mut self, key: OrderKey) -> Result<Done, Error> {
        let event = Event::Expire { at_ms: self.place.now_ms };
        let order = self.orders.get(&key).ok_or_else(|| Error::NoSuchOrder(key.to_string()))?;
        let ordered = match order.on(&event) {
            Ok(Step::Move { .. }) => order.ordered().clone(),
            Ok(Step::Replay) => {
                return Ok(Done { acted: Acted::Moved(key, Box::new(order.clone())), replayed: true });
            }
            Err(illegal) => return Err(ended(illegal)),
        };
        self.bring_back(key, &ordered)?;
        self.moved(key, event)
    }

    /// Brings back what was set aside of stock and caps.
    fn bring_back(&mut self, key: OrderKey, ordered: &Ordered) -> Result<(), Error> {
        let (owner, quantity) = (ordered.owner()?, u64::from(ordered.quantity));
        if let Some(now) = self.shelf(key, ordered) {
            now.held = now.held.saturating_sub(quantity);
            now.free += quantity;
        }
        let item = ordered.tally(key.0.subject);
        self.tallies.change(owner, item, |tally| tally.take_back(quantity, ordered.day));
        Ok(())
    }

    fn shelf(&mut self, key: OrderKey, ordered: &Ordered) -> Option<&mut crate::offer::Shelf> {
        let shelf = self.shelves.get_mut(&(key.0.subject, ordered.offer.clone()));
        shelf.filter(|_| ordered.is_finite).map(|(_, now)| now)
    }

    fn moved(&mut self, key: OrderKey, event: Event) -> Result<Done, Error> {
        let order = self.orders.get(&key).ok_or_else(|| Error::NoSuchOrder(key.to_string()))?;
        let Ok(Step::Move { to, .. }) = order.on(&event) else {
            return Err(RecordsError::Surprise("offer_order").into());
        };
        self.orders.insert(key, to.clone());
        self.fresh.events.push((key, event));
        Ok(Done { acted: Acted::Moved(key, Box::new(to)), replayed: false })
    }
}

/// A ledger's order about one of ours.
fn posting(key: OrderKey, code: &str, what: Move) -> Posting {
    let id = OrderId::of(&[code.as_bytes(), &key.machine_id()]);
    Posting { id, code: code.to_owned(), reference: key.to_string(), what }
}

fn ended(illegal: Illegal) -> Error {
    Error::OrderEnded(match illegal {
        Illegal::Paid => "was paid before",
        Illegal::Cancelled => "was cancelled before",
        Illegal::Over => "was not paid in time",
        Illegal::NotOver => "is not over yet",
    })
}
