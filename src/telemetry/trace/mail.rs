//! The spans of a mail: accepted, read, decided.

use jiff::Timestamp;
use opentelemetry::{KeyValue, SpanId, trace::SpanKind};

use super::{Place, Span, Tracer, caller};
use crate::{
    message::{Authenticity, Evidence, MailId, Outcome},
    store::StoredMail,
};

impl Tracer {
    fn of_mail(&self, mail: &StoredMail) -> Place {
        self.names.of_mail(mail.id, mail.message.arrived_at)
    }

    /// Returns the id of a span, which is distinguished from others of its name by when it began.
    fn id(&self, place: &Place, name: &str, begun: Timestamp) -> SpanId {
        let which = format!("{name} {}", begun.as_nanosecond());
        self.names.of_span(place.trace, &which)
    }
}

/// Records that mails were judged for authenticity and stored.
pub(in crate::telemetry) fn accepted(
    mails: &[StoredMail],
    [arrived, judged, stored]: [Timestamp; 3],
) {
    let Some(tracer) = Tracer::get() else {
        return;
    };

    for mail in mails {
        let place = tracer.of_mail(mail);
        let accept = tracer.id(&place, "accept", arrived);
        let of_ingress = KeyValue::new("alertbridge.ingress", mail.message.ingress.clone());
        let size = i64::try_from(mail.message.raw.len()).unwrap_or(i64::MAX);
        let about = vec![
            KeyValue::new("alertbridge.mail", mail.id),
            KeyValue::new("alertbridge.mail.size", size),
            of_ingress,
        ];
        let span = Span::inner(accept, &place, "accept", [arrived, stored], about);
        tracer.record(place.trace, span);

        let id = tracer.id(&place, "authenticate", arrived);
        let verdict = of_verdict(&mail.authenticity);
        tracer.record(
            place.trace,
            Span {
                parent: Some(accept),
                ..Span::inner(id, &place, "authenticate", [arrived, judged], verdict)
            },
        );
    }
}

fn of_verdict(authenticity: &Authenticity) -> Vec<KeyValue> {
    let evidence = authenticity.evidence.map_or("none", Evidence::as_str);
    vec![
        KeyValue::new("alertbridge.verdict", authenticity.verdict.as_str()),
        KeyValue::new("alertbridge.evidence", evidence),
    ]
}

/// Records that a mail came by an HTTP request, which has been answered. The client's own trace is
/// linked, and never continued, because it is not trusted.
pub fn mail_posted(
    ingress: &str,
    mail: MailId,
    arrived_at: Timestamp,
    stored_at: Timestamp,
    traceparent: Option<&str>,
) {
    let Some(tracer) = Tracer::get() else {
        return;
    };

    let place = tracer.names.of_mail(mail, arrived_at);
    let id = tracer.id(&place, "POST", arrived_at);
    let about = vec![
        KeyValue::new("alertbridge.ingress", ingress.to_owned()),
        KeyValue::new("http.request.method", "POST"),
    ];
    tracer.record(
        place.trace,
        Span {
            kind: SpanKind::Server,
            caller: traceparent.and_then(caller::read),
            ..Span::inner(id, &place, "POST", [arrived_at, stored_at], about)
        },
    );
}

/// Records that a mail was read, and how many things the profile that took it found in it.
pub fn mail_read(
    mail: &StoredMail,
    profile: Option<&str>,
    found: usize,
    begun: Timestamp,
    ended: Timestamp,
) {
    let Some(tracer) = Tracer::get() else {
        return;
    };

    let place = tracer.of_mail(mail);
    let id = tracer.id(&place, "read", begun);
    let about = vec![
        KeyValue::new("alertbridge.profile", profile.unwrap_or("none").to_owned()),
        KeyValue::new(
            "alertbridge.found",
            i64::try_from(found).unwrap_or(i64::MAX),
        ),
    ];
    let span = Span::inner(id, &place, "read", [begun, ended], about);
    tracer.record(place.trace, span);
}

/// Records that a mail was decided, for the first time if `is_first`.
///
/// The first decision ends the trace's first span, which began when the mail arrived and which
/// contains the others.
pub(in crate::telemetry) fn decided(
    mail: &StoredMail,
    outcome: Outcome,
    owed: usize,
    is_first: bool,
    [begun, ended]: [Timestamp; 2],
) {
    let Some(tracer) = Tracer::get() else {
        return;
    };

    let place = tracer.of_mail(mail);
    let id = tracer.id(&place, "decide", begun);
    let about = vec![
        KeyValue::new("alertbridge.outcome", outcome.as_str()),
        KeyValue::new("alertbridge.owed", i64::try_from(owed).unwrap_or(i64::MAX)),
    ];
    let span = Span::inner(id, &place, "decide", [begun, ended], about);
    tracer.record(place.trace, span);

    let Some(root) = place.root.filter(|_| is_first) else {
        return;
    };
    let about = vec![
        KeyValue::new("alertbridge.mail", mail.id),
        KeyValue::new("alertbridge.ingress", mail.message.ingress.clone()),
        KeyValue::new("alertbridge.outcome", outcome.as_str()),
    ];
    let arrived = mail.message.arrived_at.min(ended);
    tracer.record(
        place.trace,
        Span {
            parent: None,
            kind: SpanKind::Consumer,
            ..Span::inner(root, &place, "mail", [arrived, ended], about)
        },
    );
}
