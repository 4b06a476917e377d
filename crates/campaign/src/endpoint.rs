//! Endpoints: where webhooks go, and the secrets that they are signed with.

use base64ct::{Base64, Encoding};
use kernel::id::{Shard, Tenant};
use kernel::ports::entropy::Entropy;
use kernel::ports::outbound::Secret;
use records::audit::{self, Cause, Change, Stream};
use records::error::Error as RecordsError;
use records::port::{Row, Tx, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::request::Request;
use crate::vault::Vault;

/// Most endpoints of a tenant.
pub const ENDPOINTS_MAX: u32 = 200;
/// Longest URL, in characters.
pub const URL_MAX: usize = 2000;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Most secrets that count at once: the newest, and one that is being replaced.
const SECRETS_MAX: usize = 2;

/// An endpoint, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointView {
    /// Its id, as raffle documents name it.
    pub endpoint: String,
    /// Where webhooks go.
    pub url: String,
    /// Where it says whether it has taken a webhook; null where it does not.
    pub status_url: Option<String>,
    /// Whether it says that it remembers the ids of what it has taken, and takes each once.
    pub keeps_ids: bool,
    /// Whether webhooks are sent. What is owed waits while they are not.
    pub enabled: bool,
    /// Why not; empty where nothing is to be said.
    pub why: String,
    /// How many secrets sign: two while one is replaced; none where they cannot be opened, and a new one is needed.
    pub secrets: u32,
    /// When it was changed last, in milliseconds since the epoch.
    pub changed_ms: i64,
}

/// An endpoint with a secret that is told this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FreshView {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointView,
    /// The newest secret, as libraries of Standard Webhooks take it. It is told in this answer alone.
    pub secret: String,
}

/// What is to be an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where webhooks go.
    pub url: String,
    /// Where it says whether it has taken one.
    pub status_url: Option<String>,
    /// Whether it remembers the ids of what it has taken, and takes each once.
    pub keeps_ids: bool,
    /// Whether webhooks are sent.
    pub enabled: bool,
}

impl Wanted {
    /// Refuses an endpoint that could take a webhook twice: one whose outcome is not known can neither be asked for there nor
    /// be sent again.
    fn check(&self) -> Result<(), Error> {
        if self.status_url.is_some() || self.keeps_ids { Ok(()) } else { Err(Error::NobodyToAsk) }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    secret: String,
    /// Until when it signs; for as long as it is the newest where nothing is said.
    until_ms: Option<i64>,
}

/// An endpoint with what signs.
pub(crate) struct Endpoint {
    pub(crate) view: EndpointView,
    kept: Vec<Kept>,
    /// The secrets as they rest. Whoever changes something else leaves them alone, whether or not they can be opened.
    sealed: Vec<u8>,
}

const PREFIX: &str = "whsec_";

fn about(id: &str) -> String {
    format!("endpoint/{id}")
}

fn fixed(shard: Shard) -> [Value<'static>; 2] {
    [Value::Int(shard.0.into()), Value::Int(Tenant::MAIN.number.into())]
}

impl Endpoint {
    fn read(row: &Row, vault: &dyn Vault, now_ms: i64) -> Result<Self, Error> {
        let id = row.text(0)?.to_owned();
        let sealed = row.bytes(5)?.to_vec();
        // One that cannot be opened is not called; the others are, and it can be given a new secret.
        let opened = vault.open(&sealed, &about(&id)).ok();
        let mut kept: Vec<Kept> =
            opened.and_then(|opened| serde_json::from_slice(&opened).ok()).unwrap_or_default();
        kept.retain(|one| one.until_ms.is_none_or(|until_ms| now_ms < until_ms));
        let view = EndpointView {
            endpoint: id,
            url: row.text(1)?.to_owned(),
            status_url: row.text_or_null(2)?.map(str::to_owned),
            keeps_ids: row.int(7)? == 1,
            enabled: row.int(3)? == 1,
            why: row.text(4)?.to_owned(),
            secrets: u32::try_from(kept.len()).unwrap_or(u32::MAX),
            changed_ms: row.int(6)?,
        };
        Ok(Self { view, kept, sealed })
    }

    /// What webhooks are signed with now, newest first.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let bytes = |kept: &Kept| Base64::decode_vec(kept.secret.strip_prefix(PREFIX)?).ok().map(Secret);
        self.kept.iter().filter_map(bytes).collect()
    }

