//! Profiles: which mail belongs to which sender, and how it is read. They are compiled from YAML.
//!
//! A profile takes mail by its header alone ([`Profiles::taking`]), so that a mail's authenticity
//! can be judged by its own profile's rules when it arrives. The content of the mail is then read
//! into the alerts that it reports ([`Profile::read`]), one for each item, or into what is wrong
//! with it.
//!
//! ```text
//! header ─▶ matching ─▶ the profile
//! mail ─▶ extract::Contents ─▶ context ─▶ fields ─▶ status ─▶ Found
//! ```
//!
//! Everything is bounded: expressions take time linear in the text, templates have limited fuel and
//! output, and a mail has at most [`MAX_ITEMS`] items. Starters ([`starters`]) are files of the
//! same grammar. A starter is laid under a profile that names it before the profile's settings are
//! read (`config::starter`).

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    authenticate::{self, Read},
    label::{self, Labels, Severities},
    settings::{Duration, Problem},
};

mod compile;
mod context;
pub mod draft;
pub mod examples;
mod fields;
mod items;
mod json;
mod matching;
mod reading;
mod settings;
pub mod starters;
mod status;
#[cfg(test)]
mod tests;
mod trace;

pub use matching::Taking;
pub use settings::{Expect, Match, Overlay, OverlayUnverified, Settings};
pub use status::Meaning;
pub use trace::{Miss, Trace};

/// The maximum number of incidents that one mail may report.
pub const MAX_ITEMS: usize = 500;

/// All profiles of a configuration, in order.
#[derive(Debug, Default)]
pub struct Profiles(Vec<Arc<Profile>>);

/// The mail of one sender, and how it is read.
#[derive(Debug)]
pub struct Profile {
    pub name: Arc<str>,
    matching: matching::Matching,
    recipe: reading::Recipe,
    /// The rules of `severity`: the first rule that matches decides, otherwise the field.
    pub severities: Severities,
    settings: Settings,
}

/// What one item of a mail turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Alert(Box<Alert>),
    /// An alert that cannot be read, under a key made from its payload, so that copies page once.
    Unparsed {
        /// Why it cannot be read: names the field and its expression.
        reason: String,
        key: String,
        json: Value,
    },
    /// An item that is no alert, as the profile itself says.
    Ignored {
        reason: String,
    },
}

/// An alert as a mail reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The key, which trigger and resolve share.
    pub key: String,
    /// The status as the mail states it.
    pub status: String,
    pub meaning: Meaning,
    /// The time of the alert; `None` means the mail's Date.
    pub time: Option<Timestamp>,
    /// The labels: `status`, `title`, `url`, `summary`, `severity` if the field gives one, and the
    /// profile's own fields.
    pub labels: Labels,
    /// What templates get as `incident`: fields, pairs, and the item's JSON if it is JSON.
    pub json: Value,
}

impl Profiles {
    /// Compiles `profiles:`, or returns everything that is wrong with it.
    pub fn compile(settings: &[Settings]) -> Result<Self, Vec<Problem>> {
        Self::of(compile::profiles(settings, false))
    }

    /// Compiles profiles that may give the labels of Atlassian's own mail.
    pub fn built_in(settings: &[Settings]) -> Result<Self, Vec<Problem>> {
        Self::of(compile::profiles(settings, true))
    }

    fn of(compiled: Result<Vec<Profile>, Vec<Problem>>) -> Result<Self, Vec<Problem>> {
        compiled.map(|profiles| Self(profiles.into_iter().map(Arc::new).collect()))
    }

    /// Returns which profile takes a mail, given its header (from [`crate::message::Mended`]).
    pub fn taking(&self, header: &[u8]) -> Taking<'_> {
        matching::taking(&self.0, header)
    }

    /// Returns the index of the profile that certainly takes a mail, and the parts of the mail that
    /// decide so and that its alert is made of.
    ///
    /// `routed` are the labels that routes use.
    pub fn reads(&self, header: &[u8], routed: &BTreeSet<String>) -> Option<(usize, Vec<Read>)> {
        let Taking::Taken(taker) = self.taking(header) else {
            return None;
        };
        let place = self.0.iter().position(|one| Arc::ptr_eq(one, taker))?;
        let passed_on = matching::looked_at(&self.0[..place], header);
        let reads: BTreeSet<Read> = taker.reads(routed).chain(passed_on).collect();
        Some((place, reads.into_iter().collect()))
    }

    /// Returns why each profile does not take a mail.
    pub fn misses(&self, header: &[u8]) -> Vec<Miss> {
        matching::misses(&self.0, header)
    }

    /// Returns every label that an alert may have: the bridge's own, and those of the profiles.
    pub fn labels(&self) -> BTreeSet<&str> {
        let summary = (!self.is_empty()).then_some("summary");
        let own = self.own_labels().into_iter();
        own.chain(summary).chain(label::NAMES).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.0.iter()
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.0.iter().find(|profile| *profile.name == *name)
    }

    /// Returns only the profile with this name, if there is one.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self(self.get(name).cloned().into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the labels that only profiles give.
    pub fn own_labels(&self) -> BTreeSet<&str> {
        let own = self.0.iter().flat_map(|profile| profile.own_labels());
        own.filter(|label| !label::NAMES.contains(label)).collect()
    }
}

impl Profile {
    /// Reads a mail that the profile takes into what it reports, in the mail's order: at least one
    /// thing.
    ///
    /// Never fails, and takes time linear in the mail's size.
    pub fn read(&self, raw: &[u8]) -> Vec<Found> {
        reading::read(&self.name, &self.recipe, raw)
    }

    /// Returns everything that was found in a mail, for the author of the profile.
    pub fn trace(&self, raw: &[u8]) -> Trace {
        reading::trace(&self.recipe, raw)
    }

    /// Returns the finding for an alert that is told although the header's sender is in doubt.
    pub fn doubtful(&self, raw: &[u8], reason: &str) -> Found {
        reading::doubtful(&self.name, &self.recipe, raw, reason)
    }

    /// Returns the parts of the mail that its match, key, status, time, severity and labels are
    /// made of.
    ///
    /// A title, a summary and an address only decorate, unless the severity or a route depends on
    /// them, or a change of them is told.
    fn reads(&self, routed: &BTreeSet<String>) -> impl Iterator<Item = Read> {
        let decides = |name: &str| {
            !matches!(name, "title" | "summary" | "url")
                || routed.contains(name)
                || self.notify_on_change().iter().any(|told| told == name)
                || self.severities.look_at(name)
        };
        self.matching.looks_at().chain(self.recipe.reads(decides))
    }

    /// Returns how mail must prove that it is the sender's. `from_domain` is the domain of its
    /// From.
    pub fn authenticity(
        &self,
        alerts: &authenticate::Settings,
        from_domain: &str,
    ) -> authenticate::Settings {
        self.settings.authenticity.over(alerts, from_domain)
    }

    /// Returns the senders of `match.from`; empty if any may send.
    pub fn from(&self) -> &[String] {
        &self.settings.r#match.from
    }

    pub fn notify_on_change(&self) -> &[String] {
        &self.settings.notify_on_change
    }

    pub fn resolve_after(&self) -> Option<Duration> {
        self.settings.resolve_after
    }

    pub fn expect(&self) -> Option<&Expect> {
        self.settings.expect.as_ref()
    }

    /// Returns the labels that only this profile gives.
    pub fn own_labels(&self) -> impl Iterator<Item = &str> {
        self.recipe.own_labels()
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
