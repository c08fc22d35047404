//! The labels of a mail's alert: those that the mail states, and those that the bridge adds. Pure.

use std::borrow::Cow;

use crate::{
    incident::{Phase, Signal},
    label::{Labels, Severities},
    message::Authenticity,
};

/// The labels that a mail itself gives its alert.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// The labels that the mail states for its incident.
    Incident(&'a Labels),
    /// The labels that describe the mail, because the incident could not be read.
    Unread(&'a Labels),
}

/// Returns the labels of a mail's alert; if the alert could not be read, those that are known
/// anyway.
///
/// `recurrence_28d` counts the earlier openings of its series within 28 days; `None` means unknown.
pub fn labels_of(
    profile: &str,
    said: Said<'_>,
    signal: Signal,
    severities: &Severities,
    authenticity: &Authenticity,
    ingress: &str,
    recurrence_28d: Option<u64>,
) -> Labels {
    let (kind, mut labels) = match said {
        Said::Incident(labels) => ("incident", labels.clone()),
        Said::Unread(labels) => ("unparsed", labels.clone()),
    };
    let mut set = |name: &'static str, value: &str| {
        labels.insert(Cow::Borrowed(name), value.to_owned());
    };

    set("kind", kind);

    let phase = if signal == Signal::Resolve {
        Phase::Resolved
    } else {
        Phase::Firing
    };
    set("state", phase.as_str());
    set("profile", profile);
    set("ingress", ingress);
    set("authenticity", authenticity.verdict.as_str());
    if matches!(said, Said::Incident(_)) {
        let recurrence = recurrence_28d.map(|times| times.to_string());
        set("recurrence_28d", recurrence.as_deref().unwrap_or_default());
    }

    let severity = severities.of(&labels).to_owned();
    labels.insert(Cow::Borrowed("severity"), severity);

    labels
}