    fn add_secret(
        &mut self,
        (vault, entropy): (&dyn Vault, &dyn Entropy),
        until_ms: i64,
    ) -> Result<String, Error> {
        let mut bytes = [0; SECRET_BYTES];
        entropy.fill(&mut bytes).map_err(|error| Error::Entropy(error.to_string()))?;
        let secret = format!("{PREFIX}{}", Base64::encode_string(&bytes));
        for before in &mut self.kept {
            before.until_ms = Some(before.until_ms.map_or(until_ms, |known| known.min(until_ms)));
        }
        self.kept.insert(0, Kept { secret: secret.clone(), until_ms: None });
        self.kept.truncate(SECRETS_MAX);
        self.view.secrets = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
        let kept = serde_json::to_vec(&self.kept)
            .map_err(|error| RecordsError::Corrupt(format!("secrets: {error}")))?;
        self.sealed = vault.seal(&kept, &about(&self.view.endpoint))?;
        Ok(secret)
    }

    async fn save(&self, tx: &mut dyn Tx, shard: Shard, is_new: bool) -> Result<(), Error> {
        let view = &self.view;
        let values = [
            Value::Text(&view.url),
            Value::text_or_null(view.status_url.as_deref()),
            Value::Int(view.enabled.into()),
            Value::Text(&view.why),
            Value::Bytes(&self.sealed),
            Value::Int(view.changed_ms),
            Value::Int(view.keeps_ids.into()),
        ];
        let key = [&fixed(shard)[..], &[Value::Text(&view.endpoint)]].concat();
        let sql = if is_new {
            "INSERT INTO endpoint (url,status_url,enabled,why,secrets,changed_ms,keeps_ids,shard,tenant,id) VALUES (?,?,?,?,?,?,?,?,?,?)"
        } else {
            "UPDATE endpoint SET url=?, status_url=?, enabled=?, why=?, secrets=?, changed_ms=?, keeps_ids=? WHERE shard=? AND tenant=? AND id=?"
        };
        let changed = tx.exec(sql, &[&values[..], &key].concat()).await?;
        if changed == 1 { Ok(()) } else { Err(RecordsError::Surprise("endpoint").into()) }
    }
}

const COLUMNS: &str = "id,url,status_url,enabled,why,secrets,changed_ms,keeps_ids";

/// An endpoint.
pub(crate) async fn get(
    tx: &mut dyn Tx,
    shard: Shard,
    id: &str,
    kept: (&dyn Vault, i64),
) -> Result<Option<Endpoint>, Error> {
    fetch(tx, (shard, id, ""), kept).await
}

/// An endpoint, locked to be changed.
async fn lock(
    tx: &mut dyn Tx,
    shard: Shard,
    id: &str,
    kept: (&dyn Vault, i64),
) -> Result<Option<Endpoint>, Error> {
    let end = tx.dialect().for_update();
    fetch(tx, (shard, id, end), kept).await
}

async fn fetch(
    tx: &mut dyn Tx,
    (shard, id, end): (Shard, &str, &str),
    (vault, now_ms): (&dyn Vault, i64),
) -> Result<Option<Endpoint>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM endpoint WHERE shard=? AND tenant=? AND id=?{end}");
    let rows = tx.fetch(&sql, &[&fixed(shard)[..], &[Value::Text(id)]].concat()).await?;
    rows.first().map(|row| Endpoint::read(row, vault, now_ms)).transpose()
}

/// Endpoints after one, in the order of their ids.
pub(crate) async fn all(
    tx: &mut dyn Tx,
    shard: Shard,
    (after, limit): (&str, u32),
    (vault, now_ms): (&dyn Vault, i64),
) -> Result<Vec<Endpoint>, Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM endpoint WHERE shard=? AND tenant=? AND id>? ORDER BY id LIMIT ?");
    let values = [&fixed(shard)[..], &[Value::Text(after), Value::Int(limit.into())]].concat();
    tx.fetch(&sql, &values).await?.iter().map(|row| Endpoint::read(row, vault, now_ms)).collect()
}

