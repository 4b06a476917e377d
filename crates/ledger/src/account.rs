//! Whose something is, and how much of it may be owed.

use std::fmt;

use kernel::amount::{AMOUNT_MAX, Unit};
use kernel::hex::hex;
use kernel::id::{BUCKETS, Bucket, Shard, Tenant};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The wallet of whoever has one.
pub const MAIN: &str = "main";

/// Longest name of a wallet, in characters.
pub const WALLET_MAX: usize = 32;

/// The largest balance, of either sign: a thousand of the largest movements.
pub const BALANCE_MAX: i64 = 1000 * AMOUNT_MAX;

/// The house's account through which one unit becomes another.
pub const EXCHANGE: &str = "exchange";

/// The house's account that what is given comes from.
pub const ISSUED: &str = "issued";

/// The house's account that what is spent goes to.
pub const SPENT: &str = "spent";

/// The house's account that what expires goes to.
pub const EXPIRED: &str = "expired";

/// The house's accounts that open by themselves, in any unit, and the overdraft that each has then: where things come from,
/// what one unit becomes another through, where what is spent and what expires goes.
const STANDARD: [(&str, Overdraft); 4] = [
    (ISSUED, Overdraft::Unlimited),
    (EXCHANGE, Overdraft::Unlimited),
    (SPENT, Overdraft::Forbidden),
    (EXPIRED, Overdraft::Forbidden),
];

/// Whose an account is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A participant's, by name.
    Participant(String),
    /// The house's own: where points come from, a pot, what has expired. Each database has its part of it.
    House(String),
}

impl Owner {
    /// Refuses a name that is too long, empty, or has control characters.
    pub fn check(&self) -> Result<(), Error> {
        let (what, name) = match self {
            Self::Participant(name) => ("participant", name),
            Self::House(name) => ("house", name),
        };
        check_text(what, name, 128)
    }

    /// What leads to all of somebody's accounts: the first 16 bytes of SHA-256 over the kind and the name.
    pub(crate) fn key(&self) -> [u8; 16] {
        let (kind, name) = match self {
            Self::Participant(name) => (b'p', name),
            Self::House(name) => (b'h', name),
        };
        let digest: [u8; 32] = Sha256::new().chain_update([kind]).chain_update(name).finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        key
    }

    /// Where their accounts lie in a database: a participant's bucket; from [`BUCKETS`] on, the part of the house.
    pub(crate) fn bucket(&self, tenant: Tenant, shard: Shard) -> u16 {
        match self {
            Self::Participant(name) => Bucket::of(tenant.name, name).number(),
            Self::House(_) => BUCKETS + shard.0,
        }
    }
}

/// An account by its name: whose, which wallet, what is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// Whose.
    pub owner: Owner,
    /// Which of the owner's wallets.
    pub wallet: String,
    /// What is counted.
    pub unit: Unit,
}

impl Account {
    /// A participant's main wallet.
    pub fn of(participant: &str, unit: &Unit) -> Self {
        Self {
            owner: Owner::Participant(participant.to_owned()),
            wallet: MAIN.to_owned(),
            unit: unit.clone(),
        }
    }

    /// An account of the house.
    pub fn house(name: &str, unit: &Unit) -> Self {
        Self { owner: Owner::House(name.to_owned()), wallet: MAIN.to_owned(), unit: unit.clone() }
    }

    /// Its key in a database: the bucket of whose it is, and the first 16 bytes of SHA-256 over its name.
    pub fn id(&self, tenant: Tenant, shard: Shard) -> AccountId {
        let (kind, owner) = match &self.owner {
            Owner::Participant(name) => (b'p', name),
            Owner::House(name) => (b'h', name),
        };
        let mut sha = Sha256::new();
        sha.update([kind]);
        for part in [owner.as_str(), &self.wallet, self.unit.name()] {
            sha.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            sha.update(part);
        }
        let digest: [u8; 32] = sha.finalize().into();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        AccountId { bucket: self.owner.bucket(tenant, shard), hash }
    }

    /// The overdraft with which it opens by itself: participants' wallets do, and the house's standard accounts. `None` where
    /// somebody has to open it.
    pub fn opens_with(&self) -> Option<Overdraft> {
        match &self.owner {
            Owner::Participant(_) => Some(Overdraft::Forbidden),
            Owner::House(name) => {
                let standard = STANDARD.iter().find(|(known, _)| known == name && self.wallet == MAIN);
                standard.map(|(_, overdraft)| *overdraft)
            }
        }
    }

