//! Traces by OTLP: one for each mail, from its arrival to the receipt of each of its pages.
//!
//! A span is recorded when it has ended, from what the pipeline and delivery know of it anyway.
//! Nothing is kept open between the commits: the ids of a mail's trace and of its first span are
//! derived from the store and the mail ([`names`]). Whichever process delivers, after whatever
//! crash, therefore continues the same trace. If no collector is configured, no span is made.
//!
//! Spans contain numbers, names from the configuration and the bridge's own words: nothing of a
//! mail's content, and no address except a receiver's host.

use std::{borrow::Cow, sync::OnceLock, time::SystemTime};

use jiff::Timestamp;
use metrics::counter;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::sync::mpsc::{self, Sender, error::TrySendError};

mod attempt;
mod caller;
mod export;
mod mail;
mod names;
mod settings;

pub use self::{attempt::Attempted, export::Exporter, mail::*, settings::Settings};
use names::{Names, Place};

/// The number of spans that wait to be exported. More are dropped, and counted: nothing waits for a
/// collector.
const MOST_WAITING: usize = 8192;

/// The tracer, set once if a collector is configured.
static TRACER: OnceLock<Tracer> = OnceLock::new();

/// The recorder of spans.
struct Tracer {
    names: Names,
    queue: Sender<SpanData>,
    scope: InstrumentationScope,
}

/// Records spans from now on. Returns the exporter, which has to be run. `secret` is the store's
/// own.
pub fn trace_to(exporter: export::Built, secret: &[u8]) -> Exporter {
    let (queue, waiting) = mpsc::channel(MOST_WAITING);
    let tracer = Tracer {
        names: Names::new(secret),
        queue,
        scope: InstrumentationScope::builder("alertbridge")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    };

    // A process runs one bridge, so the tracer is not set yet.
    let _ = TRACER.set(tracer);
    Exporter::new(exporter, waiting)
}

/// A span that has ended.
struct Span {
    /// The id of the span within its trace: [`Tracer::id`], or that of the trace's first span.
    id: SpanId,
    parent: Option<SpanId>,
    name: Cow<'static, str>,
    kind: SpanKind,
    begun: Timestamp,
    ended: Timestamp,
    attributes: Vec<KeyValue>,
    /// The reason in one word, if it failed.
    failure: Option<&'static str>,
    /// The span of another system that led to this one.
    caller: Option<SpanContext>,
}

impl Span {
    /// Builds a span inside the program, below the first span of its trace.
    fn inner(
        id: SpanId,
        place: &Place,
        name: &'static str,
        [begun, ended]: [Timestamp; 2],
        attributes: Vec<KeyValue>,
    ) -> Self {
        Self {
            id,
            parent: place.root,
            name: name.into(),
            kind: SpanKind::Internal,
            begun,
            ended,
            attributes,
            failure: None,
            caller: None,
        }
    }
}

impl Tracer {
    /// Returns the tracer; `None` if nothing is traced.
    fn get() -> Option<&'static Self> {
        TRACER.get()
    }

    /// Hands a span to the exporter, or drops it if too many wait.
    fn record(&self, trace: TraceId, span: Span) {
        let mut links = SpanLinks::default();
        links
            .links
            .extend(span.caller.map(|caller| Link::new(caller, Vec::new(), 0)));

        let data = SpanData {
            span_context: context(trace, span.id),
            parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: false,
            span_kind: span.kind,
            name: span.name,
            start_time: SystemTime::from(span.begun),
            // If the clock is set back meanwhile, the span still does not end before it begins.
            end_time: SystemTime::from(span.ended.max(span.begun)),
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: span.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        };

        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = self.queue.try_send(data) {
            dropped(1, "queue_full");
        }
    }
}

fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

fn dropped(spans: usize, reason: &'static str) {
    counter!("alertbridge_spans_dropped_total", "reason" => reason).increment(spans as u64);
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_the_queue_has_no_room_for_is_dropped_and_counted_and_waited_for_by_nobody() {
        let (queue, mut waiting) = mpsc::channel(2);
        let tracer = Tracer {
            names: Names::new(b"a"),
            queue,
            scope: InstrumentationScope::default(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let place = tracer.names.of_mail(1, at(1));
        // The clock is set back while the span is open.
        let times = [at(2), at(1)];

        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            for number in 1..=5 {
                let id = tracer.names.of_span(place.trace, &number.to_string());
                tracer.record(
                    place.trace,
                    Span::inner(id, &place, "read", times, Vec::new()),
                );
            }
        });

        let counted = "alertbridge_spans_dropped_total{reason=\"queue_full\"} 3";
        assert!(metrics.render().contains(counted), "{}", metrics.render());
        let span = waiting.try_recv().unwrap();
        assert_eq!(Some(span.parent_span_id), place.root);
        assert_eq!(span.start_time, span.end_time);
    }
}