async fn audited(
    tx: &mut dyn Tx,
    shard: Shard,
    (action, id, detail): (&'static str, &str, String),
    (cause, at_ms): (&Cause, i64),
) -> Result<(), Error> {
    let change = Change { at_ms, action, subject: format!("endpoint/{id}"), detail };
    audit::append(tx, &Stream::changes(shard, Tenant::MAIN.number), cause, change).await?;
    Ok(())
}

/// Makes an endpoint and its first secret.
pub(crate) async fn create(
    tx: &mut dyn Tx,
    shard: Shard,
    (id, wanted): (&str, Wanted),
    (vault, entropy): (&dyn Vault, &dyn Entropy),
    request: &Request,
) -> Result<FreshView, Error> {
    wanted.check()?;
    let now_ms = request.at_ms;
    // Endpoints are made one at a time: two that are made at once would each count without the other.
    audit::hold(tx, &Stream::changes(shard, Tenant::MAIN.number)).await?;
    if get(tx, shard, id, (vault, now_ms)).await?.is_some() {
        return Err(Error::EndpointKnown(id.to_owned()));
    }
    let sql = "SELECT COUNT(*) FROM endpoint WHERE shard=? AND tenant=?";
    let count = tx.fetch(sql, &fixed(shard)).await?.first().map_or(Ok(0), |row| row.count(0))?;
    if count >= ENDPOINTS_MAX.into() {
        return Err(Error::TooManyEndpoints(ENDPOINTS_MAX));
    }
    let view = EndpointView {
        endpoint: id.to_owned(),
        url: wanted.url,
        status_url: wanted.status_url,
        keeps_ids: wanted.keeps_ids,
        enabled: wanted.enabled,
        why: String::new(),
        secrets: 0,
        changed_ms: now_ms,
    };
    let mut endpoint = Endpoint { view, kept: vec![], sealed: vec![] };
    let secret = endpoint.add_secret((vault, entropy), now_ms)?;
    endpoint.save(tx, shard, true).await?;
    let told = ("create_endpoint", id, endpoint.view.url.clone());
    audited(tx, shard, told, (&request.cause(), now_ms)).await?;
    Ok(FreshView { endpoint: endpoint.view, secret })
}

/// Changes where an endpoint is, and whether it is called.
pub(crate) async fn change(
    tx: &mut dyn Tx,
    shard: Shard,
    (id, wanted): (&str, Wanted),
    vault: &dyn Vault,
    request: &Request,
) -> Result<EndpointView, Error> {
    let now_ms = request.at_ms;
    let found = lock(tx, shard, id, (vault, now_ms)).await?;
    let mut endpoint = found.ok_or_else(|| Error::NoSuchEndpoint(id.to_owned()))?;
    wanted.check()?;
    let view = &mut endpoint.view;
    (view.url, view.status_url, view.enabled) = (wanted.url, wanted.status_url, wanted.enabled);
    view.keeps_ids = wanted.keeps_ids;
    (view.why, view.changed_ms) = (String::new(), now_ms);
    endpoint.save(tx, shard, false).await?;
    let detail =
        format!("{}, {}", endpoint.view.url, if endpoint.view.enabled { "enabled" } else { "disabled" });
    audited(tx, shard, ("change_endpoint", id, detail), (&request.cause(), now_ms)).await?;
    Ok(endpoint.view)
}

/// Makes a new secret; the one before signs beside it for so long.
pub(crate) async fn rotate(
    tx: &mut dyn Tx,
    shard: Shard,
    (id, overlap_seconds): (&str, u32),
    (vault, entropy): (&dyn Vault, &dyn Entropy),
    request: &Request,
) -> Result<FreshView, Error> {
    let now_ms = request.at_ms;
    let found = lock(tx, shard, id, (vault, now_ms)).await?;
    let mut endpoint = found.ok_or_else(|| Error::NoSuchEndpoint(id.to_owned()))?;
    let secret = endpoint.add_secret((vault, entropy), now_ms + i64::from(overlap_seconds) * 1000)?;
    endpoint.kept.retain(|one| one.until_ms.is_none_or(|until_ms| now_ms < until_ms));
    endpoint.view.secrets = u32::try_from(endpoint.kept.len()).unwrap_or(u32::MAX);
    endpoint.view.changed_ms = now_ms;
    endpoint.save(tx, shard, false).await?;
    let detail = format!("the secret before signs for {overlap_seconds} seconds more");
    audited(tx, shard, ("rotate_endpoint", id, detail), (&request.cause(), now_ms)).await?;
    Ok(FreshView { endpoint: endpoint.view, secret })
}

/// Switches an endpoint off because what it was called at has said that it is gone. One that is elsewhere by now stays on.
pub(crate) async fn disable(
    tx: &mut dyn Tx,
    shard: Shard,
    (id, url, why): (&str, &str, &str),
    (vault, now_ms): (&dyn Vault, i64),
) -> Result<(), Error> {
    let Some(mut endpoint) = lock(tx, shard, id, (vault, now_ms)).await? else { return Ok(()) };
    if !endpoint.view.enabled || endpoint.view.url != url {
        return Ok(());
    }
    let view = &mut endpoint.view;
    (view.enabled, view.why, view.changed_ms) = (false, why.to_owned(), now_ms);
    endpoint.save(tx, shard, false).await?;
    let cause = Cause { actor: audit::Actor::house(), key: String::new(), body_hash: None };
    audited(tx, shard, ("disable_endpoint", id, why.to_owned()), (&cause, now_ms)).await
}
