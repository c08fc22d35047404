//! A mail's own spans: taken, read, decided.

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

    /// A span that is told from the others of its name by when it began.
    fn id(&self, place: &Place, name: &str, begun: Timestamp) -> SpanId {
        let which = format!("{name} {}", begun.as_nanosecond());
        self.names.of_span(place.trace, &which)
    }
}

/// Mails were judged by where they are from, and stored.
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

/// A mail came by an HTTP request, which is answered with the status. What the client says of its
/// own trace is linked, and never trusted to be this one's.
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

/// A mail was read: so many things were found in it, by the profile that took it.
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

/// A mail was decided, the first time where `is_first`. With that ends the span that the others
/// stand below, which began when the mail arrived.
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
