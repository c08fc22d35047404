//! Queries DNS for keys, caches the answers for as long as DNS said, and notices whether DNS
//! answers at all.
//!
//! A sender chooses the names that are queried, so he can choose failures as well. A name that
//! nobody answers for gains him nothing while the domain that it should speak for can be reached. A
//! failure counts only if that domain is silent too, or if a key was found at the very name before.
//!
//! Queries that strangers cause wait for a place (see [`super::places`]). Those for a key that was
//! found before never do.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use mail_auth::{
    AuthenticatedMessage, DkimResult, DnsError, Error, MessageAuthenticator, Parameters,
    ResolverCache, SpfResult, Txt,
    common::verify::DomainKey,
    hickory_resolver::{
        config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
        proto::{
            op::ResponseCode,
            rr::{Name, RData},
        },
        system_conf::read_system_conf,
    },
    spf::verify::SpfParameters,
};
use moka::sync::Cache;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use super::{key, places::Places, settings::address};

/// How long a name server has to answer before it is queried again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time limit for a look-up, however many servers there are to try. Three look-ups fit into the
/// time limit for a mail.
const LOOK_UP: Duration = Duration::from_secs(3);

/// The number of cached names. A bridge needs a handful, and strangers must not make it keep more.
const KEPT: u64 = 1024;

/// The shortest and the longest time for which a key is cached, whatever its record says.
const KEY_KEPT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_hours(24));

/// How long the absence of a key is cached.
const NONE_KEPT: Duration = Duration::from_mins(1);

/// How long a name whose look-up failed is not queried again (RFC 2308, 7).
///
/// While DNS is down, a flood of mail thus waits for it once, not every time.
const FAILURE_KEPT: Duration = Duration::from_secs(5);

/// How long the result of whether a domain answers is cached. It is shorter than a failing look-up
/// takes.
const REACH_KEPT: Duration = Duration::from_secs(2);

/// How long it is remembered where a key was found.
const FOUND_KEPT: Duration = Duration::from_hours(7 * 24);

/// The number of concurrent queries for the keys of one ingress' mail at the configured domains.
const NEW: usize = 64;

/// The number of concurrent queries for keys at any other name, which a stranger chose.
const STRANGERS: usize = 16;

/// The number of concurrent queries for SPF. It is small because strangers choose the names, and
/// SPF proves nothing.
const SPF: usize = 8;

/// The error that there is no name server to query.
#[derive(Debug, thiserror::Error)]
#[error("the system's name servers are not known ({0}): name some in alerts.authenticity.dns")]
pub struct NoResolver(String);

/// The reason why there is no key. Its text continues "is by" and "it has".
#[derive(Debug, Clone)]
pub enum NoKey {
    /// No usable key exists.
    Unfit(String),
    /// DNS does not answer.
    Trouble(String),
}

/// The keys that a message needs, by name with the trailing dot.
pub type Keys = HashMap<Box<str>, Arc<DomainKey>>;

pub struct Dns {
    authenticator: MessageAuthenticator,
    answers: Cache<Question, Arc<OnceCell<Answer>>>,
    /// The names at which a key was found.
    found: Cache<Box<str>, ()>,
    /// The name at which a key was last found, by domain.
    last_found: Cache<Box<str>, Box<str>>,
    /// Whether a domain answers, by domain.
    reached: Cache<Box<str>, Arc<OnceCell<bool>>>,
    /// The places for queries for unknown keys at the configured domains.
    pub(super) places: Places,
    /// The places for queries for keys at any other name.
    pub(super) strangers: Places,
    spf: Semaphore,
}

/// The configured domain (empty for a stranger's name) and the name of the key.
type Question = (Box<str>, Box<str>);

struct Answer {
    key: Result<Arc<DomainKey>, NoKey>,
    until: Instant,
}

/// The result of a query.
enum Heard {
    /// The TXT records, if any, and the time until which they may be cached.
    Records(Vec<Vec<u8>>, Option<Instant>),
    Silence(String),
}

impl Dns {
    /// Creates a resolver for these servers, or for the system's if there are none.
    pub fn new(servers: &[String]) -> Result<Self, NoResolver> {
        let servers: Vec<SocketAddr> = servers
            .iter()
            .filter_map(|server| address(server))
            .collect();

        let (config, options) = if servers.is_empty() {
            read_system_conf().map_err(|error| NoResolver(error.to_string()))?
        } else {
            (
                ResolverConfig::from_parts(None, Vec::new(), name_servers(&servers)),
                ResolverOpts::default(),
            )
        };

        Self::with(config, options)
    }