    /// Refuses names that are too long, empty, or have control characters.
    pub fn check(&self) -> Result<(), Error> {
        self.owner.check()?;
        check_text("wallet", &self.wallet, WALLET_MAX)
    }
}

/// Refuses a text that is empty, too long, or has control characters.
pub(crate) fn check_text(what: &'static str, text: &str, characters: usize) -> Result<(), Error> {
    let is_fine =
        !text.is_empty() && text.chars().count() <= characters && !text.chars().any(char::is_control);
    if is_fine { Ok(()) } else { Err(Error::BadText { what, characters }) }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, owner) = match &self.owner {
            Owner::Participant(name) => ("participant", name),
            Owner::House(name) => ("house", name),
        };
        write!(f, "{kind}:{owner}/{}/{}", self.wallet, self.unit)
    }
}

/// An account's key in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId {
    /// A participant's bucket; from [`BUCKETS`] on, the part of the house in a database.
    pub bucket: u16,
    /// What its name hashes to.
    pub hash: [u8; 16],
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.bucket)?;
        f.write_str(&hex(&self.hash))
    }
}

/// How far below zero an account may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdraft {
    /// Not at all.
    Forbidden,
    /// So far.
    UpTo(i64),
    /// As far as it must: where things come from.
    Unlimited,
}

/// Far below any balance that can be, and far above where arithmetic ends.
const NO_FLOOR: i64 = i64::MIN / 4;

impl Overdraft {
    /// The lowest balance.
    pub(crate) fn floor(self) -> i64 {
        match self {
            Self::Forbidden => 0,
            Self::UpTo(amount) => -amount,
            Self::Unlimited => NO_FLOOR,
        }
    }

    /// The policy with this lowest balance.
    pub fn from_floor(floor: i64) -> Self {
        match floor {
            0 => Self::Forbidden,
            NO_FLOOR => Self::Unlimited,
            floor => Self::UpTo(-floor),
        }
    }
}

impl fmt::Display for Overdraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => f.write_str("forbidden"),
            Self::UpTo(amount) => write!(f, "up to {amount}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_name_makes_another_account() {
        let (point, coin): (Unit, Unit) = ("point".parse().expect("a unit"), "coin".parse().expect("a unit"));
        let vault = Account { wallet: "vault".to_owned(), ..Account::of("ada", &point) };
        let names = [
            Account::of("ada", &point),
            Account::of("ada", &coin),
            Account::of("ad", &point),
            Account::house("ada", &point),
            vault,
        ];
        let ids: std::collections::HashSet<_> =
            names.iter().map(|name| name.id(Tenant::MAIN, Shard::HOME)).collect();
        assert_eq!(ids.len(), names.len());
        assert_eq!(names[0].id(Tenant::MAIN, Shard::HOME).bucket, 745);
        assert_eq!(names[3].id(Tenant::MAIN, Shard(3)).bucket, BUCKETS + 3);
        assert_eq!(names[4].to_string(), "participant:ada/vault/point");
    }

    #[test]
    fn what_opens_by_itself_says_how_far_it_may_go() {
        let point: Unit = "point".parse().expect("a unit");
        for (account, opens) in [
            (Account::of("issued", &point), Some(Overdraft::Forbidden)),
            (Account::house("issued", &point), Some(Overdraft::Unlimited)),
            (Account::house("exchange", &point), Some(Overdraft::Unlimited)),
            (Account::house("spent", &point), Some(Overdraft::Forbidden)),
            (Account::house("expired", &point), Some(Overdraft::Forbidden)),
            (Account::house("pot", &point), None),
            (Account { wallet: "vault".to_owned(), ..Account::house("issued", &point) }, None),
        ] {
            assert_eq!(account.opens_with(), opens, "{account}");
        }
    }

    #[test]
    fn a_floor_says_its_policy() {
        for policy in [Overdraft::Forbidden, Overdraft::UpTo(7), Overdraft::Unlimited] {
            assert_eq!(Overdraft::from_floor(policy.floor()), policy);
        }
    }
}
