//! Tickets that participants hold in the ledger: which wallet a draw takes one from, and the order that does.

use kernel::amount::Unit;
use kernel::id::DrawId;
use ledger::account::{Account, Owner, SPENT};
use ledger::error::Error;
use ledger::order::{Order, OrderId};

/// What such orders are for, in the ledger's own words.
const CODE: &str = "draw";

/// Where a participant's tickets lie.
pub fn held(participant: &str, wallet: &str) -> Account {
    let owner = Owner::Participant(participant.to_owned());
    Account { owner, wallet: wallet.to_owned(), unit: Unit::ticket() }
}

/// Where used tickets go.
pub fn spent() -> Account {
    Account::house(SPENT, &Unit::ticket())
}

/// The id of the order that takes a draw's ticket. It follows from the draw's own, so a draw has one such order for ever.
pub fn order_id(draw: DrawId) -> OrderId {
    OrderId::of(&[b"raffle", CODE.as_bytes(), draw.to_string().as_bytes()])
}

/// Takes a draw's ticket.
pub fn order(draw: DrawId, held: &Account) -> Order {
    Order::transfer(order_id(draw), (held, &spent()), 1).about(CODE, &draw.to_string())
}

/// Refuses a wallet that the ledger cannot name.
pub fn check_wallet(wallet: &str) -> Result<(), Error> {
    held("somebody", wallet).check()
}

#[cfg(test)]
mod tests {
    use ledger::order::{Leg, What};

    use super::*;

    #[test]
    fn every_draw_has_an_order_of_its_own_that_the_ledger_takes() {
        let id = |text: &str| text.parse::<DrawId>().expect("an id");
        let (one, two) = (id("drw_02x4000000000g000000000009"), id("drw_02x4000000000g00000000000a"));
        let order = order(one, &held("ada", "raffle-spring"));
        assert_eq!(order.check(), Ok(()));
        assert_eq!((order.id, order.code.as_str()), (order_id(one), "draw"));
        assert_eq!(order.reference, one.to_string());
        assert_ne!(order_id(one), order_id(two));
        let What::Transfer { legs, .. } = order.what else { panic!("a transfer") };
        let moved: Vec<_> =
            legs.iter().map(|Leg { account, amount }| (account.to_string(), *amount)).collect();
        let expected = [("participant:ada/raffle-spring/ticket", -1), ("house:spent/main/ticket", 1)];
        assert_eq!(moved, expected.map(|(name, amount)| (name.to_owned(), amount)));
    }

    #[test]
    fn a_wallet_is_what_the_ledger_calls_one() {
        for (wallet, is_fine) in
            [("raffle-spring", true), ("w", true), ("", false), ("a\nb", false), (&"w".repeat(33), false)]
        {
            assert_eq!(check_wallet(wallet).is_ok(), is_fine, "{wallet:?}");
        }
    }
}
