//! What the configuration says of mail, compiled: how one is read, and what follows from it. Pure.
//!
//! `serve`, `explain` and `replay` all go through here, so what is explained is what happens.

use std::sync::Arc;

use super::standing::Policy;
use crate::{
    extract::Extractor,
    incident::{State, Statuses, Values},
    label::{Labels, Severities},
    receiver::Receivers,
    route::Routes,
    settings::Duration,
    validate::Validator,
};

/// The stages, ready to run.
pub struct Rules {
    pub extractor: Extractor,
    pub validator: Validator,
    pub statuses: Statuses,
    pub severities: Severities,
    pub routes: Routes,
    pub receivers: Arc<Receivers>,
    /// The labels that a change of is told.
    pub notify_on_change: Vec<String>,
    /// Zero: no limit.
    pub max_age: Duration,
    /// What mail that is not proven may do.
    pub policy: Policy,
    /// Whether mail of the sender without the element is told to somebody.
    pub notify_missing_payload: bool,
}

pub(super) const SEVERITY: &str = "severity";

impl Rules {
    /// The labels that a change of is told, and the severity, which says whether it rose.
    pub(super) fn values(&self, labels: &Labels) -> Values {
        let names = self
            .notify_on_change
            .iter()
            .map(String::as_str)
            .chain([SEVERITY]);
        names
            .filter_map(|name| Some((name.to_owned(), labels.get(name)?.clone())))
            .collect()
    }

    /// The same without what no change is told of.
    pub(super) fn changeable(&self, labels: &Labels) -> Values {
        let names = self.notify_on_change.iter();
        names
            .filter_map(|name| Some((name.clone(), labels.get(name.as_str())?.clone())))
            .collect()
    }

    pub(super) fn is_other(&self, labels: &Labels, state: &State) -> bool {
        self.changeable(labels)
            .iter()
            .any(|(name, value)| state.told.get(name).is_some_and(|told| told != value))
    }
}
