//! Entries of the ledger as activities: one for each wallet of a participant that an entry is about.

use kernel::amount::Unit;
use kernel::id::{Shard, Tenant, can_be_chosen};
use ledger::account::{Account, Owner};
use ledger::entry::{Entry, Kind as EntryKind};
use ledger::journal::JournalKey;
use ledger::order::Line;
use ledger::reading::{self, Read};
use records::error::Error;
use records::port::{Records, read};
use search::activity::{Activity, Kind};

/// What begins the name of a campaign's account, and of the wallet of a raffle's tickets.
const CAMPAIGN: &str = "campaign-";
const RAFFLE: &str = "raffle-";

/// The campaign whose budget an account of the house is; `None` where it is none's. Others may have accounts that are named
/// alike: what cannot be a campaign's id is not taken for one.
fn campaign_of(house: &str) -> Option<&str> {
    house.strip_prefix(CAMPAIGN).filter(|id| can_be_chosen(id, 64))
}

/// The entries numbered `after + 1 ..= last`, as they stand now.
pub(super) async fn activities(
    records: &dyn Records,
    (after, last): (u64, u64),
) -> Result<Vec<Activity>, Error> {
    let key = JournalKey { shard: Shard::HOME, tenant: Tenant::MAIN.number };
    let found = read(records, key.shard, move |tx| {
        Box::pin(async move { reading::between(tx, key, (after, last)).await })
    });
    let Read { entries, names } = found.await?;
    let mut told = Vec::new();
    for entry in &entries {
        // The house's part of a transfer says which campaign it came from.
        let houses = entry.lines.iter().filter_map(|line| match &names.get(&line.account)?.owner {
            Owner::House(name) => Some(name.as_str()),
            Owner::Participant(_) => None,
        });
        let house = houses.into_iter().next().unwrap_or_default();
        for (place, line) in entry.lines.iter().enumerate() {
            if let Some(account @ Account { owner: Owner::Participant(name), .. }) = names.get(&line.account)
            {
                told.extend(of_line(entry, (place, line), (account, name), house));
            }
        }
    }
    Ok(told)
}

fn of_line(
    entry: &Entry,
    (place, line): (usize, &Line),
    (account, participant): (&Account, &str),
    house: &str,
) -> Option<Activity> {
    let kind = match entry.kind {
        // That a wallet was opened befalls nobody.
        EntryKind::Open => return None,
        EntryKind::Hold | EntryKind::Release | EntryKind::Expire | EntryKind::Mature => Kind::Hold,
        EntryKind::Transfer | EntryKind::Capture | EntryKind::Reverse | EntryKind::Lapse => {
            if account.unit == Unit::ticket() { Kind::Ticket } else { Kind::Transfer }
        }
    };
    // What is held or pending more can be spent less.
    let amount = if line.amount == 0 { -(line.held + line.pending) } else { line.amount };
    let campaign = campaign_of(house);
    let (code, mut reason, note) = why(entry, campaign, amount > 0);
    // What came with the transfer is told there: what became available of it comes no second time.
    let is_mature = entry.kind == EntryKind::Mature;
    if is_mature {
        reason = format!("What was pending became available: {amount} {}.", account.unit.name());
    } else if line.amount > 0 && line.pending > 0 {
        reason.push_str(" It is pending until its time has come.");
    }
    let state = match entry.refused {
        Some(_) => "refused",
        None if is_mature => "available",
        None => "done",
    };
    Some(Activity {
        participant: participant.to_owned(),
        raffle: account.wallet.strip_prefix(RAFFLE).unwrap_or_default().to_owned(),
        campaign: campaign.unwrap_or_default().to_owned(),
        state: state.to_owned(),
        unit: account.unit.name().to_owned(),
        amount: (!is_mature).then_some(amount),
        code,
        reason,
        note,
        ..Activity::new(kind, format!("ledger/{:012}/{place:02}", entry.seq), entry.at_ms)
    })
}

/// A word, a sentence, and what only the house reads. References that the house makes are part of the sentence; what a
/// service has written there is not.
fn why(entry: &Entry, campaign: Option<&str>, comes: bool) -> (String, String, String) {
    let (code, about) = (entry.code.as_str(), entry.reference.as_str());
    let word = |word: &str| word.to_owned();
    let by_campaign = campaign.map(|id| format!(" in campaign `{id}`")).unwrap_or_default();
    let (known, sentence) = match (entry.kind, code) {
        (EntryKind::Mature, _) => (true, word("What was pending became available.")),
        (EntryKind::Lapse, _) => (true, word("It expired: its time to be spent was over.")),
        (EntryKind::Expire, _) => (true, word("The hold's time was over: it was given back.")),
        (_, "award") => (true, format!("Won in draw {about}.")),
        (_, "award_reversed") => (true, format!("The award of draw {about} was taken back.")),
        (_, "draw") => (true, format!("Taken for draw {about}.")),
        (_, "earning") => (true, format!("Earned{by_campaign} by what is reported as `{about}`.")),
        (_, "sign_in") => (true, format!("Earned{by_campaign} by signing in.")),
        (_, "offer") => (true, format!("Given for order {about}{by_campaign}.")),
        (_, "offer_hold") => (true, format!("Set aside for order {about}.")),
        (_, "offer_pay") => (true, format!("Paid for order {about}.")),
        (_, "offer_cancel") => (true, format!("Given back, as order {about} was cancelled.")),
        (_, "exchange") => (true, word(if comes { "Came by an exchange." } else { "Left for an exchange." })),
        (EntryKind::Reverse, _) => (false, word("An earlier transfer was undone.")),
        (EntryKind::Capture, _) => (false, format!("What was held was captured, as `{code}`.")),
        (EntryKind::Release, _) => (false, format!("What was held was released, as `{code}`.")),
        (EntryKind::Hold, _) => (false, format!("Set aside, as `{code}`.")),
        (EntryKind::Transfer | EntryKind::Open, _) => {
            let way = if comes { "Came" } else { "Left" };
            (false, format!("{way} as `{code}`."))
        }
    };
    let code = match entry.kind {
        EntryKind::Mature | EntryKind::Lapse | EntryKind::Expire => entry.kind.word(),
        EntryKind::Transfer
        | EntryKind::Open
        | EntryKind::Hold
        | EntryKind::Capture
        | EntryKind::Release
        | EntryKind::Reverse => code,
    };
    let note = if known || about.is_empty() { String::new() } else { format!("about {about}") };
    match entry.refused {
        None => (code.to_owned(), sentence, note),
        Some(why) => {
            (why.word().to_owned(), format!("Refused, as {why}. It was asked for as `{code}`."), note)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_campaign_is_not_taken_for_one() {
        let longest = format!("campaign-{}", "a".repeat(64));
        for (house, expected) in [
            ("campaign-summer", Some("summer")),
            ("campaign-2-a_b", Some("2-a_b")),
            (longest.as_str(), Some(&longest[9..])),
            (&format!("{longest}a"), None),
            ("campaign-", None),
            ("campaign--a", None),
            ("campaign-Summer", None),
            ("campaign-\u{e9}t\u{e9}", None),
            ("issued", None),
        ] {
            assert_eq!(campaign_of(house), expected, "{house}");
        }
    }
}
