//! The admin listener: health, readiness, metrics, reload requests, the API and the pages.
//!
//! Every request passes the same gates in the same order: its Host and Origin must be this
//! listener's ([`guard`]), its body must be bounded in size and time, its sender must be known
//! ([`sign_in`]), and what it does must be intended ([`access`]). [`views`] holds every question
//! that can be asked and every action, for the API ([`api`]) and the pages alike.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    canary::{Flight, Stage, Standing},
    clock::Clock,
    ingress::{
        Health, OVERDUE,
        listener::{
            self, BindError, Bounds, Capacity, Listener, Patience, Place, Reception, Stream,
            TooMany,
        },
    },
    store::{Browse, Desk, Ledger, Upkeep},
    telemetry,
};

mod access;
pub mod api;
pub mod ask;
mod form;
mod guard;
mod json;
pub mod list;
pub mod live;
mod pages;
pub mod problem;
mod repeat;
pub mod sign_in;
pub mod turns;
pub mod views;
pub mod who;
pub mod workbench;

use access::{Peer, Secure};
pub use guard::Hosts;
use guard::Stranger;
use json::Json;
use live::Live;
use problem::Problem;
use sign_in::{Bearing, SignIn};
use views::objectives::History;
use workbench::Workbench;

/// The time allowed for a request's head, counted from the connection or from the last answer.
const HEAD: Duration = Duration::from_secs(30);
/// How long a scrape waits for the store. It is less than Prometheus's own ten seconds, so that a
/// store that does not answer shows in the metrics.
const PROBE: Duration = Duration::from_secs(3);
/// The interval at which readiness is checked for probes that arrive while the listener is full.
const BEAT: Duration = Duration::from_secs(5);

/// Everything that the API and the pages need to answer a request.
pub struct Admin {
    pub store: Arc<dyn Upkeep>,
    pub desk: Arc<dyn Desk>,
    pub browse: Arc<dyn Browse>,
    pub ledger: Arc<dyn Ledger>,
    /// The rules in force.
    pub workbench: Arc<dyn Workbench>,
    /// Notified when a delivery to a receiver becomes pending.
    pub owed: Arc<Notify>,
    pub health: Health,
    pub clock: Clock,
    pub started_at: Timestamp,
    pub metrics: PrometheusHandle,
    pub sign_in: SignIn,
    /// The feed of changes, for pages and API clients that watch.
    pub live: Live,
    /// The history of all incidents, from which objectives are measured.
    pub history: Arc<Mutex<History>>,
    /// The names by which the listener is known, besides its address.
    pub hosts: Hosts,
    /// The commands that send a first mail and its resolve, shown while no mail has arrived yet.
    pub first_mail: Option<[String; 2]>,
    /// What is known of the bridge's own canaries.
    pub canary: watch::Receiver<Standing>,
    /// The channel to the task that reloads the configuration.
    pub reload: mpsc::Sender<Asked>,
}

/// Where the requester of a reload waits for its result: the remarks on a configuration that was
/// taken, or everything that is wrong with it.
pub type Asked = oneshot::Sender<Result<Remarks, Faults>>;
/// Remarks on a configuration that was taken: what needs a restart and what could be improved, one
/// sentence each.
pub type Remarks = Vec<String>;
/// The faults of a configuration that was refused, worded as by `check`.
pub type Faults = Vec<String>;

/// Serves requests until `stop` is cancelled.
pub async fn run(listener: Listener, capacity: Capacity, admin: Admin, stop: CancellationToken) {
    let admin = Arc::new(admin);
    let server = Server {
        router: TowerToHyperService::new(router(Arc::clone(&admin))),
        admin: Arc::clone(&admin),
        is_ready: Arc::default(),
        stop: stop.clone(),
    };
    let bounds = Bounds {
        heartbeat: BEAT,
        ..Bounds::default()
    };
    tokio::join!(
        listener.serve(bounds, &capacity, Arc::new(server), &stop),
        admin.live.run(&*admin.browse, stop.clone()),
    );
}

/// Binds the admin listener.
pub fn bind(listen: &str) -> Result<Listener, BindError> {
    Listener::bind(listen)
}

/// The answer of `/-/healthy`, which only shows that the process is alive.
const HEALTHY: &str = "ok\n";

/// The answers of `/-/ready` to a client that is not signed in.
const READY: &str = "ready\n";
const NOT_READY: &str = "not ready\n";

