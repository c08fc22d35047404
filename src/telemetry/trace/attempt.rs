//! An attempt to deliver a page, as a span in the trace of the mail that led to it.

use jiff::Timestamp;
use opentelemetry::{KeyValue, SpanId, trace::SpanKind};
use url::Url;

use super::{Place, Span, Tracer, caller, context};
use crate::{
    delivery::{FailureReason, Step},
    store::Claim,
};

/// An attempt in progress; empty if nothing is traced.
#[derive(Debug, Default)]
pub struct Attempted(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    place: Place,
    id: SpanId,
    name: String,
    kind: SpanKind,
    begun: Timestamp,
    attributes: Vec<KeyValue>,
}

impl Attempted {
    pub fn begin(claim: &Claim, begun: Timestamp) -> Self {
        let Some(tracer) = Tracer::get() else {
            return Self(None);
        };

        let page = &claim.notification;
        let place = match page.mail {
            Some(mail) => tracer.names.of_mail(mail, page.arrived_at),
            None => tracer.names.of_delivery(claim.id, page.arrived_at),
        };
        let which = format!("attempt {} {}", claim.id, claim.lease);
        let step = match &claim.step {
            Step::Confirm { .. } => "confirm",
            _ => "deliver",
        };

        Self(Some(Box::new(Open {
            id: tracer.names.of_span(place.trace, &which),
            place,
            name: format!("{step} {}", claim.target.kind()),
            kind: SpanKind::Internal,
            begun,
            attributes: vec![
                KeyValue::new("alertbridge.delivery", claim.id),
                KeyValue::new("alertbridge.receiver", claim.target.receiver.clone()),
                KeyValue::new("alertbridge.integration", claim.target.kind().to_owned()),
                KeyValue::new("alertbridge.action", page.action.as_str()),
                KeyValue::new("alertbridge.attempt", i64::from(claim.failures) + 1),
            ],
        })))
    }

    /// Notes that the attempt sends a request, or a mail. Only the host of its address is recorded,
    /// since the address may be a secret.
    pub fn asks(&mut self, method: &'static str, url: &str) {
        let Some(open) = &mut self.0 else {
            return;
        };
        let Ok(url) = Url::parse(url) else {
            return;
        };
        let Some(host) = url.host_str() else {
            return;
        };

        open.kind = SpanKind::Client;
        let host = host.trim_matches(['[', ']']).to_owned();
        open.attributes.push(KeyValue::new("server.address", host));
        open.attributes.extend(
            url.port_or_known_default()
                .map(|port| KeyValue::new("server.port", i64::from(port))),
        );
        if url.scheme().starts_with("http") {
            open.attributes
                .push(KeyValue::new("http.request.method", method));
        }
    }

    /// Returns the header by which the recipient of the request may join the trace.
    pub fn header(&self) -> Option<(&'static str, String)> {
        let open = self.0.as_ref()?;
        let text = caller::written(context(open.place.trace, open.id))?;
        Some((caller::TRACEPARENT, text))
    }

    /// Notes the status of the answer.
    pub fn answered(&mut self, status: u16) {
        if let Some(open) = &mut self.0
            && open.kind == SpanKind::Client
        {
            let status = KeyValue::new("http.response.status_code", i64::from(status));
            open.attributes.push(status);
        }
    }

    /// Ends the attempt with this result in one word.
    pub fn end(self, result: &'static str, failure: Option<FailureReason>, ended: Timestamp) {
        let (Some(open), Some(tracer)) = (self.0, Tracer::get()) else {
            return;
        };

        let failure = failure.map(FailureReason::as_str);
        let mut attributes = open.attributes;
        attributes.push(KeyValue::new("alertbridge.result", result));
        attributes.extend(failure.map(|reason| KeyValue::new("error.type", reason)));

        let span = Span {
            id: open.id,
            parent: open.place.root,
            name: open.name.into(),
            kind: open.kind,
            begun: open.begun,
            ended,
            attributes,
            failure,
            caller: None,
        };
        tracer.record(open.place.trace, span);
    }
}
