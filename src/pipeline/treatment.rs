//! How the alerts of one profile are treated once they are read. Pure.

use std::sync::Arc;

use super::standing::Policy;
use crate::{
    incident::{State, Values},
    label::{Labels, Severities},
    settings::Duration,
};

/// The label that is always remembered as announced: it shows whether the severity rose.
pub(super) const SEVERITY: &str = "severity";

/// How the alerts of one profile are treated.
pub struct Treatment {
    /// The profile's name.
    pub profile: Arc<str>,
    pub severities: Severities,
    /// The labels whose change is announced.
    pub notify_on_change: Vec<String>,
    /// What unproven mail may do.
    pub policy: Policy,
    /// How long after its last mail an open incident counts as over.
    pub resolve_after: Option<Duration>,
    /// The mail that must come.
    pub expect: Option<Expect>,
}

/// Mail that must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The longest time allowed between two mails.
    pub within: Duration,
    /// The key of the incident that reports the absence of mail.
    pub key: String,
}

impl Treatment {
    /// Returns the labels whose change is announced, and the severity, which shows whether a change
    /// is a rise.
    pub(super) fn values(&self, labels: &Labels) -> Values {
        self.chosen(labels, &[SEVERITY])
    }

    /// Returns only the labels whose change is announced.
    pub(super) fn changeable(&self, labels: &Labels) -> Values {
        self.chosen(labels, &[])
    }

    fn chosen(&self, labels: &Labels, besides: &[&str]) -> Values {
        let names = self.notify_on_change.iter().map(String::as_str);
        names
            .chain(besides.iter().copied())
            .filter_map(|name| Some((name.to_owned(), labels.get(name)?.clone())))
            .collect()
    }

    pub(super) fn is_other(&self, labels: &Labels, state: &State) -> bool {
        self.changeable(labels)
            .iter()
            .any(|(name, value)| state.told.get(name).is_some_and(|told| told != value))
    }

    /// Describes the differences from what was announced: `the load was 87 and is 91`.
    pub(super) fn difference(&self, labels: &Labels, state: &State) -> Option<String> {
        let differing = self.values(labels).into_iter().filter_map(|(name, is)| {
            let was = state.told.get(&name).filter(|was| **was != is)?;
            Some(format!("the {name} was {was} and is {is}"))
        });
        let differing: Vec<_> = differing.collect();
        (!differing.is_empty()).then(|| differing.join(", "))
    }
}