struct Server {
    router: TowerToHyperService<Router>,
    admin: Arc<Admin>,
    /// Whether the bridge was ready at the last beat, for probes that arrive while the listener is
    /// full.
    is_ready: Arc<AtomicBool>,
    stop: CancellationToken,
}

/// The local address that a request has reached.
#[derive(Clone, Copy)]
struct Here(SocketAddr);

impl Reception for Server {
    fn patience(&self) -> Patience {
        Patience {
            step: HEAD,
            mail: HEAD,
        }
    }

    fn turn_away(&self, peer: IpAddr, why: TooMany, said: &[u8]) -> Vec<u8> {
        let plain = [("content-type", "text/plain; charset=utf-8")];
        let reply = |status, text| listener::http::reply(status, &plain, text);

        // Probes are answered even now: a crowded admin listener is no reason to restart the
        // process, or to keep mail from it.
        if said.starts_with(b"GET /-/healthy ") {
            return reply("200 OK", HEALTHY);
        }
        if said.starts_with(b"GET /-/ready ") {
            return if self.is_ready.load(Relaxed) {
                reply("200 OK", READY)
            } else {
                reply("503 Service Unavailable", NOT_READY)
            };
        }
        telemetry::connection_refused("admin", peer, why.reason());
        listener::http::busy(why)
    }

    fn beat(&self) {
        let (admin, is_ready) = (Arc::clone(&self.admin), Arc::clone(&self.is_ready));
        tokio::spawn(async move {
            is_ready.store(failing(&admin).await.is_empty(), Relaxed);
        });
    }

    async fn receive(self: Arc<Self>, stream: Stream, peer: SocketAddr, place: Place) {
        let Ok(here) = stream.local_addr() else {
            return;
        };
        let answer = async |mut request: Request<Body>| {
            let _working = place.working();
            request.extensions_mut().insert(Here(here));
            request.extensions_mut().insert(Peer(peer.ip()));
            self.router
                .call(request)
                .await
                .unwrap_or_else(|never| match never {})
        };

        listener::http::serve(stream, &place, HEAD, &self.stop, answer).await;
    }
}

fn router(admin: Arc<Admin>) -> Router {
    let api = api::v1::router()
        .layer(from_fn_with_state(Arc::clone(&admin), repeat::once))
        .merge(api::v2::router());
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/-/reload", post(reload).layer(from_fn(by_no_page)))
        .route("/sign-out", post(sign_in::pages::sign_out))
        .merge(api)
        .merge(pages::router(&admin))
        .layer(from_fn_with_state(Arc::clone(&admin), access::signed_in));

    // Probes carry no credential, so they are told nothing that needs one.
    Router::new()
        .route("/-/healthy", get(async || HEALTHY))
        .route("/-/ready", get(ready))
        .route(
            "/sign-in",
            get(sign_in::pages::form).post(sign_in::pages::sign_in),
        )
        .route("/sign-in/oidc", get(sign_in::oidc::pages::begin))
        .route(sign_in::oidc::CALLBACK, get(sign_in::oidc::pages::callback))
        .merge(pages::assets())
        .merge(guarded)
        .fallback(nowhere)
        .layer(from_fn(access::bounded))
        .layer(from_fn_with_state(Arc::clone(&admin), by_its_own_name))
        .layer(from_fn_with_state(Arc::clone(&admin), pages::in_words))
        .layer(from_fn(api::v2::in_its_words))
        .layer(from_fn(access::hardened))
        .with_state(admin)
}

async fn nowhere() -> Problem {
    Problem::not_found("there is no such page")
}

async fn by_its_own_name(
    State(admin): State<Arc<Admin>>,
    Extension(Here(here)): Extension<Here>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    match admin
        .hosts
        .check(here, request.version(), request.uri(), headers)
        .or_else(|stranger| match stranger {
            // A program with the bearer token may pass on the Origin that its own page sends. No
            // foreign page knows the token.
            Stranger::ForeignOrigin if admin.sign_in.has_token(headers) => Ok(()),
            stranger => Err(stranger),
        }) {
        Ok(()) => {
            let secure = admin.hosts.are_secure(here.ip(), request.headers());
            request.extensions_mut().insert(Secure(secure));
            next.run(request).await
        }
        Err(stranger) => stranger.problem().into_response(),
    }
}

