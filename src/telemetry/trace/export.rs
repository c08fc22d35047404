//! Sends spans to the collector. This runs beside everything else: while the collector accepts
//! none, only spans are lost.

use std::time::Duration;

use metrics::counter;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use reqwest::{
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use tokio::{sync::mpsc::Receiver, time::timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Settings, dropped};
use crate::settings::{Problem, cause::innermost, host::is_loopback};

/// The number of spans that are sent together, and how long the first waits for the last.
const MOST_TOGETHER: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
/// The time limit for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the same spans are sent again to a collector that does not accept them.
const TRIED_FOR: Duration = Duration::from_secs(30);
const TRIES: usize = 8;
/// How long a stop waits for the remaining spans.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// An exporter that is not running yet.
#[derive(Debug)]
pub struct Built(SpanExporter);

/// The exporter of spans.
pub struct Exporter {
    built: Built,
    waiting: Receiver<SpanData>,
    /// Whether the collector accepted the last spans.
    is_taken: bool,
}

impl Settings {
    /// Builds the exporter; `None` if no collector is configured.
    pub fn exporter(&self, key: &str) -> Result<Option<Built>, Problem> {
        let Some(endpoint) = self.endpoint(key)? else {
            return Ok(None);
        };

        let client = self.client(key, &endpoint)?;
        let built = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(TRIED_FOR)
            .with_retry_policy(RetryPolicy::default().with_max_retries(TRIES))
            .build();

        let mut exporter = built.map_err(|error| {
            let what = format!("no exporter can be made for it: {error}");
            Problem::new(format!("{key}.otlp_endpoint"), what, "give another address")
        })?;
        exporter.set_resource(&resource());
        Ok(Some(Built(exporter)))
    }

    /// Sends an export without any span, and returns its destination; `None` if no collector is
    /// configured.
    pub async fn try_out(&self, key: &str) -> Result<Option<Url>, Problem> {
        let Some(endpoint) = self.endpoint(key)? else {
            return Ok(None);
        };

        let unusable = |what: String| {
            let mend = "correct it or `headers_file`, or check the collector";
            Problem::new(format!("{key}.otlp_endpoint"), what, mend)
        };
        let request = self
            .client(key, &endpoint)?
            .post(endpoint.clone())
            .header(CONTENT_TYPE, "application/x-protobuf");
        let reply = request.send().await.map_err(|error| {
            unusable(format!(
                "{endpoint} cannot be reached: {}",
                innermost(&error).unwrap_or_else(|| error.to_string())
            ))
        })?;

        match reply.status() {
            status if status.is_success() => Ok(Some(endpoint)),
            status => Err(unusable(format!("{endpoint} answers {status}"))),
        }
    }

    /// Returns the client that sends spans.
    fn client(&self, key: &str, endpoint: &Url) -> Result<reqwest::Client, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers(key)? {
            if let (Ok(name), Ok(mut value)) =
                (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
            {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }

        let builder = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .default_headers(headers)
            .user_agent(concat!("alertbridge/", env!("CARGO_PKG_VERSION")));
        // A collector on this machine is not reached through a proxy.
        let builder = if is_loopback(endpoint) {
            builder.no_proxy()
        } else {
            builder
        };

        builder.build().map_err(|_| {
            let what = "the client cannot be made";
            Problem::new(format!("{key}.otlp_endpoint"), what, "report this as a bug")
        })
    }
}

/// Describes the program to which the spans belong.
fn resource() -> Resource {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let instance = format!("{host}:{}", std::process::id());
    Resource::builder_empty()
        .with_service_name("alertbridge")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
            KeyValue::new("host.name", host),
        ])
        .build()
}

impl Exporter {
    pub(super) fn new(built: Built, waiting: Receiver<SpanData>) -> Self {
        Self {
            built,
            waiting,
            is_taken: true,
        }
    }

    /// Exports until `stop`, and then what is left, for a limited time.
    pub async fn run(mut self, stop: CancellationToken) {
        let last_words = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };

        tokio::select! {
            () = self.export(&stop) => {}
            () = last_words => tracing::warn!("the collector did not accept the last traces"),
        }
    }

    /// Exports until `stop`, and then everything that is left.
    async fn export(&mut self, stop: &CancellationToken) {
        let mut batch = Vec::with_capacity(MOST_TOGETHER);
        loop {
            if stop.is_cancelled() {
                self.waiting.close();
            }
            // A stop ends the wait for the first span, and for the last.
            let filled = stop.run_until_cancelled(self.fill(&mut batch)).await;
            if filled.is_none() {
                self.waiting.close();
                let room = MOST_TOGETHER.saturating_sub(batch.len());
                self.waiting.recv_many(&mut batch, room).await;
            }
            if batch.is_empty() {
                return;
            }
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    /// Gathers spans for a limited time from the first on.
    async fn fill(&mut self, batch: &mut Vec<SpanData>) {
        if self.waiting.recv_many(batch, MOST_TOGETHER).await == 0 {
            return;
        }

        let more = async {
            while batch.len() < MOST_TOGETHER {
                let room = MOST_TOGETHER - batch.len();
                if self.waiting.recv_many(batch, room).await == 0 {
                    return;
                }
            }
        };
        let _ = timeout(LINGER, more).await;
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        let sent = self.built.0.export(batch).await;

        match &sent {
            Ok(()) => counter!("alertbridge_spans_exported_total").increment(spans as u64),
            Err(_) => dropped(spans, "not_taken"),
        }

        // This is logged once, and not with every batch.
        match (self.is_taken, &sent) {
            (true, Err(error)) => {
                tracing::warn!(%error, spans, "the collector accepts no traces: they are dropped");
            }
            (false, Ok(())) => tracing::info!("the collector accepts traces again"),
            _ => {}
        }
        self.is_taken = sent.is_ok();
    }
}