    /// Creates a resolver that has no servers to query.
    pub fn none() -> Result<Self, NoResolver> {
        Self::with(
            ResolverConfig::from_parts(None, Vec::new(), Vec::new()),
            ResolverOpts::default(),
        )
    }

    fn with(config: ResolverConfig, mut options: ResolverOpts) -> Result<Self, NoResolver> {
        options.timeout = PATIENCE;
        options.attempts = 1;

        // Answers are cached by this module: only the server can tell whether it answers now.
        options.cache_size = 0;

        let authenticator = MessageAuthenticator::new(config, options)
            .map_err(|error| NoResolver(error.to_string()))?;

        Ok(Self {
            authenticator,
            answers: Cache::builder().max_capacity(KEPT).build(),
            found: Cache::builder()
                .max_capacity(KEPT)
                .time_to_idle(FOUND_KEPT)
                .build(),
            last_found: Cache::builder()
                .max_capacity(KEPT)
                .time_to_idle(FOUND_KEPT)
                .build(),
            reached: Cache::builder()
                .max_capacity(KEPT)
                .time_to_live(REACH_KEPT)
                .build(),
            places: Places::new(NEW),
            strangers: Places::new(STRANGERS),
            spf: Semaphore::new(SPF),
        })
    }

    /// Returns the key at a name that must speak for `domain`, which is configured.
    pub async fn key(&self, name: &str, domain: &str) -> Result<Arc<DomainKey>, NoKey> {
        self.kept(domain, name, self.ask_for_key(name, domain))
            .await
    }

    /// Returns the key at a name that a stranger chose. Any failure is the stranger's problem.
    pub async fn strangers_key(&self, name: &str) -> Result<Arc<DomainKey>, NoKey> {
        let asked = async {
            match self.ask(name).await {
                Heard::Records(records, until) => answer(&records, until, name),
                Heard::Silence(why) => unanswered(NoKey::Unfit(format!(
                    "a key for which no name server answers ({name}): {why}"
                ))),
            }
        };
        self.kept("", name, asked).await
    }

    /// Returns whether a query needs no place: the answer is cached, or a key was found there
    /// before.
    ///
    /// `domain` is empty for a stranger's name.
    pub fn knows(&self, name: &str, domain: &str) -> bool {
        let found_before = !domain.is_empty() && self.found.contains_key(name);
        found_before
            || self
                .answers
                .get(&question(domain, name))
                .is_some_and(|cell| {
                    cell.get()
                        .is_some_and(|answer| Instant::now() < answer.until)
                })
    }

    /// Returns the cached answer, or queries for it. Concurrent queries for the same name share one
    /// look-up.
    async fn kept(
        &self,
        domain: &str,
        name: &str,
        asked: impl Future<Output = Answer>,
    ) -> Result<Arc<DomainKey>, NoKey> {
        let question = question(domain, name);
        let known = self.answers.get(&question);

        if known.as_ref().is_some_and(|cell| {
            cell.get()
                .is_some_and(|answer| answer.until <= Instant::now())
        }) {
            self.answers.invalidate(&question);
        }

        let cell = self.answers.get_with(question, Arc::default);

        cell.get_or_init(|| asked).await.key.clone()
    }

    async fn ask_for_key(&self, name: &str, domain: &str) -> Answer {
        let found_before = self.found.contains_key(name);
        let mut heard = self.ask(name).await;

        // The answer may have been lost, and this mail may be genuine, so the query is repeated
        // once.
        if !found_before && matches!(heard, Heard::Silence(_)) && self.reaches(domain).await {
            heard = self.ask(name).await;
            if let Heard::Silence(why) = heard {
                let why = format!(
                    "a key that DNS gives no answer for ({name}), though it does for {domain}: \
                     {why}"
                );
                return unanswered(NoKey::Unfit(why));
            }
        }

        match heard {
            Heard::Records(records, until) => {
                let answer = answer(&records, until, name);
                if answer.key.is_ok() {
                    self.found.insert(name.into(), ());
                    self.last_found.insert(domain.into(), name.into());
                }
                answer
            }
            Heard::Silence(why) => unanswered(NoKey::Trouble(why)),
        }
    }