/// Refuses requests that a web page sent.
///
/// Any page that a person visits can make their browser post to loopback. A browser gives itself
/// away by Origin and Fetch Metadata. An Origin of this listener's own proves nothing, because the
/// owner of a page may let a name of theirs point here. Nobody needs a browser for this.
async fn by_no_page(request: Request, next: Next) -> Response {
    let said = ["origin", "sec-fetch-site"];
    if said
        .iter()
        .any(|name| request.headers().contains_key(*name))
    {
        let error = "a web page cannot do this: use curl, or send SIGHUP";
        return (StatusCode::FORBIDDEN, Json(json!({ "error": error }))).into_response();
    }

    next.run(request).await
}

/// Answers 200 once another configuration is in force, 500 if it is wrong and the old one stays,
/// and 503 while the bridge stops.
async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    let (asked, answer) = oneshot::channel();
    // If nobody receives the request, `answer` fails below and the reply says so.
    let _ = admin.reload.send(asked).await;
    let lines = |first: &str, rest: &[String]| {
        format!(
            "{first}\n{}",
            rest.iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        )
    };

    match answer.await {
        Ok(Ok(remarks)) => lines("reloaded", &remarks).into_response(),
        Ok(Err(faults)) => {
            let text = lines(
                "not reloaded, the old configuration remains in force:",
                &faults,
            );
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the bridge is stopping\n").into_response(),
    }
}

/// Lists what keeps the bridge from doing its work: a store that cannot be written, and every
/// ingress that has not done its work lately.
async fn failing(admin: &Admin) -> Vec<String> {
    let mut failing = Vec::new();
    match timeout(PROBE, admin.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => failing.push(format!("store: {error}")),
        Err(_) => failing.push("store: it does not answer".to_owned()),
    }

    let now = admin.clock.now();
    for (name, condition) in admin.health.conditions() {
        let overdue = condition
            .last_success
            .is_none_or(|last| now.duration_since(last) > OVERDUE);
        if condition.login_refused || overdue {
            failing.push(format!(
                "ingress {name}: {}",
                condition
                    .failure
                    .as_deref()
                    .unwrap_or("not yet, or not lately")
            ));
        }
    }

    failing
}

/// Answers whether the bridge is ready, which it is while nothing fails.
///
/// Only a client that is signed in is told what fails.
async fn ready(
    State(admin): State<Arc<Admin>>,
    Extension(Secure(secure)): Extension<Secure>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let failing = failing(&admin).await;
    let canary = canary(&admin.canary.borrow());
    if failing.is_empty() && canary.is_none() {
        return READY.into_response();
    }

    let bearing = Bearing {
        headers: request.headers(),
        peer,
        secure,
    };
    let known = sign_in::identify(&admin, &bearing).await;
    let canary = canary.filter(|_| known.is_ok()).unwrap_or_default();
    if failing.is_empty() {
        return format!("{READY}{canary}").into_response();
    }

    let text = if known.is_ok() {
        failing.join("\n") + "\n" + &canary
    } else {
        NOT_READY.to_owned()
    };

    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// Describes the latest canary in one line.
///
/// A missing canary does not make this replica unready: the mail path is at fault, and taking the
/// replica out of service would mend nothing.
fn canary(standing: &Standing) -> Option<String> {
    let stages = |flight: &Flight| {
        let stages = flight.stages();
        let stages = stages.map(|(stage, at)| format!("{} {at:.3}", stage.as_str()));
        stages.collect::<Vec<_>>().join(", ")
    };
    match standing {
        Standing::Unknown => None,
        Standing::Well(flight) => Some(format!(
            "canary {} came through: {}\n",
            flight.number,
            stages(flight)
        )),
        Standing::Missing(flight) => Some(format!(
            "canary {} is missing, stopped at {}: begun {:.3}, {}\n",
            flight.number,
            flight.stopped_at().map_or("none, late", Stage::as_str),
            flight.begun_at,
            stages(flight)
        )),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let (probe, depth) = tokio::join!(
        timeout(PROBE, admin.store.ping()),
        timeout(PROBE, admin.store.depth())
    );

    telemetry::store_probed(matches!(probe, Ok(Ok(()))));
    match depth {
        Ok(Ok(depth)) => telemetry::depth(&depth, admin.clock.now()),
        Ok(Err(error)) => telemetry::store_failed("the deliveries could not be counted", &error),
        // On a timeout the last known depths stay, beside the metric that says the store could not
        // be written.
        Err(_) => {}
    }

    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        admin.metrics.render(),
    )
        .into_response()
}
