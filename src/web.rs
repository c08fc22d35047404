//! The admin listener: health, readiness, metrics, and the wish for a reload.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use aws_lc_rs::constant_time;
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    ingress::{Health, OVERDUE},
    settings::Secret,
    store::Store,
    telemetry,
};

/// How long a scrape waits for the store: Prometheus waits for ten seconds, and a store that does not answer is to show.
const PROBE: Duration = Duration::from_secs(3);

/// What the pages are made from.
pub struct Admin {
    pub store: Arc<dyn Store>,
    pub health: Health,
    pub clock: Clock,
    pub metrics: PrometheusHandle,
    /// The bearer token; none on loopback only.
    pub token: Option<Secret>,
    /// Whoever reads here reloads the configuration.
    pub reload: mpsc::Sender<Asked>,
}

/// Where somebody waits to hear what became of a reload: what is to be said of it, or everything that is wrong.
pub type Asked = oneshot::Sender<Result<Remarks, Faults>>;
/// Of a configuration that was taken: what of it needs a restart, what is better otherwise. A sentence each.
pub type Remarks = Vec<String>;
/// Of one that was not, as `check` tells them.
pub type Faults = Vec<String>;

/// Serves until `stop`.
pub async fn run(listener: TcpListener, admin: Admin, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(Arc::new(admin))).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Binds the admin listener.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

fn router(admin: Arc<Admin>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/-/reload", post(reload).layer(from_fn(by_no_page)))
        .layer(from_fn_with_state(Arc::clone(&admin), authorized));
    // Probes carry no credential, and say nothing worth one.
    Router::new()
        .route("/-/healthy", get(|| async { "ok\n" }))
        .route("/-/ready", get(ready))
        .merge(guarded)
        .with_state(admin)
}

async fn authorized(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let Some(token) = &admin.token else { return next.run(request).await };
    let refuse = |status: StatusCode, error: String| {
        (status, [(header::WWW_AUTHENTICATE, "Bearer")], Json(json!({ "error": error }))).into_response()
    };
    let expected = match token.read() {
        Ok(expected) => expected,
        Err(error) => return refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    match constant_time::verify_slices_are_equal(given.trim().as_bytes(), expected.expose_secret().as_bytes()) {
        Ok(()) => next.run(request).await,
        Err(_) => {
            refuse(StatusCode::UNAUTHORIZED, "the admin pages need the bearer token of admin.token_file".to_owned())
        }
    }
}

/// Any page a person looks at can have their browser post to loopback. A browser says so (Origin, Fetch Metadata), and
/// whether the page is of this origin proves nothing: a name of theirs may lead here. Nobody needs a browser for this.
async fn by_no_page(request: Request, next: Next) -> Response {
    let said = ["origin", "sec-fetch-site"];
    if said.iter().any(|name| request.headers().contains_key(*name)) {
        let error = "this is not for web pages: ask with curl, or send SIGHUP";
        return (StatusCode::FORBIDDEN, Json(json!({ "error": error }))).into_response();
    }
    next.run(request).await
}

/// 200 once another configuration is in force; 500 where it is wrong and the old one stays.
async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    let (asked, answer) = oneshot::channel();
    // Where it is not heard the answer is that nobody answers.
    let _ = admin.reload.send(asked).await;
    let lines = |first: &str, rest: &[String]| {
        format!("{first}\n{}", rest.iter().map(|line| format!("{line}\n")).collect::<String>())
    };
    match answer.await {
        Ok(Ok(remarks)) => lines("reloaded", &remarks).into_response(),
        Ok(Err(faults)) => {
            let text = lines("not reloaded, the old configuration stays in force:", &faults);
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the bridge is stopping\n").into_response(),
    }
}

/// Ready while the store can be written and every ingress has done its work lately.
async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let mut failing = Vec::new();
    if let Err(error) = admin.store.ping().await {
        failing.push(format!("store: {error}"));
    }
    let now = admin.clock.now();
    for (name, condition) in admin.health.conditions() {
        let overdue = condition.last_success.is_none_or(|last| now.duration_since(last) > OVERDUE);
        if condition.login_refused || overdue {
            failing
                .push(format!("ingress {name}: {}", condition.failure.as_deref().unwrap_or("not yet, or not lately")));
        }
    }
    if failing.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, failing.join("\n") + "\n").into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let (probe, depth) = tokio::join!(timeout(PROBE, admin.store.ping()), timeout(PROBE, admin.store.depth()));
    telemetry::store_probed(matches!(probe, Ok(Ok(()))));
    match depth {
        Ok(Ok(depth)) => telemetry::depth(&depth, admin.clock.now()),
        Ok(Err(error)) => telemetry::store_failed("the deliveries could not be counted", &error),
        // What was known last stands, beside a store that could not be written.
        Err(_) => {}
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render()).into_response()
}
