//! The configuration's rules for mail, compiled: how it is read, and what follows. Pure.
//!
//! `serve`, `explain` and `replay` all use them, so what is explained is what happens.

use std::sync::Arc;

use super::{sli::SliReader, treatment::Treatment};
use crate::{
    extract::Extractor, label::Labels, profile::Profiles, receiver::Receivers, route::Routes,
    settings::Duration,
};

/// The stages, ready to run.
pub struct Rules {
    /// Reads Atlassian's own mail.
    pub sli: SliReader,
    /// Read other senders' mail.
    pub profiles: Arc<Profiles>,
    /// The treatment of each profile's alerts; first that of Atlassian's own mail.
    pub treatments: (Treatment, Vec<Treatment>),
    pub routes: Routes,
    pub receivers: Arc<Receivers>,
    /// Zero: no limit.
    pub max_age: Duration,
}

impl Rules {
    /// The same where one profile alone reads mail.
    #[must_use]
    pub fn alone(mut self, profile: &str) -> Self {
        self.profiles = Arc::new(self.profiles.only(profile));
        if *profile != *self.sli.profile {
            self.sli.extractor = Extractor::new(&[]);
        }
        self
    }

    /// The profiles' names, in the order in which they are tried.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        let (first, others) = &self.treatments;
        std::iter::once(first)
            .chain(others)
            .map(|one| &*one.profile)
    }

    /// The treatment of a profile's alerts. Without a profile, for one that is no longer
    /// configured, and for the bridge's own alarms, it is that of `alerts:`.
    pub(super) fn treatment(&self, profile: Option<&str>) -> &Treatment {
        let (first, others) = &self.treatments;
        let named = |profile: &str| others.iter().find(|other| *other.profile == *profile);

        profile
            .filter(|profile| **profile != *first.profile)
            .and_then(named)
            .unwrap_or(first)
    }

    /// The same by an alert's labels.
    pub(super) fn treatment_of(&self, labels: &Labels) -> &Treatment {
        self.treatment(labels.get("profile").map(String::as_str))
    }
}
