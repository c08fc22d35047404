//! Mail posted over HTTP by a mail provider, or by any program that has the raw mail.
//!
//! All webhooks share one listener, which tells them apart by path. The status 202 means that the
//! mail is stored.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::{
    request::{Door, Doors},
    settings::is_path,
};
use super::{
    Health, Inbox, Ingress,
    listener::{self, BindError, Capacity, Listener, Patience, Place, Reception, Stream, TooMany},
};
use crate::{clock::Clock, settings::Problem, telemetry};

pub use self::{
    fetch::{Fetch, FetchError, Https},
    limits::Limits,
    provider::Provider,
    settings::{BasicAuth, HttpSettings, Settings},
};

mod answer;
mod cloudmailin;
mod credential;
mod fetch;
mod form;
mod limits;
mod mailgun;
mod once;
mod password;
mod postmark;
mod protocol;
mod provider;
mod raw;
mod request;
mod sendgrid;
mod ses;
mod settings;

/// The bound listener of all webhooks.
pub struct Webhooks {
    listener: Listener,
    by_path: BTreeMap<String, Door>,
    max_body: u64,
    limits: Limits,
    clock: Clock,
    fetch: Arc<dyn Fetch>,
}

impl Webhooks {
    /// Binds the address. It refuses a webhook without a token that other machines could reach. It
    /// needs a Tokio runtime.
    pub fn bind(
        http: &HttpSettings,
        webhooks: &[Settings],
        clock: Clock,
    ) -> Result<Self, BindError> {
        let listener = Listener::bind(&http.listen)?;
        let mut by_path = BTreeMap::new();

        for (index, settings) in webhooks.iter().enumerate() {
            let key = format!("ingress.webhook[{index}]");
            let (path, door) = door(&key, settings, &listener)?;
            match by_path.entry(path) {
                Entry::Vacant(place) => place.insert(door),
                Entry::Occupied(place) => {
                    return Err(Problem::new(
                        format!("{key}.path"),
                        format!(
                            "`{}` is already the path of webhook `{}`",
                            place.key(),
                            place.get().name
                        ),
                        "give each webhook a path of its own",
                    )
                    .into());
                }
            };
        }

        let max_body = http.max_body.bytes();

        Ok(Self {
            listener,
            by_path,
            max_body,
            limits: Limits::default(),
            clock,
            fetch: Arc::new(fetch::Lazy::default()),
        })
    }

    /// Returns the same listener with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Returns the same listener with a capacity that it shares with other listeners.
    #[must_use]
    pub fn within(mut self, capacity: &Capacity) -> Self {
        self.limits.capacity = capacity.clone();
        self
    }

    /// Returns the same listener with another way to fetch the certificates of SNS.
    #[must_use]
    pub fn with_fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = fetch;
        self
    }

    /// Returns the address it listens on, with the real port if port 0 was requested.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }
}

/// Returns the path of a webhook, and the door behind it.
fn door(key: &str, settings: &Settings, listener: &Listener) -> Result<(String, Door), Problem> {
    let path = settings.path();
    if !is_path(&path) {
        return Err(Problem::new(
            format!("{key}.path"),
            format!("`{}` is not a valid path", path.escape_debug()),
            "write it with a slash before it and nothing a URL would encode: `/ingress/alerts`",
        ));
    }

    let protocol = settings.protocol(key)?;
    if settings.is_open() && !listener.is_loopback() {
        return Err(Problem::new(
            format!("{key}.token_file"),
            format!(
                "no token is given, and {} can be reached from other machines",
                listener.local_addr()
            ),
            "name the file that holds the bearer token: `token_file: /run/secrets/…`, or listen \
             on 127.0.0.1",
        ));
    }

    let door = Door {
        name: settings.name.clone(),
        protocol,
    };
    Ok((path, door))
}

#[async_trait]
impl Ingress for Webhooks {
    async fn run(self: Box<Self>, inbox: Arc<dyn Inbox>, health: Health, stop: CancellationToken) {
        let Self {
            listener,
            by_path,
            max_body,
            limits,
            clock,
            fetch,
        } = *self;

        for (path, door) in &by_path {
            tracing::info!(
                ingress = door.name,
                address = %listener.local_addr(),
                path,
                "accepting mail over HTTP"
            );
        }

        let (bounds, capacity) = (limits.bounds, limits.capacity.clone());
        let doors = Doors {
            by_path,
            max_body,
            limits,
            clock,
            fetch,
            inbox,
            health,
        };

        let server = Server {
            doors,
            stop: stop.clone(),
        };

        listener
            .serve(bounds, &capacity, Arc::new(server), &stop)
            .await;
    }
}

/// The running listener.
struct Server {
    doors: Doors,
    stop: CancellationToken,
}

impl Reception for Server {
    fn patience(&self) -> Patience {
        // The head has its own time limit.
        Patience {
            step: self.doors.limits.head.max(self.doors.limits.body),
            mail: self.doors.limits.body,
        }
    }

    fn turn_away(&self, peer: IpAddr, why: TooMany, _: &[u8]) -> Vec<u8> {
        telemetry::connection_refused("http", peer, why.reason());
        listener::http::busy(why)
    }

    fn beat(&self) {
        self.doors.report_health();
    }

    async fn receive(self: Arc<Self>, stream: Stream, _: SocketAddr, place: Place) {
        let answer = |request| self.doors.answer(request, &place);
        listener::http::serve(stream, &place, self.doors.limits.head, &self.stop, answer).await;
    }
}
