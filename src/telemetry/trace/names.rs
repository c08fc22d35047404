//! The ids of traces and their spans. They are derived from the store and its numbers, so that
//! every process uses the same ids, and two bridges that report to one collector do not share any.
//! Pure.

use aws_lc_rs::hmac;
use jiff::Timestamp;
use opentelemetry::{SpanId, TraceId};

use crate::{delivery::DeliveryId, message::MailId};

/// The key from which ids are derived.
pub struct Names(hmac::Key);

/// The place of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub trace: TraceId,
    /// The trace's first span, which contains the others; `None` if there is no mail.
    pub root: Option<SpanId>,
}

impl Names {
    /// Creates the names. `secret` is the store's, and cannot be seen in any id.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Returns the place of a mail's spans. Its arrival is part of the name, since a store that is
    /// restored from a backup gives numbers again.
    pub fn of_mail(&self, mail: MailId, arrived_at: Timestamp) -> Place {
        let name = self.derived(&format!("mail {mail} {}", arrived_at.as_second()));
        Place {
            trace: trace(&name),
            root: Some(span(&name[16..])),
        }
    }

    /// Returns the place of the spans of a page that no mail led to.
    pub fn of_delivery(&self, delivery: DeliveryId, owed_at: Timestamp) -> Place {
        let name = self.derived(&format!("delivery {delivery} {}", owed_at.as_second()));
        Place {
            trace: trace(&name),
            root: None,
        }
    }

    /// Returns the id of a span of a trace, given what distinguishes it from the others there.
    pub fn of_span(&self, trace: TraceId, which: &str) -> SpanId {
        span(&self.derived(&format!("span {trace} {which}")))
    }

    fn derived(&self, text: &str) -> [u8; 32] {
        // The text names its purpose, because the store's secret also signs canaries.
        let tag = hmac::sign(&self.0, format!("alertbridge trace {text}").as_bytes());
        let mut name = [0; 32];
        name.copy_from_slice(tag.as_ref());
        name
    }
}

fn trace(name: &[u8; 32]) -> TraceId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&name[..16]);
    TraceId::from_bytes(bytes)
}

fn span(name: &[u8]) -> SpanId {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&name[..8]);
    SpanId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_mail_has_one_name_in_every_process_of_its_store_and_shares_it_with_no_other() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (one, same, other) = (Names::new(b"a"), Names::new(b"a"), Names::new(b"b"));
        assert_eq!(one.of_mail(7, at(1)), same.of_mail(7, at(1)));

        // The stored time is coarser than the one that a process has in memory.
        let finer = at(1) + jiff::SignedDuration::from_nanos(1_500);
        assert_eq!(one.of_mail(7, at(1)), one.of_mail(7, finer));

        let names = [
            one.of_mail(7, at(1)),
            one.of_mail(8, at(1)),
            one.of_mail(7, at(2)),
            one.of_delivery(7, at(1)),
            other.of_mail(7, at(1)),
        ];
        let traces: HashSet<_> = names.iter().map(|place| place.trace).collect();
        assert_eq!(traces.len(), names.len());

        let place = names[0];
        let spans = ["read 1", "read 2", "decide 1"].map(|which| one.of_span(place.trace, which));
        let spans: HashSet<_> = spans.into_iter().chain(place.root).collect();
        assert_eq!(spans.len(), 4);
    }
}
