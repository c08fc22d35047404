//! The configuration's rules for mail, compiled: how it is read, and what follows. Pure.
//!
//! `serve`, `explain` and `replay` all use them, so what is explained is what happens.

use std::sync::Arc;

use super::{sli::SliReader, treatment::Treatment};
use crate::{
    extract::Extractor, label::Labels, profile::Profiles, receiver::Receivers, route::Routes,
    settings::Duration,
};

/// The stages, compiled and ready to run.
pub struct Rules {
    /// Reads Atlassian's own mail.
    pub sli: SliReader,
    /// Reads other senders' mail.
    pub profiles: Arc<Profiles>,
    /// The treatment of each profile's alerts, that of Atlassian's own mail first.
    pub treatments: (Treatment, Vec<Treatment>),
    pub routes: Routes,
    pub receivers: Arc<Receivers>,
    /// The age above which mail pages nobody. Zero means no limit.
    pub max_age: Duration,
}

impl Rules {
    /// Returns these rules with only one profile reading mail.
    #[must_use]
    pub fn alone(mut self, profile: &str) -> Self {
        self.profiles = Arc::new(self.profiles.only(profile));
        if *profile != *self.sli.profile {
            self.sli.extractor = Extractor::new(&[]);
        }
        self
    }

    /// Returns the profiles' names, in the order in which they are tried.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        let (first, others) = &self.treatments;
        std::iter::once(first)
            .chain(others)
            .map(|one| &*one.profile)
    }

    /// Returns the treatment of a profile's alerts.
    ///
    /// Without a profile, for a profile that is no longer configured, and for the bridge's own
    /// alarms, it is that of `alerts:`.
    pub(super) fn treatment(&self, profile: Option<&str>) -> &Treatment {
        let (first, others) = &self.treatments;
        let named = |profile: &str| others.iter().find(|other| *other.profile == *profile);

        profile
            .filter(|profile| **profile != *first.profile)
            .and_then(named)
            .unwrap_or(first)
    }

    /// Returns the treatment of an alert by its labels.
    pub(super) fn treatment_of(&self, labels: &Labels) -> &Treatment {
        self.treatment(labels.get("profile").map(String::as_str))
    }
}
