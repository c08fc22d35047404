//! Asking DNS: the resolver, and what it answered, kept for as long as it said.

use std::{
    borrow::Borrow,
    hash::Hash,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mail_auth::{
    AuthenticatedMessage, DkimResult, DnsError, Error, MessageAuthenticator, Parameters, ResolverCache, SpfResult, Txt,
    common::verify::DomainKey,
    hickory_resolver::{
        config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
        proto::op::ResponseCode,
        system_conf::read_system_conf,
    },
    spf::verify::SpfParameters,
};
use moka::{Expiry, sync::Cache};
use tokio::time::timeout;

use super::settings::address;

/// How long a name server has to answer before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a look-up may take, however many servers there are to try: DKIM's and ARC's fit into the bound of a mail.
const LOOK_UP: Duration = Duration::from_secs(4);

/// Records kept: a bridge needs a handful, and strangers must not make it keep more.
const KEPT: u64 = 1024;

/// How long a name that could not be looked up is not asked for again (RFC 2308, 7): while DNS is dead a flood of mail
/// waits for it once, not each.
const FAILURE_KEPT: Duration = Duration::from_secs(5);

/// There is no name server to ask.
#[derive(Debug, thiserror::Error)]
#[error("the system's name servers are not known ({0}): name some in alerts.authenticity.dns")]
pub struct NoResolver(String);

pub struct Dns {
    authenticator: MessageAuthenticator,
    records: Records,
}

impl Dns {
    /// Asks these servers, the system's where there are none.
    pub fn new(servers: &[String]) -> Result<Self, NoResolver> {
        let servers: Vec<SocketAddr> = servers.iter().filter_map(|server| address(server)).collect();
        let (config, options) = if servers.is_empty() {
            read_system_conf().map_err(|error| NoResolver(error.to_string()))?
        } else {
            (ResolverConfig::from_parts(None, Vec::new(), name_servers(&servers)), ResolverOpts::default())
        };
        Self::with(config, options)
    }

    /// Asks nobody.
    pub fn none() -> Result<Self, NoResolver> {
        Self::with(ResolverConfig::from_parts(None, Vec::new(), Vec::new()), ResolverOpts::default())
    }

    fn with(config: ResolverConfig, mut options: ResolverOpts) -> Result<Self, NoResolver> {
        options.timeout = PATIENCE;
        options.attempts = 1;
        options.cache_size = KEPT;
        let authenticator =
            MessageAuthenticator::new(config, options).map_err(|error| NoResolver(error.to_string()))?;
        Ok(Self { authenticator, records: Records::new() })
    }

    /// The result of the message's one signature, whose key is at `name`.
    pub async fn verify_dkim(&self, message: &AuthenticatedMessage<'_>, name: &str) -> DkimResult {
        let parameters = Parameters::new(message).with_txt_cache(&self.records);
        let result = match timeout(LOOK_UP, self.authenticator.verify_dkim(parameters)).await {
            Ok(results) => results.first().map_or(DkimResult::None, |output| output.result().clone()),
            Err(_) => DkimResult::TempError(no_answer()),
        };
        if let DkimResult::TempError(error) = &result {
            self.records.fail(name, error);
        }
        result
    }

    /// The result of the message's chain.
    pub async fn verify_arc(&self, message: &AuthenticatedMessage<'_>) -> DkimResult {
        let parameters = Parameters::new(message).with_txt_cache(&self.records);
        match timeout(LOOK_UP, self.authenticator.verify_arc(parameters)).await {
            Ok(output) => output.result().clone(),
            Err(_) => DkimResult::TempError(no_answer()),
        }
    }

    /// Without the records kept: a stranger chooses the name, and what SPF makes of a key's record is no key.
    pub async fn verify_spf(&self, of: SpfParameters<'_>) -> SpfResult {
        self.authenticator.verify_spf(Parameters::new(of)).await.result()
    }

    /// How long a key is, where there is one.
    pub async fn key_bits(&self, name: &str) -> Option<usize> {
        self.key(name).await.ok().map(|key| key.p.public_key_bits())
    }

    /// Whether DNS answers for a name, be it that there is nothing.
    pub async fn answers(&self, name: &str) -> bool {
        match self.key(name).await {
            Err(Error::Dns(DnsError::Resolver(_))) => false,
            Err(Error::Dns(DnsError::RecordNotFound(code))) => means_nothing_there(code),
            _ => true,
        }
    }

    async fn key(&self, name: &str) -> mail_auth::Result<Arc<DomainKey>> {
        let asked = self.authenticator.txt_lookup::<DomainKey>(format!("{name}."), Some(&self.records));
        let key = timeout(LOOK_UP, asked).await.unwrap_or_else(|_| Err(no_answer()));
        if let Err(error @ Error::Dns(DnsError::Resolver(_))) = &key {
            self.records.fail(name, error);
        }
        key
    }
}

fn name_servers(servers: &[SocketAddr]) -> Vec<NameServerConfig> {
    let connections = |server: &SocketAddr| {
        [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        })
    };
    servers.iter().map(|server| NameServerConfig::new(server.ip(), true, connections(server).into())).collect()
}

/// Whether an answer says that there is no such record, rather than that the server could not tell.
pub fn means_nothing_there(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NXDomain | ResponseCode::NoError)
}

fn no_answer() -> Error {
    Error::Dns(DnsError::Resolver(format!("no answer within {} s", LOOK_UP.as_secs())))
}

/// Keys as mail-auth reads them, each until its time to live is over.
struct Records(Cache<Box<str>, Kept>);

#[derive(Clone)]
struct Kept {
    record: Txt,
    until: Instant,
}

impl Records {
    fn new() -> Self {
        Self(Cache::builder().max_capacity(KEPT).expire_after(TimeToLive).build())
    }

    /// Keeps a failure for a moment; one that is kept already is not kept longer.
    fn fail(&self, name: &str, error: &Error) {
        let name = format!("{name}.").into_boxed_str();
        if !self.0.contains_key(&name) {
            self.insert(name, Txt::Error(error.clone()), Instant::now() + FAILURE_KEPT);
        }
    }
}

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(name).map(|kept| kept.record)
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.remove(name).map(|kept| kept.record)
    }

    fn insert(&self, name: Box<str>, record: Txt, until: Instant) {
        self.0.insert(name, Kept { record, until });
    }
}

struct TimeToLive;

impl Expiry<Box<str>, Kept> for TimeToLive {
    fn expire_after_create(&self, _: &Box<str>, kept: &Kept, now: Instant) -> Option<Duration> {
        Some(kept.until.saturating_duration_since(now))
    }

    fn expire_after_update(&self, _: &Box<str>, kept: &Kept, now: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(kept.until.saturating_duration_since(now))
    }
}