    /// Returns whether DNS answers for a domain now: for the domain itself, or for the key that was
    /// last found there.
    pub async fn reaches(&self, domain: &str) -> bool {
        let cell = self.reached.get_with(domain.into(), Arc::default);
        let asked = async {
            let names = [Some(domain.into()), self.last_found.get(domain)];
            let ask =
                |name: Box<str>| async move { matches!(self.ask(&name).await, Heard::Records(..)) };
            let mut heard: FuturesUnordered<_> = names.into_iter().flatten().map(ask).collect();
            while let Some(answers) = heard.next().await {
                if answers {
                    return true;
                }
            }
            false
        };

        *cell.get_or_init(|| asked).await
    }

    async fn ask(&self, name: &str) -> Heard {
        // Names are checked before this; one that cannot be queried has no records.
        let Ok(name) = Name::from_ascii(format!("{name}.")) else {
            return Heard::Records(Vec::new(), None);
        };
        let lookup = match timeout(LOOK_UP, self.authenticator.resolver().txt_lookup(name)).await {
            Ok(Ok(lookup)) => lookup,
            Ok(Err(error)) => {
                return match Error::from(error) {
                    Error::Dns(DnsError::RecordNotFound(code)) if means_nothing_there(code) => {
                        Heard::Records(Vec::new(), None)
                    }
                    error => Heard::Silence(error.to_string()),
                };
            }
            Err(_) => return Heard::Silence(format!("no answer within {} s", LOOK_UP.as_secs())),
        };

        let records = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(text) => Some(text.txt_data.concat()),
                _ => None,
            });

        Heard::Records(records.collect(), Some(lookup.valid_until()))
    }

    /// Returns the result of the message's only signature.
    pub async fn verify_dkim(&self, message: &AuthenticatedMessage<'_>, keys: Keys) -> DkimResult {
        let keys = Given(keys);
        let results = self
            .authenticator
            .verify_dkim(Parameters::new(message).with_txt_cache(&keys))
            .await;
        results
            .first()
            .map_or(DkimResult::None, |output| output.result().clone())
    }

    /// Returns the result of the message's chain.
    pub async fn verify_arc(&self, message: &AuthenticatedMessage<'_>, keys: Keys) -> DkimResult {
        let keys = Given(keys);
        self.authenticator
            .verify_arc(Parameters::new(message).with_txt_cache(&keys))
            .await
            .result()
            .clone()
    }

    /// Returns the SPF result, with few concurrent queries: a stranger chooses the names.
    pub async fn verify_spf(&self, of: SpfParameters<'_>) -> SpfResult {
        let _place = self.spf.acquire().await.ok();
        self.authenticator
            .verify_spf(Parameters::new(of))
            .await
            .result()
    }
}

fn question(domain: &str, name: &str) -> Question {
    (
        domain.to_ascii_lowercase().into(),
        name.to_ascii_lowercase().into(),
    )
}

fn answer(records: &[Vec<u8>], until: Option<Instant>, name: &str) -> Answer {
    let now = Instant::now();
    match key::read(records) {
        Ok(key) => {
            let (least, most) = KEY_KEPT;
            let until = until.unwrap_or(now).clamp(now + least, now + most);
            Answer {
                key: Ok(Arc::new(key)),
                until,
            }
        }
        Err(why) => Answer {
            key: Err(NoKey::Unfit(format!("{why} ({name})"))),
            until: now + NONE_KEPT,
        },
    }
}

fn unanswered(why: NoKey) -> Answer {
    Answer {
        key: Err(why),
        until: Instant::now() + FAILURE_KEPT,
    }
}

fn name_servers(servers: &[SocketAddr]) -> Vec<NameServerConfig> {
    let connections = |server: &SocketAddr| {
        [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        })
    };

    servers
        .iter()
        .map(|server| NameServerConfig::new(server.ip(), true, connections(server).into()))
        .collect()
}

/// Returns whether an answer says that there is no such record, rather than that the server could
/// not tell.
fn means_nothing_there(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NXDomain | ResponseCode::NoError)
}

/// Keys that were already looked up, so that mail-auth queries none.
struct Given(Keys);

impl ResolverCache<Box<str>, Txt> for Given {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let missing = || Txt::Error(Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain)));
        Some(
            self.0
                .get(name)
                .map_or_else(missing, |key| Txt::DomainKey(Arc::clone(key))),
        )
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}
